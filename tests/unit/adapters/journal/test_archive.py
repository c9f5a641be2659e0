"""Archiving old records: whole or not at all, at every instant, and every later change to it is found."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from ballastd.adapters.journal import SqliteJournal, quarantine, schema, sqlite, verify
from ballastd.adapters.journal.archive import archive_directory, archives, read_archive
from ballastd.cli.ctl import main
from ballastd.errors import JournalError


def a_journal(path: Path, count: int = 12) -> SqliteJournal:
    journal = SqliteJournal(path)
    journal.open()
    for number in range(1, count + 1):
        journal.append(number, [{"n": number, "name": "zoë \ud800"}])
    return journal


def archived(path: Path) -> SqliteJournal:
    """A journal of 12 records, of which 1 to 4 and 5 to 8 are in two archives. Open."""
    journal = a_journal(path)
    for before in (5, 9):
        journal.archive(before)
        journal.cut(before)
    return journal


def replayed(path: Path) -> list[int]:
    journal = SqliteJournal(path)
    assert journal.open().damage is None
    found = [record.sequence for record in journal.replay()]
    journal.close()
    return found


def test_archives_hold_the_rows_as_they_were_chain_and_all(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    archived(path).close()
    rows = [row for file in archives(path) for row in read_archive(file)]
    assert [row.sequence for row in rows] == list(range(1, 9))
    assert [json.loads(row.content)["n"] for row in rows] == list(range(1, 9))
    assert rows[0].previous_hash == "0" * 64
    assert [row.previous_hash for row in rows[1:]] == [row.hash for row in rows[:-1]]
    assert verify(path).damage is None


def test_killed_between_the_archive_and_the_cut_nothing_is_lost_and_nothing_is_double(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = a_journal(path)
    journal.archive(5)
    journal.close()
    assert replayed(path) == list(range(1, 13))
    assert archives(path) == [], "what is still in the journal is archived again when its time comes"
    journal = SqliteJournal(path)
    journal.open()
    with pytest.raises(JournalError, match="not archived"):
        journal.cut(5)
    journal.archive(7)
    journal.cut(7)
    journal.close()
    assert replayed(path) == list(range(7, 13))
    assert verify(path).damage is None


def test_an_archive_whose_cut_failed_is_passed_over_by_the_next_one_in_the_same_run(tmp_path: Path) -> None:
    """On a disk that is full, say: the next night both are tried again, and what was archived twice is no damage."""
    path = tmp_path / "journal.db"
    journal = a_journal(path)
    journal.archive(5)
    journal.archive(9)
    journal.cut(9)
    assert verify(path).damage is None
    journal.close()
    assert replayed(path) == list(range(9, 13))
    assert [file.name for file in archives(path)] == ["records-000000000001-000000000008.jsonl.gz"]


def test_killed_while_the_archive_is_written_leaves_only_a_torso_that_nobody_takes_for_one(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    a_journal(path).close()
    archive_directory(path).mkdir()
    (archive_directory(path) / "new").write_bytes(b"\x1f\x8bhalf")
    assert replayed(path) == list(range(1, 13))
    journal = SqliteJournal(path)
    journal.open()
    journal.archive(5)
    journal.cut(5)
    journal.close()
    assert [file.name for file in archives(path)] == ["records-000000000001-000000000004.jsonl.gz"]


def test_without_room_nothing_is_taken_out(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = a_journal(path)
    archive_directory(path).write_text("in the way")
    with pytest.raises(JournalError, match="nothing was taken out"):
        journal.archive(5)
    with pytest.raises(JournalError, match="not archived"):
        journal.cut(5)
    journal.close()
    assert replayed(path) == list(range(1, 13))


def edit(file: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
    file.write_bytes(gzip.compress(b"".join(change(gzip.decompress(file.read_bytes()).splitlines(keepends=True)))))


@pytest.mark.parametrize(("which", "change", "word"), [
    (0, lambda lines: lines[:2] + lines[3:], "missing"),
    (1, lambda lines: [lines[0].replace(b'\\"n\\":5', b'\\"n\\":6'), *lines[1:]], "altered"),
    (1, lambda lines: lines[:-1], "goes on after"),
    (1, lambda lines: lines[1:], "missing"),
    (0, lambda _lines: [], "is empty"),
    (1, lambda _lines: [b"{"], "cannot be read"),
])
def test_verify_finds_what_was_done_to_an_archive(tmp_path: Path, which: int,
                                                  change: Callable[[list[bytes]], list[bytes]], word: str) -> None:
    path = tmp_path / "journal.db"
    archived(path).close()
    edit(archives(path)[which], change)
    assert word in (verify(path).damage or "")
    answer = CliRunner().invoke(main, ["journal", "verify", str(path)])
    assert (answer.exit_code, "DAMAGED" in answer.output) == (4, True)
    assert replayed(path) == [9, 10, 11, 12], "the daemon does not need archives to act"


def test_an_archive_that_grew_old_is_dropped_one_at_a_time_and_is_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = archived(path)
    first, second = archives(path)
    os.utime(first, (1000.0, 1000.0))
    assert journal.drop_archive(999.0) is None
    assert journal.drop_archive(1001.0) == str(first)
    assert journal.drop_archive(1001.0) is None
    assert archives(path) == [second]
    assert verify(path).damage is None
    os.utime(second, (1000.0, 1000.0))
    assert journal.drop_archive(1001.0) == str(second)
    assert verify(path).damage is None
    journal.close()


def write(path: Path, *statements: sa.Executable) -> None:
    engine = sqlite.writing(path)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(statement)
    engine.dispose()


@pytest.mark.parametrize(("anchor", "word"), [
    (None, "records 1 to 8 are missing"), ("nonsense", "unreadable"), ("8 " + "f" * 64, "does not follow record 8"),
    ("7 " + "f" * 64, "record 8 is missing"),
])
def test_where_the_journal_begins_cannot_be_changed_unnoticed(tmp_path: Path, anchor: str | None, word: str) -> None:
    path = tmp_path / "journal.db"
    archived(path).close()
    where = schema.about.c.key == "anchor"
    write(path, schema.about.delete().where(where) if anchor is None
          else schema.about.update().where(where).values(value=anchor))
    journal = SqliteJournal(path)
    assert word in (journal.open().damage or "")
    journal.close()


def test_rows_gone_from_the_journal_s_beginning_are_missed(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    archived(path).close()
    write(path, schema.records.delete().where(schema.records.c.sequence == 9))
    journal = SqliteJournal(path)
    assert "record 9 is missing" in (journal.open().damage or "")
    with pytest.raises(JournalError):
        journal.cut(10)
    journal.close()


def test_a_journal_that_is_set_aside_takes_its_archives_with_it(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    archived(path).close()
    names = [file.name for file in archives(path)]
    done = quarantine(path, by="ann", force=True)
    assert replayed(path) == [1, 2]
    assert sorted(file.name for file in (done.place / archive_directory(path).name).iterdir()) == names
    assert archives(path) == []


@pytest.mark.parametrize("name", ["records-old.jsonl.gz", "records-1-2-3.jsonl.gz", "records-a-b.jsonl.gz"])
def test_what_somebody_puts_beside_the_archives_is_none_of_them(tmp_path: Path, name: str) -> None:
    path = tmp_path / "journal.db"
    archived(path).close()
    (archive_directory(path) / name).write_bytes(b"mine")
    assert verify(path).damage is None
    assert replayed(path) == list(range(9, 13))
    assert len(archives(path)) == 2
    assert (archive_directory(path) / name).read_bytes() == b"mine"


def test_a_journal_put_back_twice_costs_no_archive_either(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    a_journal(path).close()
    copy = {file: file.read_bytes() for file in tmp_path.iterdir() if file.is_file()}
    for _ in range(3):
        later = SqliteJournal(path)
        later.open()
        later.archive(5)
        later.cut(5)
        later.close()
        for file, content in copy.items():
            file.write_bytes(content)
    assert replayed(path) == list(range(1, 13))
    name = "records-000000000001-000000000004.jsonl.gz"
    assert sorted(file.name for file in archive_directory(path).iterdir()) == [
        f"unfinished-2-{name}", f"unfinished-3-{name}", f"unfinished-{name}"]


def test_a_journal_put_back_from_a_copy_costs_no_archive(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = a_journal(path)
    journal.archive(5)
    journal.cut(5)
    journal.close()
    copy = {file: file.read_bytes() for file in tmp_path.iterdir() if file.is_file()}
    later = SqliteJournal(path)
    later.open()
    later.archive(9)
    later.cut(9)
    later.close()
    for file, content in copy.items():
        file.write_bytes(content)
    assert replayed(path) == list(range(5, 13))
    assert sorted(file.name for file in archive_directory(path).iterdir()) == [
        "records-000000000001-000000000004.jsonl.gz", "unfinished-records-000000000005-000000000008.jsonl.gz"]
