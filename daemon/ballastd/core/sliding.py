"""What series add up to over a sliding time, in columns, computed anew only where it can have changed."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ballastd.core.arrays import Floats, Ints
from ballastd.core.columns import Column, Columns
from ballastd.core.conditions import Threshold

Key = tuple[str, bool, float]
"""A metric, whether its rises are counted (else it is averaged), and over how many seconds."""


@dataclass(slots=True)
class _Sums:
    """By slot: the value (NaN: unknown), with how many samples it was made, and the oldest instant that it counts: of the
    first rise, which may leave the window and change it, or the beginning of a mean."""

    value: Floats = field(default_factory=lambda: np.full(0, np.nan))
    touched: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    oldest: Floats = field(default_factory=lambda: np.full(0, np.inf))

    def reach(self, size: int) -> None:
        """Have room for ``size`` slots."""
        missing = size - len(self.value)
        if missing > 0:
            self.value = np.concatenate((self.value, np.full(missing, np.nan)))
            self.touched = np.concatenate((self.touched, np.full(missing, -1)))
            self.oldest = np.concatenate((self.oldest, np.full(missing, np.inf)))


def key_of(leaf: Threshold) -> Key:
    """Return which sums a threshold reads."""
    return leaf.metric, leaf.aggregate.counts, leaf.window


class Sliding:
    """Increases and means over windows, for every series that somebody asked for."""

    def __init__(self) -> None:
        self._sums: dict[Key, _Sums] = {}

    def values(self, key: Key, columns: Columns, slots: Ints, not_before: Floats, anew: NDArray[np.bool_],
               now: float) -> Floats:
        """Return the sums of ``slots`` at ``now`` (monotonic), NaN where unknown. By slot: the instant before which rises
        do not count, and whether that one changed."""
        metric, counts, window = key
        column, sums = columns.column(metric), self._sums.setdefault(key, _Sums())
        sums.reach(column.size)
        due = sums.touched[slots] != column.touched[slots]
        if counts:
            due |= (sums.oldest[slots] <= now - window) | anew
            todo = slots[due]
            _rises(sums, column, todo, np.maximum(now - window, not_before[due]))
        else:
            # a host that was silent or began anew has nothing to be averaged with what was before
            begins = np.maximum(column.at[slots] - window, columns.since[column.row[slots]])
            due |= sums.oldest[slots] != begins
            todo = slots[due]
            _means(sums, column, todo, begins[due], window)
        sums.touched[todo] = column.touched[todo]
        return sums.value[slots]

    def leaving(self, columns: Columns, now: float) -> tuple[Ints, float]:
        """Return the rows of hosts of which something has left a window by now, and when that happens next (monotonic)."""
        rows: list[Ints] = []
        soonest = float("inf")
        for (metric, counts, window), sums in self._sums.items():
            if counts and len(sums.value):
                gone = np.flatnonzero(sums.oldest <= now - window)
                rows.append(columns.column(metric).row[gone])
                soonest = min(soonest, float(sums.oldest.min()) + window)
        return (np.concatenate(rows) if rows else np.zeros(0, np.int64)), soonest


def _rises(sums: _Sums, column: Column, slots: Ints, begins: Floats) -> None:
    still = (column.changed[slots] <= begins) & (column.touched[slots] > 1)
    sums.value[slots[still]], sums.oldest[slots[still]] = 0.0, np.inf
    moved = slots[~still]
    found = [column.series[slot].increase(begin) if touched else (None, np.inf)
             for slot, begin, touched in zip(moved.tolist(), begins[~still].tolist(), column.touched[moved].tolist(),
                                             strict=True)]
    sums.value[moved] = [np.nan if rise is None else rise for rise, _ in found]
    sums.oldest[moved] = [oldest for _, oldest in found]


def _means(sums: _Sums, column: Column, slots: Ints, begins: Floats, window: float) -> None:
    found, older = column.kept().means(slots, begins, window / 2)
    for place in np.flatnonzero(older).tolist():
        slot = int(slots[place])
        mean = column.series[slot].mean(float(begins[place]), float(column.at[slot]), window / 2)
        found[place] = np.nan if mean is None else mean
    sums.value[slots], sums.oldest[slots] = found, begins
