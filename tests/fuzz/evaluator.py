"""Random conditions on random telemetry: the judge never breaks, and comes to what a plain reading comes to."""

from __future__ import annotations

import sys
import time
import warnings

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.judging_stories import STORIES, Story, Told, differences

ROUND = 200
"""So many stories are told between two looks at the clock."""


def run(seconds: float, first: int) -> bool:
    """Tell stories for ``seconds``, beginning with a seed; return whether none came out wrong."""
    warnings.simplefilter("error")
    begun, told, turns, at = time.monotonic(), 0, 0, first
    while time.monotonic() - begun < seconds:
        try:
            more = _round(at)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what was looked for
            print(f"seed {at}: {error!r}", *getattr(error, "__notes__", ()), sep="\n")
            print(f"to repeat: python -m tests.fuzz evaluator --seconds 1 --seed {at}")
            return False
        told, turns, at = told + ROUND, turns + more, at + 1
        print(f"{time.monotonic() - begun:6.0f} s  {told} stories, {turns} judgements compared", flush=True)
    print(f"evaluator: {told} stories (seeds {first} to {at - 1}), {turns} judgements of 3 hosts compared, nothing wrong")
    sys.stdout.flush()
    return True


def _round(number: int) -> int:
    turns = 0

    @seed(number)
    # the tests' own profile is not loaded where nobody tests
    @settings(max_examples=ROUND, deadline=None, database=None, phases=(Phase.generate, Phase.shrink),
              suppress_health_check=list(HealthCheck))
    @given(STORIES)
    def tell(story: Story) -> None:
        nonlocal turns
        for turn, (judge, plain) in enumerate(Told(story).tell()):
            turns += 1
            found = differences(judge, plain)
            assert not found, f"after turn {turn}: {found}"

    tell()
    return turns
