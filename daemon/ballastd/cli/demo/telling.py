"""Telling a story on a terminal, with a live picture below it; plain lines elsewhere. Claims are kept for the end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console, RenderableType
from rich.live import Live
from rich.table import Column, Table

PICTURES_PER_SECOND = 4


@dataclass(frozen=True, slots=True)
class Claim:
    """One thing the demo promises, whether it held, and what was seen."""

    text: str
    holds: bool
    seen: str


class Narrator:
    """Tells what happens. With ``watch`` it keeps a picture in view."""

    def __init__(self) -> None:
        self.console = Console(highlight=False, soft_wrap=True)
        self.claims: list[Claim] = []
        self._started = time.monotonic()
        self._live: Live | None = None

    @property
    def seconds(self) -> float:
        """For how long it has been telling."""
        return time.monotonic() - self._started

    def watch(self, draw: Callable[[], RenderableType]) -> None:
        """Keep what ``draw`` returns in view from here on, where the output is a terminal."""
        if sys.stdout.isatty() and not self.console.is_dumb_terminal:
            self._live = Live(console=self.console, refresh_per_second=PICTURES_PER_SECOND, get_renderable=draw)
            self._live.start()

    def close(self) -> None:
        """Take the picture down."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def say(self, text: str) -> None:
        """Tell one line; a terminal breaks it between words and beside the time."""
        if not self.console.is_terminal:
            self.console.print(f"{self.seconds:6.1f} s  {text}")
            return
        line = Table.grid(Column(width=8), Column(overflow="fold"), padding=(0, 2, 0, 0))
        line.add_row(f"[dim]{self.seconds:6.1f} s[/dim]", text)
        self.console.print(line)

    def chapter(self, title: str, text: str) -> None:
        """Begin a chapter."""
        self.console.print()
        self.console.rule(f"[bold]{title}[/bold]", align="left")
        self.say(text)

    def claim(self, text: str, holds: object, seen: str) -> None:
        """Tell what became of a promise, and keep it."""
        claim = Claim(text, bool(holds), seen)
        self.claims.append(claim)
        self.say(f"{_mark(claim)}  {text}: {seen}")

    def quote(self, command: str, text: str) -> None:
        """Show what a command printed."""
        self.console.print(f"          [bold]$ {command}[/bold]")
        for line in text.strip().splitlines():
            self.console.print(f"          {line}", markup=False)

    def all_hold(self) -> bool:
        """Return whether every claim held."""
        return all(claim.holds for claim in self.claims)

    def sum_up(self, title: str) -> None:
        """Show all claims in a table."""
        table = Table(title=f"{title} ({self.seconds:.0f} s)", title_justify="left")
        for column in ("", "claim", "seen"):
            table.add_column(column, overflow="fold")
        for claim in self.claims:
            table.add_row(_mark(claim), claim.text, claim.seen)
        self.console.print(table)


def wait_for(what: Callable[[], object], seconds: float, every: float = 0.1) -> bool:
    """Return whether ``what()`` became true within ``seconds``."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if what():
            return True
        time.sleep(every)
    return bool(what())


def _mark(claim: Claim) -> str:
    return "[green]holds[/green]" if claim.holds else "[red]FAILS[/red]"


def under_way_at(kind: str, records: Iterable[Mapping[str, Any]]) -> set[str]:
    """Return the names of the VMs that were on their way when the newest journal record of a kind was written. ``records``:
    what was in the journal, the oldest first."""
    flying: dict[str, str] = {}
    found: set[str] = set()
    for record in records:
        if record["kind"] == "MigrationOrdered":
            flying[record["id"]] = record["vm_name"]
        elif record["kind"] == "MigrationSettled":
            flying.pop(record["id"], None)
        elif record["kind"] == kind:
            found = set(flying.values())
    return found
