"""Evening out: which VMs to move where so that hosts are as evenly used as is wanted, with few bytes copied.

Moves are made one after the other, each the one that brings most per byte of what is still wanted: what is even enough gains
nothing more. Where none helps, exchanges of two VMs are tried. Then each VM that moved, the dearest first, is sent home, and
what that spoils is repaired otherwise; where this is cheaper it stays so. Where the aim cannot be reached, what was reached
is the aim, and nothing is moved that this does not need.

No host ever needs more than its marks, or, where it is above them already, more than it does. Work is bounded by how many
moves are looked at.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import inf, isfinite

import numpy as np

from ballastd.core.arrays import Bools, Floats, Ints
from ballastd.core.heat import Doors, Heat
from ballastd.core.roughness import Aim, Measure, Span, span, span_of, spread, spread_of
from ballastd.core.shifting import Bounds, Shifts, Tension
from ballastd.core.whereabouts import Whereabouts

LOOKED_AT = 8_000
"""Of some so many moves the best are chosen: of the fullest hosts' VMs to the emptiest hosts."""
WORK, WORK_FOR_LESS = 20_000_000, 1_000_000
"""So many moves and exchanges are looked at to become even, and to be so more cheaply, whatever the size of the cluster: a
bound on time that is no clock."""
TOGETHER = 0.5
"""Moves are made together with the best if they share no host with it and gain this much of what it does, per byte."""
EXCHANGING = 8
"""Of so many hosts at either end VMs are exchanged."""
REPAIRS = 8
"""So many moves may follow from sending one VM home."""
ROUNDING = 1e-9
"""Sums come out differently in another order."""
NOBODY = np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True)
class Evening:
    """Moves, VM row and host row, those of the fullest host first. ``is_even``: whether the aim is reached."""

    moves: tuple[tuple[int, int], ...]
    is_even: bool


def even(heat: Heat, doors: Doors, aim: Aim, after: Iterable[tuple[int, int]] = ()) -> Evening:
    """Return the moves after which hosts are as even as is wanted, or come nearest to it. ``after``: moves that are planned
    already, relief above all: they are among what is returned, unless something cheaper does as well. ``doors`` have counted
    where VMs are, and are left so."""
    now = Whereabouts(heat, doors, heat.vm_host)
    for vm, host in after:
        now.move(vm, host)
    search = _Search(heat, now, aim)
    search.level()
    search.cheapen()
    is_even, targets = search.is_even(), now.at.copy()
    now.return_to(heat.vm_host)
    moved = np.flatnonzero(targets != heat.vm_host)
    fullest = heat.cpu[heat.vm_host[moved]] / aim.cpu_limit[heat.vm_host[moved]]
    order = moved[np.argsort(-fullest, kind="stable")]
    return Evening(tuple((vm, int(targets[vm])) for vm in order.tolist()), is_even)


@dataclass(frozen=True, slots=True)
class _Goal:
    """No more than ``most`` of a resource's spread or span."""

    resource: int
    is_span: bool
    most: float

    def value(self, shares: Floats) -> float:
        return span(shares) if self.is_span else spread(shares)


