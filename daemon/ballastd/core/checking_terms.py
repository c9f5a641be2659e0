"""Is every move of a finished plan one that its intent may make: of a VM that may leave, to a host it may go to?

Asked of every plan, in production too, and written without the planner's columns and constraints: on the intents, the
ledger and what inventories show.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple

from ballastd.core.autonomy import grounds_of
from ballastd.core.books import DAY_SECONDS
from ballastd.core.checking_marks import check_marks
from ballastd.core.checking_rules import check_rules
from ballastd.core.intents import Fill, Intent, IntentKind
from ballastd.core.inventory import DeclaredHost, VmRecord
from ballastd.core.ledger import Ledger
from ballastd.core.plans import Move
from ballastd.core.policies import Cooldown, Health, Mode, MoveBudget, PolicySet
from ballastd.core.quantities import HostName, VmId
from ballastd.core.snapshot import Snapshot


class _Case(NamedTuple):
    """A move, what it is for, its VM and ends, and what the books say. ``wanted_by``: the host for whose sake it is made;
    ``record``: None of a VM that its source does not show; ``ordered``: routine moves of each VM within a day."""

    move: Move
    intent: Intent
    wanted_by: DeclaredHost
    target: DeclaredHost
    record: VmRecord | None
    ledger: Ledger
    wall: float
    ordered: Mapping[VmId, int]


def check_terms(snapshot: Snapshot, ledger: Ledger, intents: tuple[Intent, ...], policies: PolicySet, moves: tuple[Move, ...]
                ) -> tuple[str, ...]:
    """Return which moves do not keep to what their intent says, in words; empty if all do."""
    if not moves:
        return ()
    facts = {fact.declared.name: fact for fact in snapshot.facts}
    asked, wall = _Asked(intents), snapshot.now.wall
    told: list[tuple[Move, Intent]] = []
    wrong: list[str] = []
    ordered = Counter(order.vm for order in ledger.routine_orders if order.wall > wall - DAY_SECONDS)
    for move in moves:
        intent, source, target = asked.of(move), facts.get(move.source), facts.get(move.target)
        wanted_by = facts.get(move.wanted_by)
        if intent is None or wanted_by is None or source is None or target is None:
            wrong.append(f"{move.vm_name} {move.source} -> {move.target}: nobody asks for it")
            continue
        if move.room_for is not None and not intent.routine:
            # who makes room keeps to what routine moves keep to, whoever wants it
            intent = replace(intent, fill=_hot_marks(policies), cooldown=Cooldown(), budget=MoveBudget())
        told.append((move, intent))
        record = source.inventory.find(move.vm) if source.inventory else None
        case = _Case(move, intent, wanted_by.declared, target.declared, record, ledger, wall, ordered)
        wrong.extend(f"{move.vm_name} {move.source} -> {move.target}: {why}"
                     for question in QUESTIONS if (why := question(case)))
    wrong.extend(check_rules(snapshot, ledger, told, policies.placement))
    wrong.extend(check_marks(snapshot, ledger, told, policies))
    return tuple(wrong)


class _Asked:
    """What moves are for: the first that is asked of the host that wants them by their policy, or that their policy is to
    even out."""

    def __init__(self, intents: tuple[Intent, ...]) -> None:
        self._of_host: dict[tuple[str, HostName], Intent] = {}
        self._evening: dict[str, Intent] = {}
        for intent in intents:
            self._of_host.setdefault((intent.policy, intent.host), intent)
            if intent.kind is IntentKind.EVEN:
                self._evening.setdefault(intent.policy, intent)

    def of(self, move: Move) -> Intent | None:
        return self._of_host.get((move.policy, move.wanted_by)) or self._evening.get(move.policy)


def _hot_marks(policies: PolicySet) -> Fill | None:
    """Return above which shares a host would be hot by any policy, None where none says."""
    if not policies.balance:
        return None
    least = {"cpu": 1.0, "memory": 1.0, "network": 1.0}
    for edge in (edge for policy in policies.balance for edge in policy.hot):
        least[edge.resource] = min(edge.above, least.get(edge.resource, 1.0))
    return Fill(least["cpu"], least["memory"], least["network"])


def _is_what_it_says(case: _Case) -> str:
    """Budgets, windows and the failover reserve are asked of what a move says that it is."""
    move, intent = case.move, case.intent
    said = (move.routine, move.urgent, move.windows, move.reserve_waived)
    meant = (intent.routine or move.room_for is not None, intent.urgent, intent.windows, intent.severity is Health.FAILING)
    return "" if said == meant else f"says of itself {said}, and is for {meant}"


def _is_free_by_the_books(case: _Case) -> str:
    """An inventory may not show yet what was begun, and shows one of two that run."""
    open_one = case.ledger.open_migration_of(case.move.vm)
    if open_one is not None:
        return f"is on its way to {open_one.target} already"
    twice = [seen.vm_name for _, seen in sorted(case.ledger.duplicates.items()) if case.move.source in seen.hosts]
    return f"its source is left alone, where {twice[0]} runs a second time" if twice else ""


def _is_meant(case: _Case) -> str:
    """Its policy speaks of the VM, and no person said that it is to stay."""
    move, intent = case.move, case.intent
    if case.record is not None and not intent.vms.covers(case.record):
        return f"{intent.policy} speaks of other VMs"
    if intent.mode is not Mode.RECOMMEND:
        return ""
    no = case.ledger.autonomy.rejection(grounds_of(intent.policy, intent.reason, move.source, move.vm), case.wall)
    return "" if no is None else f"{no.by} did not want it moved"


def _is_outside_the_failing_domain(case: _Case) -> str:
    shared = [key for key in case.intent.avoid_labels if (value := case.wanted_by.label(key)) is not None
              and value == case.target.label(key)]
    return f"its target shares {shared[0]} with what fails" if shared else ""


def _is_not_emptied_next(case: _Case) -> str:
    return "its target is emptied next" if case.move.target in case.intent.next_hosts else ""


def _did_not_fail_lately(case: _Case) -> str:
    failed = any(one.target == case.move.target and not one.withheld and one.wall > case.wall - DAY_SECONDS
                 for one in case.ledger.failures.get(case.move.vm, ()))
    return "it failed there within a day" if failed else ""


def _has_rested(case: _Case) -> str:
    cooldown, budget = case.intent.cooldown, case.intent.budget
    moved = case.ledger.moved.get(case.move.vm, ())
    if cooldown is not None and moved:
        rests = cooldown.vm if moved[-1].policy else cooldown.foreign_move
        if case.wall < moved[-1].wall + rests:
            return f"was moved {case.wall - moved[-1].wall:.0f} s ago and rests for {rests:.0f} s"
    if budget is not None and case.ordered.get(case.move.vm, 0) >= budget.per_vm_per_day:
        return f"was moved {budget.per_vm_per_day} times within a day"
    return ""


def _does_not_go_back(case: _Case) -> str:
    """Who left a host before it was switched off, or kept on after all, may come back."""
    cooldown, host = case.intent.cooldown, case.move.target
    if cooldown is None:
        return ""
    kept = case.ledger.kept.get(host)
    begins = [case.wall - cooldown.no_return]
    if host in case.ledger.switched_on:
        begins.append(case.ledger.switched_on[host])
    if kept is not None:
        begins.append(kept.wall)
    left = any(one.source == host and one.wall > max(begins) for one in case.ledger.moved.get(case.move.vm, ()))
    return "goes back where it came from too soon" if left else ""


QUESTIONS: tuple[Callable[[_Case], str], ...] = (
    _is_what_it_says,
    _is_free_by_the_books,
    _is_meant,
    _is_outside_the_failing_domain,
    _is_not_emptied_next,
    _did_not_fail_lately,
    _has_rested,
    _does_not_go_back,
)
"""Each returns what is wrong with a move, empty if nothing is."""
