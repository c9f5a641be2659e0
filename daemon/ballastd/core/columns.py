"""The newest of every series in columns: one array per metric, a slot for each subject of each host.

Slots and rows are given out in the order of appearance and never taken back; arrays grow by doubling. Only telemetry
writes here, sample by sample; whoever judges reads all of a metric at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ballastd.core.arrays import Floats, Ints
from ballastd.core.quantities import HostName
from ballastd.core.rings import Ring
from ballastd.core.series import Series

NEVER = float("-inf")
FIRST_SIZE = 16


def _grown(array: NDArray[Any], fill: float) -> NDArray[Any]:
    wider: NDArray[Any] = np.full(2 * len(array), fill, array.dtype)
    wider[:len(array)] = array
    return wider


class Column:
    """One metric: when each series was heard last (monotonic), its value, and its sensor's limits (NaN without).

    ``changed``: when the value last differed from the one before, NEVER if it never did. ``touched``: how many samples
    came. ``row``: which host's it is.
    """

    def __init__(self) -> None:
        self.size = 0
        self.row: Ints = np.zeros(FIRST_SIZE, np.int64)
        self.touched: Ints = np.zeros(FIRST_SIZE, np.int64)
        self.at: Floats = np.full(FIRST_SIZE, NEVER)
        self.changed: Floats = np.full(FIRST_SIZE, NEVER)
        self.value: Floats = np.full(FIRST_SIZE, np.nan)
        self.high: Floats = np.full(FIRST_SIZE, np.nan)
        self.critical: Floats = np.full(FIRST_SIZE, np.nan)
        self.subjects: list[str] = []
        self.series: list[Series] = []
        self.ring: Ring | None = None
        self._ranks: Ints = np.zeros(0, np.int64)

    def open(self, row: int, subject: str, series: Series) -> int:
        """Return a new slot for a subject of the host in ``row``."""
        if self.size == len(self.row):
            self.row, self.touched = _grown(self.row, 0), _grown(self.touched, 0)
            self.at, self.changed = _grown(self.at, NEVER), _grown(self.changed, NEVER)
            self.value = _grown(self.value, np.nan)
            self.high, self.critical = _grown(self.high, np.nan), _grown(self.critical, np.nan)
        self.row[self.size] = row
        self.subjects.append(subject)
        self.series.append(series)
        self.size += 1
        return self.size - 1

    def kept(self) -> Ring:
        """Return the last points of all series, which are kept from now on."""
        if self.ring is None:
            self.ring = Ring(self.series)
        return self.ring

    def ranks(self) -> Ints:
        """Return the place of each slot's subject among all, in alphabetical order: equal names, equal ranks."""
        if len(self._ranks) != self.size:
            places = {subject: place for place, subject in enumerate(sorted(dict.fromkeys(self.subjects)))}
            self._ranks = np.array([places[subject] for subject in self.subjects], np.int64)
        return self._ranks


class Columns:
    """All metrics, and what is known of each host: its row, how many reports were taken in, when the last one came, when
    the first one after its last silence, and how old its readings may be (NEVER: they may not be used at all)."""

    def __init__(self) -> None:
        self._rows: dict[HostName, int] = {}
        self.reports: Ints = np.zeros(FIRST_SIZE, np.int64)
        self.received: Floats = np.full(FIRST_SIZE, NEVER)
        self.since: Floats = np.full(FIRST_SIZE, NEVER)
        self.age_max: Floats = np.full(FIRST_SIZE, NEVER)
        self.metrics: dict[str, Column] = {}

    def row(self, host: HostName) -> int:
        """Return the row of a host, a new one when it was never mentioned."""
        row = self._rows.get(host)
        if row is None:
            row = self._rows[host] = len(self._rows)
            if row == len(self.reports):
                self.reports = _grown(self.reports, 0)
                self.received, self.since = _grown(self.received, NEVER), _grown(self.since, NEVER)
                self.age_max = _grown(self.age_max, NEVER)
        return row

    def rows(self, hosts: Iterable[HostName]) -> Ints:
        """Return the rows of some hosts, in their order."""
        return np.array([self.row(host) for host in hosts], np.int64)

    def reporting(self, metric: str, hosts: tuple[HostName, ...]) -> NDArray[np.bool_]:
        """Return which of some hosts ever reported a metric."""
        found = self.metrics.get(metric)
        if found is None or not found.size:
            return np.zeros(len(hosts), np.bool_)
        rows, known = self.rows(hosts), np.zeros(len(self.reports), np.bool_)
        known[found.row[:found.size]] = True
        return known[rows]

    def column(self, metric: str) -> Column:
        """Return a metric's column, empty while nobody reported it."""
        found = self.metrics.get(metric)
        if found is None:
            found = self.metrics[metric] = Column()
        return found
