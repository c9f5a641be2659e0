"""Numbers the way people say them, and the other way round; words of strangers made fit for a terminal."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import click

from ballastd.core.quantities import how_long, human_bytes

_SPANS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(?:(\d{1,6}(?:\.\d{1,3})?)(s|m|h|d))", re.ASCII)
NOTHING = "-"


def printable(text: str) -> str:
    """Return ``text`` with everything that is no printable character spelled out: a VM's name may hold a
    terminal's escape sequences, or signs that turn the line around."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)


def age(seconds: float | None) -> str:
    """Return a duration in its largest unit: ``45s``, ``12m``, ``3h``, ``2d``; ``-`` for None."""
    if seconds is None:
        return NOTHING
    for unit in ("d", "h", "m"):
        if abs(seconds) >= _SPANS[unit]:
            return f"{seconds / _SPANS[unit]:.0f}{unit}"
    return f"{seconds:.0f}s"


def takes(seconds: float, *, ends: bool) -> str:
    """Return how long something will take, or that it is known never to end."""
    return how_long(seconds, ends=ends, words=age)


NEVER = "for ever"


def time_left(migration: Mapping[str, Any]) -> str:
    """Return how long a migration will still take: at what its last round showed; where nothing was shown yet, at the pace
    so far or at what was predicted, if it is not known never to end."""
    if migration["settled_wall"] is not None:
        return NOTHING
    if migration.get("left") is not None:
        return age(migration["left"])
    if (migration.get("rounds") or 0) > 1 or not migration["ends"]:
        return NEVER
    done, elapsed = migration["progress"] or 0.0, migration["elapsed"]
    return age(elapsed * (1.0 - done) / done if done > 0.02 else max(0.0, migration["predicted"] - elapsed))


def size(value: float | None) -> str:
    """Return a number of bytes in its largest binary unit; ``-`` for None."""
    return NOTHING if value is None else human_bytes(value)


def share(value: float | None) -> str:
    """Return a ratio in percent; ``-`` for None."""
    return NOTHING if value is None else f"{value:.0%}"


def cores(used: float | None, whole: float) -> str:
    """Return processors in use of how many there are: ``1.3 of 4``, ``- of 4`` for None."""
    return f"{NOTHING if used is None else f'{used:.1f}'} of {whole:g}"


def yes(value: bool) -> str:
    """Return ``yes`` or ``no``."""
    return "yes" if value else "no"


def clock(wall: float | None) -> str:
    """Return a moment in UTC to the second; ``-`` for None or a moment no calendar has."""
    if wall is None:
        return NOTHING
    try:
        return f"{datetime.fromtimestamp(wall, UTC):%Y-%m-%d %H:%M:%SZ}"
    except (ValueError, OverflowError, OSError):
        return NOTHING


def duration(text: str) -> float:
    """Return the seconds, more than none, of ``90s``, ``30m``, ``2h``, ``1d`` or several in a row (``1h30m``).

    Raises:
        click.BadParameter: it is no duration.
    """
    parts = _DURATION.findall(text)
    seconds = sum(float(number) * _SPANS[unit] for number, unit in parts)
    if "".join(number + unit for number, unit in parts) != text or seconds <= 0:
        raise click.BadParameter(f"{text!r} is no duration; write it like 90s, 30m, 2h or 1h30m")
    return seconds
