"""Whether a journal is whole: every row against its predecessor, the last one against the high-water mark."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from ballastd.adapters.journal.mark import Mark, read_mark
from ballastd.adapters.journal.schema import GENESIS, chain, records
from ballastd.errors import JournalError
from ballastd.ports import JournalHealth, JournalRecord

BATCH = 1000


def mark_path(path: Path) -> Path:
    """Return where the mark of the journal at ``path`` is."""
    return path.with_name(path.name + ".mark")


@dataclass(slots=True)
class Walk:
    """Walks the records in order and stops at the first damage, which it words."""

    connection: sa.Connection
    head: int = 0
    hash: str = GENESIS
    damage: str | None = None
    marked: Mark | None = None
    marked_hash_seen: bool = False

    def records(self) -> Iterator[JournalRecord]:
        """Yield whole records in order; afterwards ``head``, ``hash`` and ``damage`` are known."""
        query = sa.select(records).order_by(records.c.sequence).execution_options(yield_per=BATCH)
        try:
            for row in self.connection.execute(query):
                record = self._check(row)
                if record is None:
                    return
                yield record
        except (sa.exc.DatabaseError, UnicodeDecodeError, ValueError) as error:
            self.damage = f"after record {self.head}: {_plain(error)}"

    def _check(self, row: Any) -> JournalRecord | None:
        sequence, revision, content, previous, digest = row
        wanted = self.head + 1
        if sequence != wanted:
            self.damage = f"record {wanted} is missing (the next one is {sequence})"
        elif previous != self.hash:
            self.damage = f"record {sequence} does not follow record {self.head}: its predecessor was altered"
        elif digest != chain(sequence, revision, content, previous):
            self.damage = f"record {sequence} was altered: its hash does not match"
        if self.damage:
            return None
        self.head, self.hash = sequence, digest
        if self.marked is not None and self.marked.sequence == sequence:
            self.marked_hash_seen = self.marked.hash == digest
        return JournalRecord(sequence, revision, json.loads(content))


def check_mark(path: Path) -> tuple[Mark | None, str | None]:
    """Return the high-water mark of the journal at ``path``, and what is wrong with it."""
    try:
        return read_mark(mark_path(path)), None
    except (ValueError, OSError) as error:
        return None, str(error)


def judge(walk: Walk, mark_damage: str | None) -> JournalHealth:
    """Return the health that a finished walk amounts to."""
    damage, mark = walk.damage or mark_damage, walk.marked
    if damage is None and mark is not None:
        if mark.sequence > walk.head:
            damage = (f"records {walk.head + 1} to {mark.sequence} are missing: the high-water mark says they were "
                      "written")
        elif mark.sequence and not walk.marked_hash_seen:
            damage = f"the high-water mark ({mark.sequence}) does not belong to this journal (head {walk.head})"
    if damage is None and mark is None and walk.head > 0:
        damage = "the high-water mark is missing, so nobody can say whether records were lost at the end"
    return JournalHealth(walk.head, walk.head, damage)


def verify(path: Path | str) -> JournalHealth:
    """Return the health of the journal at ``path``, read-only, whether or not a daemon uses it.

    Raises:
        JournalError: it cannot be opened, or is no journal.
    """
    path = Path(path)
    if not path.is_file():
        raise JournalError(f"{path}: there is no journal")
    mark, mark_damage = check_mark(path)
    engine = sa.create_engine(f"sqlite:///file:{path}?mode=ro&uri=true")
    try:
        with engine.connect() as connection:
            walk = Walk(connection, marked=mark)
            for _ in walk.records():
                pass
            return judge(walk, mark_damage)
    except sa.exc.DatabaseError as error:
        raise JournalError(f"{path}: {_plain(error)}") from error
    finally:
        engine.dispose()


def _plain(error: BaseException) -> str:
    return str(getattr(error, "orig", None) or error)
