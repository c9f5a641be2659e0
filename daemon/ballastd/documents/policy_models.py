"""The kinds of policy documents, and what each compiles to."""

from __future__ import annotations

import re
from datetime import datetime
from enum import Enum
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator, model_validator

from ballastd.core.ceilings import CEILINGS
from ballastd.core.conditions import Aggregate, Condition, RelativeTo
from ballastd.core.policies import (
    EVERYWHERE,
    EvacuationOrder,
    EvacuationPolicy,
    Health,
    HealthPolicy,
    Limits,
    Mode,
    Response,
    Scope,
    Window,
)
from ballastd.core.quantities import Seconds
from ballastd.core.telemetry import METRICS, Metric, MetricKind
from ballastd.documents.metric_values import metric_value, parse_metric
from ballastd.documents.scalars import Bandwidth, ClockTime, Days, Duration, Percent, Zone, duration
from ballastd.documents.validation import Strict
from ballastd.documents.windows import Once, Weekly, intervals

DEFAULT = Limits()
NAME = r"^[a-z0-9][a-z0-9-]{0,62}$"
LEVELS = {"suspect": Health.SUSPECT, "degraded": Health.DEGRADED, "failing": Health.FAILING}
CLEAR_HOLD_SECONDS = 1800.0
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


class ScopeModel(Strict):
    """Hosts by name pattern, by label, or by both. ``hosts: all`` must be said."""

    hosts: Literal["all"] | Annotated[list[str], Field(min_length=1)] | None = None
    labels: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _says_something(self) -> ScopeModel:
        if self.hosts is None and not self.labels:
            raise ValueError("selects nothing; write hosts: all, hosts: [rack1-*], or labels: {rack: r1}")
        return self

    def compiled(self) -> Scope:
        """Return the scope as the mind knows it."""
        patterns = () if self.hosts in (None, "all") else tuple(self.hosts or ())
        return Scope(patterns, tuple(sorted(self.labels.items())))


class PolicyModel(Strict):
    """What every document has."""

    name: Annotated[str, Field(pattern=NAME)]
    description: str = ""


class When(Strict):
    """The condition: a metric, an edge, how long."""

    metric: MetricName
    above: Raw = None
    below: Raw = None
    is_: Annotated[bool | None, Field(alias="is")] = None
    increase: Duration | None = None
    relative_to: Literal["high", "critical"] | None = None
    hold: Annotated[Duration, Field(alias="for")] = 0.0

    @model_validator(mode="after")
    def _sound(self) -> When:
        metric = METRICS[self.metric]
        edges = [name for name, value in (("above", self.above), ("below", self.below), ("is", self.is_))
                 if value is not None]
        if len(edges) != 1:
            example = "is: true" if metric.unit == "bool" else "above: " + _example(metric)
            raise ValueError(f"exactly one edge is needed ({', '.join(edges) or 'none'} given); write for example {example}")
        if (edges[0] == "is") != (metric.unit == "bool"):
            raise ValueError(f"{self.metric} is {'a yes or no: write is: true' if metric.unit == 'bool' else 'a number'}"
                             f"{'' if metric.unit == 'bool' else ': write above: ' + _example(metric)}")
        if (self.increase is not None) != (metric.kind is MetricKind.COUNTER):
            raise ValueError(f"{self.metric} is a counter: say over which time it rises, for example increase: 1h"
                             if metric.kind is MetricKind.COUNTER else f"{self.metric} is no counter: without increase")
        if self.relative_to is not None and self.metric != "temperature":
            raise ValueError("relative_to is for temperature, whose sensors know limits of their own")
        self.threshold()
        return self

    def threshold(self) -> float:
        """Return the firing edge in the metric's unit."""
        if self.is_ is not None:
            return 0.5
        value = self.above if self.above is not None else self.below
        return metric_value(METRICS[self.metric], value, relative=self.relative_to is not None)


def _example(metric: Metric) -> str:
    return {"ratio": "80%", "celsius": "85C", "count": "0", "rpm": "500"}.get(metric.unit, "10")


class Clear(Strict):
    """The other edge, and how long beyond it."""

    above: Raw = None
    below: Raw = None
    hold: Annotated[Duration, Field(alias="for")] = CLEAR_HOLD_SECONDS


