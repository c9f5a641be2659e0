"""How uneven hosts are: by the standard deviation of what they use of what they have, or by the fullest and the emptiest.

Either is a sum over hosts, so that what a move changes is known from the two hosts at its ends; and either is in shares of a
host, so that processors and memory, and one measure and the other, can be added up.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Protocol

import numpy as np

from ballastd.core.arrays import Bools, Floats

LEAST_SPREAD = 1e-3
"""A spread this small is none: it would weigh without end."""
HALVINGS = 40


@dataclass(frozen=True, slots=True)
class Aim:
    """How even a cluster is to be.

    ``cpu_limit``, ``memory_limit``: processors and bytes that hosts have, by row. ``counts``: which hosts are compared: only
    these send and receive. Even enough is a spread (the standard deviation of their shares) or a span (the fullest's share
    less the emptiest's, which policies call a spread) of no more than this; inf: as it likes. ``least``: no VM moves for
    less, in shares of a host, both ends together.
    """

    cpu_limit: Floats
    memory_limit: Floats
    counts: Bools
    cpu_spread: float = inf
    memory_spread: float = inf
    cpu_span: float = inf
    memory_span: float = inf
    least: float = 0.0


class Measure(Protocol):
    """One way in which hosts are uneven."""

    @property
    def weight(self) -> float:
        """What one unit of it is in shares of a host."""

    @property
    def allowed(self) -> float:
        """How much of it is even enough."""

    def of(self, shares: Floats) -> Floats:
        """Return how uneven hosts with these shares are, each."""

    def pull(self, shares: Floats) -> Floats:
        """Return how much each ought to lose, below zero: to get."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Squares of the distances to the mean. Moves between hosts of several sizes shift it: then their sum is too much, never
    too little."""

    mean: float
    allowed: float
    weight: float

    def of(self, shares: Floats) -> Floats:
        """See ``Measure``."""
        squares: Floats = np.square(shares - self.mean)
        return squares

    def pull(self, shares: Floats) -> Floats:
        """See ``Measure``."""
        return shares - self.mean


@dataclass(frozen=True, slots=True)
class Span:
    """What hosts are above or below a band."""

    low: float
    high: float
    allowed: float = 0.0
    weight: float = 1.0

    def of(self, shares: Floats) -> Floats:
        """See ``Measure``."""
        outside: Floats = np.maximum(np.maximum(shares - self.high, self.low - shares), 0.0)
        return outside

    def pull(self, shares: Floats) -> Floats:
        """See ``Measure``."""
        return shares - (self.low + self.high) / 2.0


def spread(shares: Floats) -> float:
    """Return the standard deviation, 0 of nobody."""
    return float(shares.std()) if len(shares) else 0.0


def span(shares: Floats) -> float:
    """Return the fullest's share less the emptiest's, 0 of nobody."""
    return float(shares.max() - shares.min()) if len(shares) else 0.0


def spread_of(shares: Floats, goal: float) -> Spread:
    """Return the measure of a spread, by the mean of the hosts that count."""
    goal = max(goal, LEAST_SPREAD)
    # the derivative of the deviation by the squares
    return Spread(float(shares.mean()), len(shares) * goal * goal, 1.0 / (2.0 * goal))


def span_of(shares: Floats, limits: Floats, goal: float) -> Span:
    """Return the measure of a span. Of all bands of that width it is the one below which as much is wanting as there is too
    much above it, for then the fewest processors or bytes have to move. ``shares``, ``limits``: of the hosts that count."""
    low, high = float(shares.min()), float(shares.max()) - goal
    for _ in range(HALVINGS):
        middle = (low + high) / 2.0
        excess = float((np.maximum(shares - middle - goal, 0.0) * limits).sum())
        wanting = float((np.maximum(middle - shares, 0.0) * limits).sum())
        low, high = (middle, high) if excess > wanting else (low, middle)
    return Span(low, low + goal)
