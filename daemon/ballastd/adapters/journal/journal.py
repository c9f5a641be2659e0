"""``ports.Journal`` on SQLite (WAL, synchronous=FULL) through SQLAlchemy Core. One writer, held by a lock file.

SQLite alone does not notice damage: one flipped byte in its log has lost half of the committed rows while
``integrity_check`` said ok. So rows carry a contiguous sequence, a checksum and a hash chain, and a second file the
high-water mark. What is damaged is reported and never written to; an operator sets it aside.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from ballastd.adapters.journal import schema, sqlite
from ballastd.adapters.journal.archive import drop_oldest, pass_over_unfinished, write_archive
from ballastd.adapters.journal.chain import NOTHING, Head, StoredRow, chained, is_unaltered
from ballastd.adapters.journal.creation import create
from ballastd.adapters.journal.lock import WriterLock, lock_path
from ballastd.adapters.journal.mark import MarkFile, create_mark, mark_path
from ballastd.adapters.journal.verification import Walk, examine
from ballastd.errors import JournalDamaged, JournalError
from ballastd.ports.keeping import JournalHealth, JournalRecord

TURN_SECONDS = 1.0
CURE = "see it with `ballastctl journal verify`, set it aside with `ballastctl journal quarantine`"


class SqliteJournal:
    """See ``ports.Journal``. Blocking.

    An append that ends with an error is not there, with one exception that no database can avoid: where the disk
    fails while it syncs and the machine dies next, what was refused may turn up again.
    """

    def __init__(self, path: Path | str) -> None:
        self._path = Path(path)
        self._turn = threading.Lock()
        self._lock: WriterLock | None = None
        self._engine: sa.Engine | None = None
        self._mark: MarkFile | None = None
        self._files: dict[Path, tuple[int, int]] = {}
        self._head = NOTHING
        self._marked = NOTHING
        self._anchor = NOTHING
        self._archived = NOTHING
        self._damage: str | None = None

    def open(self) -> JournalHealth:
        """See ``ports.Journal.open``."""
        with self._my_turn():
            if self._lock is not None:
                raise JournalError(f"{self._path}: is open already")
            try:
                return self._open()
            except (sa.exc.DBAPIError, OSError) as error:
                self._let_go()
                raise JournalError(f"{self._path}: cannot be used: {sqlite.in_words(error)}") from error
            except JournalError:
                self._let_go()
                raise

    def _open(self) -> JournalHealth:
        check_place(self._path)
        self._lock = WriterLock(self._path)
        found = examine(self._path)
        self._head, self._damage, self._anchor = found.head, found.damage, found.anchor
        if found.damage is None:
            if not found.exists:
                self._head = create(self._path)
            self._begin_writing()
        return replace(found.health, place=str(self._path))

    def _begin_writing(self) -> None:
        pass_over_unfinished(self._path, self._anchor)
        mark = mark_path(self._path)
        self._engine = sqlite.writing(self._path)
        if not mark.exists():
            create_mark(mark, self._head)
        self._mark = MarkFile(mark)
        self._mark.write(self._head)
        self._marked = self._head
        # its log is there from the first look on, for as long as we have it open
        used = (self._path, sqlite.wal_path(self._path), mark, lock_path(self._path))
        self._files = {file: _identity(file) for file in used}

    def append(self, revision: int, contents: Sequence[dict[str, Any]]) -> int:
        """See ``ports.Journal.append``."""
        with self._my_turn():
            if self._damage is not None:
                raise JournalDamaged(f"damaged: {self._damage}; {CURE}")
            if self._engine is None:
                raise JournalError("the journal is not open")
            rows = chained(self._head, revision, contents)
            if rows:
                self._check_files()
                self._write_mark()
                self._insert(self._engine, rows)
            return self._head.sequence

    def _insert(self, engine: sa.Engine, rows: list[StoredRow]) -> None:
        try:
            with engine.begin() as connection:
                schema.insert_rows(connection, rows)
        except sa.exc.IntegrityError as error:
            self._damage = f"somebody else wrote records after {self._head.sequence}"
            raise JournalDamaged(f"damaged: {self._damage}; {CURE}") from error
        except (sa.exc.SQLAlchemyError, OverflowError) as error:
            raise JournalError(f"{self._path}: {sqlite.in_words(error)}") from error
        self._head = Head(rows[-1].sequence, rows[-1].hash)
        # durable, whatever becomes of the mark: it may lag by this append, and the next one waits for it
        with contextlib.suppress(JournalError):
            self._write_mark()

    def _write_mark(self) -> None:
        if self._mark is None or self._marked == self._head:
            return
        try:
            self._mark.write(self._head)
        except OSError as error:
            raise JournalError(f"{mark_path(self._path)}: {sqlite.in_words(error)}") from error
        self._marked = self._head

    def _check_files(self) -> None:
        """Refuse to write into files that nobody will find again."""
        for file, identity in self._files.items():
            try:
                same = _identity(file) == identity
            except OSError:
                same = False
            if not same:
                raise JournalError(f"{file}: was moved, deleted or replaced while the journal is in use; put it back, "
                                   "or restart the daemon")

    def replay(self) -> Iterator[JournalRecord]:
        """See ``ports.Journal.replay``. What is appended meanwhile is not in it.

        Raises:
            JournalDamaged: rows that were whole when the journal was opened are so no longer.
        """
        wanted = self._head.sequence
        if wanted == self._anchor.sequence:
            return
        walk = Walk()
        with self._reads(), sqlite.reading(self._path) as connection:
            for row in walk.through(connection):
                yield JournalRecord(row.sequence, row.revision, json.loads(row.content))
                if row.sequence == wanted:
                    return
        raise JournalDamaged(f"{self._path}: {walk.damage or 'rows are gone'}, and it was whole a while ago; {CURE}")

    def tail(self, count: int) -> tuple[JournalRecord, ...]:
        """See ``ports.Journal.tail``."""
        last = self._head.sequence
        numbers = range(max(self._anchor.sequence + 1, last - count + 1), last + 1)
        if not numbers:
            return ()
        with self._reads(), sqlite.reading(self._path) as connection:
            found = connection.execute(schema.rows_between(numbers[0], last))
            rows = [StoredRow._make(row) for row in found]
        for number, row in zip(numbers, rows, strict=False):
            if row.sequence != number or not is_unaltered(row):
                raise JournalDamaged(f"{self._path}: record {number} is missing or was altered; {CURE}")
        if len(rows) < len(numbers):
            raise JournalDamaged(f"{self._path}: record {numbers[len(rows)]} is missing; {CURE}")
        return tuple(JournalRecord(row.sequence, row.revision, json.loads(row.content)) for row in rows)

    def archive(self, before: int) -> int:
        """See ``ports.Journal.archive``."""
        after = self._anchor
        if not after.sequence + 1 < before <= self._head.sequence:
            raise JournalError(f"{self._path}: records before {before} cannot be archived: it holds "
                               f"{after.sequence + 1} to {self._head.sequence}")
        walk = Walk()
        try:
            pass_over_unfinished(self._path, after)  # of a night on which the cut failed
        except OSError as error:
            raise JournalError(sqlite.in_words(error)) from error
        with self._reads(), sqlite.reading(self._path) as connection:
            rows = takewhile(lambda row: row.sequence < before, walk.through(connection))
            archived = write_archive(self._path, after, rows)
        if walk.damage is not None or archived.sequence != before - 1:
            with contextlib.suppress(OSError):  # else it is done when the journal is opened again
                pass_over_unfinished(self._path, after)
            raise JournalDamaged(f"{self._path}: {walk.damage or 'rows are gone'}; {CURE}")
        self._archived = archived
        return archived.sequence - after.sequence

    def cut(self, before: int) -> None:
        """See ``ports.Journal.cut``."""
        with self._my_turn():
            if self._damage is not None or self._engine is None:
                raise JournalError(f"the journal is not open, or damaged: {self._damage}")
            if self._archived.sequence != before - 1:
                raise JournalError(f"{self._path}: the records before {before} are not archived")
            self._check_files()
            self._write_mark()
            try:
                with self._engine.begin() as connection:
                    schema.cut(connection, self._archived)
            except sa.exc.SQLAlchemyError as error:
                raise JournalError(f"{self._path}: {sqlite.in_words(error)}") from error
            self._anchor = self._archived

    def drop_archive(self, before_wall: float) -> str | None:
        """See ``ports.Journal.drop_archive``."""
        dropped = drop_oldest(self._path, before_wall)
        return str(dropped) if dropped else None

    def close(self) -> None:
        """See ``ports.Journal.close``. Under a call that hangs nothing is closed: only the process can end that."""
        if self._turn.acquire(timeout=TURN_SECONDS):
            try:
                self._let_go()
            finally:
                self._turn.release()

    def _let_go(self) -> None:
        if self._engine is not None:
            self._engine.dispose()
        if self._mark is not None:
            self._mark.close()
        if self._lock is not None:
            self._lock.release()
        self._engine = self._mark = self._lock = None

    @contextlib.contextmanager
    def _my_turn(self) -> Iterator[None]:
        """An append that was given up may still be in flight on another thread: nothing joins it."""
        if not self._turn.acquire(timeout=TURN_SECONDS):
            raise JournalError(f"{self._path}: the call before this one hangs; the disk is stuck or very slow")
        try:
            yield
        finally:
            self._turn.release()

    @contextlib.contextmanager
    def _reads(self) -> Iterator[None]:
        try:
            yield
        except sqlite.UNREADABLE as error:
            raise JournalError(f"{self._path}: {sqlite.in_words(error)}") from error


def check_place(path: Path) -> None:
    """Refuse a place where no journal can be, before any file is made.

    Raises:
        JournalError: it says what to do.
    """
    if not path.parent.is_dir():
        raise JournalError(f"{path.parent}: the journal's directory does not exist; create it, owned by the daemon's "
                           "user (the unit's StateDirectory= does)")
    if path.is_dir():
        raise JournalError(f"{path}: is a directory; name a file in it, such as {path / 'journal.db'}")


def _identity(file: Path) -> tuple[int, int]:
    facts = file.stat()
    return facts.st_dev, facts.st_ino
