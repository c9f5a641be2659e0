"""One libvirtd of ten hangs: whether the other hosts are served any later, on real hosts.

    python -m benchmarks.hung [--rounds 10] [--hosts 10] [--guests 2] [--memory 32]     (as root; about 90 s per round)

Each round a new daemon empties three hosts in turn, each for a memory error that its agent reports: one while all is well
(free), one right after the libvirtd of the last host was stopped by SIGSTOP (new), and one after the daemon knows that it
does not answer (known); in another order from round to round, and the last host is let go on in between. called: from the
message to the first migration call, as in ``benchmarks.reaction``; emptied: from the message until no emulator is left.
The guests of a host that was emptied are brought home by hand before the next.

Each host emptied is a line of the file; a run that was stopped goes on, as there. --report FILE shows what there is.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from pathlib import Path
from statistics import median
from typing import Any

from tests.demo.cluster import DaemonProcess, Listener, settings, wait_listening
from tests.lab import Lab, LabGuest, LabHost
from tests.results import add, opened, read

from ballastd.cli.demo.telling import wait_for
from ballastd.demo.policies import EVACUATION, TIMING
from benchmarks.on_lab import a_lab, alike, at_work, failing, reaction, reported, setup, sized
from benchmarks.reaction import LIMITS

SETUP = ("hosts", "guests", "memory", "interval")
FREE, NEW, KNOWN = "free", "new", "known"
WAYS = (FREE, NEW, KNOWN)
FAILED = "failed"
NEW_SECONDS = 1.0
PATIENCE_SECONDS = 120.0
LATER_TARGET = 1.10
"""No later, as far as medians of ten can tell."""


@dataclass(frozen=True, slots=True)
class Later:
    """The medians of one way, seconds, and how many times those while all is well they are; infinite where no host was
    emptied. ``unanswered``: hosts that were not."""

    way: str
    rounds: int
    unanswered: int
    called: float
    called_ratio: float
    emptied: float
    emptied_ratio: float

    def is_no_later(self) -> bool:
        """Return whether the target is met."""
        return self.unanswered == 0 and max(self.called_ratio, self.emptied_ratio) <= LATER_TARGET


def compared(rows: Sequence[dict[str, Any]]) -> list[Later]:
    """Return the medians of every way, beside those while all is well, of which there must be some."""
    found: list[Later] = []
    for way in WAYS:  # free first: what the others are held against
        these = [row for row in rows if row["way"] == way]
        answered = [row for row in these if row["emptied"] is not None]
        called, emptied = (median(row[what] for row in answered) if answered else inf for what in ("called", "emptied"))
        free = found[0] if found else None
        found.append(Later(way, len(these), len(these) - len(answered), called, called / free.called if free else 1.0,
                           emptied, emptied / free.emptied if free else 1.0))
    return found


def main() -> int:
    """Measure what is missing and print; return 0 where nobody is served later."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    sized(parser, guests=2, memory=32, interval=1.0)
    options = opened(parser, Path("benchmarks/results/hung.jsonl"), report)
    on = setup(options, SETUP)
    there = {(row["round"], row["way"]) for row in alike(read(options.out), on)}
    due = {n: [way for way in turn(n) if not {(n, way), (n, FAILED)} & there] for n in range(options.rounds)}
    if any(due.values()):
        with a_lab("hung", options.hosts, options.interval) as lab:
            homes = {h: [lab.start_guest(h, f"{h}-vm{i}", options.memory) for i in range(options.guests)] for h in lab.hosts}
            for n, ways in due.items():
                with failing(options.out, on | {"round": n, "way": FAILED}):
                    for row in one_round(lab, homes, n, ways) if ways else ():
                        add(options.out, on | row)
    return report(read(options.out))


def turn(number: int) -> list[str]:
    """Return the ways in the order of a round: each has its turn at being what a new daemon does first."""
    return [WAYS[(number + place) % len(WAYS)] for place in range(len(WAYS))]


