"""Every budget by itself: with all others wide open, it alone holds back what is too much."""

from __future__ import annotations

from dataclasses import replace

from ballastd.core import events as ev
from ballastd.core.books import allowed_again
from ballastd.core.decisions import Decision
from ballastd.core.inventory import JobKind
from ballastd.core.migrations import Ending
from ballastd.core.policies import PolicySet
from ballastd.core.quantities import GIB, Bytes, HostName
from tests.builders import POLICIES, WALL, ClusterBuilder, Table, a_cluster, four_hosts, table, vm_id


def limits(**limits: object) -> PolicySet:
    wide = {"in_flight_cluster": 8, "in_flight_host_out": 4, "in_flight_host_in": 4, "failover_hosts": 0,
            "evacuations_at_once": 2, "evacuations_per_hour": 6}
    return replace(POLICIES, limits=replace(POLICIES.limits, **(wide | limits)))


def failing(policies: PolicySet, *hosts: str, builder: ClusterBuilder | None = None) -> Table:
    t = table(builder or four_hosts(vms_each=4), policies)
    for host in t.cluster.hosts:
        t.show(host.name, "ecc.uncorrected", 0.0, "D")
    t.warm_up()
    for host in hosts:
        t.show(host, "ecc.uncorrected", 1.0, "D")
    return t


def kinds(decision: Decision) -> set[str]:
    return {no.kind for no in decision.view.noes}


def test_so_many_in_the_cluster() -> None:
    assert len(failing(limits(), "h1", "h2").step().orders) == 8
    decision = failing(limits(in_flight_cluster=3), "h1", "h2").step()
    assert len(decision.orders) == 3
    assert "in-flight-cluster" in kinds(decision)


def test_so_many_out_of_a_host() -> None:
    decision = failing(limits(in_flight_host_out=1), "h1").step()
    assert len(decision.orders) == 1
    assert "in-flight-out-of-host" in kinds(decision)


def test_so_many_into_a_host() -> None:
    two = a_cluster().host("h1").running("a", 2).running("b", 2).running("c", 2).host("h2")
    assert len(failing(limits(), "h1", builder=two).step().orders) == 3
    decision = failing(limits(in_flight_host_in=1), "h1", builder=two).step()
    assert len(decision.orders) == 1
    assert "in-flight-into-host" in kinds(decision)


def test_a_strangers_job_takes_a_place() -> None:
    t = failing(limits(in_flight_host_out=2), "h1")
    stranger = vm_id("h1v0")
    t.world["h1"][stranger] = replace(t.world["h1"][stranger], job=JobKind.OUTGOING)
    orders = t.step().orders
    assert len(orders) == 1
    assert orders[0].move.vm != stranger


def test_none_begins_that_would_leave_too_little_bandwidth_for_each() -> None:
    narrow = a_cluster().host("h1", link_mib_s=100.0)
    for vm in "abc":
        narrow = narrow.running(vm, 2)
    narrow = narrow.host("h2").host("h3")
    decision = failing(limits(migration_minimum_mib_s=40.0), "h1", builder=narrow).step()
    assert [order.bandwidth_mib_s for order in decision.orders] == [60]
    assert "bandwidth" in kinds(decision)


def failed(number: int, target: str, ago: float) -> tuple[ev.Event, ...]:
    return (ev.MigrationOrdered(WALL - ago, f"0-{number}", vm_id("h1v0"), "h1v0", HostName("h1"), HostName(target),
                                Bytes(8 * GIB), 100, "failing-hosts", "because", WALL, 10.0),
            ev.MigrationSettled(WALL - ago, f"0-{number}", Ending.FAILED))


def orders_after(*past: ev.Event) -> set[str]:
    policies = limits(retries_per_move=1)
    t = table(four_hosts(), policies)
    t.events += [ev.DaemonStarted(WALL - 90_000, "boot", ""), *past]
    t.restart(policies)
    for host in t.cluster.hosts:
        t.show(host.name, "ecc.uncorrected", 0.0, "D")
    t.warm_up()
    t.show("h1", "ecc.uncorrected", 1.0, "D")
    return {order.move.vm_name for order in t.step().orders}


def test_a_vm_that_failed_too_often_within_a_day_is_not_tried_again() -> None:
    assert orders_after(*failed(1, "h2", 4000.0)) == {"h1v0", "h1v1", "h1v2"}
    assert orders_after(*failed(1, "h2", 4000.0), *failed(2, "h3", 2000.0)) == {"h1v1", "h1v2"}
    assert orders_after(*failed(1, "h2", 86_000.0 + 1000.0), *failed(2, "h3", 2000.0)) == {"h1v0", "h1v1", "h1v2"}


def test_what_is_put_off_for_a_limit_that_was_lowered_waits_until_enough_is_over() -> None:
    t = failing(limits(evacuations_per_hour=2), "h1")
    t.controller.ledger.evacuation_starts = (WALL - 3000.0, WALL - 2000.0, WALL - 1000.0)
    (no,) = {(no.kind, no.until_wall) for no in t.step().view.noes}
    assert no == ("evacuations-per-hour", WALL - 2000.0 + 3600.0), "not when the first of three is over"
    assert allowed_again([30.0, 10.0, 20.0], 3, 100.0) == 110.0
    assert allowed_again([30.0, 10.0, 20.0], 1, 100.0) == 130.0
