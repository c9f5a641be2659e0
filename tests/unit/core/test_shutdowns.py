"""Guests that are asked to shut down: as the last of all, with everybody's leave, a few times, and never forgotten."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest

from ballastd.core import events as ev
from ballastd.core import shutdown_events as sh
from ballastd.core.autonomy_events import PolicyDemoted
from ballastd.core.books import LedgerBroken
from ballastd.core.decisions import Decision
from ballastd.core.explanation import explain
from ballastd.core.inputs import Input, PoliciesReplaced, ShutdownReturned, Verb
from ballastd.core.inventory import JobKind, Pin, PinKind, VmState
from ballastd.core.ledger import Ledger
from ballastd.core.migrations import CallResult
from ballastd.core.plans import DeferralKind, RefusalKind, ShutdownOrder
from ballastd.core.policies import LastResort, Mode, PolicySet, VmSelector
from ballastd.core.quantities import HostName, Seconds
from ballastd.core.shutdown_books import ASK_AGAIN_SECONDS, KEPT, ShutdownBooks
from ballastd.core.shutdown_events import ShutdownEnding
from ballastd.core.shutdowns import ASKS_MAX, AT_ONCE, PATIENCE_SECONDS, WATCH_SECONDS
from tests.builders import FAILING_HOSTS, HOT, POLICIES, ClusterBuilder, Table, a_cluster, table, vm_id

H1, H2 = HostName("h1"), HostName("h2")
PINNED = (Pin(PinKind.PASSTHROUGH, "hostdev0", "take it out"),)
ALLOWED = replace(FAILING_HOSTS, last_resorts=(LastResort.SHUTDOWN,))
RESORTS = replace(POLICIES, evacuation=(ALLOWED,))
DEADLINE = float(FAILING_HOSTS.deadline or 0.0)
STEP, COARSE = 10.0, 60.0
SLOW = 200.0
"""Far longer than it takes until everything was noticed."""


def pinned(*names: str) -> ClusterBuilder:
    """Return four hosts, the first with VMs that cannot leave it."""
    builder = a_cluster().host("h1")
    for name in names or ("a",):
        builder = builder.running(name, pins=PINNED)
    return builder.idlers(2, 3, 4)


def failing(policies: PolicySet = RESORTS, builder: ClusterBuilder | None = None) -> Table:
    """Return a table on which h1 has just begun to fail."""
    stand = table(builder or pinned(), policies).warm_up().show("h1", "ecc.uncorrected", 0.0)
    stand.settle()
    stand.show("h1", "ecc.uncorrected", 1.0)
    stand.settle()
    return stand


def overdue(policies: PolicySet = RESORTS, builder: ClusterBuilder | None = None) -> Table:
    """Return a table on which h1 has failed for so long that guests may be asked with the next step."""
    stand = failing(policies, builder)
    stand.quiet_for(DEADLINE - COARSE, COARSE)
    stand.quiet_for(COARSE - STEP)
    return stand


def asked(decisions: list[Decision]) -> list[ShutdownOrder]:
    return [order for decision in decisions for order in decision.shutdowns]


def pass_by(stand: Table, seconds: float = SLOW) -> list[Decision]:
    return stand.quiet_for(seconds, STEP)


def change(stand: Table, name: str = "a", host: str = "h1", **fields: object) -> None:
    stand.world[host][vm_id(name)] = replace(stand.world[host][vm_id(name)], **fields)  # type: ignore[arg-type]


def go_down(stand: Table, name: str = "a") -> None:
    change(stand, name, state=VmState.SHUTOFF, reason="5/1")


def of(stand: Table, *kinds: type) -> list[object]:
    return [event for event in stand.events if isinstance(event, kinds)]


def ending(stand: Table) -> ShutdownEnding:
    [ended] = of(stand, sh.ShutdownEnded)
    assert isinstance(ended, sh.ShutdownEnded)
    return ended.ending


def why_not(decision: Decision, name: str = "a") -> str:
    noes = (*decision.portrait.plan.refusals, *decision.portrait.plan.deferrals)
    return "; ".join(no.detail for no in noes if no.vm == vm_id(name)
                     and no.kind in (DeferralKind.LAST_RESORT, DeferralKind.MODE, RefusalKind.LAST_RESORT))


def test_who_cannot_leave_a_failing_host_is_asked_to_shut_down_once_its_deadline_has_passed() -> None:
    stand = failing()
    before = pass_by(stand, DEADLINE - 2 * STEP)
    assert asked(before) == []
    assert "at the deadline" in why_not(before[-1])
    after = pass_by(stand, 50.0)
    [order] = asked(after)
    assert (order.vm, order.host, order.times) == (vm_id("a"), H1, 1)
    assert "hostdev0" in order.because
    assert "ecc.uncorrected" in order.because
    alarms = [notice.text for decision in after for notice in decision.notices if notice.level == "alarm"]
    assert any("a is asked to shut down on h1" in text for text in alarms)


def test_it_is_durable_before_it_is_carried_out() -> None:
    stand = overdue()
    decision = next(one for one in pass_by(stand) if one.shutdowns)
    [booked] = [event for event in decision.events if isinstance(event, sh.ShutdownOrdered)]
    assert booked.id == decision.shutdowns[0].id



@pytest.mark.parametrize("policies", [
    POLICIES,
    replace(RESORTS, evacuation=(replace(ALLOWED, deadline=None),)),
    replace(RESORTS, evacuation=(replace(ALLOWED, last_resorts=(LastResort.POST_COPY,)),)),
    replace(RESORTS, evacuation=(replace(ALLOWED, mode=Mode.RECOMMEND),)),
    replace(RESORTS, evacuation=(replace(ALLOWED, mode=Mode.OBSERVE),)),
    replace(RESORTS, evacuation=(replace(ALLOWED, vms=VmSelector(tags=("db",))),)),
], ids=["not listed", "no deadline", "another resort", "recommends", "observes", "speaks of others"])
def test_nothing_is_asked_but_by_a_policy_in_auto_that_lists_it_and_has_a_deadline(policies: PolicySet) -> None:
    stand = overdue(policies)
    assert asked(pass_by(stand, 600.0)) == []
    assert of(stand, sh.ShutdownOrdered) == []


def test_a_policy_that_only_recommends_tells_what_it_would_do() -> None:
    stand = overdue(replace(RESORTS, evacuation=(replace(ALLOWED, mode=Mode.RECOMMEND),)))
    assert "would be asked to shut down" in why_not(pass_by(stand)[-1])


def _sees_a_twin(stand: Table) -> None:
    stand.world["h2"][vm_id("a")] = stand.world["h1"][vm_id("a")]


SPOILT: dict[str, Callable[[Table], object]] = {
    "its owner forbids it": lambda t: change(t, shutdown=False),
    "it is to be left alone": lambda t: change(t, ignored=True),
    "it does not run": lambda t: change(t, state=VmState.PAUSED),
    "a job holds it": lambda t: change(t, job=JobKind.OTHER),
    "it can move": lambda t: change(t, pins=()),
    "it runs twice": _sees_a_twin,
    "paused": lambda t: t.say(Verb.PAUSE),
    "its host is not heard": lambda t: t.silent.add("h1"),
    "its host does not answer": lambda t: t.dark.add("h1"),
    "others are unknown": lambda t: t.dark.update(("h3", "h4")),
    "somebody looked": lambda t: t.say(Verb.ACKNOWLEDGE, "h1"),
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_nothing_is_asked_where_anything_speaks_against_it(spoil: Callable[[Table], object]) -> None:
    stand = failing()
    spoil(stand)
    assert asked(stand.quiet_for(DEADLINE + 600.0, COARSE)) == []


def test_the_gate_that_holds_it_is_named_until_it_is_lifted_and_it_has_stayed_so() -> None:
    stand = overdue()
    stand.say(Verb.PAUSE)
    held = pass_by(stand)[-1].portrait.plan.deferrals
    assert [(no.kind, no.vm) for no in held] == [(DeferralKind.PAUSED, vm_id("a"))]
    assert "it is not asked to shut down: paused by ann" in held[0].detail
    stand.say(Verb.RESUME)
    assert asked(pass_by(stand, PATIENCE_SECONDS - STEP)) == []
    assert len(asked(pass_by(stand, 3 * STEP))) == 1


def test_an_owner_that_forbids_it_is_named_and_one_that_wants_to_be_left_alone_is_not() -> None:
    stand = overdue(builder=pinned("a", "b"))
    change(stand, shutdown=False)
    change(stand, "b", ignored=True)
    last = pass_by(stand)[-1]
    assert "its owner does not want it shut down" in why_not(last)
    assert why_not(last, "b") == ""


def test_a_condition_that_is_not_latched_is_no_evidence_for_that() -> None:
    hot = replace(HOT, severity=ALLOWED.severity)
    stand = table(pinned(), replace(RESORTS, health=(hot,))).warm_up()
    stand.show("h1", "temperature", 99.0, "cpu", critical=100.0)
    decisions = pass_by(stand, DEADLINE + SLOW)
    assert decisions[-1].portrait.intents, "it is emptied for that all the same"
    assert asked(decisions) == []
    assert "nothing latched" in why_not(decisions[-1])


def test_who_has_no_target_is_asked_and_who_may_get_one_is_not() -> None:
    full = a_cluster().host("h1").running("big", 60).idlers(2, 3, 4, gib=40)
    stand = overdue(builder=full)
    order = asked(pass_by(stand, 100.0))[0]
    assert order.vm == vm_id("big")
    assert "memory" in order.because
    stand = failing(builder=full)
    stand.world["h2"].clear()
    assert asked(pass_by(stand, DEADLINE + 300.0)) == []


def test_whose_moves_failed_as_often_as_one_is_tried_is_asked_though_a_target_is_left() -> None:
    stand = table(a_cluster().host("h1").running("a").idlers(2, 3, 4, 5, 6), RESORTS).warm_up()
    stand.show("h1", "ecc.uncorrected", 0.0).settle()
    stand.show("h1", "ecc.uncorrected", 1.0)
    decisions, returns = list[Decision](), list[Input]()
    for _ in range(int((DEADLINE + SLOW) / STEP)):
        stand.wait(STEP)
        decisions.append(stand.step(*returns))
        returns = [stand.begin(order).roll_back(order) for order in decisions[-1].orders]
    tried = [order for one in decisions for order in one.orders]
    assert len(tried) <= RESORTS.limits.retries_per_move + 1
    assert any(move.vm == vm_id("a") for move in decisions[-1].portrait.plan.moves), "which is put off until tomorrow"
    assert "as often as one is tried" in asked(decisions)[0].because
    assert of(stand, sh.ShutdownWithdrawn) == [], "a target that is not tried any more is none"


def test_a_policy_that_lost_its_trust_shuts_nobody_down() -> None:
    stand = overdue()
    stand.events.append(PolicyDemoted(stand.now.wall, ALLOWED.name, "2 of its moves failed"))
    stand.restart(RESORTS)
    stand.warm_up()
    decisions = stand.quiet_for(DEADLINE + 600.0, COARSE)
    assert asked(decisions) == []
    assert "was demoted" in why_not(decisions[-1])


def test_why_nothing_takes_it_has_to_last() -> None:
    stand = failing()
    change(stand, job=JobKind.OTHER)
    pass_by(stand, DEADLINE + 100.0)
    change(stand, job=JobKind.NONE)
    soon = pass_by(stand, PATIENCE_SECONDS)
    assert asked(soon) == []
    assert "for a minute" in why_not(soon[-1])
    assert len(asked(pass_by(stand, 3 * STEP))) == 1


def test_a_clock_that_was_set_makes_nothing_overdue() -> None:
    stand = failing()
    stand.now = replace(stand.now, wall=stand.now.wall + 86_400.0)
    assert asked(pass_by(stand, DEADLINE / 2)) == []


def test_few_are_asked_at_once_and_the_next_once_one_is_down() -> None:
    stand = overdue(builder=pinned("a", "b", "c"))
    first = pass_by(stand, 50.0)
    assert [order.vm for order in asked(first)] == [vm_id("a"), vm_id("b")]
    assert len(asked(first)) == AT_ONCE
    assert "at most 2 at once" in why_not(first[-1], "c")
    go_down(stand, "a")
    assert [order.vm for order in asked(pass_by(stand, 50.0)) if order.times == 1] == [vm_id("c")]


def test_guests_of_one_host_at_a_time() -> None:
    builder = a_cluster().host("h1").running("a", pins=PINNED).host("h2").running("b", pins=PINNED)
    for number in range(3, 13):
        builder = builder.host(f"h{number:02}")
    stand = failing(builder=builder)
    stand.show("h2", "ecc.uncorrected", 0.0)
    stand.settle()
    stand.show("h2", "ecc.uncorrected", 1.0)
    both = pass_by(stand, DEADLINE + 100.0)
    assert {order.vm for order in asked(both)} == {vm_id("a")}
    assert "of one host at a time" in why_not(both[-1], "b")
    go_down(stand, "a")
    assert {order.vm for order in asked(pass_by(stand, 100.0))} == {vm_id("b")}


def test_it_is_asked_again_in_its_time_and_not_for_ever() -> None:
    stand = overdue()
    decisions = pass_by(stand, ASKS_MAX * ASK_AGAIN_SECONDS + 100.0)
    assert [order.times for order in asked(decisions)] == list(range(1, ASKS_MAX + 1))
    at = [event.wall for event in stand.events if isinstance(event, sh.ShutdownOrdered | sh.ShutdownAskedAgain)]
    assert all(after - before >= ASK_AGAIN_SECONDS for before, after in pairwise(at))
    alarms = [n.text for one in decisions for n in one.notices if n.level == "alarm" and "does not go down" in n.text]
    assert len(alarms) == 1
    assert "5 times" in alarms[0]
    assert asked(stand.quiet_for(WATCH_SECONDS + 2 * 3600.0, COARSE)) == [], "it would be no other the next time"
    assert ending(stand) is ShutdownEnding.STAYED


def test_what_was_said_against_it_is_told() -> None:
    stand = overdue()
    decisions = pass_by(stand, 50.0)
    [order] = asked(decisions)
    stand.step(ShutdownReturned(order.id, CallResult.REFUSED, "on_poweroff is restart", stand.now))
    told = [n.text for one in pass_by(stand, 400.0) for n in one.notices]
    assert any("does not go down" in text and "on_poweroff is restart" in text for text in told)


def test_new_evidence_may_ask_anew_whoever_did_not_go_down() -> None:
    stand = overdue()
    pass_by(stand, ASKS_MAX * ASK_AGAIN_SECONDS + WATCH_SECONDS + 100.0)
    stand.say(Verb.ACKNOWLEDGE, "h1")
    stand.settle()
    stand.show("h1", "ecc.uncorrected", 2.0)
    assert len(asked(pass_by(stand, DEADLINE + 100.0))) >= 1


def test_one_that_went_down_is_told_with_its_cure_and_not_started_again() -> None:
    stand = overdue()
    pass_by(stand, 50.0)
    go_down(stand)
    change(stand, autostart=True)
    found = pass_by(stand, 50.0)
    assert ending(stand) is ShutdownEnding.DOWN
    [alarm] = [n.text for one in found for n in one.notices if "went down" in n.text]
    assert f"ballastctl vm definition {vm_id('a')}" in alarm
    assert "autostart" in alarm
    view = found[-1].portrait.view
    assert [(one.state, one.seen) for one in view.shutdowns] == [("down", False)]
    assert any("a was shut down on h1, and runs nowhere" in note for note in view.notes)
    for subject in ("a", "h1"):
        explained = explain(view, subject)
        assert explained is not None
        assert any("a was asked once to shut down on h1" in line and "vm definition" in line for line in explained.lines())
    assert [vm.shutdown_state for vm in view.vms if vm.name == "a"] == ["down"]
    stand.world["h2"][vm_id("a")] = replace(stand.world["h1"].pop(vm_id("a")), state=VmState.RUNNING)
    view = pass_by(stand, 50.0)[-1].portrait.view
    assert [(one.state, one.seen) for one in view.shutdowns] == [("down", True)]
    assert not any("runs nowhere" in note for note in view.notes)


def test_one_that_somebody_started_again_is_left_to_run_until_there_is_other_evidence() -> None:
    stand = overdue()
    pass_by(stand, 50.0)
    go_down(stand)
    pass_by(stand, 50.0)
    change(stand, state=VmState.RUNNING)
    decisions = stand.quiet_for(1200.0, COARSE)
    assert asked(decisions) == []
    assert "somebody started it again" in why_not(decisions[-1])


def test_one_that_is_gone_is_down_only_once_everybody_was_looked_at_after_that() -> None:
    stand = overdue()
    pass_by(stand, 50.0)
    del stand.world["h1"][vm_id("a")]
    stand.step()
    assert of(stand, sh.ShutdownEnded) == []
    stand.settle(2)
    assert ending(stand) is ShutdownEnding.DOWN


def test_one_that_somebody_moved_is_not_down() -> None:
    stand = overdue()
    pass_by(stand, 50.0)
    moved = stand.world["h1"].pop(vm_id("a"))
    stand.step()
    stand.world["h2"][vm_id("a")] = moved
    stand.settle(3)
    assert ending(stand) is ShutdownEnding.ELSEWHERE


RECANTED: dict[str, tuple[Callable[[Table], object], str]] = {
    "acknowledged": (lambda t: t.say(Verb.ACKNOWLEDGE, "h1"), "not held to fail"),
    "its owner": (lambda t: change(t, shutdown=False), "its owner"),
    "left alone": (lambda t: change(t, ignored=True), "its owner"),
    "a target": (lambda t: change(t, pins=()), "it can move to"),
    "policy": (lambda t: t.step(PoliciesReplaced(POLICIES)), "does not ask for it"),
    "selector": (lambda t: t.step(PoliciesReplaced(replace(RESORTS, evacuation=(
        replace(ALLOWED, vms=VmSelector(tags=("db",))),)))), "does not speak of it"),
    "mode": (lambda t: t.step(PoliciesReplaced(replace(RESORTS, evacuation=(replace(ALLOWED, mode=Mode.OBSERVE),)))),
             "mode observe"),
}


@pytest.mark.parametrize(("recant", "why"), RECANTED.values(), ids=RECANTED)
@pytest.mark.parametrize("paused", [False, True])
def test_it_is_withdrawn_at_once_and_watched_all_the_same(recant: Callable[[Table], object], why: str, *, paused: bool
                                                          ) -> None:
    stand = overdue()
    pass_by(stand, 50.0)
    if paused:
        stand.say(Verb.PAUSE)
    recant(stand)
    stand.step()
    [withdrawn] = of(stand, sh.ShutdownWithdrawn)
    assert isinstance(withdrawn, sh.ShutdownWithdrawn)
    assert why in withdrawn.because
    assert asked(pass_by(stand, STEP)) == []
    assert of(stand, sh.ShutdownEnded) == []
    go_down(stand)
    told = [n for one in stand.settle(3) for n in one.notices if n.level == "alarm"]
    assert any("after that was withdrawn" in n.text for n in told), "what it was asked before may still do it"
    assert ending(stand) is ShutdownEnding.DOWN


def test_what_was_withdrawn_is_asked_no_more_and_its_books_are_closed_once_it_stayed() -> None:
    stand = overdue()
    pass_by(stand, 50.0)
    stand.say(Verb.ACKNOWLEDGE, "h1")
    assert asked(pass_by(stand, WATCH_SECONDS - 100.0)) == []
    assert of(stand, sh.ShutdownEnded) == []
    assert asked(pass_by(stand, 200.0)) == []
    assert ending(stand) is ShutdownEnding.STAYED


def test_who_may_be_going_down_is_not_moved_meanwhile() -> None:
    stand = overdue()
    at = next(one for one in pass_by(stand, 50.0) if one.shutdowns)
    change(stand, pins=())
    found = pass_by(stand, 100.0)
    [order] = [order for one in found for order in one.orders]
    ordered = next(event.wall for event in stand.events if isinstance(event, ev.MigrationOrdered))
    asked_at = next(event.wall for event in at.events if isinstance(event, sh.ShutdownOrdered))
    assert ordered - asked_at >= ASK_AGAIN_SECONDS
    assert any("may be going down" in why_not(one) for one in found)
    stand.begin(order)
    stand.step(stand.finish(order))
    stand.settle(10)
    assert ending(stand) is ShutdownEnding.ELSEWHERE


@pytest.mark.parametrize("hold", [lambda t: t.say(Verb.PAUSE), lambda t: t.silent.add("h1"), lambda t: t.dark.add("h1")],
                         ids=["paused", "silent", "dark"])
def test_a_gate_or_doubt_holds_what_was_ordered_and_takes_nothing_back(hold: Callable[[Table], object]) -> None:
    stand = overdue()
    pass_by(stand, 50.0)
    hold(stand)
    pass_by(stand, 120.0)  # silence is noticed only after a while
    assert asked(pass_by(stand, 300.0)) == []
    assert of(stand, sh.ShutdownWithdrawn, sh.ShutdownEnded) == []


def test_a_host_that_is_gone_leaves_nothing_open() -> None:
    stand = overdue()
    pass_by(stand, 50.0)
    stand.dark.add("h1")
    pass_by(stand, 100.0)
    stand.say(Verb.CONFIRM_DEAD, "h1")
    stand.settle(2)
    assert ending(stand) is ShutdownEnding.LOST


def test_a_run_after_this_one_goes_on_and_asks_nothing_twice() -> None:
    stand = overdue()
    pass_by(stand, 50.0)
    stand.restart(RESORTS)
    stand.warm_up()
    assert [order.times for order in asked(pass_by(stand, 60.0))] == [2]
    first, second = (event.wall for event in stand.events if isinstance(event, sh.ShutdownOrdered | sh.ShutdownAskedAgain))
    assert ASK_AGAIN_SECONDS <= second - first < ASK_AGAIN_SECONDS + 2 * STEP
    stand.restart(RESORTS)
    go_down(stand)
    stand.warm_up()
    stand.settle(2)
    assert ending(stand) is ShutdownEnding.DOWN


def test_what_was_not_durable_was_not_asked() -> None:
    stand = overdue()
    for _ in range(20):
        stand.wait(STEP)
        decision = stand.step(durable=False)
        if decision.shutdowns:
            break
    assert decision.shutdowns
    assert stand.controller.ledger.shutdowns.open() == ()
    found = pass_by(stand, PATIENCE_SECONDS + 50.0)
    assert [order.times for order in asked(found)] == [1], "as if it had never been thought of"


def test_what_its_policy_says_of_others_it_does_not_say_of_it() -> None:
    stand = overdue()
    stand.step(PoliciesReplaced(replace(RESORTS, evacuation=(replace(ALLOWED, deadline=Seconds(10 * DEADLINE)),))))
    assert asked(pass_by(stand, 600.0)) == []


def ordered(number: int, vm: str = "a") -> sh.ShutdownOrdered:
    return sh.ShutdownOrdered(float(number), f"{number}-s1", vm_id(vm), vm, H1, "failing-hosts", "because")


def test_the_books_refuse_what_cannot_follow() -> None:
    ledger = Ledger()
    ledger.apply(ordered(1))
    for wrong in (ordered(2), sh.ShutdownAskedAgain(3.0, "nobody", 2), sh.ShutdownEnded(3.0, "2-s1", ShutdownEnding.DOWN)):
        with pytest.raises(LedgerBroken):
            ledger.apply(wrong)
    ledger.apply(sh.ShutdownWithdrawn(4.0, "1-s1", "because"))
    with pytest.raises(LedgerBroken):
        ledger.apply(sh.ShutdownAskedAgain(5.0, "1-s1", 2))
    ledger.apply(sh.ShutdownEnded(6.0, "1-s1", ShutdownEnding.STAYED))
    with pytest.raises(LedgerBroken):
        ledger.apply(sh.ShutdownEnded(7.0, "1-s1", ShutdownEnding.DOWN))
    ledger.apply(ordered(8))
    assert [one.id for one in ledger.shutdowns.open()] == ["8-s1"]


def test_the_books_are_bounded_and_drop_nothing_that_is_open() -> None:
    books = ShutdownBooks()
    books.apply(ordered(0, "open"))
    for number in range(1, KEPT + 50):
        books.apply(ordered(number, f"v{number}"))
        books.apply(sh.ShutdownEnded(float(number), f"{number}-s1", ShutdownEnding.DOWN))
    assert len(books.by_vm) == KEPT
    assert [one.vm_name for one in books.open()] == ["open"]


