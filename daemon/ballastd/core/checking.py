"""Does a finished plan hold, at every instant and in any order in which its moves may start and end?

Asked of every plan, in production too, and written without the planner's columns and constraints: on plain sums over what
inventories show.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Container, Mapping, Sequence

from ballastd.core.checking_hardware import check_hardware
from ballastd.core.inventory import DeclaredHost, JobKind, Mobility, VmRecord, VmState
from ballastd.core.plans import Move
from ballastd.core.quantities import HostName, VmId
from ballastd.core.reserve import Packing
from ballastd.core.snapshot import HostFacts, Snapshot

HOLDS_NOTHING = (VmState.SHUTOFF, VmState.CRASHED)


def check_plan(snapshot: Snapshot, moves: tuple[Move, ...], failover_hosts: int = 1,
               packings: Sequence[Packing] = (), failover_domain: str = "host") -> tuple[str, ...]:
    """Return what is wrong with a finished plan, in words; empty if it holds in every order and instant. ``packings``: where
    the planner says that the VMs of each failure domain would go if it died, in the order of their first hosts;
    ``failover_domain``: what dies together, ``host`` or a label."""
    wrong: list[str] = []
    facts = {fact.declared.name: fact for fact in snapshot.facts}
    arriving: dict[HostName, int] = defaultdict(int)
    shown = _shown(snapshot, {move.vm for move in moves})
    seen: set[VmId] = set()
    for move in moves:
        name = f"{move.vm_name} {move.source} -> {move.target}"
        if move.vm in seen:
            wrong.append(f"{name}: moved twice in one plan")
        seen.add(move.vm)
        source, target = facts.get(move.source), facts.get(move.target)
        if source is None or target is None or source is target:
            wrong.append(f"{name}: source and target must be two declared hosts")
            continue
        record = source.inventory.find(move.vm) if source.inventory else None
        if record is None or record.state is not VmState.RUNNING or record.pins or record.job is not JobKind.NONE:
            wrong.append(f"{name}: not a free, running, unpinned VM at its source")
        elif record.ignored or record.mobility is not Mobility.LIVE:
            wrong.append(f"{name}: its owner does not want it moved live")
        elif shown[move.vm] > 1:
            wrong.append(f"{name}: {shown[move.vm]} hosts show it")
        elif record.memory_max != move.memory:
            wrong.append(f"{name}: reserves {move.memory} B for a VM of {record.memory_max} B")
        if not source.reachable:
            wrong.append(f"{name}: its source does not answer")
        if target.avoid or not target.fresh or not target.reachable or target.health > 0:
            wrong.append(f"{name}: the target may not receive")
        if not move.after:
            arriving[move.target] += move.memory if record is None else ordinary_of(record)
    wrong.extend(_check_memory(snapshot, arriving))
    wrong.extend(check_hardware(snapshot, moves))
    if failover_hosts and any(not move.reserve_waived for move in moves):
        wrong.extend(_check_failover(snapshot, moves, packings, failover_domain))
    return tuple(wrong)


def _shown(snapshot: Snapshot, vms: Container[VmId]) -> Counter[VmId]:
    """Return how many hosts show each of these VMs active, whatever they answer now."""
    return Counter(vm.vm for fact in snapshot.facts for vm in (fact.inventory.vms if fact.inventory else ())
                   if vm.vm in vms and vm.state not in HOLDS_NOTHING)


def _check_memory(snapshot: Snapshot, arriving: dict[HostName, int]) -> list[str]:
    wrong: list[str] = []
    for row, fact in enumerate(snapshot.facts):
        extra = arriving.get(fact.declared.name, 0)
        if extra and extra > (room := room_left(snapshot, row)):
            wrong.append(f"{fact.declared.name}: {extra} B arrive where {room} B are left with everything in flight")
    return wrong


def room_left(snapshot: Snapshot, row: int) -> int:
    """Return what a host has left of its memory, with everything in flight there, bytes; 0 of one that shows nothing."""
    fact = snapshot.facts[row]
    if fact.inventory is None:
        return 0
    reserve = 0 if fact.declared.memory_limit is not None else int(fact.declared.memory_reserve)
    # never more than the machine itself has left
    return min(limit_of(fact) - held_by(fact), fact.inventory.memory_free - reserve) - int(snapshot.hosts.reserved[row])


def held_by(fact: HostFacts) -> int:
    """Return the bytes of ordinary memory that the VMs of a host hold by their maximum; 0 of one that shows nothing."""
    vms = [vm for vm in fact.inventory.vms if vm.state not in HOLDS_NOTHING] if fact.inventory else []
    backings = [one for vm in vms for one in vm.needs.backing]
    if not backings:
        return sum(ordinary_of(vm) for vm in vms)
    # more of a size than is set aside of it comes from ordinary memory, whatever definitions say; 0 takes what others leave
    over, left = 0, _pools_of(fact)
    for size in sorted({one.size for one in backings}, reverse=True):
        due = sum(one.memory for one in backings if one.size == size)
        met = min(due, _pools_of(fact, size) if size else left)
        over, left = over + due - met, left - met
    return sum(ordinary_of(vm) for vm in vms) + over


def ordinary_of(record: VmRecord) -> int:
    """Return the bytes that a VM may take of ordinary memory."""
    backing = record.needs.backing
    return max(0, record.memory_max - sum(one.memory for one in backing)) if backing else record.memory_max


def limit_of(fact: HostFacts) -> int:
    """Return the bytes of ordinary memory that VMs may hold on a host; 0 of one that shows nothing."""
    if fact.inventory is None:
        return 0
    if fact.declared.memory_limit is None:
        return max(0, fact.inventory.memory_total - fact.declared.memory_reserve - _pools_of(fact))
    return max(0, min(fact.declared.memory_limit, fact.inventory.memory_total) - _pools_of(fact))


def _pools_of(fact: HostFacts, size: int | None = None) -> int:
    """Return the bytes that are set aside for huge pages, of one size or of all."""
    hardware = fact.inventory.hardware if fact.inventory else None
    pools = () if hardware is None else hardware.pools
    return sum(pool.size * pool.total for pool in pools if size in (None, pool.size))


def row_of(snapshot: Snapshot, vm: VmId) -> int | None:
    """Return the row of a VM, None of one that no host shows."""
    ids = snapshot.vms.ids
    row = bisect_left(ids, vm)
    return row if row < len(ids) and ids[row] == vm else None


def place_of(host: DeclaredHost, across: str) -> str:
    """Return the place that a host is in: itself, or what a label of it says."""
    label = None if across == "host" else host.label(across)
    return host.name if label is None else f"{across}={label}"


def _check_failover(snapshot: Snapshot, moves: tuple[Move, ...], packings: Sequence[Packing], across: str) -> list[str]:
    """Hold the packings that the planner shows against plain sums: for each domain, were it to die once all has arrived,
    they name every VM that is in it then, and take from nobody more than he has left. What they leave over may be no more
    than a first fit leaves over without the plan; of a plan that may use the reserve that is not asked."""
    dies: dict[str, set[int]] = defaultdict(set)
    for row, fact in enumerate(snapshot.facts):
        dies[place_of(fact.declared, across)].add(row)
    if len(packings) != len(dies):
        return ["nothing shows where VMs would go if a host died"]
    rows = {fact.declared.name: row for row, fact in enumerate(snapshot.facts)}
    goes = {move.vm: rows[move.target] for move in moves if move.target in rows}
    room = [0 if fact.avoid else room_left(snapshot, row) for row, fact in enumerate(snapshot.facts)]
    left = room.copy()
    each = [ordinary_of(record) for record in snapshot.records]
    size_of = dict(zip(snapshot.vms.ids, each, strict=True))
    for move in moves:
        if move.target in rows:
            left[rows[move.target]] -= size_of.get(move.vm, move.memory)
    waived = any(move.reserve_waived for move in moves)
    before, after = _living(snapshot, each, {}), _living(snapshot, each, goes)
    wrong: list[str] = []
    for (name, dying), packing in zip(dies.items(), packings, strict=True):
        sizes = [size for row in dying for size in after[row]]
        why = _why_not_packed(sizes, packing, left, dying)
        if why:
            wrong.append(f"if {name} died: {why}")
        lost = sum(packing.lost)
        if waived or not lost:
            continue
        known = _first_fit([size for row in dying for size in before[row]], room, dying)
        if lost > known and _first_fit(sizes, left, dying) > known:
            wrong.append(f"if {name} died: {lost} B would be stranded, {known} B without the plan")
    return wrong


def _living(snapshot: Snapshot, sizes: Sequence[int], goes: Mapping[VmId, int]) -> list[list[int]]:
    """Return the bytes of the VMs that live on each host once some have gone to other rows, of the ``sizes`` of all; those
    that have none but huge pages are left out, for which nobody looks for room."""
    living: list[list[int]] = [[] for _ in snapshot.facts]
    for vm, home, size in zip(snapshot.vms.ids, snapshot.vms.host.tolist(), sizes, strict=True):
        if size:
            living[goes.get(vm, home)].append(size)
    return living


def _why_not_packed(sizes: list[int], packing: Packing, left: list[int], dying: set[int]) -> str:
    if sorted((*(size for size, _ in packing.placed), *packing.lost)) != sorted(sizes):
        return "not every VM is packed"
    takes: dict[int, int] = defaultdict(int)
    for size, row in packing.placed:
        takes[row] += size
    if not dying.isdisjoint(takes):
        return "its VMs are packed onto itself"
    over = next((row for row, taken in takes.items() if taken > left[row]), None)
    return "" if over is None else f"{takes[over]} B are packed where {left[over]} B are left"


def _first_fit(sizes: list[int], room: list[int], dying: set[int]) -> int:
    """Return the bytes of ``sizes`` that find no place when the largest goes first, each into the first host with room."""
    left, lost = [0 if row in dying else most for row, most in enumerate(room)], 0
    for size in sorted(sizes, reverse=True):
        place = next((row for row, most in enumerate(left) if most >= size), None)
        if place is None:
            lost += size
        else:
            left[place] -= size
    return lost
