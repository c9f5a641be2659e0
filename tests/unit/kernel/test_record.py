"""The record: durable or not, and never in between."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ballastd.adapters.blocking import Inline
from ballastd.adapters.journal import canonical
from ballastd.core import autostart_events as aus
from ballastd.core import events as ev
from ballastd.core.books import LedgerBroken
from ballastd.core.inventory import Dirtying
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
                                   900.0, 21.0), aus.AutostartNoted(1.0, "1-4"),
               ev.MigrationSettled(3.0, "1-4", Ending.COMPLETED), aus.AutostartOrdered(3.0, "1-4", HostName("b"), on=True)]
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


def values(hint: Any) -> st.SearchStrategy[Any]:
    """Return values of a field's type, those of every field of a dataclass included."""
    hint = getattr(hint, "__supertype__", hint)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return st.builds(hint, **{name: values(one) for name, one in typing.get_type_hints(hint).items()})
    if typing.get_origin(hint) is types.UnionType:
        return st.one_of([values(one) for one in typing.get_args(hint)])
    if typing.get_origin(hint) is tuple:
        inner = typing.get_args(hint)
        return st.lists(values(inner[0])).map(tuple) if inner[-1] is Ellipsis else st.tuples(*map(values, inner))
    if hint is float:
        return st.floats(allow_nan=False, allow_infinity=False)
    return st.from_type(hint)


@pytest.mark.parametrize("kind", typing.get_args(ev.Event), ids=lambda kind: kind.__name__)
@given(data=st.data())
@settings(max_examples=25)
def test_every_kind_of_event_survives_the_journal(kind: type[ev.Event], data: st.DataObject) -> None:
    event = data.draw(values(kind))
    record = json.loads(canonical(ev.to_record(event)))
    assert ev.from_record(record) == event
    assert ev.to_record(ev.from_record(record)) == record


def test_what_is_as_by_default_is_not_written_so_a_release_that_does_not_know_the_field_reads_on() -> None:
    ordered = ev.MigrationOrdered(1.0, "1-1", vm_id("v"), "v", HostName("a"), HostName("b"), Bytes(GIB), 100, "p", "because",
                                  900.0, 21.0, urgent=True)
    required = {spec.name for spec in dataclasses.fields(ordered) if spec.default is dataclasses.MISSING}
    assert ev.to_record(ordered).keys() == {"v", "kind", *required, "urgent"}
    settled = ev.MigrationSettled(2.0, "1-1", ev.Ending.COMPLETED, dirtied=Dirtying(3.0, measured=True))
    assert ev.to_record(settled)["dirtied"] == {"mib_s": 3.0, "measured": True}
    assert Ledger().checkpoint(3.0).state == "{}"
    assert "cordoned" not in json.loads(booked(ordered).checkpoint(3.0).state)


def booked(event: ev.Event) -> Ledger:
    ledger = Ledger()
    ledger.apply(event)
    return ledger


@pytest.mark.parametrize("last", [
    {"v": 1, "kind": "FromTheFuture", "wall": 3.0}, {"v": 2, "kind": "Paused", "wall": 3.0, "by": "ann"},
    {"v": 1, "kind": "Paused", "wall": 3.0, "by": "ann", "until": 9.0},
])
def test_a_journal_of_a_newer_release_is_named_and_not_written_to(last: dict[str, object]) -> None:
    async def story() -> None:
        journal = MemoryJournal()
        record = Record(journal, Inline())
        await record.open()
        journal.append(1, [ev.to_record(ev.DaemonStarted(1.0, "b", "0.1.0"))])
        journal.append(2, [ev.to_record(ev.DaemonStarted(2.0, "b", "7.3")), last])
        _, _, unread = await record.replay()
        assert unread is not None
        for words in ("the journal (last started on by release 7.3): record 3: journal record", str(last["kind"]),
                      "start the release that wrote it, or set it aside with `ballastctl journal quarantine --force`"):
            assert words in unread
        with pytest.raises(JournalError, match="nothing is written to it") as refused:
            await record.append(3, (ev.Paused(4.0, "ann"),))
        assert str(refused.value) == unread
        assert len(journal.records) == 3

    run_virtual(story())


@pytest.mark.parametrize("content", [
    {}, {"v": 1}, {"v": 2, "kind": "Paused", "wall": 1.0, "by": "x"}, {"v": 1, "kind": "Nonsense"},
    {"v": 1, "kind": "Paused", "wall": 1.0, "by": "x", "more": 1},
])
def test_a_record_of_another_release_is_refused_and_not_guessed(content: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="journal record"):
        ev.from_record(content)
