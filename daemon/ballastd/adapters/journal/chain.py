"""What makes a row's content certain: one canonical text, a checksum of the row, a hash over all before it."""

from __future__ import annotations

import hashlib
import json
import zlib
from typing import Any

from ballastd.errors import JournalError

GENESIS = "0" * 64
"""What the first record has for a predecessor's hash."""


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
