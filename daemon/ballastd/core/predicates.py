"""The truth of predicates for many hosts at once, and what it rests on: three-valued, in columns.

Truths are small integers: false 0, unknown 1, true 2, so that *not* is ``2 - truth``. Between subjects of a host and
between parts of a predicate the same rule holds: so many are wanted; true when so many are true, false when the unknown
ones could not make up for what is missing, else unknown. The clearing edge asks the same of what has not cleared yet.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ballastd.core.arrays import Floats, Ints
from ballastd.core.columns import Columns
from ballastd.core.conditions import Aggregate, AtLeast, Leaf, Not, Predicate, RelativeTo, Silence, Threshold
from ballastd.core.sliding import Sliding, key_of

FALSE, UNKNOWN, TRUE = 0, 1, 2
Truths = NDArray[np.int8]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Readings:
    """All series of one metric on the ``hosts`` of a sight. ``host``: whose each is, counted within the sight."""

    slot: Ints
    host: Ints
    fresh: Mask
    hosts: int
    single: bool
    """Whether there is exactly one of every host, in their order."""

    def count(self, which: Mask) -> Ints:
        """Return how many of some series each host has."""
        return which.astype(np.int64) if self.single else np.bincount(self.host[which], minlength=self.hosts)


@dataclass(slots=True)
class Sight:
    """Some hosts at one instant. By host: its row in ``columns``; ``not_before``, the instant before which rises do not
    count; ``anew``, whether that one changed; ``silent_since``, since when nothing was heard (NaN: nobody can say)."""

    columns: Columns
    sliding: Sliding
    rows: Ints
    not_before: Floats
    anew: Mask
    silent_since: Floats
    now: float
    _readings: dict[str, Readings] = field(default_factory=dict)
    _place: Ints = field(init=False)

    def __post_init__(self) -> None:
        self._place = np.full(len(self.columns.reports), -1, np.int64)
        self._place[self.rows] = np.arange(len(self.rows))

    def readings(self, metric: str) -> Readings:
        """Return the series of ``metric``."""
        found = self._readings.get(metric)
        if found is None:
            column = self.columns.column(metric)
            owner = self._place[column.row[:column.size]]
            slot = np.flatnonzero(owner >= 0)
            fresh = self.now - column.at[slot] <= self.columns.age_max[column.row[slot]]
            host = owner[slot]
            single = len(host) == len(self.rows) and bool((host == np.arange(len(host))).all())
            found = self._readings[metric] = Readings(slot, host, fresh, len(self.rows), single)
        return found


@dataclass(frozen=True, slots=True)
class Compared:
    """A threshold held against readings. By series: its value, its edge, whether it was compared at all, and met it."""

    readings: Readings
    value: Floats
    edge: Floats
    known: Mask
    met: Mask


@dataclass(frozen=True, slots=True)
class Judged:
    """A predicate's truth by host, at the firing and at the clearing edge, and that of its parts."""

    predicate: Predicate
    fires: Truths
    clears: Truths
    parts: tuple[Judged, ...] = ()
    compared: Compared | None = None


def judge(predicate: Predicate, sight: Sight) -> Judged:
    """Return the truth of ``predicate`` on every host in sight."""
    match predicate:
        case Threshold():
            return _threshold(predicate, sight)
        case Silence():
            silent = sight.now - sight.silent_since > predicate.longer_than
            fires = np.where(np.isnan(sight.silent_since), UNKNOWN, np.where(silent, TRUE, FALSE)).astype(np.int8)
            return Judged(predicate, fires, 2 - fires)
        case Not():
            part = judge(predicate.part, sight)
            return Judged(predicate, 2 - part.fires, part.fires, (part,))
        case AtLeast():
            parts = tuple(judge(part, sight) for part in predicate.parts)
            fires, clears = np.stack([p.fires for p in parts]), np.stack([p.clears for p in parts])
            return Judged(
                predicate, _wanted(predicate.number, (fires == TRUE).sum(axis=0), (fires == UNKNOWN).sum(axis=0)),
                2 - _wanted(predicate.number, (clears == FALSE).sum(axis=0), (clears == UNKNOWN).sum(axis=0)), parts)


def _wanted(number: int, true: Ints, unknown: Ints) -> Truths:
    found: Truths = (true + unknown >= number).astype(np.int8) + (true >= number)
    return found


