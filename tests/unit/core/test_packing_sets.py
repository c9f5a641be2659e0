"""The hosts that are emptied in a night are a set: those that follow are kept clear, and what it brings is told."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from ballastd.core import autonomy_events as au
from ballastd.core import events as ev
from ballastd.core import power_events as pw
from ballastd.core.policies import Limits, Mode, PolicySet
from ballastd.core.power import PowerPhase
from ballastd.core.quantities import HostName, Seconds
from tests.builders import WALL, ClusterBuilder, a_cluster
from tests.powered import NIGHT, NIGHTS, PACKED, Powered, powered

HALF = replace(PACKED, limits=replace(PACKED.limits, hosts_off_share=0.5))


def many(hosts: int = 8, gib: int = 8) -> ClusterBuilder:
    """Return hosts with power, each with one VM; the last one has two."""
    builder = a_cluster()
    for h in range(1, hosts + 1):
        builder = builder.host(f"h{h}", power="redfish").running(f"v{h}", gib)
    return builder.running("w", gib)


def chosen(p: Powered) -> list[pw.HostEmptying]:
    return [event for event in p.table.events if isinstance(event, pw.HostEmptying)]


def test_half_of_the_hosts_go_off_as_was_planned_and_nobody_is_packed_twice() -> None:
    p = powered(many(), HALF)
    p.until(PowerPhase.EMPTYING, "h1")
    first = chosen(p)[0]
    assert first.next_hosts == ("h2", "h3", "h4")
    p.until(PowerPhase.OFF, "h4", 6000.0)
    assert [event.host for event in chosen(p)] == [first.host, *first.next_hosts]
    moves = [event for event in p.table.events if isinstance(event, ev.MigrationOrdered)]
    assert max(Counter(move.vm for move in moves).values()) == 1
    assert not {move.target for move in moves} & {first.host, *first.next_hosts}


def test_what_the_set_brings_and_costs_is_told() -> None:
    p = powered(many(), HALF)
    p.until(PowerPhase.EMPTYING, "h1")
    assert "it saves 7" in chosen(p)[0].because
    assert "Wh and costs 66, 8.0 GiB out and back; h2, h3, h4 after it, " in chosen(p)[0].because


def test_a_restart_forgets_nobody_who_follows() -> None:
    p = powered(many(), HALF)
    p.until(PowerPhase.GOING_OFF, "h1")
    p.restart(HALF)
    power = p.table.controller.ledger.power[HostName("h1")]
    assert power.next_hosts == ("h2", "h3", "h4")
    p.until(PowerPhase.OFF, "h2", 6000.0)
    assert chosen(p)[-1].next_hosts == ("h3", "h4")


def test_what_was_meant_to_follow_follows_though_another_host_is_a_little_cheaper_by_now() -> None:
    p = powered(many(), HALF)
    p.until(PowerPhase.OFF, "h1")
    stopped = next(vm for vm, record in p.table.world["h7"].items() if record.name == "v7")
    del p.table.world["h7"][stopped]
    p.until(PowerPhase.EMPTYING, "h2", 6000.0)
    assert "h7" not in [event.host for event in chosen(p)]


def test_a_night_that_is_too_short_to_pay_says_so_with_its_numbers() -> None:
    until = replace(NIGHT, intervals=((WALL - 1000.0, WALL + 9000.0),))
    p = powered(many(gib=40), replace(HALF, windows={NIGHT.name: until}, consolidation=(replace(
        NIGHTS, power_off_below=0.95, power_on_above=0.99, fill_memory=0.95, spare_hosts=0, spare_share=0.0,
        minimum_off=Seconds(60.0)),), limits=Limits(migration_minimum_mib_s=1.0, failover_hosts=0)))
    p.turns(4500.0)
    assert not chosen(p)
    assert "it would save" in str(p.decisions[-1].view.noes)


def test_an_empty_host_that_must_take_over_if_another_dies_stays_on() -> None:
    builder = a_cluster()
    for h in (1, 2):
        builder = builder.host(f"h{h}", power="redfish").running(f"v{h}", 40)
    builder = builder.host("h3", power="redfish")
    loose = replace(NIGHTS, spare_hosts=0, spare_share=0.0, power_off_below=0.9, power_on_above=0.99)
    policies = replace(HALF, consolidation=(loose,))
    p = powered(builder, policies)
    p.turns(2000.0)
    assert not p.off()
    assert "40.0 GiB of its VMs would fit nowhere" in str(p.decisions[-1].view.noes)
    alone = powered(builder, replace(policies, limits=replace(policies.limits, failover_hosts=0)))
    alone.until(PowerPhase.OFF, "h3")


def test_a_recommendation_names_the_same_host_while_nothing_changes_much() -> None:
    asks: PolicySet = replace(HALF, consolidation=(replace(NIGHTS, mode=Mode.RECOMMEND),))
    p = powered(many(), asks)
    p.turns(3000.0)
    made = [event for event in p.table.events if isinstance(event, au.Recommended)]
    assert {event.source for event in made} == {"h1"}
