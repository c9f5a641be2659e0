"""Hosts that are switched off and on: each rule is seen to break."""

from __future__ import annotations

import asyncio

import pytest

from ballastd.core.policies import PolicySet
from ballastd.core.quantities import GIB, Bytes, HostName
from tests.simulation.rogue import ALL, H1, H2, Rogue, Story, found


async def _last_reserve_off(rogue: Rogue) -> None:
    for vm in ("h1v0", "h2v0", "h3v0"):
        rogue.put(vm[:2], vm, memory_max=Bytes(30 * GIB))
    rogue.world.host(HostName("h4")).vms.clear()
    rogue.record("PowerOffOrdered", host="h4", id="p", policy="nights", because="")
    rogue.world.notices.cordons[HostName("h4")] = rogue.world.clock.now().wall + 900.0
    rogue.world.switching(HostName("h4"), on=False)


async def _full_host_off(rogue: Rogue) -> None:
    rogue.record("PowerOffOrdered", host="h1", id="p", policy="nights", because="")
    rogue.world.switching(H1, on=False)


async def _wrong_machine_off(rogue: Rogue) -> None:
    rogue.world.host(H1).vms.clear()
    rogue.world.notices.cordons[H1] = rogue.world.clock.now().wall + 900.0
    rogue.world.power.swap(H1, H2)
    rogue.record("PowerOffOrdered", host="h1", id="p", policy="nights", because="")
    rogue.world.switching(H1, on=False)


async def _off_without_record(rogue: Rogue) -> None:
    rogue.world.host(H1).vms.clear()
    rogue.world.notices.cordons[H1] = rogue.world.clock.now().wall + 900.0
    rogue.world.switching(H1, on=False)


async def _two_off(rogue: Rogue) -> None:
    for host in ("h1", "h2"):
        rogue.record("PowerOffOrdered", host=host, id=host, policy="nights", because="")
        rogue.world.host(HostName(host)).vms.clear()
        rogue.world.notices.cordons[HostName(host)] = rogue.world.clock.now().wall + 900.0
        rogue.world.switching(HostName(host), on=False)


async def _strange_wake(rogue: Rogue) -> None:
    rogue.record("WakeOrdered", host="h1", id="p", policy="nights", because="")
    rogue.world.switching(H1, on=True)


async def _switched_just_after_the_start(rogue: Rogue) -> None:
    rogue.world.begin_life()
    await _last_reserve_off(rogue)


async def _off_ordered_twice(rogue: Rogue) -> None:
    for _ in range(2):
        rogue.record("PowerOffOrdered", host="h1", id="p", policy="nights", because="")


async def _off_again_at_once(rogue: Rogue) -> None:
    rogue.record("HostAwake", host="h4", detail="", seconds=100.0)
    await asyncio.sleep(600.0)
    await _last_reserve_off(rogue)


async def _on_again_at_once(rogue: Rogue) -> None:
    rogue.record("PowerOffOrdered", host="h4", id="p", policy="nights", because="")
    rogue.record("HostOff", host="h4", detail="")
    await asyncio.sleep(600.0)
    rogue.record("WakeOrdered", host="h4", id="q", policy="nights", because="")
    rogue.world.switching(HostName("h4"), on=True)


async def _two_woken(rogue: Rogue) -> None:
    for host in ("h1", "h2"):
        rogue.record("WakeOrdered", host=host, id=host, policy="operator", because="")
        rogue.world.switching(HostName(host), on=True)


async def _off_without_proof(rogue: Rogue) -> None:
    rogue.record("WakeabilityConfirmed", host="h4", by="ann")
    rogue.record("PowerFailed", host="h4", detail="")
    await _last_reserve_off(rogue)


BROKEN: list[tuple[str, Story, PolicySet]] = [
    ("journal-first", _off_without_record, ALL), ("failover", _last_reserve_off, ALL),
    ("empty-before-off", _full_host_off, ALL), ("empty-before-off", _wrong_machine_off, ALL),
    ("few-switches", _two_off, ALL), ("only-ours", _strange_wake, ALL), ("start-up", _switched_just_after_the_start, ALL),
    ("one-ending", _off_ordered_twice, ALL), ("rhythm", _off_again_at_once, ALL), ("rhythm", _on_again_at_once, ALL),
    ("rhythm", _two_woken, ALL), ("proved-to-wake", _off_without_proof, ALL),
]


@pytest.mark.parametrize(("rule", "story", "policies"), BROKEN, ids=[f"{rule}-{s.__name__}" for rule, s, _ in BROKEN])
def test_what_breaks_a_rule_is_found(rule: str, story: Story, policies: PolicySet) -> None:
    assert rule in found(story, policies)
