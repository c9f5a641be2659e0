"""Intents in, plan out: which VM goes where. A pure function of the snapshot and the books.

One plan for all policies: evacuations first, worst severity first, then must-rules that are broken, then relief of all
hosts that a policy calls hot together, then wishes that are broken, then packing, then evenness; each sees what those
before it promised, so they cannot oppose one another. The finished plan goes through the independent checker before
anybody sees it.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from itertools import takewhile

from ballastd.core.checking import check_plan
from ballastd.core.checking_order import check_order
from ballastd.core.checking_terms import check_terms
from ballastd.core.checking_vcpus import check_vcpus
from ballastd.core.constraints import Terms
from ballastd.core.cooling import relieve
from ballastd.core.draft import UNCHARTED, Course, Draft, Stuck, begin
from ballastd.core.drafting import (
    add,
    candidates,
    copied_off,
    leave_out,
    no_target,
    terms_of,
    why_left_alone,
    why_left_out,
    why_vm_rests,
)
from ballastd.core.fitting import Fitting, Tries
from ballastd.core.intents import Intent, IntentKind
from ballastd.core.ledger import Ledger
from ballastd.core.levelling import even_out
from ballastd.core.making_room import make_room
from ballastd.core.migrations import ENDED_OPEN, Migration
from ballastd.core.plans import Plan, Refusal, RefusalKind
from ballastd.core.policies import EvacuationOrder, Mode, PolicySet
from ballastd.core.power import WAKE_TEST
from ballastd.core.quantities import HostName, VmId
from ballastd.core.repairing import repair
from ballastd.core.snapshot import Snapshot

MOVES_MAX = 1000


class PlanUnsound(ValueError):
    """The checker refused our own plan: our mistake, never carried out."""


def plan(snapshot: Snapshot, ledger: Ledger, intents: tuple[Intent, ...], policies: PolicySet,
         course: Course = UNCHARTED) -> Plan:
    """Return the moves that fulfil the intents in their order, and a refusal for each VM that cannot be placed. VMs
    that are moving already are left to their migrations. ``course``: of the last plan (``course_of``), which is kept
    where it is in progress, unless a new one is better by more than changing course costs.

    Raises:
        PlanUnsound: the independent checker found fault with the result.
    """
    if not intents:
        return Plan()
    draft = begin(snapshot, ledger, policies, course)
    planned: set[HostName] = set()
    for number, intent in enumerate(intents):
        if number and _rank(intent) != _rank(intents[number - 1]):
            make_room(draft)
        if intent.host in planned:
            continue
        if intent.kind is IntentKind.RELIEVE:
            together = [one for one in intents if one.kind is intent.kind and one.policy == intent.policy
                        and one.host not in planned]
            planned.update(one.host for one in together)
            relieve(draft, together)
            continue
        if intent.kind in _SAVES:
            together = _saved_with(intents[number:], planned)
            planned.update(one.host for one in together)
            _empty_hosts(draft, together)
            continue
        if intent.kind not in (IntentKind.EVEN, IntentKind.REPAIR):
            planned.add(intent.host)
        _FULFIL[intent.kind](draft, intent)
    make_room(draft)
    limits = policies.limits
    moves = tuple(draft.moves)
    wrong = (*check_plan(snapshot, moves, limits.failover_hosts, draft.packings, limits.failover_domain),
             *check_terms(snapshot, ledger, intents, policies, moves),
             *check_order(snapshot, ledger, moves, policies.placement),
             *check_vcpus(snapshot, ledger, moves, limits.vcpus_per_processor))
    if wrong:
        raise PlanUnsound("; ".join(wrong))
    return Plan(moves, tuple(draft.refusals))


def course_of(made: Plan) -> Course:
    """Return where a plan takes those who leave a failing or drained host, for the next one to keep to."""
    return {move.vm: move.target for move in made.moves if not move.routine}


def _saved_with(intents: Sequence[Intent], planned: Container[HostName]) -> list[Intent]:
    """Return the intents that empty hosts together: the first, and those right after it that are as urgent."""
    found: dict[HostName, Intent] = {}
    for one in takewhile(lambda one: one.kind in _SAVES and _rank(one) == _rank(intents[0]), intents):
        if one.host not in planned:
            found.setdefault(one.host, one)
    return list(found.values())


def _empty_hosts(draft: Draft, intents: Sequence[Intent]) -> None:
    """Plan the moves that empty hosts, each on top of those before it. Where somebody has no target then, places are looked
    for anew for all who leave these hosts, as far as they came by then: whoever had one keeps one, though maybe another."""
    base, tries = draft.copy(), Tries()
    for number, intent in enumerate(intents, 1):
        before = len(draft.stuck)
        _empty_host(draft, intent)
        if len(draft.stuck) > before:
            _fit(base, draft, intents[:number], [one.vm for (one,) in draft.stuck[before:]], tries)


def _fit(base: Draft, draft: Draft, intents: Sequence[Intent], stuck: Sequence[int], tries: Tries) -> None:
    """Have the draft place those who are stuck, all of them or one after the other, where that is possible together with
    whom it has placed since ``base``."""
    fitting = Fitting(base, intents, tries)
    hopeful = [vm for vm in stuck if fitting.has_place(vm)]
    if not hopeful:
        return
    placed = {vm: row for vm, row in draft.moved.items() if vm not in base.moved}
    wish = {**placed, **draft.course}
    for wanted in (hopeful, *([vm] for vm in hopeful if len(hopeful) > 1)):
        placed = fitting.places((*placed, *wanted), wish) or placed
        if all(vm in placed for vm in hopeful):
            break
    trial = base.copy()
    trial.picks = placed
    for intent in intents:
        _empty_host(trial, intent)
    if draft.moved.keys() < trial.moved.keys():
        trial.picks = base.picks
        draft.become(trial)


def _rank(intent: Intent) -> tuple[bool, bool]:
    """Return what comes before what as a whole: room is made for the first only once all of them were placed where room is,
    and before anything of the second takes any."""
    return intent.mode is not Mode.AUTO, intent.kind not in _MUST


def emptied(draft: Draft, intent: Intent) -> tuple[Draft, tuple[Refusal, ...]]:
    """Return a draft of its own on which the host of ``intent`` is emptied whole and counted on no more, and the first that
    keeps that from succeeding; empty: it would succeed."""
    trial, before = draft.copy(), len(draft.refusals)
    _empty_host(trial, intent, whole=True)
    return trial, tuple(trial.refusals[before:])


def _empty_host(draft: Draft, intent: Intent, *, whole: bool = False) -> None:
    """Plan the moves that empty a host. ``whole``: that the failover reserve would not hold without it, and the first VM
    that cannot leave, ends it."""
    before = len(draft.refusals)
    snapshot = draft.snapshot
    source = snapshot.row(intent.host)
    no = _why_host_cannot_be_emptied(draft, source)
    if no is not None:
        draft.refusals.append(no)
        return
    if whole and (no := leave_out(draft, intent)) is not None:
        draft.refusals.append(no)
        return
    terms = terms_of(intent, draft.policies)
    for vm in sorted(snapshot.vms_on(intent.host), key=lambda row: _leaving_key(draft, row, intent)):
        migration = draft.ledger.open_migration_of(snapshot.vms.ids[vm])
        if migration is not None:
            draft.refusals.extend(_why_unsettled(migration))
            continue
        if vm in draft.moved:
            continue
        if whole and len(draft.refusals) > before:
            return
        resting = why_vm_rests(draft, intent, vm) if intent.routine else why_left_out(draft, intent, vm)
        if snapshot.vm_why_not[vm]:
            draft.refusals.extend(Refusal(no.kind, no.detail, no.vm, intent.host) for no in snapshot.vm_why_not[vm])
        elif resting is not None:
            draft.refusals.append(resting)
        elif len(draft.moves) < MOVES_MAX:
            _place(draft, intent, terms, vm, source)
        else:
            draft.refusals.append(_why_too_many(snapshot.vms.ids[vm], intent.host))


def _why_too_many(vm: VmId, host: HostName) -> Refusal:
    return Refusal(RefusalKind.CEILING, f"a plan has {MOVES_MAX} moves at most: it comes in a later one", vm, host)


def _place(draft: Draft, intent: Intent, terms: Terms, vm: int, source: int) -> None:
    leave_out(draft, intent)
    ranked, noes = candidates(draft, terms, vm, source)
    if ranked:
        add(draft, intent, vm, source, ranked, noes)
        return
    no = no_target(draft, intent, vm, noes)
    draft.refusals.append(no)
    if intent.kind in _MUST and intent.policy != WAKE_TEST:
        draft.stuck.append((Stuck(intent, vm, no),))


def _why_unsettled(migration: Migration) -> tuple[Refusal, ...]:
    """Say why nothing is done about a VM whose last move is over but whose books cannot be closed."""
    if migration.phase not in ENDED_OPEN:
        return ()
    return (Refusal(RefusalKind.VM_BUSY, f"its move to {migration.target} is {migration.phase.value} and cannot be settled "
                    "until both ends are seen; cure: bring them back, or host confirm-dead for one that is",
                    migration.vm, migration.source),)


def _why_host_cannot_be_emptied(draft: Draft, source: int) -> Refusal | None:
    fact = draft.snapshot.facts[source]
    host = fact.declared.name
    if not fact.reachable:
        return Refusal(RefusalKind.HOST_UNREACHABLE, "its hypervisor does not answer, so nothing can leave it",
                       host=host)
    return why_left_alone(draft, host)


def _leaving_key(draft: Draft, vm: int, intent: Intent) -> tuple[int | str, ...]:
    snapshot, keys = draft.snapshot, list[int | str]()
    for order in intent.order:
        if order is EvacuationOrder.PRIORITY:
            keys.append(-int(snapshot.vms.priority[vm]))
        else:
            source = int(snapshot.vms.host[vm])
            # who never gets away keeps nobody waiting who does
            keys.extend(copied_off(draft, vm, source, routine=intent.routine))
    return (*keys, snapshot.records[vm].name, snapshot.vms.ids[vm])


_SAVES = frozenset({IntentKind.EVACUATE, IntentKind.DRAIN})
_MUST = frozenset({IntentKind.EVACUATE, IntentKind.DRAIN, IntentKind.REPAIR})
_FULFIL = {
    IntentKind.EMPTY: _empty_host,
    IntentKind.EVEN: even_out,
    IntentKind.REPAIR: repair,
}
