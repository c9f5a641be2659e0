"""Of an agent that nobody could ask nothing is said. Tried on libvirt's in-process driver, which knows of none."""

from __future__ import annotations

import asyncio

import pytest

from ballastd.adapters.asking.routing import Probes
from ballastd.adapters.blocking import Lanes
from ballastd.adapters.clock import SystemClock
from ballastd.adapters.libvirt.access import ABANDONED_MAX
from ballastd.adapters.libvirt.hypervisor import LibvirtHypervisor
from ballastd.core.arrival_checks import AGENT, AllowedChecks
from ballastd.core.inventory import DeclaredHost
from ballastd.core.policies import ClusterDeclaration
from ballastd.core.quantities import HostName, VmId
from ballastd.ports.hosts import ProbeAnswer

libvirt = pytest.importorskip("libvirt")

THERE, NOT_THERE = VmId("6695eb01-f6a4-8304-79aa-97f2502e193f"), VmId("0000000a-0000-4000-8000-000000000000")
HOST = HostName("h1")


class Crowded(Lanes):
    """Lanes in which so many calls hang as ``hanging``."""

    hanging = 0

    def abandoned(self) -> int:
        return self.hanging


def asked(vm: VmId, *, hanging: int = 0, uri: str = "test:///default") -> ProbeAnswer:
    async def story() -> ProbeAnswer:
        lanes = Crowded()
        lanes.hanging = hanging
        hypervisor = LibvirtHypervisor(ClusterDeclaration((DeclaredHost(HOST, uri),)), lanes, SystemClock())
        try:
            return await Probes(AllowedChecks(agent=True), hypervisor).ask(HOST, vm, AGENT)
        finally:
            await hypervisor.close()
            await lanes.close()

    return asyncio.run(story())


def test_where_nobody_could_ask_nobody_says_that_it_does_not_answer() -> None:
    found = asked(THERE)
    assert found.answered is None, "libvirt says that it cannot ask"
    assert "not supported" in found.detail
    assert asked(THERE, uri="test:///no/such/file").answered is None, "its host is not reached"
    crowded = asked(THERE, hanging=ABANDONED_MAX)
    assert (crowded.answered, f"{ABANDONED_MAX} calls hang" in crowded.detail) == (None, True)


def test_what_libvirt_says_of_the_guest_is_believed() -> None:
    found = asked(NOT_THERE)
    assert found.answered is False
    assert found.detail.startswith("it is not there")
