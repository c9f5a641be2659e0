"""The record: durable or not, and never in between."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TypeVar

import pytest

from ballastd.adapters.blocking import Inline
from ballastd.core import events as ev
from ballastd.core.books import LedgerBroken
from ballastd.core.ledger import Ledger
from ballastd.core.migrations import Ending
from ballastd.core.quantities import GIB, Bytes, HostName
from ballastd.errors import JournalError, Unreachable
from ballastd.kernel.record import Record
from ballastd.sim.journal import MemoryJournal
from ballastd.sim.virtual_time import run_virtual
from tests.builders import vm_id

T = TypeVar("T")


class Hanging:
    """A ``Blocking`` whose calls land after they were given up."""

    async def run(self, lane: str, call: Callable[[], T], *, deadline: float) -> T:
        call()
        raise Unreachable(f"no answer within {deadline:g} s on lane {lane}")

    def abandoned(self) -> int:
        return 1

    async def close(self) -> None:
        return None


def test_after_a_write_that_hung_nothing_is_written_any_more() -> None:
    async def story() -> None:
        journal = MemoryJournal()
        journal.open()
        record = Record(journal, Hanging())
        for _ in range(2):
            with pytest.raises(JournalError, match="hung"):
                await record.append(1, (ev.Paused(1.0, "ann"),))
        assert len(journal.records) == 1, "the first landed late, no second was tried"

    run_virtual(story())


@pytest.mark.parametrize(("since", "archived"), [(5.0, 0), (15.0, 1), (25.0, 1), (45.0, 3), (100.0, 7)])
def test_what_is_kept_begins_at_the_last_checkpoint_before_what_must_be_kept(since: float, archived: int) -> None:
    async def story() -> None:
        journal = MemoryJournal()
        journal.open()
        record = Record(journal, Inline())
        for wall in (10.0, 30.0, 50.0):
            await record.append(1, (ev.Paused(wall - 5.0, "ann"), ev.CheckpointTaken(wall, "{}")))
        await record.append(1, (ev.Paused(60.0, "ann"), ev.CheckpointTaken(70.0, "{}"), ev.Paused(80.0, "ann")))
        assert await record.retain(since) == archived
        kept = [written.content for written in journal.replay()]
        assert archived == 0 or kept[0]["kind"] == "CheckpointTaken"
        assert len(kept) == 9 - archived

    run_virtual(story())


def test_what_is_under_way_is_known_from_a_checkpoint_as_from_all_that_was_before_it() -> None:
    ledger, events = Ledger(), list[ev.Event]()
    for number in (1, 2, 3):
        events.append(ev.MigrationOrdered(1.0, f"1-{number}", vm_id(f"v{number}"), "v", HostName("a"), HostName("b"),
                                          Bytes(GIB), 100, "p", "because", 900.0, 21.0, downtime_ms=100, post_copy=True))
    events += [ev.AbortOrdered(2.0, "1-1", "because"), ev.BandwidthOrdered(2.0, "1-2", 70),
               ev.DowntimeOrdered(2.0, "1-2", 300, 290), ev.PostCopyOrdered(3.0, "1-3", "because")]
    events += [ev.MigrationOrdered(1.0, "1-4", vm_id("v4"), "v", HostName("a"), HostName("b"), Bytes(GIB), 100, "p", "b",
                                   900.0, 21.0), ev.AutostartNoted(1.0, "1-4"),
               ev.MigrationSettled(3.0, "1-4", Ending.COMPLETED), ev.AutostartOrdered(3.0, "1-4", HostName("b"), on=True)]
    for event in events:
        ledger.apply(event)
    for replayed in (tuple(events), (ledger.checkpoint(4.0),)):
        record = Record(MemoryJournal(), Inline())
        record.replayed(replayed)
        assert [record.has_abort(f"1-{n}") for n in (1, 2, 3)] == [True, False, False]
        assert [record.has_post_copy(f"1-{n}") for n in (1, 2, 3)] == [False, False, True]
        assert (record.has_bandwidth("1-2", 70), record.has_bandwidth("1-2", 100)) == (True, False)
        assert (record.has_downtime("1-2", 300), record.has_downtime("1-3", 100)) == (True, True)
        assert record.has_autostart("1-4", HostName("b"), on=True)
        assert not record.has_autostart("1-4", HostName("a"), on=False)
        assert not any(record.has_order(f"1-{n}") for n in (1, 2, 3)), "an order is its own run's to carry out"


def test_a_checkpoint_of_this_run_is_not_read_again_and_of_many_only_the_last() -> None:
    unreadable = ev.CheckpointTaken(4.0, "no ledger at all")

    async def story() -> None:
        journal = MemoryJournal()
        journal.open()
        record = Record(journal, Inline())
        ordered = ev.PostCopyOrdered(3.0, "1-3", "because")
        await record.append(1, (ordered, unreadable))
        assert record.has_post_copy("1-3"), "what was noted when it was written is known"
        record.replayed((unreadable, Ledger().checkpoint(5.0), ordered))
        assert record.has_post_copy("1-3")
        with pytest.raises(LedgerBroken):
            record.replayed((Ledger().checkpoint(5.0), unreadable))

    run_virtual(story())


def test_every_kind_of_event_survives_the_journal() -> None:
    seen = 0
    for event in EXAMPLES:
        assert ev.from_record(json.loads(json.dumps(ev.to_record(event)))) == event
        seen += 1
    assert seen == len(EXAMPLES)


EXAMPLES: tuple[ev.Event, ...] = (
    ev.DaemonStarted(1.0, "b", "0.1.0"), ev.DaemonStopped(1.0), ev.PoliciesLoaded(1.0, "d"),
    ev.MigrationCalled(1.0, "1-1", ev.CallResult.ERROR, "closed"),
    ev.MigrationMoved(1.0, "1-1", ev.MigrationPhase.LOST, "gone"), ev.MigrationOutOfSight(1.0, "1-1"),
    ev.MigrationSettled(1.0, "1-1", ev.Ending.SPLIT, "both"), ev.AbortOrdered(1.0, "1-1", "r"),
    ev.AutostartNoted(1.0, "1-1", owed=True), ev.AutostartOrdered(1.0, "1-1", HostName("b"), on=True),
    ev.AutostartEnded(1.0, "1-1", restored=False, detail="gone"), ev.HandPauseSeen(1.0, "1-1"),
    ev.CountersNoted(1.0, ev.HostName("h"), "m", (("a", 1.0), ("b", 2.0))), ev.Paused(1.0, "ann", ""),
    ev.DuplicateSeen(1.0, ev.VmId("v"), "name", (ev.HostName("h1"), ev.HostName("h2"))),
    ev.DrainRequested(1.0, ev.HostName("h"), "ann", None), ev.DrainRequested(1.0, ev.HostName("h"), "ann", 2.0),
)


@pytest.mark.parametrize("content", [
    {}, {"v": 1}, {"v": 2, "kind": "Paused", "wall": 1.0, "by": "x"}, {"v": 1, "kind": "Nonsense"},
    {"v": 1, "kind": "Paused", "wall": 1.0, "by": "x", "more": 1},
])
def test_a_record_of_another_release_is_refused_and_not_guessed(content: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="journal record"):
        ev.from_record(content)
