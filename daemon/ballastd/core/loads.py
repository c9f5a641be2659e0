"""What VMs and hosts use of their processors, averaged over a window; and whether a host's two stories agree.

A VM's use comes from its host's hypervisor alone: processor time between looks, so nothing a guest says counts. It
goes on over a migration, where the hypervisor begins to count anew. A host's use comes from its telemetry, and is
believed only while it does not contradict the sum of its VMs. Unknown is None, never zero.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from ballastd.core.inventory import DeclaredHost, HostInventory, VmState
from ballastd.core.quantities import HostName, Instant, Seconds, VmId
from ballastd.core.telemetry import Telemetry

_NAN = float("nan")
POINTS_MAX = 64
PROFILE_SECONDS = 300.0
PROFILE_POINTS_MAX = 288
PROFILE_POINTS_MIN = 12
PEAK_PERCENTILE = 0.95
LESS_THAN_ITS_VMS = 0.20
"""A host cannot use less than its VMs do; this much is left to the two being measured at different times."""
MORE_THAN_ITS_VMS = 0.40
"""Beyond this share that no VM explains, moving VMs would not help."""


@dataclass(slots=True)
class _VmSeries:
    """Processor time of one VM, summed over all hosts it ran on: (monotonic, total seconds), oldest first."""

    host: HostName
    counted: float
    begun: float
    total: float = 0.0
    points: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=POINTS_MAX))
    profile: deque[float] = field(default_factory=lambda: deque(maxlen=PROFILE_POINTS_MAX))
    profiled: tuple[float, float] | None = None
    mean: float | None = None
    """Processors used over the window that ends with the last point; None until half a window was seen."""
    busy: float | None = None
    """What it uses at its busier times; None until an hour was seen."""
    seen_at: float = float("-inf")
    """When the last point was taken, monotonic."""


@dataclass(frozen=True, slots=True)
class _HostSum:
    """What the VMs of one look use together. ``oldest``: when the VM that was not seen for longest was."""

    look: HostInventory
    known: float
    unknown: int
    oldest: float


class Loads:
    """Remembers what inventories showed. Rebuilt by looking; nothing of it is durable."""

    def __init__(self, window: Seconds) -> None:
        self._window = window
        self._vms: dict[VmId, _VmSeries] = {}
        self._sums: dict[HostName, _HostSum] = {}

    def see(self, inventory: HostInventory) -> None:
        """Take the processor times of one look in."""
        begun, at = inventory.begun.monotonic, inventory.taken.monotonic
        for record in inventory.vms:
            seconds = record.usage.cpu_seconds
            if seconds is None or record.state is not VmState.RUNNING:
                continue
            known = self._vms.get(record.vm)
            if known is None:
                known = self._vms[record.vm] = _VmSeries(inventory.host, seconds, begun)
            elif known.host != inventory.host and begun <= known.begun:
                continue  # a late look of the host that it has left
            elif known.host != inventory.host or seconds < known.counted:
                # another host, or started anew: what it counts now began at zero
                self._sums.pop(known.host, None)
                known.host, known.total = inventory.host, known.total + seconds
            else:
                known.total += seconds - known.counted
            known.counted, known.begun = seconds, begun
            self._note(known, at)
        self._sums[inventory.host] = self._add_up(inventory, inventory.taken)

    def by_vms(self, inventory: HostInventory, now: Instant) -> tuple[float, int]:
        """Return the processors that the VMs which run on a host use together as far as they are known, and of how many
        that is unknown."""
        known = self._sums.get(inventory.host)
        if known is None or known.look is not inventory or known.oldest < self._horizon(now):
            known = self._add_up(inventory, now)
        return known.known, known.unknown

    def _add_up(self, inventory: HostInventory, now: Instant) -> _HostSum:
        total, unknown, oldest = 0.0, 0, float("inf")
        for record in inventory.vms:
            if record.state is VmState.RUNNING:
                cpu = self.cpu(record.vm, now)
                if cpu is None:
                    unknown += 1
                else:
                    total, oldest = total + cpu, min(oldest, self._vms[record.vm].seen_at)
        return _HostSum(inventory, total, unknown, oldest)

    def _horizon(self, now: Instant) -> float:
        """Return before when a VM must not have been seen last, for its use to be known."""
        return now.monotonic - self._window / 2

    def _note(self, series: _VmSeries, at: float) -> None:
        points = series.points
        if not points or at - points[-1][0] >= self._window * 2 / POINTS_MAX:
            while points and points[0][0] < at - self._window:
                points.popleft()
            points.append((at, series.total))
            series.seen_at, series.mean = at, self._mean(series)
        if series.profiled is None:
            series.profiled = (at, series.total)
        elif at - series.profiled[0] >= PROFILE_SECONDS:
            since, total = series.profiled
            series.profile.append((series.total - total) / (at - since))
            series.profiled = (at, series.total)
            series.busy = _busy(series)

    def _mean(self, series: _VmSeries) -> float | None:
        last_at, last = series.points[-1]
        first_at, first = series.points[0]
        if last_at - first_at < self._window / 2:
            return None
        return max(0.0, (last - first) / (last_at - first_at))

    def forget_others(self, vms: Iterable[VmId]) -> None:
        """Drop the VMs that are no longer there."""
        kept = set(vms)
        for vm in [vm for vm in self._vms if vm not in kept]:
            del self._vms[vm]

    def cpu(self, vm: VmId, now: Instant) -> float | None:
        """Return the processors that a VM uses, averaged over the window; None until half a window was seen, and when
        it was not seen for as long."""
        series = self._vms.get(vm)
        return None if series is None or series.seen_at < self._horizon(now) else series.mean

    def columns(self, vms: Iterable[VmId], now: Instant) -> tuple[list[float], list[float]]:
        """Return what many VMs use, nan where ``cpu`` is unknown; and at their busier times: a percentile of a VM's
        five-minute means over the last day, never less than now, and no more than now while less than an hour is known."""
        horizon, cpu, peak = self._horizon(now), [], []
        for vm in vms:
            series = self._vms.get(vm)
            mean = None if series is None or series.seen_at < horizon else series.mean
            busy = None if mean is None or series is None else series.busy
            cpu.append(_NAN if mean is None else mean)
            peak.append(_NAN if mean is None else mean if busy is None else max(mean, busy))
        return cpu, peak


def _busy(series: _VmSeries) -> float | None:
    if len(series.profile) < PROFILE_POINTS_MIN:
        return None
    ranked = sorted(series.profile)
    return ranked[min(len(ranked) - 1, int(PEAK_PERCENTILE * len(ranked)))]


@dataclass(frozen=True, slots=True)
class HostLoad:
    """Processors of one host. ``limit``: what VMs may use; ``used``: what is believed to be used, None where unknown;
    ``by_vms``: the sum of its VMs, None while one is unknown; ``doubt``: why ``used`` is not believed; ``machine``: all
    that its telemetry speaks of."""

    limit: float
    used: float | None
    by_vms: float | None
    doubt: str = ""
    machine: float = 0.0


def host_load(declared: DeclaredHost, inventory: HostInventory | None, loads: Loads, telemetry: Telemetry,
              window: Seconds, now: Instant) -> HostLoad:
    """Return the load of one host, telemetry checked against the sum of its VMs."""
    if inventory is None:
        return HostLoad(0.0, None, None)
    machine = float(inventory.cpus) if declared.processors is None else declared.processors
    limit = machine if declared.cpu_limit is None else declared.cpu_limit
    known, unknown = loads.by_vms(inventory, now)
    by_vms = None if unknown else known
    told = telemetry.mean(declared.name, "cpu.utilization", "", window, now)
    if told is None or machine <= 0:
        return HostLoad(limit, None, by_vms, machine=machine)
    counted = known / machine
    doubt = ""
    if counted > told + LESS_THAN_ITS_VMS:
        doubt = f"its telemetry says {told:.0%}, its VMs alone use {counted:.0%}"
    elif by_vms is not None and told > counted + MORE_THAN_ITS_VMS:
        doubt = f"its telemetry says {told:.0%}, its VMs use only {counted:.0%}: moving them would not help"
    # it cannot use less than its VMs do: where the two differ a little, the larger one counts
    return HostLoad(limit, None if doubt else max(told, counted) * machine, by_vms, doubt, machine)
