"""The ports: what the mind and the shell need of the world, with full contracts.

The same unmodified daemon runs against libvirt, against the simulator and against a recording, because all of
them stand behind these.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import time
from typing import Any, Protocol, TypeVar

from ballastd.core.arrival_checks import Check
from ballastd.core.inputs import Answer, OperatorCommand
from ballastd.core.inventory import HostInventory, Progress
from ballastd.core.plans import Order, Refusal
from ballastd.core.power import PowerStatus
from ballastd.core.quantities import HostName, Instant, Seconds, VmId
from ballastd.core.saved_cluster import ClusterCopy
from ballastd.core.summary import Summary
from ballastd.core.telemetry import AgentState, Report
from ballastd.core.views import ClusterView

T = TypeVar("T")


class Clock(Protocol):
    """Both clocks. In the simulator both are virtual."""

    def now(self) -> Instant:
        """Return the present instant; ``monotonic`` never goes back, ``wall`` may."""
        ...


class Blocking(Protocol):
    """Runs calls that block, one at a time per lane, each lane on a thread of its own."""

    async def run(self, lane: str, call: Callable[[], T], *, deadline: float) -> T:
        """Return what ``call`` returns.

        A lane runs its calls one after the other, in order. After ``deadline`` seconds (counted from the
        start of the wait, queueing included) the call is abandoned together with its lane: its thread is
        left behind and counted, and the next call on that lane gets a new thread.

        Raises:
            Unreachable: the deadline passed, or too many calls are abandoned already.
        """
        ...

    def abandoned(self) -> int:
        """Return how many abandoned calls have still not returned."""
        ...

    async def close(self) -> None:
        """Let go of all lanes; never waits for a hung call."""
        ...


class HostChange(enum.Enum):
    """Why a host deserves a look before its turn."""

    LIFECYCLE = "lifecycle"
    JOB = "job"
    CONNECTED = "connected"
    DISCONNECTED = "disconnected"


@dataclass(frozen=True, slots=True)
class HostHint:
    """Something changed on a host. A hint is never a fact: it only says where to look."""

    host: HostName
    change: HostChange
    vm: VmId | None = None
    detail: str = ""


class Hypervisor(Protocol):
    """All declared hosts' hypervisors. One call in flight per host and lane; every call has a time limit."""

    async def start(self) -> None:
        """Begin connecting to every host. A host that does not answer does not delay the others."""
        ...

    def hints(self) -> AsyncIterator[HostHint]:
        """Yield hints as they come, for ever. Bounded inside: the same hint twice may come once."""
        ...

    async def inventory(self, host: HostName, *, load: bool = True) -> HostInventory:
        """Return what the host has. Nothing in it is older than its ``begun``.

        ``load``: whether what VMs use beside their processors is asked for as well, which takes longer.

        Raises:
            Unreachable: it did not answer in time; nothing is known.
        """
        ...

    async def examine(self, order: Order) -> tuple[Refusal, ...]:
        """Return what speaks against ``order`` as far as both hosts can tell without touching the guest:
        CPU, machine type, networks, a UUID or name taken at the target. Empty means nothing was found.

        Raises:
            Unreachable: one of them did not answer.
        """
        ...

    async def definition(self, host: HostName, vm: VmId) -> str:
        """Return what ``vm`` is defined as on ``host``, as its hypervisor takes it to define it anew: the persistent
        definition where it has one. Passwords are not in it.

        Raises:
            Unreachable: the host did not answer.
            VmVanished: the VM is not there.
        """
        ...

    async def migrate(self, order: Order) -> Seconds | None:
        """Migrate live, peer to peer; return once the caller's side says it is done: how long the VM stood still at the end,
        None where nobody measured it.

        Keeps the VM's persistence and autostart as they were. Cancelling the call detaches from the job,
        which goes on; an abort is always ``abort``.

        Raises:
            MigrationRefused: nothing was started.
            MigrationFailed: it started; the VM should be at the source.
            MigrationAborted: it was cancelled on demand; the VM should be at the source.
            VmVanished: the VM is not at the source.
            OutcomeUnknown, Unreachable: anything may have happened. Observe both ends, then decide.
        """
        ...

    async def progress(self, host: HostName, vm: VmId) -> Progress | None:
        """Return where the outgoing job of ``vm`` on ``host`` is, or None when there is none.

        Raises:
            Unreachable: the host did not answer.
        """
        ...

    async def set_bandwidth(self, host: HostName, vm: VmId, bandwidth_mib_s: int) -> None:
        """Give the outgoing job of ``vm`` another bandwidth, MiB/s, at least 1. No job: nothing happens.

        Raises:
            Unreachable: the host did not answer.
        """
        ...

    async def set_downtime(self, host: HostName, vm: VmId, downtime_ms: int) -> None:
        """Let the VM of the outgoing job stand still at its end for so long, milliseconds, at least 1. No job: nothing
        happens.

        Raises:
            Unreachable: the host did not answer.
        """
        ...

    async def start_post_copy(self, host: HostName, vm: VmId) -> None:
        """Have the VM of the outgoing job, which was begun with ``post_copy``, run at its target now; what is left of its
        memory follows it, at the job's bandwidth. In post-copy already, or no job: nothing happens.

        Raises:
            Unreachable: the host did not answer.
            MigrationRefused: its hypervisor does not do it; the job goes on as it was.
        """
        ...

    async def shut_down(self, host: HostName, vm: VmId) -> None:
        """Ask the guest of ``vm`` to shut down in order, as one asks by its power button or its agent; return once it was
        asked. It may take its time, or not obey. Never destroyed, never restarted. Not running there: nothing happens.

        Raises:
            Unreachable: the host did not answer; it was asked or not.
            ShutdownRefused: it was not asked, and why.
        """
        ...

    async def abort(self, host: HostName, vm: VmId) -> None:
        """Ask for the outgoing job of ``vm`` to be cancelled. No job: nothing happens. Never in post-copy.

        Raises:
            Unreachable: the host did not answer.
        """
        ...

    async def close(self) -> None:
        """Let go of every connection without waiting for a host. Running jobs go on."""
        ...


