"""Processor time of many VMs in columns: a slot each, its last points over a window, and its means of the last day.

Slots are given out in the order of appearance; one that is given back is given out again, empty. Whoever asks for many
asks once. Times are monotonic seconds; totals are seconds of processors over all hosts that a VM ran on.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ballastd.core.arrays import Floats, Ints
from ballastd.core.quantities import Seconds

FIRST_SIZE = 16
POINTS = 64
PROFILE_SECONDS = 300.0
PROFILE_POINTS = 288
PROFILE_POINTS_MIN = 12
PEAK_PERCENTILE = 0.95
NEVER = float("-inf")
NOBODY = 0
"""The slot of whoever is not known: nothing is ever noted there."""
NO_HOST = -1


class Consumption:
    """By slot: ``host``: the row of the host that counts it now, and ``counted``: what that one counted last; ``begun``:
    when that look began; ``total``: what all have counted; ``seen_at``: when its last point was taken; ``mean``: processors
    used over the window that ends with that, NaN until half a window was seen; ``busy``: what it uses at its busier times, a
    percentile of its five-minute means over the last day, NaN until an hour was seen."""

    def __init__(self, window: Seconds) -> None:
        self._window = window
        self._free: list[int] = []
        self._next = NOBODY + 1
        self._resize(FIRST_SIZE)

    def _resize(self, size: int) -> None:
        """Make room for ``size`` slots, those that are there kept as they are."""
        fresh: dict[str, NDArray[np.generic]] = {
            "host": np.full(size, NO_HOST, np.int64), "counted": np.zeros(size), "begun": np.full(size, NEVER),
            "total": np.zeros(size), "seen_at": np.full(size, NEVER), "mean": np.full(size, np.nan),
            "busy": np.full(size, np.nan), "_first": np.zeros(size, np.int64), "_count": np.zeros(size, np.int64),
            "_at": np.zeros((POINTS, size)), "_points": np.zeros((POINTS, size)), "_since": np.full(size, np.nan),
            "_since_total": np.zeros(size), "_profiles": np.zeros(size, np.int64),
            "_profile": np.full((size, PROFILE_POINTS), np.inf),
        }
        for name, array in fresh.items():
            known = getattr(self, name, None)
            if known is not None:
                array[tuple(slice(0, length) for length in known.shape)] = known
            setattr(self, name, array)

    host: Ints
    counted: Floats
    begun: Floats
    total: Floats
    seen_at: Floats
    mean: Floats
    busy: Floats
    _first: Ints
    _count: Ints
    _at: Floats
    _points: Floats
    _since: Floats
    _since_total: Floats
    _profiles: Ints
    _profile: Floats

    def open(self) -> int:
        """Return a slot for a VM that was never seen."""
        if self._free:
            return self._free.pop()
        if self._next == len(self.host):
            self._resize(2 * self._next)
        self._next += 1
        return self._next - 1

    def close(self, slot: int) -> None:
        """Take a slot back, and what was noted there."""
        self.host[slot], self.begun[slot], self.seen_at[slot] = NO_HOST, NEVER, NEVER
        self.counted[slot] = self.total[slot] = self._since_total[slot] = 0.0
        self.mean[slot] = self.busy[slot] = self._since[slot] = np.nan
        self._first[slot] = self._count[slot] = self._profiles[slot] = 0
        self._profile[slot] = np.inf
        self._free.append(slot)

    def note(self, slots: Ints, at: Floats) -> None:
        """Take the totals of some slots as points of ``at``; each slot at most once. What follows too closely on the last
        point is left out."""
        newest = self._at[(self._count[slots] - 1) % POINTS, slots]
        due = (self._count[slots] == 0) | (at - newest >= self._window * 2 / POINTS)
        self._note_points(slots[due], at[due])
        since = self._since[slots]
        new = np.isnan(since)
        if new.any():
            self._since[slots[new]], self._since_total[slots[new]] = at[new], self.total[slots[new]]
        over = at - since >= PROFILE_SECONDS
        if over.any():
            self._note_profiles(slots[over], at[over])

    def _note_points(self, slots: Ints, at: Floats) -> None:
        while True:
            old = (self._first[slots] < self._count[slots]) & (
                self._at[self._first[slots] % POINTS, slots] < at - self._window)
            if not old.any():
                break
            self._first[slots[old]] += 1
        place, total = self._count[slots] % POINTS, self.total[slots]
        self._at[place, slots], self._points[place, slots] = at, total
        self._count[slots] += 1
        first = self._first[slots] % POINTS
        lasts = at - self._at[first, slots]
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.maximum(0.0, (total - self._points[first, slots]) / lasts)
        self.seen_at[slots], self.mean[slots] = at, np.where(lasts < self._window / 2, np.nan, mean)

    def _note_profiles(self, slots: Ints, at: Floats) -> None:
        mean = (self.total[slots] - self._since_total[slots]) / (at - self._since[slots])
        self._profile[slots, self._profiles[slots] % PROFILE_POINTS] = mean
        self._profiles[slots] += 1
        self._since[slots], self._since_total[slots] = at, self.total[slots]
        count = np.minimum(self._profiles[slots], PROFILE_POINTS)
        known = count >= PROFILE_POINTS_MIN
        if known.any():
            slots, count = slots[known], count[known]
            ranked = np.sort(self._profile[slots, :int(count.max())], axis=1)
            rank = np.minimum(count - 1, (PEAK_PERCENTILE * count).astype(np.int64))
            self.busy[slots] = ranked[np.arange(len(slots)), rank]

    def columns(self, slots: Ints, horizon: float) -> tuple[Floats, Floats]:
        """Return what some VMs use, NaN for those that were not seen since ``horizon`` or not for long enough; and at their
        busier times, never less than that."""
        cpu = np.where(self.seen_at[slots] < horizon, np.nan, self.mean[slots])
        return cpu, np.where(np.isnan(cpu), np.nan, np.fmax(cpu, self.busy[slots]))
