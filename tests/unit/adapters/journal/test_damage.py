"""Damage is found or harmless: no journal that opens as whole ever says anything but what was written.

Every n-th byte is turned over, n as below, so that this ends in seconds; with BALLASTD_EXHAUSTIVE=1, every byte is.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ballastd.adapters.journal import SqliteJournal
from ballastd.adapters.journal.mark import SLOT_BYTES, mark_path
from ballastd.errors import JournalDamaged
from tests.unit.adapters.journal.images import Image, content, crashed, flipped, stopped, what_is_found

EXHAUSTIVE = bool(os.environ.get("BALLASTD_EXHAUSTIVE"))
DATABASE_STRIDE = 1 if EXHAUSTIVE else 29
LOG_STRIDE = 1 if EXHAUSTIVE else 127
MARK_STRIDE = 1 if EXHAUSTIVE else 37

pytestmark = pytest.mark.timeout(0 if EXHAUSTIVE else 120)


@pytest.fixture(scope="module")
def after_stop(tmp_path_factory: pytest.TempPathFactory) -> Image:
    return stopped(tmp_path_factory.mktemp("stopped"))


@pytest.fixture(scope="module")
def after_crash(tmp_path_factory: pytest.TempPathFactory) -> Image:
    return crashed(tmp_path_factory.mktemp("crashed"))


@pytest.fixture
def bench() -> Iterator[Path]:
    """A directory in memory where there is one: thousands of journals are opened, and each syncs."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as directory:
        yield Path(directory)


def judged(image: Image, path: Path) -> str | None:
    """Return what was found wrong; whatever it is, nothing else than what was written may be read."""
    damage, records = what_is_found(path)
    if damage is None:
        assert records == image.records, "silently something else"
    assert records == image.records[:len(records)], "read past the damage"
    return damage


def sweep(image: Image, directory: Path, file: str, stride: int) -> Iterator[tuple[int, str | None]]:
    data = image.files[file]
    for offset in range(0, len(data), stride):
        yield offset, judged(image, image.write(directory, **{file: flipped(data, offset)}))


def test_a_byte_of_the_database_that_turned_over_is_found_or_harmless(after_stop: Image, bench: Path) -> None:
    found = sum(damage is not None for _, damage in sweep(after_stop, bench, "db", DATABASE_STRIDE))
    assert found * DATABASE_STRIDE > 20 * 150, "the records themselves were hardly touched: the sweep proves nothing"


def test_a_byte_of_the_log_that_turned_over_is_found_or_harmless(after_crash: Image, bench: Path) -> None:
    assert len(after_crash.files["wal"]) > 20 * 4096
    outcomes = [damage for _, damage in sweep(after_crash, bench, "wal", LOG_STRIDE)]
    assert outcomes.count(None) < len(outcomes) / 10, "SQLite drops what follows: that must not pass for whole"


def test_a_byte_of_the_mark_that_turned_over_loses_no_record(after_stop: Image, bench: Path) -> None:
    for offset, damage in sweep(after_stop, bench, "mark", MARK_STRIDE):
        assert damage is None, f"byte {offset}: one slot is always left"


