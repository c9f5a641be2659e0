"""A journal comes into being all at once: built beside its place, then renamed into it. No half of one is ever found."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ballastd.adapters.journal import schema, sqlite
from ballastd.adapters.journal.chain import NOTHING, Head, chained
from ballastd.adapters.journal.mark import sync_directory


def create(path: Path) -> Head:
    """Create an empty journal at ``path``, where there is none or an empty file; return its head.

    Raises:
        sa.exc.DBAPIError, OSError: there is no room, or no right.
    """
    new, head = build(path, ())
    put_in_place(new, path)
    return head


def build(path: Path, contents: Sequence[dict[str, Any]]) -> tuple[Path, Head]:
    """Build a journal of revision 0 with ``contents`` beside ``path``; return where it is and its head."""
    new = path.with_name(path.name + ".new")
    for leftover in sqlite.database_files(new):
        leftover.unlink(missing_ok=True)
    os.close(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    sqlite.make_wal(new)
    rows = chained(NOTHING, 0, contents)
    engine = sqlite.writing(new)
    try:
        with engine.begin() as connection:
            schema.create_tables(connection)
            if rows:
                schema.insert_rows(connection, rows)
    finally:
        engine.dispose()  # the last one out writes the log back: one file is left
    if sqlite.wal_path(new).exists():
        raise OSError(f"{new}: its log could not be written back")
    return new, Head(rows[-1].sequence, rows[-1].hash) if rows else NOTHING


def put_in_place(new: Path, path: Path) -> None:
    """Rename a built journal to ``path``, durably."""
    handle = os.open(new, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    new.replace(path)
    sync_directory(path.parent)
