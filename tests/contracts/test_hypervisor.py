"""What every hypervisor promises: kept by the pretend cluster, and by libvirt on real hosts."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from ballastd.core.inventory import HostInventory, JobKind, VmRecord, VmState
from ballastd.core.plans import RefusalKind
from ballastd.core.quantities import MIB, HostName, VmId
from ballastd.core.suitability import why_unsuited
from ballastd.errors import (
    InvariantBroken,
    MigrationAborted,
    MigrationError,
    MigrationFailed,
    MigrationRefused,
    OutcomeUnknown,
    Unreachable,
    VmVanished,
)
from ballastd.ports.hosts import HostChange, HostHint
from tests.contracts.worlds import H1, H2, H3, World, an_order

NOBODY = VmId("deadbeef-0000-4000-8000-000000000000")
SLACK_SECONDS = 1.0


def story(tell: Callable[[World], Awaitable[Any]]) -> Callable[[World], None]:
    """Make a test of a story that is told inside a world, on that world's clock."""
    @functools.wraps(tell)
    def test(world: World) -> None:
        world.run(tell)

    return test


async def found(world: World, host: HostName, vm: VmId) -> VmRecord | None:
    return (await world.hypervisor.inventory(host)).find(vm)


async def until_back(world: World, host: HostName) -> HostInventory:
    """Return the host's inventory as soon as it answers again."""
    async with asyncio.timeout(20.0):
        while True:
            with contextlib.suppress(Unreachable):
                return await world.hypervisor.inventory(host)
            await asyncio.sleep(0.2)


async def until_copying(world: World, host: HostName, vm: VmId) -> None:
    async with asyncio.timeout(10.0):
        while True:
            with contextlib.suppress(Unreachable):
                progress = await world.hypervisor.progress(host, vm)
                if progress is not None and progress.memory_processed > 0:
                    return
            await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def moving(world: World, vm: VmId, *, bandwidth_mib_s: int = 8) -> AsyncIterator[asyncio.Task[None]]:
    """Yield the task of a slow migration of ``vm`` from h1 to h2 that is copying."""
    order = an_order(vm, memory_mib=64, bandwidth_mib_s=bandwidth_mib_s)
    task = asyncio.create_task(world.hypervisor.migrate(order))
    try:
        await until_copying(world, H1, vm)
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def now() -> float:
    return asyncio.get_running_loop().time()


@story
async def test_an_inventory_says_what_the_machine_is(world: World) -> None:
    vm = await world.start_guest(H1)
    seen = await world.hypervisor.inventory(H1)
    machine, record = seen.hardware, seen.find(vm)
    assert machine is not None
    assert record is not None
    assert seen.pages_free is not None
    assert machine.nodes[0] == 0
    assert len(machine.cpus) == seen.cpus
    totals = {(pool.node, pool.size): pool.total for pool in machine.pools}
    assert set(seen.pages_free) == set(totals) != set()
    assert all(0 <= pages <= totals[pool] for pool, pages in seen.pages_free.items())
    assert seen.ordinary_total == seen.memory_total - machine.pooled
    assert (record.needs.backing, record.ordinary) == ((), record.memory_max)
    assert why_unsuited(record, seen, await until_back(world, H2)) is None


@story
async def test_an_inventory_shows_what_runs_where(world: World) -> None:
    small = await world.start_guest(H1)
    large = await world.start_guest(H1, memory_mib=24, persistent=True)
    seen = await world.hypervisor.inventory(H1)
    assert (seen.host, seen.complete) == (H1, True)
    assert seen.begun.monotonic <= seen.taken.monotonic
    assert 0 < seen.memory_free <= seen.memory_total
    assert seen.cpus > 0
    assert [record.vm for record in seen.vms] == sorted([small, large])
    one, other = seen.find(small), seen.find(large)
    assert one is not None
    assert other is not None
    assert (one.state, one.job, one.memory_max, one.persistent) == (VmState.RUNNING, JobKind.NONE, 16 * MIB, False)
    assert (other.state, other.memory_max, other.persistent, other.autostart) == (
        VmState.RUNNING, 24 * MIB, True, True)


