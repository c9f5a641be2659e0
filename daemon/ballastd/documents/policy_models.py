"""The kinds of policy documents, and what each compiles to."""

from __future__ import annotations

import re
from datetime import datetime
from enum import Enum
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from ballastd.core.policies import (
    EVERYWHERE,
    EvacuationOrder,
    EvacuationPolicy,
    Health,
    Mode,
    Response,
    Scope,
    Window,
)
from ballastd.core.quantities import Seconds
from ballastd.documents.scalars import (
    ClockTime,
    Days,
    Lasting,
    YesNo,
    Zone,
    shown,
)
from ballastd.documents.validation import Strict
from ballastd.documents.windows import Once, Weekly, intervals

NAME = r"[a-z0-9][a-z0-9-]{0,62}"
LEVELS = {"suspect": Health.SUSPECT, "degraded": Health.DEGRADED, "failing": Health.FAILING}
WEEK_SECONDS = 7 * 86400.0


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
    return tuple(value)


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


class PolicyModel(Strict):
    """What every document has."""

    name: Annotated[str, AfterValidator(_policy_name), WithJsonSchema({"type": "string", "pattern": f"^{NAME}$"})]
    description: str = ""


class On(Strict):
    """What an evacuation answers to: this severity or worse."""

    severity: Level


class EvacuationModel(PolicyModel):
    """Severity -> response. Without ``mode`` it only observes."""

    kind: Literal["Evacuation"]
    scope: ScopeModel | None = None
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
        if value:
            raise ValueError("this release knows no last resorts (post-copy, shutdown); write last_resort: []")
        return value

    @model_validator(mode="after")
    def _sound(self) -> EvacuationModel:
        if self.ignore_windows and self.windows:
            raise ValueError("ignore_windows and windows contradict each other; keep one")
        idle = [key for key in ("deadline", "windows", "ignore_windows") if getattr(self, key)]
        if self.respond is Response.QUARANTINE and idle:
            raise ValueError(f"a quarantine moves nothing, {idle[0]} would do nothing; take it out, or write respond: drain")
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
        found = datetime.fromisoformat(value if isinstance(value, str) else "")
    except ValueError:
        raise ValueError(f"{shown(value)} is no date and time; write for example 2026-12-24 18:00") from None
    if found.tzinfo is not None:
        raise ValueError("write the local time here and its zone as timezone")
    if not 2000 <= found.year < 2200:
        raise ValueError(f"{shown(value)}: the year {found.year} is not ours")
    return found


class Schedule(Strict):
    """Weekly (days, at, for) or once (from, for), in an IANA zone."""

    days: Days | None = None
    at: ClockTime | None = None
    begin: Annotated[datetime | None, BeforeValidator(_local), Field(alias="from")] = None
    length: Annotated[Lasting, Field(alias="for")]
    timezone: Zone

    @model_validator(mode="after")
    def _sound(self) -> Schedule:
        weekly, once = self.days is not None and self.at is not None, self.begin is not None
        if weekly == once or (once and (self.days or self.at)):
            raise ValueError('write either days, at, for (weekly) or from, for (once); for example {days: [mon-fri], at: '
                             '"22:00", for: 7h, timezone: Europe/Berlin}')
        if weekly and self.length > WEEK_SECONDS:
            raise ValueError("a weekly window of more than a week never ends; write for example for: 7h")
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
