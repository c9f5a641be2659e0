"""The journal's tables and statements, in SQLAlchemy's words, so that another database can hold it as well."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from ballastd.adapters.journal.chain import NOTHING, Head, StoredRow

SCHEMA_VERSION = 1

metadata = sa.MetaData()
records = sa.Table(
    "records", metadata,
    sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("content", sa.Text, nullable=False),
    sa.Column("checksum", sa.String(8), nullable=False),
    sa.Column("previous_hash", sa.String(64), nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
)
about = sa.Table("about", metadata, sa.Column("key", sa.String(64), primary_key=True),
                 sa.Column("value", sa.Text, nullable=False))

BATCH_ROWS = 1000


def create_tables(connection: sa.Connection) -> None:
    """Create both tables and note the version of their shape."""
    metadata.create_all(connection)
    connection.execute(about.insert().values(key="schema", value=str(SCHEMA_VERSION)))


def tables(connection: sa.Connection) -> frozenset[str]:
    """Return the names of all tables there are."""
    return frozenset(sa.inspect(connection).get_table_names())


def schema_version(connection: sa.Connection) -> str | None:
    """Return the version that the tables were created in, None where nobody noted it."""
    value: str | None = connection.execute(sa.select(about.c.value).where(about.c.key == "schema")).scalar()
    return value


def anchor(connection: sa.Connection) -> Head:
    """Return the head of what was archived: what the first row follows.

    Raises:
        ValueError: what is noted is no head.
    """
    value = connection.execute(sa.select(about.c.value).where(about.c.key == "anchor")).scalar()
    if value is None:
        return NOTHING
    sequence, digest = str(value).split()
    return Head(int(sequence), digest)


def cut(connection: sa.Connection, last: Head) -> None:
    """Take the rows up to ``last`` out, and note it as what the first row follows."""
    connection.execute(about.delete().where(about.c.key == "anchor"))
    connection.execute(about.insert().values(key="anchor", value=f"{last.sequence} {last.hash}"))
    connection.execute(records.delete().where(records.c.sequence <= last.sequence))


def insert_rows(connection: sa.Connection, rows: Sequence[StoredRow]) -> None:
    """Add ``rows``; whether they stay is up to the transaction."""
    connection.execute(records.insert(), [row._asdict() for row in rows])


def all_rows() -> sa.Select[Any]:
    """All rows in order, fetched in batches: memory stays the same however many there are."""
    return sa.select(records).order_by(records.c.sequence).execution_options(yield_per=BATCH_ROWS)


def row_at(sequence: int) -> sa.Select[Any]:
    """The row with this sequence number, or none."""
    return sa.select(records).where(records.c.sequence == sequence)


def rows_between(first: int, last: int) -> sa.Select[Any]:
    """The rows from ``first`` to ``last``, both included, in order."""
    return sa.select(records).where(records.c.sequence.between(first, last)).order_by(records.c.sequence)
