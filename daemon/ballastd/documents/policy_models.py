"""The kinds of policy documents, and what each compiles to."""

from __future__ import annotations

import re
from enum import Enum
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from ballastd.core.conditions import Aggregate, Condition, RelativeTo
from ballastd.core.policies import (
    EVERYWHERE,
    EvacuationOrder,
    EvacuationPolicy,
    Health,
    HealthPolicy,
    Mode,
    Response,
    Scope,
)
from ballastd.core.quantities import Seconds
from ballastd.core.telemetry import METRICS, MetricKind
from ballastd.documents.example_models import EXAMPLES_MAX, ExampleModel
from ballastd.documents.metric_values import example, firing_edge, metric_value, parse_metric
from ballastd.documents.scalars import Duration, Lasting, YesNo, shown
from ballastd.documents.validation import Strict
from ballastd.documents.vm_selectors import Vms, is_everything, selector_of

NAME = r"[a-z0-9][a-z0-9-]{0,62}"
LEVELS = {"suspect": Health.SUSPECT, "degraded": Health.DEGRADED, "failing": Health.FAILING}
CLEAR_HOLD_SECONDS = 1800.0
LAST_RESORTS = ("post_copy", "shutdown")
Raw = Annotated[Any, WithJsonSchema({"type": ["string", "number", "boolean"]})]
MetricName = Annotated[str, BeforeValidator(parse_metric), WithJsonSchema({"enum": sorted(METRICS)})]


class Level(Enum):
    """A severity as written."""

    SUSPECT = "suspect"
    DEGRADED = "degraded"
    FAILING = "failing"

    @property
    def health(self) -> Health:
        """The severity as the mind knows it."""
        return LEVELS[self.value]


def _policy_name(value: str) -> str:
    if not re.fullmatch(NAME, value):
        raise ValueError(f"{shown(value)}: lower-case letters, digits and dashes, as in failing-hosts")
    return value


def _patterns(value: Any) -> tuple[str, ...]:
    if value == "all":
        return ()
    if not isinstance(value, list) or not value or not all(isinstance(item, str) and item for item in value):
        raise ValueError(f"{shown(value)}: write all, or a list of host names and patterns, for example [rack1-*]")
    return named_hosts(value, "write all if that is meant, or for example [rack1-*]")


def named_hosts(patterns: list[str], cure: str) -> tuple[str, ...]:
    """Return the patterns, none of which is every host by accident.

    Raises:
        ValueError: in an operator's words.
    """
    for pattern in patterns:
        if is_everything(pattern):
            raise ValueError(f"{shown(pattern)} is every host; {cure}")
    return tuple(patterns)


