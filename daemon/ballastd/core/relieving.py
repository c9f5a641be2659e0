"""Relief of all hot hosts at once: which VMs leave, and where each goes, so that no host is hot and few bytes are copied.

Each hot host by itself offers the cheapest set of VMs whose leaving makes it cool; all of these together are packed onto
the hosts that have room below their own marks. What binds is scarce room, so processors have a price, and where the
packing fails it is raised and everything is chosen anew. First targets are chosen so that they stay as cool as they can;
where VMs are left over, so that room for the large ones is kept together.

Only hosts that are not hot receive and only hot ones send: whatever order the moves are made in, and however many at a
time, no host ever holds more than at the end or at the beginning, and both are within the limits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ballastd.core.arrays import Floats, Ints
from ballastd.core.covering import cheapest_cover
from ballastd.core.exchanging import exchange
from ballastd.core.heat import Doors, Heat

LADDER = ((0.1, False), (0.1, True), (0.4, True), (1.6, True))
"""What is tried one after the other: the price of a processor, in the memory that goes with one in this cluster; and whether
targets are filled up one by one."""
ROUNDS = 4
"""So often, per hot host, something that found no room is chosen anew before the price is raised."""
ROUNDING = 1e-9
"""Marks are kept by this share more: sums come out differently in another order."""


@dataclass(frozen=True, slots=True)
class Relief:
    """Moves, VM row and host row, those of the hottest host first; and the rows of the hosts that stay hot."""

    moves: tuple[tuple[int, int], ...]
    still_hot: tuple[int, ...]


def relieve(heat: Heat, doors: Doors, *, exchanges: bool = True) -> Relief:
    """Return the moves after which as few hosts as possible are hot; of such the first found, the cheap ones first.
    ``exchanges``: whether VMs of hosts that are not hot may make room for others."""
    best: Relief | None = None
    for price, is_tight in LADDER:
        attempt = _Attempt(heat, doors, price, is_tight=is_tight)
        found = attempt.relief()
        attempt.undo()
        if best is None or len(found.still_hot) < len(best.still_hot):
            best = found
        # whose VMs are not enough, whatever they cost, no price will cool
        if attempt.hopeless.issuperset(best.still_hot):
            return best
    assert best is not None
    return _exchanged(heat, doors, best) if exchanges else best


def _exchanged(heat: Heat, doors: Doors, found: Relief) -> Relief:
    at = heat.vm_host.copy()
    for vm, host in found.moves:
        at[vm] = host
        doors.leave(vm, int(heat.vm_host[vm]))
        doors.enter(vm, host)
    settled = exchange(heat, doors, at)
    moved = np.flatnonzero(settled != heat.vm_host).tolist()
    for vm in moved:
        doors.leave(vm, int(settled[vm]))
        doors.enter(vm, int(heat.vm_host[vm]))
    cpu, memory = heat.cpu.copy(), heat.memory.copy()
    for vm in moved:
        for host, sign in ((int(heat.vm_host[vm]), -1.0), (int(settled[vm]), 1.0)):
            cpu[host] += sign * heat.vm_cpu[vm]
            memory[host] += sign * heat.vm_memory[vm]
    still = np.flatnonzero((cpu > heat.cpu_mark) | (memory > heat.memory_mark)).tolist()
    return Relief(tuple((vm, int(settled[vm])) for vm in moved), tuple(still))


class _Attempt:
    def __init__(self, heat: Heat, doors: Doors, price: float, *, is_tight: bool) -> None:
        self._heat, self._doors, self._is_tight = heat, doors, is_tight
        used = float(heat.vm_cpu.sum())
        # somebody has to have the processors free
        self._costs = heat.vm_cost + (price * float(heat.vm_memory.sum()) / used if used > 0 else 0.0) * heat.vm_cpu
        mark_cpu, mark_memory = heat.cpu_mark * (1.0 - ROUNDING), heat.memory_mark * (1.0 - ROUNDING)
        self._over_cpu, self._over_memory = heat.cpu - mark_cpu, heat.memory - mark_memory
        is_hot = (heat.cpu > heat.cpu_mark) | (heat.memory > heat.memory_mark)
        self._hot = np.flatnonzero(is_hot).tolist()
        takes = heat.opens & ~is_hot
        self._room_cpu = np.where(takes, -self._over_cpu, -1.0)
        self._room_memory = np.where(takes, -self._over_memory, -1.0)
        self._all_cpu = max(float(self._room_cpu[takes].sum()), 1e-9)
        self._all_memory = max(float(self._room_memory[takes].sum()), 1e-9)
        self._scarce_cpu = float(np.maximum(self._over_cpu, 0.0).sum()) / self._all_cpu
        self._scarce_memory = float(np.maximum(self._over_memory, 0.0).sum()) / self._all_memory
        order = np.argsort(heat.vm_host, kind="stable")
        ends = np.searchsorted(heat.vm_host[order], np.arange(len(heat.cpu) + 1))
        self._living = {host: [vm for vm in order[ends[host]:ends[host + 1]].tolist() if heat.vm_movable[vm]]
                        for host in self._hot}
        self._barred: dict[int, set[int]] = {host: set() for host in self._hot}
        self._chosen: dict[int, tuple[int, ...]] = {}
        self._where: dict[int, int] = {}
        self._stuck: set[int] = set()
        self.hopeless: frozenset[int] = frozenset()
        """The hosts that stay hot even without all of their VMs that may leave."""

    def relief(self) -> Relief:
        """Choose, pack, and choose anew what found no room."""
        for host in self._hot:
            self._choose(host)
        self.hopeless = frozenset(self._stuck)
        homeless = deque(vm for vm in self._largest_first(vm for members in self._chosen.values() for vm in members)
                         if not self._place(vm))
        for _ in range(ROUNDS * len(self._hot)):
            if not homeless:
                break
            vm = homeless.popleft()
            host = int(self._heat.vm_host[vm])
            if vm in self._chosen.get(host, ()) and vm not in self._where:
                self._barred[host].add(vm)
                self._give_back(host)
                self._choose(host)
                homeless.extend(one for one in self._largest_first(self._chosen.get(host, ())) if not self._place(one))
        for host in {int(self._heat.vm_host[vm]) for vm in homeless}:
            if any(vm not in self._where for vm in self._chosen.get(host, ())):
                self._give_back(host)
                self._chosen.pop(host, None)
                self._stuck.add(host)
        hottest = sorted(self._chosen, key=lambda host: (-self._hotness(host), host))
        return Relief(tuple((vm, self._where[vm]) for host in hottest for vm in self._chosen[host]),
                      tuple(sorted(self._stuck)))

    def undo(self) -> None:
        """Leave the doors as they were found."""
        for vm, host in self._where.items():
            self._doors.leave(vm, host)

    def _choose(self, host: int) -> None:
        rows = np.array([vm for vm in self._living[host] if vm not in self._barred[host]], np.int64)
        excess = float(self._over_cpu[host]), float(self._over_memory[host])
        cover = cheapest_cover(self._heat.vm_cpu[rows], self._heat.vm_memory[rows], self._costs[rows], excess)
        if cover is None:
            self._chosen.pop(host, None)
            self._stuck.add(host)
        else:
            self._chosen[host] = tuple(rows[list(cover)].tolist())

    def _largest_first(self, vms: Iterable[int]) -> list[int]:
        return sorted(vms, key=lambda vm: (-self._size(vm), vm))

    def _size(self, vm: int) -> float:
        return max(float(self._heat.vm_peak[vm]) / self._all_cpu, float(self._heat.vm_memory[vm]) / self._all_memory)

    def _hotness(self, host: int) -> float:
        return max(float(self._heat.cpu[host] / max(self._heat.cpu_mark[host], 1e-9)),
                   float(self._heat.memory[host] / max(self._heat.memory_mark[host], 1e-9)))

    def _place(self, vm: int) -> bool:
        cpu, memory = float(self._heat.vm_peak[vm]), float(self._heat.vm_memory[vm])
        fits = (self._room_cpu >= cpu) & (self._room_memory >= memory)
        if len(barred := list(self._doors.shut(vm))):
            fits[barred] = False
        rows = np.flatnonzero(fits)
        unfit, penalties = self._unfitness(rows, cpu, memory), self._doors.penalties(vm)
        order = np.argsort(unfit, kind="stable") if penalties is None else np.lexsort((unfit, penalties[rows]))
        target = next((host for host in rows[order].tolist() if self._doors.admits(vm, host)), None)
        if target is None:
            return False
        self._room_cpu[target] -= cpu
        self._room_memory[target] -= memory
        self._where[vm] = target
        self._doors.enter(vm, target)
        return True

    def _unfitness(self, rows: Ints, cpu: float, memory: float) -> Floats:
        left_cpu, left_memory = self._room_cpu[rows] - cpu, self._room_memory[rows] - memory
        if self._is_tight:
            kept: Floats = left_cpu / self._all_cpu * self._scarce_cpu + left_memory / self._all_memory * self._scarce_memory
            return kept
        # as cool as can be: the share of its mark that is left, of the scarcer resource; in steps, so that noise does not
        # choose among hosts that are as good
        left = np.minimum(left_cpu / self._heat.cpu_mark[rows], left_memory / self._heat.memory_mark[rows])
        return np.round(-left, 2).astype(np.float64)

    def _give_back(self, host: int) -> None:
        for vm in self._chosen.get(host, ()):
            target = self._where.pop(vm, None)
            if target is not None:
                self._room_cpu[target] += float(self._heat.vm_peak[vm])
                self._room_memory[target] += float(self._heat.vm_memory[vm])
                self._doors.leave(vm, target)
