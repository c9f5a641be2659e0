"""Journals as bytes: what a crash left on the disk, to be altered and looked at again."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ballastd.adapters.journal import SqliteJournal
from ballastd.adapters.journal.mark import mark_path
from ballastd.adapters.journal.sqlite import wal_path
from ballastd.errors import JournalError
from ballastd.ports.keeping import JournalRecord


def content(number: int) -> dict[str, Any]:
    return {"kind": "Test", "n": number, "third": number / 3, "name": f"gäst-{number}", "pad": "x" * (number % 7 * 20)}


@dataclass(frozen=True, slots=True)
class Image:
    """The files of a journal at one instant, and what had been appended to it by then."""

    files: dict[str, bytes]
    records: tuple[JournalRecord, ...]

    def write(self, directory: Path, **altered: bytes | None) -> Path:
        """Put the files into ``directory``, some of them altered or left out; return the journal's path.

        The keywords are ``db``, ``wal`` and ``mark``.
        """
        path = directory / "journal.db"
        for name, place in (("db", path), ("wal", wal_path(path)), ("mark", mark_path(path))):
            data = altered.get(name, self.files.get(name))
            if data is None:
                place.unlink(missing_ok=True)
            else:
                place.write_bytes(data)
        path.with_name(path.name + "-shm").unlink(missing_ok=True)
        return path


def take_image(path: Path, records: tuple[JournalRecord, ...]) -> Image:
    """Return the journal at ``path`` as its files are now; if it is in use, that is what a crash would leave."""
    places = {"db": path, "wal": wal_path(path), "mark": mark_path(path)}
    return Image({name: place.read_bytes() for name, place in places.items() if place.exists()}, records)


def crashed(directory: Path, records: int = 20) -> Image:
    """Return what the crash of a daemon leaves: all records are in the log."""
    journal = SqliteJournal(directory / "crashed.db")
    journal.open()
    for number in range(1, records + 1):
        journal.append(number, [content(number)])
    image = take_image(directory / "crashed.db", tuple(journal.replay()))
    journal.close()
    return image


def stopped(directory: Path, records: int = 20) -> Image:
    """Return what an orderly stop leaves: all records are in the database, and there is no log."""
    crashed(directory, records)
    path = directory / "crashed.db"
    journal = SqliteJournal(path)
    journal.open()
    kept = tuple(journal.replay())
    journal.close()
    return take_image(path, kept)


def flipped(data: bytes, offset: int) -> bytes:
    """Return ``data`` with one bit, or all bits, of one byte turned over."""
    mask = 0xFF if offset % 2 else 1 << (offset // 2 % 8)
    return data[:offset] + bytes([data[offset] ^ mask]) + data[offset + 1:]


def what_is_found(path: Path) -> tuple[str | None, tuple[JournalRecord, ...]]:
    """Open the journal at ``path`` as a daemon does; return the damage or refusal, and what could be read."""
    journal = SqliteJournal(path)
    try:
        health = journal.open()
    except JournalError as error:
        return f"refused: {error}", ()
    try:
        return health.damage, tuple(journal.replay())
    finally:
        journal.close()


def clear(directory: Path) -> None:
    """Leave nothing in ``directory``."""
    shutil.rmtree(directory)
    directory.mkdir()
