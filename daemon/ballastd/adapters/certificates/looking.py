"""Certificates looked at: in files of ours, and in a TLS handshake with whoever has one. Everything here blocks.

A server is believed or not by OpenSSL. What it shows is read in either case, for which one that is not believed is asked a
second time without any rules. Nothing is ever said to it beyond the handshake.
"""

from __future__ import annotations

import base64
import contextlib
import enum
import re
import socket
import ssl
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ballastd.adapters.certificates.reading import read_certificate
from ballastd.adapters.tls import CLOSED, HANDSHAKE_SECONDS, client_context
from ballastd.core.certificates import Certificate, Flaw

LOOK_SECONDS = 4 * HANDSHAKE_SECONDS
"""One is for reaching one of its addresses, one for the handshake after that; a server is asked twice at most."""
FILE_BYTES_MAX = 1 << 20
_PEM = re.compile(r"-----BEGIN ((?:X509 |TRUSTED )?CERTIFICATE)-----(.*?)(?:-----END \1-----|\Z)", re.DOTALL)
"""The three heads that OpenSSL takes for a certificate."""
_ANOTHER_NAME = frozenset({62, 64})
_NOBODY_WE_BELIEVE = frozenset({2, 18, 19, 20, 21, 27})
"""OpenSSL's own numbers for why a certificate is not believed (``x509_vfy.h``)."""


class _Unread(ValueError):
    """A file of ours is of no use, for the reason given, which names it."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What was seen, and what is against it besides its dates. ``words``: how that was said. ``vouchers``: what is shown
    along with it and vouches for it; ``anchor``: whom we believe that all that leads to, None where it is not believed.
    ``authorities``: all that a file of those has."""

    certificate: Certificate | None = None
    flaw: Flaw | None = None
    words: str = ""
    vouchers: tuple[Certificate, ...] = ()
    anchor: Certificate | None = None
    authorities: tuple[Certificate, ...] = ()


class Check(enum.Enum):
    """How much of what a server shows matters. NAME: that it is good for its name, whoever vouches for it."""

    WHOLE = enum.auto()
    NAME = enum.auto()
    NOTHING = enum.auto()


@dataclass(frozen=True, slots=True)
class Server:
    """``name``: what its certificate has to be good for. ``ca_file``: whom we believe, None for the system's own list.
    ``cert_file``, ``key_file``: who we are, None where we do not say. ``is_root_needed``: whether a chain has to end in who
    vouches for itself, as OpenSSL has it and GnuTLS has not. ``is_common_name_good``: whether one that has no names at all
    is good for its common name, as OpenSSL and GnuTLS have it and Redfish's client has not."""

    host: str
    port: int
    name: str
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    check: Check = Check.WHOLE
    is_root_needed: bool = True
    is_common_name_good: bool = True


