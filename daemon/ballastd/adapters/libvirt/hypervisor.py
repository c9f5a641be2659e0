"""All declared hosts' libvirt, behind ``ports.Hypervisor``.

Per host one read-only connection watches (inventories, events), one measures what VMs use, and one steers (progress,
bandwidth, aborts, examinations of a target, autostart), one looks for storage, one speaks to guests' agents where that is
asked for; each running migration has one of its own. Each has its lane
and one call in flight at most, so a host that hangs holds up nobody but itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping
from typing import Any, TypeVar

import structlog

from ballastd.adapters.libvirt import agent, examination, inventory, migration, shutting_down, usage
from ballastd.adapters.libvirt.access import HostAccess
from ballastd.adapters.libvirt.binding import load_libvirt
from ballastd.adapters.libvirt.connections import LibvirtOptions, Shared
from ballastd.adapters.libvirt.events import HintBox
from ballastd.adapters.libvirt.identity import Registry
from ballastd.adapters.libvirt.links import Graveyard
from ballastd.core.inventory import HostInventory, Progress, VmUsage
from ballastd.core.plans import Examination, Order, Refusal, RefusalKind
from ballastd.core.policies import ClusterDeclaration
from ballastd.core.quantities import HostName, Seconds, VmId
from ballastd.core.shutdown_books import CALL_SECONDS
from ballastd.errors import InvariantBroken, MigrationRefused, OutcomeUnknown, ShutdownRefused, Unreachable
from ballastd.ports.hosts import HostHint
from ballastd.ports.running import Blocking, Clock

T = TypeVar("T")

log = structlog.get_logger(__name__)

CALL_BEYOND_DEADLINE_SECONDS = 120.0
"""How much longer than its order a migrate call may take: a job hangs up to two minutes on a dead peer."""
POST_COPY_PATIENCE = 3.0
"""So many times its order's deadline a call may take whose VM may go before its memory: nothing is called off after that."""
CLOSE_SECONDS = 0.5


