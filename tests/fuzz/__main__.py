"""Run a fuzz target for some time: ``python -m tests.fuzz loader --seconds 600 [--seed 1]``.

Exit code 1 where something broke.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

from tests.fuzz import evaluator, loader

TARGETS: dict[str, Callable[[float, int], bool]] = {"evaluator": evaluator.run, "loader": loader.run}
"""Each takes seconds and a seed, reports on stdout, and returns whether nothing broke."""


def main() -> int:
    """Run the target that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("target", choices=sorted(TARGETS))
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=None, help="default: from the clock; it is printed")
    given = parser.parse_args()
    seed = given.seed if given.seed is not None else time.time_ns() % 1_000_000
    print(f"{given.target}: {given.seconds:g} s, seed {seed}", flush=True)
    return 0 if TARGETS[given.target](given.seconds, seed) else 1


if __name__ == "__main__":
    sys.exit(main())
