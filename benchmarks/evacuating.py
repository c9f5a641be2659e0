"""Emptying a real host over a shaped link: the daemon, and plain virsh loops under the same cap, beside what bytes allow.

    .venv/bin/python -m benchmarks.evacuating                     12 guests of 96 MiB, three speeds, three ways (20 min)
    .venv/bin/python -m benchmarks.evacuating --speeds 224 --guests 4

Bound: the bytes that the emulators say they copied, over the share of the link that migrations may use (60 %). daemon: from
the operator's ``host drain`` until no emulator is left at the host. virsh-1, virsh-2: ``virsh migrate`` one after the other
with the whole share, and two at a time with half of it each, begun as soon as one ends. The link's counter at the host is
read 20 times a second: wire is the most that went out in any 5 and 30 s, over the share; payload: the same of what the
emulators say they copied, read four times a second (-: it was over sooner). The last bytes of each guest go without a cap;
burst is by how many MiB the wire ran ahead of the share in the last two seconds of a guest, median and worst. foretold: how
far off the daemon was about how long each move would take, as shares of what it took (median); its journal is the same at
all speeds, so that it learns from one to the next.
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
from bisect import bisect_left
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from itertools import accumulate, pairwise
from pathlib import Path
from statistics import median

import libvirt
from tests.demo.cluster import HOOK, DaemonProcess, agent_command, settings
from tests.lab import Lab, LabGuest, missing

from ballastd.cli.demo.telling import wait_for
from ballastd.demo.policies import EVACUATION, LIMITS, TIMING
from benchmarks.on_lab import MIB, at_work

SPEEDS_MBIT, SHARE = (224, 168, 112), 0.6
HOSTS, SOURCE = 4, "h1"
LINK_SECONDS, JOBS_SECONDS, BURST_SECONDS, PATIENCE_SECONDS = 0.05, 0.25, 2.0, 600.0
MAKESPAN_TARGET, WIRE_TARGET, PAYLOAD_TARGET = 1.15, 1.10, 1.05
COPIED = re.compile(r"Data processed:\s+([0-9.]+) (B|KiB|MiB|GiB)")
UNITS = {"B": 1, "KiB": 1 << 10, "MiB": MIB, "GiB": 1 << 30}
Curve = list[tuple[float, int]]


@dataclass(frozen=True)
class Run:
    """One host emptied. ``seconds`` over ``bound`` is its makespan; ``wire``, ``payload``: the most in any window, over the
    share, None where there is no such window; ``bursts``: MiB ahead of the share, of each guest as it left; ``torn``: guests
    whose heart missed a beat."""

    way: str
    mbit: int
    guests: int
    copied_mib: float
    seconds: float
    bound: float
    wire_5: float | None
    wire_30: float | None
    payload_30: float | None
    bursts: list[float]
    torn: int
    foretold: float | None

    @property
    def makespan(self) -> float:
        """How much longer it took than its bytes have to."""
        return self.seconds / self.bound


@dataclass
class Meter:
    """Reads the counter of the source's link, and by its libvirtd what its emulators have copied: seconds and bytes."""

    lab: Lab
    sent: Curve = field(default_factory=list)
    copied: dict[str, Curve] = field(default_factory=dict)
    left: dict[str, float] = field(default_factory=dict)
    """When each guest was not there any more, seconds."""
    _stop: threading.Event = field(default_factory=threading.Event)

    def read_link(self) -> None:
        """Read the link on until stopped."""
        counters = Path(f"/proc/{self.lab.hosts[SOURCE].first()}/net/dev")
        while not self._stop.wait(LINK_SECONDS):
            row = next(line for line in counters.read_text().splitlines() if line.strip().startswith("eth0:"))
            self.sent.append((time.monotonic(), int(row.split(":")[1].split()[8])))

    def read_jobs(self) -> None:
        """Read what is copied until stopped."""
        connection = libvirt.openReadOnly(self.lab.hosts[SOURCE].uri)
        there, stopped = set[str](), False
        while not stopped:
            stopped = self._stop.wait(JOBS_SECONDS)  # and looks once more: the last may have left just now
            names = set[str]()
            for domain in connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE):
                names.add(domain.name())
                with suppress(libvirt.libvirtError):  # it has just left
                    done = domain.jobStats().get("data_processed", 0)
                    self.copied.setdefault(domain.name(), []).append((time.monotonic(), done))
            self.left |= dict.fromkeys(there - names, time.monotonic())
            there = names
        connection.close()

    def stop(self) -> None:
        """Stop."""
        self._stop.set()

    def payload(self, totals: dict[str, int]) -> Curve:
        """Return how much was copied in all, once it is known how much of each guest was in the end."""
        steps: Curve = []
        for name, curve in self.copied.items():
            rows = [*curve, (self.left[name], totals[name])] if name in self.left else curve
            steps += [(at, now - before) for (_, before), (at, now) in pairwise(rows)]
        steps.sort()
        return list(zip((at for at, _ in steps), accumulate(step for _, step in steps), strict=True))


