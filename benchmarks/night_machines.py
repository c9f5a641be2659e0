"""Machines on a table that have power: what the benchmark of nights tells the mind of, and what its orders change."""

from __future__ import annotations

from ballastd.core.inputs import HostUnreachable, Input, OperatorCommand, PowerReturned, PowerSeen, Verb
from ballastd.core.migrations import CallResult
from ballastd.core.policies import PolicySet
from ballastd.core.power import PowerOrder, PowerState, PowerStatus
from ballastd.core.quantities import HostName, VmId
from ballastd.core.saved_cluster import SavedCluster
from ballastd.core.telemetry import AgentState
from ballastd.rehearsal.machines import Machine
from ballastd.sim.demand import Asked, asked
from benchmarks.driving import Driver

PACE, DAY_PACE = 60.0, 600.0
"""Seconds from one step to the next, and where the mind is not asked."""


class Nights(Driver):
    """Machines with power: controllers and agents that do as they are told, VMs whose demand follows the clock. ``down``:
    hosts that are not up, and the second from which on they are again; infinity while nobody wakes them."""

    def __init__(self, cluster: SavedCluster, policies: PolicySet, seed: int) -> None:
        super().__init__(cluster, policies, PACE)
        self._demands = {vm.record.vm: vm.demand for vm in cluster.vms}
        self._asks: dict[VmId, Asked] = {}
        self._seed, self._shut = seed, frozenset[HostName]()
        self.down: dict[HostName, float] = {}
        self._returned: list[Input] = [
            OperatorCommand(f"proved-{name}", Verb.CONFIRM_WAKEABLE, name, "benchmark") for name in self.hosts]

    def tell(self) -> tuple[Input, ...]:
        """Let time pass; VMs ask for what they ask for now."""
        for host in self.hosts.values():
            host.burn = {vm: self._asked_by(vm) for vm in host.vms}
        told = super().tell()
        returned, self._returned = self._returned, []
        return (*told, *returned)

    def _asked_by(self, vm: VmId) -> float:
        """Return how many processors a VM asks for now; asked again when that changes."""
        known = self._asks.get(vm)
        if known is None or (known.until is not None and known.until <= self.now.wall):
            known = self._asks[vm] = asked(self._demands[vm], vm, self._seed, self.now.wall)
        return known.processors

    def pass_over(self) -> None:
        """Let time pass of which the mind is told nothing."""
        self.seconds += DAY_PACE
        for host in self.hosts.values():
            host.burn = {vm: self._asked_by(vm) for vm in host.vms}
        self.asked = self.table.work(DAY_PACE)

    def told_of(self, host: Machine) -> tuple[Input, ...]:
        """Return what a host, its agent and its controller say now."""
        name, now = host.saved.name, self.now
        if self.down.get(name, 0.0) <= self.seconds:
            self.down.pop(name, None)
        is_up, is_on = name not in self.down, self.down.get(name, 0.0) < float("inf")
        agent = AgentState(name, is_up, now, hook=True, cordon_until=now.wall + 900.0 if name in self._shut else None,
                           emulators=len(host.vms))
        power = PowerSeen(name, PowerStatus(PowerState.ON if is_on else PowerState.OFF, f"uuid-of-{name}"), now)
        seen: tuple[Input, ...] = super().told_of(host) if is_up else (HostUnreachable(name, now, "off"),)
        return (*seen, agent, power)

    def switch(self, order: PowerOrder) -> None:
        """Do as a power order says; one without effect is as good as done."""
        host = self.hosts[order.host]
        self._returned.append(PowerReturned(order.id, order.host, CallResult.OK, "", self.now))
        self.down[order.host] = self.seconds + host.saved.boot_seconds if order.on else float("inf")

    def hold_shut(self, hosts: frozenset[HostName]) -> None:
        """Shut the hooks of these hosts, and open those of the others."""
        self._shut = hosts
