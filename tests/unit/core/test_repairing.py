"""Rules about where VMs live, broken by somebody else, are put right: after a while, by few moves, and not to and fro."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ballastd.core import easing, repairing
from ballastd.core.intents import Intent, IntentKind
from ballastd.core.inventory import Pin, PinKind
from ballastd.core.policies import (
    BalancePolicy,
    Health,
    Mode,
    MoveBudget,
    PlacementPolicy,
    PolicySet,
    Rule,
    Scope,
    VmSelector,
    Window,
)
from ballastd.core.quantities import HostName, Seconds
from ballastd.core.views import ClusterView
from tests.builders import POLICIES, ClusterBuilder, Table, a_cluster, table, vm_id

LOCAL = Pin(PinKind.DISK_LOCAL, "vda", "put it on shared storage")
WEB = VmSelector(names=("web-*",))
APART = PlacementPolicy("web-apart", WEB, Rule.APART, mode=Mode.RECOMMEND)
RACKS = replace(APART, across="rack")


def keeping(*rules: PlacementPolicy) -> PolicySet:
    return replace(POLICIES, placement=rules)


def two_on_one() -> ClusterBuilder:
    return a_cluster().host("h1").running("web-1", 8).running("web-2", 4).host("h2").host("h3")


def seen(builder: ClusterBuilder, *rules: PlacementPolicy, seconds: float = 900.0) -> Table:
    t = table(builder, keeping(*rules)).warm_up()
    t.quiet_for(seconds)
    return t


def planned(t: Table) -> dict[str, tuple[str, str]]:
    return {move.vm_name: (move.source, move.target) for move in view(t).moves}


def carry(t: Table, name: str, source: str, target: str) -> None:
    """Move a VM by a stranger's hand."""
    t.world[target][vm_id(name)] = t.world[source].pop(vm_id(name))


def view(t: Table) -> ClusterView:
    return t.step().view


def noes(t: Table, kind: str) -> list[str]:
    return [no.detail for no in view(t).noes if no.kind == kind]


def test_of_two_that_are_to_be_apart_the_smaller_leaves() -> None:
    t = seen(two_on_one(), APART)
    assert planned(t) == {"web-2": ("h1", "h2")}
    [move] = view(t).moves
    assert move.because.endswith("broken on h1 by 1 VM; keeps it apart from web-1, which is in h1, too")
    assert move.account is not None
    assert move.account.gains[0].name == "must-rule kept"


def test_who_cannot_move_is_the_one_that_stays() -> None:
    builder = a_cluster().host("h1").running("web-1", 8).running("web-2", 4, pins=(LOCAL,)).host("h2")
    t = seen(builder, APART)
    assert planned(t) == {"web-1": ("h1", "h2")}


def test_nobody_leaves_a_host_on_which_something_runs_a_second_time() -> None:
    builder = a_cluster().host("h1").running("web-1", 8).running("web-2", 4).running("twin", 2)
    t = seen(builder.host("h2").host("h3").host("h4"), APART)
    assert planned(t) == {"web-2": ("h1", "h2")}
    t.world["h4"][vm_id("twin")] = t.world["h1"][vm_id("twin")]
    t.quiet_for(60.0)
    assert t.controller.ledger.frozen_hosts() == {"h1", "h4"}
    assert planned(t) == {}
    assert noes(t, "host-frozen") == ["twin was seen running on h1 and h4; nothing is done to either"]


def test_a_rule_that_has_just_been_broken_is_left_alone_for_ten_minutes() -> None:
    t = seen(two_on_one(), replace(APART, mode=Mode.AUTO), seconds=400.0)
    assert planned(t) == {}
    orders = [order for decision in t.quiet_for(400.0) for order in decision.orders]
    assert [(order.move.vm_name, order.move.target, order.move.policy) for order in orders] == [("web-2", "h2", "web-apart")]


def test_a_policy_that_only_looks_shows_what_it_would_do_and_orders_nothing() -> None:
    t = seen(two_on_one(), replace(APART, mode=Mode.OBSERVE))
    decision = t.step()
    assert not decision.orders
    assert [move.vm_name for move in decision.view.moves] == ["web-2"]
    assert [no.kind for no in decision.view.noes] == ["policy-mode"]


def test_another_place_means_another_rack() -> None:
    builder = (a_cluster().host("h1", rack="a").running("web-1", 8).host("h2", rack="a")
               .running("web-2", 4).host("h3", rack="b"))
    assert planned(seen(builder, RACKS)) == {"web-2": ("h2", "h3")}


def test_where_no_place_would_be_better_it_says_so() -> None:
    builder = a_cluster().host("h1").running("web-1", 8).running("web-2", 4).host("h2").running("web-3", 4)
    t = seen(builder, APART)
    assert planned(t) == {}
    [said] = noes(t, "placement-rule")
    assert said.endswith("on no other host would that be better")


@pytest.mark.parametrize("rule", [Rule.ON, Rule.NEVER_ON])
def test_who_lives_on_a_wrong_host_goes_to_a_right_one(rule: Rule) -> None:
    hosts = ("h3",) if rule is Rule.ON else ("h1", "h2")
    t = seen(two_on_one(), PlacementPolicy("licensed", WEB, rule, hosts=Scope(hosts), mode=Mode.RECOMMEND))
    assert planned(t) == {"web-1": ("h1", "h3"), "web-2": ("h1", "h3")}


