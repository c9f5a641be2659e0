"""Plans as values: moves, and every "no" with its numbers."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from ballastd.core.accounts import Account, Against
from ballastd.core.inventory import Dirtying
from ballastd.core.quantities import Bytes, HostName, Seconds, VmId


class RefusalKind(enum.Enum):
    """Why something is impossible, or not allowed, on this snapshot."""

    HOST_NOT_HEALTHY = "host-not-healthy"
    HOST_SILENT = "host-silent"
    HOST_WARMING_UP = "host-warming-up"
    HOST_UNREACHABLE = "host-unreachable"
    HOST_CLOCK = "host-clock-skewed"
    HOST_CORDONED = "host-cordoned"
    HOST_DRAINING = "host-draining"
    HOST_FROZEN = "host-frozen"
    SAME_FAILURE_DOMAIN = "same-failure-domain"
    MEMORY = "memory"
    HUGE_PAGES = "huge-pages"
    OVERCOMMIT = "overcommit"
    """More virtual processors for each of a host's own than Limits say."""
    NUMA = "numa"
    """The NUMA nodes or processors that it is bound to are not there."""
    FAILOVER_RESERVE = "failover-reserve"
    LINK = "link"
    VM_PINNED = "vm-pinned"
    VM_NOT_RUNNING = "vm-not-running"
    VM_BUSY = "vm-busy"
    VM_AMBIGUOUS = "vm-ambiguous"
    VM_GONE = "vm-gone"
    TRIED_AND_FAILED = "tried-and-failed"
    NEVER_CONVERGES = "never-converges"
    """It dirties its memory about as fast as it would be copied."""
    PLACEMENT = "placement-rule"
    LOAD = "load"
    LOAD_UNKNOWN = "load-unknown"
    COOLDOWN = "cooldown"
    SCOPE = "out-of-scope"
    REJECTED = "rejected"
    NO_GAIN = "no-gain"
    HOST_STANDBY = "host-standby"
    POWER = "power"
    CONTROLLER = "power-controller"
    """Its power controller contradicts what is seen, or belongs to another machine."""
    NO_TARGET = "no-target"
    CPU = "cpu"
    MACHINE = "machine-type"
    STORAGE = "storage"
    NETWORK = "network"
    LAST_RESORT = "last-resort"
    """Nothing moves it, and its owner does not want it shut down."""
    NOT_JOURNALLED = "not-journalled"
    CEILING = "ceiling"
    GATE = "gate"
    IDENTITY = "identity-taken"
    """Its UUID or its name is another VM's at the target, or a definition's."""
    WORLD_CHANGED = "world-changed"
    """It is not as it was when the move was planned."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One "no": what kind, about which VM and host, and the numbers or words that decided. ``against``: where it sums up
    many, the first that speaks against each candidate."""

    kind: RefusalKind
    detail: str
    vm: VmId | None = None
    host: HostName | None = None
    against: tuple[Against, ...] = ()

    def as_against(self) -> Against:
        """Return it as what speaks against one candidate."""
        return Against(self.kind.value, self.detail, self.vm or "", self.host or "")


@dataclass(frozen=True, slots=True)
class Examination:
    """What two hosts have against a move. ``unknown``: what neither can say, in words: libvirt refuses the move itself
    then, if it must, with its VM untouched."""

    refusals: tuple[Refusal, ...] = ()
    unknown: str = ""


class DeferralKind(enum.Enum):
    """Why a permissible act may not start yet."""

    IN_FLIGHT_CLUSTER = "in-flight-cluster"
    IN_FLIGHT_OUT = "in-flight-out-of-host"
    IN_FLIGHT_IN = "in-flight-into-host"
    BANDWIDTH = "bandwidth"
    WINDOW = "window"
    WILL_NOT_FIT = "will-not-fit-in-window"
    BACK_OFF = "back-off"
    EVACUATIONS_AT_ONCE = "evacuations-at-once"
    EVACUATIONS_PER_HOUR = "evacuations-per-hour"
    MOVES_IN_FLIGHT = "moves-in-flight"
    MOVES_PER_HOUR = "moves-per-hour"
    MOVES_PER_DAY = "moves-per-day"
    MOVES_OF_VM = "moves-of-vm-per-day"
    HOST_SETTLING = "host-settling"
    POWER_RATE = "power-rate"
    NOT_IDLE = "not-idle"
    PAUSED = "paused"
    FROZEN = "frozen"
    SITE_EVENT = "site-event"
    STARTING = "starting-up"
    SELF_SUSPECT = "self-suspect"
    OBSERVING = "observing"
    MODE = "policy-mode"
    LAST_RESORT = "last-resort"
    """It is not asked to shut down yet, or may be going down just now."""
    CLIMB = "climb"
    """Another migration is given one of its links, for it does not converge with an even share."""
    WAITS = "waits"
    """Its room is another VM's, which has not left yet."""


@dataclass(frozen=True, slots=True)
class Deferral:
    """One "not yet": why, about which VM and host, until when (wall seconds, None when nobody knows)."""

    kind: DeferralKind
    detail: str
    vm: VmId | None = None
    host: HostName | None = None
    until_wall: float | None = None


