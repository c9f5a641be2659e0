"""Journals of earlier releases are read to the books that those releases had; their form only grows."""

from __future__ import annotations

import json
import shutil
import typing
from pathlib import Path
from typing import Any

import pytest

from ballastd.adapters.blocking import Inline
from ballastd.adapters.journal import SqliteJournal, verify
from ballastd.core import events as ev
from ballastd.core.ledger import Ledger
from ballastd.core.plain import to_plain
from ballastd.kernel.record import Record
from ballastd.sim.virtual_time import run_virtual
from tests.data.journals.shapes import NOTED, broken, shapes
from tests.data.journals.story import STORY

JOURNALS = NOTED.parent
RELEASES = ("first", "archives", "fields-in-full", "sparse")


def of_release(name: str, directory: Path) -> Path:
    shutil.copytree(JOURNALS / name, directory / name)
    return directory / name / "journal.db"


def replayed(path: Path) -> tuple[ev.Event, ...]:
    """Return what a daemon takes over from the journal at ``path``, which it goes on writing."""
    async def story() -> tuple[ev.Event, ...]:
        record = Record(SqliteJournal(path), Inline())
        assert (await record.open()).damage is None
        events, _, unread = await record.replay()
        assert unread is None
        await record.append(99, (ev.Paused(5000.0, "zoe", "the new release"),))
        await record.close()
        return events

    return run_virtual(story())


def holds(now: Any, then: Any) -> bool:
    """Return whether ``now`` says all that ``then`` said; it may say more of the same things."""
    if isinstance(then, dict):
        return isinstance(now, dict) and all(name in now and holds(now[name], one) for name, one in then.items())
    if isinstance(then, list):
        return isinstance(now, list) and len(now) == len(then) and all(map(holds, now, then))
    return bool(now == then)


@pytest.mark.parametrize("release", RELEASES)
def test_a_journal_of_an_earlier_release_is_read_to_the_books_that_it_had(release: str, tmp_path: Path) -> None:
    path = of_release(release, tmp_path)
    ledger = Ledger()
    ledger.replay(replayed(path))
    then, now = json.loads((JOURNALS / release / "books.json").read_text()), json.loads(json.dumps(to_plain(ledger)))
    differ = [name for name, value in then.items() if not holds(now[name], value)]
    assert differ == []
    assert len(ledger.migrations) == 3, "hardly anything was compared"
    assert verify(path).damage is None
    again = Ledger()
    again.replay(replayed(path))
    assert again.paused == ev.Paused(5000.0, "zoe", "the new release")


@pytest.mark.parametrize("release", RELEASES)
def test_this_release_would_write_what_was_written_then_or_less(release: str, tmp_path: Path) -> None:
    path = of_release(release, tmp_path)
    journal = SqliteJournal(path)
    journal.open()
    for record in journal.replay():
        if record.content["kind"] != "CheckpointTaken":  # its state is compared by what it restores
            assert holds(record.content, ev.to_record(ev.from_record(record.content)))
    journal.close()


def test_the_story_has_every_kind_there_is() -> None:
    kinds = {kind.__name__ for kind in typing.get_args(ev.Event)}
    assert {plain["kind"] for batch in STORY for plain in batch} == kinds - {"CheckpointTaken"}, "add it to the story"


def test_the_form_of_records_and_books_only_grows() -> None:
    noted = json.loads(NOTED.read_text())
    assert list(broken(noted, shapes())) == []
    assert noted == shapes(), "note what is new: PYTHONPATH=.:daemon python -m tests.data.journals.shapes"


@pytest.mark.parametrize(("change", "words"), [
    ({}, ["Paused is gone"]),
    ({"Paused": {"wall": "float"}}, ["Paused.by was 'str', is None"]),
    ({"Paused": {"wall": "float", "by": "str = \"\""}}, ["Paused.by was 'str', is 'str = \"\"'"]),
    ({"Paused": {"wall": "float", "by": "str", "until": "float"}}, ["Paused.until is new and has no default"]),
    ({"Paused": {"wall": "float", "by": "str", "until": "float = 0.0"}}, []),
])
def test_what_would_break_journals_is_named(change: dict[str, dict[str, str]], words: list[str]) -> None:
    assert list(broken({"Paused": {"wall": "float", "by": "str"}}, change)) == words
