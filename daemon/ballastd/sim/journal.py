"""A journal in memory that can be full or slow: it survives a crash of the daemon, not of the process."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ballastd.adapters.journal.chain import canonical
from ballastd.errors import JournalDamaged, JournalError
from ballastd.ports.keeping import JournalHealth, JournalRecord


@dataclass(frozen=True, slots=True)
class _Written:
    revision: int
    text: str


class MemoryJournal:
    """See ``ports.Journal``. Contents are kept as JSON text, so they come back as they would from a disk.

    ``full``: nothing more can be appended until it is false again. ``slow``: seconds that every append takes,
    spent with ``pass_time``. ``damage``: what ``open`` is to find.
    """

    def __init__(self, pass_time: Callable[[float], None] = time.sleep) -> None:
        self.full = False
        self.slow = 0.0
        self.damage: str | None = None
        self._pass_time = pass_time
        self._written: list[_Written] = []
        self._cut = 0
        self._archived = 0
        self._is_open = False

    @property
    def records(self) -> tuple[JournalRecord, ...]:
        """All records ever written, for whoever checks on the daemon from outside."""
        return tuple(self._record(number) for number in range(1, len(self._written) + 1))

    def open(self) -> JournalHealth:
        """See ``ports.Journal.open``. A daemon that crashed left it open, so that is no reason to refuse."""
        self._is_open = True
        return JournalHealth(len(self._written) - self._cut, len(self._written), self.damage)

    def append(self, revision: int, contents: Sequence[dict[str, Any]]) -> int:
        """See ``ports.Journal.append``."""
        if self.damage is not None:
            raise JournalDamaged(f"damaged: {self.damage}")
        if not self._is_open:
            raise JournalError("the journal is not open")
        texts = [canonical(content) for content in contents]
        if self.slow > 0:
            self._pass_time(self.slow)
        if self.full and texts:
            raise JournalError("database or disk is full; nothing was written")
        self._written += [_Written(revision, text) for text in texts]
        return len(self._written)

    def replay(self) -> Iterator[JournalRecord]:
        """See ``ports.Journal.replay``."""
        for number in range(self._cut + 1, len(self._written) + 1):
            yield self._record(number)

    def archive(self, before: int) -> int:
        """See ``ports.Journal.archive``."""
        if not self._cut + 1 < before <= len(self._written):
            held = f"{self._cut + 1} to {len(self._written)}"
            raise JournalError(f"records before {before} cannot be archived: it holds {held}")
        if self.full:
            raise JournalError("database or disk is full; nothing was taken out of the journal")
        self._archived = before - 1
        return self._archived - self._cut

    def cut(self, before: int) -> None:
        """See ``ports.Journal.cut``."""
        if self._archived != before - 1:
            raise JournalError(f"the records before {before} are not archived")
        self._cut = self._archived

    def drop_archive(self, before_wall: float) -> str | None:  # noqa: ARG002  the contract's
        """See ``ports.Journal.drop_archive``. Nothing in memory is older than the process."""
        return None

    def tail(self, count: int) -> tuple[JournalRecord, ...]:
        """See ``ports.Journal.tail``."""
        last = len(self._written)
        return tuple(self._record(number) for number in range(max(self._cut + 1, last - count + 1), last + 1))

    def close(self) -> None:
        """See ``ports.Journal.close``."""
        self._is_open = False

    def _record(self, number: int) -> JournalRecord:
        written = self._written[number - 1]
        return JournalRecord(number, written.revision, json.loads(written.text))
