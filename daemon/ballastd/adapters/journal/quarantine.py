"""The cure for a damaged journal, which only an operator may ask for: set it aside whole, begin a new one."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from ballastd.adapters.journal import sqlite
from ballastd.adapters.journal.archive import archive_directory
from ballastd.adapters.journal.creation import build, put_in_place
from ballastd.adapters.journal.journal import check_place
from ballastd.adapters.journal.lock import WriterLock, lock_path
from ballastd.adapters.journal.mark import create_mark, mark_path, sync_directory
from ballastd.adapters.journal.remains import in_force
from ballastd.adapters.journal.verification import examine
from ballastd.core.events import JournalReplaced, Paused, to_record
from ballastd.errors import JournalError

PAUSED_BECAUSE = ("the journal is new: cordons, drains, latched verdicts, open migrations and hosts that are off of the "
                  "old one are not in it; look at the cluster, set them again, then resume")


@dataclass(frozen=True, slots=True)
class SetAside:
    """Where a journal went, its last good record, and what was wrong with it.

    ``in_force``: what its readable part left in force, in words; the new journal knows nothing of it.
    """

    place: Path
    last_good: int
    damage: str
    in_force: tuple[str, ...] = ()


def quarantine(path: Path | str, by: str, *, force: bool = False) -> SetAside:
    """Set the damaged journal at ``path`` aside, deleting nothing, and put a new one in its place.

    The new one names the old one and its last good record, and begins paused: what operators had decided is not
    known any more. Killed at any instant, it leaves a journal that is damaged still or whole already. What it
    makes belongs to whom the directory belongs to, so that root may do this for the daemon's user. ``force``: set a
    whole journal aside as well.

    Raises:
        JournalError: it is not damaged, it is in use, or there is no room for a new one.
    """
    path = Path(path)
    try:
        check_place(path)
        lock = WriterLock(path)
        try:
            found = examine(path)
            if found.damage is None and not (force and found.exists):
                raise JournalError(f"{path}: is not damaged; nothing was done")
            told = in_force(path)
            place = _replace(path, found.head.sequence, by)
        finally:
            lock.release()
    except (sa.exc.DBAPIError, OSError) as error:
        raise JournalError(f"{path}: {sqlite.in_words(error)}") from error
    return SetAside(place, found.head.sequence, found.damage or "nothing is wrong with it", told)


def _replace(path: Path, last_good: int, by: str) -> Path:
    wall = time.time()
    place = _new_directory(path, wall)
    new, head = build(path, [to_record(JournalReplaced(wall, str(place), last_good)),
                             to_record(Paused(wall, by, PAUSED_BECAUSE))])
    mark = mark_path(path)
    _give_away(path.parent, place, new, lock_path(path))
    if mark.exists():
        os.link(mark, place / mark.name)
    # from here until the new database is in place, the new mark makes whatever is found look damaged
    create_mark(mark, head)
    _give_away(path.parent, mark)
    for file in sqlite.database_files(path):
        if file.exists():
            file.rename(place / file.name)
    archived = archive_directory(path)
    if archived.exists():
        archived.rename(place / archived.name)
    sync_directory(place)
    put_in_place(new, path)
    return place


def _give_away(directory: Path, *files: Path) -> None:
    if os.geteuid() == 0:
        owner = directory.stat()
        for file in files:
            os.chown(file, owner.st_uid, owner.st_gid)


def _new_directory(path: Path, wall: float) -> Path:
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(wall))
    for suffix in ("", *(f"-{i}" for i in range(2, 100))):
        place = path.with_name(f"{path.name}.damaged-{stamp}{suffix}")
        if not place.exists():
            place.mkdir(mode=0o700)
            return place
    raise JournalError(f"{path}: there are too many directories named {place.name}")
