"""Policies as the mind knows them: compiled, typed, immutable. No percent sign, duration string or default.

Documents (YAML) compile to these; a ``PolicySet`` is swapped whole or not at all.
"""

from __future__ import annotations

import enum
import fnmatch
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from ballastd.core.arrival_checks import NOTHING_ALLOWED, AllowedChecks
from ballastd.core.conditions import Condition
from ballastd.core.inventory import DeclaredHost, VmRecord
from ballastd.core.quantities import HostName, Seconds


class Mode(enum.Enum):
    """How far a policy may go: say nothing but in the log, recommend, or act."""

    OBSERVE = "observe"
    RECOMMEND = "recommend"
    AUTO = "auto"


class AutoConverge(enum.Enum):
    """Which migrations may slow their VM down if it dirties its memory faster than it is copied: none, those that take VMs
    off hosts that have to be emptied, or all."""

    NEVER = "never"
    SAVING = "saving"
    ALWAYS = "always"


class LastResort(enum.Enum):
    """What may be done for a VM that cannot leave a failing host as it should. POST_COPY: run it at its target before all of
    its memory is there. SHUTDOWN: ask its guest to shut down in order where it is, once the deadline has passed."""

    POST_COPY = "post_copy"
    SHUTDOWN = "shutdown"


class Health(enum.IntEnum):
    """What a host's firing conditions amount to; larger is worse."""

    HEALTHY = 0
    SUSPECT = 1
    DEGRADED = 2
    FAILING = 3


class Response(enum.Enum):
    """What an evacuation policy does about a severity."""

    QUARANTINE = "quarantine"
    """Nothing new lands there."""
    DRAIN = "drain"
    """Emptied within windows."""
    EVACUATE = "evacuate"
    """Emptied now."""


class EvacuationOrder(enum.Enum):
    """A key by which VMs leave a host."""

    PRIORITY = "priority"
    SHORTEST = "shortest"


@dataclass(frozen=True, slots=True)
class Scope:
    """Which hosts a policy speaks of: name patterns (``rack1-*``), labels, or both. Empty means every host,
    which only an explicit ``hosts: all`` or an absent scope compiles to."""

    patterns: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()

    def covers(self, host: DeclaredHost) -> bool:
        """Return whether ``host`` is in scope."""
        if self.patterns and not any(fnmatch.fnmatchcase(host.name, p) for p in self.patterns):
            return False
        return all(host.label(key) == value for key, value in self.labels)


EVERYWHERE = Scope()


VM_MARK = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
"""What a VM's tag or group looks like. Others are left out where VMs are read, so a rule that speaks of one is a mistake."""


@dataclass(frozen=True, slots=True)
class VmSelector:
    """Which VMs a policy speaks of: all that is given must hold. ``names``: patterns, any of them; ``tags``: all of
    them; ``group``: that group. Empty means every VM, which only an explicit ``vms: all`` or an absent one compiles to."""

    names: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    group: str = ""

    def covers(self, vm: VmRecord) -> bool:
        """Return whether ``vm`` is meant."""
        if self.names and not any(fnmatch.fnmatchcase(vm.name, pattern) for pattern in self.names):
            return False
        return self.group in ("", vm.group) and all(tag in vm.tags for tag in self.tags)

    def words(self) -> str:
        """Return it as a policy says it."""
        said = [f"name: {', '.join(self.names)}" if self.names else "", f"tags: {', '.join(self.tags)}" if self.tags else "",
                f"group: {self.group}" if self.group else ""]
        return "; ".join(filter(None, said)) or "all"


EVERY_VM = VmSelector()


@dataclass(frozen=True, slots=True)
class HealthPolicy:
    """Telemetry -> condition on a host -> severity."""

    name: str
    condition: Condition
    severity: Health
    scope: Scope = EVERYWHERE
    mode: Mode = Mode.AUTO
    description: str = ""
    source: str = ""
    """``file:line`` of the document."""


