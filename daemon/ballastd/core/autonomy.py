"""How far policies may go by themselves: what is offered to people and what they said of it, and who lost their trust.

A part of the ledger, made of events and of nothing else.
"""

from __future__ import annotations

import hashlib
import typing
from dataclasses import dataclass, field, replace
from typing import Protocol

from ballastd.core import autonomy_events as au
from ballastd.core.migrations import FAULTS, Ending, Migration
from ballastd.core.policies import Mode
from ballastd.core.quantities import Bytes, HostName, VmId

SWITCH_OFF = "switch-off"
"""The reason of a recommendation that is about a host's power."""
FAULTS_TO_DEMOTE = 2
FAULT_MEMORY_SECONDS = 24 * 3600.0


class HasMode(Protocol):
    """A policy that moves or switches something."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def mode(self) -> Mode:
        """What its document says."""


@dataclass(frozen=True, slots=True)
class Offer:
    """One recommendation. Fields as in ``Recommended``. It stands until ``until_wall``; once it is approved, its approval
    does. ``approved_by``: who approved it, empty before."""

    id: str
    policy: str
    reason: str
    source: HostName
    because: str
    vm: VmId
    vm_name: str
    target: HostName
    memory: Bytes
    since_wall: float
    seconds: float
    until_wall: float
    approved_by: str = ""
    room_for: HostName = au.NO_HOST

    @property
    def wanted_by(self) -> HostName:
        """The host for whose sake it is."""
        return self.room_for or self.source

    @property
    def grounds(self) -> str:
        """What a rejection is about: whatever the target, this VM (or host) for this reason of this policy."""
        return grounds_of(self.policy, self.reason, self.source, self.vm)

    def words(self) -> str:
        """Return what would be done."""
        return (f"{self.vm_name} from {self.source} to {self.target}" if self.vm
                else f"{self.source} emptied and switched off")


def grounds_of(policy: str, reason: str, source: HostName, vm: VmId) -> str:
    """Return the key of a rejection."""
    return f"{policy} {reason} {source} {vm}".rstrip()


def recommendation_id(policy: str, reason: str, source: HostName, vm: VmId, target: HostName, memory: int) -> str:
    """Return the id of a content: who approves it approves this and nothing else."""
    content = "\0".join((policy, reason, source, vm, target, str(memory)))
    return hashlib.sha256(content.encode()).hexdigest()[:10]


@dataclass(slots=True)
class Autonomy:
    """``offers``: open and approved ones, by id. ``rejected``: by grounds. ``faults``: per policy, when moves failed since
    its last one that succeeded. ``demoted``: policies that only recommend though their documents say auto."""

    offers: dict[str, Offer] = field(default_factory=dict)
    rejected: dict[str, au.RecommendationRejected] = field(default_factory=dict)
    faults: dict[str, tuple[float, ...]] = field(default_factory=dict)
    demoted: dict[str, au.PolicyDemoted] = field(default_factory=dict)

    def draft(self) -> Autonomy:
        """Return a copy that can take events without this one noticing."""
        return Autonomy(dict(self.offers), dict(self.rejected), dict(self.faults), dict(self.demoted))

    def mode_of(self, policy: HasMode) -> Mode:
        """Return how far a policy may go now."""
        return Mode.RECOMMEND if policy.mode is Mode.AUTO and policy.name in self.demoted else policy.mode

    def open_offer(self, key: str, wall: float) -> Offer | None:
        """Return the offer or approval of this id that stands at ``wall``, or None."""
        offer = self.offers.get(key)
        return offer if offer is not None and wall < offer.until_wall else None

    def offered_target(self, policy: str, source: HostName, vm: VmId, wall: float) -> HostName | None:
        """Return where a VM is to go by an offer that stands: it goes nowhere else while that is as good as any."""
        if not self.offers:
            return None
        found = [offer for offer in self.offers.values() if offer.vm == vm and offer.policy == policy
                 and offer.source == source and wall < offer.until_wall]
        return min(found, key=lambda offer: (not offer.approved_by, -offer.since_wall, offer.id)).target if found else None

    def rejection(self, grounds: str, wall: float) -> au.RecommendationRejected | None:
        """Return the rejection that keeps this from being offered at ``wall``, or None."""
        no = self.rejected.get(grounds)
        return no if no is not None and wall < no.until_wall else None

    def use_up(self, key: str) -> None:
        """An approval is good for one attempt."""
        self.offers.pop(key, None)

    def note_ending(self, migration: Migration, wall: float) -> None:
        """Count what a policy's moves came to. What strangers, operators and the kernel stopped is nobody's fault, and a
        failing host is saved whatever happens."""
        if migration.ending is Ending.COMPLETED:
            self.faults.pop(migration.policy, None)
        elif not migration.saving and (migration.overran if migration.abort_reason else migration.ending in FAULTS):
            kept = tuple(at for at in self.faults.get(migration.policy, ()) if at > wall - FAULT_MEMORY_SECONDS)
            self.faults[migration.policy] = (*kept, wall)[-FAULTS_TO_DEMOTE:]

    def apply(self, event: au.AutonomyEvent) -> None:
        """Book ``event``."""
        match event:
            case au.Recommended():
                self._offer(event)
            case au.RecommendationApproved():
                offer = self.offers[event.id]
                self.offers[event.id] = replace(offer, approved_by=event.by, until_wall=event.wall + offer.seconds)
            case au.RecommendationRejected():
                offer = self.offers.pop(event.id)
                kept = {key: one for key, one in self.rejected.items() if one.until_wall > event.wall}
                self.rejected = {**kept, offer.grounds: event}
            case au.ApprovalLapsed():
                self.offers.pop(event.id, None)
            case au.PolicyDemoted():
                self.demoted[event.policy] = event
                self.faults.pop(event.policy, None)
            case au.PolicyPromoted():
                self.demoted.pop(event.policy, None)
                self.faults.pop(event.policy, None)

    def _offer(self, e: au.Recommended) -> None:
        # an approval that ran out stays until its lapse is told
        self.offers = {key: one for key, one in self.offers.items() if one.until_wall > e.wall or one.approved_by}
        self.offers[e.id] = Offer(e.id, e.policy, e.reason, e.source, e.because, e.vm, e.vm_name, e.target, e.memory, e.wall,
                                  e.seconds, e.wall + e.seconds, room_for=e.room_for)


AUTONOMY_EVENTS: tuple[type, ...] = typing.get_args(au.AutonomyEvent)
