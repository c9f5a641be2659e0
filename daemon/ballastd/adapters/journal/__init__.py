"""The journal on SQLite: append-only, chained, and checked against a second file that SQLite knows nothing of."""

from ballastd.adapters.journal.sqlite import SqliteJournal
from ballastd.adapters.journal.verification import verify

__all__ = ["SqliteJournal", "verify"]
