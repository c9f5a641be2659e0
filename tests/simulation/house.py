"""The whole unmodified daemon on virtual time: real service, real controller, real kernel, a pretend cluster."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from ballastd.adapters.blocking import Inline
from ballastd.core.inputs import Answer, OperatorCommand, Verb
from ballastd.core.inventory import JobKind, VmRecord, VmState
from ballastd.core.policies import ClusterDeclaration, PolicySet
from ballastd.core.quantities import GIB, Bytes, HostName
from ballastd.core.telemetry import AgentState, Report, Sample
from ballastd.ports import Power, TelemetryItem, TelemetryUp
from ballastd.service.daemon import Daemon, Parts
from ballastd.sim.hypervisor import SimulatedHypervisor
from ballastd.sim.jobs import SimulatedHost
from ballastd.sim.journal import MemoryJournal
from ballastd.sim.power import SimulatedController, SimulatedPower
from ballastd.sim.virtual_time import VirtualClock, run_virtual
from tests.builders import POLICIES, ClusterBuilder
from tests.doubles import Controllers, SilentNotices

INTERVAL = 10.0


class Agents:
    """One telemetry agent per host; readings change by hand, a silent host says nothing."""

    def __init__(self, cluster: ClusterDeclaration, clock: VirtualClock) -> None:
        self._cluster = cluster
        self._clock = clock
        self._queue: asyncio.Queue[TelemetryItem] = asyncio.Queue()
        self._sequence = 0
        self.readings: dict[str, dict[tuple[str, str], Sample]] = {h.name: {} for h in cluster.hosts}
        self.silent: set[str] = set()
        self.world: SimulatedHypervisor | None = None
        self.cordons: dict[HostName, float] = {}
        """What the daemon asked of the hooks: agents do as they are asked."""

    def set(self, host: str, metric: str, value: float, subject: str = "", critical: float | None = None) -> None:
        """Change a reading; the agent says so at once."""
        self.readings[host][metric, subject] = Sample(metric, value, subject, critical=critical)
        if host not in self.silent:
            self._speak(HostName(host))

    def _speak(self, host: HostName) -> None:
        self._sequence += 1
        now = self._clock.now()
        samples = (Sample("cpu.utilization", self._utilization(host)), *self.readings[host].values())
        self._queue.put_nowait(Report(host, "boot", self._sequence, now.wall, INTERVAL, samples, now))

    def _utilization(self, host: HostName) -> float:
        if self.world is None:
            return 0.2
        known = self.world.hosts[host]
        used = sum(self.world.burning(r.vm) for r in known.vms.values() if r.state.runs)
        return min(1.0, 0.02 + used / known.cpus)

    def _tell_state(self, host: HostName, *, online: bool) -> None:
        now, known = self._clock.now(), self.world.hosts[host] if self.world else None
        until = self.cordons.get(host)
        self._queue.put_nowait(AgentState(
            host, online, now, hook=True, cordon_until=until if until and until > now.wall else None,
            emulators=len(known.vms) if known else None))

    async def live(self) -> None:
        """Report for ever; a host without power says nothing, and its last will says so."""
        gone: set[HostName] = set()
        while True:
            for host in self._cluster.hosts:
                if self.world is not None and not self.world.hosts[host.name].powered:
                    if host.name not in gone:
                        gone.add(host.name)
                        self._tell_state(host.name, online=False)
                    continue
                gone.discard(host.name)
                if host.name not in self.silent:
                    self._speak(host.name)
                    self._tell_state(host.name, online=True)
            await asyncio.sleep(INTERVAL)

    def counters(self) -> dict[str, float]:
        """Nothing is lost on this wire."""
        return {"received": float(self._sequence)}

    async def items(self) -> AsyncIterator[TelemetryItem]:
        """Yield what agents say, as the broker would."""
        yield TelemetryUp(self._clock.now())
        while True:
            yield await self._queue.get()


class World(SimulatedHypervisor):
    """A pretend cluster that outlives the daemon: its jobs go on when a daemon lets go."""

    async def close(self) -> None:
        """Nothing ends with the daemon."""


class FixedPolicies:
    """A policy source that never changes."""

    def __init__(self, policies: PolicySet) -> None:
        self.policies = policies

    def load(self, now_wall: float) -> tuple[PolicySet, tuple[str, ...]]:
        return self.policies, ()


@dataclass
class House:
    """Everything of one run. ``start`` and ``crash`` may be repeated: the world and the journal stay."""

    cluster: ClusterDeclaration
    clock: VirtualClock
    agents: Agents
    hypervisor: SimulatedHypervisor
    journal: MemoryJournal
    notices: SilentNotices
    policies: FixedPolicies
    controllers: Power = field(default_factory=Controllers)
    daemon: Daemon | None = None
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    told: list[tuple[float, str]] = field(default_factory=list)
    """What the supervisor heard, and when."""

    def start(self) -> None:
        """Start a daemon on what is there."""
        parts = Parts(self.cluster, self.policies, self.hypervisor, self.controllers, self.agents, self.notices,
                      self.journal, Inline(), self.clock,
                      lambda state: self.told.append((self.clock.now().monotonic, state)))
        self.daemon = Daemon(parts)
        self.tasks.append(asyncio.ensure_future(self.daemon.run()))

    async def crash(self) -> None:
        """Kill the daemon where it stands: nothing is said, nothing is closed, jobs go on."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.tasks.clear()

    async def say(self, verb: Verb, subject: str = "") -> Answer:
        """Say something as an operator."""
        assert self.daemon is not None
        return await self.daemon.command(OperatorCommand(str(uuid.uuid4()), verb, subject, "ann"))

    def on(self, host: str) -> list[str]:
        """Return the names of what runs on a host, the truth."""
        return sorted(r.name for r in self.hypervisor.hosts[HostName(host)].vms.values() if r.state.runs)

    def check(self) -> None:
        """The invariants that hold at every instant."""
        running: Counter[str] = Counter()
        outgoing = 0
        for host in self.hypervisor.hosts.values():
            held = sum(r.memory_max for r in host.vms.values() if r.state.holds_memory)
            assert held <= host.memory_total, f"{host.name} overcommitted"
            jobs = [r for r in host.vms.values() if r.job is JobKind.OUTGOING]
            outgoing += len(jobs)
            assert len(jobs) <= self.policies.policies.limits.in_flight_host_out
            running.update(r.vm for r in host.vms.values() if r.state is VmState.RUNNING)
        assert outgoing <= self.policies.policies.limits.in_flight_cluster
        assert not [vm for vm, count in running.items() if count > 1], "a VM runs twice"

    async def pass_time(self, seconds: float, step: float = 0.25) -> None:
        """Let time pass, checking the invariants on the way."""
        until = self.clock.now().monotonic + seconds
        while self.clock.now().monotonic < until:
            await asyncio.sleep(step)
            self.check()


