"""A picture for a log: one block of plain lines, each beginning with what it is about, in columns that stay where
they are from block to block."""

from __future__ import annotations

from collections.abc import Collection

from rich.cells import cell_len

from ballastd.cli.formats import clock
from ballastd.cli.live.frame import sections
from ballastd.cli.live.grid import Column, text_of
from ballastd.cli.live.header import Picture, header
from ballastd.cli.live.section import Section
from ballastd.cli.live.signs import Signs, shown
from ballastd.core.views import RecentView

ROWS_MAX = 10
_HOSTS_MAX = 30
_HEADER_WIDTH = 400
_WORD = 10


def block(picture: Picture, now: float, signs: Signs, told: Collection[RecentView] | None = None, *,
          titles: bool = True) -> list[str]:
    """Return the lines of one block. ``now``: wall seconds here. ``told``: decisions that an
    earlier block told. ``titles``: whether sections begin with the names of their columns."""
    head = header(picture, now, _HEADER_WIDTH, ROWS_MAX, signs, bar_width=0)
    lines = [f"{'at':<{_WORD}}{clock(now)}  {text_of(line).strip()}" for line in head]
    if picture.view is None:
        return lines
    for section in sections(picture.view, _HOSTS_MAX):
        if section.key == "decided" and told is not None:
            fresh = sum(1 for recent in picture.view.recent[:len(section.rows)] if recent not in told)
            lines.extend(_lines(section, fresh, signs, titles=titles and bool(fresh), rest=False))
        else:
            lines.extend(_lines(section, _HOSTS_MAX if section.key == "host" else ROWS_MAX, signs, titles=titles))
    return lines


def _lines(section: Section, rows_max: int, signs: Signs, *, titles: bool, rest: bool = True) -> list[str]:
    listed = section.rows[:rows_max]
    lines = [_line(section, [column.title for column in section.columns])] if titles else []
    lines.extend(_line(section, [shown(cell.text, signs.encoding) for cell in row]) for row in listed)
    if rest and section.count > len(listed):
        more = f"and {section.count - len(listed)} more" if section.rest is None else section.rest(len(listed))
        lines.append(f"{section.key:<{_WORD}}{shown(more, signs.encoding)}")
    return lines


def _line(section: Section, words: list[str]) -> str:
    cells = [_cell(text, column) for text, column in zip(words, section.columns, strict=True)]
    return f"{section.key:<{_WORD}}{'  '.join(cells)}".rstrip()


def _cell(text: str, column: Column) -> str:
    """Return ``text`` in its column's usual width; what is longer is never cut: a log is there to be searched."""
    blanks = " " * max(0, max(column.width, len(column.title)) - cell_len(text))
    return blanks + text if column.right else text + blanks
