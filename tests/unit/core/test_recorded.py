"""A diary of a few looks read again: whose doing it was that a VM is down, and what it is called then."""

from __future__ import annotations

import pytest

from ballastd.core.diary import Diary, Entry
from ballastd.core.inventory import DeclaredHost, HostInventory, VmRecord, VmState
from ballastd.core.quantities import Bytes, HostName, Instant, VmId
from ballastd.core.recorded import recorded
from ballastd.core.telemetry import Report, Sample
from tests.builders import GIB, vm_id

H1 = HostName("h1")
HOSTS = (DeclaredHost(H1, "test://h1", memory_limit=Bytes(64 * GIB)),)
X, OURS = vm_id("x"), frozenset({vm_id("x")})
BEGINS = 1_795_400_000.0


class Told:
    """What one run of a daemon after another wrote of one host."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.run(0.0)

    def run(self, seconds: float) -> Told:
        """Begin anew: what the run before remembered is lost."""
        self.diary = Diary(HOSTS)
        self.entries += self.diary.opening(at(seconds))
        return self

    def look(self, seconds: float, *vms: VmRecord, ours: frozenset[VmId] = frozenset()) -> Told:
        """Have the host be seen with these VMs."""
        seen = HostInventory(H1, at(seconds), at(seconds), Bytes(64 * GIB), Bytes(GIB), 16, vms, host_uuid="u")
        self.entries += self.diary.note((seen,), frozenset(), ours, at(seconds))
        return self

    def step(self, seconds: float, ours: frozenset[VmId] = frozenset()) -> Told:
        """Have a step be taken in which nobody was seen."""
        self.entries += self.diary.note((), frozenset(), ours, at(seconds))
        return self

    def acts(self) -> list[tuple[float, str, str]]:
        """Return what is replayed of VMs: when, what, and by which name."""
        return [(act.at, act.do, act.vm) for act in recorded(self.entries).acts if act.vm]


def at(seconds: float) -> Instant:
    return Instant(1000.0 + seconds, BEGINS + seconds, "boot")


def vm(name: str = "x", state: VmState = VmState.RUNNING) -> VmRecord:
    return VmRecord(X, name, state, Bytes(8 * GIB))


def down(name: str = "x") -> VmRecord:
    return vm(name, VmState.SHUTOFF)


def test_who_went_out_of_sight_and_is_down_by_our_doing_is_stopped_by_nobody() -> None:
    told = Told().look(0.0, vm()).look(400.0).look(430.0, down(), ours=OURS).step(1100.0, OURS)
    assert told.acts() == []


def test_who_went_out_of_sight_by_our_doing_and_has_to_stay_down_was_stopped_once() -> None:
    told = Told().look(0.0, vm()).look(400.0).look(430.0, down(), ours=OURS).step(1100.0, OURS).step(1200.0).step(1900.0)
    assert told.acts() == [(1200.0, "stop", "x")]


@pytest.mark.parametrize("ours", [OURS, frozenset()])
def test_what_was_our_doing_is_said_anew_by_each_run(ours: frozenset[VmId]) -> None:
    """A shutdown that is over was booked, and the daemon died before the diary heard of it."""
    told = Told().look(0.0, vm()).step(1000.0, OURS).look(1030.0, down(), ours=OURS).look(2000.0, vm(), ours=OURS)
    told.run(2010.0).step(2010.0, ours).look(2012.0, vm(), ours=ours)
    told.look(3000.0, down(), ours=ours).step(4000.0, ours)
    assert told.acts() == ([] if ours else [(3000.0, "stop", "x")])


def test_who_is_down_by_our_doing_is_not_stopped_by_a_new_run_that_does_not_see_him_at_first() -> None:
    told = Told().look(0.0, vm()).step(1000.0, OURS).look(1030.0, down(), ours=OURS)
    told.run(1100.0).step(1100.0, OURS).step(2000.0, OURS)
    assert told.acts() == []


def test_a_new_day_says_that_nobody_is_down_by_our_doing() -> None:
    told = Told().look(0.0, vm())
    assert [entry["kind"] for entry in told.diary.opening(at(10.0))] == ["begin", "ours", "host"]


def test_who_runs_on_keeps_his_name_though_he_was_renamed_meanwhile() -> None:
    told = Told().look(0.0, vm()).step(1000.0, OURS).look(1030.0, down(), ours=OURS)
    told.look(2000.0, vm("x-new"), ours=OURS).step(2001.0)
    told.entries.append({"at": at(2500.0).wall, "kind": "use", "host": H1, "use": {"x-new": 1.5}})
    told.entries.append({"at": at(2600.0).wall, "kind": "use", "host": H1, "use": {"x-new": 0.5}})
    told.look(3000.0, down("x-new"))
    assert told.acts() == [(2600.0, "burn", "x"), (3000.0, "stop", "x")]


def test_who_is_stopped_and_renamed_between_two_looks_is_stopped_by_his_name_and_started_by_the_new_one() -> None:
    told = Told().look(0.0, vm()).look(1000.0, down("x-new")).look(2000.0, vm("x-new")).look(3000.0, down("x-new"))
    assert told.acts() == [(1000.0, "stop", "x"), (2000.0, "start", "x-new"), (3000.0, "stop", "x-new")]


@pytest.mark.parametrize(("high", "critical"), [(80.0, 95.0), (80.0, None), (None, 95.0), (None, None)])
def test_a_sensor_keeps_its_own_limits(high: float | None, critical: float | None) -> None:
    told = Told().look(1.0, vm())
    warm = Report(H1, "boot", 1, at(2.0).wall, 10.0, (Sample("temperature", 85.0, "inlet", high, critical),), at(2.0))
    told.entries += told.diary.note((warm,), frozenset(), frozenset(), at(2.0))
    [act] = [act for act in recorded(told.entries).acts if act.do == "reading"]
    assert (act.subject, act.value, act.high, act.critical) == ("inlet", 85.0, high, critical)
