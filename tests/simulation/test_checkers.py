"""Every checker can fail: a daemon that breaks its rule is caught, and one that keeps it is not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest

from ballastd.core.acts import Act
from ballastd.core.arrival_checks import AGENT, AllowedChecks, Check, check_of
from ballastd.core.inventory import JobKind, VmState
from ballastd.core.plain import to_plain
from ballastd.core.plans import Move, Order
from ballastd.core.policies import (
    BalancePolicy,
    ConsolidationPolicy,
    LastResort,
    Limits,
    Mode,
    PlacementPolicy,
    PolicySet,
    Rule,
    Scope,
    Timing,
    VmSelector,
    Window,
)
from ballastd.core.quantities import GIB, Bytes, HostName, Seconds, VmId
from ballastd.core.saved_cluster import SavedCluster
from ballastd.sim.checkers import CHECKERS, Checker
from ballastd.sim.checkers.copies import SETTLE_SECONDS
from ballastd.sim.virtual_time import DEFAULT_EPOCH_WALL, VirtualClock, run_virtual
from ballastd.sim.world import World
from tests.builders import POLICIES, vm_id
from tests.simulation.clusters import PINNED, a_host, a_vm, four

H1, H2, H3 = HostName("h1"), HostName("h2"), HostName("h3")
BALANCE = BalancePolicy("even-load", mode=Mode.AUTO)
NIGHT = Window("night", True, ((DEFAULT_EPOCH_WALL, DEFAULT_EPOCH_WALL + 7200.0),), DEFAULT_EPOCH_WALL + 1e6)
FREEZE = Window("change-freeze", False, ((DEFAULT_EPOCH_WALL, DEFAULT_EPOCH_WALL + 7200.0),), DEFAULT_EPOCH_WALL + 1e6)
NIGHTS = ConsolidationPolicy("nights", NIGHT.name, mode=Mode.AUTO)
ALL = replace(POLICIES, balance=(BALANCE,), consolidation=(NIGHTS,), windows={NIGHT.name: NIGHT})

ANSWERS = check_of("tcp://10.0.0.7:22")
BY_RACK = replace(ALL, limits=replace(ALL.limits, failover_domain="rack"))

Story = Callable[["Rogue"], Awaitable[None]]


class Rogue:
    """Does to a world what a broken daemon would do."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._count = 0

    def order(self, vm: str = "h1v0", source: str = "h1", target: str = "h2", policy: str = "even-load", *,
              routine: bool = True, urgent: bool = False) -> Order:
        self._count += 1
        record = self.world.host(HostName(source)).vms[vm_id(vm)]
        move = Move(record.vm, vm, HostName(source), HostName(target), record.memory_max, Seconds(10.0), policy, "because",
                    urgent=urgent, routine=routine)
        return Order(f"1-{self._count}", move, 100, Seconds(300.0), 1)

    def record(self, kind: str, **content: Any) -> None:
        self.world.recorded([{"kind": kind, "wall": self.world.clock.now().wall, **content}])

    def note(self, order: Order) -> Order:
        move = order.move
        self.record("MigrationOrdered", id=order.id, vm=move.vm, vm_name=move.vm_name, source=move.source,
                    policy=move.policy, target=move.target, bandwidth_mib_s=order.bandwidth_mib_s, because="because",
                    predicted=10.0, downtime_ms=order.downtime_ms)
        return order

    def settle(self, order: Order) -> None:
        self.record("MigrationSettled", id=order.id, ending="completed", detail="")

    def move(self, *args: str, **options: Any) -> Order:
        """Order, note, call, and settle, in no time."""
        order = self.note(self.order(*args, **options))
        self.world.migrating(order)
        self.settle(order)
        return order

    def put(self, host: str, vm: str, **changes: Any) -> None:
        """Change a VM's record on a host, or put one there."""
        known = next(one.host(host) for one in (self.world,)).vms
        original = next(record for one in self.world.hypervisor.hosts.values() for record in one.vms.values()
                        if record.vm == vm_id(vm))
        known[vm_id(vm)] = replace(original, **changes)
        self.world.changed(HostName(host))


