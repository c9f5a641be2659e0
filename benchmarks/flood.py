"""The same evacuation with telemetry at its rate and at ten times it, on real hosts: whether it takes any longer.

    python -m benchmarks.flood [--rounds 5] [--times 10] [--hosts 10]          (as root; about 2 min per round)

Real agents report every second, and ``benchmarks.repeater`` passes on what they say once, or so many times: both ways go
the same path. Each round a new daemon empties a host of the same guests over a shaped link in each way, in turn, as in
``benchmarks.evacuating``. took: from the operator's ``host drain`` until no emulator is left at the host. lost: messages of
all hosts, the one that is emptied among them, that were said and that the daemon did not read; given way: of them those
that its own bound on what waits of a host dropped. of a core: what the daemon took meanwhile.

Each evacuation is a line of the file; a run that was stopped goes on, with the same product alone, and what failed stays
counted. --report FILE shows what there is.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from tests.chaos.oracle import what_broke
from tests.demo.cluster import DaemonProcess
from tests.lab import Lab
from tests.results import add, opened, read

from ballastd.cli.demo.telling import wait_for
from ballastd.demo.policies import EVACUATION, LIMITS
from benchmarks.evacuating import SOURCE, drained, roomy
from benchmarks.on_lab import a_lab, alike, await_ready, counters, failing, reported, setup, spent

HEARD, SAID = "agents", "ballastd"
SETUP = ("hosts", "guests", "memory", "speed")
INTERVAL_SECONDS = 1.0
SETTLE_SECONDS = 10.0
SLOWER_TARGET = 1.10


@dataclass(frozen=True, slots=True)
class Rate:
    """The evacuations at one rate of telemetry: medians, and what was lost in all of them."""

    times: int
    runs: int
    seconds: float
    ratio: float
    messages_a_second: float
    share: float
    lost: int
    given_way: int


def compared(rows: Sequence[dict[str, Any]]) -> list[Rate]:
    """Return what the evacuations at each rate come to, the lowest rate first, which the others are held against."""
    found: list[Rate] = []
    for times in sorted({row["times"] for row in rows}):
        these = [row for row in rows if row["times"] == times]
        seconds = median(row["seconds"] for row in these)
        found.append(Rate(times, len(these), seconds, seconds / found[0].seconds if found else 1.0,
                          median(row["messages_a_second"] for row in these), median(row["share"] for row in these),
                          sum(row["lost"] for row in these), sum(row["given_way"] for row in these)))
    return found


def main() -> int:
    """Measure what is missing and print; return 0 where every target is met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--hosts", type=int, default=10)
    parser.add_argument("--guests", type=int, default=8)
    parser.add_argument("--memory", type=int, default=48, metavar="MIB")
    parser.add_argument("--speed", type=int, default=224, metavar="MBIT/S")
    options = opened(parser, Path("benchmarks/results/flood.jsonl"), report)
    on = setup(options, SETUP)
    there = {(row["round"], row["times"]) for row in alike(read(options.out), on)}
    due = [(n, times) for n in range(options.rounds) for times in sorted((1, options.times), reverse=n % 2 == 1)
           if (n, times) not in there]
    if due:
        with a_lab("flood", options.hosts, INTERVAL_SECONDS, None, HEARD) as lab:
            for number, times in due:
                with failing(options.out, on | {"round": number, "times": times}):
                    row = measure(lab, number, times, options)
                add(options.out, on | row)
                print(f"round {number + 1:3}  {times:3} times  {row['seconds']:6.1f} s  {row['messages_a_second']:6.1f} "
                      f"messages a second, {row['lost']} lost, daemon {row['share']:.1%} of a core", flush=True)
    return report(read(options.out))