class ScopeModel(Strict):
    """Hosts by name pattern, by label, or by both. ``hosts: all`` must be said, and compiles to no pattern."""

    hosts: Annotated[tuple[str, ...] | None, BeforeValidator(_patterns), WithJsonSchema(
        {"oneOf": [{"const": "all"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]})] = None
    labels: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _says_something(self) -> ScopeModel:
        if self.hosts is None and not self.labels:
            raise ValueError("selects nothing; write hosts: all, hosts: [rack1-*], or labels: {rack: r1}")
        return self

    def compiled(self) -> Scope:
        """Return the scope as the mind knows it."""
        return Scope(self.hosts or (), tuple(sorted(self.labels.items())))


PolicyName = Annotated[str, AfterValidator(_policy_name), WithJsonSchema({"type": "string", "pattern": f"^{NAME}$"})]


class PolicyModel(Strict):
    """What every document has."""

    name: PolicyName
    description: str = ""
    examples: Annotated[list[ExampleModel], Field(max_length=EXAMPLES_MAX)] = Field(default_factory=list)


class When(Strict):
    """The condition: a metric, an edge, how long."""

    metric: MetricName
    above: Raw = None
    below: Raw = None
    is_: Annotated[YesNo | None, Field(alias="is")] = None
    increase: Lasting | None = None
    relative_to: Literal["high", "critical"] | None = None
    hold: Annotated[Duration, Field(alias="for")] = 0.0

    @model_validator(mode="after")
    def _sound(self) -> When:
        metric = METRICS[self.metric]
        edges = [name for name, value in (("above", self.above), ("below", self.below), ("is", self.is_))
                 if value is not None]
        if len(edges) != 1:
            right = "is: true" if metric.unit == "bool" else f"above: {self._example()}"
            raise ValueError(f"exactly one edge is needed ({', '.join(edges) or 'none'} given); write for example {right}")
        if (edges[0] == "is") != (metric.unit == "bool"):
            raise ValueError(f"{self.metric} is a yes or no: write is: true" if metric.unit == "bool"
                             else f"{self.metric} is a number; write for example above: {self._example()}")
        if (self.increase is not None) != (metric.kind is MetricKind.COUNTER):
            raise ValueError(f"{self.metric} is a counter: say over which time it rises, for example increase: 1h"
                             if metric.kind is MetricKind.COUNTER else
                             f"{self.metric} is no counter; take increase out, and say how long with for: 5m")
        if self.relative_to is not None and self.metric != "temperature":
            raise ValueError("relative_to is for temperature, whose sensors know limits of their own; take it out")
        self._not_of_sound_hosts()
        self.threshold()
        return self

    def _not_of_sound_hosts(self) -> None:
        """Refuse what is true of every sound host: a slip that would condemn the whole cluster."""
        if self.is_ is False:
            raise ValueError(f"{self.metric} is off on every sound host, all of them would fire; write is: true")
        if self.increase is not None and self.below is not None:
            raise ValueError(f"{self.metric} rises too little on every sound host, all of them would fire; write above")
        if self.relative_to is not None and self.below is not None:
            raise ValueError(f"a sound sensor is below its {self.relative_to} limit, all of them would fire; write above")

    def threshold(self) -> float:
        """Return the firing edge in the metric's unit."""
        if self.is_ is not None:
            return 0.5
        value = self.above if self.above is not None else self.below
        return firing_edge(METRICS[self.metric], value, above=self.above is not None,
                           relative=self.relative_to is not None)

    def _example(self) -> str:
        return example(METRICS[self.metric], relative=self.relative_to is not None)


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
        if far is None:
            return self
        edge, above = self.when.threshold(), self.when.above is not None
        if (above and far > edge) or (not above and far < edge):
            word = "above" if above else "below"
            raise ValueError(f"it fires {word} {edge:g} and would clear at {far:g}, which is {word} that: it would flap")
        return self

    def _far_edge(self) -> float | None:
        if not isinstance(self.clear, Clear) or (self.clear.above is None and self.clear.below is None):
            return None
        if self.when.is_ is not None:
            raise ValueError("a yes or no has no other edge; write for example clear: {for: 30m}")
        if (self.when.above is None) != (self.clear.below is None) or None not in (self.clear.above, self.clear.below):
            fires, clears = ("above", "below") if self.when.above is not None else ("below", "above")
            raise ValueError(f"it fires {fires}, so it clears {clears}; write only {clears}: and for: there")
        value = self.clear.below if self.clear.below is not None else self.clear.above
        return metric_value(METRICS[self.when.metric], value, relative=self.when.relative_to is not None)

    def compiled(self, source: str) -> HealthPolicy:
        """Return the policy as the mind knows it."""
        when, clear = self.when, self.clear
        relative = {None: RelativeTo.ZERO, "high": RelativeTo.HIGH, "critical": RelativeTo.CRITICAL}[when.relative_to]
        condition = Condition(
            metric=when.metric, threshold=when.threshold(),
            aggregate=Aggregate.INCREASE if when.increase is not None else Aggregate.LEVEL,
            window=Seconds(when.increase or 0.0), above=when.above is not None or bool(when.is_), relative_to=relative,
            hold=Seconds(when.hold), clear_threshold=self._far_edge(),
            clear_hold=Seconds(clear.hold if isinstance(clear, Clear) else CLEAR_HOLD_SECONDS),
            latched=clear == "acknowledge")
        return HealthPolicy(self.name, condition, self.severity.health,
                            self.scope.compiled() if self.scope else EVERYWHERE, Mode.AUTO, self.description, source)


class On(Strict):
    """What an evacuation answers to: this severity or worse."""

    severity: Level


class EvacuationModel(PolicyModel):
    """Severity -> response. Without ``mode`` it only observes."""

    kind: Literal["Evacuation"]
    scope: ScopeModel | None = None
    vms: Vms | None = None
    on: On
    respond: Response
    deadline: Lasting | None = None
    ignore_windows: YesNo = False
    order: list[EvacuationOrder] = Field(default_factory=lambda: [EvacuationOrder.PRIORITY, EvacuationOrder.SHORTEST])
    windows: list[str] = Field(default_factory=list)
    last_resort: list[str] = Field(default_factory=list)
    mode: Mode = Mode.OBSERVE

    @field_validator("order")
    @classmethod
    def _each_key_once(cls, value: list[EvacuationOrder]) -> list[EvacuationOrder]:
        if not value or len(set(value)) < len(value):
            raise ValueError("each key once, and at least one; write for example [priority, shortest]")
        return value

    @field_validator("last_resort")
    @classmethod
    def _none_yet(cls, value: list[str]) -> list[str]:
        unknown = [word for word in value if word not in LAST_RESORTS]
        if unknown:
            raise ValueError(f"{shown(unknown[0])} is no last resort; they are {' and '.join(LAST_RESORTS)}, and this "
                             "release carries out neither; write last_resort: []")
        if value:
            raise ValueError(f"{value[0]} is not carried out by this release: a VM that cannot move live is reported, and "
                             "stays; write last_resort: []")
        return value

    @model_validator(mode="after")
    def _sound(self) -> EvacuationModel:
        if self.ignore_windows and self.windows:
            raise ValueError("ignore_windows and windows contradict each other; keep one")
        idle = [key for key in ("deadline", "windows", "ignore_windows", "vms") if getattr(self, key)]
        if self.respond is Response.QUARANTINE and idle:
            raise ValueError(f"a quarantine moves nothing, {idle[0]} would do nothing; take it out, or write respond: drain")
        return self

    def compiled(self, source: str) -> EvacuationPolicy:
        """Return the policy as the mind knows it."""
        return EvacuationPolicy(
            name=self.name, severity=self.on.severity.health, response=self.respond,
            scope=self.scope.compiled() if self.scope else EVERYWHERE, mode=self.mode,
            deadline=None if self.deadline is None else Seconds(self.deadline), ignore_windows=self.ignore_windows,
            order=tuple(self.order), windows=tuple(self.windows), vms=selector_of(self.vms),
            description=self.description, source=source)