@dataclass(frozen=True, slots=True)
class EvacuationPolicy:
    """Severity -> response. ``deadline``: seconds from the moment the severity was reached, or None. ``avoid``: host labels
    (rack, ...) that no target may share with the host. ``last_resorts``: what may be done, beyond that, for VMs that do not
    get away."""

    name: str
    severity: Health
    response: Response
    scope: Scope = EVERYWHERE
    mode: Mode = Mode.OBSERVE
    deadline: Seconds | None = None
    ignore_windows: bool = False
    order: tuple[EvacuationOrder, ...] = (EvacuationOrder.PRIORITY, EvacuationOrder.SHORTEST)
    windows: tuple[str, ...] = ()
    vms: VmSelector = EVERY_VM
    avoid: tuple[str, ...] = ()
    last_resorts: tuple[LastResort, ...] = ()
    description: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Edge:
    """A level of a host's load: ``resource`` is ``cpu``, ``memory`` or ``network`` (what VMs use of what they may, [0, 1])
    or a pressure metric of the vocabulary (``cpu.pressure.some``)."""

    resource: str
    above: float


@dataclass(frozen=True, slots=True)
class Cooldown:
    """How long what was moved is left in peace, seconds.

    ``vm``: after any move of it. ``no_return``: before it may go back where it came from. ``host_settle``: after a
    move from or to a host. ``foreign_move``: after somebody else moved it.
    """

    vm: Seconds = Seconds(6 * 3600.0)
    no_return: Seconds = Seconds(24 * 3600.0)
    host_settle: Seconds = Seconds(300.0)
    foreign_move: Seconds = Seconds(12 * 3600.0)


@dataclass(frozen=True, slots=True)
class MoveBudget:
    """How many routine moves a policy may make: at once, within an hour, within a day, of one VM within a day."""

    in_flight: int = 1
    per_hour: int = 6
    per_day: int = 30
    per_vm_per_day: int = 2


@dataclass(frozen=True, slots=True)
class BalancePolicy:
    """Relieve hot hosts, then even out. Shares in [0, 1].

    A host is hot when any of ``hot`` holds for ``hot_hold``; it is relieved until it is below ``cool_cpu``,
    ``cool_memory`` and ``cool_network``, which no target may be above afterwards. ``imbalance_above``: spread between the
    fullest and the emptiest host's processors, held for ``imbalance_hold``; ignored while the fullest is below
    ``ignore_below``.
    ``minimum_gain``: by how much of itself a move must lessen the excess of a hot host, or the difference of two.
    """

    name: str
    hot: tuple[Edge, ...] = (Edge("cpu", 0.80), Edge("memory", 0.88), Edge("network", 0.80), Edge("cpu.pressure.some", 0.20))
    hot_hold: Seconds = Seconds(300.0)
    cool_cpu: float = 0.65
    cool_memory: float = 0.82
    cool_network: float = 0.65
    imbalance_above: float = 0.30
    imbalance_hold: Seconds = Seconds(600.0)
    minimum_gain: float = 0.10
    ignore_below: float = 0.25
    cooldown: Cooldown = Cooldown()
    budget: MoveBudget = MoveBudget()
    windows: tuple[str, ...] = ()
    scope: Scope = EVERYWHERE
    vms: VmSelector = EVERY_VM
    mode: Mode = Mode.OBSERVE
    description: str = ""
    source: str = ""


class During(enum.Enum):
    """At which hours of the day a host that is packed has to be no fuller than a policy says."""

    DAY = "day"
    """At all of them: what was packed stays."""
    WINDOW = "window"
    """Until an hour after its window is over: something else spreads VMs out again."""


@dataclass(frozen=True, slots=True)
class ConsolidationPolicy:
    """Pack VMs while ``window`` (an allow-window's name) is open and none of ``denials`` is in force, and switch emptied
    hosts off. Shares in [0, 1].

    ``fill_cpu``, ``fill_memory``, ``fill_network``: how full packing may make a host; ``fill_during``: at which hours.
    ``spare_hosts``, ``spare_share``: capacity kept free beside that, in hosts and as a share of what stays on.
    ``power_off_below``: load of the hosts that are on, held for ``power_off_hold``, under which one more may go;
    ``power_on_above`` with ``power_on_hold``: above which one is woken. ``minimum_on``, ``minimum_off``: how long a host
    stays as it was put. ``wake_ahead``: how long before the window ends everything is woken.
    """

    name: str
    window: str
    fill_cpu: float = 0.65
    fill_memory: float = 0.80
    fill_during: During = During.DAY
    fill_network: float = 0.65
    spare_hosts: int = 1
    spare_share: float = 0.10
    power_off_below: float = 0.45
    power_off_hold: Seconds = Seconds(2400.0)
    minimum_on: Seconds = Seconds(3600.0)
    power_on_above: float = 0.81
    power_on_hold: Seconds = Seconds(300.0)
    minimum_off: Seconds = Seconds(1800.0)
    wake_ahead: Seconds = Seconds(900.0)
    cooldown: Cooldown = Cooldown()
    budget: MoveBudget = MoveBudget(in_flight=2, per_hour=20, per_day=100)
    denials: tuple[str, ...] = ()
    scope: Scope = EVERYWHERE
    vms: VmSelector = EVERY_VM
    mode: Mode = Mode.OBSERVE
    description: str = ""
    source: str = ""


