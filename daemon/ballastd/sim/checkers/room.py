"""Room: memory at both ends at every instant, a failure that the rest can carry, and rules about company."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf

from ballastd.core.acts import Act
from ballastd.core.inventory import DeclaredHost
from ballastd.core.plans import Order
from ballastd.core.quantities import HostName, VmId
from ballastd.sim.checkers.base import Checker
from ballastd.sim.jobs import SimulatedHost
from ballastd.sim.pages import free_pages, take
from ballastd.sim.world import World

NOTICED_SECONDS = 120.0
"""What others do must have been noticed by then."""


def place_of(host: DeclaredHost, across: str) -> str:
    """Return where a host is: itself, or the value of a label; one without the label is a place of its own."""
    value = None if across == "host" else host.label(across)
    return f"host {host.name}" if value is None else f"{across}={value}"


def limit_of(declared: DeclaredHost, known: SimulatedHost) -> int:
    """Return the bytes of ordinary memory that VMs may use."""
    most = known.memory_total - declared.memory_reserve
    if declared.memory_limit is not None:
        most = min(declared.memory_limit, known.memory_total)
    return most - (known.memory_total - known.ordinary_total)


def _held_on(known: SimulatedHost) -> int:
    return sum(record.ordinary for record in known.vms.values() if record.state.holds_memory)


class Memory(Checker):
    """What VMs hold, and what is on its way in, fits into what a host may give them. Strangers may overfill a host, and
    one may have been so from the beginning."""

    rule = "memory"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._overfilled: set[HostName] = set()

    def begin(self) -> None:
        self._overfilled.update(host.name for host in self.world.declared.hosts if self._is_overfilled(host.name))

    def _is_overfilled(self, host: HostName) -> bool:
        known = self.world.host(host)
        return _held_on(known) > known.ordinary_total

    def acted(self, act: Act) -> None:
        if act.do in ("carry", "start"):
            self._overfilled.add(HostName(act.target or act.host))

    def changed(self, host: HostName) -> None:
        if self._is_overfilled(host) and host not in self._overfilled:
            known = self.world.host(host)
            self.complain(f"{host} holds {_held_on(known)} bytes of {known.ordinary_total}")

    def migrating(self, order: Order) -> None:
        declared, known = self.declared(order.move.target), self.world.host(order.move.target)
        limit = limit_of(declared, known)
        held = _held_on(known)
        record = self.world.host(order.move.source).vms.get(order.move.vm)
        more = order.move.memory if record is None else record.ordinary
        if held + more > limit:
            self.complain(f"{order.move.vm_name} makes {order.move.target} hold {held + more} bytes; VMs may use {limit}")
        there = [one for one in known.vms.values() if one.vm != order.move.vm]
        if record is not None and record.needs.backing and not take(
                dict(free_pages(known.hardware, there) or {}), record.needs):
            self.complain(f"{order.move.vm_name} goes to {order.move.target}, which has not the huge pages for it")


class Overcommit(Checker):
    """No move gives a host more virtual processors for each of its own than Limits say, but off a failing host. Where
    strangers brought some within the last minutes, nobody can have known."""

    rule = "overcommit"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._brought: dict[HostName, float] = {}

    def acted(self, act: Act) -> None:
        if act.do in ("carry", "start"):
            self._brought[HostName(act.target or act.host)] = self.now

    def migrating(self, order: Order) -> None:
        most, target = self.policies.limits.vcpus_per_processor, order.move.target
        if most is None or order.move.reserve_waived or self.now < self._brought.get(target, -inf) + NOTICED_SECONDS:
            return
        known, record = self.world.host(target), self.world.host(order.move.source).vms.get(order.move.vm)
        there = {one.vm: one.vcpus for one in known.vms.values() if one.state.holds_memory}
        there[order.move.vm] = 1 if record is None else record.vcpus
        has = self.declared(target).cpu_limit or float(known.cpus)
        if sum(there.values()) > most * has:
            self.complain(f"{order.move.vm_name} makes {sum(there.values())} virtual processors on {target}, which has "
                          f"{has:g}; at most {most:g} for each")


class FailoverReserve(Checker):
    """After a routine move, or a host going off, the rest could still carry what any one failure domain has: by
    bounds that no packing can beat, all of it together and its largest VM alone."""

    rule = "failover"

    def migrating(self, order: Order) -> None:
        move = order.move
        if move.reserve_waived or self.policies.limits.failover_hosts == 0 or not move.routine:
            return
        shifted = self._held()
        shifted[move.source] = [size for vm, size in self._sizes(move.source) if vm != move.vm]
        shifted[move.target] = [*shifted[move.target], *(size for vm, size in self._sizes(move.source) if vm == move.vm)]
        if worse := self._uncarried(shifted) - self._uncarried(self._held()):
            self.complain(f"after moving {move.vm_name} nobody could carry what {', '.join(sorted(worse))} has")

    def switching(self, host: HostName, *, on: bool) -> None:
        if on or self.policies.limits.failover_hosts == 0:
            return
        before = self._held()
        after = {name: sizes for name, sizes in before.items() if name != host}
        if worse := self._uncarried(after) - self._uncarried(before):
            self.complain(f"with {host} off nobody could carry what {', '.join(sorted(worse))} has")

    def _sizes(self, host: HostName) -> list[tuple[VmId, int]]:
        return [(record.vm, record.ordinary) for record in self.world.host(host).vms.values()
                if record.state.holds_memory]

    def _held(self) -> dict[HostName, list[int]]:
        return {host.name: [size for _, size in self._sizes(host.name)] for host in self.world.declared.hosts
                if self.world.host(host.name).powered}

    def _uncarried(self, held: Mapping[HostName, list[int]]) -> set[str]:
        room = {host: max(0, self._limit(host) - sum(sizes)) for host, sizes in held.items()}
        domains: dict[str, list[HostName]] = {}
        for host in held:
            domains.setdefault(place_of(self.declared(host), self.policies.limits.failover_domain), []).append(host)
        found = set()
        for name, dying in domains.items():
            sizes = [size for host in dying for size in held[host]]
            others = [free for host, free in room.items() if host not in dying]
            if sum(sizes) > sum(others) or max(sizes, default=0) > max(others, default=0):
                found.add(name)
        return found

    def _limit(self, host: HostName) -> int:
        return limit_of(self.declared(host), self.world.host(host))
