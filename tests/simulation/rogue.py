"""A daemon that breaks rules, in a world whose checkers look on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from ballastd.core.plans import Move, Order
from ballastd.core.policies import BalancePolicy, ConsolidationPolicy, Mode, PolicySet, Timing, Window
from ballastd.core.quantities import HostName, Seconds
from ballastd.core.saved_cluster import SavedCluster
from ballastd.sim.checkers import CHECKERS, Checker
from ballastd.sim.virtual_time import DEFAULT_EPOCH_WALL, VirtualClock, run_virtual
from ballastd.sim.world import World
from tests.builders import POLICIES, vm_id
from tests.simulation.clusters import four

H1, H2, H3 = HostName("h1"), HostName("h2"), HostName("h3")
BALANCE = BalancePolicy("even-load", mode=Mode.AUTO)
NIGHT = Window("night", True, ((DEFAULT_EPOCH_WALL, DEFAULT_EPOCH_WALL + 7200.0),), DEFAULT_EPOCH_WALL + 1e6)
FREEZE = Window("change-freeze", False, ((DEFAULT_EPOCH_WALL, DEFAULT_EPOCH_WALL + 7200.0),), DEFAULT_EPOCH_WALL + 1e6)
NIGHTS = ConsolidationPolicy("nights", NIGHT.name, mode=Mode.AUTO)
ALL = replace(POLICIES, balance=(BALANCE,), consolidation=(NIGHTS,), windows={NIGHT.name: NIGHT})
Story = Callable[["Rogue"], Awaitable[None]]


class Rogue:
    """Does to a world what a broken daemon would do."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._count = 0

    def order(self, vm: str = "h1v0", source: str = "h1", target: str = "h2", policy: str = "even-load", *,
              routine: bool = True, urgent: bool = False, waived: bool = False) -> Order:
        self._count += 1
        record = self.world.host(HostName(source)).vms[vm_id(vm)]
        move = Move(record.vm, vm, HostName(source), HostName(target), record.memory_max, Seconds(10.0), policy, "because",
                    urgent=urgent, routine=routine, reserve_waived=waived)
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


async def quiet(rogue: Rogue) -> None:
    rogue.move()