@dataclass(frozen=True, slots=True)
class Move:
    """One VM from source to target, with what it was planned on.

    ``memory``: bytes reserved at both ends. ``predicted``: seconds at the planned bandwidth.
    ``intent_host``/``policy``/``because``: why. ``urgent``: windows do not apply. ``reserve_waived``:
    whether the failover reserve may be used for it. ``routine``: it balances or packs. ``runners_up``, ``why_not``: who
    came next as its target, and what spoke against the others. ``account``: what it gains and costs, where it was planned
    just now. ``dirties``: how fast the VM dirties its memory, None where nobody knows; ``copied``: bytes to copy at the
    planned bandwidth, with those that are copied again, 0 where nobody knows. ``after``: VMs, of this plan or in flight,
    that must have left the target before it may be ordered. ``room_for``: the host from which a VM comes to its source then;
    None where it makes room for nobody. ``ends``: False where it is known that copying never ends by itself: then
    ``predicted`` and ``copied`` are of its first round.
    """

    vm: VmId
    vm_name: str
    source: HostName
    target: HostName
    memory: Bytes
    predicted: Seconds
    policy: str
    because: str
    urgent: bool = False
    reserve_waived: bool = False
    windows: tuple[str, ...] = ()
    routine: bool = False
    runners_up: tuple[str, ...] = ()
    why_not: tuple[str, ...] = ()
    account: Account | None = None
    dirties: Dirtying | None = None
    copied: int = 0
    after: tuple[VmId, ...] = ()
    room_for: HostName | None = None
    ends: bool = True

    @property
    def wanted_by(self) -> HostName:
        """The host that its intent is about."""
        return self.source if self.room_for is None else self.room_for


@dataclass(frozen=True, slots=True)
class Plan:
    """Ordered moves, what could not be planned and why. Empty when there is nothing to do."""

    moves: tuple[Move, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    deferrals: tuple[Deferral, ...] = ()


@dataclass(frozen=True, slots=True)
class Given:
    """What a migration is given of its links, MiB/s, and by how much that is less than its static share; in words why."""

    bandwidth_mib_s: int
    less_mib_s: int = 0
    because: str = ""


@dataclass(frozen=True, slots=True)
class Order:
    """A granted move with its bandwidth and deadline: what the kernel is asked to carry out.

    ``id`` comes from the revision (``42-1``). ``bandwidth_mib_s``: at least 1. ``deadline``: seconds from
    the start after which the migration is aborted. ``downtime_ms``: for how long the VM may stand still at the end, 0 for as
    long as its hypervisor is used to. ``auto_converge``: whether the VM may be slowed down if it dirties its memory faster
    than it is copied. ``post_copy``: whether it may be put into post-copy later on; that alone does not. ``reckoned``: how
    long it will take with this bandwidth, seconds, 0 where nobody reckoned; ``downtime_reckoned_ms``: how long its VM will
    stand still, None where nobody knows.
    """

    id: str
    move: Move
    bandwidth_mib_s: int
    deadline: Seconds
    revision: int
    downtime_ms: int = 0
    auto_converge: bool = False
    post_copy: bool = False
    reckoned: Seconds = Seconds(0.0)
    downtime_reckoned_ms: float | None = None
    given: Given | None = None
    """What it was given of its share of the links; None where it gives way to nobody."""


@dataclass(frozen=True, slots=True)
class AbortOrder:
    """Cancel the job of an open migration; ``reason`` goes to the journal and to the operator."""

    migration: str
    vm: VmId
    source: HostName
    reason: str
    revision: int


@dataclass(frozen=True, slots=True)
class TuneOrder:
    """Give a running job another bandwidth, MiB/s."""

    migration: str
    vm: VmId
    source: HostName
    target: HostName
    bandwidth_mib_s: int
    revision: int
    given: Given | None = None
    """Why so much, where that is for what others use of the links."""
    because: str = ""
    """Why it is no even share, where one of ours climbs."""
    climbs: bool = False
    """Whether it is this one that climbs."""
    rises: bool = False
    """Whether it is more than before: those beside it that are given less are told first."""


@dataclass(frozen=True, slots=True)
class DowntimeOrder:
    """Let the VM of a running job stand still for longer at its end, milliseconds."""

    migration: str
    vm: VmId
    source: HostName
    downtime_ms: int
    revision: int


@dataclass(frozen=True, slots=True)
class PostCopyOrder:
    """Run the VM of a running job at its target now; what is left of its memory follows it."""

    migration: str
    vm: VmId
    source: HostName
    target: HostName
    because: str
    revision: int


@dataclass(frozen=True, slots=True)
class AutostartOrder:
    """Have the VM of a completed migration start with a host (``on``, its target), or not any more (its source)."""

    migration: str
    vm: VmId
    host: HostName
    on: bool
    revision: int


@dataclass(frozen=True, slots=True)
class ShutdownOrder:
    """Ask a guest to shut down in order, for the time ``times``. ``because``: why its host counts as failing, and why the VM
    cannot leave it."""

    id: str
    vm: VmId
    vm_name: str
    host: HostName
    times: int
    because: str
    revision: int


@dataclass(frozen=True, slots=True)
class CordonOrder:
    """Ask a host's agent to raise (``until_wall``) or lower (None) its cordon flag."""

    host: HostName
    until_wall: float | None
    revision: int
