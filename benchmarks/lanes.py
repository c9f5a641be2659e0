"""The lanes of threads by themselves: looks at 200 and 1,000 hosts that are pretended, with none, one and ten of them hung.

    python -m benchmarks.lanes

A look sleeps 6 ms in its lane, one in twenty 50, as a blocking call that waits for a host does; a hung one comes back only
when all is over. All hosts are looked at in the same instant, the worst case: the daemon spreads its looks. A round ends
with the last healthy answer. Each case has a child of its own; ratios are to the one in which none hangs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from random import Random
from statistics import median, quantiles
from typing import Any

from ballastd.adapters.blocking import Lanes
from ballastd.errors import Unreachable

LOOK_SECONDS, SLOW_LOOK_SECONDS, SLOW_SHARE = 0.006, 0.05, 0.05
DEADLINE_SECONDS = 2.0
HUNG = (0, 1, 10)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, nargs="+", default=[200, 1000])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/lanes.json"))
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is not None:
        print(json.dumps(asyncio.run(looks(options.hosts[0], options.child, options.rounds))))
        return 0
    print(f"{'hosts':>6} {'hung':>5} {'round':>9} {'median':>8} {'99th':>8} {'ratio':>6} {'threads':>8} {'grown':>9}")
    rows = [row for hosts in options.hosts for row in compared(hosts, options.rounds)]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(rows, indent=1) + "\n")
    return 0


def compared(hosts: int, rounds: int) -> list[dict[str, Any]]:
    """Return the cases of one size, printed as they come."""
    rows: list[dict[str, Any]] = []
    for hung in HUNG:
        words = [sys.executable, "-m", "benchmarks.lanes", "--hosts", str(hosts), "--rounds", str(rounds),
                 "--child", str(hung)]
        row: dict[str, Any] = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
        row["ratio"] = row["median_ms"] / (rows[0] if rows else row)["median_ms"]
        rows.append(row)
        print(f"{hosts:>6} {hung:>5} {row['round_ms']:>6.0f} ms {row['median_ms']:>5.1f} ms {row['p99_ms']:>5.1f} ms "
              f"{row['ratio']:>6.2f} {row['threads']:>8} {row['grown_mib']:>5.1f} MiB", flush=True)
    return rows


async def looks(hosts: int, hung: int, rounds: int) -> dict[str, Any]:
    """Return what ``rounds`` of looks at so many hosts took; the first, in which threads are made, is told apart."""
    lanes, over, luck, before = Lanes(), threading.Event(), Random(1), resident_mib()
    took: list[float] = []
    ends: list[float] = []

    async def look(host: int) -> None:
        begun = time.monotonic()
        pause = SLOW_LOOK_SECONDS if luck.random() < SLOW_SHARE else LOOK_SECONDS
        await lanes.run(f"host-{host}", lambda: time.sleep(pause), deadline=30.0)
        took.append(time.monotonic() - begun)

    async def hang(host: int) -> None:
        try:
            await lanes.run(f"host-{host}", over.wait, deadline=DEADLINE_SECONDS)
        except Unreachable:
            return
        raise AssertionError("a hung host answered")

    firsts = 0.0
    for number in range(rounds + 1):
        begun = time.monotonic()
        stuck = [asyncio.create_task(hang(host)) for host in range(hung)]
        await asyncio.gather(*(look(host) for host in range(hung, hosts)))
        ends.append(time.monotonic() - begun)
        await asyncio.gather(*stuck)
        if number == 0:
            firsts, took[:], ends[:] = ends[0], [], []
    found = {"hosts": hosts, "hung": hung, "first_round_ms": 1e3 * firsts, "round_ms": 1e3 * median(ends),
             "median_ms": 1e3 * median(took), "p99_ms": 1e3 * quantiles(took, n=100)[-1],
             "threads": threading.active_count(), "abandoned": lanes.abandoned(), "grown_mib": resident_mib() - before}
    over.set()
    await lanes.close()
    return found


def resident_mib() -> float:
    """Return the memory that this process holds."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


if __name__ == "__main__":
    sys.exit(main())
