"""Does a plan hold in which moves wait for one another, in every order in which they may begin and end?

Written without what plans them: on plain sums, and on what each move says it waits for. A VM that waits may begin only
once those that it names have left its target, so the worst that a host ever holds is, for each set of departures, whoever
may come after no more than these have left, while nobody else has.
"""

from __future__ import annotations

from collections import defaultdict

from ballastd.core.checking import ordinary_of, room_left
from ballastd.core.ledger import Ledger
from ballastd.core.migrations import Migration, MigrationPhase
from ballastd.core.plans import Move
from ballastd.core.policies import PlacementPolicy, Rule
from ballastd.core.quantities import HostName, VmId
from ballastd.core.snapshot import Snapshot

SETS_MAX = 4096
"""Sets of departures that are held against a host's room; a plan with more of them is not proved."""

_LEAVES = (MigrationPhase.ORDERED, MigrationPhase.RUNNING, MigrationPhase.COMPLETED)
"""What failed, was aborted or is lost frees nothing: its VM may be where it was."""
_Departed = frozenset[VmId]


def check_order(snapshot: Snapshot, ledger: Ledger, moves: tuple[Move, ...], rules: tuple[PlacementPolicy, ...] = ()
                ) -> tuple[str, ...]:
    """Return what is wrong with how the moves of a plan wait for one another, in words; empty if nothing is."""
    wrong = [f"{move.vm_name}: makes room, and {rule.name} pins it" for move in moves if move.room_for is not None
             for rule in rules if rule.must and rule.rule is Rule.PINNED and _covers(snapshot, rule, move)]
    if not any(move.after for move in moves):
        return tuple(wrong)
    planned = {move.vm: move for move in moves}
    flying = _flying(ledger)
    for move in moves:
        for vm in move.after:
            first = planned.get(vm) or flying.get(vm)
            if first is None or first.source != move.target or vm == move.vm:
                wrong.append(f"{move.vm_name} waits for {vm}, which does not leave {move.target}")
    before = _all_before(planned)
    if before is None:
        return (*wrong, "moves wait for one another in a circle")
    return (*wrong, *_check_memory(snapshot, ledger, moves, before))


def _covers(snapshot: Snapshot, rule: PlacementPolicy, move: Move) -> bool:
    return any(record.vm == move.vm and rule.vms.covers(record) for record in snapshot.records)


def _all_before(planned: dict[VmId, Move]) -> dict[VmId, _Departed] | None:
    """Return whoever must have arrived before each move begins, those before them included; None where that is a circle."""
    before: dict[VmId, _Departed] = {}
    left = dict(planned)
    while left:
        ready = [vm for vm, move in left.items() if not any(other in left for other in move.after)]
        if not ready:
            return None
        for vm in ready:
            after = left.pop(vm).after
            before[vm] = frozenset(after).union(*(before.get(other, frozenset()) for other in after))
    return before


def _check_memory(snapshot: Snapshot, ledger: Ledger, moves: tuple[Move, ...], before: dict[VmId, _Departed]) -> list[str]:
    wrong: list[str] = []
    arriving: dict[HostName, list[Move]] = defaultdict(list)
    records = dict(zip(snapshot.vms.ids, snapshot.records, strict=True))

    def takes(move: Move) -> int:
        return move.memory if move.vm not in records else ordinary_of(records[move.vm])

    for move in moves:
        arriving[move.target].append(move)
    for row, fact in enumerate(snapshot.facts):
        host = fact.declared.name
        if not any(move.after for move in arriving[host]):
            continue
        sizes = _departing(snapshot, ledger, moves, row)
        sets: set[_Departed] = {frozenset()}
        for move in arriving[host]:
            # whoever else has to have arrived matters as well: it lets others of them begin
            sets |= {known | before[move.vm] for known in sets}
            if len(sets) > SETS_MAX:
                return [*wrong, f"{host}: too many moves wait there for it to be proved"]
        room = room_left(snapshot, row)
        for gone in sorted(sets, key=sorted):
            come = sum(takes(move) for move in arriving[host] if before[move.vm] <= gone)
            left = sum(sizes.get(vm, 0) for vm in gone)
            if come and come > room + left:
                wrong.append(f"{host}: {come} B arrive where {room} B are left and {left} B have been made")
                break
    return wrong


def _flying(ledger: Ledger) -> dict[VmId, Migration]:
    """Return what is on its way to somewhere else."""
    return {one.vm: one for one in ledger.open_migrations() if one.phase in _LEAVES}


def _departing(snapshot: Snapshot, ledger: Ledger, moves: tuple[Move, ...], row: int) -> dict[VmId, int]:
    """Return what each VM that leaves a host gives back there once it is gone, bytes: what it was counted for, so much as
    the inventory shows, or as is held for a flight that it does not show."""
    fact = snapshot.facts[row]
    host = fact.declared.name
    shown = {vm.vm: ordinary_of(vm) for vm in fact.inventory.vms if vm.state.holds_memory} if fact.inventory else {}
    backed = {record.vm: record.memory_max - ordinary_of(record) for record in snapshot.records if record.needs.backing}
    flights = {vm: one for vm, one in _flying(ledger).items() if one.source == host}
    held = {vm: max(0, one.memory - backed.get(vm, 0)) for vm, one in flights.items()}
    return {vm: shown.get(vm, held.get(vm, 0)) for vm in (*(move.vm for move in moves if move.source == host), *flights)}
