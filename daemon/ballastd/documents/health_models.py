"""The Health document: a condition on a host's readings, how grave it is, and when it is over."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from ballastd.core.conditions import AtLeast, Condition, Holding, Not, Predicate, Silence, Threshold, leaves
from ballastd.core.policies import EVERYWHERE, Health, HealthPolicy, Mode
from ballastd.core.quantities import Seconds
from ballastd.core.telemetry import METRICS, MetricKind
from ballastd.documents.condition_models import Raw, ThresholdRoot, When
from ballastd.documents.policy_models import Level, PolicyModel, ScopeModel
from ballastd.documents.scalars import Duration, shown
from ballastd.documents.validation import Clash, Strict

CLEAR_HOLD_SECONDS = 1800.0
DEPTH_MAX = 4
LEAVES_MAX = 32


class Clear(Strict):
    """The other edge, and how long beyond it."""

    above: Raw = None
    below: Raw = None
    hold: Annotated[Duration, Field(alias="for")] = CLEAR_HOLD_SECONDS


def _acknowledge(value: Any) -> str:
    if value != "acknowledge":
        raise ValueError(f"{shown(value)}: write acknowledge, or for example {{below: 60%, for: 30m}}")
    return "acknowledge"


def _how_cleared(value: Any) -> str:
    return "edge" if isinstance(value, dict | Clear) else "word"


Clearing = Annotated[
    Annotated[Literal["acknowledge"], BeforeValidator(_acknowledge), Tag("word")] | Annotated[Clear, Tag("edge")],
    Discriminator(_how_cleared)]


class HealthModel(PolicyModel):
    """Telemetry -> condition on a host -> severity."""

    kind: Literal["Health"]
    scope: ScopeModel | None = None
    when: When
    severity: Level
    clear: Clearing | None = None

    @model_validator(mode="before")
    @classmethod
    def _no_mode(cls, value: Any) -> Any:
        if isinstance(value, dict) and "mode" in value:
            raise ValueError("mode belongs to the response: write it in the Evacuation policy; a condition only judges")
        return value

    @model_validator(mode="after")
    def _leaves_a_gap(self) -> HealthModel:
        far = self._far_edge()
        if far is None or not isinstance(self.when, ThresholdRoot):
            return self
        edge, above = self.when.threshold(), self.when.above is not None
        if (above and far > edge) or (not above and far < edge):
            word = "above" if above else "below"
            raise ValueError(f"it fires {word} {edge:g} and would clear at {far:g}, which is {word} that: it would flap")
        return self

    @model_validator(mode="after")
    def _within_bounds(self) -> HealthModel:
        predicate = self._predicate()
        if _depth(predicate) > DEPTH_MAX or sum(1 for _ in leaves(predicate)) > LEAVES_MAX:
            raise Clash(("when",), f"at most {DEPTH_MAX} levels and {LEAVES_MAX} thresholds can be read by anybody; write "
                        "several policies")
        if on_a_sound_host(predicate) is True:
            raise Clash(("when",), "it is true of every sound host, all of them would fire; negate only what is beside "
                        "something else, as in all: [{metric: cpu.pressure.some, above: 50%}, {not: ...}]")
        of_silence = any(isinstance(leaf, Silence) for leaf in leaves(predicate))
        if of_silence and self.severity.health > Health.SUSPECT:
            raise Clash(("severity",), f"{self.severity.value} is too grave for silence, which never moves a VM; write "
                        "suspect, and another policy for what is heard")
        if _wants_silence_and_more(predicate):
            raise Clash(("when",), "it can never be true: what a silent host reads is unknown; write any, or two policies")
        return self

    def _far_edge(self) -> float | None:
        if not isinstance(self.clear, Clear) or (self.clear.above is None and self.clear.below is None):
            return None
        if not isinstance(self.when, ThresholdRoot):
            raise Clash(("clear",), "a condition of several parts has no one edge; write clear: {for: 30m}, and in its "
                        "parts for example {metric: temperature, above: 85C, until: 75C}")
        if self.when.is_ is not None:
            raise ValueError("a yes or no has no other edge; write for example clear: {for: 30m}")
        if (self.when.above is None) != (self.clear.below is None) or None not in (self.clear.above, self.clear.below):
            fires, clears = ("above", "below") if self.when.above is not None else ("below", "above")
            raise ValueError(f"it fires {fires}, so it clears {clears}; write only {clears}: and for: there")
        return self.when.far_edge(self.clear.below if self.clear.below is not None else self.clear.above)

    def _predicate(self) -> Predicate:
        return self.when.predicate(self._far_edge()) if isinstance(self.when, ThresholdRoot) else self.when.predicate()

    def compiled(self, source: str) -> HealthPolicy:
        """Return the policy as the mind knows it."""
        clear = self.clear
        holding = Holding(Seconds(self.when.hold), Seconds(clear.hold if isinstance(clear, Clear) else CLEAR_HOLD_SECONDS),
                          clear == "acknowledge", self.when.samples)
        return HealthPolicy(self.name, Condition(self._predicate(), holding), self.severity.health,
                            self.scope.compiled() if self.scope else EVERYWHERE, Mode.AUTO, self.description, source)


def _depth(predicate: Predicate) -> int:
    match predicate:
        case AtLeast():
            return 1 + max(_depth(part) for part in predicate.parts)
        case Not():
            return 1 + _depth(predicate.part)
        case _:
            return 1


def on_a_sound_host(predicate: Predicate) -> bool | None:
    """Return what is true of a host that nothing ails: no alarm, no error, nothing near its limits, heard; None for levels,
    which may be anything."""
    match predicate:
        case Silence():
            return False
        case Threshold():
            metric = METRICS[predicate.metric]
            sound = metric.unit == "bool" or metric.kind is MetricKind.COUNTER or predicate.relative_to.value != "zero"
            return False if sound else None
        case Not():
            part = on_a_sound_host(predicate.part)
            return None if part is None else not part
        case AtLeast():
            parts = [on_a_sound_host(part) for part in predicate.parts]
            true, unknown = parts.count(True), parts.count(None)
            return True if true >= predicate.number else None if true + unknown >= predicate.number else False


def _wants_silence_and_more(predicate: Predicate) -> bool:
    """Return whether a part asks for silence and, at the same time, for a reading of the host."""
    if isinstance(predicate, AtLeast):
        if any(_wants_silence_and_more(part) for part in predicate.parts):
            return True
        of_all = predicate.number == len(predicate.parts)
        return of_all and any(isinstance(part, Silence) for part in predicate.parts) and any(
            isinstance(part, Threshold) for part in predicate.parts)
    return isinstance(predicate, Not) and _wants_silence_and_more(predicate.part)
