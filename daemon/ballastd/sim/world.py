"""A pretend cluster with all that surrounds a daemon: hosts, controllers, agents, a broker, a disk for the journal.

It outlives every daemon that looks after it. What happens in it happens by ``sim.happenings``; whoever checks on it
watches from here.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random
from typing import Any, Protocol

from ballastd.core.acts import Act
from ballastd.core.arrival_checks import Check
from ballastd.core.inventory import JobKind, VmRecord, VmState
from ballastd.core.plans import Order
from ballastd.core.policies import ClusterDeclaration, PolicySet
from ballastd.core.quantities import HostName, VmId
from ballastd.core.saved_cluster import Demand, SavedCluster
from ballastd.core.telemetry import Report, Sample
from ballastd.ports.hosts import HostHint
from ballastd.ports.messages import TelemetryItem
from ballastd.ports.running import Clock
from ballastd.sim.agents import INTERVAL_SECONDS, HostTruth, SimulatedAgents
from ballastd.sim.demand import asked
from ballastd.sim.hypervisor import SimulatedHypervisor
from ballastd.sim.jobs import Guests, SimulatedHost
from ballastd.sim.journal import MemoryJournal
from ballastd.sim.lanes import SimulatedLanes
from ballastd.sim.notices import SimulatedNotices
from ballastd.sim.power import SimulatedController, SimulatedPower
from ballastd.sim.probing import SimulatedProbe
from ballastd.sim.trace import Trace

SHOWN_LEVELS = ("warning", "alarm")


class Watcher(Protocol):
    """Sees everything that happens in a world, the truth and what the daemon does."""

    def started(self) -> None:
        """A daemon starts, the first or another."""

    def changed(self, host: HostName) -> None:
        """Something on a host changed."""

    def heard(self, report: Report) -> None:
        """A report reached the daemon."""

    def migrating(self, order: Order) -> None:
        """The daemon is about to begin a migration."""

    def aborting(self, host: HostName, vm: VmId) -> None:
        """The daemon is about to cancel a job."""

    def granting(self, host: HostName, vm: VmId, bandwidth_mib_s: int) -> None:
        """The daemon is about to give a running job another bandwidth."""

    def lengthening(self, host: HostName, vm: VmId, downtime_ms: int) -> None:
        """The daemon is about to let the VM of a job stand still for longer at its end."""

    def parting(self, host: HostName, vm: VmId) -> None:
        """The daemon is about to have the VM of a job go before its memory."""

    def closing(self, host: HostName, *, closed: bool) -> None:
        """The daemon is about to ask a host's agent to let no guest in, or to let them in again."""

    def asking(self, vm: VmId, check: Check) -> None:
        """The daemon is about to ask a VM whether it answers."""

    def shutting_down(self, host: HostName, vm: VmId) -> None:
        """The daemon is about to ask a guest to shut down."""

    def setting_autostart(self, host: HostName, vm: VmId, *, on: bool) -> None:
        """The daemon is about to have a VM start with a host, or not."""

    def switching(self, host: HostName, *, on: bool) -> None:
        """The daemon is about to tell a power controller something."""

    def recorded(self, content: dict[str, Any]) -> None:
        """The daemon made something durable."""

    def acted(self, act: Act) -> None:
        """Something is about to happen to the cluster."""


class _Hypervisor(SimulatedHypervisor):
    """One that outlives its callers, and tells the world of each change."""

    world: World

    async def close(self) -> None:
        """See ``ports.Hypervisor``: nothing ends with the daemon."""

    def _hint(self, hint: HostHint) -> None:
        super()._hint(hint)
        self.world.changed(hint.host)


