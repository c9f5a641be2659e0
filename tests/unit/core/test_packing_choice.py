"""What keeps a host from being chosen to be packed empty, and why none is chosen at all."""

from __future__ import annotations

from dataclasses import replace

from ballastd.core import power_events as pw
from ballastd.core.inputs import CallReturned
from ballastd.core.inventory import JobKind, Pin, PinKind, VmRecord, VmState
from ballastd.core.migrations import CallResult
from ballastd.core.power import PowerPhase
from ballastd.core.quantities import GIB, Bytes
from tests.builders import a_cluster, vm_id
from tests.powered import four_powered, powered


def test_low_processor_use_with_blocked_tasks_is_not_idle() -> None:
    p = powered()
    for host in ("h1", "h2", "h3", "h4"):
        p.table.show(host, "io.pressure.some", 0.6)
    p.turns(3000.0)
    assert not p.off()


    assert "h1 waits for storage 60% of the time" in str(p.decisions[-1].view.noes)


def test_one_host_that_waits_for_storage_stays_on_and_counts_as_busy_and_the_others_may_go() -> None:
    p = powered()
    p.table.show("h3", "io.pressure.some", 0.6)
    p.until(PowerPhase.OFF, "h4")
    assert ("h3", False) not in p.orders


def test_a_sick_host_is_not_packings_to_empty() -> None:
    p = powered()
    p.table.show("h3", "fan.alarm", 1.0)
    p.until(PowerPhase.OFF, "h4")
    assert not [e for e in p.table.events if isinstance(e, pw.HostEmptying) and e.host == "h3"]


def test_a_host_that_vms_are_on_their_way_to_is_not_emptied_next() -> None:
    builder = a_cluster()
    for h, vms in ((1, 4), (2, 4), (3, 1), (4, 1)):
        builder = builder.host(f"h{h}", power="redfish")
        for v in range(vms):
            builder = builder.running(f"h{h}v{v}", 4)
    p = powered(builder)
    p.until(PowerPhase.EMPTYING, "h3")
    going = p.turn_without_returns()
    for order in going.orders:
        p.table.begin(order)
    assert going.orders
    p.table.show("h3", "fan.alarm", 1.0)
    for _ in range(20):
        p.turn_without_returns()
    targets = {order.move.target for order in going.orders}
    emptied = [e.host for e in p.table.events if isinstance(e, pw.HostEmptying)]
    assert not targets & set(emptied), emptied
    assert any(isinstance(e, pw.HostKept) and e.host == "h3" for e in p.table.events)


def test_a_cluster_that_is_not_idle_says_so_and_so_does_one_that_is_not_for_long_enough() -> None:
    p = powered()
    p.turns(200.0)
    assert "less than 45%, for " in str(p.decisions[-1].view.noes)
    p.table.burn(h1v0=9.0, h2v0=9.0, h3v0=9.0, h4v0=9.0)
    p.turns(600.0)
    assert "not less than 45%" in str(p.decisions[-1].view.noes)


def test_a_host_that_was_never_woken_is_not_switched_off() -> None:
    p = powered(proved=False)
    p.turns(3000.0)
    assert not p.off()
    assert "confirm-wakeable" in str(p.decisions[-1].view.noes)


def test_a_host_without_driver_or_hook_is_passed_over() -> None:
    builder = a_cluster()
    for h in range(1, 5):
        builder = builder.host(f"h{h}", power="" if h != 2 else "redfish").running(f"v{h}", 8)
    p = powered(builder)
    p.until(PowerPhase.OFF, "h2")
    assert p.orders == [("h2", False)]


def test_shut_off_definitions_keep_a_host_on() -> None:
    p = powered()
    p.table.world["h3"][vm_id("cold")] = VmRecord(vm_id("cold"), "cold", VmState.SHUTOFF, Bytes(GIB))
    p.until(PowerPhase.OFF, "h4")
    assert p.orders == [("h4", False)]


def test_what_a_migration_of_ours_has_just_left_shut_off_keeps_no_host_on() -> None:
    """Between the end of a guest at its source and the end of its definition there an inventory may come in."""
    p = powered()
    p.until(PowerPhase.EMPTYING, "h3")
    going = p.turn_without_returns()
    for order in going.orders:
        p.table.begin(order)
        record = p.table.world[order.move.source][order.move.vm]
        p.table.world[order.move.target][order.move.vm] = replace(record, job=JobKind.NONE)
        p.table.world[order.move.source][order.move.vm] = replace(record, state=VmState.SHUTOFF, job=JobKind.NONE)
    p.turn_without_returns(0.5)
    assert p.phase("h3") is PowerPhase.EMPTYING
    for order in going.orders:
        del p.table.world[order.move.source][order.move.vm]
        p.returns.append(CallReturned(order.id, CallResult.OK, "", p.table.now))
    p.until(PowerPhase.OFF, "h3")


def test_a_vm_that_cannot_move_keeps_its_host_on() -> None:
    p = powered(four_powered().running("stuck", 4, pins=(Pin(PinKind.PASSTHROUGH, "gpu", "none"),)))
    p.until(PowerPhase.OFF, "h3")
    assert ("h4", False) not in p.orders
