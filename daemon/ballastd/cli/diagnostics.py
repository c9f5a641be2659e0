"""Problems with documents, shown the way a good compiler does: the place, the words, the line and a caret."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import click

from ballastd.cli.formats import printable

_PLACED = re.compile(r"(?P<file>[^:\n]+):(?P<line>\d{1,9}):(?P<column>\d{1,9}): (?P<said>.*)", re.DOTALL)
LINE_MAX = 200
FILE_BYTES_MAX = 4 << 20


def show_problems(problems: Iterable[str], word: str, colour: str) -> None:
    """Write each problem to stderr, with the line of its file where it names one that can be read."""
    for problem in problems:
        placed = _PLACED.fullmatch(problem)
        if placed is None:
            click.echo(f"{click.style(word, fg=colour, bold=True)}: {printable(problem)}", err=True)
            continue
        file, line, column = placed["file"], int(placed["line"]), int(placed["column"])
        click.echo(f"{click.style(printable(f'{file}:{line}:{column}'), bold=True)}: "
                   f"{click.style(word, fg=colour, bold=True)}: {printable(placed['said'])}", err=True)
        _show_line(Path(file), line, column)


def _show_line(file: Path, line: int, column: int) -> None:
    text = _line_of(file, line)
    if text is None:
        return
    gutter = f"{line:>5}"
    shown = printable(text.expandtabs(1))[:LINE_MAX]
    click.echo(f"{gutter} | {shown}", err=True)
    if 1 <= column <= len(shown) + 1:
        caret = click.style("^", fg="green", bold=True)
        click.echo(f"{' ' * len(gutter)} | {' ' * (column - 1)}{caret}", err=True)


def _line_of(file: Path, line: int) -> str | None:
    try:
        with file.open("rb") as stream:
            lines = stream.read(FILE_BYTES_MAX).decode("utf-8", "replace").splitlines()
    except OSError:
        return None
    return lines[line - 1] if 1 <= line <= len(lines) else None
