"""Whether a machine has what a VM cannot do without beside ordinary memory: free huge pages, the NUMA nodes and processors
it is bound to, its kind of processor and machine. What is not known speaks against nothing, but for huge pages.

Pages count as memory does: a VM holds its own where it is shown and where it is going, and a pool has never more left than
nobody has. A VM that takes whatever size is its host's default, which hypervisors do not tell, is taken to need its pages of
every size that is set aside there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from ballastd.core.arrays import Ints
from ballastd.core.hardware import Backing, Hardware, Needs, numbers_in_words
from ballastd.core.inventory import HostInventory, VmRecord
from ballastd.core.plans import RefusalKind
from ballastd.core.quantities import Bytes, human_bytes

UNKNOWN = -1
Why = tuple[RefusalKind, str]


def unknown_needs(memory: int) -> Needs:
    """Return what a VM of so many bytes is taken to need of huge pages of which nothing is known: all of it, of any size."""
    return Needs((Backing(Bytes(0), Bytes(memory)),))


def _pages(needs: Needs, totals: Mapping[int, int]) -> Counter[int]:
    """Return how many pages of each size (bytes) are needed on a host that has so many in all."""
    wanted: Counter[int] = Counter()
    for backing in needs.backing:
        sizes = [int(backing.size)] if backing.size else [size for size, total in totals.items() if total]
        for size in sizes:
            wanted[size] += -(-backing.memory // size)
    return wanted


def _totals(hardware: Hardware | None, nodes: Sequence[int] = ()) -> Counter[int]:
    """Return how many pages of each size (bytes) are set aside, on some nodes or on all."""
    totals: Counter[int] = Counter()
    for pool in hardware.pools if hardware is not None else ():
        if not nodes or pool.node in nodes:
            totals[pool.size] += pool.total
    return totals


def _left_on(inventory: HostInventory, nodes: Sequence[int], size: int) -> int:
    """Return how many pages of a size nobody has on some nodes: fewer than are free there where who is bound to them has
    not touched his own yet."""
    totals = _totals(inventory.hardware)
    free = sum((inventory.pages_free or {}).get((node, size), 0) for node in nodes)
    held = sum(_pages(record.needs, totals)[size] for record in inventory.vms
               if record.needs.backing and record.state.holds_memory and record.needs.nodes
               and set(record.needs.nodes) <= set(nodes))
    return min(free, _totals(inventory.hardware, nodes)[size] - held)


class PageRoom:
    """Huge pages that may still be promised, by row, as far as anybody asks. ``inventories``: what each host shows, None of
    one that was never seen; ``coming``: the needs of who holds pages there and is not shown there."""

    def __init__(self, inventories: Sequence[HostInventory | None], coming: Sequence[Sequence[Needs]]) -> None:
        self._inventories = inventories
        self._coming = coming
        self._left: dict[int, dict[int, int] | None] = {}
        self._columns: dict[int, Ints] = {}

    def left(self, row: int) -> Mapping[int, int] | None:
        """Return how many pages of each size (bytes) a host has left for more; None where it cannot say."""
        if row not in self._left:
            self._left[row] = self._count(row)
        return self._left[row]

    def _count(self, row: int) -> dict[int, int] | None:
        inventory = self._inventories[row]
        if inventory is None or inventory.hardware is None or inventory.pages_free is None:
            return None
        totals, free, held, due = _totals(inventory.hardware), Counter[int](), Counter[int](), Counter[int]()
        for (_, size), pages in inventory.pages_free.items():
            free[size] += pages
        for record in inventory.vms:
            if record.needs.backing and record.state.holds_memory:
                held.update(_pages(record.needs, totals))
        for needs in self._coming[row]:
            due.update(_pages(needs, totals))
        return {size: min(total - held[size], free[size]) - due[size] for size, total in totals.items()}

    def columns(self, size: int) -> Ints:
        """Return, by row, the bytes that are left in pages of a size, ``UNKNOWN`` where a host cannot say; of size 0 in
        pages of whichever size it has least of, as a VM that names none may get those."""
        if size not in self._columns:
            self._columns[size] = np.array([self._bytes(row, size) for row in range(len(self._inventories))], np.int64)
        return self._columns[size]

    def _bytes(self, row: int, size: int) -> int:
        left, inventory = self.left(row), self._inventories[row]
        if left is None or inventory is None:
            return UNKNOWN
        if size:
            return left.get(size, 0) * size
        totals = _totals(inventory.hardware)
        return min((left[one] * one for one, total in totals.items() if total), default=0)

    def why_short(self, needs: Needs, row: int, promised: Iterable[Needs] = ()) -> str:
        """Return why a host has not the pages that a VM needs beside those that were promised to others, with the numbers;
        nothing where it has them."""
        left, inventory = self.left(row), self._inventories[row]
        if left is None or inventory is None or inventory.pages_free is None:
            return f"needs {human_bytes(needs.backed)} of huge pages, and how many are free there is not known"
        totals, taken = _totals(inventory.hardware), Counter[int]()
        for other in promised:
            taken.update(_pages(other, totals))
        wanted = _pages(needs, totals)
        if needs.backing and not wanted:
            return f"needs {human_bytes(needs.backed)} of huge pages, none are set aside there"
        for size, pages in sorted(wanted.items()):
            room = left.get(size, 0) - taken[size]
            where = ""
            if needs.nodes:
                at_nodes = _left_on(inventory, needs.nodes, size)
                # whoever is on his way may take his from just these nodes
                due = sum(_pages(other, totals)[size] for other in self._coming[row])
                if at_nodes - due - taken[size] < room:
                    room = at_nodes - due - taken[size]
                    where = f" on NUMA node {numbers_in_words(needs.nodes)}"
            if pages > room:
                also = f", {taken[size]} promised by this plan" if taken[size] else ""
                return (f"needs {pages} huge pages of {human_bytes(size)}, {max(0, room)} of {totals[size]} are left "
                        f"there{where}{also}")
        return ""


def why_unsuited(record: VmRecord, here: HostInventory | None, there: HostInventory | None) -> Why | None:
    """Return what surely speaks against a VM on a machine, whatever room there is: what it is bound to, its processor, its
    machine type, or what the host once said of its like. ``here``, ``there``: what the two ends show."""
    if there is None:
        return None
    needs, hardware = record.needs, there.hardware
    said = there.misfits.get(needs.likeness) if needs.likeness else None
    if hardware is None:
        return None if said is None else (RefusalKind.CPU, said)
    return (_unbound(needs, hardware) or _unlike(needs, here.hardware if here is not None else None, hardware)
            or (None if said is None else (RefusalKind.CPU, said)))


def why_lacking(needs: Needs, there: Hardware | None) -> tuple[Why, ...]:
    """Return what a machine has not got for a VM, however much of it is free: nodes, processors, huge pages set aside."""
    if there is None:
        return ()
    totals, unbound = _totals(there, needs.nodes), _unbound(needs, there)
    wanted = _pages(needs, _totals(there))
    where = f" on NUMA node {numbers_in_words(needs.nodes)}" if needs.nodes else ""
    short = [f"needs {pages} huge pages of {human_bytes(size)}, {totals[size]} are set aside there{where}"
             for size, pages in sorted(wanted.items()) if pages > totals[size]]
    if needs.backing and not wanted:
        short.append(f"needs {human_bytes(needs.backed)} of huge pages, none are set aside there")
    return (*(() if unbound is None else (unbound,)), *((RefusalKind.HUGE_PAGES, words) for words in short))


def _unbound(needs: Needs, hardware: Hardware) -> Why | None:
    absent = tuple(node for node in needs.nodes if node not in hardware.nodes) if hardware.nodes else ()
    if absent:
        return RefusalKind.NUMA, (f"its memory is bound to NUMA node {numbers_in_words(absent)}, and there is only "
                                  f"{numbers_in_words(hardware.nodes)}")
    missing = tuple(cpu for cpu in needs.cpus if cpu not in hardware.cpus) if hardware.cpus else ()
    if missing:
        return RefusalKind.NUMA, (f"it is pinned to processor {numbers_in_words(missing)}, and there are only "
                                  f"{numbers_in_words(hardware.cpus)}")
    return None


def _unlike(needs: Needs, here: Hardware | None, there: Hardware) -> Why | None:
    if needs.machine and there.emulators and not any(
            needs.arch == one.arch and needs.kind in one.kinds and needs.machine in one.machines for one in there.emulators):
        return RefusalKind.MACHINE, f"{needs.machine} ({needs.kind}, {needs.arch}) is not offered there"
    if needs.sees_host and here is not None and here.processor and there.processor and here.processor != there.processor:
        return RefusalKind.CPU, (f"it sees its host's own processor, and they differ: {' '.join(here.processor)} here, "
                                 f"{' '.join(there.processor)} there")
    return None
