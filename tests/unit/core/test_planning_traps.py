"""Traps of planning, each of which once led it astray: strangers' migrations, the dead, closed doors, trials, silences."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import patch

import pytest

from ballastd.core import events as ev
from ballastd.core import reserve
from ballastd.core.inputs import CallReturned, PoliciesReplaced, Verb
from ballastd.core.inventory import HostInventory, JobKind, VmRecord, VmState, VmUsage
from ballastd.core.loads import Loads, host_load
from ballastd.core.migrations import CallResult
from ballastd.core.policies import (
    BalancePolicy,
    EvacuationPolicy,
    Health,
    Mode,
    PlacementPolicy,
    Response,
    Rule,
    VmSelector,
    Window,
)
from ballastd.core.power import PowerPhase
from ballastd.core.quantities import GIB, Bytes, HostName, Instant, Seconds
from ballastd.core.telemetry import Report, Sample, Telemetry
from tests.builders import FAN, POLICIES, WALL, Table, a_cluster, four_hosts, table, vm_id
from tests.powered import PACKED, powered

APART = PlacementPolicy("web-apart", VmSelector(tags=("web",)), Rule.APART)


def failing(t: Table, host: str) -> Table:
    """Warm up, then let a DIMM of ``host`` lose data."""
    for declared in t.cluster.hosts:
        t.show(declared.name, "ecc.uncorrected", 0.0, "DIMM_A1")
    t.warm_up()
    return t.show(host, "ecc.uncorrected", 1.0, "DIMM_A1")


@pytest.mark.parametrize("rule", [Rule.APART, Rule.TOGETHER])
def test_a_stranger_s_migration_counts_at_both_ends_for_rules_as_well(rule: Rule) -> None:
    builder = a_cluster()
    for name, vm in (("h1", "w1"), ("h2", "w2"), ("h3", ""), ("h4", "")):
        builder = builder.host(name)
        builder = builder.running(vm, tags=("web",)) if vm else builder
    t = failing(table(builder, replace(POLICIES, placement=(replace(APART, rule=rule),))), "h2")
    w1 = t.world["h1"][vm_id("w1")]
    t.world["h1"][w1.vm] = replace(w1, job=JobKind.OUTGOING)
    t.world["h3"][w1.vm] = replace(w1, state=VmState.INCOMING, job=JobKind.INCOMING)
    targets = {order.move.target for decision in t.settle(5, 1.0) for order in decision.orders}
    assert targets == ({"h4"} if rule is Rule.APART else set())
    assert t.controller.ledger.broken is None


def test_what_a_dead_host_had_belongs_to_whoever_runs_it_now() -> None:
    builder = a_cluster()
    for n in range(1, 10):
        builder = builder.host(f"h{n}")
        builder = builder.running("w1") if n == 1 else builder.running("x") if n == 3 else builder
    t = table(builder)
    for n in range(1, 10):
        t.show(f"h{n}", "ecc.uncorrected", 0.0, "DIMM_A1")
    t.warm_up()
    t.dark.add("h1")
    t.silent.add("h1")
    t.settle(30, 10.0)
    assert t.say(Verb.CONFIRM_DEAD, "h1").answers[0].accepted
    t.world["h3"][vm_id("w1")] = t.world["h1"].pop(vm_id("w1"))
    t.settle(70, 10.0)
    t.show("h3", "ecc.uncorrected", 1.0, "DIMM_A1")
    t.run_to_rest()
    assert not t.world["h3"], "both leave, the one that was started again as well"
    ended = [e for e in t.events if isinstance(e, ev.EvacuationEnded)]
    assert [(e.host, e.detail) for e in ended] == [("h3", "empty")]


def test_a_host_is_empty_only_by_its_own_present_word() -> None:
    t = failing(table(a_cluster().host("h1").running("a").host("h2").host("h3").host("h4")), "h1")
    order = t.step().orders[0]
    t.begin(order)
    t.wait(1.0).step(t.finish(order))
    t.world["h1"][vm_id("b")] = VmRecord(vm_id("b"), "b", VmState.SHUTOFF, Bytes(GIB))
    t.world["h1"][vm_id("c")] = VmRecord(vm_id("c"), "c", VmState.PAUSED, Bytes(GIB))
    t.settle(20, 2.0)
    assert not [e for e in t.events if isinstance(e, ev.EvacuationEnded)], "a paused guest is one"
    del t.world["h1"][vm_id("c")]
    t.settle(5, 2.0)
    assert [e.detail for e in t.events if isinstance(e, ev.EvacuationEnded)] == ["empty"]


def test_a_host_that_does_not_answer_is_not_empty_because_others_have_its_guests() -> None:
    t = failing(table(a_cluster().host("h1").running("a").host("h2").host("h3").host("h4")), "h1")
    order = t.step().orders[0]
    t.dark.add("h1")
    t.world["h2"][order.move.vm] = t.world["h1"].pop(order.move.vm)
    t.wait(1.0).step(CallReturned(order.id, CallResult.WITHHELD, "cpu: missing avx512", t.now))
    t.settle(20, 2.0)
    assert not t.controller.ledger.open_migrations()
    assert not [e for e in t.events if isinstance(e, ev.EvacuationEnded)]
    t.dark.clear()
    t.settle(5, 2.0)
    assert [e.detail for e in t.events if isinstance(e, ev.EvacuationEnded)] == ["empty"]


def test_a_target_that_refuses_at_its_door_comes_after_all_others() -> None:
    t = failing(table(four_hosts(vms_each=1)), "h1")
    tried: list[str] = []
    returns: tuple[CallReturned, ...] = ()
    for _ in range(60):
        decision = t.wait(2.0).step(*returns)
        tried += [order.move.target for order in decision.orders]
        returns = tuple(CallReturned(o.id, CallResult.WITHHELD, "cpu: missing avx512", t.now) for o in decision.orders)
    assert len(tried) > 3
    assert set(tried[:3]) == {"h2", "h3", "h4"}


def test_a_drain_past_its_deadline_is_not_ended_by_the_window_it_ignores() -> None:
    shut = Window("nights", True, ((WALL + 90000.0, WALL + 93600.0),), WALL + 14 * 86400.0, cancel_at_close=True)
    drain = EvacuationPolicy("drain", Health.SUSPECT, Response.DRAIN, mode=Mode.AUTO, deadline=Seconds(600.0),
                             windows=("nights",))
    t = table(four_hosts(), replace(POLICIES, evacuation=(drain,), windows={"nights": shut}, health=(FAN,)))
    t.warm_up()
    t.show("h1", "fan.alarm", 1.0)
    assert not [o for d in t.settle(50, 10.0) for o in d.orders], "it waits for its window until the deadline"
    begun = [d for d in t.settle(20, 10.0) if d.orders]
    for order in begun[0].orders:
        t.begin(order)
    assert not [a for d in t.settle(10, 1.0) for a in d.aborts]
    t.settle(1, 1.0)


def test_a_policy_that_is_taken_away_while_it_empties_a_host_moves_nothing_more() -> None:
    p = powered()
    p.until(PowerPhase.EMPTYING, "h3")
    p.table.controller.ledger.migrations.clear()
    decision = p.table.wait(1.0).step(PoliciesReplaced(replace(PACKED, consolidation=())))
    assert not decision.orders
    assert [type(e).__name__ for e in decision.events if getattr(e, "host", "") == "h3"] == ["HostKept"]


def hot_and_silent() -> tuple[Table, BalancePolicy]:
    policy = BalancePolicy("even-load", mode=Mode.AUTO, imbalance_above=1.0)
    builder = a_cluster().host("h1")
    for i in range(4):
        builder = builder.running(f"b{i}")
    for n in (2, 3, 4):
        builder = builder.host(f"h{n}")
    return table(builder, replace(POLICIES, balance=(policy,))).warm_up(), policy


def test_what_was_hot_before_a_silence_is_not_hot_after_it() -> None:
    t, _ = hot_and_silent()
    t.say(Verb.PAUSE)
    t.burn(**{f"b{i}": 3.6 for i in range(4)}).quiet_for(900.0)
    t.silent.add("h1")
    t.quiet_for(3600.0)
    t.burn(**{f"b{i}": 2.0 for i in range(4)})
    t.quiet_for(600.0)
    t.silent.clear()
    t.say(Verb.RESUME)
    assert not [o for d in t.quiet_for(1200.0) for o in d.orders]


def test_a_mean_begins_anew_after_a_silence() -> None:
    telemetry, host = Telemetry(), HostName("h1")

    def hear(at: float, value: float, sequence: int) -> Instant:
        now = Instant(at, WALL + at)
        assert telemetry.absorb(Report(host, "b", sequence, now.wall, 10.0, (Sample("cpu.utilization", value, ""),),
                                       now)) is None
        return now

    for n in range(60):
        now = hear(10.0 * n, 0.9, n)
    assert telemetry.mean(host, "cpu.utilization", "", 300.0, now) == pytest.approx(0.9)
    for n in range(60, 74):
        now = hear(4000.0 + 10.0 * n, 0.2, n)
        assert telemetry.mean(host, "cpu.utilization", "", 300.0, now) is None
    for n in range(74, 80):
        now = hear(4000.0 + 10.0 * n, 0.4, n)
    assert telemetry.mean(host, "cpu.utilization", "", 300.0, now) == pytest.approx((14 * 0.2 + 5 * 0.4) / 19)


@pytest.mark.parametrize(("machine", "limit", "used"), [(32, 28.0, 24.6), (64, 32.0, 24.0), (64, 48.0, 40.0),
                                                        (64, 128.0, 60.0), (8, None, 4.0)])
def test_a_host_s_share_is_one_of_its_machine_and_not_of_what_vms_may_use(machine: int, limit: float | None, used: float
                                                                           ) -> None:
    t = table(a_cluster().host("h1"))
    declared, loads, telemetry = replace(t.cluster.hosts[0], cpu_limit=limit), Loads(Seconds(60.0)), Telemetry()
    for n in range(8):
        now = Instant(10.0 * n, WALL + 10.0 * n)
        vm = VmRecord(vm_id("a"), "a", VmState.RUNNING, Bytes(GIB))
        inventory = HostInventory(declared.name, now, now, Bytes(GIB), Bytes(GIB), machine, (vm,),
                                  usage={vm.vm: VmUsage(used * 10.0 * n, Bytes(GIB))})
        loads.see(inventory)
        telemetry.absorb(Report(declared.name, "b", n, now.wall, 10.0,
                                (Sample("cpu.utilization", used / machine, ""),), now))
    told = telemetry.mean(declared.name, "cpu.utilization", "", 60.0, now)
    found = host_load(declared, inventory, loads, told, now)
    assert (found.doubt, found.limit) == ("", limit or machine)
    assert found.used == pytest.approx(used)


@pytest.mark.parametrize("observing", [
    replace(POLICIES, balance=(BalancePolicy("a-trial", imbalance_above=1.0),)),
    replace(POLICIES, evacuation=(EvacuationPolicy("a-trial", Health.SUSPECT, Response.DRAIN),)),
])
def test_what_is_only_tried_takes_nothing_from_what_governs(observing) -> None:
    t, policy = hot_and_silent()
    trial = replace(observing, balance=(*observing.balance, policy))
    t.step(PoliciesReplaced(trial))
    t.show("h2", "fan.alarm", 1.0)
    t.burn(**{f"b{i}": 3.6 for i in range(4)})
    moves = [o.move for d in t.burn_on(3000.0) for o in d.orders]
    assert [move.policy for move in moves] == ["even-load", "even-load"]


def test_a_host_without_memory_for_vms_breaks_nothing() -> None:
    t, policy = hot_and_silent()
    small = replace(t.cluster.hosts[0], memory_limit=Bytes(0))
    cluster = replace(t.cluster, hosts=(small, *t.cluster.hosts[1:]))
    again = table(a_cluster(), replace(POLICIES, balance=(policy,)))
    t = Table(cluster, t.world, type(again.controller)(cluster, replace(POLICIES, balance=(policy,)),
                                                       again.controller.ledger, t.now), t.now).warm_up()
    t.burn(**{f"b{i}": 3.6 for i in range(4)})
    moves = [o.move.source for d in t.burn_on(2100.0) for o in d.orders]
    assert t.controller.ledger.broken is None
    assert set(moves) == {"h1"}, "it is hot by its processors"


def test_a_late_look_of_the_host_it_has_left_adds_nothing_to_a_vm() -> None:
    loads, vm = Loads(Seconds(60.0)), vm_id("a")

    def see(host: str, begun: float, taken: float, seconds: float) -> None:
        record = VmRecord(vm, "a", VmState.RUNNING, Bytes(GIB))
        loads.see(HostInventory(HostName(host), Instant(begun, WALL), Instant(taken, WALL), Bytes(GIB), Bytes(GIB), 16,
                                (record,), usage={vm: VmUsage(seconds, Bytes(GIB))}))

    for n in range(10):
        see("h1", 10.0 * n, 10.0 * n, 500_000.0 + 10.0 * n)
    see("h2", 101.0, 101.0, 0.4)
    see("h1", 99.0, 102.0, 500_099.0)
    for n in range(11, 20):
        see("h2", 10.0 * n, 10.0 * n, 0.4 + 10.0 * (n - 10.1))
        assert loads.cpu(vm, Instant(10.0 * n, WALL)) == pytest.approx(1.0, abs=0.2)


def test_two_hundred_hosts_are_planned_in_a_step_and_not_in_minutes() -> None:
    """Not timed: counted. What costs is to pack hosts' VMs anew, and only what a move spoils is packed again."""
    builder = a_cluster()
    for n in range(40):
        builder = builder.host(f"h{n:02}", gib=256)
        for v in range(5):
            builder = builder.running(f"h{n:02}v{v}")
    t = table(builder).warm_up()
    with patch.object(reserve, "pack", wraps=reserve.pack) as packs:
        moves = t.say(Verb.DRAIN, "h00").view.moves
        first = packs.call_count
        snapshot = t.controller._last
        assert snapshot is not None
        reserve.reserve_of(snapshot, "host")
    assert len(moves) == 5
    assert 40 <= first <= 40 + 5 * 8, "one packing of each host, and for each move those that counted on its target"
    assert packs.call_count == first, "nothing has changed"
