"""What is kept on disk: the journal, definitions of VMs, recordings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ballastd.core.quantities import VmId


@dataclass(frozen=True, slots=True)
class KeptDefinition:
    """What a VM was defined as when a migration of it began, at ``wall`` seconds: as ``virsh define`` takes it."""

    vm: VmId
    wall: float
    definition: str


class Definitions(Protocol):
    """Where definitions of VMs that are moved are kept, the last of each."""

    async def keep(self, vm: VmId, definition: str) -> None:
        """Keep it durably in the place of an earlier one.

        Raises:
            DefinitionNotKept: it is not durable.
        """
        ...

    async def kept(self, vm: VmId) -> KeptDefinition | None:
        """Return what was kept of a VM last, or None.

        Raises:
            DefinitionNotKept: nobody can say.
            Unreachable: it took too long.
        """
        ...

    async def drop(self, before_wall: float) -> int:
        """Forget those that were kept before; return how many.

        Raises:
            DefinitionNotKept: not all of them could be deleted.
        """
        ...


class Recording(Protocol):
    """Where the diary of what was seen is kept. Best effort: what cannot be written is dropped."""

    def add(self, entries: list[dict[str, Any]]) -> None:
        """Take entries to be written soon."""
        ...

    async def run(self) -> None:
        """Write for ever."""
        ...


@dataclass(frozen=True, slots=True)
class JournalRecord:
    """One durable record: its place in the sequence, the revision it belongs to, and its content."""

    sequence: int
    revision: int
    content: dict[str, Any]


@dataclass(frozen=True, slots=True)
class JournalHealth:
    """What opening the journal found. ``damage``: what is missing or altered, in words, None if all is well. ``place``:
    where it is, for people."""

    records: int
    head: int
    damage: str | None
    place: str = field(default="the journal", compare=False)


class Journal(Protocol):
    """The durable, append-only record of what was decided. One writer. Written before anything is done."""

    def open(self) -> JournalHealth:
        """Open or create it, verify every row against its checksum, its predecessor and the high-water mark.

        Damage is reported, not raised, so that the daemon can observe and page.

        Raises:
            JournalError: it cannot be opened at all (no permission, not a database, another writer).
        """
        ...

    def append(self, revision: int, contents: Sequence[dict[str, Any]]) -> int:
        """Make ``contents`` durable, all or nothing; return the new head of the sequence.

        Raises:
            JournalError: not durable (disk full, read-only, I/O error, damaged before): nothing may be done.
        """
        ...

    def replay(self) -> Iterator[JournalRecord]:
        """Yield all records from the first that was not archived, in order, up to the first damage."""
        ...

    def archive(self, before: int) -> int:
        """Copy the records before number ``before`` into an archive of their own, durably and read back; return how
        many. They stay in the journal until ``cut``. May take long; appends go on beside it.

        Raises:
            JournalError: there is no room, the journal is damaged, or holds no such records: nothing changed.
        """
        ...

    def cut(self, before: int) -> None:
        """Take the records before number ``before`` out of the journal. The one at ``before`` has to be a checkpoint.

        Raises:
            JournalError: they were not archived by this run, or the journal cannot be written: nothing changed.
        """
        ...

    def drop_archive(self, before_wall: float) -> str | None:
        """Delete the oldest archive if it was written before ``before_wall``; return its name if so.

        Raises:
            JournalError: it cannot be deleted.
        """
        ...

    def tail(self, count: int) -> tuple[JournalRecord, ...]:
        """Return the last ``count`` records, oldest first."""
        ...

    def close(self) -> None:
        """Close it; a later ``open`` finds everything appended."""
        ...
