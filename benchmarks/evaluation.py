"""Judging conditions of health: 100 policies on 1,000 hosts with 30 series each, in full and when nothing changed.

    python -m benchmarks.evaluation [--policies 100] [--hosts 1000] [--rounds 15] [--out FILE]     (one minute)

As a limit that no judge in this manner can beat, each round also times one numpy comparison per policy over the very
column that it reads. Taking the reports in is not part of it and is shown beside.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np

from ballastd.core.conditions import (
    Aggregate,
    AtLeast,
    Condition,
    Holding,
    Not,
    Predicate,
    RelativeTo,
    Silence,
    Threshold,
    leaves,
)
from ballastd.core.following import Standings
from ballastd.core.inventory import DeclaredHost
from ballastd.core.judging import Judge
from ballastd.core.ledger import Ledger
from ballastd.core.policies import Health, HealthPolicy, PolicySet
from ballastd.core.quantities import HostName, Instant, Seconds
from ballastd.core.telemetry import METRICS, MetricKind, Report, Sample, Telemetry
from ballastd.core.verdicts import Verdicts

SERIES = (
    *((metric, ("",)) for metric in (
        "cpu.utilization", "cpu.load1", "cpu.pressure.some", "cpu.pressure.full", "memory.pressure.some",
        "memory.pressure.full", "io.pressure.some", "io.pressure.full", "memory.utilization", "memory.available")),
    ("network.rx", ("eth0",)), ("network.tx", ("eth0",)), ("ecc.corrected", ("A1", "B1", "C1")),
    ("ecc.uncorrected", ("A1", "B1", "C1")), ("temperature", ("cpu0", "cpu1", "inlet", "dimm", "nic")),
    ("fan.speed", ("f1", "f2", "f3")), ("fan.alarm", ("f1", "f2", "f3")), ("psu.alarm", ("psu1",)))
RARE, RARELY_COUNTED = 0.01, 0.001
"""The share of samples that lie beyond an edge; the share of counters that move from one report to the next."""
TARGET_MS = 50.0
HISTORY = 20
INTERVAL_SECONDS = 10.0


def policies(count: int) -> PolicySet:
    """Return a mix of everything that a condition can be."""
    made = [HealthPolicy(f"p{n}", Condition(_predicate(n), Holding(Seconds(60.0 * (n % 3)), Seconds(1800.0), n % 10 == 3)),
                         Health(1 + n % 3 if n % 20 != 19 else 1)) for n in range(count)]
    return PolicySet(tuple(made))


def _predicate(n: int) -> Predicate:
    level = ("cpu.utilization", "cpu.pressure.some", "memory.pressure.full", "io.pressure.some", "memory.utilization")[n % 5]
    counter, minutes = ("ecc.corrected", "ecc.uncorrected")[n % 2], Seconds(60.0 * (1 + n % 7))
    hot = Threshold("temperature", -float(n % 9), relative_to=RelativeTo.CRITICAL)
    match n % 20:
        case 1 | 2:
            return Threshold(level, 0.9, Aggregate.MEAN, minutes)
        case 3 | 4 | 5 | 6:
            return Threshold(counter, float(n % 3), Aggregate.INCREASE, Seconds(3600.0))
        case 7:
            return Threshold(counter, 10.0, Aggregate.RATE, minutes, per=Seconds(60.0))
        case 8 | 9 | 10:
            return hot
        case 11 | 12:
            return Threshold("fan.alarm", 0.5, at_least=2)
        case 13:
            return AtLeast(2, (Threshold("fan.alarm", 0.5), hot, Threshold("psu.alarm", 0.5)))
        case 14:
            return AtLeast(2, (Threshold(level, 0.9), Not(Threshold("cpu.load1", 40.0))))
        case 19:
            return Silence(Seconds(300.0 + n))
        case _:
            return Threshold(level, 0.9 + n / 2000)


class Site:
    """Hosts that report, and an instant that passes."""

    def __init__(self, hosts: int) -> None:
        self.hosts = tuple(DeclaredHost(HostName(f"kvm-{n:04}"), f"qemu+tls://kvm-{n:04}/system") for n in range(hosts))
        self.telemetry, self.now, self.luck = Telemetry(), Instant(1000.0, 1_795_400_000.0), Random(7)
        self._sequence, self._counted = 0, {(host.name, metric, s): 0 for host in self.hosts for metric, subjects in SERIES
                                            for s in subjects}

    def report(self, hosts: tuple[DeclaredHost, ...], later: float = INTERVAL_SECONDS) -> float:
        """Let hosts report once; return how long taking that in took, seconds."""
        self.now, self._sequence = self.now.later(later), self._sequence + 1
        now = self.now
        reports = [Report(host.name, "b", self._sequence, now.wall, INTERVAL_SECONDS, self._samples(host.name), now)
                   for host in hosts]
        begun = time.process_time()
        for report in reports:
            self.telemetry.absorb(report)
        return time.process_time() - begun

    def _samples(self, host: HostName) -> tuple[Sample, ...]:
        return tuple(self._sample(host, metric, subject) for metric, subjects in SERIES for subject in subjects)

    def _sample(self, host: HostName, name: str, subject: str) -> Sample:
        metric, rare = METRICS[name], self.luck.random() < RARE
        if metric.kind is MetricKind.COUNTER:
            self._counted[host, name, subject] += self.luck.random() < RARELY_COUNTED
            return Sample(name, float(self._counted[host, name, subject]), subject)
        match metric.unit:
            case "bool":
                return Sample(name, float(rare), subject)
            case "celsius":
                return Sample(name, 99.0 if rare else self.luck.uniform(20.0, 70.0), subject, 90.0, 100.0)
            case "ratio":
                return Sample(name, self.luck.uniform(0.9, 1.0) if rare else self.luck.uniform(0.0, 0.8), subject)
            case _:
                return Sample(name, self.luck.uniform(1.0, 30.0), subject)


def timed(act: Callable[[], object]) -> float:
    """Return how much of a processor something takes, milliseconds: the machine may be busy with others."""
    begun = time.process_time()
    act()
    return (time.process_time() - begun) * 1000


def one_pass(site: Site, chosen: PolicySet) -> None:
    """The least that can be done: every policy's column compared once."""
    for policy in chosen.health:
        leaf = next(leaves(policy.condition.predicate))
        if isinstance(leaf, Threshold):
            column = site.telemetry.columns.column(leaf.metric)
            np.greater(column.value[:column.size], leaf.threshold)


