"""The high-water mark: a small second file that says how far the journal went, so that lost rows are noticed.

Two slots, each in a block of its own, written in turn and synced: a torn write leaves the other one whole. The mark
is written after the rows are durable: it may lag by one append after a crash, it is never ahead of them.
"""

from __future__ import annotations

import contextlib
import os
import zlib
from pathlib import Path

from ballastd.adapters.journal.chain import Head

SLOT_BYTES = 4096
SLOTS = 2


def mark_path(path: Path) -> Path:
    """Return where the mark of the journal at ``path`` is."""
    return path.with_name(path.name + ".mark")


def read_mark(path: Path) -> Head | None:
    """Return the newest whole mark in the file ``path``, or None where there is no file.

    Raises:
        ValueError: the file is there and no slot is whole.
    """
    try:
        slots = _slots(path.read_bytes())
    except FileNotFoundError:
        return None
    newest = _newest(slots)
    if newest is None:
        raise ValueError("the high-water mark is unreadable")
    return slots[newest]


def _slots(raw: bytes) -> list[Head | None]:
    return [_parse(raw[i * SLOT_BYTES:(i + 1) * SLOT_BYTES]) for i in range(SLOTS)]


def _newest(slots: list[Head | None]) -> int | None:
    whole = [(mark.sequence, i) for i, mark in enumerate(slots) if mark is not None]
    return max(whole)[1] if whole else None


def _parse(slot: bytes) -> Head | None:
    try:
        sequence, digest, check = slot.decode("ascii").split()
        return Head(int(sequence), digest) if check == _check(sequence, digest) else None
    except (UnicodeDecodeError, ValueError):
        return None


def _check(sequence: str, digest: str) -> str:
    body = f"{sequence} {digest}"
    return f"{zlib.crc32(body.encode()):08x}"


def _slot(mark: Head) -> bytes:
    check = _check(str(mark.sequence), mark.hash)
    return f"{mark.sequence} {mark.hash} {check}".ljust(SLOT_BYTES - 1).encode("ascii") + b"\n"


def create_mark(path: Path, mark: Head) -> None:
    """Put a new mark file at ``path``, in place of any other: all of it or nothing, both slots filled, so that
    writing it later takes no more room."""
    new = path.with_name(path.name + ".new")
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(_slot(mark) * SLOTS)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Make the names in ``directory`` durable."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class MarkFile:
    """An existing mark file, open for writing."""

    def __init__(self, path: Path) -> None:
        self._handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self._next = 0
        newest = _newest(_slots(os.pread(self._handle, SLOT_BYTES * SLOTS, 0)))
        if newest is not None:
            self._next = (newest + 1) % SLOTS

    def write(self, mark: Head) -> None:
        """Make ``mark`` durable over the older of the two slots. If that fails, the other one still stands."""
        os.pwrite(self._handle, _slot(mark), SLOT_BYTES * self._next)
        os.fdatasync(self._handle)
        self._next = (self._next + 1) % SLOTS

    def close(self) -> None:
        """Close it."""
        handle, self._handle = self._handle, -1
        with contextlib.suppress(OSError):
            os.close(handle)
