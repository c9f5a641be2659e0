"""Small clusters of every kind, from a seed, for whoever plans relief; and a judge of what was planned, by plain sums."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from random import Random

import numpy as np
from benchmarks.exact import as_planned
from benchmarks.instances import Apart

from ballastd.core.arrays import Bools
from ballastd.core.heat import Heat

ROUNDING = 1e-9


class Rules(Apart):
    """Groups that are apart, VMs that may not come to some hosts, and hosts that admit some VMs only when asked."""

    def __init__(self, groups: list[str | None], homes: Sequence[int], barred: Bools, unwelcome: Bools) -> None:
        super().__init__(groups, homes)
        self._barred, self._unwelcome = barred, unwelcome

    def shut(self, vm: int) -> Collection[int]:
        """See ``Doors``."""
        return {*super().shut(vm), *np.flatnonzero(self._barred[vm]).tolist()}

    def admits(self, vm: int, host: int) -> bool:
        """See ``Doors``."""
        return not self._unwelcome[vm, host]


@dataclass(frozen=True)
class SmallCluster:
    """A cluster with its rules. ``groups``: of each VM, or None; ``never``: whether a VM may not come to a host;
    ``limit``: bytes that a host has."""

    heat: Heat
    groups: list[str | None]
    barred: Bools
    unwelcome: Bools
    limit: list[float]

    @property
    def never(self) -> Bools:
        """Return which VM may come to which host at no time."""
        return self.barred | self.unwelcome

    def for_plans(self) -> SmallCluster:
        """Return the same cluster as the daemon's plans may use it."""
        heat, never = as_planned(self.heat, self.apart())
        return replace(self, heat=heat, barred=self.barred | never)

    def doors(self) -> Rules:
        """Return doors that have counted where VMs are."""
        return Rules(self.groups, self.heat.vm_host.tolist(), self.barred, self.unwelcome)

    def apart(self) -> list[list[int]]:
        """Return the VMs of each group."""
        return self.doors().groups()


def small_cluster(seed: int) -> SmallCluster:
    """Return 2 to 6 hosts with 4 to 24 VMs, roomy or crowded, hot by processors, by memory, by both or not at all; with
    rules, closed hosts and VMs that may not move in about half of them each."""
    luck = Random(seed)
    hosts, vms = luck.randint(2, 6), luck.randint(4, 24)
    size = [float(luck.choice((16, 16, 24, 32))) for _ in range(hosts)]
    weights = [luck.uniform(0.4, 2.5) for _ in range(hosts)]
    home = luck.choices(range(hosts), weights, k=vms)
    memory = [float(luck.choice((1, 2, 2, 3, 4, 6, 8))) for _ in range(vms)]
    cpu = [round(luck.lognormvariate(0.0, 0.8), 3) for _ in range(vms)]
    cpu_scale, memory_scale = (luck.uniform(0.45, 0.97) * sum(size) / sum(used) for used in (cpu, memory))
    cpu, memory = [used * cpu_scale for used in cpu], [used * memory_scale for used in memory]
    calm = luck.random()
    if calm < 0.2:
        cpu = [used * 0.3 for used in cpu]
    elif calm < 0.4:
        memory = [used * 0.3 for used in memory]
    is_peaky, has_groups, has_bars, has_pins, has_closed = (luck.random() < share for share in (0.4, 0.5, 0.5, 0.5, 0.4))
    bars = np.array([[luck.random() < 0.15 for _ in range(hosts)] for _ in range(vms)])
    kind = luck.random() < 0.5
    none = np.zeros_like(bars)
    home_row = np.array(home)
    cpu_row, memory_row = np.array(cpu), np.array(memory)
    held = np.bincount(home_row, memory_row, hosts)
    heat = Heat(
        cpu=np.bincount(home_row, cpu_row, hosts), cpu_mark=np.array(size), memory=held, memory_mark=np.array(size),
        opens=np.array([not has_closed or luck.random() < 0.75 for _ in range(hosts)]), vm_host=home_row, vm_cpu=cpu_row,
        vm_peak=cpu_row * np.array([luck.choice((1.0, 1.0, 1.2, 1.5)) if is_peaky else 1.0 for _ in range(vms)]),
        vm_memory=memory_row, vm_cost=memory_row + luck.choice((0.0, 0.5, 2.0)),
        vm_movable=np.array([not has_pins or luck.random() < 0.8 for _ in range(vms)]))
    return SmallCluster(
        heat, [luck.choice((None, None, "a", "b")) if has_groups else None for _ in range(vms)],
        bars if has_bars and kind else none, bars if has_bars and not kind else none,
        [max(1.1 * mark, 1.02 * float(used)) for mark, used in zip(size, held, strict=True)])


def judged(told: SmallCluster, at: Sequence[int], *, may_shift: bool = False) -> tuple[int, float, float]:
    """Return how many hosts are hot where VMs live so, by how many marks in all, and what the moves cost. ``may_shift``:
    whether a host may end hotter than it began, for the sake of others.

    Raises:
        AssertionError: a VM lives where it may not, or a host is hotter than it was at first.
    """
    heat, hot, overload, cost = told.heat, 0, 0.0, 0.0
    for vm, host in enumerate(at):
        home = int(heat.vm_host[vm])
        if host == home:
            continue
        cost += float(heat.vm_cost[vm])
        assert heat.vm_movable[vm], f"{vm} may not leave"
        assert heat.opens[host], f"{host} is closed"
        assert not told.never[vm, host], f"{vm} may not come to {host}"
        for other, there in enumerate(at):
            mates = told.groups[vm] and told.groups[vm] == told.groups[other]
            assert other == vm or there != host or not mates, f"{vm} came to its mate {other}"
    for host in range(len(heat.cpu)):
        here = [vm for vm in range(len(at)) if at[vm] == host]
        cpu = sum(float(heat.vm_cpu[vm] if heat.vm_host[vm] == host else heat.vm_peak[vm]) for vm in here)
        memory = sum(float(heat.vm_memory[vm]) for vm in here)
        over = 0.0
        for used, mark, before in ((cpu, heat.cpu_mark[host], heat.cpu[host]),
                                   (memory, heat.memory_mark[host], heat.memory[host])):
            assert may_shift or used <= max(float(mark), float(before)) * (1.0 + ROUNDING), f"{host} is hotter than before"
            if used > float(mark) * (1.0 + ROUNDING):
                over += used / float(mark) - 1.0
        hot += over > 0.0
        overload += over
    return hot, overload, cost