def size_of(verdicts: Verdicts) -> int:
    """Return how many bytes the columns of verdicts and of what they rest on take."""
    grounds = [one for parts in verdicts.grounds for one in parts]
    return sum(getattr(verdicts.standings, name).nbytes for name in Standings.__slots__) + sum(
        one.share.nbytes + one.slot.nbytes + one.value.nbytes + one.edge.nbytes for one in grounds)


def measure(count: int, hosts: int, rounds: int) -> dict[str, float]:
    """Return medians in milliseconds, counts and bytes."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    site, chosen, ledger = Site(hosts), policies(count), Ledger()
    for _ in range(HISTORY):
        site.report(site.hosts)
    heard = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    judge, times = Judge(site.telemetry), {name: [] for name in ("absorb", "full", "some", "unchanged", "pass")}

    def step() -> None:
        judge.judge(chosen, site.hosts, ledger, site.now)

    cold, wall = timed(step), []
    for _ in range(rounds):
        times["absorb"].append(site.report(site.hosts) * 1000)
        begun = time.perf_counter()
        times["full"].append(timed(step))
        wall.append((time.perf_counter() - begun) * 1000)
        step()
        site.report(site.hosts[:hosts // 20], 0.5)
        times["some"].append(timed(step))
        for _ in range(2):
            step()
        times["unchanged"].append(timed(lambda: [step() for _ in range(100)]) / 100)
        times["pass"].append(timed(lambda: [one_pass(site, chosen) for _ in range(20)]) / 20)
    phases = judge.verdicts.standings.phase
    middle = {name: statistics.median(some) for name, some in times.items()}
    return {
        "policies": count, "hosts": hosts, "series_per_host": sum(len(subjects) for _, subjects in SERIES),
        "verdicts_firing": int((phases == 2).sum()), "verdicts_pending": int((phases == 1).sum()),
        "full_ms": middle["full"], "full_worst_ms": max(times["full"]), "full_by_the_clock_ms": statistics.median(wall),
        "first_ms": cold,
        "one_in_twenty_reported_ms": middle["some"], "unchanged_ms": middle["unchanged"], "one_pass_ms": middle["pass"],
        "full_to_one_pass": middle["full"] / middle["pass"], "taking_reports_in_ms": middle["absorb"],
        "telemetry_mib": (heard - before) / 1024, "judge_mib": size_of(judge.verdicts) / (1 << 20)}


def main() -> int:
    """Measure and print; return 1 if the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policies", type=int, default=100)
    parser.add_argument("--hosts", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/evaluation.json"))
    options = parser.parse_args()
    result = measure(options.policies, options.hosts, options.rounds)
    for key, value in result.items():
        print(f"{key:28} {value:10.3f}" if isinstance(value, float) else f"{key:28} {value:10}")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    return 0 if result["full_ms"] < TARGET_MS else 1


if __name__ == "__main__":
    sys.exit(main())
