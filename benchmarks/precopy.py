"""How well two models of a live migration foretell real ones: the simulator's pre-copy by rounds, and the daemon's sum.

    .venv/bin/python -m benchmarks.precopy                 36 migrations of lab guests, 2 hosts (root; 8 min)
    .venv/bin/python -m benchmarks.precopy --sizes 64 --caps 16

Guests of several sizes, each rewriting its memory at a known rate, are moved under several caps, as a hand would move them,
one at a time. ``simulator``: hand-shake plus the rounds of ``ballastd.sim.precopy``, told size, cap and rate; ``daemon``:
what ``ballastd.core.prediction`` says before a move of a VM whose rate is known; ``blind``: the same where it is not. Errors
are shares of what was measured. Whether a guest arrives at all is foretold too: one that is said not to is given twice the
time of its bytes and called off.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.lab import Lab, LabError, missing

from ballastd.core.convergence import UNSAID_MS
from ballastd.core.prediction import HANDSHAKE_SECONDS, Passage, foretell, predict
from ballastd.core.quantities import MIB
from ballastd.sim.precopy import PreCopy

SIZES_MIB, CAPS_MIB_S, MODES = (32, 64, 128), (8, 16, 32), ("idle", "5", "6", "7")
TICKS_A_SECOND, PAGE_MIB = 18.2, 4096 / (1 << 20)
SETTLE_SECONDS, NEVER_SECONDS = 1.0, 300.0
MEDIAN_TARGET = 0.15


@dataclass(frozen=True)
class Run:
    """One migration. ``dirty``: MiB/s that the guest rewrites; times in seconds, None for a guest that does not arrive."""

    size: int
    cap: int
    dirty: float
    simulator: float | None
    daemon: float | None
    blind: float
    took: float | None


def rate_of(mode: str) -> float:
    """Return how much a guest in a mode rewrites, MiB/s: 2^n pages at every tick of its clock."""
    return 0.0 if mode == "idle" else 2 ** int(mode) * PAGE_MIB * TICKS_A_SECOND


def foretold(size: int, cap: int, dirty: float) -> float | None:
    """Return what the simulator says, seconds; None: it never arrives."""
    copy, passed = PreCopy(float(size), dirty, float(size)), HANDSHAKE_SECONDS
    while not copy.is_ready:
        wait = copy.until_next(cap)
        if wait is None or passed > NEVER_SECONDS:
            return None
        copy.advance(wait, cap)
        passed += wait
    return passed


def measure(lab: Lab, size: int, cap: int, mode: str) -> Run:
    """Move one guest and back out of the way; return what was foretold and what it took."""
    dirty = rate_of(mode)
    said = foretold(size, cap, dirty)
    guest = lab.start_guest("h1", f"m{size}-{cap}-{mode}", memory_mib=size, mode=mode)
    try:
        time.sleep(SETTLE_SECONDS)
        patience = 2.0 * size / cap + 5.0 if said is None else 3.0 * said + 10.0
        began = time.monotonic()
        moving = lab.migrating(guest, "h2", bandwidth_mib=cap)
        took: float | None
        try:
            moving.communicate(timeout=patience)
            took = time.monotonic() - began if moving.returncode == 0 else None
        except subprocess.TimeoutExpired:
            took = None
            with suppress(LabError):
                lab.hosts["h1"].virsh("domjobabort", guest.name)
            moving.communicate(timeout=30.0)
    finally:
        lab.stop_guest(guest)
    copy = foretell(size * MIB, Passage(cap, cap, UNSAID_MS, UNSAID_MS), dirty)
    return Run(size, cap, dirty, said, float(copy.takes) if copy.ends else None, float(predict(size * MIB, cap)), took)


def main() -> int:
    """Measure and print; return 0 where the target is met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES_MIB, metavar="MIB")
    parser.add_argument("--caps", type=int, nargs="+", default=CAPS_MIB_S, metavar="MIB/S")
    parser.add_argument("--modes", nargs="+", default=MODES)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/precopy.json"))
    options = parser.parse_args()
    if missing():
        print(f"no lab here: {missing()}", file=sys.stderr)
        return 2
    runs: list[Run] = []
    print(f"{'MiB':>4} {'MiB/s':>6} {'dirtied':>8} {'took':>7} {'simulator':>10} {'daemon':>7} {'blind':>7}")
    with Lab("precopy", 2, cpu_quota=None) as lab:
        for size in options.sizes:
            for cap in options.caps:
                for mode in options.modes:
                    run = measure(lab, size, cap, mode)
                    runs.append(run)
                    took, said, ours = (f"{one:.2f}" if one is not None else "never"
                                        for one in (run.took, run.simulator, run.daemon))
                    print(f"{size:>4} {cap:>6} {run.dirty:>8.1f} {took:>7} {said:>10} {ours:>7} {run.blind:>7.2f}",
                          flush=True)
    arrived = [run for run in runs if run.took is not None and run.simulator is not None]
    errors = {
        "simulator": [abs(run.simulator / run.took - 1.0) for run in arrived if run.simulator and run.took],
        "daemon": [abs(run.daemon / run.took - 1.0) for run in arrived if run.daemon and run.took],
        "blind": [abs(run.blind / run.took - 1.0) for run in arrived if run.took],
    }
    for name, some in errors.items():
        print(f"{name}: median error {statistics.median(some):.1%}, worst {max(some):.1%} of {len(some)}")
    wrong = [run for run in runs if {run.took is None, run.simulator is None, run.daemon is None} == {True, False}]
    print(f"whether it arrives: foretold rightly for {len(runs) - len(wrong)} of {len(runs)}")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps([asdict(run) for run in runs], indent=1) + "\n")
    print(f"written: {options.out}")
    good = all(statistics.median(errors[name]) <= MEDIAN_TARGET for name in ("simulator", "daemon"))
    return 0 if good and not wrong else 1


if __name__ == "__main__":
    sys.exit(main())
