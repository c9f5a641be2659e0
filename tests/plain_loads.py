"""What VMs use, the plain way: one VM after the other, one look after the other, from lists that are never shortened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ballastd.core.consumption import (
    HOUR_PERCENTILE,
    HOUR_POINTS_MIN,
    HOURS,
    HOURS_MIN,
    PEAK_PERCENTILE,
    POINT_SECONDS_MAX,
    POINTS,
    PROFILE_POINTS,
    PROFILE_POINTS_MIN,
    PROFILE_SECONDS,
)
from ballastd.core.inventory import NO_USAGE, HostInventory, VmUsage
from ballastd.core.quantities import VmId


@dataclass
class _Vm:
    host: str
    counted: float
    begun: float
    total: float = 0.0
    points: list[tuple[float, float]] = field(default_factory=list)
    profile: list[float] = field(default_factory=list)
    ended: list[float] = field(default_factory=list)
    since: tuple[float, float] | None = None


class PlainLoads:
    """See ``core.loads.Loads``. ``counted``: what a look says of a VM, None where it does not; ``falls_to_zero``: what is
    less than before was counted from zero."""

    def __init__(self, window: float, counted: Callable[[VmUsage], float | None] = lambda usage: usage.cpu_seconds, *,
                 falls_to_zero: bool = True) -> None:
        self.window = window
        self.counted = counted
        self.falls_to_zero = falls_to_zero
        self.vms: dict[VmId, _Vm] = {}

    def see(self, look: HostInventory) -> None:
        for record in look.vms:
            seconds = self.counted(look.usage.get(record.vm, NO_USAGE))
            if seconds is None or not record.state.runs:
                continue
            known = self.vms.get(record.vm)
            begun = look.begun.monotonic
            if known is None:
                known = self.vms[record.vm] = _Vm(look.host, seconds, begun)
            elif known.host != look.host and begun <= known.begun:
                continue
            elif known.host == look.host and seconds < known.counted and not self.falls_to_zero:
                known.points, known.since = [], None
            elif known.host != look.host or seconds < known.counted:
                known.host, known.total = look.host, known.total + seconds
            else:
                known.total += seconds - known.counted
            known.counted, known.begun = seconds, begun
            self._note(known, look.taken.monotonic)

    def _note(self, vm: _Vm, at: float) -> None:
        if not vm.points or at - vm.points[-1][0] >= self.window * 2 / POINTS:
            vm.points.append((at, vm.total))
        if vm.since is None:
            vm.since = (at, vm.total)
        elif at - vm.since[0] >= PROFILE_SECONDS:
            vm.profile.append((vm.total - vm.since[1]) / (at - vm.since[0]))
            vm.ended.append(at)
            vm.since = (at, vm.total)

    def forget_others(self, kept: set[VmId]) -> None:
        self.vms = {vm: known for vm, known in self.vms.items() if vm in kept}

    def cpu(self, vm: VmId, now: float) -> float | None:
        points = self.vms[vm].points if vm in self.vms else []
        if not points or points[-1][0] < now - self.window / 2:
            return None
        last_at, last = points[-1]
        first_at, first = next(point for point in points if point[0] >= last_at - self.window)
        return None if last_at - first_at < self.window / 2 else max(0.0, (last - first) / (last_at - first_at))

    def peak(self, vm: VmId, now: float) -> float | None:
        cpu = self.cpu(vm, now)
        profile = self.vms[vm].profile[-PROFILE_POINTS:] if vm in self.vms else []
        if cpu is None or len(profile) < PROFILE_POINTS_MIN:
            return cpu
        return max(cpu, sorted(profile)[min(len(profile) - 1, int(PEAK_PERCENTILE * len(profile)))])

    def hours(self, vm: VmId, ahead: float) -> list[float] | None:
        """Return what a VM uses at each hour of the day, None where too few are known."""
        known = self.vms.get(vm)
        if known is None or not known.ended:
            return None
        begins = [known.ended[0] - PROFILE_SECONDS, *known.ended]
        kept = list(zip(begins[:-1], known.ended, known.profile, strict=True))[-PROFILE_POINTS:]
        if len(kept) == PROFILE_POINTS and len(begins) > PROFILE_POINTS:
            # nobody remembers when the oldest began
            kept[0] = (kept[0][1] - PROFILE_SECONDS, *kept[0][1:])
        told: list[list[float]] = [[] for _ in range(HOURS)]
        for begin, end, mean in kept:
            middle = (begin + end) / 2
            if end - begin <= POINT_SECONDS_MAX and middle > kept[-1][1] - 86250.0:
                told[int((middle + ahead) // 3600) % HOURS].append(mean)
        found = [sorted(means)[min(len(means) - 1, int(HOUR_PERCENTILE * len(means)))]
                 if len(means) >= HOUR_POINTS_MIN else None for means in told]
        if sum(one is not None for one in found) < HOURS_MIN:
            return None
        busiest = max(one for one in found if one is not None)
        return [busiest if one is None else one for one in found]

    def by_vms(self, look: HostInventory, now: float) -> tuple[float, int]:
        known = [self.cpu(record.vm, now) for record in look.vms if record.state.runs]
        return sum(one for one in known if one is not None), known.count(None)
