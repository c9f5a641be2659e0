"""The pretend cluster does what the lab did: how long a migration takes, and what faults make of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from ballastd.core.inventory import JobKind, VmState
from ballastd.core.quantities import VmId
from ballastd.errors import (
    MigrationAborted,
    MigrationFailed,
    MigrationRefused,
    OutcomeUnknown,
    Unreachable,
    VmVanished,
)
from ballastd.sim.hypervisor import SimulatedHypervisor
from ballastd.sim.jobs import CLEANUP_SECONDS, DOWNTIME_SECONDS, PREPARE_SECONDS, Fate
from tests.contracts.worlds import H1, H2, H3, SimulatedWorld, an_order

FIXED_SECONDS = PREPARE_SECONDS + DOWNTIME_SECONDS + CLEANUP_SECONDS
MEMORY_MIB = 64


@dataclass
class Stage:
    """A guest on h1 that is about to move to h2 at 16 MiB/s: 4 s of copying."""

    world: SimulatedWorld
    vm: VmId

    @property
    def cluster(self) -> SimulatedHypervisor:
        return self.world.hypervisor

    async def move(self, bandwidth_mib_s: int = 16) -> None:
        await self.cluster.migrate(an_order(self.vm, memory_mib=MEMORY_MIB, bandwidth_mib_s=bandwidth_mib_s))

    def states(self) -> tuple[VmState | None, VmState | None]:
        """Return how the guest stands at its source and at its target, as fate knows it."""
        ends = (self.cluster.hosts[host].vms.get(self.vm) for host in (H1, H2))
        source, target = (None if record is None else record.state for record in ends)
        return source, target


def on_stage(tell: Callable[[Stage], Awaitable[None]]) -> Callable[[], None]:
    async def story(world: SimulatedWorld) -> None:
        await tell(Stage(world, await world.start_guest(H1, memory_mib=MEMORY_MIB)))

    def test() -> None:
        SimulatedWorld().run(story)  # type: ignore[arg-type]  the pretend world is the only one here

    return test


def now() -> float:
    return asyncio.get_running_loop().time()


@pytest.mark.parametrize(("bandwidth", "dirty", "copying"), [
    (16, 0.0, 4.0), (32, 0.0, 2.0), (64, 0.0, 1.0), (32, 16.0, 3.5), (16, 8.0, 7.5)])
def test_a_migration_takes_a_fixed_cost_and_the_copying(bandwidth: int, dirty: float, copying: float) -> None:
    @on_stage
    async def test(stage: Stage) -> None:
        stage.cluster.dirty_mib_s[stage.vm] = dirty
        begun = now()
        await stage.move(bandwidth)
        assert now() - begun == pytest.approx(FIXED_SECONDS + copying, abs=0.05)

    test()


def test_a_change_of_bandwidth_counts_from_its_moment() -> None:
    @on_stage
    async def test(stage: Stage) -> None:
        begun = now()
        moving = asyncio.create_task(stage.move(16))
        await asyncio.sleep(PREPARE_SECONDS + 2.0)
        await stage.cluster.set_bandwidth(H1, stage.vm, 32)
        await moving
        assert now() - begun == pytest.approx(FIXED_SECONDS + 2.0 + 1.0, abs=0.05)

    test()


def test_what_a_round_would_need_is_said_a_while_after_it_has_begun() -> None:
    @on_stage
    async def test(stage: Stage) -> None:
        stage.cluster.dirty_mib_s[stage.vm] = 12.0
        moving = asyncio.create_task(stage.move(16))
        said: dict[int, list[float]] = {}
        while not moving.done():
            await asyncio.sleep(0.1)
            progress = await stage.cluster.progress(H1, stage.vm)
            if progress is not None and progress.iteration:
                said.setdefault(progress.iteration, []).append(round(progress.expected_downtime, 2))
        # 64 MiB at 16 a second take 4 s, 48 MiB were dirtied meanwhile, and so on
        assert said[1][0] == said[2][0] == 0.3
        assert said[2][-1] == said[3][0] == pytest.approx(3.0, abs=0.02)
        assert said[3][-1] == said[4][0] == pytest.approx(2.25, abs=0.02)

    test()


def test_a_guest_that_dirties_faster_than_it_is_copied_never_arrives() -> None:
    @on_stage
    async def test(stage: Stage) -> None:
        stage.cluster.dirty_mib_s[stage.vm] = 20.0
        moving = asyncio.create_task(stage.move(16))
        await asyncio.sleep(3600.0)
        progress = await stage.cluster.progress(H1, stage.vm)
        assert progress is not None
        assert progress.iteration > 100
        assert progress.memory_processed > 100 * progress.memory_total
        await stage.cluster.abort(H1, stage.vm)
        with pytest.raises(MigrationAborted):
            await moving
        assert stage.states() == (VmState.RUNNING, None)

    test()


FATES = {
    Fate.COMPLETES: (None, (None, VmState.RUNNING)),
    Fate.ERROR_YET_COMPLETES: (OutcomeUnknown, (None, VmState.RUNNING)),
    Fate.REFUSED: (MigrationRefused, (VmState.RUNNING, None)),
    Fate.FAILS: (MigrationFailed, (VmState.RUNNING, None)),
    Fate.SPLIT: (OutcomeUnknown, (VmState.RUNNING, VmState.RUNNING)),
    Fate.LEFTOVER: (OutcomeUnknown, (VmState.LEFTOVER, VmState.RUNNING)),
    Fate.NOWHERE: (OutcomeUnknown, (VmState.LEFTOVER, None)),
}


@pytest.mark.parametrize("fate", FATES, ids=lambda fate: fate.value)
def test_the_callers_answer_and_the_guests_fate_are_apart(fate: Fate) -> None:
    error, states = FATES[fate]

    @on_stage
    async def test(stage: Stage) -> None:
        stage.cluster.fates[stage.vm] = fate
        if error is None:
            await stage.move()
        else:
            with pytest.raises(error):
                await stage.move()
        await asyncio.sleep(1.0)
        assert stage.states() == states
        assert await stage.cluster.progress(H1, stage.vm) is None

    test()


def test_a_fate_is_taken_once() -> None:
    @on_stage
    async def test(stage: Stage) -> None:
        stage.cluster.fates[stage.vm] = Fate.FAILS
        with pytest.raises(MigrationFailed):
            await stage.move()
        await stage.move()
        assert stage.states() == (None, VmState.RUNNING)

    test()


@pytest.mark.parametrize("end", [H1, H2])
def test_a_short_cut_makes_it_late_and_no_worse(end: str) -> None:
    @on_stage
    async def test(stage: Stage) -> None:
        begun = now()
        moving = asyncio.create_task(stage.move())
        await asyncio.sleep(2.0)
        stage.cluster.cut(end)
        await asyncio.sleep(3.0)
        stage.cluster.heal(end)
        await moving
        assert now() - begun == pytest.approx(FIXED_SECONDS + 4.0 + 3.0, abs=0.05)
        assert stage.states() == (None, VmState.RUNNING)

    test()


def test_a_long_cut_of_the_source_blinds_its_caller_long_before_it_ends_the_job() -> None:
    @on_stage
    async def test(stage: Stage) -> None:
        moving = asyncio.create_task(stage.move())
        await asyncio.sleep(2.0)
        stage.cluster.cut(H1)
        cut = now()
        with pytest.raises(OutcomeUnknown):
            await moving
        assert now() - cut == pytest.approx(4.0, abs=0.1)
        assert stage.states() == (VmState.RUNNING, VmState.INCOMING)
        await asyncio.sleep(30.0)
        assert stage.states() == (VmState.RUNNING, None)

    test()


def test_a_target_that_loses_power_is_given_up_after_half_a_minute() -> None:
    @on_stage
    async def test(stage: Stage) -> None:
        moving = asyncio.create_task(stage.move())
        await asyncio.sleep(2.0)
        stage.cluster.lose_power(H2)
        lost = now()
        with pytest.raises((OutcomeUnknown, MigrationFailed)):
            await moving
        assert now() - lost <= 28.5
        assert stage.states() == (VmState.RUNNING, None)

    test()


def test_a_source_that_loses_power_takes_its_guest_along() -> None:
    @on_stage
    async def test(stage: Stage) -> None:
        moving = asyncio.create_task(stage.move())
        await asyncio.sleep(2.0)
        stage.cluster.lose_power(H1)
        with pytest.raises((OutcomeUnknown, VmVanished)):
            await moving
        await asyncio.sleep(30.0)
        assert stage.states() == (None, None)

    test()


@pytest.mark.parametrize("end", [H1, H2])
def test_a_killed_libvirtd_breaks_the_job_and_leaves_the_guest(end: str) -> None:
    @on_stage
    async def test(stage: Stage) -> None:
        moving = asyncio.create_task(stage.move())
        await asyncio.sleep(2.0)
        stage.cluster.kill_libvirtd(end)
        with pytest.raises(OutcomeUnknown):
            await moving
        assert stage.states() == (VmState.RUNNING, None)

    test()


def test_a_hung_source_finishes_its_job_unseen() -> None:
    @on_stage
    async def test(stage: Stage) -> None:
        moving = asyncio.create_task(stage.move(8))
        await asyncio.sleep(2.0)
        stage.cluster.hang(H1)
        with pytest.raises(OutcomeUnknown):
            await moving
        await asyncio.sleep(10.0)
        assert stage.states() == (None, VmState.RUNNING)

    test()


def test_strangers_start_stop_and_move_guests() -> None:
    @on_stage
    async def test(stage: Stage) -> None:
        stage.cluster.carry_over(stage.vm, H1, H3)
        seen = await stage.cluster.inventory(H3)
        assert [record.vm for record in seen.vms] == [stage.vm]
        assert seen.memory_free == seen.ordinary_total - MEMORY_MIB * 2**20
        stage.cluster.remove(H3, stage.vm)
        assert (await stage.cluster.inventory(H3)).vms == ()

    test()


def test_a_vm_that_is_stopped_under_its_job_vanishes_from_both_ends() -> None:
    @on_stage
    async def test(stage: Stage) -> None:
        moving = asyncio.create_task(stage.move())
        await asyncio.sleep(2.0)
        assert stage.cluster.hosts[H1].vms[stage.vm].job is JobKind.OUTGOING
        stage.cluster.remove(H1, stage.vm)
        with pytest.raises(VmVanished):
            await moving
        assert stage.states() == (None, None)

    test()


def test_closing_tells_waiting_callers_that_nothing_is_known() -> None:
    @on_stage
    async def test(stage: Stage) -> None:
        moving = asyncio.create_task(stage.move())
        await asyncio.sleep(2.0)
        await stage.cluster.close()
        with pytest.raises(OutcomeUnknown):
            await moving

    test()


def test_a_dead_libvirtd_refuses_at_once_and_a_silent_host_after_a_while() -> None:
    @on_stage
    async def test(stage: Stage) -> None:
        stage.cluster.kill_libvirtd(H2)
        begun = now()
        with pytest.raises(Unreachable):
            await stage.cluster.inventory(H2)
        assert now() - begun < 0.1
        stage.cluster.hang(H3)
        begun = now()
        with pytest.raises(Unreachable):
            await stage.cluster.inventory(H3)
        assert now() - begun == pytest.approx(5.0, abs=0.1)

    test()
