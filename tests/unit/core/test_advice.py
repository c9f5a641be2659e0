"""Where a new VM would live, and how many more fit: ranked, refused with numbers, and held against a count by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ballastd.core.advice import COUNTED_MAX, Offer, Shape, capacity, rank
from ballastd.core.explanation import explain
from ballastd.core.hardware import Backing, Hardware, Needs, PagePool
from ballastd.core.inputs import Verb
from ballastd.core.policies import BalancePolicy, Edge, PlacementPolicy, PolicySet, Rule, Scope, VmSelector
from ballastd.core.quantities import GIB, Bytes
from ballastd.core.views import ClusterView
from tests.builders import POLICIES, Table, a_cluster, table

EVEN = BalancePolicy("even-load")
KEPT = replace(POLICIES, balance=(EVEN,))
FREE = replace(KEPT, limits=replace(KEPT.limits, failover_hosts=0))
SMALL = Shape(1.0, 8 * GIB)


def three(**burning: float) -> Table:
    """Return h1, h2 and h3 of 64 GiB and 16 processors, with three, two and one VMs of 8 GiB, in two racks."""
    builder = a_cluster()
    for host, rack, vms in (("h1", "a", 3), ("h2", "a", 2), ("h3", "b", 1)):
        builder = builder.host(host, rack=rack)
        for number in range(vms):
            builder = builder.running(f"{host}v{number}", 8, tags=("web",) if number == 0 and host != "h3" else ())
    t = table(builder, KEPT).burn(**burning).warm_up()
    t.quiet_for(400.0)
    return t


def seen(t: Table) -> ClusterView:
    return t.wait(1.0).step().view


def offered(offers: tuple[Offer, ...]) -> list[str]:
    return [offer.host for offer in offers if offer.is_offered]


def against(offers: tuple[Offer, ...], host: str) -> str:
    return "; ".join(f"{kind}: {detail}" for offer in offers if offer.host == host for kind, detail in offer.why_not)


def with_rule(rule: Rule, **more: object) -> PolicySet:
    return replace(FREE, placement=(PlacementPolicy("rule", VmSelector(tags=("web",)), rule, **more),))  # type: ignore[arg-type]


def test_the_host_that_stays_the_emptiest_comes_first_and_shares_count_the_vm_in() -> None:
    offers = rank(seen(three()), KEPT, SMALL)
    assert offered(offers) == ["h3", "h2", "h1"]
    assert offers[0].memory_after == pytest.approx(16 / 64)
    assert offers[0].cpu_after == pytest.approx((0.05 + 1.0) / 16, rel=0.05)


def test_a_host_that_would_be_hot_is_not_offered_and_the_policy_is_named() -> None:
    offers = rank(seen(three(h3v0=11.0)), KEPT, Shape(3.0, 8 * GIB))
    assert offered(offers) == ["h2", "h1"]
    assert against(offers, "h3").startswith("load: 88% of its processors would be used; even-load calls more than 80% hot")
    assert against(rank(seen(three()), FREE, Shape(0.1, 50 * GIB)), "h3").startswith("load: 91% of its memory would be used")


def test_what_is_only_a_little_above_a_mark_does_not_read_as_at_it() -> None:
    view, share = seen(three()), 0.8041
    used = next(host.cpu_by_vms for host in view.hosts if host.name == "h3") or 0.0
    assert against(rank(view, FREE, Shape(16 * share - used, GIB)), "h3") == (
        "load: a little more than 80% of its processors would be used; even-load calls more than 80% hot")


def test_no_more_virtual_processors_than_limits_say_are_offered_or_counted() -> None:
    view = seen(three())
    bounded = replace(FREE, limits=replace(FREE.limits, vcpus_per_processor=0.25))
    # each has 16 processors: 4 virtual ones may be there, and 3, 2 and 1 are
    assert offered(rank(view, bounded, Shape(1.5, GIB))) == ["h3", "h2"]
    assert against(rank(view, bounded, Shape(1.5, GIB)), "h1") == (
        "overcommit: 5 virtual processors would be there for 16 of its own, at most 0.25 for each")
    found = capacity(view, bounded, Shape(0.5, GIB))
    assert (found.fits, found.stops) == (6, (("overcommit", 3),))


def networked() -> Table:
    """Return three hosts: one whose network is nearly full, one of which it is not known, and one of which nobody says."""
    builder = a_cluster()
    for host, mib_s in (("h1", 1000.0), ("h2", 1000.0), ("h3", None)):
        builder = builder.host(host, network_mib_s=mib_s).running(f"{host}v", 8)
    t = table(builder, KEPT).carry(h1v=900.0, h2v=None, h3v=5000.0).warm_up()
    t.quiet_for(400.0)
    return t


def test_a_host_whose_network_is_above_its_mark_already_is_not_offered() -> None:
    view = seen(networked())
    offers = rank(view, KEPT, SMALL)
    assert sorted(offered(offers)) == ["h2", "h3"]
    assert against(offers, "h1") == "load: 90% of its VMs' network is used already; even-load calls more than 80% hot"
    assert {offer.host: offer.but for offer in offers} == {
        "h1": (), "h2": ("what its VMs' network carries is not known",), "h3": ()}
    assert capacity(view, KEPT, SMALL).stops[0] == ("load", 3)
    other = replace(KEPT, balance=(replace(EVEN, hot=(Edge("network", 0.95),)),))
    assert sorted(offered(rank(view, other, SMALL))) == ["h1", "h2", "h3"], "by its own policy it is not hot"


def test_what_a_network_carries_is_seen_only_where_somebody_says_what_it_can_and_all_of_it_is_known() -> None:
    shown = {host.name: host for host in seen(networked()).hosts}
    assert shown["h1"].network_share == pytest.approx(0.9, rel=0.01)
    assert (shown["h2"].network_limit, shown["h2"].network_by_vms, shown["h2"].network_share) == (1000.0, None, None)
    assert (shown["h3"].network_limit, shown["h3"].network_by_vms, shown["h3"].network_share) == (None, None, None)


def partly_known() -> ClusterView:
    """Return two hosts of which one VM's network is not known; what is known of the other VM's is too much on h1."""
    builder = a_cluster()
    for host in ("h1", "h2"):
        builder = builder.host(host, network_mib_s=1000.0).running(f"{host}v", 8).running(f"{host}dark", 8)
    t = table(builder, FREE).carry(h1v=900.0, h2v=300.0, h1dark=None, h2dark=None).warm_up()
    t.quiet_for(400.0)
    return seen(t)


def test_what_is_known_of_a_network_is_enough_to_be_too_much() -> None:
    view = partly_known()
    offers = rank(view, FREE, SMALL)
    assert offered(offers) == ["h2"]
    assert against(offers, "h1") == (
        "load: at least 90% of its VMs' network is used already; even-load calls more than 80% hot")
    assert {offer.host: offer.but for offer in offers} == dict.fromkeys(
        ("h1", "h2"), ("what its VMs' network carries is not known",))
    assert capacity(view, FREE, SMALL).examples[0].startswith("h1: at least 90%")
    told = explain(view, "h1")
    assert told is not None
    assert "  what all of its VMs carry over their network is unknown, at least 90% of it" in told.lines()


def test_without_the_memory_it_is_refused_with_the_numbers() -> None:
    offers = rank(seen(three()), FREE, Shape(0.1, 60 * GIB))
    assert offered(offers) == []
    assert against(offers, "h1") == "memory: needs 60.0 GiB, has 40.0 GiB left"


def test_memory_that_something_else_holds_on_the_machine_is_not_there() -> None:
    t = three()
    t.free = 6 * GIB
    assert offered(rank(seen(t), FREE, SMALL)) == []
    assert against(rank(seen(t), FREE, SMALL), "h3") == "memory: needs 8.0 GiB, has 6.0 GiB left"
    assert capacity(seen(t), FREE, Shape(0.1, 4 * GIB)).fits == 3


def test_a_host_that_may_not_receive_is_not_offered_and_says_why() -> None:
    t = three()
    t.say(Verb.CORDON, "h3")
    view = seen(t)
    assert against(rank(view, KEPT, SMALL), "h3").startswith("host-cordoned: cordoned by "), "it is as healthy as ever"
    assert capacity(view, KEPT, Shape(0.1, 60 * GIB)).stops == (("memory", 2), ("host-cordoned", 1))


@pytest.mark.parametrize(("rule", "more", "hosts"), [
    (Rule.APART, {}, ["h3"]),
    (Rule.APART, {"across": "rack"}, ["h3"]),
    (Rule.ON, {"hosts": Scope(("h2",))}, ["h2"]),
    (Rule.NEVER_ON, {"hosts": Scope(("h3",))}, ["h2", "h1"]),
    (Rule.TOGETHER, {"across": "rack"}, ["h2", "h1"]),
    (Rule.TOGETHER, {}, []),
    (Rule.PINNED, {}, ["h3", "h2", "h1"]),
])
def test_must_rules_bind_a_vm_that_they_speak_of(rule: Rule, more: dict[str, object], hosts: list[str]) -> None:
    view, policies = seen(three()), with_rule(rule, **more)
    assert offered(rank(view, policies, replace(SMALL, tags=("web",)))) == hosts
    assert offered(rank(view, policies, SMALL)) == ["h3", "h2", "h1"]


def test_a_should_rule_only_sends_it_elsewhere_first() -> None:
    policies = with_rule(Rule.NEVER_ON, hosts=Scope(("h3",)), weight=5)
    offers = rank(seen(three()), policies, replace(SMALL, tags=("web",)))
    assert offered(offers) == ["h2", "h1", "h3"]
    assert offers[-1].but == ("rule: it keeps such VMs off this host",)


def test_room_for_a_hosts_failure_is_kept() -> None:
    shape = Shape(0.1, 50 * GIB)
    assert offered(rank(seen(three()), replace(FREE, balance=()), shape)) == ["h3"]
    offers = rank(seen(three()), POLICIES, shape)
    assert offered(offers) == []
    assert against(offers, "h3").startswith("failover-reserve: if h3 died then, 50.0 GiB of its VMs would fit nowhere")


BY_RACK = replace(KEPT, limits=replace(KEPT.limits, failover_domain="rack"))


def test_room_for_a_racks_failure_is_kept_and_the_rack_is_named() -> None:
    """Five VMs of 8 GiB in rack a fit into the 56 GiB that h3 has left, and 16 GiB more on either side."""
    assert offered(rank(seen(three()), BY_RACK, Shape(0.1, 16 * GIB))) == ["h3", "h2", "h1"]
    larger = Shape(0.1, 17 * GIB)
    assert offered(rank(seen(three()), KEPT, larger)) == ["h3", "h2", "h1"]
    offers = rank(seen(three()), BY_RACK, larger)
    assert offered(offers) == []
    why = "failover-reserve: if rack=a died then, 8.0 GiB of its VMs would fit nowhere (now 0 B)"
    assert [against(offers, host) for host in ("h1", "h3")] == [why, why]


def test_each_domain_is_asked_for_itself_though_another_is_worse_off() -> None:
    builder = a_cluster().host("h1", 100).running("giant", 90)
    for name in ("h2", "h3"):
        builder = builder.host(name).running(f"{name}v", 20)
    t = table(builder, FREE).burn().warm_up()
    t.quiet_for(400.0)
    offers = rank(seen(t), replace(KEPT, balance=()), Shape(0.1, 10 * GIB))
    assert offered(offers) == ["h2", "h3", "h1"], "the giant fits nowhere, and nobody makes that worse"
    worse = rank(seen(t), replace(KEPT, balance=()), Shape(0.1, 32 * GIB))
    assert against(worse, "h2") == "failover-reserve: if h3 died then, 20.0 GiB of its VMs would fit nowhere (now 0 B)"


def test_who_has_huge_pages_needs_no_ordinary_room_if_his_host_dies() -> None:
    pool = Hardware(pools=(PagePool(Bytes(GIB), 40),))
    needs = Needs((Backing(Bytes(GIB), Bytes(40 * GIB)),))
    builder = a_cluster().host("h1").described(pool).running("huge", 40, needs=needs)
    view = seen(table(builder.host("h2").running("b", 20).host("h3").running("c", 30), KEPT).warm_up())
    assert {vm.name: vm.huge_pages for vm in view.vms} == {"huge": 40 * GIB, "b": 0, "c": 0}
    assert sorted(offered(rank(view, KEPT, SMALL))) == ["h1", "h2", "h3"]
    found = capacity(view, KEPT, Shape(0.01, 8 * GIB))
    assert (found.fits, found.fits_with_reserve) == (9, 4), "one at h2 and three at h3, where place would put them"
    assert found.reserve_stops == ("h2: if h3 died then, 30.0 GiB of its VMs would fit nowhere (now 0 B)",
                                   "h3: if h2 died then, 20.0 GiB of its VMs would fit nowhere (now 0 B)")


def test_no_more_are_counted_than_anybody_wants_to_know() -> None:
    t = three(h1v0=12.0)
    found = capacity(seen(t), replace(FREE, balance=(replace(EVEN, hot=(Edge("cpu", 0.7),)),)), Shape(0.0, 1 << 20))
    assert (found.fits, found.stops) == (COUNTED_MAX, ()), "h1 takes none, and others take the next"


def test_what_is_counted_only_for_a_while_names_nothing_that_stops_it(monkeypatch: pytest.MonkeyPatch) -> None:
    builder = a_cluster().host("h1", 100).running("giant", 90).host("h2").running("b", 20).host("h3").running("c", 30)
    view = seen(table(builder, KEPT).warm_up())
    whole = capacity(view, KEPT, Shape(0.01, 8 * GIB))
    monkeypatch.setattr("ballastd.core.advice.HOSTS_PACKED_MAX", 0)
    cut = capacity(view, KEPT, Shape(0.01, 8 * GIB))
    assert (whole.fits_with_reserve > cut.fits_with_reserve, cut.reserve_stops) == (True, ())


def test_who_is_on_its_way_to_a_host_is_there_already_for_a_rule() -> None:
    t = three()
    t.say(Verb.DRAIN, "h1")
    view = seen(t)
    [going] = [m for m in view.migrations if m.vm_name == "h1v0"]
    assert (going.target, any(vm.host == "h3" and vm.id == going.vm for vm in view.vms)) == ("h3", False)
    assert against(rank(view, with_rule(Rule.APART), replace(SMALL, tags=("web",))), "h3") == (
        "placement-rule: rule: h1v0 is in host h3 already")


def test_capacity_is_what_a_count_by_hand_gives() -> None:
    """88 % of 64 GiB are seven VMs of 8 GiB: four, five and six more; with one host down, 128 GiB hold sixteen in all."""
    found = capacity(seen(three()), KEPT, Shape(0.01, 8 * GIB))
    assert (found.fits, found.fits_with_reserve, found.failover_hosts, found.failover_domain) == (15, 10, 1, "host")
    assert found.stops == (("load", 3),)
    assert found.examples[0].startswith("h1: 100% of its memory would be used")
    assert capacity(seen(three()), FREE, Shape(0.01, 8 * GIB)).fits_with_reserve == 15
    by_rack = capacity(seen(three()), BY_RACK, Shape(0.01, 8 * GIB))
    assert (by_rack.fits, by_rack.fits_with_reserve, by_rack.failover_domain) == (15, 2, "rack"), "h3 holds eight in all"


def test_capacity_is_bound_by_processors_and_by_rules() -> None:
    assert capacity(seen(three()), FREE, Shape(4.0, GIB)).fits == 9
    apart = capacity(seen(three()), with_rule(Rule.APART), replace(SMALL, tags=("web",)))
    assert (apart.fits, apart.stops) == (1, (("placement-rule", 3),))


def test_nothing_is_changed_by_asking() -> None:
    view = seen(three())
    assert rank(view, KEPT, SMALL) == rank(view, KEPT, SMALL)
    assert capacity(view, KEPT, SMALL) == capacity(view, KEPT, SMALL)
