"""How a plan grows: the targets of a VM, the best first, and the one way to add a move.

Every target passes every constraint with all that was promised before counted in; the best of them is taken.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from ballastd.core.accounts import Worth
from ballastd.core.arrays import Floats, Ints
from ballastd.core.autonomy import grounds_of
from ballastd.core.books import HOUR_SECONDS, OPERATOR
from ballastd.core.constraints import Terms, Trial, planned_bandwidth, refusal, shut
from ballastd.core.convergence import ladder
from ballastd.core.draft import Candidate, Draft
from ballastd.core.intents import Intent
from ballastd.core.placement import penalty, rules_for
from ballastd.core.plans import Move, Refusal, RefusalKind
from ballastd.core.policies import EVERY_VM, Mode, PolicySet
from ballastd.core.prediction import Copy, Passage, foretell
from ballastd.core.quantities import Bytes, HostName, VmId, human_seconds
from ballastd.core.weighing import account_of, told_one_by_one, worth_of_leaving

RUNNERS_UP_SHOWN = 3
NOES_SHOWN = 3
NOBODY = -1
"""The row of no host."""
COURSE_POINTS = 1000
"""What changing course costs: by so many points another target has to be better than the one that the plan in progress has
for a VM. As much as a quarter of a host's memory, or one unit of a wish's weight."""
COURSE_OVER = 0.02
"""By so much of itself a host may come above its hot mark before a plan in progress leaves it for that: loads waver."""
PENALTY_POINTS = 1000
"""What one unit of a should-rule's weight costs, against terms that are worth a few thousand."""


def terms_of(intent: Intent, policies: PolicySet) -> Terms:
    """Return what moves for ``intent`` are made under."""
    limits = policies.limits
    return Terms(intent.avoid_labels, intent.saves_from_failing_host, limits.failover_hosts,
                 policies.placement, intent.policy == OPERATOR, intent.fill, intent.cooldown, intent.next_hosts,
                 intent.keeps_wishes, limits if intent.routine and not limits.may_slow(routine=True) else None,
                 shuns_risk=intent.routine,
                 vcpus_per_processor=None if intent.saves_from_failing_host else limits.vcpus_per_processor)


