"""Rows and documents on their way out: a table for people, JSON, YAML or bare names for programs.

A terminal gets colours and a table that fits it; a pipe gets plain aligned columns without a single code.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click

from ballastd.cli.formats import age, printable

Row = Mapping[str, Any]
FORMATS = ("table", "wide", "json", "yaml", "name")
PICTURE_AGE_MAX = 120.0
TONES = {
    "healthy": "green", "running": "green", "acting": "green", "completed": "green", "active": "green",
    "suspect": "yellow", "degraded": "yellow", "pending": "yellow", "paused": "yellow", "held": "yellow",
    "starting": "yellow", "unknown": "yellow", "aborted": "yellow", "observing": "yellow",
    "failing": "bold red", "firing": "bold red", "failed": "red", "lost": "bold red", "frozen": "bold red",
    "site-event": "bold red", "split": "bold red", "no": "yellow",
}


@dataclass(frozen=True, slots=True)
class Column:
    """A title and how a row's cell is written. ``wide``: only in wide tables; ``right``: numbers line up."""

    title: str
    cell: Callable[[Row], str]
    wide: bool = False
    right: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Columns, what a row is called (``-o name``), and what is said where there are no rows."""

    columns: tuple[Column, ...]
    name: Callable[[Row], str]
    empty: str


def emit(rows: Sequence[Row], table: Table, output: str) -> None:
    """Write ``rows`` in the format ``output``."""
    if output == "name":
        for row in rows:
            click.echo(printable(table.name(row)))
    elif output in ("json", "yaml"):
        emit_document(list(rows), output)
    elif rows:
        _write(rows, [column for column in table.columns if output == "wide" or not column.wide])
    else:
        click.echo(table.empty, err=not sys.stdout.isatty())


def emit_document(document: Any, output: str) -> None:
    """Write ``document`` as JSON or YAML, numbers as they are."""
    if output == "yaml":
        from ruamel.yaml import YAML

        writer = YAML(typ="safe", pure=True)
        writer.default_flow_style = False
        writer.allow_unicode = False
        writer.dump(document, sys.stdout)
    else:
        click.echo(json.dumps(document, indent=2))


def emit_fields(fields: Sequence[tuple[str, str]]) -> None:
    """Write one thing's fields, a line each, with what they are called in front."""
    width = max((len(title) for title, _ in fields), default=0)
    for title, text in fields:
        value = printable(text)
        tone = TONES.get(value.split(" ", 1)[0].rstrip(","), "")
        click.echo(f"{heading(f'{title:<{width}}')}  {_toned(value, tone)}")


def heading(text: str) -> str:
    """Return ``text`` bold where it goes to a terminal; elsewhere the codes are taken out again."""
    return click.style(text, bold=True)


def _toned(text: str, tone: str) -> str:
    colour = tone.rsplit(" ", maxsplit=1)[-1] if tone else None
    return click.style(text, fg=colour, bold=tone.startswith("bold ")) if tone else text


def _write(rows: Sequence[Row], columns: Sequence[Column]) -> None:
    cells = [[printable(column.cell(row)) for column in columns] for row in rows]
    if sys.stdout.isatty():
        _rich(cells, columns)
        return
    widths = [max(len(line[n]) for line in (*cells, [c.title for c in columns])) for n in range(len(columns))]
    for line in ([column.title for column in columns], *cells):
        padded = [f"{text:>{widths[n]}}" if columns[n].right else f"{text:<{widths[n]}}"
                  for n, text in enumerate(line)]
        click.echo("  ".join(padded).rstrip())


def _rich(cells: Sequence[Sequence[str]], columns: Sequence[Column]) -> None:
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    table = RichTable(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column.title, justify="right" if column.right else "left", overflow="fold")
    for line in cells:
        # Text, never markup: a VM may be called [red]
        table.add_row(*(Text(text, style=TONES.get(text, "")) for text in line))
    Console(highlight=False).print(table)


def warn_if_old(document: Row, output: str) -> None:
    """Say on stderr when what is shown is older than a daemon at work would leave it."""
    behind = time.time() - float(document["wall"])
    if behind > PICTURE_AGE_MAX and output in ("table", "wide"):
        click.echo(f"warning: this picture is {age(behind)} old; the daemon has not finished a step since", err=True)


def repeat(seconds: float | None, show: Callable[[], None], rounds: int | None = None) -> None:
    """Call ``show`` once, or every ``seconds`` until interrupted (or ``rounds`` times). While watching, trouble
    is shown and outlived."""
    if seconds is None:
        show()
        return
    done = 0
    try:
        while rounds is None or done < rounds:
            if done:
                time.sleep(seconds)
            click.clear()
            try:
                show()
            except click.ClickException as error:
                error.show()
            done += 1
    except KeyboardInterrupt:
        click.echo()