class LibvirtHypervisor:
    """The hypervisors of all declared hosts. Made inside the running loop that will use it.

    Raises:
        ConfigurationError: libvirt's Python binding is not installed.
    """

    def __init__(self, cluster: ClusterDeclaration, blocking: Blocking, clock: Clock,
                 options: LibvirtOptions | None = None) -> None:
        load_libvirt()
        self._clock = clock
        self._options = options or LibvirtOptions()
        self._graveyard = Graveyard(blocking)
        self._hints = HintBox()
        self._registry = Registry()
        shared = Shared(blocking, self._graveyard, self._options)
        self._hosts = {host.name: HostAccess(host, shared, self._registry, self._hints.put)
                       for host in cluster.hosts}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False

    async def start(self) -> None:
        """Begin connecting to every host, and go on for ever."""
        for access in self._hosts.values():
            self._spawn(access.keep_connected())

    def hints(self) -> AsyncIterator[HostHint]:
        """Yield hints as they come; for one reader."""
        return self._hints.taken()

    async def inventory(self, host: HostName, *, load: bool = True) -> HostInventory:
        """Return what the host has."""
        begun, access = self._clock.now(), self._access(host)
        vouched, parsed = access.host.vouched_storage, access.parsed
        look, (identity, pages_free) = await access.watch(
            lambda conn: (inventory.look(conn, access.asking, vouched, parsed), access.describe(conn)))
        access.parsed = look.parsed
        taken = self._clock.now()  # of the processor times, which are compared from look to look
        used = await self._measured(access, look.usage) if load else look.usage
        return HostInventory(
            host, begun, taken, look.memory_total, look.memory_free, look.cpus, look.vms,
            complete=look.complete, host_uuid="" if identity is None else identity.uuid, usage=used,
            hardware=None if identity is None else identity.hardware, pages_free=pages_free,
            misfits=access.misfits_of(identity))

    async def examine(self, order: Order) -> Examination:
        """Return what speaks against ``order``: first what holds the guest, then what the target lacks."""
        move = order.move
        source, target = self._access(move.source), self._access(move.target)
        here = await source.watch(lambda conn: examination.at_source(
            conn, source.asking, move, source.host.vouched_storage))
        if (facts := here.facts) is None:
            return Examination(here.refusals)
        ends = self._registry.identity(move.source), self._registry.identity(move.target)
        # comparing processors is refused on a read-only connection, though it changes nothing
        there = await target.steer(lambda conn: examination.at_target(conn, move, facts, *ends))
        sights = await target.look_for(facts.sources)
        if ends[1] is not None:
            lacks = [no.detail for no in there if no.detail == examination.PROCESSOR_LACKS]
            target.judge(facts.needs.likeness, lacks[0] if lacks else "", ends[1].digest)
        gone = (Refusal(RefusalKind.STORAGE, words, move.vm, move.target) for words in sights.gone)
        return Examination((*here.refusals, *there, *gone), examination.unseen(move.target, sights))

    async def migrate(self, order: Order) -> Seconds | None:
        """Migrate. When the caller leaves, the job goes on, and what belongs to it is still done."""
        task = self._spawn(self._carry_out(order))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if self._closed and task.cancelled():
                raise OutcomeUnknown("the connection was let go; the job goes on") from None
            raise

    async def definition(self, host: HostName, vm: VmId) -> str:
        """Return what a VM is defined as."""
        return await self._access(host).steer(lambda conn: migration.definition(conn, vm))

    async def progress(self, host: HostName, vm: VmId) -> Progress | None:
        """Return where the outgoing job is."""
        access = self._access(host)
        return await access.steer(lambda conn: migration.progress(conn, access.asking, vm))

    async def set_bandwidth(self, host: HostName, vm: VmId, bandwidth_mib_s: int) -> None:
        """Give the outgoing job another bandwidth."""
        access = self._access(host)
        await access.steer(lambda conn: migration.set_bandwidth(conn, access.asking, vm, bandwidth_mib_s))

    async def set_downtime(self, host: HostName, vm: VmId, downtime_ms: int) -> None:
        """Let the VM of the outgoing job stand still at its end for so long."""
        access = self._access(host)
        await access.steer(lambda conn: migration.set_downtime(conn, access.asking, vm, downtime_ms))

    async def start_post_copy(self, host: HostName, vm: VmId) -> None:
        """Have the VM of the outgoing job run at its target now."""
        access = self._access(host)
        no = await access.steer(lambda conn: migration.start_post_copy(conn, access.asking, vm))
        if no is not None:
            raise no

    async def ping_agent(self, host: HostName, vm: VmId) -> str:
        """Return why the agent of a VM does not answer, empty where it does. Whoever stops waiting leaves the call to its
        own end: left in the middle, it would take the connection with it.

        Raises:
            Unreachable: nobody knows whether it does.
        """
        speaking = self._access(host).speak(lambda conn: agent.ping(conn, vm), deadline=agent.DEADLINE_SECONDS)
        return await asyncio.shield(self._spawn(speaking))

    async def shut_down(self, host: HostName, vm: VmId) -> None:
        """Ask a guest to shut down, on a connection that nothing else waits for."""
        try:
            with self._access(host).job_connection() as connection:
                await connection.ensure()
                no = await connection.call(lambda conn: shutting_down.ask(conn, vm), deadline=CALL_SECONDS)
        except MigrationRefused as error:
            raise ShutdownRefused(str(error)) from error
        if no is not None:
            raise no

    async def set_autostart(self, host: HostName, vm: VmId, *, on: bool) -> None:
        """Have a host start a VM with itself, or not."""
        await self._access(host).steer(lambda conn: migration.set_autostart(conn, vm, on=on))

    async def abort(self, host: HostName, vm: VmId) -> None:
        """Ask for the outgoing job to be cancelled."""
        access = self._access(host)
        await access.steer(lambda conn: migration.abort(conn, access.asking, vm))

    async def close(self) -> None:
        """Let go of every connection; wait for none longer than ``CLOSE_SECONDS``."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for access in self._hosts.values():
            access.let_go()
        await self._graveyard.rest(CLOSE_SECONDS)

    def counters(self) -> dict[str, float]:
        """Return how many connections are not closed yet because a call hangs in them."""
        return {"libvirt_connections_abandoned": float(len(self._graveyard))}

    async def _measured(self, access: HostAccess, looked_up: Mapping[VmId, VmUsage]) -> Mapping[VmId, VmUsage]:
        """Return all that active VMs use; only what the look found where the rest cannot be had in time."""
        if not looked_up:
            return looked_up
        before = access.measured
        try:
            measured = await access.measure(lambda conn: usage.measure(conn, access.asking, before))
        except Unreachable as error:
            log.debug("usage not measured", host=access.host.name, reason=str(error))
            return looked_up
        access.measured = measured
        return usage.with_measured(looked_up, measured)

    def _access(self, host: HostName) -> HostAccess:
        access = self._hosts.get(host)
        if access is None:
            raise InvariantBroken(f"{host} is not a declared host")
        return access

    async def _carry_out(self, order: Order) -> Seconds | None:
        move = order.move
        source, target = self._access(move.source), self._access(move.target)
        journey = migration.Journey(
            move.vm, target.host.peer_uri or target.host.uri, target.host.migration_uri,
            order.bandwidth_mib_s, self._options.unsafe, order.downtime_ms, order.auto_converge,
            order.post_copy)
        limit = order.deadline * (POST_COPY_PATIENCE if order.post_copy else 1.0) + CALL_BEYOND_DEADLINE_SECONDS
        with source.job_connection() as connection:
            await connection.ensure()
            try:
                no = await connection.call(lambda conn: migration.travel(conn, journey), deadline=limit)
            except Unreachable as error:
                raise OutcomeUnknown(f"{error}; the job may still run") from error
        if no is not None:
            raise no
        return await self._downtime(target, move.vm)

    async def _downtime(self, target: HostAccess, vm: VmId) -> Seconds | None:
        """Return how long a VM stood still that has just arrived, as its target knows it; None where that cannot be had."""
        try:
            return await target.steer(lambda conn: migration.downtime(conn, vm))
        except Unreachable as error:
            log.debug("standstill not measured", vm=vm, host=target.host.name, reason=str(error))
            return None

    def _spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
