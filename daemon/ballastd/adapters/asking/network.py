"""A VM asked over its network: a port that takes connections, or a web page that is there.

An address is asked and never a name. Nothing is sent but a request without credentials, no redirect is followed, no proxy is
used, and of the answer no more than its first line is read: a client that understood more would have more to be led astray
with. Certificates are not verified: nothing secret is sent, and no answer is believed beyond that there is one.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
from collections.abc import AsyncIterator

from ballastd.core.arrival_checks import AllowedChecks, Check, CheckKind
from ballastd.errors import CheckRefused
from ballastd.ports.hosts import ProbeAnswer

ATTEMPT_SECONDS = 3.0
SHOWN_MAX = 120
LINE_MAX = 1024
"""So long the first line of an answer may be, bytes; up to twice as many wait in our memory."""
GOOD = range(200, 400)
_ITS_END = (ConnectionError, ssl.SSLError, asyncio.IncompleteReadError)
STATUS = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})(?: [^\r\n]*)?\r?\n")


class NetworkProbe:
    """Asks what ``allowed`` names, and looks itself whether it does: what is asked for comes from far away."""

    def __init__(self, allowed: AllowedChecks) -> None:
        self._allowed = allowed
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._tls.check_hostname = False
        self._tls.verify_mode = ssl.CERT_NONE
        # a guest shall not choose how long our loop computes: a modulus of its own with 8192 bits took half a second
        self._tls.set_ciphers("ECDHE")
        self._tls.set_ecdh_curve("prime256v1")

    async def ask(self, check: Check) -> ProbeAnswer:
        """Ask once; see ``ports.ArrivalProbe``."""
        if no := self._allowed.why_not(check):
            raise CheckRefused(no)
        try:
            if is_own(check) and not self._allowed.names(check.address):
                raise CheckRefused(f"{check.address} is this machine's own, which the settings would have to name by itself")
            async with asyncio.timeout(ATTEMPT_SECONDS):
                return await (self._port(check) if check.kind is CheckKind.TCP else self._page(check))
        except TimeoutError:
            return ProbeAnswer(answered=False, detail=f"no answer within {ATTEMPT_SECONDS:g} s")
        except (OSError, asyncio.IncompleteReadError) as error:
            return _failed(error)

    async def _port(self, check: Check) -> ProbeAnswer:
        async with _connected(check, None):
            return ProbeAnswer(answered=True, detail=f"port {check.port} takes connections")

    async def _page(self, check: Check) -> ProbeAnswer:
        async with _connected(check, self._tls if check.kind is CheckKind.HTTPS else None) as (reader, writer):
            host = check.words().removeprefix(f"{check.kind.value}://").removesuffix(check.path)
            writer.write(f"GET {check.path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: ballastd\r\nAccept: */*\r\n"
                         "Connection: close\r\n\r\n".encode("ascii"))
            try:
                line = await reader.readuntil(b"\n")
            except asyncio.LimitOverrunError:
                line = b""
        found = STATUS.fullmatch(line)
        if found is None:
            return ProbeAnswer(answered=False, detail="what answers does not speak HTTP")
        return ProbeAnswer(int(found[1]) in GOOD, f"HTTP status {int(found[1])}")


@contextlib.asynccontextmanager
async def _connected(check: Check, tls: ssl.SSLContext | None
                     ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Yield a connection, and drop it without another word: whoever is at its other end may never say goodbye."""
    reader, writer = await asyncio.open_connection(check.address, check.port, ssl=tls, limit=LINE_MAX)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


def _failed(error: OSError | asyncio.IncompleteReadError) -> ProbeAnswer:
    """Return what a failed attempt says of a guest: nothing, where it is not its end that failed but ours.

    Nor where its host cannot be reached (EHOSTUNREACH): our own route, a firewall and the last router before it all say
    that in the same words. Linux says it of a neighbour that is not there after 3 s, when an attempt has run out of time.
    """
    return ProbeAnswer(False if isinstance(error, _ITS_END) else None, shown(f"{type(error).__name__}: {error}"))


def is_own(check: Check) -> bool:
    """Return whether an address is one of this machine: the way to it begins at itself. Sends nothing.

    Raises:
        OSError: nobody knows; there is no socket to see it by.
    """
    family = socket.AF_INET6 if ":" in check.address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((check.address, check.port))
        except OSError:
            return False
        return str(probe.getsockname()[0]) == check.address


def shown(text: str) -> str:
    """Return what somebody else said, fit for a line of a log."""
    return "".join(c if c.isprintable() else "?" for c in text[:SHOWN_MAX])
