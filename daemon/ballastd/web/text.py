"""Words of strangers, made fit for logs, journals and terminals."""

from __future__ import annotations


def one_line(text: str) -> str:
    """Return ``text`` on one line, without control, format or unpaired characters and without doubled blanks."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())


def shown(text: str, length_max: int = 400) -> str:
    """Return ``text`` on one line and no longer than ``length_max``, to be quoted back."""
    line = one_line(text[:length_max + 1])
    return line if len(line) <= length_max else line[:length_max] + "…"
