"""Plans hold whatever the cluster looks like: every prefix, every order, ties and edges included."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ballastd.core import planning
from ballastd.core.checking import check_plan
from ballastd.core.evaluation import intents
from ballastd.core.inventory import Pin, PinKind, VmState
from ballastd.core.ledger import Ledger
from ballastd.core.snapshot import Snapshot, take
from tests.builders import POLICIES, ClusterBuilder, Table, a_cluster, table

PIN = Pin(PinKind.PASSTHROUGH, "0000:01:00.0", "detach it")
HOSTS = st.integers(2, 5)


@st.composite
def clusters(draw: st.DrawFn) -> ClusterBuilder:
    """Unequal hosts, ties, full hosts, pinned and paused VMs."""
    builder = a_cluster()
    for h in range(draw(HOSTS)):
        builder = builder.host(f"h{h}", gib=draw(st.sampled_from([16, 32, 64, 64])),
                               link_mib_s=draw(st.sampled_from([100.0, 1000.0])))
        for v in range(draw(st.integers(0, 5))):
            builder = builder.running(
                f"h{h}v{v}", draw(st.sampled_from([2, 4, 8, 8, 31])), priority=draw(st.sampled_from([0, 0, 5])),
                state=draw(st.sampled_from([VmState.RUNNING] * 6 + [VmState.PAUSED])),
                pins=(PIN,) if draw(st.integers(0, 7)) == 0 else ())
    return builder


def failing(builder: ClusterBuilder, host: str = "h0") -> Table:
    t = table(builder)
    for declared in t.cluster.hosts:
        t.show(declared.name, "ecc.uncorrected", 0.0, "D")
    t.warm_up()
    return t.show(host, "ecc.uncorrected", 1.0, "D")


def fits(t: Table) -> bool:
    """The oracle: true memory on every host, both ends counted."""
    limits = {host.name: host.memory_limit or 0 for host in t.cluster.hosts}
    return all(sum(vm.memory_max for vm in vms.values() if vm.state.holds_memory) <= limits[name]
               for name, vms in t.world.items())


@given(clusters(), st.data())
@settings(max_examples=120)
def test_memory_fits_at_both_ends_at_every_instant_in_any_order_of_endings(builder: ClusterBuilder,
                                                                           data: st.DataObject) -> None:
    t = failing(builder)
    sound_at_first = fits(t)
    open_orders = []
    before = {name: set(vms) for name, vms in t.world.items()}
    for _ in range(30):
        decision = t.wait(1.0).step()
        for order in decision.orders:
            # whoever is on another host moves there to make room, and nobody comes to the one that fails
            assert (order.move.source == "h0") is (order.move.room_for is None)
            assert order.move.target != "h0"
            record = t.world[order.move.source][order.move.vm]
            assert not record.pins
            assert record.state is VmState.RUNNING
            t.begin(order)
            open_orders.append(order)
        assert len({o.move.vm for o in open_orders}) == len(open_orders)
        sources = Counter(order.move.source for order in open_orders)
        assert max(sources.values(), default=0) <= POLICIES.limits.in_flight_host_out
        assert not sound_at_first or fits(t)
        if open_orders and data.draw(st.booleans()):
            order = open_orders.pop(data.draw(st.integers(0, len(open_orders) - 1)))
            t.step(t.finish(order))
    again = Ledger()
    again.replay(t.events)  # type: ignore[arg-type]
    assert again == t.controller.ledger, "a restart would not know what we know"
    stayed = {vm for vms in t.world.values() for vm in vms}
    assert stayed == set().union(*before.values()), "a VM disappeared"


@given(clusters())
@settings(max_examples=100)
def test_the_same_cluster_in_another_order_gives_the_same_decision(builder: ClusterBuilder) -> None:
    turned = replace(builder, hosts=builder.hosts[::-1], vms=tuple((h, r[::-1]) for h, r in builder.vms[::-1]))
    one, other = failing(builder).step(), failing(turned).step()
    assert one.orders == other.orders
    assert one.view.noes == other.view.noes


@given(clusters())
@settings(max_examples=100)
def test_every_vm_that_stays_has_a_reason(builder: ClusterBuilder) -> None:
    t = failing(builder)
    decision = t.step()
    moving = {order.move.vm for order in decision.orders} | {move.vm for move in decision.view.moves}
    explained = {no.vm for no in decision.view.noes}
    assert set(t.world["h0"]) <= moving | explained


@given(clusters())
@settings(max_examples=100)
def test_an_unknown_host_never_enables_a_move(builder: ClusterBuilder) -> None:
    """Metamorphic: taking a host's telemetry away can only take targets away. Where that was the only room, somebody may
    have to make some elsewhere; but nobody more leaves the host that fails."""
    seen, blind = failing(builder), failing(builder)
    last = blind.cluster.hosts[-1].name
    if last == "h0":
        return
    blind.silent.add(last)
    for _ in range(11):
        seen.show("h0", "ecc.uncorrected", 0.0, "D").wait(10.0).step()
        blind.show("h0", "ecc.uncorrected", 0.0, "D").wait(10.0).step()
    seen.show("h0", "ecc.uncorrected", 1.0, "D")
    blind.show("h0", "ecc.uncorrected", 1.0, "D")
    with_all, without = seen.step(), blind.step()
    left, leave = (sum(order.move.room_for is None for order in one.orders) for one in (without, with_all))
    assert left <= leave
    assert all(order.move.target != last for order in without.orders)


def sabotaged(snapshot: Snapshot) -> Snapshot:
    """Return the snapshot with inventories in which every host is full."""
    facts = tuple(replace(f, declared=replace(f.declared, memory_limit=1)) for f in snapshot.facts)
    return replace(snapshot, facts=facts)


@given(clusters())
@settings(max_examples=60)
def test_the_checker_does_not_believe_the_planners_columns(builder: ClusterBuilder) -> None:
    """The columns say that there is room, the inventories say that there is none: the checker must object."""
    t = failing(builder)
    decision = t.step()
    if not decision.orders:
        return
    controller = t.controller
    step = type("S", (), {"now": t.now, "draft": controller.ledger.draft()})()
    step.draft.migrations.clear()
    step.draft.evacuating.clear()
    facts = controller._facts(step)
    snapshot = take(facts, step.draft, t.now)
    wanted = intents(POLICIES, t.cluster.hosts, controller._verdicts, step.draft, t.now)
    made = planning.plan(snapshot, step.draft, wanted, POLICIES)
    assert made.moves
    assert not check_plan(snapshot, made.moves)
    assert check_plan(sabotaged(snapshot), made.moves)
    with pytest.raises(planning.PlanUnsound):
        planning.plan(sabotaged(snapshot), step.draft, wanted, POLICIES)
    assert check_plan(snapshot, (*made.moves, made.moves[0])), "the same VM twice"
