"""Conditions as written: one threshold, silence, or several of them in a tree; and the predicates they compile to.

What holds for a condition as a whole (``for``, ``samples``) is written once, at its root; a part only says what is true now.
"""

from __future__ import annotations

import difflib
import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Discriminator, Field, Tag, WithJsonSchema, model_validator

from ballastd.core.conditions import Aggregate, AtLeast, Not, RelativeTo, Silence, Threshold
from ballastd.core.quantities import Seconds
from ballastd.core.telemetry import METRICS, MetricKind
from ballastd.documents.metric_values import example, firing_edge, metric_value, parse_metric, rate_value
from ballastd.documents.scalars import Duration, Lasting, Whole, YesNo, shown
from ballastd.documents.validation import Clash, Strict

PARTS_MAX = 16
SUBJECTS_MAX = 64
SAMPLES_MAX = 8
_SAMPLES = re.compile(r"([1-9]) of ([1-9])", re.ASCII)
FORMS = ("metric", "all", "any", "not", "of", "silent")
"""The keys of which a condition has exactly one: what it is follows from it."""
_OF_THE_WHOLE = ("for", "samples", "severity", "clear")

Raw = Annotated[Any, WithJsonSchema({"type": ["string", "number", "boolean"]})]
MetricName = Annotated[str, BeforeValidator(parse_metric), WithJsonSchema({"enum": sorted(METRICS)})]


def _samples(value: Any) -> tuple[int, int]:
    found = _SAMPLES.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None or not 1 <= int(found[1]) <= int(found[2]) <= SAMPLES_MAX or int(found[2]) < 2:
        raise ValueError(f"{shown(value)}: write for example 3 of 5: so many of so many reports, at most {SAMPLES_MAX}")
    return int(found[1]), int(found[2])


class Rooted(Strict):
    """What is said once of a whole condition."""

    hold: Annotated[Duration, Field(alias="for")] = 0.0
    samples: Annotated[tuple[int, int] | None, BeforeValidator(_samples), WithJsonSchema(
        {"type": "string", "examples": ["3 of 5"]})] = None

    @model_validator(mode="before")
    @classmethod
    def _no_second_edge(cls, value: Any) -> Any:
        if isinstance(value, dict) and "until" in value:
            raise Clash(("until",), "the other edge of a whole condition is written beside when, as in clear: {below: 75C}")
        return value


class Part(Strict):
    """What stands within another condition."""

    @model_validator(mode="before")
    @classmethod
    def _nothing_of_the_whole(cls, value: Any) -> Any:
        key = next((key for key in _OF_THE_WHOLE if isinstance(value, dict) and key in value), None)
        if key is not None:
            beside = "when" if key in ("severity", "clear") else "the outermost all, any, not, of or metric"
            raise Clash((key,), f"{key} holds for the condition as a whole; write it beside {beside}")
        return value


