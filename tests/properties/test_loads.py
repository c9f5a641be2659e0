"""What is reckoned for all VMs at once is what the plain way finds, look by look."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ballastd.core.inventory import HostInventory, VmRecord, VmState, VmUsage
from ballastd.core.loads import Loads
from ballastd.core.quantities import GIB, MIB, Bytes, HostName, Instant, Seconds, VmId
from tests.plain_loads import PlainLoads

WINDOW = 300.0
HOSTS = tuple(HostName(name) for name in ("h1", "h2", "h3"))
EVERYBODY = tuple(VmId(f"vm-{number}") for number in range(13))


class World:
    """Machines that come, burn, move, start anew and go; and looks at them, some late, some at both ends."""

    def __init__(self, seed: int) -> None:
        self.luck, self.at = Random(seed), 0.0
        self.homes: dict[VmId, HostName] = {}
        self.spent: dict[VmId, float] = {}
        self.carried: dict[VmId, int] = {}
        self.states: dict[VmId, VmState] = {}
        self.records: dict[HostName, tuple[VmRecord, ...]] = {}
        self.late: list[HostInventory] = []

    def turn(self, seconds: float) -> None:
        self.at += seconds
        for vm in list(self.homes):
            if self.states[vm].runs:
                self.spent[vm] += seconds * self.luck.choice((0.0, 0.5, 2.0, 4.0))
                self.carried[vm] = self.carried.get(vm, 0) + int(seconds * self.luck.choice((0, 1, 80))) * MIB
            self._befall(vm, self.luck.random())
        if len(self.homes) < 6 and self.luck.random() < 0.2:
            vm = VmId(f"vm-{self.luck.randrange(12)}")
            if vm not in self.homes:
                self.homes[vm], self.spent[vm], self.carried[vm] = self.luck.choice(HOSTS), 0.0, 0
                self.states[vm] = VmState.RUNNING

    def _befall(self, vm: VmId, chance: float) -> None:
        if chance < 0.02:
            self.homes[vm], self.spent[vm], self.carried[vm] = self.luck.choice(HOSTS), 0.0, 0
        elif chance < 0.03:
            # one of its interfaces goes, or all of them
            self.spent[vm], self.carried[vm] = 0.0, self.carried.get(vm, 0) // self.luck.choice((1, 2, 1 << 60))
        elif chance < 0.04:
            self.states[vm] = self.luck.choice((VmState.PAUSED, VmState.RUNNING, VmState.SHUTOFF, VmState.POSTCOPY))
        elif chance < 0.045:
            del self.homes[vm]

    def look(self, host: HostName) -> HostInventory:
        records = tuple(VmRecord(vm, vm, self.states[vm], Bytes(GIB)) for vm in sorted(self.homes) if self.homes[vm] == host)
        # the mind keeps the records of before where they are the same
        records = self.records[host] = self.records[host] if records == self.records.get(host) else records
        usage = {r.vm: VmUsage(self.spent[r.vm], network_bytes=self.carried[r.vm] if self.luck.random() < 0.97 else None)
                 for r in records if self.luck.random() < 0.98}
        begun = Instant(self.at - self.luck.choice((0.0, 1.0)), self.at)
        return HostInventory(host, begun, Instant(self.at, self.at), Bytes(9 * GIB), Bytes(0), 16, records, usage=usage)

    def looks(self) -> list[HostInventory]:
        found = [self.look(host) for host in HOSTS if self.luck.random() < 0.9]
        self.luck.shuffle(found)
        self.late += [one for one in found if self.luck.random() < 0.05]
        while self.late and self.luck.random() < 0.3:
            found.append(self.late.pop())
        return found


def same(one: float | None, other: float | None) -> bool:
    return one == other if one is None or other is None else one == pytest.approx(other, rel=1e-9, abs=1e-9)


def play(seed: int, turns: int, pace: tuple[float, ...]) -> tuple[int, int]:
    """Return how often VMs were compared, and how many of them had been busier than they are."""
    compared, told, asked = 0, 0, 0.0
    world, loads, plain = World(seed), Loads(Seconds(WINDOW), counts_network=True), PlainLoads(WINDOW)
    network = PlainLoads(WINDOW, lambda usage: None if usage.network_bytes is None else usage.network_bytes / MIB,
                         falls_to_zero=False)
    newest: dict[HostName, HostInventory] = {}
    for _ in range(turns):
        world.turn(world.luck.choice(pace))
        for look in world.looks():
            loads.see(look)
            plain.see(look)
            network.see(look)
            newest[look.host] = look
        if world.luck.random() < 0.5:
            continue  # what is not asked for waits
        asked = max(asked, world.at + world.luck.choice((0.0, 0.0, 100.0, 149.0, 200.0)))  # this clock never goes back
        now = Instant(asked, world.at)
        cpu, peak = loads.columns(EVERYBODY, now)
        for columns, by in (((cpu, peak), plain), (loads.network(EVERYBODY, now) or (), network)):
            for vm, used, most in zip(EVERYBODY, *(column.tolist() for column in columns), strict=True):
                wanted = by.cpu(vm, now.monotonic), by.peak(vm, now.monotonic)
                for found, one in zip((used, most), wanted, strict=True):
                    assert same(None if found != found else found, one), (seed, world.at, vm, found, one)
                compared += 1
                told += wanted[1] is not None and wanted[1] != wanted[0]
        if world.luck.random() < 0.1:
            assert all(same(loads.cpu(vm, now), plain.cpu(vm, now.monotonic)) for vm in EVERYBODY)
        for look in newest.values():
            found, without = loads.by_vms(look, now)
            known, unknown = plain.by_vms(look, now.monotonic)
            assert without == unknown
            assert same(found, known)
        if world.luck.random() < 0.1:
            kept = {record.vm for look in newest.values() for record in look.vms}
            loads.forget_others(kept)
            plain.forget_others(kept)
            network.forget_others(kept)
    return compared, told


@given(st.integers(0, 1_000_000))
@settings(max_examples=60)
def test_what_vms_use_is_what_the_plain_way_finds(seed: int) -> None:
    compared, _ = play(seed, 150, (0.0, 1.0, 5.0, 10.0, 10.0, 10.0, 60.0, 400.0))
    assert compared > 0


def test_peaks_over_hours_are_what_the_plain_way_finds() -> None:
    assert play(7, 900, (100.0, 120.0))[1] > 100


def test_what_was_busy_the_day_before_yesterday_is_not_its_peak() -> None:
    loads, vm, spent = Loads(Seconds(WINDOW)), VmId("vm-0"), 0.0
    for at in range(0, 2 * 86400 + 3600, 100):
        spent += 100 * (4.0 if at < 86400 else 1.0)
        now, record = Instant(float(at), float(at)), VmRecord(vm, vm, VmState.RUNNING, Bytes(GIB))
        loads.see(HostInventory(HOSTS[0], now, now, Bytes(9 * GIB), Bytes(0), 16, (record,), usage={vm: VmUsage(spent)}))
        if at in (86400, 2 * 86400, 2 * 86400 + 3000):
            cpu, peak = loads.columns((vm,), now)
            assert peak[0] == pytest.approx(4.0 if at == 86400 else 1.0, abs=0.01), at
            assert cpu[0] == pytest.approx(4.0 if at == 86400 else 1.0, abs=1.1)


@given(st.integers(0, 1_000_000))
@settings(max_examples=12)
def test_hours_of_the_day_are_what_the_plain_way_finds(seed: int) -> None:
    luck, loads, plain = Random(seed), Loads(Seconds(WINDOW)), PlainLoads(WINDOW)
    at, ahead = float(luck.randrange(9_000_000)), float(luck.randrange(90_000))
    spent, home = dict.fromkeys(EVERYBODY[:3], 0.0), 0
    for _ in range(luck.choice((500, 1200))):
        # somebody looks away now and then, moves a VM, sets the clock
        step = luck.choice((60.0, 100.0, 150.0)) if luck.random() < 0.995 else luck.choice((700.0, 4000.0, 30_000.0))
        at += step
        ahead += luck.choice((-7200.0, 300.0, 86400.0)) if luck.random() < 0.003 else 0.0
        home = (home + 1) % 3 if luck.random() < 0.01 else home
        for vm in spent:
            spent[vm] = (0.0 if luck.random() < 0.002 else spent[vm]) + step * luck.choice((0.1, 0.2, 4.0))
        now = Instant(at, at + ahead)
        records = tuple(VmRecord(vm, vm, VmState.RUNNING, Bytes(GIB)) for vm in spent)
        look = HostInventory(HOSTS[home], now, now, Bytes(9 * GIB), Bytes(0), 16, records,
                             usage={vm: VmUsage(used) for vm, used in spent.items() if luck.random() < 0.99})
        loads.see(look)
        plain.see(look)
        if luck.random() < 0.02:
            hours = loads.hours(EVERYBODY, now)
            for row, vm in enumerate(EVERYBODY):
                wanted = plain.hours(vm, ahead)
                assert (hours[row] != hours[row]).all() if wanted is None else hours[row].tolist() == pytest.approx(
                    wanted, rel=1e-5), (seed, at, vm)


def seen_by_day(loads: Loads, days: float, ahead: float = 0.0, missing: tuple[float, float] = (0.0, 0.0)) -> Instant:
    """Have one VM use 4 processors from nine to ten o'clock and half a one else; nobody looks in the hours between."""
    spent, vm = 0.0, VmId("vm-0")
    record = VmRecord(vm, vm, VmState.RUNNING, Bytes(GIB))
    for at in range(0, int(days * 86400), 60):
        spent += 60 * (4.0 if (at + ahead) % 86400 // 3600 == 9 else 0.5)
        if not missing[0] * 3600 <= at % 86400 < missing[1] * 3600:
            now = Instant(float(at), at + ahead)
            loads.see(HostInventory(HOSTS[0], now, now, Bytes(9 * GIB), Bytes(0), 16, (record,), usage={vm: VmUsage(spent)}))
    return now


@pytest.mark.parametrize("ahead", [0.0, 20.5 * 3600, 1.7e9])
def test_a_day_is_known_by_its_hours_wherever_it_begins(ahead: float) -> None:
    loads = Loads(Seconds(WINDOW))
    hours = loads.hours((VmId("vm-0"),), seen_by_day(loads, 1.1, ahead))[0]
    assert hours[9] == pytest.approx(4.0, abs=0.01)
    assert [hours[hour] for hour in range(24) if hour not in (8, 9, 10)] == pytest.approx([0.5] * 21)


def test_less_than_a_day_is_nothing() -> None:
    loads = Loads(Seconds(WINDOW))
    found = loads.hours((VmId("vm-0"), VmId("stranger")), seen_by_day(loads, 0.85))
    assert (found != found).all()


def test_an_hour_in_which_nobody_looked_counts_as_the_busiest_and_three_make_a_day_unknown() -> None:
    one, three, vm = Loads(Seconds(WINDOW)), Loads(Seconds(WINDOW)), (VmId("vm-0"),)
    hours = one.hours(vm, seen_by_day(one, 2.0, missing=(15.0, 16.0)))[0]
    assert hours[15] == pytest.approx(4.0, abs=0.01)
    assert hours[14] == pytest.approx(0.5)
    found = three.hours(vm, seen_by_day(three, 2.0, missing=(15.0, 18.0)))
    assert (found != found).all()


def test_who_comes_back_after_more_than_two_hours_has_no_whole_last_day() -> None:
    loads, vm = Loads(Seconds(WINDOW)), VmId("vm-0")
    at = seen_by_day(loads, 2.0).monotonic
    record = VmRecord(vm, vm, VmState.RUNNING, Bytes(GIB))
    hours = loads.hours((vm,), Instant(at, at))
    assert (hours == hours).all()
    # it was off, or nobody looked
    for later in range(12_000, 13_800, 60):
        now = Instant(at + later, at + later)
        usage = {vm: VmUsage(1e6 + later)}
        loads.see(HostInventory(HOSTS[0], now, now, Bytes(9 * GIB), Bytes(0), 16, (record,), usage=usage))
        found = loads.hours((vm,), now)
        assert (found != found).all(), later


def test_a_clock_that_is_set_tells_the_hours_of_before_anew() -> None:
    loads, vm = Loads(Seconds(WINDOW)), (VmId("vm-0"),)
    now = seen_by_day(loads, 1.2)
    assert loads.hours(vm, now)[0].argmax() == 9
    assert loads.hours(vm, Instant(now.monotonic, now.wall + 3 * 3600.0))[0].argmax() == 12
    assert loads.hours(vm, Instant(now.monotonic, now.wall + 3 * 3600.0 + 30.0))[0].argmax() == 12