def one_round(lab: Lab, homes: dict[str, list[LabGuest]], number: int, ways: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield what was measured of one host in each of these ways, by one daemon."""
    home = lab.plan.path / f"daemon-{number}"
    home.mkdir()
    listener = Listener(home)
    *others, last = lab.hosts
    try:
        wait_listening()
        with at_work(home, settings(lab, home, link_mbit=1000, timing=TIMING), EVACUATION + LIMITS) as daemon:
            for place, way in enumerate(ways):
                host = others[(number * len(WAYS) + place) % len(others)]
                if way == FREE:
                    row = emptied(lab, daemon, listener, host)
                else:
                    with hanging(lab.hosts[last], daemon, until_known=way == KNOWN):
                        row = emptied(lab, daemon, listener, host)
                print(f"round {number + 1:3}  {way:6} {host:3}  " + (
                    "not emptied" if row["emptied"] is None else
                    f"called after {row['called'] * 1000:7.1f} ms, empty after {row['emptied']:6.2f} s"), flush=True)
                yield {"round": number, "way": way} | row
                await_answer(daemon, last, answers=True)
                daemon.ctl("host", "acknowledge", host)
                bring_home(lab, homes)
    finally:
        listener.stop()


@contextmanager
def hanging(host: LabHost, daemon: DaemonProcess, *, until_known: bool) -> Iterator[None]:
    """Have the libvirtd of a host hang, for as long as the block is, from a moment or from when the daemon knows it on."""
    host.hang_libvirtd()
    try:
        if until_known:
            await_answer(daemon, host.name, answers=False)
        else:
            time.sleep(NEW_SECONDS)
        yield
    finally:
        host.resume_libvirtd()


def await_answer(daemon: DaemonProcess, host: str, *, answers: bool) -> None:
    """Return once the daemon knows whether a host answers.

    Raises:
        RuntimeError: it went on believing otherwise.
    """
    def known() -> bool:
        shown = (daemon.ask("hosts") or {}).get("hosts", ())
        return any(h["name"] == host and h["reachable"] is answers for h in shown) and daemon.posture() == "acting"

    if not wait_for(known, PATIENCE_SECONDS, 0.5):
        raise RuntimeError(f"the daemon does not see that {host} {'answers' if answers else 'hangs'}: {daemon.posture()}")


def emptied(lab: Lab, daemon: DaemonProcess, listener: Listener, host: str) -> dict[str, Any]:
    """Have a host report an error, wait until it is empty; return what was measured, seconds."""
    wall = time.time()
    lab.hosts[host].sensors.uncorrected()
    is_empty = wait_for(lambda: not lab.hosts[host].emulated(), PATIENCE_SECONDS, 0.05)
    gone = time.time()
    wait_for(lambda: not daemon.open_migrations(), PATIENCE_SECONDS, 0.5)
    heard, found = listener.first_error_after(wall, host), reaction(daemon, listener, host, wall)
    if not is_empty or heard is None or found is None:
        return {"host": host, "stepped": None, "called": None, "emptied": None}
    return {"host": host, "stepped": found.stepped, "called": found.called, "emptied": gone - heard}


def bring_home(lab: Lab, homes: dict[str, list[LabGuest]]) -> None:
    """Move every guest by hand to where it began."""
    for host, guests in homes.items():
        here = lab.hosts[host].emulated()
        for guest in guests:
            if guest.name not in here:
                lab.migrate(guest, host)
    time.sleep(2.5)


def report(rows: list[dict[str, Any]]) -> int:
    """Print a table for each set-up; return 0 where nobody is served later."""
    return reported(rows, SETUP, told)


def told(rows: list[dict[str, Any]]) -> int:
    """Print the table; return 0 where nobody is served later."""
    if not any(row["way"] == FREE and row["emptied"] is not None for row in rows):
        print("nothing was measured while all is well")
        return 1
    lines = compared(rows)
    print(f"{'libvirtd':8} {'hosts':>6} {'not emptied':>12} {'first call':>12} {'ratio':>6} {'emptied':>9} {'ratio':>6}")
    for one in lines:
        print(f"{one.way:8} {one.rounds:>6} {one.unanswered:>12} {one.called * 1000:>9.1f} ms {one.called_ratio:>6.2f} "
              f"{one.emptied:>7.2f} s {one.emptied_ratio:>6.2f}")
    missed = [one.way for one in lines if not one.is_no_later()]
    print(f"target (all emptied, medians at most {LATER_TARGET:g} times those while all is well) missed: "
          + (", ".join(missed) or "none"))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