def most(curve: Curve, window: float) -> float | None:
    """Return the most MiB/s in any window of so many seconds; None where the curve is shorter."""
    times = [at for at, _ in curve]
    rates = []
    for then, before in curve:
        end = bisect_left(times, then + window)
        if end < len(curve):
            at, after = curve[end]
            rates.append((after - before) / MIB / (at - then))
    return max(rates, default=None)


def burst(curve: Curve, share: float, end: float) -> float:
    """Return by how many MiB at most it ran ahead of a share (MiB/s) in the last seconds before an instant."""
    ahead, least, found = 0.0, float("inf"), 0.0
    for at, done in curve:
        if end - BURST_SECONDS <= at <= end + JOBS_SECONDS:
            ahead = done / MIB - share * at
            least = min(least, ahead)
            found = max(found, ahead - least)
    return found


@contextmanager
def measured(lab: Lab) -> Iterator[Meter]:
    """Yield a meter that reads in threads of its own.

    Raises:
        OSError, libvirtError: it could not read on; what it read is not all there was.
    """
    meter = Meter(lab)
    with ThreadPoolExecutor() as pool:
        reading = [pool.submit(read) for read in (meter.read_link, meter.read_jobs)]
        try:
            yield meter
        finally:
            meter.stop()
    for one in reading:
        one.result()


def by_daemon(lab: Lab, _guests: list[LabGuest], mbit: int) -> float:
    """Have an operator drain the host; return the seconds until it is empty."""
    home = lab.plan.path / "daemon"
    with at_work(home, roomy(lab, home, mbit), EVACUATION + LIMITS) as daemon:
        return drained(lab, daemon)


def roomy(lab: Lab, home: Path, mbit: int) -> str:
    """Return settings under which every host has room for all guests."""
    defaults = {"memory_limit": "4096MiB", "vouched_storage": [str(lab.plan.path / "disks")]}
    return settings(lab, home, link_mbit=mbit, timing=TIMING, defaults=defaults)


def drained(lab: Lab, daemon: DaemonProcess) -> float:
    """Have an operator drain the host and take that back once it is empty; return the seconds that took."""
    began = time.monotonic()
    said = daemon.ctl("host", "drain", SOURCE, "--reason", "benchmark")
    if said.returncode or not wait_for(lambda: not lab.hosts[SOURCE].emulated(), PATIENCE_SECONDS, 0.1):
        raise RuntimeError(f"not emptied: {said.stderr} {daemon.ctl('plan').stdout} {daemon.log}")
    took = time.monotonic() - began
    if not wait_for(lambda: not daemon.open_migrations(), 30.0):
        raise RuntimeError(f"its books are not closed: {daemon.log}")
    daemon.ctl("host", "undrain", SOURCE, "--reason", "benchmark")
    return took


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


