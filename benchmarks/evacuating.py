"""Emptying a real host over a shaped link: the daemon, and plain virsh loops under the same cap, beside what bytes allow.

    .venv/bin/python -m benchmarks.evacuating                     12 guests of 96 MiB, three speeds, three ways (20 min)
    .venv/bin/python -m benchmarks.evacuating --speeds 224 --guests 4

Bound: the bytes that the emulators say they copied, over the share of the link that migrations may use (60 %). daemon: from
the operator's ``host drain`` until no emulator is left at the host. virsh-1, virsh-2: ``virsh migrate`` one after the other
with the whole share, and two at a time with half of it each, begun as soon as one ends. The link's counter at the host is
read every half second: wire is the most that went out in any 5 and 30 s, over the share; the last bytes of each guest go
without a cap. foretold: how far off the daemon was about how long each move would take, as shares of what it took (median);
its journal is the same at all speeds, so that it learns from one to the next.
"""

from __future__ import annotations

import argparse
import json
import re
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

from tests.demo.cluster import HOOK, DaemonProcess, agent_command, settings
from tests.lab import Lab, LabGuest, missing

from ballastd.cli.demo.telling import wait_for
from ballastd.demo.policies import EVACUATION, LIMITS, TIMING

SPEEDS_MBIT, SHARE = (224, 168, 112), 0.6
MIB = 1 << 20
HOSTS, SOURCE = 4, "h1"
PACE_SECONDS, PATIENCE_SECONDS = 0.5, 600.0
MAKESPAN_TARGET, WIRE_TARGET = 1.15, 1.10
COPIED = re.compile(r"Data processed:\s+([0-9.]+) (B|KiB|MiB|GiB)")
UNITS = {"B": 1 / MIB, "KiB": 1 / 1024, "MiB": 1.0, "GiB": 1024.0}


@dataclass(frozen=True)
class Run:
    """One host emptied. ``seconds`` over ``bound`` is its makespan; ``wire``: the most in any window, over the share;
    ``torn``: guests whose heart missed a beat."""

    way: str
    mbit: int
    guests: int
    copied_mib: float
    seconds: float
    bound: float
    wire_5: float
    wire_30: float
    torn: int
    foretold: float | None

    @property
    def makespan(self) -> float:
        """How much longer it took than its bytes have to."""
        return self.seconds / self.bound


@dataclass
class Meter:
    """Reads the counter of the source's link: seconds and bytes."""

    lab: Lab
    seen: list[tuple[float, int]] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def read(self) -> None:
        """Read on until stopped."""
        while not self._stop.is_set():
            self.seen.append((time.monotonic(), self.lab.hosts[SOURCE].tx_bytes()))
            self._stop.wait(PACE_SECONDS)

    def most(self, window: float) -> float:
        """Return the most MiB/s in any window of so many seconds."""
        rates = [(sent - before) / MIB / (at - then) for n, (then, before) in enumerate(self.seen)
                 for at, sent in self.seen[n + 1:] if window <= at - then < window + 2 * PACE_SECONDS]
        return max(rates, default=0.0)

    def stop(self) -> None:
        """Stop."""
        self._stop.set()


@contextmanager
def measured(lab: Lab) -> Iterator[Meter]:
    """Yield a meter that reads in a thread of its own."""
    meter = Meter(lab)
    reading = threading.Thread(target=meter.read, daemon=True)
    reading.start()
    try:
        yield meter
    finally:
        meter.stop()
        reading.join(5.0)


def by_daemon(lab: Lab, _guests: list[LabGuest], mbit: int) -> float:
    """Have an operator drain the host; return the seconds until it is empty."""
    home = lab.plan.path / "daemon"
    defaults = {"memory_limit": "4096MiB", "vouched_storage": [str(lab.plan.path / "disks")]}
    text = settings(lab, home, link_mbit=mbit, timing=TIMING, defaults=defaults)
    daemon = DaemonProcess(home, text, EVACUATION + LIMITS).start()
    try:
        if not wait_for(daemon.knows_everybody, 60.0):
            raise RuntimeError(f"the daemon did not get ready: {daemon.log}")
        began = time.monotonic()
        said = daemon.ctl("host", "drain", SOURCE, "--reason", "benchmark")
        if said.returncode or not wait_for(lambda: not lab.hosts[SOURCE].emulated(), PATIENCE_SECONDS, 0.1):
            raise RuntimeError(f"not emptied: {said.stderr} {daemon.ctl('plan').stdout} {daemon.log}")
        took = time.monotonic() - began
        if not wait_for(lambda: not daemon.open_migrations(), 30.0):
            raise RuntimeError(f"its books are not closed: {daemon.log}")
        daemon.ctl("host", "undrain", SOURCE, "--reason", "benchmark")
        return took
    finally:
        daemon.stop()


def errors(home: Path, wall: float) -> list[float]:
    """Return how far off was what was foretold of each move since ``wall``, by how long it took."""
    with sqlite3.connect(f"file:{home / 'journal.db'}?mode=ro", uri=True) as connection:
        rows = [json.loads(row[0]) for row in connection.execute("SELECT content FROM records ORDER BY sequence")]
    connection.close()
    said = {row["id"]: (row["wall"], row["predicted"]) for row in rows if row["kind"] == "MigrationOrdered"}
    return [abs(said[row["id"]][1] / (row["wall"] - said[row["id"]][0]) - 1.0) for row in rows
            if row["kind"] == "MigrationCalled" and row["id"] in said and said[row["id"]][0] >= wall]


