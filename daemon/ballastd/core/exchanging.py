"""Relief where room is scarce: exchanges of VMs between hosts, better by worse, until no host is hot.

A deterministic tabu search. Each step looks at everything that one hot host can do: give any of its VMs to any host, or
change it for any VM of another. The best is done even where it makes things worse for a while, and what was moved stays
put for some steps, so that the search leaves the dead ends in which a greedy one stops. The best cluster seen is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ballastd.core.arrays import Floats, Ints
from ballastd.core.heat import Doors, Heat
from ballastd.core.whereabouts import Whereabouts

WORK, WORK_FOR_LESS = 20_000_000, 3_000_000
"""So many exchanges are looked at to cool hosts, and to do so more cheaply, whatever the size of the cluster: a bound on
time that is no clock."""
STEPS_MAX = 600
REST = 8
"""A VM that was moved stays where it is for so many steps."""
REPAIRS = 8
"""So many exchanges may follow from sending one VM home."""
PRICE = 0.25
"""What it costs to copy as much as a host may hold, in overload: less, or nothing would be worth its cost."""
LOOKED_AT = 12
"""So many of the best exchanges of a step are asked of the doors."""
CALM = 1e-12


@dataclass(slots=True)
class _Best:
    heat: float
    cost: float
    at: Ints


def exchange(heat: Heat, doors: Doors, at: Ints) -> Ints:
    """Return where VMs live (host rows by VM row) so that less heat is left than in ``at``, or the same. ``doors`` have
    counted ``at``, and count what is returned afterwards."""
    search = _Search(heat, doors, at)
    search.cool()
    search.cheapen()
    return search.now.at


class _Search:
    def __init__(self, heat: Heat, doors: Doors, at: Ints) -> None:
        self._heat, self.now = heat, Whereabouts(heat, doors, at)
        self._rest = np.zeros(len(at), np.int64)
        self._clock = self._looked = 0
        self._tie = PRICE / float(heat.memory_mark.mean())
        self._hosts = np.arange(len(heat.cpu))
        self._best = _Best(self._total(), self.now.cost(), self.now.at.copy())

    def cool(self) -> None:
        """Search until nothing is hot, or for as long as is reasonable; keep the coolest that was seen."""
        for _ in range(STEPS_MAX):
            hot = self._hot()
            if not len(hot) or self._looked > WORK:
                break
            self._step(hot)
            total = self._total()
            if total < self._best.heat - CALM:
                self._best = _Best(total, self.now.cost(), self.now.at.copy())
        self.now.return_to(self._best.at)

    def cheapen(self) -> None:
        """Send VMs home, the dearest first, wherever nothing becomes hot by it that something cheaper would not cool."""
        improved, most = True, self._looked + WORK_FOR_LESS
        while improved:
            improved = False
            away = np.flatnonzero(self.now.at != self._heat.vm_host)
            for vm in away[np.argsort(-self._heat.vm_cost[away], kind="stable")].tolist():
                if self._looked > most:
                    return
                improved |= self._goes_home(vm)

    def _goes_home(self, vm: int) -> bool:
        home, before, cost, heat = int(self._heat.vm_host[vm]), self.now.at.copy(), self.now.cost(), self._total()
        if int(self.now.at[vm]) == home or not self.now.passes(vm, home):
            return False
        self._clock += REST
        self.now.move(vm, home)
        for _ in range(REPAIRS):
            hot = self._hot()
            if self._total() <= heat + CALM or not len(hot) or self.now.cost() >= cost:
                break
            self._rest[vm] = self._clock + REST
            self._step(hot)
        if self._total() <= heat + CALM and self.now.cost() < cost:
            return True
        self.now.return_to(before)
        return False

    def _step(self, hot: Ints) -> None:
        """Do the best that the hottest host can do; where it can do nothing, the next."""
        self._clock += 1
        for host in hot.tolist():
            vms = np.flatnonzero((self.now.at == host) & self._heat.vm_movable & (self._rest < self._clock))
            self._looked += 1 + len(vms) * len(self.now.at)
            if not len(vms):
                continue
            for vm, other, target in self._ranked(host, vms):
                if self.now.passes(vm, target) and (other < 0 or self.now.passes(other, host)):
                    self.now.move(vm, target)
                    self._rest[vm] = self._clock + REST
                    if other >= 0:
                        self.now.move(other, host)
                        self._rest[other] = self._clock + REST
                    return

    def _ranked(self, host: int, vms: Ints) -> Iterator[tuple[int, int, int]]:
        """Yield the best of what the host can do: the VM that leaves, the VM that comes for it (-1: none), to and from
        which host."""
        heat, at = self._heat, self.now.at
        others = np.flatnonzero((at != host) & heat.vm_movable & (self._rest < self._clock) & heat.opens[at])
        targets = self._hosts[heat.opens & (self._hosts != host)]
        there = np.concatenate([at[others], targets])
        if not heat.opens[host]:
            others, there = others[:0], targets
        none = np.zeros(len(targets))
        back = np.concatenate([self.now.taken(others, np.array([host]))[:, 0], none])
        given_back = np.concatenate([self.now.taken(others, at[others], paired=True), none])
        memory = heat.vm_memory[vms][:, None] - np.concatenate([heat.vm_memory[others], none])[None, :]
        leaves = self.now.taken(vms, np.array([host]))
        after = self._overload(self.now.cpu[host] - leaves + back[None, :], self.now.memory[host] - memory, host)
        after += self._overload(self.now.cpu[there] + self.now.taken(vms, there) - given_back[None, :],
                                self.now.memory[there] + memory, there)
        after -= self._heat_of(host)
        after -= np.array([self._overload(self.now.cpu[there], self.now.memory[there], there)])[0]
        after += self.now.dearer(vms, there) * self._tie
        after[:, :len(others)] += self.now.dearer(others, np.array([host]))[:, 0] * self._tie
        flat = after.ravel()
        count = min(LOOKED_AT, len(flat))
        if not count:
            return
        first = np.argpartition(flat, count - 1)[:count]
        for index in first[np.argsort(flat[first], kind="stable")].tolist():
            row, column = divmod(index, len(there))
            yield int(vms[row]), int(others[column]) if column < len(others) else -1, int(there[column])

    def _overload(self, cpu: Floats, memory: Floats, host: Ints | int) -> Floats:
        over: Floats = np.maximum(cpu / self._heat.cpu_mark[host] - 1.0, 0.0)
        over += np.maximum(memory / self._heat.memory_mark[host] - 1.0, 0.0)
        return over

    def _heat_of(self, host: int) -> float:
        return float(self._overload(self.now.cpu[host:host + 1], self.now.memory[host:host + 1], host)[0])

    def _all_heat(self) -> Floats:
        return self._overload(self.now.cpu, self.now.memory, self._hosts)

    def _total(self) -> float:
        return float(self._all_heat().sum())

    def _hot(self) -> Ints:
        heat = self._all_heat()
        hot = np.flatnonzero(heat > CALM)
        return hot[np.argsort(-heat[hot], kind="stable")]
