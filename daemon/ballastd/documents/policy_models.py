"""The kinds of policy documents, and what each compiles to."""

from __future__ import annotations

import re
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
    LastResort,
    Mode,
    Response,
    Scope,
)
from ballastd.core.quantities import Seconds
from ballastd.documents.example_models import EXAMPLES_MAX, ExampleModel
from ballastd.documents.scalars import Lasting, YesNo, shown
from ballastd.documents.validation import Strict
from ballastd.documents.vm_selectors import Vms, Word, is_everything, selector_of

NAME = r"[a-z0-9][a-z0-9-]{0,62}"
LEVELS = {"suspect": Health.SUSPECT, "degraded": Health.DEGRADED, "failing": Health.FAILING}


_PRICE = {LastResort.POST_COPY: "may cost a VM its life", LastResort.SHUTDOWN: "takes a VM out of service"}


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
    avoid: list[Word] = Field(default_factory=list)
    windows: list[str] = Field(default_factory=list)
    last_resort: list[LastResort] = Field(default_factory=list)
    mode: Mode = Mode.OBSERVE

    @field_validator("order")
    @classmethod
    def _each_key_once(cls, value: list[EvacuationOrder]) -> list[EvacuationOrder]:
        if not value or len(set(value)) < len(value):
            raise ValueError("each key once, and at least one; write for example [priority, shortest]")
        return value

    @field_validator("avoid")
    @classmethod
    def _each_label_once(cls, value: list[str]) -> list[str]:
        if len(set(value)) < len(value):
            raise ValueError("each label once; write for example [rack]")
        if "host" in value:
            raise ValueError("no VM goes to the host that it leaves; write a label of hosts, for example [rack]")
        return value

    @field_validator("last_resort")
    @classmethod
    def _each_resort_once(cls, value: list[LastResort]) -> list[LastResort]:
        if len(set(value)) < len(value):
            raise ValueError("each once; write for example [post_copy]")
        if LastResort.SHUTDOWN in value[:-1]:
            raise ValueError("shutdown is the last of all: nothing comes after it; write [post_copy, shutdown]")
        return value

    @model_validator(mode="after")
    def _sound(self) -> EvacuationModel:
        if self.ignore_windows and self.windows:
            raise ValueError("ignore_windows and windows contradict each other; keep one")
        idle = [key for key in ("deadline", "windows", "ignore_windows", "vms", "avoid", "last_resort")
                if getattr(self, key)]
        if self.respond is Response.QUARANTINE and idle:
            raise ValueError(f"a quarantine moves nothing, {idle[0]} would do nothing; take it out, or write respond: drain")
        if self.last_resort and self.on.severity is not Level.FAILING:
            raise ValueError(f"{self.last_resort[0].value} {_PRICE[self.last_resort[0]]}, and is for hosts that fail; take "
                             "it out, or write on: {severity: failing}")
        if LastResort.SHUTDOWN in self.last_resort and self.deadline is None:
            raise ValueError("shutdown is for VMs that are still there when the deadline has passed, and there is none; "
                             "write for example deadline: 30m, or take shutdown out")
        return self

    def compiled(self, source: str) -> EvacuationPolicy:
        """Return the policy as the mind knows it."""
        return EvacuationPolicy(
            name=self.name, severity=self.on.severity.health, response=self.respond,
            scope=self.scope.compiled() if self.scope else EVERYWHERE, mode=self.mode,
            deadline=None if self.deadline is None else Seconds(self.deadline), ignore_windows=self.ignore_windows,
            order=tuple(self.order), windows=tuple(self.windows), vms=selector_of(self.vms), avoid=tuple(self.avoid),
            last_resorts=tuple(self.last_resort), description=self.description, source=source)
