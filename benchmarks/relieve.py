"""Moves after which no host of a cluster is hot, above 80 % of its processors or 88 % of its memory; evened out, if asked.

    .venv/bin/python benchmarks/relieve.py FILE            {"moves": [...], "placement": {vm: host}} on standard output
    .venv/bin/python benchmarks/relieve.py FILE --judge    what that comes to, by a judge that knows no planner
    .venv/bin/python benchmarks/relieve.py FILE --even 0.08 0.1    and the standard deviations of the hosts' shares of
                                                           processors and of memory are no more than these

FILE is a cluster of the format ``ballastd-cluster/1`` (see ``benchmarks/instances.py``), gzipped or not. Moves are in the
order in which they may begin; done one after the other no host ever holds more than it has, and no rule is broken.
Exit status 1 where hosts stay hot, or less even than was asked.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from ballastd.core.evening import even
from ballastd.core.relieving import Relief, relieve
from ballastd.core.roughness import Aim
from ballastd.core.sequencing import sequence
from benchmarks.instances import HOT_CPU, Instance, Moves, Problem, judge, load, problem

Spreads = tuple[float, float]
"""Standard deviations of the hosts' shares of processors and of memory."""


@dataclass(frozen=True)
class Answer:
    """Moves in their order; how many hosts stay hot, how many VMs wait for one another in a circle, and whether hosts are as
    even as was asked."""

    moves: Moves
    still_hot: int
    circle: int
    is_even: bool = True


def solve(told: Problem, spreads: Spreads | None = None) -> Answer:
    """Return the moves for a problem, in a legal order. ``spreads``: hosts are evened out to these."""
    heat, is_even = told.heat, True
    relief: Relief = relieve(heat, told.doors)
    wanted = relief.moves
    if spreads is not None:
        aim = Aim(heat.cpu_mark / HOT_CPU, np.array(told.memory_limit), np.ones(len(told.hosts), np.bool_), *spreads)
        evening = even(heat, told.doors, aim, wanted)
        wanted, is_even = evening.moves, evening.is_even
    room = [limit - held for limit, held in zip(told.memory_limit, heat.memory.tolist(), strict=True)]
    order = sequence(room, heat.vm_memory.tolist(), heat.vm_host.tolist(), wanted, told.doors,
                     heat.opens.tolist())
    moves = [(told.vms[step.vm], told.hosts[step.source], told.hosts[step.target]) for step in order.steps]
    return Answer(moves, len(relief.still_hot), len(order.circle), is_even)


def main() -> int:
    """Print the answer for a file; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--judge", action="store_true", help="print figures instead of moves")
    parser.add_argument("--even", type=float, nargs=2, metavar=("CPU", "MEMORY"))
    options = parser.parse_args()
    try:
        found: Instance = load(options.file)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    answer = solve(problem(found), tuple(options.even) if options.even else None)
    if options.judge:
        print(json.dumps(judge(found, answer.moves)))
    else:
        placement = {vm["name"]: vm["host"] for vm in found["vms"]} | {vm: target for vm, _, target in answer.moves}
        moves = [{"vm": vm, "source": source, "target": target} for vm, source, target in answer.moves]
        print(json.dumps({"moves": moves, "placement": placement}))
    return 1 if answer.still_hot or answer.circle or not answer.is_even else 0


if __name__ == "__main__":
    sys.exit(main())
