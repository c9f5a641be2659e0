"""Relief of all hot hosts at once: which VMs leave, and where each goes, so that no host is hot and few bytes are copied.

Each hot host by itself offers the cheapest set of VMs whose leaving makes it cool; all of these together are packed onto
the hosts that have room below their own marks. What binds is scarce room, so processors have a price. Where the packing
fails, or costs more than were there room for everything, hosts choose together; and where that fails, the price is raised
and everything is chosen anew. First targets are chosen so that they stay as cool as they can; where VMs are left over, so
that room for the large ones is kept together.

Only hosts that are not hot receive and only hot ones send: whatever order the moves are made in, and however many at a
time, no host ever holds more than at the end or at the beginning, and both are within the limits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

import numpy as np

from ballastd.core.attempting import Attempt
from ballastd.core.choosing import Offer, cost_of
from ballastd.core.exchanging import exchange
from ballastd.core.heat import Doors, Heat

PRICE = 0.1
"""Of a processor, at first, in the memory that goes with one in this cluster."""
LADDER = (0.1, 0.4, 1.6)
"""The prices that are tried one after the other where nothing else leaves no host hot."""
CHOICES, WORK = 12, 2_500
"""So often hosts choose together, each time without some VM that was in the way, where the VMs of hot hosts times the hosts
are no more than so many; in larger clusters less often, and in the largest never: the more there is, the less it gains."""
NEAR = 1.001
"""What costs no more than this times the least that is possible is good enough."""


@dataclass(frozen=True, slots=True)
class Relief:
    """Moves, VM row and host row, those of the hottest host first; and the rows of the hosts that stay hot."""

    moves: tuple[tuple[int, int], ...]
    still_hot: tuple[int, ...]


def relieve(heat: Heat, doors: Doors, *, exchanges: bool = True) -> Relief:
    """Return the moves after which as few hosts as possible are hot; of such the cheapest found, of those the first.
    ``exchanges``: whether VMs of hosts that are not hot may make room for others."""
    alone = Attempt(heat, doors, PRICE, is_tight=False)
    best = _result(alone)
    choices = min(CHOICES, CHOICES * WORK // max(alone.size, 1))
    if choices and (best.still_hot or _cost(heat, best) > NEAR * alone.least()):
        best = _chosen_together(heat, doors, best, choices)
    hopeless = alone.hopeless
    for price in LADDER:
        # whose VMs are not enough, whatever they cost, no price will cool; an exchange might
        if not best.still_hot or (not exchanges and hopeless.issuperset(best.still_hot)):
            return best
        attempt = Attempt(heat, doors, price, is_tight=True)
        best, hopeless = min(best, _result(attempt), key=lambda one: len(one.still_hot)), attempt.hopeless
    return _exchanged(heat, doors, best) if exchanges and best.still_hot else best


def _chosen_together(heat: Heat, doors: Doors, best: Relief, choices: int) -> Relief:
    """Return what comes of it when hosts choose together, so often, if that is better. Where a choice cannot be packed, they
    choose anew without one of the VMs that were in the way; of all such choices the cheapest is tried first."""
    together = Attempt(heat, doors, PRICE, is_tight=True).together()
    waiting = [(0.0, 0, frozenset[int](), together.choice())]
    known = {frozenset[int]()}
    for tried in range(choices):
        _, _, without, chosen = heappop(waiting)
        if not chosen or (not best.still_hot and _cost(heat, best) <= NEAR * cost_of(chosen)):
            break
        for is_tight in (False, True) if not tried else (True,):
            attempt = Attempt(heat, doors, PRICE, is_tight=is_tight)
            best = min(best, _result(attempt, chosen), key=lambda one: (len(one.still_hot), _cost(heat, one)))
            if not attempt.awkward:
                break
        for more in (without | {vm} for vm in attempt.awkward):
            if more not in known and (fewer := together.choice(more)):
                heappush(waiting, (cost_of(fewer), len(known), more, fewer))
            known.add(more)
        if not waiting:
            break
    return best


def _result(attempt: Attempt, chosen: Sequence[Offer] = ()) -> Relief:
    found = Relief(*attempt.relief(chosen))
    attempt.undo()
    return found


def _cost(heat: Heat, found: Relief) -> float:
    return float(heat.vm_cost[[vm for vm, _ in found.moves]].sum())


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
