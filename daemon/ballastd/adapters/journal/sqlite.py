"""What is SQLite's own about the journal: its files, its connections, its words for trouble.

Reading never changes a file: a damaged journal stays as it was found, its log included, until somebody who can
read more out of it than we do has had a look.
"""

from __future__ import annotations

import contextlib
import errno
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa

from ballastd.errors import JournalError

BUSY_SECONDS = 5.0
CHECKPOINT_PAGES = 1000
PRAGMAS = ("synchronous=FULL", f"wal_autocheckpoint={CHECKPOINT_PAGES}")

UNREADABLE = (sa.exc.SQLAlchemyError, UnicodeError)
"""What reading a damaged database raises: its own complaints may quote names that are text no longer."""

_CURES = {
    sqlite3.SQLITE_FULL: "nothing was written; make room on its file system, and appending goes on by itself",
    sqlite3.SQLITE_READONLY: "nothing can be written; mount its file system writable, and let the daemon's user own "
                             "the file and its directory",
    sqlite3.SQLITE_CANTOPEN: "let the daemon's user own the file and its directory, and see that there is room",
    sqlite3.SQLITE_PERM: "let the daemon's user own the file and its directory",
    sqlite3.SQLITE_BUSY: "another program holds the database; close it there",
    sqlite3.SQLITE_LOCKED: "another program holds the database; close it there",
    sqlite3.SQLITE_IOERR: "the disk failed, or is full; the kernel's log knows which",
    sqlite3.SQLITE_NOMEM: "there is no memory left",
}
_CURES_OF_SYSTEM = {
    errno.ENOSPC: _CURES[sqlite3.SQLITE_FULL],
    errno.EDQUOT: _CURES[sqlite3.SQLITE_FULL],
    errno.EROFS: _CURES[sqlite3.SQLITE_READONLY],
    errno.EACCES: _CURES[sqlite3.SQLITE_PERM],
    errno.EPERM: _CURES[sqlite3.SQLITE_PERM],
    errno.EIO: _CURES[sqlite3.SQLITE_IOERR],
}
"""The same for files that are not SQLite's: the mark, the lock, archives."""


def wal_path(path: Path) -> Path:
    """Return where SQLite keeps the log of the database at ``path``."""
    return path.with_name(path.name + "-wal")


def database_files(path: Path) -> tuple[Path, ...]:
    """Return the files that SQLite may keep for the database at ``path``, itself first."""
    return tuple(path.with_name(path.name + suffix) for suffix in ("", "-wal", "-shm", "-journal"))


@contextlib.contextmanager
def reading(path: Path) -> Iterator[sa.Connection]:
    """Yield a connection that sees the database at ``path`` as it is at the first look, and changes nothing."""
    # whoever may write it has a log there; without one nothing moves, and no shared memory need be made to read it
    access = "ro" if wal_path(path).exists() else "ro&immutable=1"
    engine = _engine(path, access, "BEGIN", sa.pool.NullPool)
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def writing(path: Path) -> sa.Engine:
    """Return an engine with one connection, for the only writer of the database at ``path``, which exists.

    Raises:
        sa.exc.DBAPIError: it cannot be written.
        JournalError: its file system does not let SQLite keep a log.
    """
    engine = _engine(path, "rw", "BEGIN IMMEDIATE", sa.pool.StaticPool)
    try:
        with engine.connect() as connection:  # the transaction that this begins needs the right to write
            mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar()
    except BaseException:
        engine.dispose()
        raise
    if mode != "wal":
        engine.dispose()
        raise JournalError(f"{path}: its journal mode is {mode}, not wal; put it on a local file system")
    return engine


def make_wal(path: Path) -> None:
    """Make an empty file a database that keeps a write-ahead log."""
    with contextlib.closing(_connect(path, "rw")) as connection:
        connection.execute("PRAGMA journal_mode=WAL")


def structure_flaw(connection: sa.Connection) -> str | None:
    """Return the first thing that SQLite itself finds wrong with the file, or None."""
    found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
    return None if found == "ok" else str(found)


def is_about_the_machine(error: BaseException) -> bool:
    """Return whether ``error`` speaks of rights, room or the disk, and not of what is in the file."""
    return _code(error) in _CURES


def in_words(error: BaseException) -> str:
    """Return what went wrong, and what to do about it where we know."""
    if isinstance(error, OSError):
        cure = _CURES_OF_SYSTEM.get(error.errno or 0)
        text = ": ".join(str(part) for part in (error.filename, error.strerror or error) if part)
    else:
        cure = _CURES.get(_code(error) or -1)
        text = str(getattr(error, "orig", None) or error)
    return f"{text}; {cure}" if cure else text


def _code(error: BaseException) -> int | None:
    code = getattr(getattr(error, "orig", None) or error, "sqlite_errorcode", None)
    return None if code is None else int(code) & 0xFF


def _connect(path: Path, access: str) -> sqlite3.Connection:
    connection = sqlite3.connect(f"file:{quote(str(path))}?mode={access}", uri=True, timeout=BUSY_SECONDS,
                                 isolation_level=None, check_same_thread=False)
    if access == "rw":
        for pragma in PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
    return connection


def _engine(path: Path, access: str, begin: str, pool: type[sa.pool.Pool]) -> sa.Engine:
    engine = sa.create_engine("sqlite://", creator=lambda: _connect(path, access), poolclass=pool)

    # the driver's own idea of when a transaction begins leaves statements that make tables outside
    @sa.event.listens_for(engine, "begin")
    def begin_transaction(connection: Any) -> None:
        connection.exec_driver_sql(begin)

    return engine
