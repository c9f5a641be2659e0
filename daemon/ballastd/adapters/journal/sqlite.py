"""``ports.Journal`` on SQLite (WAL, synchronous=FULL) through SQLAlchemy Core. One writer, held by a lock file.

SQLite alone does not notice damage: one flipped byte in its log has lost half of the committed rows while
``integrity_check`` said ok. So rows carry a contiguous sequence and a hash chain, and a second file the high-water
mark. What is damaged is reported and never written to; an operator sets it aside.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from ballastd.adapters.journal.mark import Mark, MarkFile
from ballastd.adapters.journal.schema import SCHEMA_VERSION, about, canonical, chain, metadata, records
from ballastd.adapters.journal.verification import Walk, check_mark, judge, mark_path
from ballastd.errors import JournalDamaged, JournalError
from ballastd.ports import JournalHealth, JournalRecord

CHECKPOINT_PAGES = 1000


class SqliteJournal:
    """See ``ports.Journal``. Blocking; every call on one lane."""

    def __init__(self, path: Path | str) -> None:
        self._path = Path(path)
        self._engine: sa.Engine | None = None
        self._mark: MarkFile | None = None
        self._lock: int | None = None
        self._head = Mark(0, "0" * 64)
        self._damage: str | None = None
        self._mark_lags = False

    def open(self) -> JournalHealth:
        """See ``ports.Journal.open``."""
        try:
            self._take_lock()
            self._engine = self._connect()
            health = self._examine()
        except (sa.exc.DatabaseError, OSError) as error:
            self.close()
            raise JournalError(f"{self._path}: cannot be used as a journal: {_cause(error)}") from error
        except JournalError:
            self.close()
            raise
        return health

    def _take_lock(self) -> None:
        if not self._path.parent.is_dir():
            raise JournalError(f"{self._path.parent}: the journal's directory does not exist; create it, owned by the "
                               "daemon's user (the unit's StateDirectory= does)")
        self._lock = os.open(self._path.with_name(self._path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC,
                             0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._lock, 32).decode("ascii", "replace").strip() or "unknown"
            raise JournalError(f"{self._path}: another daemon (process {holder}) writes this journal; stop it first, "
                               "or give this one a journal of its own") from None
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)

    def _connect(self) -> sa.Engine:
        engine = sa.create_engine(f"sqlite:///{self._path}", poolclass=sa.pool.StaticPool,
                                  connect_args={"check_same_thread": False, "timeout": 5.0})

        @sa.event.listens_for(engine, "connect")
        def prepare(connection: Any, _record: object) -> None:
            for pragma in ("journal_mode=WAL", "synchronous=FULL", f"wal_autocheckpoint={CHECKPOINT_PAGES}"):
                connection.execute(f"PRAGMA {pragma}")

        return engine

    def _examine(self) -> JournalHealth:
        assert self._engine is not None
        mark, mark_damage = check_mark(self._path)
        with self._engine.begin() as connection:
            fresh = not sa.inspect(connection).has_table("records")
            if fresh:
                metadata.create_all(connection)
                connection.execute(about.insert().values(key="schema", value=str(SCHEMA_VERSION)))
            version = connection.execute(sa.select(about.c.value).where(about.c.key == "schema")).scalar()
        if version != str(SCHEMA_VERSION):
            raise JournalError(f"{self._path}: schema {version}, this release reads {SCHEMA_VERSION}; another release "
                               "wrote it")
        with self._engine.connect() as connection:
            walk = Walk(connection, marked=mark)
            for _ in walk.records():
                pass
        health = judge(walk, mark_damage)
        self._damage, self._head = health.damage, Mark(walk.head, walk.hash)
        if self._damage is None:
            self._mark = MarkFile(mark_path(self._path))
            self._mark.write(self._head)
        return health

    def append(self, revision: int, contents: Sequence[dict[str, Any]]) -> int:
        """See ``ports.Journal.append``."""
        if self._damage is not None:
            raise JournalDamaged(f"damaged, not written to: {self._damage}; see: ballastctl journal verify")
        if self._engine is None or self._mark is None:
            raise JournalError("the journal is not open")
        self._catch_up_mark()
        rows, head = self._chained(revision, contents)
        if not rows:
            return self._head.sequence
        try:
            with self._engine.begin() as connection:
                connection.execute(records.insert(), rows)
        except sa.exc.DatabaseError as error:
            raise JournalError(f"{self._path}: {_cause(error)}") from error
        # the rows are durable whatever becomes of the mark: it may lag, and nothing is appended until it caught up
        self._head, self._mark_lags = head, True
        with contextlib.suppress(JournalError):
            self._catch_up_mark()
        return head.sequence

    def _catch_up_mark(self) -> None:
        if not self._mark_lags or self._mark is None:
            return
        try:
            self._mark.write(self._head)
        except OSError as error:
            raise JournalError(f"{mark_path(self._path)}: {error}") from error
        self._mark_lags = False

    def _chained(self, revision: int, contents: Sequence[dict[str, Any]]) -> tuple[list[dict[str, Any]], Mark]:
        rows, head = [], self._head
        for content in contents:
            try:
                text = canonical(content)
            except (ValueError, TypeError) as error:
                raise JournalError(f"a record cannot be written as JSON: {error}") from error
            digest = chain(head.sequence + 1, revision, text, head.hash)
            rows.append({"sequence": head.sequence + 1, "revision": revision, "content": text, "previous": head.hash,
                         "hash": digest})
            head = Mark(head.sequence + 1, digest)
        return rows, head

    def replay(self) -> Iterator[JournalRecord]:
        """See ``ports.Journal.replay``."""
        if self._engine is None:
            return
        with self._engine.connect() as connection:
            yield from Walk(connection).records()

    def tail(self, count: int) -> tuple[JournalRecord, ...]:
        """See ``ports.Journal.tail``."""
        found = list(self._last(count)) if self._engine is not None else []
        return tuple(found[-count:])

    def _last(self, count: int) -> Iterator[JournalRecord]:
        assert self._engine is not None
        first = max(0, self._head.sequence - count)
        query = sa.select(records).where(records.c.sequence > first).order_by(records.c.sequence)
        with self._engine.connect() as connection:
            for row in connection.execute(query):
                yield JournalRecord(row.sequence, row.revision, json.loads(row.content))

    def close(self) -> None:
        """See ``ports.Journal.close``."""
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None
        if self._mark is not None:
            self._mark.close()
            self._mark = None
        if self._lock is not None:
            with contextlib.suppress(OSError):
                os.close(self._lock)
            self._lock = None


def set_aside(path: Path | str) -> tuple[Path, int]:
    """Move a damaged journal and its companions out of the way, deleting nothing; the cure an operator asks for.

    Return where it went and its last good sequence number. The next start begins a new journal.
    """
    path = Path(path)
    journal = SqliteJournal(path)
    try:
        health = journal.open()
    finally:
        journal.close()
    place = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}")
    place.mkdir(mode=0o700)
    for companion in sorted(path.parent.glob(path.name + "*")):
        if companion.is_file() and not companion.name.endswith(".lock"):
            companion.rename(place / companion.name)
    return place, health.head


def _cause(error: BaseException) -> str:
    text = str(getattr(error, "orig", None) or error)
    if "full" in text or "No space" in text:
        return f"{text}; make room, nothing was written"
    return text