def found(story: Story, policies: PolicySet = ALL, cluster: SavedCluster | None = None) -> list[str]:
    """Return the rules that checkers found broken after ``story`` in a world that was heard for two minutes."""
    async def live() -> list[str]:
        saved = cluster or four()
        world = World(saved, VirtualClock(), saved.declaration(Timing()), policies, 0)
        checkers: list[Checker] = [kind(world) for kind in CHECKERS]
        world.watchers.extend(checkers)
        for checker in checkers:
            checker.begin()
        living, listening = asyncio.ensure_future(world.live()), asyncio.ensure_future(_listen(world))
        await asyncio.sleep(120.0)
        await story(Rogue(world))
        for checker in checkers:
            checker.finish()
        living.cancel()
        listening.cancel()
        return [violation.rule for checker in checkers for violation in checker.violations]

    return run_virtual(live())


async def _listen(world: World) -> None:
    async for item in world.agents.items():
        world.heard(item)


async def _quiet(rogue: Rogue) -> None:
    rogue.move()


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


async def _too_many(rogue: Rogue) -> None:
    for vm in ("h1v1", "h1v2"):
        rogue.put("h1", vm, job=JobKind.OUTGOING)
    rogue.move()


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


async def _over_the_link(rogue: Rogue) -> None:
    order = rogue.note(replace(rogue.order(), bandwidth_mib_s=700))
    rogue.world.migrating(order)
    rogue.settle(order)


async def _paused(rogue: Rogue) -> None:
    rogue.record("Paused", by="ann")
    rogue.move()


async def _too_full(rogue: Rogue) -> None:
    rogue.put("h2", "h2v0", memory_max=Bytes(60 * GIB))
    rogue.move()


async def _overcommitted(rogue: Rogue) -> None:
    rogue.put("h2", "h2v0", memory_max=Bytes(80 * GIB))


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


async def _to_a_cordoned(rogue: Rogue) -> None:
    rogue.record("HostCordoned", host="h2", by="ann")
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


async def _switched_just_after_the_start(rogue: Rogue) -> None:
    rogue.world.begin_life()
    await _last_reserve_off(rogue)


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


async def _off_ordered_twice(rogue: Rogue) -> None:
    for _ in range(2):
        rogue.record("PowerOffOrdered", host="h1", id="p", policy="nights", because="")


async def _leftover_elsewhere(rogue: Rogue) -> None:
    rogue.put("h3", "h1v0", state=VmState.LEFTOVER)
    await asyncio.sleep(120.0)
    rogue.move()


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


async def _by_nights(rogue: Rogue) -> None:
    rogue.move(policy="nights")


async def _by_rule(rogue: Rogue) -> None:
    rogue.move(policy="rule")


def with_rule(rule: Rule, **fields: Any) -> PolicySet:
    fields = {"vms": VmSelector(names=("h1v0", "h2v0")), **fields}
    return replace(ALL, placement=(PlacementPolicy("rule", rule=rule, **fields),))


RESORTS = replace(ALL, evacuation=tuple(replace(one, last_resorts=(LastResort.POST_COPY,)) for one in ALL.evacuation))

LAST = replace(ALL, evacuation=tuple(replace(one, last_resorts=(LastResort.SHUTDOWN,)) for one in ALL.evacuation))
OTHERS = replace(LAST, evacuation=tuple(replace(one, vms=VmSelector(names=("db*",))) for one in LAST.evacuation))
WATCHED = replace(LAST, evacuation=tuple(replace(one, mode=Mode.RECOMMEND) for one in LAST.evacuation))

