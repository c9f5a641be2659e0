"""The stage: a narrated live view on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time

from rich.console import Console
from rich.live import Live
from rich.table import Table

from tests.demo.cluster import DaemonProcess
from tests.demo.witness import RUNNING, Witness


class Stage:
    """Tells what happens. With ``watch`` it keeps a picture of the hosts, as the witness sees them, in view."""

    def __init__(self) -> None:
        self.console = Console(highlight=False, soft_wrap=True)
        self._started = time.monotonic()
        self._live: Live | None = None

    def watch(self, witness: Witness, daemon: DaemonProcess) -> None:
        """Keep the hosts in view from here on, where the output is a terminal."""
        if not sys.stdout.isatty():
            return
        self._live = Live(console=self.console, refresh_per_second=4, get_renderable=lambda: picture(witness, daemon))
        self._live.start()

    def close(self) -> None:
        """Take the picture down."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def say(self, text: str) -> None:
        """Tell one line."""
        self.console.print(f"[dim]{time.monotonic() - self._started:6.1f} s[/dim]  {text}")

    def chapter(self, title: str, text: str) -> None:
        """Begin a chapter."""
        self.console.print()
        self.console.rule(f"[bold]{title}[/bold]", align="left")
        self.say(text)

    def verdict(self, text: str, holds: bool, seen: str) -> None:
        """Tell what became of a claim."""
        mark = "[green]holds[/green]" if holds else "[red]FAILS[/red]"
        self.say(f"{mark}  {text}: {seen}")

    def quote(self, command: str, text: str) -> None:
        """Show what a command printed."""
        self.console.print(f"          [bold]$ {command}[/bold]")
        for line in text.strip().splitlines():
            self.console.print(f"          {line}", markup=False)


def picture(witness: Witness, daemon: DaemonProcess) -> Table:
    """Return the hosts as the witness sees them, with what ballastd makes of them."""
    table = Table(title=f"posture: {daemon.posture() or 'not answering'}", title_justify="left", expand=False)
    for column in ("host", "health", "guests (as libvirtd says)"):
        table.add_column(column)
    health = daemon.health()
    for host in sorted(witness.now):
        guests = witness.now.get(host, {})
        names = " ".join(name if state == RUNNING else f"({name})" for name, state in sorted(guests.items()))
        table.add_row(host, health.get(host, "?"), names)
    return table
