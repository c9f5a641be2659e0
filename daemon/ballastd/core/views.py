"""What the mind shows of itself after each step: plain values for the API, the console and the logs.

A view never feeds back into a decision. Times are wall seconds, sizes bytes, ages and durations seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

from ballastd.core.accounts import Account, Against


@dataclass(frozen=True, slots=True)
class GateView:
    """One thing that keeps acts from starting: kind, why, and until when (None: until its cause is gone)."""

    kind: str
    reason: str
    until_wall: float | None = None


@dataclass(frozen=True, slots=True)
class VerdictView:
    """One health policy's verdict on one host."""

    policy: str
    severity: str
    phase: str
    since_wall: float
    latched: bool
    evidence: str


@dataclass(frozen=True, slots=True)
class HostView:
    """One declared host. ``target``: whether VMs may be sent there now; ``why_not``: if not, each reason.

    ``memory_room``: bytes that may still be promised, never more than the machine has. ``cpu_limit``: processors that VMs
    may use, of ``processors`` that its telemetry speaks of. ``cpu_by_vms``: processors its VMs use together, None where
    unknown. ``network_limit``: MiB/s that the network of its VMs carries, None where nobody says; ``network_by_vms``: MiB/s
    that they use of it, None where that is not known of all of them, or nobody says; ``network_least``: as far as it is
    known, None where nobody says.
    ``power``: unmanaged, on, emptying, closing, going-off, off, waking, or failed; ``power_detail``: why, in words.
    """

    name: str
    health: str
    marks: tuple[str, ...]
    target: bool
    why_not: tuple[str, ...]
    reachable: bool
    inventory_age: float | None
    telemetry_age: float | None
    reports_heard: int
    agent: str
    hook: bool
    cpu_utilization: float | None
    memory_total: int
    memory_limit: int
    memory_used: int
    memory_reserved: int
    vms_running: int
    migrations_in: int
    migrations_out: int
    verdicts: tuple[VerdictView, ...]
    labels: tuple[tuple[str, str], ...]
    unreachable_reason: str = ""
    cpu_limit: float = 0.0
    processors: float = 0.0
    cpu_by_vms: float | None = None
    power: str = "unmanaged"
    power_detail: str = ""
    memory_room: int = 0
    network_limit: float | None = None
    network_by_vms: float | None = None
    network_least: float | None = None

    @property
    def network_share(self) -> float | None:
        """What its VMs use of their network, None where that is not known."""
        return None if self.network_by_vms is None or not self.network_limit else self.network_by_vms / self.network_limit

    @property
    def network_share_least(self) -> float | None:
        """The same as far as it is known, None where nothing of it can be."""
        return None if self.network_least is None or not self.network_limit else self.network_least / self.network_limit


@dataclass(frozen=True, slots=True)
class VmView:
    """One VM as seen now. ``pins``: why it cannot move live, each with its cure. ``cpu``: processors it uses, averaged
    over the load window; ``memory_used``: bytes of the machine it occupies; both None where unknown. ``ignored``,
    ``mobility``, ``downtime_max_ms``, ``post_copy``, ``shutdown``: its owner's wishes. ``huge_pages``: bytes of its
    ``memory`` that are no ordinary memory. ``check``: how it is asked whether it answers once it was moved, empty where it
    is not; ``check_flaw``: why its owner's way of asking is not used."""

    id: str
    name: str
    host: str
    state: str
    memory: int
    vcpus: int
    priority: int
    pins: tuple[str, ...]
    migration: str = ""
    cpu: float | None = None
    memory_used: int | None = None
    tags: tuple[str, ...] = ()
    group: str = ""
    ignored: bool = False
    mobility: str = "live"
    downtime_max_ms: int | None = None
    post_copy: bool = True
    huge_pages: int = 0
    shutdown: bool = True
    shutdown_state: str = ""
    """How it stands with it, where its guest was asked to shut down there: see ``ShutdownView``."""
    check: str = ""
    check_flaw: str = ""