def measure(lab: Lab, number: int, times: int, options: argparse.Namespace) -> dict[str, Any]:
    """Fill the host, empty it with so much telemetry, clear up; return what was measured."""
    home = lab.plan.path / f"daemon-{number}-{times}"
    guests = [lab.start_guest(SOURCE, f"g{number}-{times}-{n}", options.memory, mode="1") for n in range(options.guests)]
    lab.hosts[SOURCE].shape(options.speed)
    daemon = DaemonProcess(home, roomy(lab, home, options.speed), EVACUATION + LIMITS).start()
    try:
        # once it listens it hears all that is said: nothing is kept for it from before
        if not wait_for(lambda: (daemon.ask("counters") or {}).get("telemetry.connections"), 30.0):
            raise RuntimeError(f"the daemon did not get ready: {daemon.log}")
        before = counters(daemon)
        with repeating(home, times) as said:
            await_ready(daemon)
            then, used = spent(daemon.pid)
            at_first = counters(daemon)
            seconds = drained(lab, daemon)
            at_last = counters(daemon)
            now, used_then = spent(daemon.pid)
            # the agent must be told that its host is open again: its requests are passed on, too
            if not wait_for(lambda: not lab.hosts[SOURCE].is_closed(), 30.0):
                raise RuntimeError("the host that was emptied stays closed")
        wait_for(lambda: not lost(said, before, counters(daemon)), SETTLE_SECONDS, 0.5)
        after = counters(daemon)
        broke = [what_broke(heart) for guest in guests if (heart := lab.heartbeat(guest)).breaks]
        return {"round": number, "times": times, "seconds": seconds, "share": (used_then - used) / (now - then),
                "messages_a_second": (at_last["telemetry.used"] - at_first["telemetry.used"]) / (now - then),
                "lost": lost(said, before, after), "given_way": given_way(before, after),
                "torn": len(broke), "broke": broke}
    finally:
        daemon.stop()
        lab.hosts[SOURCE].unshape()
        for guest in guests:
            lab.stop_guest(guest)


@contextmanager
def repeating(home: Path, times: int) -> Iterator[dict[str, int]]:
    """Have what agents say passed on so many times; how much was said of each host is known after the block."""
    counts, said = home / "said.json", dict[str, int]()
    process = subprocess.Popen([
        sys.executable, "-m", "benchmarks.repeater", "--times", str(times), "--interval", str(INTERVAL_SECONDS),
        "--from", HEARD, "--to", SAID, "--counts", str(counts)])
    try:
        yield said
    finally:
        process.terminate()
        status = process.wait(15.0)
    if status:
        raise RuntimeError("what agents say was not passed on")
    said.update(json.loads(counts.read_text()))


def lost(said: dict[str, int], before: dict[str, float], after: dict[str, float]) -> int:
    """Return how many messages were said and not read: of all hosts, since every host's reports bear on where guests go."""
    used = after["telemetry.used"] - before.get("telemetry.used", 0.0)
    return int(sum(said.values()) - used)


def given_way(before: dict[str, float], after: dict[str, float]) -> int:
    """Return how many messages of any host gave way to newer ones of it."""
    return int(sum(value - before.get(key, 0.0) for key, value in after.items() if key.startswith("telemetry.dropped.")))


def report(rows: list[dict[str, Any]]) -> int:
    """Print a table for each set-up; return 0 where every target is met."""
    return reported(rows, SETUP, told)


def told(rows: list[dict[str, Any]]) -> int:
    """Print the table; return 0 where every target is met."""
    lines = compared(rows)
    print(f"{'telemetry':>10} {'runs':>5} {'took':>9} {'ratio':>6} {'messages':>11} {'of a core':>10} {'lost':>5} "
          f"{'given way':>10}")
    for one in lines:
        print(f"{one.times:>4} times {one.runs:>5} {one.seconds:>7.1f} s {one.ratio:>6.3f} {one.messages_a_second:>9.1f}/s "
              f"{one.share:>10.1%} {one.lost:>5} {one.given_way:>10}")
    missed = [f"{one.times} times: took {one.ratio:.2f} times as long" for one in lines if one.ratio > SLOWER_TARGET]
    missed += [f"{one.times} times: {one.lost} messages lost" for one in lines if one.lost]
    missed += [f"{row['times']} times: the hearts of {row['torn']} guests missed a beat ({', '.join(row.get('broke', ()))})"
               for row in rows if row["torn"]]
    missed += ["nothing was measured at another rate"] if len(lines) < 2 else []
    print("targets missed: " + ("; ".join(missed) or "none"))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
