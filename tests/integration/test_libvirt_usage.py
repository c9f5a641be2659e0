"""What guests use, asked of real libvirt: counters, measurements of dirtying, and emulators that hang."""

from __future__ import annotations

import asyncio
import time

import pytest

from ballastd.adapters.libvirt.asking import OPEN_TO_ALL_MAX
from ballastd.core.inventory import JobKind, VmState, VmUsage
from ballastd.core.quantities import MIB, VmId
from tests.contracts.lab_world import LibvirtWorld
from tests.contracts.worlds import H1
from tests.integration.libvirt_parts import Tell, until
from tests.lab import Lab, missing

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(bool(missing()), reason=f"NO LAB, REAL HOSTS ARE NOT TESTED: {missing()}"),
]


async def usage_of(world: LibvirtWorld, vm: VmId) -> VmUsage:
    return (await world.hypervisor.inventory(H1)).usage[vm]


def test_what_a_guest_uses_is_counted(lab: Lab, tell: Tell) -> None:
    async def story(world: LibvirtWorld) -> None:
        vm = await world.start_guest(H1, memory_mib=64)
        tap = lab.plan.path / "tap.xml"
        tap.write_text("<interface type='ethernet'><target dev='tap-x'/><model type='virtio'/></interface>")
        lab.hosts[H1].virsh("attach-device", vm, str(tap))
        lab.set_mode(world.guests[vm], "burn")
        first = await usage_of(world, vm)
        await asyncio.sleep(1.0)
        second = await usage_of(world, vm)
        assert first.cpu_seconds is not None
        assert second.cpu_seconds is not None
        assert 0.1 < second.cpu_seconds - first.cpu_seconds < 2.0
        assert second.memory is not None
        assert 64 * MIB < second.memory < 512 * MIB  # it writes to all of its memory; its emulator needs some, too
        assert second.network_bytes is not None
        assert second.dirty_mib_s is None

    tell(story)


def test_a_measurement_of_dirtying_is_told_when_it_was_made_under_our_eyes(tell: Tell) -> None:
    async def story(world: LibvirtWorld) -> None:
        vm = await world.start_guest(H1, memory_mib=16)
        assert (await usage_of(world, vm)).dirty_mib_s is None
        world.lab.hosts[H1].virsh("domdirtyrate-calc", vm, "--seconds", "1")
        async with asyncio.timeout(10.0):
            while (await usage_of(world, vm)).dirty_mib_s is None:
                await asyncio.sleep(0.3)

    tell(story)


def test_a_hung_emulator_costs_one_answer_and_then_only_its_own(tell: Tell) -> None:
    async def story(world: LibvirtWorld) -> None:
        vm, other = await world.start_guest(H1, memory_mib=8), await world.start_guest(H1, memory_mib=8)
        host, name = world.lab.hosts[H1], world.guests[vm].name
        await world.hypervisor.inventory(H1)
        host.stop_qemu(name)
        try:
            for _ in range(2):  # the second look finds the guest's question open, and none of ours is behind it
                begun = time.monotonic()
                seen = await world.hypervisor.inventory(H1)
                assert time.monotonic() - begun < 2.5
                assert seen.complete
                assert [record.state for record in seen.vms] == [VmState.RUNNING] * 2
            await asyncio.sleep(0.3)  # back-off
            begun = time.monotonic()
            seen = await world.hypervisor.inventory(H1)
            assert time.monotonic() - begun < 0.5
            hung, well = seen.find(vm), seen.find(other)
            assert hung is not None
            assert well is not None
            assert seen.usage[vm].cpu_seconds is not None
            assert (hung.job, well.job) == (JobKind.UNKNOWN, JobKind.NONE)
            # of one libvirt itself knows the size of its balloon, of the other also what is resident, its emulator's with it
            assert (seen.usage[vm].memory == 8 * MIB, (seen.usage[other].memory or 0) > 8 * MIB) == (True, True)
        finally:
            host.cont_qemu(name)
        await until(lambda: world.lanes.abandoned() == 0)
        assert ((await usage_of(world, vm)).memory or 0) > 8 * MIB

    tell(story, usage_deadline_s=0.5)


def test_however_many_emulators_hang_few_of_our_questions_do(tell: Tell) -> None:
    async def story(world: LibvirtWorld) -> None:
        names = [world.guests[await world.start_guest(H1, memory_mib=4, beating=False)].name for _ in range(6)]
        host = world.lab.hosts[H1]
        for name in names:
            host.stop_qemu(name)
        try:
            looks_beyond = 2
            while looks_beyond:
                looks_beyond -= world.lanes.abandoned() >= OPEN_TO_ALL_MAX
                seen = await world.hypervisor.inventory(H1)
                assert seen.complete
                assert len(seen.vms) == 6
            assert world.lanes.abandoned() == OPEN_TO_ALL_MAX
        finally:
            for name in names:
                host.cont_qemu(name)
        await until(lambda: world.lanes.abandoned() == 0)

    tell(story, usage_deadline_s=0.3, reconnect_min_s=0.01, reconnect_max_s=0.02)