@story
async def test_hosts_tell_themselves_apart(world: World) -> None:
    uuids = {(await world.hypervisor.inventory(host)).host_uuid for host in (H1, H2, H3)}
    assert len(uuids - {""}) == 3


@story
async def test_an_empty_host_is_empty_and_not_unknown(world: World) -> None:
    seen = await world.hypervisor.inventory(H3)
    assert (seen.vms, seen.complete) == ((), True)


@story
async def test_a_host_that_was_never_declared_is_our_own_mistake(world: World) -> None:
    with pytest.raises(InvariantBroken):
        await world.hypervisor.inventory(HostName("h9"))


@story
async def test_a_migration_moves_the_vm_and_leaves_nothing_behind(world: World) -> None:
    vm = await world.start_guest(H1)
    stood_still = await world.hypervisor.migrate(an_order(vm))
    arrived = await found(world, H2, vm)
    assert arrived is not None
    assert (arrived.state, arrived.job, arrived.persistent) == (VmState.RUNNING, JobKind.NONE, False)
    assert stood_still is not None
    assert 0.0 <= stood_still < 2.0
    assert await found(world, H1, vm) is None


@story
async def test_persistence_goes_with_the_vm_and_autostart_is_set_anew(world: World) -> None:
    vm = await world.start_guest(H1, persistent=True)
    await world.hypervisor.migrate(an_order(vm))
    arrived = await found(world, H2, vm)
    assert arrived is not None
    assert (arrived.persistent, arrived.autostart) == (True, False)
    assert await found(world, H1, vm) is None
    for on in (True, True, False):
        await world.hypervisor.set_autostart(H2, vm, on=on)
        arrived = await found(world, H2, vm)
        assert arrived is not None
        assert arrived.autostart is on


@story
async def test_autostart_of_what_is_not_defined_there_for_good_changes_nothing(world: World) -> None:
    vm = await world.start_guest(H1)
    await world.hypervisor.set_autostart(H1, vm, on=True)
    await world.hypervisor.set_autostart(H2, vm, on=True)
    stays = await found(world, H1, vm)
    assert stays is not None
    assert (stays.persistent, stays.autostart) == (False, False)
    assert await found(world, H2, vm) is None


@story
async def test_both_ends_show_a_migration_under_way(world: World) -> None:
    vm = await world.start_guest(H1, memory_mib=64)
    async with moving(world, vm):
        here, there = await found(world, H1, vm), await found(world, H2, vm)
        assert here is not None
        assert there is not None
        assert (here.state, here.job) == (VmState.RUNNING, JobKind.OUTGOING)
        assert (there.state, there.job) == (VmState.INCOMING, JobKind.INCOMING)
        assert not there.state.runs
        await world.hypervisor.abort(H1, vm)


@story
async def test_progress_is_told_while_a_job_runs_and_not_otherwise(world: World) -> None:
    vm = await world.start_guest(H1, memory_mib=64)
    assert await world.hypervisor.progress(H1, vm) is None
    async with moving(world, vm) as task:
        first = await world.hypervisor.progress(H1, vm)
        await asyncio.sleep(0.6)
        second = await world.hypervisor.progress(H1, vm)
        assert first is not None
        assert second is not None
        assert second.elapsed > first.elapsed
        assert second.memory_processed > first.memory_processed
        assert 0 < second.memory_remaining < second.memory_total
        assert await world.hypervisor.progress(H2, vm) is None
        await world.hypervisor.abort(H1, vm)
        with pytest.raises(MigrationAborted):
            await task
    assert await world.hypervisor.progress(H1, vm) is None


@story
async def test_a_definition_is_what_a_vm_can_be_had_from_again(world: World) -> None:
    vm = await world.start_guest(H1, memory_mib=16)
    text = await world.hypervisor.definition(H1, vm)
    assert f"<uuid>{vm}</uuid>" in text
    assert text.startswith("<domain")
    with pytest.raises(VmVanished):
        await world.hypervisor.definition(H2, vm)


