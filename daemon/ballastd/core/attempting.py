"""One attempt to relieve all hot hosts: whom each of them sends, and where these go.

Each hot host chooses the cheapest set of VMs whose leaving makes it cool, and these are placed, the largest first. Who finds
no room may have the place of somebody who can go elsewhere; else his host does without him and chooses anew. A host that
stays hot so has others send somebody else. At the end hosts choose anew once more, in case it has become cheaper. All of
that is bounded by counts, no clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np

from ballastd.core.arrays import Bools, Floats, Ints
from ballastd.core.choosing import Offer, Together
from ballastd.core.covering import cheapest_cover
from ballastd.core.heat import Doors, Heat

ROUNDS, ROUNDS_MAX = 4, 150
"""So often, per hot host and in all, somebody else is chosen for whom found no room, before the price is raised."""
TRIES, LOOKS = 40, 2_000
"""So often hosts send somebody else so that one more is relieved, and so many VMs are looked at that might make place for
another, in each attempt."""
ASKED_FIRST = 500
"""Of so many VMs it is asked first who can go anywhere at all, where room is scarce."""
AWKWARD, LARGEST = 3, 2
"""Of so many VMs that found no place, and so many of the largest that found one, one may be done without."""
ROUNDING = 1e-9
"""Marks are kept by this share more: sums come out differently in another order."""


@dataclass(frozen=True, slots=True)
class _Choices:
    """Where VMs go (VM row -> host row), whom each host sends, whom it must not send, and who stays hot."""

    where: dict[int, int]
    chosen: dict[int, tuple[int, ...]]
    barred: dict[int, set[int]]
    stuck: set[int]


class Attempt:
    """``price``: of a processor, in the memory that goes with one in this cluster. ``is_tight``: whether targets are filled
    up one by one, and hosts that are stuck have others choose anew."""

    def __init__(self, heat: Heat, doors: Doors, price: float, *, is_tight: bool) -> None:
        self._heat, self._doors, self._is_tight = heat, doors, is_tight
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
        self._costs = heat.vm_cost + self._price(price) * heat.vm_cpu
        order = np.argsort(heat.vm_host, kind="stable")
        ends = np.searchsorted(heat.vm_host[order], np.arange(len(heat.cpu) + 1))
        self._living = {host: [vm for vm in order[ends[host]:ends[host + 1]].tolist() if heat.vm_movable[vm]]
                        for host in self._hot}
        self._chosen: dict[int, tuple[int, ...]] = {}
        self._where: dict[int, int] = {}
        self._barred: dict[int, set[int]] = {host: set() for host in self._hot}
        if is_tight and sum(map(len, self._living.values())) <= ASKED_FIRST:
            self._barred = {host: self._homebound(host) for host in self._hot}
        self._stuck: set[int] = set()
        self._covers: dict[tuple[int, frozenset[int]], tuple[int, ...] | None] = {}
        self._tries, self._looks = TRIES, LOOKS
        self.hopeless: frozenset[int] = frozenset()
        """The hosts that stay hot even without all of their VMs that may leave."""
        self.awkward: tuple[int, ...] = ()
        """The VMs that were in the way when what was chosen first could not be packed; none if it could."""

    def _price(self, price: float) -> float:
        """Return what a processor costs, for somebody has to have it free: less at first where few of all are wanted."""
        used = float(self._heat.vm_cpu.sum())
        scarce = 1.0 if self._is_tight else min(1.0, max(self._scarce_cpu, self._scarce_memory))
        return price * scarce * float(self._heat.vm_memory.sum()) / used if used > 0 else 0.0

    @property
    def size(self) -> int:
        """How many VMs hot hosts have, times how many hosts there are."""
        return sum(map(len, self._living.values())) * len(self._heat.cpu)

    def together(self) -> Together:
        """Return how the hosts choose together, of the VMs for which there is a place, with the room that is left."""
        leaving = {host: tuple(vm for vm in self._living[host] if vm not in self._barred[host]) for host in self._hot}
        takes = self._room_cpu >= 0
        room = float(self._room_cpu[takes].sum()), float(np.maximum(self._room_memory[takes], 0.0).sum())
        return Together(self._heat, leaving, {host: self._excess(host) for host in self._hot}, room)

    def least(self) -> float:
        """Return what it costs at least to cool all that can be, were there room for everybody everywhere."""
        total = 0.0
        for host in self._hot:
            rows = np.array(self._living[host], np.int64)
            costs = self._heat.vm_cost[rows]
            cover = cheapest_cover(self._heat.vm_cpu[rows], self._heat.vm_memory[rows], costs, self._excess(host))
            total += float(costs[list(cover)].sum()) if cover else 0.0
        return total

    def relief(self, chosen: Sequence[Offer] = ()) -> tuple[tuple[tuple[int, int], ...], tuple[int, ...]]:
        """Choose, pack, and choose anew what found no room. ``chosen``: what hosts send, where that was chosen for all
        together; else each chooses for itself. Return the moves, VM row and host row, those of the hottest host first; and
        the rows of the hosts that stay hot."""
        given = {int(self._heat.vm_host[offer.vms[0]]): offer.vms for offer in chosen}
        for host in self._hot:
            if host in given:
                self._chosen[host] = given[host]
            else:
                self._choose(host)
        self.hopeless = frozenset(self._stuck)
        homeless = self._without_place(vm for members in self._chosen.values() for vm in members)
        if homeless:
            self.awkward = (*homeless[:AWKWARD], *self._largest_first(self._where)[:LARGEST])
        self._house(homeless, len(self._hot))
        # what others gave back may be enough for who was stuck before
        for host in sorted(self._stuck - self.hopeless):
            self._choose_anew(host)
            if host in self._stuck and self._is_tight:
                self._has_others_choose(host)
        if not chosen or self._stuck <= self.hopeless:
            self._cheapen()
        hottest = sorted(self._chosen, key=lambda host: (-self._hotness(host), host))
        moves = tuple((vm, self._where[vm]) for host in hottest for vm in self._chosen[host])
        return moves, tuple(sorted(self._stuck))

    def _pack(self, vms: Iterable[int]) -> None:
        """Place VMs of a host, the largest first; where one finds no room its host chooses anew without it, or stays hot."""
        self._house(self._without_place(vms), 1)

    def _house(self, vms: Iterable[int], hosts: int) -> None:
        """Have the hosts of VMs that found no room choose anew without them, so many in all, or stay hot."""
        homeless = deque(vms)
        for _ in range(min(ROUNDS * hosts, ROUNDS_MAX)):
            if not homeless:
                break
            vm = homeless.popleft()
            host = int(self._heat.vm_host[vm])
            if vm in self._chosen.get(host, ()) and vm not in self._where:
                self._barred[host].add(vm)
                self._give_back(host)
                self._choose(host)
                homeless.extend(self._without_place(self._chosen.get(host, ())))
        for host in {int(self._heat.vm_host[vm]) for vm in homeless}:
            if any(vm not in self._where for vm in self._chosen.get(host, ())):
                self._give_back(host)
                self._chosen.pop(host, None)
                self._stuck.add(host)

    def _without_place(self, vms: Iterable[int]) -> list[int]:
        """Place VMs, the largest first; return those for which there is no place."""
        return [vm for vm in self._largest_first(vms) if not self._place(vm)]

    def _has_others_choose(self, host: int) -> bool:
        """Have others send somebody else, one after the other, until a host that is stuck is relieved too, or one that is
        relieved more cheaply; return whether that came about."""
        before, cost = self._choices(), self._total()
        for vm in sorted(before.where):
            if int(self._heat.vm_host[vm]) == host:
                continue
            if self._tries <= 0:
                return False
            self._tries -= 1
            self._choose_anew(host, vm)
            if self._stuck < before.stuck or (self._stuck == before.stuck and self._total() < cost):
                return True
            self._restore(before)
        return False

    def _choose_anew(self, host: int, without: int | None = None) -> None:
        """Have a host choose with the room that is left by now, and then, ``without`` one of its VMs, the host of that."""
        hosts = [host]
        if without is not None:
            rival = int(self._heat.vm_host[without])
            self._give_back(rival)
            self._barred[rival].add(without)
            hosts.append(rival)
        self._give_back(host)
        self._barred[host] = self._homebound(host)
        self._stuck.discard(host)
        for one in hosts:
            self._choose(one)
            self._pack(self._chosen.get(one, ()))

    def _cheapen(self) -> None:
        """Have hosts choose anew with the room that is left, the dearest first, and processors for nothing; keep what is
        cheaper."""
        self._costs = self._heat.vm_cost
        self._covers.clear()
        for host in sorted(self._chosen, key=lambda host: (-self._cost(host), host)):
            if self._tries <= 0:
                return
            self._tries -= 1
            before, cost = self._choices(), self._total()
            self._choose_anew(host)
            if self._stuck != before.stuck or self._total() >= cost:
                self._restore(before)
                if self._is_tight:
                    self._has_others_choose(host)

    def _total(self) -> float:
        return sum(self._cost(host) for host in self._chosen)

    def _cost(self, host: int) -> float:
        return float(self._heat.vm_cost[list(self._chosen[host])].sum())

    def _choices(self) -> _Choices:
        return _Choices(dict(self._where), dict(self._chosen), {one: set(vms) for one, vms in self._barred.items()},
                        set(self._stuck))

    def _homebound(self, host: int) -> set[int]:
        """Return the VMs of a host for which there is no place now."""
        vms = np.array(self._living[host], np.int64)
        fits = (self._room_cpu >= self._heat.vm_peak[vms, None]) & (self._room_memory >= self._heat.vm_memory[vms, None])
        return {vm for vm, room in zip(vms.tolist(), fits, strict=True)
                if not any(self._doors.admits(vm, row) for row in self._open(vm, room).tolist())}

    def _restore(self, before: _Choices) -> None:
        for vm, host in list(self._where.items()):
            if before.where.get(vm) != host:
                self._take_back(vm)
        for vm, host in before.where.items():
            if vm not in self._where:
                self._put(vm, host)
        self._chosen, self._stuck = dict(before.chosen), set(before.stuck)
        self._barred = {host: set(vms) for host, vms in before.barred.items()}

    def undo(self) -> None:
        """Leave the doors as they were found."""
        for vm, host in self._where.items():
            self._doors.leave(vm, host)

    def _choose(self, host: int) -> None:
        key = host, frozenset(self._barred[host])
        if key not in self._covers:
            rows = np.array([vm for vm in self._living[host] if vm not in self._barred[host]], np.int64)
            used = self._heat.vm_cpu[rows], self._heat.vm_memory[rows]
            cover = cheapest_cover(*used, self._costs[rows], self._excess(host))
            self._covers[key] = None if cover is None else tuple(rows[list(cover)].tolist())
        found = self._covers[key]
        if found is None:
            self._chosen.pop(host, None)
            self._stuck.add(host)
        else:
            self._chosen[host] = found

    def _excess(self, host: int) -> tuple[float, float]:
        return float(self._over_cpu[host]), float(self._over_memory[host])

    def _largest_first(self, vms: Iterable[int]) -> list[int]:
        return sorted(vms, key=lambda vm: (-self._size(vm), vm))

    def _size(self, vm: int) -> float:
        return max(float(self._heat.vm_peak[vm]) / self._all_cpu, float(self._heat.vm_memory[vm]) / self._all_memory)

    def _hotness(self, host: int) -> float:
        return max(float(self._heat.cpu[host] / max(self._heat.cpu_mark[host], 1e-9)),
                   float(self._heat.memory[host] / max(self._heat.memory_mark[host], 1e-9)))

    def _place(self, vm: int) -> bool:
        target = next(self._targets(vm), None)
        if target is None:
            return self._is_tight and self._displaces(vm)
        self._put(vm, target)
        return True

    def _displaces(self, vm: int) -> bool:
        """Place a VM where somebody else was placed who can go elsewhere; return whether there is such a place."""
        cpu, memory = float(self._heat.vm_peak[vm]), float(self._heat.vm_memory[vm])
        for other, host in list(self._where.items()):
            if (self._room_cpu[host] + self._heat.vm_peak[other] < cpu
                    or self._room_memory[host] + self._heat.vm_memory[other] < memory):
                continue
            if self._looks <= 0:
                return False
            self._looks -= 1
            elsewhere = next((target for target in self._targets(other) if target != host), None)
            if elsewhere is None:
                continue
            self._take_back(other)
            self._put(other, elsewhere)
            if self._fits(vm, host):
                self._put(vm, host)
                return True
            self._take_back(other)
            self._put(other, host)
        return False

    def _targets(self, vm: int) -> Iterator[int]:
        """Yield the hosts that can have a VM, the best first."""
        cpu, memory = float(self._heat.vm_peak[vm]), float(self._heat.vm_memory[vm])
        rows = self._open(vm, (self._room_cpu >= cpu) & (self._room_memory >= memory))
        unfit, penalties = self._unfitness(rows, cpu, memory), self._doors.penalties(vm)
        order = np.argsort(unfit, kind="stable") if penalties is None else np.lexsort((unfit, penalties[rows]))
        return (host for host in rows[order].tolist() if self._doors.admits(vm, host))

    def _open(self, vm: int, fits: Bools) -> Ints:
        """Return the hosts with room for a VM (``fits``) that are not shut to it."""
        if len(barred := list(self._doors.shut(vm))):
            fits[barred] = False
        return np.flatnonzero(fits)

    def _fits(self, vm: int, host: int) -> bool:
        return bool(self._room_cpu[host] >= self._heat.vm_peak[vm] and self._room_memory[host] >= self._heat.vm_memory[vm]
                    and host not in self._doors.shut(vm) and self._doors.admits(vm, host))

    def _put(self, vm: int, host: int) -> None:
        self._room_cpu[host] -= self._heat.vm_peak[vm]
        self._room_memory[host] -= self._heat.vm_memory[vm]
        self._where[vm] = host
        self._doors.enter(vm, host)

    def _take_back(self, vm: int) -> None:
        host = self._where.pop(vm)
        self._room_cpu[host] += self._heat.vm_peak[vm]
        self._room_memory[host] += self._heat.vm_memory[vm]
        self._doors.leave(vm, host)

    def _unfitness(self, rows: Ints, cpu: float, memory: float) -> Floats:
        left_cpu, left_memory = self._room_cpu[rows] - cpu, self._room_memory[rows] - memory
        if self._is_tight:
            kept: Floats = left_cpu / self._all_cpu * self._scarce_cpu + left_memory / self._all_memory * self._scarce_memory
            return kept
        # as cool as can be: the share of its mark that is left, of the scarcer resource; in steps, so that noise does not
        # choose among hosts that are as good
        marks = self._heat.memory_mark[rows]
        # a host that has no memory but huge pages is as cool as its processors are
        of_memory: Floats = np.divide(left_memory, marks, out=np.full(len(rows), inf), where=marks > 0)
        left = np.minimum(left_cpu / self._heat.cpu_mark[rows], of_memory)
        return np.round(-left, 2).astype(np.float64)

    def _give_back(self, host: int) -> None:
        for vm in self._chosen.get(host, ()):
            if vm in self._where:
                self._take_back(vm)
