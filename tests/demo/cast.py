"""Everybody on the stage, and how a claim is made: said, checked against the hosts themselves, and kept."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from rich.table import Table

from ballastd.cli.demo.telling import Narrator, wait_for
from tests.demo.cluster import DaemonProcess, Listener
from tests.demo.witness import RUNNING, Witness
from tests.lab.guest import LabGuest
from tests.lab.lab import Lab

REST_SECONDS = 12.0
"""How long nothing may move for the cluster to be at rest."""


@dataclass
class Cast:
    """Lab, witness, daemon, guests; and who tells of them."""

    stage: Narrator
    lab: Lab
    witness: Witness
    daemon: DaemonProcess
    listener: Listener
    guests: dict[str, LabGuest]

    def claim(self, text: str, holds: object, seen: str) -> None:
        """Say what became of a promise."""
        self.stage.claim(text, holds, seen)

    def await_or_tell(self, what: Callable[[], object], seconds: float) -> bool:
        """Wait for something; where it does not come, show what the daemon says it waits for."""
        if wait_for(what, seconds):
            return True
        plan = self.daemon.ctl("plan").stdout
        self.stage.quote("ballastctl plan", plan)
        return False

    def at_rest(self, seconds: float = REST_SECONDS) -> bool:
        """Watch for a while whether anything moves; return whether nothing did."""
        before = {name: tuple(trail.hosts) for name, trail in self.witness.trails.items()}
        time.sleep(seconds)
        return before == {name: tuple(trail.hosts) for name, trail in self.witness.trails.items()}

    def all_beat(self) -> bool:
        """Return whether every guest's heart goes on."""
        before = {n: self.lab.heartbeat(g).count for n, g in self.guests.items()}
        return wait_for(lambda: all(self.lab.heartbeat(g).count > before[n] for n, g in self.guests.items()), 10.0)

    def work(self, names: list[str], mode: str) -> None:
        """Have guests do something else, wherever they run."""
        for name in names:
            wait_for(lambda name=name: self.lab.runs_on(self.guests[name]) is not None, 10.0)
            self.lab.set_mode(self.guests[name], mode)

    def load(self) -> dict[str, float]:
        """Return each host's processor use as the daemon hears it."""
        hosts = (self.daemon.ask("hosts") or {}).get("hosts", ())
        return {h["name"]: h["cpu_utilization"] or 0.0 for h in hosts}

    def power(self, host: str) -> str:
        """Return where the daemon is with a host's power."""
        hosts = (self.daemon.ask("hosts") or {}).get("hosts", ())
        return next((str(h["power"]) for h in hosts if h["name"] == host), "?")

    def fullest(self) -> str:
        """Return the host with the most guests, the last by name of equals."""
        return max(self.lab.hosts, key=lambda name: (len(self.witness.on(name)), name))

    def reload(self) -> str:
        """Have the daemon load its policies again; return what it says."""
        answer = self.daemon.ctl("reload")
        return (answer.stdout + answer.stderr).strip().splitlines()[0]

    def loads_in_words(self) -> str:
        """Return each host's processor use, for people."""
        return ", ".join(f"{name} {share:.0%}" for name, share in sorted(self.load().items()))


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
