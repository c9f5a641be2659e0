"""Points of targets: what is equal gets equal points, whatever sums of it come out at."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from ballastd.core.scoring import PROCESSOR_LEFT, Coming, marks_of, over_marks, processor_left
from ballastd.core.snapshot import Snapshot
from tests.builders import a_cluster, table

LIMIT = 16.0


@cache
def seen() -> Snapshot:
    """Return h1 with a, h2 and h3, of 16 processors each."""
    t = table(a_cluster().host("h1").running("a").host("h2").host("h3")).warm_up()
    snapshot = t.controller._last
    assert snapshot is not None
    return snapshot


def using(*shares: float) -> Snapshot:
    """Return the snapshot with so much of each host in use."""
    used = np.array(shares)
    return replace(seen(), hosts=replace(seen().hosts, cpu=used * LIMIT, cpu_limit=np.full(3, LIMIT)))


def test_a_thousandth_of_a_host_is_so_many_points_whatever_is_used() -> None:
    for used in range(1001):
        points = processor_left(using(used / 1000, 0.0, float("nan")), np.zeros(3)).tolist()
        assert points == [PROCESSOR_LEFT.weight * (1000 - used), PROCESSOR_LEFT.weight * 1000, 0]


@pytest.mark.parametrize("each", [0.08, 0.16, 0.32, 0.64, 0.8, 1.6])
def test_as_many_that_come_one_after_the_other_take_as_many_points_as_one_that_uses_as_much(each: float) -> None:
    shifted = np.zeros(3)
    for count in range(1, 40):
        shifted[0] += each
        shifted[1] = round(each * count, 6)
        alike = processor_left(using(0.0, 0.0, 0.0), shifted).tolist()
        assert alike[0] == alike[1], count
    for _ in range(39):
        shifted[0] -= each
    assert processor_left(using(0.0, 0.0, 0.0), shifted)[0] == PROCESSOR_LEFT.weight * 1000


def test_what_idle_vms_use_counts_in_steps() -> None:
    step = 0.02 * LIMIT
    left = [int(processor_left(using(0.3, 0.3, 0.3), np.full(3, coming))[0])
            for coming in (-1.0, 0.0, 0.9 * step, step, 1.9 * step, 2 * step)]
    assert left == [PROCESSOR_LEFT.weight * of for of in (700, 700, 700, 680, 680, 660)]


@pytest.mark.parametrize("parts", [(0.1, 0.2), (0.1,) * 8, (0.1, 1.1, 0.3), (0.2, 2.2, 0.1), (0.4, 0.8, 0.3)])
def test_a_host_that_comes_to_its_mark_exactly_is_not_hot_whatever_comes_first(parts: tuple[float, ...]) -> None:
    """The mark is at 12.8 of 16 processors."""
    shifted, used = np.zeros(3), round(12.8 - sum(parts), 6) / LIMIT
    for one in parts[:-1]:
        shifted += one
    for more, is_hot in ((0.0, False), (-0.001, False), (0.001, True)):
        snapshot = using(used, used, used)
        snapshot = replace(snapshot, vms=replace(snapshot.vms, peak=np.array([parts[-1] + more])))
        over = over_marks(snapshot, marks_of(snapshot, ()), 0, Coming(np.zeros(3, np.int64), shifted, np.zeros(3)))
        assert [bool(one > 0) for one in over] == [is_hot] * 3
