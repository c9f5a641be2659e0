"""The recent samples of one metric of one subject, and what they add up to over a time."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from dataclasses import dataclass, field
from operator import itemgetter

SERIES_SAMPLES_MAX = 4096
_AT = itemgetter(0)


@dataclass(slots=True)
class Series:
    """Samples, oldest first: (monotonic seconds, value, sum so far).

    The sum is of a counter's rises (a fall being a reset to zero), or of a level's values times how long each stood: with
    it any window costs one look at its beginning. Exact for counters as long as they rose by less than 2^53 together.
    """

    counter: bool = False
    points: deque[tuple[float, float, float]] = field(default_factory=lambda: deque(maxlen=SERIES_SAMPLES_MAX))
    count: int = 0
    """How many points there have been."""
    high: float | None = None
    critical: float | None = None
    slot: int = -1
    """Its place in the metric's column."""
    baseline: float | None = None
    """A counter's last value before the oldest point: from the journal, or of a point that fell out."""
    floor: float = 0.0
    """The sum at the baseline."""

    def add(self, at: float, value: float, kept: float = float("inf")) -> bool:
        """Append a sample; return whether its value is another than the last one's. A run of equal values is kept as its
        two ends, so that long windows stay cheap; what falls out at the old end becomes the baseline, so that it is never
        mistaken for a rise. Of a level what was before the last ``kept`` seconds is forgotten."""
        points = self.points
        if not points:
            known = self.baseline
            rise = 0.0 if known is None else value - known if value >= known else value
            points.append((at, value, self.floor + rise if self.counter else 0.0))
            self.count += 1
            return known is not None and value != known
        last_at, last, total = points[-1]
        if not self.counter:
            total += last * (at - last_at)
        elif value != last:
            total += value - last if value >= last else value
        if value == last and len(points) > 1 and points[-2][1] == value:
            points[-1] = (at, value, total)
            return False
        if not self.counter:
            while len(points) > 1 and points[1][0] <= at - kept:
                points.popleft()
        if len(points) == points.maxlen:
            self.baseline, self.floor = points[0][1], points[0][2]
        points.append((at, value, total))
        self.count += 1
        return value != last

    def increase(self, begin: float) -> tuple[float | None, float]:
        """Return by how much a counter rose since ``begin`` (monotonic), and when the first rise was that counts.

        The last point before ``begin`` is the starting point. None with fewer than two values to compare. The instant is
        infinite where the answer stays until the next sample.
        """
        points = self.points
        first = bisect_right(points, begin, key=_AT)
        if first == len(points):
            return (0.0 if len(points) > 1 else None), float("inf")
        if first > 0:
            start = points[first - 1][2]
        elif self.baseline is not None:
            start = self.floor
        elif len(points) > 1:
            start = points[0][2]
        else:
            return None, float("inf")
        return points[-1][2] - start, points[first][0]

    def mean(self, begin: float, end: float, least: float) -> float | None:
        """Return a level's mean from ``begin`` to ``end`` (monotonic; not before its last sample), weighted by time; None
        until its samples cover ``least`` seconds of that."""
        points = self.points
        begin = max(begin, points[0][0])
        if begin > end - least:
            return None
        at, value, total = points[-1]
        if end - begin <= 0:
            return value
        before = points[bisect_right(points, begin, key=_AT) - 1]
        area = total + value * (end - at) - before[2] - before[1] * (begin - before[0])
        return area / (end - begin)
