"""Hosts and their power controllers are asked in their turn, and sooner when something hints that they changed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from ballastd.core import events as ev
from ballastd.core.arrival_checks import AGENT
from ballastd.core.inputs import HostUnreachable, PowerSeen
from ballastd.core.inventory import HostInventory, Progress
from ballastd.core.ledger import Ledger
from ballastd.core.migrations import Ending, Migration
from ballastd.core.policies import Timing
from ballastd.core.quantities import GIB, Bytes, HostName, Seconds, VmId
from ballastd.errors import InvariantBroken
from ballastd.service.inbox import Inbox
from ballastd.service.watching import BUSY_SECONDS, POWER_SECONDS, Watcher
from ballastd.sim.hypervisor import SimulatedHypervisor
from ballastd.sim.virtual_time import run_virtual
from tests.builders import vm_id
from tests.unit.kernel.test_kernel import Bench, declared

H0 = HostName("h0")
TIMING = Timing(inventory_interval=Seconds(10.0))


class Watched:
    """A watcher of one quiet host, and when it asked: seconds since it began."""

    def __init__(self, ledger: Ledger) -> None:
        bench = Bench(declared())
        self.inbox = Inbox(lambda _: False)
        self.watcher = Watcher(bench.hypervisor, bench.controllers, self.inbox, bench.clock, TIMING, lambda: ledger)

    async def asked(self, seconds: float, kind: type) -> list[float]:
        """Let time pass; return when the host was asked meanwhile."""
        found: list[float] = []
        until = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < until:
            await asyncio.sleep(0.25)
            found += [round(one.at.monotonic if isinstance(one, PowerSeen) else one.begun.monotonic, 1)
                      for one in self.inbox.drain() if isinstance(one, kind)]
        return found


def watching(work: Callable[[Watcher], Awaitable[None]], story: Callable[[Watched], Awaitable[None]],
             ledger: Ledger | None = None) -> None:
    async def run() -> None:
        watched = Watched(ledger or Ledger())
        task = asyncio.ensure_future(work(watched.watcher))
        await story(watched)
        task.cancel()

    run_virtual(run())


def test_a_controller_is_asked_soon_after_an_order_and_then_in_its_turn_again() -> None:
    async def story(watched: Watched) -> None:
        assert await watched.asked(10.0, PowerSeen) == [0.0]
        watched.watcher.ask_power_soon(H0)
        assert await watched.asked(POWER_SECONDS - 1.0, PowerSeen) == [10.0], "not when its first turn would have been"
        assert await watched.asked(2.0, PowerSeen) == [10.0 + POWER_SECONDS]

    watching(lambda watcher: watcher.follow_power(H0), story)


def test_a_host_is_looked_at_soon_after_a_hint_and_then_in_its_turn_again() -> None:
    async def story(watched: Watched) -> None:
        assert await watched.asked(5.0, HostInventory) == [0.0]
        watched.watcher.look_soon(H0)
        assert await watched.asked(9.0, HostInventory) == [5.0], "not when its first turn would have been"
        assert await watched.asked(2.0, HostInventory) == [15.0]

    watching(lambda watcher: watcher.watch_host(H0), story)


def test_a_host_is_looked_at_often_while_one_that_arrived_there_is_asked() -> None:
    arrived = Migration("1-1", vm_id("a"), "a", HostName("h1"), H0, Bytes(GIB), 1, "p", "b", 0.0, 1.0, 1.0, check=AGENT,
                        ending=Ending.COMPLETED)

    async def story(watched: Watched) -> None:
        assert len(await watched.asked(9.0, HostInventory)) >= 9.0 / BUSY_SECONDS - 1

    watching(lambda watcher: watcher.watch_host(H0), story, Ledger(arrivals={arrived.id: arrived}))


def test_hints_without_end_do_not_make_looks_without_end() -> None:
    async def story(watched: Watched) -> None:
        looks = 0
        for _ in range(1000):
            watched.watcher.look_soon(H0)
            await asyncio.sleep(0.01)
            looks += len(watched.inbox.drain())
        assert 50 < looks <= 101, "one each tenth of a second"

    watching(lambda watcher: watcher.watch_host(H0), story)


class Surprising(SimulatedHypervisor):
    """Hosts about which we make a mistake of our own: the first looks, and whatever is asked about jobs."""

    looks = 0

    async def inventory(self, host: HostName, *, load: bool = True) -> HostInventory:
        self.looks += 1
        if self.looks <= 2:
            raise KeyError("total")
        return await super().inventory(host, load=load)

    async def progress(self, host: HostName, vm: VmId) -> Progress | None:
        raise InvariantBroken(f"{host} is not a declared host")


def surprising() -> tuple[Watcher, Inbox]:
    bench, ledger, inbox = Bench(declared(), hypervisors=Surprising), Ledger(), Inbox(lambda _: False)
    ledger.apply(ev.MigrationOrdered(0.0, "1-1", vm_id("a"), "a", HostName("gone"), H0, Bytes(GIB), 50, "failing", "",
                                     300.0, 1.0))
    return Watcher(bench.hypervisor, bench.controllers, inbox, bench.clock, TIMING, lambda: ledger), inbox


def test_a_mistake_of_ours_about_one_host_is_its_silence_and_ends_no_watch() -> None:
    async def story() -> None:
        watcher, inbox = surprising()
        task = asyncio.ensure_future(watcher.watch_host(H0))
        await asyncio.sleep(0.1)
        (missed,) = inbox.drain()
        assert isinstance(missed, HostUnreachable)
        assert missed.reason == "KeyError: 'total'"
        await asyncio.sleep(30.0)
        assert [type(one) for one in inbox.drain()] == [HostInventory]
        task.cancel()

    run_virtual(story())


def test_a_migration_off_a_host_that_is_not_declared_any_more_ends_no_watch() -> None:
    async def story() -> None:
        watcher, _ = surprising()
        task = asyncio.ensure_future(watcher.follow_progress())
        await asyncio.sleep(5.0)
        assert not task.done()
        task.cancel()

    run_virtual(story())
