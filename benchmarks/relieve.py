"""Moves after which no host of a cluster is hot: above 80 % of its processors or 88 % of its memory.

    .venv/bin/python benchmarks/relieve.py FILE            {"moves": [...], "placement": {vm: host}} on standard output
    .venv/bin/python benchmarks/relieve.py FILE --judge    what that comes to, by a judge that knows no planner

FILE is a cluster of the format ``ballastd-cluster/1`` (see ``benchmarks/instances.py``), gzipped or not. Moves are in the
order in which they may begin; done one after the other no host ever holds more than it has, and no rule is broken.
Exit status 1 where hosts stay hot.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from ballastd.core.relieving import Relief, relieve
from ballastd.core.sequencing import sequence
from benchmarks.instances import Instance, Moves, Problem, judge, load, problem


@dataclass(frozen=True)
class Answer:
    """Moves in their order; how many hosts stay hot, and how many VMs wait for one another in a circle."""

    moves: Moves
    still_hot: int
    circle: int


def solve(told: Problem) -> Answer:
    """Return the moves for a problem, in a legal order."""
    heat = told.heat
    relief: Relief = relieve(heat, told.doors)
    room = [limit - held for limit, held in zip(told.memory_limit, heat.memory.tolist(), strict=True)]
    order = sequence(room, heat.vm_memory.tolist(), heat.vm_host.tolist(), relief.moves, told.doors,
                     heat.opens.tolist())
    moves = [(told.vms[step.vm], told.hosts[step.source], told.hosts[step.target]) for step in order.steps]
    return Answer(moves, len(relief.still_hot), len(order.circle))


def main() -> int:
    """Print the answer for a file; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--judge", action="store_true", help="print figures instead of moves")
    options = parser.parse_args()
    try:
        found: Instance = load(options.file)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    answer = solve(problem(found))
    if options.judge:
        print(json.dumps(judge(found, answer.moves)))
    else:
        placement = {vm["name"]: vm["host"] for vm in found["vms"]} | {vm: target for vm, _, target in answer.moves}
        moves = [{"vm": vm, "source": source, "target": target} for vm, source, target in answer.moves]
        print(json.dumps({"moves": moves, "placement": placement}))
    return 1 if answer.still_hot or answer.circle else 0


if __name__ == "__main__":
    sys.exit(main())
