"""Clusters to plan for: files of the format ``ballastd-cluster/1``, or made from a seed; and a judge that knows no planner.

A file, gzipped or not, holds ``hosts`` (name, cpus, memory_mib, link_mib_s) and ``vms`` (name, host, memory_mib, cpu_load:
processors used, group: VMs of one group must be on different hosts, or null).
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import pstdev
from typing import Any

import numpy as np

from ballastd.core.heat import Heat
from ballastd.core.prediction import HANDSHAKE_SECONDS

HOT_CPU, HOT_MEMORY = 0.80, 0.88
LINK_SHARE = 0.6
MIB, GIB = 2 ** 20, 2 ** 30
Instance = dict[str, Any]
Moves = list[tuple[str, str, str]]
"""VM, source, target."""


def load(path: Path) -> Instance:
    """Return the cluster in a file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not of this format.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt") as file:
        found: Instance = json.load(file)
    missing = {"hosts", "vms"} - found.keys()
    if missing:
        raise ValueError(f"{path}: {', '.join(sorted(missing))} missing; expected the format ballastd-cluster/1")
    return found


def generate(hosts: int, vms_per_host: int, fill: float, seed: int) -> Instance:
    """Return a made-up cluster: three kinds of hosts, VMs by the usual sizes and log-normal loads, a fifth of the hosts
    with too many of them, a few groups that are apart. ``fill``: the share of all memory that is used."""
    luck = Random(f"{seed} {hosts} {vms_per_host} {fill}")
    kinds = ((32, 131072, 1100), (48, 196608, 1100), (64, 262144, 2200))
    machines = [dict(zip(("cpus", "memory_mib", "link_mib_s"), luck.choices(kinds, (5, 3, 2))[0], strict=True),
                     name=f"h{row:04}") for row in range(hosts)]
    count = hosts * vms_per_host
    sizes = luck.choices((2048, 4096, 8192, 16384, 32768), (20, 34, 28, 14, 4), k=count)
    shrink = fill * sum(one["memory_mib"] for one in machines) / sum(sizes)
    loads = [luck.lognormvariate(-0.6, 0.9) for _ in range(count)]
    per_load = (fill - 0.08) * sum(one["cpus"] for one in machines) / sum(loads)
    free = {one["name"]: 0.95 * one["memory_mib"] for one in machines}
    crowded = {one["name"] for one in luck.sample(machines, max(1, hosts // 5))}
    groups: dict[str, set[str]] = {}
    vms = []
    for row in sorted(range(count), key=lambda row: -sizes[row]):
        memory = max(512, int(sizes[row] * shrink) // 64 * 64)
        group = f"g{luck.randrange(max(1, count // 60)):04}" if luck.random() < 0.06 else None
        taken = groups.setdefault(group, set()) if group else set()
        fits = [name for name, left in free.items() if left >= memory and name not in taken]
        if not fits:
            group, fits = None, [max(free, key=lambda name: free[name])]
        likely = [name for name in fits if name in crowded or luck.random() > 0.35] or fits
        host = luck.choice(likely)
        free[host] -= memory
        if group:
            taken.add(host)
        load_now = min(16.0, loads[row] * per_load * (1.25 if host in crowded else 0.92))
        vms.append({"name": f"v{row:05}", "host": host, "memory_mib": memory, "cpu_load": round(load_now, 3),
                    "group": group})
    return {"format": "ballastd-cluster/1", "seed": seed, "hosts": machines,
            "vms": sorted(vms, key=lambda vm: str(vm["name"]))}


class Apart:
    """Doors that keep VMs of one group on different hosts."""

    def __init__(self, groups: list[str | None], homes: Iterable[int]) -> None:
        self._groups = groups
        self._at: dict[str, Counter[int]] = {}
        for vm, host in enumerate(homes):
            self.enter(vm, host)

    def shut(self, vm: int) -> Collection[int]:
        """Return the hosts with another VM of its group."""
        group = self._groups[vm]
        return [host for host, count in self._at[group].items() if count > 0] if group else ()

    def admits(self, vm: int, host: int) -> bool:  # noqa: ARG002  the protocol's
        """Return True: what is not shut is open."""
        return True

    def penalties(self, vm: int) -> None:
        """Return nothing: these groups are no wishes."""

    def groups(self) -> list[list[int]]:
        """Return the VMs of each group of two or more."""
        found: dict[str, list[int]] = {}
        for vm, group in enumerate(self._groups):
            if group:
                found.setdefault(group, []).append(vm)
        return [members for members in found.values() if len(members) > 1]

    def enter(self, vm: int, host: int) -> None:
        """Count a VM on a host."""
        if group := self._groups[vm]:
            self._at.setdefault(group, Counter())[host] += 1

    def leave(self, vm: int, host: int) -> None:
        """Count it there no more."""
        if group := self._groups[vm]:
            self._at[group][host] -= 1


@dataclass(frozen=True)
class Problem:
    """An instance in columns."""

    heat: Heat
    doors: Apart
    hosts: tuple[str, ...]
    vms: tuple[str, ...]
    memory_limit: tuple[float, ...]


def problem(found: Instance) -> Problem:
    """Return the columns of an instance. A move costs its bytes, and what could be copied while it begins and ends."""
    hosts, vms = found["hosts"], found["vms"]
    rows = {host["name"]: row for row, host in enumerate(hosts)}
    home = np.array([rows[vm["host"]] for vm in vms], np.int64)
    cpu, memory = np.array([float(vm["cpu_load"]) for vm in vms]), np.array([float(vm["memory_mib"] * MIB) for vm in vms])
    limit = np.array([float(host["memory_mib"] * MIB) for host in hosts])
    link = float(np.median([host["link_mib_s"] for host in hosts]))
    heat = Heat(
        cpu=np.bincount(home, cpu, len(hosts)), cpu_mark=HOT_CPU * np.array([float(host["cpus"]) for host in hosts]),
        memory=np.bincount(home, memory, len(hosts)), memory_mark=HOT_MEMORY * limit, opens=np.ones(len(hosts), np.bool_),
        vm_host=home, vm_cpu=cpu, vm_peak=cpu, vm_memory=memory, vm_movable=np.ones(len(vms), np.bool_),
        vm_cost=memory + HANDSHAKE_SECONDS * LINK_SHARE * link * MIB)
    return Problem(heat, Apart([vm["group"] for vm in vms], home.tolist()), tuple(rows), tuple(vm["name"] for vm in vms),
                   tuple(limit.tolist()))


def judge(found: Instance, moves: Moves) -> dict[str, float]:
    """Return what moves, done one after the other, come to: how many, GiB copied, hosts left hot, spreads, and how many of
    the clusters on the way broke a rule or a host's memory. Plain sums, written apart from the planner."""
    hosts = {host["name"]: host for host in found["hosts"]}
    vms = {vm["name"]: vm for vm in found["vms"]}
    at = {vm["name"]: vm["host"] for vm in found["vms"]}
    held, cpu, broken = Counter[str](), Counter[str](), 0
    for name, vm in vms.items():
        held[at[name]] += vm["memory_mib"]
        cpu[at[name]] += vm["cpu_load"]
    for name, source, target in moves:
        vm = vms[name]
        held[target] += vm["memory_mib"]
        mates = [other for other, one in vms.items() if vm["group"] and other != name and one["group"] == vm["group"]]
        bad = at[name] != source or held[target] > hosts[target]["memory_mib"] or any(at[mate] == target for mate in mates)
        broken += bad
        held[source] -= vm["memory_mib"]
        cpu[source] -= vm["cpu_load"]
        cpu[target] += vm["cpu_load"]
        at[name] = target
    use = [cpu[name] / host["cpus"] for name, host in hosts.items()]
    full = [held[name] / host["memory_mib"] for name, host in hosts.items()]
    return {
        "moves": len(moves), "gib": round(sum(vms[name]["memory_mib"] for name, _, _ in moves) / 1024, 1),
        "hot_cpu": sum(one > HOT_CPU for one in use), "hot_memory": sum(one > HOT_MEMORY for one in full),
        "cpu_spread": round(pstdev(use), 4), "memory_spread": round(pstdev(full), 4), "broken_on_the_way": broken}
