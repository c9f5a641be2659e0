"""Who leaves a host that is emptied: places for all together, not where it becomes hot, and by the plan in progress."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ballastd.core import planning
from ballastd.core.decisions import Decision
from ballastd.core.explanation import explain
from ballastd.core.inputs import OperatorCommand, Verb
from ballastd.core.policies import BalancePolicy, Edge, Limits, Mode, PlacementPolicy, Rule, VmSelector
from ballastd.core.quantities import GIB, Bytes
from tests.builders import POLICIES, ClusterBuilder, Table, a_cluster, table, vm_id

NO_RESERVE = replace(POLICIES, limits=Limits(failover_hosts=0, migration_minimum_mib_s=1.0))


def targets(decision: Decision) -> dict[str, str]:
    return {move.vm_name: move.target for move in decision.view.moves}


def two_holes() -> ClusterBuilder:
    """What is free of h2 and h3 fits those of h1 exactly, if each takes its own."""
    return (a_cluster().host("h1").running("small", 10).running("large", 20)
            .host("h2").running("c", 44).host("h3").running("d", 54))


def failing(t: Table, host: str = "h1") -> Table:
    for declared in t.cluster.hosts:
        t.show(declared.name, "ecc.uncorrected", 0.0, "D")
    return t.warm_up().show(host, "ecc.uncorrected", 1.0, "D")


def test_a_small_one_leaves_the_only_hole_to_the_large_one() -> None:
    decision = table(two_holes(), NO_RESERVE).warm_up().say(Verb.DRAIN, "h1")
    assert targets(decision) == {"small": "h3", "large": "h2"}
    assert not [no for no in decision.view.noes if no.kind == "no-target"]
    small = next(move for move in decision.view.moves if move.vm_name == "small")
    assert small.account is not None
    assert small.account.because == "places for all moves of the plan are chosen together"


def test_so_it_does_on_a_failing_host_step_by_step() -> None:
    one_at_once = replace(NO_RESERVE, limits=replace(NO_RESERVE.limits, in_flight_host_out=1))
    t = failing(table(two_holes(), one_at_once))
    assert t.run_to_rest() == 2
    assert {name: sorted(record.name for record in vms.values()) for name, vms in t.world.items()} == {
        "h1": [], "h2": ["c", "large"], "h3": ["d", "small"]}


def test_hosts_that_are_emptied_together_make_place_for_one_another() -> None:
    """Of h1 the one VM goes where most is free, which is the only hole for the one of h2."""
    builder = (a_cluster().host("h1").running("a", 10).host("h2").running("b", 20)
               .host("h3").running("c", 44).host("h4").running("d", 54))
    t = table(builder, NO_RESERVE).warm_up()
    both = [OperatorCommand(f"t{host}", Verb.DRAIN, host, "ann", "", None) for host in ("h1", "h2")]
    assert targets(t.step(*both)) == {"a": "h4", "b": "h3"}


def test_whoever_may_not_meet_is_placed_apart_though_another_has_to_give_way() -> None:
    """Both of ``web`` fit only if neither goes where the one that is alone has most room."""
    apart = PlacementPolicy("apart", VmSelector(tags=("web",)), Rule.APART, "host")
    builder = (a_cluster().host("h1").running("big", 12).running("w1", 8, tags=("web",)).running("w2", 12, tags=("web",))
               .host("h2").running("c", 40).host("h3").running("d", 52))
    decision = table(builder, replace(NO_RESERVE, placement=(apart,))).warm_up().say(Verb.DRAIN, "h1")
    assert targets(decision) == {"big": "h2", "w1": "h2", "w2": "h3"}


def test_the_failover_reserve_is_kept_where_places_are_chosen_together() -> None:
    """With it each of the hosts that stay has to leave room for the other: both places that fit would take that."""
    assert set(targets(table(two_holes(), POLICIES).warm_up().say(Verb.DRAIN, "h1"))) == set()


def test_who_fits_nowhere_keeps_nobody_from_leaving() -> None:
    builder = (a_cluster().host("h1").running("giant", 40).running("small", 10).running("large", 20)
               .host("h2").running("c", 44).host("h3").running("d", 54))
    decision = table(builder, NO_RESERVE).warm_up().say(Verb.DRAIN, "h1")
    assert targets(decision) == {"small": "h3", "large": "h2"}
    assert [no.vm_name for no in decision.view.noes if no.kind == "no-target"] == ["giant"]


def busy_and_full(used: float = 12.0) -> Table:
    """h2 has most memory and little else left; h3 the other way round."""
    builder = (a_cluster().host("h1").running("v", 4).host("h2").running("c", 4).host("h3").running("d", 40))
    t = table(builder, NO_RESERVE).burn(v=4.0, c=used, d=2.0)
    t.warm_up().burn_on(700.0)
    return t


def test_nobody_is_saved_to_where_it_would_be_hot_with_him() -> None:
    t = busy_and_full()
    decision = t.say(Verb.DRAIN, "h1")
    assert targets(decision) == {"v": "h3"}
    account = decision.view.moves[0].account
    assert account is not None
    assert account.because == "h2 would be hot with it"


def test_what_is_hot_is_what_the_policy_says_and_where_there_is_no_other_place_it_is_taken() -> None:
    t = busy_and_full(used=10.0)
    assert targets(t.say(Verb.DRAIN, "h1")) == {"v": "h3"}, "14 of 16 processors: above 80 % that count where no policy says"
    t = busy_and_full(used=10.0)
    lax = replace(NO_RESERVE, balance=(BalancePolicy("lax", hot=(Edge("cpu", 0.95),), imbalance_above=1.0),))
    assert targets(t.restart(lax).warm_up().say(Verb.DRAIN, "h1")) == {"v": "h2"}
    t = busy_and_full()
    t.say(Verb.CORDON, "h3")
    decision = t.wait(1.0).say(Verb.DRAIN, "h1")
    assert targets(decision) == {"v": "h2"}
    said = str(explain(decision.view, "v"))
    assert "h2 will be hot with it" in said


def steady() -> Table:
    """Of h1 many leave, two at once, for hosts that are much alike."""
    builder = a_cluster().host("h1", 128).crowd("v", 16, 4)
    for number in range(2, 7):
        builder = builder.host(f"h{number}", 64).running(f"i{number}", 4 + number)
    t = table(builder, NO_RESERVE).burn(**{f"v{number}": 0.3 + 0.1 * number for number in range(16)})
    t.warm_up().burn_on(700.0)
    return t


def drained(t: Table, first: Decision, looks: int = 60) -> tuple[dict[str, str], dict[str, set[str]]]:
    """Let moves end some steps after they began; return where VMs were planned at first, and all that was planned after."""
    planned, seen, flying = targets(first), dict[str, set[str]](), list(first.orders)
    for order in flying:
        t.begin(order)
    for look in range(looks):
        ended = [flying.pop(0)] if flying and look % 3 == 2 else []
        decision = t.wait(5.0).step(*(t.finish(order) for order in ended))
        for order in decision.orders:
            t.begin(order)
            flying.append(order)
        for name, target in targets(decision).items():
            seen.setdefault(name, set()).add(target)
    return planned, seen


def test_under_steady_loads_everybody_goes_where_it_was_planned_first() -> None:
    t = steady()
    planned, seen = drained(t, t.say(Verb.DRAIN, "h1"))
    assert len(planned) == 16
    assert not t.world["h1"], "all have left"
    assert {name: {planned[name]} for name in seen} == seen


def test_whose_target_turns_sick_goes_elsewhere_and_the_others_keep_theirs() -> None:
    t = steady()
    planned = targets(t.say(Verb.DRAIN, "h1"))
    t.show("h3", "fan.alarm", 1.0, "f")
    now = targets(t.wait(1.0).step())
    assert "h3" in planned.values()
    assert "h3" not in now.values()
    assert {name for name in now if now[name] != planned[name]} == {name for name in now if planned[name] == "h3"}


@pytest.mark.parametrize(("gib", "is_left"), [(64, False), (512, True)])
def test_course_is_changed_only_for_what_is_better_by_more_than_that_costs(gib: int, is_left: bool) -> None:
    """A host that may receive again has a little more left, or much."""
    builder = (a_cluster().host("h1").running("v", 16).running("w", 16).host("h2").running("c", 24)
               .host("h3", gib).running("d", 32))
    one_at_once = replace(NO_RESERVE, limits=replace(NO_RESERVE.limits, in_flight_host_out=1))
    t = table(builder, one_at_once)
    t.warm_up().say(Verb.CORDON, "h3")
    order, = t.wait(1.0).say(Verb.DRAIN, "h1").orders
    assert targets(t.begin(order).wait(1.0).step()) == {"w": "h2"}
    decision = t.wait(1.0).say(Verb.UNCORDON, "h3")
    assert targets(decision) == {"w": "h3" if is_left else "h2"}
    account = decision.view.moves[0].account
    assert account is not None
    assert account.because.startswith("the plan in progress has h2") is not is_left


def test_a_daemon_that_starts_anew_plans_anew() -> None:
    t = steady()
    first = t.say(Verb.DRAIN, "h1")
    t.restart(NO_RESERVE).warm_up()
    assert set(targets(t.step())) == set(targets(first)) - {order.move.vm_name for order in first.orders}


def test_who_is_placed_together_does_not_make_a_host_hot_where_another_has_room() -> None:
    """Only h2 has room for large; small and middle would go there too, and need not both go to the fullest of the others."""
    builder = (a_cluster().host("h1").running("small", 4).running("middle", 5).running("large", 20)
               .host("h2").running("c", 44).host("h3").running("d", 48).host("h4").running("e", 45))
    t = table(builder, NO_RESERVE).burn(small=4.0, middle=4.0, large=1.0, c=0.1, d=6.0, e=6.0)
    t.warm_up().burn_on(700.0)
    assert targets(t.say(Verb.DRAIN, "h1")) == {"large": "h2", "middle": "h3", "small": "h4"}


def test_who_was_offered_a_hole_leaves_it_to_whom_nothing_else_fits() -> None:
    asking = replace(NO_RESERVE, evacuation=tuple(replace(one, mode=Mode.RECOMMEND) for one in NO_RESERVE.evacuation))
    builder = a_cluster().host("h1").running("small", 10).host("h2").running("c", 44).host("h3").running("d", 54)
    t = failing(table(builder, asking))
    assert targets(t.step()) == {"small": "h2"}
    small = t.world["h1"][vm_id("small")]
    t.world["h1"][vm_id("large")] = replace(small, vm=vm_id("large"), name="large", memory_max=Bytes(20 * GIB))
    assert targets(t.wait(30.0).step()) == {"small": "h3", "large": "h2"}


def test_who_is_left_out_because_a_plan_is_full_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "MOVES_MAX", 2)
    t = table(a_cluster().host("h1").crowd("v", 3, 4).host("h2").host("h3"), NO_RESERVE).warm_up()
    decision = t.say(Verb.DRAIN, "h1")
    stays, = {"v0", "v1", "v2"} - set(targets(decision))
    assert [(no.kind, no.detail) for no in decision.view.noes if no.vm_name == stays] == [
        ("ceiling", "a plan has 2 moves at most: it comes in a later one")]
