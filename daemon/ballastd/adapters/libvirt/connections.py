"""One host's connection for one purpose: one lane, one call in flight, opened again with back-off."""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from ballastd.adapters.libvirt.links import CallFailed, Graveyard, Link
from ballastd.adapters.libvirt.opening import Opening
from ballastd.core.quantities import HostName
from ballastd.errors import Unreachable
from ballastd.ports.running import Blocking

T = TypeVar("T")

HUNG_PAUSE_MAX_SECONDS = 3600.0
_CLOSE_REASONS = {0: "closed after an error", 1: "the host closed the connection",
                  2: "the host fell silent", 3: "closed by us"}


@dataclass(frozen=True, slots=True)
class LibvirtOptions:
    """Time limits (seconds) and bounds of the adapter.

    ``keepalive_interval`` × (``keepalive_count`` + 1) is how long we go on believing in a silent host; it is
    between us and the hosts, theirs among one another is their own. ``unsafe``: migrate although libvirt
    finds the disks' caches unsafe; for laboratories whose hosts share one file system. ``usage_deadline_s``:
    how long a look waits for what VMs use; a guest whose emulator hangs costs it that once.
    """

    keepalive_interval: int = 5
    keepalive_count: int = 5
    call_deadline_s: float = 10.0
    open_deadline_s: float = 10.0
    usage_deadline_s: float = 2.0
    probe_deadline_s: float = 3.0
    reconnect_min_s: float = 0.5
    reconnect_max_s: float = 30.0
    unsafe: bool = False
    job_connections_max: int = 8


@dataclass(frozen=True, slots=True)
class Shared:
    """What all connections of one adapter use."""

    blocking: Blocking
    graveyard: Graveyard
    options: LibvirtOptions


