"""A wall clock that was ahead and is right again: nothing noted under it holds up what may begin until that time comes."""

from __future__ import annotations

import enum
import json
import types
import typing
from collections import deque
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

import pytest

from ballastd.core import autonomy_events as au
from ballastd.core import events as ev
from ballastd.core.booking_clock import CLOCK_STEP_SECONDS, ClockWatch, ahead
from ballastd.core.books import SETTLED_KEPT
from ballastd.core.inputs import Verb
from ballastd.core.ledger import Ledger
from ballastd.core.migrations import CallResult, Ending
from ballastd.core.power import HostPower, PowerPhase
from ballastd.core.quantities import GIB, Bytes, HostName, Instant, VmId
from ballastd.core.switching import Switchboard
from tests.builders import Table, a_cluster, table

H1, H2, VM = HostName("h1"), HostName("h2"), VmId("v")
AT, AHEAD = 1000.0, 9000.0
DAY = 86400.0
NO_TIMES = frozenset({
    "counters", "predicted", "reckoned", "downtime_reckoned_ms", "downtime_predicted_ms", "downtime_took_ms",
    "arrival_seconds", "mib_s"})
"""Numbers in the books that are no times. Whoever adds one to the books says here, or by its name, which it is."""


def filled(hint: Any) -> Any:
    """Return a value of any type that the books may have, with ``AHEAD`` wherever a number with a fraction stands."""
    hint = getattr(hint, "__supertype__", hint)
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return filled(next(one for one in inner if one is not types.NoneType))
    if origin is dict:
        return {filled(inner[0]): filled(inner[1])}
    if origin is deque:
        return deque((filled(inner[0]),), maxlen=SETTLED_KEPT)
    if origin is tuple:
        return tuple(filled(one) for one in inner if one is not Ellipsis)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return next(iter(hint))
    if is_dataclass(hint):
        hints = typing.get_type_hints(hint)
        return hint(**{spec.name: filled(hints[spec.name]) for spec in fields(hint)})
    return {float: AHEAD, int: 1, bool: True, str: "x"}[hint]


def later(value: Any, name: str) -> Iterator[str]:
    """Yield the field of each number that lies after ``AT``."""
    if is_dataclass(value):
        for spec in fields(value):
            yield from later(getattr(value, spec.name), spec.name)
    elif isinstance(value, dict):
        for one in value.values():
            yield from later(one, name)
    elif isinstance(value, tuple | deque):
        for one in value:
            yield from later(one, name)
    elif isinstance(value, float) and value > AT:
        yield name


def full() -> Ledger:
    """A ledger with something in every field, all of it noted ahead."""
    ledger: Ledger = filled(Ledger)
    offers = ledger.autonomy.offers
    for key, offer in offers.items():
        offers[key] = replace(offer, seconds=300.0, until_wall=AHEAD + 300.0)
    return ledger


STARTS = ev.ClockStepped(AT, 0.0, 0.0)
"""A run begins, and the clock may be right now."""


def test_no_time_in_the_books_is_forgotten() -> None:
    ledger = full()
    noted = set(later(ledger, ""))
    assert {"wall", "deadline_wall", "until_wall", "crashes", "faults", "off_wall", "asked_wall"} <= noted
    ledger.apply(STARTS)
    assert set(later(ledger, "")) == NO_TIMES | {"until_wall"}
    assert ledger.autonomy.offers["x"].until_wall == AT + 300.0
    assert ahead(ledger, AT) == 0.0
    assert ledger.settled.maxlen == SETTLED_KEPT


@pytest.mark.parametrize("by", [-3600.0, 3600.0])
def test_every_time_goes_along_with_the_clock_and_back(by: float) -> None:
    ledger = full()
    before = ledger.checkpoint(AHEAD)
    ledger.apply(ev.ClockStepped(AHEAD + by, by, 0.0))
    there = set(later(ledger, "")) if by > 0 else set()
    assert ledger.checkpoint(AHEAD) != before
    assert ahead(ledger, AHEAD + by) == 0.0
    assert ahead(ledger, AHEAD + by - 1.0) == 1.0
    assert by < 0 or set(later(full(), "")) <= there
    ledger.apply(ev.ClockStepped(AHEAD, -by, by))
    assert ledger.checkpoint(AHEAD) == before


