"""What the ledger is made of: durable facts, one class per kind, in the order they were decided.

The controller proposes events; the journal makes them durable; only then does the ledger take them. After a
restart the same events, replayed in order, give the same ledger. ``to_record`` and ``from_record`` give the
plain form the journal stores; records carry ``v`` and unknown fields are refused, never guessed. What is as by default is
not stored: a new field's default has to mean what records without it meant, and no default may change.
"""

from __future__ import annotations

import typing
from dataclasses import dataclass
from typing import Any

from ballastd.core.arrival_checks import Arrival, Check
from ballastd.core.autonomy_events import AutonomyEvent
from ballastd.core.autostart_events import AutostartEvent
from ballastd.core.inventory import Dirtying
from ballastd.core.migrations import CallResult, Ending, MigrationPhase
from ballastd.core.plain import from_plain, to_plain
from ballastd.core.power_events import PowerEvent
from ballastd.core.quantities import Bytes, HostName, VmId
from ballastd.core.shutdown_events import ShutdownEvent

RECORD_VERSION = 1


@dataclass(frozen=True, slots=True)
class DaemonStarted:
    """A daemon opened the journal. ``clean``: whether the one before it said goodbye."""

    wall: float
    boot_id: str
    version: str


@dataclass(frozen=True, slots=True)
class DaemonStopped:
    """An orderly stop: nothing new was started after it."""

    wall: float


@dataclass(frozen=True, slots=True)
class PoliciesLoaded:
    """Another policy set governs from here on."""

    wall: float
    digest: str


@dataclass(frozen=True, slots=True)
class MigrationOrdered:
    """The intent to move a VM: recorded before anything is done."""

    wall: float
    id: str
    vm: VmId
    vm_name: str
    source: HostName
    target: HostName
    memory: Bytes
    bandwidth_mib_s: int
    policy: str
    because: str
    deadline_wall: float
    predicted: float
    adopted: bool = False
    retry: int = 0
    routine: bool = False
    urgent: bool = False
    runners_up: tuple[str, ...] = ()
    why_not: tuple[str, ...] = ()
    saving: bool = False
    recommendation: str = ""
    approved_by: str = ""
    downtime_ms: int = 0
    auto_converge: bool = False
    post_copy: bool = False
    reckoned: float = 0.0
    downtime_reckoned_ms: float | None = None
    downtime_predicted_ms: float | None = None


@dataclass(frozen=True, slots=True)
class MigrationCalled:
    """The call returned. What it said is advice; the ends decide. ``downtime_ms``: how long the VM stood still at its end,
    None where it was not said."""

    wall: float
    id: str
    result: CallResult
    message: str = ""
    downtime_ms: float | None = None


@dataclass(frozen=True, slots=True)
class MigrationMoved:
    """A migration entered another phase, with the observation that led to it."""

    wall: float
    id: str
    phase: MigrationPhase
    detail: str = ""


@dataclass(frozen=True, slots=True)
class MigrationOutOfSight:
    """The source of an open migration stopped answering: once it is back, both ends are watched for longer."""

    wall: float
    id: str


@dataclass(frozen=True, slots=True)
class MigrationSettled:
    """The books of a migration are closed. ``dirtied``: how fast its VM dirtied its memory, None where it did not show."""

    wall: float
    id: str
    ending: Ending
    detail: str = ""
    dirtied: Dirtying | None = None


@dataclass(frozen=True, slots=True)
class AbortOrdered:
    """The intent to cancel a running job. ``overran``: its own time was over or it got nowhere, nobody else is to blame."""

    wall: float
    id: str
    reason: str
    overran: bool = False


@dataclass(frozen=True, slots=True)
class HandPauseSeen:
    """Somebody paused the VM of a running migration: a stranger's hand, to be respected."""

    wall: float
    id: str


