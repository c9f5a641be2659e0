"""Guests that are asked to shut down: as the last of all, with everybody's leave, few at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from ballastd.core import power_events as pw
from ballastd.core import shutdown_events as sh
from ballastd.core.autonomy_events import PolicyDemoted
from ballastd.core.books import OPERATOR
from ballastd.core.decisions import Decision
from ballastd.core.inputs import Input, Verb
from ballastd.core.inventory import JobKind
from ballastd.core.plans import DeferralKind
from ballastd.core.policies import LastResort, Mode, PolicySet, VmSelector
from ballastd.core.quantities import HostName, Seconds
from ballastd.core.shutdowns import AT_ONCE, PATIENCE_SECONDS
from tests.builders import HOT, POLICIES, Table, a_cluster, machine_of, table, vm_id
from tests.unit.core.shutting import (
    ALLOWED,
    COARSE,
    DEADLINE,
    H1,
    PINNED,
    RESORTS,
    SLOW,
    SPOILT,
    STEP,
    asked,
    change,
    failing,
    go_down,
    of,
    overdue,
    pass_by,
    pinned,
    why_not,
)


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


@pytest.mark.parametrize(("policy", "waits"), [("nights", True), (OPERATOR, False)])
def test_a_host_that_is_going_off_is_waited_for_where_it_will_be_woken_again(policy: str, waits: bool) -> None:
    full = a_cluster().host("h1").running("big", 60).idlers(2, 3, 4, gib=40).host("h5", 40, power="redfish")
    for name, builder in (("big", full), ("a", pinned().host("h5", power="redfish"))):
        # it takes longer to go off than all that is waited for here
        stand = overdue(builder=replace(builder, timing=replace(builder.timing, power_off=Seconds(3 * DEADLINE))))
        h5 = HostName("h5")
        stand.events += [pw.HostEmptying(stand.now.wall, h5, policy, "because"), pw.HostClosing(stand.now.wall, h5),
                         pw.PowerOffOrdered(stand.now.wall, "1-p1", h5, policy, "because", machine_of("h5"))]
        stand.powered_off.add("h5")
        stand.restart(RESORTS)
        stand.warm_up()
        decisions = pass_by(stand, DEADLINE + 200.0)
        is_held = waits and name == "big"
        assert (asked(decisions) == []) is is_held
        assert ("h5 is going off, and may be woken again for it" in why_not(decisions[-1], name)) is is_held


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
