"""What real libvirt makes of asking a guest itself: its agent, and its power button beyond the contract."""

from __future__ import annotations

import asyncio
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from ballastd.adapters.libvirt.agent import DEADLINE_SECONDS
from ballastd.core.arrival_checks import AGENT
from ballastd.core.inventory import VmState
from ballastd.core.quantities import VmId
from ballastd.errors import ShutdownRefused
from tests.contracts.lab_world import LibvirtWorld
from tests.contracts.test_hypervisor import found
from tests.contracts.worlds import H1, an_order
from tests.integration.libvirt_parts import Tell
from tests.lab import missing

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(bool(missing()), reason=f"NO LAB, REAL HOSTS ARE NOT TESTED: {missing()}"),
]


NO_AGENT = VmId("0a9e0000-0000-4000-8000-000000000001")


def with_a_channel(definition: str) -> str:
    """Return a definition of another guest that is like this one, with a channel for an agent and nobody who listens."""
    root = ET.fromstring(definition)
    root.find("name").text, root.find("uuid").text = "no-agent", NO_AGENT  # type: ignore[union-attr]
    devices = root.find("devices")
    assert devices is not None
    for serial in (*devices.findall("serial"), *devices.findall("console")):
        devices.remove(serial)
    devices.append(ET.fromstring("<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>"))
    return ET.tostring(root, encoding="unicode")


def test_a_guest_without_an_agent_is_told_as_such_and_keeps_nobody_else_waiting(tell: Tell, tmp_path: Path) -> None:
    async def story(world: LibvirtWorld) -> None:
        vm = await world.start_guest(H1, metadata="<ballastd xmlns='https://ballastd.org/1' check='agent'/>")
        record = await found(world, H1, vm)
        assert record is not None
        assert (record.check, record.pins) == (None, ())
        assert "no channel org.qemu.guest_agent.0" in record.check_flaw
        assert (await world.hypervisor.ping_agent(H1, vm)).startswith("it has no channel for an agent")
        assert (await world.hypervisor.ping_agent(H1, NO_AGENT)).startswith("it is not there")

        virsh = world.lab.hosts[H1].virsh
        (tmp_path / "guest.xml").write_text(with_a_channel(virsh("dumpxml", vm)))
        virsh("create", str(tmp_path / "guest.xml"))
        try:
            await without_an_agent(world)
        finally:
            virsh("destroy", NO_AGENT)

    tell(story)


async def without_an_agent(world: LibvirtWorld) -> None:
    record = await found(world, H1, NO_AGENT)
    assert record is not None
    assert (record.check, record.check_flaw) == (AGENT, "")
    begun = time.monotonic()
    pinging = asyncio.create_task(world.hypervisor.ping_agent(H1, NO_AGENT))
    await asyncio.sleep(0.3)
    assert (await world.hypervisor.inventory(H1)).complete
    assert not (await world.hypervisor.examine(an_order(NO_AGENT, memory_mib=16))).refusals
    assert time.monotonic() - begun < 2.0, "the host is looked at while an agent is waited for"
    assert "agent" in await pinging
    assert time.monotonic() - begun < DEADLINE_SECONDS + 1.0
    leaving = asyncio.create_task(world.hypervisor.ping_agent(H1, NO_AGENT))
    await asyncio.sleep(0.1)
    leaving.cancel()
    assert "agent" in await world.hypervisor.ping_agent(H1, NO_AGENT), "who stops waiting breaks no connection"


def test_a_guest_that_libvirt_would_start_again_is_refused_and_runs_on(tell: Tell) -> None:
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

    tell(story)
