"""The daemon killed at every await of its control loop and its executor, one run each: a place, not a chance."""

from __future__ import annotations

import functools
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import ip_network

import pytest

from ballastd.core.acts import Act
from ballastd.core.arrival_checks import AllowedChecks, check_of
from ballastd.core.inventory import VmState
from ballastd.core.policies import AutoConverge, ConsolidationPolicy, LastResort, Mode, Timing, Window
from ballastd.core.quantities import HostName, Seconds
from ballastd.rehearsal.stage import Setting, Stage, perform
from ballastd.sim.virtual_time import DEFAULT_EPOCH_WALL
from tests.builders import POLICIES
from tests.simulation.clusters import PINNED, Fixed, four

QUICK = Timing(startup_quiet=Seconds(40.0), inventory_interval=Seconds(2.0), pace=Seconds(10.0))
ERROR = (Act(80.0, "reading", host="h1", metric="ecc.uncorrected", subject="A", value=0.0),
         Act(100.0, "reading", host="h1", metric="ecc.uncorrected", subject="A", value=1.0))
EVERY = int(os.environ.get("BALLASTD_CRASH_EVERY", "11"))
"""Every how manieth crash point is tried; 1 tries them all."""
GAPS = range(1, 61) if os.environ.get("BALLASTD_CRASH_PAIRS") == "all" else (1, 2, 3, 5, 8, 13, 21, 40)
"""How many crash points after the first crash the second one comes: most of these are of a daemon that recovers."""


@dataclass(frozen=True)
class Tale:
    """A story that is killed at awaits between two moments, and is over at a third; all in virtual seconds. ``sparser``: it
    has so many times as many crash points as an evacuation, of which as many fewer are tried unless all are."""

    setting: Callable[[], Setting]
    begin: float
    end: float
    until: float
    sparser: int = 1

    def told(self, *crash_at: int) -> tuple[Stage, range, dict[str, float]]:
        """Tell it; return its stage, the awaits between its two moments, and what the last daemon counted."""
        async def story(stage: Stage) -> tuple[range, dict[str, float]]:
            await stage.play(self.begin)
            first = stage.points.passed
            await stage.play(self.end)
            last = stage.points.passed
            await stage.play(self.until)
            assert stage.daemon is not None
            return range(first + 1, last + 1), stage.daemon.counters()

        (points, counted), stage = perform(replace(self.setting(), crash_at=crash_at), story)
        return stage, points, counted

    def points(self, share: int = 0, shares: int = 1) -> range:
        """Return the crash points that a share of the tests tries: every so manieth, spread over all that there are."""
        step = EVERY * self.sparser if EVERY > 1 else 1
        return _points_of(self)[share * step::shares * step]


@functools.cache
def _points_of(tale: Tale) -> range:
    return tale.told()[1]


EVACUATION = Tale(lambda: Setting(four(), Fixed(POLICIES), QUICK, ERROR), 99.0, 150.0, 700.0)


def judge(stage: Stage) -> None:
    """Nothing was violated, the host is empty, everybody lives, and every order was settled."""
    assert stage.violations == ()
    hosts = stage.world.hypervisor.hosts
    assert [record.name for record in hosts["h1"].vms.values()] == []
    assert sum(len(host.vms) for host in hosts.values()) == 12


def test_an_evacuation_without_a_crash() -> None:
    stage, points, _ = EVACUATION.told()
    judge(stage)
    assert stage.lives == 1
    assert len(points) > 60
    assert owners(stage, points) == {"ControlLoop", "Executor"}


def owners(stage: Stage, points: range) -> set[str]:
    """Return whose awaits some points are."""
    return {stage.points.names[point - 1].split(".")[0] for point in points}


@pytest.mark.parametrize("share", range(4))
def test_killed_at_each_await_nothing_is_forgotten_or_done_twice(share: int) -> None:
    for point in EVACUATION.points(share, 4):
        stage, *_ = EVACUATION.told(point)
        assert stage.lives == 2, point
        judge(stage)


@pytest.mark.parametrize("gap", GAPS)
def test_killed_twice(gap: int) -> None:
    for point in EVACUATION.points(gap % 8, 8):
        stage, *_ = EVACUATION.told(point, point + gap)
        assert stage.lives == 3, point
        judge(stage)


GUESTS = AllowedChecks(networks=(ip_network("10.0.0.0/8"),))


