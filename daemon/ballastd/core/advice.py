"""Where a new VM would best live, and how many more of its kind fit: on the last picture of the cluster, by the policies.

Nothing is created, and nothing is kept for whoever asked. A host is offered when it may receive, has the memory, would not
be hot with the VM, nor is by its network already, breaks no must-rule, and leaves room for the failure of a host, or of a
whole failure domain; the offers begin with the one that stays the emptiest. What is against a host is said with its numbers.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from math import ceil, inf

from ballastd.core.domains import domains
from ballastd.core.inventory import DeclaredHost, VmRecord, VmState
from ballastd.core.plans import RefusalKind
from ballastd.core.policies import PlacementPolicy, PolicySet, Rule
from ballastd.core.quantities import Bytes, HostName, VmId, human_bytes
from ballastd.core.reserve import Reserve
from ballastd.core.views import ClusterView, HostView

HOLDS_NO_MEMORY = frozenset({VmState.SHUTOFF.value, VmState.CRASHED.value})
_KINDS = frozenset(kind.value for kind in RefusalKind)
REFUSALS_SHOWN = 8
RESERVES_ASKED = 20
"""So many of the best hosts are asked what may fail then: the one question whose price grows with the cluster."""
COUNTED_MAX = 10_000
"""More VMs of a shape are not counted."""
HOSTS_PACKED_MAX = 20_000
"""How much is tried, beside an even spread, to find room for more while room is kept: VMs times hosts."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A VM that does not exist yet. ``processors``: what it will use at its busier times; ``memory``: bytes, its maximum.
    ``name``, ``tags``, ``group``: what policies would know it by."""

    processors: float
    memory: int
    name: str = ""
    tags: tuple[str, ...] = ()
    group: str = ""

    def record(self) -> VmRecord:
        """Return it as an inventory would show it."""
        return VmRecord(VmId(""), self.name, VmState.RUNNING, Bytes(self.memory), self.vcpus, tags=self.tags,
                        group=self.group)

    @property
    def vcpus(self) -> int:
        """How many virtual processors it needs to use so many."""
        return max(1, ceil(self.processors))


@dataclass(frozen=True, slots=True)
class Offer:
    """A host for the shape. ``cpu_after``, ``memory_after``: shares of what VMs may use, with the VM on it; ``cpu_after``
    None where the host's load is not known, ``memory_after`` where its memory is not. ``why_not``: what is against it, each
    as kind and detail; empty: it is offered.
    ``but``: should-rules that would be broken, whose weights are the ``penalty``, and what nobody knows."""

    host: str
    cpu_after: float | None
    memory_after: float | None
    why_not: tuple[tuple[str, str], ...] = ()
    but: tuple[str, ...] = ()
    penalty: int = 0

    @property
    def is_offered(self) -> bool:
        """Whether nothing is against it."""
        return not self.why_not


@dataclass(frozen=True, slots=True)
class Capacity:
    """How many more VMs of a shape fit: at all, and with room kept for a failure as Limits say; no more are counted than
    ``COUNTED_MAX``. ``failover_hosts``, ``failover_domain``: how many may fail, 0 where no room is kept, and of what: hosts
    or a label. ``stops``: what is against the next, kind and number of hosts; ``examples``: the same of some hosts, in
    words; ``reserve_stops``: what is against the next while room is kept, of some hosts, where that is less; empty where it
    is less only because counting took too long."""

    fits: int
    fits_with_reserve: int
    failover_hosts: int
    failover_domain: str
    stops: tuple[tuple[str, int], ...]
    examples: tuple[str, ...]
    reserve_stops: tuple[str, ...] = ()


@dataclass(slots=True)
class _Room:
    """A host as it would be with some more VMs on it. ``sizes``: bytes of ordinary memory of each."""

    seen: HostView
    declared: DeclaredHost
    hot_cpu: tuple[float, str]
    hot_memory: tuple[float, str]
    vms: list[VmRecord]
    added: int = 0
    sizes: list[int] = field(default_factory=list)
    vcpus: int = field(init=False)

    def __post_init__(self) -> None:
        self.vcpus = sum(vm.vcpus for vm in self.vms)

    def add(self, shape: Shape) -> None:
        """Put one more there."""
        self.added += 1
        self.vms.append(shape.record())
        self.vcpus += shape.vcpus
        self.sizes.append(shape.memory)

    def memory_share(self, shape: Shape) -> float | None:
        """How much of its memory is taken with one more; None where it is not known."""
        return self.memory_after(shape) / self.seen.memory_limit if self.seen.memory_limit > 0 else None

    def memory_after(self, shape: Shape) -> int:
        held = self.seen.memory_used + self.seen.memory_reserved
        return held + (self.added + 1) * shape.memory

    def memory_left(self, shape: Shape) -> int:
        return self.seen.memory_room - self.added * shape.memory

    def cpu_after(self, shape: Shape) -> float | None:
        used = self.seen.cpu_by_vms
        if used is None or self.seen.cpu_limit <= 0:
            return None
        return (used + (self.added + 1) * shape.processors) / self.seen.cpu_limit

    def fullness(self, shape: Shape) -> float:
        """The scarcer resource's share with one more, as far as it is known."""
        memory = self.memory_share(shape)
        return max(self.cpu_after(shape) or 0.0, inf if memory is None else memory)


