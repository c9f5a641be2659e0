"""Rules about where VMs may live: must-rules hold at every instant of a transition, should-rules where they can."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ballastd.core.checking_rules import check_rules
from ballastd.core.inputs import Verb
from ballastd.core.intents import Intent, IntentKind
from ballastd.core.placement import occupied
from ballastd.core.plans import Move
from ballastd.core.policies import Health, PlacementPolicy, Rule, Scope, VmSelector
from ballastd.core.quantities import GIB, Bytes, HostName, Seconds
from ballastd.core.snapshot import take
from tests.builders import POLICIES, Table, a_cluster, table, vm_id

WEB = VmSelector(tags=("web",))


def evacuating(*rules: PlacementPolicy, hosts: int = 4, web: tuple[int, ...] = (1, 2), racks: bool = False) -> Table:
    """VMs ``web1``, ``web2``... on the hosts of those numbers; h1 fails."""
    builder = a_cluster()
    for h in range(1, hosts + 1):
        builder = builder.host(f"h{h}", **({"rack": f"r{(h + 1) // 2}"} if racks else {}))
        for n, on in enumerate(web, 1):
            if on == h:
                builder = builder.running(f"web{n}", 4, tags=("web",), group="shop")
    t = table(builder, replace(POLICIES, placement=rules)).warm_up()
    t.show("h1", "ecc.uncorrected", 0.0, "D")
    t.step()
    t.wait(1.0).show("h1", "ecc.uncorrected", 1.0, "D")
    return t


def targets(t: Table) -> list[str]:
    return [move.target for move in t.step().view.moves]


def noes(t: Table) -> str:
    return str([no.detail for no in t.step().view.noes])


def test_apart_means_another_host() -> None:
    assert targets(evacuating(PlacementPolicy("apart", WEB, Rule.APART), hosts=3)) == ["h3"]


def test_apart_across_racks_means_another_rack() -> None:
    t = evacuating(PlacementPolicy("apart", WEB, Rule.APART, across="rack"), hosts=4, web=(1, 3), racks=True)
    assert targets(t) == ["h2"]


def test_apart_with_nowhere_to_go_is_a_refusal_that_names_rule_and_neighbour() -> None:
    t = evacuating(PlacementPolicy("web-apart", WEB, Rule.APART), hosts=3, web=(1, 2, 3))
    assert targets(t) == []
    assert "web-apart keeps it apart from web2" in noes(t)


def test_two_of_one_plan_are_kept_apart_as_well() -> None:
    t = evacuating(PlacementPolicy("apart", WEB, Rule.APART), hosts=3, web=(1, 1))
    assert sorted(targets(t)) == ["h2", "h3"]


def test_what_is_in_flight_counts_at_both_ends() -> None:
    t = evacuating(PlacementPolicy("apart", WEB, Rule.APART), hosts=3, web=(1, 1))
    first, *_ = t.step().orders
    t.begin(first)
    t.wait(5.0)
    assert all(move.target != first.move.target for move in t.step().view.moves)


def test_should_apart_bends_where_it_must() -> None:
    rule = PlacementPolicy("apart", WEB, Rule.APART, weight=10)
    assert targets(evacuating(rule, hosts=3)) == ["h3"], "kept where it can be"
    assert targets(evacuating(rule, hosts=3, web=(1, 2, 3))) != [], "bent rather than lose a VM"


def test_together_across_racks_lets_a_vm_move_within_its_rack() -> None:
    t = evacuating(PlacementPolicy("together", WEB, Rule.TOGETHER, across="rack"), hosts=4, web=(1, 1), racks=True)
    assert set(targets(t)) == {"h2"}


def test_together_on_one_host_cannot_be_kept_while_moving_and_says_so() -> None:
    t = evacuating(PlacementPolicy("pair", WEB, Rule.TOGETHER), hosts=4, web=(1, 1))
    assert targets(t) == []
    assert "pair keeps it together with web2" in noes(t)


def test_a_vm_may_join_those_it_belongs_to() -> None:
    t = evacuating(PlacementPolicy("pair", WEB, Rule.TOGETHER), hosts=4, web=(1, 3))
    assert targets(t) == ["h3"]


@pytest.mark.parametrize(("rule", "allowed"), [(Rule.ON, {"h3"}), (Rule.NEVER_ON, {"h2", "h4"})])
def test_on_and_never_on_choose_among_hosts(rule: Rule, allowed: set[str]) -> None:
    assert set(targets(evacuating(PlacementPolicy("licence", WEB, rule, hosts=Scope(("h3",)))))) <= allowed


def test_pinned_stays_on_a_failing_host_and_is_reported() -> None:
    t = evacuating(PlacementPolicy("licensed", VmSelector(names=("web1",)), Rule.PINNED))
    assert targets(t) == []
    assert "licensed pins it where it is" in noes(t)


def test_an_operators_drain_passes_a_pin() -> None:
    t = table(a_cluster().host("h1").running("web1", 4, tags=("web",)).host("h2").host("h3"),
              replace(POLICIES, placement=(PlacementPolicy("licensed", WEB, Rule.PINNED),))).warm_up()
    assert t.say(Verb.DRAIN, "h1").orders


@pytest.mark.parametrize("selector", [VmSelector(names=("db*",)), VmSelector(tags=("web", "gold")),
                                      VmSelector(group="bank")])
def test_a_rule_for_others_is_no_rule_for_it(selector: VmSelector) -> None:
    t = evacuating(PlacementPolicy("others", selector, Rule.PINNED))
    assert targets(t)


def test_the_checker_finds_a_broken_rule_by_itself() -> None:
    t = evacuating(hosts=3)
    t.step()
    draft = t.controller.ledger.draft()
    snapshot = take(t.controller._facts(type("Step", (), {"now": t.now, "draft": draft})()), draft, t.now)
    move = Move(vm_id("web1"), "web1", HostName("h1"), HostName("h2"), Bytes(4 * GIB), Seconds(1.0), "failing-hosts", "",
                reserve_waived=True)
    saving = Intent(IntentKind.EVACUATE, HostName("h1"), "failing-hosts", "", Health.FAILING, t.now)
    elsewhere = replace(move, target=HostName("h3"))
    for rule, fine in ((PlacementPolicy("apart", WEB, Rule.APART), elsewhere),
                       (PlacementPolicy("on", WEB, Rule.ON, hosts=Scope(("h3",))), elsewhere),
                       (PlacementPolicy("never", WEB, Rule.NEVER_ON, hosts=Scope(("h2",))), elsewhere)):
        assert check_rules(snapshot, draft, [(move, saving)], (rule,)) == [f"web1 -> h2: against {rule.name}"]
        assert not check_rules(snapshot, draft, [(fine, saving)], (rule,))
    assert check_rules(snapshot, draft, [(move, saving)], (PlacementPolicy("pin", WEB, Rule.PINNED),))
    assert check_rules(snapshot, draft, [(elsewhere, saving)], (PlacementPolicy("pair", WEB, Rule.TOGETHER),))


def crowded(*rules: PlacementPolicy, web2: str = "h1") -> Table:
    """web1 is on h1, which fails; h3 has little room left, so that h2 is the better target by far but for a rule."""
    builder = a_cluster().host("h1").running("web1", 4, tags=("web",))
    builder = builder.running("web2", 4, tags=("web",)) if web2 == "h1" else builder
    builder = builder.host("h2").running("web2", 4, tags=("web",)) if web2 == "h2" else builder.host("h2")
    t = table(builder.host("h3").running("db", 48), replace(POLICIES, placement=rules)).warm_up()
    t.show("h1", "ecc.uncorrected", 0.0, "D")
    t.step()
    t.wait(1.0).show("h1", "ecc.uncorrected", 1.0, "D")
    return t


def test_without_a_rule_the_emptier_host_takes_all() -> None:
    assert targets(crowded()) == ["h2", "h2"]
    assert targets(crowded(web2="h2")) == ["h2"]


def test_what_this_plan_has_placed_counts_for_the_next_vm() -> None:
    assert sorted(targets(crowded(PlacementPolicy("apart", WEB, Rule.APART)))) == ["h2", "h3"]


def test_what_was_ordered_counts_before_any_host_shows_it() -> None:
    t = crowded(PlacementPolicy("apart", WEB, Rule.APART))
    first = t.step().orders[0]
    for move in t.wait(1.0).step().view.moves:
        assert move.target != first.move.target
    assert t.controller.ledger.broken is None
    draft = t.controller.ledger.draft()
    snapshot = take(t.controller._facts(type("Step", (), {"now": t.now, "draft": draft})()), draft, t.now)
    homes = occupied(snapshot, draft, {})
    row = snapshot.vms.ids.index(first.move.vm)
    assert homes[row] == {snapshot.row(HostName("h1")), snapshot.row(first.move.target)}, "no inventory shows it there yet"


def test_a_wish_decides_where_it_can() -> None:
    assert targets(crowded(PlacementPolicy("apart", WEB, Rule.APART, weight=10), web2="h2")) == ["h3"]
