"""Opening a connection within a time limit, although libvirt's own ``open`` has none."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ballastd.adapters.libvirt.binding import load_libvirt
from ballastd.adapters.libvirt.errors_map import NO_SUPPORT
from ballastd.adapters.libvirt.links import Graveyard, Link, guarded, trouble_of
from ballastd.errors import Unreachable

PORTS = {"tcp": 16509, "tls": 16514}


@dataclass(frozen=True, slots=True)
class Address:
    """Where a URI's libvirtd listens, for URIs that say so."""

    host: str
    port: int


def probe_address(uri: str) -> Address | None:
    """Return where a TCP probe can ask first, or None for URIs without one (ssh, unix sockets).

    Raises:
        ValueError: the port is not a port.
    """
    parts = urlsplit(uri)
    _, _, transport = parts.scheme.partition("+")
    port = PORTS.get(transport or "tls")
    if not parts.hostname or port is None:
        return None
    return Address(parts.hostname, parts.port or port)


class Opening:
    """One attempt to open ``uri``. Runs in a lane of its own, and may be given up from outside at any time:
    a connection that comes too late is closed where it came up, and ``late`` is called, in that thread."""

    def __init__(self, uri: str, lane: str, *, read_only: bool, keepalive: tuple[int, int],
                 probe_seconds: float, furnish: Callable[[Any], tuple[int, ...]],
                 closed: Callable[[Link, int], None], late: Callable[[], None]) -> None:
        self._uri = uri
        self._lane = lane
        self._read_only = read_only
        self._keepalive = keepalive
        self._probe_seconds = probe_seconds
        self._furnish = furnish
        self._closed = closed
        self._late = late
        self._lock = threading.Lock()
        self._under_way = False
        self._unwanted = False
        self._link: Link | None = None

    def attempt(self) -> None:
        """Probe, open, set keepalive, furnish. Blocks without a limit.

        Raises:
            Unreachable: nobody listens there.
            CallFailed: libvirt said so.
        """
        with self._lock:
            if self._unwanted:
                return
            self._under_way = True
        link: Link | None = None
        try:
            self._probe()
            link = guarded(self._open)
        finally:
            self._return(link)

    def _return(self, link: Link | None) -> None:
        with self._lock:
            self._under_way = False
            if not self._unwanted:
                self._link = link
                return
        if link is not None:
            link.close()
        self._late()

    def take(self) -> Link:
        """Return the link that a successful attempt left."""
        if self._link is None:
            raise Unreachable("the attempt left no connection")
        return self._link

    def give_up(self, graveyard: Graveyard) -> bool:
        """Let whatever comes of the attempt be closed; return whether it is still under way."""
        with self._lock:
            self._unwanted = True
            under_way = self._under_way
        if self._link is not None:
            graveyard.bury(self._link)
        return under_way

    def _probe(self) -> None:
        address = probe_address(self._uri)
        if address is None:
            return
        try:
            socket.create_connection((address.host, address.port), timeout=self._probe_seconds).close()
        except OSError as error:
            raise Unreachable(f"{address.host} port {address.port}: {error}") from error

    def _open(self) -> Link:
        libvirt = load_libvirt()
        conn = libvirt.openReadOnly(self._uri) if self._read_only else libvirt.open(self._uri)
        link = Link(conn, self._lane)
        try:
            self._keep_alive(conn)
            link.furnish(self._furnish, self._closed)
        except BaseException:
            link.close()  # here and now: this thread is disposable
            raise
        return link

    def _keep_alive(self, conn: Any) -> None:
        libvirt = load_libvirt()
        try:
            conn.setKeepAlive(*self._keepalive)
        except libvirt.libvirtError as error:
            if trouble_of(error).code != NO_SUPPORT:  # a driver inside our own process has nobody to keep alive
                raise
