"""Parts on a terminal: colours and tables that fit it; in a pipe plain aligned lines without a single code."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ballastd.cli.live.signs import shown
from ballastd.cli.rehearsal.parts import FEW, MANY, all_moves, parts
from ballastd.cli.rehearsal.words import BAD, CAUTION, FAINT, GOOD, STRONG, Cell, Part, Title
from ballastd.core.rehearsed import Rehearsed

STYLES = {GOOD: "green", BAD: "bold red", CAUTION: "yellow", FAINT: "dim", STRONG: "bold", "": ""}
_INDENT = "  "


def render_terminal(rehearsed: Rehearsed, console: Console, moves: bool = False) -> None:
    """Print the report of ``rehearsed``. ``moves``: every single move as well, before the line on how to repeat it."""
    *most, last = parts(rehearsed, MANY if moves else FEW)
    print_parts([*most, *([all_moves(rehearsed)] if moves else []), last], console)


def print_parts(listed: Iterable[Part], console: Console) -> None:
    """Print parts with a blank line between."""
    for place, part in enumerate(listed):
        if place:
            console.print()
        _print(part, console)


def _print(part: Part, console: Console) -> None:
    _line(Cell(part.title, STRONG), console)
    if not part.rows:
        _line(part.empty, console, _INDENT)
    elif console.is_terminal:
        console.print(_table(part, console))
    else:
        for line in _aligned(part, console.encoding):
            console.out(_INDENT + line, highlight=False)
    for cell in part.below:
        _line(cell, console, _INDENT)


def _line(cell: Cell, console: Console, indent: str = "") -> None:
    # Text, never markup: a cluster may be called [red]
    console.print(Text(indent + shown(cell.text, console.encoding), STYLES[cell.tone]), soft_wrap=not console.is_terminal)


def _table(part: Part, console: Console) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", show_header=bool(part.titles))
    table.add_column("", width=0)
    for title in part.titles or (Title(""),) * len(part.rows[0]):
        # folded where it is narrow: cut off would be worse
        table.add_column(Text(shown(title.text, console.encoding)), justify="right" if title.right else "left",
                         overflow="fold")
    for cells in part.rows:
        table.add_row("", *(Text(shown(cell.text, console.encoding), STYLES[cell.tone]) for cell in cells))
    return table


def _aligned(part: Part, encoding: str) -> list[str]:
    lines = [[shown(cell.text, encoding) for cell in cells] for cells in part.rows]
    if part.titles:
        lines.insert(0, [shown(title.text, encoding) for title in part.titles])
    widths = [max(cell_len(line[place]) for line in lines) for place in range(len(lines[0]))]
    right = [title.right for title in part.titles] or [False] * len(widths)
    return [_joined(line, widths, right) for line in lines]


def _joined(line: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    blanks = [" " * (width - cell_len(text)) for text, width in zip(line, widths, strict=True)]
    padded = (blank + text if to_right else text + blank
              for text, blank, to_right in zip(line, blanks, right, strict=True))
    return "  ".join(padded).rstrip()