class ThresholdModel(Strict):
    """A metric, an edge, and on how many subjects."""

    metric: MetricName
    above: Raw = None
    below: Raw = None
    is_: Annotated[YesNo | None, Field(alias="is")] = None
    increase: Lasting | None = None
    rate: Lasting | None = None
    mean: Lasting | None = None
    relative_to: Literal["high", "critical"] | None = None
    at_least: Annotated[Whole, Field(ge=2, le=SUBJECTS_MAX)] | None = None

    @model_validator(mode="after")
    def _sound(self) -> ThresholdModel:
        metric = METRICS[self.metric]
        edges = [name for name, value in (("above", self.above), ("below", self.below), ("is", self.is_))
                 if value is not None]
        if len(edges) != 1:
            right = "is: true" if metric.unit == "bool" else f"above: {self._example()}"
            raise ValueError(f"exactly one edge is needed ({', '.join(edges) or 'none'} given); write for example {right}")
        if (edges[0] == "is") != (metric.unit == "bool"):
            raise ValueError(f"{self.metric} is a yes or no: write is: true" if metric.unit == "bool"
                             else f"{self.metric} is a number; write for example above: {self._example()}")
        self._sound_window()
        if self.relative_to is not None and self.metric != "temperature":
            raise ValueError("relative_to is for temperature, whose sensors know limits of their own; take it out")
        self._not_of_sound_hosts()
        self.threshold()
        return self

    def _sound_window(self) -> None:
        metric = METRICS[self.metric]
        given = [name for name in ("increase", "rate", "mean") if getattr(self, name) is not None]
        if len(given) > 1:
            raise Clash((given[1],), f"{given[0]} and {given[1]} are two ways to look at it; keep one")
        counted = given and given[0] != "mean"
        if metric.kind is MetricKind.COUNTER and not counted:
            what = "say over which time it rises, for example increase: 1h"
            raise ValueError(f"{self.metric} is a counter: {what}" if not given else
                             f"{self.metric} is a counter and has no mean; {what}, or rate: 10m")
        if metric.kind is not MetricKind.COUNTER and counted:
            raise ValueError(f"{self.metric} is no counter; take {given[0]} out, and say how long with for: 5m")
        if metric.unit == "bool" and given:
            raise ValueError(f"{self.metric} is a yes or no and has no mean; say how long with for: 5m")

    def _not_of_sound_hosts(self) -> None:
        """Refuse what is true of every sound host: a slip that would condemn the whole cluster."""
        if self.is_ is False:
            raise ValueError(f"{self.metric} is off on every sound host, all of them would fire; write is: true")
        if METRICS[self.metric].kind is MetricKind.COUNTER and self.below is not None:
            raise ValueError(f"{self.metric} rises too little on every sound host, all of them would fire; write above")
        if self.relative_to is not None and self.below is not None:
            raise ValueError(f"a sound sensor is below its {self.relative_to} limit, all of them would fire; write above")

    @property
    def fires_above(self) -> bool:
        """Whether it is met above its edge."""
        return self.above is not None or bool(self.is_)

    def threshold(self) -> float:
        """Return the firing edge in the metric's unit."""
        if self.is_ is not None:
            return 0.5
        value = self.above if self.above is not None else self.below
        if self.rate is not None:
            return rate_value(value)[0]
        return firing_edge(METRICS[self.metric], value, above=self.above is not None,
                           relative=self.relative_to is not None)

    def far_edge(self, value: Any) -> float:
        """Return ``value`` as the edge at which it clears, in the unit of the firing edge."""
        if self.rate is not None:
            amount, per = rate_value(value)
            return amount * (rate_value(self.above)[1] / per)
        return metric_value(METRICS[self.metric], value, relative=self.relative_to is not None)

    def predicate(self, far: float | None = None) -> Threshold:
        """Return it as the mind knows it; ``far``: the edge at which it clears."""
        window = self.increase or self.rate or self.mean or 0.0
        aggregate = (Aggregate.INCREASE if self.increase else Aggregate.RATE if self.rate else
                     Aggregate.MEAN if self.mean else Aggregate.LEVEL)
        relative = {None: RelativeTo.ZERO, "high": RelativeTo.HIGH, "critical": RelativeTo.CRITICAL}[self.relative_to]
        per = rate_value(self.above)[1] if self.rate is not None else 1.0
        return Threshold(self.metric, self.threshold(), aggregate, Seconds(window), self.fires_above, relative, far,
                         self.at_least or 1, Seconds(per))

    def _example(self) -> str:
        return "10/min" if self.rate is not None else example(METRICS[self.metric], relative=self.relative_to is not None)


class ThresholdPart(Part, ThresholdModel):
    """A threshold within another condition, with the other edge of its band where it has one."""

    until: Raw = None

    @model_validator(mode="after")
    def _leaves_a_gap(self) -> ThresholdPart:
        if self.until is not None:
            if self.is_ is not None:
                raise Clash(("until",), "a yes or no has no other edge; take it out")
            edge, far = self.threshold(), self.far_edge(self.until)
            if far > edge if self.fires_above else far < edge:
                word = "above" if self.fires_above else "below"
                raise Clash(("until",), f"it is met {word} {edge:g}, and would end at {far:g}, which is {word} that; "
                            "write the far side of the band")
        return self

    def predicate(self, far: float | None = None) -> Threshold:
        """Return it as the mind knows it."""
        return super().predicate(far if self.until is None else self.far_edge(self.until))


class SilentModel(Strict):
    """Nothing heard of the host for so long."""

    silent: Lasting

    def predicate(self) -> Silence:
        """Return it as the mind knows it."""
        return Silence(Seconds(self.silent))


def _parts(key: str) -> Any:
    def enough(value: Any) -> Any:
        if isinstance(value, list) and not 2 <= len(value) <= PARTS_MAX:
            raise ValueError(f"{len(value)} where 2 to {PARTS_MAX} parts can stand; write for example "
                             f"{key}: [{{metric: fan.alarm, is: true}}, {{metric: psu.alarm, is: true}}]")
        return value
    return BeforeValidator(enough)


