"""Parts of a report before they are shown: titles, cells with their tone, and figures in words. No terminal, no HTML."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from ballastd.cli.formats import NOTHING

GOOD, BAD, CAUTION, FAINT, STRONG = "good", "bad", "caution", "faint", "strong"


@dataclass(frozen=True, slots=True)
class Cell:
    """Words and their tone."""

    text: str
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Title:
    """What stands above a column. ``right``: its numbers line up."""

    text: str
    right: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """One part: a table, or what is said where it has no rows, and lines below. Without ``titles`` the first cell of
    each row says what the second is."""

    title: str
    titles: tuple[Title, ...] = ()
    rows: tuple[tuple[Cell, ...], ...] = ()
    empty: Cell = Cell("none", FAINT)
    below: tuple[Cell, ...] = ()


def titles(*names: str) -> tuple[Title, ...]:
    """Return titles of columns; one that begins with ``>`` has numbers that line up."""
    return tuple(Title(name.removeprefix(">"), name.startswith(">")) for name in names)


def row(*cells: str | Cell) -> tuple[Cell, ...]:
    """Return a row; plain text has no tone."""
    return tuple(Cell(cell) if isinstance(cell, str) else cell for cell in cells)


def rest(count: int, shown: int, what: str) -> tuple[Cell, ...]:
    """Return the line that says how many are not shown, none where all are."""
    return (Cell(f"and {count - shown} more {what}", FAINT),) if count > shown else ()


def counted(count: int, what: str) -> str:
    """Return ``1 host``, ``2 hosts``, ``1,200 moves``."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def seconds(value: float | None) -> str:
    """Return a duration that may be short: ``0.4 s``, ``12 s``, ``4 min 10 s``, ``2 h 5 min``; ``-`` for None."""
    if value is None:
        return NOTHING
    if value < 9.95:
        return f"{value:.1f} s"
    whole = round(value)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60} min"


def hours(value: float | None) -> str:
    """Return hours with one digit, ``-`` for None."""
    return NOTHING if value is None else f"{value:,.1f}"


def elapsed(at: float) -> str:
    """Return a moment of a rehearsal to the millisecond: ``+26:03:04.250``."""
    thousandths = round(abs(at) * 1000)
    minutes, rest_of_minute = divmod(thousandths, 60_000)
    return f"{'-' if at < 0 else '+'}{minutes // 60}:{minutes % 60:02}:{rest_of_minute / 1000:06.3f}"


def wall_of(began_wall: float, at: float) -> datetime | None:
    """Return the wall time of a moment, None where the rehearsal had none (it began at the epoch or before)."""
    if began_wall <= 0:
        return None
    try:
        return datetime.fromtimestamp(began_wall + at, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def wall_clock(began_wall: float, at: float) -> str:
    """Return the wall time of a moment to the millisecond, ``-`` where there is none."""
    found = wall_of(began_wall, at)
    return NOTHING if found is None else f"{found:%Y-%m-%d %H:%M:%S}.{found.microsecond // 1000:03}Z"