def asking() -> Setting:
    """An evacuation whose VMs are asked whether they answer, and do not on two of their targets."""
    cluster = four()
    vms = tuple(replace(vm, record=replace(vm.record, check=check_of(f"tcp://10.0.0.{number}:22")))
                for number, vm in enumerate(cluster.vms, 1))
    isolated = tuple(Act(90.0, "isolate", host=host) for host in ("h2", "h3"))
    return Setting(replace(cluster, vms=vms), Fixed(POLICIES), QUICK, (ERROR[0], *isolated, ERROR[1]), arrival_checks=GUESTS)


ASKING = Tale(asking, 99.0, 260.0, 900.0, sparser=6)


def outcomes(stage: Stage) -> Counter[str]:
    """Return what came of asking, by outcome; every VM that was to be asked and has arrived comes to one end."""
    contents = [record.content for record in stage.world.journal.records]
    ordered = {one["id"] for one in contents if one["kind"] == "CheckOrdered"}
    arrived = {one["id"] for one in contents if one["kind"] == "MigrationSettled" and one["ending"] == "completed"}
    ended = Counter(one["id"] for one in contents if one["kind"] == "ArrivalChecked")
    assert ended == Counter(ordered & arrived)
    assert len(ended) == 3
    return Counter(one["arrival"] for one in contents if one["kind"] == "ArrivalChecked")


def test_vms_are_asked_without_a_crash() -> None:
    stage, points, counted = ASKING.told()
    judge(stage)
    found = outcomes(stage)
    assert found["silent"] > 0
    assert found["silent"] + found["answered"] == 3
    assert {key: count for key, count in counted.items() if key.startswith("arrivals.")} == {
        f"arrivals.{outcome}": count for outcome, count in found.items()}
    assert owners(stage, points) == {"ControlLoop", "Executor", "Asker"}


@pytest.mark.parametrize("share", range(3))
def test_killed_at_each_await_everybody_who_was_to_be_asked_comes_to_one_end(share: int) -> None:
    for point in ASKING.points(share, 3):
        stage, *_ = ASKING.told(point)
        assert stage.lives == 2, point
        judge(stage)
        outcomes(stage)


def starting() -> Setting:
    """An evacuation of VMs that start with their host; of one the caller hears an error though it arrives."""
    cluster = four()
    vms = tuple(replace(vm, record=replace(vm.record, autostart=True)) for vm in cluster.vms)
    return Setting(replace(cluster, vms=vms), Fixed(POLICIES), QUICK, (
        ERROR[0], Act(90.0, "fate", vm="h1v0", word="error-yet-completes"), ERROR[1]))


STARTING = Tale(starting, 99.0, 150.0, 700.0, sparser=3)


def judge_starting(stage: Stage) -> None:
    """As after an evacuation, and everybody starts with his host again, by one order each that has an end."""
    judge(stage)
    for host in stage.world.hypervisor.hosts.values():
        assert {record.name: record.autostart for record in host.vms.values()} == dict.fromkeys(
            (record.name for record in host.vms.values()), True)
    contents = [record.content for record in stage.world.journal.records]
    noted = Counter(one["id"] for one in contents if one["kind"] == "AutostartNoted")
    arrived = {one["id"] for one in contents if one["kind"] == "MigrationSettled" and one["ending"] == "completed"}
    assert Counter(one["id"] for one in contents if one["kind"] == "AutostartOrdered") == Counter(noted.keys() & arrived)
    ended = [(one["id"], one["restored"]) for one in contents if one["kind"] == "AutostartEnded"]
    assert sorted(ended) == sorted((key, True) for key in noted.keys() & arrived)


def test_who_starts_with_his_host_still_does_without_a_crash() -> None:
    stage, points, _ = STARTING.told()
    judge_starting(stage)
    assert (stage.lives, owners(stage, points)) == (1, {"ControlLoop", "Executor", "_steer"})


@pytest.mark.parametrize("share", range(2))
def test_killed_at_each_await_who_starts_with_his_host_still_does(share: int) -> None:
    for point in STARTING.points(share, 2):
        stage, *_ = STARTING.told(point)
        assert stage.lives == 2, point
        judge_starting(stage)


