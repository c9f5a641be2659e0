"""What goes over the wire: requests, the few answers that are not views, and one converter for all of them."""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from ballastd.core.views import (
    BudgetView,
    ClusterView,
    DemotionView,
    GateView,
    HostView,
    IntentView,
    MigrationView,
    MoveView,
    NoView,
    PairView,
    RecommendationView,
    RejectionView,
    VmView,
)

Words = Annotated[str, StringConstraints(max_length=500)]
Who = Annotated[str, StringConstraints(max_length=100)]


class CommandBody(BaseModel):
    """Why, and on whose behalf. ``by`` is the caller's word and is recorded as such, beside what the kernel says."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    reason: Words = ""
    by: Who = ""


class DrainBody(CommandBody):
    """``deadline_wall``: when the host should be empty, seconds since the epoch."""

    deadline_wall: Annotated[float, Field(gt=0, lt=1e11, allow_inf_nan=False)] | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class StatusView:
    """The daemon at a glance. ``hosts`` and ``vms``: how many, by health and by state."""

    version: str
    revision: int
    wall: float
    posture: str
    policies_digest: str
    gates: tuple[GateView, ...]
    hosts: Mapping[str, int]
    vms: Mapping[str, int]
    migrations_open: int
    moves_planned: int
    intents: tuple[IntentView, ...]
    budgets: tuple[BudgetView, ...]
    notes: tuple[str, ...]
    recommendations: tuple[RecommendationView, ...]
    demotions: tuple[DemotionView, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class HostList:
    """All declared hosts after step ``revision``."""

    revision: int
    wall: float
    hosts: tuple[HostView, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class VmList:
    """All VMs seen after step ``revision``."""

    revision: int
    wall: float
    vms: tuple[VmView, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class MigrationList:
    """Open and lately settled migrations after step ``revision``."""

    revision: int
    wall: float
    migrations: tuple[MigrationView, ...]
    pairs: tuple[PairView, ...] = ()
    """How long moves took, by pairs of hosts; all pairs together first."""


@dataclasses.dataclass(frozen=True, slots=True)
class PlanView:
    """What is wanted, what is planned for it, what cannot be or must wait, and what holds everything back."""

    revision: int
    wall: float
    posture: str
    gates: tuple[GateView, ...]
    intents: tuple[IntentView, ...]
    moves: tuple[MoveView, ...]
    noes: tuple[NoView, ...]
    recommendations: tuple[RecommendationView, ...]
    rejections: tuple[RejectionView, ...]
    demotions: tuple[DemotionView, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Accepted:
    """A command that was carried out, or will be, and is durable. ``by``: who is on record for it."""

    accepted: bool
    verb: str
    subject: str
    by: str
    message: str


@dataclasses.dataclass(frozen=True, slots=True)
class RecordView:
    """One journal record."""

    sequence: int
    revision: int
    content: Mapping[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class RecordList:
    """The last journal records, oldest first."""

    records: tuple[RecordView, ...]


class ProblemBody(BaseModel):
    """RFC 9457 problem details. ``cure``: what the caller can do about it, where anything."""

    type: str
    title: str
    status: int
    detail: str
    cure: str = ""


def to_json(value: Any) -> Any:
    """Return ``value`` as JSON-ready data: dataclasses become objects, tuples arrays, enums their values, and
    what no JSON number can say (infinite, not a number) null."""
    if isinstance(value, (str, bool, int)) or value is None:
        return value.value if isinstance(value, enum.Enum) else value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [to_json(item) for item in value]
    if dataclasses.is_dataclass(value):
        return {spec.name: to_json(getattr(value, spec.name)) for spec in dataclasses.fields(value)}
    return str(value)


_PICTURE = TypeAdapter(ClusterView)


def picture_json(view: ClusterView) -> bytes:
    """Return a whole view as JSON, like ``to_json`` and ten times as fast: 10,000 VMs keep the loop for 30 ms."""
    return _PICTURE.dump_json(view)


class Pictures:
    """Writes each view once, however many ask for it."""

    def __init__(self) -> None:
        self._view: ClusterView | None = None
        self._written = b""

    def of(self, view: ClusterView) -> bytes:
        """Return ``picture_json`` of ``view``."""
        if view is not self._view:
            self._written, self._view = picture_json(view), view
        return self._written


def picture_of(document: bytes) -> ClusterView:
    """Return the view that ``picture_json`` wrote; fields that this release does not know are left out.

    Raises:
        ValueError: it is no such document; the first thing wrong with it, and where.
    """
    try:
        return _PICTURE.validate_json(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ValueError(f"{'.'.join(str(part) for part in first['loc']) or 'document'}: {first['msg']}") from None