@dataclass(frozen=True, slots=True)
class ProbeAnswer:
    """What came of asking a VM once, and in words how, or why not. ``answered``: None where that attempt says nothing of the
    VM: it was not asked after all, or what kept its answer from us is not its own."""

    answered: bool | None
    detail: str


class ArrivalProbe(Protocol):
    """Asks VMs from outside whether they answer. Changes nothing, sends nothing secret, believes nothing it is told."""

    async def ask(self, host: HostName, vm: VmId, check: Check) -> ProbeAnswer:
        """Ask a VM once, in its owner's way, within a few seconds. ``host``: where it runs.

        Raises:
            CheckRefused: it was not asked, because that is not allowed; the message says why.
        """
        ...


class Power(Protocol):
    """The power of declared hosts. What a controller says is one sign, never a proof; there is no forced off."""

    async def status(self, host: HostName) -> PowerStatus:
        """Return what the host's controller says now.

        Raises:
            Unreachable: it did not answer in time.
            PowerRefused: it answered, and not usefully; the message names the controller and the cure.
        """
        ...

    async def power_off(self, host: HostName) -> None:
        """Ask for an orderly shutdown of the operating system; return once the request is taken. A host that is off
        already stays off.

        Raises:
            Unreachable: nobody knows whether it was taken.
            PowerRefused: it was not taken.
        """
        ...

    async def power_on(self, host: HostName) -> None:
        """Ask for the host to be switched on; return once the request is taken. A host that is on stays on.

        Raises:
            Unreachable: nobody knows whether it was taken.
            PowerRefused: it was not taken.
        """
        ...

    async def close(self) -> None:
        """Let go of every controller without waiting for one."""
        ...


@dataclass(frozen=True, slots=True)
class TelemetryUp:
    """The broker was reached and the subscriptions stand."""

    at: Instant


@dataclass(frozen=True, slots=True)
class TelemetryDown:
    """The broker is gone; connecting again is under way."""

    at: Instant
    reason: str


@dataclass(frozen=True, slots=True)
class Malformed:
    """A message that is not used. ``host``: the declared host whose topic it came on, or None."""

    host: HostName | None
    reason: str
    at: Instant


TelemetryItem = Report | AgentState | TelemetryUp | TelemetryDown | Malformed


class TelemetrySource(Protocol):
    """Host telemetry from a broker, decoded. Reconnects inside; never raises for a broker's trouble."""

    def items(self) -> AsyncIterator[TelemetryItem]:
        """Yield items as they come, for ever: reports of declared hosts only, in order per host."""
        ...

    def counters(self) -> dict[str, float]:
        """Return running counts: messages received, used, dropped per host, malformed per host and reason."""
        ...


@dataclass(frozen=True, slots=True)
class KeptDefinition:
    """What a VM was defined as when a migration of it began, at ``wall`` seconds: as ``virsh define`` takes it."""

    vm: VmId
    wall: float
    definition: str


class Definitions(Protocol):
    """Where definitions of VMs that are moved are kept, the last of each."""

    async def keep(self, vm: VmId, definition: str) -> None:
        """Keep it durably in the place of an earlier one.

        Raises:
            DefinitionNotKept: it is not durable.
        """
        ...

    async def kept(self, vm: VmId) -> KeptDefinition | None:
        """Return what was kept of a VM last, or None.

        Raises:
            DefinitionNotKept: nobody can say.
            Unreachable: it took too long.
        """
        ...

    async def drop(self, before_wall: float) -> int:
        """Forget those that were kept before; return how many.

        Raises:
            DefinitionNotKept: not all of them could be deleted.
        """
        ...


class Recording(Protocol):
    """Where the diary of what was seen is kept. Best effort: what cannot be written is dropped."""

    def add(self, entries: list[dict[str, Any]]) -> None:
        """Take entries to be written soon."""
        ...

    async def run(self) -> None:
        """Write for ever."""
        ...


