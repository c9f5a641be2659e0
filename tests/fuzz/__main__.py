"""``python -m tests.fuzz TARGET [--seconds 600] [--seed N]``: throw things at a part of the daemon until the time is over.

Prints what it tried; what breaks a rule is shrunk and printed with how to repeat it. Exit status 1 if anything broke.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from tests.fuzz import evaluator

TARGETS: dict[str, Callable[[float, int], int]] = {"evaluator": evaluator.fuzz}
"""Each takes seconds and a seed, and returns an exit status."""


def main() -> int:
    """Fuzz one target; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=sorted(TARGETS))
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    return TARGETS[options.target](options.seconds, options.seed)


if __name__ == "__main__":
    sys.exit(main())