@dataclass(frozen=True, slots=True)
class MigrationView:
    """One migration, open or lately settled. ``progress``: share of memory no longer to copy, [0, 1].
    ``rate_mib_s``: how fast memory travels now, None where unknown. ``runners_up``, ``why_not``: who came next when it
    was planned, and what spoke against the others; empty where that is not known any more."""

    id: str
    vm: str
    vm_name: str
    source: str
    target: str
    phase: str
    ending: str
    policy: str
    because: str
    ordered_wall: float
    settled_wall: float | None
    deadline_wall: float
    bandwidth_mib_s: int
    predicted: float
    elapsed: float
    progress: float | None
    adopted: bool
    detail: str
    rate_mib_s: float | None = None
    runners_up: tuple[str, ...] = ()
    why_not: tuple[str, ...] = ()
    left: float | None = None
    """Seconds that it will still take at what its last round showed, None where that is unknown, or for ever."""
    rounds: int | None = None
    """How often its memory was gone through, this time included."""
    memory_remaining: int | None = None
    """Bytes that are still to be copied in this round."""
    dirty_mib_s: float | None = None
    """How fast its VM dirties memory; at least so fast where it does not converge."""
    downtime_ms: int = 0
    """For how long its VM may stand still at the end, 0 where that was left to the hypervisor."""
    downtime_needed_ms: float | None = None
    """For how long it would have to at what the last round left."""
    auto_converge: bool = False
    """Whether its VM may be slowed down."""
    post_copy_because: str = ""
    """Why its VM went before its memory, empty if it did not."""
    downtime_predicted_ms: float | None = None
    """How long its VM was foretold to stand still at its end, None where it was not known what it dirties."""
    downtime_took_ms: float | None = None
    """How long it did, None where that was not measured."""
    check: str = ""
    """How its VM is asked whether it answers, empty where it is not."""
    answered_before: bool | None = None
    """Whether it did before it was moved, None where nobody knows."""
    arrival: str = ""
    """What came of asking it since: awaited, answered, silent, unproven or unchecked; empty before that."""
    arrival_detail: str = ""
    arrival_seconds: float = 0.0
    """For how long it was asked."""
    ends: bool = True
    """False where it is known, while it is open, that copying never ends by itself: then ``predicted`` is of its first
    round."""
    gives_way: str | None = None
    """Why it is given as much of its links as it is, None where it gives way to nobody on them."""
    less_mib_s: int = 0
    """By how much that is less than its static share, MiB/s, while it is open."""
    bandwidth_because: str = ""
    """Why it has no even share of its links: it did not converge with that, or makes room for one that did not."""


@dataclass(frozen=True, slots=True)
class ShutdownView:
    """A guest that was asked to shut down, within the last day or not yet over. ``state``: asked, withdrawn, or how it ended
    (down, stayed, elsewhere, lost); ``detail``: why, in words. ``seen``: whether a VM that went down was seen to run again,
    or a person said that it need not."""

    id: str
    vm: str
    vm_name: str
    host: str
    policy: str
    because: str
    state: str
    detail: str
    times: int
    ordered_wall: float
    asked_wall: float
    ended_wall: float | None = None
    seen: bool = False


@dataclass(frozen=True, slots=True)
class PairView:
    """How long moves from ``source`` to ``target`` took by what was reckoned (median of the newest ``moves``), and by how
    much what is reckoned is multiplied for the next; both empty: all pairs. ``downtime``: the same of how long VMs stood
    still, None where too few were measured. ``tried``, ``failed``: moves within the last day; ``risk``: how many times as
    much a routine move costs there for it."""

    source: str
    target: str
    moves: int
    took: float
    factor: float
    downtime: float | None = None
    tried: int = 0
    failed: int = 0
    risk: float = 1.0


@dataclass(frozen=True, slots=True)
class CoverageView:
    """So many VMs and bytes of a host that is emptied are safe after so many seconds, once its moves may begin."""

    seconds: float
    vms: int
    memory: int


@dataclass(frozen=True, slots=True)
class LeavingView:
    """When a VM is reckoned to begin and to be safe, seconds from now, once moves may begin; ``begins`` is 0 for one that is
    under way. ``late``: seconds after its host's deadline; None where it is not late, or there is no deadline."""

    vm: str
    vm_name: str
    target: str
    begins: float
    safe: float
    late: float | None = None


@dataclass(frozen=True, slots=True)
class IntentView:
    """What ought to change and how it stands: ``state`` is active, held, recommended, observed or done."""

    kind: str
    host: str
    policy: str
    because: str
    severity: str
    mode: str
    since_wall: float
    deadline_wall: float | None
    state: str
    vms_left: int
    forecast: str = ""
    """How long emptying the host will take, and how much of it its deadline allows, in words."""
    coverage: tuple[CoverageView, ...] = ()
    """The same as a curve, from the first VM that is safe to the last."""
    schedule: tuple[LeavingView, ...] = ()
    """The same VM by VM, the first that is safe first; who never arrives by itself is not in it."""


