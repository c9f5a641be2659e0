"""The high-water mark: a small second file that says how far the journal went, so that lost rows are noticed.

Two slots, written in turn and synced, so that a torn write leaves the other one whole. The mark is written after
the rows are durable: it may lag by one append after a crash, it is never ahead of what was acknowledged.
"""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass
from pathlib import Path

SLOT_BYTES = 128


@dataclass(frozen=True, slots=True)
class Mark:
    """The sequence number and hash of the last record that was acknowledged."""

    sequence: int
    hash: str


def read_mark(path: Path) -> Mark | None:
    """Return the newest whole mark, or None where there is no file.

    Raises:
        ValueError: the file is there and neither slot is whole.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    found = [mark for slot in (raw[:SLOT_BYTES], raw[SLOT_BYTES:2 * SLOT_BYTES]) if (mark := _parse(slot))]
    if not found:
        raise ValueError(f"{path}: the high-water mark is unreadable")
    return max(found, key=lambda mark: mark.sequence)


def _parse(slot: bytes) -> Mark | None:
    try:
        sequence, digest, check = slot.decode("ascii").split()
    except (UnicodeDecodeError, ValueError):
        return None
    whole = f"{zlib.crc32(f'{sequence} {digest}'.encode()):08x}" == check and sequence.isdecimal()
    return Mark(int(sequence), digest) if whole else None


class MarkFile:
    """The mark, open for writing."""

    def __init__(self, path: Path) -> None:
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def write(self, mark: Mark) -> None:
        """Make ``mark`` durable."""
        body = f"{mark.sequence} {mark.hash}"
        slot = f"{body} {zlib.crc32(body.encode()):08x}".ljust(SLOT_BYTES - 1) + "\n"
        os.pwrite(self._handle, slot.encode("ascii"), SLOT_BYTES * (mark.sequence % 2))
        os.fdatasync(self._handle)

    def close(self) -> None:
        """Close it."""
        os.close(self._handle)
