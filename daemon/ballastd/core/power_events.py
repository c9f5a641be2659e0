"""What happens to hosts that are emptied, switched off and woken, as it stands in the journal. Part of ``events``."""

from __future__ import annotations

from dataclasses import dataclass

from ballastd.core.quantities import HostName


@dataclass(frozen=True, slots=True)
class HostEmptying:
    """A host was chosen to be switched off; its VMs are to leave first. ``next_hosts``: those that are to follow it."""

    wall: float
    host: HostName
    policy: str
    because: str
    recommendation: str = ""
    approved_by: str = ""
    next_hosts: tuple[HostName, ...] = ()


@dataclass(frozen=True, slots=True)
class HostClosing:
    """A host is empty: its hook is closed now, and it is looked at twice more before it is switched off."""

    wall: float
    host: HostName


@dataclass(frozen=True, slots=True)
class HostKept:
    """A host that was to be switched off stays on after all, or one that failed is used again."""

    wall: float
    host: HostName
    detail: str


@dataclass(frozen=True, slots=True)
class PowerOffOrdered:
    """The intent to shut a host down in order: recorded before its controller is told. ``machine``: the UUID by which
    its hypervisor knows the machine, to know it again when it is woken."""

    wall: float
    id: str
    host: HostName
    policy: str
    because: str
    machine: str = ""


@dataclass(frozen=True, slots=True)
class WakeAsked:
    """An operator wants a host switched on."""

    wall: float
    host: HostName
    by: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class WakeOrdered:
    """The intent to switch a host on."""

    wall: float
    id: str
    host: HostName
    policy: str
    because: str


@dataclass(frozen=True, slots=True)
class WakeWithheld:
    """A wake was not carried out: the host is off still, and is woken again."""

    wall: float
    host: HostName
    detail: str


@dataclass(frozen=True, slots=True)
class HostOff:
    """A host went off as ordered: its controller says so, and so does its silence."""

    wall: float
    host: HostName
    detail: str


@dataclass(frozen=True, slots=True)
class HostAwake:
    """A host that was off is back: its hypervisor answers and its telemetry is believed. ``seconds`` since the order,
    None where it was not ours."""

    wall: float
    host: HostName
    detail: str
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class PowerFailed:
    """A host did not go off or did not come back in time, or its controller does not tell the truth."""

    wall: float
    host: HostName
    detail: str


@dataclass(frozen=True, slots=True)
class WakeabilityConfirmed:
    """An operator vouches that a host can be woken."""

    wall: float
    host: HostName
    by: str
    reason: str = ""


PowerEvent = (
    HostEmptying | HostClosing | HostKept | PowerOffOrdered | WakeOrdered | HostOff
    | HostAwake | PowerFailed | WakeabilityConfirmed | WakeAsked | WakeWithheld
)
