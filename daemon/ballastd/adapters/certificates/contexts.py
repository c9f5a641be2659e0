"""How a server is asked: whom we believe, who we are to it, and what of the certificate that it shows matters."""

from __future__ import annotations

import contextlib
import enum
import ssl
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path

from ballastd.adapters.certificates.files import Unread, certificates_in
from ballastd.adapters.tls import client_context, why


class Verification(enum.Enum):
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
    verification: Verification = Verification.WHOLE
    is_root_needed: bool = True
    is_common_name_good: bool = True


class Contexts:
    """TLS contexts, each made once, by whichever thread comes first: a list of all authorities takes a while to read, and
    hundreds of servers may have it in common. Only who needs that very one waits for it. ``unread``: files that are not to
    be touched, with the reason."""

    def __init__(self, unread: Mapping[Path, str]) -> None:
        self._unread = unread
        self._lock = threading.Lock()
        self._made: dict[Server, Future[ssl.SSLContext]] = {}

    def of(self, server: Server) -> ssl.SSLContext:
        """Return the context for a server.

        Raises:
            Unread: the file of whom we believe is of no use; that is found out once as well.
        """
        alike, own = replace(server, host="", port=0, name=""), Future[ssl.SSLContext]()
        with self._lock:
            made = self._made.setdefault(alike, own)
        if made is own:
            try:
                made.set_result(self._believing(alike) if alike.verification is Verification.WHOLE else self._anybody(alike))
            except Exception as error:  # noqa: BLE001  whatever it is, those that wait have to hear of it
                made.set_exception(error)
        return made.result()

    def believing_only(self, server: Server, der: bytes) -> ssl.SSLContext:
        """Return a context to which this one certificate is what is believed."""
        context = self._furnished(_blank(), server)
        context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
        context.load_verify_locations(cadata=der)
        return context

    def _believing(self, server: Server) -> ssl.SSLContext:
        if server.ca_file is not None:
            if server.ca_file in self._unread:
                raise Unread(self._unread[server.ca_file])
            certificates_in(server.ca_file)
        try:
            context = client_context(server.ca_file)
        except OSError as error:
            raise Unread(f"{server.ca_file}: {why(error)}") from error
        if not server.is_root_needed:
            context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
        return self._furnished(context, server)

    def _anybody(self, server: Server) -> ssl.SSLContext:
        context = self._furnished(_blank(), server)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context

    def _furnished(self, context: ssl.SSLContext, server: Server) -> ssl.SSLContext:
        context.hostname_checks_common_name = server.is_common_name_good
        if server.cert_file is not None and not {server.cert_file, server.key_file} & set(self._unread):
            # what is wrong with it is told of our own certificate; the server may show its own all the same
            with contextlib.suppress(OSError, ValueError):
                context.load_cert_chain(server.cert_file, server.key_file, no_password)
        return context


def _blank() -> ssl.SSLContext:
    """Return a context that believes nobody yet."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def no_password() -> str:
    """Nobody is asked for one: an empty one opens no key."""
    return ""
