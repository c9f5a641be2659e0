"""The checker's first look: what moves, where it goes and how large it is, by what inventories show."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from ballastd.core.checking import check_plan
from ballastd.core.inventory import JobKind, Mobility, Pin, PinKind, VmState
from ballastd.core.plans import Move, Refusal, RefusalKind
from ballastd.core.policies import Health
from ballastd.core.quantities import GIB, Bytes, HostName, Seconds
from ballastd.core.snapshot import Snapshot
from tests.builders import a_cluster, table, vm_id

H1, H2, H3 = HostName("h1"), HostName("h2"), HostName("h3")
MOVE = Move(vm_id("a"), "a", H1, H2, Bytes(8 * GIB), Seconds(1.0), "failing", "")


@cache
def seen() -> Snapshot:
    """Return h1 with a, of 8 GiB, h2 and h3, empty."""
    t = table(a_cluster().host("h1").running("a", 8).host("h2").host("h3")).warm_up()
    snapshot = t.controller._last
    assert snapshot is not None
    return snapshot


def of_host(host: HostName, **more: Any) -> Snapshot:
    """Return the snapshot with something else known of a host, and the columns as they were."""
    return replace(seen(), facts=tuple(replace(fact, **more) if fact.declared.name == host else fact
                                       for fact in seen().facts))


def of_vm(**more: Any) -> Snapshot:
    """Return the snapshot in which h1 shows something else of a, and the columns are as they were."""
    inventory = seen().facts[0].inventory
    assert inventory is not None
    return of_host(H1, inventory=replace(inventory, vms=(replace(inventory.vms[0], **more),)))


@pytest.mark.parametrize("more", [
    {"avoid": (Refusal(RefusalKind.HOST_CORDONED, "cordoned by ann", host=H2),)}, {"fresh": False}, {"reachable": False},
    {"health": Health.SUSPECT}, {"health": Health.FAILING}], ids=str)
def test_nothing_goes_where_nothing_may(more: dict[str, Any]) -> None:
    assert not check_plan(of_host(H3, **more), (MOVE,), failover_hosts=0), "that is no matter of other hosts"
    assert check_plan(of_host(H2, **more), (MOVE,), failover_hosts=0) == ("a h1 -> h2: the target may not receive",)


@pytest.mark.parametrize("more", [
    {"state": VmState.PAUSED}, {"state": VmState.POSTCOPY}, {"job": JobKind.OUTGOING}, {"vm": vm_id("else")},
    {"pins": (Pin(PinKind.PASSTHROUGH, "a card", "take it out"),)}], ids=str)
def test_nobody_is_moved_who_cannot_be(more: dict[str, Any]) -> None:
    assert not check_plan(seen(), (MOVE,), failover_hosts=0)
    said = check_plan(of_vm(**more), (MOVE,), failover_hosts=0)
    assert said == ("a h1 -> h2: not a free, running, unpinned VM at its source",)


@pytest.mark.parametrize("more", [{"ignored": True}, {"mobility": Mobility.COLD}, {"mobility": Mobility.NEVER}], ids=str)
def test_nobody_is_moved_whose_owner_does_not_want_it(more: dict[str, Any]) -> None:
    assert check_plan(of_vm(**more), (MOVE,), failover_hosts=0) == ("a h1 -> h2: its owner does not want it moved live",)


def test_nobody_is_moved_whom_two_hosts_show_or_whose_host_does_not_answer() -> None:
    inventory = seen().facts[2].inventory
    assert inventory is not None
    for state, why in ((VmState.SHUTOFF, ()), (VmState.PAUSED, ("a h1 -> h2: 2 hosts show it",))):
        there = replace(inventory, vms=(replace(seen().records[0], state=state),))
        assert check_plan(of_host(H3, inventory=there), (MOVE,), failover_hosts=0) == why
    silent = of_host(H1, reachable=False)
    assert check_plan(silent, (MOVE,), failover_hosts=0) == ("a h1 -> h2: its source does not answer",)


def test_nothing_arrives_where_nothing_was_ever_seen() -> None:
    said = check_plan(of_host(H2, inventory=None), (MOVE,), failover_hosts=0)
    assert said == (f"h2: {8 * GIB} B arrive where 0 B are left with everything in flight",)


def test_a_move_reserves_what_its_vm_has() -> None:
    small = check_plan(seen(), (replace(MOVE, memory=Bytes(GIB)),), failover_hosts=0)
    assert small == (f"a h1 -> h2: reserves {GIB} B for a VM of {8 * GIB} B",)
    assert "moved twice" in "; ".join(check_plan(seen(), (MOVE, replace(MOVE, target=H3)), failover_hosts=0))


def test_nothing_arrives_for_which_there_is_no_room() -> None:
    """Of h2's memory there are 64 GiB for VMs."""
    inventory = seen().facts[1].inventory
    assert inventory is not None
    there = replace(seen().records[0], vm=vm_id("b"), name="b")
    for gib, fits in ((56, True), (57, False)):
        full = of_host(H2, inventory=replace(inventory, vms=(replace(there, memory_max=Bytes(gib * GIB)),)))
        assert (check_plan(full, (MOVE,), failover_hosts=0) == ()) is fits
