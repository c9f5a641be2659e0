"""What moves and exchanges would bring to uneven hosts: all of some VMs to all of some hosts at once, in columns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

import numpy as np

from ballastd.core.arrays import Bools, Floats, Ints
from ballastd.core.heat import Heat
from ballastd.core.roughness import Measure
from ballastd.core.whereabouts import Whereabouts

FREE = 1e-6
"""What costs nothing, or gives bytes back, counts as costing this share of the cheapest VM; the best is what gains most."""
TIE = 1e-6
"""What coming nearer to the middle weighs: it decides among those that gain the same."""
NOTHING = 1e-12
FOREMOST = 1_000
"""Of so many of the best those are chosen that share no host."""


@dataclass(frozen=True, slots=True)
class Shift:
    """A VM goes from one host to another, and ``other`` comes for it (-1: nobody)."""

    vm: int
    other: int
    source: int
    target: int


@dataclass(frozen=True, slots=True)
class Tension:
    """One measure of one resource. ``use``: what VMs take with them; ``limits``, ``shares``: of hosts. ``need``: how much
    more it is than what is even enough, below zero: less; ``most``: how much that may become."""

    measure: Measure
    use: Floats
    limits: Floats
    shares: Floats
    need: float
    most: float


@dataclass(frozen=True, slots=True)
class Bounds:
    """``cpu``, ``memory``: what hosts could have more. ``budget``: copying has to become dearer by less than this, in bytes.
    ``least``: so much has to be gained by what copies more."""

    cpu: Floats
    memory: Floats
    budget: float = inf
    least: float = 0.0


class Shifts:
    """All shifts of ``vms`` to ``hosts``, or, where there are ``others``, against these."""

    def __init__(self, heat: Heat, now: Whereabouts, tensions: tuple[Tension, ...], vms: Ints, others: Ints,
                 hosts: Ints) -> None:
        self._heat, self._now, self._tensions, self._vms, self._others = heat, now, tensions, vms, others
        self._source = now.at[vms]
        self._there = now.at[others] if len(others) else hosts
        self._deltas = [self._delta(one) for one in tensions]
        self._needs = [one.need for one in tensions]
        self._taken: list[tuple[int, int]] = []
        self._row = self._column = 0

    def best_first(self, bounds: Bounds, share: float) -> Iterator[tuple[Shift, float]]:
        """Yield the best, and what each gains: once one was taken only those that share no host with it, and gain at least
        ``share`` as much per byte as the best. Whoever takes one says so with ``take``."""
        dearer, gain = self._dearer(), self._gains()
        allowed = self._fits(bounds) & (gain > NOTHING) & (dearer < bounds.budget)
        allowed &= (gain >= bounds.least) | (dearer <= 0.0)
        for one, delta in zip(self._tensions, self._deltas, strict=True):
            allowed &= one.need + delta <= one.most
        free = FREE * float(self._heat.vm_cost.min(initial=inf))
        score = np.where(allowed, gain * (1.0 + TIE * self._centred()) / np.maximum(dearer, free), 0.0).ravel()
        near = float(score.max(initial=0.0)) * share
        waiting = _first(score)
        while len(waiting) and not (self._taken and score[waiting[0]] < near):
            self._row, self._column = divmod(int(waiting[0]), len(self._there))
            before = len(self._taken)
            yield self._shift(), float(gain[self._row, self._column])
            waiting = waiting[1:] if len(self._taken) == before else self._elsewhere(waiting)

    def still_gains(self) -> float:
        """Return what the shift yielded last gains after those that were taken: what is even enough gains nothing more."""
        gains = 0.0
        for one, delta, need in zip(self._tensions, self._deltas, self._needs, strict=True):
            change = float(delta[self._row, self._column])
            gains += one.measure.weight * (max(need, 0.0) - max(need + change, 0.0))
        return gains

    def take(self) -> None:
        """Count the shift yielded last as done."""
        self._taken.append((int(self._source[self._row]), int(self._there[self._column])))
        for index, delta in enumerate(self._deltas):
            self._needs[index] += float(delta[self._row, self._column])

    def _shift(self) -> Shift:
        other = int(self._others[self._column]) if len(self._others) else -1
        return Shift(int(self._vms[self._row]), other, int(self._source[self._row]), int(self._there[self._column]))

    def _elsewhere(self, waiting: Ints) -> Ints:
        """Return those that share no host with what was taken last."""
        rows, columns = np.divmod(waiting, len(self._there))
        source, there = self._source[rows], self._there[columns]
        one, other = self._taken[-1]
        left: Ints = waiting[(source != one) & (source != other) & (there != one) & (there != other)]
        return left

    def _delta(self, tension: Tension) -> Floats:
        """Return by how much one measure changes, by VM and by who comes for it or where it goes."""
        measure, shares, source, there = tension.measure, tension.shares, self._source, self._there
        goes = self._goes(tension)
        before = measure.of(shares)
        at_source = measure.of(shares[source][:, None] - goes / tension.limits[source][:, None]) - before[source][:, None]
        at_target = measure.of(shares[there][None, :] + goes / tension.limits[there][None, :]) - before[there][None, :]
        both: Floats = at_source + at_target
        return both

    def _gains(self) -> Floats:
        gains = np.zeros((len(self._vms), len(self._there)))
        for one, delta in zip(self._tensions, self._deltas, strict=True):
            gains += one.measure.weight * (max(one.need, 0.0) - np.maximum(one.need + delta, 0.0))
        return gains

    def _centred(self) -> Floats:
        """Return by how much nearer to the middle of what is even enough both ends come: what else gains as much leaves
        hosts at the edge of a band, and with it others outside."""
        nearer = np.zeros((len(self._vms), len(self._there)))
        for one in self._tensions:
            for change, here in ((-1.0, self._source[:, None]), (1.0, self._there[None, :])):
                before = one.measure.pull(one.shares[here])
                after = one.measure.pull(one.shares[here] + change * self._goes(one) / one.limits[here])
                nearer += np.square(before) - np.square(after)
        return nearer

    def _goes(self, tension: Tension) -> Floats:
        goes: Floats = tension.use[self._vms][:, None]
        return goes - tension.use[self._others][None, :] if len(self._others) else goes

    def _dearer(self) -> Floats:
        dearer = self._now.dearer(self._vms, self._there)
        if len(self._others):
            dearer += self._now.dearer(self._others, self._source).T
        return dearer

    def _fits(self, bounds: Bounds) -> Bools:
        heat, there, source = self._heat, self._there, self._source
        cpu, memory = self._now.taken(self._vms, there), heat.vm_memory[self._vms][:, None]
        fits: Bools = source[:, None] != there[None, :]
        if len(self._others):
            given = self._now.taken(self._vms, source, paired=True)
            cpu = cpu - self._now.taken(self._others, there, paired=True)[None, :]
            memory = memory - heat.vm_memory[self._others][None, :]
            fits &= self._now.taken(self._others, source).T - given[:, None] <= bounds.cpu[source][:, None]
            fits &= -memory <= bounds.memory[source][:, None]
        fits &= (cpu <= bounds.cpu[there][None, :]) & (memory <= bounds.memory[there][None, :])
        return fits


def _first(score: Floats) -> Ints:
    """Return where the best are, the best first, of equals the first."""
    chosen = np.flatnonzero(score > 0.0)
    if len(chosen) > FOREMOST:
        least = -np.partition(-score[chosen], FOREMOST - 1)[FOREMOST - 1]
        chosen = chosen[score[chosen] >= least]
    order: Ints = chosen[np.argsort(-score[chosen], kind="stable")][:FOREMOST]
    return order
