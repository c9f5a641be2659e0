"""What ought to change, with the policy and the evidence behind it."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from ballastd.core.policies import EvacuationOrder, Health, Mode
from ballastd.core.quantities import HostName, Instant


class IntentKind(enum.Enum):
    """What ought to happen to a host."""

    EVACUATE = "evacuate"
    DRAIN = "drain"


@dataclass(frozen=True, slots=True)
class Intent:
    """Empty ``host``. ``policy``: the policy's name, or ``operator``. ``because``: evidence in words.

    ``urgent``: windows do not apply. ``severity``: FAILING may use the failover reserve.
    """

    kind: IntentKind
    host: HostName
    policy: str
    because: str
    severity: Health
    since: Instant
    mode: Mode = Mode.AUTO
    urgent: bool = False
    deadline_wall: float | None = None
    windows: tuple[str, ...] = ()
    avoid_labels: tuple[str, ...] = ()
    """Host labels (cooling, power) that a target must not share with the host: its fault may be theirs."""
    order: tuple[EvacuationOrder, ...] = (EvacuationOrder.PRIORITY, EvacuationOrder.SHORTEST)

    @property
    def saves_from_failing_host(self) -> bool:
        """Whether the failover reserve may be used: only while saving VMs from a failing host."""
        return self.severity is Health.FAILING
