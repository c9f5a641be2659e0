"""Where libvirt reaches a host over TLS, and which files it takes for that: by a URI and its own rules.

A URI with a host and without a transport means TLS too. The rules are those of libvirt 9
(``src/rpc/virnettlscontext.c``): what ``pkipath`` names, else what the user has, else the machine's.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

PORT = 16514
MACHINE = Path("/etc/pki")


@dataclass(frozen=True, slots=True)
class TlsEnd:
    """``is_checked``: whether libvirt looks at the certificate that it is shown."""

    host: str
    port: int
    ca_file: Path
    cert_file: Path
    key_file: Path
    is_checked: bool = True


def tls_end(uri: str, home: Path | None, machine: Path = MACHINE) -> TlsEnd | None:
    """Return the end that a URI names, or None where it is not reached over TLS. ``home``: of the user that asks, None for
    root, who has none of their own."""
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    transport = parts.scheme.partition("+")[2] or "tls"
    if transport != "tls" or not host:
        return None
    asked = parse_qs(parts.query)
    ca_file, cert_file, key_file = _files(asked.get("pkipath", [""])[-1], home, machine)
    return TlsEnd(host, port or PORT, ca_file, cert_file, key_file, asked.get("no_verify", ["0"])[-1] in ("", "0"))


def _files(pkipath: str, home: Path | None, machine: Path) -> tuple[Path, Path, Path]:
    """Return the files of the authority, of our certificate and of its key."""
    if pkipath:
        place = Path(pkipath)
        return place / "cacert.pem", place / "clientcert.pem", place / "clientkey.pem"
    ca_file, cert_file = machine / "CA" / "cacert.pem", machine / "libvirt" / "clientcert.pem"
    key_file = machine / "libvirt" / "private" / "clientkey.pem"
    if home is None:
        return ca_file, cert_file, key_file
    own = home / ".pki" / "libvirt"
    if (own / "cacert.pem").exists():
        ca_file = own / "cacert.pem"
    if (own / "clientcert.pem").exists() and (own / "clientkey.pem").exists():
        cert_file, key_file = own / "clientcert.pem", own / "clientkey.pem"
    return ca_file, cert_file, key_file
