"""What the libvirt adapter does beyond the contract: disks, hangs, restarts, strangers, and its own threads."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from ballastd.core.inventory import JobKind, PinKind, VmState
from ballastd.core.plans import RefusalKind
from ballastd.core.policies import ClusterDeclaration
from ballastd.errors import MigrationAborted, MigrationFailed, MigrationRefused, Unreachable
from ballastd.ports.hosts import HostChange, HostHint
from tests.contracts.lab_world import OPTIONS, LibvirtWorld, declaration
from tests.contracts.test_hypervisor import found, moving, until_back, until_copying
from tests.contracts.worlds import H1, H2, an_order
from tests.integration.libvirt_parts import Tell, until
from tests.lab import Lab, missing
from tests.lab.network import CONTROLLER_ADDRESS

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(bool(missing()), reason=f"NO LAB, REAL HOSTS ARE NOT TESTED: {missing()}"),
]


DOCUMENTED_ORDERS = [shlex.split(line, comments=True)[1:] for line in (ROOT / "docs/libvirt.md").read_text().splitlines()
                     if line.startswith("virsh metadata web-1 ")]

def libvirt_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if "libvirt" in thread.name]


@contextlib.asynccontextmanager
async def listening(world: LibvirtWorld) -> AsyncIterator[list[HostHint]]:
    """Yield the list that hints are added to."""
    heard: list[HostHint] = []

    async def listen() -> None:
        async for hint in world.hypervisor.hints():
            heard.append(hint)  # noqa: PERF401  it never ends, and is read meanwhile

    task = asyncio.create_task(listen())
    try:
        yield heard
    finally:
        task.cancel()


@pytest.mark.parametrize(("disk", "pinned"), [
    (None, []), ("locked", []), ("shareable", [PinKind.DISK_UNLOCKED]), ("nbd", [PinKind.DISK_UNLOCKED])])
def test_a_disk_pins_unless_its_lock_is_vouched_for(tell: Tell, disk: str | None, pinned: list[PinKind]) -> None:
    async def story(world: LibvirtWorld) -> None:
        vm = await world.start_guest(H1, memory_mib=8, disk=disk)
        record = await found(world, H1, vm)
        assert record is not None
        assert [pin.kind for pin in record.pins] == pinned
        refusals = (await world.hypervisor.examine(an_order(vm))).refusals
        assert [refusal.kind for refusal in refusals] == [RefusalKind.VM_PINNED] * len(pinned)

    tell(story)


def test_a_disk_that_nobody_vouched_for_pins(lab: Lab, tell: Tell) -> None:
    async def story(world: LibvirtWorld) -> None:
        vm = await world.start_guest(H1, memory_mib=8, disk="locked")
        record = await found(world, H1, vm)
        assert record is not None
        assert [pin.kind for pin in record.pins] == [PinKind.DISK_UNLOCKED]

    hosts = tuple(replace(host, vouched_storage=()) for host in declaration(lab).hosts)
    tell(story, cluster=ClusterDeclaration(hosts))


def test_a_network_disk_that_is_vouched_for_is_moved(lab: Lab, tell: Tell) -> None:
    async def story(world: LibvirtWorld) -> None:
        vm = await world.start_guest(H1, memory_mib=8, disk="nbd")
        record = await found(world, H1, vm)
        assert record is not None
        assert record.pins == ()
        assert (await world.hypervisor.examine(an_order(vm))).refusals == ()
        await world.hypervisor.migrate(an_order(vm))
        assert await found(world, H2, vm) is not None

    hosts = tuple(replace(host, vouched_storage=(f"nbd:{CONTROLLER_ADDRESS}/d",)) for host in declaration(lab).hosts)
    tell(story, cluster=ClusterDeclaration(hosts))


def test_a_guest_with_a_locked_disk_takes_its_lock_along(tell: Tell) -> None:
    async def story(world: LibvirtWorld) -> None:
        vm = await world.start_guest(H1, memory_mib=8, disk="locked")
        await world.hypervisor.migrate(an_order(vm))
        arrived = await found(world, H2, vm)
        assert arrived is not None
        assert arrived.state is VmState.RUNNING

    tell(story)


def test_without_the_laboratory_switch_unsafe_disks_are_refused(tell: Tell) -> None:
    async def story(world: LibvirtWorld) -> None:
        vm = await world.start_guest(H1, memory_mib=8, disk="locked")
        with pytest.raises(MigrationRefused) as refused:
            await world.hypervisor.migrate(an_order(vm))
        assert refused.value.code == 81
        stayed = await found(world, H1, vm)
        assert stayed is not None
        assert stayed.state is VmState.RUNNING

    tell(story, unsafe=False)


def test_an_owners_metadata_pins_and_sets_the_priority(tell: Tell) -> None:
    async def story(world: LibvirtWorld) -> None:
        wish = "<b:ballastd xmlns:b='https://ballastd.org/1' pinned='yes' priority='7'/>"
        vm = await world.start_guest(H1, memory_mib=8, metadata=wish)
        record = await found(world, H1, vm)
        assert record is not None
        assert ([pin.kind for pin in record.pins], record.priority) == ([PinKind.OPERATOR], 7)

    tell(story)


def test_an_owners_words_are_read_and_a_change_is_seen_at_the_next_look(tell: Tell) -> None:
    async def story(world: LibvirtWorld) -> None:
        words = "<ballastd xmlns='https://ballastd.org/1' tags='web, prod, no name, web' group='shop' priority='3'/>"
        vm = await world.start_guest(H1, memory_mib=8, metadata=words)
        record = await found(world, H1, vm)
        assert record is not None
        assert (record.tags, record.group, record.priority, record.ignored) == (("prod", "web"), "shop", 3, False)
        change, show, remove = ([word.replace("web-1", vm) for word in order] for order in DOCUMENTED_ORDERS)
        world.lab.hosts[H1].virsh(*change)
        assert "db, prod" in world.lab.hosts[H1].virsh(*show)
        record = await found(world, H1, vm)
        assert record is not None
        assert (record.tags, record.group, record.priority, record.ignored) == (("db", "prod"), "shop", 0, True)
        world.lab.hosts[H1].virsh(*remove)
        record = await found(world, H1, vm)
        assert record is not None
        assert (record.tags, record.group, record.ignored) == ((), "", False)

    tell(story)


def test_an_owners_words_go_with_the_vm(tell: Tell) -> None:
    async def story(world: LibvirtWorld) -> None:
        words = "<ballastd xmlns='https://ballastd.org/1' tags='web' group='shop'/>"
        vm = await world.start_guest(H1, memory_mib=8, metadata=words)
        await world.hypervisor.migrate(an_order(vm))
        arrived = await found(world, H2, vm)
        assert arrived is not None
        assert (arrived.tags, arrived.group) == (("web",), "shop")

    tell(story)


def test_a_snapshot_pins(tell: Tell) -> None:
    async def story(world: LibvirtWorld) -> None:
        vm = await world.start_guest(H1, memory_mib=8, persistent=True, disk="locked")
        name = world.guests[vm].name
        world.lab.hosts[H1].virsh("snapshot-create-as", name, "s", "--disk-only", "--diskspec", "vda,snapshot=no")
        record = await found(world, H1, vm)
        assert record is not None
        assert PinKind.SNAPSHOT in [pin.kind for pin in record.pins]
        kinds = {refusal.kind for refusal in (await world.hypervisor.examine(an_order(vm))).refusals}
        assert kinds == {RefusalKind.VM_PINNED}
        world.lab.hosts[H1].virsh("snapshot-delete", name, "s", "--metadata")

    tell(story)


def test_a_paused_or_busy_guest_is_said_to_be_so(tell: Tell) -> None:
    async def story(world: LibvirtWorld) -> None:
        vm = await world.start_guest(H1, memory_mib=64)
        world.lab.hosts[H1].virsh("suspend", vm)
        record = await found(world, H1, vm)
        assert record is not None
        assert (record.state, record.reason) == (VmState.PAUSED, "3/1")
        assert [r.kind for r in (await world.hypervisor.examine(an_order(vm))).refusals] == [RefusalKind.VM_NOT_RUNNING]
        world.lab.hosts[H1].virsh("resume", vm)
        async with moving(world, vm):
            assert [r.kind for r in (await world.hypervisor.examine(an_order(vm))).refusals] == [RefusalKind.VM_BUSY]
            await world.hypervisor.abort(H1, vm)

    tell(story)


def test_another_vm_with_the_same_name_at_the_target_is_seen(tell: Tell) -> None:
    async def story(world: LibvirtWorld) -> None:
        vm = await world.start_guest(H1, memory_mib=8)
        name = world.guests[vm].name
        definition = world.lab.book.definition(name).read_text().replace(vm, "12345678-1234-4234-8234-123456789abc")
        namesake = world.lab.plan.path / "namesake.xml"
        namesake.write_text(definition)
        world.lab.hosts[H2].virsh("define", str(namesake))
        try:
            refusals = (await world.hypervisor.examine(an_order(vm))).refusals
            assert [refusal.kind for refusal in refusals] == [RefusalKind.IDENTITY]
            assert name in refusals[0].detail
            with pytest.raises(MigrationRefused):
                await world.hypervisor.migrate(an_order(vm))
        finally:
            world.lab.hosts[H2].virsh("undefine", name)

    tell(story)


def test_shut_off_definitions_are_part_of_the_inventory(tell: Tell) -> None:
    async def story(world: LibvirtWorld) -> None:
        guest = world.lab.define_guest(H1, "off", 8)
        try:
            seen = await world.hypervisor.inventory(H1)
            assert [(r.name, r.state, r.job) for r in seen.vms] == [("off", VmState.SHUTOFF, JobKind.NONE)]
            assert not seen.usage
        finally:
            world.lab.stop_guest(guest)

    tell(story)


def test_a_warm_look_at_a_host_is_quick(tell: Tell) -> None:
    async def story(world: LibvirtWorld) -> None:
        for _ in range(5):
            await world.start_guest(H1, memory_mib=4, beating=False)
        await world.hypervisor.inventory(H1)
        took = []
        for _ in range(20):
            begun = time.perf_counter()
            assert len((await world.hypervisor.inventory(H1)).vms) == 5
            took.append(time.perf_counter() - begun)
        assert min(took) < 0.1  # 6 ms on an idle machine; a busy one lets one of them through

    tell(story)


def test_a_caller_that_leaves_does_not_take_its_connection_from_the_job(tell: Tell) -> None:
    async def story(world: LibvirtWorld) -> None:
        vm = await world.start_guest(H1, persistent=True)
        caller = asyncio.create_task(world.hypervisor.migrate(an_order(vm, bandwidth_mib_s=32)))
        await until_copying(world, H1, vm)
        caller.cancel()
        async with asyncio.timeout(10.0):
            while (arrived := await found(world, H2, vm)) is None or not arrived.state.runs:
                await asyncio.sleep(0.1)
        assert arrived.persistent

    tell(story)


def test_a_hung_libvirtd_leaves_no_call_behind_once_it_goes_on(tell: Tell) -> None:
    async def story(world: LibvirtWorld) -> None:
        await world.hypervisor.inventory(H2)
        await world.hang(H2)
        for _ in range(3):
            with pytest.raises(Unreachable):
                await world.hypervisor.inventory(H2)
        assert world.lanes.abandoned() > 0
        await world.heal(H2)
        assert (await until_back(world, H2)).complete
        await until(lambda: world.lanes.abandoned() == 0)
        await until(lambda: world.hypervisor.counters()["libvirt_connections_abandoned"] == 0)

    tell(story)


def test_attempts_on_a_hung_libvirtd_grow_rare_and_its_return_is_noticed(tell: Tell) -> None:
    async def story(world: LibvirtWorld) -> None:
        await until_back(world, H2)  # opening takes longer than half a second where others run beside it
        await world.hang(H2)
        await asyncio.sleep(6.0)
        assert world.lanes.abandoned() <= 4  # attempts every 0.4 s would have been 15
        await world.heal(H2)
        begun = time.monotonic()
        await until_back(world, H2)
        assert time.monotonic() - begun < 2.0

    tell(story, call_deadline_s=0.5, open_deadline_s=0.5, reconnect_max_s=4.0)


def test_a_guest_whose_emulator_hangs_does_not_hide_its_host(tell: Tell) -> None:
    async def story(world: LibvirtWorld) -> None:
        vm, other = await world.start_guest(H1, memory_mib=64), await world.start_guest(H1, memory_mib=8)
        host, name = world.lab.hosts[H1], world.guests[vm].name
        async with moving(world, vm) as task:
            host.stop_qemu(name)
            with pytest.raises(Unreachable, match="no answer"):  # the one question that hangs
                await world.hypervisor.progress(H1, vm)
            await asyncio.sleep(0.3)  # back-off
            begun = time.monotonic()
            with pytest.raises(Unreachable, match="emulator"):
                await world.hypervisor.progress(H1, vm)
            seen = await world.hypervisor.inventory(H1)
            assert time.monotonic() - begun < 1.0
            assert seen.complete
            hung, well = seen.find(vm), seen.find(other)
            assert hung is not None
            assert well is not None
            assert (hung.job, well.job) == (JobKind.UNKNOWN, JobKind.NONE)
            host.cont_qemu(name)
            await until_copying(world, H1, vm)
            await world.hypervisor.set_bandwidth(H1, vm, 200)
            await task
        assert await found(world, H2, vm) is not None

    tell(story)


def test_a_guest_that_may_be_slowed_down_is_slowed_down(lab: Lab, tell: Tell) -> None:
    async def story(world: LibvirtWorld) -> None:
        vm = await world.start_guest(H1, memory_mib=64)
        await world.keep_busy(vm)
        order = replace(an_order(vm, memory_mib=64, bandwidth_mib_s=16), auto_converge=True, downtime_ms=100)
        task = asyncio.create_task(world.hypervisor.migrate(order))
        async with asyncio.timeout(60.0):
            while "Auto converge throttle" not in lab.hosts[H1].virsh("domjobinfo", vm):
                await asyncio.sleep(0.5)
        await world.hypervisor.abort(H1, vm)
        with pytest.raises((MigrationAborted, MigrationFailed)):
            await task
        # whoever migrates it next has what was there before
        assert lab.hosts[H1].virsh("migrate-getmaxdowntime", vm).strip() == "300"

    tell(story)


def test_a_restarted_libvirtd_is_heard_again(tell: Tell) -> None:
    async def story(world: LibvirtWorld) -> None:
        async with listening(world) as heard:
            await world.hypervisor.inventory(H1)
            await world.kill(H1)
            await until(lambda: any((h.host, h.change) == (H1, HostChange.DISCONNECTED) for h in heard))
            before = len(heard)
            await world.heal(H1)
            await until(lambda: any((h.host, h.change) == (H1, HostChange.CONNECTED) for h in heard[before:]))
            vm = await world.start_guest(H1, memory_mib=8)
            await until(lambda: any(h.vm == vm for h in heard))
            assert {(h.host, h.change) for h in heard if h.vm == vm} == {(H1, HostChange.LIFECYCLE)}

    tell(story)


def test_two_names_for_one_machine_are_found_out(lab: Lab, tell: Tell) -> None:
    async def story(world: LibvirtWorld) -> None:
        answers = await asyncio.gather(
            *(world.hypervisor.inventory(host) for host in (H1, H2)), return_exceptions=True)
        refused = [answer for answer in answers if isinstance(answer, Unreachable)]
        assert len(refused) == 1
        assert "same machine under two names" in str(refused[0])

    first, second = declaration(lab).hosts
    tell(story, cluster=ClusterDeclaration((first, replace(second, uri=first.uri))))


@pytest.mark.parametrize(("uri", "words"), [
    ("qemu+tls://{address}/system", "refused"),
    ("qemu+tcp://{address}:1/system", "refused"),
    ("qemu+tcp://nowhere.invalid/system", "nowhere.invalid"),
    ("qemu+tcp://{address}:99999/system", "ort"),
    ("qemu+tcp://{address}/elsewhere", "URI path"),
    ("qemu+carrier-pigeon://{address}/system", "transport"),
    ("nonsense", "no connection driver"),
])
def test_a_uri_that_leads_nowhere_gives_a_reason_in_time(lab: Lab, tell: Tell, uri: str, words: str) -> None:
    async def story(world: LibvirtWorld) -> None:
        begun = time.monotonic()
        with pytest.raises(Unreachable, match=words):
            await world.hypervisor.inventory(H2)
        assert time.monotonic() - begun < OPTIONS.open_deadline_s + 1.0
        assert (await world.hypervisor.inventory(H1)).complete

    first, second = declaration(lab).hosts
    tell(story, cluster=ClusterDeclaration((first, replace(second, uri=uri.format(address=lab.hosts["h2"].address)))))


def test_credentials_that_are_missing_give_a_reason(lab: Lab, tell: Tell) -> None:
    """libvirtd asks for a password, which nobody gave us."""
    async def story(world: LibvirtWorld) -> None:
        with pytest.raises(Unreachable, match=r"(?i)auth"):
            await world.hypervisor.inventory(H2)

    host = lab.hosts["h2"]
    settings = host.home / "etc/libvirtd.conf"
    before = settings.read_text()
    settings.write_text(before.replace('auth_tcp = "none"', 'auth_tcp = "sasl"'))
    try:
        host.power_off()
        host.power_on()
        tell(story)
    finally:
        settings.write_text(before)
        host.power_off()
        host.power_on()


def test_our_threads_are_daemons_and_end_with_us(lab: Lab, tell: Tell) -> None:
    async def story(world: LibvirtWorld) -> None:
        await world.hypervisor.inventory(H1)
        assert libvirt_threads()
        assert all(thread.daemon for thread in libvirt_threads())

    tell(story)
    deadline = time.monotonic() + 5.0
    while lanes := [thread.name for thread in libvirt_threads() if thread.name != "libvirt-events"]:
        assert time.monotonic() < deadline, lanes
        time.sleep(0.05)


EXIT = """
import asyncio, sys, structlog
from ballastd.adapters.blocking import Lanes
from ballastd.adapters.clock import SystemClock
from ballastd.adapters.libvirt.hypervisor import LibvirtHypervisor
from tests.contracts.lab_world import OPTIONS, declaration
from tests.lab import Lab

structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))

async def main():
    lab = Lab.attach({name!r})
    lanes = Lanes()
    hypervisor = LibvirtHypervisor(declaration(lab), lanes, SystemClock(), OPTIONS)
    await hypervisor.start()
    await hypervisor.inventory("h2")
    lab.hosts["h2"].hang_libvirtd()
    hanging = asyncio.create_task(hypervisor.inventory("h2"))
    await asyncio.sleep(0.3)
    print("hanging", flush=True)
    if {orderly}:
        await hypervisor.close()
        await lanes.close()

asyncio.run(main())
print("out", flush=True)
"""


@pytest.mark.parametrize("orderly", [True, False])
def test_a_process_ends_at_once_though_a_host_hangs(lab: Lab, orderly: bool) -> None:
    code = EXIT.format(name=lab.plan.name, orderly=orderly)
    try:
        with subprocess.Popen([*lab.exec_prefix(), sys.executable, "-c", code], cwd=ROOT, text=True,
                              stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "hanging\n"
            begun = time.monotonic()
            assert process.wait(timeout=20) == 0
            took = time.monotonic() - begun
            assert process.stdout.read() == "out\n"
    finally:
        lab.hosts["h2"].resume_libvirtd()
    assert took < 2.5
