"""The keeper: a process beside each lab that keeps its meters going and takes it down when nobody wants it.

It holds one end of a pipe; the other end is with the process that owns the lab. When that process ends,
however it ends, the kernel closes the pipe, and the keeper takes the lab down. A detached lab has no pipe:
SIGTERM ends it.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.lab import state
from tests.lab.commands import LabError, wait_until
from tests.lab.guest import GuestBook
from tests.lab.host import LabHost
from tests.lab.meters import Meters, machine_memory_kib
from tests.lab.parts import hosts_of
from tests.lab.processes import Identity, identify
from tests.lab.state import Plan
from tests.lab.sweeping import sweep

PROJECT = Path(__file__).resolve().parents[2]
INTERVAL_SECONDS = 1.0
END_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Lifeline:
    """What ties a lab to its owner: the keeper, and our end of the pipe to it (None for a detached lab)."""

    keeper: subprocess.Popen[bytes]
    pipe: int | None

    def close(self) -> None:
        """Let go; the keeper has ended or ends now."""
        if self.pipe is not None:
            os.close(self.pipe)
            self.keeper.wait(END_SECONDS)


def start(plan: Plan, *, detached: bool) -> Lifeline:
    """Start the keeper of a lab; what is returned must be held for as long as the lab is to live."""
    reading, writing = os.pipe()
    argv = [sys.executable, "-m", "tests.lab", "keep", plan.name, *(["--detached"] if detached else [])]
    with (plan.path / "keeper.log").open("ab") as log:
        child = subprocess.Popen(
            argv, stdin=reading, stdout=log, stderr=log, cwd=PROJECT, start_new_session=True)
    os.close(reading)
    keeper = identify(child.pid)
    if keeper is None:
        raise LabError("the keeper did not start")
    state.save_keeper(plan.path, keeper)
    if detached:
        os.close(writing)
    return Lifeline(child, None if detached else writing)


def dismiss(keeper: Identity) -> None:
    """Have the keeper take its lab down, and return when it has."""
    os.kill(keeper.pid, signal.SIGTERM)
    wait_until(lambda: not keeper.alive(), END_SECONDS, "the keeper to take the lab down")


def keep(name: str, *, detached: bool) -> None:
    """Be the keeper of a lab until its owner ends or SIGTERM comes, then take the lab down."""
    for ignored in (signal.SIGINT, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    # one pipe for both ends of waiting: a signal that arrives between a test and a wait must not be missed
    woken, wake = os.pipe()
    signal.signal(signal.SIGTERM, lambda *_: os.write(wake, b".") and None)
    waiting = selectors.DefaultSelector()
    waiting.register(woken, selectors.EVENT_READ)
    if not detached:
        waiting.register(sys.stdin.fileno(), selectors.EVENT_READ)
    plan = state.load(name)
    book = GuestBook(plan.path)
    meters: dict[str, Meters] = {}
    while not waiting.select(INTERVAL_SECONDS):
        for host in hosts_of(plan).values():
            try:
                _write(host, plan, book, meters)
            except (OSError, LabError) as race:  # a host or guest that went while it was looked at
                print(f"{host.name}: {race}", file=sys.stderr, flush=True)
    sweep(name, spare=frozenset({os.getpid(), plan.owner}))


def _write(host: LabHost, plan: Plan, book: GuestBook, meters: dict[str, Meters]) -> None:
    if not host.is_on():
        meters.pop(host.name, None)  # totals start from zero at the next power-on
        return
    if host.name not in meters:
        memory = plan.memory_mib * 1024 if plan.memory_mib else machine_memory_kib()
        meters[host.name] = Meters(host.sensors, host.group, memory)
    sizes = {guest.name: guest.memory_mib for guest in book.everyone()}
    meters[host.name].write([sizes.get(name, 0) for name in host.emulated()], host.network_counters())
