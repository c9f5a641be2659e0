"""Where nothing may land: sick, cordoned, full, promised. Each rule alone, nothing else in its way."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from ballastd.core.inputs import Verb
from ballastd.core.inventory import Pin, PinKind, VmRecord, VmState
from ballastd.core.quantities import GIB, Bytes
from ballastd.core.telemetry import Report
from tests.builders import POLICIES, Table, a_cluster, four_hosts, table, vm_id


def two_targets(gib: int = 64, vms: int = 2, vm_gib: int = 8) -> Table:
    """h1 is about to fail; b and c can take its VMs, b being the emptier and so the better one."""
    builder = a_cluster().host("b", gib).host("c", gib).host("h1", 64)
    for v in range(vms):
        builder = builder.running(f"v{v}", vm_gib)
    t = table(builder)
    for host in ("b", "c", "h1"):
        t.show(host, "ecc.uncorrected", 0.0, "D")
    t.warm_up()
    return t.show("h1", "ecc.uncorrected", 1.0, "D")


def targets(t: Table) -> set[str]:
    return {order.move.target for order in t.step().orders}


def test_both_hosts_are_used_when_nothing_is_wrong_with_them() -> None:
    assert targets(two_targets()) == {"b", "c"}


def test_a_host_whose_reports_are_late_says_so_and_is_a_target_once_enough_came_in_time() -> None:
    t, said = two_targets().show("h1", "ecc.uncorrected", 0.0, "D"), []
    for seconds in (45.0, 0.0, 0.0, 0.0):
        t.wait(10.0)
        late = [replace(one, sent_at=one.sent_at - seconds) for one in t.reports() if isinstance(one, Report)]
        decision = t.step(*late, *t.inventories(), look=False)
        said += [host.why_not for host in decision.view.hosts if host.name == "b"]
    why = ("host-clock-skewed: its reports come more than 30 s late, or its clock is behind; 3 in a row have to come in time"
           "; cure: let it keep time: chronyc tracking")
    assert said == [(why,), (why,), (why,), ()]


def test_who_leaves_a_failing_host_does_not_fill_the_next_one_up_with_work() -> None:
    t = two_targets(gib=256, vms=6, vm_gib=4)
    t.burn(**{f"v{number}": 3.0 for number in range(6)})
    t.show("b", "ecc.uncorrected", 0.0, "D").show("h1", "ecc.uncorrected", 0.0, "D")
    busy = VmRecord(vm_id("w"), "w", VmState.RUNNING, Bytes(GIB), vcpus=8)
    t.world["c"][busy.vm] = busy
    t.burn(w=8.0)
    t.burn_on(600.0)
    t.show("h1", "ecc.uncorrected", 1.0, "D")
    planned = Counter(move.target for move in t.step().view.moves)
    assert planned == {"b": 4, "c": 2}, "half of c is busy, and what b has been promised is work, too"


def test_who_leaves_a_failing_host_goes_by_what_hosts_use_in_the_mean_and_not_just_then() -> None:
    t = two_targets(gib=256, vms=1, vm_gib=4).show("h1", "ecc.uncorrected", 0.0, "D")
    for host, name in (("b", "u"), ("c", "w")):
        one = VmRecord(vm_id(name), name, VmState.RUNNING, Bytes(GIB), vcpus=8)
        t.world[host][one.vm] = one
    t.burn(u=1.0, w=6.0)
    t.burn_on(600.0)
    t.burn(u=8.0, w=1.0)
    t.wait(10.0).show("h1", "ecc.uncorrected", 1.0, "D")
    assert targets(t) == {"b"}, "it is busy for ten seconds, c was for ten minutes"


def test_of_a_host_whose_two_stories_disagree_no_processors_count_as_left() -> None:
    t = two_targets(gib=256, vms=1, vm_gib=4).show("h1", "ecc.uncorrected", 0.0, "D")
    one = VmRecord(vm_id("w"), "w", VmState.RUNNING, Bytes(GIB), vcpus=16)
    t.world["b"][one.vm] = one
    t.burn(w=8.0).show("b", "cpu.utilization", 0.0)
    t.burn_on(600.0)
    t.show("h1", "ecc.uncorrected", 1.0, "D")
    assert targets(t) == {"c"}, "b says that it is idle, and its VM uses eight processors"


def test_a_suspect_host_receives_nothing() -> None:
    t = two_targets()
    t.show("b", "fan.alarm", 1.0, "f")
    assert targets(t) == {"c"}
    assert t.controller.ledger.broken is None, "refused by the rule, not by the checker behind it"


def test_who_leaves_a_host_stays_out_of_its_rack_where_the_policy_says_so() -> None:
    for avoid, racks in ((("rack",), {"r2"}), ((), {"r1", "r2"}), (("aisle",), {"r1", "r2"})):
        policies = replace(POLICIES, evacuation=tuple(replace(one, avoid=avoid) for one in POLICIES.evacuation))
        # the only other host of the rack is by far the emptiest
        t = table(four_hosts(vms_each=6), policies)
        t.world["h2"].clear()
        for host in ("h1", "h2", "h3", "h4"):
            t.show(host, "ecc.uncorrected", 0.0, "D")
        t.warm_up()
        t.show("h1", "ecc.uncorrected", 1.0, "D")
        decision = t.step()
        label_of = {host.name: host.label("rack") for host in t.cluster.hosts}
        assert {label_of[move.target] for move in decision.portrait.plan.moves} == racks, avoid
        assert t.controller.ledger.broken is None


def test_who_finds_no_other_rack_stays_and_says_why() -> None:
    policies = replace(POLICIES, evacuation=tuple(replace(one, avoid=("rack",)) for one in POLICIES.evacuation))
    t = table(a_cluster().host("h2", rack="r1").host("h1", rack="r1").running("v"), policies)
    for host in ("h1", "h2"):
        t.show(host, "ecc.uncorrected", 0.0, "D")
    t.warm_up()
    t.show("h1", "ecc.uncorrected", 1.0, "D")
    plan = t.step().portrait.plan
    assert not plan.moves
    assert any("shares rack=r1 with h1" in no.detail for refusal in plan.refusals for no in (refusal, *refusal.against))


def test_a_cordoned_host_receives_nothing() -> None:
    t = two_targets()
    t.show("h1", "ecc.uncorrected", 0.0, "D")
    t.say(Verb.CORDON, "b")
    t.show("h1", "ecc.uncorrected", 1.0, "D")
    assert targets(t.wait(1.0)) == {"c"}
    assert t.controller.ledger.broken is None


def test_what_is_on_its_way_holds_its_place_before_any_inventory_shows_it() -> None:
    t = two_targets(gib=10, vms=3)
    first = t.step()
    assert {order.move.target for order in first.orders} == {"b", "c"}
    # the calls were made; neither end shows anything yet, and there is no room for the third
    later = t.wait(1.0).step()
    assert not later.orders
    assert {no.kind for no in later.view.noes} == {"no-target"}
    assert "reserved 8.0 GiB" in later.view.noes[0].detail


def test_a_pinned_vm_stays_and_says_why() -> None:
    t = two_targets()
    pin = Pin(PinKind.DISK_UNLOCKED, "vda /srv/a.raw", "vouch for /srv")
    t.world["h1"][vm_id("v0")] = replace(t.world["h1"][vm_id("v0")], pins=(pin,))
    decision = t.step()
    assert [order.move.vm_name for order in decision.orders] == ["v1"]
    assert "vouch for /srv" in next(no.detail for no in decision.view.noes if no.vm == vm_id("v0"))
