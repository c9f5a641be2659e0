"""What stands against acts at one instant: facts, whatever is planned on them. The kernel is told with every step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ballastd.core.plans import DeferralKind, Refusal
from ballastd.core.quantities import HostName, Instant


@dataclass(frozen=True, slots=True)
class Gate:
    """Something that keeps acts from starting. ``passes``: hosts whose evacuation goes on regardless."""

    kind: DeferralKind
    reason: str
    until_wall: float | None = None
    passes: frozenset[HostName] = frozenset()

    @property
    def lets_wake(self) -> bool:
        """Whether hosts may be switched on all the same: those that are unknown may be the very ones."""
        return self.kind is DeferralKind.FROZEN


@dataclass(frozen=True, slots=True)
class Clearance:
    """``at``: when it was so. ``avoid``: hosts on which nothing may land (sick, silent, closed, ...), and the first reason
    of each. ``asked``: hosts that a person wants emptied or off. ``packing``: hosts that a policy empties to switch off.
    ``wakes``: hosts that a person wants on."""

    at: Instant
    gates: tuple[Gate, ...] = ()
    avoid: Mapping[HostName, Refusal] = field(default_factory=dict)
    asked: frozenset[HostName] = frozenset()
    packing: frozenset[HostName] = frozenset()
    wakes: frozenset[HostName] = frozenset()
