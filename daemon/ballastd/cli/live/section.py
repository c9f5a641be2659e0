"""One section of a frame: columns, the rows that are worth showing, and nothing about how much room there is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ballastd.cli.formats import NOTHING, share
from ballastd.cli.live.grid import Cell, Column, Row
from ballastd.cli.output import TONES

BUSY = 0.75
FULL = 0.9


@dataclass(frozen=True, slots=True)
class Section:
    """``rows``: those worth showing, the first ones first. ``count``: how many there are in all, shown or not.
    ``least``: rows that matter more than another section's further rows. ``rest``: what is said of those that are not
    shown, by how many are; None: they are only counted."""

    key: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    count: int
    least: int = 1
    rest: Callable[[int], str] | None = None


def words(text: str) -> Cell:
    """Return a cell in the tone that its word has everywhere."""
    return Cell(text, TONES.get(text, ""))


def load(used: float | None, label: str | None = None, *more: float) -> Cell:
    """Return a share as a bar in the colour of its height, labelled with its percentage unless told otherwise; ``more``
    is laid end to end with it. Only the label where nothing is known."""
    if used is None:
        return Cell(NOTHING if label is None else label)
    whole = used + sum(more)
    tone = "red" if whole >= FULL else "yellow" if whole >= BUSY else "green"
    return Cell(share(whole) if label is None else label, tone, (used, *more))