@dataclass(frozen=True, slots=True)
class BandwidthOrdered:
    """The intent to give a running job another bandwidth. ``because``: why it is no even share; ``climbs``: it has more than
    that, for it does not converge with it."""

    wall: float
    id: str
    bandwidth_mib_s: int
    because: str = ""
    climbs: bool = False


@dataclass(frozen=True, slots=True)
class WayGiven:
    """A migration that gives way to others on its links got so much less of them than its static share, and why: with an
    order of its own, which says that it may, and with each bandwidth that changes on that account."""

    wall: float
    id: str
    less_mib_s: int
    because: str


@dataclass(frozen=True, slots=True)
class DowntimeOrdered:
    """The intent to let the VM of a running job stand still for longer at its end, milliseconds. ``needed_ms``: how long it
    would have to at what its last round left."""

    wall: float
    id: str
    downtime_ms: int
    needed_ms: int


@dataclass(frozen=True, slots=True)
class PostCopyOrdered:
    """The intent to run the VM of a running job at its target before all of its memory is there. There is no way back."""

    wall: float
    id: str
    because: str


@dataclass(frozen=True, slots=True)
class PostCopyWithdrawn:
    """That intent is given up: the VM still runs at its source, and its migration may be called off again."""

    wall: float
    id: str
    because: str


@dataclass(frozen=True, slots=True)
class CheckOrdered:
    """The intent to ask the VM of a migration whether it answers: once before it leaves, and when it has arrived. It ends
    with ``ArrivalChecked``, or with a migration that does not complete."""

    wall: float
    id: str
    check: Check


@dataclass(frozen=True, slots=True)
class AskedBefore:
    """Whether a VM answered before it was moved."""

    wall: float
    id: str
    answered: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ArrivalChecked:
    """What came of asking a VM that has arrived, ``seconds`` after its migration was settled. It is not asked any more."""

    wall: float
    id: str
    arrival: Arrival
    seconds: float = 0.0
    detail: str = ""


@dataclass(frozen=True, slots=True)
class VerdictLatched:
    """A latched condition fired on a host."""

    wall: float
    policy: str
    host: HostName
    evidence: str


@dataclass(frozen=True, slots=True)
class VerdictsAcknowledged:
    """An operator acknowledged the latched verdicts of a host; only what comes later counts again."""

    wall: float
    host: HostName
    by: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class CountersNoted:
    """What counters of a latched metric showed, so that a rise during our absence is not missed."""

    wall: float
    host: HostName
    metric: str
    values: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class EvacuationBegun:
    """The first move of emptying a host was granted; counts against the hourly rate."""

    wall: float
    host: HostName
    policy: str


@dataclass(frozen=True, slots=True)
class EvacuationEnded:
    """A host is empty, or the reason to empty it is gone."""

    wall: float
    host: HostName
    detail: str


@dataclass(frozen=True, slots=True)
class HostCordoned:
    """Nothing may land on a host, by an operator's word. ``by``: who."""

    wall: float
    host: HostName
    by: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class HostUncordoned:
    """The operator's cordon is lifted."""

    wall: float
    host: HostName
    by: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class DrainRequested:
    """A host is to be emptied, by an operator's word."""

    wall: float
    host: HostName
    by: str
    deadline_wall: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class DrainCancelled:
    """The operator's drain is lifted; what already moved stays where it is."""

    wall: float
    host: HostName
    by: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class HostConfirmedDead:
    """An operator vouches that a host is off: what it held is released."""

    wall: float
    host: HostName
    by: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class HostSeenAlive:
    """A host that was confirmed dead answered again."""

    wall: float
    host: HostName


@dataclass(frozen=True, slots=True)
class Paused:
    """Every new act stops until resumed."""

    wall: float
    by: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Resumed:
    """Acts may start again."""

    wall: float
    by: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class SiteEventBegun:
    """More hosts fired at once than single faults explain: nothing new starts."""

    wall: float
    detail: str


