"""Our ways into one host: a connection that watches, one that measures, one that steers, one that looks for storage, one
that speaks to guests' agents, and one for each job."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import structlog

from ballastd.adapters.libvirt.asking import Asking
from ballastd.adapters.libvirt.connections import Connection, Shared
from ballastd.adapters.libvirt.events import subscribe
from ballastd.adapters.libvirt.hardware import free_pages, is_outgrown
from ballastd.adapters.libvirt.identity import HostIdentity, Registry, read_identity
from ballastd.adapters.libvirt.inventory import Parsed
from ballastd.adapters.libvirt.storage import Sights, Source, look_for
from ballastd.adapters.libvirt.usage import Measured
from ballastd.core.hardware import FreePages
from ballastd.core.inventory import DeclaredHost
from ballastd.errors import MigrationRefused, Unreachable
from ballastd.ports.hosts import HostChange, HostHint

T = TypeVar("T")

ABANDONED_MAX = 16
"""A quarter of the threads that calls may hang in: what VMs use must not take those that move them."""

DESCRIBED_ANEW_SECONDS = 600.0
"""A machine's huge pages and emulators may change without a word."""
MISFITS_MAX = 256
STORAGE_SECONDS = 5.0
"""Storage that hangs takes whoever looks at it along."""

log = structlog.get_logger(__name__)


