"""What is made of levels near a mark is what a plain reading of all of them finds; and noise is decided once."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ballastd.core.conditions import Holding, Judgement, Phase, Truth, Verdict, follow
from ballastd.core.quantities import HostName, Instant, Seconds
from ballastd.core.steadiness import Sense, Spans

LOOK, WINDOW, HOLD, MARK = 30.0, 300.0, 300.0, 0.8
SUBJECT = ("hot", "p", HostName("h1"), "cpu", MARK)
HOUR = 3600.0


@dataclass
class Plain:
    """Every level that was seen since something began anew, and the rule read over all of them each time."""

    seen: list[tuple[float, float]] = field(default_factory=list)
    settled: list[tuple[float, float]] = field(default_factory=list)
    after: list[tuple[float, float]] = field(default_factory=list)

    def see(self, at: float, level: float) -> Sense:
        if self.settled:
            return self._see_settled(at, level)
        self.seen.append((at, level))
        counted = self._counted()
        if max(x for _, x in counted) - min(x for _, x in counted) > 0.05:
            self.seen = [(at, level)]
            return Sense.PLAIN
        begun = self.seen[0][0] + WINDOW
        mean = sum(x * (t - before) for (before, _), (t, x) in pairwise(counted))
        if at - begun >= 6 * WINDOW and level <= 0.0 and mean <= 0.0:
            self.settled, self.after, self.seen = counted, [], []
        return Sense.LASTING if at - begun >= 6 * WINDOW and level > 0.0 and mean > 0.0 else Sense.PLAIN

    def _counted(self) -> list[tuple[float, float]]:
        """Those from the last one on that was seen within the first window, or on its end."""
        full = [i for i, (at, _) in enumerate(self.seen) if at >= self.seen[0][0] + WINDOW]
        return self.seen[full[0]:] if full else self.seen[-1:]

    def _bounds(self) -> tuple[float, float]:
        low, high = min(x for _, x in self.settled), max(x for _, x in self.settled)
        stir = max(0.01, high - low)
        return low - stir, high + stir

    def _see_settled(self, at: float, level: float) -> Sense:
        self.after.append((at, level))
        low, high = self._bounds()
        for apart, lasts in ((lambda x: not low <= x <= high, HOLD), (lambda x: x > 0.0, 12 * WINDOW)):
            run = [t for t, x in self._tail(apart)]
            if run and at - run[0] >= lasts:
                self.seen, self.settled = [(at, level)], []
                return Sense.PLAIN
        return Sense.NOISE if level <= min(high, 0.03) else Sense.PLAIN

    def _tail(self, apart):
        run = []
        for one in reversed(self.after):
            if not apart(one[1]):
                break
            run.append(one)
        return run[::-1]


STRETCHES = st.lists(st.tuples(st.integers(-70, 50), st.sampled_from((0, 2, 5, 10, 20)), st.integers(1, 100)),
                     min_size=1, max_size=8)


@given(STRETCHES, st.sampled_from((10.0, 30.0, 70.0)), st.integers(0, 1000))
@settings(max_examples=150)
def test_what_is_made_of_a_level_over_its_mark_is_what_a_plain_reading_of_all_finds(
        stretches: list[tuple[int, int, int]], pace: float, seed: int) -> None:
    spans, plain, luck, at = Spans(Seconds(WINDOW)), Plain(), Random(seed), 1000.0
    for middle, noise, looks in stretches:
        for _ in range(looks):
            at += pace
            # in parts of a power of two, so that no sum is torn by rounding at the mark
            level = (middle + luck.randint(-noise, noise)) / 1024.0
            spans.look_again()
            found, meant = spans.sense(SUBJECT, level, Seconds(HOLD), Instant(at, at)), plain.see(at, level)
            assert level <= 0.0 or found is meant, at


class Mind:
    """A level that is a mean over a window, its span and its verdict."""

    def __init__(self, hold: float) -> None:
        self.spans, self.hold, self.at = Spans(Seconds(WINDOW)), Seconds(hold), 0.0
        self.read: list[float] = []
        self.verdict: Verdict | None = None

    def look(self, load: float) -> bool:
        """Read the load once more; return whether it fires."""
        self.at += LOOK
        self.read = [*self.read, load][-int(WINDOW / LOOK):]
        level, now = sum(self.read) / len(self.read), Instant(self.at, self.at)
        self.spans.look_again()
        sense = self.spans.sense(SUBJECT, level, self.hold, now)
        fires = Truth.TRUE if level > 0.0 and sense is not Sense.NOISE else Truth.FALSE
        judgement = Judgement(fires, Truth.FALSE, is_lasting=sense is Sense.LASTING)
        self.verdict = follow(Holding(self.hold), self.verdict, judgement, now)
        return self.verdict.phase is Phase.FIRING


def first_fire(mind: Mind, middle: float, noise: float, seconds: float, luck: Random) -> float | None:
    """Let load be for so long, but for noise; return after how long it fired first."""
    begun = mind.at
    while mind.at < begun + seconds:
        if mind.look(middle + luck.uniform(-noise, noise)):
            return mind.at - begun
    return None


@pytest.mark.parametrize("hold", [300.0, 600.0])
@pytest.mark.parametrize("middle", [-2.0, -1.0, -0.5, 0.0, 0.5, 1.0])
def test_steady_load_fires_within_the_hour_or_never(hold: float, middle: float) -> None:
    """``middle``: in standard deviations of the mean over a window."""
    noise = 0.02
    deviation = noise / 3.0**0.5 / (WINDOW / LOOK)**0.5
    fired = [first_fire(Mind(hold), middle * deviation, noise, 24 * HOUR, Random(f"{hold} {middle} {seed}"))
             for seed in range(6)]
    assert all(after is None or after <= HOUR for after in fired), fired


@given(st.floats(-0.05, -0.005), st.floats(0.0, 0.02), st.floats(0.045, 0.15), st.integers(0, 1000))
@settings(max_examples=40)
def test_whatever_rises_well_over_its_mark_fires_within_its_hold_and_a_window(
        middle: float, noise: float, above: float, seed: int) -> None:
    mind, luck = Mind(HOLD), Random(seed)
    if first_fire(mind, middle, noise, 3 * HOUR, luck) is None:
        after = first_fire(mind, above, noise, HOUR, luck)
        assert after is not None
        assert after <= HOLD + WINDOW + LOOK