class HealthModel(PolicyModel):
    """Telemetry -> condition on a host -> severity."""

    kind: Literal["Health"]
    scope: ScopeModel | None = None
    when: When
    severity: Level
    clear: Literal["acknowledge"] | Clear | None = None

    @model_validator(mode="before")
    @classmethod
    def _no_mode(cls, value: Any) -> Any:
        if isinstance(value, dict) and "mode" in value:
            raise ValueError("mode belongs to the response: write it in the Evacuation policy; a condition only judges")
        return value

    @model_validator(mode="after")
    def _leaves_a_gap(self) -> HealthModel:
        edge, far = self.when.threshold(), self._far_edge()
        if far is None:
            return self
        above = self.when.above is not None
        if (above and far > edge) or (not above and far < edge):
            word = "above" if above else "below"
            raise ValueError(f"it fires {word} {edge:g} and would clear at {far:g}, which is {word} that: it would flap")
        return self

    def _far_edge(self) -> float | None:
        if not isinstance(self.clear, Clear):
            return None
        value = self.clear.below if self.clear.below is not None else self.clear.above
        if value is None:
            return None
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
    on: On
    respond: Response
    deadline: Duration | None = None
    ignore_windows: bool = False
    order: list[EvacuationOrder] = Field(default_factory=lambda: [EvacuationOrder.PRIORITY, EvacuationOrder.SHORTEST])
    windows: list[str] = Field(default_factory=list)
    last_resort: list[str] = Field(default_factory=list)
    mode: Mode = Mode.OBSERVE

    @field_validator("last_resort")
    @classmethod
    def _none_yet(cls, value: list[str]) -> list[str]:
        if value:
            raise ValueError("this release knows no last resorts (post-copy, shutdown); write last_resort: []")
        return value

    @model_validator(mode="after")
    def _sound(self) -> EvacuationModel:
        if self.ignore_windows and self.windows:
            raise ValueError("ignore_windows and windows contradict each other; keep one")
        return self

    def compiled(self, source: str) -> EvacuationPolicy:
        """Return the policy as the mind knows it."""
        return EvacuationPolicy(
            name=self.name, severity=self.on.severity.health, response=self.respond,
            scope=self.scope.compiled() if self.scope else EVERYWHERE, mode=self.mode,
            deadline=None if self.deadline is None else Seconds(self.deadline), ignore_windows=self.ignore_windows,
            order=tuple(self.order), windows=tuple(self.windows), description=self.description, source=source)


def _local(value: Any) -> datetime:
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        raise ValueError(f"{value!r} is no date and time; write for example 2026-12-24 18:00") from None
    if found.tzinfo is not None:
        raise ValueError("write the local time here and its zone as timezone")
    return found


class Schedule(Strict):
    """Weekly (days, at, for) or once (from, for), in an IANA zone."""

    days: Days | None = None
    at: ClockTime | None = None
    begin: Annotated[datetime | None, BeforeValidator(_local), Field(alias="from")] = None
    length: Annotated[Duration, Field(alias="for")]
    timezone: Zone

    @model_validator(mode="after")
    def _sound(self) -> Schedule:
        weekly, once = self.days is not None and self.at is not None, self.begin is not None
        if weekly == once or (once and (self.days or self.at)):
            raise ValueError('write either days, at, for (weekly) or from, for (once); for example {days: [mon-fri], at: '
                             '"22:00", for: 7h, timezone: Europe/Berlin}')
        if self.length <= 0:
            raise ValueError("a window must last; write for example for: 7h")
        return self

    def rule(self) -> Weekly | Once:
        """Return the rule to compile."""
        if self.begin is not None:
            return Once(self.begin, self.length, self.timezone)
        assert self.days is not None
        assert self.at is not None
        return Weekly(self.days, self.at, self.length, self.timezone)


class WindowModel(PolicyModel):
    """A time window; a denial wins over every permission."""

    kind: Literal["Window"]
    allow: Schedule | None = None
    deny: Schedule | None = None
    closing: Literal["finish", "cancel"] = "finish"

    @model_validator(mode="after")
    def _one(self) -> WindowModel:
        if (self.allow is None) == (self.deny is None):
            raise ValueError("write either allow or deny; for example deny: {days: [mon-fri], at: \"08:00\", for: 10h, "
                             "timezone: Europe/Berlin}")
        return self

    def compiled(self, now_wall: float) -> Window:
        """Return the window as UTC intervals from ``now_wall`` on."""
        schedule = self.allow or self.deny
        assert schedule is not None
        found, horizon = intervals(schedule.rule(), now_wall)
        return Window(self.name, self.allow is not None, found, horizon, self.closing == "cancel")


def _capped(ceiling: float, show: str) -> Any:
    def check(value: float) -> float:
        if value > ceiling:
            raise ValueError(f"above the ceiling of {show}, which no policy can raise")
        return value

    return check


