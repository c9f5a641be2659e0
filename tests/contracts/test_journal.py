"""The contract of ``ports.Journal``, on every implementation."""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ballastd.adapters.journal import SqliteJournal
from ballastd.errors import JournalDamaged, JournalError
from ballastd.ports.keeping import Journal, JournalHealth, JournalRecord
from ballastd.sim.journal import MemoryJournal

WHOLE = JournalHealth(0, 0, None)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters()), inner, max_size=4),
    max_leaves=12)
contents = st.dictionaries(st.text(st.characters(), max_size=8), json_values, max_size=5)


@pytest.fixture(params=["sqlite", "memory"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Journal:
    """A journal of each kind, not open yet."""
    return SqliteJournal(tmp_path / "journal.db") if request.param == "sqlite" else MemoryJournal()


def again(journal: Journal, tmp_path: Path) -> Journal:
    """Return the same journal as the next daemon will find it."""
    return SqliteJournal(tmp_path / "journal.db") if isinstance(journal, SqliteJournal) else journal


def test_a_new_journal_is_whole_and_empty(journal: Journal) -> None:
    assert journal.open() == WHOLE
    assert (list(journal.replay()), journal.tail(5)) == ([], ())
    journal.close()


def test_records_come_back_in_order_with_their_revision(journal: Journal, tmp_path: Path) -> None:
    journal.open()
    assert journal.append(4, [{"a": 1}, {"b": [1, 2.5, None, "ü"]}]) == 2
    assert journal.append(7, [{"c": True}]) == 3
    expected = [JournalRecord(1, 4, {"a": 1}), JournalRecord(2, 4, {"b": [1, 2.5, None, "ü"]}),
                JournalRecord(3, 7, {"c": True})]
    assert list(journal.replay()) == expected
    journal.close()
    later = again(journal, tmp_path)
    assert later.open() == JournalHealth(3, 3, None)
    assert list(later.replay()) == expected
    assert later.append(8, [{"d": 4}]) == 4
    later.close()


def test_the_tail_is_the_last_records_oldest_first(journal: Journal) -> None:
    journal.open()
    for number in range(1, 8):
        journal.append(number, [{"n": number}])
    assert [record.sequence for record in journal.tail(3)] == [5, 6, 7]
    assert [record.content["n"] for record in journal.tail(100)] == list(range(1, 8))
    assert journal.tail(0) == journal.tail(-1) == ()
    journal.close()


def test_appending_nothing_changes_nothing(journal: Journal) -> None:
    journal.open()
    assert journal.append(1, []) == 0
    journal.append(1, [{"a": 1}])
    assert journal.append(2, []) == 1
    assert len(journal.tail(9)) == 1
    journal.close()


def test_an_append_is_all_or_nothing(journal: Journal) -> None:
    journal.open()
    journal.append(1, [{"a": 1}])
    with pytest.raises(JournalError, match="JSON"):
        journal.append(2, [{"b": 2}, {"c": float("nan")}, {"d": 4}])
    assert [record.content for record in journal.replay()] == [{"a": 1}]
    assert journal.append(2, [{"b": 2}]) == 2
    journal.close()


def test_a_journal_that_is_not_open_takes_nothing(journal: Journal) -> None:
    with pytest.raises(JournalError, match="not open"):
        journal.append(1, [{"a": 1}])
    journal.open()
    journal.append(1, [{"a": 1}])
    journal.close()
    with pytest.raises(JournalError, match="not open"):
        journal.append(2, [{"a": 2}])


def test_a_record_is_what_was_given_then_and_not_what_became_of_it(journal: Journal) -> None:
    journal.open()
    given_: dict[str, Any] = {"hosts": ["alder"]}
    journal.append(1, [given_])
    given_["hosts"].append("birch")
    assert journal.tail(1)[0].content == {"hosts": ["alder"]}
    journal.tail(1)[0].content["hosts"] = []
    assert journal.tail(1)[0].content == {"hosts": ["alder"]}
    journal.close()


def test_a_replay_under_way_is_not_disturbed_by_appends(journal: Journal) -> None:
    journal.open()
    for number in range(1, 6):
        journal.append(number, [{"n": number}])
    replay = journal.replay()
    seen = [next(replay).sequence, next(replay).sequence]
    for number in range(6, 9):
        journal.append(number, [{"n": number}])
    seen += [record.sequence for record in replay if record.sequence <= 5]
    assert seen == [1, 2, 3, 4, 5]
    abandoned = journal.replay()
    next(abandoned)
    del abandoned
    assert journal.append(9, [{"n": 9}]) == 9
    journal.close()


@pytest.mark.parametrize("make", [lambda path: SqliteJournal(path / "journal.db"), lambda _: MemoryJournal()],
                         ids=["sqlite", "memory"])
def test_whatever_json_can_say_comes_back_exactly(make: Callable[[Path], Journal],
                                                  tmp_path_factory: pytest.TempPathFactory) -> None:
    journal = make(tmp_path_factory.mktemp("exact"))
    journal.open()

    @settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(contents, max_size=3))
    def tried(batch: list[dict[str, Any]]) -> None:
        journal.append(1, batch)
        found = [record.content for record in journal.tail(len(batch))]
        assert found == batch
        assert json.dumps(found, sort_keys=True) == json.dumps(batch, sort_keys=True), "1 is not 1.0, -0.0 is not 0"

    tried()
    journal.close()


def test_a_name_that_is_half_a_character_stops_nothing(journal: Journal) -> None:
    journal.open()
    journal.append(1, [{"vm": "\ud800", "host": "ü"}])
    assert journal.tail(1)[0].content == {"vm": "\ud800", "host": "ü"}
    journal.close()


def test_a_hundred_thousand_records_are_replayed_in_seconds_and_constant_memory(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal.db")
    journal.open()
    order = {"v": 1, "kind": "MigrationOrdered", "wall": 1795400000.123, "id": "r123-1", "vm_name": "web-1",
             "vm": "6b6828bb-cb58-416c-8ce5-8d01df80383a", "source": "alder", "target": "birch", "memory": 4 << 30,
             "because": "ecc.uncorrected rose by 1 within 1 h"}
    for revision in range(20):
        journal.append(revision, [order] * 5000)
    journal.close()
    begun, memory = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    journal = SqliteJournal(tmp_path / "journal.db")
    assert journal.open().head == 100_000
    assert sum(1 for _ in journal.replay()) == 100_000
    journal.close()
    assert time.monotonic() - begun < 20.0  # 1.5 s on two idle cores
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 40 << 10, "KiB; the file has 45 MiB"


def test_the_memory_journal_can_be_full_and_recovers() -> None:
    journal = MemoryJournal()
    journal.open()
    journal.append(1, [{"a": 1}])
    journal.full = True
    with pytest.raises(JournalError, match="full"):
        journal.append(2, [{"a": 2}])
    assert len(journal.records) == 1
    journal.full = False
    assert journal.append(2, [{"a": 2}]) == 2


def test_the_memory_journal_can_be_slow() -> None:
    passed: list[float] = []
    journal = MemoryJournal(passed.append)
    journal.open()
    journal.append(1, [{"a": 1}])
    journal.slow = 12.5
    assert journal.append(2, [{"a": 2}]) == 2
    assert passed == [12.5]


def test_the_memory_journal_can_be_damaged() -> None:
    journal = MemoryJournal()
    journal.open()
    journal.append(1, [{"a": 1}])
    journal.damage = "record 2 is missing"
    assert journal.open() == JournalHealth(1, 1, "record 2 is missing")
    with pytest.raises(JournalDamaged, match="damaged: record 2 is missing"):
        journal.append(2, [{"a": 2}])
    assert len(list(journal.replay())) == 1


def numbered(journal: Journal, count: int) -> None:
    for number in range(1, count + 1):
        journal.append(number, [{"n": number}])


def test_what_is_archived_and_cut_is_replayed_no_more_and_nothing_else_is_lost(journal: Journal, tmp_path: Path) -> None:
    journal.open()
    numbered(journal, 9)
    assert journal.archive(5) == 4
    assert [record.sequence for record in journal.replay()] == list(range(1, 10)), "archived is not cut"
    journal.append(10, [{"n": 10}])
    journal.cut(5)
    assert [record.content["n"] for record in journal.replay()] == [5, 6, 7, 8, 9, 10]
    assert [record.sequence for record in journal.tail(100)] == [5, 6, 7, 8, 9, 10]
    assert journal.append(11, [{"n": 11}]) == 11
    journal.close()
    later = again(journal, tmp_path)
    assert later.open() == JournalHealth(7, 11, None)
    assert [record.sequence for record in later.replay()] == list(range(5, 12))
    assert later.archive(8) == 3
    later.cut(8)
    later.close()
    last = again(journal, tmp_path)
    assert last.open() == JournalHealth(4, 11, None)
    last.close()


def test_only_what_is_there_can_be_archived_and_only_what_was_archived_can_be_cut(journal: Journal) -> None:
    journal.open()
    numbered(journal, 3)
    for before in (-1, 0, 1, 4, 99):
        with pytest.raises(JournalError, match="cannot be archived"):
            journal.archive(before)
    for before in (2, 3):
        with pytest.raises(JournalError, match="not archived"):
            journal.cut(before)
    journal.archive(3)
    with pytest.raises(JournalError, match="not archived"):
        journal.cut(2)
    assert [record.sequence for record in journal.replay()] == [1, 2, 3]
    journal.close()
