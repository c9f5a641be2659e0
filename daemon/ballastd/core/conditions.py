"""Conditions on readings, and the verdicts they lead to: three-valued, with hold and hysteresis.

Truth is true, false or unknown. A verdict is CLEAR, PENDING (true, but not yet for long enough), FIRING or
UNKNOWN. Unknown never fires and never clears: a firing verdict that can no longer be read becomes UNKNOWN
and remembers that it fired; a latched one stays FIRING until somebody acknowledges it.

What is said of many hosts at once is judged in columns (``predicates``, ``verdicts``); ``follow`` is the same for one.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass, replace

from ballastd.core.quantities import Instant, Seconds


class Truth(enum.Enum):
    """The value of a condition now."""

    TRUE = "true"
    FALSE = "false"
    UNKNOWN = "unknown"


class Phase(enum.Enum):
    """Where a verdict stands."""

    CLEAR = "clear"
    PENDING = "pending"
    FIRING = "firing"
    UNKNOWN = "unknown"


class Aggregate(enum.Enum):
    """What of a series is compared."""

    LEVEL = "level"
    """Its newest value."""
    MEAN = "mean"
    """The mean over the window that ends with its newest value, weighted by time."""
    INCREASE = "increase"
    """By how much a counter rose within the window, a fall being a reset to zero."""
    RATE = "rate"
    """That, per ``per`` seconds."""

    @property
    def counts(self) -> bool:
        """Whether it is made of a counter's rises."""
        return self in (Aggregate.INCREASE, Aggregate.RATE)


class RelativeTo(enum.Enum):
    """What a threshold is counted from."""

    ZERO = "zero"
    HIGH = "high"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Threshold:
    """``aggregate`` of ``metric`` over ``window`` is above (or below) ``threshold`` on ``at_least`` subjects of a host.

    ``clear_threshold`` is the other edge of the band (hysteresis). ``per``: the unit of a rate, seconds.
    """

    metric: str
    threshold: float
    aggregate: Aggregate = Aggregate.LEVEL
    window: Seconds = Seconds(0.0)
    above: bool = True
    relative_to: RelativeTo = RelativeTo.ZERO
    clear_threshold: float | None = None
    at_least: int = 1
    per: Seconds = Seconds(1.0)


@dataclass(frozen=True, slots=True)
class Silence:
    """Nothing was heard of the host for more than ``longer_than`` seconds. It never causes a move."""

    longer_than: Seconds