class Connection:
    """A connection to ``host``. ``furnish`` runs on every new one, in the opening thread, and returns its
    event subscriptions; ``opened`` and ``lost`` (with the reason) run on the loop."""

    def __init__(self, shared: Shared, host: HostName, uri: str, lane: str, *, read_only: bool = False,
                 furnish: Callable[[Any], tuple[int, ...]] = lambda _: (),
                 opened: Callable[[], None] = lambda: None, lost: Callable[[str], None] = lambda _: None) -> None:
        self._shared = shared
        self._host = host
        self._uri = uri
        self._lane = lane
        self._read_only = read_only
        self._furnish = furnish
        self._opened = opened
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._link: Link | None = None
        self._turn = asyncio.Lock()
        self._gone = asyncio.Event()
        self._hurry = asyncio.Event()
        self._hung_attempts = 0
        self._failures = 0
        self._opened_at = 0.0
        self._not_before = 0.0
        self._why = "not connected yet"
        self._is_closed = False

    async def ensure(self) -> None:
        """Be connected, or say why not.

        Raises:
            Unreachable: it cannot be opened, or was found so a moment ago.
        """
        until = self._loop.time() + self._shared.options.open_deadline_s
        async with self._my_turn(until):
            await self._linked(until)

    async def wait_until_gone(self) -> None:
        """Return once the connection that stands now is lost."""
        if self._link is not None:
            await self._gone.wait()

    async def wait_for_next_attempt(self) -> None:
        """Return once back-off lets this connection be opened again."""
        while (pause := self._not_before - self._loop.time()) > 0:
            self._hurry.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._hurry.wait()

    async def call(self, work: Callable[[Any], T], *, deadline: float | None = None) -> T:
        """Run ``work`` on the connection, in its lane; ``work`` returns plain values only.

        ``deadline``: seconds for everything: our turn, opening where there is no connection, and the call.

        Raises:
            Unreachable: no connection, no answer in time, or an error that ``work`` did not expect.
        """
        limit = self._shared.options.call_deadline_s if deadline is None else deadline
        until = self._loop.time() + limit
        async with self._my_turn(until):
            link = await self._linked(until)
            try:
                return await self._shared.blocking.run(
                    self._lane, lambda: link.perform(work), deadline=until - self._loop.time())
            except CallFailed as error:
                if error.trouble.lost_connection:
                    self._drop(link, str(error.trouble))
                raise Unreachable(f"{self._host}: {error.trouble}") from error
            except Unreachable as error:
                self._drop(link, str(error))
                raise Unreachable(f"{self._host}: {error}") from error
            except asyncio.CancelledError:
                self._drop(link, "a call was left")  # it may still be in flight: no other may join it
                raise

    def _closed(self, link: Link, reason: int) -> None:
        """Take in, in libvirt's thread, that a connection ended by itself."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: the process is about to end
            self._loop.call_soon_threadsafe(self._drop, link, _CLOSE_REASONS.get(reason, "closed"))

    def let_go(self) -> None:
        """Give the connection up without waiting for anything."""
        self._is_closed = True
        link, self._link = self._link, None
        if link is not None:
            self._shared.graveyard.bury(link)

    @contextlib.asynccontextmanager
    async def _my_turn(self, until: float) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout_at(until):
                await self._turn.acquire()
        except TimeoutError as error:
            raise Unreachable(f"{self._host}: calls before this one take too long") from error
        try:
            yield
        finally:
            self._turn.release()

    async def _linked(self, until: float) -> Link:
        if self._link is not None:
            return self._link
        self._refuse_when_closed()
        if self._loop.time() < self._not_before:
            raise Unreachable(f"{self._host}: {self._why}")
        link = await self._open(until)
        try:
            self._refuse_when_closed()
        except Unreachable:
            self._shared.graveyard.bury(link)
            raise
        self._link = link
        self._opened_at = self._loop.time()
        self._gone.clear()
        self._opened()
        return self._link

    def _refuse_when_closed(self) -> None:
        if self._is_closed:
            raise Unreachable(f"{self._host}: the connection was let go")

    async def _open(self, until: float) -> Link:
        options = self._shared.options
        opening = Opening(
            self._uri, self._lane, read_only=self._read_only, furnish=self._furnish, closed=self._closed,
            late=self._late, keepalive=(options.keepalive_interval, options.keepalive_count),
            probe_seconds=min(options.probe_deadline_s, options.open_deadline_s))
        limit = min(options.open_deadline_s, until - self._loop.time())
        try:
            await self._shared.blocking.run(f"{self._lane}:open", opening.attempt, deadline=limit)
            return opening.take()
        except (CallFailed, Unreachable, ValueError) as error:
            self._hung_attempts += opening.give_up(self._shared.graveyard)
            self._back_off(str(error))
            raise Unreachable(f"{self._host}: {error}") from error
        except asyncio.CancelledError:
            self._hung_attempts += opening.give_up(self._shared.graveyard)
            raise

    def _drop(self, link: Link, reason: str) -> None:
        if self._link is not link:
            return
        self._link = None
        self._shared.graveyard.bury(link)
        if self._loop.time() - self._opened_at > self._shared.options.reconnect_max_s:
            self._failures = 0
        self._back_off(reason)
        self._gone.set()
        self._lost(reason)

    def _late(self) -> None:
        """Take in, in its thread, that an attempt given up long ago came to an end: the host stirs."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: the process is about to end
            self._loop.call_soon_threadsafe(self._stir)

    def _stir(self) -> None:
        self._hung_attempts -= 1
        self._not_before = self._loop.time()
        self._hurry.set()

    def _back_off(self, reason: str) -> None:
        self._failures += 1
        self._not_before = self._loop.time() + self._pause()
        self._why = reason

    def _pause(self) -> float:
        """Return how long to wait: doubling up to a bound. Attempts that hang have no end of their own and
        hold a thread each, so each of them doubles it further; the first that ends lets us hurry."""
        options = self._shared.options
        pause = min(options.reconnect_max_s, options.reconnect_min_s * 2.0 ** min(self._failures - 1, 16))
        if self._hung_attempts:
            pause = min(HUNG_PAUSE_MAX_SECONDS, options.reconnect_max_s * 2.0 ** min(self._hung_attempts - 1, 16))
        return pause * (0.75 + zlib.crc32(self._host.encode()) % 512 / 1024)  # hosts lost together return apart
