"""What policies recommend, and what becomes of what people say to it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ballastd.core import autonomy_events as au
from ballastd.core import events as ev
from ballastd.core.autonomy import grounds_of, recommendation_id
from ballastd.core.books import LedgerBroken
from ballastd.core.inputs import PoliciesReplaced, Verb
from ballastd.core.intents import Intent, IntentKind
from ballastd.core.inventory import JobKind, VmState
from ballastd.core.ledger import Ledger
from ballastd.core.plans import Move, Plan, Refusal, RefusalKind
from ballastd.core.policies import (
    BalancePolicy,
    EvacuationPolicy,
    Health,
    Limits,
    Mode,
    MoveBudget,
    PolicySet,
    Response,
    Seconds,
)
from ballastd.core.quantities import GIB, Bytes, HostName, VmId
from ballastd.core.recommendations import Recommendations
from ballastd.core.views import RecommendationView
from tests.builders import POLICIES, Table, a_cluster, four_hosts, table, vm_id

ASKING = EvacuationPolicy("failing-hosts", Health.FAILING, Response.EVACUATE, mode=Mode.RECOMMEND, ignore_windows=True)
ASKED = replace(POLICIES, evacuation=(ASKING,))
EVEN = BalancePolicy("even-load", mode=Mode.RECOMMEND, hot_hold=Seconds(30.0))
BALANCED = replace(POLICIES, balance=(EVEN,))


def sick(policies: PolicySet = ASKED, builder: object = None) -> Table:
    """A warm table with an uncorrectable error on h1, about which people are asked."""
    built = table(four_hosts(vms_each=2), policies).warm_up()
    built.show("h1", "ecc.uncorrected", 0.0, "A1")
    built.step()
    built.show("h1", "ecc.uncorrected", 1.0, "A1").wait(1.0)
    built.step()
    return built


def offers(t: Table) -> tuple[RecommendationView, ...]:
    return t.step().view.recommendations


def test_a_policy_that_recommends_offers_and_moves_nothing() -> None:
    t = sick()
    offered = offers(t)
    assert [(one.vm_name, one.source, one.state) for one in offered] == [
        ("h1v0", "h1", "offered"), ("h1v1", "h1", "offered")]
    assert offered[0].until_wall - offered[0].since_wall == 1800.0
    assert not t.controller.ledger.migrations
    assert not any(decision.orders for decision in t.settle(10))


def test_what_is_approved_starts_in_the_same_step_and_says_who() -> None:
    t = sick()
    first, second = offers(t)
    decision = t.say(Verb.APPROVE, first.id)
    assert decision.answers[0].accepted, decision.answers
    assert [order.move.vm_name for order in decision.orders] == ["h1v0"]
    ordered = next(event for event in decision.events if isinstance(event, ev.MigrationOrdered))
    assert (ordered.approved_by, ordered.recommendation) == ("ann", first.id)
    assert t.controller.ledger.migrations[ordered.id].approved_by == "ann"
    assert first.id not in t.controller.ledger.autonomy.offers, "it is used up, and nothing of it can lapse"
    assert [one.id for one in offers(t)] == [second.id]


def test_the_id_is_of_the_content() -> None:
    args = ("p", "relieve, healthy", HostName("h1"), VmId("v"), HostName("h2"), 8)
    one = recommendation_id(*args)
    assert one == recommendation_id(*args)
    for place, other in enumerate(("q", "even, healthy", HostName("h3"), VmId("w"), HostName("h4"), 9)):
        changed = [*args]
        changed[place] = other
        assert recommendation_id(*changed) != one, f"field {place} is not bound"  # type: ignore[arg-type]


def test_all_of_a_policy_is_approved_and_goes_within_the_limits() -> None:
    t = sick(replace(ASKED, limits=Limits(migration_minimum_mib_s=1.0, in_flight_host_out=1)))
    offers(t)
    decision = t.say(Verb.APPROVE_ALL_OF, "failing-hosts")
    assert len(decision.orders) == 1, "one at a time leaves a host"
    assert {one.state for one in decision.view.recommendations} == {"approved"}
    assert any(no.kind == "in-flight-out-of-host" for no in decision.view.noes)
    returned = t.carry_out(decision)
    later = [t.step(*returned), *t.settle(10)]
    assert [order.move.vm_name for one in later for order in one.orders] == ["h1v1"]


def test_an_approval_does_not_open_a_gate() -> None:
    t = sick()
    one = offers(t)[0]
    t.say(Verb.PAUSE)
    decision = t.say(Verb.APPROVE, one.id)
    assert decision.answers[0].accepted
    assert "paused" in decision.answers[0].message
    assert not decision.orders
    assert not any(decision.orders for decision in t.settle(5))
    assert t.say(Verb.RESUME).orders


def test_while_paused_nothing_new_is_offered() -> None:
    t = table(four_hosts(vms_each=1), ASKED).warm_up()
    t.say(Verb.PAUSE)
    t.show("h1", "ecc.uncorrected", 0.0, "A1").step()
    t.show("h1", "ecc.uncorrected", 1.0, "A1").wait(1.0)
    t.step()
    assert not offers(t)


def test_what_is_not_in_the_plan_any_more_lapses_and_says_why() -> None:
    t = sick()
    one = offers(t)[0]
    t.say(Verb.PAUSE)
    t.say(Verb.APPROVE, one.id)
    t.say(Verb.CORDON, one.target)
    decision = t.say(Verb.RESUME)
    lapsed = next(event for event in decision.events if isinstance(event, au.ApprovalLapsed))
    assert lapsed.detail.startswith("the plan now moves it from h1 to ")
    assert any(notice.level == "warning" and "lapsed" in notice.text for notice in decision.notices)
    assert not decision.orders
    t.say(Verb.UNCORDON, one.target)
    assert not any(decision.orders for decision in t.settle(5)), "it does not come back to life"


def test_what_the_plan_does_not_have_now_is_not_shown_and_cannot_be_approved() -> None:
    t = sick()
    one = offers(t)[0]
    t.say(Verb.CORDON, one.target)
    assert one.id not in {view.id for view in t.step().view.recommendations}
    answer = t.say(Verb.APPROVE, one.id).answers[0]
    assert not answer.accepted
    assert "not in the plan at the moment" in answer.message
    t.say(Verb.UNCORDON, one.target)
    t.step()
    assert len(t.say(Verb.APPROVE_ALL_OF, "failing-hosts").orders) == 2


def test_an_approval_runs_out() -> None:
    t = sick()
    one = offers(t)[0]
    t.say(Verb.PAUSE)
    t.say(Verb.APPROVE, one.id)
    t.quiet_for(1790.0)
    assert t.controller.ledger.autonomy.offers[one.id].approved_by
    events = [event for decision in t.quiet_for(30.0) for event in decision.events]
    assert [type(event) for event in events if isinstance(event, au.ApprovalLapsed)] == [au.ApprovalLapsed]
    assert not any(isinstance(event, au.Recommended) for event in events)
    t.say(Verb.RESUME)
    assert not t.controller.ledger.migrations


def test_an_offer_that_nobody_answered_is_made_anew_under_the_same_id() -> None:
    t = sick()
    before = {one.id: one.since_wall for one in offers(t)}
    t.quiet_for(1900.0)
    after = {one.id: one.since_wall for one in offers(t)}
    assert before.keys() == after.keys()
    assert all(after[key] > before[key] for key in before)


def test_an_offer_that_has_expired_cannot_be_approved() -> None:
    t = sick()
    one = offers(t)[0]
    t.say(Verb.PAUSE)  # so that it is not made anew
    t.quiet_for(1900.0)
    answer = t.say(Verb.APPROVE, one.id).answers[0]
    assert not answer.accepted
    assert "expired" in answer.message


@pytest.mark.parametrize(("verb", "subject", "says"), [
    (Verb.APPROVE, "0123456789", "nothing is recommended under"),
    (Verb.REJECT, "0123456789", "nothing is recommended under"),
    (Verb.APPROVE_ALL_OF, "even-load", "recommends nothing now"),
    (Verb.REJECT_ALL_OF, "even-load", "recommends nothing now"),
    (Verb.PROMOTE, "failing-hosts", "is not demoted"),
])
def test_what_cannot_be_answered_is_refused_with_a_reason(verb: Verb, subject: str, says: str) -> None:
    t = sick()
    answer = t.say(verb, subject).answers[0]
    assert not answer.accepted
    assert says in answer.message


def test_approving_twice_is_once() -> None:
    t = sick()
    one = offers(t)[0]
    t.say(Verb.PAUSE)
    t.say(Verb.APPROVE, one.id)
    decision = t.say(Verb.APPROVE, one.id)
    assert "already, by ann" in decision.answers[0].message
    assert not decision.events


def test_an_approval_is_good_for_one_attempt() -> None:
    t = sick()
    one = offers(t)[0]
    [order] = t.say(Verb.APPROVE, one.id).orders
    t.begin(order).wait(5.0)
    t.step(t.roll_back(order))
    later = t.settle(60, 5.0)
    assert not any(decision.orders for decision in later), "a failed move is asked about anew"
    again = [view for view in later[-1].view.recommendations if view.vm == one.vm]
    assert [view.state for view in again] == ["offered"]


def test_what_was_rejected_is_not_offered_again_to_any_target() -> None:
    t = sick()
    one, other = offers(t)
    decision = t.say(Verb.REJECT, one.id)
    assert decision.answers[0].accepted
    t.say(Verb.CORDON, one.target)
    shown = t.step().view
    assert [view.vm_name for view in shown.recommendations] == [other.vm_name]
    assert [(no.what, no.by) for no in shown.rejections] == [(one.what, "ann")]
    assert any(no.kind == "rejected" and no.vm == one.vm for no in shown.noes)
    t.wait(12 * 3600.0).quiet_for(400.0)
    assert {view.vm_name for view in offers(t)} == {one.vm_name, other.vm_name}


def uneven() -> Table:
    """h1 and h2 use 12 and 11 of 16 processors, h3 and h4 one: one of each of the first two goes to one of the others."""
    builder = a_cluster().host("h1").crowd("a", 3, 4).host("h2").crowd("b", 3, 4).idlers(3, 4, gib=4)
    t = table(builder, replace(POLICIES, balance=(replace(EVEN, budget=MoveBudget(in_flight=4)),))).warm_up()
    t.burn(a0=4.0, a1=4.0, a2=4.0, b0=3.6, b1=3.6, b2=3.6, i3=1.0, i4=1.0).quiet_for(1200.0)
    return t


def test_who_was_rejected_stays_though_another_host_is_the_fullest() -> None:
    t = uneven()
    offered = {view.source: view for view in offers(t)}
    assert sorted(offered) == ["h1", "h2"]
    t.say(Verb.REJECT, offered["h2"].id)
    t.quiet_for(100.0)
    assert offered["h2"].vm not in {move.vm for move in t.step().view.moves}
    assert t.controller.ledger.broken is None


def test_who_was_offered_a_target_keeps_it_though_another_host_is_the_fullest() -> None:
    t = uneven()
    [move] = [move for move in t.step().view.moves if move.source == "h2"]
    other = {"h3": "h4", "h4": "h3"}[move.target]
    autonomy = t.controller.ledger.autonomy
    autonomy.offers = {key: offer for key, offer in autonomy.offers.items() if offer.vm != move.vm}
    autonomy.apply(au.Recommended(t.now.wall, "other", "even-load", "even, healthy", HostName("h2"), "", 1800.0,
                                  VmId(move.vm), move.vm_name, HostName(other), move.memory))
    assert [one.target for one in t.step().view.moves if one.vm == move.vm] == [other]


def test_who_was_rejected_where_it_lived_once_makes_room_where_it_lives_now() -> None:
    """``small`` was to be saved from h0 once; now it lives on h1, and ``big`` has no place but its own."""
    builder = (a_cluster().host("h0").running("big", 30).host("h1").running("large", 32).running("small", 8)
               .host("h2").running("heavy", 52))
    for source, answered in (("h0", ["small"]), ("h1", [])):
        t = table(builder, ASKED)
        for host in ("h0", "h1", "h2"):
            t.show(host, "ecc.uncorrected", 0.0, "A1")
        t.warm_up()
        key = grounds_of("failing-hosts", "evacuate, failing", HostName(source), vm_id("small"))
        t.controller.ledger.autonomy.rejected[key] = au.RecommendationRejected(
            t.now.wall, "x", "ann", t.now.wall + 3600.0, "failing-hosts", "")
        t.show("h0", "ecc.uncorrected", 1.0, "A1").wait(1.0)
        t.step()
        assert t.controller.ledger.broken is None
        assert [view.vm_name for view in offers(t)] == answered


def test_a_rejection_holds_no_policy_in_mode_auto() -> None:
    t = sick()
    t.say(Verb.REJECT_ALL_OF, "failing-hosts")
    decision = t.step(PoliciesReplaced(replace(POLICIES, digest="auto")))
    assert {order.move.vm_name for order in decision.orders} == {"h1v0", "h1v1"}


def test_a_policy_that_only_observes_any_more_takes_its_approvals_with_it() -> None:
    t = sick()
    one = offers(t)[0]
    t.say(Verb.PAUSE)
    t.say(Verb.APPROVE, one.id)
    observing = replace(ASKED, evacuation=(replace(ASKING, mode=Mode.OBSERVE),), digest="observing")
    t.step(PoliciesReplaced(observing))
    decision = t.say(Verb.RESUME)
    assert not decision.orders
    lapsed = [event for event in decision.events if isinstance(event, au.ApprovalLapsed)]
    assert [event.detail for event in lapsed] == ["failing-hosts is in mode observe now"]


def test_answers_survive_a_restart() -> None:
    t = sick()
    one, other = offers(t)
    t.say(Verb.PAUSE)
    t.say(Verb.APPROVE, one.id)
    t.say(Verb.REJECT, other.id)
    t.restart(ASKED)
    for _ in range(4):
        t.step()
        t.wait(1.0)
    assert not any(isinstance(event, au.ApprovalLapsed) for event in t.events)
    decision = t.say(Verb.RESUME)
    assert [order.move.vm for order in decision.orders] == [one.vm]
    assert not [view for view in t.step().view.recommendations if view.vm == other.vm]


def test_what_was_approved_waits_after_a_restart_until_it_is_seen_in_a_plan() -> None:
    slow = replace(BALANCED, balance=(replace(EVEN, hot_hold=Seconds(120.0)),),
                   limits=Limits(migration_minimum_mib_s=1.0, settle_after_freeze=Seconds(0.0)))
    t = burning(slow)
    one = offers(t)[0]
    t.say(Verb.PAUSE)
    t.say(Verb.APPROVE, one.id)
    t.events.append(ev.Resumed(t.now.wall, "ann"))
    t.restart(slow)
    decisions = t.quiet_for(100.0)
    assert any(not decision.view.gates for decision in decisions), "no gate stands, and it is not hot for long enough yet"
    assert not any(decision.orders for decision in decisions)
    decisions = t.quiet_for(400.0)
    assert next(decision.orders for decision in decisions if decision.orders)[0].move.vm == one.vm
    assert not any(isinstance(event, au.ApprovalLapsed) for event in t.events)


def test_a_target_that_was_offered_stays_while_it_is_among_the_best() -> None:
    t = table(a_cluster().host("h1").running("a", 8).host("h2").host("h3").host("h4"), ASKED).warm_up()
    t.show("h1", "ecc.uncorrected", 0.0, "A1").step()
    t.show("h1", "ecc.uncorrected", 1.0, "A1").wait(1.0)
    t.step()
    [one] = offers(t)
    assert one.target == "h2"
    t.burn(x=0.0)
    moved = replace(next(iter(t.world["h1"].values())), vm=VmId("00000000-0000-4000-8000-00000000000f"), name="new")
    t.world["h2"][moved.vm] = moved  # h2 is not the best any more, but good enough
    t.wait(1.0)
    assert [(view.id, view.target) for view in offers(t)] == [(one.id, "h2")]


def burning(policies: PolicySet = BALANCED) -> Table:
    builder = a_cluster().host("h1").crowd("b", 4, 4)
    t = table(builder.host("h2").host("h3").host("h4"), policies).warm_up()
    t.burn(b0=3.6, b1=3.6, b2=3.6, b3=3.6)
    t.quiet_for(600.0)
    return t


def test_balance_offers_all_that_makes_a_host_cool_and_one_goes_at_a_time() -> None:
    t = burning()
    offered = {one.vm for one in offers(t)}
    assert len(offered) == 2
    decision = t.say(Verb.APPROVE_ALL_OF, "even-load")
    assert len(decision.orders) == 1
    gone = {order.move.vm for order in decision.orders}
    t.step(*t.carry_out(decision))
    assert not any(one.orders for one in t.quiet_for(290.0)), "both ends settle"
    gone |= {order.move.vm for one in t.burn_on(900.0) for order in one.orders}
    assert gone == offered, "what comes after that waits for an answer of its own"


def test_old_records_are_read_and_an_answer_to_nothing_is_damage() -> None:
    record = {"v": 1, "kind": "MigrationOrdered", "wall": 1.0, "id": "1-1", "vm": "v", "vm_name": "n", "source": "a",
              "target": "b", "memory": 1, "bandwidth_mib_s": 1, "policy": "p", "because": "", "deadline_wall": 2.0,
              "predicted": 1.0}
    old = ev.from_record(record)
    assert isinstance(old, ev.MigrationOrdered)
    assert (old.saving, old.recommendation, old.approved_by) == (False, "", "")
    with pytest.raises(LedgerBroken, match="never recommended"):
        Ledger().apply(au.RecommendationApproved(1.0, "x", "ann"))


def lapses(t: Table) -> list[str]:
    """Let go on, and return why approvals lapsed."""
    decision = t.say(Verb.RESUME)
    return [event.detail for event in decision.events if isinstance(event, au.ApprovalLapsed)]


def approved(t: Table) -> RecommendationView:
    """Return the first offer, which is approved while nothing may begin."""
    one = offers(t)[0]
    t.say(Verb.PAUSE)
    t.say(Verb.APPROVE, one.id)
    return one


def test_who_is_not_there_any_more_says_so() -> None:
    t = sick()
    one = approved(t)
    t.world["h2"][VmId(one.vm)] = t.world["h1"].pop(VmId(one.vm))
    t.wait(1.0).step()
    assert lapses(t) == ["h1v0 is at h2 now"]
    t = sick()
    del t.world["h1"][VmId(approved(t).vm)]
    t.wait(1.0).step()
    assert lapses(t) == ["h1v0 is active nowhere any more"]


def test_another_policy_that_moves_it_is_named() -> None:
    t = sick()
    approved(t)
    other = replace(ASKED, evacuation=(replace(ASKING, name="others"),), digest="others")
    t.step(PoliciesReplaced(other))
    assert lapses(t) == ["others moves it now"]


def test_what_another_policy_says_of_it_is_no_reason() -> None:
    offer = au.Recommended(0.0, "1", "even-load", "relieve, healthy", HostName("h1"), "", 1.0, VmId(vm_id("h1v0")), "h1v0",
                           HostName("h2"), Bytes(GIB))
    ledger, snapshot = Ledger(), table(four_hosts(vms_each=2)).warm_up().controller._last
    assert snapshot is not None
    ledger.autonomy.apply(offer)
    ledger.autonomy.apply(au.RecommendationApproved(0.0, "1", "ann"))
    asked = Intent(IntentKind.RELIEVE, HostName("h1"), "even-load", "hot", Health.HEALTHY, snapshot.now, Mode.RECOMMEND)
    foreign = Refusal(RefusalKind.SCOPE, "nights speaks of other VMs (web)", offer.vm, HostName("h1"))
    own = Refusal(RefusalKind.NO_TARGET, "nobody takes it", offer.vm, HostName("h1"))
    waiting = Move(offer.vm, "h1v0", HostName("h1"), HostName("h2"), Bytes(GIB), Seconds(1.0), "even-load", "",
                   routine=True, after=(vm_id("h2v0"),))
    larger = replace(waiting, after=(), memory=Bytes(2 * GIB))
    for plan, said in ((Plan((), (foreign, own)), "nobody takes it"),
                       (Plan((), (foreign,)), "it would no longer do any good"),
                       (Plan((), (replace(own, kind=RefusalKind.SCOPE, detail="even-load speaks of other VMs"),)),
                        "even-load speaks of other VMs"),
                       (Plan((waiting,)), "it has to wait for room there now"),
                       (Plan((larger,)), "its reason or its memory changed: hot")):
        [lapsed] = [one for one in Recommendations().follow(
            plan, (asked,), BALANCED, ledger, Seconds(60.0), snapshot, held=False).events
            if isinstance(one, au.ApprovalLapsed)]
        assert lapsed.detail.endswith(f": {said}"), lapsed.detail
    [lapsed] = [one for one in Recommendations().follow(
        Plan(), (), BALANCED, ledger, Seconds(60.0), snapshot, held=False).events if isinstance(one, au.ApprovalLapsed)]
    assert lapsed.detail.endswith("even-load no longer asks for anything to leave h1")


def room_to_make() -> Table:
    """``big`` has to leave h0 and needs ``small`` to leave h1 first, about which people are asked."""
    builder = (a_cluster().host("h0").running("big", 30)
               .host("h1").running("large", 32).running("small", 8)
               .host("h2").running("heavy", 52))
    t = table(builder, ASKED)
    t.show("h0", "ecc.uncorrected", 0.0, "D").warm_up()
    t.show("h0", "ecc.uncorrected", 1.0, "D").step()
    return t


def test_who_makes_no_room_any_more_lapses_with_what_is_said_of_who_needs_it() -> None:
    t = room_to_make()
    assert (approved(t).vm_name, t.controller.ledger.autonomy.offers.popitem()[1].room_for) == ("small", "h0")
    t = room_to_make()
    approved(t)
    heavy = t.world["h2"][vm_id("heavy")]
    t.world["h2"][vm_id("late")] = replace(heavy, vm=vm_id("late"), name="late", memory_max=Bytes(6 * GIB))
    t.wait(1.0).step()
    [why] = lapses(t)
    assert "no room is made on h1, h2: small on h1: no other host takes it (h2: needs 8.0 GiB, room 6.0 GiB" in why


def test_room_that_nobody_needs_any_more_lapses_and_names_the_host_that_needed_it() -> None:
    t = room_to_make()
    approved(t)
    t.world["h2"][vm_id("big")] = t.world["h0"].pop(vm_id("big"))
    t.say(Verb.ACKNOWLEDGE, "h0")
    t.show("h0", "ecc.uncorrected", 0.0, "D").settle(3)
    assert lapses(t)[0].startswith("failing-hosts no longer asks for anything to leave h0")


@pytest.mark.parametrize(("held", "said"), [
    ({"job": JobKind.OUTGOING}, "another outgoing job holds it"), ({"state": VmState.PAUSED}, "paused")])
def test_who_cannot_be_moved_any_more_lapses_and_says_why(held: dict[str, object], said: str) -> None:
    builder = a_cluster().host("h1").crowd("b", 4, 4).idlers(2, 3, 4, gib=4)
    t = table(builder, BALANCED).warm_up()
    t.quiet_for(200.0)
    t.burn(b0=3.6, b1=3.6, b2=3.6, b3=3.6).quiet_for(600.0)
    one = approved(t)
    t.world["h1"][VmId(one.vm)] = replace(t.world["h1"][VmId(one.vm)], **held)  # type: ignore[arg-type]
    t.wait(1.0).step()
    assert said in lapses(t)[0]
