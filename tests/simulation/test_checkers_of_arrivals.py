"""Who is asked whether it answers, and called silent, is judged: each rule is seen to break, and kept ones are not."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from ipaddress import ip_network

import pytest

from ballastd.core.arrival_checks import AGENT, AllowedChecks, Check, check_of
from ballastd.core.plain import to_plain
from ballastd.core.plans import Order
from ballastd.core.policies import PolicySet
from ballastd.core.quantities import Seconds
from tests.builders import vm_id
from tests.simulation.rogue import ALL, H1, H2, Rogue, Story, found

ANSWERS = check_of("tcp://10.0.0.7:22")


async def _asked_unrecorded(rogue: Rogue) -> None:
    rogue.note(rogue.order())
    rogue.world.asking(vm_id("h1v0"), ANSWERS)


async def _asked_where_it_is_not_allowed(rogue: Rogue, check: Check | None = None) -> None:
    order = rogue.note(rogue.order())
    rogue.record("CheckOrdered", id=order.id, check=to_plain(check or ANSWERS))
    rogue.world.asking(vm_id("h1v0"), check or ANSWERS)


async def _agent_asked_where_it_is_not_allowed(rogue: Rogue) -> None:
    await _asked_where_it_is_not_allowed(rogue, AGENT)


async def _asked_honestly(rogue: Rogue) -> None:
    rogue.world.declared = replace(rogue.world.declared, arrival_checks=AllowedChecks(networks=(ip_network("10.0.0.0/8"),)))
    await _asked_where_it_is_not_allowed(rogue)
    rogue.settle(Order("1-1", rogue.order().move, 100, Seconds(300.0), 1))


async def _asked_for_ever(rogue: Rogue) -> None:
    await _asked_honestly(rogue)
    await asyncio.sleep(600.0)


async def _asked_otherwise(rogue: Rogue) -> None:
    await _asked_honestly(rogue)
    rogue.world.asking(vm_id("h1v0"), check_of("tcp://10.0.0.8:22"))


async def _asked_on_loopback(rogue: Rogue) -> None:
    rogue.world.declared = replace(rogue.world.declared, arrival_checks=AllowedChecks(networks=(ip_network("0.0.0.0/0"),)))
    await _asked_where_it_is_not_allowed(rogue, check_of("tcp://127.0.0.1:22"))


async def _silent(rogue: Rogue, *, mute: bool = True, arrives: bool = True, stops: bool = False) -> None:
    """It arrives as it was ordered to, is asked, and is called silent."""
    await _asked_honestly(rogue)
    vm, hypervisor = vm_id("h1v0"), rogue.world.hypervisor
    if arrives:
        record = rogue.world.host(H1).vms[vm]
        hypervisor.remove(H1, vm)
        hypervisor.place(H2, record)
    if mute:
        rogue.world.probe.mute.add(vm)
    rogue.world.asking(vm, ANSWERS)
    if stops:
        rogue.world.stop(vm)
        await asyncio.sleep(20.0)
    rogue.record("ArrivalChecked", id="1-1", arrival="silent", detail="")


async def _silent_though_it_answers(rogue: Rogue) -> None:
    await _silent(rogue, mute=False)


async def _silent_elsewhere(rogue: Rogue) -> None:
    await _silent(rogue, arrives=False)


async def _silent_though_it_is_down(rogue: Rogue) -> None:
    await _silent(rogue, stops=True)


async def _silent_as_it_was_told(rogue: Rogue) -> None:
    rogue.record("ShutdownOrdered", id="s1", vm=vm_id("h1v0"), vm_name="h1v0", host="h2", policy="failing-hosts", because="")
    await _silent(rogue)


async def _booked_unasked(rogue: Rogue) -> None:
    rogue.record("ArrivalChecked", id="1-1", arrival="answered", detail="")


BROKEN: list[tuple[str, Story, PolicySet]] = [
    ("asked-few-only", _asked_unrecorded, ALL), ("asked-few-only", _asked_where_it_is_not_allowed, ALL),
    ("asked-few-only", _agent_asked_where_it_is_not_allowed, ALL), ("asked-few-only", _asked_for_ever, ALL),
    ("asked-few-only", _booked_unasked, ALL), ("asked-few-only", _asked_otherwise, ALL),
    ("asked-few-only", _asked_on_loopback, ALL), ("asked-few-only", _silent_though_it_answers, ALL),
    ("asked-few-only", _silent_elsewhere, ALL), ("asked-few-only", _silent_though_it_is_down, ALL),
    ("asked-few-only", _silent_as_it_was_told, ALL),
]


@pytest.mark.parametrize(("rule", "story", "policies"), BROKEN, ids=[f"{rule}-{s.__name__}" for rule, s, _ in BROKEN])
def test_what_breaks_a_rule_is_found(rule: str, story: Story, policies: PolicySet) -> None:
    assert rule in found(story, policies)


def test_who_is_asked_as_it_is_allowed_breaks_nothing() -> None:
    assert "asked-few-only" not in found(_asked_honestly)
    assert "asked-few-only" not in found(_silent)
