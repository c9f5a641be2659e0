"""How good plans are and how long they take, beside what an exact solver and peers make of the same clusters.

    make bench-planner                                            generated clusters; some 80 min with all peers
    .venv/bin/python -m benchmarks.planner --file c50.json.gz     clusters in files (see benchmarks/instances.py)
    .venv/bin/python -m benchmarks.planner --no-hbal --no-proxlb --solver-seconds 0 --hosts 1000
    .venv/bin/python -m benchmarks.planner --even --hosts 10      evening out too: as even as hbal leaves hosts, or 10 % each

Relief: the moves after which no host is above 80 % of its processors or 88 % of its memory. All are judged move by move, by
plain sums, in the order in which moves were given. ``bound``: GiB below which no placement can be so, by a relaxation;
``solver``: the best that HiGHS finds in its time (up to 50 hosts; in no order). Evening out: the standard deviations of the
hosts' shares of processors and of memory are no more than after hbal, and no host is hot; relief is part of it.

Peers: hbal (Debian's ganeti-htools) with its defaults, stopped after ``--hbal-seconds``; ProxLB (fetched into the user's
cache, see benchmarks/proxlb.py) with its defaults by each of its methods, after one run of its service and, where that is
not the end, after as many as it moves something in, 20 at most; and once with its solver (up to 50 hosts). A peer that is
not there has a line that says so. Times are medians, in processor seconds: what else the machine does changes these least.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from benchmarks import peers, proxlb
from benchmarks.instances import Instance, Moves, generate, judge, load, problem
from benchmarks.planner_targets import BEST, BOUND, EVEN, EVEN_BOUND, HBAL, OURS, PROXLB, Line, Verdict, verdicts
from benchmarks.relieve import Answer, Spreads, solve

EVEN_ENOUGH = (0.10, 0.10)
"""What is asked where hbal says nothing."""
FILLS = {"loose": 0.50, "tight": 0.78}
SEEDS = (7101, 7102, 7103)
"""Of the generated clusters: of these no parameter was chosen by looking at them."""
SOLVABLE_HOSTS = 50
QUICK_SECONDS = 10.0
"""What takes longer is run once."""
METHODS = ("cpu", "memory")


def measure(name: str, found: Instance, options: argparse.Namespace) -> Iterator[Line]:
    """Plan for one cluster, some times, and ask the peers; the first line is the cluster as it is."""
    yield _line(name, found, "before", [])
    answer, seconds = _timed(found, options.rounds)
    yield _line(name, found, OURS, answer.moves, seconds)
    theirs = _hbal(name, found, options)
    yield theirs
    yield from _proxlb(name, found, options)
    told, size = problem(found), len(found["hosts"])
    if options.solver_seconds and size <= SOLVABLE_HOSTS:
        begun = time.process_time()
        best = peers.best(told, options.solver_seconds)
        took = time.process_time() - begun
        yield Line(name, size, BEST, seconds=took, note="found nothing") if best is None else _line(
            name, found, BEST, best[0], took, "" if best[1] else "not proven", is_ordered=False)
    yield Line(name, size, BOUND, gib=peers.bound_gib(told))
    if options.even:
        spreads = (theirs.cpu_spread, theirs.memory_spread) if theirs.moves > 0 else EVEN_ENOUGH
        answer, seconds = _timed(found, options.rounds, spreads)
        yield _line(name, found, EVEN, answer.moves, seconds)
        yield Line(name, size, EVEN_BOUND, gib=peers.bound_gib(told, spreads))


def _line(name: str, found: Instance, by: str, moves: Moves, seconds: float = 0.0, note: str = "", *,
          is_ordered: bool = True) -> Line:
    judged = judge(found, moves)
    return Line(name, len(found["hosts"]), by, int(judged["hot_cpu"] + judged["hot_memory"]), len(moves), judged["gib"],
                judged["cpu_spread"], judged["memory_spread"], seconds,
                int(judged["broken_on_the_way"]) if is_ordered else -1, note)


def _timed(found: Instance, rounds: int, spreads: Spreads | None = None) -> tuple[Answer, float]:
    times: list[float] = []
    answer: Answer | None = None
    for _ in range(rounds):
        told = problem(found)
        begun = time.process_time()
        answer = solve(told, spreads)
        times.append(time.process_time() - begun)
    assert answer is not None
    return answer, statistics.median(times)


def _hbal(name: str, found: Instance, options: argparse.Namespace) -> Line:
    if not options.hbal or not peers.has_hbal():
        return Line(name, len(found["hosts"]), HBAL, note="not installed" if options.hbal else "not asked")
    runs = [peers.hbal(found, options.hbal_seconds)]
    while len(runs) < options.rounds and runs[0].seconds < QUICK_SECONDS and not runs[0].is_stopped:
        runs.append(peers.hbal(found, options.hbal_seconds))
    return _line(name, found, HBAL, runs[0].moves, statistics.median(run.seconds for run in runs),
                 f"stopped after {options.hbal_seconds:g} s" if runs[0].is_stopped else "")


def _proxlb(name: str, found: Instance, options: argparse.Namespace) -> Iterator[Line]:
    size = len(found["hosts"])
    if not options.is_proxlb:
        return
    try:
        python = proxlb.interpreter(options.proxlb)
        for method in METHODS:
            tries = [proxlb.balance(python, found, method, options.proxlb_seconds)]
            while len(tries) < options.rounds and tries[0] and tries[0][-1].is_done and tries[0][-1].seconds < QUICK_SECONDS:
                tries.append(proxlb.balance(python, found, method, options.proxlb_seconds))
            if not tries[0]:
                yield Line(name, size, f"{PROXLB} {method}", note=f"no run ended within {options.proxlb_seconds:g} s")
            for passes in dict.fromkeys((0, len(tries[0]) - 1) if tries[0] else ()):
                run = tries[0][passes]
                yield _line(name, found, f"{PROXLB} {method}" + (f", {run.passes} runs" if passes else ""), run.moves,
                            statistics.median(one[passes].seconds for one in tries),
                            "" if run.is_done or not passes else "not at its end")
        for method in METHODS if size <= SOLVABLE_HOSTS else ():
            runs = proxlb.balance(python, found, method, options.proxlb_seconds, is_solver=True)
            yield _line(name, found, f"{PROXLB} solver {method}", runs[0].moves, runs[0].seconds,
                        runs[0].status.lower()) if runs else Line(
                name, size, f"{PROXLB} solver {method}", note=f"did not end in 3 times {options.proxlb_seconds:g} s")
    except proxlb.Unavailable as why:
        yield Line(name, size, PROXLB, note=f"not available: {why}")


def show(lines: list[Line]) -> None:
    """Print what all made of one cluster."""
    bound = next((line.gib for line in lines if line.by == BOUND), 0.0)
    print(f"\n{lines[0].cluster:24} {'hot':>4} {'moves':>6} {'GiB':>8} {'/bound':>7} {'cpu':>7} {'memory':>7} {'time':>10} "
          f"{'broken':>6}")
    for line in lines:
        print(f"  {line.by:22} {_known(line.hot):>4} {_known(line.moves):>6} {line.gib:8.1f} "
              f"{line.gib / bound if bound else 0.0:7.2f} {line.cpu_spread:7.4f} {line.memory_spread:7.4f} "
              f"{line.seconds:8.3f} s {_known(line.broken):>6}  {line.note}".replace("nan", " - "), flush=True)


def _known(count: int) -> str:
    return "-" if count < 0 else str(count)


def show_verdicts(found: list[Verdict]) -> None:
    """Print the targets that are missed, and how many are met."""
    print(f"\n{sum(one.is_met for one in found)} of {len(found)} targets met")
    for one in found:
        if not one.is_met:
            print(f"  missed: {one.cluster}: {one.target}: {one.figures}")


def main() -> int:
    """Measure and print; return 1 where a move would have broken something."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--file", type=Path, action="append", default=[], help="a cluster in a file; repeatable")
    parser.add_argument("--hosts", type=int, action="append", default=[], help="generated clusters of so many hosts")
    parser.add_argument("--seeds", type=int, default=len(SEEDS), help=f"clusters of each kind, up to {SOLVABLE_HOSTS} hosts")
    parser.add_argument("--kind", choices=tuple(FILLS), action="append", help="half full or crowded; both without it")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--solver-seconds", type=float, default=60.0, help="0: only the bound")
    parser.add_argument("--hbal-seconds", type=float, default=300.0)
    parser.add_argument("--no-hbal", dest="hbal", action="store_false")
    parser.add_argument("--proxlb", type=Path, help=f"a Python that has ProxLB {proxlb.VERSION}; else it is fetched")
    parser.add_argument("--proxlb-seconds", type=float, default=60.0, help="for its runs by one method, and for its solver")
    parser.add_argument("--no-proxlb", dest="is_proxlb", action="store_false")
    parser.add_argument("--even", action="store_true", help="even out too")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/planner.json"))
    options = parser.parse_args()
    sizes = options.hosts or ([] if options.file else [10, 50, 200, 1000])
    clusters = [(path.name.removesuffix(".gz").removesuffix(".json"), load(path)) for path in options.file]
    clusters += [(f"c{hosts}-{kind} {seed}", generate(hosts, 20, fill, seed))
                 for hosts in sizes for kind, fill in FILLS.items() if kind in (options.kind or FILLS)
                 for seed in SEEDS[:1 if hosts > SOLVABLE_HOSTS else options.seeds]]
    everything: list[Line] = []
    judged: list[Verdict] = []
    options.out.parent.mkdir(parents=True, exist_ok=True)
    for name, found in clusters:
        lines = list(measure(name, found, options))
        show(lines)
        everything += lines
        judged += verdicts(lines)
        options.out.write_text(json.dumps({"lines": [asdict(line) for line in everything],
                                           "verdicts": [asdict(one) for one in judged]}, indent=1) + "\n")
    show_verdicts(judged)
    return 1 if any(line.broken > 0 for line in everything if line.by in (OURS, EVEN)) else 0


if __name__ == "__main__":
    sys.exit(main())