class World:
    """Everything but the daemon. ``policies``: what governs it now, for whoever checks on it. ``report_seconds``: how
    often agents report. ``step_wall``: has the machine's clock jump; there are clocks that do not."""

    def __init__(self, saved: SavedCluster, clock: Clock, declared: ClusterDeclaration, policies: PolicySet, seed: int, *,
                 report_seconds: float = INTERVAL_SECONDS, step_wall: Callable[[float], None] | None = None) -> None:
        self.saved = saved
        self.clock = clock
        self.step_wall = step_wall
        self.declared = declared
        self.policies = policies
        self.seed = seed
        self.watchers: list[Watcher] = []
        self.layers: dict[tuple[str, ...], list[Callable[[], None]]] = {}
        """What acts put there that still last, about one thing each, the newest last."""
        self.told: dict[HostName, bool] = {}
        """What each power controller was told last: whether to come on."""
        self.notices_told: list[tuple[float, str, str]] = []
        """When, level, text."""
        self.ordering: Callable[[], None] = lambda: None
        """Called when the daemon has made an order of a migration durable."""
        self.trace = Trace(lambda: self.clock.now().monotonic)
        self.names: dict[str, VmId] = {vm.record.name: vm.record.vm for vm in saved.vms}
        self.journal = MemoryJournal()
        self.lanes = SimulatedLanes()
        self.hypervisor = _Hypervisor([self._machine(host.name) for host in saved.hosts], clock,
                                      luck=Random(f"{seed} hypervisors"))
        self.hypervisor.world = self
        self.hypervisor.dirty_mib_s.update((vm.record.vm, vm.dirty_mib_s) for vm in saved.vms)
        self.hypervisor.traffic.mib_s.update((vm.record.vm, vm.network_mib_s) for vm in saved.vms)
        self.hypervisor.working_sets.update((vm.record.vm, vm.working_set) for vm in saved.vms)
        self.probe = SimulatedProbe(self.hypervisor)
        self.power = SimulatedPower(
            [SimulatedController(host.name, identity=host.machine, shutdown_seconds=host.shutdown_seconds,
                                 boot_seconds=host.boot_seconds, is_powered=host.is_on, is_up=host.is_on)
             for host in saved.hosts if host.declared.power],
            went_off=self._went_off, came_up=self.hypervisor.heal)
        self.notices = SimulatedNotices(clock, lambda: self.agents.is_up, self._noticed)
        self.agents = SimulatedAgents([host.name for host in saved.hosts], clock, self.truth,
                                      self.notices.cordoned_until, Random(f"{seed} agents"), report_seconds)
        self._report_seconds = report_seconds
        self._interfaces = {host.name: host.declared.link_interfaces for host in saved.hosts}
        self._demands: dict[VmId, Demand] = {vm.record.vm: vm.demand for vm in saved.vms}
        self._most = {vm: demand.high for vm, demand in self._demands.items()}

    def _machine(self, name: HostName) -> SimulatedHost:
        saved = self.saved.host(name)
        assert saved is not None
        vms = Guests({vm.record.vm: vm.record for vm in self.saved.on(name)})
        idle, busy = saved.declared.idle_watts, saved.busy_watts
        watts = None if idle is None else (idle, idle if busy is None else max(idle, busy))
        return SimulatedHost(name, saved.memory_total, saved.cpus, vms, powered=saved.is_on, watts=watts,
                             link_mib_s=saved.declared.link_mib_s, machine=saved.machine,
                             hardware=saved.hardware)

    def host(self, name: HostName) -> SimulatedHost:
        """Return a host as it truly is."""
        return self.hypervisor.hosts[name]

    def at(self, vm: VmId) -> list[HostName]:
        """Return where a VM runs, the truth."""
        return [host.name for host in self.hypervisor.hosts.values()
                if (record := host.vms.get(vm)) is not None and record.state.runs]

    def under_way(self) -> int:
        """Return how many migrations are under way, the truth."""
        return sum(1 for host in self.hypervisor.hosts.values() for record in host.vms.values()
                   if record.job is JobKind.OUTGOING)

    def is_closed(self, host: HostName) -> bool:
        """Return whether the hook of a host lets nothing in."""
        manners = self.agents.manners(host)
        return self.notices.cordoned_until(host) is not None and not (manners.deaf or manners.hookless)

    def truth(self, name: HostName) -> HostTruth:
        """Return what an agent could read of a host now."""
        host = self.host(name)
        active = [record.memory_max for record in host.vms.values() if record.state.holds_memory]
        held, emulators = sum(active), len(active)
        load = self.hypervisor.processors.load(name)
        return HostTruth(host.powered, emulators, not host.cut, (
            Sample("cpu.utilization", round(load.utilization, 4)), Sample("cpu.pressure.some", round(load.pressure, 4)),
            Sample("io.pressure.some", round(load.io_pressure, 4)),
            Sample("memory.utilization", round(min(1.0, held / host.memory_total), 4)), *self._link(name)))

    def _link(self, name: HostName) -> tuple[Sample, ...]:
        """Return what the interfaces of a host's link carry, which are alike; nothing where nobody declared them."""
        interfaces = self._interfaces[name]
        rates = self.hypervisor.interfaces.rates(name, self._report_seconds) if interfaces else None
        return () if rates is None else tuple(
            Sample(metric, round(rate / len(interfaces), 1), interface) for interface in interfaces
            for metric, rate in zip(("network.tx", "network.rx"), rates, strict=True))

    async def live(self) -> None:
        """Let agents report and VMs work, for ever."""
        await asyncio.gather(self.agents.live(), self._work())

    def most(self, vm: VmId) -> float:
        """Return the most processors that a VM asks for, or ever asked for."""
        return max(self.hypervisor.processors.asked(vm), self._most.get(vm, 0.0))

    def want(self, vm: VmId, demand: Demand) -> None:
        """Have a VM behave in another way from now on; a steady demand, at once."""
        self._demands[vm] = demand
        self._most[vm] = max(self._most.get(vm, 0.0), demand.high)
        self.hypervisor.burn(vm, demand.high)

    async def _work(self) -> None:
        """Have every VM ask for what its demand says, as it changes."""
        changes: list[tuple[float, VmId]] = [(self.clock.now().wall, vm) for vm in sorted(self._demands)]
        while changes:
            due, vm = heapq.heappop(changes)
            wait = due - self.clock.now().wall
            if wait > 0:
                await asyncio.sleep(wait)
            found = asked(self._demands[vm], vm, self.seed, max(due, self.clock.now().wall))
            self.hypervisor.burn(vm, found.processors, blocked=found.blocked)
            if found.until is not None:
                heapq.heappush(changes, (found.until, vm))

    def changed(self, host: HostName) -> None:
        """Something on a host changed: everybody who watches looks."""
        for watcher in self.watchers:
            watcher.changed(host)

    def begin_life(self) -> None:
        """A daemon starts on what is there: it hears what is retained, and everybody who watches knows."""
        self.agents.subscribe()
        for watcher in self.watchers:
            watcher.started()

    def migrating(self, order: Order) -> None:
        """See ``sim.lives.Witness``."""
        for watcher in self.watchers:
            watcher.migrating(order)

    def aborting(self, host: HostName, vm: VmId) -> None:
        """See ``sim.lives.Witness``."""
        for watcher in self.watchers:
            watcher.aborting(host, vm)

    def granting(self, host: HostName, vm: VmId, bandwidth_mib_s: int) -> None:
        """See ``sim.lives.Witness``."""
        for watcher in self.watchers:
            watcher.granting(host, vm, bandwidth_mib_s)

    def lengthening(self, host: HostName, vm: VmId, downtime_ms: int) -> None:
        """See ``sim.lives.Witness``."""
        for watcher in self.watchers:
            watcher.lengthening(host, vm, downtime_ms)

    def parting(self, host: HostName, vm: VmId) -> None:
        """See ``sim.lives.Witness``."""
        for watcher in self.watchers:
            watcher.parting(host, vm)

    def closing(self, host: HostName, *, closed: bool) -> None:
        """See ``sim.lives.Witness``."""
        for watcher in self.watchers:
            watcher.closing(host, closed=closed)

    def asking(self, vm: VmId, check: Check) -> None:
        """See ``sim.lives.Witness``."""
        for watcher in self.watchers:
            watcher.asking(vm, check)

    def shutting_down(self, host: HostName, vm: VmId) -> None:
        """See ``sim.lives.Witness``."""
        for watcher in self.watchers:
            watcher.shutting_down(host, vm)

    def setting_autostart(self, host: HostName, vm: VmId, *, on: bool) -> None:
        """See ``sim.lives.Witness``."""
        for watcher in self.watchers:
            watcher.setting_autostart(host, vm, on=on)

    def switching(self, host: HostName, *, on: bool) -> None:
        """See ``sim.lives.Witness``."""
        self.told[host] = on
        for watcher in self.watchers:
            watcher.switching(host, on=on)

    def recorded(self, contents: Sequence[dict[str, Any]]) -> None:
        """See ``sim.lives.Witness``."""
        for content in contents:
            self.trace.record(content)
            if content["kind"] == "MigrationOrdered":
                self.ordering()
            for watcher in self.watchers:
                watcher.recorded(content)

    def heard(self, item: TelemetryItem) -> None:
        """See ``sim.lives.Witness``."""
        if isinstance(item, Report):
            for watcher in self.watchers:
                watcher.heard(item)

    def place(self, host: HostName, record: VmRecord) -> bool:
        """Somebody starts a VM; return whether the host's hook let it in."""
        if self.is_closed(host) or not self.host(host).powered:
            return False
        self.names[record.name] = record.vm
        self.hypervisor.place(host, record)
        return True

    def stop(self, vm: VmId) -> None:
        """Somebody shuts a VM down, where it runs; of one torn in two both halves."""
        halves = [host.name for host in self.hypervisor.hosts.values() if vm in host.vms
                  and host.vms[vm].state is VmState.POSTCOPY_LEFT_FAILED]
        for host in dict.fromkeys((*self.at(vm), *halves)):
            record = self.host(host).vms[vm]
            self.hypervisor.remove(host, vm)
            if record.persistent:
                self.hypervisor.place(host, replace(record, state=VmState.SHUTOFF))

    def _went_off(self, host: HostName) -> None:
        self.hypervisor.lose_power(host)

    def _noticed(self, topic: str, payload: dict[str, Any]) -> None:
        if topic != "notices":
            return
        self.notices_told.append((round(self.clock.now().monotonic, 3), str(payload["level"]), str(payload["text"])))
        if payload["level"] in SHOWN_LEVELS:
            self.trace.notice(str(payload["level"]), str(payload["text"]))


