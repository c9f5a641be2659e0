"""Who is given more of its links than an even share: a migration that does not converge with that, and so copies for ever.

It has what the others on both its links do not need. They keep what they would while giving way: what is worth beginning
with, and twice what their VMs dirty. Who is in more of a hurry keeps its even share, and climbs first; there is one on a
link at a time.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, log

from ballastd.core.giving_way import End

HELD_BACK_SECONDS = 300.0
"""For so long nobody else begins on its links; what else has to leave does not wait for it for ever."""
TUNE_STEP = 0.10
"""A share that changes by less is not worth telling a job."""
FLOOR_STEP = 1.25
"""What others keep grows in such steps, so that it does not follow each of their rounds."""


class Hurry(enum.IntEnum):
    """How urgent a move is, least first."""

    ROUTINE = 0
    WANTED = 1
    SAVING = 2


@dataclass(frozen=True, slots=True)
class Lane:
    """A migration of ours on its two links. ``even``: MiB/s, an even share; ``floor``: how much of it it keeps while another
    one climbs."""

    ends: tuple[End, End]
    hurry: Hurry
    even: int
    floor: int

    def keeps(self, climber: Lane) -> int:
        """Return how much is left to it while ``climber`` climbs, MiB/s."""
        return self.floor if self.hurry <= climber.hurry else self.even

    def meets(self, other: Lane) -> bool:
        """Return whether both are on one link, the same way."""
        return not set(self.ends).isdisjoint(other.ends)


def _nothing(_migration: str) -> float:
    return 0.0


@dataclass(frozen=True, slots=True)
class Asks:
    """Which jobs (ids) do not converge with what they have, and why that is said; how fast VMs dirtied their memory at most
    since their jobs began, MiB/s."""

    because: Mapping[str, str] = field(default_factory=dict)
    dirtied: Callable[[str], float] = _nothing


@dataclass(frozen=True, slots=True)
class Climb:
    """Who climbs, and what else may begin on its links until when (wall; None: it is only about to)."""

    name: str
    lane: Lane
    until_wall: float | None = None


@dataclass(frozen=True, slots=True)
class Space:
    """What our migrations may have of each link together, MiB/s: ``all_of_it``, and ``polite``: what traffic of others
    leaves to them, where anybody knows."""

    all_of_it: Mapping[End, float]
    polite: Mapping[End, float]

    def of(self, end: End, climber: Lane) -> float:
        """Return how much of a link those on it may have while ``climber`` climbs: off a failing host, others' traffic comes
        after it."""
        whole = self.all_of_it[end]
        return whole if climber.hurry is Hurry.SAVING else min(whole, self.polite.get(end, whole))


def floor(least: float, even: int) -> int:
    """Return what a migration keeps that needs ``least`` MiB/s, in steps."""
    return min(even, max(1, ceil(FLOOR_STEP ** ceil(log(max(1.0, least), FLOOR_STEP)))))


def chosen(lanes: Mapping[str, Lane], under_way: Collection[str], asking: Iterable[str]) -> tuple[str, ...]:
    """Return who climbs, one on a link: the more urgent before others, and who does so already (``under_way``) before who
    asks for it now."""
    found: list[str] = []
    for key in sorted({*under_way, *asking} & lanes.keys(), key=lambda key: (-lanes[key].hurry, key not in under_way, key)):
        if not any(lanes[key].meets(lanes[other]) for other in found):
            found.append(key)
    return tuple(found)


def peak(key: str, lanes: Mapping[str, Lane], space: Space) -> int:
    """Return how much a migration has when it climbs, MiB/s: no less than an even share."""
    climber = lanes[key]
    left = (space.of(end, climber) - sum(lane.keeps(climber) for lane in _beside(key, end, lanes)) for end in climber.ends)
    return max(climber.even, int(min(left)))


def shares(lanes: Mapping[str, Lane], space: Space, climbing: Sequence[str]) -> dict[str, int]:
    """Return what each has of its links, MiB/s. What one that climbs leaves is divided among those beside it."""
    found = {key: lane.even for key, lane in lanes.items()}
    for key in climbing:
        found[key] = peak(key, lanes, space)
    for key in climbing:
        climber = lanes[key]
        for end in climber.ends:
            beside = _beside(key, end, lanes)
            rest = space.of(end, climber) - found[key] - sum(lane.keeps(climber) for lane in beside)
            for other, lane in lanes.items():
                if other not in climbing and end in lane.ends:
                    found[other] = min(found[other], int(lane.keeps(climber) + max(0.0, rest) / len(beside)))
    return found


def peaks(lanes: Mapping[str, Lane], space: Space, climbing: Sequence[str], has: Mapping[str, int]) -> dict[str, int]:
    """Return what those would have that may climb, MiB/s, where that is worth it. ``has``: what they have now."""
    found: dict[str, int] = {}
    for key, mib_s in has.items():
        lane = lanes[key]
        if key in climbing or any(lane.meets(lanes[one]) and lane.hurry <= lanes[one].hurry for one in climbing):
            continue
        most = peak(key, lanes, space)
        if most > (1 + TUNE_STEP) * max(mib_s, lane.even):
            found[key] = most
    return found


def _beside(key: str, end: End, lanes: Mapping[str, Lane]) -> list[Lane]:
    return [lane for other, lane in lanes.items() if other != key and end in lane.ends]
