"""What a run takes over from the one before it: aborts stand, orders were its own to carry out."""

from __future__ import annotations

from ballastd.adapters.blocking import Inline
from ballastd.core import events as ev
from ballastd.core.migrations import Ending
from ballastd.core.quantities import GIB, Bytes, HostName, VmId
from ballastd.kernel.record import Record
from ballastd.sim.journal import MemoryJournal
from ballastd.sim.virtual_time import run_virtual

ORDERED = ev.MigrationOrdered(1.0, "7-1", VmId("a"), "a", HostName("h1"), HostName("h2"), Bytes(GIB), 100, "failing",
                              "because", 300.0, 10.0)
EVENTS = (ORDERED, ev.AbortOrdered(2.0, "7-1", "target turned failing"), ev.BandwidthOrdered(2.0, "7-1", 50))


def test_an_order_of_a_run_before_is_never_carried_out_by_this_one() -> None:
    async def story() -> None:
        journal = MemoryJournal()
        before = Record(journal, Inline())
        await before.open()
        await before.append(1, EVENTS)
        assert before.has_order("7-1")

        after = Record(journal, Inline())
        assert (await after.open()).head == len(EVENTS)
        events, revision, trouble = await after.replay()
        assert (events, revision, trouble) == (EVENTS, 1, None)
        after.replayed(events)
        assert not after.has_order("7-1")
        assert after.has_abort("7-1")
        assert after.has_bandwidth("7-1", 50)
        assert not after.has_bandwidth("7-1", 51)
        await after.append(2, (ev.MigrationSettled(3.0, "7-1", Ending.ABORTED),))
        assert not after.has_abort("7-1")
        assert not after.has_bandwidth("7-1", 50)

    run_virtual(story())


def test_a_record_that_this_release_does_not_know_ends_the_replay_and_is_named() -> None:
    async def story() -> None:
        journal = MemoryJournal()
        journal.open()
        journal.append(4, [ev.to_record(ORDERED), {"v": 1, "kind": "FromTheFuture"}, ev.to_record(EVENTS[1])])
        events, revision, trouble = await Record(journal, Inline()).replay()
        assert (events, revision) == ((ORDERED,), 4)
        assert trouble is not None
        assert "record 2" in trouble

    run_virtual(story())
