"""How many virtual processors a host is given for each of its own, where Limits bound that."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ballastd.core.inputs import Verb
from ballastd.core.plans import RefusalKind
from tests.builders import POLICIES, PROCESSORS, Table, a_cluster, table


def bounded(most: float | None, vcpus: int, *targets: int) -> Table:
    """Return h1 with three VMs of so many virtual processors each, and targets with one of so many each."""
    builder = a_cluster().host("h1").crowd("v", 3)
    for number in range(len(targets)):
        builder = builder.host(f"t{number}").running(f"t{number}v")
    t = table(builder, replace(POLICIES, limits=replace(POLICIES.limits, failover_hosts=0, vcpus_per_processor=most)))
    sizes = {f"t{number}v": count for number, count in enumerate(targets)}
    for world in t.world.values():
        world.update({vm: replace(one, vcpus=sizes.get(one.name, vcpus)) for vm, one in world.items()})
    for host in t.world:
        t.show(host, "ecc.uncorrected", 0.0, "D")
    return t.warm_up()


@pytest.mark.parametrize(("most", "planned"), [(None, 3), (2.0, 2), (1.5, 1), (1.0, 0)])
def test_a_drain_gives_a_host_no_more_than_limits_say(most: float | None, planned: int) -> None:
    t = bounded(most, 8, PROCESSORS)
    plan = t.say(Verb.DRAIN, "h1").portrait.plan
    assert len(plan.moves) == planned
    assert t.controller.ledger.broken is None
    said = {no.detail for refusal in plan.refusals for no in refusal.against if no.kind == RefusalKind.OVERCOMMIT.value}
    assert said == (set() if planned == 3 else {
        f"{PROCESSORS + 8 * (planned + 1)} virtual processors would be there for 16 of its own, at most {most:g} for each"})


def test_another_host_takes_what_one_may_not() -> None:
    t = bounded(1.5, 8, PROCESSORS + 8, 0)
    plan = t.say(Verb.DRAIN, "h1").portrait.plan
    assert [move.target for move in plan.moves] == ["t1"] * 3


@pytest.mark.parametrize("is_shown", [True, False])
def test_whoever_is_on_its_way_counts_where_it_goes_whether_it_is_shown_there_or_not(is_shown: bool) -> None:
    t = bounded(2.0, 16, 0)
    begun = t.say(Verb.DRAIN, "h1").orders
    assert len(begun) == 2
    for order in begun if is_shown else ():
        t.begin(order)
    plan = t.wait(1.0).step().portrait.plan
    assert not plan.moves
    assert any("48 virtual processors" in no.detail for refusal in plan.refusals for no in refusal.against)


def test_what_a_failing_host_loses_goes_wherever_there_is_room() -> None:
    t = bounded(1.0, 8, PROCESSORS)
    t.show("h1", "ecc.uncorrected", 1.0, "D")
    plan = t.step().portrait.plan
    assert len(plan.moves) == 3
    assert t.controller.ledger.broken is None
