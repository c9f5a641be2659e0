"""Relief of hot hosts as the daemon plans it.

All hosts that one policy calls hot are relieved together: of all sets of VMs whose leaving makes them cool the cheapest are
looked for, and places for all of them. Where a move cannot be made after all, beside those before it, everything that is
still hot is planned anew. What cannot be made cool is lessened, move by move.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ballastd.core.arrays import Floats
from ballastd.core.balancing import excess_of, lessen, relief_by, why_it_is_cool
from ballastd.core.draft import Draft, Stuck
from ballastd.core.drafted_heat import DraftDoors, Wanted, add_all, heat_of
from ballastd.core.drafting import why_vm_rests
from ballastd.core.intents import Intent
from ballastd.core.making_room import make_room
from ballastd.core.relieving import relieve as relieved

TRIED_MAX = 4
"""For so many VMs of a host that nothing can leave it is looked for who could make room."""
ROUNDS = 4
"""So often everything is planned anew around moves that cannot be made after all."""


def relieve(draft: Draft, intents: Sequence[Intent]) -> None:
    """Plan the moves that make hot hosts cool, for one policy; where they cannot be, moves that make them less hot, or a
    refusal."""
    hot: list[Intent] = []
    for intent in intents:
        if excess_of(draft, intent) > 0:
            hot.append(intent)
        else:
            draft.refusals.append(why_it_is_cool(draft, intent))
    for _ in range(ROUNDS):
        left = {draft.snapshot.row(intent.host): intent for intent in hot if excess_of(draft, intent) > 0}
        if not left or _together(draft, left):
            break
    for intent in hot:
        before = len(draft.moves)
        if excess_of(draft, intent) > 0:
            lessen(draft, intent)
        if excess_of(draft, intent) > 0 and len(draft.moves) == before:
            stuck = _stuck(draft, intent)
            draft.stuck.extend([stuck] if stuck else [])
    make_room(draft)


def _together(draft: Draft, hot: Wanted) -> bool:
    """Plan relief for hosts together; return whether all moves that were found can be made."""
    off = _relief(draft, hot)
    is_hot = np.zeros(len(draft.snapshot.hosts.names), np.bool_)
    is_hot[list(hot)] = True
    fill = next(iter(hot.values())).fill
    assert fill is not None
    heat = heat_of(draft, hot, off, fill, is_hot, ~is_hot)
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
