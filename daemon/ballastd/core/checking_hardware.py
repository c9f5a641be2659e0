"""Does a finished plan leave every VM the huge pages, NUMA nodes, processors and machine that it cannot do without?

A part of ``checking``, and written without ``suitability`` on purpose: on plain sums over what inventories show.
"""

from __future__ import annotations

from collections.abc import Sequence

from ballastd.core.hardware import Needs
from ballastd.core.inventory import HostInventory, VmState
from ballastd.core.plans import Move
from ballastd.core.quantities import HostName
from ballastd.core.snapshot import Snapshot

_HOLDS_NOTHING = (VmState.SHUTOFF, VmState.CRASHED)


def check_hardware(snapshot: Snapshot, moves: Sequence[Move]) -> list[str]:
    """Return what is wrong with where a plan's moves go, in words."""
    inventories = {fact.declared.name: fact.inventory for fact in snapshot.facts}
    wrong: list[str] = []
    arriving: dict[HostName, list[Needs]] = {}
    for move in moves:
        source, target = inventories.get(move.source), inventories.get(move.target)
        record = source.find(move.vm) if source is not None else None
        if record is None or target is None:
            continue  # ``checking`` says so
        arriving.setdefault(move.target, []).append(record.needs)
        wrong += [f"{move.vm_name} -> {move.target}: {why}" for why in _misfits(record.needs, source, target)]
    for row, fact in enumerate(snapshot.facts):
        needs = [one for one in arriving.get(fact.declared.name, ()) if one.backing]
        if needs:
            wrong += [f"{fact.declared.name}: {why}" for why in _lacks(fact.inventory, needs, snapshot.cast.coming[row])]
    return wrong


def _misfits(needs: Needs, source: HostInventory | None, target: HostInventory) -> list[str]:
    there = target.hardware
    wrong = ["it was found not to fit there"] if needs.likeness and needs.likeness in target.misfits else []
    if there is None:
        return wrong
    if there.nodes and not set(needs.nodes) <= set(there.nodes):
        wrong.append("a NUMA node that its memory is bound to is not there")
    if there.cpus and not set(needs.cpus) <= set(there.cpus):
        wrong.append("a processor that it is pinned to is not there")
    known = {(one.arch, kind, machine) for one in there.emulators for kind in one.kinds for machine in one.machines}
    if known and needs.machine and (needs.arch, needs.kind, needs.machine) not in known:
        wrong.append("its machine type is not offered there")
    seen = {one.processor for one in (source.hardware if source is not None else None, there) if one and one.processor}
    if needs.sees_host and len(seen) > 1:
        wrong.append("it sees its host's processor, and they differ")
    return wrong


def _lacks(inventory: HostInventory | None, arriving: Sequence[Needs], coming: Sequence[Needs]) -> list[str]:
    """Return which pages a host would lack once all have arrived that are to, beside those that are on their way already."""
    if inventory is None or inventory.hardware is None or inventory.pages_free is None:
        return ["huge pages are counted on where nobody knows how many are free"]
    living = [vm.needs for vm in inventory.vms if vm.state not in _HOLDS_NOTHING]
    pools = inventory.hardware.pools
    used = {int(pool.size) for pool in pools if pool.total}
    wrong = []
    if not used and any(not backing.size for needs in arriving for backing in needs.backing):
        wrong.append("huge pages of whatever size are counted on where none are set aside")
    wanted = {int(backing.size) for needs in arriving for backing in needs.backing}
    for size in sorted((wanted | used if 0 in wanted else wanted) - {0}):
        total = sum(pool.total for pool in pools if pool.size == size)
        free = sum(pages for (_, of), pages in inventory.pages_free.items() if of == size)
        due = sum(_pages_of(needs, size, used) for needs in (*arriving, *coming))
        if due > min(free, total - sum(_pages_of(needs, size, used) for needs in living)):
            wrong.append(f"{due} pages of {size} B are to come where {free} of {total} are free")
        for nodes in dict.fromkeys(needs.nodes for needs in arriving if needs.nodes and _pages_of(needs, size, used)):
            at_nodes = sum(pages for (node, of), pages in inventory.pages_free.items() if of == size and node in nodes)
            there = sum(pool.total for pool in pools if pool.size == size and pool.node in nodes)
            # whoever may take his from some of these nodes alone
            here, bound = (sum(_pages_of(needs, size, used) for needs in some
                               if needs.nodes and set(needs.nodes) <= set(nodes)) for some in (living, (*arriving, *coming)))
            if bound > min(at_nodes, there - here):
                wrong.append(f"{bound} pages of {size} B are counted on at NUMA nodes that have {at_nodes} of them")
    return wrong


def _pages_of(needs: Needs, size: int, used: set[int]) -> int:
    """Return how many pages of a size a VM takes; one that names no size may take those of each that is in use."""
    return sum(-(-backing.memory // size) for backing in needs.backing
               if backing.size == size or (not backing.size and size in used))