NIGHT = Window("night", True, ((DEFAULT_EPOCH_WALL, DEFAULT_EPOCH_WALL + 1000.0),), DEFAULT_EPOCH_WALL + 1e6)
NIGHTS = replace(POLICIES, windows={NIGHT.name: NIGHT}, consolidation=(ConsolidationPolicy(
    "nights", NIGHT.name, mode=Mode.AUTO, power_off_hold=Seconds(60.0), minimum_on=Seconds(0.0), minimum_off=Seconds(0.0),
    wake_ahead=Seconds(60.0)),))


# in which a host is emptied, closed, switched off, and woken; so small that five minutes off are worth moving them
A_NIGHT = Tale(lambda: Setting(four(2, gib=1), Fixed(NIGHTS), QUICK), 0.0, 1400.0, 1400.0, sparser=30)


def judge_night(stage: Stage, *, was_off: bool) -> None:
    """Nothing was violated, every host is on, everybody lives, and the books are closed."""
    assert stage.violations == ()
    hosts = stage.world.hypervisor.hosts
    assert all(host.powered for host in hosts.values())
    assert sum(len(host.vms) for host in hosts.values()) == 8
    kinds = [record.content["kind"] for record in stage.world.journal.records]
    # a host that was still being emptied when the daemon died may be kept without having been told to go off
    assert kinds.count("PowerOffOrdered") <= kinds.count("HostAwake") + kinds.count("HostKept")
    assert not was_off or "HostOff" in kinds


def test_a_night_without_a_crash() -> None:
    stage, points, _ = A_NIGHT.told()
    judge_night(stage, was_off=True)
    assert stage.lives == 1
    assert len(points) > 400


@pytest.mark.parametrize("share", range(2))
def test_killed_at_an_await_of_a_night_no_host_is_left_asleep_or_switched_off_with_anybody_on_it(share: int) -> None:
    for point in A_NIGHT.points(share, 2):
        stage, *_ = A_NIGHT.told(point)
        assert stage.lives == 2, point
        judge_night(stage, was_off=False)


@pytest.mark.parametrize("gap", [2, 21])
def test_killed_twice_in_a_night(gap: int) -> None:
    for point in A_NIGHT.points(1, 4):
        stage, *_ = A_NIGHT.told(point, point + gap)
        assert stage.lives == 3, point
        judge_night(stage, was_off=False)


def test_the_same_setting_gives_the_same_trace() -> None:
    one, other = EVACUATION.told(200)[0], EVACUATION.told(200)[0]
    assert one.world.trace.lines == other.world.trace.lines
    assert any("killed" in line for line in one.world.trace.lines)


LAST = replace(POLICIES, evacuation=tuple(replace(one, deadline=Seconds(60.0), last_resorts=(LastResort.SHUTDOWN,))
                                          for one in POLICIES.evacuation))


def a_last_resort() -> Setting:
    """A failing host with two guests that cannot leave it, one of which does not go down when it is asked to."""
    cluster = four()
    vms = tuple(replace(vm, record=replace(vm.record, pins=PINNED)) if vm.record.name in ("h1v0", "h1v1") else vm
                for vm in cluster.vms)
    return Setting(replace(cluster, vms=vms), Fixed(LAST), QUICK, (Act(50.0, "ignore-shutdown", vm="h1v1"), *ERROR))


# from the deadline until who does not obey was asked again
LAST_RESORT = Tale(a_last_resort, 155.0, 235.0, 460.0, sparser=2)


def judge_last_resort(stage: Stage) -> None:
    """Nothing was violated, who obeys is down and its books are closed, and who does not was asked again."""
    assert stage.violations == ()
    here = stage.world.hypervisor.hosts[HostName("h1")].vms
    assert {record.name: record.state for record in here.values()} == {"h1v0": VmState.SHUTOFF, "h1v1": VmState.RUNNING}
    contents = [record.content for record in stage.world.journal.records]
    names = {one["id"]: one["vm_name"] for one in contents if one["kind"] == "ShutdownOrdered"}
    assert sorted(names.values()) == ["h1v0", "h1v1"], "each is ordered once, whatever died"
    assert [(names[one["id"]], one["ending"]) for one in contents if one["kind"] == "ShutdownEnded"] == [("h1v0", "down")]
    assert "h1v1" in {names[one["id"]] for one in contents if one["kind"] == "ShutdownAskedAgain"}


def test_a_last_resort_without_a_crash() -> None:
    stage, points, _ = LAST_RESORT.told()
    judge_last_resort(stage)
    assert stage.lives == 1
    assert len(points) > 40


