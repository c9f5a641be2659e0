"""The kernel stays right whatever it is asked: ceilings, journal before act, second look, hold."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

import pytest

from ballastd.adapters.blocking import Inline
from ballastd.core import events as ev
from ballastd.core.clearance import Clearance, Gate
from ballastd.core.hardware import Backing, Hardware, Needs, PagePool
from ballastd.core.inventory import HostInventory, JobKind, Mobility, Pin, PinKind, VmRecord, VmState
from ballastd.core.ledger import Ledger
from ballastd.core.migrations import Ending
from ballastd.core.plans import (
    AbortOrder,
    AutostartOrder,
    DowntimeOrder,
    Examination,
    Move,
    Order,
    PostCopyOrder,
    Refusal,
    RefusalKind,
    TuneOrder,
)
from ballastd.core.policies import ClusterDeclaration
from ballastd.core.quantities import GIB, MIB, Bytes, HostName, Seconds, VmId
from ballastd.errors import DefinitionNotKept, JournalError, MigrationRefused
from ballastd.kernel.kernel import Kernel, Withheld
from ballastd.kernel.record import Record
from ballastd.ports.keeping import Definitions, KeptDefinition
from ballastd.sim.hypervisor import SimulatedHypervisor
from ballastd.sim.jobs import SimulatedHost
from ballastd.sim.journal import MemoryJournal
from ballastd.sim.virtual_time import VirtualClock, run_virtual
from tests.builders import a_cluster, vm_id
from tests.doubles import Controllers, SilentNotices


def declared(hosts: int = 6, link_mib_s: float = 1000.0) -> ClusterDeclaration:
    builder = a_cluster()
    for i in range(hosts):
        builder = builder.host(f"h{i}", gib=64, link_mib_s=link_mib_s)
    return builder.build()


class Bench:
    """A kernel over a pretend cluster, and the true count of jobs at every instant."""

    def __init__(self, cluster: ClusterDeclaration, vms_each: int = 6, definitions: Definitions | None = None,
                 hypervisors: type[SimulatedHypervisor] = SimulatedHypervisor, controllers: Controllers | None = None
                 ) -> None:
        hosts = [SimulatedHost(h.name, Bytes(64 * GIB)) for h in cluster.hosts]
        for host in hosts:
            for v in range(vms_each):
                record = VmRecord(vm_id(f"{host.name}v{v}"), f"{host.name}v{v}", VmState.RUNNING, Bytes(2 * GIB))
                host.vms[record.vm] = record
        self.clock = VirtualClock()
        self.hypervisor = hypervisors(hosts, self.clock)
        self.journal = MemoryJournal()
        self.journal.open()
        self.record = Record(self.journal, Inline())
        self.notices = SilentNotices()
        self.controllers = controllers or Controllers()
        self.kernel = Kernel(self.hypervisor, self.controllers, self.notices, self.record, cluster, self.clock,
                             definitions=definitions)
        self.serial = 0
        self.tell()

    def tell(self, *gates: Gate, avoid: Mapping[HostName, Refusal] | None = None, asked: str = "", packing: str = ""
             ) -> None:
        """Tell the kernel what stands against acts now: as told, nothing."""
        one, other = (frozenset(map(HostName, names.split())) for names in (asked, packing))
        self.kernel.clear(Clearance(self.clock.now(), gates, avoid or {}, one, other))

    def order(self, vm: str, source: str, target: str, bandwidth: int = 50, policy: str = "failing") -> Order:
        self.serial += 1
        move = Move(vm_id(vm), vm, HostName(source), HostName(target), Bytes(2 * GIB), Seconds(1.0), policy, "test")
        return Order(f"t-{self.serial}", move, bandwidth, Seconds(300.0), self.serial)

    async def write(self, order: Order) -> Order:
        move = order.move
        await self.record.append(order.revision, (ev.MigrationOrdered(
            0.0, order.id, move.vm, move.vm_name, move.source, move.target, move.memory, order.bandwidth_mib_s,
            move.policy, move.because, 300.0, 1.0),))
        return order

    def jobs(self) -> list[tuple[str, str]]:
        return [(host.name, record.name) for host in self.hypervisor.hosts.values() for record in host.vms.values()
                if record.job is JobKind.OUTGOING]


def withheld(story) -> str:
    with pytest.raises(Withheld) as caught:
        run_virtual(story())
    return str(caught.value)


def test_an_order_that_is_not_in_the_journal_is_withheld() -> None:
    async def story() -> None:
        bench = Bench(declared())
        await bench.kernel.migrate(bench.order("h0v0", "h0", "h1"))

    assert "not-journalled" in withheld(story)


def test_an_order_is_carried_out_once() -> None:
    async def story() -> None:
        bench = Bench(declared())
        order = await bench.write(bench.order("h0v0", "h0", "h1"))
        await bench.kernel.migrate(order)
        bench.kernel.release(order.id)
        await bench.kernel.migrate(order)

    assert "not-journalled" in withheld(story)


def test_a_journal_that_refuses_makes_nothing_durable() -> None:
    async def story() -> None:
        bench = Bench(declared())
        bench.journal.full = True
        order = bench.order("h0v0", "h0", "h1")
        with pytest.raises(JournalError):
            await bench.write(order)
        await bench.kernel.migrate(order)

    assert "not-journalled" in withheld(story)


def test_hold_stops_an_order_that_is_on_its_way() -> None:
    async def story() -> None:
        bench = Bench(declared())
        order = await bench.write(bench.order("h0v0", "h0", "h1"))
        task = asyncio.ensure_future(bench.kernel.migrate(order))
        await asyncio.sleep(0.001)
        bench.kernel.hold("paused by ann")
        await task

    assert "paused by ann" in withheld(story)


class Doubtful(SimulatedHypervisor):
    """Hosts that cannot say whether they see a disk, and a libvirt that finds out that they do not."""

    async def examine(self, order: Order) -> Examination:
        return Examination((await super().examine(order)).refusals, "whether h1 sees vda was not known before")

    async def migrate(self, order: Order) -> Seconds | None:
        raise MigrationRefused("cannot access storage file", code=38, domain=18)


def test_what_an_examination_could_not_say_is_told_with_the_failure_that_may_be_due_to_it() -> None:
    async def story() -> None:
        bench = Bench(declared())
        order = await bench.write(bench.order("h0v0", "h0", "h1"))
        doubtful = Doubtful(list(bench.hypervisor.hosts.values()), bench.clock)
        bench.kernel = Kernel(doubtful, bench.controllers, bench.notices, bench.record, declared(), bench.clock)
        bench.tell()
        await bench.kernel.migrate(order)

    with pytest.raises(MigrationRefused) as caught:
        run_virtual(story())
    assert str(caught.value) == "cannot access storage file; whether h1 sees vda was not known before"
    assert (caught.value.code, caught.value.domain) == (38, 18)


def test_what_a_target_lacks_is_withheld_with_its_cure() -> None:
    async def story() -> None:
        bench = Bench(declared())
        bench.hypervisor.hosts[HostName("h1")].refuses = (Refusal(RefusalKind.STORAGE, "vda is not there"),)
        await bench.kernel.migrate(await bench.write(bench.order("h0v0", "h0", "h1")))

    assert withheld(story) == ("storage: vda is not there; cure: bring the same storage up there, at the same path; "
                               "then virsh pool-refresh there")


def test_an_undeclared_host_is_never_touched() -> None:
    async def story() -> None:
        bench = Bench(declared())
        await bench.kernel.migrate(await bench.write(bench.order("h0v0", "h0", "elsewhere")))

    assert "not a declared host" in withheld(story)


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


def test_hosts_that_a_run_before_began_to_empty_count_for_their_hour() -> None:
    async def story() -> None:
        bench, ledger, wall = Bench(declared(12)), Ledger(), VirtualClock().now().wall
        for number, policy in enumerate((*6 * ["failing"], "operator", "balance")):
            ledger.apply(ev.MigrationOrdered(
                wall - 1000.0, f"b-{number}", vm_id(f"v{number}"), "v", HostName(f"h{number}"), HostName("h11"),
                Bytes(GIB), 10, policy, "", wall, 1.0, routine=policy == "balance"))
            ledger.apply(ev.MigrationSettled(wall - 900.0, f"b-{number}", Ending.COMPLETED))
        bench.kernel.remember(ledger)
        await bench.kernel.migrate(await bench.write(bench.order("h5v0", "h5", "h10")))
        await bench.kernel.migrate(await bench.write(bench.order("h6v0", "h6", "h10")))

    assert "6 hosts began to be emptied within the hour, ceiling 6" in withheld(story)


def test_a_target_that_does_not_answer_withholds() -> None:
    async def story() -> None:
        bench = Bench(declared())
        bench.hypervisor.hang(HostName("h1"))
        await bench.kernel.migrate(await bench.write(bench.order("h0v0", "h0", "h1")))

    assert "host-unreachable" in withheld(story)


def test_aborts_and_bandwidths_need_their_own_records() -> None:
    async def story() -> None:
        bench = Bench(declared())
        with pytest.raises(Withheld, match="not-journalled"):
            await bench.kernel.abort(AbortOrder("t-1", vm_id("h0v0"), HostName("h0"), "test", 1))
        await bench.kernel.tune(TuneOrder("t-1", vm_id("h0v0"), HostName("h0"), HostName("h1"), 10, 1))

    assert "not-journalled" in withheld(story)


def test_a_bandwidth_over_the_ceiling_is_withheld() -> None:
    async def story() -> None:
        bench = Bench(declared(link_mib_s=100.0))
        await bench.kernel.migrate(await bench.write(bench.order("h0v0", "h0", "h1", bandwidth=81)))

    assert "ceiling 80" in withheld(story)


@pytest.mark.parametrize(("asked", "written", "wish", "no"), [
    (400, 300, None, "not-journalled"), (1001, 1001, None, "ceiling 1000"), (300, 300, 250, "its owner wants 250 at most"),
    (300, 300, 300, None)])
def test_a_standstill_is_allowed_as_written_under_the_ceiling_and_the_owners_wish(
        asked: int, written: int, wish: int | None, no: str | None) -> None:
    async def story() -> None:
        bench = Bench(declared())
        vm, h0 = vm_id("h0v0"), HostName("h0")
        bench.hypervisor.hosts[h0].vms[vm] = replace(bench.hypervisor.hosts[h0].vms[vm], downtime_max_ms=wish)
        bench.hypervisor.dirty_mib_s[vm] = 49.0
        order = replace(bench.order("h0v0", "h0", "h1"), downtime_ms=100)
        flying = asyncio.ensure_future(bench.kernel.migrate(await bench.write(order)))
        await asyncio.sleep(50.0)
        await bench.record.append(2, (ev.DowntimeOrdered(1.0, order.id, written, 900),))
        await bench.kernel.allow_downtime(DowntimeOrder(order.id, vm, h0, asked, 2))
        assert bench.hypervisor.downtime_of(vm) == asked
        flying.cancel()

    if no is None:
        run_virtual(story())
    else:
        assert no in withheld(story)


@pytest.mark.parametrize("now", [50, None])
def test_what_an_owner_wants_meanwhile_counts_also_after_a_restart(now: int | None) -> None:
    async def story() -> None:
        bench = Bench(declared())
        vm, h0 = vm_id("h0v0"), HostName("h0")
        bench.hypervisor.dirty_mib_s[vm] = 49.0
        order = replace(bench.order("h0v0", "h0", "h1"), downtime_ms=100)
        flying = asyncio.ensure_future(bench.kernel.migrate(await bench.write(order)))
        await asyncio.sleep(50.0)
        bench.kernel.release(order.id)
        ledger = Ledger()
        ledger.apply(ev.MigrationOrdered(0.0, order.id, vm, "h0v0", h0, HostName("h1"), order.move.memory, 50, "failing",
                                         "test", 300.0, 1.0))
        bench.kernel.adopt(ledger.migrations[order.id])
        here = bench.hypervisor.hosts[h0].vms
        here[vm] = replace(here[vm], downtime_max_ms=now)
        if now is None:
            here[vm] = replace(here[vm], pins=(Pin(PinKind.OPERATOR, "its definition cannot be read", "mend it"),))
        await bench.record.append(2, (ev.DowntimeOrdered(1.0, order.id, 300, 900),))
        await bench.kernel.allow_downtime(DowntimeOrder(order.id, vm, h0, 300, 2))
        flying.cancel()

    assert ("its owner wants 50 at most" if now else "cannot be read") in withheld(story)


def starting(bench: Bench, host: str, **changes: object) -> None:
    """Have h0v0 be defined on a host as is told."""
    vm = vm_id("h0v0")
    known = bench.hypervisor.hosts[HostName(host)].vms.get(vm) or bench.hypervisor.hosts[HostName("h0")].vms[vm]
    bench.hypervisor.hosts[HostName(host)].vms[vm] = replace(known, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(("starts", "noted", "no"), [
    (True, None, "starts with its host now"), (True, ev.AutostartNoted(0.0, "t-1", owed=True), "starts with its host now"),
    (False, ev.AutostartNoted(0.0, "t-1"), "does not start with its host any more"),
    (True, ev.AutostartNoted(0.0, "t-1"), None), (False, ev.AutostartNoted(0.0, "t-1", owed=True), None)])
def test_what_a_vm_loses_on_its_way_is_written_down_as_it_is_when_it_leaves(
        starts: bool, noted: ev.AutostartNoted | None, no: str | None) -> None:
    async def story() -> None:
        bench = Bench(declared())
        starting(bench, "h0", autostart=starts)
        order = await bench.write(bench.order("h0v0", "h0", "h1"))
        if noted is not None:
            await bench.record.append(1, (noted,))
        await bench.kernel.migrate(order)
        assert not bench.hypervisor.hosts[HostName("h1")].vms[vm_id("h0v0")].autostart

    if no is None:
        run_virtual(story())
    else:
        assert no in withheld(story)


@pytest.mark.parametrize(("host", "on", "shown", "written", "no"), [
    ("h1", True, {}, True, None), ("h1", True, {"autostart": True}, True, None), ("h1", True, {}, False, "not-journalled"),
    ("h1", True, {"persistent": False}, True, "not seen defined for good"),
    ("h1", True, {"job": JobKind.OUTGOING}, True, "outgoing job holds it"),
    ("h0", False, {"autostart": True, "state": VmState.SHUTOFF}, True, None),
    ("h0", False, {"autostart": True}, True, "is running on h0 again")])
def test_autostart_is_set_as_written_and_only_where_its_host_shows_it_so(
        host: str, on: bool, shown: dict[str, object], written: bool, no: str | None) -> None:
    async def story() -> None:
        bench = Bench(declared())
        starting(bench, host, **shown)
        if written:
            await bench.record.append(1, (ev.AutostartOrdered(0.0, "t-1", HostName(host), on),))
        await bench.kernel.set_autostart(AutostartOrder("t-1", vm_id("h0v0"), HostName(host), on, 1))
        assert bench.hypervisor.hosts[HostName(host)].vms[vm_id("h0v0")].autostart is on

    if no is None:
        run_virtual(story())
    else:
        assert no in withheld(story)


def test_no_autostart_is_set_while_the_kernel_is_held_nor_after_it_has_ended() -> None:
    async def story(last: ev.Event | None) -> None:
        bench = Bench(declared())
        await bench.record.append(1, (ev.AutostartOrdered(0.0, "t-1", HostName("h0"), on=True),))
        if last is None:
            bench.kernel.hold("paused by ann")
        else:
            await bench.record.append(2, (last,))
        await bench.kernel.set_autostart(AutostartOrder("t-1", vm_id("h0v0"), HostName("h0"), on=True, revision=1))

    assert "paused by ann" in withheld(lambda: story(None))
    assert "not-journalled" in withheld(lambda: story(ev.AutostartEnded(1.0, "t-1", restored=True)))


class Shelf:
    """Keeps definitions in memory, or nothing at all."""

    def __init__(self, *, is_full: bool = False) -> None:
        self.kept_of: dict[VmId, str] = {}
        self.is_full = is_full

    async def keep(self, vm: VmId, definition: str) -> None:
        if self.is_full:
            raise DefinitionNotKept("no space left on device")
        self.kept_of[vm] = definition

    async def kept(self, vm: VmId) -> KeptDefinition | None:
        return KeptDefinition(vm, 0.0, self.kept_of[vm]) if vm in self.kept_of else None

    async def drop(self, before_wall: float) -> int:
        return 0


@pytest.mark.parametrize(("is_full", "routine", "begins"), [(False, True, True), (True, True, False), (True, False, True)])
def test_what_a_vm_is_defined_as_is_kept_before_it_moves_and_only_who_has_to_leave_goes_without(
        is_full: bool, routine: bool, begins: bool) -> None:
    async def story() -> tuple[int, list[str], dict[VmId, str]]:
        shelf, conceded = Shelf(is_full=is_full), []
        bench = Bench(declared(), definitions=shelf)
        bench.kernel.concede = lambda _, reason: conceded.append(reason)
        order = bench.order("h0v0", "h0", "h1")
        order = await bench.write(replace(order, move=replace(order.move, routine=routine)))
        if begins:
            await bench.kernel.migrate(order)
        else:
            with pytest.raises(Withheld, match="its definition cannot be kept: no space left"):
                await bench.kernel.migrate(order)
        return bench.kernel.calls, conceded, shelf.kept_of

    calls, conceded, kept = run_virtual(story())
    assert calls == begins
    assert conceded == (["no space left on device"] if is_full and not routine else [])
    assert list(kept) == ([] if is_full else [vm_id("h0v0")])


async def _flying(bench: Bench) -> tuple[Order, asyncio.Future[None]]:
    """Begin a migration that may go into post-copy, and wait until it copies."""
    bench.hypervisor.dirty_mib_s[vm_id("h0v0")] = 49.0
    order = replace(bench.order("h0v0", "h0", "h1"), downtime_ms=100, post_copy=True)
    flying = asyncio.ensure_future(bench.kernel.migrate(await bench.write(order)))
    await asyncio.sleep(50.0)
    return order, flying


def _parting(order: Order) -> PostCopyOrder:
    return PostCopyOrder(order.id, order.move.vm, order.move.source, order.move.target, "because", 2)


@pytest.mark.parametrize(("spoil", "no"), [
    ("unwritten", "not-journalled"), ("held", "paused by anna"), ("owner", "its owner wants no post-copy"),
    ("unreadable", "is not seen running"), ("elsewhere", "is not seen arriving")])
def test_a_vm_goes_before_its_memory_only_as_written_and_while_all_allows_it(spoil: str, no: str) -> None:
    async def story() -> None:
        bench = Bench(declared())
        order, flying = await _flying(bench)
        vm = order.move.vm
        here, there = (bench.hypervisor.hosts[HostName(name)].vms for name in ("h0", "h1"))
        if spoil != "unwritten":
            await bench.record.append(2, (ev.PostCopyOrdered(1.0, order.id, "because"),))
        match spoil:
            case "held":
                bench.kernel.hold("paused by anna")
            case "owner":
                here[vm] = replace(here[vm], post_copy=False)
            case "unreadable":
                here[vm] = replace(here[vm], pins=(Pin(PinKind.OPERATOR, "its definition cannot be read", "mend it"),))
            case "elsewhere":
                there[vm] = replace(there[vm], state=VmState.RUNNING)
            case _:
                pass
        try:
            await bench.kernel.start_post_copy(_parting(order))
        finally:
            flying.cancel()

    assert no in withheld(story)


@pytest.mark.parametrize("by_a_pause", [False, True])
def test_post_copy_that_is_taken_back_while_both_ends_are_looked_at_does_not_begin(by_a_pause: bool) -> None:
    async def story() -> None:
        bench = Bench(declared())
        order, flying = await _flying(bench)
        await bench.record.append(2, (ev.PostCopyOrdered(1.0, order.id, "because"),))
        task = asyncio.ensure_future(bench.kernel.start_post_copy(_parting(order)))
        await asyncio.sleep(0.001)
        if by_a_pause:
            bench.kernel.hold("paused by ann")
        else:
            await bench.record.append(3, (ev.PostCopyWithdrawn(2.0, order.id, "its source is well"),))
        try:
            await task
        finally:
            assert bench.hypervisor.hosts[HostName("h0")].vms[order.move.vm].state is VmState.RUNNING
            flying.cancel()

    assert ("paused by ann" if by_a_pause else "not-journalled") in withheld(story)


def test_what_went_before_its_memory_is_not_called_off_any_more() -> None:
    async def story() -> None:
        bench = Bench(declared())
        order, flying = await _flying(bench)
        vm, h1 = order.move.vm, bench.hypervisor.hosts[HostName("h1")]
        await bench.record.append(2, (ev.PostCopyOrdered(1.0, order.id, "because"), ev.AbortOrdered(1.0, order.id, "late")))
        await bench.kernel.start_post_copy(_parting(order))
        assert h1.vms[vm].state is VmState.POSTCOPY
        with pytest.raises(Withheld, match="no way back"):
            await bench.kernel.abort(AbortOrder(order.id, vm, HostName("h0"), "late", 2))
        await flying
        assert h1.vms[vm].state is VmState.RUNNING
        assert vm not in bench.hypervisor.hosts[HostName("h0")].vms

    run_virtual(story())


def test_a_migration_is_not_prepared_for_post_copy_against_its_owner() -> None:
    async def story() -> None:
        bench = Bench(declared())
        here, vm = bench.hypervisor.hosts[HostName("h0")].vms, vm_id("h0v0")
        here[vm] = replace(here[vm], post_copy=False)
        await bench.kernel.migrate(await bench.write(replace(bench.order("h0v0", "h0", "h1"), post_copy=True)))

    assert "its owner wants no post-copy" in withheld(story)


@pytest.mark.parametrize(("downtime_ms", "no"), [(1001, "ceiling 1000"), (200, "its owner wants 150 ms")])
def test_an_order_that_lets_its_vm_stand_still_for_too_long_is_withheld(downtime_ms: int, no: str) -> None:
    async def story() -> None:
        bench = Bench(declared())
        vm, h0 = vm_id("h0v0"), HostName("h0")
        wish = 150 if downtime_ms < 1000 else None
        bench.hypervisor.hosts[h0].vms[vm] = replace(bench.hypervisor.hosts[h0].vms[vm], downtime_max_ms=wish)
        await bench.kernel.migrate(await bench.write(replace(bench.order("h0v0", "h0", "h1"), downtime_ms=downtime_ms)))

    assert no in withheld(story)
