"""The kernel stays right behind planners that want the worst: whatever arrives at a hypervisor or a power controller is
judged at that very instant, by sums of its own."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from ballastd.core import events as ev
from ballastd.core.ceilings import CEILINGS
from ballastd.core.clearance import Clearance, Gate
from ballastd.core.inventory import VmState
from ballastd.core.plans import AbortOrder, DeferralKind, Order, Refusal, RefusalKind, TuneOrder
from ballastd.core.power import PowerState, PowerStatus
from ballastd.core.quantities import GIB, HostName, Seconds, VmId
from ballastd.errors import BallastdError
from ballastd.sim.hypervisor import SimulatedHypervisor
from ballastd.sim.virtual_time import run_virtual
from tests.doubles import Controllers
from tests.unit.kernel.test_switches import PowerBench, machine, powered

HOUR_SECONDS, WINDOW_SECONDS, LINK_MIB_S = 3600.0, 600.0, 400.0
RACKS = {HostName(f"h{i}"): f"r{i % 3}" for i in range(12)}


def apart(one: str, other: str) -> bool:
    return RACKS[HostName(one)] != RACKS[HostName(other)]


@dataclass
class Witness:
    """Everything that arrived, and what the kernel was told last. ``at``: orders by id that may have a job, and whether a
    person asked for each. ``rates``: MiB/s by VM, each the most that it may have now. ``emptied``, ``off``, ``on``: hosts,
    and when; ``asleep``: told to go off, and not back since."""

    told: Clearance | None = None
    doubted: bool = False
    at: dict[str, tuple[Order, bool]] = field(default_factory=dict)
    rates: dict[VmId, int] = field(default_factory=dict)
    emptied: list[tuple[float, HostName]] = field(default_factory=list)
    off: list[tuple[float, HostName]] = field(default_factory=list)
    on: list[tuple[float, HostName]] = field(default_factory=list)
    asleep: set[HostName] = field(default_factory=set)
    tuned: int = 0
    aborted: int = 0

    def gates(self) -> tuple[Gate, ...]:
        now = asyncio.get_running_loop().time()
        assert self.told is not None
        assert not self.doubted, "something began on the word of before a doubt"
        assert now - self.told.at.monotonic <= 60.0, "something began on an old word"
        return self.told.gates

    def migrate(self, order: Order) -> None:
        move, now = order.move, asyncio.get_running_loop().time()
        assert all(move.source in gate.passes for gate in self.gates()), "a gate let it through"
        assert self.told is not None
        assert move.target not in self.told.avoid, "it goes to a host that is sick or silent"
        assert move.target not in self.asleep, "it goes to a host that goes off"
        asked, flights = move.source in self.told.asked, [one for one, _ in self.at.values()]
        assert move.vm not in {one.move.vm for one in flights}
        assert len(flights) < CEILINGS.in_flight_cluster
        assert sum(one.move.source == move.source for one in flights) < CEILINGS.in_flight_host_out
        assert sum(one.move.target == move.target for one in flights) < CEILINGS.in_flight_host_in
        assert sum(one.move.routine for one in flights) < CEILINGS.balance_in_flight or not move.routine
        saving = {one.move.source for one, by_hand in self.at.values() if not one.move.routine and not by_hand}
        packing = {one.move.source for one in flights if one.move.source in self.told.packing or not one.move.routine}
        packing |= {host for at, host in (*self.emptied, *self.off) if now - at < WINDOW_SECONDS}
        if not move.routine and not asked:
            assert len(saving | {move.source}) <= CEILINGS.evacuations_at_once
            assert not any(apart(move.source, host) for host in saving), "two failure domains are emptied"
        if move.routine and not asked and move.source in self.told.packing:
            assert not any(apart(move.source, host) for host in packing), "it packs beside a change in another domain"
        self.at[order.id] = order, asked
        self.rates[move.vm] = order.bandwidth_mib_s
        if not move.routine:
            self.emptied.append((now, move.source))
        self.links_hold()

    def links_hold(self) -> None:
        for host in RACKS:
            for end in ("source", "target"):
                used = sum(self.rates[one.move.vm] for one, _ in self.at.values() if getattr(one.move, end) == host)
                assert used <= LINK_MIB_S * CEILINGS.link_share, f"{used} MiB/s on the link of {host}"


class WatchedHypervisor(SimulatedHypervisor):
    """A simulated one at whose door a witness stands."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.witness = Witness()

    async def migrate(self, order: Order) -> Seconds | None:
        self.witness.migrate(order)
        try:
            return await super().migrate(order)
        finally:
            del self.witness.at[order.id], self.witness.rates[order.move.vm]

    async def set_bandwidth(self, host: HostName, vm: VmId, bandwidth_mib_s: int) -> None:
        rates = self.witness.rates
        rates[vm] = max(rates[vm], bandwidth_mib_s)
        self.witness.links_hold()
        await super().set_bandwidth(host, vm, bandwidth_mib_s)
        self.witness.tuned += 1
        if vm in rates:
            rates[vm] = bandwidth_mib_s

    async def abort(self, host: HostName, vm: VmId) -> None:
        assert vm in self.witness.rates, "something is aborted that is none of ours"
        self.witness.aborted += 1
        await super().abort(host, vm)


