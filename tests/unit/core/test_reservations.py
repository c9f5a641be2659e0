"""What an open migration holds: memory at both ends and a slot, in each phase, whatever the inventories show yet."""

from __future__ import annotations

import pytest

from ballastd.core import events as ev
from ballastd.core.migrations import Ending, MigrationPhase
from ballastd.core.quantities import GIB, Bytes, HostName
from tests.builders import WALL, Table, a_cluster, four_hosts, table, vm_id

P = MigrationPhase
VM = vm_id("a")


def with_a_migration(*after: ev.Event) -> Table:
    """Return a table on which neither end shows the VM: what is held is held by the books alone."""
    t = table(a_cluster().host("h1").host("h2"))
    t.events += [
        ev.DaemonStarted(WALL, "boot", ""),
        ev.MigrationOrdered(WALL, "1-1", VM, "a", HostName("h1"), HostName("h2"), Bytes(8 * GIB), 100, "failing",
                            "because", WALL + 300.0, 10.0),
        *after]
    return t.restart()


def moved(phase: MigrationPhase) -> tuple[ev.Event, ...]:
    return () if phase is P.ORDERED else (ev.MigrationMoved(WALL, "1-1", phase),)


@pytest.mark.parametrize(("phase", "source_gib", "target_gib"), [
    (P.ORDERED, 8, 8), (P.RUNNING, 8, 8), (P.COMPLETED, 8, 8), (P.FAILED, 8, 8), (P.ABORTED, 8, 8), (P.LOST, 8, 0),
])
def test_memory_is_held_at_both_ends_until_the_books_are_closed(phase: MigrationPhase, source_gib: int,
                                                               target_gib: int) -> None:
    source, target = with_a_migration(*moved(phase)).step().view.hosts
    assert (source.memory_reserved, target.memory_reserved) == (source_gib * GIB, target_gib * GIB)


def test_closed_books_hold_nothing() -> None:
    view = with_a_migration(ev.MigrationSettled(WALL, "1-1", Ending.COMPLETED)).step().view
    assert [host.memory_reserved for host in view.hosts] == [0, 0]


@pytest.mark.parametrize(("phase", "slots"), [
    (P.ORDERED, 1), (P.RUNNING, 1), (P.COMPLETED, 0), (P.FAILED, 0), (P.ABORTED, 0), (P.LOST, 0),
])
def test_a_slot_is_held_from_the_order_until_no_job_is_left(phase: MigrationPhase, slots: int) -> None:
    source, target = with_a_migration(*moved(phase)).step().view.hosts
    assert (source.migrations_out, target.migrations_in) == (slots, slots)


def test_orders_of_which_no_host_shows_anything_yet_count_as_in_flight() -> None:
    t = table(four_hosts(vms_each=4))
    t.show("h1", "ecc.uncorrected", 0.0, "D")
    t.warm_up()
    t.show("h1", "ecc.uncorrected", 1.0, "D")
    assert len(t.step().orders) == 2
    assert not any(decision.orders for decision in t.settle(5))
