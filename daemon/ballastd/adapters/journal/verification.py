"""Whether a journal is whole: every row against its predecessor, the last one against the high-water mark."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from ballastd.adapters.journal import schema, sqlite
from ballastd.adapters.journal.archive import archive_flaw
from ballastd.adapters.journal.chain import NOTHING, Head, StoredRow, flaw
from ballastd.adapters.journal.mark import mark_path, read_mark
from ballastd.errors import JournalError
from ballastd.ports.keeping import JournalHealth

LOOKS = 5


@dataclass(frozen=True, slots=True)
class Examination:
    """What is in a journal: its last good record, what is wrong after it, whether there is a database, and the last
    record that was archived."""

    head: Head
    damage: str | None
    exists: bool = True
    anchor: Head = NOTHING

    @property
    def health(self) -> JournalHealth:
        """The same in the port's words."""
        return JournalHealth(self.head.sequence - self.anchor.sequence, self.head.sequence, self.damage)


@dataclass(frozen=True, slots=True)
class HighWater:
    """What the mark says, and what is wrong with it; neither where there is no mark."""

    head: Head | None
    flaw: str | None = None

    @property
    def exists(self) -> bool:
        """Return whether there is one: then there was a journal of ours here."""
        return self.head is not None or self.flaw is not None


def examine(path: Path) -> Examination:
    """Read the whole journal at ``path`` and change nothing.

    Raises:
        JournalError: it cannot be read, or never was a journal that this release can read.
    """
    mark = _high_water(path)
    if _size(path) > 0:
        return _read(path, mark)
    return Examination(NOTHING, _why_nothing(path, mark), exists=False)


def _high_water(path: Path) -> HighWater:
    try:
        return HighWater(read_mark(mark_path(path)))
    except ValueError as error:
        return HighWater(None, str(error))
    except OSError as error:
        raise JournalError(f"{mark_path(path)}: {error.strerror}; let the daemon's user own it") from error


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _why_nothing(path: Path, mark: HighWater) -> str | None:
    state = "is empty" if path.exists() else "is missing"
    if mark.flaw is not None:
        return f"the database {state}, and {mark.flaw}"
    if mark.head is not None and mark.head.sequence > 0:
        return f"the database {state}; the high-water mark says that it held records 1 to {mark.head.sequence}"
    if _size(sqlite.wal_path(path)) > 0:
        return f"the database {state}, but its log is there"
    return None


def _read(path: Path, mark: HighWater) -> Examination:
    walk = Walk(mark)
    try:
        with sqlite.reading(path) as connection:
            damage = _shape_flaw(path, connection, mark)
            if damage is None:
                walk.go_to_the_end(connection)
                damage = walk.verdict() or sqlite.structure_flaw(connection)
    except sqlite.UNREADABLE as error:
        if sqlite.is_about_the_machine(error):
            raise JournalError(f"{path}: {sqlite.in_words(error)}") from error
        if not mark.exists:
            raise JournalError(f"{path}: is no journal ({sqlite.in_words(error)}); give the journal a path of its "
                               "own, or move that file away") from error
        damage = f"the database cannot be read after record {walk.head.sequence}: {sqlite.in_words(error)}"
    return Examination(walk.head, damage, anchor=walk.anchor)


def _shape_flaw(path: Path, connection: sa.Connection, mark: HighWater) -> str | None:
    missing = {"records", "about"} - schema.tables(connection)
    if missing and not mark.exists:
        raise JournalError(f"{path}: is another program's database; give the journal a path of its own")
    if missing:
        return f"table {min(missing)} is missing"
    version = schema.schema_version(connection)
    if version != str(schema.SCHEMA_VERSION):
        raise JournalError(f"{path}: its schema is {version}, this release reads {schema.SCHEMA_VERSION}; use the "
                           "release that wrote it")
    return None