class Contexts:
    """TLS contexts, each made once, by whichever thread comes first: a list of all authorities takes a while to read, and
    hundreds of servers may have it in common."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: dict[Server, ssl.SSLContext] = {}

    def of(self, server: Server) -> ssl.SSLContext:
        """Return the context for a server.

        Raises:
            _Unread: the file of whom we believe is of no use.
        """
        alike = replace(server, host="", port=0, name="")
        with self._lock:
            if alike not in self._made:
                self._made[alike] = _believing(alike) if alike.check is Check.WHOLE else _anybody(alike)
            return self._made[alike]


def look_at_server(server: Server, contexts: Contexts) -> Sight:
    """Return what a server shows, and whether it is believed; within ``LOOK_SECONDS`` where its name has one address."""
    flaw, words = Flaw.UNCHECKED if server.check is Check.NOTHING else None, ""
    if server.check is Check.WHOLE:
        try:
            shown, *vouchers = map(read_certificate, _shown_by(server, contexts.of(server)))
            return Sight(shown, vouchers=tuple(vouchers[:-1]), anchor=vouchers[-1] if vouchers else shown)
        except ssl.SSLCertVerificationError as error:
            flaw, words = _flaw(error.verify_code), error.verify_message
        except _Unread as error:
            flaw, words = Flaw.ISSUER, str(error)
        except (OSError, ValueError) as error:
            return Sight(None, Flaw.SILENT, _why(error))
    try:
        [der] = _shown_by(server, contexts.of(replace(server, check=Check.NOTHING)))
        found = read_certificate(der)
        if server.check is Check.NAME and (misnamed := _misnamed(server, der)):
            flaw, words = Flaw.NAME, misnamed
        return Sight(found, flaw, words)
    except (OSError, ValueError) as error:
        return Sight(None, Flaw.SILENT, f"{words}; {_why(error)}" if words else _why(error))


def look_at_own(cert_file: Path, key_file: Path) -> Sight:
    """Return the certificate that we show, which is the first in its file, what we show along with it, and whether the key
    belongs to it."""
    try:
        found, *others = _read(cert_file)
        _content(key_file)
    except _Unread as error:
        return Sight(None, Flaw.UNREAD, str(error))
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(cert_file, key_file, _no_password)
    except (OSError, ValueError) as error:
        return Sight(found, Flaw.UNREAD, f"{key_file} is not its key, or needs a password: {_why(error)}")
    return Sight(found, vouchers=tuple(others))


def look_at_authority(ca_file: Path) -> Sight:
    """Return the certificate in a file of authorities that is good the longest, and all of them: others may be there until
    nobody shows any more what they vouched for."""
    try:
        found = _read(ca_file)
    except _Unread as error:
        return Sight(None, Flaw.UNREAD, str(error))
    return Sight(max(found, key=lambda one: one.valid_until), authorities=tuple(dict.fromkeys(found)))


def _shown_by(server: Server, context: ssl.SSLContext) -> list[bytes]:
    """Return what a server shows, and behind it, where it was believed, what that leads to by way of what."""
    with (socket.create_connection((server.host, server.port), HANDSHAKE_SECONDS) as plain,
          context.wrap_socket(plain, server_hostname=server.name) as secured):
        if context.verify_mode is ssl.CERT_NONE:
            return [secured.getpeercert(binary_form=True) or b""]
        return _chain(secured)


def _chain(secured: ssl.SSLSocket) -> list[bytes]:
    """Return the chain that was believed. Python 3.13 has a method for it; before, only the object beneath has."""
    below: Any = secured
    if not hasattr(secured, "get_verified_chain"):
        below = secured._sslobj  # type: ignore[attr-defined]  # noqa: SLF001
    return [one if isinstance(one, bytes) else ssl.PEM_cert_to_DER_cert(one.public_bytes())
            for one in below.get_verified_chain()]


def _misnamed(server: Server, der: bytes) -> str:
    """Return what OpenSSL has against the name alone: to this one, what the server shows is what is believed."""
    context = _furnished(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), server)
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata=der)
    try:
        _shown_by(server, context)
    except ssl.SSLCertVerificationError as error:
        return error.verify_message if _flaw(error.verify_code) is Flaw.NAME else ""
    return ""


def _believing(server: Server) -> ssl.SSLContext:
    if server.ca_file is not None:
        _read(server.ca_file)
    try:
        context = client_context(server.ca_file)
    except OSError as error:
        raise _Unread(f"{server.ca_file}: {_why(error)}") from error
    if not server.is_root_needed:
        context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
        context.verify_flags &= ~ssl.VerifyFlags.VERIFY_X509_STRICT  # which newer Pythons are, and GnuTLS is not
    return _furnished(context, server)


def _anybody(server: Server) -> ssl.SSLContext:
    context = _furnished(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), server)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _furnished(context: ssl.SSLContext, server: Server) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.hostname_checks_common_name = server.is_common_name_good
    if server.cert_file is not None:
        # what is wrong with it is told of our own certificate; the server may show its own all the same
        with contextlib.suppress(OSError, ValueError):
            context.load_cert_chain(server.cert_file, server.key_file, _no_password)
    return context


def _no_password() -> str:
    """Nobody is asked for one: an empty one opens no key."""
    return ""


def _flaw(code: int) -> Flaw:
    if code in _ANOTHER_NAME:
        return Flaw.NAME
    return Flaw.ISSUER if code in _NOBODY_WE_BELIEVE else Flaw.CHAIN


def _read(file: Path) -> list[Certificate]:
    """Return the certificates in a file, at least one.

    Raises:
        _Unread: there is none.
    """
    blocks = _PEM.findall(_content(file).decode("ascii", "replace"))
    if not blocks:
        raise _Unread(f"{file}: there is no certificate in it (PEM)")
    try:
        return [read_certificate(base64.b64decode(block)) for _, block in blocks]
    except ValueError as error:
        raise _Unread(f"{file}: {error}") from error


def _content(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            content = opened.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise _Unread(f"{file}: {error.strerror}") from error
    if len(content) > FILE_BYTES_MAX:
        raise _Unread(f"{file}: larger than {FILE_BYTES_MAX} bytes")
    return content


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {HANDSHAKE_SECONDS:g} s"
    if isinstance(error, ssl.SSLEOFError | ConnectionResetError):
        return CLOSED
    if isinstance(error, ssl.SSLError):
        return f"TLS: {(error.reason or str(error)).replace('_', ' ').lower()}"
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
