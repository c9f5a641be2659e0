"""Let the daemon look after a real lab under random load, and count what it did and what it cost.

Every few seconds one guest begins to do something else. Cooldowns are those of production, so in an hour no guest may
be moved twice by balance; the witness, which asks the libvirtd hosts alone, counts.

    sudo .venv/bin/python -m benchmarks.soak --minutes 60
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.demo.cluster import HOOK, DaemonProcess, agent_command, settings
from tests.demo.witness import Witness
from tests.lab import Lab, LabError

from ballastd.demo.policies import EVACUATION, LIMITS, TIMING
from benchmarks.on_lab import at_work, resident_mib, spent

HOSTS, GUESTS_EACH, GUEST_MIB = 4, 3, 32
MODES = ("idle", "work2", "work4", "work6", "work8", "work9")
CHANGE_SECONDS, SAMPLE_SECONDS = 15.0, 5.0
POLICIES = EVACUATION + LIMITS + """\
---
kind: Balance
name: even-load
hot: {cpu: 80%, memory: 88%, cpu.pressure.some: off, for: 20s}
imbalance: {above: 40%, for: 30s}
cooldown: {vm: 6h, no_return: 24h, host_settle: 30s, foreign_move: 12h}
budget: {in_flight: 1, per_hour: 30, per_day: 60, per_vm_per_day: 2}
mode: auto
"""


@dataclass
class Soak:
    """What was counted."""

    changes: int = 0
    postures: Counter[str] = field(default_factory=Counter)
    noes: Counter[str] = field(default_factory=Counter)
    cpu_percent: list[float] = field(default_factory=list)
    resident_mib: list[float] = field(default_factory=list)
    spreads: list[float] = field(default_factory=list)
    hot_samples: int = 0


def main() -> int:
    """Soak; return 0 if no guest was moved twice, lost or doubled."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/soak.json"))
    options = parser.parse_args()
    with Lab("soak", HOSTS, cpu_quota=0.6, hook=HOOK, agent_command=agent_command) as lab:
        lab.broker().start()
        lab.enter()
        guests = {f"{h}-vm{i}": lab.start_guest(h, f"{h}-vm{i}", memory_mib=GUEST_MIB, mode="1")
                  for h in lab.hosts for i in range(GUESTS_EACH)}
        home = lab.plan.path / "daemon"
        text = settings(lab, home, timing=TIMING | {"load_window": "20s", "pace": "5s"})
        witness, soak = Witness(lab), Soak()
        witness.start()
        try:
            with at_work(home, text, POLICIES) as daemon:
                run(lab, guests, daemon, soak, random.Random(options.seed), options.minutes * 60)
                report = result(daemon, witness, soak, guests, lab, options)
        finally:
            witness.stop()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=1))
    width = max(map(len, report))
    print("\n".join(f"{key:{width}}  {value}" for key, value in report.items()))
    sound = not report["guests_moved_twice"] and not report["guests_lost"] and report["copies_max"] == 1
    return 0 if sound and not report["heart_breaks"] else 1


def run(lab: Lab, guests: dict[str, object], daemon: DaemonProcess, soak: Soak, dice: random.Random, seconds: float) -> None:
    """Change load and sample until the time is over."""
    until, change_at = time.monotonic() + seconds, 0.0
    before = spent(daemon.pid)
    while time.monotonic() < until:
        if time.monotonic() >= change_at:
            change_at = time.monotonic() + CHANGE_SECONDS
            name = dice.choice(sorted(guests))
            try:
                lab.set_mode(guests[name], dice.choice(MODES))
                soak.changes += 1
            except LabError:
                continue  # it is moving just now
        time.sleep(SAMPLE_SECONDS)
        now = spent(daemon.pid)
        soak.cpu_percent.append(100.0 * (now[1] - before[1]) / (now[0] - before[0]))
        soak.resident_mib.append(resident_mib(daemon.pid))
        before = now
        sample(daemon, soak)
        if len(soak.cpu_percent) % 60 == 0:
            left = (until - time.monotonic()) / 60
            print(f"{left:5.1f} min left, {soak.changes} changes of load, {soak.resident_mib[-1]:.0f} MiB", flush=True)


def sample(daemon: DaemonProcess, soak: Soak) -> None:
    """Note posture, noes and load."""
    soak.postures[daemon.posture() or "silent"] += 1
    plan = daemon.ask("plan") or {}
    soak.noes.update({no["kind"] for no in plan.get("noes", ())})
    loads = [h["cpu_utilization"] or 0.0 for h in (daemon.ask("hosts") or {}).get("hosts", ())]
    if loads:
        soak.spreads.append(max(loads) - min(loads))
        soak.hot_samples += max(loads) > 0.8


def result(daemon: DaemonProcess, witness: Witness, soak: Soak, guests: dict[str, object], lab: Lab,
           options: argparse.Namespace) -> dict[str, object]:
    """Return the figures."""
    journal = daemon.journal()
    ordered = [r for r in journal if r["kind"] == "MigrationOrdered"]
    endings = Counter(r["ending"] for r in journal if r["kind"] == "MigrationSettled")
    moves = Counter(r["vm_name"] for r in ordered)
    seen = {name: len(trail.hosts) - 1 for name, trail in witness.trails.items()}
    quarter = max(1, len(soak.resident_mib) // 4)
    return {
        "minutes": options.minutes, "changes_of_load": soak.changes, "moves_ordered": len(ordered), "endings": dict(endings),
        "guests_moved_twice": sorted(name for name, count in (moves | Counter(seen)).items() if count > 1),
        "guests_lost": sorted(set(guests) - set(witness.everyone())),
        "copies_max": max((trail.copies_max for trail in witness.trails.values()), default=0),
        "heart_breaks": sum(lab.heartbeat(guest).breaks for guest in guests.values()),
        "samples": len(soak.cpu_percent), "samples_with_a_hot_host": soak.hot_samples,
        "spread_median": round(statistics.median(soak.spreads), 3) if soak.spreads else None,
        "postures": dict(soak.postures), "samples_with_each_no": dict(soak.noes.most_common()),
        "daemon_cpu_percent_median": round(statistics.median(soak.cpu_percent), 2),
        "daemon_cpu_percent_worst": round(max(soak.cpu_percent), 2),
        "daemon_mib_first_quarter": round(statistics.median(soak.resident_mib[:quarter]), 1),
        "daemon_mib_last_quarter": round(statistics.median(soak.resident_mib[-quarter:]), 1),
        "journal_records": len(journal),
    }


if __name__ == "__main__":
    sys.exit(main())
