"""Where libvirt reaches a host over TLS, and which files it takes for that: by a URI and its own rules.

A URI with a host and without a transport means TLS too. The rules are those of libvirt 9
(``src/rpc/virnettlscontext.c``): what ``pkipath`` names, else what the user has, else the machine's.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ballastd.adapters.libvirt.opening import probe_address

MACHINE = Path("/etc/pki")


@dataclass(frozen=True, slots=True)
class TlsEnd:
    """``is_checked``: whether libvirt looks at the certificate that it is shown. ``is_placed``: whether the URI says where
    the files are."""

    host: str
    port: int
    ca_file: Path
    cert_file: Path
    key_file: Path
    is_checked: bool = True
    is_placed: bool = False


def tls_end(uri: str, home: Path | None, machine: Path = MACHINE) -> TlsEnd | None:
    """Return the end that a URI names, or None where it is not reached over TLS. ``home``: of the user that asks, None for
    root, who has none of their own."""
    try:
        address = probe_address(uri)
    except ValueError:
        return None
    parts = urlsplit(uri)
    if address is None or (parts.scheme.partition("+")[2] or "tls") != "tls":
        return None
    asked = _parameters(parts.query)
    place = asked.get("pkipath", "")
    ca_file, cert_file, key_file = _files(place, home, machine)
    return TlsEnd(address.host, address.port, ca_file, cert_file, key_file, not _is_set(asked.get("no_verify", "")),
                  bool(place))


def user_home() -> tuple[Path | None, str]:
    """Return the home that libvirt looks into, None for root, and why nobody can look there, empty where one can."""
    if not os.geteuid():
        return None, ""
    try:
        home = Path.home()
        (_own(home) / "cacert.pem").stat()
    except RuntimeError:
        return None, f"HOME is not set, and user {os.geteuid()} is not in passwd"
    except (FileNotFoundError, NotADirectoryError):
        return home, ""
    except OSError as error:
        return home, f"{_own(home)}: {error.strerror}"
    return home, ""


def _parameters(query: str) -> dict[str, str]:
    """Return what a query says, the last of a name, as libvirt reads it (``virURIParseParams``): ``;`` counts behind the
    last ``&``, a ``+`` is a ``+``, and names are the same in capitals."""
    *several, last = query.split("&")
    found = (part.partition("=") for part in (*several, *last.split(";")))
    return {unquote(name).lower(): unquote(value) for name, _, value in found}


def _is_set(number: str) -> bool:
    """Return whether a switch is on; with what is no number libvirt opens nothing."""
    try:
        return int(number) != 0
    except ValueError:
        return False


def _own(home: Path) -> Path:
    return home / ".pki" / "libvirt"


def _files(pkipath: str, home: Path | None, machine: Path) -> tuple[Path, Path, Path]:
    """Return the files of the authority, of our certificate and of its key."""
    if pkipath:
        place = Path(pkipath)
        return place / "cacert.pem", place / "clientcert.pem", place / "clientkey.pem"
    ca_file, cert_file = machine / "CA" / "cacert.pem", machine / "libvirt" / "clientcert.pem"
    key_file = machine / "libvirt" / "private" / "clientkey.pem"
    if home is None:
        return ca_file, cert_file, key_file
    own = _own(home)
    if _is_there(own / "cacert.pem"):
        ca_file = own / "cacert.pem"
    if _is_there(own / "clientcert.pem") and _is_there(own / "clientkey.pem"):
        cert_file, key_file = own / "clientcert.pem", own / "clientkey.pem"
    return ca_file, cert_file, key_file


def _is_there(file: Path) -> bool:
    """Return whether there is such a file; what cannot be looked at is not there, for libvirt too."""
    try:
        return file.exists()
    except OSError:
        return False