def rank(view: ClusterView, policies: PolicySet, shape: Shape) -> tuple[Offer, ...]:
    """Return every host: first those that are offered, the one that breaks least and stays the emptiest before others."""
    rooms = _rooms(view, policies)
    by_name = {room.seen.name: room for room in rooms}

    def order(offer: Offer) -> tuple[bool, int, float, str]:
        return not offer.is_offered, offer.penalty, by_name[offer.host].fullness(shape), offer.host

    offers = sorted((_offer(room, rooms, policies, shape) for room in rooms), key=order)
    if policies.limits.failover_hosts:
        reserve, rows = _reserve(rooms, policies, shape), {room.seen.name: row for row, room in enumerate(rooms)}
        unasked = f"whether a {policies.limits.failover_domain} may fail then was not looked at"
        for index, offer in enumerate(offers):
            if offer.is_offered:
                offers[index] = (_with_reserve(offer, reserve, rows[offer.host], shape) if index < RESERVES_ASKED
                                 else replace(offer, but=(*offer.but, unasked)))
    return tuple(sorted(offers, key=order))


def capacity(view: ClusterView, policies: PolicySet, shape: Shape) -> Capacity:
    """Return how many more VMs of a shape fit, spread over the hosts as ``rank`` would spread them."""
    rooms = _rooms(view, policies)
    fits = _spread(rooms, policies, shape, COUNTED_MAX)
    stops = Counter[str]()
    examples: list[str] = []
    for room in rooms if fits < COUNTED_MAX else ():
        why = next(_why_not(room, rooms, policies, shape), None)
        if why is not None:
            stops[why[0].value] += 1
            if len(examples) < REFUSALS_SHOWN:
                examples.append(f"{room.seen.name}: {why[1]}")
    reserved, against = (fits, ()) if not policies.limits.failover_hosts else _with_room_kept(view, policies, shape, fits)
    return Capacity(fits, reserved, policies.limits.failover_hosts, policies.limits.failover_domain,
                    tuple(stops.most_common()), tuple(examples), against)