def _threshold(leaf: Threshold, sight: Sight) -> Judged:
    readings, column = sight.readings(leaf.metric), sight.columns.column(leaf.metric)
    slot, fresh = readings.slot, readings.fresh
    value = _values(leaf, sight, readings)
    known = fresh & ~np.isnan(value)
    edge, far = np.full(len(slot), leaf.threshold), leaf.clear_threshold
    beyond = edge if far is None else np.full(len(slot), far)
    exempt = np.zeros(len(slot), np.bool_)
    if leaf.relative_to is not RelativeTo.ZERO:
        base = (column.critical if leaf.relative_to is RelativeTo.CRITICAL else column.high)[slot]
        # a sensor without the limit that the policy speaks of can never meet it; others decide
        exempt = fresh & np.isnan(base)
        known &= ~exempt
        beyond = base + beyond
        edge, beyond = (base + edge, beyond) if far is not None else (beyond, beyond)
    met = known & (value > edge if leaf.above else value < edge)
    unknown = readings.count(~known & ~exempt)
    fires = _wanted(leaf.at_least, readings.count(met), unknown)
    clears = 2 - fires
    if beyond is not edge:
        still = known & (value > beyond if leaf.above else value < beyond)
        clears = 2 - _wanted(leaf.at_least, readings.count(still), unknown)
    # of a host that says nothing now it is not even known how many subjects there are
    unheard = readings.count(fresh) == 0
    fires[unheard] = clears[unheard] = UNKNOWN
    return Judged(leaf, fires, clears, compared=Compared(readings, value, edge, known, met))


def _values(leaf: Threshold, sight: Sight, readings: Readings) -> Floats:
    if leaf.aggregate is Aggregate.LEVEL:
        return sight.columns.column(leaf.metric).value[readings.slot]
    found = sight.sliding.values(key_of(leaf), sight.columns, readings.slot, sight.not_before[readings.host],
                                 sight.anew[readings.host], sight.now)
    return found / (leaf.window / leaf.per) if leaf.aggregate is Aggregate.RATE else found


@dataclass(frozen=True, slots=True)
class Shown:
    """What one leaf has to do with the truth of the whole. By host: whether it has; the slot (-1: no subject), value and
    edge of the subject that says it best."""

    leaf: Leaf
    holds: bool
    share: Mask
    slot: Ints
    value: Floats
    edge: Floats
    compared: Compared | None


def shown(judged: Judged, hosts: Mask, sight: Sight, *, holds: bool = True) -> Iterator[Shown]:
    """Yield every leaf from left to right, with its share in ``judged`` being true (or false) on ``hosts``.

    The subject furthest beyond its edge speaks for a threshold that is met, the one nearest to it for one that is not;
    among equals the last by name.
    """
    share = hosts & (judged.fires == (TRUE if holds else FALSE))
    match judged.predicate:
        case Not() | AtLeast():
            inner = holds is not isinstance(judged.predicate, Not)
            for part in judged.parts:
                yield from shown(part, share, sight, holds=inner)
        case Silence() as leaf:
            limit = np.full(len(hosts), leaf.longer_than)
            yield Shown(leaf, holds, share, np.full(len(hosts), -1), limit, limit, None)
        case Threshold() as leaf:
            assert judged.compared is not None
            yield _speaks(leaf, judged.compared, share, sight, holds=holds)


def _speaks(leaf: Threshold, compared: Compared, share: Mask, sight: Sight, *, holds: bool) -> Shown:
    slot, value, edge = np.full(len(share), -1), np.full(len(share), np.nan), np.full(len(share), np.nan)
    host = compared.readings.host
    speaking = np.flatnonzero((compared.met if holds else compared.known & ~compared.met) & share[host])
    if len(speaking):
        distance = np.abs(compared.value[speaking] - compared.edge[speaking])
        rank = sight.columns.column(leaf.metric).ranks()[compared.readings.slot[speaking]]
        # sorted by host, distance, name: whoever is written last for a host speaks for it
        order = np.lexsort((rank, distance if holds else -distance, host[speaking]))
        best = speaking[order]
        slot[host[best]] = compared.readings.slot[best]
        value[host[best]], edge[host[best]] = compared.value[best], compared.edge[best]
    return Shown(leaf, holds, share & (slot >= 0), slot, value, edge, compared)
