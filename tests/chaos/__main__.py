"""``make chaos``: random faults in the middle of real migrations; a report of what became of guests and books.

    python -m tests.chaos [--rounds 20] [--first SEED] [--fault NAME ...] [--out FILE] [--hosts 4]
    python -m tests.chaos --report FILE

Each round drains a host of a lab of real libvirtd hosts, strikes one of its migrations with the fault that its seed draws,
heals it, and waits until the daemon rests; then the guests' own heartbeats, every host and the journal are asked whether
anything was lost, doubled, or left open. Outcomes are appended to FILE, a line each, so that a run that was ended goes on
counting. Exit status 1 if anything was violated. Root; about 40 s a round.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.chaos.faults import BY_NAME
from tests.chaos.rounds import Rounds
from tests.integration.daemon_parts import a_lab, stood
from tests.results import add, opened, read

DEFAULT_OUT = Path("benchmarks/results/chaos.jsonl")


def main() -> int:
    """Play and report; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--first", type=int, help="the first seed [default: one after the last in FILE]")
    parser.add_argument("--fault", choices=sorted(BY_NAME), action="append", help="this fault alone; several: in turn")
    parser.add_argument("--hosts", type=int, default=4)
    options = opened(parser, DEFAULT_OUT, report)
    first = options.first if options.first is not None else max((row["seed"] for row in read(options.out)), default=0) + 1
    begun = time.monotonic()
    chosen = [BY_NAME[name] for name in options.fault or ()]
    with a_lab("x", options.hosts, storage=True) as lab, stood(lab) as stand:
        rounds = Rounds(lab, stand)
        for number, seed in enumerate(range(first, first + options.rounds), 1):
            outcome = rounds.play(seed, chosen[number % len(chosen)] if chosen else None)
            add(options.out, asdict(outcome) | {"pid": os.getpid()})
            left = (time.monotonic() - begun) / number * (options.rounds - number) / 60
            wrong = "".join(f"; VIOLATED: {one}" for one in outcome.violations)
            print(f"{number} of {options.rounds}, about {left:.0f} min left; seed {seed}: {outcome.fault} at "
                  f"{outcome.progress:.0%} for {outcome.lasted:.1f} s, {outcome.struck_ending or '-'}, at rest "
                  f"{outcome.recovered:.1f} s later{wrong}", flush=True)
    return report(read(options.out))


def report(rows: list[dict[str, Any]]) -> int:
    """Print what became of all rounds; return the exit status."""
    by_fault: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        by_fault[row["fault"]].append(row)
    width = max(map(len, BY_NAME))
    print(f"\n{'fault':{width}} {'rounds':>6} {'struck':>6} {'moves':>6} {'at rest, s':>12}  how the struck one ended")
    for fault, some in sorted(by_fault.items()):
        endings: dict[str, int] = defaultdict(int)
        for row in some:
            endings[row["struck_ending"] or "-"] += 1
        rest = [row["recovered"] for row in some]
        said = ", ".join(f"{ending} {times}" for ending, times in sorted(endings.items()))
        moves = sum(sum(row["endings"].values()) for row in some)
        struck = sum(row.get("is_struck", False) for row in some)
        print(f"{fault:{width}} {len(some):6} {struck:6} {moves:6} {statistics.median(rest):5.1f} {max(rest):6.1f}  {said}")
    violated = [row for row in rows if row["violations"]]
    moves = sum(sum(row["endings"].values()) for row in rows)
    lost = sum(len(row["lost"]) for row in rows)
    alarms = sum(len(row.get("alarms", ())) for row in rows)
    print(f"{len(rows)} rounds, {moves} migrations, {lost} guests lost by the fault itself, {alarms} alarms that "
          f"named one, {len(violated)} rounds violated something")
    for row in violated:
        print(f"  seed {row['seed']}, {row['fault']}: {'; '.join(row['violations'])}")
    never = sorted(set(BY_NAME) - set(by_fault))
    if never:
        print(f"never thrown: {', '.join(never)}")
    return 1 if violated else 0


if __name__ == "__main__":
    sys.exit(main())
