"""A real story on real file systems that fill up, turn read-only or freeze, exactly at each of its appends."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ballastd.adapters.journal import SqliteJournal, sqlite, verify
from ballastd.errors import JournalError
from ballastd.ports.keeping import JournalRecord
from tests.data.journals.story import STORY
from tests.data.journals.write import known
from tests.lab.volume import Volume, small_disk_in, unmount_under

needs_mount = pytest.mark.skipif(os.geteuid() != 0 or shutil.which("mkfs.ext4") is None, reason=(
    "NOT TRIED: file systems that fill up, turn read-only and freeze take root (mount) and mkfs.ext4"))
PAGE = 4096
RECORDS: list[list[dict[str, Any]]] = [[known(plain) for plain in batch] for batch in STORY]
pytestmark = [needs_mount, pytest.mark.timeout(240)]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk_in(tmp_path) as place:
        yield place


@pytest.fixture
def volume() -> Iterator[Volume]:
    """A file system on a disk in memory where there is one: each append syncs."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as directory:
        try:
            yield Volume(Path(directory) / "volume", 32).make()
        finally:
            unmount_under(Path(directory))


def leave(disk: Path, pages: int) -> Path:
    """Take all the room there is on ``disk`` but for ``pages``; return what takes it."""
    taken = disk / "log-of-somebody-else"
    with taken.open("wb") as file:
        facts = os.statvfs(disk)
        if facts.f_bavail * facts.f_frsize > pages * PAGE:
            os.posix_fallocate(file.fileno(), 0, facts.f_bavail * facts.f_frsize - pages * PAGE)
    return taken


@pytest.mark.parametrize("checkpoint_pages", [1, 1000])
def test_a_disk_that_is_full_at_any_page_of_any_append_refuses_it_whole_and_then_goes_on(
        small_disk: Path, checkpoint_pages: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a log that is written back at each append, the database's own pages are met as well."""
    monkeypatch.setattr(sqlite, "PRAGMAS", ("synchronous=FULL", f"wal_autocheckpoint={checkpoint_pages}"))
    path, refused = small_disk / "journal.db", list[str]()
    journal = SqliteJournal(path)
    journal.open()
    for revision, contents in enumerate(RECORDS):
        before, done = tuple(journal.replay()), False
        for pages in range(40):
            taken = leave(small_disk, pages)
            try:
                assert journal.append(revision, contents) == len(before) + len(contents)
                done = True
            except JournalError as error:
                refused.append(str(error))
                assert tuple(journal.replay()) == before, "half of it is there"
            taken.unlink()
            if done:
                break
        assert done, "it does not go on once there is room"
        assert verify(path).damage is None
    assert len(refused) > 10, "hardly any append met a full disk"
    assert all("full" in said for said in refused)
    assert [record.content for record in journal.replay()] == [one for contents in RECORDS for one in contents]
    journal.close()


def staged(place: Path) -> list[tuple[SqliteJournal, Path, tuple[JournalRecord, ...]]]:
    """Return a journal for each append of the story, open, and about to make it."""
    found = []
    for number in range(len(RECORDS)):
        path = place / f"{number}.db"
        journal = SqliteJournal(path)
        journal.open()
        journal.append(number, [one for contents in RECORDS[:number] for one in contents])
        found.append((journal, path, tuple(journal.replay())))
    return found


def test_a_disk_that_turns_read_only_under_any_append_refuses_it_whole_and_a_restart_goes_on(volume: Volume) -> None:
    journals = staged(volume.place)
    # what the kernel does where metadata turn out wrong (errors=remount-ro): open files and all
    subprocess.run(["mount", "-o", "remount,abort", str(volume.place)], check=False, capture_output=True)
    for number, (journal, _, before) in enumerate(journals):
        for _ in range(2):
            with pytest.raises(JournalError, match=r"[Rr]ead-?only|disk I/O error"):
                journal.append(number, RECORDS[number])
        assert journal.tail(len(before) or 1) == before
        journal.close()
    subprocess.run(["umount", str(volume.place)], check=True)
    subprocess.run(["mount", "-o", "loop", str(volume.place.with_name("volume.img")), str(volume.place)], check=True)
    for number, (_, path, before) in enumerate(journals):
        goes_on(path, number, before)


def test_a_disk_that_freezes_under_any_append_answers_nothing_and_loses_nothing(volume: Volume) -> None:
    journals, heads = staged(volume.place), dict[int, int]()

    def append(number: int, journal: SqliteJournal) -> None:
        heads[number] = journal.append(number, RECORDS[number])

    hanging = [threading.Thread(target=append, args=(number, journal)) for number, (journal, _, _) in enumerate(journals)]
    volume.freeze()
    try:
        for one in hanging:
            one.start()
        hanging[0].join(1.0)
        assert heads == {}, "said to be durable, and the disk has taken nothing"
        with pytest.raises(JournalError, match="the call before this one hangs; the disk is stuck or very slow"):
            journals[7][0].append(7, RECORDS[7])
    finally:
        volume.thaw()
    for one in hanging:
        one.join(60.0)
    assert heads == {number: len(before) + len(RECORDS[number]) for number, (_, _, before) in enumerate(journals)}
    for number, (journal, _, before) in enumerate(journals):
        assert [record.content for record in journal.replay()] == [*(r.content for r in before), *RECORDS[number]]
        journal.close()


def goes_on(path: Path, number: int, before: tuple[JournalRecord, ...]) -> None:
    """See that a restarted daemon finds what was acknowledged and nothing else, and can write."""
    journal = SqliteJournal(path)
    assert journal.open().damage is None
    assert tuple(journal.replay()) == before
    assert journal.append(number, RECORDS[number]) == len(before) + len(RECORDS[number])
    journal.close()
    assert verify(path).damage is None
