"""Everything that may reach the mind. What is not an input does not exist for it."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from ballastd.core.inventory import HostInventory, Progress
from ballastd.core.migrations import CallResult
from ballastd.core.policies import PolicySet
from ballastd.core.power import PowerStatus
from ballastd.core.quantities import HostName, Instant, Seconds
from ballastd.core.telemetry import AgentState, Report


@dataclass(frozen=True, slots=True)
class HostUnreachable:
    """A host's hypervisor did not answer an inventory."""

    host: HostName
    at: Instant
    reason: str


@dataclass(frozen=True, slots=True)
class CallReturned:
    """The call that carried out an order returned, at ``at``. ``downtime``: how long the VM stood still at the end, seconds,
    None where that was not said."""

    migration: str
    result: CallResult
    message: str
    at: Instant
    downtime: Seconds | None = None


@dataclass(frozen=True, slots=True)
class ProgressSeen:
    """Where a running job is, or None when its host shows no job."""

    migration: str
    progress: Progress | None
    at: Instant


@dataclass(frozen=True, slots=True)
class VmAsked:
    """What came of asking the VM of a migration whether it answers, ``before`` it left or once it had arrived. ``answered``:
    None where it was not asked after all, or nobody knows."""

    migration: str
    before: bool
    answered: bool | None
    detail: str
    at: Instant


@dataclass(frozen=True, slots=True)
class PoliciesReplaced:
    """Another policy set was loaded whole and governs from this step on."""

    policies: PolicySet


@dataclass(frozen=True, slots=True)
class TelemetryConnected:
    """The broker was reached: nobody is believed until heard again."""

    at: Instant


@dataclass(frozen=True, slots=True)
class TelemetryLost:
    """The broker is gone."""

    at: Instant
    reason: str


@dataclass(frozen=True, slots=True)
class SelfSuspect:
    """We were late ourselves: our loop lagged, we were suspended, or the wall clock stepped."""

    at: Instant
    reason: str


@dataclass(frozen=True, slots=True)
class RivalSeen:
    """Another daemon claims this cluster (its name), or no longer does (None): two must never act."""

    at: Instant
    name: str | None


@dataclass(frozen=True, slots=True)
class PowerSeen:
    """What a host's power controller said, or (``status`` None) why it said nothing useful."""

    host: HostName
    status: PowerStatus | None
    at: Instant
    reason: str = ""


@dataclass(frozen=True, slots=True)
class PowerReturned:
    """The call that carried out a power order returned. What it said is advice: two other signs decide."""

    order: str
    host: HostName
    result: CallResult
    message: str
    at: Instant


@dataclass(frozen=True, slots=True)
class BandwidthSet:
    """The call that gave a running job another bandwidth, MiB/s, returned, and well."""

    migration: str
    bandwidth_mib_s: int
    at: Instant


@dataclass(frozen=True, slots=True)
class ShutdownReturned:
    """The call that asked a guest to shut down for the time ``times`` returned. What it said is advice: its host shows what
    becomes of it."""

    id: str
    times: int
    result: CallResult
    message: str
    at: Instant


class Verb(enum.Enum):
    """What an operator may ask of the daemon."""

    CORDON = "cordon"
    UNCORDON = "uncordon"
    DRAIN = "drain"
    UNDRAIN = "undrain"
    ACKNOWLEDGE = "acknowledge"
    CONFIRM_DEAD = "confirm-dead"
    ABORT = "abort"
    PAUSE = "pause"
    RESUME = "resume"
    POWER_ON = "power-on"
    POWER_OFF = "power-off"
    CONFIRM_WAKEABLE = "confirm-wakeable"
    WAKE_TEST = "wake-test"
    CHECKPOINT = "checkpoint"
    APPROVE = "approve"
    REJECT = "reject"
    APPROVE_ALL_OF = "approve-all-of"
    REJECT_ALL_OF = "reject-all-of"
    PROMOTE = "promote"


@dataclass(frozen=True, slots=True)
class OperatorCommand:
    """One wish of an operator. ``subject``: host name, migration id, recommendation id,
    policy name, or empty. ``by``: who asks.

    ``deadline_wall``: for a drain, when it should be done. ``token``: what the answer is returned under.
    """

    token: str
    verb: Verb
    subject: str
    by: str
    reason: str = ""
    deadline_wall: float | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a command: accepted (and durable), or refused with the reason and the cure."""

    token: str
    accepted: bool
    message: str


Input = (
    Report | AgentState | HostInventory | HostUnreachable | CallReturned | ProgressSeen | PoliciesReplaced
    | TelemetryConnected | TelemetryLost | SelfSuspect | RivalSeen | OperatorCommand | PowerSeen | PowerReturned
    | ShutdownReturned | VmAsked | BandwidthSet
)
