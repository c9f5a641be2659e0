"""Samples on a grid of columns that a picture has room for: the most of each column, so that no peak is hidden."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ballastd.core.rehearsed import Rehearsed

COLUMNS_MAX = 720
ROWS_MAX = 240
Grid = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Timeline:
    """``edges``: where columns begin and end, in hours. ``demand``: row x column, a share of processors, NaN where no
    host of the row was on. ``hottest``, ``mean``, ``coolest``: over the hosts that were on, NaN where none was.
    ``most_on``, ``fewest_on``: hosts on within a column; ``in_flight``: migrations at most."""

    edges: Grid
    demand: Grid
    hottest: Grid
    mean: Grid
    coolest: Grid
    most_on: Grid
    fewest_on: Grid
    in_flight: Grid


def span_hours(rehearsed: Rehearsed) -> float:
    """Return how many hours a picture shows, never 0: a minute at least."""
    ends = (rehearsed.seconds, *(sample.at for sample in rehearsed.samples[-1:]))
    return max(*ends, 60.0) / 3600.0


def hosts_a_row(hosts: int) -> int:
    """Return how many hosts share a row of a picture: one, until there are more than there is room for."""
    return -(-hosts // ROWS_MAX) or 1


def timeline(rehearsed: Rehearsed) -> Timeline | None:
    """Return the samples in ``COLUMNS_MAX`` columns at most, None where there are none, or no hosts.

    A column without a sample shows the one before it: a sample holds until the next.
    """
    samples = sorted(rehearsed.samples, key=lambda sample: sample.at)
    if not samples or not rehearsed.hosts:
        return None
    edges = np.linspace(0.0, span_hours(rehearsed), min(COLUMNS_MAX, len(samples)) + 1)
    pooled = _pooling(np.array([sample.at for sample in samples]) / 3600.0, edges)
    on = np.array([sample.on for sample in samples], dtype=bool)
    demand = np.where(on, np.array([sample.demand for sample in samples], dtype=np.float64), np.nan)
    count = on.sum(axis=1, dtype=np.float64)
    rows = np.fmax.reduceat(demand, np.arange(0, demand.shape[1], hosts_a_row(demand.shape[1])), axis=1)
    sums, known = np.nansum(demand, axis=1), count > 0
    return Timeline(
        edges, pooled(np.fmax, rows).T, pooled(np.fmax, np.fmax.reduce(demand, axis=1)),
        pooled(np.fmax, np.divide(sums, count, out=np.full_like(sums, np.nan), where=known)),
        pooled(np.fmin, np.fmin.reduce(demand, axis=1)), pooled(np.maximum, count), pooled(np.minimum, count),
        pooled(np.maximum, np.array([float(sample.in_flight) for sample in samples])))


def _pooling(at: Grid, edges: Grid) -> Callable[[np.ufunc, Grid], Grid]:
    """Return what folds samples (first axis) into columns."""
    column = np.clip(np.searchsorted(edges, at, side="right") - 1, 0, len(edges) - 2)
    filled, starts = np.unique(column, return_index=True)
    # each column takes the last one at or before it that has samples; before the first, the first
    source = np.maximum(np.searchsorted(filled, np.arange(len(edges) - 1), side="right") - 1, 0)

    def pooled(fold: np.ufunc, values: Grid) -> Grid:
        return np.asarray(fold.reduceat(values, starts, axis=0))[source]

    return pooled
