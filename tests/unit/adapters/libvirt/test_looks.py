"""Looks at a host, on libvirt's in-process driver: what cannot be read of one VM takes nothing from the others."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from ballastd.adapters.blocking import Lanes
from ballastd.adapters.libvirt.asking import Asking
from ballastd.adapters.libvirt.inventory import look
from ballastd.adapters.libvirt.survey import LibvirtSurvey
from ballastd.adapters.libvirt.xml_reading import XML_BYTES_MAX
from ballastd.core.inventory import DeclaredHost, PinKind, VmState
from ballastd.core.policies import ClusterDeclaration
from ballastd.core.quantities import GIB, HostName
from ballastd.core.readiness import HostSurvey

libvirt = pytest.importorskip("libvirt")

BROKEN = ("<domain type='test'><name>broken</name><memory unit='GiB'>2</memory><vcpu>3</vcpu><os><type>hvm</type></os>"
          f"<description>{'x' * XML_BYTES_MAX}</description></domain>")
H1, H2 = HostName("h1"), HostName("h2")


class Driver:
    """libvirt's in-process driver, with the one answer that it does not know."""

    def __init__(self, conn: Any) -> None:
        self._conn = conn

    def __getattr__(self, name: str) -> Any:
        return getattr(self._conn, name)

    def getMemoryStats(self, *_: int) -> dict[str, int]:  # noqa: N802  libvirt's name
        return {"total": 64 << 20, "free": 32 << 20}


@pytest.fixture
def conn() -> Iterator[Driver]:
    opened = libvirt.open("test:///default")
    broken = opened.createXML(BROKEN, 0)
    yield Driver(opened)
    broken.destroy()  # the driver's state is one for all that have it open
    opened.close()


def test_a_definition_that_cannot_be_read_is_told_of_its_vm_and_takes_nothing_from_others(conn: Driver) -> None:
    seen = look(conn, Asking(), (), {})
    broken, other = (next(vm for vm in seen.vms if vm.name == name) for name in ("broken", "test"))
    assert seen.complete
    assert (broken.state, broken.memory_max, broken.vcpus) == (VmState.RUNNING, 2 * GIB, 3)
    assert (broken.shutdown, broken.post_copy) == (False, False), "what its owner may have forbidden is forbidden"
    assert other.shutdown
    [pin] = broken.pins
    assert (pin.kind, pin.thing) == (
        PinKind.DISK_UNLOCKED, f"its definition is not readable: larger than {XML_BYTES_MAX} bytes")
    assert (other.state, other.memory_max) == (VmState.RUNNING, 8 * GIB)
    assert all("definition" not in pin.thing for pin in other.pins)


def test_a_check_up_goes_on_beside_a_definition_that_cannot_be_read(conn: Driver) -> None:
    async def tell() -> None:
        lanes = Lanes()
        survey = LibvirtSurvey(ClusterDeclaration(tuple(DeclaredHost(name, "test:///default") for name in (H1, H2))), lanes)
        seen = look(conn, Asking(), (), {})
        guests = tuple(vm for vm in seen.vms if vm.name == "broken")
        survey._facts[H1] = {}
        found = survey._fits(guests, HostSurvey(H1, guests=guests), HostSurvey(H2), {}, conn)
        assert [(fit.vm_name, fit.trouble) for fit in found] == [("broken", "its definition is not readable")]
        await survey.close()
        await lanes.close()

    asyncio.run(tell())
