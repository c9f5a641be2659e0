"""Guests that were asked to shut down: asked again a few times, taken back, and watched until it is known what became of
them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest

from ballastd.core import events as ev
from ballastd.core import power_events as pw
from ballastd.core import shutdown_events as sh
from ballastd.core.books import DAY_SECONDS
from ballastd.core.explanation import explain
from ballastd.core.inputs import OperatorCommand, PoliciesReplaced, ShutdownReturned, Verb
from ballastd.core.inventory import JobKind, VmState
from ballastd.core.migrations import CallResult
from ballastd.core.policies import Mode, VmSelector
from ballastd.core.quantities import HostName, Seconds
from ballastd.core.shutdown_books import ASK_AGAIN_SECONDS, CALL_SECONDS
from ballastd.core.shutdown_events import ShutdownEnding
from ballastd.core.shutdowns import ASKS_MAX, PATIENCE_SECONDS, WATCH_SECONDS
from ballastd.core.views import ClusterView
from tests.builders import POLICIES, UNCORRECTED, Table, a_cluster, vm_id
from tests.unit.core.shutting import (
    ALLOWED,
    COARSE,
    DEADLINE,
    PINNED,
    RESORTS,
    SPOILT,
    STEP,
    asked,
    change,
    ending,
    failing,
    go_down,
    of,
    overdue,
    pass_by,
    pinned,
    sees_a_twin,
    why_not,
)


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


def test_what_was_said_against_it_the_last_time_is_told() -> None:
    stand = overdue()
    told = [n.text for one in pass_by(stand, 450.0, CallResult.REFUSED, "on_poweroff is restart") for n in one.notices]
    assert any("does not go down" in text and "the last time: on_poweroff is restart" in text for text in told)
    stand = overdue()
    [order, *_] = asked(pass_by(stand, 50.0, CallResult.REFUSED, "on_poweroff is restart"))
    pass_by(stand, 250.0)
    told = [n.text for one in pass_by(stand, 250.0, None) for n in one.notices]
    assert any("does not go down" in text for text in told)
    assert not any("the last time" in text for text in told), "that was the first, and the last has not returned"
    assert order.times == 1


def test_while_the_call_that_asks_it_is_out_it_is_not_asked_again_and_not_for_ever() -> None:
    stand = overdue()
    [order] = asked(pass_by(stand, 50.0, None))
    [begun] = [event.wall for event in stand.events if isinstance(event, sh.ShutdownOrdered)]
    assert asked(pass_by(stand, begun + CALL_SECONDS - STEP - stand.now.wall, None)) == []
    assert [again.times for again in asked(pass_by(stand, 2 * STEP, None))] == [2]
    stand.step(ShutdownReturned(order.id, 1, CallResult.OK, "", stand.now))
    assert asked(pass_by(stand, ASK_AGAIN_SECONDS, None)) == [], "it is the second that is out"
    returned = ShutdownReturned(order.id, 2, CallResult.OK, "", stand.now)
    assert [again.times for again in asked([stand.step(returned)])] == [3]


NOTICED_SECONDS = {"its host is not heard": 120.0}
"""What is noticed only after a while."""


@pytest.mark.parametrize("name", SPOILT)
def test_nothing_is_asked_again_where_anything_speaks_against_it(name: str) -> None:
    stand = overdue()
    assert len(asked(pass_by(stand, 50.0))) == 1
    SPOILT[name](stand)
    pass_by(stand, NOTICED_SECONDS.get(name, 0.0))
    assert asked(pass_by(stand, 300.0)) == []


def test_what_keeps_it_from_being_asked_again_is_told_and_has_to_be_over_for_a_minute() -> None:
    stand = overdue()
    pass_by(stand, 50.0)
    sees_a_twin(stand)
    assert "it is not asked again to shut down: h1 is frozen" in why_not(pass_by(stand, 100.0)[-1])
    del stand.world["h2"][vm_id("a")]
    soon = pass_by(stand, PATIENCE_SECONDS)
    assert asked(soon) == []
    assert "only if it stays so for a minute" in why_not(soon[-1])
    assert [order.times for order in asked(pass_by(stand, 3 * STEP))] == [2]


def test_a_host_that_is_woken_is_waited_for_also_by_who_was_asked_once() -> None:
    stand = overdue(builder=pinned().host("h5", power="redfish"))
    pass_by(stand, 50.0)
    stand.events.append(pw.WakeOrdered(stand.now.wall, "1-p1", HostName("h5"), "nights", "because"))
    stand.powered_off.add("h5")
    stand.restart(RESORTS)
    stand.warm_up()
    held = pass_by(stand, 100.0)
    assert asked(held) == []
    assert "a host is being woken" in why_not(held[-1])


def test_a_deadline_that_is_put_off_holds_it() -> None:
    stand = overdue()
    pass_by(stand, 50.0)
    stand.step(PoliciesReplaced(replace(RESORTS, evacuation=(replace(ALLOWED, deadline=Seconds(10 * DEADLINE)),))))
    held = pass_by(stand, 200.0)
    assert asked(held) == []
    assert "was put off" in why_not(held[-1])


def test_however_often_it_is_taken_back_it_is_asked_five_times_in_all() -> None:
    stand = overdue()
    for _ in range(8):
        pass_by(stand, 130.0)
        change(stand, job=JobKind.OTHER)
        pass_by(stand, 100.0)
        change(stand, job=JobKind.NONE)
        pass_by(stand, WATCH_SECONDS)
    times = [event.times for event in stand.events if isinstance(event, sh.ShutdownOrdered | sh.ShutdownAskedAgain)]
    assert times == list(range(1, ASKS_MAX + 1))
    assert len(of(stand, sh.ShutdownOrdered)) > 1
    assert "it was asked to 5 times, and does not go down" in why_not(pass_by(stand, 100.0)[-1])


def test_another_condition_that_is_latched_later_is_no_reason_to_begin_anew() -> None:
    other = replace(UNCORRECTED, name="corrected", condition=replace(
        UNCORRECTED.condition, predicate=replace(UNCORRECTED.condition.predicate, metric="ecc.corrected")))
    stand = overdue(replace(RESORTS, health=(*RESORTS.health, other)))
    stand.show("h1", "ecc.corrected", 0.0)
    pass_by(stand, ASKS_MAX * ASK_AGAIN_SECONDS + WATCH_SECONDS + 100.0)
    stand.show("h1", "ecc.corrected", 1.0)
    stand.settle()
    assert len(stand.controller.ledger.latched) == 2
    assert asked(pass_by(stand, 300.0)) == []


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
    [alarm] = [n.text for one in found for n in one.notices if "went down on h1 as it was asked to" in n.text]
    assert "it is shutoff (5/1)" in alarm
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
    assert [event.because for event in of(stand, sh.ShutdownOver) if isinstance(event, sh.ShutdownOver)] == [
        "it runs on h2 again"]


def one_that_went_down() -> Table:
    stand = overdue()
    pass_by(stand, 50.0)
    go_down(stand)
    pass_by(stand, 50.0)
    return stand


def missed(view: ClusterView) -> bool:
    return any("a was shut down on h1, and runs nowhere" in note for note in view.notes)


def test_one_that_ran_again_and_was_stopped_later_is_missed_no_more() -> None:
    stand = one_that_went_down()
    change(stand, state=VmState.RUNNING)
    pass_by(stand, 50.0)
    change(stand, state=VmState.SHUTOFF)
    stand.restart(RESORTS)
    stand.warm_up()
    view = pass_by(stand, 50.0)[-1].portrait.view
    assert not missed(view)
    assert [(one.state, one.seen) for one in view.shutdowns] == [("down", True)]


def test_one_that_is_over_is_shown_for_a_day_and_one_that_is_missed_until_somebody_starts_it() -> None:
    for is_missed in (True, False):
        stand = one_that_went_down()
        if not is_missed:
            change(stand, state=VmState.RUNNING)
            pass_by(stand, 50.0)
        stand.quiet_for(2 * DAY_SECONDS, 1800.0)
        stand.warm_up()
        view = stand.step().portrait.view
        assert missed(view) is is_missed
        assert [one.state for one in view.shutdowns] == (["down"] if is_missed else [])
        assert [vm.shutdown_state for vm in view.vms if vm.name == "a"] == ["down" if is_missed else ""]


def test_one_that_shall_not_run_again_is_acknowledged_once_nothing_is_latched_any_more() -> None:
    stand = one_that_went_down()
    del stand.world["h1"][vm_id("a")]
    assert stand.say(Verb.ACKNOWLEDGE, "h1").answers[0].message == "acknowledged on h1: uncorrected-memory-errors"
    assert missed(stand.step().portrait.view), "that was of the host, and not of its guest"
    done = stand.step(OperatorCommand("gone", Verb.ACKNOWLEDGE, "h1", "ann", "sold"))
    assert done.answers[0].message == "acknowledged on h1: a is down"
    assert [e.because for e in done.events if isinstance(e, sh.ShutdownOver)] == ["acknowledged by ann: sold"]
    assert not missed(stand.step().portrait.view)
    [again] = stand.say(Verb.ACKNOWLEDGE, "h1").answers
    assert not again.accepted


def test_one_that_somebody_started_again_is_left_to_run_until_there_is_other_evidence() -> None:
    stand = overdue()
    pass_by(stand, 50.0)
    go_down(stand)
    pass_by(stand, 50.0)
    change(stand, state=VmState.RUNNING)
    decisions = stand.quiet_for(1200.0, COARSE)
    assert asked(decisions) == []
    assert "somebody started it again" in why_not(decisions[-1])


@pytest.mark.parametrize("how", ["crashed", "destroyed", "unknown", "gone", "the host was dark"])
def test_one_that_is_down_by_whatever_else_is_not_said_to_have_obeyed(how: str) -> None:
    stand = overdue()
    pass_by(stand, 50.0)
    match how:
        case "crashed":
            change(stand, state=VmState.CRASHED, reason="6/1")
        case "destroyed":
            change(stand, state=VmState.SHUTOFF, reason="5/2")
        case "unknown":
            change(stand, state=VmState.SHUTOFF, reason="5/0")
        case "gone":
            del stand.world["h1"][vm_id("a")]
        case _:
            stand.dark.add("h1")
            pass_by(stand, 100.0)
            go_down(stand)
            stand.dark.clear()
    found = pass_by(stand, 100.0)
    assert ending(stand) is ShutdownEnding.DOWN
    [alarm] = [n.text for one in found for n in one.notices if n.key == f"shutdown/{vm_id('a')}" and n.level == "alarm"]
    assert "whether by being asked is not known, and its disk may be as after a power cut" in alarm
    assert "as it was asked to" not in alarm
    [ended] = of(stand, sh.ShutdownEnded)
    assert isinstance(ended, sh.ShutdownEnded)
    assert "whether by being asked is not known" in ended.detail


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


def test_a_clock_that_was_set_back_moves_nobody_who_may_be_going_down() -> None:
    stand = overdue()
    pass_by(stand, 20.0)
    change(stand, pins=())
    stand.now = replace(stand.now, wall=stand.now.wall - 3600.0)
    assert [order for one in stand.quiet_for(30.0) for order in one.orders] == []
    assert [order.move.vm for one in stand.quiet_for(600.0) for order in one.orders] == [vm_id("a")]


@pytest.mark.parametrize("hold", [lambda t: t.say(Verb.PAUSE), lambda t: t.silent.add("h1"), lambda t: t.dark.add("h1")],
                         ids=["paused", "silent", "dark"])
def test_a_gate_or_doubt_holds_what_was_ordered_and_takes_nothing_back(hold: Callable[[Table], object]) -> None:
    stand = overdue()
    pass_by(stand, 50.0)
    hold(stand)
    pass_by(stand, 120.0)  # silence is noticed only after a while
    assert asked(pass_by(stand, 300.0)) == []
    assert of(stand, sh.ShutdownWithdrawn, sh.ShutdownEnded) == []


def two_that_fail() -> Table:
    """Return a table on which a guest of h1 was asked, and one of h2 waits for that."""
    builder = a_cluster().host("h1").running("a", pins=PINNED).host("h2").running("b", pins=PINNED)
    for number in range(3, 13):
        builder = builder.host(f"h{number:02}")
    stand = failing(builder=builder).show("h2", "ecc.uncorrected", 0.0)
    stand.settle()
    stand.show("h2", "ecc.uncorrected", 1.0)
    assert {order.vm for order in asked(pass_by(stand, DEADLINE + 50.0))} == {vm_id("a")}
    return stand


def test_a_host_that_died_with_guests_that_were_asked_keeps_no_other_waiting_and_has_no_second_turn() -> None:
    stand = two_that_fail()
    stand.dark.add("h1")
    stand.silent.add("h1")
    late = pass_by(stand, 100.0)
    assert {order.vm for order in asked(late)} == {vm_id("b")}
    ordered, again = (event.wall for event in stand.events if isinstance(event, sh.ShutdownOrdered))
    assert again - ordered >= ASK_AGAIN_SECONDS
    stand.dark.clear()
    stand.silent.clear()
    back = pass_by(stand, 100.0)
    assert {order.vm for order in asked(back)} == {vm_id("b")}
    [withdrawn] = of(stand, sh.ShutdownWithdrawn)
    assert isinstance(withdrawn, sh.ShutdownWithdrawn)
    assert "those of h2 are asked now" in withdrawn.because


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
