"""Trouble around the journal: places where none can be, disks that are full, files that go away, strangers."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ballastd.adapters.journal import SqliteJournal, verify
from ballastd.adapters.journal.lock import lock_path
from ballastd.adapters.journal.mark import mark_path
from ballastd.adapters.journal.sqlite import wal_path, writing
from ballastd.errors import JournalDamaged, JournalError
from tests.lab.volume import small_disk_in
from tests.unit.adapters.journal.images import what_is_found

IS_ROOT = os.geteuid() == 0
needs_mount = pytest.mark.skipif(not IS_ROOT, reason="NOT TRIED: a real full disk and a real read-only file system "
                                                     "take root (mount); run the tests as root once")


def refusal(path: Path) -> str:
    """Return why opening is refused, and see that nothing was left behind."""
    before = sorted(path.parent.glob("*")) if path.parent.is_dir() else []
    with pytest.raises(JournalError) as caught:
        SqliteJournal(path).open()
    left = [one for one in sorted(path.parent.glob("*")) if one not in before and one != lock_path(path)]
    assert left == [], "an attempt that failed left files behind"
    return str(caught.value)


def test_a_directory_that_does_not_exist_is_named(tmp_path: Path) -> None:
    assert refusal(tmp_path / "nowhere" / "journal.db") == (
        f"{tmp_path}/nowhere: the journal's directory does not exist; create it, owned by the daemon's user "
        "(the unit's StateDirectory= does)")


def test_a_path_that_is_a_directory_is_named(tmp_path: Path) -> None:
    assert f"{tmp_path}/here: is a directory; name a file in it" in refusal_of_directory(tmp_path / "here")


def refusal_of_directory(path: Path) -> str:
    path.mkdir()
    return refusal(path)


@pytest.mark.parametrize("data", [b"hosts:\n  - name: alder\n" * 50, os.urandom(5000), b"x"])
def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "ballastd.yaml"
    path.write_bytes(data)
    assert "give the journal a path of its own" in refusal(path)
    with pytest.raises(JournalError, match="give the journal a path of its own"):
        verify(path)
    assert path.read_bytes() == data


def test_another_program_s_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "theirs.db"
    with sqlite3.connect(path) as connection:
        connection.execute("create table bookmarks (url text)")
    connection.close()
    assert "is another program's database; give the journal a path of its own" in refusal(path)


def test_the_journal_of_another_release_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    what_is_found(path)
    with sqlite3.connect(path) as connection:
        connection.execute("update about set value = '9'")
    connection.close()
    assert refusal(path).endswith("its schema is 9, this release reads 1; use the release that wrote it")


def test_names_that_mean_something_in_a_url_are_only_names(tmp_path: Path) -> None:
    path = tmp_path / "a?mode=ro&b=%20 #1.db"
    journal = SqliteJournal(path)
    journal.open()
    journal.append(1, [{"a": 1}])
    journal.close()
    assert path.is_file()
    assert what_is_found(path)[0] is None


@pytest.mark.skipif(IS_ROOT, reason="modes do not bind root; the read-only file system below stands for this")
def test_a_directory_without_permission_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert "Permission denied" in refusal(tmp_path / "journal.db")
    tmp_path.chmod(0o000)
    assert "Permission denied" in refusal(tmp_path / "journal.db")
    tmp_path.chmod(0o700)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 1 MiB."""
    with small_disk_in(tmp_path) as place:
        yield place


def fill_up(file: Path) -> None:
    """Take all the room there is."""
    with file.open("wb", buffering=0) as sink, contextlib.suppress(OSError):
        while sink.write(b"x" * 4096):
            pass


@needs_mount
def test_a_full_disk_refuses_the_append_and_room_lets_it_go_on(small_disk: Path) -> None:
    path = small_disk / "journal.db"
    journal = SqliteJournal(path)
    journal.open()
    fill = small_disk / "log-of-somebody-else"
    for round_ in range(3):
        head = journal.append(round_, [{"round": round_}])
        fill_up(fill)
        before = tuple(journal.replay())
        for _ in range(2):
            with pytest.raises(JournalError, match="full; nothing was written; make room"):
                journal.append(round_, [{"pad": "x" * 100_000}, {"pad": "y" * 100_000}])
        assert tuple(journal.replay()) == before
        assert verify(path).head == head
        fill.unlink()
        assert journal.append(round_, [{"after": round_}, {"pad": "x" * 20_000}]) == head + 2
    journal.close()
    damage, records = what_is_found(path)
    assert damage is None
    assert len(records) == 9


@needs_mount
def test_a_disk_full_of_its_own_records_refuses_and_loses_nothing(small_disk: Path) -> None:
    path = small_disk / "journal.db"
    journal = SqliteJournal(path)
    journal.open()
    acknowledged, refused = 0, ""
    while not refused:
        try:
            acknowledged = journal.append(1, [{"pad": "x" * 3000}])
        except JournalError as error:
            refused = str(error)
    assert "full" in refused
    assert acknowledged > 20
    assert len(tuple(journal.replay())) == acknowledged
    journal.close()
    assert verify(path).head == acknowledged


