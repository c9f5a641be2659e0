"""The last points of many series side by side, so that means of all of them are taken at once."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from ballastd.core.arrays import Floats, Ints
from ballastd.core.series import Series

POINTS = 64
"""So many points of each series; what needs older ones is asked of the series itself."""
FIRST_SIZE = 16


class Ring:
    """By slot: the points of a series (see ``Series``), the n-th at place n modulo ``POINTS``, and how many there were."""

    def __init__(self, series: Sequence[Series]) -> None:
        size = max(FIRST_SIZE, len(series))
        self._points = np.full((3, size, POINTS), np.inf)
        self._count: Ints = np.zeros(size, np.int64)
        for slot, one in enumerate(series):
            older = max(0, len(one.points) - POINTS)
            for back, point in enumerate(islice(one.points, older, None)):
                self._points[:, slot, (one.count - len(one.points) + older + back) % POINTS] = point
            self._count[slot] = one.count

    def note(self, slot: int, series: Series) -> None:
        """Take over a series' newest point, which may have replaced the one before."""
        if slot >= len(self._count):
            wider = np.full((3, 2 * slot, POINTS), np.inf)
            wider[:, :len(self._count)] = self._points
            self._points, self._count = wider, np.concatenate((self._count, np.zeros(2 * slot - len(self._count), np.int64)))
        self._points[:, slot, (series.count - 1) % POINTS] = series.points[-1]
        self._count[slot] = series.count

    def means(self, slots: Ints, begins: Floats, least: float) -> tuple[Floats, NDArray[np.bool_]]:
        """Return what ``Series.mean`` does from ``begins`` to the newest samples, NaN where that is None; and for which
        slots the points here do not reach back far enough to say."""
        count, (at, value, total) = self._count[slots], self._points[:, slots]
        whole, every = count <= POINTS, np.arange(len(slots))
        newest = (count - 1) % POINTS
        end = at[every, newest]
        begin = np.where(whole, np.maximum(begins, at[:, 0]), begins)
        before = (at <= begin[:, None]).sum(axis=1)
        place = (count - np.minimum(count, POINTS) + before - 1) % POINTS
        with np.errstate(invalid="ignore", divide="ignore"):
            area = total[every, newest] - total[every, place] - value[every, place] * (begin - at[every, place])
            mean = np.where(end - begin <= 0, value[every, newest], area / (end - begin))
            mean[(count == 0) | (begin > end - least)] = np.nan
        return mean, (before == 0) & ~whole