@story
async def test_more_bandwidth_takes_effect_at_once(world: World) -> None:
    vm = await world.start_guest(H1, memory_mib=64)
    begun = now()
    async with moving(world, vm, bandwidth_mib_s=4) as task:
        await world.hypervisor.set_bandwidth(H1, vm, 200)
        await task
    assert now() - begun < 6.0  # at 4 MiB/s it would have been 16
    assert await found(world, H2, vm) is not None


@story
async def test_a_busy_guest_arrives_once_it_may_stand_still_for_long_enough(world: World) -> None:
    vm = await world.start_guest(H1, memory_mib=64)
    await world.keep_busy(vm)
    order = replace(an_order(vm, memory_mib=64, bandwidth_mib_s=8), downtime_ms=100)
    task = asyncio.create_task(world.hypervisor.migrate(order))
    try:
        async with asyncio.timeout(60.0):
            while (seen := await world.hypervisor.progress(H1, vm)) is None or seen.iteration < 3:
                await asyncio.sleep(0.2)
        assert seen.expected_downtime > 0.1, "it dirties as much as is copied"
        assert not task.done()
        await world.hypervisor.set_downtime(H1, vm, 30_000)
        async with asyncio.timeout(30.0):
            await task
        assert await found(world, H2, vm) is not None
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@story
async def test_a_busy_guest_goes_before_its_memory_and_is_not_called_back(world: World) -> None:
    vm = await world.start_guest(H1, memory_mib=64)
    await world.keep_busy(vm)
    order = replace(an_order(vm, memory_mib=64, bandwidth_mib_s=8), downtime_ms=100, post_copy=True)
    task = asyncio.create_task(world.hypervisor.migrate(order))
    try:
        async with asyncio.timeout(60.0):
            while (seen := await world.hypervisor.progress(H1, vm)) is None or seen.iteration < 3:
                await asyncio.sleep(0.2)
        await world.hypervisor.start_post_copy(H1, vm)
        async with asyncio.timeout(10.0):
            while (there := await found(world, H2, vm)) is None or there.state is VmState.INCOMING:
                await asyncio.sleep(0.1)
        assert there.state is VmState.POSTCOPY, "8 MiB/s hold in post-copy, too"
        here = await found(world, H1, vm)
        assert here is not None
        assert here.state is VmState.POSTCOPY_LEFT
        await world.hypervisor.start_post_copy(H1, vm)
        await world.hypervisor.abort(H1, vm)
        async with asyncio.timeout(30.0):
            await task
        there = await found(world, H2, vm)
        assert there is not None
        assert there.state is VmState.RUNNING
        assert await found(world, H1, vm) is None
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@story
async def test_what_was_not_prepared_for_it_does_not_go_into_post_copy(world: World) -> None:
    vm = await world.start_guest(H1, memory_mib=64)
    task = asyncio.create_task(world.hypervisor.migrate(an_order(vm, memory_mib=64, bandwidth_mib_s=8)))
    async with asyncio.timeout(30.0):
        while (seen := await world.hypervisor.progress(H1, vm)) is None or not seen.memory_processed:
            await asyncio.sleep(0.2)
    with pytest.raises(MigrationRefused):
        await world.hypervisor.start_post_copy(H1, vm)
    async with asyncio.timeout(30.0):
        await task
    assert await found(world, H2, vm) is not None


