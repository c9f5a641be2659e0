"""Hypervisors of a pretend cluster, behind ``ports.Hypervisor``: what libvirt did in the lab, on a table.

Time comes from the running event loop only. Beside the port's methods stand the hands of strangers and of
fate: others start, stop and move VMs; networks, daemons and power fail and come back.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable
from dataclasses import replace
from functools import partial
from math import inf
from random import Random
from typing import Any

from ballastd.core.inventory import HostInventory, JobKind, Progress, VmRecord, VmState, VmUsage
from ballastd.core.plans import Examination, Move, Order, Refusal, RefusalKind
from ballastd.core.quantities import MIB, Bytes, HostName, Seconds, VmId
from ballastd.errors import (
    InvariantBroken,
    MigrationAborted,
    MigrationFailed,
    MigrationRefused,
    OutcomeUnknown,
    Unreachable,
    VmVanished,
)
from ballastd.ports.hosts import HostChange, HostHint
from ballastd.ports.running import Clock
from ballastd.sim.interfaces import NOBODY, Interfaces
from ballastd.sim.jobs import Fate, SimulatedHost, SimulatedJob
from ballastd.sim.links import fair
from ballastd.sim.pages import free_pages, take
from ballastd.sim.precopy import DOWNTIME_MAX, PreCopy
from ballastd.sim.processors import Processors
from ballastd.sim.traffic import Traffic

ANSWER_SECONDS = 0.005
NO_ROUTE_SECONDS = 3.1
CALLER_BLIND_SECONDS = 4.0
PEER_GIVEN_UP_SECONDS = 28.0
TWICE_FROM = 18.0
"""A source whose link was away for 18 to 25 seconds: its guest ran at both ends in 11 of 11 trials in the lab, and with a
disk lock stood paused at the source in 5 of 5."""
TORN_AT_TARGET = 0.065
LOST_AT_TARGET = 0.01
"""Of 155 trials in which the target's libvirtd was killed in the switch-over, 10 left two guests and 2 left none."""
HINTS_MAX = 4096
GUEST_SHUTDOWN_SECONDS = 20.0
"""How long a guest takes to go down that obeys."""


