"""Who starts with his host is judged: each rule is seen to break, and a daemon that keeps them is not complained of."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from ballastd.core.inventory import VmState
from ballastd.core.saved_cluster import SavedCluster
from tests.builders import vm_id
from tests.simulation.clusters import four
from tests.simulation.rogue import H1, H2, Rogue, Story, found

VM = vm_id("h1v0")


def starting() -> SavedCluster:
    """Four hosts; h1v0 starts with the first of them."""
    cluster = four()
    vms = tuple(replace(vm, record=replace(vm.record, autostart=vm.record.name == "h1v0")) for vm in cluster.vms)
    return replace(cluster, vms=vms)


async def _moved(rogue: Rogue, *, given_back: bool = True, behind: bool = False, recorded: bool = True) -> None:
    """It starts with h1, and is moved to h2."""
    order = rogue.move()
    rogue.put("h2", "h1v0")
    if behind:
        rogue.put("h1", "h1v0", state=VmState.SHUTOFF)
    else:
        rogue.world.hypervisor.remove(H1, VM)
    rogue.put("h2", "h1v0", state=VmState.RUNNING, autostart=False)
    if given_back:
        if recorded:
            rogue.record("AutostartOrdered", id=order.id, host="h2", on=True)
        rogue.world.setting_autostart(H2, VM, on=True)
        rogue.put("h2", "h1v0", state=VmState.RUNNING, autostart=True)
    await asyncio.sleep(300.0)


async def _forgotten(rogue: Rogue) -> None:
    await _moved(rogue, given_back=False)


async def _unrecorded(rogue: Rogue) -> None:
    await _moved(rogue, recorded=False)


async def _left_behind(rogue: Rogue) -> None:
    await _moved(rogue, behind=True)


async def _never_did(rogue: Rogue) -> None:
    order = rogue.move("h1v1")
    rogue.record("AutostartOrdered", id=order.id, host="h2", on=True)
    rogue.world.setting_autostart(H2, vm_id("h1v1"), on=True)


async def _switched_off_where_it_runs(rogue: Rogue) -> None:
    order = rogue.move()
    rogue.record("AutostartOrdered", id=order.id, host="h1", on=False)
    rogue.world.setting_autostart(H1, VM, on=False)


BROKEN: tuple[tuple[str, Story], ...] = (
    ("autostart-kept", _forgotten), ("journal-first", _unrecorded), ("autostart-kept", _left_behind),
    ("autostart-kept", _never_did), ("autostart-kept", _switched_off_where_it_runs))


@pytest.mark.parametrize(("rule", "story"), [(None, _moved), *BROKEN])
def test_the_rules_of_who_starts_with_his_host(rule: str | None, story: Story) -> None:
    assert ({"autostart-kept", "journal-first"} & set(found(story, cluster=starting()))) == ({rule} if rule else set())
