"""Processor time of many VMs in columns: a slot each, its last points over a window, and its means of the last day.

Slots are given out in the order of appearance; one that is given back is given out again, empty. Whoever asks for many
asks once. Times are monotonic seconds; totals are seconds of processors over all hosts that a VM ran on, or MiB that it
carried over its network. Hours of the day are of UTC, by the wall clock of whoever asks: when that is set, what was seen
before is told by the clock that is right now.
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
HOURS = 24
HOUR_POINTS = PROFILE_POINTS // HOURS
HOUR_POINTS_MIN = HOUR_POINTS // 2
"""Of fewer means within an hour of the day nothing is known of it."""
HOUR_PERCENTILE = 0.9
HOURS_MIN = 22
"""Of fewer hours nothing is said of a VM's day."""
POINT_SECONDS_MAX = 2 * PROFILE_SECONDS
"""A mean over longer than that was taken while nobody looked: it says nothing of any hour."""
DAY_SECONDS = PROFILE_POINTS * PROFILE_SECONDS
CLOCK_SECONDS = 60.0
"""By so much the wall clock may run away from the monotonic one before hours are reckoned anew."""
TOGETHER = 1024
NEVER = float("-inf")
NOBODY = 0
"""The slot of whoever is not known: nothing is ever noted there."""
NO_HOST = -1


class Consumption:
    """By slot: ``host``: the row of the host that counts it now, and ``counted``: what that one counted last; ``begun``:
    when that look began; ``total``: what all have counted; ``seen_at``: when its last point was taken; ``mean``: processors
    used over the window that ends with that, NaN until half a window was seen; ``busy``: what it uses at its busier times, a
    percentile of its five-minute means over the last day, NaN until an hour was seen. ``falls_to_zero``: a count that is
    less than the last one of the same host began at zero since; else a sum that lost a part, and nothing is known."""

    def __init__(self, window: Seconds, *, falls_to_zero: bool = True) -> None:
        self._window = window
        self.falls_to_zero = falls_to_zero
        self._ahead = float("nan")
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
            "_profile": np.full((size, PROFILE_POINTS), np.inf), "_ended": np.zeros((size, PROFILE_POINTS), np.int32),
            "_hours": np.full((size, HOURS), np.nan, np.float32), "_reckoned": np.zeros(size, np.int64),
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
    _ended: NDArray[np.int32]
    _hours: NDArray[np.float32]
    _reckoned: Ints

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
        self._first[slot] = self._count[slot] = self._profiles[slot] = self._reckoned[slot] = 0
        self._profile[slot], self._hours[slot] = np.inf, np.nan
        self._free.append(slot)

    def forget(self, slot: int) -> None:
        """Have what is counted from now on begin anew, as for a VM that nobody saw before: only its means of the last day
        still hold."""
        self.host[slot], self.mean[slot], self._since[slot] = NO_HOST, np.nan, np.nan
        self._first[slot] = self._count[slot] = 0

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
        place = self._profiles[slots] % PROFILE_POINTS
        self._profile[slots, place], self._ended[slots, place] = mean, at
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

    def hours(self, slots: Ints, ahead: float) -> Floats:
        """Return what some VMs use at each hour of the day, by slot and hour: a percentile of the five-minute means that
        fell into it within the last day. An hour of which too little is known counts as the VM's busiest; NaN in all where
        too few are known. ``ahead``: seconds by which the wall clock is ahead of the monotonic one."""
        if not abs(ahead - self._ahead) <= CLOCK_SECONDS:
            self._ahead = ahead
            self._reckoned[:] = 0
        stale = slots[self._reckoned[slots] != self._profiles[slots]]
        for first in range(0, len(stale), TOGETHER):
            self._reckon(stale[first:first + TOGETHER])
        return self._hours[slots].astype(np.float64)

    def _reckon(self, slots: Ints) -> None:
        self._reckoned[slots], self._hours[slots] = self._profiles[slots], np.nan
        slots = slots[self._profiles[slots] >= HOURS_MIN * HOUR_POINTS_MIN]
        ranked = np.sort(self._day(slots).reshape(len(slots), HOURS, HOUR_POINTS), axis=2)
        count = HOUR_POINTS - np.isnan(ranked).sum(axis=2)
        rank = np.clip((HOUR_PERCENTILE * count).astype(np.int64), 0, np.maximum(0, count - 1))
        hours = np.take_along_axis(ranked, rank[:, :, None], axis=2)[:, :, 0]
        unknown = count < HOUR_POINTS_MIN
        busiest = np.where(unknown, -np.inf, hours).max(axis=1, initial=-np.inf)
        told = unknown.sum(axis=1) <= HOURS - HOURS_MIN
        self._hours[slots[told]] = np.where(unknown, busiest[:, None], hours)[told]

    def _day(self, slots: Ints) -> NDArray[np.float32]:
        """Return the means of the last day by the five minutes since midnight into which their middle fell, NaN where there
        is none. Middles are five minutes apart at least, so no two of a day fall together."""
        row, profiles, ended = np.arange(len(slots)), self._profiles[slots], self._ended[slots].astype(np.float64)
        lasts = ended - np.roll(ended, 1, axis=1)
        lasts[row, np.where(profiles < PROFILE_POINTS, 0, profiles % PROFILE_POINTS)] = PROFILE_SECONDS
        middle = ended - lasts / 2
        since = ended[row, (profiles - 1) % PROFILE_POINTS] - (DAY_SECONDS - PROFILE_SECONDS / 2)
        counts = (np.arange(PROFILE_POINTS) < profiles[:, None]) & (lasts <= POINT_SECONDS_MAX) & (middle > since[:, None])
        place = np.floor((middle + self._ahead) / PROFILE_SECONDS).astype(np.int64) % PROFILE_POINTS
        day = np.full(ended.shape, np.nan, np.float32)
        day[np.nonzero(counts)[0], place[counts]] = self._profile[slots][counts]
        return day
