"""Records that the journal need not replay any more: compressed files beside it, row by row as they were, chain and all.

An archive begins where the one before it ended, and the journal where the last one ended: nothing can be taken out of
the middle unnoticed. Written whole or not at all, read back before anything is taken out of the journal.
"""

from __future__ import annotations

import gzip
import json
import os
import re
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path

from ballastd.adapters.journal.chain import NOTHING, Head, StoredRow, flaw
from ballastd.adapters.journal.mark import sync_directory
from ballastd.errors import JournalDamaged, JournalError

_NAME = re.compile(r"records-(\d{12,})-(\d{12,})\.jsonl\.gz")
_UNREADABLE = (OSError, EOFError, ValueError, TypeError)


def archive_directory(path: Path) -> Path:
    """Return where the archives of the journal at ``path`` are."""
    return path.with_name(path.name + ".archive")


def archives(path: Path) -> list[Path]:
    """Return the archives of the journal at ``path``, in order. What else somebody put beside them is none."""
    return sorted(file for file in archive_directory(path).glob("records-*.jsonl.gz") if _NAME.fullmatch(file.name))


def write_archive(path: Path, after: Head, rows: Iterable[StoredRow]) -> Head:
    """Write ``rows``, which follow ``after``, into an archive of the journal at ``path``; return the last one's head.

    Raises:
        JournalError: there is no room or no right, or what was written cannot be read back.
    """
    directory = archive_directory(path)
    new = directory / "new"
    head = after
    try:
        _make(directory)
        with new.open("wb") as raw:
            with gzip.GzipFile(fileobj=raw, mode="wb", mtime=0) as file:
                for row in rows:
                    file.write(json.dumps(row, ensure_ascii=True).encode() + b"\n")
                    head = Head(row.sequence, row.hash)
            raw.flush()
            os.fsync(raw.fileno())
        found = _walk(new, after)
        if found != head or head == after:
            raise JournalError(f"{new}: what was written could not be read back; nothing was taken out of the journal")
        new.replace(directory / f"records-{after.sequence + 1:012d}-{head.sequence:012d}.jsonl.gz")
        sync_directory(directory)
    except OSError as error:
        raise JournalError(f"{directory}: {error.strerror or error}; nothing was taken out of the journal") from error
    return head


def _make(directory: Path) -> None:
    if not directory.exists():
        directory.mkdir(mode=0o700)
        sync_directory(directory.parent)


def read_archive(file: Path) -> Iterator[StoredRow]:
    """Yield the rows of an archive.

    Raises:
        JournalDamaged: it cannot be read to its end.
    """
    try:
        with gzip.open(file, "rb") as lines:
            for line in lines:
                yield StoredRow._make(json.loads(line))
    except _UNREADABLE as error:
        raise JournalDamaged(f"{file}: cannot be read to its end: {error}") from error


def _walk(file: Path, after: Head) -> Head:
    head = after
    for row in read_archive(file):
        wrong = flaw(row, head)
        if wrong is not None:
            raise JournalDamaged(f"{file}: {wrong}")
        head = Head(row.sequence, row.hash)
    return head


def pass_over_unfinished(path: Path, anchor: Head) -> None:
    """Rename archives of records that are still in the journal: the move was cut short before its second half. Nothing
    is deleted: to a journal that was put back from a copy, its own later archives look the same."""
    for file in archives(path):
        if span(file)[0] > anchor.sequence:
            names = (f"unfinished-{'' if i == 1 else f'{i}-'}{file.name}" for i in count(1))
            file.rename(next(place for name in names if not (place := file.with_name(name)).exists()))


def drop_oldest(path: Path, before_wall: float) -> Path | None:
    """Delete the oldest archive if it was written before ``before_wall``, and return where it was.

    One at a time: a clock that is years ahead shall not empty the shelf in a night.

    Raises:
        JournalError: it cannot be deleted.
    """
    try:
        for file in archives(path)[:1]:
            if file.stat().st_mtime < before_wall:
                file.unlink()
                return file
    except OSError as error:
        raise JournalError(f"{error.filename}: {error.strerror}") from error
    return None


def span(file: Path) -> tuple[int, int]:
    """Return the numbers of the first and the last record of an archive."""
    found = _NAME.fullmatch(file.name)
    assert found is not None
    return int(found[1]), int(found[2])


def archive_flaw(path: Path, anchor: Head) -> str | None:
    """Return what is wrong with the archives of a journal whose records begin after ``anchor``, or None.

    The oldest may have been dropped; from the first that is left on, each continues the one before.
    """
    files = [file for file in archives(path) if span(file)[0] <= anchor.sequence]
    if anchor == NOTHING:
        return None
    head: Head | None = None
    for file in files:
        try:
            first = next(iter(read_archive(file)), None)
            if first is None:
                return f"{file}: is empty"
            head = _walk(file, head or Head(first.sequence - 1, first.previous_hash))
        except JournalDamaged as error:
            if file.exists():
                return str(error)
            head = None  # it grew too old meanwhile, and the daemon has dropped it
    if head is not None and head != anchor:
        return f"{files[-1]}: ends with record {head.sequence}, and the journal goes on after {anchor.sequence}"
    return None