@pytest.mark.parametrize("sixteenths", range(16))
def test_a_database_cut_short_is_found(after_stop: Image, tmp_path: Path, sixteenths: int) -> None:
    data = after_stop.files["db"]
    for length in (len(data) * sixteenths // 16, len(data) * sixteenths // 16 + 1):
        assert judged(after_stop, after_stop.write(tmp_path, db=data[:length])) is not None


def test_a_log_cut_short_is_found(after_crash: Image, tmp_path: Path) -> None:
    data = after_crash.files["wal"]
    for length in (*range(0, len(data), len(data) // 60 + 1), len(data) - 1):
        assert judged(after_crash, after_crash.write(tmp_path, wal=data[:length])) is not None, length
    assert judged(after_crash, after_crash.write(tmp_path, wal=None)) is not None


LOG_HEADER, FRAME_HEADER = 32, 24


def frames(log: bytes) -> list[tuple[int, int, bool]]:
    """Return where each frame of SQLite's log begins and ends, and whether it is the last of a commit."""
    size = FRAME_HEADER + int.from_bytes(log[8:12], "big")
    return [(at, at + size, log[at + 4:at + 8] != bytes(4)) for at in range(LOG_HEADER, len(log), size)]


def test_a_log_cut_at_a_commit_is_whole_to_sqlite_and_found_by_the_mark(after_crash: Image, bench: Path) -> None:
    data = after_crash.files["wal"]
    commits = [end for _, end, is_commit in frames(data) if is_commit]
    assert commits[-1] == len(data)
    lost = [judged(after_crash, after_crash.write(bench, wal=data[:end])) for end in (LOG_HEADER, *commits[:-1])]
    assert lost[:-1] == [f"records {n} to 20 are missing at the end: the high-water mark says that they were written"
                            for n in range(1, 20)], "a commit for each record"
    assert lost[-1] == "record 20 is missing at the end: the high-water mark says that they were written"


def test_a_log_cut_at_or_beside_a_frame_or_in_the_last_record_is_found(after_crash: Image, bench: Path) -> None:
    data, all_frames = after_crash.files["wal"], frames(after_crash.files["wal"])
    assert len(all_frames) > 20
    row = data.rindex(b'"n":20')
    last = next(start for start, end, _ in all_frames if start <= row < end)
    lengths = {0, 1, LOG_HEADER - 1, LOG_HEADER, *(at + off for at, _, _ in all_frames for off in (-1, 0, 1, FRAME_HEADER)),
               *range(last, last + FRAME_HEADER), *range(row - 40, row + 40), *range(last, len(data), 97), len(data) - 1}
    for length in lengths:
        assert judged(after_crash, after_crash.write(bench, wal=data[:length])) is not None, length


def test_a_byte_that_turned_over_at_the_beginning_of_a_frame_is_found(after_crash: Image, bench: Path) -> None:
    data = after_crash.files["wal"]
    for at, _, _ in [(0, 0, False), *frames(data)]:
        for offset in range(at, at + (FRAME_HEADER if at else LOG_HEADER)):
            assert judged(after_crash, after_crash.write(bench, wal=flipped(data, offset))) is not None, offset


def last_bytes(image: Image, directory: Path) -> dict[int, bytes]:
    """Return the last bytes of each row, by its number."""
    with sqlite3.connect(image.write(directory)) as connection:
        found = connection.execute("select sequence, hash from records").fetchall()
    connection.close()
    return {sequence: digest[-8:].encode() for sequence, digest in found}


def test_a_byte_that_turned_over_beside_a_record_of_the_database_is_found(after_stop: Image, bench: Path) -> None:
    """Where a row begins (its key, its sizes), at its first and last bytes, and at the first of the row behind it."""
    data, found, tails = after_stop.files["db"], 0, last_bytes(after_stop, bench)
    for number in range(1, 21):
        row = data.rindex(b'"n":%d,' % number)
        begin, end = data.rindex(b'{"kind"', 0, row), data.index(tails[number], row)
        for offset in (*range(begin - 14, begin + 2), *range(end, min(end + 9, len(data)))):
            found += judged(after_stop, after_stop.write(bench, db=flipped(data, offset))) is not None
    assert found > 20 * 20, "most of these bytes mean something"


def test_a_database_cut_at_or_beside_a_page_is_found(after_stop: Image, bench: Path) -> None:
    data = after_stop.files["db"]
    for page in range(0, len(data), 4096):
        for length in {max(page - 1, 0), page, page + 1}:
            assert judged(after_stop, after_stop.write(bench, db=data[:length])) is not None, length


def test_a_mark_cut_short_loses_no_record(after_stop: Image, bench: Path) -> None:
    data = after_stop.files["mark"]
    for length in (0, 1, 60, 78, 79, SLOT_BYTES - 1, SLOT_BYTES, SLOT_BYTES + 1, SLOT_BYTES + 78, len(data) - 1):
        assert judged(after_stop, after_stop.write(bench, mark=data[:length])) in (None, "the high-water mark is unreadable")


def test_a_torn_page_of_the_log_is_found(after_crash: Image, tmp_path: Path) -> None:
    data = after_crash.files["wal"]
    for sector in range(8):
        hole = len(data) - (sector + 1) * 512
        torn = data[:hole] + os.urandom(512) + data[hole + 512:]
        assert judged(after_crash, after_crash.write(tmp_path, wal=torn)) is not None, sector


def test_what_follows_the_end_of_the_log_is_harmless(after_crash: Image, tmp_path: Path) -> None:
    data = after_crash.files["wal"]
    assert judged(after_crash, after_crash.write(tmp_path, wal=data + data[-4120:])) is None
    assert judged(after_crash, after_crash.write(tmp_path, wal=data + os.urandom(5000))) is None


def altered(image: Image, path: Path, *statements: str) -> str | None:
    """Return what is found after somebody worked on the database with SQL."""
    image.write(path.parent)
    with sqlite3.connect(path) as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()
    return judged(image, path)


@pytest.mark.parametrize(("statements", "words"), [
    (["delete from records where sequence = 7"], "record 7 is missing: record 8 comes after 6"),
    (["delete from records where sequence between 7 and 9"], "records 7 to 9 are missing: record 10 comes after 6"),
    (["delete from records where sequence = 1"], "record 1 is missing: record 2 comes after 0"),
    (["delete from records where sequence = 20"], "record 20 is missing at the end"),
    (["delete from records where sequence > 17"], "records 18 to 20 are missing at the end"),
    (["delete from records"], "records 1 to 20 are missing at the end"),
    (["update records set sequence = 0 where sequence = 7", "update records set sequence = 7 where sequence = 8",
      "update records set sequence = 8 where sequence = 0"], "record 7 was altered: its checksum does not fit"),
    (["update records set content = replace(content, 'gäst-7', 'gast-7')"], "record 7 was altered"),
    (["update records set revision = 70 where sequence = 7"], "record 7 was altered"),
    (["update records set revision = '7x' where sequence = 7"], "record 7 was altered"),
    (["update records set checksum = '00000000' where sequence = 7"], "record 7 was altered"),
    (["update records set previous_hash = hash where sequence = 7"], "record 7 does not follow record 6"),
    (["update records set hash = previous_hash where sequence = 7"], "record 7 was put there: its hash does not fit"),
    (["drop table records"], "table records is missing"),
    (["drop table about"], "table about is missing"),
    (["insert into records select 21, revision, content, checksum, previous_hash, hash from records where sequence = 20"],
     "record 21 was altered"),
    (["update about set value = '2'"], "its schema is 2, this release reads 1"),
])
def test_what_somebody_did_with_sql_is_named(after_stop: Image, tmp_path: Path, statements: list[str],
                                            words: str) -> None:
    damage = altered(after_stop, tmp_path / "journal.db", *statements)
    assert damage is not None
    assert words in damage


def test_a_row_forged_with_its_checksum_is_found_by_the_chain(after_stop: Image, tmp_path: Path) -> None:
    other = stopped_elsewhere(tmp_path)
    path = after_stop.write(tmp_path)
    with sqlite3.connect(path) as connection:
        connection.execute("attach ? as other", (str(other),))
        connection.execute("delete from records where sequence = 7")
        connection.execute("insert into records select * from other.records where sequence = 7")
    connection.close()
    assert judged(after_stop, path) == "record 7 does not follow record 6: one of them was put there"


def stopped_elsewhere(tmp_path: Path) -> Path:
    path = tmp_path / "other.db"
    journal = SqliteJournal(path)
    journal.open()
    journal.append(1, [{"kind": "Other", "n": number} for number in range(20)])
    journal.close()
    return path


def test_a_mark_that_lags_by_one_append_is_what_a_crash_leaves(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = SqliteJournal(path)
    journal.open()
    journal.append(1, [content(1)])
    before = mark_path(path).read_bytes()
    journal.append(2, [content(2), content(3)])
    journal.close()
    mark_path(path).write_bytes(before)
    assert what_is_found(path)[0] is None
    assert mark_path(path).read_bytes() != before, "opening brings the mark up to date"


def test_an_older_mark_beside_rows_that_are_all_there_is_harmless(after_stop: Image, tmp_path: Path) -> None:
    older = stopped(tmp_path, 3)
    assert judged(after_stop, after_stop.write(tmp_path, mark=older.files["mark"])) is None


def test_a_newer_mark_means_lost_rows(after_stop: Image, tmp_path: Path) -> None:
    newer = stopped(tmp_path, 22)
    damage = judged(after_stop, after_stop.write(tmp_path, mark=newer.files["mark"]))
    assert damage == "records 21 to 22 are missing at the end: the high-water mark says that they were written"


def test_an_older_copy_of_the_database_is_found_by_the_mark(after_stop: Image, tmp_path: Path) -> None:
    older = stopped(tmp_path, 19)
    damage, records = what_is_found(after_stop.write(tmp_path, db=older.files["db"]))
    assert damage == "record 20 is missing at the end: the high-water mark says that they were written"
    assert records == after_stop.records[:19]


def test_the_mark_of_another_journal_is_found(after_stop: Image, tmp_path: Path) -> None:
    other = mark_path(stopped_elsewhere(tmp_path)).read_bytes()
    damage = judged(after_stop, after_stop.write(tmp_path, mark=other))
    assert damage == "the high-water mark belongs to another journal: record 20 of this one has another hash"


def test_a_mark_that_is_gone_is_damage_once_there_are_records(after_stop: Image, tmp_path: Path) -> None:
    assert judged(after_stop, after_stop.write(tmp_path, mark=None)) == (
        "the high-water mark is missing: whether records are lost at the end, nobody can say")


def test_a_mark_of_which_no_slot_is_whole_is_damage(after_stop: Image, tmp_path: Path) -> None:
    data = after_stop.files["mark"]
    torn = flipped(flipped(data, 1), SLOT_BYTES + 1)
    assert judged(after_stop, after_stop.write(tmp_path, mark=torn)) == "the high-water mark is unreadable"
    assert judged(after_stop, after_stop.write(tmp_path, mark=b"")) == "the high-water mark is unreadable"


def test_a_torn_write_of_the_mark_leaves_the_one_before(tmp_path: Path) -> None:
    """Whatever the size of the appends: the slot that is written is never the one that holds the newest mark."""
    path = tmp_path / "journal.db"
    journal = SqliteJournal(path)
    journal.open()
    for number in range(6):
        before = mark_path(path).read_bytes()
        head = journal.append(number, [content(number)] * 2)
        after = mark_path(path).read_bytes()
        written = [i for i in range(2) if before[i * SLOT_BYTES:][:SLOT_BYTES] != after[i * SLOT_BYTES:][:SLOT_BYTES]]
        assert len(written) == 1
        kept = before[(1 - written[0]) * SLOT_BYTES:].split()[0]
        assert int(kept) == head - 2
    journal.close()


@pytest.mark.parametrize("lose", [lambda path: path.unlink(), lambda path: path.write_bytes(b"")])
def test_a_database_that_is_gone_is_damage_and_not_a_new_journal(after_stop: Image, tmp_path: Path,
                                                                 lose: Callable[[Path], None]) -> None:
    path = after_stop.write(tmp_path)
    lose(path)
    damage = judged(after_stop, path)
    assert damage is not None
    assert "held records 1 to 20" in damage
    assert not path.exists() or path.stat().st_size == 0, "nothing was begun in its place"


def test_a_damaged_journal_is_read_up_to_the_damage_and_not_written_to(after_crash: Image, tmp_path: Path) -> None:
    path = after_crash.write(tmp_path, wal=flipped(after_crash.files["wal"], 50_001))
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    journal = SqliteJournal(path)
    health = journal.open()
    assert health.damage is not None
    assert 0 < health.head < 20
    assert tuple(journal.replay()) == after_crash.records[:health.head]
    assert journal.tail(2) == after_crash.records[health.head - 2:health.head]
    with pytest.raises(JournalDamaged, match=r"damaged: records .* missing"):
        journal.append(1, [content(1)])
    journal.close()
    for name, data in before.items():
        assert (tmp_path / name).read_bytes() == data, f"{name}: what is left of it was changed"


def test_rows_that_rot_under_a_running_daemon_are_not_handed_out(after_stop: Image, tmp_path: Path) -> None:
    path = after_stop.write(tmp_path)
    journal = SqliteJournal(path)
    assert journal.open().damage is None
    with sqlite3.connect(path) as connection:
        connection.execute("update records set content = '{}' where sequence = 19")
    connection.close()
    with pytest.raises(JournalDamaged, match="record 19"):
        journal.tail(5)
    assert journal.tail(1) == after_stop.records[-1:]
    with pytest.raises(JournalDamaged, match="record 19"):
        tuple(journal.replay())
    journal.close()
