"""Whether load has changed, or noise carries what is steady over its mark.

Load that stands still near a mark is carried over it by noise now and then, and by luck for as long as the hold: hours
later, for no reason. So it is decided once. What has stayed within a narrow span for a while is steady: if its mean over
that time is over the mark, so is the load; if not, it is *settled*, and counts as over its mark again only once it is
further up than it was by as much as it wanders, or stays over its mark for long.

All levels are shares, counted from their mark: above zero is over it. Times are monotonic seconds.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

from ballastd.core.quantities import HostName, Instant, Seconds

Subject = tuple[str, str, HostName, str, float]
"""Whose level: of which trend by which policy, on which host, of what, and at which mark; whoever moves a mark asks anew."""
HOLDS, WINDOWS = 3, 6
"""After so many holds of its policy, and so many windows of load, what stays within a narrow span is steady: so many
readings that share nothing are enough for a mean."""
GOOD = 2
"""What is settled and stays over its mark for so many times as long, without a gap, is another level after all."""
WANDERS = 0.05
"""What wanders further than this, five points of a hundred, is not steady."""
ROOM = 0.03
"""What is further than this over its mark counts, whatever it was before."""
OF_MARK = 0.25
"""Both as a share of the mark, where that is less: a mark of 1 % has no room for three points."""
NEAR = 3
"""What is so many times its room below its mark is nowhere near it: noise does not carry what is steady so far."""
STIR = 0.01
"""The least by which what is settled has to leave its span to be another level."""


class Sense(enum.Enum):
    """What to make of a level that is over its mark."""

    PLAIN = "plain"
    """What its hold makes of it."""
    NOISE = "noise"
    """Nothing: it is what it was, and that was not over its mark."""
    LASTING = "lasting"
    """It has been over its mark for long enough already, in the mean."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How a level is looked at. ``window``: over what time it is a mean; ``hold``: of its policy; ``steady``: after how long
    within a span it is steady; all in seconds. ``wanders``: how wide that span may be; ``room``: how far over its mark
    anything counts."""

    window: float
    hold: float
    steady: float
    wanders: float
    room: float


@lru_cache(maxsize=256)
def terms_of(mark: float, hold: float, window: float) -> Terms:
    """Return the terms for a mark that holds for ``hold``, and levels that are means over ``window``."""
    share = OF_MARK * mark
    return Terms(window, hold, max(HOLDS * hold, WINDOWS * window), min(WANDERS, share), min(ROOM, share))


@dataclass(frozen=True, slots=True)
class Span:
    """Between which levels something has been from ``since`` until ``seen``, and ``area``: levels times how long each stood.
    It begins a window after it was first seen there: until then the means have something in them of what was before. It
    ends once it is settled.

    ``is_settled``: its mean was not over its mark. ``outside_from``, ``over_from``: since when
    what is settled has been elsewhere, and over its mark, without a gap; None where it is not.
    """

    since: float
    seen: float
    low: float
    high: float
    area: float = 0.0
    is_settled: bool = False
    outside_from: float | None = None
    over_from: float | None = None

    @property
    def _stir(self) -> float:
        return max(STIR, self.high - self.low)

    def takes_in(self, level: float) -> bool:
        """Return whether a level is what it was before, as far as it wanders."""
        return self.low - self._stir <= level <= self.high + self._stir

    def sense(self, level: float, terms: Terms) -> Sense:
        """Return what to make of the level seen last."""
        if self.is_settled:
            return Sense.NOISE if level <= min(self.high + self._stir, terms.room) else Sense.PLAIN
        is_lasting = level > 0.0 and self.area > 0.0 and self.seen - self.since >= terms.steady
        return Sense.LASTING if is_lasting else Sense.PLAIN


def follow(last: Span | None, level: float, terms: Terms, at: float) -> Span:
    """Return the span that comes after ``last`` once a level is known; what fires is not followed."""
    if last is None:
        return _begin(level, terms, at)
    if last.is_settled:
        return _follow_settled(last, level, terms, at)
    if last.seen < last.since:
        return Span(last.since, at, level, level)
    low, high = min(last.low, level), max(last.high, level)
    if high - low > terms.wanders:
        return _begin(level, terms, at)
    area = last.area + level * (at - last.seen)
    # while it is over its mark its hold runs: that decides first
    is_settled = level <= 0.0 and area <= 0.0 and at - last.since >= terms.steady
    return Span(last.since, at, low, high, area, is_settled)


def _follow_settled(last: Span, level: float, terms: Terms, at: float) -> Span:
    outside = None if last.takes_in(level) else _from(last.outside_from, at)
    over = _from(last.over_from, at) if level > 0.0 else None
    if _lasts(outside, at, terms.hold) or _lasts(over, at, GOOD * terms.steady):
        return _begin(level, terms, at)
    if outside == last.outside_from and over == last.over_from:
        return last
    return replace(last, outside_from=outside, over_from=over)


class Spans:
    """The spans of all levels that are asked about at every look; what is no longer asked about is forgotten."""

    def __init__(self, window: Seconds) -> None:
        self._window = window
        self._before: dict[Subject, Span] = {}
        self._spans: dict[Subject, Span] = {}

    def look_again(self) -> None:
        """Begin the next look."""
        self._before, self._spans = self._spans, {}

    def sense(self, subject: Subject, level: float, hold: Seconds, now: Instant) -> Sense:
        """Note a level, counted from its mark; return what to make of it if it is over that."""
        terms = terms_of(subject[-1], hold, self._window)
        if level < -NEAR * terms.room:
            return Sense.PLAIN
        span = self._spans[subject] = follow(self._before.get(subject), level, terms, now.monotonic)
        return span.sense(level, terms)

    def miss(self, subjects: Iterable[Subject]) -> None:
        """Note that some levels are not known."""
        for subject in subjects:
            last = self._before.get(subject)
            if last is not None and (left := unseen(last)) is not None:
                self._spans[subject] = left

    def restart_holds(self) -> None:
        """Note that nothing seen lately proves anything any more."""
        self._spans = {subject: left for subject, span in self._spans.items() if (left := unseen(span)) is not None}


def unseen(last: Span) -> Span | None:
    """Return what is left of a span while nobody knows the level, or nothing seen lately proves anything: what was settled
    stays so, for it only holds back, and every hold starts again."""
    return replace(last, outside_from=None, over_from=None) if last.is_settled else None


def _begin(level: float, terms: Terms, at: float) -> Span:
    return Span(at + terms.window, at, level, level)


def _from(since: float | None, at: float) -> float:
    return at if since is None else since


def _lasts(since: float | None, at: float, seconds: float) -> bool:
    return since is not None and at - since >= seconds
