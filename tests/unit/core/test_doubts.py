"""Doubts about the site, the telemetry and ourselves: what they hold back, for how long, and what they let pass."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ballastd.core.inputs import ProgressSeen, Verb
from ballastd.core.inventory import Progress
from ballastd.core.policies import EvacuationPolicy, Health, Mode, PolicySet, Response
from ballastd.core.quantities import Bytes
from ballastd.core.telemetry import Report, Sample
from tests.builders import HOT, POLICIES, ClusterBuilder, Table, a_cluster, four_hosts, table, vm_id

SUSPECTS = EvacuationPolicy("suspects", Health.SUSPECT, Response.DRAIN, mode=Mode.AUTO)
BOTH = replace(POLICIES, evacuation=(*POLICIES.evacuation, SUSPECTS),
               limits=replace(POLICIES.limits, failover_hosts=0, freeze_share=0.34, evacuations_at_once=2))


def many(hosts: int) -> ClusterBuilder:
    builder = a_cluster()
    for h in range(hosts):
        builder = builder.host(f"h{h:02}").running(f"h{h:02}v0", 4)
    return builder


def sound(builder: ClusterBuilder, policies: PolicySet = POLICIES) -> Table:
    t = table(builder, policies)
    for host in t.cluster.hosts:
        t.show(host.name, "ecc.uncorrected", 0.0, "D").show(host.name, "temperature", 60.0, "cpu", critical=100.0)
    return t.warm_up()


def silence(t: Table, *hosts: str) -> None:
    t.silent.update(hosts)
    for _ in range(10):
        t.wait(10.0).step()


def test_some_unknown_hosts_are_reason_to_empty_only_failing_ones() -> None:
    t = sound(many(10), BOTH)
    silence(t, "h08", "h09")
    t.show("h00", "fan.alarm", 1.0, "f").show("h01", "ecc.uncorrected", 1.0, "D")
    decision = t.wait(1.0).step()
    assert {order.move.source for order in decision.orders} == {"h01"}
    assert "caution" in next(no.reason for no in decision.view.gates).lower()


@pytest.mark.parametrize(("unknown", "steps"), [(("h08", "h09"), [400]), (("h06", "h07", "h08", "h09"), [])])
def test_who_leaves_a_failing_host_may_stand_still_for_longer_where_that_goes_on(unknown: tuple[str, ...], steps: list[int]
                                                                                 ) -> None:
    t = sound(many(10), BOTH)
    t.show("h01", "ecc.uncorrected", 1.0, "D")
    (order,) = t.wait(1.0).step().orders
    t.begin(order).settle(2)
    silence(t, *unknown)
    said = []
    for iteration in range(2, 6):
        copied = Bytes(iteration << 28)
        seen = Progress(1.0, Bytes(4 << 30), copied, Bytes(1 << 28), iteration, 1e8, 1e8, 0.35)
        decision = t.wait(1.0).step(ProgressSeen(order.id, seen, t.now))
        said += [one.downtime_ms for one in decision.downtimes]
    assert said[:1] == steps
    assert not t.controller.ledger.migrations[order.id].abort_reason


def test_after_a_freeze_everything_settles_first() -> None:
    t = sound(four_hosts())
    silence(t, "h3", "h4")
    assert t.step().view.posture == "frozen"
    t.silent.clear()
    t.settle(4)
    t.show("h1", "ecc.uncorrected", 1.0, "D")
    decisions = t.settle(29, 10.0)
    assert not any(decision.orders for decision in decisions)
    assert "settling" in decisions[-1].view.gates[0].reason
    assert any(decision.orders for decision in t.settle(3, 10.0))


def phase_of_heat(t: Table) -> str:
    verdicts = t.wait(1.0).step().view.hosts[0].verdicts
    return next((verdict.phase for verdict in verdicts if verdict.policy == HOT.name), "clear")


def test_a_freeze_proves_nothing_about_what_was_pending_in_it() -> None:
    t = sound(four_hosts())
    silence(t, "h3", "h4")
    t.show("h1", "temperature", 97.0, "cpu", critical=100.0)
    t.settle(5, 10.0)
    assert phase_of_heat(t) == "pending"
    t.silent.clear()
    t.settle(4)
    t.wait(20.0)
    assert phase_of_heat(t) == "pending", "sixty seconds are over, but the freeze is among them"
    t.settle(5, 10.0)
    assert phase_of_heat(t) == "firing"


def test_the_same_sensor_on_three_hosts_is_the_site_though_the_cluster_is_large() -> None:
    t = sound(many(16))
    for host in ("h01", "h02", "h03"):
        t.show(host, "temperature", 97.0, "cpu", critical=100.0)
    view = t.wait(1.0).step().view
    assert view.posture == "site-event"
    assert "turned true on 3 hosts" in view.gates[0].reason


def test_the_neighbours_of_a_hot_host_receive_nothing_although_they_are_the_emptiest() -> None:
    hot = replace(POLICIES.evacuation[0], name="hot-hosts", severity=Health.DEGRADED)
    aisles = (a_cluster().host("h1", cooling="c1").running("a", 4).host("h2", cooling="c1")
              .host("h3", cooling="c2").running("b", 40))
    t = sound(aisles, replace(POLICIES, evacuation=(hot,), limits=replace(POLICIES.limits, failover_hosts=0)))
    t.show("h1", "temperature", 97.0, "cpu", critical=100.0)
    assert [order.move.target for decision in t.settle(8, 10.0) for order in decision.orders] == ["h3"]
    drained = sound(aisles, replace(POLICIES, limits=replace(POLICIES.limits, failover_hosts=0)))
    assert [order.move.target for order in drained.say(Verb.DRAIN, "h1").orders] == ["h2"], "h2 would be first otherwise"


def test_one_look_that_straddles_a_hand_over_is_no_duplicate() -> None:
    t = sound(four_hosts())
    vm = vm_id("h1v0")
    t.world["h2"][vm] = t.world["h1"][vm]
    decisions = [t.step(), *(t.wait(1.0).step(look=False) for _ in range(3))]
    del t.world["h1"][vm]
    decisions += t.settle(3)
    assert not [notice for decision in decisions for notice in decision.notices if notice.level == "alarm"]
    assert t.controller.ledger.duplicates == {}


def test_a_migration_past_its_deadline_is_aborted() -> None:
    t = sound(four_hosts(vms_each=1))
    t.show("h1", "ecc.uncorrected", 1.0, "D")
    (order,) = t.step().orders
    t.begin(order)
    assert not t.wait(order.deadline - 1.0).step().aborts
    (abort,) = t.wait(2.0).step().aborts
    assert abort.migration == order.id
    assert "not done within" in abort.reason


def test_a_migration_whose_target_fails_as_well_is_aborted() -> None:
    t = sound(four_hosts(vms_each=1))
    t.show("h1", "ecc.uncorrected", 1.0, "D")
    (order,) = t.step().orders
    t.begin(order)
    assert not t.wait(1.0).step().aborts
    t.show(order.move.target, "ecc.uncorrected", 1.0, "D")
    (abort,) = t.wait(1.0).step().aborts
    assert "turned failing" in abort.reason


def test_a_latched_verdict_outlives_a_restart() -> None:
    t = sound(four_hosts(vms_each=1))
    t.show("h1", "ecc.uncorrected", 1.0, "D")
    t.step()
    t.restart()
    assert t.wait(1.0).step().view.hosts[0].health == "failing"
    t.wait(1.0).say(Verb.ACKNOWLEDGE, "h1")
    t.restart()
    assert t.wait(1.0).step().view.hosts[0].health == "healthy"


def test_a_host_with_a_wrong_clock_receives_nothing() -> None:
    t = sound(four_hosts())
    t.silent.add("h2")
    for sequence in range(100, 104):
        t.wait(1.0)
        report = Report(t.cluster.hosts[1].name, t.boot, sequence, t.now.wall - 60.0, 10.0,
                        (Sample("cpu.utilization", 0.1),), t.now)
        view = t.step(report).view
    assert not view.hosts[1].target
    assert any("clock" in reason for reason in view.hosts[1].why_not)
