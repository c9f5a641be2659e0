"""The power of a host, as values: what its controller says, and where we are with switching it off or on."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from ballastd.core.quantities import HostName


class PowerState(enum.Enum):
    """What a power controller says of its host."""

    ON = "on"
    OFF = "off"
    UNKNOWN = "unknown"
    """Neither: it is changing, or the controller cannot say."""


@dataclass(frozen=True, slots=True)
class PowerStatus:
    """One controller's answer. ``identity``: the SMBIOS UUID of the machine it controls, lower-case and canonical, or
    None where it cannot tell. ``detail``: its own words."""

    state: PowerState
    identity: str | None
    detail: str = ""


class PowerPhase(enum.Enum):
    """Where a host is between on and off. A host that is simply on has no phase."""

    EMPTYING = "emptying"
    """Chosen to be switched off; its VMs are leaving."""
    CLOSING = "closing"
    """Empty; its hook is being closed, and it is looked at twice more."""
    GOING_OFF = "going-off"
    """The shutdown was ordered."""
    OFF = "off"
    """Switched off by us, and seen to be off by two signs. It stands by: its silence is expected."""
    WAKING = "waking"
    """Switching it on was ordered."""
    FAILED = "failed"
    """It did not do what it was told, or its controller does not tell the truth. An operator has to look."""


AGENT_WORD_SECONDS = 130.0
"""An agent's word that is older than this says nothing of now; it repeats itself every minute, and at every change."""
WAKE_TEST = "wake-test"
"""The policy of a host that goes off only to show that it comes back."""
STANDING_BY = frozenset({PowerPhase.GOING_OFF, PowerPhase.OFF, PowerPhase.WAKING})
"""Phases in which a host's silence is expected."""


@dataclass(frozen=True, slots=True)
class HostPower:
    """One host on its way off or back. ``order``: the open power order, empty without one. ``since_wall``: when the
    phase began; ``off_wall``: when it went off, None before; ``machine``: its UUID, empty before it is told to go off.
    ``approved_by``: who approved it, where its policy only recommends. ``next_hosts``: those that were to be emptied after
    it when it was chosen, the first first."""

    phase: PowerPhase
    policy: str
    because: str
    since_wall: float
    order: str = ""
    off_wall: float | None = None
    machine: str = ""
    approved_by: str = ""
    next_hosts: tuple[HostName, ...] = ()


@dataclass(frozen=True, slots=True)
class PowerAct:
    """One order to a power controller: what rates and daily cycles are counted from."""

    wall: float
    host: HostName
    on: bool


@dataclass(frozen=True, slots=True)
class PowerOrder:
    """Switch one host on, or ask it to shut down in order. Journalled before it is carried out, carried out once."""

    id: str
    host: HostName
    on: bool
    policy: str
    because: str
    revision: int


def same_machine(controller: str, hypervisor: str) -> bool:
    """Return whether two SMBIOS UUIDs name one machine. Some controllers swap the bytes of the first three fields
    (SMBIOS 2.6, section 7.2.1), so either order will do."""
    one, other = controller.strip().lower(), hypervisor.strip().lower()
    return bool(one) and (one == other or _swapped(one) == other)


def _swapped(uuid: str) -> str:
    fields = uuid.split("-")
    if len(fields) != 5 or any(len(field) % 2 for field in fields):
        return ""
    turned = ["".join(reversed([field[i:i + 2] for i in range(0, len(field), 2)])) for field in fields[:3]]
    return "-".join((*turned, *fields[3:]))