def test_what_was_noted_before_this_machine_booted_stays_where_it_was() -> None:
    ledger = full()
    before = ledger.checkpoint(AT)
    ledger.apply(ev.ClockStepped(AHEAD + 3600.0, 3600.0, AHEAD + 1.0))
    assert ledger.checkpoint(AT) == before
    ledger.apply(ev.ClockStepped(AHEAD, -3600.0, AHEAD + 3601.0))
    assert ledger.checkpoint(AT) == before


def test_whatever_lies_ahead_is_seen() -> None:
    assert ahead(full(), AT) == AHEAD - AT
    assert ahead(Ledger(), AT) == 0.0
    for name, value in ((spec.name, getattr(full(), spec.name)) for spec in fields(Ledger)):
        one = Ledger()
        setattr(one, name, value)
        assert (ahead(one, AT) > 0.0) == bool(set(later(value, name)) - NO_TIMES), name


def test_it_comes_back_from_the_journal_as_it_was_written() -> None:
    event = ev.ClockStepped(AT, -12.5, 3.25)
    assert ev.from_record(json.loads(json.dumps(ev.to_record(event)))) == event


def test_how_long_something_took_and_may_last_stays_known() -> None:
    ledger = Ledger()
    ledger.replay((
        ev.MigrationOrdered(5000.0, "m", VM, "web", H1, H2, Bytes(GIB), 100, "even", "hot", 5300.0, 30.0),
        ev.MigrationCalled(5040.0, "m", CallResult.OK), ev.DrainRequested(5000.0, H1, "ann", 5600.0),
        ev.DrainRequested(500.0, H2, "ann", 5600.0),
        au.Recommended(900.0, "a", "even", "hot", H1, "hot", 300.0, VM, "web", H2),
        au.RecommendationApproved(5000.0, "a", "bob"), STARTS))
    m = ledger.migrations["m"]
    assert (m.ordered_wall, m.called_wall, m.deadline_wall) == (AT - 40.0, AT, AT + 260.0)
    assert ledger.drains[H1].deadline_wall == AT + 600.0
    assert ledger.drains[H2].deadline_wall == 5600.0, "it was asked for by a clock that was right"
    assert ledger.autonomy.offers["a"].until_wall == AT + 300.0


def test_a_call_that_returned_under_a_clock_that_was_ahead_moves_no_deadline_from_before() -> None:
    ledger = Ledger()
    ledger.replay((ev.MigrationOrdered(900.0, "m", VM, "web", H1, H2, Bytes(GIB), 100, "even", "hot", 1500.0, 30.0),
                   ev.MigrationCalled(5040.0, "m", CallResult.OK), STARTS))
    m = ledger.migrations["m"]
    assert (m.ordered_wall, m.called_wall, m.deadline_wall) == (900.0, AT, 1500.0)


def at(monotonic: float, wall: float) -> Instant:
    return Instant(monotonic, wall)


def test_a_step_of_the_clock_is_told_until_it_is_kept_and_small_ones_add_up() -> None:
    watch = ClockWatch(at(0.0, 100.0))
    assert watch.booted() == 100.0
    assert watch.stepped(at(5.0, 105.0)) == 0.0
    assert watch.stepped(at(6.0, 106.0 + CLOCK_STEP_SECONDS)) == 0.0, "no more than a clock errs"
    watch.keep(at(6.0, 106.0 + CLOCK_STEP_SECONDS))
    assert watch.stepped(at(7.0, 109.5)) == 2.5, "little by little, by more than that"
    assert watch.stepped(at(8.0, 110.5)) == 2.5, "what was made of it is not durable yet"
    watch.keep(at(8.0, 110.5))
    assert watch.stepped(at(9.0, 111.5)) == 0.0
    assert watch.stepped(at(10.0, 12.5)) == -100.0
    assert watch.booted() == 102.5


def shift(t: Table, seconds: float) -> None:
    t.now = replace(t.now, wall=t.now.wall + seconds)


def failing(hosts: int) -> Table:
    builder = a_cluster().host("h1").running("a")
    for number in range(2, hosts + 1):
        builder = builder.host(f"h{number}")
    t = table(builder)
    for number in range(1, hosts + 1):
        t.show(f"h{number}", "ecc.uncorrected", 0.0, "D")
    t.warm_up().show("h1", "ecc.uncorrected", 1.0, "D")
    return t