class Rule(enum.Enum):
    """Where VMs may live."""

    APART = "apart"
    """No two of them in one place."""
    TOGETHER = "together"
    """All of them in one place."""
    ON = "on"
    """Only on these hosts."""
    NEVER_ON = "never-on"
    """Never on these hosts."""
    PINNED = "pinned"
    """Where they are, and moved by nobody but an operator."""


@dataclass(frozen=True, slots=True)
class PlacementPolicy:
    """A rule about where VMs may live. ``across``: ``host`` or a host label (rack, power, ...), for apart and together.
    ``hosts``: which hosts, for on and never-on. ``weight``: what breaking it costs in a score, None when it must hold.

    A must-rule constrains every move of ours, whatever its mode; ``mode`` says how far it is put right once it has been
    broken for ``hold``, with moves that keep to ``cooldown``, ``budget`` and ``windows``.
    """

    name: str
    vms: VmSelector
    rule: Rule
    across: str = "host"
    hosts: Scope = EVERYWHERE
    weight: int | None = None
    hold: Seconds = Seconds(600.0)
    cooldown: Cooldown = Cooldown()
    budget: MoveBudget = MoveBudget()
    windows: tuple[str, ...] = ()
    mode: Mode = Mode.OBSERVE
    description: str = ""
    source: str = ""

    @property
    def must(self) -> bool:
        """Whether no move of ours may break it."""
        return self.weight is None


