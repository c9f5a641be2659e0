"""Durable facts about how far policies may go: what was recommended, what people said, who lost their trust."""

from __future__ import annotations

from dataclasses import dataclass

from ballastd.core.quantities import Bytes, HostName, VmId

NO_VM, NO_HOST, NO_BYTES = VmId(""), HostName(""), Bytes(0)


@dataclass(frozen=True, slots=True)
class Recommended:
    """A policy that only recommends would do this, were it approved. ``id``: of the content. ``vm`` empty: ``source`` is to
    be emptied and switched off. ``memory``: bytes. ``seconds``: how long the offer stands, and an approval after it.
    ``room_for``: the host for whose sake the VM makes room at its source, empty where it is for its source's."""

    wall: float
    id: str
    policy: str
    reason: str
    source: HostName
    because: str
    seconds: float
    vm: VmId = NO_VM
    vm_name: str = ""
    target: HostName = NO_HOST
    memory: Bytes = NO_BYTES
    room_for: HostName = NO_HOST


@dataclass(frozen=True, slots=True)
class RecommendationApproved:
    """A person wants a recommendation carried out, if it is in the plan still."""

    wall: float
    id: str
    by: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class RecommendationRejected:
    """A person does not want it: it is not offered again until then, unless its reason changes."""

    wall: float
    id: str
    by: str
    until_wall: float
    policy: str
    what: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ApprovalLapsed:
    """What was approved was not begun in time, or is not what ought to be done any more."""

    wall: float
    id: str
    what: str
    detail: str


@dataclass(frozen=True, slots=True)
class PolicyDemoted:
    """A policy in mode auto only recommends from here on: its moves failed."""

    wall: float
    policy: str
    because: str


@dataclass(frozen=True, slots=True)
class PolicyPromoted:
    """A policy that was demoted may act again."""

    wall: float
    policy: str
    by: str
    reason: str = ""


AutonomyEvent = (Recommended | RecommendationApproved | RecommendationRejected | ApprovalLapsed | PolicyDemoted
                 | PolicyPromoted)