class Shortlist:
    """The targets of one VM, the best first; each is asked only when its turn comes, and only the failover reserve, the one
    constraint that costs, is left out. ``barred``: the rows of those that cannot take it, as far as was found out.

    What hosts said of processors or networks an hour ago they may say again: who was refused there tries all others first.
    Where nothing binds how full a target may become, those that would be hot then come after those that would not.

    ``worths``: what each host (by row) is worth as a target, which comes before its score then; those of no worth are not
    asked.
    """

    def __init__(self, draft: Draft, terms: Terms, vm: int, source: int, worths: Floats | None = None) -> None:
        self._draft, self._vm, self._source = draft, vm, source
        rules = rules_for(draft.snapshot, terms.rules, vm)
        self._terms = terms if len(rules) == len(terms.rules) else replace(terms, rules=rules)
        wanted = np.ones(len(draft.snapshot.facts), np.bool_) if worths is None else worths > 0
        wanted[source] = False
        closed = shut(draft.snapshot, vm, draft.promised, draft.shifted, draft.rerouted, terms.fill, draft.daily)
        self.barred: list[int] = np.flatnonzero(wanted & closed).tolist()
        rows = np.flatnonzero(wanted & ~closed)
        self._worths = np.zeros(len(rows)) if worths is None else worths[rows]
        self._rows, self._points, self._refusals = rows, draft.points(source)[rows], np.zeros(len(rows), np.int64)
        if any(rule.weight is not None for rule in self._terms.rules):
            broken = [penalty(self._terms.rules, draft.snapshot, draft.homes, vm, source, row) for row in rows.tolist()]
            self._points -= PENALTY_POINTS * np.array(broken, np.int64)
        self._risks = risk_points(draft, source)[rows] if terms.shuns_risk else np.zeros(len(rows), np.int64)
        self._points -= self._risks
        turned_away = times_turned_away(draft, vm)
        if turned_away:
            self._refusals[:] = [turned_away[draft.snapshot.hosts.names[row]] for row in rows.tolist()]
        self._picked = NOBODY
        self._over = draft.over(vm)[rows] if terms.fill is None else np.full(len(rows), -np.inf)
        # hosts stand in the order of their names, which decides among equals
        self._order = iter(np.lexsort((-self._points, -self._worths, self._over > 0, self._refusals)).tolist())

    def next(self) -> Candidate | None:
        """Return the best target that was not returned yet and passes, None where there is none."""
        for place in self._order:
            row = int(self._rows[place])
            if row == self._picked:
                continue
            if refusal(self._trial(row)) is None:
                return self._candidate(place)
            self.barred.append(row)
        return None

    def pick(self, row: int, *, over: float = 0.0) -> Candidate | None:
        """Return a host that somebody else chose as the target, if it passes; it comes no more then. ``over``: by how much
        it may be above its marks and is not called hot."""
        place = int(np.searchsorted(self._rows, row))
        if place == len(self._rows) or int(self._rows[place]) != row or refusal(self._trial(row)) is not None:
            return None
        self._picked = row
        return replace(self._candidate(place), is_picked=True, is_hot=bool(self._over[place] > over))

    def _candidate(self, place: int) -> Candidate:
        row = int(self._rows[place])
        return Candidate(int(self._points[place]), self._draft.snapshot.hosts.names[row], row, float(self._worths[place]),
                         int(self._refusals[place]), risk=int(self._risks[place]), is_hot=bool(self._over[place] > 0))

    def why_barred(self, most: int | None = None) -> list[Refusal]:
        """Return what keeps the VM from the first so many of the targets that cannot take it, by name, in the draft as it
        stands."""
        return [no for row in sorted(self.barred)[:most] if (no := refusal(self._trial(row))) is not None]

    def why_no_reserve(self, one: Candidate) -> Refusal | None:
        """Return why the failover reserve would not hold with the VM on a target, or None."""
        draft, terms = self._draft, self._terms
        if not terms.keeps_reserve:
            return None
        worse = draft.reserve.worse_after(int(draft.snapshot.vms.memory[self._vm]), one.row, self._source)
        if worse is None:
            return None
        return Refusal(RefusalKind.FAILOVER_RESERVE, worse.words(), draft.snapshot.vms.ids[self._vm],
                       draft.snapshot.hosts.names[one.row])

    def _trial(self, target: int) -> Trial:
        draft = self._draft
        return Trial(draft.snapshot, draft.ledger, self._vm, self._source, target, draft.promised, draft.shifted,
                     draft.rerouted, draft.moved, draft.homes, self._terms, draft.dirtying(self._vm), draft.daily)


def leave_out(draft: Draft, intent: Intent) -> Refusal | None:
    """Count on the host of an intent no more if others die, whatever becomes of its VMs. Return why the failover reserve
    would not hold for that, or None."""
    if not terms_of(intent, draft.policies).keeps_reserve:
        return None
    worse = draft.reserve.leave_out(draft.snapshot.row(intent.host))
    return None if worse is None else Refusal(RefusalKind.FAILOVER_RESERVE, f"without it, {worse.words()}",
                                              host=intent.host)


def best_of(targets: Shortlist, first: Candidate | None) -> tuple[list[Candidate], list[Refusal]]:
    """Return ``first`` and the targets after it that leave the failover reserve whole, a few, and what speaks against those
    that were asked before enough had passed."""
    kept: list[Candidate] = []
    noes: list[Refusal] = []
    one = first
    while one is not None:
        no = targets.why_no_reserve(one)
        if no is None:
            kept.append(one)
        else:
            noes.append(no)
        one = targets.next() if len(kept) <= RUNNERS_UP_SHOWN else None
    return kept, noes


