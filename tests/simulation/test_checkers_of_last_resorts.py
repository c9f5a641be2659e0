"""VMs that go before their memory, guests that are asked to shut down: each rule is seen to break, kept ones are not."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from ballastd.core.inventory import JobKind, VmState
from ballastd.core.policies import LastResort, Mode, PolicySet, VmSelector
from ballastd.core.quantities import HostName
from tests.builders import vm_id
from tests.simulation.rogue import ALL, H1, H3, Rogue, Story, found

RESORTS = replace(ALL, evacuation=tuple(replace(one, last_resorts=(LastResort.POST_COPY,)) for one in ALL.evacuation))
LAST = replace(ALL, evacuation=tuple(replace(one, last_resorts=(LastResort.SHUTDOWN,)) for one in ALL.evacuation))
OTHERS = replace(LAST, evacuation=tuple(replace(one, vms=VmSelector(names=("db*",))) for one in LAST.evacuation))
WATCHED = replace(LAST, evacuation=tuple(replace(one, mode=Mode.RECOMMEND) for one in LAST.evacuation))


async def _unrecorded_parting(rogue: Rogue) -> None:
    rogue.world.migrating(rogue.note(rogue.order(policy="failing-hosts")))
    rogue.world.parting(H1, vm_id("h1v0"))


async def _part_from_a_sound_host(rogue: Rogue) -> None:
    order = rogue.note(rogue.order(policy="failing-hosts"))
    rogue.world.migrating(order)
    rogue.record("PostCopyOrdered", id=order.id, because="because")
    rogue.world.parting(H1, vm_id("h1v0"))


async def _part(rogue: Rogue, policy: str = "failing-hosts") -> None:
    for count in (0.0, 1.0):
        rogue.world.agents.set(H1, "ecc.uncorrected", count, "D1")
        await asyncio.sleep(60.0)
    order = rogue.note(rogue.order(policy=policy))
    rogue.world.migrating(order)
    rogue.record("PostCopyOrdered", id=order.id, because="because")
    rogue.world.parting(H1, vm_id("h1v0"))


async def _parting_against_its_owner(rogue: Rogue) -> None:
    rogue.put("h1", "h1v0", post_copy=False)
    await _part(rogue)


async def _parting_by_balance(rogue: Rogue) -> None:
    await _part(rogue, "even-load")


async def _parting_while_paused(rogue: Rogue) -> None:
    rogue.record("Paused", by="anna", reason="")
    await _part(rogue)


async def _shut_down(rogue: Rogue, *, after: float = 1800.0, policy: str = "failing-hosts", vms: tuple[str, ...] = ("h1v0",),
                     times: int = 1, apart: float = 60.0) -> None:
    """A host fails, and guests of it are asked to shut down, as it is written."""
    for count in (0.0, 1.0):
        rogue.world.agents.set(H1, "ecc.uncorrected", count, "D1")
        await asyncio.sleep(60.0)
    await asyncio.sleep(after)
    for vm in vms:
        _order_shutdown(rogue, vm, policy)
        for number in range(1, times + 1):
            if number > 1:
                await asyncio.sleep(apart)
                rogue.record("ShutdownAskedAgain", id=vm, times=number)
            rogue.world.shutting_down(H1, vm_id(vm))


def _order_shutdown(rogue: Rogue, vm: str, policy: str = "failing-hosts", host: str = "h1") -> None:
    rogue.record("ShutdownOrdered", id=vm, vm=vm_id(vm), vm_name=vm, host=host, policy=policy, because="because")


async def _shut_down_unrecorded(rogue: Rogue) -> None:
    rogue.world.shutting_down(H1, vm_id("h1v0"))


async def _shut_down_twice(rogue: Rogue) -> None:
    await _shut_down(rogue)
    await asyncio.sleep(60.0)
    rogue.world.shutting_down(H1, vm_id("h1v0"))


async def _shut_down_though_withdrawn(rogue: Rogue) -> None:
    _order_shutdown(rogue, "h1v0")
    rogue.record("ShutdownWithdrawn", id="h1v0", because="because")
    rogue.world.shutting_down(H1, vm_id("h1v0"))


async def _shut_down_a_sound_one(rogue: Rogue) -> None:
    _order_shutdown(rogue, "h1v0")
    rogue.world.shutting_down(H1, vm_id("h1v0"))


async def _shut_down_too_early(rogue: Rogue) -> None:
    await _shut_down(rogue, after=1600.0)


async def _shut_down_after_somebody_looked(rogue: Rogue) -> None:
    await _shut_down(rogue, vms=())
    rogue.record("VerdictsAcknowledged", host="h1", by="ann")
    await _shut_down_a_sound_one(rogue)


async def _shut_down_by_balance(rogue: Rogue) -> None:
    await _shut_down(rogue, policy="even-load")


async def _shut_down_against_its_owner(rogue: Rogue) -> None:
    rogue.put("h1", "h1v0", shutdown=False)
    await _shut_down(rogue)


async def _shut_down_left_alone(rogue: Rogue) -> None:
    rogue.put("h1", "h1v0", ignored=True)
    await _shut_down(rogue)


async def _shut_down_on_its_way(rogue: Rogue) -> None:
    rogue.put("h1", "h1v0", job=JobKind.OUTGOING)
    await _shut_down(rogue)


async def _shut_down_a_silent_ones(rogue: Rogue) -> None:
    await _shut_down(rogue, vms=())
    rogue.world.agents.manners(H1).silent = True
    await asyncio.sleep(120.0)
    await _shut_down_a_sound_one(rogue)


async def _shut_down_too_often(rogue: Rogue) -> None:
    await _shut_down(rogue, times=6)


async def _shut_down_too_soon(rogue: Rogue) -> None:
    await _shut_down(rogue, times=2, apart=30.0)


async def _shut_down_many(rogue: Rogue) -> None:
    await _shut_down(rogue, vms=("h1v0", "h1v1", "h1v2"))


async def _shut_down_on_two_hosts(rogue: Rogue) -> None:
    await _shut_down(rogue)
    _order_shutdown(rogue, "h2v0", host="h2")


async def _shut_down_on_a_dead_host_and_another(rogue: Rogue, wait: float = 120.0) -> None:
    await _shut_down(rogue)
    rogue.world.hypervisor.hang(H1)
    await asyncio.sleep(wait)
    _order_shutdown(rogue, "h2v0", host="h2")


async def _shut_down_on_a_host_that_just_died_and_another(rogue: Rogue) -> None:
    await _shut_down_on_a_dead_host_and_another(rogue, 30.0)


async def _shut_down_too_often_by_many_orders(rogue: Rogue) -> None:
    await _shut_down(rogue, times=5)
    rogue.record("ShutdownEnded", id="h1v0", ending="stayed", detail="")
    await asyncio.sleep(600.0)
    _order_shutdown(rogue, "h1v0")
    rogue.world.shutting_down(H1, vm_id("h1v0"))


async def _shut_down_on_a_frozen_host(rogue: Rogue) -> None:
    rogue.put("h2", "h1v1")
    await asyncio.sleep(120.0)
    await _shut_down(rogue)


async def _part_on_a_frozen_host(rogue: Rogue) -> None:
    rogue.put("h2", "h1v1")
    await asyncio.sleep(120.0)
    await _part(rogue)


async def _part_to_a_frozen_host(rogue: Rogue) -> None:
    rogue.put("h2", "h3v0")
    await asyncio.sleep(120.0)
    rogue.put("h2", "h1v0", state=VmState.INCOMING)
    await _part(rogue)


async def _part_after_somebody_looked(rogue: Rogue) -> None:
    await _part(rogue)
    rogue.record("VerdictsAcknowledged", host="h1", by="ann")
    rogue.world.parting(H1, vm_id("h1v0"))


async def _shut_down_while_paused(rogue: Rogue) -> None:
    rogue.record("Paused", by="anna", reason="")
    await _shut_down(rogue)


async def _shut_down_while_half_is_unknown(rogue: Rogue) -> None:
    for host in (H3, HostName("h4")):
        rogue.world.agents.manners(host).silent = True
    await _shut_down(rogue)


async def _shut_down_just_after_the_start(rogue: Rogue) -> None:
    await _shut_down(rogue, vms=())
    rogue.world.begin_life()
    await _shut_down_a_sound_one(rogue)


async def _shut_down_ends_twice(rogue: Rogue) -> None:
    await _shut_down(rogue)
    for _ in range(2):
        rogue.record("ShutdownEnded", id="h1v0", ending="down", detail="")


BROKEN: list[tuple[str, Story, PolicySet]] = [
    ("journal-first", _unrecorded_parting, RESORTS), ("last-resort", _part, ALL),
    ("last-resort", _parting_by_balance, RESORTS), ("last-resort", _part_from_a_sound_host, RESORTS),
    ("last-resort", _parting_against_its_owner, RESORTS), ("pause", _parting_while_paused, RESORTS),
    ("last-resort", _part, replace(RESORTS, evacuation=(replace(RESORTS.evacuation[0], mode=Mode.RECOMMEND),))),
    ("journal-first", _shut_down_unrecorded, LAST), ("journal-first", _shut_down_twice, LAST),
    ("journal-first", _shut_down_though_withdrawn, LAST), ("one-ending", _shut_down_ends_twice, LAST),
    ("last-of-all", _shut_down, ALL), ("last-of-all", _shut_down, RESORTS), ("last-of-all", _shut_down, WATCHED),
    ("last-of-all", _shut_down, OTHERS), ("last-of-all", _shut_down_by_balance, LAST),
    ("last-of-all", _shut_down_a_sound_one, LAST), ("last-of-all", _shut_down_too_early, LAST),
    ("last-of-all", _shut_down_after_somebody_looked, LAST), ("last-of-all", _shut_down_against_its_owner, LAST),
    ("last-of-all", _shut_down_left_alone, LAST), ("last-of-all", _shut_down_on_its_way, LAST),
    ("last-of-all", _shut_down_a_silent_ones, LAST), ("last-of-all", _shut_down_too_often, LAST),
    ("last-of-all", _shut_down_too_soon, LAST), ("last-of-all", _shut_down_on_a_host_that_just_died_and_another, LAST),
    ("last-of-all", _shut_down_too_often_by_many_orders, LAST), ("twins", _shut_down_on_a_frozen_host, LAST),
    ("twins", _part_on_a_frozen_host, RESORTS), ("twins", _part_to_a_frozen_host, RESORTS),
    ("last-resort", _part_after_somebody_looked, RESORTS), ("last-of-all", _shut_down_many, LAST),
    ("last-of-all", _shut_down_on_two_hosts, LAST), ("pause", _shut_down_while_paused, LAST),
    ("frozen", _shut_down_while_half_is_unknown, LAST), ("start-up", _shut_down_just_after_the_start, LAST),
    ("last-resort", _part, LAST),
]


@pytest.mark.parametrize(("rule", "story", "policies"), BROKEN, ids=[f"{rule}-{s.__name__}" for rule, s, _ in BROKEN])
def test_what_breaks_a_rule_is_found(rule: str, story: Story, policies: PolicySet) -> None:
    assert rule in found(story, policies)


def test_who_may_go_before_its_memory_breaks_no_rule_of_last_resorts() -> None:
    assert {"last-resort", "journal-first", "pause"}.isdisjoint(found(_part, RESORTS))


def test_a_guest_that_may_be_asked_to_shut_down_breaks_no_rule() -> None:
    async def and_it_goes_down(rogue: Rogue) -> None:
        await _shut_down(rogue, times=5)
        rogue.world.stop(vm_id("h1v0"))
        rogue.record("ShutdownEnded", id="h1v0", ending="down", detail="")

    assert found(and_it_goes_down, LAST) == []


def test_a_host_that_died_with_a_guest_that_was_asked_keeps_no_other_waiting() -> None:
    assert "last-of-all" not in found(_shut_down_on_a_dead_host_and_another, LAST)
