"""The mind itself empties and switches off one failure domain at a time, and says what stands against acts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ballastd.core.admission import why_apart
from ballastd.core.inputs import CallReturned, RivalSeen, Verb
from ballastd.core.plans import RefusalKind
from ballastd.core.policies import Limits
from ballastd.core.power import PowerPhase
from ballastd.core.quantities import HostName, Seconds
from tests.builders import POLICIES, ClusterBuilder, Table, a_cluster, four_hosts, table
from tests.powered import NIGHTS, PACKED, Powered, powered

APART = "one failure domain at a time"
TWO_AT_ONCE = replace(POLICIES, limits=replace(POLICIES.limits, evacuations_at_once=2, evacuations_per_hour=6))


def two_fail(*racks: str) -> Table:
    """Return eight hosts of which h1 and h2 fail, and that may be emptied at once; ``racks``: theirs."""
    builder = a_cluster()
    for h in range(1, 9):
        builder = builder.host(f"h{h}", rack=racks[h - 1] if h <= len(racks) else "r9")
        for v in range(3):
            builder = builder.running(f"h{h}v{v}", 4)
    t = table(builder, TWO_AT_ONCE)
    for host in ("h1", "h2"):
        t.show(host, "ecc.uncorrected", 0.0, "D1")
    t.warm_up()
    for host in ("h1", "h2"):
        t.show(host, "ecc.uncorrected", 1.0, "D1")
    return t


@pytest.mark.parametrize(("racks", "sources"), [(("r1", "r1"), {"h1", "h2"}), (("r1", "r2"), {"h1"})])
def test_two_failing_hosts_are_emptied_at_once_only_where_they_stand_together(
        racks: tuple[str, str], sources: set[str]) -> None:
    t = two_fail(*racks)
    decision = t.step()
    assert {order.move.source for order in decision.orders} == sources
    said = [no for no in decision.portrait.plan.deferrals if no.host == "h2" and APART in no.detail]
    assert bool(said) is (sources == {"h1"})
    if said:
        assert said[0].detail == f"h1 (rack r1, not r2) is or was changed by us just now: {APART}"


def test_the_second_one_begins_as_soon_as_nobody_is_on_his_way_off_the_first() -> None:
    t = two_fail("r1", "r2")
    beside: set[frozenset[str]] = set()
    returns: tuple[CallReturned, ...] = ()
    for _ in range(60):
        decision = t.wait(5.0).step(*returns)
        returns = t.carry_out(decision)
        beside.add(frozenset(m.source for m in t.controller.ledger.open_migrations()))
    assert not t.world["h1"]
    assert not t.world["h2"], "it waits for the first, and not for ever"
    assert not any({"h1", "h2"} <= sources for sources in beside)


def test_a_drain_that_a_person_asks_for_waits_for_nobody() -> None:
    t = two_fail("r1", "r1")
    assert t.step().orders
    t.say(Verb.DRAIN, "h7")
    decisions = t.settle(5)
    drained = [no for d in decisions for no in d.portrait.plan.deferrals if no.host == "h7" and APART in no.detail]
    assert not drained


def rows(rack: bool) -> ClusterBuilder:
    """Return ten powered hosts, five with a VM, of which every second one stands in another rack, if they stand in any."""
    builder = a_cluster()
    for h in range(1, 11):
        labels = {"rack": f"r{h % 2}"} if rack else {}
        builder = builder.host(f"h{h}", power="redfish", **labels)
        builder = builder.running(f"h{h}v0", 4) if h <= 5 else builder
    return builder


FAST = replace(PACKED, limits=Limits(hosts_off_share=0.5, power_offs_per_10_min=2),
               consolidation=(replace(NIGHTS, minimum_on=Seconds(0.0)),))


@pytest.mark.parametrize("rack", [True, False])
def test_a_host_in_another_failure_domain_goes_off_only_ten_minutes_after(rack: bool) -> None:
    p: Powered = powered(rows(rack), FAST)
    went: list[tuple[float, str]] = []
    for _ in range(250):
        p.turn()
        went += [(p.table.now.wall, order.host) for order in p.decisions[-1].power if not order.on]
    racks = {host.name: host.label("rack") for host in p.table.cluster.hosts}
    pairs = [(later - at, racks[one] != racks[other]) for at, one in went for later, other in went if later > at]
    assert len(went) >= 2
    assert all(gap >= 600.0 for gap, is_apart in pairs if is_apart)
    if not rack:
        assert min(gap for gap, _ in pairs) < 600.0, "where nobody says what dies together two go off within ten minutes"
    assert not any(p.phase(host) is PowerPhase.FAILED for host in racks)


def test_the_kernel_is_told_what_stands_against_acts() -> None:
    t = table(four_hosts())
    t.warm_up()
    clear = t.step().clearance
    assert (clear.at, clear.gates, clear.avoid, clear.asked, clear.packing) == (t.now, (), {}, set(), set())
    t.say(Verb.CORDON, "h3")
    t.say(Verb.DRAIN, "h2")
    told = t.step(RivalSeen(t.now, "other")).clearance
    assert {host: no.kind for host, no in told.avoid.items()} == {
        "h3": RefusalKind.HOST_CORDONED, "h2": RefusalKind.HOST_DRAINING}
    assert told.asked == {"h2"}
    assert [gate.reason for gate in told.gates] == ["another daemon (other) claims this cluster: stop one"]


def test_the_kernel_is_told_which_host_a_policy_and_which_one_a_person_empties() -> None:
    p = powered()
    p.until(PowerPhase.EMPTYING, "h3")
    assert p.table.step().clearance.packing == {"h3"}
    by_hand = powered()
    by_hand.say(Verb.POWER_OFF, "h4")
    told = by_hand.table.step().clearance
    assert (told.packing, told.asked) == (set(), {"h4"})


def test_a_host_that_is_no_longer_declared_sets_nobody_apart() -> None:
    t = table(four_hosts())
    t.warm_up()
    snapshot = t.step().portrait.snapshot
    assert why_apart(HostName("h1"), {HostName("gone")}, snapshot) is None
    assert why_apart(HostName("h1"), {HostName("h3")}, snapshot) is not None