@dataclass(frozen=True, slots=True)
class SiteEventEnded:
    """The site event is over."""

    wall: float


@dataclass(frozen=True, slots=True)
class DuplicateSeen:
    """A VM runs on more than one host: these hosts are frozen until an operator has dealt with it."""

    wall: float
    vm: VmId
    vm_name: str
    hosts: tuple[HostName, ...]


@dataclass(frozen=True, slots=True)
class DuplicateCleared:
    """The VM was seen on one host only, on two successive looks."""

    wall: float
    vm: VmId


@dataclass(frozen=True, slots=True)
class ForeignMoveSeen:
    """Somebody else moved a VM: it is left where they put it for a while."""

    wall: float
    vm: VmId
    vm_name: str
    source: HostName
    target: HostName


@dataclass(frozen=True, slots=True)
class InvariantFailed:
    """Our own mistake was caught; observe-only until a person restarts us."""

    wall: float
    detail: str


@dataclass(frozen=True, slots=True)
class JournalRecovered:
    """The journal could be written again after it could not."""

    wall: float


@dataclass(frozen=True, slots=True)
class JournalReplaced:
    """A damaged journal was set aside by an operator's word; this one goes on after it."""

    wall: float
    old: str
    last_good: int


@dataclass(frozen=True, slots=True)
class ClockStepped:
    """The wall clock was set, ``by`` so many seconds: whatever was noted since ``booted_wall``, when this machine booted by
    the clock as it was, is as old as it was before. What lies later than ``wall`` even so counts as noted now. With a ``by``
    of 0 that alone holds: a run begins, and knows of no step. What may last until some time keeps its length."""

    wall: float
    by: float
    booted_wall: float


@dataclass(frozen=True, slots=True)
class CheckpointTaken:
    """The whole ledger as it stood before this record: what came before may be archived. ``state``: as JSON text."""

    wall: float
    state: str


Event = (
    DaemonStarted | DaemonStopped | PoliciesLoaded | MigrationOrdered | MigrationCalled | MigrationMoved
    | MigrationOutOfSight | MigrationSettled | AbortOrdered | BandwidthOrdered | WayGiven | DowntimeOrdered
    | PostCopyOrdered | PostCopyWithdrawn | CheckOrdered | AskedBefore | ArrivalChecked
    | VerdictLatched | VerdictsAcknowledged | CountersNoted | EvacuationBegun
    | EvacuationEnded | HostCordoned | HostUncordoned | HandPauseSeen
    | DrainRequested | DrainCancelled | HostConfirmedDead | Paused | Resumed | SiteEventBegun | SiteEventEnded
    | DuplicateSeen | DuplicateCleared | InvariantFailed | HostSeenAlive | JournalRecovered | JournalReplaced
    | ForeignMoveSeen | ClockStepped | CheckpointTaken | AutonomyEvent | AutostartEvent | PowerEvent | ShutdownEvent
)

_KINDS: dict[str, type[Any]] = {kind.__name__: kind for kind in typing.get_args(Event)}


def to_record(event: Event) -> dict[str, Any]:
    """Return ``event`` as JSON-ready data: ``{"v": 1, "kind": ..., field: value, ...}``, without what is as by default."""
    return {"v": RECORD_VERSION, "kind": type(event).__name__, **to_plain(event, sparse=True)}


def from_record(record: dict[str, Any]) -> Event:
    """Return the event of a record.

    Raises:
        ValueError, TypeError: an unknown version, kind or field: written by a newer release, or damaged.
    """
    fields = dict(record)
    version, kind = fields.pop("v", None), fields.pop("kind", None)
    if version != RECORD_VERSION or kind not in _KINDS:
        raise ValueError(f"journal record of kind {kind!r}, version {version!r} is not known to this release")
    try:
        event: Event = from_plain(_KINDS[kind], fields)
    except (ValueError, TypeError) as error:
        raise ValueError(f"journal record {kind}: {error}") from error
    return event