@story
async def test_a_guest_that_is_asked_to_shut_down_goes_off_by_itself_and_is_not_started_again(world: World) -> None:
    lasting, passing = await world.start_guest(H1, persistent=True), await world.start_guest(H1)
    for vm in (lasting, passing):
        await world.hypervisor.shut_down(H1, vm)
    async with asyncio.timeout(60.0):
        for vm in (lasting, passing):
            while (seen := await found(world, H1, vm)) is not None and seen.state.runs:
                await asyncio.sleep(0.2)
    stays = await found(world, H1, lasting)
    assert stays is not None
    assert (stays.state, stays.reason, stays.autostart) == (VmState.SHUTOFF, "5/1", True), "in order, and that is all"
    assert await found(world, H1, passing) is None
    for vm in (lasting, passing, NOBODY):
        await world.hypervisor.shut_down(H1, vm)
    await asyncio.sleep(1.0)
    again = await found(world, H1, lasting)
    assert again is not None
    assert again.state is VmState.SHUTOFF


@story
async def test_an_abort_leaves_the_vm_where_it_was(world: World) -> None:
    vm = await world.start_guest(H1, memory_mib=64)
    async with moving(world, vm) as task:
        await world.hypervisor.abort(H1, vm)
        # seldom the sockets are closed first, and libvirt calls it a failed job (9,10: broken pipe)
        with pytest.raises((MigrationAborted, MigrationFailed)):
            await task
    stayed = await found(world, H1, vm)
    assert stayed is not None
    assert (stayed.state, stayed.job) == (VmState.RUNNING, JobKind.NONE)
    assert await found(world, H2, vm) is None


@story
async def test_without_a_job_steering_does_nothing(world: World) -> None:
    vm = await world.start_guest(H1)
    for one in (vm, NOBODY):
        assert await world.hypervisor.progress(H1, one) is None
        await world.hypervisor.set_bandwidth(H1, one, 10)
        await world.hypervisor.set_downtime(H1, one, 200)
        await world.hypervisor.start_post_copy(H1, one)
        await world.hypervisor.abort(H1, one)
    stayed = await found(world, H1, vm)
    assert stayed is not None
    assert stayed.state is VmState.RUNNING


@story
async def test_a_vm_that_moves_already_is_not_moved_again(world: World) -> None:
    vm = await world.start_guest(H1, memory_mib=64)
    async with moving(world, vm) as task:
        with pytest.raises(MigrationRefused):
            await world.hypervisor.migrate(an_order(vm, H1, H3, memory_mib=64))
        await world.hypervisor.set_bandwidth(H1, vm, 200)
        await task
    assert await found(world, H2, vm) is not None
    assert await found(world, H3, vm) is None


@story
async def test_a_vm_that_is_not_there_has_vanished(world: World) -> None:
    with pytest.raises(VmVanished):
        await world.hypervisor.migrate(an_order(NOBODY))


@story
async def test_an_examination_finds_nothing_against_a_plain_guest(world: World) -> None:
    vm = await world.start_guest(H1)
    assert (await world.hypervisor.examine(an_order(vm))).refusals == ()


@story
async def test_an_examination_sees_that_the_vm_is_gone(world: World) -> None:
    refusals = (await world.hypervisor.examine(an_order(NOBODY))).refusals
    assert [refusal.kind for refusal in refusals] == [RefusalKind.VM_GONE]


@story
async def test_an_examination_sees_that_the_uuid_is_taken(world: World) -> None:
    vm = await world.start_guest(H1)
    await world.define_twin(H2, vm)
    refusals = (await world.hypervisor.examine(an_order(vm))).refusals
    assert [(refusal.kind, refusal.host) for refusal in refusals] == [(RefusalKind.IDENTITY, H2)]


@story
async def test_a_host_that_cannot_be_reached_is_said_to_be_so_in_time(world: World) -> None:
    vm = await world.start_guest(H1)
    await world.hypervisor.inventory(H2)
    await world.cut(H2)
    begun = now()
    with pytest.raises(Unreachable):
        await world.hypervisor.inventory(H2)
    assert now() - begun <= world.call_deadline + SLACK_SECONDS
    with pytest.raises(Unreachable):
        await world.hypervisor.examine(an_order(vm))
    await world.heal(H2)
    assert (await until_back(world, H2)).complete


