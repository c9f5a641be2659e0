"""Relief of hot hosts and evening out: only when it matters, only what is worth it, and never to and fro."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ballastd.core import events as ev
from ballastd.core.inputs import Verb
from ballastd.core.inventory import Pin, PinKind
from ballastd.core.ledger import Ledger
from ballastd.core.plans import DeferralKind, RefusalKind
from ballastd.core.policies import AutoConverge, BalancePolicy, Cooldown, Mode, MoveBudget, Window
from ballastd.core.quantities import HostName, Seconds
from tests.builders import POLICIES, WALL, Table, a_cluster, table, vm_id

EVEN_LOAD = BalancePolicy("even-load", mode=Mode.AUTO)
BALANCED = replace(POLICIES, balance=(EVEN_LOAD,))
RELIEF_ONLY = replace(POLICIES, balance=(replace(EVEN_LOAD, imbalance_above=1.0),))


def two_busy(policies=BALANCED, gib: int = 8) -> Table:
    """h1 has four VMs that can burn, h2 to h4 one idle VM each."""
    builder = a_cluster().host("h1").crowd("b", 4, gib).idlers(2, 3, 4, gib=gib)
    t = table(builder, policies).warm_up()
    t.quiet_for(200.0)
    return t


def hot(t: Table, cores: float = 3.6) -> Table:
    return t.burn(**{f"b{i}": cores for i in range(4)})


def orders(decisions):
    return [order for decision in decisions for order in decision.orders]


def test_a_hot_host_is_relieved_after_its_hold_and_not_before() -> None:
    t = hot(two_busy())
    assert not orders(t.quiet_for(290.0))
    assert {order.move.source for order in orders(t.burn_on(400.0))} == {"h1"}


def test_relief_takes_only_what_makes_the_host_cool() -> None:
    t = hot(two_busy(RELIEF_ONLY))
    moved = orders(t.burn_on(3000.0))
    assert {o.move.source for o in moved} == {"h1"}
    assert len(moved) == 2, "two of four leave 7.2 of 16 processors: less than 65 %; one leaves 10.8: more"
    assert all(o.move.routine for o in moved)


@pytest.mark.parametrize("who", AutoConverge)
def test_relief_slows_nobody_down_unless_all_may_be(who: AutoConverge) -> None:
    t = hot(two_busy(replace(RELIEF_ONLY, limits=replace(RELIEF_ONLY.limits, auto_converge=who))))
    moved = orders(t.burn_on(1000.0))
    assert moved
    assert {order.auto_converge for order in moved} == {who is AutoConverge.ALWAYS}


def test_nothing_moves_where_nothing_is_hot() -> None:
    t = two_busy().burn(b0=2.0, b1=2.0)
    assert not orders(t.burn_on(4000.0))


def test_a_short_peak_moves_nothing() -> None:
    t = hot(two_busy())
    t.quiet_for(200.0)
    hot(t, 0.1)
    assert not orders(t.burn_on(1000.0))


def test_a_policy_that_recommends_moves_nothing_and_says_what_it_would_do() -> None:
    t = hot(two_busy(replace(POLICIES, balance=(replace(EVEN_LOAD, mode=Mode.RECOMMEND),))))
    last = t.quiet_for(700.0)[-1]
    assert not last.orders
    assert last.view.moves
    assert {i.state for i in last.view.intents} == {"recommended"}
    assert DeferralKind.MODE.value in {no.kind for no in last.view.noes}


def test_after_a_move_both_hosts_settle_before_the_next() -> None:
    t = hot(two_busy(RELIEF_ONLY))
    times = []
    for _ in range(200):
        t.wait(10.0)
        decision = t.step()
        if decision.orders:
            times.append((decision.orders, t.now.wall))
            t.step(*t.carry_out(decision))
    assert len(times) == 2
    assert times[1][1] - times[0][1] >= EVEN_LOAD.cooldown.host_settle


def test_hosts_settle_also_after_a_vm_that_was_moved_on() -> None:
    books = Ledger()
    for at, source, target in ((100.0, "h1", "h2"), (160.0, "h2", "h3")):
        books.apply(ev.ForeignMoveSeen(at, vm_id("a"), "a", HostName(source), HostName(target)))
    assert [books.host_touched(HostName(name)) for name in ("h1", "h2", "h3", "h4")] == [100.0, 160.0, 160.0, None]


def test_a_vm_rests_after_it_was_moved() -> None:
    policy = replace(EVEN_LOAD, cooldown=Cooldown(vm=Seconds(3600.0), host_settle=Seconds(10.0)))
    t = hot(two_busy(replace(POLICIES, balance=(policy,))))
    first = orders(t.burn_on(1200.0))
    assert first
    t.burn(**{f"b{i}": 0.1 for i in range(4)})
    moved = first[0].move
    # where it is now becomes hot, by that very VM
    t.burn(**{moved.vm_name: 14.0})
    later = orders(t.burn_on(1500.0))
    assert moved.vm not in {o.move.vm for o in later}
    noes = {no.kind for no in t.step().view.noes}
    assert RefusalKind.NO_GAIN.value in noes


def test_a_move_by_somebody_else_is_noticed_and_respected() -> None:
    t = two_busy()
    record = t.world["h2"].pop(vm_id("i2"))
    t.world["h1"][vm_id("i2")] = record
    seen = t.wait(5.0).step()
    assert [e.__class__.__name__ for e in seen.events if "Foreign" in e.__class__.__name__] == ["ForeignMoveSeen"]
    hot(t, 0.1).burn(i2=15.0)
    assert not orders(t.burn_on(4000.0)), "they put it there"
    assert "moved by somebody else" in str(t.step().view.noes)


def test_a_move_off_a_host_that_does_not_answer_is_noticed_and_respected_as_well() -> None:
    t = two_busy()
    t.dark.add("h2")
    t.wait(5.0).step()
    t.world["h1"][vm_id("i2")] = t.world["h2"].pop(vm_id("i2"))
    seen = t.wait(5.0).step()
    t.dark.clear()
    t.settle(3)
    assert [(e.source, e.target) for e in t.events if isinstance(e, ev.ForeignMoveSeen)] == [("h2", "h1")]
    assert [e for e in seen.events if isinstance(e, ev.ForeignMoveSeen)], "it rests from now on"


def test_a_host_rests_after_a_move_though_its_vm_was_moved_on_since() -> None:
    ledger, vm = Ledger(), vm_id("a")
    for wall, source, target in ((100.0, "h1", "h2"), (200.0, "h2", "h3")):
        ledger.apply(ev.ForeignMoveSeen(wall, vm, "a", HostName(source), HostName(target)))
    assert [ledger.host_touched(HostName(host)) for host in ("h1", "h2", "h3", "h4")] == [100.0, 200.0, 200.0, None]


def test_a_foreign_move_is_remembered_over_a_restart() -> None:
    t = two_busy()
    t.world["h1"][vm_id("i2")] = t.world["h2"].pop(vm_id("i2"))
    t.wait(5.0).step()
    t.restart(BALANCED).warm_up()
    hot(t, 0.1).burn(i2=15.0)
    assert not orders(t.burn_on(4000.0))


def test_a_foreign_move_that_could_not_be_recorded_is_recorded_later() -> None:
    t = two_busy()
    t.world["h1"][vm_id("i2")] = t.world["h2"].pop(vm_id("i2"))
    assert [type(e) for e in t.wait(5.0).step(durable=False).events] == [ev.ForeignMoveSeen]
    t.settle(3)
    seen = [(e.vm_name, e.source, e.target) for e in t.events if isinstance(e, ev.ForeignMoveSeen)]
    assert seen == [("i2", "h2", "h1")]


def test_a_vm_does_not_return_within_the_day() -> None:
    policy = replace(EVEN_LOAD, cooldown=Cooldown(vm=Seconds(600.0), host_settle=Seconds(10.0)))
    t = hot(two_busy(replace(POLICIES, balance=(policy,))))
    moves = orders(t.burn_on(1500.0))
    back = {(o.move.vm, o.move.source) for o in moves}
    # load follows the VM: where it is becomes hot again and again
    for _ in range(12):
        t.burn(**{f"b{i}": 0.1 for i in range(4)}).burn(**{moves[0].move.vm_name: 14.5})
        for order in orders(t.burn_on(1500.0)):
            assert (order.move.vm, order.move.target) not in back
            back.add((order.move.vm, order.move.source))


def test_the_hourly_budget_is_kept_over_a_restart() -> None:
    policy = replace(EVEN_LOAD, cooldown=Cooldown(vm=Seconds(0.0), host_settle=Seconds(0.0)),
                     budget=MoveBudget(per_hour=1))
    policies = replace(POLICIES, balance=(policy,))
    t = hot(two_busy(policies))
    assert len(orders(t.burn_on(800.0))) == 1
    t.restart(policies).warm_up()
    assert not orders(t.burn_on(1500.0))
    assert DeferralKind.MOVES_PER_HOUR.value in {no.kind for no in t.step().view.noes}
    assert orders(t.burn_on(2500.0)), "an hour later it may"


def test_a_denying_window_holds_balance_back() -> None:
    window = Window("day", False, ((WALL - 1e6, WALL + 3600.0),), WALL + 1e7)
    policies = replace(POLICIES, windows={"day": window}, balance=(replace(EVEN_LOAD, windows=("day",)),))
    t = hot(two_busy(policies))
    assert not orders(t.burn_on(3000.0))
    assert orders(t.burn_on(1500.0))


def test_no_target_is_made_warm() -> None:
    t = hot(two_busy()).burn(i2=9.0, i3=9.0, i4=9.0)
    assert not orders(t.burn_on(1500.0)), "every other host would be above its cool edge"
    assert RefusalKind.NO_GAIN.value in {no.kind for no in t.step().view.noes}


def test_memory_alone_makes_a_host_hot() -> None:
    t = two_busy(gib=15)
    moved = orders(t.burn_on(1500.0))
    assert [o.move.source for o in moved] == ["h1"], "60 of 64 GiB is more than 88 %; 45 are cool"


def test_an_uneven_cluster_is_evened_out_though_nothing_is_hot() -> None:
    t = two_busy(gib=4).burn(b0=4.0, b1=4.0, b2=2.0)
    moved = orders(t.burn_on(3000.0))
    assert moved
    assert moved[0].move.source == "h1"
    shares = [t.utilization(h) for h in ("h1", "h2", "h3", "h4")]
    assert max(shares) - min(shares) <= EVEN_LOAD.imbalance_above


def test_sick_hosts_are_left_aside_when_load_is_evened_out() -> None:
    t = two_busy(gib=4).burn(b0=4.0, b1=4.0, b2=2.0)
    for host in ("h2", "h3", "h4"):
        t.show(host, "fan.alarm", 1.0)
    decisions = t.burn_on(3000.0)
    assert not orders(decisions)
    assert not decisions[-1].view.intents, "beside h1 there is nobody to be even with"


def test_a_host_that_is_hot_by_pressure_alone_says_why_nothing_leaves_it() -> None:
    t = two_busy(RELIEF_ONLY)
    t.show("h1", "cpu.pressure.some", 0.5)
    last = t.quiet_for(900.0)[-1]
    assert [intent.kind for intent in last.view.intents] == ["relieve"]
    (no,) = [no for no in last.view.noes if no.host == "h1"]
    assert (no.kind, last.orders) == (RefusalKind.NO_GAIN.value, ())
    assert "it is cool: 2% of its processors" in no.detail


def test_a_small_vm_is_not_pushed_to_the_next_fullest_host() -> None:
    builder = a_cluster().host("h1").running("giant", 8).running("small", 4).host("h2").running("other", 8).host("h3")
    t = table(builder, BALANCED).warm_up()
    t.quiet_for(200.0)
    decisions = t.burn(giant=8.0, small=0.3, other=7.6).burn_on(4000.0)
    assert any(intent.kind == "even" for intent in decisions[-1].view.intents), "h3 idles, so it is uneven"
    assert not orders(decisions), "h2 would have a little less to complain of, and nobody would be helped"


def test_no_host_is_made_the_emptiest_to_please_another() -> None:
    """Small h1 and h2 would be nearer to one another, and h1 would idle beside h3, which is as full as h1 was."""
    pinned = (Pin(PinKind.DISK_LOCAL, "vda", "put it on shared storage"),)
    builder = a_cluster().host("h1").running("giant", 8).host("h2").running("i2", 8)
    builder = builder.host("h3").running("i3", 8, pins=pinned)
    builder = replace(builder, hosts=(replace(builder.hosts[0], cpu_limit=4.0), *builder.hosts[1:]))
    t = table(builder, BALANCED).warm_up()
    t.quiet_for(200.0)
    decisions = t.burn(giant=1.8, i2=1.5, i3=7.0).burn_on(4000.0)
    assert any(intent.kind == "even" for intent in decisions[-1].view.intents)
    assert not orders(decisions)


def test_a_small_difference_is_left_alone() -> None:
    t = two_busy(gib=4).burn(b0=2.2, b1=2.0)
    assert not orders(t.burn_on(4000.0))


def test_a_host_whose_two_stories_disagree_is_neither_relieved_nor_filled() -> None:
    t = two_busy()
    t.show("h1", "cpu.utilization", 0.99)
    last = t.burn_on(1500.0)[-1]
    assert not last.orders
    assert any("its VMs use only" in note for note in last.view.notes)


def test_telemetry_that_says_idle_while_vms_burn_is_not_believed() -> None:
    t = hot(two_busy())
    t.show("h1", "cpu.utilization", 0.05)
    last = t.burn_on(1500.0)[-1]
    assert not last.orders
    assert any("its VMs alone use" in note for note in last.view.notes)


def test_silence_relieves_nobody() -> None:
    t = hot(two_busy())
    t.quiet_for(250.0)
    t.silent.add("h1")
    assert not orders(t.burn_on(1500.0))


def test_a_vm_that_its_owner_wants_left_alone_is_left_alone() -> None:
    t = two_busy()
    for i in range(4):
        t.world["h1"][vm_id(f"b{i}")] = replace(t.world["h1"][vm_id(f"b{i}")], ignored=True)
    hot(t)
    assert not orders(t.burn_on(1500.0))
    assert "left alone" in str(t.step().view.noes)


def test_everything_comes_to_rest() -> None:
    policy = replace(EVEN_LOAD, cooldown=Cooldown(vm=Seconds(60.0), no_return=Seconds(60.0), host_settle=Seconds(10.0)),
                     budget=MoveBudget(4, 60, 400, 6))
    t = hot(two_busy(replace(POLICIES, balance=(policy,))))
    t.burn_on(6000.0)
    assert not orders(t.burn_on(6000.0))


def test_our_own_moves_are_nobody_elses() -> None:
    t = hot(two_busy(RELIEF_ONLY))
    assert orders(t.burn_on(3000.0))
    assert not [e for e in t.events if isinstance(e, ev.ForeignMoveSeen)]


def test_what_left_a_host_does_not_come_back_within_the_day() -> None:
    restless = replace(EVEN_LOAD, imbalance_above=1.0, cooldown=Cooldown(
        vm=Seconds(60.0), no_return=Seconds(86400.0), host_settle=Seconds(10.0), foreign_move=Seconds(60.0)))
    builder = a_cluster().host("h1").crowd("b", 4, 4)
    alone = replace(POLICIES, balance=(restless,), limits=replace(POLICIES.limits, failover_hosts=0))
    t = table(builder.host("h2"), alone).warm_up()
    t.quiet_for(200.0)
    assert orders(hot(t).burn_on(2000.0))
    gone = sorted(record.name for record in t.world["h2"].values())
    t.burn(**{record.name: 0.1 for record in t.world["h1"].values()}).burn(**dict.fromkeys(gone, 14.0 / len(gone)))
    decisions = t.burn_on(3000.0)
    assert "cpu is" in str(decisions[-1].view.intents), "now the other one is hot"
    assert not orders(decisions)
    assert "left there" in str(decisions[-1].view.noes)


def test_what_a_target_uses_must_be_known() -> None:
    t = hot(two_busy())
    truth = t.utilization
    t.utilization = lambda host: 0.95 if host != "h1" else truth(host)  # type: ignore[method-assign]
    decisions = t.burn_on(2000.0)
    assert not orders(decisions)
    assert "its VMs use only" in str(decisions[-1].view.noes)


def test_a_host_out_of_sight_is_not_hot() -> None:
    full = replace(EVEN_LOAD, imbalance_above=1.0)
    builder = a_cluster().host("h1").crowd("b", 4, 15)
    t = table(builder.host("h2").host("h3").host("h4"), replace(POLICIES, balance=(full,))).warm_up()
    t.quiet_for(280.0)
    t.dark.add("h1")
    decisions = t.quiet_for(60.0, 2.0)
    assert not [i for d in decisions[10:] for i in d.view.intents], "94 % of its memory, as it was last seen"


def slow_links(mib_s: float) -> Table:
    """h1 is hot by sixteen VMs of 16 GiB that use little each, to be copied over a link of so many MiB/s."""
    builder = a_cluster().host("h1", 512, link_mib_s=mib_s)
    for i in range(16):
        builder = builder.running(f"b{i:02}", 16)
    for h in (2, 3, 4):
        builder = builder.host(f"h{h}", 512, link_mib_s=mib_s)
    t = table(builder, RELIEF_ONLY).warm_up()
    t.quiet_for(200.0)
    return t.burn(**{f"b{i:02}": 0.9 for i in range(16)})


def test_a_move_that_costs_more_than_it_brings_is_not_made() -> None:
    assert orders(slow_links(1000.0).burn_on(700.0)), "each takes 6 % off it"
    t = slow_links(2.0)
    assert not orders(t.burn_on(700.0)), "and hours of copying at both ends"
    (no,) = [no for no in t.step().view.noes if no.kind == RefusalKind.NO_GAIN.value]
    assert "no move is worth its cost; the best would be b" in no.detail


def test_of_two_that_help_as_much_the_one_that_is_cheaper_to_copy_leaves() -> None:
    builder = a_cluster().host("h1").running("a", 40).running("b", 2).idlers(2, 3, 4, gib=8)
    t = table(builder, RELIEF_ONLY).warm_up()
    t.quiet_for(200.0)
    moved = orders(t.burn(a=7.0, b=7.0).burn_on(700.0))
    assert [order.move.vm_name for order in moved] == ["b"]


def test_who_was_offered_first_is_still_offered_though_another_one_would_now_bring_more() -> None:
    t = hot(two_busy(replace(POLICIES, balance=(replace(EVEN_LOAD, mode=Mode.RECOMMEND),))))
    first = t.quiet_for(700.0)[-1].view.moves[0].vm_name
    busier = next(name for name in ("b3", "b2") if name != first)
    last = t.burn(**{first: 3.0, busier: 4.4}).burn_on(700.0)[-1]
    assert last.view.moves[0].vm_name == first


def test_who_has_just_come_or_gone_makes_nobody_doubt_what_telemetry_says() -> None:
    """The mean of a host's telemetry knows those who were there before, those who came and those who left by degrees."""
    t = table(a_cluster().host("h1").crowd("b", 3, 4).idlers(2, 3, gib=4), BALANCED).warm_up()
    t.burn(b0=4.0, b1=4.0, b2=4.0, i2=1.0, i3=15.0).quiet_for(700.0)
    decision, doubts, used = t.say(Verb.DRAIN, "h1"), [], []
    for _ in range(60):
        returned = t.carry_out(decision)
        decision = t.wait(10.0).step(*returned)
        assert t.controller._last is not None
        loads = [fact.load for fact in t.controller._last.facts]
        doubts += [load.doubt for load in loads if load.doubt]
        used.append(loads[1].used)
    assert not doubts
    assert used[3] == pytest.approx(13.0, abs=0.3), "who has come counts at once"
