"""Certificates looked at: in files of ours, and in a TLS handshake with whoever has one. Everything here blocks.

A server is believed or not by OpenSSL. What it shows is read in either case, for which one that is not believed is asked a
second time without any rules. Nothing is ever said to it beyond the handshake.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

from ballastd.adapters.certificates.reading import read_certificate
from ballastd.core.certificates import Certificate, Flaw

HANDSHAKE_SECONDS = 5.0
"""For reaching one of its addresses, and for the handshake after that; a server is asked twice at most."""
LOOK_SECONDS = 4 * HANDSHAKE_SECONDS
FILE_BYTES_MAX = 1 << 20
_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
_ANOTHER_NAME = frozenset({62, 64})
_NOBODY_WE_BELIEVE = frozenset({2, 18, 19, 20, 21, 27})
"""OpenSSL's own numbers for why a certificate is not believed (``x509_vfy.h``)."""


class _Unread(ValueError):
    """A file of ours is of no use, for the reason given, which names it."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What was seen, and what is against it besides its dates. ``words``: how that was said."""

    certificate: Certificate | None = None
    flaw: Flaw | None = None
    words: str = ""


@dataclass(frozen=True, slots=True)
class Server:
    """``name``: what its certificate has to be good for. ``ca_file``: whom we believe, None for the system's own list.
    ``cert_file``, ``key_file``: who we are, None where we do not say. ``is_checked``: whether we care who it is.
    ``is_root_needed``: whether a chain has to end in who vouches for itself, as OpenSSL has it and GnuTLS has not."""

    host: str
    port: int
    name: str
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    is_checked: bool = True
    is_root_needed: bool = True


def look_at_server(server: Server) -> Sight:
    """Return what a server shows, and whether it is believed; within ``LOOK_SECONDS`` where its name has one address."""
    flaw, words = Flaw.UNCHECKED, ""
    if server.is_checked:
        try:
            return Sight(_shown_by(server, _believing(server)))
        except ssl.SSLCertVerificationError as error:
            flaw, words = _flaw(error.verify_code), error.verify_message
        except _Unread as error:
            flaw, words = Flaw.ISSUER, str(error)
        except (OSError, ValueError) as error:
            return Sight(None, Flaw.SILENT, _why(error))
    try:
        return Sight(_shown_by(server, _anybody(server)), flaw, words)
    except (OSError, ValueError) as error:
        return Sight(None, Flaw.SILENT, f"{words}; {_why(error)}" if words else _why(error))


def look_at_own(cert_file: Path, key_file: Path) -> Sight:
    """Return the certificate that we show, which is the first in its file, and whether the key belongs to it."""
    try:
        found = _read(cert_file)[0]
        _content(key_file)
    except _Unread as error:
        return Sight(None, Flaw.UNREAD, str(error))
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(cert_file, key_file, _no_password)
    except (OSError, ValueError) as error:
        return Sight(found, Flaw.UNREAD, f"{key_file} is not its key, or needs a password: {_why(error)}")
    return Sight(found)


def look_at_authority(ca_file: Path) -> Sight:
    """Return the certificate in a file of authorities that is good the longest: others may be there until nobody shows any
    more what they vouched for."""
    try:
        return Sight(max(_read(ca_file), key=lambda one: one.valid_until))
    except _Unread as error:
        return Sight(None, Flaw.UNREAD, str(error))


def _shown_by(server: Server, context: ssl.SSLContext) -> Certificate:
    with (socket.create_connection((server.host, server.port), HANDSHAKE_SECONDS) as plain,
          context.wrap_socket(plain, server_hostname=server.name) as secured):
        return read_certificate(secured.getpeercert(binary_form=True) or b"")


def _believing(server: Server) -> ssl.SSLContext:
    context = _context(server)
    if not server.is_root_needed:
        context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    if server.ca_file is None:
        context.load_default_certs()
        return context
    _read(server.ca_file)
    try:
        context.load_verify_locations(server.ca_file)
    except OSError as error:
        raise _Unread(f"{server.ca_file}: {_why(error)}") from error
    return context


def _anybody(server: Server) -> ssl.SSLContext:
    context = _context(server)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _context(server: Server) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
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
    blocks = _content(file).decode("ascii", "replace").split(_BEGIN)[1:]
    if not blocks:
        raise _Unread(f"{file}: there is no certificate in it (PEM)")
    try:
        return [read_certificate(ssl.PEM_cert_to_DER_cert(f"{_BEGIN}{block.partition(_END)[0]}{_END}")) for block in blocks]
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
        return "it closed the connection during the TLS handshake: does this port speak TLS?"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {(error.reason or str(error)).replace('_', ' ').lower()}"
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
