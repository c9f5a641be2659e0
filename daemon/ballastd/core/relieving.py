"""Relief of all hot hosts at once: which VMs leave, and where each goes, so that no host is hot and few bytes are copied.

Each hot host by itself offers the cheapest set of VMs whose leaving makes it cool; all of these together are packed onto
the hosts that have room below their own marks. What binds is scarce room, so processors have a price, and where the
packing fails it is raised and everything is chosen anew. First targets are chosen so that they stay as cool as they can;
where VMs are left over, so that room for the large ones is kept together.

Only hosts that are not hot receive and only hot ones send: whatever order the moves are made in, and however many at a
time, no host ever holds more than at the end or at the beginning, and both are within the limits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ballastd.core.attempting import Attempt
from ballastd.core.exchanging import exchange
from ballastd.core.heat import Doors, Heat

LADDER = ((0.1, False), (0.1, True), (0.4, True), (1.6, True))
"""What is tried one after the other: the price of a processor, in the memory that goes with one in this cluster; and whether
targets are filled up one by one."""


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
        attempt = Attempt(heat, doors, price, is_tight=is_tight)
        found = Relief(*attempt.relief())
        attempt.undo()
        if best is None or len(found.still_hot) < len(best.still_hot):
            best = found
        # whose VMs are not enough, whatever they cost, no price will cool; an exchange might
        if not best.still_hot or (not exchanges and attempt.hopeless.issuperset(best.still_hot)):
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