@dataclass(frozen=True, slots=True)
class AtLeast:
    """So many of ``parts`` are true: one of them is *any*, as many as there are is *all*."""

    number: int
    parts: tuple[Predicate, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """``part`` is false; unknown stays unknown."""

    part: Predicate


Leaf = Threshold | Silence
Predicate = Threshold | Silence | AtLeast | Not


def leaves(predicate: Predicate) -> Iterator[Leaf]:
    """Yield what a predicate is made of, from left to right."""
    match predicate:
        case AtLeast():
            for part in predicate.parts:
                yield from leaves(part)
        case Not():
            yield from leaves(predicate.part)
        case _:
            yield predicate


@dataclass(frozen=True, slots=True)
class Holding:
    """How truth becomes a verdict: for how long it must be true, or clear, without a gap; both in seconds.

    ``latched``: once it fires it stays until acknowledged. ``samples``: (k, n), true counts only while k of the last n
    reports of a host showed it; a report of which the truth is unknown begins anew.
    """

    hold: Seconds = Seconds(0.0)
    clear_hold: Seconds = Seconds(0.0)
    latched: bool = False
    samples: tuple[int, int] | None = None


PLAIN = Holding()


@dataclass(frozen=True, slots=True)
class Condition:
    """A predicate on a host's readings, and what makes a verdict of it."""

    predicate: Predicate
    holding: Holding = PLAIN

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics it speaks of, sorted."""
        return tuple(sorted({leaf.metric for leaf in leaves(self.predicate) if isinstance(leaf, Threshold)}))

    @property
    def counters(self) -> tuple[str, ...]:
        """The metrics whose rises it counts, sorted."""
        return tuple(sorted({leaf.metric for leaf in leaves(self.predicate)
                             if isinstance(leaf, Threshold) and leaf.aggregate.counts}))

    @property
    def of_silence(self) -> bool:
        """Whether silence has a part in it: it may keep VMs away then, and move none."""
        return any(isinstance(leaf, Silence) for leaf in leaves(self.predicate))


@dataclass(frozen=True, slots=True)
class Evidence:
    """The subject and number that decided, and the threshold it met: what an explanation shows.

    ``leaf``: what was compared, where that is a part of a condition of health; ``holds``: whether it met its edge, for
    what is true because a part is false; ``subjects``: the first of those that met it and how many of how many did,
    where they were counted; ``beside``: the other parts that had their share in it.
    """

    metric: str
    subject: str
    value: float
    threshold: float
    leaf: Leaf | None = None
    holds: bool = True
    subjects: tuple[tuple[str, ...], int, int] | None = None
    beside: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True)
class Judgement:
    """Truth at the firing edge, truth at the clearing edge, and the evidence for the former. ``is_lasting``: what fires was
    true for long enough already, whatever the hold."""

    fires: Truth
    clears: Truth
    evidence: Evidence | None = None
    is_lasting: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """A phase, since when (monotonic), and what it rests on.

    ``held_from``: since when the condition has been true (PENDING) or clear (FIRING), monotonic, None if not.
    ``fired_before``: an UNKNOWN verdict that was FIRING when its readings went silent.
    """

    phase: Phase
    since: Instant
    held_from: float | None = None
    fired_before: bool = False
    evidence: Evidence | None = None


def follow(holding: Holding, last: Verdict | None, judgement: Judgement, now: Instant) -> Verdict:
    """Return the verdict that comes after ``last`` once ``judgement`` is known."""
    if last is None:
        last = Verdict(Phase.UNKNOWN, now)
    if last.phase is Phase.FIRING:
        return _from_firing(holding, last, judgement, now)
    if judgement.fires is Truth.UNKNOWN or (last.fired_before and judgement.clears is Truth.UNKNOWN):
        if last.phase is Phase.UNKNOWN:
            return last
        return Verdict(Phase.UNKNOWN, now)
    evidence = judgement.evidence or last.evidence
    if last.phase is Phase.UNKNOWN and last.fired_before and judgement.clears is not Truth.TRUE:
        return Verdict(Phase.FIRING, now, evidence=evidence)
    if judgement.fires is Truth.FALSE:
        return last if last.phase is Phase.CLEAR else Verdict(Phase.CLEAR, now)
    begun = last.held_from if last.phase is Phase.PENDING and last.held_from is not None else now.monotonic
    if judgement.is_lasting or now.monotonic - begun >= holding.hold:
        return Verdict(Phase.FIRING, now, evidence=evidence)
    since = last.since if last.phase is Phase.PENDING else now
    return Verdict(Phase.PENDING, since, held_from=begun, evidence=evidence)


def _from_firing(holding: Holding, last: Verdict, judgement: Judgement, now: Instant) -> Verdict:
    evidence = judgement.evidence or last.evidence
    if holding.latched:
        return replace(last, held_from=None, evidence=evidence)
    if judgement.clears is Truth.UNKNOWN:
        return Verdict(Phase.UNKNOWN, now, fired_before=True, evidence=last.evidence)
    if judgement.clears is Truth.FALSE:
        return replace(last, held_from=None, evidence=evidence)
    begun = last.held_from if last.held_from is not None else now.monotonic
    if now.monotonic - begun >= holding.clear_hold:
        return Verdict(Phase.CLEAR, now)
    return replace(last, held_from=begun, evidence=evidence)
