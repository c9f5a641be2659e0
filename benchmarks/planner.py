"""How good plans are and how long they take, beside what an exact solver and a peer make of the same clusters.

    make bench-planner                                            generated clusters; some 15 min with both peers
    .venv/bin/python -m benchmarks.planner --file c50.json.gz     clusters in files (see benchmarks/instances.py)
    .venv/bin/python -m benchmarks.planner --no-hbal --solver-seconds 0 --hosts 1000
    .venv/bin/python -m benchmarks.planner --even --hosts 10      evening out too: as even as hbal leaves hosts, or 10 % each

Relief: the moves after which no host is above 80 % of its processors or 88 % of its memory. ``bound``: GiB below which
no placement can be so, by a relaxation; ``best``: the best that the solver finds in its time (up to 50 hosts). Ours is
judged move by move, by plain sums. Times are medians, in processor seconds; hbal's is its wall time.

Evening out: the standard deviations of the hosts' shares of processors and of memory are no more than after hbal, and no
host is hot; relief is part of it. ``bound`` is the relaxation with these.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks import peers
from benchmarks.instances import Instance, generate, judge, load, problem
from benchmarks.relieve import Answer, Spreads, solve

EVEN_ENOUGH = (0.10, 0.10)
"""What is asked where hbal says nothing."""
FILLS = {"loose": 0.50, "tight": 0.78}
SEEDS = (7101, 7102, 7103)
"""Of the generated clusters: of these no parameter was chosen by looking at them."""
SOLVABLE_HOSTS = 50
HBAL_HOSTS = 50


@dataclass(frozen=True)
class Evenness:
    """One cluster evened out. ``cpu``, ``memory``: the spreads that were asked; ``is_missed``: a judge finds more."""

    cpu: float
    memory: float
    is_missed: bool
    hot: int
    moves: int
    gib: float
    seconds: float
    broken: int
    bound: float


@dataclass(frozen=True)
class Row:
    """One cluster. ``hot``: hosts hot before, after, and after hbal. ``seconds``: for all of the plan, order included."""

    name: str
    hot_before: int
    hot_after: int
    moves: int
    gib: float
    seconds: float
    broken: int
    bound: float = math.nan
    best: float = math.nan
    hbal_hot: int = -1
    hbal_moves: int = -1
    hbal_gib: float = math.nan
    hbal_seconds: float = math.nan
    is_hbal_stopped: bool = False
    even: Evenness | None = None


def measure(name: str, found: Instance, options: argparse.Namespace) -> Row:
    """Plan for one cluster, some times, and ask the peers."""
    answer, seconds = _timed(found, options.rounds)
    before, after, size = judge(found, []), judge(found, answer.moves), len(found["hosts"])
    told = problem(found)
    peer = peers.hbal(found, options.hbal_seconds) if options.hbal and peers.has_hbal() and size <= HBAL_HOSTS else None
    judged = judge(found, peer.moves) if peer is not None else {}
    return Row(
        name, _hot(before), _hot(after), int(after["moves"]), after["gib"], seconds,
        int(after["broken_on_the_way"]), peers.bound_gib(told),
        peers.best_gib(told, options.solver_seconds) if options.solver_seconds and size <= SOLVABLE_HOSTS else math.nan,
        _hot(judged) if judged else -1, int(judged.get("moves", -1)), judged.get("gib", math.nan),
        peer.seconds if peer is not None else math.nan, peer is not None and peer.is_stopped,
        _evenness(found, options.rounds, (judged["cpu_spread"], judged["memory_spread"]) if judged else EVEN_ENOUGH)
        if options.even else None)


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


def _evenness(found: Instance, rounds: int, spreads: Spreads) -> Evenness:
    answer, seconds = _timed(found, rounds, spreads)
    after = judge(found, answer.moves)
    return Evenness(*spreads, after["cpu_spread"] > spreads[0] or after["memory_spread"] > spreads[1], _hot(after),
                    int(after["moves"]), after["gib"], seconds, int(after["broken_on_the_way"]),
                    peers.bound_gib(problem(found), spreads))


def _hot(judged: dict[str, float]) -> int:
    return int(judged["hot_cpu"] + judged["hot_memory"])


def show(rows: list[Row]) -> None:
    """Print the table."""
    print(f"{'cluster':22} {'hot':>9} {'moves':>6} {'GiB':>8} {'/bound':>7} {'/best':>6} {'time':>8}   "
          f"{'hbal: hot':>9} {'moves':>6} {'GiB':>7} {'time':>8}")
    for row in rows:
        peer = "" if row.hbal_hot < 0 else (
            f"{row.hbal_hot:9} {row.hbal_moves:6} {row.hbal_gib:7.0f} {row.hbal_seconds:6.1f} s")
        bad = f"  {row.broken} BROKEN ON THE WAY" if row.broken else ""
        print(f"{row.name:22} {row.hot_before:4} > {row.hot_after:2} {row.moves:6} {row.gib:8.1f} "
              f"{row.gib / row.bound if row.bound else math.nan:7.2f} {row.gib / row.best if row.best else math.nan:6.2f} "
              f"{1000 * row.seconds:5.0f} ms   {peer}{bad}", flush=True)


def show_evenness(rows: list[Row]) -> None:
    """Print the table of evening out."""
    print(f"\n{'evened out':22} {'processors':>10} {'memory':>7} {'hot':>4} {'moves':>6} {'GiB':>8} {'/bound':>7} "
          f"{'time':>8}   {'hbal: hot':>9} {'moves':>6} {'GiB':>7} {'/hbal':>6}")
    for row in rows:
        if (even := row.even) is not None:
            peer = "" if row.hbal_hot < 0 else (f"{row.hbal_hot:9} {row.hbal_moves:6} {row.hbal_gib:7.0f} "
                                                f"{even.gib / row.hbal_gib if row.hbal_gib else math.nan:6.2f}")
            notes = ("  stopped" if row.is_hbal_stopped else "") + ("  MISSED" if even.is_missed else "") + (
                f"  {even.broken} BROKEN ON THE WAY" if even.broken else "")
            print(f"{row.name:22} {even.cpu:10.4f} {even.memory:7.4f} {even.hot:4} {even.moves:6} {even.gib:8.1f} "
                  f"{even.gib / even.bound if even.bound else math.nan:7.2f} {1000 * even.seconds:5.0f} ms   {peer}{notes}",
                  flush=True)


def main() -> int:
    """Measure and print; return 1 where a move would have broken something."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--file", type=Path, action="append", default=[], help="a cluster in a file; repeatable")
    parser.add_argument("--hosts", type=int, action="append", default=[], help="generated clusters of so many hosts")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--solver-seconds", type=float, default=60.0, help="0: only the bound")
    parser.add_argument("--hbal-seconds", type=float, default=300.0)
    parser.add_argument("--no-hbal", dest="hbal", action="store_false")
    parser.add_argument("--even", action="store_true", help="even out too")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/planner.json"))
    options = parser.parse_args()
    sizes = options.hosts or ([] if options.file else [10, 50, 200, 1000])
    clusters = [(path.name.removesuffix(".gz").removesuffix(".json"), load(path)) for path in options.file]
    clusters += [(f"{hosts} {kind} {seed}", generate(hosts, 20, fill, seed))
                 for hosts in sizes for kind, fill in FILLS.items()
                 for seed in SEEDS[:1 if hosts > SOLVABLE_HOSTS else None]]
    rows = []
    for name, found in clusters:
        rows.append(measure(name, found, options))
        print(f"measured: {name}", file=sys.stderr)
    show(rows)
    if options.even:
        show_evenness(rows)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    return 1 if any(row.broken or (row.even is not None and row.even.broken) for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