class InFlight(Strict):
    """Migrations at once."""

    cluster: Annotated[int, Field(ge=1)] = DEFAULT.in_flight_cluster
    host_out: Annotated[int, Field(ge=1)] = DEFAULT.in_flight_host_out
    host_in: Annotated[int, Field(ge=1)] = DEFAULT.in_flight_host_in

    _c = field_validator("cluster")(_capped(CEILINGS.in_flight_cluster, str(CEILINGS.in_flight_cluster)))
    _o = field_validator("host_out")(_capped(CEILINGS.in_flight_host_out, str(CEILINGS.in_flight_host_out)))
    _i = field_validator("host_in")(_capped(CEILINGS.in_flight_host_in, str(CEILINGS.in_flight_host_in)))


class BandwidthLimits(Strict):
    """What migrations may take of a link."""

    link_share: Percent = DEFAULT.link_share
    migration_minimum: Bandwidth = DEFAULT.migration_minimum_mib_s

    _s = field_validator("link_share")(_capped(CEILINGS.link_share, "80%"))


class Failover(Strict):
    """How many hosts may die and their VMs still fit."""

    hosts: Annotated[int, Field(ge=0, le=1)] = DEFAULT.failover_hosts


class Evacuations(Strict):
    """Hosts being emptied."""

    at_once: Annotated[int, Field(ge=1)] = DEFAULT.evacuations_at_once
    per_hour: Annotated[int, Field(ge=1)] = DEFAULT.evacuations_per_hour

    _a = field_validator("at_once")(_capped(CEILINGS.evacuations_at_once, str(CEILINGS.evacuations_at_once)))
    _h = field_validator("per_hour")(_capped(CEILINGS.evacuations_per_hour,
                                             str(CEILINGS.evacuations_per_hour)))


_SAME_SENSOR = re.compile(r"(\d+) in (\S+)")


def _same_sensor(value: Any) -> tuple[int, float]:
    found = _SAME_SENSOR.fullmatch(str(value).strip())
    if found is None or int(found[1]) < 2:
        raise ValueError(f"{value!r}: write hosts and a time, for example 3 in 5m")
    return int(found[1]), duration(found[2])


class BlastRadius(Strict):
    """How many alarms are believed at once."""

    share: Percent = DEFAULT.blast_share
    at_least: Annotated[int, Field(ge=1, le=10)] = DEFAULT.blast_at_least
    same_sensor: Annotated[tuple[int, float], BeforeValidator(_same_sensor), WithJsonSchema({"type": "string"})] = (
        DEFAULT.same_sensor_hosts, float(DEFAULT.same_sensor_within))

    _s = field_validator("share")(_capped(CEILINGS.blast_share, "34%"))


class Freeze(Strict):
    """How many silent hosts make us careful, and how many make us stop."""

    caution: Percent = DEFAULT.caution_share
    freeze: Percent = DEFAULT.freeze_share
    at_least: Annotated[int, Field(ge=1, le=10)] = DEFAULT.unknown_at_least
    settle: Duration = float(DEFAULT.settle_after_freeze)

    _c = field_validator("caution")(_capped(CEILINGS.caution_share, "20%"))
    _f = field_validator("freeze")(_capped(CEILINGS.freeze_share, "34%"))


class Retries(Strict):
    """How often a VM's move is tried again."""

    per_move: Annotated[int, Field(ge=0)] = DEFAULT.retries_per_move
    backoff: Duration = float(DEFAULT.retry_backoff)

    _p = field_validator("per_move")(_capped(CEILINGS.retries_per_move, str(CEILINGS.retries_per_move)))


class LimitsModel(PolicyModel):
    """How much at once, and how fast."""

    kind: Literal["Limits"]
    in_flight: InFlight = InFlight()
    bandwidth: BandwidthLimits = BandwidthLimits()
    failover: Failover = Failover()
    evacuations: Evacuations = Evacuations()
    blast_radius: BlastRadius = BlastRadius()
    freeze: Freeze = Freeze()
    retries: Retries = Retries()

    def compiled(self) -> Limits:
        """Return the limits as the mind knows them."""
        return Limits(
            in_flight_cluster=self.in_flight.cluster, in_flight_host_out=self.in_flight.host_out,
            in_flight_host_in=self.in_flight.host_in, link_share=self.bandwidth.link_share,
            migration_minimum_mib_s=self.bandwidth.migration_minimum, failover_hosts=self.failover.hosts,
            evacuations_at_once=self.evacuations.at_once, evacuations_per_hour=self.evacuations.per_hour,
            blast_share=self.blast_radius.share, blast_at_least=self.blast_radius.at_least,
            same_sensor_hosts=self.blast_radius.same_sensor[0],
            same_sensor_within=Seconds(self.blast_radius.same_sensor[1]), caution_share=self.freeze.caution,
            freeze_share=self.freeze.freeze, unknown_at_least=self.freeze.at_least,
            settle_after_freeze=Seconds(self.freeze.settle), retries_per_move=self.retries.per_move,
            retry_backoff=Seconds(self.retries.backoff))
