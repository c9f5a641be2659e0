"""Certificates looked at: in files of ours, and in a TLS handshake with whoever has one. Everything here blocks.

A server is believed or not by OpenSSL. What it shows is read in either case, for which one that is not believed is asked a
second time without any rules. Nothing is ever said to it beyond the handshake.
"""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ballastd.adapters.certificates.contexts import Contexts, Server, Verification, no_password
from ballastd.adapters.certificates.files import Unread, certificates_in, content_of
from ballastd.adapters.certificates.reading import read_certificate
from ballastd.adapters.tls import HANDSHAKE_SECONDS, why
from ballastd.core.certificates import Certificate, Flaw

LOOK_SECONDS = 4 * HANDSHAKE_SECONDS
"""One is for reaching one of its addresses, one for the handshake after that; a server is asked twice at most."""
_ANOTHER_NAME = frozenset({62, 64})
_DATES = frozenset({9, 10})
_NOBODY_WE_BELIEVE = frozenset({2, 18, 19, 20, 21, 27})
"""OpenSSL's own numbers for why a certificate is not believed (``x509_vfy.h``)."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What was seen, and what is against it besides its dates. ``words``: how that was said. ``vouchers``: what is shown
    along with it and vouches for it, ``held`` those of them that are taken from the file of whom we believe instead;
    ``anchor``: whom we believe that all that leads to, None where it is not believed. ``authorities``: all that a file of
    those has."""

    certificate: Certificate | None = None
    flaw: Flaw | None = None
    words: str = ""
    vouchers: tuple[Certificate, ...] = ()
    held: tuple[Certificate, ...] = ()
    anchor: Certificate | None = None
    authorities: tuple[Certificate, ...] = ()


def look_at_server(server: Server, contexts: Contexts) -> Sight:
    """Return what a server shows, and whether it is believed; within ``LOOK_SECONDS`` where its name has one address."""
    flaw, words = Flaw.UNCHECKED if server.verification is Verification.NOTHING else None, ""
    if server.verification is Verification.WHOLE:
        try:
            context = contexts.of(server)
            return _believed(_shown_by(server, context), context)
        except ssl.SSLCertVerificationError as error:
            flaw, words = _flaw(error.verify_code), error.verify_message
        except Unread as error:
            flaw, words = Flaw.ISSUER, str(error)
        except (OSError, ValueError) as error:
            return Sight(None, Flaw.SILENT, _why(error))
    try:
        [der] = _shown_by(server, contexts.of(replace(server, verification=Verification.NOTHING)))
        found = read_certificate(der)
    except (OSError, ValueError) as error:
        return Sight(None, Flaw.SILENT, f"{words}; {_why(error)}" if words else _why(error))
    if server.verification is Verification.NAME:
        flaw, words = _against_name(server, der, contexts)
    return Sight(found, flaw, words)


def _believed(chain: list[bytes], context: ssl.SSLContext) -> Sight:
    """OpenSSL takes what vouches from among those it believes, and only what it does not find there from what is shown."""
    shown, *others = map(read_certificate, chain)
    ours = context.get_ca_certs(binary_form=True) if len(chain) > 2 else ()
    held = tuple(one for one, der in zip(others[:-1], chain[1:-1], strict=True) if der in ours)
    return Sight(shown, vouchers=tuple(others[:-1]), held=held, anchor=others[-1] if others else shown)


def look_at_own(cert_file: Path, key_file: Path) -> Sight:
    """Return the certificate that we show, which is the first in its file, what we show along with it, and whether the key
    belongs to it."""
    try:
        found, *others = certificates_in(cert_file)
        content_of(key_file)
    except Unread as error:
        return Sight(None, Flaw.UNREAD, str(error))
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(cert_file, key_file, no_password)
    except (OSError, ValueError) as error:
        return Sight(found, Flaw.UNREAD, f"{key_file} is not its key, or needs a password: {_why(error)}")
    return Sight(found, vouchers=_leading_from(found, others))


def _leading_from(first: Certificate, others: list[Certificate]) -> tuple[Certificate, ...]:
    """Return those that it leads to by the names of who issued it, and who issued those; others in its file vouch for
    nothing."""
    met: list[Certificate] = []
    issuers = [first.issuer]
    for issuer in issuers:  # which grows on the way
        found = [one for one in others if one.subject == issuer and one != first and one not in met]
        met += found
        issuers += [one.issuer for one in found]
    return tuple(met)


def look_at_authority(ca_file: Path) -> Sight:
    """Return the certificate in a file of authorities that is good the longest, and all of them: others may be there until
    nobody shows any more what they vouched for."""
    try:
        found = certificates_in(ca_file)
    except Unread as error:
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


def _against_name(server: Server, der: bytes, contexts: Contexts) -> tuple[Flaw | None, str]:
    """Return what OpenSSL has against the name alone: to this one, what the server shows is what is believed. It looks at
    what a certificate is for before the name, and at its dates, which are told by themselves, behind it."""
    try:
        _shown_by(server, contexts.believing_only(server, der))
    except ssl.SSLCertVerificationError as error:
        if error.verify_code in _DATES:
            return None, ""
        return Flaw.NAME if error.verify_code in _ANOTHER_NAME else Flaw.UNFIT, error.verify_message
    except (OSError, ValueError) as error:
        return Flaw.SILENT, _why(error)
    return None, ""


def _flaw(code: int) -> Flaw:
    if code in _ANOTHER_NAME:
        return Flaw.NAME
    return Flaw.ISSUER if code in _NOBODY_WE_BELIEVE else Flaw.CHAIN


def _why(error: Exception) -> str:
    return f"no answer within {HANDSHAKE_SECONDS:g} s" if isinstance(error, TimeoutError) else why(error)
