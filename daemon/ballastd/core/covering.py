"""Which VMs to take off a host: the cheapest set whose leaving takes enough processors and enough memory off it.

Covering by two resources is a knapsack turned around. It is solved on a frontier: of all sets that weigh the same in one
resource, cut into steps, the cheapest is kept. What the steps round away is rounded against us, and what they find, or
nearly find, is checked on the numbers themselves.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ballastd.core.arrays import Bools, Floats

STEPS = 2048
"""Into so many steps all that the VMs of a host have of a resource is cut."""
LIGHTER = 2
"""By so many steps a set may seem too light."""
TRIES = 64
"""So many of the cheapest sets that take enough of one resource off are asked whether they take enough of the other."""


def cheapest_cover(processors: Floats, memory: Floats, costs: Floats, excess: tuple[float, float]) -> tuple[int, ...] | None:
    """Return which of a host's VMs to move (indices, ascending), or None where all of them together are not enough.

    ``processors``, ``memory``: what each VM uses, bytes; ``costs``: what its move costs, above zero. ``excess``: so many
    processors and bytes have to go; nothing, or less than nothing, of a resource that the host has enough of.
    """
    over_cpu, over_memory = excess
    if over_cpu <= 0 and over_memory <= 0:
        return ()
    if processors.sum() < over_cpu or memory.sum() < over_memory:
        return None
    # all of them are enough; where rounding hides every other set, this one stands
    found: list[tuple[int, ...]] = [tuple(range(len(costs)))]
    if over_cpu > 0:
        found.extend(_covers(processors, costs, over_cpu, (memory, over_memory)))
    else:
        found.extend(_covers(memory, costs, over_memory, (processors, over_cpu)))
    if over_cpu > 0 and over_memory > 0:
        # the other way round: of sets that weigh the same in memory the one with most processors
        found.extend(_covers(memory, -processors, over_memory, (processors, over_cpu), lightest=True))
    enough = (_pruned(one, processors, memory, excess, costs) for one in found)
    return min(enough, key=lambda one: (float(costs[list(one)].sum()), one))


def covers(processors: Floats, memory: Floats, costs: Floats, excess: tuple[float, float], most: int
           ) -> list[tuple[int, ...]]:
    """Return up to ``most`` sets that are enough, the cheapest first, of different weight in the resource that there is too
    much of; arguments as in ``cheapest_cover``."""
    over_cpu, over_memory = excess
    if processors.sum() < over_cpu or memory.sum() < over_memory:
        return []
    found = (_covers(processors, costs, over_cpu, (memory, over_memory), most=most) if over_cpu > 0 else
             _covers(memory, costs, over_memory, (processors, over_cpu), most=most))
    return [_pruned(one, processors, memory, excess, costs) for one in found]


def _covers(weights: Floats, costs: Floats, needed: float, other: tuple[Floats, float], *, lightest: bool = False,
            most: int = 1) -> list[tuple[int, ...]]:
    """Return the cheapest sets, or the lightest, that weigh ``needed`` at least and of ``other`` as much as that needs."""
    step = float(weights.sum()) / STEPS
    units = np.floor(weights / step).astype(np.int64).tolist()
    best, took = _frontier(units, costs.tolist())
    # rounded down, a set may be too light by steps and enough in truth, which shows in the numbers themselves
    least = max(0, int(needed / step) - LIGHTER)
    reached = least + np.flatnonzero(np.isfinite(best[least:]))
    order = reached if lightest else reached[np.argsort(best[reached], kind="stable")]
    amounts, wanted = other
    if lightest:
        order = order[-best[order] >= wanted]
    found: list[tuple[int, ...]] = []
    for total in order[:max(TRIES, most)].tolist():
        members = _members(units, took, total)
        if float(amounts[list(members)].sum()) >= wanted and float(weights[list(members)].sum()) >= needed:
            found.append(members)
            if len(found) == most:
                break
    return found


def _frontier(units: Sequence[int], costs: Sequence[float]) -> tuple[Floats, list[Bools]]:
    """Return, for each total of units, the least cost of a set with that total (inf: there is none), and for each item
    where it is in that set."""
    best = np.full(sum(units) + 1, np.inf)
    best[0] = 0.0
    took = []
    high = 0
    for unit, cost in zip(units, costs, strict=True):
        with_it = best[:high + 1] + cost
        without = best[unit:unit + high + 1]
        better = with_it < without
        mark = np.zeros(unit + high + 1, np.bool_)
        mark[unit:] = better
        took.append(mark)
        best[unit:unit + high + 1] = np.where(better, with_it, without)
        high += unit
    return best, took


def _members(units: Sequence[int], took: Sequence[Bools], total: int) -> tuple[int, ...]:
    found = []
    for item in range(len(units) - 1, -1, -1):
        if total < len(took[item]) and took[item][total]:
            found.append(item)
            total -= units[item]
    return tuple(reversed(found))


def _pruned(members: tuple[int, ...], processors: Floats, memory: Floats, excess: tuple[float, float], costs: Floats
            ) -> tuple[int, ...]:
    """Return the set without those that it does not need, the dearest first."""
    kept = list(members)
    for one in sorted(members, key=lambda item: (-float(costs[item]), item)):
        rest = [item for item in kept if item != one]
        # summed anew: what is left of a sum from which much was taken is full of rounding
        if processors[rest].sum() >= excess[0] and memory[rest].sum() >= excess[1]:
            kept = rest
    return tuple(sorted(kept))