@needs_mount
def test_a_disk_that_is_full_from_the_start_leaves_no_half_of_a_journal(small_disk: Path) -> None:
    path = small_disk / "journal.db"
    fill_up(small_disk / "fill")
    assert "No space left on device; nothing was written; make room on its file system" in refusal(path)
    (small_disk / "fill").unlink()
    assert what_is_found(path) == (None, ())


@needs_mount
def test_a_read_only_file_system_is_named(small_disk: Path) -> None:
    path = small_disk / "journal.db"
    what_is_found(path)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    for one in (path, small_disk / "other.db"):
        assert refusal(one) == (f"{one}: cannot be used: {lock_path(one)}: Read-only file system; nothing can be written; "
                                "mount its file system writable, and let the daemon's user own the file and its directory")
    assert verify(path).damage is None, "looking needs no right to write"
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)


@pytest.mark.parametrize("companion", [lambda path: path, wal_path, mark_path, lock_path])
@pytest.mark.parametrize("act", [lambda path: path.unlink(), lambda path: path.rename(path.with_name("moved")),
                                 lambda path: shutil.copy(path.rename(path.with_name("moved")), path)])
def test_files_taken_away_under_the_daemon_are_not_written_to(tmp_path: Path, companion: Callable[[Path], Path],
                                                             act: Callable[[Path], object]) -> None:
    path = tmp_path / "journal.db"
    journal = SqliteJournal(path)
    journal.open()
    journal.append(1, [{"a": 1}])
    act(companion(path))
    with pytest.raises(JournalError, match="was moved, deleted or replaced while the journal is in use"):
        journal.append(2, [{"a": 2}])
    journal.close()


def test_a_stranger_s_row_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = SqliteJournal(path)
    journal.open()
    journal.append(1, [{"a": 1}])
    with sqlite3.connect(path) as connection:
        connection.execute("insert into records select 2, revision, content, checksum, previous_hash, hash from records")
    connection.close()
    with pytest.raises(JournalDamaged, match="damaged: somebody else wrote records after 1"):
        journal.append(2, [{"a": 2}])
    with pytest.raises(JournalDamaged):
        journal.append(3, [{"a": 3}])
    journal.close()
    assert what_is_found(path)[0] == "record 2 was altered: its checksum does not fit"


def test_an_append_that_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = SqliteJournal(path)
    journal.open()
    journal.append(1, [{"a": 1}])
    with sqlite3.connect(path) as connection:
        connection.execute("insert into records select 3, revision, content, checksum, previous_hash, hash from records")
    with pytest.raises(JournalDamaged, match="damaged: somebody else wrote"):
        journal.append(2, [{"a": 2}, {"a": 3}, {"a": 4}])
    assert connection.execute("select sequence from records order by sequence").fetchall() == [(1,), (3,)]
    connection.close()
    journal.close()


def test_every_commit_is_synced(tmp_path: Path) -> None:
    """Only a power cut could tell; so it is SQLite's own word that is asked."""
    path = tmp_path / "journal.db"
    what_is_found(path)
    engine = writing(path)
    with engine.connect() as connection:
        settings = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")]
    engine.dispose()
    assert settings == ["wal", 2]


def test_a_database_that_another_program_holds_is_waited_for_and_then_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = SqliteJournal(path)
    journal.open()
    stranger = sqlite3.connect(path, isolation_level=None)
    stranger.execute("begin immediate")
    with pytest.raises(JournalError, match="database is locked; another program holds the database; close it there"):
        journal.append(1, [{"a": 1}])
    stranger.execute("rollback")
    stranger.close()
    assert journal.append(1, [{"a": 1}]) == 1
    journal.close()


def test_nothing_joins_an_append_that_hangs(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = SqliteJournal(path)
    journal.open()
    stranger = sqlite3.connect(path, isolation_level=None)
    stranger.execute("begin immediate")
    outcome: list[int] = []
    hanging = threading.Thread(target=lambda: outcome.append(journal.append(1, [{"first": 1}])))
    hanging.start()
    with pytest.raises(JournalError, match="the call before this one hangs"):
        journal.append(2, [{"second": 2}])
    stranger.execute("rollback")
    stranger.close()
    hanging.join(10)
    assert outcome == [1]
    assert [record.content for record in journal.replay()] == [{"first": 1}]
    journal.close()


def test_a_record_that_json_cannot_say_is_refused_and_the_next_one_is_not(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "journal.db")
    journal.open()
    endless: dict[str, object] = {}
    endless["self"] = endless
    deep: dict[str, object] = {}
    for _ in range(100_000):
        deep = {"d": deep}
    for content in ({"x": float("nan")}, {"x": float("inf")}, {"x": b"bytes"}, {"x": {1, 2}}, endless, deep):
        with pytest.raises(JournalError, match="cannot be written as JSON"):
            journal.append(1, [{"fine": 1}, content])
    with pytest.raises(JournalError):
        journal.append(1 << 64, [{"revision": "too large"}])
    assert journal.append(1, [{"fine": 1}]) == 1
    journal.close()
