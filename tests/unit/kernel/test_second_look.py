"""What both ends show right before an order is carried out speaks against it; so does what is on its way to its target."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from ballastd.core.hardware import Backing, Hardware, Needs, PagePool
from ballastd.core.inventory import HostInventory, JobKind, Mobility, VmRecord, VmState
from ballastd.core.policies import ClusterDeclaration
from ballastd.core.quantities import GIB, MIB, Bytes, HostName
from ballastd.kernel.kernel import Withheld
from ballastd.sim.hypervisor import SimulatedHypervisor
from ballastd.sim.virtual_time import run_virtual
from tests.builders import vm_id
from tests.unit.kernel.test_kernel import Bench, declared, withheld


@pytest.mark.parametrize(("change", "word"), [
    ({"state": VmState.PAUSED}, "vm-not-running"),
    ({"job": JobKind.OTHER}, "vm-busy"),
    ({"memory_max": Bytes(3 * GIB)}, "world-changed"),
    ({"ignored": True}, "vm-pinned"),
    ({"mobility": Mobility.NEVER}, "vm-pinned"),
    ({"mobility": Mobility.COLD}, "vm-pinned"),
])
def test_a_vm_that_changed_since_it_was_planned_is_left_alone(change: dict[str, object], word: str) -> None:
    async def story() -> None:
        bench = Bench(declared())
        vms = bench.hypervisor.hosts[HostName("h0")].vms
        vms[vm_id("h0v0")] = replace(vms[vm_id("h0v0")], **change)
        await bench.kernel.migrate(await bench.write(bench.order("h0v0", "h0", "h1")))

    assert word in withheld(story)


def test_a_stranger_who_filled_the_target_meanwhile_is_seen() -> None:
    async def story() -> None:
        bench = Bench(declared())
        big = VmRecord(vm_id("big"), "big", VmState.RUNNING, Bytes(51 * GIB))
        bench.hypervisor.place(HostName("h1"), big)
        await bench.kernel.migrate(await bench.write(bench.order("h0v0", "h0", "h1")))

    assert "memory" in withheld(story)


class Ballooned(SimulatedHypervisor):
    """Guests leave all of their memory in their balloons, for now."""

    async def inventory(self, host: HostName, *, load: bool = True) -> HostInventory:
        seen = await super().inventory(host, load=load)
        return replace(seen, memory_free=seen.memory_total)


@pytest.mark.parametrize(("limit", "room"), [(256, "12.0 GiB"), (40, "0 B")])
def test_no_host_is_given_more_than_it_has_whatever_limit_is_declared(limit: int, room: str) -> None:
    async def story() -> None:
        hosts = tuple(replace(host, memory_limit=Bytes(limit * GIB)) for host in declared().hosts)
        bench = Bench(ClusterDeclaration(hosts), hypervisors=Ballooned)
        bench.hypervisor.place(HostName("h1"), VmRecord(vm_id("big"), "big", VmState.RUNNING, Bytes(40 * GIB)))
        big = bench.hypervisor.hosts[HostName("h0")].vms[vm_id("h0v0")]
        bench.hypervisor.hosts[HostName("h0")].vms[vm_id("h0v0")] = replace(big, memory_max=Bytes(13 * GIB))
        order = bench.order("h0v0", "h0", "h1")
        order = replace(order, move=replace(order.move, memory=Bytes(13 * GIB)))
        await bench.kernel.migrate(await bench.write(order))

    assert f"needs 13.0 GiB, h1 has room for {room} now" in withheld(story)


class Busy(SimulatedHypervisor):
    """What is no guest has nearly all of the memory."""

    async def inventory(self, host: HostName, *, load: bool = True) -> HostInventory:
        return replace(await super().inventory(host, load=load), memory_free=Bytes(5 * GIB))


@pytest.mark.parametrize(("reserve", "is_let"), [(3, True), (4, False)])
def test_what_a_host_keeps_for_itself_is_left_whoever_has_the_rest(reserve: int, is_let: bool) -> None:
    async def story() -> None:
        hosts = tuple(replace(host, memory_limit=None, memory_reserve=Bytes(reserve * GIB)) for host in declared().hosts)
        bench = Bench(ClusterDeclaration(hosts), hypervisors=Busy)
        await bench.kernel.migrate(await bench.write(bench.order("h0v0", "h0", "h1")))

    if is_let:
        run_virtual(story())
    else:
        assert "needs 2.0 GiB, h1 has room for 1.0 GiB now" in withheld(story)


TWO_MIB = Bytes(2 * MIB)


def paged(gib: float) -> Needs:
    return Needs((Backing(TWO_MIB, Bytes(int(gib * GIB))),))


def with_pages(bench: Bench, *vms: str, there: float) -> None:
    """Let VMs of h0 have their memory in huge pages, of which h0 has enough and h1 so many GiB."""
    for host, gib in (("h0", 16.0), ("h1", there)):
        bench.hypervisor.hosts[HostName(host)].hardware = Hardware(pools=(PagePool(TWO_MIB, int(gib * GIB) // TWO_MIB),))
    at_home = bench.hypervisor.hosts[HostName("h0")].vms
    for name in vms:
        at_home[vm_id(name)] = replace(at_home[vm_id(name)], needs=paged(2))


def test_huge_pages_that_are_gone_meanwhile_are_missed() -> None:
    async def story() -> None:
        bench = Bench(declared())
        with_pages(bench, "h0v0", there=1.0)
        await bench.kernel.migrate(await bench.write(bench.order("h0v0", "h0", "h1")))

    assert "huge-pages: needs 1024 huge pages of 2.0 MiB, 512 of 512 are left there now" in withheld(story)


def test_huge_pages_of_a_vm_on_its_way_are_taken_and_ordinary_memory_is_not() -> None:
    async def story() -> None:
        bench = Bench(declared())
        with_pages(bench, "h0v0", "h0v1", there=3.0)
        # room for 2 GiB more of ordinary memory, of which the first takes nothing
        bench.hypervisor.place(HostName("h1"), VmRecord(vm_id("big"), "big", VmState.RUNNING, Bytes(47 * GIB)))
        orders = [await bench.write(bench.order(name, "h0", "h1")) for name in ("h0v0", "h0v2", "h0v1")]
        begun = [asyncio.ensure_future(bench.kernel.migrate(order)) for order in orders[:2]]
        await asyncio.sleep(1.0)
        assert bench.kernel.calls == 2
        with pytest.raises(Withheld, match=r"huge-pages: needs 1024 huge pages of 2.0 MiB, 512 of 1536"):
            await bench.kernel.migrate(orders[2])
        await asyncio.gather(*begun)

    run_virtual(story())


def test_a_machine_on_which_a_vm_cannot_run_withholds() -> None:
    async def story() -> None:
        bench = Bench(declared())
        bench.hypervisor.hosts[HostName("h1")].hardware = Hardware(nodes=(0,))
        at_home = bench.hypervisor.hosts[HostName("h0")].vms
        at_home[vm_id("h0v0")] = replace(at_home[vm_id("h0v0")], needs=Needs(nodes=(1,)))
        await bench.kernel.migrate(await bench.write(bench.order("h0v0", "h0", "h1")))

    assert "numa: its memory is bound to NUMA node 1" in withheld(story)


def test_a_target_that_does_not_answer_withholds() -> None:
    async def story() -> None:
        bench = Bench(declared())
        bench.hypervisor.hang(HostName("h1"))
        await bench.kernel.migrate(await bench.write(bench.order("h0v0", "h0", "h1")))

    assert "host-unreachable" in withheld(story)


@pytest.mark.parametrize("pages", [False, True])
def test_of_two_orders_at_one_instant_for_which_there_is_room_for_one_the_second_is_withheld(pages: bool) -> None:
    async def story() -> list[object]:
        bench = Bench(declared())
        if pages:
            with_pages(bench, "h0v0", there=3.0)
            away = bench.hypervisor.hosts[HostName("h2")]
            away.hardware = Hardware(pools=(PagePool(TWO_MIB, 8192),))
            away.vms[vm_id("h2v0")] = replace(away.vms[vm_id("h2v0")], needs=paged(2))
        else:
            bench.hypervisor.place(HostName("h1"), VmRecord(vm_id("big"), "big", VmState.RUNNING, Bytes(50 * GIB)))
        bench.tell(asked="h0 h2")
        orders = [await bench.write(bench.order(f"{source}v0", source, "h1")) for source in ("h0", "h2")]
        return await asyncio.gather(*map(bench.kernel.migrate, orders), return_exceptions=True)

    first, second = run_virtual(story())
    assert not isinstance(first, Exception)
    assert isinstance(second, Withheld)
    assert ("huge-pages" if pages else "memory: needs 2.0 GiB, h1 has room for 0 B now") in str(second)


class Crowded(SimulatedHypervisor):
    """Hosts on which somebody beside VMs has all memory but so much."""

    free = Bytes(8 * GIB)

    async def inventory(self, host: HostName, *, load: bool = True) -> HostInventory:
        return replace(await super().inventory(host, load=load), memory_free=self.free)


@pytest.mark.parametrize(("free", "no"), [(8, ""), (7, "room for 1.0 GiB now"), (4, "room for 0 B now")])
def test_of_memory_that_is_free_now_those_on_their_way_have_theirs_and_the_host_its_reserve(free: int, no: str) -> None:
    async def story() -> None:
        cluster = declared()
        # by what their hypervisors report, of which 4 GiB are never given to VMs
        cluster = replace(cluster, hosts=tuple(replace(host, memory_limit=None) for host in cluster.hosts))
        bench = Bench(cluster, hypervisors=Crowded)
        orders = [await bench.write(bench.order(f"h0v{v}", "h0", "h1")) for v in range(2)]
        begun = asyncio.ensure_future(bench.kernel.migrate(orders[0]))
        await asyncio.sleep(0.5)
        assert bench.kernel.calls == 1
        Crowded.free = Bytes(free * GIB)
        try:
            await bench.kernel.migrate(orders[1])
        finally:
            Crowded.free = Bytes(8 * GIB)
            await begun

    if no:
        assert no in withheld(story)
    else:
        run_virtual(story())


@pytest.mark.parametrize(("state", "takes_a_place"), [
    (VmState.POSTCOPY_LEFT_FAILED, False), (VmState.POSTCOPY_LEFT, True), (VmState.RUNNING, True)])
def test_a_half_that_nothing_flows_to_any_more_takes_nobodys_place(state: VmState, takes_a_place: bool) -> None:
    async def story() -> None:
        bench = Bench(declared())
        here = bench.hypervisor.hosts[HostName("h0")].vms
        for name in ("h0v1", "h0v2", "h0v3", "h0v4"):
            here[vm_id(name)] = replace(here[vm_id(name)], state=state, job=JobKind.OUTGOING)
        await bench.kernel.migrate(await bench.write(bench.order("h0v0", "h0", "h1")))

    if takes_a_place:
        assert "4 migrations in flight out of h0, ceiling 4" in withheld(story)
    else:
        run_virtual(story())
