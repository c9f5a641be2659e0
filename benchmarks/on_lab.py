"""What benchmarks of the daemon on the lab share: a daemon at work, how soon it reacts, and what it costs."""

from __future__ import annotations

import os
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.demo.cluster import HOOK, DaemonProcess, Listener, agent_command
from tests.lab import Lab, LabHost
from tests.results import DAEMON, Report, add, product

from ballastd.cli.demo.telling import wait_for
from benchmarks.driving import ROOT

READY_SECONDS = 120.0
MIB = 1 << 20
Rows = Sequence[dict[str, Any]]


def sized(parser: ArgumentParser, guests: int, memory: int, interval: float) -> None:
    """Have it asked how big the lab is to be. ``memory``: MiB of each guest; ``interval``: seconds from report to report."""
    parser.add_argument("--hosts", type=int, default=10)
    parser.add_argument("--guests", type=int, default=guests, help="on each host")
    parser.add_argument("--memory", type=int, default=memory, metavar="MIB")
    parser.add_argument("--interval", type=float, default=interval, metavar="S", help="how often each host reports")


def setup(options: Namespace, names: Sequence[str]) -> dict[str, Any]:
    """Return what was measured on: the options of these names, and the product with what measures it."""
    return {name: getattr(options, name) for name in names} | {"product": product(DAEMON, ROOT / "benchmarks")}


def alike(rows: Rows, setup: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the outcomes that were measured on the same."""
    return [row for row in rows if setup.items() <= row.items()]


def reported(rows: Rows, names: Sequence[str], report: Report) -> int:
    """Report on what was measured on the same, one after the other, and on what failed; return 0 where all went well."""
    setups = dict[tuple[Any, ...], list[dict[str, Any]]]()
    for row in rows:
        setups.setdefault(tuple(row.get(name) for name in (*names, "product")), []).append(row)
    status = 0 if setups else 1
    for of, these in setups.items():
        print("\n" + ", ".join(f"{name} {value}" for name, value in zip((*names, "product"), of, strict=True)))
        failed = [row["failed"] for row in these if "failed" in row]
        print(*(f"failed: {one}" for one in failed), sep="\n", end="\n" if failed else "")
        status |= report([row for row in these if "failed" not in row]) or bool(failed)
    return status


@contextmanager
def failing(out: Path, row: dict[str, Any]) -> Iterator[None]:
    """Have what fails in the block counted as that before it ends the run: it is not tried again until it goes well."""
    try:
        yield
    except RuntimeError as trouble:
        add(out, row | {"failed": str(trouble)})
        raise


@contextmanager
def a_lab(name: str, hosts: int, interval: float, cpu_quota: float | None = 0.6, prefix: str = "ballastd") -> Iterator[Lab]:
    """Yield a lab with hook, broker and real agents, and this thread in its network. ``interval``: how often each agent
    reports, seconds; ``prefix``: under which topics."""
    def command(host: LabHost) -> Sequence[str]:
        return *agent_command(host, interval, min(1.0, interval / 4)), "--prefix", prefix

    with Lab(name, hosts, cpu_quota=cpu_quota, hook=HOOK, agent_command=command) as lab:
        lab.broker().start()
        lab.enter()
        yield lab


@contextmanager
def at_work(home: Path, settings: str, policies: str) -> Iterator[DaemonProcess]:
    """Yield a daemon that acts and has heard every host more than once; it is stopped in the end.

    Raises:
        RuntimeError: it did not get so far.
    """
    daemon = DaemonProcess(home, settings, policies).start()
    try:
        await_ready(daemon)
        yield daemon
    finally:
        daemon.stop()


def await_ready(daemon: DaemonProcess) -> None:
    """Return once it acts and has heard every host more than once.

    Raises:
        RuntimeError: it did not get so far; with the end of its log, which goes with the lab.
    """
    if not wait_for(daemon.knows_everybody, READY_SECONDS):
        raise RuntimeError(f"the daemon did not get ready: {daemon.posture() or 'silent'}, heard {daemon.heard()}; it said "
                           + "\n".join(daemon.log.read_text().splitlines()[-5:]))


def counters(daemon: DaemonProcess) -> dict[str, float]:
    """Return what the daemon counts.

    Raises:
        RuntimeError: it does not answer.
    """
    found: dict[str, float] | None = daemon.ask("counters")
    if found is None:
        raise RuntimeError("the daemon does not answer")
    return found


@dataclass(frozen=True, slots=True)
class Reaction:
    """Seconds after the message that reports an error arrived: ``stepped``, the step began that decided; ``called``, the
    first migration call of the host went to libvirt."""

    stepped: float
    called: float


def reaction(daemon: DaemonProcess, listener: Listener, host: str, wall: float) -> Reaction | None:
    """Return how the daemon reacted to the first error of a host after an instant, None where it did not."""
    heard = listener.first_error_after(wall, host)
    calls = [datetime.fromisoformat(r["timestamp"]).timestamp() for r in daemon.records("migration begins")
             if r["source"] == host]
    called = min((at for at in calls if at >= wall), default=None)
    stepped = min((r["wall"] for r in daemon.journal()
                   if r["kind"] == "MigrationOrdered" and r["source"] == host and r["wall"] >= wall), default=None)
    if heard is None or called is None or stepped is None:
        return None
    return Reaction(stepped - heard, called - heard)


def spent(pid: int) -> tuple[float, float]:
    """Return the time now and the processor seconds of a process, both in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return time.monotonic(), (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mib(pid: int) -> float:
    """Return the memory a process holds, what it shares with others included."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / MIB


def proportional_mib(pid: int) -> float:
    """Return the memory a process holds, of what it shares with others its part."""
    rows = (line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines())
    return next(int(row[1]) for row in rows if row[0] == "Pss:") / 1024
