"""The journal on SQLite: append-only, chained, and checked against a second file that SQLite knows nothing of."""

from ballastd.adapters.journal.chain import canonical
from ballastd.adapters.journal.journal import SqliteJournal
from ballastd.adapters.journal.quarantine import SetAside, quarantine
from ballastd.adapters.journal.verification import verify

__all__ = ["SetAside", "SqliteJournal", "canonical", "quarantine", "verify"]
