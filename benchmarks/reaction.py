"""Reaction time in the lab: from the MQTT message that reports a memory error to the first migration call.

    python -m benchmarks.reaction [--rounds 100] [--hosts 10] [--interval 1]     (as root; about 12 s per round)

Real agents report at the interval, and at once what breaks. Beginning: when an independent subscriber (mosquitto_sub)
received the agent's message, by its own clock. End: the log line that the daemon writes right before the call goes to
libvirt: what it moves has been written down by then, and what it is defined as has been kept. stepped: of that, until the
step began that decided. As a limit that no daemon can beat in the same lab, each round also times one bare
``getLibVersion`` plus ``listAllDomains`` on both ends, the least any re-check costs.

Each round is a line of the file when it is over. A run that was stopped goes on: --rounds counts those that are there
already of the same product, as many hosts and the same interval; what failed stays counted. --report FILE shows what there
is.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import libvirt
from tests.demo.cluster import DaemonProcess, Listener, settings, wait_listening
from tests.lab import Lab
from tests.results import add, opened, read

from ballastd.cli.demo.telling import wait_for
from ballastd.demo.policies import EVACUATION, TIMING
from benchmarks.on_lab import a_lab, alike, at_work, counters, failing, reaction, reported, setup

# every evacuation of the benchmark counts against the hour: the ceiling is six, so the daemon starts anew in between
ROUNDS_PER_DAEMON = 5
GUESTS_EACH = 2
SETUP = ("hosts", "interval")
MEDIAN_TARGET_MS, WORST_TARGET_MS = 100.0, 500.0

LIMITS = """\
---
kind: Limits
name: cluster
evacuations: {at_once: 1, per_hour: 6}
bandwidth: {link_share: 60%, migration_minimum: 1MiB/s}
freeze: {settle: 5s}
"""


def main() -> int:
    """Measure; return 0 if every round reacted and the targets are met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--hosts", type=int, default=10)
    parser.add_argument("--interval", type=float, default=1.0, metavar="S", help="how often each host reports")
    options = opened(parser, Path("benchmarks/results/reaction.jsonl"), report)
    on = setup(options, SETUP)
    done = len(alike(read(options.out), on))
    if done < options.rounds:
        with a_lab("react", options.hosts, options.interval) as lab:
            for h in lab.hosts:
                for i in range(GUESTS_EACH):
                    lab.start_guest(h, f"{h}-vm{i}")
            while done < options.rounds:
                count = min(ROUNDS_PER_DAEMON, options.rounds - done)
                with failing(options.out, on):
                    measure(lab, count, done, on, options.out)
                done += count
    return report(read(options.out))


def measure(lab: Lab, rounds: int, done: int, on: dict[str, Any], out: Path) -> None:
    """Measure some rounds with one daemon; each is added to the file."""
    home = lab.plan.path / f"daemon-{done}"
    home.mkdir()
    text = settings(lab, home, link_mbit=1000, timing=TIMING)
    listener = Listener(home)
    try:
        wait_listening()
        with at_work(home, text, EVACUATION + LIMITS) as daemon:
            for n in range(done, done + rounds):
                row = on | one_round(lab, daemon, listener, f"h{n % len(lab.hosts) + 1}")
                add(out, row)
                took = "no reaction" if row["called"] is None else f"{row['called'] * 1000:7.1f} ms"
                print(f"round {n + 1:3}  {row['host']:3}  {took}", flush=True)
                spread(lab)
    finally:
        listener.stop()


def one_round(lab: Lab, daemon: DaemonProcess, listener: Listener, host: str) -> dict[str, Any]:
    """Fail one host, wait until it is empty, acknowledge; return what was measured, seconds."""
    bare = bare_check(lab)
    used, then = counters(daemon)["telemetry.used"], time.monotonic()
    wall = time.time()
    lab.hosts[host].sensors.uncorrected()
    wait_for(lambda: not lab.hosts[host].emulated(), 60.0, 0.5)
    wait_for(lambda: not daemon.open_migrations(), 30.0, 0.5)
    reports = (counters(daemon)["telemetry.used"] - used) / (time.monotonic() - then)
    found = reaction(daemon, listener, host, wall)
    daemon.ctl("host", "acknowledge", host)
    return {"host": host, "called": found and found.called, "stepped": found and found.stepped, "bare": bare,
            "reports_a_second": reports}


def spread(lab: Lab) -> None:
    """Move guests by hand so that the next host has some again."""
    held = {name: host.emulated() for name, host in lab.hosts.items()}
    for host in [name for name, guests in held.items() if not guests]:
        fullest = max(held, key=lambda name: len(held[name]))
        for name in held[fullest][:GUESTS_EACH]:
            lab.migrate(lab.book.find(name), host)
            held[fullest].remove(name)
            held[host].append(name)
    time.sleep(2.5)


def bare_check(lab: Lab) -> float:
    """Return how long the least possible look at two hosts takes over open connections, seconds."""
    ends = [libvirt.openReadOnly(lab.hosts[name].uri) for name in ("h1", "h2")]
    begun = time.perf_counter()
    for end in ends:
        end.getLibVersion()
        for domain in end.listAllDomains(1):
            domain.state()
    took = time.perf_counter() - begun
    for end in ends:
        end.close()
    return took


def report(rows: list[dict[str, Any]]) -> int:
    """Print what was measured on each set-up; return 0 where every round reacted and the targets are met."""
    return reported(rows, SETUP, told)


def told(rows: list[dict[str, Any]]) -> int:
    """Print what was measured; return 0 where every round reacted and the targets are met."""
    ms = sorted(row["called"] * 1000 for row in rows if row["called"] is not None)
    print(f"{len(ms)} of {len(rows)} rounds reacted")
    if not ms:
        return 1
    reports, bare = (statistics.median(row[what] for row in rows) for what in ("reports_a_second", "bare"))
    stepped = statistics.median(row["stepped"] * 1000 for row in rows if row["stepped"] is not None)
    print(f"  {reports:.1f} messages a second taken\n"
          f"  until the step began that decided: median {stepped:.1f} ms\n"
          f"  until the first call: median {statistics.median(ms):.1f} ms, best {ms[0]:.1f}, worst {ms[-1]:.1f}; "
          f"{statistics.median(ms) / bare / 1000:.0f} times a bare look at both ends ({bare * 1000:.2f} ms)")
    is_met = len(ms) == len(rows) and statistics.median(ms) <= MEDIAN_TARGET_MS and ms[-1] <= WORST_TARGET_MS
    print(f"targets (all react, median {MEDIAN_TARGET_MS:g} ms, worst {WORST_TARGET_MS:g} ms): "
          + ("met" if is_met else "missed"))
    return 0 if is_met else 1


if __name__ == "__main__":
    sys.exit(main())