def _with_room_kept(view: ClusterView, policies: PolicySet, shape: Shape, fits: int) -> tuple[int, tuple[str, ...]]:
    """Return how many of those that fit leave room for a failure, and what is against one more: an even spread of as many
    as may be, and then each where ``rank`` would offer it."""
    before = _reserve(_rooms(view, policies), policies, shape).packings
    low, high = 0, fits
    while low < high:
        middle = (low + high + 1) // 2
        tried = _rooms(view, policies)
        _spread(tried, policies, shape, middle)
        after = _reserve(tried, policies, shape).packings
        holds = all(now.stranded <= then.stranded for now, then in zip(after, before, strict=True))
        low, high = (middle, high) if holds else (low, middle - 1)
    rooms = _rooms(view, policies)
    count = _spread(rooms, policies, shape, low)
    for _ in range(min(fits - count, HOSTS_PACKED_MAX // max(1, len(rooms)))):
        row, against = _keeping(rooms, policies, shape)
        if row is None:
            return count, against
        rooms[row].add(shape)
        count += 1
    return count, _keeping(rooms, policies, shape)[1] if count < fits else ()


def _keeping(rooms: list[_Room], policies: PolicySet, shape: Shape) -> tuple[int | None, tuple[str, ...]]:
    """Return the emptiest host on which one more leaves room for a failure, else None and what is against some of them."""
    able = [row for row, room in enumerate(rooms) if next(_why_not(room, rooms, policies, shape), None) is None]
    reserve, against = _reserve(rooms, policies, shape), []
    for row in sorted(able, key=lambda row: rooms[row].fullness(shape))[:RESERVES_ASKED]:
        worse = reserve.worse_after(shape.memory, row)
        if worse is None:
            return row, ()
        against.append(f"{rooms[row].seen.name}: {worse.words()}")
    return None, tuple(against[:REFUSALS_SHOWN])


def _rooms(view: ClusterView, policies: PolicySet) -> list[_Room]:
    living: dict[str, list[VmRecord]] = {}
    sizes: dict[str, list[int]] = {}
    for vm in view.vms:
        if vm.state not in HOLDS_NO_MEMORY:
            living.setdefault(vm.host, []).append(
                VmRecord(VmId(vm.id), vm.name, VmState.RUNNING, Bytes(vm.memory), vm.vcpus, tags=vm.tags, group=vm.group))
            sizes.setdefault(vm.host, []).append(vm.memory - vm.huge_pages)
    _add_who_is_coming(view, living)
    rooms = []
    for host in view.hosts:
        declared = DeclaredHost(HostName(host.name), "", labels=host.labels)
        cpu = _edge(policies, declared, "cpu")
        memory = _edge(policies, declared, "memory")
        rooms.append(_Room(host, declared, cpu, memory, living.get(host.name, []), sizes=sizes.get(host.name, [])))
    return rooms


def _add_who_is_coming(view: ClusterView, living: dict[str, list[VmRecord]]) -> None:
    """Add those that are on their way to a host and not shown there yet: for rules they are at both ends."""
    known = {vm.vm: vm for vms in living.values() for vm in vms}
    for migration in view.migrations:
        there = living.setdefault(migration.target, [])
        if migration.settled_wall is None and migration.vm in known and all(vm.vm != migration.vm for vm in there):
            there.append(known[VmId(migration.vm)])


def _edge(policies: PolicySet, host: DeclaredHost, resource: str) -> tuple[float, str]:
    """Return above which share of a resource a policy calls the host hot, and which: the lowest of all."""
    found = [(edge.above, policy.name) for policy in policies.balance if policy.scope.covers(host)
             for edge in policy.hot if edge.resource == resource]
    return min(found, default=(1.0, ""))


def _spread(rooms: list[_Room], policies: PolicySet, shape: Shape, most: int | None) -> int:
    """Put VMs of a shape on hosts, each on the emptiest that takes it; return how many."""
    waiting = [(room.fullness(shape), index) for index, room in enumerate(rooms)]
    heapq.heapify(waiting)
    count = 0
    while waiting and (most is None or count < most):
        _, index = heapq.heappop(waiting)
        room = rooms[index]
        if next(_why_not(room, rooms, policies, shape), None) is None:
            room.add(shape)
            count += 1
            heapq.heappush(waiting, (room.fullness(shape), index))
    return count


def _offer(room: _Room, rooms: list[_Room], policies: PolicySet, shape: Shape) -> Offer:
    why = [(kind.value, detail) for kind, detail in _why_not(room, rooms, policies, shape)]
    broken = [rule for rule in policies.placement if not rule.must and _against(rule, room, rooms, shape)]
    but = [f"{rule.name}: {_against(rule, room, rooms, shape)}" for rule in broken]
    cpu = room.cpu_after(shape)
    if cpu is None and room.seen.memory_limit > 0:
        but.append("what its processors do is not known")
    if room.seen.network_limit is not None and room.seen.network_by_vms is None:
        but.append("what its VMs' network carries is not known")
    penalty = sum(rule.weight or 0 for rule in broken)
    return Offer(room.seen.name, cpu, room.memory_share(shape), tuple(why), tuple(but), penalty)


def _with_reserve(offer: Offer, reserve: Reserve, row: int, shape: Shape) -> Offer:
    """Return the offer, with what is against it where the VM would take the room that a failure needs."""
    worse = reserve.worse_after(shape.memory, row)
    return offer if worse is None else replace(offer, why_not=((RefusalKind.FAILOVER_RESERVE.value, worse.words()),))


def _why_not(room: _Room, rooms: list[_Room], policies: PolicySet, shape: Shape) -> Iterator[tuple[RefusalKind, str]]:
    seen = room.seen
    if not seen.target:
        yield from map(_told_against, seen.why_not or ("nothing may be placed there now",))
    share = room.memory_share(shape)
    if share is None:
        if seen.target:
            yield RefusalKind.MEMORY, "how much memory it has is not known"
    elif shape.memory > room.memory_left(shape):
        left = human_bytes(max(0, room.memory_left(shape)))
        yield RefusalKind.MEMORY, f"needs {human_bytes(shape.memory)}, has {left} left"
    else:
        edge, policy = room.hot_memory
        if share > edge:
            words = f"{policy} calls more than {edge:.0%} hot"
            yield RefusalKind.LOAD, f"{_above(share, edge)} of its memory would be used; {words}"
    cpu, (edge, policy) = room.cpu_after(shape), room.hot_cpu
    if cpu is not None and cpu > edge:
        words = f"{policy} calls more than {edge:.0%} hot" if policy else "it has no more"
        yield RefusalKind.LOAD, f"{_above(cpu, edge)} of its processors would be used; {words}"
    most, given = policies.limits.vcpus_per_processor, room.vcpus + shape.vcpus
    if most is not None and given > most * seen.cpu_limit:
        yield RefusalKind.OVERCOMMIT, (f"{given} virtual processors would be there for {seen.cpu_limit:g} of its own, at "
                                       f"most {most:g} for each")
    network, least = seen.network_share_least, "" if seen.network_share is not None else "at least "
    if network is not None:
        edge, policy = _edge(policies, room.declared, "network")
        if network > edge:
            words = f"{policy} calls more than {edge:.0%} hot" if policy else "it carries no more"
            yield RefusalKind.LOAD, f"{least}{_above(network, edge)} of its VMs' network is used already; {words}"
    for rule in policies.placement:
        if rule.must and (why := _against(rule, room, rooms, shape)):
            yield RefusalKind.PLACEMENT, f"{rule.name}: {why}"


def _above(share: float, edge: float) -> str:
    """Return a share that is above an edge so that it reads as above it."""
    told = f"{share:.0%}"
    return told if told != f"{edge:.0%}" else f"a little more than {told}"


def _told_against(words: str) -> tuple[RefusalKind, str]:
    """Return what speaks against a host as its view tells it, by kind."""
    kind, colon, detail = words.partition(": ")
    return (RefusalKind(kind), detail) if colon and kind in _KINDS else (RefusalKind.HOST_NOT_HEALTHY, words)


def _against(rule: PlacementPolicy, room: _Room, rooms: list[_Room], shape: Shape) -> str:
    """Return what of a rule the VM would break there, in words; empty: nothing."""
    if not rule.vms.covers(shape.record()):
        return ""
    covered = rule.hosts.covers(room.declared)
    if rule.rule is Rule.ON:
        return "" if covered else "it allows such VMs only on other hosts"
    if rule.rule is Rule.NEVER_ON:
        return "it keeps such VMs off this host" if covered else ""
    if rule.rule not in (Rule.APART, Rule.TOGETHER):
        return ""
    here = _place_of(rule, room)
    mates = [(vm, _place_of(rule, other)) for other in rooms for vm in other.vms if rule.vms.covers(vm)]
    if rule.rule is Rule.APART:
        near = next((vm for vm, place in mates if place == here), None)
        return f"{near.name or 'another of this shape'} is in {here} already" if near is not None else ""
    far = next(((vm, place) for vm, place in mates if place != here), None)
    return f"{far[0].name or 'another of this shape'} is in {far[1]}" if far is not None else ""


def _place_of(rule: PlacementPolicy, room: _Room) -> str:
    value = None if rule.across == "host" else room.declared.label(rule.across)
    return f"host {room.seen.name}" if value is None else f"{rule.across}={value}"


def _reserve(rooms: list[_Room], policies: PolicySet, shape: Shape) -> Reserve:
    """Return where the VMs of each failure domain would go if it died."""
    cut = domains([room.declared for room in rooms], policies.limits.failover_domain)
    sizes = [[size for row in rows for size in rooms[row].sizes] for rows in cut.rows]
    return Reserve(cut, [max(0, room.memory_left(shape)) if room.seen.target else 0 for room in rooms], sizes)