class AllModel(Strict):
    """Every part is true."""

    all_: Annotated[list[AnyPart], _parts("all"), Field(alias="all")]

    def predicate(self) -> AtLeast:
        """Return it as the mind knows it."""
        return AtLeast(len(self.all_), tuple(part.predicate() for part in self.all_))


class AnyModel(Strict):
    """At least one part is true."""

    any_: Annotated[list[AnyPart], _parts("any"), Field(alias="any")]

    def predicate(self) -> AtLeast:
        """Return it as the mind knows it."""
        return AtLeast(1, tuple(part.predicate() for part in self.any_))


class SomeModel(Strict):
    """At least so many parts are true."""

    at_least: Annotated[Whole, Field(ge=2, le=PARTS_MAX)]
    of: Annotated[list[AnyPart], _parts("at_least: 2, of")]

    @model_validator(mode="after")
    def _possible(self) -> SomeModel:
        if self.at_least > len(self.of):
            raise Clash(("at_least",), f"{self.at_least} of {len(self.of)} parts are never true; at most {len(self.of)}")
        return self

    def predicate(self) -> AtLeast:
        """Return it as the mind knows it."""
        return AtLeast(self.at_least, tuple(part.predicate() for part in self.of))


class NotModel(Strict):
    """The part is false; unknown stays unknown."""

    not_: Annotated[AnyPart, Field(alias="not")]

    @model_validator(mode="after")
    def _one_edge(self) -> NotModel:
        if isinstance(self.not_, ThresholdPart) and self.not_.until is not None:
            raise Clash(("not", "until"), "what is negated ends where it begins; take it out")
        return self

    def predicate(self) -> Not:
        """Return it as the mind knows it."""
        return Not(self.not_.predicate())


class AllPart(Part, AllModel):
    """``all`` within another condition."""


class AnyOfPart(Part, AnyModel):
    """``any`` within another condition."""


class SomePart(Part, SomeModel):
    """``at_least`` and ``of`` within another condition."""


class NotPart(Part, NotModel):
    """``not`` within another condition."""


class SilentPart(Part, SilentModel):
    """``silent`` within another condition."""


class ThresholdRoot(Rooted, ThresholdModel):
    """A threshold as a whole condition."""


class AllRoot(Rooted, AllModel):
    """``all`` as a whole condition."""


class AnyRoot(Rooted, AnyModel):
    """``any`` as a whole condition."""


class SomeRoot(Rooted, SomeModel):
    """``at_least`` and ``of`` as a whole condition."""


class NotRoot(Rooted, NotModel):
    """``not`` as a whole condition."""


class SilentRoot(Rooted, SilentModel):
    """``silent`` as a whole condition."""


def _form(value: Any) -> str:
    """Return which form is meant: by its key, or by the key that resembles one, so that a typo is one mistake."""
    keys = {field.alias or name for name, field in type(value).model_fields.items()} if isinstance(
        value, BaseModel) else tuple(map(str, value)) if isinstance(value, dict) else ()
    exact = next((form for form in FORMS if form in keys), None)
    near = (difflib.get_close_matches(key[:60], FORMS, n=1) for key in sorted(keys))
    return f"<{exact or next((found[0] for found in near if found), 'metric')}>"


def _one_form(value: Any) -> Any:
    given = [key for key in value if key in FORMS] if isinstance(value, dict) else []
    if len(given) > 1:
        raise Clash((given[1],), f"{given[0]} and {given[1]} are two conditions; write for example "
                    "any: [{metric: fan.alarm, is: true}, {metric: psu.alarm, is: true}]")
    return value


AnyPart = Annotated[
    Annotated["ThresholdPart", Tag("<metric>")] | Annotated["AllPart", Tag("<all>")] | Annotated["AnyOfPart", Tag("<any>")]
    | Annotated["NotPart", Tag("<not>")] | Annotated["SomePart", Tag("<of>")] | Annotated["SilentPart", Tag("<silent>")],
    Discriminator(_form), BeforeValidator(_one_form)]
When = Annotated[
    Annotated[ThresholdRoot, Tag("<metric>")] | Annotated[AllRoot, Tag("<all>")] | Annotated[AnyRoot, Tag("<any>")]
    | Annotated[NotRoot, Tag("<not>")] | Annotated[SomeRoot, Tag("<of>")] | Annotated[SilentRoot, Tag("<silent>")],
    Discriminator(_form), BeforeValidator(_one_form)]

for _model in (AllPart, AnyOfPart, NotPart, SomePart, AllRoot, AnyRoot, NotRoot, SomeRoot):
    _model.model_rebuild()
