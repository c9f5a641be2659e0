"""The daemon killed at every await of its control loop and its executor, one run each: a place, not a chance."""

from __future__ import annotations

import os

import pytest

from ballastd.core.acts import Act
from ballastd.core.policies import PolicySet, Timing
from ballastd.core.quantities import Seconds
from ballastd.rehearsal.stage import Setting, Stage, perform
from tests.builders import POLICIES
from tests.simulation.clusters import Fixed, four

QUICK = Timing(startup_quiet=Seconds(40.0), inventory_interval=Seconds(2.0), pace=Seconds(10.0))
ERROR = (Act(80.0, "reading", host="h1", metric="ecc.uncorrected", subject="A", value=0.0),
         Act(100.0, "reading", host="h1", metric="ecc.uncorrected", subject="A", value=1.0))
EVERY = int(os.environ.get("BALLASTD_CRASH_EVERY", "7"))
"""Every how manieth crash point is tried; 1 tries them all."""
BEGIN, END = 99.0, 150.0


def rehearse(crash_at: tuple[int, ...] = (), policies: PolicySet = POLICIES) -> tuple[Stage, tuple[int, int]]:
    """Rehearse an evacuation; return its stage, and the awaits passed when it began and when it was over."""
    setting = Setting(four(), Fixed(policies), QUICK, ERROR, crash_at=crash_at)

    async def story(stage: Stage) -> tuple[int, int]:
        await stage.play(BEGIN)
        first = stage.points.passed
        await stage.play(END)
        last = stage.points.passed
        await stage.play(700.0)
        return first, last

    passed, stage = perform(setting, story)
    return stage, passed


def judge(stage: Stage) -> None:
    """Nothing was violated, the host is empty, everybody lives, and every order was settled."""
    assert stage.violations == ()
    hosts = stage.world.hypervisor.hosts
    assert [record.name for record in hosts["h1"].vms.values()] == []
    assert sum(len(host.vms) for host in hosts.values()) == 12


def crash_points(share: int = 0, of: int = 1) -> list[int]:
    _, (first, last) = rehearse()
    return list(range(first + 1, last + 1))[share::of]


def test_an_evacuation_without_a_crash() -> None:
    stage, (first, last) = rehearse()
    judge(stage)
    assert stage.lives == 1
    assert last - first > 60
    assert {name.split(".")[0] for name in stage.points.names[first:last]} == {"ControlLoop", "Executor"}


@pytest.mark.parametrize("share", range(4))
def test_killed_at_each_await_nothing_is_forgotten_or_done_twice(share: int) -> None:
    for point in crash_points(share, 4 * EVERY):
        stage, _ = rehearse((point,))
        assert stage.lives == 2, point
        judge(stage)


@pytest.mark.parametrize("gap", [1, 2, 3, 5, 8, 13, 21, 40])
def test_killed_twice(gap: int) -> None:
    for point in crash_points(gap, 8 * EVERY):
        stage, _ = rehearse((point, point + gap))
        assert stage.lives == 3, point
        judge(stage)


def test_the_same_setting_gives_the_same_trace() -> None:
    one, other = rehearse((200,))[0], rehearse((200,))[0]
    assert one.world.trace.lines == other.world.trace.lines
    assert any("killed" in line for line in one.world.trace.lines)

