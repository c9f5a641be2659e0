"""What policies that only recommend would do, offered to people; and what became of what they approved.

The plan of every step is the judge: an approved move begins only if the same move is in it, and within every limit that
binds a policy in mode auto. What is not in the plan any more lapses, and says why.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field

from ballastd.core import autonomy_events as au
from ballastd.core import events as ev
from ballastd.core.admission import window_deferral
from ballastd.core.autonomy import SWITCH_OFF, Offer, recommendation_id
from ballastd.core.books import DAY_SECONDS
from ballastd.core.calibration import calibrated
from ballastd.core.intents import Intent, IntentKind, Wants
from ballastd.core.ledger import Ledger
from ballastd.core.notices import Notice
from ballastd.core.plans import Move, Order, Plan, RefusalKind
from ballastd.core.policies import Mode, PolicySet
from ballastd.core.quantities import HostName, Instant, Seconds, VmId, human_seconds
from ballastd.core.snapshot import Snapshot
from ballastd.core.views import DemotionView, RecommendationView, RejectionView

OFFERS_MAX = 200
"""So many recommendations stand at once: nobody reads more."""
Why = Callable[[Offer], str]


@dataclass(frozen=True, slots=True)
class Followed:
    """``events`` to book. ``approved``: the VMs whose planned moves a person approved, with the id."""

    events: tuple[au.AutonomyEvent, ...] = ()
    notices: tuple[Notice, ...] = ()
    approved: dict[VmId, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Suggested:
    """What ought to be switched off by a policy that only recommends (``host`` None: nothing now), and why not."""

    policy: str = ""
    host: HostName | None = None
    because: str = ""
    memory: int = 0
    why_not: str = ""

    @property
    def id(self) -> str:
        """The id of its content."""
        return "" if self.host is None else switch_off_id(self.policy, self.host, self.memory)


def move_id(move: Move, intent: Intent) -> str:
    """Return the id of a recommended move."""
    return recommendation_id(move.policy, intent.reason, move.source, move.vm, move.target, move.memory)


def switch_off_id(policy: str, host: HostName, memory: int) -> str:
    """Return the id of the recommendation to empty a host and switch it off. ``memory``: what its VMs have, bytes."""
    return recommendation_id(policy, SWITCH_OFF, host, VmId(""), HostName(""), memory)


def ordered(order: Order, ledger: Ledger, approved: str, wall: float) -> ev.MigrationOrdered:
    """Return the record of an order. ``approved``: the id under which a person approved it, empty where nobody had to."""
    move, offer = order.move, ledger.autonomy.offers.get(approved)
    known = calibrated(ledger.settled, wall)
    stands = known.downtime(order.downtime_reckoned_ms, move.source, move.target)
    return ev.MigrationOrdered(
        wall, order.id, move.vm, move.vm_name, move.source, move.target, move.memory, order.bandwidth_mib_s, move.policy,
        move.because, wall + order.deadline, known.foretold(order.reckoned, move.source, move.target),
        retry=len(ledger.recent_failures(move.vm, wall - DAY_SECONDS)), routine=move.routine,
        urgent=move.urgent, runners_up=move.runners_up, why_not=move.why_not, saving=move.reserve_waived,
        recommendation=approved, approved_by=offer.approved_by if offer else "",
        downtime_ms=order.downtime_ms, auto_converge=order.auto_converge, post_copy=order.post_copy,
        reckoned=order.reckoned, downtime_reckoned_ms=order.downtime_reckoned_ms,
        downtime_predicted_ms=None if stands is None else round(stands, 1))


class Recommendations:
    """Remembers what this run has seen in a plan: what it has not yet, after a restart, is waited for. And what the last
    plan had: nothing else can be approved."""

    def __init__(self) -> None:
        self._seen: dict[str, None] = {}
        self._moves: frozenset[str] = frozenset()
        self._switches: frozenset[str] = frozenset()

    @property
    def current(self) -> frozenset[str]:
        """The ids of what the last plan would do."""
        return self._moves | self._switches

    def follow(self, plan: Plan, intents: tuple[Intent, ...], policies: PolicySet, ledger: Ledger, lasts: Seconds,
               snapshot: Snapshot, *, held: bool) -> Followed:
        """Return what becomes of offers of moves in this step. ``held``: a gate stands, so nothing is offered, and an
        absence proves nothing. ``lasts``: how long a new offer stands."""
        wants = Wants(intents)
        planned: dict[str, tuple[Move, Intent]] = {}
        now = snapshot.now
        for move in plan.moves:
            intent = wants.of(move.wanted_by, move.policy, routine=move.routine, makes_room=move.room_for is not None)
            # what waits for room is offered once it is there
            if intent.mode is Mode.RECOMMEND and not move.after:
                planned[move_id(move, intent)] = (move, intent)
        offers = [offer for offer in ledger.autonomy.offers.values() if offer.vm]
        lapsed = self._lapsed(offers, planned, now, held, lambda offer: _why_absent(offer, plan, intents, snapshot))
        gone = {event.id for event in lapsed}
        approved = {offer.vm: offer.id for offer in offers
                    if offer.approved_by and offer.id in planned and offer.id not in gone}
        self._see(planned, ledger)
        self._moves = frozenset(planned)
        made: list[au.Recommended] = []
        room = OFFERS_MAX - sum(1 for offer in ledger.autonomy.offers.values() if now.wall < offer.until_wall)
        for key, (move, intent) in () if held else planned.items():
            stands = ledger.autonomy.open_offer(key, now.wall) is not None and key not in gone
            if len(made) < room and not stands and window_deferral(move, policies, now.wall) is None:
                made.append(au.Recommended(now.wall, key, move.policy, intent.reason, move.source, move.because, lasts,
                                           move.vm, move.vm_name, move.target, move.memory, move.room_for or au.NO_HOST))
        return Followed((*lapsed, *made), (*_told_lapses(lapsed), *_told_offers(made)), approved)

    def follow_switching(self, suggested: Suggested | None, ledger: Ledger, lasts: Seconds, now: Instant, *,
                         held: bool) -> Followed:
        """Return what becomes of offers to switch a host off. ``suggested``: what this step would, None where it did not
        look."""
        offers = [offer for offer in ledger.autonomy.offers.values() if offer.reason == SWITCH_OFF]
        planned = {suggested.id: suggested} if suggested is not None and suggested.host is not None else {}
        why = suggested.why_not if suggested is not None else ""
        lapsed = self._lapsed(offers, planned, now, held or suggested is None,
                              lambda _: why or "nothing asks for it any more")
        self._see(planned, ledger)
        if suggested is not None:
            self._switches = frozenset(planned)
        gone = {event.id for event in lapsed}
        made = [au.Recommended(now.wall, key, one.policy, SWITCH_OFF, one.host, one.because, lasts)
                for key, one in planned.items() if one.host is not None and not held
                and (ledger.autonomy.open_offer(key, now.wall) is None or key in gone)]
        return Followed((*lapsed, *made), (*_told_lapses(lapsed), *_told_offers(made)))

    def _see(self, planned: Iterable[str], ledger: Ledger) -> None:
        self._seen = {key: None for key in self._seen if key in ledger.autonomy.offers} | dict.fromkeys(planned)

    def _lapsed(self, offers: list[Offer], planned: Mapping[str, object], now: Instant, held: bool,
                why: Why) -> list[au.ApprovalLapsed]:
        found: list[au.ApprovalLapsed] = []
        for offer in offers:
            if not offer.approved_by:
                continue
            absent = offer.id not in planned
            if now.wall >= offer.until_wall:
                detail = f"it was not begun within {human_seconds(offer.seconds)}"
                detail += f": {why(offer)}" if absent else ""
            elif absent and not held and offer.id in self._seen:
                detail = why(offer)
            else:
                continue
            found.append(au.ApprovalLapsed(now.wall, offer.id, offer.words(), detail))
        return found


def _why_absent(offer: Offer, plan: Plan, intents: tuple[Intent, ...], snapshot: Snapshot) -> str:
    """Return why a move that was approved is not in the plan."""
    why_gone = _why_not_there(offer, snapshot)
    if why_gone:
        return why_gone
    other = next((move for move in plan.moves if move.vm == offer.vm), None)
    if other is not None and (other.source, other.target) != (offer.source, offer.target):
        return f"the plan now moves it from {other.source} to {other.target}"
    if other is not None and other.policy != offer.policy:
        return f"{other.policy} moves it now"
    wanted = [intent for intent in intents if intent.policy == offer.policy and (
        intent.host in (offer.wanted_by, other.wanted_by if other else "") or intent.kind is IntentKind.EVEN)]
    if not wanted:
        return f"{offer.policy} no longer asks for anything to leave {offer.wanted_by}"
    if all(intent.mode is not Mode.RECOMMEND for intent in wanted):
        return f"{offer.policy} is in mode {wanted[0].mode.value} now"
    if other is not None and other.after:
        return "it has to wait for room there now"
    if other is not None or all(intent.reason != offer.reason for intent in wanted):
        return f"its reason or its memory changed: {wanted[0].because}"
    # what another policy has to say of it is no reason of this one
    nos = [no.detail for no in plan.refusals if no.vm == offer.vm and (
        no.kind is not RefusalKind.SCOPE or no.detail.startswith(f"{offer.policy} "))] or [
        no.detail for no in plan.refusals if no.host == offer.wanted_by and (
            no.vm is None or (offer.room_for and no.kind is RefusalKind.NO_TARGET))]
    return nos[0] if nos else "it would no longer do any good"


def _why_not_there(offer: Offer, snapshot: Snapshot) -> str:
    """Return why the VM cannot leave the host that it was offered to leave, empty if it lives there and can."""
    row = bisect_left(snapshot.vms.ids, offer.vm)
    if snapshot.vms.ids[row:row + 1] != (offer.vm,):
        return f"{offer.vm_name} is active nowhere any more"
    home = snapshot.hosts.names[int(snapshot.vms.host[row])]
    if home != offer.source:
        return f"{offer.vm_name} is at {home} now"
    if snapshot.vm_why_not[row]:
        return snapshot.vm_why_not[row][0].detail
    return "it is moving already" if snapshot.vms.busy[row] else ""


def _told_lapses(lapsed: list[au.ApprovalLapsed]) -> list[Notice]:
    return [Notice("warning", f"recommendation/{one.id}", f"an approval lapsed: {one.what}: {one.detail}") for one in lapsed]


def _told_offers(made: list[au.Recommended]) -> list[Notice]:
    by_policy: dict[str, list[au.Recommended]] = defaultdict(list)
    for one in made:
        by_policy[one.policy].append(one)
    return [Notice("info", f"recommendation/{policy}", f"{policy} recommends: {_listed(those)}; ballastctl plan approve "
                   f"{those[0].id if len(those) == 1 else f'--all-of {policy}'}") for policy, those in by_policy.items()]


def _listed(made: list[au.Recommended]) -> str:
    said = [f"{one.vm_name} from {one.source} to {one.target}" if one.vm else f"{one.source} emptied and switched off"
            for one in made]
    more = f" and {len(said) - 3} more" if len(said) > 3 else ""
    return f"{'; '.join(said[:3])}{more} ({made[0].because})"


def shown(ledger: Ledger, wall: float, current: Container[str]) -> tuple[RecommendationView, ...]:
    """Return what is recommended now (``current``: by the last plan) and what was approved, as people see it."""
    offers = [RecommendationView(
        o.id, o.policy, o.reason, o.vm, o.vm_name, o.source, o.target, o.memory, o.because,
        "approved" if o.approved_by else "offered", o.since_wall, o.until_wall, o.approved_by, o.words())
        for o in ledger.autonomy.offers.values() if wall < o.until_wall and (o.approved_by or o.id in current)]
    return tuple(sorted(offers, key=lambda view: (view.policy, view.state, view.vm_name, view.source)))


def rejections(ledger: Ledger, wall: float) -> tuple[RejectionView, ...]:
    """Return what is not offered for now because a person did not want it."""
    return tuple(RejectionView(no.policy, no.what, no.by, no.reason, no.until_wall)
                 for _, no in sorted(ledger.autonomy.rejected.items()) if wall < no.until_wall)


def demotions(ledger: Ledger) -> tuple[DemotionView, ...]:
    """Return the policies that lost their freedom."""
    return tuple(DemotionView(name, e.wall, e.because) for name, e in sorted(ledger.autonomy.demoted.items()))
