"""What a set of hosts brings and costs, by sums: pace, budgets, marks, and which set is the best of all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from ballastd.core.packing_sums import Frame, HostSums, Sums

HOUR = 3600.0
FRAME = Frame(seconds=6 * HOUR, minimum_off=1800.0, pace=600.0, hosts=9, moves=100, moves_made=0, moves_per_hour=20,
              below=0.45, spare_hosts=0, spare_share=0.0)


def hosts(used: Sequence[float], *, limit: Sequence[float] | None = None, vms: Sequence[int] | None = None,
          watts: Sequence[float] | None = None) -> HostSums:
    """Return hosts of 64 GiB, 16 processors, 2 VMs and 100 W; a GiB leaves in a second. ``used``, ``limit``: GiB."""
    count = len(used)
    limits = np.array(limit if limit is not None else [64.0] * count)
    return HostSums(
        limit=limits.astype(np.int64), used=np.array(used).astype(np.int64), cpu_limit=limits / 4, cpu=np.zeros(count),
        vms=np.array(vms if vms is not None else [2] * count), gib=np.array(used, np.float64),
        copying=np.array(used, np.float64), watts=np.array(watts if watts is not None else [100.0] * count))


def anybody(_: int) -> bool:
    return True


def test_each_host_is_off_for_a_shorter_time_than_the_one_before_it() -> None:
    account = Sums(hosts([8.0] * 4), FRAME).weigh((0, 1))
    assert account.off == (6 * HOUR - 128.0, 6 * HOUR - 128.0 - 600.0)
    assert account.cost == (66.0, 66.0), "as much as idling for its least time off, and 8 GiB out and back"
    assert account.saved[0] == pytest.approx(100.0 * (6.0 - 128.0 / HOUR))
    assert account.net == pytest.approx(sum(account.saved) - 132.0)


def test_going_off_weighs_what_the_policy_says_it_has_to_be_worth() -> None:
    """A night of five minutes, as a demonstration has it, is worth going off in where a host need not stay off for long."""
    brief = replace(FRAME, seconds=300.0, minimum_off=5.0)
    assert not Sums(hosts([0.25] * 4), brief).weigh((0,)).why_not
    assert "cost" in Sums(hosts([8.0] * 4), brief).weigh((0,)).why_not, "not for as much to copy"


def test_moves_beyond_the_budget_of_an_hour_wait_for_the_next() -> None:
    told = hosts([8.0] * 4, vms=[12] * 4)
    assert Sums(told, FRAME).weigh((0, 1)).off[1] == 6 * HOUR - (HOUR + 128.0)
    assert Sums(told, replace(FRAME, moves_made=15)).weigh((0,)).off[0] == 6 * HOUR - (HOUR + 128.0)
    empty = hosts([8.0, 0.0, 8.0, 8.0], vms=[12, 0, 12, 12])
    assert Sums(empty, replace(FRAME, moves_made=20)).weigh((1,)).off[0] == 6 * HOUR - 120.0, "nothing has to leave it"


@pytest.mark.parametrize(("frame", "why"), [
    (replace(FRAME, hosts=1), "1 more hosts may be off"),
    (replace(FRAME, moves=3), "4 VMs would have to leave, and 3 moves are left today"),
    (replace(FRAME, seconds=2 * HOUR + 720.0, minimum_off=2 * HOUR), "it would be off for 1 h 59 min, less than 2 h"),
    (replace(FRAME, below=0.16), "by then the hosts that are on would use 17%"),
    (replace(FRAME, spare_hosts=1, spare_share=0.8), "1 spare host(s) and 80% would not be left"),
])
def test_what_speaks_against_a_second_host_is_said(frame: Frame, why: str) -> None:
    told = Sums(hosts([8.0] * 4), frame)
    assert why in told.weigh((0, 1)).why_not
    assert not Sums(hosts([8.0] * 4), replace(frame, spare_share=0.0)).weigh((0,)).why_not


def test_a_host_that_costs_more_than_its_time_off_brings_stays_on() -> None:
    told = Sums(hosts([60.0, 8.0, 8.0, 8.0, 8.0]), replace(FRAME, seconds=1.5 * HOUR))
    assert told.weigh((0,)).why_not == "off for 1 h 27 min it would save 145 Wh and cost 170"
    assert 0 not in told.best(anybody)


def test_the_least_to_copy_for_a_watt_comes_first_and_then_the_first() -> None:
    told = Sums(hosts([8.0, 4.0, 8.0, 4.0], watts=[300.0, 100.0, 100.0, 100.0]), FRAME)
    assert told.in_order((0, 1, 2, 3)) == (0, 1, 3, 2)


def test_of_equals_those_that_draw_most_go_off() -> None:
    told = Sums(hosts([8.0] * 5, watts=[100.0, 300.0, 100.0, 300.0, 100.0]), replace(FRAME, hosts=2))
    assert told.best(anybody) == (1, 3)


def test_the_small_go_before_the_large_where_room_is_scarce_and_the_last_may_be_large() -> None:
    told = Sums(hosts([40.0, 10.0, 10.0, 20.0, 20.0], limit=[128.0, 32.0, 32.0, 64.0, 64.0],
                      watts=[150.0, 100.0, 100.0, 100.0, 100.0]), replace(FRAME, below=0.40))
    found = told.best(anybody)
    assert {1, 2} < set(found)
    assert len(found) == 3


def test_who_may_not_be_chosen_is_in_no_set() -> None:
    told = Sums(hosts([8.0] * 5), replace(FRAME, hosts=2))
    assert told.best(lambda host: host > 1) == (2, 3)
    assert told.best(lambda _: False) == ()


def test_the_set_meant_before_stays_until_another_one_brings_clearly_more() -> None:
    told = Sums(hosts([8.0] * 5, watts=[104.0, 100.0, 100.0, 100.0, 200.0]), replace(FRAME, hosts=1))
    assert told.best(anybody, (1,), margin=0.05) == (4,)
    slight = Sums(hosts([8.0] * 5, watts=[104.0, 100.0, 100.0, 100.0, 100.0]), replace(FRAME, hosts=1))
    assert slight.best(anybody, (1,), margin=0.05) == (1,)
    assert slight.best(anybody, (1,)) == (0,)
