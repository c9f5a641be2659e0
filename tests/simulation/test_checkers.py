"""Every checker can fail: a daemon that breaks its rule is caught, and one that keeps it is not."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from ballastd.core.acts import Act
from ballastd.core.conditions import Condition, Holding, Silence
from ballastd.core.inventory import JobKind, VmState
from ballastd.core.policies import Health, HealthPolicy, Limits, Mode, PlacementPolicy, PolicySet, Rule, Scope, VmSelector
from ballastd.core.quantities import GIB, Bytes, HostName, Seconds, VmId
from ballastd.core.saved_cluster import SavedCluster
from ballastd.sim.checkers import CHECKERS
from ballastd.sim.checkers.copies import SETTLE_SECONDS
from tests.builders import vm_id
from tests.simulation.clusters import PINNED, a_host, a_vm
from tests.simulation.rogue import ALL, BALANCE, FREEZE, H1, H2, H3, NIGHT, Rogue, Story, found, quiet
from tests.simulation.test_checkers_of_arrivals import BROKEN as OF_ARRIVALS
from tests.simulation.test_checkers_of_autostarts import BROKEN as OF_AUTOSTARTS
from tests.simulation.test_checkers_of_gates import BROKEN as OF_GATES
from tests.simulation.test_checkers_of_last_resorts import BROKEN as OF_LAST_RESORTS
from tests.simulation.test_checkers_of_links import BROKEN as OF_LINKS
from tests.simulation.test_checkers_of_power import BROKEN as OF_POWER

BY_RACK = replace(ALL, limits=replace(ALL.limits, failover_domain="rack"))
BOUNDED = replace(ALL, limits=replace(ALL.limits, vcpus_per_processor=27 / 16))


async def _second_copy(rogue: Rogue) -> None:
    rogue.put("h2", "h1v0")


async def _gone(rogue: Rogue) -> None:
    rogue.world.hypervisor.remove(H1, vm_id("h1v0"))


async def _twice_ordered(rogue: Rogue) -> None:
    rogue.note(rogue.order())
    rogue.settle(rogue.note(rogue.order(target="h3")))
    rogue.record("MigrationSettled", id="1-1", ending="completed")


async def _never_settled(rogue: Rogue) -> None:
    rogue.note(rogue.order())
    await asyncio.sleep(SETTLE_SECONDS + 1.0)


async def _twins_touched(rogue: Rogue) -> None:
    act = Act(0.0, "carry", vm="h1v0", target="h2")
    for watcher in rogue.world.watchers:
        watcher.acted(act)
    rogue.put("h2", "h1v0")
    await asyncio.sleep(120.0)
    rogue.move("h2v0", "h2", "h3")


async def _unrecorded(rogue: Rogue) -> None:
    rogue.world.migrating(rogue.order())


async def _unrecorded_abort(rogue: Rogue) -> None:
    rogue.world.aborting(H1, vm_id("h1v0"))


async def _unrecorded_standstill(rogue: Rogue) -> None:
    rogue.note(rogue.order())
    rogue.world.lengthening(H1, vm_id("h1v0"), 300)


async def _standstill_over_the_limit(rogue: Rogue) -> None:
    order = rogue.note(rogue.order())
    rogue.record("DowntimeOrdered", id=order.id, downtime_ms=501, needed_ms=900)


async def _standstill_over_the_wish(rogue: Rogue) -> None:
    rogue.put("h1", "h1v0", downtime_max_ms=200)
    order = rogue.note(rogue.order())
    rogue.record("DowntimeOrdered", id=order.id, downtime_ms=300, needed_ms=300)
    rogue.world.lengthening(H1, vm_id("h1v0"), 300)


async def _begin(rogue: Rogue, *moves: tuple[str, str]) -> None:
    """Begin migrations for real, all in one instant, and see to their end."""
    orders = [rogue.note(rogue.order(vm, vm[:2], target)) for vm, target in moves]
    for order in orders:
        rogue.world.migrating(order)
    await asyncio.gather(*(rogue.world.hypervisor.migrate(order) for order in orders))
    for order in orders:
        rogue.settle(order)


async def _too_many(rogue: Rogue) -> None:
    for vm in ("h1v1", "h1v2"):
        rogue.put("h1", vm, job=JobKind.OUTGOING)
    await asyncio.sleep(30.0)
    await _begin(rogue, ("h1v0", "h2"))


async def _too_many_out_at_once(rogue: Rogue) -> None:
    await _begin(rogue, ("h1v0", "h2"), ("h1v1", "h3"), ("h1v2", "h4"))


async def _too_many_in_at_once(rogue: Rogue) -> None:
    await _begin(rogue, ("h1v0", "h4"), ("h2v0", "h4"), ("h3v0", "h4"))


async def _too_many_everywhere_at_once(rogue: Rogue) -> None:
    await _begin(rogue, ("h1v0", "h2"), ("h2v0", "h3"), ("h3v0", "h4"), ("h4v0", "h1"), ("h1v1", "h3"))


async def _as_many_as_may(rogue: Rogue) -> None:
    await _begin(rogue, ("h1v0", "h2"), ("h1v1", "h4"), ("h3v0", "h2"), ("h3v1", "h4"))


async def _too_often(rogue: Rogue) -> None:
    for vm in ("h1v0", "h1v1", "h1v2", "h2v0", "h2v1", "h2v2", "h3v0"):
        rogue.move(vm, vm[:2], "h4")


async def _too_soon(rogue: Rogue) -> None:
    rogue.move()
    await asyncio.sleep(60.0)
    rogue.move(target="h3")


async def _back(rogue: Rogue) -> None:
    rogue.move("h2v0", "h2", "h1")
    await asyncio.sleep(7 * 3600.0)
    rogue.put("h1", "h2v0")
    rogue.world.host(H2).vms.drop(vm_id("h2v0"))
    rogue.move("h2v0", "h1", "h2")


async def _called_twice(rogue: Rogue) -> None:
    order = rogue.note(rogue.order())
    rogue.world.migrating(order)
    rogue.world.migrating(order)


async def _abort_of_a_settled_one(rogue: Rogue) -> None:
    order = rogue.note(rogue.order())
    rogue.record("AbortOrdered", id=order.id, reason="because")
    rogue.settle(order)
    rogue.world.aborting(H1, vm_id("h1v0"))


async def _closed_for_nothing(rogue: Rogue) -> None:
    rogue.world.closing(H2, closed=True)


async def _opened_while_drained(rogue: Rogue) -> None:
    rogue.record("DrainRequested", host="h2", by="ann")
    rogue.world.closing(H2, closed=True)
    rogue.world.closing(H2, closed=False)


async def _paused(rogue: Rogue) -> None:
    rogue.record("Paused", by="ann")
    rogue.move()


async def _too_full(rogue: Rogue) -> None:
    rogue.put("h2", "h2v0", memory_max=Bytes(60 * GIB))
    rogue.move()


async def _overcommitted(rogue: Rogue) -> None:
    rogue.put("h2", "h2v0", memory_max=Bytes(80 * GIB))


async def _too_many_processors(rogue: Rogue) -> None:
    rogue.put("h2", "h2v0", vcpus=16)
    rogue.move()


async def _no_reserve(rogue: Rogue) -> None:
    for vm, gib in (("h1v1", 18), ("h2v0", 38), ("h3v0", 38), ("h4v0", 28)):
        rogue.put(vm[:2], vm, memory_max=Bytes(gib * GIB))
    rogue.move(target="h4")


async def _no_reserve_of_a_rack(rogue: Rogue) -> None:
    """Only h4, which is in its rack, and h1 could carry the largest VM of h2."""
    rogue.put("h2", "h2v0", memory_max=Bytes(38 * GIB))
    rogue.put("h3", "h3v0", memory_max=Bytes(18 * GIB))
    for vm in ("h4v0", "h4v2"):
        rogue.put("h4", vm, memory_max=Bytes(GIB))
    rogue.move("h4v1", "h4", "h1")


async def _to_a_cordoned(rogue: Rogue) -> None:
    rogue.record("HostCordoned", host="h2", by="ann")
    rogue.move()


async def _to_one_cordoned_before_its_drain(rogue: Rogue) -> None:
    for kind in ("HostCordoned", "DrainRequested", "DrainCancelled"):
        rogue.record(kind, host="h2", by="ann")
    rogue.move()


async def _to_a_silent(rogue: Rogue) -> None:
    rogue.world.agents.manners(H2).silent = True
    await asyncio.sleep(120.0)
    rogue.move()


async def _to_a_sick(rogue: Rogue) -> None:
    rogue.world.agents.set(H2, "fan.alarm", 1.0, "1")
    await asyncio.sleep(120.0)
    rogue.move()


async def _for_no_reason(rogue: Rogue) -> None:
    rogue.move(policy="failing-hosts", routine=False)


async def _room_for_a_sound_host(rogue: Rogue) -> None:
    await _make_room(rogue, H3)


async def _make_room(rogue: Rogue, wanted_by: HostName = H2) -> None:
    """Have a sound host make room for one that a condition was told of."""
    for count in (0.0, 1.0):
        rogue.world.agents.set(H2, "ecc.uncorrected", count, "D1")
        await asyncio.sleep(60.0)
    order = rogue.order(target="h4", policy="failing-hosts", routine=False)
    rogue.world.migrating(rogue.note(replace(order, move=replace(order.move, room_for=wanted_by))))


async def _room_by_a_silent(rogue: Rogue) -> None:
    rogue.world.agents.manners(H1).silent = True
    await _make_room(rogue)


async def _from_a_silent(rogue: Rogue) -> None:
    rogue.world.agents.manners(H1).silent = True
    await asyncio.sleep(120.0)
    rogue.move()


async def _half_unknown(rogue: Rogue) -> None:
    for host in (H3, HostName("h4")):
        rogue.world.agents.manners(host).silent = True
    await asyncio.sleep(200.0)
    rogue.move()


async def _two_evacuated(rogue: Rogue) -> None:
    for host in ("h1", "h2"):
        rogue.record("EvacuationBegun", host=host, policy="failing-hosts")


async def _thawed_just_now(rogue: Rogue) -> None:
    for host in (H3, HostName("h4")):
        rogue.world.agents.manners(host).silent = True
    await asyncio.sleep(700.0)
    for host in (H3, HostName("h4")):
        rogue.world.agents.behave(host)
    await asyncio.sleep(60.0)
    rogue.move()


async def _started_just_now(rogue: Rogue) -> None:
    rogue.world.begin_life()
    await asyncio.sleep(200.0)
    rogue.move()


async def _hardly_heard(rogue: Rogue) -> None:
    rogue.world.agents.manners(H2).silent = True
    rogue.world.begin_life()
    await asyncio.sleep(30.0)
    rogue.world.agents.manners(H2).silent = False
    await asyncio.sleep(15.0)
    rogue.move()


async def _target_turns_sick(rogue: Rogue) -> None:
    order = rogue.note(rogue.order())
    rogue.world.migrating(order)
    rogue.world.agents.set(H2, "fan.alarm", 1.0, "1")
    await asyncio.sleep(300.0)
    rogue.settle(order)


async def _settled_twice(rogue: Rogue) -> None:
    rogue.settle(rogue.move())


async def _evacuation_ends_unbegun(rogue: Rogue) -> None:
    rogue.record("EvacuationEnded", host="h1", detail="")


async def _leftover_elsewhere(rogue: Rogue) -> None:
    rogue.put("h3", "h1v0", state=VmState.LEFTOVER)
    await asyncio.sleep(120.0)
    rogue.move()


async def _by_nights(rogue: Rogue) -> None:
    rogue.move(policy="nights")


async def _by_rule(rogue: Rogue) -> None:
    rogue.move(policy="rule")


def with_rule(rule: Rule, **fields: Any) -> PolicySet:
    fields = {"vms": VmSelector(names=("h1v0", "h2v0")), **fields}
    return replace(ALL, placement=(PlacementPolicy("rule", rule=rule, **fields),))


BROKEN: list[tuple[str, Story, PolicySet]] = [
    ("one-copy", _second_copy, ALL), ("nobody-lost", _gone, ALL), ("one-migration", _twice_ordered, ALL),
    ("one-migration", _never_settled, ALL), ("twins", _twins_touched, ALL), ("journal-first", _unrecorded, ALL),
    ("journal-first", _unrecorded_abort, ALL), ("journal-first", _unrecorded_standstill, ALL),
    ("standstill", _standstill_over_the_limit, ALL), ("standstill", _standstill_over_the_wish, ALL),
    ("journal-first", _called_twice, ALL),
    ("journal-first", _abort_of_a_settled_one, ALL), ("closed-by-record", _closed_for_nothing, ALL),
    ("closed-by-record", _opened_while_drained, ALL),
    ("concurrency", _too_many, ALL), ("concurrency", _too_many_out_at_once, ALL),
    ("concurrency", _too_many_in_at_once, ALL), ("concurrency", _too_many_everywhere_at_once, ALL),
    ("rates", _too_often, ALL), ("cooldown", _too_soon, ALL), ("cooldown", _back, ALL),
    ("pause", _paused, ALL),
    ("windows", quiet, replace(ALL, balance=(replace(BALANCE, windows=(FREEZE.name,)),),
                                  windows={FREEZE.name: FREEZE, NIGHT.name: NIGHT})),
    ("windows", _by_nights, replace(ALL, windows={NIGHT.name: replace(NIGHT, intervals=())})),
    ("mode", quiet, replace(ALL, balance=(replace(BALANCE, mode=Mode.RECOMMEND),))),
    ("owners-word", quiet, replace(ALL, balance=(replace(BALANCE, mode=Mode.OBSERVE),))), ("memory", _too_full, ALL),
    ("memory", _overcommitted, ALL), ("overcommit", _too_many_processors, BOUNDED),
    ("failover", _no_reserve, ALL), ("failover", _no_reserve_of_a_rack, BY_RACK),
    ("must-rules", quiet, with_rule(Rule.PINNED)), ("must-rules", quiet, with_rule(Rule.ON, hosts=Scope(("h1",)))),
    ("must-rules", quiet, with_rule(Rule.NEVER_ON, hosts=Scope(("h2",)))), ("must-rules", quiet, with_rule(Rule.APART)),
    ("must-rules", quiet, with_rule(Rule.TOGETHER, vms=VmSelector(names=("h1v0", "h1v1")))),
    ("wishes", _by_nights, with_rule(Rule.NEVER_ON, hosts=Scope(("h2",)), weight=1)),
    ("wishes", _by_rule, with_rule(Rule.APART, vms=VmSelector(names=("h1v0",)), mode=Mode.AUTO)),
    ("mode", _by_rule, with_rule(Rule.NEVER_ON, hosts=Scope(("h1",)), mode=Mode.RECOMMEND)),
    ("fit-target", _to_one_cordoned_before_its_drain, ALL),
    ("fit-target", _to_a_cordoned, ALL), ("fit-target", _to_a_silent, ALL), ("fit-target", _to_a_sick, ALL),
    ("evidence", _for_no_reason, ALL), ("evidence", _from_a_silent, ALL), ("evidence", _room_for_a_sound_host, ALL),
    ("evidence", _room_by_a_silent, ALL), ("frozen", _half_unknown, ALL), ("blast-radius", _two_evacuated, ALL),
    ("frozen", _thawed_just_now, ALL), ("start-up", _started_just_now, ALL), ("fit-target", _hardly_heard, ALL),
    ("turned-target", _target_turns_sick, ALL), ("one-ending", _settled_twice, ALL),
    ("one-ending", _evacuation_ends_unbegun, ALL), ("no-other-copy", _leftover_elsewhere, ALL),
]


@pytest.mark.parametrize(("rule", "story", "policies"), BROKEN, ids=[f"{rule}-{s.__name__}" for rule, s, _ in BROKEN])
def test_what_breaks_a_rule_is_found(rule: str, story: Story, policies: PolicySet) -> None:
    assert rule in found(story, policies)


@pytest.mark.parametrize("owner", [{"pins": PINNED}, {"ignored": True}])
def test_what_its_owner_keeps_in_place_stays(owner: dict[str, Any]) -> None:
    cluster = SavedCluster((a_host("h1"), a_host("h2")), (a_vm("h1v0", "h1", **owner), a_vm("h2v0", "h2")))
    assert "owners-word" in found(quiet, ALL, cluster)


def test_every_checker_is_shown_to_fail() -> None:
    shown = (*BROKEN, *OF_ARRIVALS, *OF_AUTOSTARTS, *OF_GATES, *OF_LAST_RESORTS, *OF_LINKS, *OF_POWER)
    assert {kind.rule for kind in CHECKERS} == {rule for rule, *_ in shown}


def test_as_many_virtual_processors_as_may_be_break_nothing() -> None:
    async def just_enough(rogue: Rogue) -> None:
        rogue.put("h2", "h2v0", vcpus=15)
        rogue.move()

    async def off_a_failing_host(rogue: Rogue) -> None:
        rogue.put("h2", "h2v0", vcpus=16)
        rogue.move(waived=True)

    assert "overcommit" not in found(just_enough, BOUNDED)
    assert "overcommit" not in found(off_a_failing_host, BOUNDED)
    assert "overcommit" not in found(_too_many_processors, ALL)


SILENT = HealthPolicy("agent-silence", Condition(Silence(Seconds(300.0)), Holding(clear_hold=Seconds(300.0))),
                      Health.SUSPECT)


@pytest.mark.parametrize(("policies", "after", "is_found"), [
    (replace(ALL, health=(*ALL.health, SILENT)), 250.0, False), (replace(ALL, health=(*ALL.health, SILENT)), 400.0, True),
    (ALL, 250.0, True)])
def test_who_was_silent_counts_as_silent_for_as_long_as_a_policy_says(policies: PolicySet, after: float, is_found: bool
                                                                      ) -> None:
    async def closed_again(rogue: Rogue) -> None:
        rogue.world.agents.manners(H2).silent = True
        await asyncio.sleep(400.0)
        rogue.world.agents.behave(H2)
        await asyncio.sleep(after)
        rogue.world.closing(H2, closed=True)

    assert ("closed-by-record" in found(closed_again, policies)) is is_found


def test_an_honest_move_breaks_nothing() -> None:
    assert found(quiet) == []
    assert found(_by_nights) == []
    assert found(quiet, replace(ALL, limits=Limits(failover_hosts=0))) == []


def test_who_is_drained_is_closed_and_opened_after() -> None:
    async def story(rogue: Rogue) -> None:
        rogue.record("DrainRequested", host="h2", by="ann")
        rogue.world.closing(H2, closed=True)
        rogue.record("DrainCancelled", host="h2", by="ann")
        rogue.world.closing(H2, closed=False)

    assert found(story) == []


def test_as_many_at_once_as_may_be_break_nothing() -> None:
    assert "concurrency" not in found(_as_many_as_may)


def test_a_job_of_a_stranger_that_nobody_can_have_seen_counts_for_nobody() -> None:
    async def story(rogue: Rogue) -> None:
        await asyncio.sleep(30.0)
        for vm in ("h1v1", "h1v2"):
            rogue.put("h1", vm, job=JobKind.OUTGOING)
        await _begin(rogue, ("h1v0", "h2"))

    assert "concurrency" not in found(story)


def test_who_makes_room_for_a_sick_host_leaves_for_a_reason() -> None:
    assert "evidence" not in found(_make_room)


def test_an_honest_move_for_a_rule_breaks_nothing() -> None:
    assert found(_by_rule, with_rule(Rule.NEVER_ON, hosts=Scope(("h1",)), mode=Mode.AUTO)) == []
    assert found(_by_rule, with_rule(Rule.APART, vms=VmSelector(names=("h1v0", "h1v1")), mode=Mode.AUTO)) == []


def test_what_a_rack_could_not_lose_a_host_can() -> None:
    assert found(_no_reserve_of_a_rack) == []
    assert found(quiet, BY_RACK) == []


def test_a_migration_under_way_at_the_end_is_no_fault() -> None:
    async def begun_late(rogue: Rogue) -> None:
        rogue.note(rogue.order())
        await asyncio.sleep(SETTLE_SECONDS - 1.0)

    assert found(begun_late) == []


def test_what_the_script_itself_does_is_nobodys_fault() -> None:
    async def story(rogue: Rogue) -> None:
        world = rogue.world
        for act in (Act(0.0, "stop", vm="h1v0"), Act(0.0, "fate", vm="h2v0", word="split")):
            for watcher in world.watchers:
                watcher.acted(act)
        world.hypervisor.remove(H1, vm_id("h1v0"))
        rogue.put("h3", "h2v0")
        assert VmState.RUNNING is world.host(H3).vms[VmId(vm_id("h2v0"))].state

    assert found(story) == []
