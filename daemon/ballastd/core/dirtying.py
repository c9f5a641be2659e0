"""How fast VMs dirty their memory, as far as that is known: what hypervisors measured, and what migrations showed.

A job that does not converge shows about the speed of its copying, whatever its VM does, and one whose VM may be slowed down
shows a VM that was slowed down: what these say is the least that it can be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from ballastd.core import events as ev
from ballastd.core.books import DAY_SECONDS
from ballastd.core.inputs import ProgressSeen
from ballastd.core.inventory import NO_USAGE, Dirtying, HostInventory
from ballastd.core.ledger import Ledger
from ballastd.core.migrations import Ending, Migration
from ballastd.core.quantities import MIB, VmId

SHOWN_SECONDS = DAY_SECONDS
"""For so long a migration speaks for its VM. Who is left where it is on that account is tried again after that."""
AT_SPEED = 0.9
"""Who seems to dirty this share of the speed of its copying may well dirty more."""
FIRST_SHOWN = 2
"""In its first round a hypervisor says nothing of what is dirtied."""


def with_rate(event: ev.Event, ledger: Ledger, seen: Mapping[str, ProgressSeen]) -> ev.Event:
    """Return an event that ends a migration with how fast its VM dirtied its memory, where its job showed that; others as
    they are. ``seen``: where jobs were last, by migration."""
    if not isinstance(event, ev.MigrationSettled):
        return event
    last, migration = seen.get(event.id), ledger.migrations.get(event.id)
    progress = None if last is None else last.progress
    if progress is None or migration is None or progress.iteration < FIRST_SHOWN or progress.throughput_bytes_s <= 0:
        return event
    at_speed = progress.dirty_bytes_s >= AT_SPEED * progress.throughput_bytes_s
    return replace(event, dirtied=Dirtying(round(progress.dirty_bytes_s / MIB, 1), at_speed or migration.auto_converge))


def dirtying_of(vm: VmId, here: HostInventory | None, by_moves: Callable[[], Mapping[VmId, Dirtying]]) -> Dirtying | None:
    """Return how fast a VM dirties its memory: as ``here``, where it lives, shows it measured, else as ``by_moves`` says;
    None where nobody knows."""
    measured = None if here is None else here.usage.get(vm, NO_USAGE).dirty_mib_s
    return by_moves().get(vm) if measured is None else Dirtying(measured, measured=True)


def shown(settled: Iterable[Migration], since_wall: float) -> dict[VmId, Dirtying]:
    """Return what VMs dirty as their newest migrations showed it, of those that ended after ``since_wall``; the oldest come
    first. One that arrived though it seemed not to converge says nothing, nor does anything from before it: what its VM
    writes over and over is small, and how small nobody knows."""
    found: dict[VmId, Dirtying] = {}
    for m in settled:
        if m.settled_wall is None or m.settled_wall <= since_wall:
            continue
        arrived = m.ending is Ending.COMPLETED and not m.auto_converge and not m.post_copy_because
        if arrived:
            found.pop(m.vm, None)
        if m.dirtied is not None and not (arrived and m.dirtied.at_least):
            found[m.vm] = m.dirtied
    return found
