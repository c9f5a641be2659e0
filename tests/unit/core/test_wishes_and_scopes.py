"""What owners wish and policies do not speak of stays where it is, and says so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ballastd.core.inventory import Mobility
from ballastd.core.policies import BalancePolicy, Mode, PlacementPolicy, Rule, Seconds, VmSelector
from tests.builders import FAILING_HOSTS, POLICIES, Table, a_cluster, table, vm_id


def failing(t: Table) -> Table:
    t.warm_up()
    t.show("h1", "ecc.uncorrected", 0.0, "A1").step()
    t.show("h1", "ecc.uncorrected", 1.0, "A1").wait(1.0)
    return t


def two_vms(**tags: tuple[str, ...]):
    builder = a_cluster().host("h1")
    for name in ("a", "b"):
        builder = builder.running(name, 4, tags=tags.get(name, ()))
    return builder.host("h2").host("h3")


@pytest.mark.parametrize(("mobility", "words"), [
    (Mobility.COLD, "only while it is off"), (Mobility.NEVER, "never wants it moved")])
def test_an_owner_keeps_a_vm_where_it_is_and_the_refusal_names_the_cure(mobility: Mobility, words: str) -> None:
    t = table(two_vms())
    t.world["h1"][vm_id("a")] = replace(t.world["h1"][vm_id("a")], mobility=mobility)
    decision = failing(t).step()
    assert [order.move.vm_name for order in decision.orders] == ["b"]
    [no] = [no for no in decision.view.noes if no.vm == vm_id("a")]
    assert no.kind == "vm-pinned"
    assert words in no.detail
    assert "cure:" in no.detail
    assert next(vm for vm in decision.view.vms if vm.name == "a").mobility == mobility.value


def test_an_evacuation_of_some_leaves_the_others() -> None:
    some = replace(FAILING_HOSTS, vms=VmSelector(tags=("save-me",)))
    decision = failing(table(two_vms(b=("save-me",)), replace(POLICIES, evacuation=(some,)))).step()
    assert [order.move.vm_name for order in decision.orders] == ["b"]
    [no] = [no for no in decision.view.noes if no.vm == vm_id("a")]
    assert (no.kind, "tags: save-me" in no.detail) == ("out-of-scope", True)


def test_balance_moves_only_what_it_speaks_of() -> None:
    even = BalancePolicy("even-load", mode=Mode.AUTO, hot_hold=Seconds(30.0), vms=VmSelector(names=("b",)))
    builder = a_cluster().host("h1")
    for name in ("a", "b", "c", "d"):
        builder = builder.running(name, 4)
    t = table(builder.host("h2").host("h3"), replace(POLICIES, balance=(even,))).warm_up()
    t.burn(a=3.6, b=3.6, c=3.6, d=3.6)
    moved = [order.move.vm_name for decision in t.burn_on(1800.0) for order in decision.orders]
    assert moved == ["b"]


def test_a_selector_without_a_vm_is_told_while_every_host_shows_what_it_has() -> None:
    apart = PlacementPolicy("replicas", VmSelector(tags=("web",)), Rule.APART)
    t = table(two_vms(), replace(POLICIES, placement=(apart,))).warm_up()
    said = "replicas speaks of VMs that are not there (tags: web): it does nothing for now"
    assert said in t.step().view.notes
    t.world["h2"][vm_id("w")] = replace(t.world["h1"][vm_id("a")], vm=vm_id("w"), name="w", tags=("web",))
    t.wait(1.0)
    assert said not in t.step().view.notes


def test_of_a_host_that_was_never_seen_nobody_says_that_it_has_none() -> None:
    apart = PlacementPolicy("replicas", VmSelector(tags=("web",)), Rule.APART)
    t = table(two_vms(), replace(POLICIES, placement=(apart,)))
    t.dark.add("h3")
    t.warm_up()
    assert not [note for note in t.step().view.notes if "replicas" in note]
