"""Policies as the mind knows them: compiled, typed, immutable. No percent sign, duration string or default.

Documents (YAML) compile to these; a ``PolicySet`` is swapped whole or not at all.
"""

from __future__ import annotations

import enum
import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass, field

from ballastd.core.conditions import Condition
from ballastd.core.inventory import DeclaredHost
from ballastd.core.quantities import HostName, Seconds


class Mode(enum.Enum):
    """How far a policy may go: say nothing but in the log, recommend, or act."""

    OBSERVE = "observe"
    RECOMMEND = "recommend"
    AUTO = "auto"


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
    """Severity -> response. ``deadline``: seconds from the moment the severity was reached, or None."""

    name: str
    severity: Health
    response: Response
    scope: Scope = EVERYWHERE
    mode: Mode = Mode.OBSERVE
    deadline: Seconds | None = None
    ignore_windows: bool = False
    order: tuple[EvacuationOrder, ...] = (EvacuationOrder.PRIORITY, EvacuationOrder.SHORTEST)
    windows: tuple[str, ...] = ()
    description: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Window:
    """A time window as UTC intervals (wall seconds, half-open, sorted, disjoint) up to ``horizon``.

    ``allows``: True for an allow-window, False for a denial. Beyond the horizon nothing is known, which
    counts as denied. ``closing``: whether a running move is cancelled when the window closes.
    """

    name: str
    allows: bool
    intervals: tuple[tuple[float, float], ...]
    horizon: float
    cancel_at_close: bool = False

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
    """How much may happen at once and how fast. Shares are ratios; durations seconds; bandwidth MiB/s."""

    in_flight_cluster: int = 4
    in_flight_host_out: int = 2
    in_flight_host_in: int = 2
    link_share: float = 0.60
    migration_minimum_mib_s: float = 100.0
    failover_hosts: int = 1
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


@dataclass(frozen=True, slots=True)
class PolicySet:
    """Everything loaded at one time, swapped whole. ``digest``: of the texts it was compiled from."""

    health: tuple[HealthPolicy, ...] = ()
    evacuation: tuple[EvacuationPolicy, ...] = ()
    windows: Mapping[str, Window] = field(default_factory=dict)
    limits: Limits = Limits()
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Timing:
    """Durations that settings may change, seconds; the defaults are those of production.

    ``startup_quiet`` delays planning, never adoption. ``inventory_max_age``: older and a host is
    unreachable. ``second_look``: least time between two observations that settle an unclear outcome.
    ``late_copy_watch``: how long both ends are watched after a source was out of sight.
    ``self_suspect``: how long nothing starts after a lag, suspension or clock step of our own.
    """

    pace: Seconds = Seconds(30.0)
    startup_quiet: Seconds = Seconds(300.0)
    inventory_interval: Seconds = Seconds(10.0)
    inventory_max_age: Seconds = Seconds(45.0)
    second_look: Seconds = Seconds(5.0)
    late_copy_watch: Seconds = Seconds(40.0)
    self_suspect: Seconds = Seconds(60.0)
    lag_max: Seconds = Seconds(2.0)
    migration_floor: Seconds = Seconds(300.0)
    migration_per_gib: Seconds = Seconds(150.0)
    telemetry_stale: Seconds = Seconds(90.0)
    telemetry_samples_min: int = 3


@dataclass(frozen=True, slots=True)
class ClusterDeclaration:
    """The hosts we may touch, sorted by name, and the durations that govern us."""

    hosts: tuple[DeclaredHost, ...]
    timing: Timing = Timing()

    def host(self, name: HostName) -> DeclaredHost | None:
        """Return the declared host ``name``, or None."""
        return next((host for host in self.hosts if host.name == name), None)
