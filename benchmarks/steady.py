"""What the daemon costs where there is nothing to do: ten real hosts with sixty guests, the shipped policies, its own pace.

    python -m benchmarks.steady --minutes 60                   (as root; the guests take a minute to start)
    python -m benchmarks.steady --minutes 3 --interval 1       agents that report every second instead of every ten

Policies and durations are those that ship, but for the quiet after the start, which is 45 s. Every minute: what part
of a core its process took (/proc/PID/stat), the memory it holds (resident), and that with only its part of what it shares
with others (proportional; here the agents run the same program, so it is less than where it is alone). The targets are
judged by the first two; flat: in the last quarter of the minutes as much as in the first. Nobody asks its API meanwhile.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from tests.demo.cluster import DaemonProcess, settings
from tests.lab import Lab, missing

from benchmarks.driving import ROOT
from benchmarks.on_lab import a_lab, at_work, proportional_mib, resident_mib, setup, sized, spent

STARTERS = 4
MINUTE_SECONDS = 60.0
SHARE_TARGET, MEMORY_TARGET_MIB, FLAT_MIB = 0.03, 120.0, 2.0


@dataclass(frozen=True, slots=True)
class Minute:
    """A minute of the daemon: its share of a core, and MiB at the end."""

    share: float
    resident: float
    proportional: float


def main() -> int:
    """Measure and print; return 0 where every target is met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=int, default=60)
    sized(parser, guests=6, memory=8, interval=10.0)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/steady.json"))
    options = parser.parse_args()
    if missing():
        print(f"no lab here: {missing()}", file=sys.stderr)
        return 2
    minutes: list[Minute] = []
    with a_lab("steady", options.hosts, options.interval) as lab:
        populate(lab, options.guests, options.memory)
        home = lab.plan.path / "daemon"
        text = settings(lab, home, link_mbit=1000, timing={"startup_quiet": "45s"})
        with at_work(home, text, shipped()) as daemon:
            print(f"{'minute':>6} {'of a core':>10} {'resident':>12} {'proportional':>13}", flush=True)
            try:
                watch(daemon, options.minutes, minutes)
                done = {"orders": sum(r["kind"] == "MigrationOrdered" for r in daemon.journal()),
                        "posture": daemon.posture(), "counters": daemon.ask("counters")}
            finally:
                write(options, minutes)
    found = summary(minutes) | done
    write(options, minutes, found)
    print(f"of a core {found['share']:.2%} (worst minute {found['share_worst']:.2%}), {found['resident']:.1f} MiB resident "
          f"({found['proportional']:.1f} proportional), {found['grown']:+.1f} MiB from the first quarter to the last; "
          f"{done['orders']} moves ordered, {done['posture']}")
    wrong = missed(found)
    print("targets missed: " + ("; ".join(wrong) or "none"))
    return 1 if wrong else 0


def shipped() -> str:
    """Return the policies that ship, as they ship."""
    return "\n---\n".join(path.read_text() for path in sorted((ROOT / "policies").glob("*.yaml")))


def populate(lab: Lab, guests: int, memory: int) -> None:
    """Start so many guests on each host, a few at once."""
    places = [(host, f"{host}-vm{n}") for host in lab.hosts for n in range(guests)]
    with ThreadPoolExecutor(STARTERS) as pool:
        list(pool.map(lambda place: lab.start_guest(*place, memory), places))


def watch(daemon: DaemonProcess, count: int, minutes: list[Minute]) -> None:
    """Measure so many minutes, one after the other."""
    then, before = spent(daemon.pid)
    for _ in range(count):
        time.sleep(MINUTE_SECONDS)
        now, after = spent(daemon.pid)
        minute = Minute((after - before) / (now - then), resident_mib(daemon.pid), proportional_mib(daemon.pid))
        then, before = now, after
        minutes.append(minute)
        print(f"{len(minutes):>6} {minute.share:>10.2%} {minute.resident:>8.1f} MiB {minute.proportional:>9.1f} MiB",
              flush=True)


def summary(minutes: Sequence[Minute]) -> dict[str, Any]:
    """Return what one or more minutes come to. ``grown``: MiB from the first quarter of them to the last, by medians."""
    quarter = max(1, len(minutes) // 4)
    held = [one.resident for one in minutes]
    return {"share": sum(one.share for one in minutes) / len(minutes), "share_worst": max(one.share for one in minutes),
            "resident": max(held), "proportional": max(one.proportional for one in minutes),
            "grown": median(held[-quarter:]) - median(held[:quarter])}


def missed(found: dict[str, Any]) -> list[str]:
    """Return which targets are missed, in words."""
    wrong = [f"{found['share']:.2%} of a core (target {SHARE_TARGET:.0%})"] if found["share"] >= SHARE_TARGET else []
    if found["resident"] >= MEMORY_TARGET_MIB:
        wrong.append(f"{found['resident']:.1f} MiB (target {MEMORY_TARGET_MIB:g})")
    if found["grown"] > FLAT_MIB:
        wrong.append(f"grown by {found['grown']:.1f} MiB (target {FLAT_MIB:g})")
    if found["orders"]:
        wrong.append(f"{found['orders']} moves were ordered: there was something to do")
    return wrong


def write(options: argparse.Namespace, minutes: Sequence[Minute], found: dict[str, Any] | None = None) -> None:
    """Write the JSON; what there is of it, should somebody have enough."""
    on = setup(options, ("hosts", "guests", "memory", "interval"))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    rows = [asdict(one) for one in minutes]
    options.out.write_text(json.dumps(on | (found or {}) | {"minutes": rows}, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
