"""The journal's one table, in SQLAlchemy's words, so that another database can hold it as well."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import sqlalchemy as sa

SCHEMA_VERSION = 1
GENESIS = "0" * 64

metadata = sa.MetaData()
records = sa.Table(
    "records", metadata,
    sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("content", sa.Text, nullable=False),
    sa.Column("previous", sa.String(64), nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
)
about = sa.Table("about", metadata, sa.Column("key", sa.String(64), primary_key=True),
                 sa.Column("value", sa.Text, nullable=False))


def canonical(content: dict[str, Any]) -> str:
    """Return the one text of a record: sorted keys, no spaces, no NaN."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def chain(sequence: int, revision: int, content: str, previous: str) -> str:
    """Return the hash of a record, which covers its place, its content and everything before it."""
    return hashlib.sha256(f"{sequence}\n{revision}\n{previous}\n{content}".encode()).hexdigest()
