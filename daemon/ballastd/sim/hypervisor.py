"""Hypervisors of a pretend cluster, behind ``ports.Hypervisor``: what libvirt did in the lab, on a table.

Time comes from the running event loop only. Beside the port's methods stand the hands of strangers and of
fate: others start, stop and move VMs; networks, daemons and power fail and come back.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Coroutine, Iterable
from typing import Any

from ballastd.core.inventory import HostInventory, Progress, VmRecord, VmUsage
from ballastd.core.plans import Order, Refusal, RefusalKind
from ballastd.core.quantities import Bytes, HostName, VmId
from ballastd.errors import (
    InvariantBroken,
    MigrationAborted,
    MigrationRefused,
    OutcomeUnknown,
    Unreachable,
    VmVanished,
)
from ballastd.ports import Clock, HostChange, HostHint
from ballastd.sim.jobs import Fate, SimulatedHost, SimulatedJob

ANSWER_SECONDS = 0.005
NO_ROUTE_SECONDS = 3.1
CALLER_BLIND_SECONDS = 4.0
PEER_GIVEN_UP_SECONDS = 28.0
HINTS_MAX = 4096


class SimulatedHypervisor:
    """All hosts of a pretend cluster. ``fates``: how the next migration of a VM turns out, taken once.
    ``dirty_mib_s``: how fast a VM dirties its memory."""

    def __init__(self, hosts: Iterable[SimulatedHost], clock: Clock, *, call_deadline: float = 10.0) -> None:
        self.hosts = {host.name: host for host in hosts}
        self.fates: dict[VmId, Fate] = {}
        self.dirty_mib_s: dict[VmId, float] = {}
        self._burning: dict[VmId, tuple[float, float, float]] = {}
        self._clock = clock
        self._deadline = call_deadline
        self._jobs: dict[VmId, SimulatedJob] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._hints: dict[HostHint, None] = {}
        self._hinted = asyncio.Event()

    async def start(self) -> None:
        """Say of every host that answers that it is connected."""
        for host in self.hosts.values():
            if host.answers:
                self._hint(HostHint(host.name, HostChange.CONNECTED))

    async def hints(self) -> AsyncIterator[HostHint]:
        """Yield hints, each once until taken."""
        while True:
            await self._hinted.wait()
            while self._hints:
                hint = next(iter(self._hints))
                del self._hints[hint]
                yield hint
            self._hinted.clear()

    async def inventory(self, host: HostName, *, load: bool = True) -> HostInventory:  # noqa: ARG002  free here
        """Return what the host has."""
        begun = self._clock.now()
        known = await self._reach(host)
        vms = tuple(dataclasses.replace(known.vms[vm], usage=self._usage(known.vms[vm])) for vm in sorted(known.vms))
        held = sum(record.memory_max for record in vms if record.state.holds_memory)
        return HostInventory(host, begun, self._clock.now(), known.memory_total,
                             Bytes(max(0, known.memory_total - held)), known.cpus, vms,
                             host_uuid=f"uuid-of-{host}")

    async def examine(self, order: Order) -> tuple[Refusal, ...]:
        """Return the target's scripted refusals, pins, and an identity that is taken."""
        move = order.move
        record = (await self._reach(move.source)).vms.get(move.vm)
        target = await self._reach(move.target)
        if record is None:
            return (Refusal(RefusalKind.VM_GONE, f"not on {move.source}", move.vm, move.source),)
        found = [Refusal(RefusalKind.VM_PINNED, f"{pin.thing}: {pin.cure}", move.vm) for pin in record.pins]
        if move.vm in target.vms:
            found.append(Refusal(RefusalKind.WORLD_CHANGED, "its UUID is taken there", move.vm, move.target))
        return (*found, *target.refuses)

    async def migrate(self, order: Order) -> None:
        """Migrate; the job outlives a caller that leaves."""
        move = order.move
        source = await self._reach(move.source)
        target = self.hosts[move.target]
        record = source.vms.get(move.vm)
        if record is None or not record.state.runs:
            raise VmVanished("no domain with matching uuid", code=42, domain=10)
        fate = self.fates.pop(move.vm, Fate.COMPLETES)
        if move.vm in self._jobs or move.vm in target.vms or fate is Fate.REFUSED:
            raise MigrationRefused("another migration job is already running", code=55, domain=10)
        if not target.answers:
            raise OutcomeUnknown("unable to connect to the peer", code=38, domain=7)
        job = SimulatedJob(order, source, target, fate, self.dirty_mib_s.get(move.vm, 0.0), self._moved)
        self._jobs[move.vm] = job
        self._spawn(self._carry_out(job))
        await asyncio.shield(job.answer)

    async def progress(self, host: HostName, vm: VmId) -> Progress | None:
        """Return where the outgoing job is."""
        await self._reach(host)
        job = self._outgoing(host, vm)
        return None if job is None else job.progress()

    async def set_bandwidth(self, host: HostName, vm: VmId, bandwidth_mib_s: int) -> None:
        """Give a running job another bandwidth."""
        await self._reach(host)
        if (job := self._outgoing(host, vm)) is not None:
            job.set_bandwidth(bandwidth_mib_s)

    async def abort(self, host: HostName, vm: VmId) -> None:
        """Cancel a running job."""
        await self._reach(host)
        if (job := self._outgoing(host, vm)) is not None:
            job.fail(MigrationAborted("operation aborted: canceled by client", code=78, domain=10))

    async def close(self) -> None:
        """End the pretend world; callers that still wait learn nothing."""
        for job in self._jobs.values():
            job.tell(OutcomeUnknown("the connection was let go; the job goes on"))
        for task in self._tasks:
            task.cancel()

    def burn(self, vm: VmId, processors: float) -> None:
        """Have a VM use so many processors from now on."""
        now = self._clock.now().monotonic
        self._burning[vm] = (now, self._spent(vm, now), processors)

    def burning(self, vm: VmId) -> float:
        """Return how many processors a VM uses."""
        return self._burning.get(vm, (0.0, 0.0, 0.0))[2]

    def _spent(self, vm: VmId, now: float) -> float:
        since, seconds, processors = self._burning.get(vm, (now, 0.0, 0.0))
        return seconds + processors * (now - since)

    def _usage(self, record: VmRecord) -> VmUsage:
        runs = record.state.runs
        return VmUsage(self._spent(record.vm, self._clock.now().monotonic) if runs else None,
                       record.memory_max if runs else None)

    def place(self, host: HostName, record: VmRecord) -> None:
        """Somebody starts or defines a VM."""
        self.hosts[host].vms[record.vm] = record
        self._moved(host, record.vm)

    def remove(self, host: HostName, vm: VmId) -> None:
        """Somebody stops a VM; a job that carries it breaks."""
        self.hosts[host].vms.pop(vm, None)
        self._disturb(host)
        self._moved(host, vm)

    def carry_over(self, vm: VmId, source: HostName, target: HostName) -> None:
        """Another tool moves a VM, in no time."""
        self.place(target, self.hosts[source].vms[vm])
        self.remove(source, vm)

    def cut(self, host: HostName) -> None:
        """The host's network goes away, silently."""
        self._disturb(host)
        self.hosts[host].cut = True
        self._fall_silent(host)

    def hang(self, host: HostName) -> None:
        """The host's libvirtd accepts everything and says nothing."""
        self._disturb(host)
        self.hosts[host].hung = True
        self._fall_silent(host)

    def lose_power(self, host: HostName) -> None:
        """The host and all that ran on it are gone, silently."""
        self._disturb(host)
        self.hosts[host].powered = False
        self.hosts[host].vms.clear()
        self._fall_silent(host)

    def kill_libvirtd(self, host: HostName) -> None:
        """The host's libvirtd dies: its jobs break at once, and their callers learn nothing."""
        self.hosts[host].down = True
        for job in self._jobs_at(host):
            job.fail(OutcomeUnknown("End of file while reading data", code=38, domain=7))
        self._hint(HostHint(host, HostChange.DISCONNECTED))

    def heal(self, host: HostName) -> None:
        """Whatever was wrong with the host is over."""
        self._disturb(host)
        known = self.hosts[host]
        known.cut = known.hung = known.down = False
        known.powered = True
        self._hint(HostHint(host, HostChange.CONNECTED))

    async def _reach(self, host: HostName) -> SimulatedHost:
        known = self.hosts.get(host)
        if known is None:
            raise InvariantBroken(f"{host} is not a declared host")
        await asyncio.sleep(ANSWER_SECONDS)
        if known.answers:
            return known
        if known.carries_memory and known.down:
            raise Unreachable(f"{host}: connection refused")
        await asyncio.sleep(min(self._deadline, self._deadline if known.hung else NO_ROUTE_SECONDS))
        raise Unreachable(f"{host}: no answer")

    async def _carry_out(self, job: SimulatedJob) -> None:
        try:
            await job.run()
        finally:
            self._jobs.pop(job.vm, None)

    def _outgoing(self, host: HostName, vm: VmId) -> SimulatedJob | None:
        job = self._jobs.get(vm)
        return job if job is not None and job.source.name == host else None

    def _jobs_at(self, host: HostName) -> list[SimulatedJob]:
        return [job for job in self._jobs.values() if host in (job.source.name, job.target.name)]

    def _disturb(self, host: HostName) -> None:
        for job in self._jobs_at(host):
            job.count()

    def _fall_silent(self, host: HostName) -> None:
        self._hint(HostHint(host, HostChange.DISCONNECTED))
        for job in self._jobs_at(host):
            self._spawn(self._give_up(job))
            if job.source.name == host:
                self._spawn(self._caller_goes_blind(job))

    async def _caller_goes_blind(self, job: SimulatedJob) -> None:
        await asyncio.sleep(CALLER_BLIND_SECONDS)
        if not job.source.answers:
            job.tell(OutcomeUnknown("connection closed due to keepalive timeout", code=1, domain=7))

    async def _give_up(self, job: SimulatedJob) -> None:
        """The two hosts stop waiting for one another."""
        await asyncio.sleep(PEER_GIVEN_UP_SECONDS)
        if not (job.source.carries_memory and job.target.answers):
            job.fail(OutcomeUnknown("client socket is closed", code=1, domain=7))

    def _moved(self, host: HostName, vm: VmId) -> None:
        self._hint(HostHint(host, HostChange.LIFECYCLE, vm))

    def _hint(self, hint: HostHint) -> None:
        if len(self._hints) < HINTS_MAX:
            self._hints[hint] = None
        self._hinted.set()

    def _spawn(self, life: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(life)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _Load:
    utilization = 0.2
    pressure = 0.0
    io_pressure = 0.0


SimulatedHypervisor.load = lambda self, name: _shim(self, name)


def _shim(self, name):
    known = self.hosts[name]
    load = _Load()
    used = sum(self.burning(r.vm) for r in known.vms.values() if r.state.runs)
    load.utilization = min(1.0, 0.02 + used / known.cpus)
    return load


class _E:
    joules = 1.0
    joules_if_on = 2.0


SimulatedHypervisor.energy = lambda self, name: _E()
SimulatedHypervisor.overload = lambda self, name: 0.0
_Load.demand = 0.3