BROKEN: list[tuple[str, Story, PolicySet]] = [
    ("one-copy", _second_copy, ALL), ("nobody-lost", _gone, ALL), ("one-migration", _twice_ordered, ALL),
    ("one-migration", _never_settled, ALL), ("twins", _twins_touched, ALL),
    ("journal-first", _unrecorded, ALL), ("journal-first", _unrecorded_abort, ALL),
    ("journal-first", _unrecorded_standstill, ALL), ("standstill", _standstill_over_the_limit, ALL),
    ("standstill", _standstill_over_the_wish, ALL), ("journal-first", _unrecorded_parting, RESORTS),
    ("asked-few-only", _asked_unrecorded, ALL), ("asked-few-only", _asked_where_it_is_not_allowed, ALL),
    ("asked-few-only", _agent_asked_where_it_is_not_allowed, ALL), ("asked-few-only", _asked_for_ever, ALL),
    ("asked-few-only", _booked_unasked, ALL), ("asked-few-only", _asked_otherwise, ALL),
    ("asked-few-only", _asked_on_loopback, ALL), ("asked-few-only", _silent_though_it_answers, ALL),
    ("asked-few-only", _silent_elsewhere, ALL), ("asked-few-only", _silent_though_it_is_down, ALL),
    ("asked-few-only", _silent_as_it_was_told, ALL),
    ("last-resort", _part, ALL), ("last-resort", _parting_by_balance, RESORTS),
    ("last-resort", _part_from_a_sound_host, RESORTS),
    ("last-resort", _parting_against_its_owner, RESORTS), ("pause", _parting_while_paused, RESORTS),
    ("last-resort", _part, replace(RESORTS, evacuation=(replace(RESORTS.evacuation[0], mode=Mode.RECOMMEND),))),
    ("journal-first", _shut_down_unrecorded, LAST), ("journal-first", _shut_down_twice, LAST),
    ("journal-first", _shut_down_though_withdrawn, LAST), ("one-ending", _shut_down_ends_twice, LAST),
    ("last-of-all", _shut_down, ALL), ("last-of-all", _shut_down, RESORTS), ("last-of-all", _shut_down, WATCHED),
    ("last-of-all", _shut_down, OTHERS),
    ("last-of-all", _shut_down_by_balance, LAST), ("last-of-all", _shut_down_a_sound_one, LAST),
    ("last-of-all", _shut_down_too_early, LAST), ("last-of-all", _shut_down_after_somebody_looked, LAST),
    ("last-of-all", _shut_down_against_its_owner, LAST), ("last-of-all", _shut_down_left_alone, LAST),
    ("last-of-all", _shut_down_on_its_way, LAST), ("last-of-all", _shut_down_a_silent_ones, LAST),
    ("last-of-all", _shut_down_too_often, LAST), ("last-of-all", _shut_down_too_soon, LAST),
    ("last-of-all", _shut_down_on_a_host_that_just_died_and_another, LAST),
    ("last-of-all", _shut_down_too_often_by_many_orders, LAST), ("twins", _shut_down_on_a_frozen_host, LAST),
    ("twins", _part_on_a_frozen_host, RESORTS), ("twins", _part_to_a_frozen_host, RESORTS),
    ("last-resort", _part_after_somebody_looked, RESORTS),
    ("last-of-all", _shut_down_many, LAST), ("last-of-all", _shut_down_on_two_hosts, LAST),
    ("pause", _shut_down_while_paused, LAST), ("frozen", _shut_down_while_half_is_unknown, LAST),
    ("start-up", _shut_down_just_after_the_start, LAST), ("last-resort", _part, LAST),
    ("journal-first", _off_without_record, ALL),
    ("concurrency", _too_many, ALL), ("rates", _too_often, ALL), ("cooldown", _too_soon, ALL), ("cooldown", _back, ALL),
    ("link", _over_the_link, ALL), ("pause", _paused, ALL),
    ("windows", _quiet, replace(ALL, balance=(replace(BALANCE, windows=(FREEZE.name,)),),
                                  windows={FREEZE.name: FREEZE, NIGHT.name: NIGHT})),
    ("windows", _by_nights, replace(ALL, windows={NIGHT.name: replace(NIGHT, intervals=())})),
    ("mode", _quiet, replace(ALL, balance=(replace(BALANCE, mode=Mode.RECOMMEND),))),
    ("owners-word", _quiet, replace(ALL, balance=(replace(BALANCE, mode=Mode.OBSERVE),))),
    ("memory", _too_full, ALL), ("memory", _overcommitted, ALL), ("failover", _no_reserve, ALL),
    ("failover", _last_reserve_off, ALL), ("failover", _no_reserve_of_a_rack, BY_RACK),
    ("must-rules", _quiet, with_rule(Rule.PINNED)), ("must-rules", _quiet, with_rule(Rule.ON, hosts=Scope(("h1",)))),
    ("must-rules", _quiet, with_rule(Rule.NEVER_ON, hosts=Scope(("h2",)))), ("must-rules", _quiet, with_rule(Rule.APART)),
    ("must-rules", _quiet, with_rule(Rule.TOGETHER, vms=VmSelector(names=("h1v0", "h1v1")))),
    ("wishes", _by_nights, with_rule(Rule.NEVER_ON, hosts=Scope(("h2",)), weight=1)),
    ("wishes", _by_rule, with_rule(Rule.APART, vms=VmSelector(names=("h1v0",)), mode=Mode.AUTO)),
    ("mode", _by_rule, with_rule(Rule.NEVER_ON, hosts=Scope(("h1",)), mode=Mode.RECOMMEND)),
    ("empty-before-off", _full_host_off, ALL), ("empty-before-off", _wrong_machine_off, ALL),
    ("few-switches", _two_off, ALL), ("only-ours", _strange_wake, ALL),
    ("fit-target", _to_a_cordoned, ALL), ("fit-target", _to_a_silent, ALL), ("fit-target", _to_a_sick, ALL),
    ("evidence", _for_no_reason, ALL), ("evidence", _from_a_silent, ALL),
    ("evidence", _room_for_a_sound_host, ALL), ("evidence", _room_by_a_silent, ALL), ("frozen", _half_unknown, ALL),
    ("blast-radius", _two_evacuated, ALL), ("frozen", _thawed_just_now, ALL), ("start-up", _started_just_now, ALL),
    ("start-up", _switched_just_after_the_start, ALL), ("fit-target", _hardly_heard, ALL),
    ("turned-target", _target_turns_sick, ALL), ("one-ending", _settled_twice, ALL),
    ("one-ending", _evacuation_ends_unbegun, ALL), ("one-ending", _off_ordered_twice, ALL),
    ("no-other-copy", _leftover_elsewhere, ALL), ("rhythm", _off_again_at_once, ALL), ("rhythm", _on_again_at_once, ALL),
    ("rhythm", _two_woken, ALL), ("proved-to-wake", _off_without_proof, ALL),
]


