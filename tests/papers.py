"""Certificates for tests: authorities, and what they vouch for."""

from __future__ import annotations

import subprocess
from pathlib import Path

_CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def authority(place: Path, name: str) -> None:
    """Make an authority: ``name.pem`` and its key."""
    _openssl("req", "-x509", *_CURVE, "-days", "2", "-subj", f"/CN={name}", "-keyout", f"{place}/{name}.key",
             "-out", f"{place}/{name}.pem")


def certificate(place: Path, name: str, by: str = "ca", address: str = "127.0.0.1") -> None:
    """Have an authority vouch for somebody at an address: ``name.pem`` and its key."""
    (place / f"{name}.ext").write_text(f"subjectAltName=IP:{address}\n")
    _openssl("req", *_CURVE, "-subj", f"/CN={name}", "-keyout", f"{place}/{name}.key", "-out", f"{place}/{name}.csr")
    _openssl("x509", "-req", "-days", "2", "-in", f"{place}/{name}.csr", "-CA", f"{place}/{by}.pem",
             "-CAkey", f"{place}/{by}.key", "-CAcreateserial", "-extfile", f"{place}/{name}.ext",
             "-out", f"{place}/{name}.pem")


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
