"""Machines as counters: hosts, their VMs and migrations, without event loop, ports or luck. What a mind that is driven by
hand is told of, and what its orders change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ballastd.core.inputs import CallReturned
from ballastd.core.inventory import HostInventory, JobKind, VmRecord, VmState, VmUsage
from ballastd.core.migrations import CallResult
from ballastd.core.plans import Order
from ballastd.core.quantities import MIB, Bytes, HostName, Instant, VmId
from ballastd.core.saved_cluster import SavedHost, SavedVm
from ballastd.sim.pages import free_pages

QUIET_PROCESSORS = 0.05
"""What a VM of which nothing is said uses."""


@dataclass(slots=True)
class Flight:
    """A migration under way. ``ends``: seconds on the table's clock; ``is_bad``: it fails then."""

    order: Order
    ends: float
    is_bad: bool = False


@dataclass(slots=True)
class Machine:
    """A host and what is on it. ``limit``: bytes that VMs may use; ``burn``: processors that each VM uses; ``network``:
    MiB/s that some of them carry over their network."""

    saved: SavedHost
    limit: int
    vms: dict[VmId, VmRecord] = field(default_factory=dict)
    burn: dict[VmId, float] = field(default_factory=dict)
    network: dict[VmId, float] = field(default_factory=dict)
    _shown: tuple[VmRecord, ...] = ()
    _free: Bytes = Bytes(0)

    def stock(self, vm: SavedVm) -> None:
        """Put a VM there."""
        self.vms[vm.record.vm] = vm.record
        self.burn[vm.record.vm] = vm.demand.high
        if vm.network_mib_s:
            self.network[vm.record.vm] = vm.network_mib_s

    def held(self) -> int:
        """Return how much memory is taken, bytes."""
        return sum(record.ordinary for record in self.vms.values() if record.state.holds_memory)

    def shown(self) -> tuple[tuple[VmRecord, ...], Bytes]:
        """Return its VMs as an inventory has them, and how much memory is free; the same as before while nothing changed."""
        vms = tuple([self.vms[vm] for vm in sorted(self.vms)])
        if vms != self._shown or not vms:
            self._shown, self._free = vms, Bytes(max(0, self.saved.memory_total - pooled(self.saved) - self.held()))
        return self._shown, self._free

    def asked(self) -> float:
        """Return how many processors its VMs ask for."""
        return sum(self.burning().values())

    def burning(self) -> dict[VmId, float]:
        """Return how many processors each VM that runs asks for."""
        burn = self.burn
        return {vm: burn.get(vm, QUIET_PROCESSORS) for vm, record in self.vms.items() if record.state.runs}


def usable(saved: SavedHost) -> int:
    """Return how much of a host's memory VMs may use, bytes."""
    declared = saved.declared
    if declared.memory_limit is not None:
        return min(declared.memory_limit, saved.memory_total) - pooled(saved)
    return saved.memory_total - declared.memory_reserve - pooled(saved)


def pooled(saved: SavedHost) -> int:
    """Return how much of a host's memory is set aside as huge pages, bytes."""
    return 0 if saved.hardware is None else saved.hardware.pooled


class Machines:
    """The hosts of a table, and what happens between two of them."""

    def __init__(self, hosts: Mapping[HostName, Machine]) -> None:
        self.flights: dict[VmId, Flight] = {}
        self._hosts = hosts
        self._spent: dict[VmId, float] = {}
        self._carried: dict[VmId, float] = {}

    def work(self, seconds: float) -> dict[HostName, float]:
        """Let the VMs use their processors for so long. What they ask for in vain they do not get. Return how many
        processors those of each host asked for."""
        all_asked: dict[HostName, float] = {}
        for host in self._hosts.values():
            burning = host.burning()
            all_asked[host.saved.name] = asked = sum(burning.values())
            part = seconds * (min(1.0, host.saved.cpus / asked) if asked > 0 else 1.0)
            for vm, burn in burning.items():
                self._spent[vm] = self._spent.get(vm, 0.0) + burn * part
            for vm in burning.keys() & host.network.keys():
                self._carried[vm] = self._carried.get(vm, 0.0) + host.network[vm] * MIB * seconds
        return all_asked

    def inventory(self, host: Machine, now: Instant, host_uuid: str) -> HostInventory:
        """Return what the host's hypervisor says now."""
        (vms, free), spent, carried = host.shown(), self._spent, self._carried
        usage = {record.vm: VmUsage(spent.get(record.vm, 0.0), network_bytes=int(carried.get(record.vm, 0.0)))
                 for record in vms if record.state.runs}
        return HostInventory(host.saved.name, now, now, host.saved.memory_total, free, host.saved.cpus, vms,
                             host_uuid=host_uuid, usage=usage, hardware=host.saved.hardware,
                             pages_free=free_pages(host.saved.hardware, vms))

    def begin(self, order: Order, ends: float, *, is_bad: bool = False) -> None:
        """Begin a migration, if the VM is there and in no other."""
        move = order.move
        source, target = self._hosts[move.source], self._hosts[move.target]
        if move.vm not in source.vms or move.vm in self.flights:
            return
        record = source.vms[move.vm]
        source.vms[move.vm] = replace(record, job=JobKind.OUTGOING)
        target.vms[move.vm] = replace(record, state=VmState.INCOMING, job=JobKind.INCOMING)
        self.flights[move.vm] = Flight(order, ends, is_bad)

    def abort(self, migration: str, seconds: float) -> None:
        """Let a migration fail at ``seconds``."""
        for flight in self.flights.values():
            if flight.order.id == migration:
                flight.is_bad, flight.ends = True, seconds

    def land(self, now: Instant) -> list[CallReturned]:
        """End every migration whose time has come; return what their calls say."""
        returns = []
        for vm, flight in list(self.flights.items()):
            move = flight.order.move
            source, target = self._hosts[move.source], self._hosts[move.target]
            if flight.ends > now.monotonic:
                continue
            del self.flights[vm], target.vms[vm]
            source.vms[vm] = replace(source.vms[vm], job=JobKind.NONE)
            if not flight.is_bad:
                self.transfer(vm, source, target)
            result = CallResult.ERROR if flight.is_bad else CallResult.OK
            returns.append(CallReturned(flight.order.id, result, "job failed" if flight.is_bad else "", now))
        return returns

    def transfer(self, vm: VmId, source: Machine, target: Machine) -> None:
        """Let the VM run at the target from now on, in no time."""
        target.vms[vm] = source.vms.pop(vm)
        target.burn[vm] = source.burn.pop(vm, QUIET_PROCESSORS)
        if vm in source.network:
            target.network[vm] = source.network.pop(vm)
        self._spent[vm] = self._carried[vm] = 0.0