@pytest.mark.parametrize("share", range(2))
def test_killed_at_an_await_while_guests_are_asked_to_shut_down_none_is_forgotten_or_asked_twice(share: int) -> None:
    for point in LAST_RESORT.points(share, 2):
        stage, *_ = LAST_RESORT.told(point)
        assert stage.lives == 2, point
        judge_last_resort(stage)


DRAIN = Act(60.0, "operator", host="h1", word="drain")
TURNED = tuple(Act(at, "reading", host="h2", metric="fan.alarm", subject="1", value=value)
               for at, value in ((64.0, 1.0), (110.0, 0.0)))
# a target turns sick while somebody is on the way there, who is called off and goes elsewhere
CALLED_OFF = Tale(lambda: Setting(four(), Fixed(POLICIES), QUICK, (DRAIN, *TURNED)), 63.0, 75.0, 400.0, sparser=2)


def judge_steered(stage: Stage, *kinds: str) -> None:
    """Nothing was violated, the host is empty, everybody lives, whatever was ordered came to one end, and was steered as it
    should be, at most once each."""
    assert stage.violations == ()
    hosts = stage.world.hypervisor.hosts
    assert [record.name for record in hosts[HostName("h1")].vms.values()] == []
    assert sum(len(host.vms) for host in hosts.values()) == len(stage.setting.cluster.vms)
    contents = [record.content for record in stage.world.journal.records]
    ordered = Counter(one["id"] for one in contents if one["kind"] == "MigrationOrdered")
    assert ordered == Counter(one["id"] for one in contents if one["kind"] == "MigrationSettled")
    for kind in ("AbortOrdered", "PostCopyOrdered"):
        assert max(Counter(one["id"] for one in contents if one["kind"] == kind).values(), default=0) <= 1
    assert set(kinds) <= {one["kind"] for one in contents}


def test_a_migration_is_called_off_without_a_crash() -> None:
    stage, points, _ = CALLED_OFF.told()
    judge_steered(stage, "AbortOrdered", "BandwidthOrdered")
    assert stage.lives == 1
    assert owners(stage, points) == {"ControlLoop", "Executor", "_steer"}


@pytest.mark.parametrize("share", range(2))
def test_killed_at_an_await_while_a_migration_is_called_off_nobody_is_forgotten_or_lost(share: int) -> None:
    for point in CALLED_OFF.points(share, 2):
        stage, *_ = CALLED_OFF.told(point)
        assert stage.lives == 2, point
        judge_steered(stage)


def test_killed_at_each_await_of_a_call_that_steers_a_job() -> None:
    for tale in (CALLED_OFF, BEFORE_ITS_MEMORY):
        undisturbed, points, _ = tale.told()
        for point in (one for one in points if owners(undisturbed, range(one, one + 1)) == {"_steer"}):
            stage, *_ = tale.told(point)
            assert stage.lives == 2, point
            judge_steered(stage)


PARTING = replace(
    POLICIES, limits=replace(POLICIES.limits, auto_converge=AutoConverge.NEVER),
    evacuation=tuple(replace(one, last_resorts=(LastResort.POST_COPY,)) for one in POLICIES.evacuation))
DIRTY = Act(50.0, "dirty", vm="h1v0", value=3000.0)
# who dirties its memory too fast is let stand still for longer, step by step, and goes before its memory in the end
BEFORE_ITS_MEMORY = Tale(lambda: Setting(four(2, 4), Fixed(PARTING), QUICK, (DIRTY, *ERROR)), 99.0, 260.0, 500.0, sparser=8)


def test_a_vm_goes_before_its_memory_without_a_crash() -> None:
    stage, points, _ = BEFORE_ITS_MEMORY.told()
    judge_steered(stage, "DowntimeOrdered", "PostCopyOrdered")
    assert stage.lives == 1
    assert owners(stage, points) == {"ControlLoop", "Executor", "_steer"}


@pytest.mark.parametrize("share", range(2))
def test_killed_at_an_await_while_a_vm_goes_before_its_memory_nobody_is_torn_or_forgotten(share: int) -> None:
    for point in BEFORE_ITS_MEMORY.points(share, 2):
        stage, *_ = BEFORE_ITS_MEMORY.told(point)
        assert stage.lives == 2, point
        judge_steered(stage)