def candidates(draft: Draft, terms: Terms, vm: int, source: int) -> tuple[list[Candidate], list[Refusal]]:
    """Return the best targets that would take the VM, the best first, and what speaks against others: against all of them
    where none would. Where its place was chosen together with those of others, that is the best; so is the one that the plan
    in progress has, unless another is worth changing course."""
    targets, row = Shortlist(draft, terms, vm, source), draft.picks.get(vm, draft.course.get(vm, NOBODY))
    chosen = None if row == NOBODY else targets.pick(row, over=COURSE_OVER)
    kept, noes = best_of(targets, targets.next())
    if chosen is not None and (no := targets.why_no_reserve(chosen)) is not None:
        chosen, noes = None, [*noes, no]
    if chosen is not None:
        kept = [chosen, *kept] if vm in draft.picks else _with_course(chosen, kept)
    return kept, [*targets.why_barred(NOES_SHOWN if kept else None), *noes]


def _with_course(chosen: Candidate, kept: list[Candidate]) -> list[Candidate]:
    """Return targets, the best first, with the one of the plan in progress before all that are no better by the cost of
    changing course."""
    stays = replace(chosen, is_picked=False)
    if not kept or not _is_worth_changing(stays, kept[0]):
        return [replace(stays, is_kept=bool(kept) and kept[0].points > stays.points), *kept]
    return sorted([*kept, stays], key=lambda one: (one.refusals, one.is_hot, -one.points, one.row))


def _is_worth_changing(stays: Candidate, best: Candidate) -> bool:
    mine, other = (stays.refusals, stays.is_hot), (best.refusals, best.is_hot)
    return other < mine or (other == mine and best.points > stays.points + COURSE_POINTS)


def times_turned_away(draft: Draft, vm: int) -> Counter[str]:
    """Return how often the VM was refused at the door of each host within the hour."""
    attempts = draft.ledger.recent_failures(draft.snapshot.vms.ids[vm], draft.snapshot.now.wall - HOUR_SECONDS)
    return Counter(attempt.target for attempt in attempts if attempt.withheld)


def add(draft: Draft, intent: Intent, vm: int, source: int, ranked: list[Candidate], noes: list[Refusal],
        worth: Worth | None = None) -> None:
    """Plan the move of a VM to the first of ``ranked``. ``noes``: what spoke against other targets; ``worth``: what it gains
    and costs, beside that its host is emptied."""
    ranked = _offered_first(draft, intent, vm, ranked)
    snapshot, best = draft.snapshot, ranked[0]
    memory, dirties = int(snapshot.vms.copied[vm]), draft.dirtying(vm)
    copy = copy_of(draft, vm, source, best.row, routine=intent.routine)
    if worth is None:
        worth = worth_of_leaving(intent.kind, memory, copy, _risk(draft, intent, vm, source, best.row))
    account = account_of(draft, source, ranked, worth)
    draft.move(vm, source, best.row)
    draft.moves.append(Move(
        vm=snapshot.vms.ids[vm], vm_name=snapshot.records[vm].name,
        source=snapshot.hosts.names[source],
        target=snapshot.hosts.names[best.row], memory=Bytes(memory),
        predicted=draft.calibration.foretold(copy.takes, snapshot.hosts.names[source], snapshot.hosts.names[best.row]),
        policy=intent.policy,
        because=f"{intent.because}; {worth.words}" if worth.words else intent.because, urgent=intent.urgent,
        reserve_waived=intent.saves_from_failing_host, windows=intent.windows, routine=intent.routine,
        runners_up=tuple(f"{c.name} ({c.points})" for c in ranked[1:1 + RUNNERS_UP_SHOWN]),
        why_not=tuple(f"{no.host}: {no.kind.value}: {no.detail}" for no in noes[:NOES_SHOWN]),
        account=account, dirties=dirties, copied=0 if dirties is None else copy.copied,
        ends=copy.ends,
    ))


