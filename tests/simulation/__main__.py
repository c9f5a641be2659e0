"""``python -m tests.simulation``: nights of pretend clusters, a seed each, in parallel.

What breaks a rule is printed with the line that repeats it:

    make sim SEEDS=300                         seeds 1 to 300, 12 virtual hours of trouble each
    make sim SEEDS=1 FIRST=43 ARGS=--trace     one of them again, with everything that happened
    make sim SEEDS=1 FIRST=43 ARGS=--minimize  the fewest faults with which it still breaks the rule
    make sim SEEDS=5000 ARGS="--tabletop --hours 4"   the mind alone: ten times as many in the same time

Exit status 1 where a rule was broken, or where something that has to happen did not happen often enough.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed

import structlog

from ballastd.rehearsal.seeds import Outcome, run_seed, without
from ballastd.rehearsal.tabletop import play_seed

SHARE_MIN = 0.8
"""In so many of the seeds that allow it must each of these happen: what a seed allows, its cluster and script say."""
COUNTED = ("moves", "evacuations", "offs", "wakes", "adoptions")
PROGRESS_SECONDS = 60.0


def _one(seed: int, hours: float, is_tabletop: bool) -> Outcome:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    return play_seed(seed, hours) if is_tabletop else run_seed(seed, hours)


def main() -> int:
    """Run the seeds; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20, help="how many")
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--hours", type=float, default=12.0, help="of trouble; eight of healing follow")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="at a time; as shipped one per core")
    parser.add_argument("--trace", action="store_true", help="print everything that happened")
    parser.add_argument("--minimize", action="store_true", help="take out the faults that do not matter")
    parser.add_argument("--tabletop", action="store_true", help="the mind alone; two hours of healing follow")
    options = parser.parse_args()
    outcomes: list[Outcome | None] = []
    began, progress = time.perf_counter(), Progress(options.seeds)
    with ProcessPoolExecutor(options.jobs) as pool:
        seeds = range(options.first, options.first + options.seeds)
        waiting = {pool.submit(_one, seed, options.hours, options.tabletop): seed for seed in seeds}
        for done in as_completed(waiting):
            seed = waiting[done]
            if (error := done.exception()) is not None:
                print(f"seed {seed}: {error!r}   again: make sim SEEDS=1 FIRST={seed}", flush=True)
                outcomes.append(None)
                continue
            outcome = done.result()
            outcomes.append(outcome)
            _show(outcome, options)
            progress.say(outcomes)
    return _conclude([one for one in outcomes if one is not None], options.seeds, time.perf_counter() - began)


def _show(outcome: Outcome, options: argparse.Namespace) -> None:
    if options.trace:
        print("\n".join(outcome.trace))
    for violation in outcome.violations[:5]:
        more = "--tabletop" if options.tabletop else "--trace"
        print(f"seed {outcome.seed}: at {violation.at:.1f} s: {violation.rule}: {violation.detail}   again: "
              f"make sim SEEDS=1 FIRST={outcome.seed} ARGS='--hours {options.hours:g} {more}'", flush=True)
        if options.minimize and not options.tabletop:
            fewer = without(outcome.seed, options.hours, violation.rule)
            print(f"seed {outcome.seed}: {violation.rule} needs only: {', '.join(fewer) or 'no fault at all'}", flush=True)


class Progress:
    """Says how far it is: over and over in the same line of a terminal, else a line a minute."""

    def __init__(self, seeds: int) -> None:
        self._seeds, self._began, self._told = seeds, time.perf_counter(), 0.0

    def say(self, outcomes: list[Outcome | None]) -> None:
        """Say it now, or be silent where that was lately."""
        passed, on_terminal = time.perf_counter() - self._began, sys.stderr.isatty()
        if not on_terminal and passed - self._told < PROGRESS_SECONDS:
            return
        self._told, done = passed, len(outcomes)
        broken = sum(1 for one in outcomes if one is None or one.violations)
        left = passed / done * (self._seeds - done)
        text = f"{done} of {self._seeds} seeds, {broken} broke a rule, about {left / 60:.0f} min left "
        print(f"\r{text}" if on_terminal else text, end="" if on_terminal else "\n", file=sys.stderr, flush=True)


def _conclude(outcomes: list[Outcome], asked: int, seconds: float) -> int:
    broken = [one.seed for one in outcomes if one.violations]
    virtual = sum(one.seconds for one in outcomes)
    print(f"{len(outcomes)} of {asked} seeds, {virtual / 3600:.0f} virtual hours in {seconds:.0f} s "
          f"({virtual / max(seconds, 1e-9):,.0f} times as fast); {len(broken)} broke a rule"
          f"{': ' + ', '.join(map(str, sorted(broken))) if broken else ''}")
    rare = list(_rare(outcomes))
    for line in rare:
        print(line)
    return 1 if broken or len(outcomes) < asked or any("too seldom" in line for line in rare) else 0


def _rare(outcomes: list[Outcome]) -> Iterable[str]:
    for what in COUNTED:
        allowed = [one for one in outcomes if what in one.allows]
        did = sum(1 for one in allowed if one.happened[what])
        if allowed:
            seldom = "" if did >= SHARE_MIN * len(allowed) or len(allowed) < 10 else ": too seldom"
            yield f"{what}: in {did} of the {len(allowed)} seeds that allow them{seldom}"


if __name__ == "__main__":
    sys.exit(main())
