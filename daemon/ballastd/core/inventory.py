"""What one host's hypervisor says it has, at one instant. Never taken from telemetry.

``DeclaredHost`` is the operator's word (settings); ``HostInventory`` is the hypervisor's.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from ballastd.core.arrival_checks import Check
from ballastd.core.hardware import NO_NEEDS, Backing, FreePages, Hardware, Needs
from ballastd.core.quantities import Bytes, HostName, Instant, VmId


@dataclass(frozen=True, slots=True)
class DeclaredHost:
    """A host we may touch, as its operator declared it.

    ``uri``: libvirt URI for us; ``peer_uri``: libvirt URI its peers use for it (peer-to-peer migration);
    ``migration_uri``: address of the network that carries guest memory (``tcp://10.0.0.1``), or None for the default.
    ``link_mib_s``: speed of that network, MiB/s, each direction. ``network_mib_s``: speed of the network that its VMs
    use, MiB/s, both directions together, or None where nothing is asked of it. ``link_interfaces``: by which interfaces
    guest memory travels, as its telemetry calls them; none where nobody says. ``memory_limit``: bytes that VMs may use at
    most, or None for what the hypervisor reports. ``memory_reserve``: bytes never given to VMs.
    ``cpu_limit``: processors that VMs may use, or None for all of ``processors``. ``processors``: what its
    ``cpu.utilization`` is a share of, or None for what the hypervisor reports.
    ``labels``: failure domains and other groups: rack, cooling, power, ...
    ``power``: how it is switched on and off (``redfish``, ``command``), empty where we have no means to.
    ``power_identity``: whether its controller must name the machine it controls before it is told anything.
    ``idle_watts``: what it draws when it idles, or None: what switching it off saves.
    ``vouched_storage``: storage whose writable disks have an effective lock by the operator's word (``core.vouching``).
    """

    name: HostName
    uri: str
    peer_uri: str = ""
    migration_uri: str | None = None
    link_mib_s: float = 1192.0
    network_mib_s: float | None = None
    link_interfaces: tuple[str, ...] = ()
    memory_limit: Bytes | None = None
    memory_reserve: Bytes = Bytes(4 << 30)
    cpu_limit: float | None = None
    processors: float | None = None
    power: str = ""
    power_identity: bool = True
    idle_watts: float | None = None
    labels: tuple[tuple[str, str], ...] = ()
    vouched_storage: tuple[str, ...] = ()

    def label(self, key: str) -> str | None:
        """Return the value of label ``key``, or None."""
        for known, value in self.labels:
            if known == key:
                return value
        return None


class VmState(enum.Enum):
    """What a hypervisor says about a VM, reduced to what decisions need."""

    RUNNING = "running"
    PAUSED = "paused"
    """Stopped by somebody on purpose, or by an I/O error."""
    INCOMING = "incoming"
    """Paused because a migration into this host is not finished (libvirt 3/2 at the target)."""
    HANDOVER = "handover"
    """Paused because a migration out of this host is at or past switch-over (libvirt 3/2 with a job)."""
    LEFTOVER = "leftover"
    """Paused by a migration that is no longer there (libvirt 3/2 without a job)."""
    POSTCOPY = "postcopy"
    """It runs here in post-copy, and not all of its memory has come: never aborted."""
    POSTCOPY_LEFT = "postcopy-left"
    """Its processors left for another host in post-copy, and its memory follows them: never aborted, never resumed."""
    POSTCOPY_FAILED = "postcopy-failed"
    """It runs here until it misses memory that will not come, for its post-copy broke: never resumed by us."""
    POSTCOPY_LEFT_FAILED = "postcopy-left-failed"
    """The other half of that, with the memory that did not go: never resumed by us."""
    SHUTOFF = "shutoff"
    CRASHED = "crashed"
    UNKNOWN = "unknown"

    @property
    def holds_memory(self) -> bool:
        """Whether a VM in this state occupies memory of its host."""
        return self is not _SHUTOFF and self is not _CRASHED

    @property
    def runs(self) -> bool:
        """Whether the guest's processors may be executing here."""
        return self is _RUNNING or self is _POSTCOPY or self is _POSTCOPY_FAILED


# asked of every VM in every step: Python 3.11 takes several times as long to find a member by its class, or in a set
_RUNNING, _SHUTOFF, _CRASHED = VmState.RUNNING, VmState.SHUTOFF, VmState.CRASHED
_POSTCOPY, _POSTCOPY_FAILED = VmState.POSTCOPY, VmState.POSTCOPY_FAILED
COME = frozenset({VmState.POSTCOPY, VmState.POSTCOPY_FAILED})
"""At the target of a post-copy."""
LEFT = frozenset({VmState.POSTCOPY_LEFT, VmState.POSTCOPY_LEFT_FAILED})
"""At its source."""
BROKEN = frozenset({VmState.POSTCOPY_FAILED, VmState.POSTCOPY_LEFT_FAILED})
"""The memory that is missing does not come any more."""


class JobKind(enum.Enum):
    """The job that holds a VM at the moment."""

    NONE = "none"
    OUTGOING = "outgoing"
    INCOMING = "incoming"
    OTHER = "other"
    UNKNOWN = "unknown"
    """The hypervisor could not say; treated as a job of somebody's."""


class PinKind(enum.Enum):
    """Why a VM cannot leave its host live."""

    PASSTHROUGH = "passthrough"
    DISK_UNLOCKED = "disk-unlocked"
    DISK_LOCAL = "disk-local"
    FIRMWARE_STATE = "firmware-state"
    TPM_STATE = "tpm-state"
    SHARED_FILESYSTEM = "shared-filesystem"
    SHARED_MEMORY = "shared-memory"
    SNAPSHOT = "snapshot"
    BLOCK_JOB = "block-job"
    MANAGED_SAVE = "managed-save"
    OPERATOR = "operator"


class Mobility(enum.Enum):
    """How a VM may be moved, as far as its owner goes."""

    LIVE = "live"
    COLD = "cold"
    """Only while it is off: it may be stopped for that, and started again at the target."""
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Pin:
    """One typed reason, with the thing that pins (``vda /srv/a.raw``) and the cure."""

    kind: PinKind
    thing: str
    cure: str


class VmUsage(NamedTuple):
    """What one VM uses, as its host's hypervisor counts it, never as the guest says; None where it cannot say.

    ``cpu_seconds``: processor time since it started on this host. ``memory``: bytes of the machine that it occupies
    now. ``network_bytes``: moved since it started here, both directions, all interfaces.
    ``dirty_mib_s``: how fast it dirties its memory, where that was measured.
    """

    cpu_seconds: float | None = None
    memory: Bytes | None = None
    network_bytes: int | None = None
    dirty_mib_s: float | None = None


NO_USAGE = VmUsage()


@dataclass(frozen=True, slots=True)
class VmRecord:
    """One VM as one host reports it.

    ``memory_max``: bytes it may occupy (its maximum, not its balloon). ``priority``: its owner's, higher leaves a sick
    host first. ``tags``, ``group``: its owner's words, which policies select it by. ``ignored``: its owner wants it
    left alone altogether. ``mobility``: how it may be moved. ``downtime_max_ms``: for how long at most it may stand still
    at the end of a live migration, None where its owner does not say. ``post_copy``: whether it may ever be put into
    post-copy. ``shutdown``: whether its guest may ever be asked to shut down. ``needs``: what it cannot do without beside
    ordinary memory. ``check``: how it is asked whether it answers once it was moved, None where its owner does not say;
    ``check_flaw``: why what is said cannot be used, with the cure.
    """

    vm: VmId
    name: str
    state: VmState
    memory_max: Bytes
    vcpus: int = 1
    job: JobKind = JobKind.NONE
    reason: str = ""
    persistent: bool = True
    autostart: bool = False
    priority: int = 0
    pins: tuple[Pin, ...] = ()
    tags: tuple[str, ...] = ()
    group: str = ""
    ignored: bool = False
    mobility: Mobility = Mobility.LIVE
    downtime_max_ms: int | None = None
    post_copy: bool = True
    shutdown: bool = True
    needs: Needs = NO_NEEDS
    check: Check | None = None
    check_flaw: str = ""

    @property
    def ordinary(self) -> Bytes:
        """Bytes that it may occupy of ordinary memory: what does not come from huge pages."""
        return Bytes(max(0, self.memory_max - self.needs.backed)) if self.needs.backing else self.memory_max


@dataclass(frozen=True, slots=True)
class HostInventory:
    """All VMs of one host between ``begun`` and ``taken``: nothing in it is older than ``begun``.

    ``memory_total``, ``memory_free``: bytes of the machine as the hypervisor reports them (free includes
    buffers and caches, and no huge page). ``vms``: active and inactive, sorted by VM id. ``complete``: False when any part
    could not be read; an incomplete inventory settles nothing and makes nobody a target. ``usage``: what its VMs use,
    beside them because it is another at every look; of a VM that is not in it nothing is known. ``hardware``: what the
    machine is, None where it does not say; ``pages_free``: its huge pages that nobody has, None where it cannot say.
    ``misfits``: what it once said against VMs, by their likeness, while it was the same machine as now.
    """

    host: HostName
    begun: Instant
    taken: Instant
    memory_total: Bytes
    memory_free: Bytes
    cpus: int
    vms: tuple[VmRecord, ...]
    complete: bool = True
    host_uuid: str = ""
    usage: Mapping[VmId, VmUsage] = field(default_factory=dict)
    hardware: Hardware | None = None
    pages_free: FreePages | None = None
    misfits: Mapping[str, str] = field(default_factory=dict)
    _index: dict[VmId, VmRecord] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def ordinary_total(self) -> int:
        """Bytes of the machine that are not set aside as huge pages."""
        return self.memory_total - (self.hardware.pooled if self.hardware is not None else 0)

    @property
    def ordinary_held(self) -> int:
        """Bytes of ordinary memory that its VMs hold by their maximum. What they are said to have in huge pages beyond what
        is set aside, as far as that is known, comes from ordinary memory."""
        held = 0
        backings: list[Backing] = []
        for record in self.vms:
            if record.state.holds_memory:
                held += record.ordinary
                if record.needs.backing:
                    backings.extend(record.needs.backing)
        return held + self._beyond_pools(backings) if backings else held

    def _beyond_pools(self, backings: list[Backing]) -> int:
        """Return how many bytes of those in huge pages cannot come from what is set aside."""
        pools: Counter[int] = Counter()
        backed: Counter[int] = Counter()
        for backing in backings:
            backed[backing.size] += backing.memory
        for pool in self.hardware.pools if self.hardware is not None else ():
            pools[pool.size] += pool.size * pool.total
        anywhere = backed.pop(0, 0)  # whatever size is the default
        beyond = (backed - pools).total()
        return beyond + max(0, anywhere - (pools - backed).total())

    def find(self, vm: VmId) -> VmRecord | None:
        """Return the record of ``vm`` on this host, or None where it is absent."""
        if not self._index and self.vms:
            self._index.update((record.vm, record) for record in self.vms)
        return self._index.get(vm)


def same_but_for_use(one: HostInventory, other: HostInventory) -> bool:
    """Return whether two looks at a host show the same machine with the same VMs in the same states, whatever these used
    meanwhile: then nothing that depends on where VMs are and what they may do has to be thought over."""
    return (one.host_uuid == other.host_uuid and one.cpus == other.cpus and one.memory_total == other.memory_total
            and one.vms == other.vms and one.hardware == other.hardware and one.misfits == other.misfits)


@dataclass(frozen=True, slots=True)
class Dirtying:
    """How fast a VM dirties its memory, MiB/s. ``at_least``: it may well be faster. ``measured``: its hypervisor measured
    it, within the last minutes; else its last migration showed it."""

    mib_s: float
    at_least: bool = False
    measured: bool = False

    def words(self) -> str:
        """Return the rate and where it is from."""
        said = "as was measured" if self.measured else "as its last migration showed"
        return f"{'at least ' if self.at_least else ''}{self.mib_s:.0f} MiB/s, {said}"


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a running job is. Sizes in bytes, 0 until the hypervisor reports; elapsed in seconds."""

    elapsed: float
    memory_total: Bytes
    memory_processed: Bytes
    memory_remaining: Bytes
    iteration: int
    dirty_bytes_s: float
    throughput_bytes_s: float
    expected_downtime: float
