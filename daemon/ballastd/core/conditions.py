"""Conditions on readings, and the verdicts they lead to: three-valued, with hold and hysteresis.

Truth is true, false or unknown. A verdict is CLEAR, PENDING (true, but not yet for long enough), FIRING or
UNKNOWN. Unknown never fires and never clears: a firing verdict that can no longer be read becomes UNKNOWN
and remembers that it fired; a latched one stays FIRING until somebody acknowledges it.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

from ballastd.core.quantities import HostName, Instant, Seconds
from ballastd.core.telemetry import Telemetry


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
    INCREASE = "increase"


class RelativeTo(enum.Enum):
    """What a threshold is counted from."""

    ZERO = "zero"
    HIGH = "high"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Condition:
    """``aggregate`` of ``metric`` over ``window`` is above (or below) ``threshold``, for ``hold`` seconds.

    True of a host when it is true of any of its subjects. ``clear_threshold`` is the other edge of the
    band (hysteresis), ``clear_hold`` how long the reading must stay beyond it. ``latched``: once it fires
    it stays until acknowledged.
    """

    metric: str
    threshold: float
    aggregate: Aggregate = Aggregate.LEVEL
    window: Seconds = Seconds(0.0)
    above: bool = True
    relative_to: RelativeTo = RelativeTo.ZERO
    hold: Seconds = Seconds(0.0)
    clear_threshold: float | None = None
    clear_hold: Seconds = Seconds(0.0)
    latched: bool = False


@dataclass(frozen=True, slots=True)
class Evidence:
    """The subject and number that decided, and the threshold it met: what an explanation shows."""

    metric: str
    subject: str
    value: float
    threshold: float


@dataclass(frozen=True, slots=True)
class Judgement:
    """Truth at the firing edge, truth at the clearing edge, and the evidence for the former."""

    fires: Truth
    clears: Truth
    evidence: Evidence | None = None


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


def judge(condition: Condition, host: HostName, telemetry: Telemetry, now: Instant,
          not_before: float = float("-inf")) -> Judgement:
    """Return what the readings of ``host`` say about ``condition`` now.

    ``not_before``: monotonic instant of the last acknowledgement; increases before it do not count again.
    """
    truths = [_judge_subject(condition, host, subject, telemetry, now, not_before)
              for subject in telemetry.subjects(host, condition.metric)]
    fires = _any([t[0] for t in truths])
    clears = _all([t[1] for t in truths])
    worst = max((t[2] for t in truths if t[2] is not None and t[0] is Truth.TRUE),
                key=lambda e: (abs(e.value - e.threshold), e.subject), default=None)
    return Judgement(fires, clears, worst)


def _judge_subject(condition: Condition, host: HostName, subject: str, telemetry: Telemetry, now: Instant,
                   not_before: float) -> tuple[Truth, Truth, Evidence | None]:
    reading = telemetry.reading(host, condition.metric, subject, now)
    value: float | None = None if reading is None else reading.value
    if condition.aggregate is Aggregate.INCREASE:
        value = telemetry.increase(host, condition.metric, subject, condition.window, now, not_before)
    base: float | None = 0.0
    if reading is not None and condition.relative_to is not RelativeTo.ZERO:
        base = reading.critical if condition.relative_to is RelativeTo.CRITICAL else reading.high
        if base is None:
            # a sensor without the limit that the policy speaks of can never meet it; others decide
            return Truth.FALSE, Truth.TRUE, None
    if value is None or base is None:
        return Truth.UNKNOWN, Truth.UNKNOWN, None
    edge = base + condition.threshold
    far = edge if condition.clear_threshold is None else base + condition.clear_threshold
    fires = value > edge if condition.above else value < edge
    clears = value <= far if condition.above else value >= far
    return _truth(fires), _truth(clears), Evidence(condition.metric, subject, value, edge)


def _truth(value: bool) -> Truth:
    return Truth.TRUE if value else Truth.FALSE


def _any(truths: list[Truth]) -> Truth:
    if Truth.TRUE in truths:
        return Truth.TRUE
    return Truth.UNKNOWN if not truths or Truth.UNKNOWN in truths else Truth.FALSE


def _all(truths: list[Truth]) -> Truth:
    if Truth.FALSE in truths:
        return Truth.FALSE
    return Truth.UNKNOWN if not truths or Truth.UNKNOWN in truths else Truth.TRUE


def follow(condition: Condition, last: Verdict | None, judgement: Judgement, now: Instant) -> Verdict:
    """Return the verdict that comes after ``last`` once ``judgement`` is known."""
    if last is None:
        last = Verdict(Phase.UNKNOWN, now)
    if last.phase is Phase.FIRING:
        return _from_firing(condition, last, judgement, now)
    if judgement.fires is Truth.UNKNOWN:
        if last.phase is Phase.UNKNOWN:
            return last
        return Verdict(Phase.UNKNOWN, now)
    if last.phase is Phase.UNKNOWN and last.fired_before and judgement.clears is not Truth.TRUE:
        return Verdict(Phase.FIRING, now, evidence=judgement.evidence or last.evidence)
    if judgement.fires is Truth.FALSE:
        return last if last.phase is Phase.CLEAR else Verdict(Phase.CLEAR, now)
    begun = last.held_from if last.phase is Phase.PENDING and last.held_from is not None else now.monotonic
    if now.monotonic - begun >= condition.hold:
        return Verdict(Phase.FIRING, now, evidence=judgement.evidence)
    since = last.since if last.phase is Phase.PENDING else now
    return Verdict(Phase.PENDING, since, held_from=begun, evidence=judgement.evidence)


def _from_firing(condition: Condition, last: Verdict, judgement: Judgement, now: Instant) -> Verdict:
    evidence = judgement.evidence or last.evidence
    if condition.latched:
        return replace(last, evidence=evidence)
    if judgement.clears is Truth.UNKNOWN:
        return Verdict(Phase.UNKNOWN, now, fired_before=True, evidence=last.evidence)
    if judgement.clears is Truth.FALSE:
        return replace(last, held_from=None, evidence=evidence)
    begun = last.held_from if last.held_from is not None else now.monotonic
    if now.monotonic - begun >= condition.clear_hold:
        return Verdict(Phase.CLEAR, now)
    return replace(last, held_from=begun, evidence=evidence)