def test_a_straggler_goes_to_the_others() -> None:
    builder = (a_cluster().host("h1").running("web-1", 8).running("web-2", 4).host("h2").running("web-3", 4).host("h3"))
    together = PlacementPolicy("web-together", WEB, Rule.TOGETHER, mode=Mode.RECOMMEND)
    assert planned(seen(builder, together)) == {"web-3": ("h2", "h1")}


def test_a_wish_is_not_granted_by_breaking_one_as_heavy() -> None:
    """Else one of the two would send the VM there and the other would send it back."""
    apart = replace(APART, weight=5)
    for weight, goes in ((4, True), (5, False)):
        at_home = PlacementPolicy("home", WEB, Rule.ON, hosts=Scope(("h1",)), weight=weight)
        t = seen(two_on_one(), apart, at_home)
        assert (planned(t) != {}) is goes


def test_somebody_elses_move_is_respected_though_it_broke_a_rule() -> None:
    builder = a_cluster().host("h1").running("web-1", 8).host("h2").running("web-2", 4).host("h3")
    t = seen(builder, APART)
    carry(t, "web-2", "h2", "h1")
    t.quiet_for(900.0)
    assert planned(t) == {}
    assert "moved by somebody else" in " ".join(noes(t, "cooldown"))


def test_a_must_rule_comes_before_relief_and_no_target_gets_hot() -> None:
    builder = a_cluster().host("h1").running("web-1", 8).running("web-2", 4).host("h2").running("busy", 4).host("h3")
    t = table(builder, keeping(APART)).warm_up()
    t.quiet_for(200.0)
    t.burn(busy=9.0, **{"web-2": 3.0})
    t.quiet_for(900.0)
    assert planned(t) == {"web-2": ("h1", "h3")}, "on h2 it would be 12 of 16 processors, and 65 % is the most"


def test_once_it_is_put_right_nothing_moves_any_more() -> None:
    t = seen(two_on_one(), APART)
    carry(t, "web-2", "h1", "h2")
    t.quiet_for(900.0)
    assert view(t).intents == ()
    assert planned(t) == {}


def test_those_who_can_go_nowhere_do_not_stand_in_front_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repairing, "ASKED_MAX", 2)
    monkeypatch.setattr(easing, "IN_TURN_FROM", 3)
    builder = a_cluster()
    for number in range(4):
        # no host has room for the large ones, h3's is small
        builder = builder.host(f"h{number}", 20).running(f"web-{number}", 4 if number == 3 else 16)
    builder = builder.host("z", 10)
    only_z = PlacementPolicy("only-z", WEB, Rule.ON, hosts=Scope(("z",)), mode=Mode.RECOMMEND)
    t = seen(builder, only_z)
    looked: set[int] = set()
    for _ in range(5):
        looked.add(len(noes(t, "placement-rule")))
        if planned(t):
            break
        t.quiet_for(600.0)
    assert max(looked) <= 2
    assert planned(t) == {"web-3": ("h3", "z")}


def test_what_a_host_that_does_not_answer_showed_last_breaks_no_rule() -> None:
    """Its VMs may be elsewhere by now, or nowhere."""
    builder = (a_cluster().host("h1", rack="a").running("web-1", 8).host("h2", rack="a").running("web-2", 4)
               .host("h3", rack="b").host("h4", rack="b"))
    t = seen(builder, RACKS, seconds=300.0)
    t.dark.add("h1")
    t.quiet_for(1200.0)
    assert planned(t) == {}
    assert not [intent for intent in view(t).intents if intent.kind == "repair"]
    t.dark.clear()
    t.quiet_for(900.0)
    assert planned(t) == {"web-2": ("h2", "h3")}


def test_neither_evenness_nor_an_empty_host_is_worth_a_wish() -> None:
    at_home = PlacementPolicy("home", VmSelector(names=("b*",)), Rule.ON, hosts=Scope(("h1",)), weight=1)
    even = BalancePolicy("even-load", mode=Mode.RECOMMEND, imbalance_above=0.2, ignore_below=0.1)
    builder = a_cluster().host("h1").crowd("b", 3, 4).host("h2").running("i2", 4)
    for rules, moves in (((), True), ((at_home,), False)):
        t = table(builder, replace(keeping(*rules), balance=(even,))).warm_up()
        t.quiet_for(200.0)
        t.burn(**{f"b{i}": 3.0 for i in range(3)}).quiet_for(900.0)
        assert bool(planned(t)) is moves
    assert Intent(IntentKind.EMPTY, HostName("h1"), "nights", "", Health.HEALTHY, t.now).keeps_wishes


def test_its_own_hold_budget_and_windows_are_kept() -> None:
    never = Window("never", True, (), 1e12)
    t = table(two_on_one(), replace(keeping(replace(APART, mode=Mode.AUTO, hold=Seconds(60.0), windows=("never",))),
                                    windows={"never": never})).warm_up()
    t.quiet_for(400.0)
    assert planned(t) == {"web-2": ("h1", "h2")}
    assert [no.kind for no in view(t).noes] == ["window"]
    few = seen(a_cluster().host("h1").crowd("web-", 4, 4).host("h2").host("h3").host("h4"),
               replace(APART, budget=MoveBudget(per_hour=2)))
    assert len(planned(few)) == 2


def test_how_much_of_its_budget_a_rule_has_used_is_shown_where_it_may_move() -> None:
    shown = {budget.name: (budget.used, budget.limit) for budget in view(seen(two_on_one(), APART)).budgets}
    assert shown["web-apart: moves within the hour"] == (0, 6)
    watched = view(seen(two_on_one(), replace(APART, mode=Mode.OBSERVE))).budgets
    assert not any(budget.name.startswith("web-apart") for budget in watched)
