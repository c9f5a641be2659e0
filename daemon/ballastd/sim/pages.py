"""Huge pages of a pretend machine: which are free, given who is there."""

from __future__ import annotations

from collections.abc import Iterable

from ballastd.core.hardware import FreePages, Hardware, Needs
from ballastd.core.inventory import VmRecord


def free_pages(hardware: Hardware | None, records: Iterable[VmRecord]) -> FreePages | None:
    """Return the pages that nobody has, by node and size; None of a machine of which nothing is known. A VM takes its pages
    from the nodes that it is bound to, the lowest first; one that names no size from the smallest that are set aside."""
    if hardware is None:
        return None
    free = {(pool.node, int(pool.size)): pool.total for pool in hardware.pools}
    for record in sorted(records, key=lambda one: one.vm):
        if record.needs.backing and record.state.holds_memory:
            take(free, record.needs)
    return free


def take(free: dict[tuple[int, int], int], needs: Needs) -> bool:
    """Take the pages of one VM out of ``free``; return whether there were as many."""
    enough = True
    for backing in needs.backing:
        size = int(backing.size) or min((of for _, of in free), default=0)
        left = -(-backing.memory // size) if size else 1
        for (node, of), pages in sorted(free.items()):
            if of == size and (not needs.nodes or node in needs.nodes):
                taken = min(pages, left)
                free[node, of] -= taken
                left -= taken
        enough = enough and not left
    return enough