@dataclass(frozen=True, slots=True)
class MoveView:
    """A planned move, with who came next as its target and what spoke against the others (``why_not``)."""

    vm: str
    vm_name: str
    source: str
    target: str
    memory: int
    predicted: float
    policy: str
    because: str
    state: str
    runners_up: tuple[str, ...] = ()
    why_not: tuple[str, ...] = ()
    recommendation: str = ""
    """The id under which it can be approved."""
    account: Account | None = None
    """What it gains and costs, and the best that was not taken, term by term."""
    after: tuple[str, ...] = ()
    """The VMs, of this plan or in flight, that must have left its target before it may begin."""
    after_names: tuple[str, ...] = ()
    room_for: str = ""
    """The host for whose sake it makes room at its source, empty where it is for its source's."""
    ends: bool = True
    """False where it is known that copying never ends by itself: then ``predicted`` is of its first round."""
    leaves: LeavingView | None = None
    """When it begins and ends beside all others, where its host is emptied and copying ends."""


@dataclass(frozen=True, slots=True)
class RecommendationView:
    """What a policy would do if it were approved; ``vm`` empty: ``source`` emptied and switched off. ``state``: offered or
    approved; ``until_wall``: how long it stands so. ``by``: who approved it. ``what``: in words."""

    id: str
    policy: str
    reason: str
    vm: str
    vm_name: str
    source: str
    target: str
    memory: int
    because: str
    state: str
    since_wall: float
    until_wall: float
    by: str
    what: str


@dataclass(frozen=True, slots=True)
class RejectionView:
    """What a person did not want: until when it is not offered again."""

    policy: str
    what: str
    by: str
    reason: str
    until_wall: float


@dataclass(frozen=True, slots=True)
class DemotionView:
    """A policy that only recommends, though its document says auto."""

    policy: str
    since_wall: float
    because: str


@dataclass(frozen=True, slots=True)
class NoView:
    """A refusal ("cannot") or a deferral ("not yet"). ``against``: where it sums up many, the first that speaks against each
    candidate; where a plan has very many, of the first ones only. ``cure``: what people can do about it, empty where nothing
    or where ``detail`` says it."""

    sort: str
    kind: str
    detail: str
    vm: str = ""
    vm_name: str = ""
    host: str = ""
    until_wall: float | None = None
    against: tuple[Against, ...] = ()
    cure: str = ""


@dataclass(frozen=True, slots=True)
class BudgetView:
    """One limit: how much of it is used."""

    name: str
    used: float
    limit: float


@dataclass(frozen=True, slots=True)
class WindowView:
    """One time window: whether it is open, and when that changes next (wall seconds, None beyond what is known).

    ``intervals``: when it is open from the view's instant on, up to ``horizon``.
    """

    name: str
    allows: bool
    open: bool
    changes_wall: float | None
    intervals: tuple[tuple[float, float], ...] = ()
    horizon: float = 0.0


@dataclass(frozen=True, slots=True)
class RecentView:
    """Something that was decided or noticed lately, in words. ``level``: info, warning or alarm."""

    wall: float
    level: str
    text: str
    host: str = ""
    vm: str = ""


@dataclass(frozen=True, slots=True)
class ClusterView:
    """The whole picture after one step. ``posture``: acting, paused, frozen, starting, site-event, observing."""

    revision: int
    wall: float
    posture: str
    gates: tuple[GateView, ...]
    hosts: tuple[HostView, ...]
    vms: tuple[VmView, ...]
    migrations: tuple[MigrationView, ...]
    intents: tuple[IntentView, ...]
    moves: tuple[MoveView, ...]
    noes: tuple[NoView, ...]
    budgets: tuple[BudgetView, ...]
    policies_digest: str
    notes: tuple[str, ...] = ()
    windows: tuple[WindowView, ...] = ()
    recent: tuple[RecentView, ...] = ()
    """Newest first."""
    recommendations: tuple[RecommendationView, ...] = ()
    rejections: tuple[RejectionView, ...] = ()
    demotions: tuple[DemotionView, ...] = ()
    pairs: tuple[PairView, ...] = ()
    shutdowns: tuple[ShutdownView, ...] = ()
    """Newest first."""