class WatchedControllers(Controllers):
    """Controllers that do as they are told after a while, and at whose door the witness stands too."""

    bench: Arena

    async def power_off(self, host: HostName) -> None:
        bench, witness, now = self.bench, self.bench.witness, asyncio.get_running_loop().time()
        assert not witness.gates(), "a host goes off behind a gate"
        assert witness.told is not None
        assert not bench.hypervisor.hosts[host].vms, "a host with VMs goes off"
        assert not any(host in (one.move.source, one.move.target) for one, _ in witness.at.values())
        assert bench.shut[host], "a host goes off whose hook is open"
        assert sum(now - at < WINDOW_SECONDS for at, _ in witness.off) < CEILINGS.power_offs_per_10_min
        assert sum(one == host for _, one in witness.off) < CEILINGS.power_cycles_per_day
        assert len(witness.asleep - {host}) < CEILINGS.hosts_off_share * len(RACKS)
        changed = {one for at, one in (*witness.off, *witness.emptied) if now - at < WINDOW_SECONDS}
        changed |= {one.move.source for one, _ in witness.at.values()
                    if not one.move.routine or one.move.source in witness.told.packing}
        assert host in witness.told.asked or not any(apart(host, one) for one in changed), "another domain was just changed"
        witness.off.append((now, host))
        witness.asleep.add(host)
        await super().power_off(host)
        asyncio.get_running_loop().call_later(20.0, bench.fall_asleep, host)

    async def power_on(self, host: HostName) -> None:
        witness, now = self.bench.witness, asyncio.get_running_loop().time()
        assert all(gate.kind is DeferralKind.FROZEN for gate in witness.gates()), "a host is woken behind a gate"
        assert sum(now - at < 60.0 for at, _ in witness.on) < CEILINGS.wakes_per_min
        assert witness.told is not None
        assert host in witness.asleep | witness.told.wakes, "a host is woken that did not go off by us"
        witness.on.append((now, host))
        await super().power_on(host)
        asyncio.get_running_loop().call_later(30.0, self.bench.wake_up, host)


