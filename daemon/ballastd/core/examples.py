"""Examples that stand in policies, as values: a small cluster, what is heard of it over time, and what should come of it.

Plain data, no behaviour beyond reading a timeline: documents write them, a rehearsal plays them.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from ballastd.core.inputs import Verb
from ballastd.core.policies import Mode
from ballastd.core.quantities import HostName, VmId
from ballastd.core.saved_cluster import SavedCluster


@dataclass(frozen=True, slots=True)
class Turn:
    """From ``at`` seconds on a value holds, None for nothing; over ``lasts`` seconds it goes there from ``before``."""

    at: float
    value: float | None
    before: float = 0.0
    lasts: float = 0.0


@dataclass(frozen=True, slots=True)
class Timeline:
    """What a value is over time: ``turns`` in order. Before the first it is ``rest``."""

    turns: tuple[Turn, ...]
    rest: float | None

    def at(self, seconds: float) -> float | None:
        """Return the value at ``seconds``."""
        turn = next((turn for turn in reversed(self.turns) if turn.at <= seconds), None)
        if turn is None:
            return self.rest
        if turn.value is None or seconds >= turn.at + turn.lasts:
            return turn.value
        return turn.before + (turn.value - turn.before) * (seconds - turn.at) / turn.lasts

    def moments(self) -> tuple[float, ...]:
        """Return when it turns, and when a slope ends."""
        return tuple(moment for turn in self.turns for moment in {turn.at, turn.at + turn.lasts})


@dataclass(frozen=True, slots=True)
class Sensor:
    """One metric of one subject of a host, with the limits that it declares itself, in the metric's unit."""

    host: HostName
    metric: str
    subject: str
    timeline: Timeline
    high: float | None = None
    critical: float | None = None


@dataclass(frozen=True, slots=True)
class Wish:
    """What an operator asks for ``at`` seconds."""

    at: float
    verb: Verb
    subject: str = ""


class Claim(enum.Enum):
    """What of the picture an expectation speaks of."""

    HEALTH = "health"
    CONDITION = "conditions"
    POWER = "power"
    POSTURE = "posture"
    INTENTS = "intents"
    MOVES = "moves"
    PLANNED = "planned"
    REFUSALS = "refusals"
    DEFERRALS = "deferrals"
    CORDONS = "cordons"
    TARGETS = "targets"


@dataclass(frozen=True, slots=True)
class MovePattern:
    """So many moves, or those of one VM, out of a host or into one; empty names stand for any."""

    count: int = 1
    vm: str = ""
    source: str = ""
    target: str = ""


@dataclass(frozen=True, slots=True)
class Expected:
    """One thing that should be so. ``subject``: a host where the claim is about one, and ``policy`` whose verdict;
    ``words``: what should be seen, ``patterns``: which moves; ``place``: ``file:line:column``."""

    claim: Claim
    place: str
    words: tuple[str, ...] = ()
    subject: str = ""
    policy: str = ""
    patterns: tuple[MovePattern, ...] = ()


@dataclass(frozen=True, slots=True)
class Look:
    """What should be seen ``at`` seconds."""

    at: float
    expected: tuple[Expected, ...]


@dataclass(frozen=True, slots=True)
class Example:
    """``kind``, ``policy``: the document that it stands in. ``begins_wall``: wall seconds of its second 0. ``load``:
    processors that a VM uses. ``agents``, ``hypervisors``: 1 while it speaks, 0 while it is silent. ``mode``: what the
    policy's own mode is taken to be, None for as it is written. ``looks``: in order."""

    name: str
    kind: str
    policy: str
    place: str
    cluster: SavedCluster
    begins_wall: float
    sensors: tuple[Sensor, ...] = ()
    load: tuple[tuple[VmId, Timeline], ...] = ()
    agents: tuple[tuple[HostName, Timeline], ...] = ()
    hypervisors: tuple[tuple[HostName, Timeline], ...] = ()
    wishes: tuple[Wish, ...] = ()
    mode: Mode | None = None
    looks: tuple[Look, ...] = ()
