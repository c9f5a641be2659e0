"""Columns of cells as lines that fit a width: columns give way in the order of their rank, bars before words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from ballastd.cli.live.signs import Signs, bar, clipped, padded, shown

Span = tuple[str, str]
"""Text and the style it is shown in."""
Line = tuple[Span, ...]
GAP = "  "
TITLES = "bold reverse"
BAR_LEAST = 8
BAR_RANK = 3
"""Columns of a higher rank are left out before the bars are."""
DIM = "dim"


@dataclass(frozen=True, slots=True)
class Cell:
    """Words, and before them a bar where there are ``shares`` (of a whole)."""

    text: str
    tone: str = ""
    shares: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Column:
    """A title and how wide its words usually are. ``least``: what they may be cut to, None for not at all;
    ``bar``: how wide its bar would like to be; ``rank``: the higher, the sooner it is left out; 0 stays."""

    title: str
    width: int
    least: int | None = None
    rank: int = 0
    right: bool = False
    bar: int = 0


Row = tuple[Cell, ...]


def fit(columns: Sequence[Column], rows: Sequence[Row], width: int, signs: Signs) -> list[Line]:
    """Return the line of titles, ``width`` wide, and a line per row, none wider."""
    words = [[shown(cell.text, signs.encoding) for cell in row] for row in rows]
    needs = [max([cell_len(column.title), *(cell_len(line[n]) for line in words)]) for n, column in enumerate(columns)]
    kept, bars = _kept(columns, needs, width)
    widths = _shared_out(columns, needs, kept, width, bars)
    titles = GAP.join(_title(columns[n], widths[n], signs) for n in kept)
    lines: list[Line] = [((padded(titles, width, signs), TITLES),)]
    for row, line in zip(rows, words, strict=True):
        spans = [_cell(row[n], line[n], columns[n], widths[n], signs) for n in kept]
        lines.append(cut(joined(spans), width, signs))
    return lines


def _kept(columns: Sequence[Column], needs: Sequence[int], width: int) -> tuple[list[int], bool]:
    """Return which columns stay, as many as have room at their least, and whether there is room for bars."""
    kept, bars = list(range(len(columns))), True
    while sum(_least(columns[n], needs[n], bars) for n in kept) + len(GAP) * (len(kept) - 1) > width:
        weakest = max(kept, key=lambda n: columns[n].rank)
        if bars and columns[weakest].rank <= BAR_RANK:
            bars = False
        elif columns[weakest].rank:
            kept.remove(weakest)
        else:
            break
    return kept, bars


def _least(column: Column, need: int, bars: bool) -> int:
    """Return the least that a column needs, the blank between bar and words included."""
    words = need if column.least is None else min(need, column.least)
    return words + (BAR_LEAST + 1 if bars and column.bar else 0)


def _shared_out(columns: Sequence[Column], needs: Sequence[int], kept: Sequence[int], width: int,
                bars: bool) -> dict[int, tuple[int, int]]:
    """Return how wide words and bar of each column become. What is left over goes to words that would be cut, then to
    columns that are narrower than usual (so that they stay where they are from frame to frame), then to bars."""
    words = {n: _least(columns[n], needs[n], False) for n in kept}
    spans = {n: BAR_LEAST if bars and columns[n].bar else 0 for n in kept}
    spare = width - len(GAP) * (len(kept) - 1) - sum(_least(columns[n], needs[n], bars) for n in kept)
    for goal in (needs, [column.width for column in columns]):
        for n in kept:
            more = max(0, min(spare, goal[n] - words[n]))
            words[n] += more
            spare -= more
    growing = [n for n in kept if spans[n]]
    for place, n in enumerate(growing):
        more = max(0, min(columns[n].bar - BAR_LEAST, spare // (len(growing) - place)))
        spans[n] += more
        spare -= more
    return {n: (words[n], spans[n]) for n in kept}


def _title(column: Column, widths: tuple[int, int], signs: Signs) -> str:
    words, bar_width = widths
    whole = words + (bar_width + 1 if bar_width else 0)
    return padded(shown(column.title, signs.encoding), whole, signs, right=column.right and not bar_width)


def _cell(cell: Cell, text: str, column: Column, widths: tuple[int, int], signs: Signs) -> Line:
    words, bar_width = widths
    said = (padded(text, words, signs, right=column.right), cell.tone)
    if not bar_width:
        return (said,)
    if not cell.shares:
        return ((" " * (bar_width + 1), ""), said)
    filled, rest = bar(cell.shares, bar_width, signs)
    return ((filled, cell.tone), (rest, DIM), (" ", ""), said)


def joined(parts: Sequence[Line], gap: str = GAP) -> Line:
    """Return ``parts`` as one line, with a gap between two."""
    spans: list[Span] = []
    for part in parts:
        if spans:
            spans.append((gap, ""))
        spans.extend(part)
    return tuple(spans)


def cut(line: Line, width: int, signs: Signs) -> Line:
    """Return ``line`` without what goes beyond ``width``, and without blanks at its end."""
    spans: list[Span] = []
    left = width
    for text, style in line:
        if left <= 0:
            break
        piece = clipped(text, left, signs)
        left -= cell_len(piece)
        spans.append((piece, style))
    while spans and not spans[-1][0].strip(" "):
        spans.pop()
    if spans:
        spans[-1] = (spans[-1][0].rstrip(" "), spans[-1][1])
    return tuple(spans)


def flow(parts: Sequence[Line], width: int, lines_max: int, signs: Signs) -> list[Line]:
    """Return ``parts`` one after the other over as few lines as they need; those beyond ``lines_max`` are left out."""
    rows: list[list[Line]] = [[]]
    for part in parts:
        if rows[-1] and cell_len(text_of(joined([*rows[-1], part], "   "))) > width:
            rows.append([])
        rows[-1].append(part)
    return [cut(joined(row, "   "), width, signs) for row in rows[:lines_max] if row]


def text_of(line: Line) -> str:
    """Return ``line`` without its styles."""
    return "".join(text for text, _ in line)
