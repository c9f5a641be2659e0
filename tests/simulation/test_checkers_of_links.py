"""Migrations that share links with one another and with others: each rule is seen to break."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial

import pytest

from ballastd.core.plans import Order
from ballastd.core.policies import PolicySet
from tests.builders import vm_id
from tests.simulation.rogue import ALL, H1, Rogue, Story, found

GIVING = replace(ALL, limits=replace(ALL.limits, migration_minimum_mib_s=100.0, give_way=0.9))


async def _over_the_link(rogue: Rogue) -> None:
    order = rogue.note(replace(rogue.order(), bandwidth_mib_s=700))
    rogue.world.migrating(order)
    rogue.settle(order)


async def _more_than_the_link(rogue: Rogue) -> None:
    one, other = rogue.note(rogue.order()), rogue.note(rogue.order("h1v1", target="h3"))
    for order in (one, other):
        rogue.world.migrating(order)
    rogue.record("BandwidthOrdered", id=one.id, bandwidth_mib_s=5000)
    rogue.world.granting(H1, vm_id("h1v0"), 5000)
    rogue.settle(one)
    rogue.settle(other)


async def _unrecorded_bandwidth(rogue: Rogue) -> None:
    order = rogue.note(rogue.order())
    rogue.world.granting(H1, vm_id("h1v0"), order.bandwidth_mib_s)


def _give_way(rogue: Rogue, order: Order, mib_s: int, less: int, others: float = 900.0) -> None:
    rogue.world.hypervisor.use_link(H1, others)
    rogue.record("BandwidthOrdered", id=order.id, bandwidth_mib_s=mib_s)
    rogue.record("WayGiven", id=order.id, less_mib_s=less, because="others use 900 of 1000 MiB/s out of h1")


async def _down_to_nothing(rogue: Rogue) -> None:
    _give_way(rogue, rogue.note(rogue.order()), 50, 550)


async def _down_for_nobody(rogue: Rogue) -> None:
    _give_way(rogue, rogue.note(rogue.order()), 300, 300, 0.0)


async def _down_from_all_of_the_link(rogue: Rogue) -> None:
    _give_way(rogue, rogue.note(rogue.order()), 300, 700)


async def _down_off_a_failing_host(rogue: Rogue) -> None:
    for count in (0.0, 1.0):
        rogue.world.agents.set(H1, "ecc.uncorrected", count, "D1")
        await asyncio.sleep(60.0)
    _give_way(rogue, rogue.note(rogue.order()), 200, 400)


async def _down_to_what_is_dirtied(rogue: Rogue, mib_s: int = 110) -> None:
    rogue.world.hypervisor.dirty_mib_s[vm_id("h1v0")] = 90.0
    order = rogue.note(rogue.order())
    rogue.world.migrating(order)
    job = asyncio.ensure_future(rogue.world.hypervisor.migrate(order))
    await asyncio.sleep(150.0)
    _give_way(rogue, order, mib_s, 600 - mib_s)
    job.cancel()
    rogue.settle(order)


BROKEN: list[tuple[str, Story, PolicySet]] = [
    ("journal-first", _unrecorded_bandwidth, ALL), ("link", _over_the_link, ALL), ("link", _more_than_the_link, ALL),
    ("giving-way", _down_to_nothing, GIVING), ("giving-way", _down_from_all_of_the_link, GIVING),
    ("giving-way", _down_off_a_failing_host, GIVING), ("giving-way", _down_to_what_is_dirtied, GIVING),
    ("giving-way", _down_for_nobody, GIVING),
]


@pytest.mark.parametrize(("rule", "story", "policies"), BROKEN, ids=[f"{rule}-{s.__name__}" for rule, s, _ in BROKEN])
def test_what_breaks_a_rule_is_found(rule: str, story: Story, policies: PolicySet) -> None:
    assert rule in found(story, policies)


def test_who_gives_way_as_far_as_it_may_breaks_nothing() -> None:
    async def story(rogue: Rogue) -> None:
        order = rogue.note(rogue.order())
        _give_way(rogue, order, 100, 500)
        rogue.world.hypervisor.use_link(H1, 0.0)
        await asyncio.sleep(100.0)
        _give_way(rogue, order, 200, 400, 0.0)

    assert "giving-way" not in found(story, GIVING)
    assert "giving-way" not in found(partial(_down_to_what_is_dirtied, mib_s=180), GIVING)
