"""What controllers say, made fit for use: words printable and bounded, machines by their canonical UUID."""

from __future__ import annotations

import re

WORDS_SHOWN = 300
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
SHARED = frozenset({"03000200-0400-0500-0006-000700080009", "00020003-0004-0005-0006-000700080009"})
"""What thousands of boards are shipped with, in either order of bytes."""


def machine(text: str) -> str | None:
    """Return an SMBIOS UUID in lower case, its bytes in the order given; None where it names no machine in particular:
    unset (every digit the same, SMBIOS 7.2.1), or a maker's placeholder.

    Raises:
        ValueError: it is no UUID.
    """
    uuid = text.strip().lower()
    if not UUID.fullmatch(uuid):
        raise ValueError(f"{shown(text) or 'nothing'} is no UUID")
    return None if uuid in SHARED or len(set(uuid) - {"-"}) == 1 else uuid


def shown(text: str) -> str:
    """Return words of a stranger's fit to be logged: printable, on one line, bounded."""
    plain = "".join(sign if sign.isprintable() else " " for sign in text[:4 * WORDS_SHOWN])
    line = " ".join(plain.split())
    return line if len(line) <= WORDS_SHOWN else f"{line[:WORDS_SHOWN]}..."