def _offered_first(draft: Draft, intent: Intent, vm: int, ranked: list[Candidate]) -> list[Candidate]:
    """Return the targets with the one that a person was offered first, while it is among the best: a plan that changed its
    mind with every report could never be approved. Where its place was chosen together with those of others, that stands:
    somebody else may have no other."""
    offered = None if vm in draft.picks and ranked[0].is_picked else offered_target(draft, intent, vm)
    return ranked if offered is None else sorted(ranked, key=lambda one: one.name != offered)


def offered_target(draft: Draft, intent: Intent, vm: int) -> str | None:
    """Return where a VM goes by a recommendation that stands, None where there is none."""
    if intent.mode is not Mode.RECOMMEND:
        return None
    snapshot, (key, host) = draft.snapshot, _name_and_home(draft, vm)
    return draft.ledger.autonomy.offered_target(intent.policy, host, key, snapshot.now.wall)


def why_left_out(draft: Draft, intent: Intent, vm: int) -> Refusal | None:
    """Return why an intent is not about a VM: its policy speaks of others, or a person said no."""
    snapshot, wall = draft.snapshot, draft.snapshot.now.wall
    key, host = _name_and_home(draft, vm)
    if intent.vms is not EVERY_VM and not intent.vms.covers(snapshot.records[vm]):
        return Refusal(RefusalKind.SCOPE, f"{intent.policy} speaks of other VMs ({intent.vms.words()})", key, host)
    if intent.mode is not Mode.RECOMMEND:
        return None
    no = draft.ledger.autonomy.rejection(grounds_of(intent.policy, intent.reason, host, key), wall)
    if no is None:
        return None
    return Refusal(RefusalKind.REJECTED, f"{no.by} did not want it moved for this reason; not recommended again for "
                   f"{human_seconds(no.until_wall - wall)}", key, host)


def _name_and_home(draft: Draft, vm: int) -> tuple[VmId, HostName]:
    """Return what offers and rejections of a VM (row) are booked under: its id and the host that it would leave, which need
    not be the one that its intent is about."""
    return draft.snapshot.vms.ids[vm], draft.snapshot.hosts.names[int(draft.snapshot.vms.host[vm])]


def copy_of(draft: Draft, vm: int, source: int, target: int, *, routine: bool) -> Copy:
    """Return how the memory of a VM would travel between two hosts (rows), beside what is on its way there now: by the sum
    alone, but for the standstill, which is told as it is foretold."""
    snapshot, limits, dirties = draft.snapshot, draft.policies.limits, draft.dirtying(vm)
    steps = ladder(limits, snapshot.records[vm].downtime_max_ms)
    over = Passage(planned_bandwidth(snapshot, source, target, limits.link_share),
                   float(snapshot.hosts.link_mib_s[[source, target]].min()), steps[0], steps[-1],
                   limits.may_slow(routine=routine))
    copy = foretell(int(snapshot.vms.copied[vm]), over, None if dirties is None else dirties.mib_s)
    if copy.downtime is None:
        return copy
    names = snapshot.hosts.names
    return replace(copy, downtime=draft.calibration.downtime(copy.downtime, names[source], names[target]))


def copied_off(draft: Draft, vm: int, source: int, *, routine: bool) -> tuple[bool, int]:
    """Return whether it is known that copying a VM off its host never ends by itself, over the fastest link that another
    host has to it, and the bytes that are copied then."""
    if draft.dirtying(vm) is None:
        return False, int(draft.snapshot.vms.copied[vm])
    hosts = draft.snapshot.hosts
    share = np.where(hosts.target, hosts.link_mib_s / (hosts.jobs_in + 1), 0.0)
    share[source] = -1.0
    copy = copy_of(draft, vm, source, int(np.argmax(share)), routine=routine)
    return not copy.ends, copy.copied


