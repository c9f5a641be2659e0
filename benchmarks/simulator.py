"""How fast virtual time passes: the whole daemon on a pretend cluster, and the mind alone on a table, 20 hosts and 200 VMs.

    .venv/bin/python -m benchmarks.simulator                  the table, and benchmarks/results/simulator.json
    .venv/bin/python -m benchmarks.simulator --profile busy   where the time of one row goes, by module

Telemetry comes every 10 s from each host, and so do inventories. Figures are virtual seconds per second of processor time,
medians over the rounds; a round is another seed. Beside them the floor of the same run: an event loop on virtual time that
does nothing but wake twenty times a virtual second, and a bare dictionary written to as a measure of the machine.

quiet: the shipped policies, nobody disturbs. busy: policies that act, and every chance of a seed. tabletop: no loop, no
ports; the mind is told everything every 10 s (tabletop 10 s), or folded reports and the newest inventories every 30 s, which
is the daemon's routine pace (tabletop 30 s).
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import json
import logging
import pstats
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import structlog

from ballastd.core.policies import Timing
from ballastd.documents.policy_files import PolicyFiles
from ballastd.rehearsal.seeds import FixedPolicies, policies_of
from ballastd.rehearsal.stage import Setting, Stage, perform
from ballastd.rehearsal.tabletop import Tabletop
from ballastd.sim.chances import chosen, draw
from ballastd.sim.generating import generate
from ballastd.sim.virtual_time import DEFAULT_EPOCH_WALL, run_virtual

HOSTS, VMS = 20, 200
HOUR = 3600.0
WAKES_A_SECOND = 20
ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Round:
    """One run of one row. ``cpu``: processor seconds; ``in_mind``: the share of them inside ``Controller.step``."""

    virtual: float
    cpu: float
    steps: int
    in_mind: float
    moves: int
    violations: int

    @property
    def speed(self) -> float:
        """Virtual seconds per processor second."""
        return self.virtual / self.cpu


class Stopwatch:
    """Counts how often and for how long a method of a class runs, while it is entered."""

    def __init__(self, owner: type, name: str) -> None:
        self._owner, self._name, self._real = owner, name, getattr(owner, name)
        self.seconds, self.calls = 0.0, 0

    def __enter__(self) -> Stopwatch:
        def timed(*arguments: object, **options: object) -> object:
            begun = time.process_time()
            try:
                return self._real(*arguments, **options)
            finally:
                self.seconds += time.process_time() - begun
                self.calls += 1

        setattr(self._owner, self._name, timed)
        return self

    def __exit__(self, *_: object) -> None:
        setattr(self._owner, self._name, self._real)


def whole(setting: Setting, hours: float) -> Round:
    """Rehearse a setting with the whole daemon."""
    from ballastd.core.controller import Controller

    async def story(stage: Stage) -> None:
        await stage.play(hours * HOUR)

    with Stopwatch(Controller, "step") as mind:
        begun = time.process_time()
        _, stage = perform(setting, story)
        cpu = time.process_time() - begun
    moves = sum(1 for record in stage.world.journal.records if record.content["kind"] == "MigrationOrdered")
    return Round(hours * HOUR, cpu, mind.calls, mind.seconds / cpu, moves, len(stage.violations))


def quiet(seed: int, hours: float) -> Round:
    """The shipped policies as they are."""
    cluster = generate(HOSTS, VMS, seed)
    return whole(Setting(cluster, PolicyFiles(ROOT / "policies", cluster.declaration(Timing())), seed=seed), hours)


def busy(seed: int, hours: float) -> Round:
    """Policies that act, and a third of all faults."""
    cluster = generate(HOSTS, VMS, seed)
    policies = policies_of(Random(f"{seed} benchmark"), DEFAULT_EPOCH_WALL, hours * HOUR)
    acts = draw(seed, cluster, chosen(seed), 900.0, hours * HOUR)
    return whole(Setting(cluster, FixedPolicies(policies), acts=acts, seed=seed), hours)


def tabletop(pace: float) -> Callable[[int, float], Round]:
    """Return the row of the mind alone, told of everything every ``pace`` seconds."""
    def row(seed: int, hours: float) -> Round:
        from ballastd.core.controller import Controller

        policies = policies_of(Random(f"{seed} benchmark"), DEFAULT_EPOCH_WALL, hours * HOUR)
        table = Tabletop(generate(HOSTS, VMS, seed), replace(policies, consolidation=()), seed, step_seconds=pace)
        with Stopwatch(Controller, "step") as mind:
            begun = time.process_time()
            table.play(hours * HOUR)
            cpu = time.process_time() - begun
        return Round(hours * HOUR, cpu, mind.calls, mind.seconds / cpu, table.orders, len(table.violations))

    return row


ROWS: dict[str, Callable[[int, float], Round]] = {
    "quiet": quiet, "busy": busy, "tabletop 10 s": tabletop(10.0), "tabletop 30 s": tabletop(30.0)}
TARGETS = {"quiet": 1000.0, "busy": 1000.0, "tabletop 10 s": 10_000.0, "tabletop 30 s": 10_000.0}


def bare_loop(hours: float = 1.0) -> float:
    """Return how fast a loop on virtual time passes that only wakes, virtual seconds per processor second."""
    async def wake() -> None:
        for _ in range(int(hours * HOUR * WAKES_A_SECOND)):
            await asyncio.sleep(1.0 / WAKES_A_SECOND)

    begun = time.process_time()
    run_virtual(wake())
    return hours * HOUR / (time.process_time() - begun)


def writes_a_second() -> float:
    """Return how often a dictionary is written to in a processor second: what this machine is worth at the moment."""
    known: dict[int, int] = {}
    begun = time.process_time()
    for number in range(2_000_000):
        known[number & 1023] = number
    return 2_000_000 / (time.process_time() - begun)


def main() -> int:
    """Measure; return 0 where every target is met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--hours", type=float, default=4.0, help="virtual hours of a round")
    parser.add_argument("--first", type=int, default=501, help="the first seed")
    parser.add_argument("--profile", metavar="ROW", choices=sorted(ROWS))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/simulator.json"))
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    if options.profile:
        profile(options.profile, options.first, options.hours)
        return 0
    floor, machine = bare_loop(), writes_a_second()
    print(f"bare loop: {floor:,.0f} virtual seconds a second; machine: {machine / 1e6:.1f} million writes a second")
    print(f"{'row':15} {'virtual s / cpu s':>18} {'target':>8} {'of bare loop':>13} {'steps':>7} {'ms a step':>10} "
          f"{'in the mind':>12} {'moves':>6} {'violations':>10}")
    found: dict[str, object] = {"bare_loop": floor, "writes_a_second": machine, "hosts": HOSTS, "vms": VMS,
                                "hours": options.hours, "rounds": options.rounds}
    met = True
    for name, row in ROWS.items():
        rounds = [row(options.first + n, options.hours) for n in range(options.rounds)]
        speed = statistics.median(one.speed for one in rounds)
        met = met and speed >= TARGETS[name]
        print(f"{name:15} {speed:>18,.0f} {TARGETS[name]:>8,.0f} {speed / floor:>12.1%} {sum(r.steps for r in rounds):>7} "
              f"{1000 * statistics.median(r.cpu / r.steps for r in rounds):>10.2f} "
              f"{statistics.median(r.in_mind for r in rounds):>12.0%} {sum(r.moves for r in rounds):>6} "
              f"{sum(r.violations for r in rounds):>10}", flush=True)
        found[name] = {"speed": speed, "target": TARGETS[name], "rounds": [one.__dict__ for one in rounds]}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(found, indent=1) + "\n")
    print(f"written: {options.out}")
    return 0 if met else 1


def profile(name: str, seed: int, hours: float) -> None:
    """Print where the processor time of one round goes, by module."""
    profiler = cProfile.Profile()
    profiler.enable()
    ROWS[name](seed, hours)
    profiler.disable()
    spent: Counter[str] = Counter()
    for (file, _, function), (_, _, own, _, _) in pstats.Stats(profiler).stats.items():  # type: ignore[attr-defined]
        spent[file.split("ballastd/")[-1] if "ballastd/" in file else file.rsplit("/", 1)[-1] if "/" in file
              else f"built in: {function.split()[-1].rstrip('>')}"] += own
    total = sum(spent.values())
    for where, seconds in spent.most_common(40):
        print(f"{seconds / total:7.1%}  {seconds:8.2f} s  {where}")


if __name__ == "__main__":
    sys.exit(main())