class Notices(Protocol):
    """Where notices and requests go: MQTT. Delivery is best effort and never blocks a decision."""

    async def run(self) -> None:
        """Stay connected; return never."""
        ...

    async def flush(self, seconds: float) -> bool:
        """Wait until everything queued is delivered, ``seconds`` at most; return whether it is."""
        ...

    def cordon(self, host: HostName, until_wall: float, by: str) -> None:
        """Ask a host's agent to let nothing start or land there until ``until_wall``; retained, expiring."""
        ...

    def uncordon(self, host: HostName) -> None:
        """Lift that request."""
        ...

    def claim(self, holder: str) -> None:
        """Say that this cluster is ours, under a name that stays the same over restarts. To be repeated."""
        ...

    def release(self) -> None:
        """Give the claim up: an orderly stop."""
        ...

    def rival_name(self) -> str | None:
        """Return the name of another daemon that claimed this cluster lately, or None."""
        ...

    def publish(self, topic: str, payload: dict[str, Any], *, retain: bool = False) -> None:
        """Queue ``payload`` (JSON) under ``<prefix>/v1/<topic>``; the queue is bounded and drops the oldest."""
        ...


@dataclass(frozen=True, slots=True)
class JournalRecord:
    """One durable record: its place in the sequence, the revision it belongs to, and its content."""

    sequence: int
    revision: int
    content: dict[str, Any]


@dataclass(frozen=True, slots=True)
class JournalHealth:
    """What opening the journal found. ``damage``: what is missing or altered, in words, None if all is well."""

    records: int
    head: int
    damage: str | None


class Journal(Protocol):
    """The durable, append-only record of what was decided. One writer. Written before anything is done."""

    def open(self) -> JournalHealth:
        """Open or create it, verify every row against its checksum, its predecessor and the high-water mark.

        Damage is reported, not raised, so that the daemon can observe and page.

        Raises:
            JournalError: it cannot be opened at all (no permission, not a database, another writer).
        """
        ...

    def append(self, revision: int, contents: Sequence[dict[str, Any]]) -> int:
        """Make ``contents`` durable, all or nothing; return the new head of the sequence.

        Raises:
            JournalError: not durable (disk full, read-only, I/O error, damaged before): nothing may be done.
        """
        ...

    def replay(self) -> Iterator[JournalRecord]:
        """Yield all records from the first that was not archived, in order, up to the first damage."""
        ...

    def archive(self, before: int) -> int:
        """Copy the records before number ``before`` into an archive of their own, durably and read back; return how
        many. They stay in the journal until ``cut``. May take long; appends go on beside it.

        Raises:
            JournalError: there is no room, the journal is damaged, or holds no such records: nothing changed.
        """
        ...

    def cut(self, before: int) -> None:
        """Take the records before number ``before`` out of the journal. The one at ``before`` has to be a checkpoint.

        Raises:
            JournalError: they were not archived by this run, or the journal cannot be written: nothing changed.
        """
        ...

    def drop_archive(self, before_wall: float) -> str | None:
        """Delete the oldest archive if it was written before ``before_wall``; return its name if so.

        Raises:
            JournalError: it cannot be deleted.
        """
        ...

    def tail(self, count: int) -> tuple[JournalRecord, ...]:
        """Return the last ``count`` records, oldest first."""
        ...

    def close(self) -> None:
        """Close it; a later ``open`` finds everything appended."""
        ...


class Calendar(Protocol):
    """Chores at a time of day. Late ones are done late or left to the next day, never twice."""

    def daily(self, name: str, at: time, chore: Callable[[], Awaitable[None]]) -> None:
        """Enter ``chore`` for ``at`` every day, in the calendar's zone; before ``start``. One that fails is logged."""
        ...

    def start(self) -> None:
        """Begin, on the running event loop."""
        ...

    def stop(self) -> None:
        """Begin nothing more; what runs goes on."""
        ...


class Console(Protocol):
    """What the local API needs of the daemon."""

    def view(self) -> ClusterView | None:
        """Return the picture after the last step, or None before the first."""
        ...

    async def command(self, command: OperatorCommand) -> Answer:
        """Hand a command to the mind; return its answer once it is durable (or refused)."""
        ...

    async def journal(self, count: int) -> tuple[JournalRecord, ...]:
        """Return the last ``count`` journal records, oldest first."""
        ...

    async def definition(self, vm: VmId) -> KeptDefinition | None:
        """Return what was kept of a VM's definition when it was moved last, or None.

        Raises:
            Unreachable: it took too long, or cannot be read.
        """
        ...

    async def summary(self) -> Summary:
        """Return what was done and not done within the last day.

        Raises:
            Unreachable: the journal could not be read in time.
        """
        ...

    async def reload(self) -> tuple[bool, str]:
        """Load the policies again; return whether they govern now, and what was found."""
        ...

    def copy(self) -> ClusterCopy | None:
        """Return the cluster as it was seen last, to be saved; None before the first look."""
        ...

    def counters(self) -> dict[str, float]:
        """Return running counts: messages dropped, malformed per host, abandoned calls and the like."""
        ...
