"""Off-peak packing: which host goes off, what keeps it on, when one is woken; against controllers that lie, too."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ballastd.core import events as ev
from ballastd.core import power_events as pw
from ballastd.core.inputs import PowerReturned, Verb
from ballastd.core.inventory import VmRecord, VmState
from ballastd.core.migrations import CallResult
from ballastd.core.policies import Limits, Mode, Scope, Window
from ballastd.core.power import PowerPhase, PowerState
from ballastd.core.quantities import GIB, Bytes, Seconds
from tests.builders import WALL, a_cluster, vm_id
from tests.powered import NIGHT, NIGHTS, PACKED, Powered, asleep, four_powered, powered


def test_an_idle_cluster_empties_one_host_and_switches_it_off() -> None:
    p = powered()
    p.until(PowerPhase.OFF, "h3")
    assert p.orders == [("h3", False)], "of the hosts with least to move, the first by name"
    assert not p.table.world["h3"]
    assert sum(len(vms) for vms in p.table.world.values()) == 6, "nothing is lost"


def test_it_goes_through_every_phase_in_order() -> None:
    p = powered()
    p.until(PowerPhase.OFF, "h3")
    kinds = [type(e).__name__ for e in p.table.events if "h3" in str(getattr(e, "host", ""))]
    wanted = ["HostEmptying", "HostClosing", "PowerOffOrdered", "HostOff"]
    assert [kind for kind in kinds if kind in wanted] == wanted


def test_only_so_many_hosts_are_off_at_once() -> None:
    p = powered()
    p.until(PowerPhase.OFF, "h3")
    p.turns(3600.0 * 2)
    assert p.off() == {"h3"}, "20 % of four hosts, and one in any case"
    assert "hosts are off by our doing" in str(p.decisions[-1].view.noes)


def test_a_hold_comes_before_anything_is_emptied() -> None:
    p = powered()
    p.turns(500.0)
    assert not p.off()


@pytest.mark.parametrize("mode", [Mode.OBSERVE, Mode.RECOMMEND])
def test_a_policy_that_may_not_act_only_says_what_it_would_do(mode: Mode) -> None:
    p = powered(policies=replace(PACKED, consolidation=(replace(NIGHTS, mode=mode),)))
    p.turns(3000.0)
    assert not p.off()
    assert not p.orders
    assert "would be emptied and switched off" in str(p.decisions[-1].view.noes)


def test_a_host_that_cannot_be_drained_is_not_said_to_be_off() -> None:
    p = powered(policies=replace(PACKED, consolidation=(replace(NIGHTS, scope=Scope(("h3",))),)))
    p.turns(400.0)
    for host in ("h1", "h2", "h4"):
        p.table.say(Verb.CORDON, host)
    p.table.say(Verb.DRAIN, "h3")
    p.turns(60.0)
    said = [no.detail for no in p.decisions[-1].view.noes if no.kind == "not-idle"]
    assert said == ["nights: all hosts in its scope are off or being emptied"]


def test_outside_the_window_nothing_is_emptied() -> None:
    day = replace(NIGHT, intervals=((WALL + 5 * 3600.0, WALL + 9 * 3600.0),))
    p = powered(policies=replace(PACKED, windows={NIGHT.name: day}))
    p.turns(3000.0)
    assert not p.off()


FREEZE = Window("freeze", False, ((WALL + 3600.0 * 2, WALL + 3600.0 * 6),), WALL + 14 * 86400.0)


def test_in_a_change_freeze_nothing_is_packed() -> None:
    now = replace(FREEZE, intervals=((WALL - 10.0, WALL + 6000.0),))
    frozen = replace(NIGHTS, denials=(now.name,))
    p = powered(policies=replace(PACKED, consolidation=(frozen,), windows={NIGHT.name: NIGHT, now.name: now}))
    p.turns(3000.0)
    assert not p.off()
    assert not p.orders


def test_what_is_off_is_woken_ahead_of_a_change_freeze() -> None:
    frozen = replace(NIGHTS, denials=(FREEZE.name,))
    p = powered(policies=replace(PACKED, consolidation=(frozen,), windows={NIGHT.name: NIGHT, FREEZE.name: FREEZE}))
    p.until(PowerPhase.OFF, "h3")
    p.turns(WALL + 3600.0 * 2 - p.table.now.wall)
    assert ("h3", True) in p.orders
    assert not p.off()


def test_beyond_what_a_denial_is_known_for_nothing_is_packed() -> None:
    short = replace(FREEZE, intervals=(), horizon=WALL + 100.0)
    frozen = replace(NIGHTS, denials=(short.name,))
    p = powered(policies=replace(PACKED, consolidation=(frozen,), windows={NIGHT.name: NIGHT, short.name: short}))
    p.turns(3000.0)
    assert not p.off()


def test_a_busy_cluster_keeps_its_hosts() -> None:
    p = powered()
    p.table.burn(h1v0=9.0, h2v0=9.0, h3v0=9.0, h4v0=9.0)
    p.turns(3000.0)
    assert not p.off()


@pytest.mark.parametrize(("spare", "off"), [(1, set()), (0, {"h1"})])
def test_a_spare_host_is_kept_beside_room_for_a_failure(spare: int, off: set[str]) -> None:
    """108 GiB fit on three hosts of 64 GiB, of which any may die; on two of them with a fifth to spare they do not."""
    builder = a_cluster()
    for h in range(1, 5):
        builder = builder.host(f"h{h}", power="redfish")
        for v in range(3):
            builder = builder.running(f"h{h}v{v}", 9)
    p = powered(builder, replace(PACKED, consolidation=(replace(NIGHTS, spare_hosts=spare, spare_share=0.2),)))
    p.turns(3000.0)
    assert p.off() == off


def test_n_plus_one_is_never_planned_away() -> None:
    p = powered(four_powered(vms=4, gib=11))
    p.turns(3000.0)
    assert not p.off()


def test_a_deaf_hook_keeps_the_host_on() -> None:
    p = powered()
    p.deaf = {"h3", "h4", "h1", "h2"}
    p.turns(3000.0)
    assert not p.orders
    assert "was not confirmed shut" in str([e for e in p.table.events if type(e).__name__ == "HostKept"])


def test_what_a_broker_kept_of_an_agent_confirms_no_hook() -> None:
    p = powered()
    p.kept = True
    p.turns(3000.0)
    assert not p.orders
    assert "was not confirmed shut" in str([e for e in p.table.events if type(e).__name__ == "HostKept"])
    p.kept = False
    p.turns(3000.0)
    assert p.orders


def test_an_emulator_that_nobody_lists_keeps_the_host_on() -> None:
    p = powered()
    p.emulators = {f"h{h}": 1 for h in range(1, 5)}
    p.turns(3000.0)
    assert not p.orders


def test_a_guest_that_somebody_starts_meanwhile_keeps_the_host_on() -> None:
    p = powered()
    p.until(PowerPhase.CLOSING, "h3")
    p.table.world["h3"][vm_id("new")] = VmRecord(vm_id("new"), "new", VmState.RUNNING, Bytes(GIB))
    p.turn()
    assert p.phase("h3") is None
    assert ("h3", False) not in p.orders


def test_a_pause_stops_the_way_off_within_one_step() -> None:
    p = powered()
    p.until(PowerPhase.CLOSING, "h3")
    p.table.say(Verb.PAUSE)
    p.turns(300.0)
    assert not p.orders


def test_one_look_is_not_enough() -> None:
    p = powered()
    p.until(PowerPhase.CLOSING, "h3")
    looks = 0
    while p.phase("h3") is PowerPhase.CLOSING:
        p.turn(1.0)
        looks += 1
    assert p.phase("h3") is PowerPhase.GOING_OFF
    assert looks >= 6, "two looks, five seconds apart, after the hook was confirmed"


def test_a_controller_that_says_off_while_the_host_answers_is_found_out() -> None:
    p = powered()
    p.ignores, p.says = {"h3"}, {}
    p.until(PowerPhase.GOING_OFF, "h3")
    p.says = {"h3": PowerState.OFF}
    decision = p.until(PowerPhase.FAILED, "h3")
    assert "its hypervisor answers" in str(decision.events)
    assert [n for n in decision.notices if n.level == "alarm"]
    p.turns(7200.0)
    assert p.orders == [("h3", False)], "it is not told anything any more"


def test_a_controller_that_says_on_though_the_host_is_off_fails_after_its_time() -> None:
    p = powered()
    p.until(PowerPhase.GOING_OFF, "h3")
    p.says = {"h3": PowerState.ON}
    decision = p.until(PowerPhase.FAILED, "h3")
    assert "did not go off within" in str(decision.events)


def test_a_host_that_does_not_go_off_fails_and_is_not_filled() -> None:
    p = powered()
    p.ignores = {"h3"}
    p.until(PowerPhase.FAILED, "h3")
    p.turn()
    (h3,) = [h for h in p.decisions[-1].view.hosts if h.name == "h3"]
    assert not h3.target
    assert h3.health == "suspect"
    p.say(Verb.ACKNOWLEDGE, "h3")
    assert p.phase("h3") is None


def test_rising_load_wakes_it_and_it_is_used_again() -> None:
    p = asleep()
    p.turns(1800.0)
    p.table.burn(h1v0=14.5, h2v0=14.5, h4v0=14.5)
    p.until(None, "h3")
    assert p.orders == [("h3", False), ("h3", True)]
    p.turns(30.0)
    assert next(h for h in p.decisions[-1].view.hosts if h.name == "h3").target


def test_it_stays_off_for_its_minimum_though_load_rises() -> None:
    p = asleep()
    p.table.burn(h1v0=14.5, h2v0=14.5, h4v0=14.5)
    p.turns(1200.0)
    assert p.orders == [("h3", False)]
    assert "once it was off long enough" in str(p.decisions[-1].view.noes)


def test_everything_is_woken_ahead_of_the_windows_end() -> None:
    p = asleep()
    p.until(None, "h3", 9 * 3600.0)
    assert 0 < NIGHT.intervals[0][1] - p.table.now.wall <= NIGHTS.wake_ahead


def test_a_failing_host_whose_vms_fit_nowhere_wakes_one_at_once() -> None:
    p = powered(four_powered(vms=1, gib=25), replace(PACKED, limits=replace(PACKED.limits, failover_hosts=0),
                                                     consolidation=(replace(
                                                         NIGHTS, spare_hosts=0, spare_share=0.0, fill_memory=1.0,
                                                         power_off_below=0.8, power_on_above=0.95),)))
    p.until(PowerPhase.OFF, "h3")
    p.table.show("h1", "ecc.uncorrected", 0.0, "D")
    p.turns(30.0)
    p.table.show("h1", "ecc.uncorrected", 1.0, "D")
    p.until(None, "h3", 900.0)
    assert ("h3", True) in p.orders


def test_nobody_leaves_a_host_that_is_kept_on_in_the_very_same_step() -> None:
    limits = replace(PACKED.limits, failover_hosts=0, in_flight_cluster=8, in_flight_host_in=4)
    p = powered(four_powered(vms=3), replace(PACKED, limits=limits))
    while not p.off():
        p.turn()
    (host,) = p.off()
    assert not p.decisions[-1].orders, "its VMs are asked to leave in the step after"
    giant = VmRecord(vm_id("giant"), "giant", VmState.RUNNING, Bytes(60 * GIB))
    sick = next(name for name in p.table.world if name != host)
    p.table.world[sick][giant.vm] = giant
    decision = p.table.wait(1.0).say(Verb.DRAIN, sick)
    kept = [event for event in decision.events if isinstance(event, pw.HostKept)]
    assert [event.host for event in kept] == [host]
    assert kept[0].detail.endswith("have nowhere to go")
    assert host not in {order.move.source for order in decision.orders}
    assert host not in {event.source for event in decision.events if isinstance(event, ev.MigrationOrdered)}


def test_a_host_that_does_not_come_back_is_suspect_and_an_alarm() -> None:
    p = asleep()
    p.ignores = {"h3"}
    p.turns(1800.0)
    p.table.burn(h1v0=14.5, h2v0=14.5, h4v0=14.5)
    decision = p.until(PowerPhase.FAILED, "h3")
    assert "did not come back" in str(decision.events)
    assert "h3" not in p.table.controller.ledger.wakeable, "what it proved before counts no longer"


def test_another_machine_in_its_place_is_not_used() -> None:
    p = asleep()
    p.identity = {"h3": "99999999-0001-4000-8000-000000000000"}
    p.turns(1800.0)
    p.table.burn(h1v0=14.5, h2v0=14.5, h4v0=14.5)
    decision = p.until(PowerPhase.FAILED, "h3")
    assert "belongs to another machine" in str(decision.events)


def test_a_host_that_somebody_switches_on_is_taken_back() -> None:
    p = asleep()
    p.table.powered_off.clear()
    p.turn()
    assert p.phase("h3") is None
    assert p.orders == [("h3", False)]


def test_a_sleeping_host_is_not_unknown_and_freezes_nothing() -> None:
    p = asleep()
    assert not [g for g in p.decisions[-1].view.gates if g.kind == "frozen"]
    assert p.decisions[-1].view.posture == "acting"


def test_a_restart_on_the_way_off_and_while_asleep_forgets_nothing() -> None:
    p = powered()
    p.until(PowerPhase.CLOSING, "h3")
    p.restart()
    p.until(PowerPhase.OFF, "h3")
    p.restart()
    p.turns(1800.0)
    assert p.phase("h3") is PowerPhase.OFF
    p.table.burn(h1v0=14.5, h2v0=14.5, h4v0=14.5)
    p.until(None, "h3")
    assert p.orders == [("h3", False), ("h3", True)]


def test_a_day_has_only_so_many_cycles() -> None:
    rest = replace(NIGHTS.cooldown, vm=Seconds(600.0), no_return=Seconds(600.0))
    short = replace(NIGHTS, minimum_on=Seconds(60.0), minimum_off=Seconds(60.0), power_off_hold=Seconds(60.0), cooldown=rest)
    night = replace(NIGHT, intervals=((WALL - 1e5, WALL + 3e5),), horizon=WALL + 1e6)
    p = powered(policies=replace(PACKED, consolidation=(short,), windows={NIGHT.name: night},
                                 limits=replace(PACKED.limits, power_cycles_per_day=1)))
    for _ in range(3):
        host = _next_off(p)
        p.table.burn(**{min(vm.name for vm in vms.values()): 14.5 for vms in p.table.world.values() if vms})
        p.until(None, host, 12000.0)
        p.table.burn(**{vm.name: 0.05 for vms in p.table.world.values() for vm in vms.values()})
    told = [host for host, on in p.orders if not on]
    assert len(told) == len(set(told)) == 3


def _next_off(p: Powered) -> str:
    for _ in range(1200):
        p.turn()
        found = [host for host in p.off() if p.phase(host) is PowerPhase.OFF]
        if found:
            return found[0]
    raise AssertionError(p.decisions[-1].view.noes)


def test_an_operators_power_off_is_refused_with_the_reason() -> None:
    p = powered(proved=False)
    answer = p.say(Verb.POWER_OFF, "h3")
    assert not answer.accepted
    assert "confirm-wakeable" in answer.message


def test_what_an_operator_switched_off_an_operator_wakes() -> None:
    p = powered(policies=replace(PACKED, consolidation=()))
    assert p.say(Verb.POWER_OFF, "h3").accepted
    p.until(PowerPhase.OFF, "h3")
    p.table.burn(h1v0=14.5, h2v0=14.5, h4v0=14.5)
    p.turns(3600.0)
    assert p.phase("h3") is PowerPhase.OFF
    p.say(Verb.POWER_ON, "h3")
    p.table.powered_off.discard("h3")
    p.until(None, "h3")


def test_two_hosts_that_go_off_in_one_step_do_so_by_orders_of_their_own() -> None:
    builder = a_cluster().host("h1", power="redfish").running("a").host("h2", power="redfish")
    p = powered(builder.host("h3", power="redfish").host("h4", power="redfish"), replace(PACKED, consolidation=()))
    assert p.say(Verb.POWER_OFF, "h3").accepted
    assert p.say(Verb.POWER_OFF, "h4").accepted
    p.until(PowerPhase.GOING_OFF, "h3")
    ordered = [e for e in p.table.events if isinstance(e, pw.PowerOffOrdered)]
    assert [e.host for e in ordered] == ["h3", "h4"]
    assert len({e.wall for e in ordered}) == 1, "in one step"
    # the kernel lets but one of them pass
    results = {"h3": CallResult.OK, "h4": CallResult.WITHHELD}
    p.returns = [PowerReturned(e.id, e.host, results[e.host], "ceiling", p.table.now) for e in ordered]
    p.table.powered_off.discard("h4")
    p.until(PowerPhase.OFF, "h3")
    assert p.phase("h4") is None


def test_limits_of_power_are_shown_as_budgets() -> None:
    p = asleep()
    (budget,) = [b for b in p.decisions[-1].view.budgets if b.name == "hosts off or on their way"]
    assert (budget.used, budget.limit) == (1, 1)
    assert Limits().hosts_off_share == 0.20


def test_a_wake_test_needs_no_proof_and_gives_one() -> None:
    p = powered(policies=replace(PACKED, consolidation=()), proved=False)
    assert p.say(Verb.WAKE_TEST, "h3").accepted
    p.until(PowerPhase.OFF, "h3")
    p.until(None, "h3")
    assert p.orders == [("h3", False), ("h3", True)]
    assert "h3" in p.table.controller.ledger.wakeable


def test_one_wake_test_at_a_time() -> None:
    p = powered(policies=replace(PACKED, consolidation=()), proved=False)
    p.say(Verb.WAKE_TEST, "h3")
    assert not p.say(Verb.WAKE_TEST, "h4").accepted


def test_a_host_that_sleeps_is_not_one_that_we_cannot_see() -> None:
    p = powered()
    p.until(PowerPhase.OFF, "h3")
    p.table.silent.add("h1")
    p.turns(200.0)
    assert p.decisions[-1].view.posture == "acting", "one of four is unknown; with the sleeping one it would be two"


def test_after_a_failure_of_power_it_says_why_nothing_more_goes_off() -> None:
    p = powered()
    p.ignores.add("h3")
    p.until(PowerPhase.FAILED, "h3")
    p.turns(700.0)
    assert "nothing more is switched off while the power of h3 failed" in str(p.decisions[-1].view.noes)


def test_a_host_that_is_on_is_not_switched_on_and_proves_nothing_by_it() -> None:
    p = powered()
    p.turns(30.0)
    p.table.controller.ledger.wakeable.clear()
    answer = p.say(Verb.POWER_ON, "h2")
    assert (answer.accepted, answer.message) == (False, "h2 is on: its hypervisor answers")
    p.table.powered_off.add("h2")
    p.turns(120.0)
    assert p.say(Verb.POWER_ON, "h2").accepted
    p.table.powered_off.discard("h2")
    p.until(None, "h2")
    assert "h2" not in p.table.controller.ledger.wakeable, "we did not see it go off"


def test_a_host_that_was_just_woken_stays_on_for_its_minimum() -> None:
    """Only h3 can be switched off: what keeps it on is nothing but the time that it is on."""
    builder = a_cluster()
    for h in range(1, 5):
        builder = builder.host(f"h{h}", power="redfish" if h == 3 else "").running(f"h{h}v0", 8)
    again = replace(NIGHTS, minimum_on=Seconds(3600.0), minimum_off=Seconds(60.0), power_off_hold=Seconds(60.0))
    p = powered(builder, replace(PACKED, consolidation=(again,), limits=replace(PACKED.limits, power_cycles_per_day=9)))
    p.until(PowerPhase.OFF, "h3")
    p.table.burn(h1v0=14.5, h2v0=14.5, h4v0=14.5)
    p.until(None, "h3")
    woken = p.table.now.wall
    p.table.burn(h1v0=0.05, h2v0=0.05, h4v0=0.05)
    p.turns(1800.0)
    assert "it is on for" in str(p.decisions[-1].view.noes)
    p.until(PowerPhase.EMPTYING, "h3")
    assert 3600.0 <= p.table.now.wall - woken < 3700.0


@pytest.mark.parametrize(("paused", "orders"), [(False, [("h3", True)]), (True, [])])
def test_whom_a_person_wants_woken_is_woken_in_a_freeze_for_the_unknown_may_be_those(paused, orders) -> None:
    p = powered()
    p.table.powered_off |= {"h3", "h4"}
    p.turns(200.0)
    assert {gate.kind for gate in p.decisions[-1].view.gates} == {"frozen"}, "two of four are silent"
    if paused:
        p.say(Verb.PAUSE, "")
    p.orders.clear()
    assert p.say(Verb.POWER_ON, "h3").accepted
    p.turns(30.0)
    assert p.orders == orders