class _Search:
    def __init__(self, heat: Heat, now: Whereabouts, aim: Aim) -> None:
        self._heat, self._now, self._counts, self._least = heat, now, aim.counts, aim.least
        self._uses = heat.vm_cpu, heat.vm_memory
        # a host that has no memory but huge pages uses nothing of it
        self._limits = (np.where(aim.counts, aim.cpu_limit, inf),
                        np.where(aim.counts & (aim.memory_limit > 0), aim.memory_limit, inf))
        self._most_cpu = np.maximum(heat.cpu_mark * (1.0 - ROUNDING), now.cpu)
        self._most_memory = np.maximum(heat.memory_mark * (1.0 - ROUNDING), now.memory)
        # what hosts use beside what their VMs do
        self._beside = [used - np.bincount(heat.vm_host, by_vm, len(used))
                        for used, by_vm in zip((heat.cpu, heat.memory), self._uses, strict=True)]
        wanted = (_Goal(0, False, aim.cpu_spread), _Goal(1, False, aim.memory_spread),
                  _Goal(0, True, aim.cpu_span), _Goal(1, True, aim.memory_span))
        self._goals = tuple(goal for goal in wanted if isfinite(goal.most) and aim.counts.any())
        self._spans: dict[int, Span] = {}
        self._most: tuple[float, ...] = ()
        self._spent = np.zeros(len(heat.cpu), np.bool_)
        per_host = max(1.0, len(now.at) / max(1, len(heat.cpu)))
        self._count = max(2, int((LOOKED_AT / per_host) ** 0.5))
        self._looked = 0

    def level(self) -> None:
        """Move until hosts are as even as is wanted, or nothing helps; undo it all where that makes anything less even."""
        begun, start = self._now.at.copy(), self._values()
        self._set_out()
        while self._looked < WORK and not self._spent.all():
            tensions = self._tensions()
            if _are_met(tensions):
                break
            senders = self._senders(tensions)
            if not (self._step(tensions, senders) or self._exchange(tensions, senders)):
                self._spent[senders] = True
        values = self._values()
        if self._missed(values) >= self._missed(start) or any(
                one > max(goal.most, first) + ROUNDING for goal, one, first in zip(self._goals, values, start, strict=True)):
            self._now.return_to(begun)

    def cheapen(self) -> None:
        """Undo and replace moves wherever that copies less and leaves hosts as even as is wanted, or as they are by now."""
        wanted, values = self._goals, self._values()
        self._goals = tuple(replace(goal, most=max(goal.most, one)) for goal, one in zip(wanted, values, strict=True))
        self._set_out()
        is_better, most = True, self._looked + WORK_FOR_LESS
        while is_better and self._looked < most:
            is_better = False
            away = np.flatnonzero(self._now.at != self._heat.vm_host)
            for vm in away[np.argsort(-self._heat.vm_cost[away], kind="stable")].tolist():
                is_better |= self._looked < most and self._goes_home(vm)
        self._goals = wanted

    def is_even(self) -> bool:
        """Return whether the aim is reached."""
        return self._missed(self._values()) <= 0.0

    def _values(self) -> tuple[float, ...]:
        shares = self._shares()
        return tuple(goal.value(shares[goal.resource][self._counts]) for goal in self._goals)

    def _missed(self, values: Iterable[float]) -> float:
        """Return by how much goals are missed, in all, but for rounding."""
        return sum(round(max(0.0, one - goal.most), 8) for goal, one in zip(self._goals, values, strict=True))

    def _shares(self) -> list[Floats]:
        return [(beside + np.bincount(self._now.at, use, len(beside))) / limits
                for beside, use, limits in zip(self._beside, self._uses, self._limits, strict=True)]

    def _set_out(self) -> None:
        """Choose the bands, and how uneven hosts may become on the way: no more than they are."""
        self._spans.clear()
        self._spent[:] = ~self._counts
        self._most = (0.0,) * len(self._goals)
        self._most = tuple(one.most for one in self._tensions())

    def _tensions(self) -> tuple[Tension, ...]:
        shares, counts, found = self._shares(), self._counts, []
        for index, goal in enumerate(self._goals):
            here, limits = shares[goal.resource], self._limits[goal.resource]
            # a span that is narrow enough is so wherever it lies
            if goal.is_span and (index not in self._spans or goal.value(here[counts]) <= goal.most):
                self._spans[index] = span_of(here[counts], limits[counts], goal.most)
            measure: Measure = self._spans[index] if goal.is_span else spread_of(here[counts], goal.most)
            need = float(measure.of(here[counts]).sum()) - measure.allowed
            found.append(Tension(measure, self._uses[goal.resource], limits, here, need, max(self._most[index], need)))
        return tuple(found)

    def _goes_home(self, vm: int) -> bool:
        """Send a VM home, if it is cheaper to do something else instead; return whether it is."""
        home, before, cost, room = int(self._heat.vm_host[vm]), self._now.at.copy(), self._now.cost(), self._bounds()
        self._looked += len(before)
        if (int(self._now.at[vm]) == home or self._heat.vm_cpu[vm] > room.cpu[home]
                or self._heat.vm_memory[vm] > room.memory[home] or not self._now.passes(vm, home)):
            return False
        self._now.move(vm, home)
        for _ in range(REPAIRS + 1):
            tensions, left = self._tensions(), cost - self._now.cost()
            if left <= 0:
                break
            if _are_met(tensions):
                return True
            if not self._step(tensions, self._senders(tensions), keeps=vm, budget=left):
                break
        self._now.return_to(before)
        return False

    def _senders(self, tensions: tuple[Tension, ...]) -> Ints:
        return self._foremost(~self._spent & self._counts, _pull(tensions, 1.0))

    def _foremost(self, among: Bools, pull: Floats) -> Ints:
        rows = np.flatnonzero(among)
        return rows[np.argsort(-pull[rows], kind="stable")[:self._count]]

    def _step(self, tensions: tuple[Tension, ...], senders: Ints, keeps: int = -1, budget: float = inf) -> bool:
        """Make the best move of the senders' VMs, and beside it whatever is nearly as good; return whether there was one."""
        receivers, vms = self._receivers(tensions), self._living(senders)
        return self._take(tensions, vms[vms != keeps], NOBODY, receivers, budget)

    def _exchange(self, tensions: tuple[Tension, ...], senders: Ints) -> bool:
        """Exchange VMs of the senders with others' in the same way."""
        receivers = self._receivers(tensions)[:EXCHANGING]
        vms, others = self._living(senders[self._heat.opens[senders]][:EXCHANGING]), self._living(receivers)
        return len(others) > 0 and self._take(tensions, vms, others, receivers)

    def _take(self, tensions: tuple[Tension, ...], vms: Ints, others: Ints, hosts: Ints, budget: float = inf) -> bool:
        self._looked += 1 + len(vms) * max(len(others), len(hosts))
        shifts, is_done = Shifts(self._heat, self._now, tensions, vms, others, hosts), False
        for one, gain in shifts.best_first(self._bounds(budget), TOGETHER):
            if is_done and shifts.still_gains() < TOGETHER * gain:
                continue
            if not self._now.passes(one.vm, one.target) or (one.other >= 0 and not self._now.passes(one.other, one.source)):
                continue
            self._now.move(one.vm, one.target)
            if one.other >= 0:
                self._now.move(one.other, one.source)
            shifts.take()
            self._spent[[one.source, one.target]] = False
            is_done = True
            if budget < inf:
                break
        return is_done

    def _receivers(self, tensions: tuple[Tension, ...]) -> Ints:
        return self._foremost(self._heat.opens & self._counts, _pull(tensions, -1.0))

    def _living(self, hosts: Ints) -> Ints:
        here = np.zeros(len(self._spent), np.bool_)
        here[hosts] = True
        return np.flatnonzero(here[self._now.at] & self._heat.vm_movable)

    def _bounds(self, budget: float = inf) -> Bounds:
        return Bounds(self._most_cpu - self._now.cpu, self._most_memory - self._now.memory, budget, self._least)


def _are_met(tensions: Iterable[Tension]) -> bool:
    return all(one.need <= ROUNDING for one in tensions)


def _pull(tensions: Iterable[Tension], sign: float) -> Floats:
    """Return how much hosts ought to lose, or, with -1, to get, of what is not even enough."""
    pulls = [np.maximum(sign * one.measure.weight * one.measure.pull(one.shares), 0.0)
             for one in tensions if one.need > ROUNDING]
    total: Floats = np.sum(pulls, axis=0)
    return total