class SimulatedHypervisor:
    """All hosts of a pretend cluster. ``fates``: how the next migration of a VM turns out, taken once.
    ``dirty_mib_s``: how fast a VM dirties its memory; ``working_sets``: which share of it, (0, 1], all where not said.
    ``locked``: whether disks are locked, so that no fault makes two guests of one. ``luck``: decides what a fault in the
    moment of the switch-over comes to."""

    def __init__(self, hosts: Iterable[SimulatedHost], clock: Clock, *, call_deadline: float = 10.0, locked: bool = True,
                 luck: Random | None = None) -> None:
        self.hosts = {host.name: host for host in hosts}
        self.fates: dict[VmId, Fate] = {}
        self.dirty_mib_s: dict[VmId, float] = {}
        self.working_sets: dict[VmId, float] = {}
        self.deaf: set[VmId] = set()
        """Guests that do not obey when they are asked to shut down."""
        self.locked = locked
        self.processors = Processors(clock)
        self.traffic = Traffic(clock)
        self.interfaces = Interfaces(clock)
        for host in self.hosts.values():
            running = [vm for vm, record in host.vms.items() if record.state.runs]
            self.processors.add(host.name, host.cpus, host.watts, running, is_on=host.powered)
            self.traffic.add(host.name, running)
            host.vms.told = partial(self._runs, host.name)
        self._luck = luck if luck is not None else Random("hypervisors")
        self._cut_at: dict[HostName, float] = {}
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
        spent, carried = self.processors.spent(host), self.traffic.carried(host)
        vms = known.vms.in_order
        usage = {record.vm: VmUsage(spent.get(record.vm), record.memory_max, network_bytes=carried.get(record.vm))
                 for record in vms if record.state.runs}
        held = sum(record.ordinary for record in vms if record.state.holds_memory)
        return HostInventory(host, begun, self._clock.now(), known.memory_total,
                             Bytes(max(0, known.ordinary_total - held)), known.cpus, vms,
                             host_uuid=known.machine or f"uuid-of-{host}", usage=usage, hardware=known.hardware,
                             pages_free=free_pages(known.hardware, vms), misfits=dict(known.misfits))

    async def examine(self, order: Order) -> Examination:
        """Return the target's scripted refusals, pins, and an identity that is taken."""
        move = order.move
        record = (await self._reach(move.source)).vms.get(move.vm)
        target = await self._reach(move.target)
        if record is None:
            return Examination((Refusal(RefusalKind.VM_GONE, f"not on {move.source}", move.vm, move.source),))
        found = [Refusal(RefusalKind.VM_PINNED, f"{pin.thing}: {pin.cure}", move.vm) for pin in record.pins]
        if move.vm in target.vms:
            found.append(Refusal(RefusalKind.IDENTITY, "its UUID is taken there", move.vm, move.target))
        return Examination((*found, *target.refuses))

    async def definition(self, host: HostName, vm: VmId) -> str:
        """Return what a VM is, in a line."""
        record = (await self._reach(host)).vms.get(vm)
        if record is None:
            raise VmVanished("no domain with matching uuid", code=42, domain=10)
        return f"<domain><name>{record.name}</name><uuid>{vm}</uuid><memory unit='b'>{record.memory_max}</memory></domain>\n"

    async def migrate(self, order: Order) -> Seconds | None:
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
        if record.needs.backing and not take(dict(free_pages(target.hardware, target.vms.values()) or {}), record.needs):
            raise MigrationFailed("unable to map backing store for guest RAM: Cannot allocate memory", code=1, domain=10)
        return await asyncio.shield(self._begin(order, fate).answer)

    def _begin(self, order: Order, fate: Fate) -> SimulatedJob:
        move, size = order.move, order.move.memory / MIB
        copy = PreCopy(size, self.dirty_mib_s.get(move.vm, 0.0), size * self.working_sets.get(move.vm, 1.0),
                       downtime_max=order.downtime_ms / 1000 or DOWNTIME_MAX, auto_converge=order.auto_converge,
                       converges=fate is not Fate.NEVER_CONVERGES)
        job = SimulatedJob(order, self.hosts[move.source], self.hosts[move.target], fate, copy, self._moved, self._share)
        self._jobs[move.vm] = job
        self._spawn(self._carry_out(job))
        return job

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

    async def set_downtime(self, host: HostName, vm: VmId, downtime_ms: int) -> None:
        """Let the VM of a running job stand still for so long at its end."""
        await self._reach(host)
        if (job := self._outgoing(host, vm)) is not None:
            job.set_downtime(downtime_ms)

    async def start_post_copy(self, host: HostName, vm: VmId) -> None:
        """Have the VM of a running job run at its target now."""
        await self._reach(host)
        if (job := self._outgoing(host, vm)) is not None:
            job.start_post_copy()

    def downtime_of(self, vm: VmId) -> int | None:
        """Return for how long the VM of a running job may stand still at its end, milliseconds; None without one."""
        job = self._jobs.get(vm)
        return None if job is None else job.downtime_ms

    def dirties_of(self, vm: VmId) -> float:
        """Return how fast the VM of a job dirties its memory, MiB/s, once a hypervisor says so: 0 in the first round, and
        without a job."""
        job = self._jobs.get(vm)
        return 0.0 if job is None else job.dirties

    async def shut_down(self, host: HostName, vm: VmId) -> None:
        """Ask a guest to shut down: one that obeys is down after a while, wherever it is by then."""
        record = (await self._reach(host)).vms.get(vm)
        if record is not None and record.state.runs and vm not in self.deaf:
            self._spawn(self._go_down(vm))

    async def _go_down(self, vm: VmId) -> None:
        await asyncio.sleep(GUEST_SHUTDOWN_SECONDS)
        for host in self.hosts.values():
            record = host.vms.get(vm)
            if record is not None and record.state.runs:
                self.remove(host.name, vm)
                if record.persistent:
                    self.place(host.name, replace(record, state=VmState.SHUTOFF, job=JobKind.NONE, reason="5/1"))

    async def set_autostart(self, host: HostName, vm: VmId, *, on: bool) -> None:
        """Have a host start a VM with itself, or not."""
        record = (await self._reach(host)).vms.get(vm)
        if record is not None and record.persistent:
            self.hosts[host].vms[vm] = replace(record, autostart=on)
            self._moved(host, vm)

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

    def burn(self, vm: VmId, processors: float, *, blocked: bool = False) -> None:
        """Have a VM ask for so many processors from now on. ``blocked``: it waits for its disk meanwhile."""
        self.processors.ask(vm, processors, blocked=blocked)

    def _runs(self, host: HostName, vm: VmId, runs: bool) -> None:
        self.processors.run(host, vm, runs=runs)
        self.traffic.run(host, vm, runs=runs)

    def _share(self) -> None:
        """Share the links among the jobs that copy now, and others that use them."""
        jobs = list(self._jobs.values())
        flows = [job.flow() for job in jobs]
        flowing = [*(flow for flow in flows if flow is not None), *self.interfaces.flows()]
        rates = fair(flowing, {NOBODY: inf, **{host.name: host.link_mib_s for host in self.hosts.values()}})
        self.interfaces.carry(zip(flowing, rates, strict=True))
        of_jobs = iter(rates)
        for job, flow in zip(jobs, flows, strict=True):
            job.count(0.0 if flow is None else next(of_jobs))

    def use_link(self, host: HostName, mib_s: float) -> None:
        """Others want so much of a host's link from now on, each way."""
        self.interfaces.others[host] = mib_s
        self._share()

    def place(self, host: HostName, record: VmRecord) -> None:
        """Somebody starts or defines a VM."""
        self.hosts[host].vms[record.vm] = record
        self._moved(host, record.vm)

    def remove(self, host: HostName, vm: VmId) -> None:
        """Somebody stops a VM; a job that carries it breaks."""
        self.hosts[host].vms.drop(vm)
        self._wake(host)
        self._moved(host, vm)

    def halt(self, host: HostName, vm: VmId) -> None:
        """Somebody stops the processors of a VM that runs. One that is on its way looks as if it were handed over, and is
        set going when that is over."""
        record = self.hosts[host].vms.get(vm)
        if record is not None and record.state is VmState.RUNNING:
            leaves = record.job is JobKind.OUTGOING
            state, reason = (VmState.HANDOVER, "3/2") if leaves else (VmState.PAUSED, "3/1")
            self.hosts[host].vms[vm] = replace(record, state=state, reason=reason)
            self._moved(host, vm)

    def go_on(self, host: HostName, vm: VmId) -> None:
        """Somebody starts the processors of a VM again that somebody stopped."""
        record = self.hosts[host].vms.get(vm)
        if record is not None and record.state is VmState.PAUSED:
            self.hosts[host].vms[vm] = replace(record, state=VmState.RUNNING, reason="1/5")
            self._moved(host, vm)

    def carry_over(self, vm: VmId, source: HostName, target: HostName) -> None:
        """Another tool moves a VM, in no time."""
        self.place(target, self.hosts[source].vms[vm])
        self.remove(source, vm)

    def migrate_by_hand(self, vm: VmId, source: HostName, target: HostName, mib_s: int) -> None:
        """Another tool migrates a VM at up to so many MiB/s, unless a job holds it or an end does not answer."""
        record, there = self.hosts[source].vms.get(vm), self.hosts[target]
        free = record is not None and record.state is VmState.RUNNING and vm not in self._jobs and vm not in there.vms
        if record is not None and free and self.hosts[source].answers and there.answers:
            move = Move(vm, record.name, source, target, record.memory_max, Seconds(0.0), "", "by hand")
            self._begin(Order("by hand", move, mib_s, Seconds(inf), 0, auto_converge=True), Fate.COMPLETES)

    def cut(self, host: HostName) -> None:
        """The host's network goes away, silently."""
        self.hosts[host].cut = True
        self._cut_at[host] = self._clock.now().monotonic
        self._fall_silent(host)

    def hang(self, host: HostName) -> None:
        """The host's libvirtd accepts everything and says nothing."""
        self.hosts[host].hung = True
        self._fall_silent(host)

    def lose_power(self, host: HostName) -> None:
        """The host and all that ran on it are gone, silently."""
        self.hosts[host].powered = False
        self.hosts[host].vms.clear()
        self.processors.switch(host, on=False)
        self._fall_silent(host)

    def kill_libvirtd(self, host: HostName) -> None:
        """The host's libvirtd dies: its jobs break at once, and their callers learn nothing. In the instant of the
        switch-over it is a matter of luck what becomes of the guest."""
        self.hosts[host].down = True
        for job in self._jobs_at(host):
            if job.handing_over:
                job.fate = self._fate_at_switch_over(at_source=job.source.name == host)
            else:
                job.fail(OutcomeUnknown("End of file while reading data", code=38, domain=7))
            job.tell(OutcomeUnknown("End of file while reading data", code=38, domain=7))
        self._hint(HostHint(host, HostChange.DISCONNECTED))

    def heal(self, host: HostName) -> None:
        """Whatever was wrong with the host is over."""
        known = self.hosts[host]
        if known.cut:
            self._reconnect(known)
        if not known.powered:
            self.processors.switch(host, on=True)
        known.cut = known.hung = known.down = False
        known.powered = True
        self._share()
        self._hint(HostHint(host, HostChange.CONNECTED))

    def _fate_at_switch_over(self, *, at_source: bool) -> Fate:
        """Return what a libvirtd that dies within the 50 ms of the switch-over makes of a guest: as often as measured."""
        if at_source:
            return Fate.ERROR_YET_COMPLETES
        draw = self._luck.random()
        if draw < TORN_AT_TARGET:
            return Fate.LEFTOVER if self.locked else Fate.SPLIT
        return Fate.NOWHERE if draw < TORN_AT_TARGET + LOST_AT_TARGET else Fate.ERROR_YET_COMPLETES

    def _reconnect(self, host: SimulatedHost) -> None:
        """A source that was away just short of being given up finishes at its target, and takes the guest back too."""
        passed = self._clock.now().monotonic - self._cut_at.get(host.name, 0.0)
        if TWICE_FROM <= passed < PEER_GIVEN_UP_SECONDS - 2.0:
            for job in self._jobs_at(host.name):
                if job.source is host and job.fate is Fate.COMPLETES:
                    job.fate = Fate.LEFTOVER if self.locked else Fate.SPLIT

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
            self._share()

    def _outgoing(self, host: HostName, vm: VmId) -> SimulatedJob | None:
        job = self._jobs.get(vm)
        return job if job is not None and job.source.name == host else None

    def _jobs_at(self, host: HostName) -> list[SimulatedJob]:
        return [job for job in self._jobs.values() if host in (job.source.name, job.target.name)]

    def _wake(self, host: HostName) -> None:
        """Have the jobs at a host look at what has become of their guests."""
        for job in self._jobs_at(host):
            job.wake()

    def _fall_silent(self, host: HostName) -> None:
        self._hint(HostHint(host, HostChange.DISCONNECTED))
        self._share()
        self._wake(host)
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

