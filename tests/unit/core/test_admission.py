"""Windows, rates and bandwidth: what may start now, and until when the rest waits."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ballastd.core.aborts import _closed_window
from ballastd.core.admission import window_deferral
from ballastd.core.inputs import Verb
from ballastd.core.migrations import Migration
from ballastd.core.plans import DeferralKind, Move
from ballastd.core.policies import (
    BalancePolicy,
    EvacuationPolicy,
    Health,
    Limits,
    Mode,
    PolicySet,
    Response,
    Window,
)
from ballastd.core.quantities import Bytes, HostName, Seconds, VmId
from tests.builders import FAN, POLICIES, UNCORRECTED, four_hosts, table

OPEN = Window("open", True, ((100.0, 200.0), (300.0, 400.0)), 1000.0, begins=50.0)
SHUT = Window("freeze", False, ((150.0, 160.0),), 1000.0, begins=50.0)


def move(*windows: str, predicted: float = 10.0, urgent: bool = False) -> Move:
    return Move(VmId("v"), "v", HostName("h1"), HostName("h2"), Bytes(1), Seconds(predicted), "p", "because",
                urgent=urgent, windows=windows)


POLICY = PolicySet(windows={"open": OPEN, "freeze": SHUT})


@pytest.mark.parametrize(("wall", "windows", "kind"), [
    (120.0, ("open",), None),
    (99.0, ("open",), DeferralKind.WINDOW),
    (200.0, ("open",), DeferralKind.WINDOW),
    (186.0, ("open",), DeferralKind.WILL_NOT_FIT),
    (185.0, ("open",), None),
    (155.0, ("open", "freeze"), DeferralKind.WINDOW),
    (155.0, ("freeze",), DeferralKind.WINDOW),
    (140.0, ("freeze",), DeferralKind.WILL_NOT_FIT),
    (130.0, ("freeze",), None),
    (170.0, ("freeze",), None),
    (2000.0, ("freeze",), DeferralKind.WINDOW),
    (49.0, ("freeze",), DeferralKind.WINDOW),
    (51.0, ("freeze",), None),
    (49.0, ("open",), DeferralKind.WINDOW),
    (2000.0, ("open",), DeferralKind.WINDOW),
    (99.0, (), None),
])
def test_windows_allow_and_deny_and_denials_win(wall: float, windows: tuple[str, ...],
                                                kind: DeferralKind | None) -> None:
    found = window_deferral(move(*windows), POLICY, wall)
    assert (found.kind if found else None) is kind


def test_a_closed_window_says_when_it_opens() -> None:
    found = window_deferral(move("open"), POLICY, 250.0)
    assert found is not None
    assert found.until_wall == 300.0


def test_windows_that_follow_one_another_are_one() -> None:
    evening, night = Window("evening", True, ((100.0, 200.0),), 1000.0), Window("night", True, ((200.0, 300.0),), 1000.0)
    late = Window("late", True, ((310.0, 400.0),), 1000.0)
    policies = PolicySet(windows={w.name: w for w in (evening, night, late)})
    assert window_deferral(move("evening", "night", "late"), policies, 195.0) is None
    no = window_deferral(move("evening", "night", "late"), policies, 290.0)
    assert no is not None
    assert (no.kind, no.until_wall) == (DeferralKind.WILL_NOT_FIT, 310.0)


def test_what_would_not_fit_before_a_denial_waits_for_its_end() -> None:
    no = window_deferral(move("freeze"), POLICY, 140.0)
    assert no is not None
    assert (no.kind, no.until_wall) == (DeferralKind.WILL_NOT_FIT, 160.0)


@pytest.mark.parametrize(("wall", "windows", "called_off"), [
    (150.0, ("finish", "cancel"), False),
    (250.0, ("finish",), False),
    (250.0, ("cancel",), True),
    (250.0, ("finish", "cancel"), True),
    (9.0, ("cancel",), False),
    (11.0, ("cancel",), True),
    (150.0, ("finish", "deny-cancel"), False),
    (160.0, ("finish", "deny-cancel"), True),
    (250.0, ("finish", "deny-cancel"), False),
    (160.0, ("finish", "deny-finish"), False),
    (160.0, (), False),
])
def test_a_running_move_ends_or_is_called_off_when_a_window_closes_as_that_window_says(
        wall: float, windows: tuple[str, ...], called_off: bool) -> None:
    open_, shut = ((100.0, 200.0),), ((155.0, 165.0),)
    known = {"finish": Window("finish", True, open_, 1000.0), "cancel": Window("cancel", True, open_, 1000.0, True, 10.0),
             "deny-cancel": Window("deny-cancel", False, shut, 1000.0, True),
             "deny-finish": Window("deny-finish", False, shut, 1000.0)}
    balance = BalancePolicy("even", windows=windows)
    m = Migration("1", VmId("v"), "v", HostName("h1"), HostName("h2"), Bytes(1), 100, "even", "", 0.0,
                  9e9, 10.0)
    said = _closed_window(m, PolicySet(windows=known, balance=(balance,)), wall)
    assert bool(said) == called_off


def test_urgent_moves_ignore_windows() -> None:
    assert window_deferral(move("freeze", urgent=True), POLICY, 155.0) is None


def drains(**limits: object) -> PolicySet:
    suspects = EvacuationPolicy("suspects", Health.SUSPECT, Response.DRAIN, mode=Mode.AUTO)
    return replace(POLICIES, health=(UNCORRECTED, FAN), evacuation=(suspects,),
                   limits=replace(POLICIES.limits, **limits))


def test_one_host_is_evacuated_at_a_time() -> None:
    t = table(four_hosts(), drains(failover_hosts=0))
    t.warm_up()
    t.show("h1", "fan.alarm", 1.0, "f").show("h2", "fan.alarm", 1.0, "f")
    decision = t.step()
    assert {o.move.source for o in decision.orders} == {"h1"}
    assert "evacuations-at-once" in {no.kind for no in decision.view.noes}


def test_evacuations_within_the_hour_are_counted_over_restarts() -> None:
    policies = drains(evacuations_per_hour=1)
    t = table(four_hosts(vms_each=1), policies)
    t.warm_up()
    t.show("h1", "fan.alarm", 1.0, "f")
    assert t.run_to_rest() == 1
    t.restart(policies).warm_up()
    t.show("h2", "fan.alarm", 1.0, "f")
    decision = t.step()
    assert not decision.orders
    assert "evacuations-per-hour" in {no.kind for no in decision.view.noes}
    for _ in range(8):
        t.wait(600.0)
        t.warm_up()
    assert any(d.orders for d in t.settle(400, 1.0))


@pytest.mark.parametrize("mode", [Mode.OBSERVE, Mode.RECOMMEND])
def test_a_policy_that_may_only_speak_moves_nothing(mode: Mode) -> None:
    policies = drains()
    policies = replace(policies, evacuation=(replace(policies.evacuation[0], mode=mode),))
    t = table(four_hosts(), policies)
    t.warm_up()
    t.show("h1", "fan.alarm", 1.0, "f")
    decision = t.step()
    assert not decision.orders
    assert decision.view.moves, "it still says what it would do"
    assert {no.kind for no in decision.view.noes} == {"policy-mode"}
    assert not decision.cordons


def test_bandwidth_is_shared_by_what_is_in_flight_and_given_back() -> None:
    t = table(four_hosts(vms_each=2), POLICIES)
    t.show("h1", "ecc.uncorrected", 0.0, "D")
    t.warm_up()
    t.show("h1", "ecc.uncorrected", 1.0, "D")
    first, second = t.step().orders
    assert first.bandwidth_mib_s == second.bandwidth_mib_s == 300
    t.begin(first).begin(second).wait(1.0).step()
    decision = t.wait(1.0).step(t.finish(first))
    decision = t.wait(1.0).step()
    tuned = {m.id: m.bandwidth_mib_s for m in t.controller.ledger.open_migrations()}
    assert tuned == {second.id: 600}
    assert decision.orders == ()


def test_the_default_limits_are_under_the_ceilings() -> None:
    limits = Limits()
    assert limits.in_flight_cluster <= 8
    assert limits.link_share <= 0.8


def test_a_drain_keeps_to_its_windows_until_its_deadline() -> None:
    closed = Window("closed", True, (), 9e9)
    policies = drains(failover_hosts=0)
    drain = replace(policies.evacuation[0], windows=("closed",), deadline=Seconds(600.0))
    t = table(four_hosts(), replace(policies, evacuation=(drain,), windows={"closed": closed}))
    t.warm_up()
    t.show("h1", "fan.alarm", 1.0, "f")
    decision = t.step()
    assert not decision.orders
    assert {no.kind for no in decision.view.noes} == {"window"}
    assert "by the deadline" in decision.view.intents[0].forecast
    assert not any(d.orders for d in t.settle(11, 50.0))
    assert any(d.orders for d in t.settle(2, 50.0))


def test_an_operators_drains_do_not_use_up_the_hour_of_evacuations() -> None:
    t = table(four_hosts(vms_each=1), drains(failover_hosts=0, evacuations_per_hour=1))
    t.warm_up()
    t.step(*t.carry_out(t.say(Verb.DRAIN, "h1")))
    t.wait(1.0).run_to_rest()
    assert not t.world["h1"]
    assert t.controller.ledger.evacuation_starts == ()