def risk_of(draft: Draft, vm: int, source: int, target: int) -> float:
    """Return how many times as much a routine move costs as one of a VM and of hosts of which nothing bad is known."""
    return draft.attempts(vm) * draft.risk(source, target)


def risk_points(draft: Draft, source: int) -> Ints:
    """Return, by host, the points that a routine move there costs for how moves from the source went lately."""
    points: Ints = np.zeros(len(draft.snapshot.hosts.names), np.int64)
    name = draft.snapshot.hosts.names[source]
    risky = {target: one.risk for (start, target), one in draft.calibration.pairs.items()
             if start == name and one.risk > 1.0}
    if risky:
        points[:] = [round(PENALTY_POINTS * (risky.get(target, 1.0) - 1.0)) for target in draft.snapshot.hosts.names]
    return points


def _risk(draft: Draft, intent: Intent, vm: int, source: int, target: int) -> float:
    return risk_of(draft, vm, source, target) if intent.routine else 1.0


def no_target(draft: Draft, intent: Intent, vm: int, noes: list[Refusal]) -> Refusal:
    """Return one refusal that sums up why no host takes the VM: counts per kind, the first three in full, and each."""
    counts = Counter(no.kind.value for no in noes)
    summed = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
    shown = "; ".join(f"{no.host}: {no.detail}" for no in noes[:3])
    detail = f"{summed} ({shown})" if noes else "there is no other host"
    return Refusal(RefusalKind.NO_TARGET, detail, draft.snapshot.vms.ids[vm], intent.host, told_one_by_one(draft, noes))


def why_vm_rests(draft: Draft, intent: Intent, vm: int) -> Refusal | None:
    """Return why a VM is left in peace by routine moves, or None."""
    snapshot, key = draft.snapshot, draft.snapshot.vms.ids[vm]
    left_out = why_left_out(draft, intent, vm)
    if left_out is not None:
        return left_out
    if snapshot.vm_why_not[vm]:
        return snapshot.vm_why_not[vm][0]
    if vm in draft.moved or bool(snapshot.vms.busy[vm]):
        return Refusal(RefusalKind.VM_BUSY, "is moving already", key, intent.host)
    if np.isnan(float(snapshot.vms.cpu[vm])):
        return Refusal(RefusalKind.LOAD_UNKNOWN, "what it uses is not known yet", key, intent.host)
    return why_moved_enough(draft, intent, vm)


def why_left_alone(draft: Draft, host: HostName) -> Refusal | None:
    """Return why nothing is done to a host, whatever asks for it: a VM runs there a second time."""
    for _, seen in sorted(draft.ledger.duplicates.items()):
        if host in seen.hosts:
            return Refusal(RefusalKind.HOST_FROZEN, f"{seen.vm_name} was seen running on {' and '.join(seen.hosts)}; "
                           "nothing is done to either", host=host)
    return None


def why_moved_enough(draft: Draft, intent: Intent, vm: int) -> Refusal | None:
    """Return why a VM that was moved rests by what the intent keeps to, or None."""
    snapshot, ledger = draft.snapshot, draft.ledger
    key, now = snapshot.vms.ids[vm], snapshot.now.wall
    last, cooldown = ledger.last_moved(key), intent.cooldown
    if last is not None and cooldown is not None:
        rest = cooldown.vm if last.policy else cooldown.foreign_move
        if now < last.wall + rest:
            hand = "paused by somebody on its way" if last.source == last.target else "moved by somebody else"
            who = f"moved by {last.policy}" if last.policy else hand
            return Refusal(RefusalKind.COOLDOWN, f"{who} {human_seconds(now - last.wall)} ago, rests for "
                           f"{human_seconds(rest)}", key, intent.host)
    budget = intent.budget
    if budget is not None and draft.routine_today[key] >= budget.per_vm_per_day:
        return Refusal(RefusalKind.COOLDOWN, f"was moved {budget.per_vm_per_day} times within a day", key, intent.host)
    return None
