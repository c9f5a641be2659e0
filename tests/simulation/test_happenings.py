"""Troubles that a script and chance know: what each does to the world, and that the daemon gets through it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from ballastd.core.acts import Act
from ballastd.core.inventory import JobKind, VmState
from ballastd.core.policies import Timing
from ballastd.core.power import PowerState
from ballastd.core.quantities import HostName, Seconds
from ballastd.core.views import ClusterView
from ballastd.rehearsal.stage import Setting, Stage, perform
from tests.builders import POLICIES, machine_of, vm_id
from tests.simulation.clusters import Fixed, four

QUICK = Timing(startup_quiet=Seconds(40.0), inventory_interval=Seconds(2.0), pace=Seconds(10.0))
H1, H2 = HostName("h1"), HostName("h2")
ERROR = (Act(80.0, "reading", host="h1", metric="ecc.uncorrected", subject="A", value=0.0),
         Act(100.0, "reading", host="h1", metric="ecc.uncorrected", subject="A", value=1.0))


def rehearse(*acts: Act, until: float, story: Callable[[Stage], Awaitable[None]] | None = None,
             broken: frozenset[str] = frozenset()) -> tuple[Stage, ClusterView]:
    """Rehearse ``acts`` on four hosts; whatever happens, no rule is broken but those that must be. Return the stage, and
    what the daemon showed of itself at the end."""
    views: list[ClusterView] = []

    async def play(stage: Stage) -> None:
        await stage.play(until)
        assert stage.daemon is not None
        view = stage.daemon.view()
        assert view is not None
        views.append(view)
        if story is not None:
            await story(stage)

    stage = perform(Setting(four(), Fixed(POLICIES), QUICK, tuple(sorted(acts, key=lambda act: act.at))), play)[1]
    assert {violation.rule for violation in stage.violations} == broken
    return stage, views[0]


def left(stage: Stage) -> list[str]:
    return [record.name for record in stage.world.host(H1).vms.values() if record.state.holds_memory]


def kinds(stage: Stage) -> list[str]:
    return [record.content["kind"] for record in stage.world.journal.records]


def test_the_end_of_a_cut_does_not_switch_on_who_lost_power_meanwhile() -> None:
    stage, _ = rehearse(Act(60.0, "cut", host="h1", seconds=60.0), Act(70.0, "lose-power", host="h1"), until=200.0)
    assert not stage.world.host(H1).powered
    assert not stage.world.host(H1).cut


def test_mixed_up_cables_reach_another_machine_until_they_are_put_right() -> None:
    async def story(stage: Stage) -> None:
        power = stage.world.power
        status = await power.status(H1)
        assert status.identity == machine_of("h2")
        await power.power_off(H1)
        await stage.play(300.0)
        assert stage.world.host(H1).powered
        assert not stage.world.host(H2).powered
        assert (await power.status(H1)).state is PowerState.OFF
        power.untangle()
        assert (await power.status(H1)).state is PowerState.ON

    rehearse(Act(60.0, "swap", host="h1", target="h2"), until=100.0, story=story,
             broken=frozenset({"nobody-lost"}))


def test_an_evacuation_waits_for_a_slow_disk_and_goes_on() -> None:
    stage, _ = rehearse(*ERROR, Act(90.0, "slow-disk", value=8.0, seconds=120.0), until=600.0)
    assert left(stage) == []


def test_a_write_that_hangs_longer_than_anybody_waits_ends_acting_and_a_new_daemon_knows_what_was_written() -> None:
    stage, view = rehearse(*ERROR, Act(90.0, "slow-disk", value=45.0, seconds=60.0), until=400.0)
    assert left(stage) != []
    assert "a write hung" in view.gates[0].reason
    stage, view = rehearse(*ERROR, Act(90.0, "slow-disk", value=45.0, seconds=60.0), Act(400.0, "stop-daemon"), until=1000.0)
    assert left(stage) == []


PAUSED_AND_RUNS = "! alarm: h1v0, which somebody paused while it migrated, runs on"


def test_a_vm_that_somebody_stops_while_it_leaves_a_failing_host_arrives_and_runs_and_people_are_told() -> None:
    stage, _ = rehearse(*ERROR, Act(103.0, "halt", vm="h1v0", seconds=300.0), until=330.0)
    [target] = stage.world.at(vm_id("h1v0"))
    assert target != H1
    assert kinds(stage).count("HandPauseSeen") == 1
    assert "AbortOrdered" not in kinds(stage)
    assert any(f"{PAUSED_AND_RUNS} {target}" in line for line in stage.world.trace.lines)


def test_a_vm_that_somebody_stops_while_it_is_drained_is_called_off_and_then_drained_all_the_same() -> None:
    drain = Act(100.0, "operator", word="drain", host="h1")
    stage, _ = rehearse(drain, Act(103.0, "halt", vm="h1v0", seconds=1.0), until=112.0)
    assert [one for one in kinds(stage) if one in ("HandPauseSeen", "AbortOrdered")] == ["HandPauseSeen", "AbortOrdered"]
    assert stage.world.at(vm_id("h1v0")) == [H1]
    assert any(f"{PAUSED_AND_RUNS} h1" in line for line in stage.world.trace.lines)
    stage, _ = rehearse(drain, Act(103.0, "halt", vm="h1v0", seconds=1.0), until=800.0)
    assert left(stage) == []


def test_a_sensor_says_its_own_limits_with_what_it_shows() -> None:
    stage, _ = rehearse(Act(60.0, "reading", host="h1", metric="temperature", subject="inlet", value=70.0, high=85.0,
                            critical=95.0), until=90.0)
    sample = stage.world.agents.readings(H1)["temperature", "inlet"]
    assert (sample.value, sample.high, sample.critical) == (70.0, 85.0, 95.0)


def test_an_agent_that_starts_anew_is_the_same_host() -> None:
    again = [Act(at, "restart-agent", host=host) for at, host in ((90.0, "h2"), (100.0, "h1"), (120.0, "h2"))]
    _, view = rehearse(*again, until=400.0)
    assert all(host.target for host in view.hosts)


@pytest.mark.parametrize("retained", [0.0, 1.0])
def test_what_was_said_before_and_is_said_again_moves_nobody(retained: float) -> None:
    """The fan was broken and is whole again; somebody repeats the old reports for an hour."""
    fan = [Act(at, "reading", host="h1", metric="fan.alarm", subject="1", value=value)
           for at, value in ((100.0, 1.0), (300.0, 0.0))]
    stage, view = rehearse(*fan, Act(400.0, "replay", host="h1", value=retained, seconds=3600.0), until=3000.0)
    assert "MigrationOrdered" not in kinds(stage)
    assert next(host for host in view.hosts if host.name == "h1").health == "healthy"


def test_a_daemon_that_is_down_and_is_to_be_stopped_comes_back_once() -> None:
    stage, _ = rehearse(Act(60.0, "crash", seconds=30.0), Act(70.0, "stop-daemon", seconds=2.0), until=150.0)
    assert stage.lives == 2
    assert kinds(stage).count("DaemonStarted") == 2


def test_of_what_is_put_there_for_a_while_the_newest_holds_and_at_last_what_was_there_before() -> None:
    """Two that overlap, whichever ends first; and one that stays outlives what was there for a while when it came."""
    shown: list[tuple[float, float | None]] = []

    async def story(stage: Stage) -> None:
        for at in (120.0, 160.0, 220.0, 320.0, 420.0):
            await stage.play(at)
            used, warm = stage.world.hypervisor.interfaces.others[H1], stage.world.agents.reading(H2, "temperature", "cpu")
            shown.append((used, warm))

    def use(at: float, value: float, seconds: float) -> Act:
        return Act(at, "use-link", host="h1", value=value, seconds=seconds)

    def heat(at: float, value: float, seconds: float | None) -> Act:
        return Act(at, "reading", host="h2", metric="temperature", subject="cpu", value=value, seconds=seconds)

    rehearse(use(100.0, 10.0, 100.0), use(150.0, 20.0, 150.0), use(400.0, 30.0, 100.0), use(410.0, 40.0, 5.0),
             heat(90.0, 40.0, None), heat(100.0, 50.0, 200.0), heat(150.0, 55.0, 50.0), heat(310.0, 60.0, 100.0),
             heat(315.0, 45.0, None), until=110.0, story=story)
    assert shown == [(10.0, 50.0), (20.0, 55.0), (20.0, 50.0), (0.0, 45.0), (30.0, 45.0)]


BY_HAND = tuple(Act(90.0, "carry", vm=vm, target="h4", value=80.0) for vm in ("h1v0", "h1v1"))


def test_what_somebody_migrates_takes_its_time_and_holds_the_places_of_its_host() -> None:
    async def story(stage: Stage) -> None:
        assert {r.name: r.job for r in stage.world.host(H1).vms.values()} == {
            "h1v0": JobKind.OUTGOING, "h1v1": JobKind.OUTGOING, "h1v2": JobKind.NONE}
        assert [r.state for r in stage.world.host(HostName("h4")).vms.values()].count(VmState.INCOMING) == 2
        assert "MigrationOrdered" not in kinds(stage), "two of two places out of h1 are taken"
        # 8 GiB at 80 MiB/s each
        await stage.play(330.0)

    stage, _ = rehearse(*BY_HAND, *ERROR, until=185.0, story=story)
    assert left(stage) == []
    contents = [record.content for record in stage.world.journal.records]
    assert [one["vm_name"] for one in contents if one["kind"] == "ForeignMoveSeen"] == ["h1v0", "h1v1"]
    assert [one["vm_name"] for one in contents if one["kind"] == "MigrationOrdered"] == ["h1v2"]


def test_what_somebody_migrates_breaks_as_what_we_do() -> None:
    stage, _ = rehearse(*BY_HAND, Act(120.0, "cut", host="h4", seconds=60.0), until=250.0)
    assert left(stage) == ["h1v0", "h1v1", "h1v2"]
    assert "ForeignMoveSeen" not in kinds(stage)


def test_nobody_migrates_by_hand_what_a_job_holds_or_to_a_host_that_is_shut() -> None:
    acts = (Act(60.0, "operator", host="h4", word="cordon"), *BY_HAND,
            Act(91.0, "carry", vm="h2v0", target="h3", value=80.0), Act(92.0, "carry", vm="h2v0", target="h1", value=80.0))
    stage, _ = rehearse(*acts, until=110.0)
    moving = [record.name for host in stage.world.hypervisor.hosts.values() for record in host.vms.values()
              if record.job is JobKind.OUTGOING]
    assert moving == ["h2v0"]
    assert vm_id("h2v0") in stage.world.host(HostName("h3")).vms
