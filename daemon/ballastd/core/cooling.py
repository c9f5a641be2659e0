"""Relief of hot hosts as the daemon plans it.

All hosts that one policy calls hot are relieved together: of all sets of VMs whose leaving makes them cool the cheapest are
looked for, and places for all of them; first for those that have too much of processors or memory, then for those whose
network does. Where a move cannot be made after all, beside those before it, everything that is still hot is planned anew.
What cannot be made cool is lessened, move by move.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ballastd.core.arrays import Bools, Floats
from ballastd.core.balancing import (
    excess_of,
    host_excess_of,
    lessen,
    network_excess_of,
    relief_by,
    why_it_is_cool,
)
from ballastd.core.draft import Draft, Stuck
from ballastd.core.drafted_heat import DraftDoors, Wanted, add_all, heat_of, network_heat_of
from ballastd.core.drafting import why_vm_rests
from ballastd.core.heat import Heat
from ballastd.core.intents import Fill, Intent
from ballastd.core.making_room import make_room
from ballastd.core.relieving import relieve as relieved

TRIED_MAX = 4
"""For so many VMs of a host that nothing can leave it is looked for who could make room."""
ROUNDS = 4
"""So often everything is planned anew around moves that cannot be made after all."""

Columns = Callable[[Draft, Wanted, Floats, Fill, Bools, Bools], Heat]
"""The draft as the search looks at it."""


def relieve(draft: Draft, intents: Sequence[Intent]) -> None:
    """Plan the moves that make hot hosts cool, for one policy; where they cannot be, moves that make them less hot, or a
    refusal."""
    hot: list[Intent] = []
    for intent in intents:
        if excess_of(draft, intent) > 0:
            hot.append(intent)
        else:
            draft.refusals.append(why_it_is_cool(draft, intent))
    for excess, columns in ((host_excess_of, heat_of), (network_excess_of, network_heat_of)):
        for _ in range(ROUNDS):
            left = {draft.snapshot.row(intent.host): intent for intent in hot if excess(draft, intent) > 0}
            if not left or _together(draft, left, hot, columns):
                break
    for intent in hot:
        before = len(draft.moves)
        if excess_of(draft, intent) > 0:
            lessen(draft, intent)
        if excess_of(draft, intent) > 0 and len(draft.moves) == before:
            stuck = _stuck(draft, intent)
            draft.stuck.extend([stuck] if stuck else [])
    make_room(draft)


def _together(draft: Draft, hot: Wanted, everybody: Sequence[Intent], columns: Columns) -> bool:
    """Plan relief for hosts together; return whether all moves that were found can be made. ``everybody``: all that are hot
    for whichever reason, of which those that still are receive nobody."""
    off = _relief(draft, hot)
    sends = np.zeros(len(draft.snapshot.hosts.names), np.bool_)
    sends[list(hot)] = True
    opens = ~sends
    opens[[draft.snapshot.row(intent.host) for intent in everybody if excess_of(draft, intent) > 0]] = False
    fill = next(iter(hot.values())).fill
    assert fill is not None
    heat = columns(draft, hot, off, fill, sends, opens)
    found = relieved(heat, DraftDoors(draft, hot, off), exchanges=False)
    return add_all(draft, hot, found.moves, off, "with which it is cool")


def _stuck(draft: Draft, intent: Intent) -> tuple[Stuck, ...]:
    """Return the VMs of a host that nothing can leave for which room might be made, the one that takes most off it first."""
    no = next((one for one in reversed(draft.refusals) if one.host == intent.host and one.vm is None), None)
    source, count = draft.snapshot.row(intent.host), len(draft.snapshot.hosts.names)
    off, memory = _relief(draft, {source: intent}), draft.snapshot.vms.memory
    vms = sorted(np.flatnonzero(off).tolist(), key=lambda vm: (-float(off[vm]), int(memory[vm]), vm))
    return () if no is None else tuple(Stuck(intent, vm, no, np.full(count, off[vm])) for vm in vms[:TRIED_MAX])


def _relief(draft: Draft, hot: Wanted) -> Floats:
    """Return, by VM row, what its leaving takes off its hot host, 0 for all that stay."""
    off: Floats = np.zeros(len(draft.snapshot.vms.ids))
    for row, intent in hot.items():
        vms = np.flatnonzero(draft.snapshot.vms.host == row)
        off[vms] = [share if share > 0 and why_vm_rests(draft, intent, vm) is None else 0.0
                    for vm, share in zip(vms.tolist(), relief_by(draft, intent, vms).tolist(), strict=True)]
    return off
