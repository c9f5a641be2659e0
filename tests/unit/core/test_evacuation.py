"""A hardware warning empties a host, and nothing else happens."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ballastd.core.inputs import CallReturned, Verb
from ballastd.core.inventory import VmState
from ballastd.core.migrations import CallResult, Ending
from ballastd.core.quantities import Seconds
from tests.builders import POLICIES, four_hosts, table, vm_id


def failing_host(gib: int = 8):
    t = table(four_hosts(gib=gib))
    for host in ("h1", "h2", "h3", "h4"):
        t.show(host, "ecc.uncorrected", 0.0, "DIMM_A1")
    t.warm_up()
    t.show("h1", "ecc.uncorrected", 1.0, "DIMM_A1")
    return t


def test_quiet_hosts_are_left_alone() -> None:
    t = table(four_hosts())
    t.warm_up()
    assert all(not decision.orders for decision in t.settle(20, 30.0))


def test_an_uncorrectable_error_orders_moves_in_the_same_step() -> None:
    t = failing_host()
    decision = t.step()
    assert [order.move.source for order in decision.orders] == ["h1", "h1"]
    assert decision.view.posture == "acting"
    assert {"h1"} == decision.cordons


def test_who_came_next_and_who_could_not_is_kept_with_the_order() -> None:
    t = failing_host()
    order = t.say(Verb.CORDON, "h3").orders[0]
    t.begin(order)
    view = t.wait(1.0).step().view
    kept = next(m for m in view.migrations if m.id == order.id)
    (other,) = {"h2", "h4"} - {order.move.target}
    assert kept.runners_up == order.move.runners_up
    assert kept.runners_up[0].startswith(f"{other} (")
    assert [no.split(": ")[:2] for no in kept.why_not] == [["h3", "host-cordoned"]]


def test_every_vm_leaves_and_nothing_lands_on_the_failing_host() -> None:
    t = failing_host()
    assert t.run_to_rest() == 3
    assert not t.world["h1"]
    assert sum(len(vms) for vms in t.world.values()) == 12
    assert t.controller.ledger.evacuating == {}


def test_after_the_evacuation_the_cluster_rests() -> None:
    t = failing_host()
    t.run_to_rest()
    assert all(not decision.orders for decision in t.settle(50, 60.0))


def test_a_look_at_a_host_that_is_emptied_wakes_the_mind_only_when_it_shows_something_new() -> None:
    t = failing_host()
    begun = t.step().orders
    t.say(Verb.PAUSE)
    t.wait(1.0).step(*(t.roll_back(order) for order in begun))
    t.settle(6, 10.0)
    assert (t.controller.ledger.migrations, list(t.controller.ledger.evacuating)) == ({}, ["h1"])
    same = t.wait(1.0).inventories()
    assert [one.host for one in same if t.controller.is_urgent(one)] == []
    t.world["h1"].popitem()
    assert [one.host for one in t.inventories() if t.controller.is_urgent(one)] == ["h1"]


def test_two_leave_at_a_time_and_share_the_link() -> None:
    t = failing_host()
    first = t.step()
    assert len(first.orders) == 2
    assert sum(order.bandwidth_mib_s for order in first.orders) <= 600
    t.begin(first.orders[0]).begin(first.orders[1])
    assert not t.wait(1.0).step().orders


def test_a_failing_host_that_falls_silent_goes_on_being_emptied() -> None:
    t = failing_host()
    first = t.step()
    t.silent.add("h1")
    for order in first.orders:
        t.begin(order)
    t.settle(10, 20.0)
    assert not t.controller.step((), t.now).view.hosts[0].target
    t.controller.reject(t.controller.revision, "only looked")
    t.settle(2)
    t.step(*t.carry_out(first))
    t.wait(1.0).run_to_rest()
    assert not t.world["h1"]


def test_silence_alone_moves_nothing() -> None:
    t = table(four_hosts())
    t.warm_up()
    t.silent.add("h1")
    assert all(not decision.orders for decision in t.settle(20, 30.0))
    host = t.step().view.hosts[0]
    assert not host.target
    assert "host-silent" in host.why_not[0]


def test_unknown_hosts_freeze_everything() -> None:
    t = failing_host()
    t.silent.update({"h3", "h4"})
    t.show("h1", "ecc.uncorrected", 0.0, "DIMM_A1")
    for _ in range(100):
        t.wait(1.0).step()
    t.show("h1", "ecc.uncorrected", 1.0, "DIMM_A1")
    decision = t.wait(1.0).step()
    assert decision.view.posture == "frozen"
    assert not decision.orders


def test_three_hosts_at_once_are_a_site_event_and_nothing_moves() -> None:
    t = table(four_hosts())
    for host in ("h1", "h2", "h3"):
        t.show(host, "temperature", 60.0, "cpu", critical=100.0)
    t.warm_up()
    for host in ("h1", "h2", "h3"):
        t.show(host, "temperature", 97.0, "cpu", critical=100.0)
    decisions = t.settle(30, 10.0)
    assert all(not decision.orders for decision in decisions)
    assert decisions[-1].view.posture == "site-event"
    assert "3 of 4 hosts" in decisions[-1].view.gates[0].reason


def test_an_error_is_not_a_failure_until_both_ends_were_seen_twice() -> None:
    t = failing_host()
    order = t.step().orders[0]
    t.begin(order).wait(1.0).step()
    call = t.roll_back(order)
    t.wait(1.0).step(call)
    assert order.id in t.controller.ledger.migrations
    t.wait(2.0).step()
    assert order.id in t.controller.ledger.migrations, "one look must not be enough"
    t.wait(6.0).step()
    assert order.id not in t.controller.ledger.migrations
    assert t.controller.ledger.settled[-1].ending is Ending.FAILED


def test_an_error_whose_vm_arrived_is_a_success() -> None:
    t = failing_host()
    order = t.step().orders[0]
    t.begin(order).wait(1.0).step()
    t.finish(order)
    t.wait(1.0).step(CallReturned(order.id, CallResult.ERROR, "client socket is closed", t.now))
    for _ in range(3):
        t.wait(6.0).step()
    done = [m for m in t.controller.ledger.settled if m.id == order.id]
    assert [m.ending for m in done] == [Ending.COMPLETED]


@pytest.mark.parametrize("ahead", [3600.0, 86400.0, 400 * 86400.0])
def test_a_failure_under_a_clock_that_was_ahead_is_not_waited_for(ahead: float) -> None:
    t = failing_host()
    order, other = t.step().orders
    t.begin(order).wait(1.0).step()
    t.now = replace(t.now, wall=t.now.wall + ahead)
    t.wait(1.0).step(t.roll_back(order), t.finish(other))
    for _ in range(3):
        assert order.move.vm not in [one.move.vm for one in t.wait(6.0).step().orders], "its pause is not over"
    assert [m.ending for m in t.controller.ledger.settled if m.id == order.id] == [Ending.FAILED]
    t.now = replace(t.now, wall=t.now.wall - ahead)
    assert not t.wait(1.0).step().orders, "it failed just now, for all anybody knows"
    again = [one.move for decision in t.settle(4, 6.0) for one in decision.orders]
    assert [move.vm for move in again] == [order.move.vm], "the clock is right again, and the host still fails"
    assert again[0].target != order.move.target


def test_a_failed_move_goes_to_the_next_target_after_a_pause() -> None:
    t = failing_host()
    order, other = t.step().orders
    t.begin(order).wait(1.0).step()
    decision = t.wait(1.0).step(t.roll_back(order), t.finish(other))
    attempts = []
    for _ in range(20):
        decision = t.wait(3.0).step(*t.carry_out(decision))
        attempts += [(t.now.monotonic, o) for o in decision.orders if o.move.vm == order.move.vm]
    (at, second), = attempts
    assert second.move.target != order.move.target
    assert at - 1006.0 >= 20.0


def test_a_crash_in_the_middle_adopts_and_never_moves_twice() -> None:
    t = failing_host()
    first = t.step()
    for order in first.orders:
        t.begin(order)
    t.wait(1.0).step()
    t.restart()
    for _ in range(5):
        assert not [o for o in t.wait(1.0).step().orders if o.move.vm in {f.move.vm for f in first.orders}]
    assert all(m.adopted for m in t.controller.ledger.open_migrations())
    for order in first.orders:
        t.finish(order)
    for _ in range(4):
        t.step(*t.carry_out(t.wait(6.0).step()))
    assert {m.id for m in t.controller.ledger.settled} >= {order.id for order in first.orders}
    t.run_to_rest()
    assert not t.world["h1"]


def test_a_counter_that_rose_while_we_were_down_still_fires() -> None:
    t = failing_host()
    t.show("h1", "ecc.uncorrected", 0.0, "DIMM_A1").step()
    t.restart()
    t.show("h1", "ecc.uncorrected", 1.0, "DIMM_A1")
    t.boot = "boot-1"
    orders = [order for decision in t.settle(5) for order in decision.orders]
    assert {order.move.source for order in orders} == {"h1"}


def test_nothing_is_ordered_while_the_journal_cannot_be_written() -> None:
    t = failing_host()
    assert t.step(durable=False).orders, "decided, but dropped with its decision"
    decision = t.wait(1.0).step(durable=False)
    assert not decision.orders
    assert decision.view.posture == "observing"
    recovered = t.wait(1.0).step()
    assert not recovered.orders
    assert t.wait(1.0).step().orders


def test_pause_stops_within_one_step_and_resume_goes_on() -> None:
    t = failing_host()
    decision = t.say(Verb.PAUSE)
    assert not decision.orders
    assert decision.view.posture == "paused"
    assert not t.wait(5.0).step().orders
    assert t.wait(1.0).say(Verb.RESUME).orders


def test_a_pause_outlives_a_restart() -> None:
    t = failing_host()
    t.say(Verb.PAUSE)
    t.wait(5.0).restart()
    assert t.settle(20)[-1].view.posture == "paused"
    assert not t.controller.ledger.migrations
    assert t.wait(1.0).say(Verb.RESUME).orders


def test_acknowledging_clears_and_only_a_new_error_counts_again() -> None:
    t = failing_host()
    t.run_to_rest()
    t.wait(1.0).say(Verb.ACKNOWLEDGE, "h1")
    assert t.wait(10.0).step().view.hosts[0].health == "healthy"
    t.show("h1", "ecc.uncorrected", 2.0, "DIMM_A1")
    assert t.wait(10.0).step().view.hosts[0].health == "failing"


def test_a_restart_does_not_put_a_deadline_off() -> None:
    policies = replace(POLICIES, evacuation=tuple(replace(one, deadline=Seconds(1800.0)) for one in POLICIES.evacuation))
    t = table(four_hosts(), policies)
    t.show("h1", "ecc.uncorrected", 0.0, "DIMM_A1")
    t.warm_up()
    t.show("h1", "ecc.uncorrected", 1.0, "DIMM_A1")
    deadline = t.wait(1.0).step().view.intents[0].deadline_wall
    assert deadline == pytest.approx(t.now.wall + 1800.0)
    t.wait(600.0).restart(policies)
    assert [intent.deadline_wall for intent in t.settle(3)[-1].view.intents] == [deadline]


@pytest.mark.parametrize("state", [VmState.RUNNING, VmState.POSTCOPY, VmState.POSTCOPY_FAILED])
def test_a_duplicate_freezes_both_hosts_and_destroys_nothing(state: VmState) -> None:
    t = table(four_hosts())
    t.warm_up()
    record = t.world["h1"][vm_id("h1v0")]
    t.world["h2"][record.vm] = replace(record, state=state)
    decisions = t.settle(3)
    assert any(n.level == "alarm" for d in decisions for n in d.notices)
    view = decisions[-1].view
    assert "frozen" in view.hosts[0].marks
    assert "frozen" in view.hosts[1].marks
    assert not t.say(Verb.DRAIN, "h1").orders


@pytest.mark.parametrize(("spoil", "hosts"), [
    ("", ("h1", "h2", "h3")), ("dark", ("h1", "h2", "h3")), ("gone", ("h2", "h3"))])
def test_a_copy_on_one_more_host_freezes_that_too(spoil: str, hosts: tuple[str, ...]) -> None:
    t = table(four_hosts()).warm_up()
    record = t.world["h1"][vm_id("h1v0")]
    t.world["h2"][record.vm] = record
    t.settle(3)
    t.world["h3"][record.vm] = record
    if spoil == "dark":
        t.dark.add("h1")
    if spoil == "gone":
        del t.world["h1"][record.vm]
    told = [n.text for d in t.settle(4) for n in d.notices if n.level == "alarm" and n.key.startswith("duplicate/")]
    who = "both hosts" if spoil == "gone" else "all of them"
    assert told == [f"h1v0 runs on {' and '.join(hosts)}: {who} are frozen; nothing is destroyed automatically"]
    assert t.controller.ledger.frozen_hosts() == set(hosts)


def test_a_duplicate_with_a_host_that_is_not_declared_any_more_is_over_once_nobody_else_has_a_copy() -> None:
    t = table(four_hosts()).warm_up()
    record = t.world["h1"][vm_id("h1v0")]
    t.world["h2"][record.vm] = record
    t.settle(3)
    assert t.controller.ledger.frozen_hosts() == {"h1", "h2"}
    del t.world["h1"]
    t.cluster = replace(t.cluster, hosts=t.cluster.hosts[1:])
    t.restart().settle(4)
    assert t.controller.ledger.frozen_hosts() == set()


def test_a_drain_keeps_the_failover_reserve() -> None:
    t = table(four_hosts(vms_each=5, gib=9))
    t.warm_up()
    decision = t.say(Verb.DRAIN, "h1")
    assert not decision.orders
    assert any("failover-reserve" in no.detail for no in decision.view.noes)


def test_a_failing_host_may_use_the_failover_reserve() -> None:
    t = table(four_hosts(vms_each=5, gib=9))
    t.show("h1", "ecc.uncorrected", 0.0, "D")
    t.warm_up()
    t.show("h1", "ecc.uncorrected", 1.0, "D")
    assert t.step().orders


def test_a_source_that_dies_is_lost_and_frees_the_target() -> None:
    t = failing_host()
    order = t.step().orders[0]
    t.begin(order).wait(1.0).step()
    call = t.finish(order)
    t.dark.add("h1")
    t.wait(1.0).step(CallReturned(call.migration, CallResult.ERROR, "closed", t.now))
    t.settle(3, 6.0)
    m = t.controller.ledger.migrations[order.id]
    assert m.phase.value == "lost"
    t.dark.clear()
    t.settle(3, 6.0)
    assert order.id in t.controller.ledger.migrations, "both ends are watched for a late second copy"
    t.settle(8, 6.0)
    assert order.id not in t.controller.ledger.migrations


@pytest.mark.parametrize("state", [VmState.RUNNING, VmState.PAUSED])
def test_a_target_that_dies_frees_the_slot_of_a_vm_that_is_back_whether_it_runs_or_somebody_stopped_it(state: VmState
                                                                                                       ) -> None:
    t = failing_host()
    order = t.step().orders[0]
    t.begin(order).wait(1.0).step()
    call = t.roll_back(order)
    t.world["h1"][order.move.vm] = replace(t.world["h1"][order.move.vm], state=state)
    t.dark.add(order.move.target)
    t.wait(1.0).step(CallReturned(call.migration, CallResult.ERROR, "closed", t.now))
    t.settle(3, 6.0)
    m = t.controller.ledger.migrations[order.id]
    assert not m.holds_slot, "its target holds its reservation, and not a place among the migrations"


def test_a_vm_that_a_stranger_moved_to_a_third_host_is_left_there() -> None:
    t = failing_host()
    order = t.step().orders[0]
    third = next(h for h in ("h2", "h3", "h4") if h != order.move.target)
    t.begin(order).wait(1.0).step()
    call = t.roll_back(order)
    t.world[third][order.move.vm] = t.world["h1"].pop(order.move.vm)
    t.wait(1.0).step(call)
    t.settle(3, 6.0)
    done = [m for m in t.controller.ledger.settled if m.id == order.id]
    assert [m.ending for m in done] == [Ending.ELSEWHERE]
    assert order.move.vm in t.world[third]


def test_while_a_call_is_out_nothing_is_settled_whatever_the_ends_show() -> None:
    t = failing_host()
    order, other = t.step().orders
    t.step(t.finish(other))
    for decision in t.settle(30, 2.0):
        assert not [o for o in decision.orders if o.move.vm == order.move.vm]
    assert order.id in t.controller.ledger.migrations, "the job may be about to begin"
