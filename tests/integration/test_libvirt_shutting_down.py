"""What libvirt would make of a shutdown beyond the contract: a guest that would not stay off is not asked."""

from __future__ import annotations

import asyncio
import os

import pytest

from ballastd.core.inventory import VmState
from ballastd.errors import ShutdownRefused
from tests.contracts.lab_world import OPTIONS, LibvirtWorld
from tests.contracts.test_hypervisor import found
from tests.contracts.worlds import H1
from tests.lab import Lab, missing

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(bool(missing()), reason=f"NO LAB, REAL HOSTS ARE NOT TESTED: {missing()}"),
]


def test_a_guest_that_libvirt_would_start_again_is_refused_and_runs_on() -> None:
    async def story(world: LibvirtWorld) -> None:
        vm = await world.start_guest(H1)
        host, name = world.lab.hosts[H1], world.guests[vm].name
        host.virsh("set-lifecycle-action", name, "poweroff", "restart", "--live")
        with pytest.raises(ShutdownRefused, match="on_poweroff is restart"):
            await world.hypervisor.shut_down(H1, vm)
        await asyncio.sleep(2.0)
        runs = await found(world, H1, vm)
        assert runs is not None
        assert runs.state is VmState.RUNNING
        host.virsh("set-lifecycle-action", name, "poweroff", "destroy", "--live")
        await world.hypervisor.shut_down(H1, vm)
        async with asyncio.timeout(60.0):
            while await found(world, H1, vm) is not None:
                await asyncio.sleep(0.2)

    with Lab(f"t{os.getpid()}o", 2, cpu_quota=None) as lab:
        lab.enter()
        asyncio.run(LibvirtWorld(lab, OPTIONS).tell(story))
        lab.leave()