@pytest.mark.parametrize(("rule", "story", "policies"), BROKEN, ids=[f"{rule}-{s.__name__}" for rule, s, _ in BROKEN])
def test_what_breaks_a_rule_is_found(rule: str, story: Story, policies: PolicySet) -> None:
    assert rule in found(story, policies)


@pytest.mark.parametrize("owner", [{"pins": PINNED}, {"ignored": True}])
def test_what_its_owner_keeps_in_place_stays(owner: dict[str, Any]) -> None:
    cluster = SavedCluster((a_host("h1"), a_host("h2")), (a_vm("h1v0", "h1", **owner), a_vm("h2v0", "h2")))
    assert "owners-word" in found(_quiet, ALL, cluster)


def test_every_checker_is_shown_to_fail() -> None:
    assert {kind.rule for kind in CHECKERS} == {rule for rule, _, _ in BROKEN}


def test_an_honest_move_breaks_nothing() -> None:
    assert found(_quiet) == []
    assert found(_by_nights) == []
    assert found(_quiet, replace(ALL, limits=Limits(failover_hosts=0))) == []


def test_who_makes_room_for_a_sick_host_leaves_for_a_reason() -> None:
    assert "evidence" not in found(_make_room)


def test_who_may_go_before_its_memory_breaks_no_rule_of_last_resorts() -> None:
    assert {"last-resort", "journal-first", "pause"}.isdisjoint(found(_part, RESORTS))


def test_who_is_asked_as_it_is_allowed_breaks_nothing() -> None:
    assert "asked-few-only" not in found(_asked_honestly)
    assert "asked-few-only" not in found(_silent)


def test_a_guest_that_may_be_asked_to_shut_down_breaks_no_rule() -> None:
    async def and_it_goes_down(rogue: Rogue) -> None:
        await _shut_down(rogue, times=5)
        rogue.world.stop(vm_id("h1v0"))
        rogue.record("ShutdownEnded", id="h1v0", ending="down", detail="")

    assert found(and_it_goes_down, LAST) == []


def test_a_host_that_died_with_a_guest_that_was_asked_keeps_no_other_waiting() -> None:
    assert "last-of-all" not in found(_shut_down_on_a_dead_host_and_another, LAST)


def test_an_honest_move_for_a_rule_breaks_nothing() -> None:
    assert found(_by_rule, with_rule(Rule.NEVER_ON, hosts=Scope(("h1",)), mode=Mode.AUTO)) == []
    assert found(_by_rule, with_rule(Rule.APART, vms=VmSelector(names=("h1v0", "h1v1")), mode=Mode.AUTO)) == []


def test_what_a_rack_could_not_lose_a_host_can() -> None:
    assert found(_no_reserve_of_a_rack) == []
    assert found(_quiet, BY_RACK) == []


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
