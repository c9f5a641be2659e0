"""Certificates for tests: authorities, what they vouch for, and a server that shows it."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

_VOUCHES = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n"
_SERVES = "keyUsage=digitalSignature,keyEncipherment\n"
_KEYS = "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
"""What newer Pythons ask for (RFC 5280, 4.2.1), and every authority of these days writes."""
_CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def authority(place: Path, name: str) -> None:
    """Make an authority: ``name.pem`` and its key."""
    _openssl("req", "-x509", *_CURVE, "-days", "90", "-subj", f"/CN={name}", "-keyout", f"{place}/{name}.key",
             "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-out", f"{place}/{name}.pem")


def certificate(place: Path, name: str, by: str = "ca", address: str = "127.0.0.1") -> None:
    """Have an authority vouch for somebody at an address: ``name.pem`` and its key."""
    (place / f"{name}.ext").write_text(f"subjectAltName=IP:{address}\n{_KEYS}{_SERVES}")
    _openssl("req", *_CURVE, "-subj", f"/CN={name}", "-keyout", f"{place}/{name}.key", "-out", f"{place}/{name}.csr")
    _openssl("x509", "-req", "-days", "90", "-in", f"{place}/{name}.csr", "-CA", f"{place}/{by}.pem",
             "-CAkey", f"{place}/{by}.key", "-CAcreateserial", "-extfile", f"{place}/{name}.ext",
             "-out", f"{place}/{name}.pem")


def dated(place: Path, name: str, *, since: float = -1.0, until: float = 2.0, by: str = "ca",
          names: str = "IP:127.0.0.1", vouches: bool = False) -> None:
    """Have an authority vouch for somebody from one day to another, both counted from now; an authority vouches for itself
    where it is ``by`` its own name. ``names``: as a subjectAltName has them; none where that is empty. ``vouches``: whether
    it may vouch for others though another did for it."""
    is_authority = name == by
    lines = [_VOUCHES if is_authority or vouches else _SERVES]
    lines.append("subjectKeyIdentifier=hash\n" if is_authority else _KEYS)
    lines.append("" if is_authority or not names else f"subjectAltName={names}\n")
    (place / f"{name}.ext").write_text("".join(lines))
    (place / f"{name}.txt").write_text("")
    (place / f"{name}.cnf").write_text(f"[ca]\ndefault_ca = it\n[it]\ndatabase = {place}/{name}.txt\nrand_serial = yes\n"
                                       f"new_certs_dir = {place}\ndefault_md = sha256\npolicy = any\nunique_subject = no\n"
                                       "[any]\ncommonName = supplied\n")
    _openssl("req", "-new", *_CURVE, "-subj", f"/CN={name}", "-keyout", f"{place}/{name}.key", "-out", f"{place}/{name}.csr")
    first, last = (time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + days * 86400)) for days in (since, until))
    _openssl("ca", "-batch", "-notext", "-config", f"{place}/{name}.cnf", "-in", f"{place}/{name}.csr",
             "-startdate", first, "-enddate", last, "-extfile", f"{place}/{name}.ext", "-keyfile", f"{place}/{by}.key",
             *(["-selfsign"] if is_authority else ["-cert", f"{place}/{by}.pem"]), "-out", f"{place}/{name}.pem")


@contextlib.contextmanager
def serving(papers: Path, name: str, *, demands: bool = False, tls12: bool = False,
            times: int | None = None) -> Iterator[int]:
    """Show a certificate on a free port, which is what this yields, ``times`` so often; who comes later is hung up on."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(papers / f"{name}.pem", papers / f"{name}.key")
    if tls12:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    if demands:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(papers / "ca.pem")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.05)
        ended = threading.Event()

        def answer() -> None:
            answered = 0
            while not ended.is_set():
                with contextlib.suppress(OSError):
                    caller, _ = listening.accept()
                    with caller, contextlib.suppress(OSError):
                        if answered == times:
                            continue
                        answered += 1
                        caller.settimeout(2.0)
                        with context.wrap_socket(caller, server_side=True) as secured:
                            secured.recv(1)

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield int(listening.getsockname()[1])
        finally:
            ended.set()
            thread.join()


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