class Walk:
    """Goes over rows in order and stops at the first that is wrong. ``head``: the last good one so far."""

    def __init__(self, mark: HighWater = HighWater(None)) -> None:
        self.head = NOTHING
        self.anchor = NOTHING
        self.damage: str | None = None
        self._mark = mark
        self._mark_fits = mark.head == NOTHING

    def over(self, rows: Iterable[Any]) -> Iterator[StoredRow]:
        """Yield the rows that are good."""
        for values in rows:
            row = StoredRow._make(values)
            self.damage = flaw(row, self.head)
            if self.damage is not None:
                return
            self.head = Head(row.sequence, row.hash)
            self._mark_fits = self._mark_fits or self.head == self._mark.head
            yield row

    def through(self, connection: sa.Connection) -> Iterator[StoredRow]:
        """Yield the good rows of a database, to the last one before the first that cannot be read.

        Raises:
            sqlite.UNREADABLE: there is such a row, and all before it were yielded.
        """
        try:
            self.head = self.anchor = schema.anchor(connection)
        except ValueError:
            self.damage = "the note of what was archived is unreadable"
            return
        self._mark_fits = self.anchor == self._mark.head
        try:
            yield from self.over(connection.execute(schema.all_rows()))
        except sqlite.UNREADABLE:
            # one broken page took the whole batch with it, hundreds of good rows: ask for them one at a time
            yield from self.over(_one_at_a_time(connection, self.head.sequence + 1))
            raise

    def go_to_the_end(self, connection: sa.Connection) -> None:
        """Look at every row there is."""
        for _ in self.through(connection):
            pass

    def verdict(self) -> str | None:
        """Return what is wrong, once the end is reached."""
        head, mark = self.head.sequence, self._mark.head
        if self.damage is not None or self._mark.flaw is not None:
            return self.damage or self._mark.flaw
        if mark is None:
            return "the high-water mark is missing: whether records are lost at the end, nobody can say" if head else None
        if mark.sequence > head:
            lost = f"record {mark.sequence} is" if mark.sequence == head + 1 else \
                f"records {head + 1} to {mark.sequence} are"
            return f"{lost} missing at the end: the high-water mark says that they were written"
        if not self._mark_fits:
            return f"the high-water mark belongs to another journal: record {mark.sequence} of this one has another hash"
        return None


def _one_at_a_time(connection: sa.Connection, sequence: int) -> Iterator[Any]:
    while (row := connection.execute(schema.row_at(sequence)).first()) is not None:
        yield row
        sequence += 1


def verify(path: Path | str) -> JournalHealth:
    """Return the health of the journal at ``path`` and of its archives, as far as they are there. Works on a private
    copy, so it leaves no trace, needs no right to write, and may look while a daemon writes.

    Raises:
        JournalError: it cannot be read, is no journal, or there is none.
    """
    path = Path(path)
    try:
        for _ in range(LOOKS):
            before = _stamps(path)
            if not any(before):
                raise JournalError(f"{path}: there is no journal")
            found = _examine_copy(path)
            if found.damage is None or _stamps(path) == before:
                damage = found.damage or archive_flaw(path, found.anchor)
                return replace(found.health, damage=damage)
    except OSError as error:
        ask = "; ask as the daemon's user" if isinstance(error, PermissionError) else ""
        raise JournalError(f"{error.filename or path}: {error.strerror or error}{ask}") from error
    raise JournalError(f"{path}: it is written to faster than it can be read; verify a copy, or stop the daemon")


def _files(path: Path) -> tuple[Path, ...]:
    # the mark first: a copy of it may be older than the copied rows, never younger
    return mark_path(path), path, sqlite.wal_path(path)


def _stamps(path: Path) -> tuple[tuple[int, int, int] | None, ...]:
    def stamp(file: Path) -> tuple[int, int, int] | None:
        try:
            facts = file.stat()
        except FileNotFoundError:
            return None
        return facts.st_ino, facts.st_size, facts.st_mtime_ns

    return tuple(stamp(file) for file in _files(path))


def _examine_copy(path: Path) -> Examination:
    with tempfile.TemporaryDirectory(prefix="ballastd-journal-") as folder:
        copy = Path(folder) / "journal"
        for source, target in zip(_files(path), _files(copy), strict=True):
            if source.exists():
                shutil.copyfile(source, target)
        try:
            return examine(copy)
        except JournalError as error:
            raise JournalError(str(error).replace(str(copy), str(path))) from error
