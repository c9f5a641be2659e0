"""Rules about where VMs may live: what a move would break, at any instant of it.

A VM in flight counts at both ends, and nothing that leaves a host makes room for a rule in the same plan. So a
must-rule that says *together* also holds while its VMs move: they cannot, one after the other; *should* can.
"""

from __future__ import annotations

from collections.abc import Mapping

from ballastd.core.ledger import Ledger
from ballastd.core.policies import PlacementPolicy, Rule, VmSelector
from ballastd.core.snapshot import Snapshot

Occupied = Mapping[int, frozenset[int]]
"""The host rows that each VM row occupies, or is about to."""


def occupied(snapshot: Snapshot, ledger: Ledger, moved: Mapping[int, int]) -> dict[int, frozenset[int]]:
    """Return where each VM is or may be before this plan is done: wherever an inventory shows it, a stranger's
    migration included, and where our own flights and this plan take it. ``moved``: VM row -> host row by this plan."""
    rows = {name: row for row, name in enumerate(snapshot.hosts.names)}
    index = {vm: row for row, vm in enumerate(snapshot.vms.ids)}
    at = dict(enumerate(snapshot.cast.seen_at))
    for migration in ledger.open_migrations():
        if migration.target in rows and migration.vm in index:
            vm = index[migration.vm]
            at[vm] = at[vm] | {rows[migration.target]}
    for vm, row in moved.items():
        at[vm] = at[vm] | {row}
    return at


def place(snapshot: Snapshot, host: int, across: str) -> str:
    """Return the place a host is in: itself, or the value of a label. One without the label is a place of its own."""
    declared = snapshot.facts[host].declared
    if across == "host":
        return declared.name
    value = declared.label(across)
    return f"host {declared.name}" if value is None else f"{across}={value}"


def broken(rule: PlacementPolicy, snapshot: Snapshot, homes: Occupied, vm: int, source: int, target: int) -> str | None:
    """Return in words what moving ``vm`` (rows) would break of ``rule``, None if nothing. A move that leaves a rule
    as broken as it was does not break it."""
    if vm not in members(snapshot, rule.vms):
        return None
    declared = snapshot.facts[target].declared
    match rule.rule:
        case Rule.PINNED:
            return f"{rule.name} pins it where it is"
        case Rule.ON:
            return None if rule.hosts.covers(declared) else f"{rule.name} allows it only on other hosts"
        case Rule.NEVER_ON:
            return f"{rule.name} keeps it off this host" if rule.hosts.covers(declared) else None
        case _:
            return _broken_company(rule, snapshot, homes, vm, source, target)


def _broken_company(rule: PlacementPolicy, snapshot: Snapshot, homes: Occupied, vm: int, source: int,
                    target: int) -> str | None:
    there, here = place(snapshot, target, rule.across), place(snapshot, source, rule.across)
    if there == here:
        return None
    for other in sorted(members(snapshot, rule.vms)):
        record = snapshot.records[other]
        if other == vm:
            continue
        places = {place(snapshot, host, rule.across) for host in homes[other]}
        if rule.rule is Rule.APART and there in places:
            return f"{rule.name} keeps it apart from {record.name}, which is in {there}"
        if rule.rule is Rule.TOGETHER and places != {there}:
            return f"{rule.name} keeps it together with {record.name}, which is in {' and '.join(sorted(places))}"
    return None


def members(snapshot: Snapshot, selector: VmSelector) -> frozenset[int]:
    """Return the rows of the VMs that ``selector`` covers."""
    known = snapshot.cast.members
    if selector not in known:
        known[selector] = frozenset(row for row, record in enumerate(snapshot.records) if selector.covers(record))
    return known[selector]


def rules_for(snapshot: Snapshot, rules: tuple[PlacementPolicy, ...], vm: int) -> tuple[PlacementPolicy, ...]:
    """Return the rules that speak of a VM (row)."""
    return tuple([rule for rule in rules if vm in members(snapshot, rule.vms)])


def must_refusal(rules: tuple[PlacementPolicy, ...], snapshot: Snapshot, homes: Occupied, vm: int, source: int,
                 target: int, *, by_operator: bool) -> str | None:
    """Return the first must-rule that a move would break, in words. An operator's own moves pass pins."""
    for rule in rules:
        if not rule.must or (by_operator and rule.rule is Rule.PINNED):
            continue
        why = broken(rule, snapshot, homes, vm, source, target)
        if why is not None:
            return why
    return None


def wish_refusal(rules: tuple[PlacementPolicy, ...], snapshot: Snapshot, homes: Occupied, vm: int, source: int,
                 target: int) -> str | None:
    """Return the first should-rule that a move would break, in words."""
    said = (broken(rule, snapshot, homes, vm, source, target) for rule in rules if not rule.must)
    return next((why for why in said if why is not None), None)


def penalty(rules: tuple[PlacementPolicy, ...], snapshot: Snapshot, homes: Occupied, vm: int, source: int,
            target: int) -> int:
    """Return the summed weights of the should-rules that a move would break."""
    return sum(rule.weight for rule in rules
               if rule.weight is not None and broken(rule, snapshot, homes, vm, source, target) is not None)
