"""Certificates for tests: authorities, and what they vouch for."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

_CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def authority(place: Path, name: str) -> None:
    """Make an authority: ``name.pem`` and its key."""
    _openssl("req", "-x509", *_CURVE, "-days", "90", "-subj", f"/CN={name}", "-keyout", f"{place}/{name}.key",
             "-out", f"{place}/{name}.pem")


def certificate(place: Path, name: str, by: str = "ca", address: str = "127.0.0.1") -> None:
    """Have an authority vouch for somebody at an address: ``name.pem`` and its key."""
    (place / f"{name}.ext").write_text(f"subjectAltName=IP:{address}\n")
    _openssl("req", *_CURVE, "-subj", f"/CN={name}", "-keyout", f"{place}/{name}.key", "-out", f"{place}/{name}.csr")
    _openssl("x509", "-req", "-days", "90", "-in", f"{place}/{name}.csr", "-CA", f"{place}/{by}.pem",
             "-CAkey", f"{place}/{by}.key", "-CAcreateserial", "-extfile", f"{place}/{name}.ext",
             "-out", f"{place}/{name}.pem")


def dated(place: Path, name: str, *, since: float = -1.0, until: float = 2.0, by: str = "ca",
          names: str = "IP:127.0.0.1") -> None:
    """Have an authority vouch for somebody from one day to another, both counted from now; an authority vouches for itself
    where it is ``by`` its own name. ``names``: as a subjectAltName has them; none where that is empty."""
    is_authority = name == by
    (place / f"{name}.ext").write_text("basicConstraints=critical,CA:TRUE\n" if is_authority else
                                       f"subjectAltName={names}\n" if names else "basicConstraints=CA:FALSE\n")
    (place / f"{name}.txt").write_text("")
    (place / f"{name}.cnf").write_text(f"[ca]\ndefault_ca = it\n[it]\ndatabase = {place}/{name}.txt\nrand_serial = yes\n"
                                       f"new_certs_dir = {place}\ndefault_md = sha256\npolicy = any\nunique_subject = no\n"
                                       "[any]\ncommonName = supplied\n")
    _openssl("req", "-new", *_CURVE, "-subj", f"/CN={name}", "-keyout", f"{place}/{name}.key", "-out", f"{place}/{name}.csr")
    first, last = (time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + days * 86400)) for days in (since, until))
    _openssl("ca", "-batch", "-notext", "-config", f"{place}/{name}.cnf", "-in", f"{place}/{name}.csr",
             "-startdate", first, "-enddate", last, "-extfile", f"{place}/{name}.ext", "-keyfile", f"{place}/{by}.key",
             *(["-selfsign"] if is_authority else ["-cert", f"{place}/{by}.pem"]), "-out", f"{place}/{name}.pem")


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