def copied(lab: Lab, guest: LabGuest) -> int:
    """Return how many bytes the emulator says it copied of a guest that has arrived."""
    host = lab.runs_on(guest)
    if host is None:
        raise RuntimeError(f"{guest.name} runs nowhere: {lab.where(guest)}")
    found = COPIED.search(lab.hosts[host].virsh("domjobinfo", guest.name, "--completed", "--keep-completed"))
    if found is None:
        raise RuntimeError(f"nobody knows what was copied of {guest.name}")
    return int(float(found[1]) * UNITS[found[2]])


def measure(lab: Lab, way: str, mbit: int, count: int, memory_mib: int) -> Run:
    """Fill the host, empty it, clear up."""
    guests = [lab.start_guest(SOURCE, f"{way[:1]}{way[-1]}{mbit}-{n}", memory_mib, mode="1") for n in range(count)]
    lab.hosts[SOURCE].shape(mbit)
    wall = time.time()
    try:
        with measured(lab) as meter:
            seconds = WAYS[way](lab, guests, mbit)
        allowed = mbit * 1e6 / 8 / MIB * SHARE
        totals = {guest.name: copied(lab, guest) for guest in guests}
        mib = sum(totals.values()) / MIB
        wire_5, wire_30, payload_30 = (rate and rate / allowed for rate in (
            most(meter.sent, 5.0), most(meter.sent, 30.0), most(meter.payload(totals), 30.0)))
        return Run(way, mbit, count, mib, seconds, mib / allowed, wire_5, wire_30, payload_30,
                   [burst(meter.sent, allowed, at) for at in meter.left.values()],
                   sum(1 for guest in guests if lab.heartbeat(guest).breaks),
                   median(errors(lab.plan.path / "daemon", wall)) if way == "daemon" else None)
    finally:
        lab.hosts[SOURCE].unshape()
        for guest in guests:
            lab.stop_guest(guest)


def shown(figure: float | None) -> str:
    """Return a figure as the table has it."""
    return "-" if figure is None else f"{figure:.2f}"


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
    columns = (("copied", 8), ("bound", 7), ("took", 7), ("makespan", 9), ("wire 5 s", 9), ("wire 30 s", 10),
               ("payload 30 s", 13), ("burst", 15), ("torn", 5), ("foretold", 9))
    print(f"{'Mbit/s':>6} {'way':12} " + " ".join(f"{name:>{width}}" for name, width in columns))
    with Lab("evac", HOSTS, cpu_quota=None, hook=HOOK, agent_command=agent_command) as lab:
        lab.broker().start()
        lab.enter()
        for mbit in options.speeds:
            for way in options.ways:
                run = measure(lab, way, mbit, options.guests, options.memory)
                runs.append(run)
                print(f"{mbit:>6} {way:12} {run.copied_mib:>4.0f} MiB {run.bound:>5.1f} s {run.seconds:>5.1f} s "
                      f"{run.makespan:>9.2f} {shown(run.wire_5):>9} {shown(run.wire_30):>10} {shown(run.payload_30):>13} "
                      f"{shown(median(run.bursts)):>5}, {shown(max(run.bursts)):>4} MiB {run.torn:>5} "
                      f"{'' if run.foretold is None else f'{run.foretold:.1%}':>9}", flush=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps([asdict(run) | {"makespan": run.makespan} for run in runs], indent=1) + "\n")
    print(f"written: {options.out}")
    ours = [run for run in runs if run.way == "daemon"]
    missed = [f"{run.mbit} Mbit/s: {run.makespan:.2f} times the bound" for run in ours if run.makespan > MAKESPAN_TARGET]
    missed += [f"{run.mbit} Mbit/s: {rate:.2f} of the share {what}" for run in ours for rate, target, what in (
        (run.wire_5, WIRE_TARGET, "in 5 s"), (run.payload_30, PAYLOAD_TARGET, "copied in 30 s")) if rate and rate > target]
    missed += [f"{run.mbit} Mbit/s: the hearts of {run.torn} guests missed a beat" for run in ours if run.torn]
    missed += [f"{run.mbit} Mbit/s: {other.way} took {other.seconds:.1f} s" for run in ours for other in runs
               if other.mbit == run.mbit and other.makespan < run.makespan]
    print("targets missed: " + ("; ".join(missed) or "none"))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
