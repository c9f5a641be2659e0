"""What is kept from one step to the next, or left out of one, is given up as soon as it no longer holds: each shortcut
against the one thing that ends it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ballastd.core import events as ev
from ballastd.core.inputs import Verb
from ballastd.core.inventory import HostInventory, JobKind, Pin, PinKind, VmRecord, VmState, VmUsage
from ballastd.core.ledger import Ledger
from ballastd.core.loads import Loads
from ballastd.core.quantities import GIB, Bytes, HostName, Instant, Seconds
from ballastd.core.reserve import reserve_of
from ballastd.core.snapshot import Snapshot
from ballastd.core.telemetry import Report, Sample, Telemetry
from tests.builders import Table, a_cluster, four_hosts, table, vm_id

A, B = vm_id("a"), vm_id("b")


def pair() -> Table:
    """Return two hosts, on the first of which a and b run, seen more than once."""
    return table(a_cluster().host("h1").running("a").running("b").host("h2")).warm_up()


def test_a_vm_that_appears_or_leaves_is_seen_at_once() -> None:
    t = pair()
    t.world["h2"][vm_id("c")] = VmRecord(vm_id("c"), "c", VmState.RUNNING, Bytes(GIB))
    assert [host.vms_running for host in t.wait(1.0).step().view.hosts] == [2, 1]
    del t.world["h1"][B]
    view = t.wait(1.0).step().view
    assert [host.vms_running for host in view.hosts] == [1, 1]
    assert [host.memory_used for host in view.hosts] == [8 * GIB, GIB]


def test_a_half_of_a_vm_that_nothing_flows_to_any_more_is_no_strangers_job() -> None:
    t = pair()
    seen = []
    for state in (VmState.POSTCOPY_LEFT, VmState.POSTCOPY_LEFT_FAILED):
        t.world["h1"][A] = replace(t.world["h1"][A], state=state, job=JobKind.OUTGOING)
        snapshot = t.wait(1.0).step().portrait.snapshot
        seen.append((snapshot.foreign_jobs, snapshot.hosts.jobs_out.tolist()))
    assert seen == [(1, [1, 0]), (0, [0, 0])]


class Walked(tuple[VmRecord, ...]):
    """VMs of an inventory that count how often somebody walks over them."""

    __slots__ = ()
    times = 0

    def __iter__(self) -> Iterator[VmRecord]:
        Walked.times += 1
        return super().__iter__()


def test_a_view_is_drawn_in_one_walk_over_the_vms_of_each_host() -> None:
    portrait = pair().step().portrait
    facts = tuple(replace(fact, inventory=replace(fact.inventory, vms=Walked(fact.inventory.vms)))
                  for fact in portrait.snapshot.facts if fact.inventory is not None)
    Walked.times = 0
    view = replace(portrait, snapshot=replace(portrait.snapshot, facts=facts)).view
    assert view == portrait.view
    assert Walked.times == len(facts) == 2


@pytest.mark.parametrize(("change", "reason"), [
    ({"state": VmState.PAUSED}, "only a running VM"), ({"ignored": True}, "left alone"),
    ({"pins": (Pin(PinKind.PASSTHROUGH, "gpu", "none"),)}, "gpu"),
], ids=("paused", "ignored", "pinned"))
def test_a_vm_that_stays_where_it_is_but_is_another_is_thought_over_anew(change: dict[str, Any], reason: str) -> None:
    t = pair()
    assert not t.controller._last.vm_why_not[0]
    t.world["h1"][A] = replace(t.world["h1"][A], **change)
    t.wait(1.0).step()
    assert reason in t.controller._last.vm_why_not[0][0].detail


def test_a_vm_that_has_grown_needs_more_room_at_once() -> None:
    t = pair()
    t.world["h1"][A] = replace(t.world["h1"][A], memory_max=Bytes(30 * GIB))
    assert t.wait(1.0).step().view.hosts[0].memory_used == 38 * GIB


def home_of_a(t: Table) -> str:
    t.wait(1.0).step()
    snapshot = t.controller._last
    assert snapshot is not None
    return snapshot.hosts.names[int(snapshot.vms.host[0])]


def test_of_a_vm_that_two_hosts_showed_once_the_one_that_still_answers_has_it() -> None:
    t = pair()
    t.world["h2"][A] = t.world["h1"][A]
    assert home_of_a(t) == "h1", "of two that show it the same, the first by name"
    t.dark.add("h1")
    assert home_of_a(t) == "h2"


def test_who_is_vouched_to_be_dead_has_no_vms_from_that_step_on() -> None:
    t = pair()
    t.dark.add("h1")
    t.silent.add("h1")
    t.settle(15, 10.0)
    assert t.controller._last is not None
    assert t.controller._last.vms.ids == (A, B), "as it was seen last"
    assert t.say(Verb.CONFIRM_DEAD, "h1").answers[0].accepted
    assert t.controller._last.vms.ids == ()


def test_a_second_copy_on_a_host_that_comes_back_as_it_was_is_found() -> None:
    """Nothing that any host shows is new then; only who answers is."""
    t = pair()
    t.dark.add("h1")
    t.world["h2"][A] = t.world["h1"][A]
    t.settle(3, 2.0)
    assert not t.controller.ledger.duplicates
    t.dark.clear()
    t.settle(3, 2.0)
    assert list(t.controller.ledger.duplicates) == [A]


def test_where_we_moved_a_vm_is_its_home_though_the_books_are_closed_later() -> None:
    t = table(four_hosts(vms_each=1))
    t.show("h1", "ecc.uncorrected", 0.0, "D").warm_up()
    (order,) = t.show("h1", "ecc.uncorrected", 1.0, "D").step().orders
    t.begin(order).wait(1.0).step()
    returned = t.finish(order)
    t.wait(1.0).step()
    assert t.controller.ledger.migrations, "the call has not returned yet"
    t.wait(1.0).step(returned)
    t.settle(3, 6.0)
    assert not t.controller.ledger.migrations
    t.world["h1"][order.move.vm] = t.world[order.move.target].pop(order.move.vm)
    t.wait(1.0).step()
    seen = [(e.source, e.target) for e in t.events if isinstance(e, ev.ForeignMoveSeen)]
    assert seen == [(order.move.target, "h1")], "somebody took it back"


def crowded() -> tuple[Snapshot, Ledger]:
    """Return a snapshot of four hosts that can just do without one of them."""
    builder = a_cluster()
    for h, sizes in enumerate(((9, 8), (10, 7), (12, 5), (6, 6)), start=1):
        builder = builder.host(f"h{h}", 30, rack="a" if h in (2, 3) else f"{h}")
        for v, gib in enumerate(sizes):
            builder = builder.running(f"h{h}v{v}", gib)
    t = table(builder).warm_up()
    assert t.controller._last is not None
    return t.controller._last, t.controller.ledger


def _with_hosts(snapshot: Snapshot, **columns: Any) -> Snapshot:
    return replace(snapshot, hosts=replace(snapshot.hosts, **columns))


def _as_it_is(snapshot: Snapshot) -> Snapshot:
    return snapshot


def _less_room(snapshot: Snapshot) -> Snapshot:
    return _with_hosts(snapshot, free=np.minimum(snapshot.hosts.free, 4 * GIB))


def _one_shut(snapshot: Snapshot) -> Snapshot:
    target = snapshot.hosts.target.copy()
    target[3] = False
    return _with_hosts(snapshot, target=target)


Asked = tuple[Callable[[Snapshot], Snapshot], str, int, int, dict[int, int]]


def _answers(asked: list[Asked], *, kept: bool) -> list[str]:
    """Return what the failover reserve says to one question after the other. ``kept``: with what was found out before."""
    snapshot, _ = crowded()
    said = []
    for change, across, vm, target, moved in asked:
        if not kept:
            snapshot.cast.reserves.clear()
        now = change(snapshot)
        memory, home, reserve = now.vms.memory.tolist(), now.vms.host.tolist(), reserve_of(now, across)
        for one, row in moved.items():
            reserve.move(memory[one], home[one], row)
        reserve.leave_out(home[vm])
        worse = reserve.worse_after(memory[vm], target, home[vm])
        said.append("" if worse is None else str(worse))
    return said


@pytest.mark.parametrize("second", [
    pytest.param((_less_room, "host", 0, 1, {}), id="room"), pytest.param((_one_shut, "host", 0, 1, {}), id="receiving"),
    pytest.param((_as_it_is, "host", 1, 1, {0: 1}), id="planned"), pytest.param((_as_it_is, "host", 6, 1, {}), id="emptied"),
    pytest.param((_as_it_is, "rack", 0, 1, {}), id="domain"),
])
def test_what_was_found_out_of_the_reserve_is_used_only_where_nothing_of_it_changed(second: Asked) -> None:
    both: list[Asked] = [(_as_it_is, "host", 0, 1, {}), second]
    first_said, second_said = _answers(both, kept=False)
    assert (first_said, bool(second_said)) == ("", True), "the change matters"
    assert _answers(both, kept=True) == [first_said, second_said]


def look(host: str, at: float, spent: dict[str, float], *, complete: bool = True) -> HostInventory:
    """Return a look at a host at so many seconds, on which VMs have spent so many seconds of processors."""
    now, records = Instant(at, at), tuple(VmRecord(vm_id(name), name, VmState.RUNNING, Bytes(GIB)) for name in spent)
    return HostInventory(HostName(host), now, now, Bytes(64 * GIB), Bytes(64 * GIB), 16, records, complete,
                         usage={vm_id(name): VmUsage(seconds) for name, seconds in spent.items()})


def two_that_burn() -> tuple[Loads, HostInventory]:
    """Return loads after five minutes in which a used 2 processors and b 1, and the last look."""
    loads, last = Loads(Seconds(300.0)), look("h1", 0.0, {})
    for at in range(0, 301, 10):
        last = look("h1", float(at), {"a": 2.0 * at, "b": 1.0 * at})
        loads.see(last)
    return loads, last


def by_vms_anew(loads: Loads, last: HostInventory, now: Instant) -> tuple[float, int]:
    known = [loads.cpu(record.vm, now) for record in last.vms]
    return sum(one for one in known if one is not None), known.count(None)


def test_a_host_s_sum_does_not_outlive_what_a_vm_that_left_used_there() -> None:
    loads, last = two_that_burn()
    now = Instant(400.0, 400.0)
    before = loads.by_vms(last, now)
    loads.see(look("h2", 400.0, {"a": 0.0}))
    assert before == (pytest.approx(3.0), 0)
    assert loads.by_vms(last, now) == by_vms_anew(loads, last, now) != before


def test_a_look_that_could_not_read_all_is_not_what_a_host_s_vms_use() -> None:
    loads, last = two_that_burn()
    half = look("h1", 310.0, {"b": 310.0}, complete=False)
    loads.see(half)
    assert loads.by_vms(half, Instant(310.0, 310.0)) == (pytest.approx(1.0), 0)
    assert loads.by_vms(last, Instant(310.0, 310.0)) == (pytest.approx(3.0), 0)


def test_a_host_s_sum_ends_when_its_vms_were_not_seen_for_too_long() -> None:
    loads, last = two_that_burn()
    assert loads.by_vms(last, Instant(449.0, 449.0)) == (pytest.approx(3.0), 0)
    assert loads.by_vms(last, Instant(451.0, 451.0)) == (0.0, 2)


def test_a_sensor_that_is_shown_later_is_known_from_then_on() -> None:
    telemetry, host = Telemetry(samples_min=1), HostName("h1")
    for i, subjects in enumerate((("a",), ("a", "b"))):
        now = Instant(100.0 + i, 1000.0 + i)
        samples = tuple(Sample("temperature", 50.0, subject) for subject in subjects)
        telemetry.absorb(Report(host, "boot", i, now.wall, 10.0, samples, now))
        assert telemetry.subjects(host, "temperature") == subjects
