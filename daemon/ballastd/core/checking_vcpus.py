"""Does a finished plan give no host more virtual processors for each of its own than Limits say?

A part of ``checking``, and written without the planner's columns: on plain sums over what inventories and the ledger show.
"""

from __future__ import annotations

from collections.abc import Sequence

from ballastd.core.inventory import VmState
from ballastd.core.ledger import Ledger
from ballastd.core.migrations import HOLDS_SOURCE, HOLDS_TARGET
from ballastd.core.plans import Move
from ballastd.core.quantities import VmId
from ballastd.core.snapshot import HostFacts, Snapshot

_HOLDS_NOTHING = (VmState.SHUTOFF, VmState.CRASHED)


def check_vcpus(snapshot: Snapshot, ledger: Ledger, moves: Sequence[Move], most: float | None) -> tuple[str, ...]:
    """Return which moves give their target too many, in words. ``most``: for each processor of its own, None: as many as
    there are. Each move is held against all that is there, in flight or comes before it in the plan, and takes nothing off
    the host that it leaves; those off a failing host may go anywhere, and count."""
    if most is None or not moves:
        return ()
    hosts = {fact.declared.name: fact for fact in snapshot.facts}
    sizes = {record.vm: record.vcpus for record in snapshot.records}
    given = {name: _given(fact, ledger, sizes) for name, fact in hosts.items()}
    wrong: list[str] = []
    for move in moves:
        if move.target not in hosts:
            continue  # ``checking`` says so
        given[move.target] += sizes.get(move.vm, 1)
        has = hosts[move.target].load.limit
        if given[move.target] > most * has and not move.reserve_waived:
            wrong.append(f"{move.vm_name} -> {move.target}: {given[move.target]} virtual processors for {has:g}, at most "
                         f"{most:g} for each")
    return tuple(wrong)


def _given(fact: HostFacts, ledger: Ledger, sizes: dict[VmId, int]) -> int:
    """Return the virtual processors of whoever is on a host, or may be."""
    shown = fact.inventory.vms if fact.inventory else ()
    there = {record.vm: record.vcpus for record in shown if record.state not in _HOLDS_NOTHING}
    for flight in ledger.open_migrations():
        ends = {flight.source if flight.phase in HOLDS_SOURCE else "", flight.target if flight.phase in HOLDS_TARGET else ""}
        if fact.declared.name in ends:
            there.setdefault(flight.vm, sizes.get(flight.vm, 1))
    return sum(there.values())