@dataclass(frozen=True, slots=True)
class Window:
    """A time window as UTC intervals (wall seconds, half-open, sorted, disjoint) from ``begins`` up to ``horizon``.

    ``allows``: True for an allow-window, False for a denial. Before the one and beyond the other nothing is known, which
    counts as denied. ``closing``: whether a running move is cancelled when the window closes.
    """

    name: str
    allows: bool
    intervals: tuple[tuple[float, float], ...]
    horizon: float
    cancel_at_close: bool = False
    begins: float = float("-inf")

    def is_known(self, wall: float) -> bool:
        """Return whether anything is known of ``wall``."""
        return self.begins <= wall < self.horizon

    def open_until(self, wall: float) -> float | None:
        """Return until when this window is open at ``wall``, or None where it is not."""
        for begin, end in self.intervals:
            if begin <= wall < end:
                return end
        return None

    def next_open(self, wall: float) -> float | None:
        """Return when this window opens next after ``wall``, or None within the horizon."""
        return next((begin for begin, _ in self.intervals if begin > wall), None)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may happen at once and how fast. Shares are ratios; durations seconds; bandwidth MiB/s.

    ``failover_domain``: what dies together, ``host`` or a host label (rack, power, ...), where ``failover_hosts`` is not 0.
    ``downtime_max_ms``: for how long a VM may stand still at the end of its migration. ``no_progress``: how long a migration
    may go on without getting anywhere. ``give_way``: up to which share of a link migrations and others together may fill it,
    None where migrations take their share whatever others use. ``vcpus_per_processor``: up to how many virtual processors
    for each of its own a host may be given, None for no limit.
    """

    in_flight_cluster: int = 4
    in_flight_host_out: int = 2
    in_flight_host_in: int = 2
    link_share: float = 0.60
    migration_minimum_mib_s: float = 100.0
    give_way: float | None = None
    failover_hosts: int = 1
    failover_domain: str = "host"
    evacuations_at_once: int = 1
    evacuations_per_hour: int = 2
    blast_share: float = 0.20
    blast_at_least: int = 2
    same_sensor_hosts: int = 3
    same_sensor_within: Seconds = Seconds(300.0)
    caution_share: float = 0.10
    freeze_share: float = 0.20
    unknown_at_least: int = 2
    settle_after_freeze: Seconds = Seconds(300.0)
    retries_per_move: int = 2
    retry_backoff: Seconds = Seconds(20.0)
    downtime_max_ms: int = 500
    auto_converge: AutoConverge = AutoConverge.SAVING
    no_progress: Seconds = Seconds(60.0)
    hosts_off_share: float = 0.20
    power_offs_per_10_min: int = 1
    wakes_per_min: int = 1
    power_cycles_per_day: int = 2
    vcpus_per_processor: float | None = None

    def may_slow(self, *, routine: bool) -> bool:
        """Return whether a migration may slow its VM down."""
        return self.auto_converge is AutoConverge.ALWAYS or (self.auto_converge is AutoConverge.SAVING and not routine)


AnyPolicy = HealthPolicy | EvacuationPolicy | BalancePolicy | ConsolidationPolicy | PlacementPolicy
P = TypeVar("P", bound=AnyPolicy)


@dataclass(frozen=True, slots=True)
class PolicySet:
    """Everything loaded at one time, swapped whole. ``digest``: of the texts it was compiled from."""

    health: tuple[HealthPolicy, ...] = ()
    evacuation: tuple[EvacuationPolicy, ...] = ()
    windows: Mapping[str, Window] = field(default_factory=dict)
    limits: Limits = Limits()
    digest: str = ""
    balance: tuple[BalancePolicy, ...] = ()
    consolidation: tuple[ConsolidationPolicy, ...] = ()
    placement: tuple[PlacementPolicy, ...] = ()

    def evacuation_named(self, name: str) -> EvacuationPolicy | None:
        """Return the evacuation policy of that name, None where none has it."""
        return next((one for one in self.evacuation if one.name == name), None)

    def with_modes(self, mode: Callable[[AnyPolicy], Mode]) -> PolicySet:
        """Return the set with the mode of each policy as ``mode`` says."""
        def changed(policies: tuple[P, ...]) -> tuple[P, ...]:
            return tuple(replace(one, mode=mode(one)) for one in policies)

        return replace(self, health=changed(self.health), evacuation=changed(self.evacuation),
                       balance=changed(self.balance), consolidation=changed(self.consolidation),
                       placement=changed(self.placement))


@dataclass(frozen=True, slots=True)
class Timing:
    """Durations that settings may change, seconds; the defaults are those of production.

    ``startup_quiet`` delays planning, never adoption. ``inventory_max_age``: older and a host is
    unreachable. ``second_look``: least time between two observations that settle an unclear outcome.
    ``late_copy_watch``: how long both ends are watched after a source was out of sight.
    ``self_suspect``: how long nothing starts after a lag, suspension or clock step of our own.
    ``load_window``: over what time load is averaged. ``cordon_confirm``, ``power_off``, ``wake``: how long a host may
    take to confirm its cordon, to go off, and to come back, before that counts as failed.
    ``wake_proof``: how long a wake that succeeded proves that the host can be woken. ``recommendation``: how long a
    recommendation stands, and an approval after it. ``rejection``: how long what was rejected is not offered again.
    """

    pace: Seconds = Seconds(30.0)
    startup_quiet: Seconds = Seconds(300.0)
    inventory_interval: Seconds = Seconds(10.0)
    inventory_max_age: Seconds = Seconds(45.0)
    second_look: Seconds = Seconds(5.0)
    late_copy_watch: Seconds = Seconds(40.0)
    self_suspect: Seconds = Seconds(60.0)
    lag_max: Seconds = Seconds(2.0)
    load_window: Seconds = Seconds(300.0)
    cordon_confirm: Seconds = Seconds(120.0)
    power_off: Seconds = Seconds(900.0)
    wake: Seconds = Seconds(900.0)
    wake_proof: Seconds = Seconds(90 * 86400.0)
    recommendation: Seconds = Seconds(1800.0)
    rejection: Seconds = Seconds(12 * 3600.0)
    migration_floor: Seconds = Seconds(300.0)
    migration_per_gib: Seconds = Seconds(150.0)
    telemetry_stale: Seconds = Seconds(90.0)
    telemetry_samples_min: int = 3


@dataclass(frozen=True, slots=True)
class ClusterDeclaration:
    """The hosts we may touch, sorted by name, the durations that govern us, and how VMs may be asked whether they answer."""

    hosts: tuple[DeclaredHost, ...]
    timing: Timing = Timing()
    arrival_checks: AllowedChecks = NOTHING_ALLOWED

    def host(self, name: HostName) -> DeclaredHost | None:
        """Return the declared host ``name``, or None."""
        return next((host for host in self.hosts if host.name == name), None)
