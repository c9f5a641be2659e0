"""Conditions of several parts on the table: what they start, what they rest on, what outlives a restart, and silence."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ballastd.core.conditions import Aggregate, AtLeast, Condition, Holding, Not, Predicate, RelativeTo, Silence, Threshold
from ballastd.core.events import CountersNoted, VerdictLatched
from ballastd.core.inputs import PoliciesReplaced, TelemetryConnected, TelemetryLost, Verb
from ballastd.core.policies import EvacuationPolicy, Health, HealthPolicy, Mode, PolicySet, Response
from ballastd.core.power import HostPower, PowerPhase
from ballastd.core.quantities import HostName, Seconds
from tests.builders import FAILING_HOSTS, POLICIES, Table, four_hosts, table

FAN, HEAT = Threshold("fan.alarm", 0.5), Threshold("temperature", -5.0, relative_to=RelativeTo.CRITICAL)
RISE = Threshold("ecc.uncorrected", 0.0, Aggregate.INCREASE, Seconds(3600.0))
SILENT = HealthPolicy("silent", Condition(Silence(Seconds(60.0)), Holding(clear_hold=Seconds(30.0))), Health.SUSPECT)


def health(predicate: Predicate, holding: Holding | None = None, severity: Health = Health.FAILING) -> PolicySet:
    policy = HealthPolicy("it", Condition(predicate, holding or Holding()), severity)
    return replace(POLICIES, health=(policy,), evacuation=(FAILING_HOSTS,))


def set_up(policies: PolicySet) -> Table:
    t = table(four_hosts(), policies)
    for host in ("h1", "h2", "h3", "h4"):
        t.show(host, "fan.alarm", 0.0, "f1").show(host, "fan.alarm", 0.0, "f2").show(host, "fan.alarm", 0.0, "f3")
        t.show(host, "temperature", 60.0, "cpu", critical=100.0).show(host, "ecc.uncorrected", 0.0, "A1")
    return t.warm_up()


def told(t: Table, host: str = "h1") -> str:
    view = next(view for view in t.wait(1.0).step().view.hosts if view.name == host)
    return "; ".join(f"{verdict.phase}: {verdict.evidence}" for verdict in view.verdicts)


def test_a_fan_and_heat_together_empty_a_host_and_say_both() -> None:
    t = set_up(health(AtLeast(2, (FAN, HEAT))))
    assert told(t.show("h1", "fan.alarm", 1.0, "f1")) == "clear: "
    t.show("h1", "temperature", 97.0, "cpu", critical=100.0)
    assert told(t) == "firing: fan.alarm of f1 is 1 > 0.5 and temperature of cpu is 97 > 95"
    intent = next(intent for intent in t.wait(1.0).step().view.intents if intent.host == "h1")
    assert intent.because == "it: fan.alarm of f1 is 1 > 0.5 and temperature of cpu is 97 > 95"


def test_of_any_only_the_part_that_is_true_is_told() -> None:
    t = set_up(health(AtLeast(1, (FAN, HEAT))))
    assert told(t.show("h1", "temperature", 97.0, "cpu", critical=100.0)) == "firing: temperature of cpu is 97 > 95"


def test_two_fans_of_three_are_counted_and_named() -> None:
    t = set_up(health(replace(FAN, at_least=2)))
    assert told(t.show("h1", "fan.alarm", 1.0, "f3")) == "clear: "
    assert told(t.show("h1", "fan.alarm", 1.0, "f1")) == (
        "firing: fan.alarm of f3 is 1 > 0.5, as on 2 of 3 (f1, f3; 2 wanted)")


def test_what_is_negated_is_told_as_it_is() -> None:
    t = set_up(health(AtLeast(2, (HEAT, Not(FAN)))))
    assert told(t.show("h1", "temperature", 97.0, "cpu", critical=100.0)) == (
        "firing: temperature of cpu is 97 > 95 and fan.alarm of f3 is 0 not > 0.5")


def test_a_rate_is_told_in_its_unit() -> None:
    rate = Threshold("ecc.uncorrected", 1.0, Aggregate.RATE, Seconds(600.0), per=Seconds(60.0))
    assert told(set_up(health(rate)).show("h1", "ecc.uncorrected", 20.0, "A1")) == (
        "firing: ecc.uncorrected of A1 rises by 2/min > 1/min")


def test_a_mean_needs_half_of_its_window_and_is_told_as_one() -> None:
    t = set_up(health(Threshold("temperature", 70.0, Aggregate.MEAN, Seconds(60.0))))
    assert told(t.show("h1", "temperature", 90.0, "cpu")) == "unknown: "
    t.quiet_for(60.0)
    assert told(t) == "firing: temperature of cpu averages 90 > 70"


def test_three_of_five_reports_are_enough_and_two_are_not() -> None:
    t = set_up(health(FAN, Holding(clear_hold=Seconds(3600.0), samples=(3, 5))))
    for alarm, phase in ((1.0, "clear"), (0.0, "clear"), (1.0, "clear"), (0.0, "clear"), (1.0, "firing")):
        assert told(t.show("h1", "fan.alarm", alarm, "f1")).split(":")[0] == phase


def test_a_step_without_a_report_is_no_sample() -> None:
    t = set_up(health(FAN, Holding(samples=(2, 2))))
    t.show("h1", "fan.alarm", 1.0, "f1").wait(1.0).step()
    for _ in range(3):
        view = t.wait(0.1).step(look=False).view.hosts[0]
        assert view.verdicts[0].phase == "clear"


def test_a_latched_counter_within_other_parts_outlives_a_restart() -> None:
    policies = health(AtLeast(1, (FAN, RISE)), Holding(latched=True))
    t = set_up(policies)
    assert any(isinstance(event, CountersNoted) and event.host == "h1" for event in t.events)
    t.restart(policies).show("h1", "ecc.uncorrected", 1.0, "A1").wait(1.0).step()
    assert [e.evidence for e in t.events if isinstance(e, VerdictLatched)] == ["ecc.uncorrected of A1 rose by 1 > 0"]
    t.restart(policies).wait(1.0)
    assert t.step().view.hosts[0].verdicts[0].phase == "firing"
    t.say(Verb.ACKNOWLEDGE, "h1")
    assert told(t).startswith("clear")


def test_a_note_that_was_not_durable_is_taken_again() -> None:
    t = set_up(health(RISE, Holding(latched=True)))
    t.events.clear()
    t.show("h1", "ecc.uncorrected", 0.0, "B1").wait(1.0).step(durable=False)
    t.wait(0.1).step(look=False)
    assert [e.values for e in t.events if isinstance(e, CountersNoted)] == [(("B1", 0.0),)]


def silent_set(respond: Response) -> PolicySet:
    answer = EvacuationPolicy("any-fault", Health.SUSPECT, respond, mode=Mode.AUTO, ignore_windows=True)
    return replace(POLICIES, health=(SILENT,), evacuation=(answer,))


@pytest.mark.parametrize("respond", [Response.EVACUATE, Response.DRAIN, Response.QUARANTINE])
def test_silence_makes_a_host_suspect_and_moves_nothing(respond: Response) -> None:
    t = set_up(silent_set(respond))
    t.silent.add(HostName("h1"))
    decisions = t.quiet_for(600.0)
    host = decisions[-1].view.hosts[0]
    assert (host.health, host.verdicts[0].evidence) == ("suspect", "silent for more than 1 min 0 s")
    assert not host.target
    assert not any(decision.orders or decision.view.intents for decision in decisions)
    assert (HostName("h1") in decisions[-1].cordons) is (respond is Response.QUARANTINE)


def test_even_a_grave_word_for_silence_moves_nothing() -> None:
    grave = replace(SILENT, severity=Health.FAILING)
    t = set_up(replace(POLICIES, health=(grave,), evacuation=(FAILING_HOSTS,)))
    t.silent.add(HostName("h1"))
    assert not any(decision.orders or decision.view.intents for decision in t.quiet_for(600.0))


def test_a_host_that_is_off_by_our_order_is_not_called_silent_nor_just_after_it_woke() -> None:
    t = set_up(silent_set(Response.QUARANTINE))
    t.silent.add(HostName("h1"))
    t.powered_off.add(HostName("h1"))
    t.controller.ledger.power[HostName("h1")] = HostPower(PowerPhase.OFF, "nights", "idle", t.now.wall)
    t.quiet_for(600.0)
    assert told(t) == "unknown: "
    t.powered_off.clear()
    del t.controller.ledger.power[HostName("h1")]
    assert told(t) == "clear: "
    t.quiet_for(90.0)
    assert told(t).startswith("firing")


def test_our_own_deafness_is_nobodys_silence() -> None:
    t = set_up(silent_set(Response.QUARANTINE))
    t.silent.update(host.name for host in t.cluster.hosts)
    t.step(TelemetryLost(t.now, "no broker"))
    t.quiet_for(600.0)
    assert told(t) == "unknown: "
    t.step(TelemetryConnected(t.now))
    assert told(t) == "clear: "


def test_a_condition_of_silence_that_is_loaded_later_does_not_count_while_a_host_was_off_by_our_order() -> None:
    t = set_up(replace(silent_set(Response.QUARANTINE), health=()))
    t.silent.add(HostName("h1"))
    t.powered_off.add(HostName("h1"))
    t.controller.ledger.power[HostName("h1")] = HostPower(PowerPhase.OFF, "nights", "idle", t.now.wall)
    t.quiet_for(600.0)
    t.powered_off.clear()
    del t.controller.ledger.power[HostName("h1")]
    t.step(PoliciesReplaced(silent_set(Response.QUARANTINE)))
    assert told(t) == "clear: "