class HostAccess:
    """One declared host. ``parsed``: the definitions of its VMs as last read; ``measured``: what they used then;
    ``asking``: what its guests' emulators have not answered yet; ``misfits``: why guests cannot come, by their likeness."""

    def __init__(self, host: DeclaredHost, shared: Shared, registry: Registry,
                 put: Callable[[HostHint], None]) -> None:
        self.host = host
        self.parsed: Parsed = {}
        self.measured: Measured | None = None
        self.asking = Asking()
        self.misfits: dict[str, str] = {}
        self._judged_as = ""
        self._described = 0.0
        self._shared = shared
        self._registry = registry
        self._put = put
        self._trouble = ""
        self._job_slots: set[int] = set()
        lane = f"libvirt:{host.name}"
        self._watching = Connection(shared, host.name, host.uri, f"{lane}:watch", read_only=True,
                                    furnish=self._furnish, opened=self._connected, lost=self._disconnected)
        self._measuring = Connection(shared, host.name, host.uri, f"{lane}:measure", read_only=True)
        self._steering = Connection(shared, host.name, host.uri, f"{lane}:steer")
        self._speaking = Connection(shared, host.name, host.uri, f"{lane}:agents")
        self._browsing = Connection(shared, host.name, host.uri, f"{lane}:storage", read_only=True)

    async def keep_connected(self) -> None:
        """Keep the watching connection open, for ever: an event is only heard while it stands."""
        while True:
            try:
                await self._watching.ensure()
            except Unreachable as error:
                self._note(str(error))
                await asyncio.sleep(self._shared.options.reconnect_min_s)
            await self._watching.wait_until_gone()
            await self._watching.wait_for_next_attempt()

    async def watch(self, work: Callable[[Any], T]) -> T:
        """Run ``work`` on the read-only connection.

        Raises:
            Unreachable: no answer in time.
        """
        return await self._watching.call(work)

    async def measure(self, work: Callable[[Any], T]) -> T:
        """Run ``work`` on the read-only connection that a guest's emulator may keep from us.

        Raises:
            Unreachable: no answer within the little time there is for it, or it was not asked because too many calls
                hang already, on whatever host.
        """
        hanging = self._shared.blocking.abandoned()
        if hanging >= ABANDONED_MAX:
            raise Unreachable(f"{self.host.name}: {hanging} calls hang, and this one can wait")
        return await self._measuring.call(work, deadline=self._shared.options.usage_deadline_s)

    async def steer(self, work: Callable[[Any], T]) -> T:
        """Run ``work`` on the connection that may change things.

        Raises:
            Unreachable: no answer in time.
        """
        return await self._steering.call(work)

    async def speak(self, work: Callable[[Any], T], *, deadline: float) -> T:
        """Run ``work``, which waits for a guest's agent, on a connection that nothing else needs.

        Raises:
            Unreachable: no answer in time, or it was not asked because too many calls hang already, on whatever host.
        """
        hanging = self._shared.blocking.abandoned()
        if hanging >= ABANDONED_MAX:
            raise Unreachable(f"{self.host.name}: {hanging} calls hang, and this one can wait")
        return await self._speaking.call(work, deadline=deadline)

    async def look_for(self, sources: Iterable[Source]) -> Sights:
        """Return which of ``sources`` the host does not see. Of what it does not answer for in time, on a connection that
        nothing else needs, nothing is known."""
        wanted = tuple(sources)
        if not wanted or self._shared.blocking.abandoned() >= ABANDONED_MAX:
            return Sights(unknown=wanted)
        try:
            return await self._browsing.call(lambda conn: look_for(conn, wanted), deadline=STORAGE_SECONDS)
        except Unreachable as error:
            log.debug("storage not looked at", host=self.host.name, reason=str(error))
            return Sights(unknown=wanted)

    @contextlib.contextmanager
    def job_connection(self) -> Iterator[Connection]:
        """Yield a connection of its own for one call that takes long: a migration, or the shutdown of a guest.

        Raises:
            MigrationRefused: there are as many as there may be.
        """
        free = set(range(self._shared.options.job_connections_max)) - self._job_slots
        if not free:
            raise MigrationRefused(f"{self.host.name}: {len(self._job_slots)} calls that take long are under way already")
        slot = min(free)
        self._job_slots.add(slot)
        lane = f"libvirt:{self.host.name}:job-{slot}"
        connection = Connection(self._shared, self.host.name, self.host.uri, lane)
        try:
            yield connection
        finally:
            connection.let_go()
            self._job_slots.discard(slot)

    def let_go(self) -> None:
        """Give up the standing connections without waiting."""
        self._watching.let_go()
        self._measuring.let_go()
        self._steering.let_go()
        self._speaking.let_go()
        self._browsing.let_go()

    def describe(self, conn: Any) -> tuple[HostIdentity | None, FreePages | None]:
        """Return who the host is, read anew where that is old or its huge pages have become more, and which of these are
        free. Blocks; runs in the watching connection's lane."""
        known = self._registry.identity(self.host.name)
        if time.monotonic() - self._described > DESCRIBED_ANEW_SECONDS:
            known = self._read(conn)
        free = free_pages(conn, known.hardware if known is not None else None)
        if known is not None and known.hardware is not None and is_outgrown(known.hardware, free):
            known = self._read(conn)
            free = free_pages(conn, known.hardware)
        return known, free

    def _read(self, conn: Any) -> HostIdentity:
        identity = read_identity(conn)
        self._registry.claim(self.host.name, identity)
        self._described = time.monotonic()
        return identity

    def judge(self, likeness: str, why: str, judged_as: str) -> None:
        """Note that guests of a likeness cannot come, or with no reason that they can, for as long as the host is what it
        was when it said so, and stays connected."""
        if judged_as != self._judged_as:
            self.misfits, self._judged_as = {}, judged_as
        known = {one: words for one, words in self.misfits.items() if one != likeness}
        if why and likeness:
            known[likeness] = why
        # replaced and not changed: inventories hold on to it
        self.misfits = dict(list(known.items())[-MISFITS_MAX:])

    def misfits_of(self, identity: HostIdentity | None) -> dict[str, str]:
        """Return what was noted, if the host is still what it was then."""
        return self.misfits if identity is not None and identity.digest == self._judged_as else {}

    def _furnish(self, conn: Any) -> tuple[int, ...]:
        """Make a new watching connection ours, in its opening thread: first who it is, then its events."""
        self._read(conn)
        return subscribe(conn, self.host.name, self._put)

    def _note(self, trouble: str) -> None:
        """Log why the host cannot be reached, once per reason and not once per attempt."""
        if trouble != self._trouble:
            log.warning("host not reached", host=self.host.name, reason=trouble)
            self._trouble = trouble

    def _connected(self) -> None:
        log.info("host connected", host=self.host.name)
        self.misfits = {}  # a host that was away may run another kernel, of which its capabilities say nothing
        self._trouble = ""
        self._put(HostHint(self.host.name, HostChange.CONNECTED))

    def _disconnected(self, reason: str) -> None:
        log.warning("host lost", host=self.host.name, reason=reason)
        self._put(HostHint(self.host.name, HostChange.DISCONNECTED, detail=reason))
