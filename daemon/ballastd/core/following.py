"""What verdicts become of judgements, for many at once: ``conditions.follow`` in columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ballastd.core.arrays import Floats, Ints
from ballastd.core.conditions import Holding, Phase
from ballastd.core.predicates import FALSE, TRUE, UNKNOWN, Mask, Truths
from ballastd.core.quantities import Instant

PHASES = (Phase.CLEAR, Phase.PENDING, Phase.FIRING, Phase.UNKNOWN)
CLEAR, PENDING, FIRING, BLIND = range(4)
NONE = 4
"""No verdict: out of scope, or forgotten."""
SAMPLES_MAX = 8
_ONES = np.array([bits.bit_count() for bits in range(1 << SAMPLES_MAX)], np.int8)


@dataclass(frozen=True, slots=True)
class Holdings:
    """What makes verdicts of judgements, a row for each policy."""

    hold: Floats
    clear_hold: Floats
    latched: Mask
    samples: tuple[tuple[int, int, int], ...] = ()
    """(row, k, n) of those that want k of the last n reports."""

    def of(self, policies: Ints) -> Holdings:
        """Return those of some policies, pair by pair, for ``follow``."""
        return Holdings(self.hold[policies], self.clear_hold[policies], self.latched[policies])


def holdings(all_of: tuple[Holding, ...]) -> Holdings:
    """Return holdings as columns."""
    return Holdings(
        np.array([one.hold for one in all_of], np.float64), np.array([one.clear_hold for one in all_of], np.float64),
        np.array([one.latched for one in all_of], np.bool_),
        tuple((row, *one.samples) for row, one in enumerate(all_of) if one.samples is not None))


@dataclass(slots=True)
class Standings:
    """Verdicts of policies (rows) on hosts: the phase, since when on both clocks, since when held (NaN: it is not),
    whether an unknown one fired before, when it last turned true (NaN: it is not), and what the last reports showed."""

    phase: NDArray[np.int8]
    since: Floats
    wall: Floats
    held: Floats
    fired_before: Mask
    became: Floats
    recent: NDArray[np.uint8]

    @classmethod
    def none(cls, policies: int, hosts: int) -> Standings:
        """Return no verdicts."""
        shape = (policies, hosts)
        return cls(np.full(shape, NONE, np.int8), np.zeros(shape), np.zeros(shape), np.full(shape, np.nan),
                   np.zeros(shape, np.bool_), np.full(shape, np.nan), np.zeros(shape, np.uint8))

    def of(self, policies: Ints, hosts: Ints) -> Standings:
        """Return a copy of some, pair by pair."""
        return Standings(*(getattr(self, name)[policies, hosts] for name in self.__slots__))

    def put(self, policies: Ints, hosts: Ints, theirs: Standings) -> None:
        """Write some back, pair by pair."""
        for name in self.__slots__:
            getattr(self, name)[policies, hosts] = getattr(theirs, name)

    def forget(self, which: Mask) -> None:
        """Drop some verdicts, as if they had never been."""
        self.phase[which], self.held[which], self.fired_before[which], self.recent[which] = NONE, np.nan, False, 0


def debounce(recent: NDArray[np.uint8], hosts: Ints, fires: Truths, clears: Truths, reported: Mask, held: Holdings) -> None:
    """Note what new reports of some hosts showed, and let truth count only where enough of the last ones agree; in place."""
    for row, enough, of in held.samples:
        seen = recent[row, hosts]
        seen[reported] = (seen[reported] << 1 | (fires[row, reported] == TRUE)) & ((1 << of) - 1)
        unknown = fires[row] == UNKNOWN
        seen[unknown] = 0
        recent[row, hosts] = seen
        true = _ONES[seen] >= enough
        fires[row] = np.where(unknown, UNKNOWN, np.where(true, TRUE, FALSE))
        clears[row, true] = FALSE


def follow(s: Standings, fires: Truths, clears: Truths, held: Holdings, now: Instant) -> Mask:
    """Let verdicts follow judgements, pair by pair and in place; return which changed."""
    at, before = now.monotonic, (s.phase.copy(), s.held.copy())
    anew = s.phase == NONE
    s.phase[anew] = BLIND

    firing = s.phase == FIRING
    still = firing & ~held.latched
    begun = np.where(np.isnan(s.held), at, s.held)
    clearing = still & (clears == TRUE)
    over = clearing & (at - begun >= held.clear_hold)
    lost = still & (clears == UNKNOWN)

    rest = ~firing
    blind = rest & ((fires == UNKNOWN) | (s.fired_before & (clears == UNKNOWN)))
    rest &= ~blind
    back = rest & s.fired_before & (clears != TRUE)
    rest &= ~back
    calm = rest & (fires == FALSE)
    true = rest & (fires == TRUE)
    pending = s.phase == PENDING
    ripe = true & (at - np.where(pending, begun, at) >= held.hold)

    anew |= over | lost | back | ripe | (blind & (s.phase != BLIND)) | (calm & (s.phase != CLEAR)) | (true & ~pending)
    s.held[:] = np.where((clearing & ~over) | (true & ~ripe & pending), begun, np.where(true & ~ripe, at, np.nan))
    s.phase[over | calm] = CLEAR
    s.phase[lost | blind] = BLIND
    s.phase[back | ripe] = FIRING
    s.phase[true & ~ripe] = PENDING
    s.fired_before[:] = lost | (s.fired_before & blind)
    s.since[anew], s.wall[anew] = at, now.wall
    _note_turns(s, before[0], at)
    changed: Mask = anew | (s.phase != before[0]) | ~((s.held == before[1]) | (np.isnan(s.held) & np.isnan(before[1])))
    return changed


def _note_turns(s: Standings, before: NDArray[np.int8], at: float) -> None:
    shown = (s.phase == PENDING) | (s.phase == FIRING)
    turned = shown & (before != PENDING) & (before != FIRING)
    s.became[turned] = at
    s.became[~shown] = np.nan