def told(t: Table) -> list[ev.ClockStepped]:
    return [event for event in t.events if isinstance(event, ev.ClockStepped)]


def orders_of(t: Table, steps: int = 40) -> bool:
    return any(t.wait(20.0).step().orders for _ in range(steps))


@pytest.mark.parametrize("by", [DAY, 400 * DAY])
@pytest.mark.parametrize("restarts", [False, True])
def test_a_pair_of_hosts_is_shut_for_a_day_and_not_until_the_clock_comes_there_again(by: float, restarts: bool) -> None:
    t = failing(2)
    (order,) = t.step().orders
    t.begin(order).wait(1.0).step()
    shift(t, by)
    t.wait(1.0).step(t.roll_back(order))
    for _ in range(6):
        t.wait(6.0).step()
    assert [m.ending for m in t.controller.ledger.settled] == [Ending.FAILED]
    shift(t, -by)
    if restarts:
        t.restart()
    t.step()
    assert [round(event.by / DAY) for event in told(t)] == [round(by / DAY), 0 if restarts else -round(by / DAY)]
    assert not orders_of(t, 10), "it failed there just now"
    t.wait(DAY + 1000.0)
    assert orders_of(t)


@pytest.mark.parametrize("by", [-8 * DAY, -3720.0, 3720.0, 8 * DAY])
def test_a_clock_that_is_wrong_for_a_while_makes_nothing_older(by: float) -> None:
    t = failing(2)
    (order,) = t.step().orders
    t.begin(order).wait(1.0).step(t.roll_back(order))
    for _ in range(6):
        t.wait(6.0).step()
    t.say(Verb.DRAIN, "h2", deadline_wall=t.now.wall + 7200.0)
    before, now = t.controller.ledger.checkpoint(0.0), t.now
    shift(t, by)
    for _ in range(3):
        t.wait(1.0).step()
    age = t.now.wall - t.controller.ledger.settled[0].settled_wall
    assert age == pytest.approx(t.now.monotonic - now.monotonic + now.wall - json.loads(before.state)["settled"][0][
        "settled_wall"])
    shift(t, -by)
    t.wait(1.0).step()
    assert t.controller.ledger.checkpoint(0.0) == before


def test_crashes_under_a_clock_that_was_ahead_are_over_in_ten_minutes() -> None:
    t = failing(2)
    shift(t, 400 * DAY)
    for _ in range(4):
        t.wait(5.0).restart().step()
    shift(t, -400 * DAY)
    t.restart().step()
    assert t.controller.ledger.crashes[-4:] == (t.now.wall,) * 4
    t.wait(700.0)
    assert orders_of(t)


@pytest.mark.parametrize("by", [-DAY, DAY])
def test_a_deadline_keeps_its_length(by: float) -> None:
    t = failing(2)
    t.dark.add("h2")
    [intent] = t.step().portrait.intents
    left = intent.deadline_wall - t.now.wall
    shift(t, by)
    [intent] = t.wait(1.0).step().portrait.intents
    assert intent.deadline_wall - t.now.wall == pytest.approx(left - 1.0)


def test_a_refused_step_leaves_it_to_the_next() -> None:
    t = failing(2)
    t.step()
    shift(t, -DAY)
    t.wait(1.0).step(durable=False)
    assert not told(t)
    t.wait(1.0).step()
    assert [event.by for event in told(t)] == [-DAY]
    t.wait(1.0).step()
    assert len(told(t)) == 1


def test_a_clock_that_is_right_is_not_spoken_of() -> None:
    t = failing(2)
    t.step()
    shift(t, -1.5)
    t.wait(1.0).step()
    t.restart().step()
    assert not told(t)


@pytest.mark.parametrize("kept", [True, False])
def test_a_phase_that_was_watched_goes_on_whatever_the_clock_does(kept: bool) -> None:
    """``kept``: whether the books knew of the step when it was looked at."""
    board, now = Switchboard(), Instant(100.0, AHEAD)
    power = HostPower(PowerPhase.WAKING, "nights", "load", AHEAD - 30.0, "p-1")
    board.watch(H1, power, now)
    then = Instant(160.0, AT)
    board.watch(H1, replace(power, since_wall=AT - 90.0) if kept else power, then)
    assert board.lasted(H1, then) == 90.0
    board.watch(H1, replace(power, order="p-2", since_wall=AT), then)
    assert board.lasted(H1, then) == 0.0
