"""Whether the mind lets a cluster rest: steady load with noise, and how often VMs are moved.

    .venv/bin/python -m benchmarks.restful                              1,000 clusters of 6 virtual hours (15 min a core)
    .venv/bin/python -m benchmarks.restful --clusters 50 --hours 48     for two days each

Each cluster is another: 3 to 10 hosts of several generations, 2 to 8 VMs a host, a third to two thirds full, a tenth to
six tenths of its processors in use. Every VM asks for the same all the time, but for noise of 5 % from one look to the
next (every 30 s). The shipped policies are in auto, packing left out. Counted: VMs that were moved more than once, and moves
that began after the first hour, which is there to put right what the cluster began with. Beside them what is left at the
end: hosts that are hot, and the spread of processors.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random

from ballastd.core.plans import DeferralKind
from ballastd.sim.generating import generate
from benchmarks.driving import PACE_SECONDS, Driver, shipped

NOISE = 0.05
HOUR = 3600.0
HOT, UNEVEN = 0.80, 0.30


@dataclass(frozen=True)
class Rest:
    """One cluster. ``again``: VMs that were moved more than once. ``late``: moves after the first hour, ``held``: of these
    where the policy's budget of moves an hour was used up when the hour ended. ``spread``: of processors between the busiest
    host and the idlest, at the end."""

    seed: int
    hosts: int
    vms: int
    moves: int
    again: int
    late: int
    held: int
    hot: int
    spread: float


def watch(seed: int, hours: float) -> Rest:
    """Let a cluster be for so many hours."""
    luck = Random(f"{seed} restful")
    hosts = luck.randint(3, 10)
    cluster = generate(hosts, luck.randint(2, 8) * hosts, seed, fill=luck.uniform(0.3, 0.7))
    driver = Driver(cluster, replace(shipped(cluster), consolidation=()))
    asked = sum(host.asked() for host in driver.hosts.values())
    scale = luck.uniform(0.1, 0.6) * sum(host.cpus for host in cluster.hosts) / asked
    steady = {vm: burn * scale for host in driver.hosts.values() for vm, burn in host.burn.items()}
    moved: Counter[str] = Counter()
    late, is_held = 0, False
    while driver.seconds < hours * HOUR:
        for host in driver.hosts.values():
            for vm in host.burn:
                host.burn[vm] = steady[vm] * (1.0 + luck.uniform(-NOISE, NOISE))
        decision = driver.step(*driver.tell())
        driver.carry_out(decision)
        moved.update(order.move.vm for order in decision.orders)
        if driver.seconds > HOUR + PACE_SECONDS:
            late += len(decision.orders)
        else:
            is_held = any(no.kind == DeferralKind.MOVES_PER_HOUR.value for no in decision.view.noes)
    busy = [host.asked() / host.saved.cpus for host in driver.hosts.values()]
    return Rest(seed, hosts, len(cluster.vms), sum(moved.values()), sum(count > 1 for count in moved.values()), late,
                late if is_held else 0, sum(share > HOT for share in busy), max(busy) - min(busy))


def main() -> int:
    """Watch; return 0 where every cluster rested."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clusters", type=int, default=1000)
    parser.add_argument("--hours", type=float, default=6.0)
    parser.add_argument("--first", type=int, default=9001, help="the first seed")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/restful.json"))
    options = parser.parse_args()
    begun, found = time.monotonic(), list[Rest]()
    seeds = range(options.first, options.first + options.clusters)
    with ProcessPoolExecutor(options.jobs) as pool:
        for rest in pool.map(watch, seeds, [options.hours] * options.clusters):
            found.append(rest)
            if rest.again or rest.late:
                print(f"seed {rest.seed}: {rest.hosts} hosts, {rest.vms} VMs: {rest.moves} moves, {rest.late} of them late, "
                      f"{rest.again} VMs more than once", flush=True)
            if len(found) % 100 == 0:
                print(f"{len(found)} of {options.clusters} in {time.monotonic() - begun:.0f} s", flush=True)
    moves = [rest.moves for rest in found]
    print(f"{len(found)} clusters of {options.hours:g} h: {sum(moves)} moves (median {statistics.median(moves):g}, most "
          f"{max(moves)}); VMs moved more than once: {sum(rest.again for rest in found)}; moves after the first hour: "
          f"{sum(rest.late for rest in found)} in {sum(rest.late > 0 for rest in found)} clusters, of these "
          f"{sum(rest.held for rest in found)} put off by the budget of moves an hour")
    print(f"at the end: hot hosts {sum(rest.hot for rest in found)}, spread median "
          f"{statistics.median(rest.spread for rest in found):.0%}, clusters still more than {UNEVEN:.0%} apart "
          f"{sum(rest.spread > UNEVEN for rest in found)}")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps([asdict(rest) for rest in found], indent=1) + "\n")
    print(f"written: {options.out}")
    return 1 if any(rest.again or rest.late > rest.held for rest in found) else 0


if __name__ == "__main__":
    sys.exit(main())
