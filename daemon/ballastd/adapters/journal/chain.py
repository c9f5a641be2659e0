"""What makes a row's content certain: one canonical text, a checksum of the row, a hash over all before it."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ballastd.errors import JournalError


@dataclass(frozen=True, slots=True)
class Head:
    """The sequence number and hash of a journal's last record."""

    sequence: int
    hash: str


NOTHING = Head(0, "0" * 64)
"""The head of an empty journal: what the first record has for a predecessor."""


class StoredRow(NamedTuple):
    """One row, column by column."""

    sequence: int
    revision: int
    content: str
    checksum: str
    previous_hash: str
    hash: str


def canonical(content: dict[str, Any]) -> str:
    """Return the one text of a record: sorted keys, no spaces, no NaN; what JSON can say comes back exactly.

    Raises:
        JournalError: it cannot be said in JSON.
    """
    try:
        text = _dump(content, ascii_only=False)
        try:
            text.encode()
        except UnicodeEncodeError:
            # half a surrogate pair, in a name some stranger chose: only an escape can carry it, and it must not
            # keep everything else from being recorded
            text = _dump(content, ascii_only=True)
    except (ValueError, TypeError, RecursionError) as error:
        raise JournalError(f"a record cannot be written as JSON: {error}") from error
    return text


def _dump(content: dict[str, Any], *, ascii_only: bool) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=ascii_only, allow_nan=False)


def checksum(sequence: int, revision: int, content: str) -> str:
    """Return the checksum of one row by itself: eight hexadecimal digits."""
    text = f"{sequence}\n{revision}\n{content}"
    return f"{zlib.crc32(text.encode()):08x}"


def link(sequence: int, revision: int, content: str, previous_hash: str) -> str:
    """Return the hash of a record, which covers its place, its content and everything before it."""
    return hashlib.sha256(f"{sequence}\n{revision}\n{previous_hash}\n{content}".encode()).hexdigest()


def chained(head: Head, revision: int, contents: Sequence[dict[str, Any]]) -> list[StoredRow]:
    """Return the rows that continue a journal whose last record is ``head``.

    Raises:
        JournalError: a content cannot be said in JSON.
    """
    rows: list[StoredRow] = []
    for content in contents:
        sequence, text, previous = head.sequence + 1, canonical(content), head.hash
        head = Head(sequence, link(sequence, revision, text, previous))
        rows.append(StoredRow(sequence, revision, text, checksum(sequence, revision, text), previous, head.hash))
    return rows


def is_unaltered(row: StoredRow) -> bool:
    """Return whether ``row`` by itself is what was written: of the right types, and with the right checksum."""
    return (type(row.revision), type(row.content)) == (int, str) and row.checksum == checksum(
        row.sequence, row.revision, row.content)


def flaw(row: StoredRow, before: Head) -> str | None:
    """Return in words why ``row`` is not the record after ``before``, or None if it is."""
    wanted = before.sequence + 1
    if row.sequence != wanted:
        lost = f"record {wanted} is" if row.sequence == wanted + 1 else f"records {wanted} to {row.sequence - 1} are"
        return f"{lost} missing: record {row.sequence} comes after {before.sequence}"
    if not is_unaltered(row):
        return f"record {row.sequence} was altered: its checksum does not fit"
    if row.previous_hash != before.hash:
        return f"record {row.sequence} does not follow record {before.sequence}: one of them was put there"
    if row.hash != link(row.sequence, row.revision, row.content, row.previous_hash):
        return f"record {row.sequence} was put there: its hash does not fit"
    return None