class Arena(PowerBench):
    """Twelve hosts in three racks, half of them empty, watched from the first order on."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.shut = dict.fromkeys(RACKS, True)
        controllers = WatchedControllers()
        super().__init__(powered(len(RACKS), rack=("r0", "r1", "r2")), hypervisors=WatchedHypervisor,
                         controllers=controllers)
        assert isinstance(self.hypervisor, WatchedHypervisor)
        controllers.bench, self.witness = self, self.hypervisor.witness
        self.witness.told = Clearance(self.clock.now())
        self.crowded, self.born = sorted(RACKS), self.running()

    def running(self) -> list[VmId]:
        """Return the VMs that run, each as often as it does."""
        return sorted(vm for host in self.hypervisor.hosts.values() for vm, record in host.vms.items() if record.state.runs)

    def fall_asleep(self, host: HostName) -> None:
        assert not any(r.state.runs for r in self.hypervisor.hosts[host].vms.values()), "a VM went off with its host"
        self.hypervisor.hosts[host].powered = False
        self.controllers.statuses[host] = PowerStatus(PowerState.OFF, machine(host))

    def wake_up(self, host: HostName) -> None:
        self.hypervisor.hosts[host].powered = True
        self.controllers.statuses[host] = PowerStatus(PowerState.ON, machine(host))
        self.witness.asleep.discard(host)
        self.kernel.seen_on(host)

    def turn_the_world(self) -> None:
        """Have gates, sick hosts, people's wishes and hooks be others, and tell the kernel; or doubt, or say nothing."""
        chance, names = self.chance, sorted(RACKS)
        self.crowded = chance.sample(names, 4)
        for host in chance.sample(names, 4):
            self.shut[host] = chance.random() < 0.8
            self.hear(host, **({} if self.shut[host] else {"cordon_until": None}))
        if chance.random() < 0.1:
            self.witness.doubted = True
            self.kernel.doubt("the adversary says so")
        elif chance.random() < 0.9:
            kinds = (DeferralKind.FROZEN, DeferralKind.SITE_EVENT, DeferralKind.SELF_SUSPECT, DeferralKind.OBSERVING)
            passed = [frozenset(chance.sample(names, chance.choice([0, 3]))) for _ in range(chance.choice([0, 0, 0, 1, 2]))]
            gates = tuple(Gate(chance.choice(kinds), "it stands", passes=hosts) for hosts in passed)
            sick = [HostName(host) for host in chance.sample(names, chance.choice([0, 1, 2]))]
            avoid = {host: Refusal(RefusalKind.HOST_SILENT, "last heard 300 s ago", host=host) for host in sick}
            wishes = [frozenset(HostName(host) for host in chance.sample(names, count)) for count in (1, 4, 3)]
            self.witness.told = Clearance(self.clock.now(), gates, avoid, *wishes)
            self.witness.doubted = False
            self.kernel.clear(self.witness.told)

    async def move(self) -> None:
        """Order some move at some bandwidth, which is mostly written down before."""
        chance, names = self.chance, self.crowded if self.chance.random() < 0.7 else sorted(RACKS)
        full = [host for host in names if self.hypervisor.hosts[HostName(host)].vms]
        source, target = HostName(chance.choice(full or names)), HostName(chance.choice(names))
        vms = sorted(record.name for record in self.hypervisor.hosts[source].vms.values()) or ["none"]
        order = self.order(chance.choice(vms), source, target, chance.choice([0, 1, 40, 150, 320, 5000]),
                           chance.choice(["failing", "operator", "even-load"]))
        order = replace(order, move=replace(order.move, routine=chance.random() < 0.4))
        if chance.random() < 0.9:
            await self.write(order)
        try:
            await self.kernel.migrate(order)
        finally:
            self.kernel.release(order.id)

    async def steer(self) -> None:
        """Abort one of those on their way, or give it another bandwidth; or one that is not."""
        chance = self.chance
        order = chance.choice([one for one, _ in self.witness.at.values()] or [self.order("none", "h0", "h1")])
        move, written = order.move, chance.random() < 0.8
        if chance.random() < 0.2:
            if written:
                await self.record.append(1, (ev.AbortOrdered(0.0, order.id, "why not"),))
            await self.kernel.abort(AbortOrder(order.id, move.vm, move.source, "why not", 1))
        rate = chance.choice([0, 1, 20, 100, 200, 320, 321, 5000])
        if written:
            await self.record.append(1, (ev.BandwidthOrdered(0.0, order.id, rate),))
        await self.kernel.tune(TuneOrder(order.id, move.vm, move.source, move.target, rate, 1))

    async def switch(self) -> None:
        """Have some host go off or on, whatever is on it."""
        order = await self.ordered(self.chance.choice(sorted(RACKS)), on=self.chance.random() < 0.4)
        await self.kernel.switch(order if self.chance.random() < 0.9 else replace(order, id="unwritten"))
        self.crowded[0] = order.host

    def memory_holds(self) -> None:
        for host in self.hypervisor.hosts.values():
            assert sum(record.memory_max for record in host.vms.values() if record.state.holds_memory) <= 64 * GIB
            assert sum(record.state is VmState.INCOMING for record in host.vms.values()) <= CEILINGS.in_flight_host_in


async def tried(act: Coroutine[Any, Any, None]) -> None:
    """Let the kernel withhold, and whatever it begins fail."""
    with suppress(BallastdError):
        await act


@pytest.mark.parametrize("seed", range(12))
def test_nothing_that_arrives_breaks_a_ceiling_or_a_gate_behind_an_adversarial_planner_for_an_hour(seed: int) -> None:
    """Random moves, aborts, bandwidths and power orders, most of them written down, far more than allowed, while gates open
    and shut, hosts turn sick, hooks open, and what was told grows old or is doubted."""
    async def story() -> Arena:
        arena = Arena(seed)
        acts = [*[arena.move] * 3, *[arena.steer] * 2, *[arena.switch] * 2]
        tasks: set[asyncio.Task[None]] = set()
        loop = asyncio.get_running_loop()
        while loop.time() < HOUR_SECONDS:
            if arena.chance.random() < 0.2:
                arena.turn_the_world()
            tasks.add(asyncio.ensure_future(tried(arena.chance.choice(acts)())))
            await asyncio.sleep(arena.chance.choice([0.0, 0.0, 0.0, 0.002, 0.007, 1.0, 8.0]))
            arena.memory_holds()
            for task in [one for one in tasks if one.done()]:
                tasks.discard(task)
                task.result()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return arena

    arena = run_virtual(story())
    seen = arena.witness
    assert min(len(seen.emptied), seen.tuned, seen.aborted, len(seen.off), len(seen.on)) >= 1, "it got nothing through"
    assert arena.running() == arena.born
