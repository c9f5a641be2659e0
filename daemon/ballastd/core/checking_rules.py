"""Does a finished plan keep the rules about where VMs may live, whichever of its moves end first?

Must-rules bind every move, should-rules those that are worth less than any wish. Written without the planner's columns: a
VM is wherever an inventory shows it, and wherever our own flights and the moves before take it; whether a rule speaks of it
is told by its record where it lives, whatever another host last showed of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from ballastd.core.books import OPERATOR
from ballastd.core.checking import HOLDS_NOTHING, place_of, row_of
from ballastd.core.intents import Intent, IntentKind
from ballastd.core.inventory import VmRecord
from ballastd.core.ledger import Ledger
from ballastd.core.plans import Move
from ballastd.core.policies import PlacementPolicy, Rule, VmSelector
from ballastd.core.quantities import HostName, VmId
from ballastd.core.snapshot import HostFacts, Snapshot

LESS_THAN_A_WISH = (IntentKind.EVEN, IntentKind.EMPTY)


def check_rules(snapshot: Snapshot, ledger: Ledger, moves: Sequence[tuple[Move, Intent]], rules: tuple[PlacementPolicy, ...]
                ) -> list[str]:
    """Return which rules are broken, in words. ``moves``: in the order of the plan, each with what it is for: of two that
    break a rule together the later one is to blame."""
    if not rules:
        return []
    census = _Census(snapshot, ledger)
    wrong: list[str] = []
    for move, intent in moves:
        record = census.record(move.vm)
        if record is None or not census.knows(move):
            continue
        for rule in rules:
            binds = rule.must or intent.kind in LESS_THAN_A_WISH
            if binds and rule.vms.covers(record) and census.breaks(rule, move):
                wrong.append(f"{move.vm_name} -> {move.target}: against {rule.name}")
        census.arrives(move.vm, move.target)
    return wrong


class _Census:
    """Who is where, or may come to be."""

    def __init__(self, snapshot: Snapshot, ledger: Ledger) -> None:
        self._snapshot = snapshot
        self._facts = {fact.declared.name: fact for fact in snapshot.facts}
        self._coming: dict[HostName, list[VmId]] = defaultdict(list)
        self._covered: dict[VmSelector, frozenset[VmId]] = {}
        self._places: dict[str, dict[str, list[HostFacts]]] = {}
        for migration in ledger.open_migrations():
            if migration.target in self._facts:
                self.arrives(migration.vm, migration.target)

    def knows(self, move: Move) -> bool:
        """Return whether both ends are declared."""
        return move.source in self._facts and move.target in self._facts

    def record(self, vm: VmId) -> VmRecord | None:
        """Return a VM, None of one that no host shows."""
        row = row_of(self._snapshot, vm)
        return None if row is None else self._snapshot.records[row]

    def arrives(self, vm: VmId, host: HostName) -> None:
        """Count a VM at a host too."""
        self._coming[host].append(vm)

    def breaks(self, rule: PlacementPolicy, move: Move) -> bool:
        """Return whether the move of a VM that a rule covers breaks it; one within a place changes nothing."""
        target = self._facts[move.target].declared
        if rule.rule is Rule.PINNED:
            return move.policy != OPERATOR
        if rule.rule in (Rule.ON, Rule.NEVER_ON):
            return rule.hosts.covers(target) is (rule.rule is Rule.NEVER_ON)
        there = place_of(target, rule.across)
        if there == place_of(self._facts[move.source].declared, rule.across):
            return False
        places = self._by_place(rule.across)
        if rule.rule is Rule.APART:
            return self._has_others(rule, move.vm, places[there])
        return any(self._has_others(rule, move.vm, hosts) for place, hosts in places.items() if place != there)

    def _has_others(self, rule: PlacementPolicy, vm: VmId, hosts: Iterable[HostFacts]) -> bool:
        """Return whether hosts have, or will have, another VM that a rule covers."""
        others = self._covers(rule.vms) - {vm}
        for fact in hosts:
            shown = fact.inventory.vms if fact.inventory else ()
            if any(one.vm in others and one.state not in HOLDS_NOTHING for one in shown):
                return True
            if not others.isdisjoint(self._coming.get(fact.declared.name, ())):
                return True
        return False

    def _covers(self, vms: VmSelector) -> frozenset[VmId]:
        if vms not in self._covered:
            self._covered[vms] = frozenset(record.vm for record in self._snapshot.records if vms.covers(record))
        return self._covered[vms]

    def _by_place(self, across: str) -> dict[str, list[HostFacts]]:
        if across not in self._places:
            places = self._places[across] = defaultdict(list)
            for fact in self._snapshot.facts:
                places[place_of(fact.declared, across)].append(fact)
        return self._places[across]
