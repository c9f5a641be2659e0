"""Wakes that were not told, died with their daemon, failed, or belong to nobody: each is tried a few times, and told."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest

from ballastd.core import power_events as pw
from ballastd.core.inputs import PowerReturned, Verb
from ballastd.core.migrations import CallResult
from ballastd.core.power import PowerPhase
from ballastd.core.quantities import HostName
from ballastd.core.switching import WAKE_TRIES
from tests.powered import PACKED, Powered, asleep, powered


def test_a_wake_that_was_not_told_is_told_again_and_the_host_does_not_oversleep() -> None:
    p = asleep()
    p.withholds = 3
    off_wall = p.table.controller.ledger.power[HostName("h3")].off_wall
    p.turns(1800.0)
    p.table.burn(h1v0=14.5, h2v0=14.5, h4v0=14.5)
    p.until(None, "h3")
    held = [e for e in p.table.events if isinstance(e, pw.WakeWithheld)]
    assert [e.detail for e in held] == ["its controller: busy"] * 3
    asked = [e.wall for e in p.table.events if isinstance(e, pw.WakeOrdered)]
    assert all(later - earlier >= 60.0 for earlier, later in pairwise(asked)), "one wake a minute"
    assert off_wall is not None
    assert "h3" in p.table.controller.ledger.wakeable


def test_a_minute_between_two_wakes_begins_once_the_journal_has_the_first() -> None:
    """A step ends when the disk has it: what it ordered is carried out then, forty seconds after it was decided here."""
    p = asleep()
    p.withholds = 1
    p.turns(1800.0)
    p.table.burn(h1v0=14.5, h2v0=14.5, h4v0=14.5)
    p.until(PowerPhase.WAKING, "h3")
    p.turn(40.0)
    written = p.table.now.wall
    p.turns(100.0, step=1.0)
    _, again = [e.wall for e in p.table.events if isinstance(e, pw.WakeOrdered)]
    assert 60.0 <= again - written <= 62.0


@pytest.mark.parametrize("away", [5.0, 5000.0])
def test_a_wake_that_died_with_the_daemon_is_ordered_again(away: float) -> None:
    p = asleep()
    p.turns(1800.0)
    p.table.burn(h1v0=14.5, h2v0=14.5, h4v0=14.5)
    p.ignores.add("h3")
    p.until(PowerPhase.WAKING, "h3")
    p.table.wait(away)
    p.restart()
    p.ignores.clear()
    p.turns(120.0)
    assert [e.host for e in p.table.events if isinstance(e, pw.WakeWithheld)] == ["h3"]
    p.until(None, "h3", 900.0)
    assert "h3" in p.table.controller.ledger.wakeable


def test_a_wake_that_was_told_is_waited_for_whatever_the_controller_says() -> None:
    p = asleep()
    p.turns(1800.0)
    p.table.burn(h1v0=14.5, h2v0=14.5, h4v0=14.5)
    p.ignores.add("h3")
    p.until(PowerPhase.WAKING, "h3")
    p.turns(300.0)
    assert not [e for e in p.table.events if isinstance(e, pw.WakeWithheld)]


def test_a_wake_that_an_operator_asked_for_and_was_held_up_is_ordered_again() -> None:
    p = asleep()
    assert p.say(Verb.POWER_ON, "h3").accepted, "its order dies with the daemon, for nobody carries it out"
    p.restart()
    p.until(None, "h3", 900.0)
    asked = [e.policy for e in p.table.events if isinstance(e, pw.WakeOrdered)]
    assert asked == ["operator"] * 2
    assert p.table.controller.ledger.wake_asked == {}


@pytest.mark.parametrize(("hours", "ordered"), [(11.0, True), (13.0, False), (720.0, False)])
def test_a_wake_that_was_asked_for_long_ago_is_not_ordered_any_more(hours: float, ordered: bool) -> None:
    """As in a journal of a release that forgot the asking with the order, and did not ask again."""
    p = powered()
    assert p.say(Verb.POWER_OFF, "h3").accepted, "so that no policy wakes it"
    p.until(PowerPhase.OFF, "h3")
    wall, h3 = p.table.now.wall, HostName("h3")
    p.table.events += [pw.WakeAsked(wall, h3, "ann"), pw.WakeOrdered(wall, "1-on-h3", h3, "operator", "asked by ann"),
                       pw.WakeWithheld(wall, h3, "its controller: busy")]
    before = wakes(p)
    p.table.wait(hours * 3600.0)
    p.restart()
    p.turns(600.0)
    assert (wakes(p) - before)["WakeOrdered"] == int(ordered)
    assert p.phase("h3") is (None if ordered else PowerPhase.OFF)


@pytest.mark.parametrize("leap", [86400.0, -86400.0])
def test_a_clock_that_leaps_is_no_time_that_a_host_had(leap: float) -> None:
    p = asleep()
    p.ignores.add("h3")
    assert p.say(Verb.POWER_ON, "h3").accepted
    p.turns(60.0)
    p.table.now = replace(p.table.now, wall=p.table.now.wall + leap)
    p.turns(600.0)
    assert p.phase("h3") is PowerPhase.WAKING
    p.turns(400.0)
    assert p.phase("h3") is PowerPhase.FAILED, "and a quarter of an hour is one whatever the clock says"


def test_who_asked_for_a_wake_that_failed_asks_no_more() -> None:
    p = asleep()
    p.ignores.add("h3")
    assert p.say(Verb.POWER_ON, "h3").accepted
    p.until(PowerPhase.FAILED, "h3", 3600.0)
    p.turns(300.0)
    assert len([e for e in p.table.events if isinstance(e, pw.WakeOrdered)]) == 1
    assert p.table.controller.ledger.wake_asked == {}


def test_a_wake_that_is_never_told_is_an_alarm_in_the_end() -> None:
    p = asleep()
    p.withholds = 99
    p.turns(1800.0)
    p.table.burn(h1v0=14.5, h2v0=14.5, h4v0=14.5)
    decision = p.until(PowerPhase.FAILED, "h3")
    assert "the order was not taken: its controller: busy" in str(decision.events)
    assert len([e for e in p.table.events if isinstance(e, pw.WakeOrdered)]) == WAKE_TRIES


def wakes(p: Powered) -> Counter[str]:
    """Return how often a wake was ordered, and what became of it."""
    return Counter(type(e).__name__ for e in p.table.events if isinstance(
        e, pw.WakeOrdered | pw.WakeWithheld | pw.HostKept | pw.HostAwake | pw.PowerFailed))


def ask_of_a_deaf_controller(p: Powered, host: str) -> None:
    """An operator has a host switched on whose controller is never reached."""
    p.withholds = 999
    p.returns += [PowerReturned(order.id, order.host, CallResult.WITHHELD, "its controller: no answer", p.table.now)
                  for order in p.table.say(Verb.POWER_ON, host).power]


def test_a_host_that_somebody_else_switched_off_is_not_asked_for_without_end() -> None:
    p = powered()
    p.table.powered_off.add("h2")
    p.turns(60.0)
    before = wakes(p)
    ask_of_a_deaf_controller(p, "h2")
    p.turns(3600.0)
    assert wakes(p) - before == {"WakeOrdered": 1, "HostKept": 1}


def test_a_wake_that_died_with_the_daemon_is_ordered_again_only_where_we_switched_off() -> None:
    p = powered()
    p.table.powered_off.add("h2")
    p.turns(60.0)
    before = wakes(p)
    assert p.say(Verb.POWER_ON, "h2").accepted
    p.restart()
    p.turns(1800.0)
    assert wakes(p) - before == {"WakeOrdered": 1, "HostKept": 1}
    kept = p.table.controller.ledger.kept[HostName("h2")]
    assert "did not go off by us: the daemon was restarted" in kept.detail
    assert p.phase("h2") is None, "it counts as no host of ours that stands by"


def test_a_host_that_is_not_declared_any_more_is_not_woken() -> None:
    p = asleep()
    p.ignores.add("h3")
    assert p.say(Verb.POWER_ON, "h3").accepted
    p.table.cluster = replace(p.table.cluster, hosts=tuple(h for h in p.table.cluster.hosts if h.name != "h3"))
    before = wakes(p)
    p.restart()
    p.turns(1800.0)
    assert wakes(p) - before == {"HostKept": 1}


def test_daemons_that_die_again_and_again_tell_a_controller_a_few_times_only() -> None:
    p = asleep()
    p.ignores.add("h3")
    assert p.say(Verb.POWER_ON, "h3").accepted
    for _ in range(10):
        p.turns(320.0)
        p.restart()
    assert p.phase("h3") is PowerPhase.FAILED
    assert wakes(p)["WakeOrdered"] == WAKE_TRIES


@pytest.mark.parametrize("comes_back", [True, False])
def test_who_is_wanted_by_two_is_woken_once(comes_back: bool) -> None:
    p = asleep()
    p.table.controller._policies = replace(PACKED, limits=replace(PACKED.limits, wakes_per_min=3))
    p.turns(1800.0)
    p.table.burn(h1v0=14.5, h2v0=14.5, h4v0=14.5)
    p.say(Verb.PAUSE, "")
    p.say(Verb.POWER_ON, "h3")
    p.turns(1200.0)
    if comes_back:
        p.table.powered_off.discard("h3")
    orders = p.table.wait(10.0).say(Verb.RESUME).power
    assert [order.host for order in orders] == ([] if comes_back else ["h3"])


@pytest.mark.parametrize(("age", "awake"), [(20.0, False), (9.0, True)])
def test_only_a_look_begun_since_it_went_off_shows_that_somebody_else_switched_a_host_on(age: float, awake: bool) -> None:
    """A look may come in late: it shows what was, and the host was seen silent since."""
    p = powered()
    look = p.table.controller._senses.inventories[HostName("h3")]
    p.until(PowerPhase.OFF, "h3")
    now = p.table.wait(10.0).now
    late = replace(look, begun=now.later(-age), taken=now.later(-age), vms=())
    events = p.table.step(late, look=False).events
    assert [(e.host, e.detail) for e in events if isinstance(e, pw.HostAwake)] == (
        [("h3", "it answers: somebody else switched it on")] if awake else [])


def test_who_went_off_while_no_daemon_ran_did_not_fail() -> None:
    p = powered()
    while not p.turn().power:
        pass
    p.table.wait(5000.0)
    p.restart()
    p.turns(100.0)
    assert p.phase("h3") is PowerPhase.OFF
