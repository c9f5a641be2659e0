"""Play scenarios and look at them, or accept what they do now.

    python -m tests.scenarios play memory-error-evacuates     print the trace
    python -m tests.scenarios diff [NAME ...]                 how traces differ from the accepted ones
    python -m tests.scenarios accept [NAME ...]               accept them as they are now; review the diff like code
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import structlog

from ballastd.errors import ConfigurationError
from ballastd.rehearsal.scenarios import SCRIPT, difference, load_scenario, play

HERE = Path(__file__).parent


def directories(names: list[str]) -> list[Path]:
    """Return the directories of the scenarios called so, or all of them."""
    return [HERE / name for name in names] or sorted(path.parent for path in HERE.glob(f"*/{SCRIPT}"))


def main(arguments: list[str]) -> int:
    """Do as told; return 1 where a scenario cannot be used, differs, or breaks a rule."""
    if not arguments or arguments[0] not in ("play", "diff", "accept"):
        print(__doc__)
        return 2
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    failed = 0
    for directory in directories(arguments[1:]):
        try:
            scenario = load_scenario(directory)
            played = play(scenario)
        except ConfigurationError as error:
            print(*error.problems, sep="\n")
            failed = 1
            continue
        changed = difference(scenario, played.trace)
        if arguments[0] == "play":
            print(played.trace, end="")
        elif changed:
            print(changed if scenario.expected() is not None else f"{directory.name}: new", end="\n")
        if arguments[0] == "accept":
            scenario.accept(played.trace)
        failed |= bool(played.violations) or (arguments[0] == "diff" and bool(changed))
        for violation in played.violations:
            print(f"{directory.name}: VIOLATED {violation.rule} at {violation.at:.1f} s: {violation.detail}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