def by_virsh(at_once: int) -> Callable[[Lab, list[LabGuest], int], float]:
    """Return a way to empty the host as a shell loop does, so many at a time."""
    def way(lab: Lab, guests: list[LabGuest], mbit: int) -> float:
        cap = int(mbit * 1e6 / 8 / MIB * SHARE / at_once)
        began, waiting, flying = time.monotonic(), list(guests), list[subprocess.Popen[str]]()
        while waiting or flying:
            while waiting and len(flying) < at_once:
                guest = waiting.pop(0)
                flying.append(lab.migrating(guest, f"h{2 + len(waiting) % (HOSTS - 1)}", bandwidth_mib=cap))
            time.sleep(0.02)
            ended = [one for one in flying if one.poll() is not None]
            for one in ended:
                if one.returncode:
                    raise RuntimeError(f"virsh failed: {one.communicate()[1]}")
                one.communicate()
            flying = [one for one in flying if one not in ended]
        return time.monotonic() - began

    return way


WAYS: dict[str, Callable[[Lab, list[LabGuest], int], float]] = {
    "daemon": by_daemon, "virsh-1": by_virsh(1), "virsh-2": by_virsh(2)}


def copied(lab: Lab, guest: LabGuest) -> float:
    """Return how many MiB the emulator says it copied of a guest that has arrived."""
    host = lab.runs_on(guest)
    if host is None:
        raise RuntimeError(f"{guest.name} runs nowhere: {lab.where(guest)}")
    found = COPIED.search(lab.hosts[host].virsh("domjobinfo", guest.name, "--completed", "--keep-completed"))
    if found is None:
        raise RuntimeError(f"nobody knows what was copied of {guest.name}")
    return float(found[1]) * UNITS[found[2]]


def measure(lab: Lab, way: str, mbit: int, count: int, memory_mib: int) -> Run:
    """Fill the host, empty it, clear up."""
    guests = [lab.start_guest(SOURCE, f"{way[:1]}{way[-1]}{mbit}-{n}", memory_mib, mode="1") for n in range(count)]
    lab.hosts[SOURCE].shape(mbit)
    wall = time.time()
    try:
        with measured(lab) as meter:
            seconds = WAYS[way](lab, guests, mbit)
        allowed = mbit * 1e6 / 8 / MIB * SHARE
        mib = sum(copied(lab, guest) for guest in guests)
        torn = sum(1 for guest in guests if lab.heartbeat(guest).breaks)
        return Run(way, mbit, count, mib, seconds, mib / allowed, meter.most(5.0) / allowed, meter.most(30.0) / allowed,
                   torn, median(errors(lab.plan.path / "daemon", wall)) if way == "daemon" else None)
    finally:
        lab.hosts[SOURCE].unshape()
        for guest in guests:
            lab.stop_guest(guest)


def main() -> int:
    """Measure and print; return 0 where every target is met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speeds", type=int, nargs="+", default=SPEEDS_MBIT, metavar="MBIT/S")
    parser.add_argument("--guests", type=int, default=12)
    parser.add_argument("--memory", type=int, default=96, metavar="MIB")
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/evacuating.json"))
    options = parser.parse_args()
    if missing():
        print(f"no lab here: {missing()}", file=sys.stderr)
        return 2
    runs: list[Run] = []
    columns = (("copied", 8), ("bound", 7), ("took", 7), ("makespan", 9), ("wire 5 s", 9), ("wire 30 s", 10), ("torn", 5),
               ("foretold", 9))
    print(f"{'Mbit/s':>6} {'way':12} " + " ".join(f"{name:>{width}}" for name, width in columns))
    with Lab("evac", HOSTS, cpu_quota=None, hook=HOOK, agent_command=agent_command) as lab:
        lab.broker().start()
        lab.enter()
        for mbit in options.speeds:
            for way in options.ways:
                run = measure(lab, way, mbit, options.guests, options.memory)
                runs.append(run)
                print(f"{mbit:>6} {way:12} {run.copied_mib:>4.0f} MiB {run.bound:>5.1f} s {run.seconds:>5.1f} s "
                      f"{run.makespan:>9.2f} {run.wire_5:>9.2f} {run.wire_30:>10.2f} {run.torn:>5} "
                      f"{'' if run.foretold is None else f'{run.foretold:.1%}':>9}", flush=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps([asdict(run) | {"makespan": run.makespan} for run in runs], indent=1) + "\n")
    print(f"written: {options.out}")
    ours = [run for run in runs if run.way == "daemon"]
    missed = [f"{run.mbit} Mbit/s: {run.makespan:.2f} times the bound" for run in ours if run.makespan > MAKESPAN_TARGET]
    missed += [f"{run.mbit} Mbit/s: {run.wire_5:.2f} of the share in 5 s" for run in ours if run.wire_5 > WIRE_TARGET]
    missed += [f"{run.mbit} Mbit/s: the hearts of {run.torn} guests missed a beat" for run in ours if run.torn]
    missed += [f"{run.mbit} Mbit/s: {other.way} took {other.seconds:.1f} s" for run in ours for other in runs
               if other.mbit == run.mbit and other.makespan < run.makespan]
    print("targets missed: " + ("; ".join(missed) or "none"))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
