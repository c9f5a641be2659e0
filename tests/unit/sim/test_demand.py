"""What pretend VMs ask for over time: each kind as it says of itself, and the same whenever it is asked."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ballastd.core.quantities import Seconds
from ballastd.core.saved_cluster import DAY, Demand, DemandKind
from ballastd.sim.demand import asked
from tests.builders import WALL, vm_id

VM = vm_id("a")
DEMANDS = st.builds(
    lambda kind, low, more, period, duty, peak: Demand(kind, low, low + more, Seconds(period), duty, Seconds(peak)),
    st.sampled_from(DemandKind), st.floats(0.0, 4.0), st.floats(0.0, 4.0), st.floats(10.0, 200_000.0), st.floats(0.0, 1.0),
    st.floats(0.0, 86400.0))


def mean(demand: Demand, seconds: float, seed: int = 1) -> float:
    """Return the mean of what is asked for over ``seconds``, exactly."""
    at, total = WALL, 0.0
    while at < WALL + seconds:
        found = asked(demand, VM, seed, at)
        until = min(WALL + seconds, WALL + seconds if found.until is None else found.until)
        total += found.processors * (until - at)
        at = until
    return total / seconds


@given(DEMANDS, st.floats(0.0, 1e6), st.integers(0, 5))
def test_it_stays_between_low_and_high_and_time_goes_on(demand: Demand, later: float, seed: int) -> None:
    found = asked(demand, VM, seed, WALL + later)
    assert demand.low - 1e-6 <= found.processors <= demand.high + 1e-6
    assert found.until is None or found.until > WALL + later
    assert asked(demand, VM, seed, WALL + later) == found


@given(DEMANDS, st.floats(0.0, 1e6), st.floats(0.0, 0.99))
def test_it_stays_the_same_until_it_says(demand: Demand, later: float, share: float) -> None:
    begin = WALL + later
    found = asked(demand, VM, 1, begin)
    until = begin + 1000.0 if found.until is None else found.until
    # of two instants that are neighbours as numbers, a share of the time between them may be the later one
    again = asked(demand, VM, 1, min(begin + share * (until - begin), math.nextafter(until, begin)))
    assert again.processors == found.processors


def test_a_day_is_a_wave_with_its_top_at_the_peak() -> None:
    day = Demand(DemandKind.DAILY, 1.0, 3.0)
    midnight = WALL - WALL % DAY
    assert asked(day, VM, 1, midnight + 14 * 3600.0).processors == 3.0
    assert asked(day, VM, 1, midnight + 2 * 3600.0).processors == 1.0
    assert mean(day, DAY) == pytest.approx(2.0, abs=0.02)


@pytest.mark.parametrize("kind", [DemandKind.BURSTY, DemandKind.BLOCKED, DemandKind.GAME])
def test_bursts_and_games_take_their_share_of_the_time(kind: DemandKind) -> None:
    demand = Demand(kind, 0.0, 4.0, Seconds(600.0), 0.25)
    assert mean(demand, 5 * DAY) == pytest.approx(1.0, rel=0.1)


def test_bursts_of_two_vms_and_of_two_seeds_are_not_the_same() -> None:
    bursty = Demand(DemandKind.BURSTY, 0.0, 1.0, Seconds(600.0), 0.3)
    assert len({asked(bursty, vm_id(vm), seed, WALL).until for vm in "abc" for seed in (1, 2)}) == 6


def test_only_who_is_blocked_waits_and_only_while_low() -> None:
    blocked = Demand(DemandKind.BLOCKED, 0.0, 1.0, Seconds(600.0), 0.5)
    found = [asked(blocked, VM, 1, WALL + n) for n in range(1200)]
    assert {(one.processors, one.blocked) for one in found} == {(0.0, True), (1.0, False)}
    bursty = replace(blocked, kind=DemandKind.BURSTY)
    assert not any(asked(bursty, VM, 1, WALL + n).blocked for n in range(1200))
