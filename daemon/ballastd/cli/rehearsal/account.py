"""What a rehearsal adds up to: moves by policy and reason, hours off, energy, overload. Figures only, no words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

import numpy as np

from ballastd.core.rehearsed import Rehearsed, RehearsedMove

COMPLETED = "completed"
UNDER_WAY = "under way"
LEAST_JOULES = 1.0
"""Of less than this no share says anything."""
JOULES_PER_KWH = 3.6e6
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")


@dataclass(frozen=True, slots=True)
class Durations:
    """How long completed moves took, in seconds. ``predicted``: the median of what had been predicted of the same
    moves; ``ratio``: the median of actual by predicted, None where nothing was predicted."""

    median: float
    worst: float
    predicted: float
    ratio: float | None


@dataclass(frozen=True, slots=True)
class MovesOf:
    """The moves of one policy. ``endings``: how often each ending, the most frequent first; ``durations``: None where
    none has completed."""

    policy: str
    count: int
    endings: tuple[tuple[str, int], ...]
    durations: Durations | None


@dataclass(frozen=True, slots=True)
class Reason:
    """Why moves were ordered: reasons that differ in numbers only count as one. ``example``: the first, as it was."""

    policy: str
    example: str
    count: int


@dataclass(frozen=True, slots=True)
class HostOff:
    """How often a host was told to go off and to come on. ``hours``: off in all, None where nothing was sampled."""

    host: str
    offs: int
    ons: int
    hours: float | None


@dataclass(frozen=True, slots=True)
class Energy:
    """Kilowatt hours. ``saved`` is below 0 where more was drawn than without; ``share``: saved of unmanaged, None
    where nothing would have been drawn."""

    used: float
    unmanaged: float
    saved: float
    share: float | None


@dataclass(frozen=True, slots=True)
class Overload:
    """Host-minutes in which more was asked of processors than there are. ``share``: of all host-minutes, [0, 1];
    ``worst``: hosts that had any, the worst first."""

    host_minutes: float
    share: float
    worst: tuple[tuple[str, float], ...]


def ending(move: RehearsedMove) -> str:
    """Return how a move ended, ``under way`` where it has not."""
    return move.ending or UNDER_WAY


def took(move: RehearsedMove) -> float | None:
    """Return how many seconds a move took, None while it runs."""
    return None if move.ended_at is None else move.ended_at - move.ordered_at


def by_policy(moves: Iterable[RehearsedMove]) -> tuple[MovesOf, ...]:
    """Return the moves of each policy, of the busiest first."""
    found: dict[str, list[RehearsedMove]] = {}
    for move in moves:
        found.setdefault(move.policy, []).append(move)
    return tuple(moves_of(policy, found[policy]) for policy in sorted(found, key=lambda p: (-len(found[p]), p)))


def moves_of(policy: str, moves: Iterable[RehearsedMove]) -> MovesOf:
    """Return what ``moves`` come to, under the name ``policy``."""
    listed = tuple(moves)
    return MovesOf(policy, len(listed), _most_frequent(map(ending, listed)), _durations(listed))


def _most_frequent(words: Iterable[str]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(Counter(words).items(), key=lambda pair: (-pair[1], pair[0])))


def _durations(moves: Iterable[RehearsedMove]) -> Durations | None:
    pairs = [(seconds, move.predicted) for move in moves
             if move.ending == COMPLETED and (seconds := took(move)) is not None]
    if not pairs:
        return None
    actual, predicted = [one for one, _ in pairs], [one for _, one in pairs]
    ratios = [one / two for one, two in pairs if two > 0]
    return Durations(median(actual), max(actual), median(predicted), median(ratios) if ratios else None)


def reasons(moves: Iterable[RehearsedMove]) -> tuple[Reason, ...]:
    """Return why moves were ordered, the most frequent first."""
    found: dict[tuple[str, str], list[RehearsedMove]] = {}
    for move in moves:
        found.setdefault((move.policy, _NUMBER.sub("#", move.because)), []).append(move)
    ranked = sorted(found.items(), key=lambda pair: (-len(pair[1]), pair[0]))
    return tuple(Reason(policy, same[0].because, len(same)) for (policy, _), same in ranked)


def hosts_off(rehearsed: Rehearsed) -> tuple[HostOff, ...]:
    """Return the hosts that were off or told to go off or on, those off for longest first."""
    hours = _hours_off(rehearsed)
    told = Counter((switch.host, switch.on) for switch in rehearsed.switches)
    hosts = {*(host for host, _ in told), *(host for host, off in hours.items() if off > 0)}
    listed = (HostOff(host, told[host, False], told[host, True], hours.get(host)) for host in hosts)
    return tuple(sorted(listed, key=lambda one: (-(one.hours or 0.0), -one.offs, one.host)))


def _hours_off(rehearsed: Rehearsed) -> dict[str, float]:
    """Return the hours off of each host: a sample holds until the next, the last one until the end."""
    if not rehearsed.samples:
        return {}
    at = np.array([sample.at for sample in rehearsed.samples])
    spans = np.maximum(np.diff(at, append=max(rehearsed.seconds, at[-1])), 0.0)
    off = ~np.array([sample.on for sample in rehearsed.samples], dtype=bool)
    hours = (spans[:, None] * off).sum(axis=0) / 3600.0
    return dict(zip(rehearsed.hosts, hours.tolist(), strict=True))


def energy(rehearsed: Rehearsed) -> Energy | None:
    """Return the energy, None where the draw of a host is unknown."""
    if rehearsed.joules is None or rehearsed.joules_unmanaged is None:
        return None
    used, unmanaged = rehearsed.joules / JOULES_PER_KWH, rehearsed.joules_unmanaged / JOULES_PER_KWH
    return Energy(used, unmanaged, unmanaged - used,
                  (unmanaged - used) / unmanaged if rehearsed.joules_unmanaged >= LEAST_JOULES else None)


def overload(rehearsed: Rehearsed) -> Overload:
    """Return how much more was asked of hosts than they have, in host-minutes."""
    each = zip(rehearsed.hosts, rehearsed.overload_seconds, strict=True)
    worst = sorted(((host, seconds / 60.0) for host, seconds in each if seconds > 0), key=lambda p: (-p[1], p[0]))
    minutes = sum(part for _, part in worst)
    whole = rehearsed.seconds / 60.0 * len(rehearsed.hosts)
    return Overload(minutes, minutes / whole if whole > 0 else 0.0, tuple(worst))


def notices_by_level(rehearsed: Rehearsed) -> tuple[tuple[str, int, float, str], ...]:
    """Return level, how many, when the first was and what it said; the gravest level first."""
    rank = {"alarm": 0, "warning": 1, "info": 3}
    found: dict[str, list[tuple[float, str]]] = {}
    for at, level, text in rehearsed.notices:
        found.setdefault(level, []).append((at, text))
    return tuple((level, len(found[level]), *min(found[level], key=lambda pair: pair[0]))
                 for level in sorted(found, key=lambda level: (rank.get(level, 2), level)))