def in_house(builder: ClusterBuilder, story: Callable[[House], Awaitable[None]],
             policies: PolicySet = POLICIES, *, powered: bool = False) -> None:
    """Run ``story`` in a house on virtual time. ``powered``: every host has a controller, VMs use processors, and agents
    do as they are asked."""
    async def live() -> None:
        cluster, clock = builder.build(), VirtualClock()
        hosts = [SimulatedHost(h.name, Bytes(64 * GIB)) for h in cluster.hosts]
        for host, (_, records) in zip(hosts, sorted(builder.vms), strict=True):
            host.vms.update({r.vm: r for r in records})
        house = House(cluster, clock, Agents(cluster, clock), World(hosts, clock), MemoryJournal(),
                      SilentNotices(), FixedPolicies(policies))
        if powered:
            house.agents.world, house.agents.cordons = house.hypervisor, house.notices.cordons
            house.controllers = SimulatedPower(
                [SimulatedController(h.name) for h in cluster.hosts],
                went_off=house.hypervisor.lose_power, came_up=house.hypervisor.heal)
        living = asyncio.ensure_future(house.agents.live())
        try:
            await story(house)
        finally:
            await house.crash()
            living.cancel()
            await asyncio.gather(living, return_exceptions=True)

    run_virtual(live())


def placed(builder: ClusterBuilder) -> dict[str, list[VmRecord]]:
    """Return what the builder put where."""
    return {host: list(records) for host, records in builder.vms}
