"""Room that another VM makes first: who waits for whom, who is never asked for it, and what is said where none is made."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ballastd.core.checking_order import check_order
from ballastd.core.decisions import Decision
from ballastd.core.hardware import Backing, Needs
from ballastd.core.inputs import Verb
from ballastd.core.intents import Intent, IntentKind
from ballastd.core.inventory import Pin, PinKind
from ballastd.core.ledger import Ledger
from ballastd.core.migrations import Migration, MigrationPhase
from ballastd.core.planning import plan
from ballastd.core.plans import Move, Order
from ballastd.core.policies import (
    EVERY_VM,
    BalancePolicy,
    Edge,
    Health,
    Limits,
    Mode,
    PlacementPolicy,
    PolicySet,
    Rule,
    Scope,
    VmSelector,
)
from ballastd.core.quantities import GIB, Bytes, HostName, Seconds
from ballastd.core.snapshot import Snapshot, take
from ballastd.core.views import MoveView, NoView
from tests.builders import POLICIES, ClusterBuilder, Table, a_cluster, table, vm_id


def tight(*, movable: int = 8) -> ClusterBuilder:
    """``big`` has to leave h0; h1 lacks 6 GiB for it, and its smaller VM has a place on h2, where ``big`` has none."""
    return (a_cluster().host("h0").running("big", 30)
            .host("h1").running("large", 32).running("small", movable)
            .host("h2").running("heavy", 52))


def failing(builder: ClusterBuilder, policies: PolicySet = POLICIES) -> Table:
    t = table(builder, policies)
    for host in t.cluster.hosts:
        t.show(host.name, "ecc.uncorrected", 0.0, "D")
    t.warm_up()
    return t.show("h0", "ecc.uncorrected", 1.0, "D")


def moves(decision: Decision) -> dict[str, MoveView]:
    return {move.vm_name: move for move in decision.view.moves}


def the_no(decision: Decision, name: str) -> NoView:
    return next(no for no in decision.view.noes if no.vm_name == name)


def ordered(decision: Decision) -> dict[str, Order]:
    return {order.move.vm_name: order for order in decision.orders}


def test_a_small_one_makes_room_and_the_big_one_waits_for_it() -> None:
    t = failing(tight())
    first = t.step()
    made = ordered(first)["small"].move
    assert (made.source, made.target, made.room_for, made.routine) == ("h1", "h2", "h0", True)
    assert made.because.endswith("makes room for big")
    waiting = moves(first)["big"]
    assert (waiting.target, waiting.after, waiting.after_names) == ("h1", (vm_id("small"),), ("small",))
    assert (the_no(first, "big").kind, the_no(first, "big").detail) == ("waits", "waits until small has left h1")


def test_once_the_room_is_there_the_second_half_is_a_move_like_any_other() -> None:
    t = failing(tight())
    assert t.run_to_rest() == 2
    assert {name: sorted(record.name for record in vms.values()) for name, vms in t.world.items()} == {
        "h0": [], "h1": ["big", "large"], "h2": ["heavy", "small"]}


def test_nobody_else_makes_room_while_the_first_is_on_its_way() -> None:
    t = failing(tight())
    order = ordered(t.step())["small"]
    t.begin(order)
    for decision in t.settle(5):
        assert not decision.orders
        assert moves(decision)["big"].after == (vm_id("small"),)
        assert the_no(decision, "big").detail == "waits until small has left h1"


def test_a_host_whose_room_is_made_is_not_emptied_itself() -> None:
    decision = failing(tight()).step()
    assert [event.host for event in decision.events if type(event).__name__ == "EvacuationBegun"] == ["h0"]


def test_direct_moves_come_first_and_keep_the_room_that_there_is() -> None:
    """``mid`` goes where there is room, though ``big`` might have had room made with it."""
    builder = tight()
    mid = replace(builder.vms[1][1][1], vm=vm_id("mid"), name="mid", priority=-1)
    decision = failing(replace(builder, vms=(("h0", (*builder.vms[0][1], mid)), *builder.vms[1:]))).step()
    assert list(ordered(decision)) == ["mid"]
    assert "big" not in moves(decision)


def test_who_rests_is_pinned_or_ignored_makes_no_room() -> None:
    pin = Pin(PinKind.PASSTHROUGH, "0000:01:00.0", "detach it")
    for changed in ({"pins": (pin,)}, {"ignored": True}):
        first, (host, (large, small)), last = tight().vms
        kept = replace(small, **changed)  # type: ignore[arg-type]
        decision = failing(replace(tight(), vms=(first, (host, (large, kept)), last))).step()
        assert not decision.orders
        assert "no room is made on h1, h2: small on h1: " in the_no(decision, "big").detail


def test_who_was_moved_lately_rests_and_makes_no_room() -> None:
    builder = tight()
    first, (host, (large, small)), (other, records) = builder.vms
    t = failing(replace(builder, vms=(first, (host, (large,)), (other, (*records, small)))))
    t.show("h0", "ecc.uncorrected", 0.0, "D").settle(2)
    t.world["h1"][small.vm] = t.world["h2"].pop(small.vm)
    t.settle(2)
    decision = t.show("h0", "ecc.uncorrected", 1.0, "D").wait(1.0).step()
    assert not decision.orders
    assert "small on h1: moved by somebody else" in the_no(decision, "big").detail


def test_where_no_other_host_takes_who_would_make_room_that_is_said() -> None:
    decision = failing(tight(movable=14)).step()
    assert not decision.orders
    assert ("; no room is made on h1, h2: small on h1: no other host takes it (h2: needs 14.0 GiB"
            in the_no(decision, "big").detail)


def beside_a_flight(**dirtying: float) -> tuple[Table, Order]:
    """``small`` can make room on h1 for ``big``, and ``r`` leaves h1 for h3 just then because somebody calls h1 hot."""
    builder = (a_cluster().host("h0").running("big", 30)
               .host("h1").running("large", 28).running("small", 8).running("r", 4)
               .host("h2").running("heavy", 52).host("h3").running("heavier", 54))
    t = failing(builder)
    t.dirtying |= dirtying
    return t, t.fly("r", "h1", "h3")


def test_who_makes_room_for_a_failing_host_yields_to_nobodys_comfort() -> None:
    t, _ = beside_a_flight(r=400.0)
    assert "small" in ordered(t.step()), "r has half of the link then, and does not end before that is over"


def test_who_makes_room_waits_until_it_gets_enough_to_end_itself() -> None:
    t, flight = beside_a_flight(small=400.0)
    decision = t.step()
    assert not decision.orders
    assert "h2: dirties its memory at 400 MiB/s, as was measured: copied at 300 MiB/s" in the_no(decision, "big").detail
    after = (t.wait(1.0).step(t.finish(flight)), *t.settle(4))
    assert "small" in {name for one in after for name in ordered(one)}


def test_who_never_arrives_makes_no_room() -> None:
    t = failing(tight())
    t.dirtying["small"] = 900.0
    decision = t.step()
    assert not decision.orders
    assert "no other host takes it (h2: dirties its memory at 900 MiB/s" in the_no(decision, "big").detail


def test_a_drain_has_room_made_and_a_pin_rule_binds_even_an_operator() -> None:
    limits = Limits(migration_minimum_mib_s=1.0, failover_hosts=0)
    free = table(tight(), replace(POLICIES, limits=limits)).warm_up()
    assert set(ordered(free.say(Verb.DRAIN, "h0"))) == {"small"}
    rule = PlacementPolicy("stays", VmSelector(names=("small",)), Rule.PINNED, mode=Mode.AUTO)
    bound = table(tight(), replace(POLICIES, limits=limits, placement=(rule,))).warm_up()
    assert not bound.say(Verb.DRAIN, "h0").orders


def test_a_policy_moves_nobody_whom_it_may_not_touch() -> None:
    chosen = replace(POLICIES.evacuation[0], vms=VmSelector(names=("big",)))
    assert not failing(tight(), replace(POLICIES, evacuation=(chosen,))).step().orders
    scoped = replace(POLICIES.evacuation[0], scope=Scope(patterns=("h0",)))
    assert not failing(tight(), replace(POLICIES, evacuation=(scoped,))).step().orders
    assert failing(tight(), replace(POLICIES, evacuation=(replace(chosen, vms=EVERY_VM),))).step().orders


def test_who_makes_room_leaves_its_target_below_its_mark() -> None:
    """h2 would hold 60 of 64 GiB, above the 88 % from which it is hot."""
    decision = failing(tight(), replace(POLICIES, balance=(BalancePolicy("even"),))).step()
    assert not decision.orders


def test_two_that_need_each_others_place_are_named_as_a_circle() -> None:
    rules = tuple(PlacementPolicy(f"{name} on {host}", VmSelector(names=(name,)), Rule.ON, hosts=Scope(patterns=(host,)),
                                  mode=Mode.AUTO) for name, host in (("one", "h1"), ("two", "h0")))
    builder = (a_cluster().host("h0", 40).running("one", 20).host("h1", 40).running("two", 20)
               .host("h2", 40).running("other", 8))
    limits = Limits(migration_minimum_mib_s=1.0, failover_hosts=0)
    t = table(builder, PolicySet(limits=limits, balance=(BalancePolicy("b"),), placement=rules)).warm_up()
    decision = t.quiet_for(900.0)[-1]
    assert not decision.orders
    assert ("one waits for two to leave h1, and that for it to leave h0: a circle, and no third host takes either"
            in the_no(decision, "one").detail)


BALANCE = BalancePolicy("balance", hot=(Edge("cpu", 0.80), Edge("memory", 0.88)), hot_hold=Seconds(60.0), mode=Mode.AUTO,
                        imbalance_above=0.99)
RELIEF = PolicySet(limits=Limits(migration_minimum_mib_s=1.0, failover_hosts=0), balance=(BALANCE,))


def two_hot() -> Table:
    """h1 is hot of its processors, h2 of its memory; h3 has memory for one of h2, and no processors for one of h1."""
    builder = (a_cluster().host("h1").running("busy", 8).running("busier", 16)
               .host("h2").running("idle", 20).running("full", 38)
               .host("h3").running("warm", 8))
    return table(builder, RELIEF).burn(busy=5.0, busier=9.0, idle=0.2, full=1.0, warm=8.0).warm_up()


def test_two_hot_hosts_change_by_way_of_a_third() -> None:
    waiting = next(planned["busy"] for one in two_hot().quiet_for(900.0) if "busy" in (planned := moves(one)))
    assert (waiting.target, waiting.after_names) == ("h2", ("idle",))
    t = two_hot()
    assert not any(move.room_for for one in t.burn_on(1500.0) for move in one.view.moves), "it leaves h2 for its own sake"
    assert {host: sorted(record.name for record in vms.values()) for host, vms in t.world.items()} == {
        "h1": ["busier"], "h2": ["busy", "full"], "h3": ["idle", "warm"]}


def one_hot() -> Table:
    """h1 is hot of its processors; h2 is cool and has no memory left; h3 has memory and no processors."""
    builder = (a_cluster().host("h1").running("busy", 8).running("busier", 16)
               .host("h2").running("idle", 8).running("full", 42)
               .host("h3").running("warm", 8))
    return table(builder, RELIEF).burn(busy=5.0, busier=9.0, idle=0.2, full=1.0, warm=8.0).warm_up()


def test_a_hot_host_has_room_made_on_one_that_is_full_but_cool() -> None:
    planned = moves(next(one for one in one_hot().quiet_for(900.0) if one.view.moves))
    assert (planned["idle"].target, planned["idle"].room_for, planned["idle"].policy) == ("h3", "h1", "balance")
    assert (planned["busy"].target, planned["busy"].after_names) == ("h2", ("idle",))
    t = one_hot()
    t.burn_on(1500.0)
    assert {host: sorted(record.name for record in vms.values()) for host, vms in t.world.items()} == {
        "h1": ["busier"], "h2": ["busy", "full"], "h3": ["idle", "warm"]}


def test_evenness_makes_nobody_move_for_anothers_sake() -> None:
    even = replace(RELIEF, balance=(replace(BALANCE, hot=(Edge("cpu", 0.99),), imbalance_above=0.10),))
    builder = (a_cluster().host("h1").running("busy", 8).running("busier", 16)
               .host("h2").running("idle", 8).running("full", 42).host("h3").running("warm", 8))
    t = table(builder, even).burn(busy=5.0, busier=9.0, idle=0.2, full=1.0, warm=14.0).warm_up()
    assert not any(move.room_for for one in t.quiet_for(1500.0) for move in one.view.moves)


def a_move(vm: str, source: str, target: str, gib: int, *after: str) -> Move:
    return Move(vm_id(vm), vm, HostName(source), HostName(target), Bytes(gib * GIB), Seconds(1.0), "p", "b",
                after=tuple(vm_id(one) for one in after))


def test_the_checker_counts_room_only_once_those_who_make_it_are_gone() -> None:
    t = table(tight()).warm_up()
    snapshot = t.controller._last
    assert snapshot is not None
    small, big = a_move("small", "h1", "h2", 8), a_move("big", "h0", "h1", 30, "small")
    assert check_order(snapshot, Ledger(), (small, big)) == ()
    assert f"big waits for {vm_id('small')}, which does not leave h1" in check_order(snapshot, Ledger(), (big,))
    more = a_move("more", "h0", "h1", 3)
    assert check_order(snapshot, Ledger(), (small, big, more)) == (
        f"h1: {33 * GIB} B arrive where {24 * GIB} B are left and {8 * GIB} B have been made",)
    circle = replace(small, after=(vm_id("big"),), target=HostName("h0"))
    assert "moves wait for one another in a circle" in check_order(snapshot, Ledger(), (circle, big))


def test_the_checker_counts_room_only_of_who_is_on_his_way_and_only_as_much_as_he_holds() -> None:
    snapshot = table(tight()).warm_up().controller._last
    assert snapshot is not None
    big = a_move("big", "h0", "h1", 30, "small")
    flight = Migration("1", vm_id("small"), "small", HostName("h1"), HostName("h2"), Bytes(8 * GIB), 100, "p", "", 0.0, 9.0,
                       1.0, MigrationPhase.RUNNING)

    def said(told: Snapshot, phase: MigrationPhase) -> str:
        ledger = Ledger()
        ledger.migrations["1"] = replace(flight, phase=phase)
        return "; ".join(check_order(told, ledger, (big,)))

    gone = tuple(replace(fact, inventory=replace(fact.inventory, vms=tuple(
        vm for vm in fact.inventory.vms if vm.name != "small"))) if fact.inventory else fact for fact in snapshot.facts)
    held = replace(snapshot, facts=gone, hosts=replace(snapshot.hosts, reserved=np.array([0, 8 * GIB, 0])))
    for told in (snapshot, held):
        assert not said(told, MigrationPhase.RUNNING)
        assert not said(told, MigrationPhase.COMPLETED)
        for phase in (MigrationPhase.FAILED, MigrationPhase.ABORTED, MigrationPhase.LOST):
            assert "which does not leave h1" in said(told, phase)
    needs = Needs((Backing(Bytes(GIB), Bytes(4 * GIB)),))
    paged = replace(held, records=tuple(replace(one, needs=needs) if one.name == "small" else one
                                        for one in snapshot.records))
    assert f"{24 * GIB} B are left and {4 * GIB} B have been made" in said(paged, MigrationPhase.RUNNING)


def test_nobody_counts_on_more_than_is_held_for_who_grew_on_his_way() -> None:
    """small was ordered with so much and has 12 GiB at h2 now: h1 has 32 GiB once it is gone, whatever was ordered."""
    flight = Migration("1", vm_id("small"), "small", HostName("h1"), HostName("h2"), Bytes(0), 100, "p", "", 0.0, 9.0,
                       1.0, MigrationPhase.COMPLETED)
    for big, ordered_gib, waits in ((34, 4, False), (32, 12, True)):
        builder = (a_cluster().host("h0").running("big", big).host("h1").running("large", 32)
                   .host("h2").running("heavy", 40).running("small", 12))
        known = table(builder).warm_up().controller._last
        assert known is not None
        ledger = Ledger()
        ledger.migrations["1"] = replace(flight, memory=Bytes(ordered_gib * GIB))
        asked = Intent(IntentKind.EVACUATE, HostName("h0"), "failing", "", Health.FAILING, known.now, urgent=True)
        made = plan(take(known.facts, ledger, known.now), ledger, (asked,), POLICIES)
        assert [move.after for move in made.moves] == [(flight.vm,)] * waits


def test_who_makes_room_does_not_go_where_the_other_one_leaves() -> None:
    t = failing(tight(movable=14))
    assert "small" not in moves(t.step())
    limits = Limits(migration_minimum_mib_s=1.0, failover_hosts=0)
    builder = (a_cluster().host("h1").running("busy", 8).running("busier", 16)
               .host("h2").running("idle", 8).running("full", 42))
    hot = table(builder, replace(RELIEF, limits=limits)).burn(busy=1.0, busier=14.0, idle=0.2, full=1.0).warm_up()
    assert not any(move.room_for for one in hot.quiet_for(900.0) for move in one.view.moves)