@story
async def test_a_host_that_hangs_delays_nobody_else(world: World) -> None:
    vm = await world.start_guest(H1)
    await world.hypervisor.inventory(H2)
    await world.hang(H2)
    begun = now()
    hanging = asyncio.create_task(world.hypervisor.inventory(H2))
    await asyncio.sleep(0.1)
    assert (await world.hypervisor.inventory(H1)).find(vm) is not None
    assert now() - begun < world.call_deadline / 2
    with pytest.raises(Unreachable):
        await hanging
    assert now() - begun <= world.call_deadline + SLACK_SECONDS
    await world.heal(H2)
    assert (await until_back(world, H2)).complete


@story
async def test_a_caller_that_leaves_does_not_end_the_job(world: World) -> None:
    vm = await world.start_guest(H1, memory_mib=64)
    async with moving(world, vm, bandwidth_mib_s=32) as task:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        job = await world.hypervisor.progress(H1, vm)
        assert job is not None
    async with asyncio.timeout(15.0):
        while await found(world, H1, vm) is not None:
            await asyncio.sleep(0.2)
    arrived = await found(world, H2, vm)
    assert arrived is not None
    assert arrived.state is VmState.RUNNING


@story
async def test_a_job_whose_hypervisor_dies_has_an_unknown_outcome(world: World) -> None:
    vm = await world.start_guest(H1, memory_mib=64)
    async with moving(world, vm) as task:
        await world.kill(H1)
        with pytest.raises(OutcomeUnknown):
            await task
    await world.heal(H1)
    stayed = (await until_back(world, H1)).find(vm)
    assert stayed is not None
    assert stayed.state.runs


@story
async def test_a_vm_that_is_stopped_under_its_job_is_nowhere(world: World) -> None:
    vm = await world.start_guest(H1, memory_mib=64)
    async with moving(world, vm) as task:
        await world.stop_guest(H1, vm)
        with pytest.raises(MigrationError):
            await task
    await asyncio.sleep(0.5)
    assert await found(world, H1, vm) is None
    assert await found(world, H2, vm) is None


@story
async def test_hints_say_where_to_look(world: World) -> None:
    heard: list[HostHint] = []

    async def listen() -> None:
        async for hint in world.hypervisor.hints():
            heard.append(hint)  # noqa: PERF401  it never ends, and is read meanwhile

    async def until(wanted: Callable[[HostHint], bool]) -> None:
        async with asyncio.timeout(10.0):
            while not any(map(wanted, heard)):
                await asyncio.sleep(0.05)

    listening = asyncio.create_task(listen())
    for host in (H1, H2, H3):
        await until(lambda hint, host=host: (hint.host, hint.change) == (host, HostChange.CONNECTED))
    vm = await world.start_guest(H1)
    await until(lambda hint: (hint.host, hint.change, hint.vm) == (H1, HostChange.LIFECYCLE, vm))
    await world.hypervisor.migrate(an_order(vm))
    await until(lambda hint: (hint.host, hint.change, hint.vm) == (H2, HostChange.LIFECYCLE, vm))
    heard.clear()
    await world.kill(H3)
    await until(lambda hint: (hint.host, hint.change) == (H3, HostChange.DISCONNECTED))
    await world.heal(H3)
    await until(lambda hint: (hint.host, hint.change) == (H3, HostChange.CONNECTED))
    changes = [hint.change for hint in heard if hint.host == H3 and hint.change is not HostChange.LIFECYCLE]
    assert changes == [HostChange.DISCONNECTED, HostChange.CONNECTED]
    assert not listening.done()
    listening.cancel()


@story
async def test_closing_waits_for_no_host(world: World) -> None:
    await world.start_guest(H1)
    await world.hypervisor.inventory(H2)
    await world.hang(H2)
    hanging = asyncio.create_task(world.hypervisor.inventory(H2))
    await asyncio.sleep(0.1)
    begun = now()
    await world.hypervisor.close()
    assert now() - begun < SLACK_SECONDS
    with pytest.raises(Unreachable):
        await hanging
