"""Huge pages of real hosts: read as they are, found lacking before the call, and refused by the hypervisor after it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ballastd.adapters.libvirt.binding import load_libvirt
from ballastd.core.hardware import Backing
from ballastd.core.quantities import MIB, Bytes, HostName, VmId
from ballastd.core.suitability import PageRoom
from ballastd.errors import MigrationError
from tests.contracts.lab_world import LibvirtWorld
from tests.contracts.worlds import H1, H2, World, an_order
from tests.lab import Lab, missing

SWITCH = Path("/proc/sys/vm/nr_hugepages")
SIZE, COUNT, GUEST_MIB = 2 * MIB, 24, 16


def short_of_pages() -> str:
    """Try to set pages aside for a moment; return why not."""
    try:
        before = SWITCH.read_text()
        SWITCH.write_text(str(COUNT))
        got = int(SWITCH.read_text())
        SWITCH.write_text(before)
    except OSError as error:
        return str(error)
    return "" if int(before) == 0 and got == COUNT else f"{got} pages of {COUNT}, {before.strip()} before"


pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(bool(missing()), reason=f"NO LAB, REAL HOSTS ARE NOT TESTED: {missing()}"),
]

VM = VmId("6b2f1d45-7e1d-4b54-8d73-1e2d46b2dab2")
GUEST = f"""<domain type='qemu'><name>paged</name><uuid>{VM}</uuid><memory unit='MiB'>{GUEST_MIB}</memory>
<memoryBacking><hugepages><page size='2048' unit='KiB'/></hugepages><source type='memfd'/></memoryBacking>
<os><type arch='x86_64' machine='pc-i440fx-7.2'>hvm</type></os>
<cpu mode='custom' match='exact'><model fallback='forbid'>qemu64</model></cpu><devices>
<emulator>/usr/bin/qemu-system-x86_64</emulator><controller type='usb' model='none'/><memballoon model='none'/>
</devices></domain>"""


@pytest.fixture
def lab() -> Iterator[Lab]:
    """Two hosts that share the pages of this machine: nothing of it is left when it ends."""
    if why := short_of_pages() if os.geteuid() == 0 else "not root":
        pytest.skip(f"NO HUGE PAGES, THEY ARE NOT TESTED ON REAL HOSTS: {why}")
    with Lab(f"t{os.getpid()}p", 2, cpu_quota=None) as one:
        one.enter()
        SWITCH.write_text(str(COUNT))
        try:
            yield one
        finally:
            SWITCH.write_text("0")
        one.leave()


def test_pages_are_counted_as_the_hosts_have_them_and_a_host_without_them_refuses(lab: Lab) -> None:
    async def story(world: World) -> None:
        empty = await world.hypervisor.inventory(H1)
        assert empty.hardware is not None
        assert empty.pages_free is not None
        assert empty.pages_free[0, SIZE] == COUNT
        assert empty.hardware.pooled == empty.memory_total - empty.ordinary_total == COUNT * SIZE
        assert empty.hardware.nodes == (0,)
        assert any("pc-i440fx-7.2" in one.machines for one in empty.hardware.emulators)
        connection = load_libvirt().open(lab.hosts[H1].uri)
        connection.createXML(GUEST, 0)
        try:
            await migrate(world)
        finally:
            for host in (H1, H2):
                end(lab, host)
            connection.close()

    LibvirtWorld(lab).run(story)


async def migrate(world: World) -> None:
    seen = await world.hypervisor.inventory(H1)
    record = seen.find(VM)
    assert record is not None
    assert seen.pages_free is not None
    assert record.needs.backing == (Backing(Bytes(SIZE), Bytes(GUEST_MIB * MIB)),)
    assert (record.ordinary, seen.pages_free[0, SIZE]) == (0, COUNT - GUEST_MIB // 2)
    order = an_order(VM, memory_mib=GUEST_MIB)
    # both hosts are this machine: what is left of its pages is the other's as well
    SWITCH.write_text(str(GUEST_MIB // 2 + 4))
    target = await world.hypervisor.inventory(H2)
    assert PageRoom((target,), ((),)).why_short(record.needs, 0).startswith("needs 8 huge pages of 2.0 MiB, 4 of ")
    assert (await world.hypervisor.examine(order)).refusals == ()
    with pytest.raises(MigrationError):
        await world.hypervisor.migrate(order)
    back = (await world.hypervisor.inventory(H1)).find(VM)
    assert back is not None
    assert back.state is record.state
    SWITCH.write_text(str(3 * COUNT))
    grown = await world.hypervisor.inventory(H2)
    assert grown.hardware is not None
    assert grown.hardware.pooled == 3 * COUNT * SIZE, "a pool that has more free than it had in all is read anew"
    assert PageRoom((grown,), ((),)).why_short(record.needs, 0) == ""
    await world.hypervisor.migrate(order)
    arrived = await world.hypervisor.inventory(H2)
    assert arrived.pages_free is not None
    assert (arrived.find(VM) is not None, arrived.pages_free[0, SIZE]) == (True, 3 * COUNT - GUEST_MIB // 2)


def end(lab: Lab, host: HostName) -> None:
    libvirt = load_libvirt()
    connection = libvirt.open(lab.hosts[host].uri)
    for domain in connection.listAllDomains():
        domain.destroy()
    connection.close()
