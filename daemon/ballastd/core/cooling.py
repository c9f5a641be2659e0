"""Relief of hot hosts as the daemon plans it: the draft in columns for ``relieving``, and its answer as moves.

All hosts that one policy calls hot are relieved together: of all sets of VMs whose leaving makes them cool the cheapest are
looked for, and places for all of them. What the columns cannot say is asked of each target that would be chosen: rules,
cooldowns, whether the move is worth its cost, the failover reserve. Where a move cannot be made after all, beside those
before it, everything that is still hot is planned anew. What cannot be made cool is lessened, move by move.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from ballastd.core.arrays import Floats, Ints
from ballastd.core.balancing import excess_of, horizon_of, lessen, price_of, relief_by, why_it_is_cool
from ballastd.core.constraints import Trial, refusal
from ballastd.core.drafting import (
    NOES_SHOWN,
    PENALTY_POINTS,
    Draft,
    Shortlist,
    add,
    best_of,
    offered_target,
    terms_of,
    times_turned_away,
    why_vm_rests,
)
from ballastd.core.heat import Heat
from ballastd.core.intents import Intent
from ballastd.core.placement import penalty, rules_for
from ballastd.core.quantities import GIB
from ballastd.core.relieving import relieve as relieved

MOVE_BYTES = GIB
"""What every move costs beside the bytes that it copies: its hand-shakes, its moment of standstill, that it may fail."""
PRIORITY_RANGE = 200
"""A VM of priority 100 costs half as much again to move, one of -100 half as much."""
OFFERED_SHARE = 0.01
"""What a VM that a person was offered costs of its price, so that what is recommended stands while it helps."""
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
        if not left or not _together(draft, left):
            break
    for intent in hot:
        if excess_of(draft, intent) > 0:
            lessen(draft, intent)


def _together(draft: Draft, hot: Mapping[int, Intent]) -> bool:
    """Plan relief for hosts (by row) together; return whether to look again, for some of it could not be done."""
    off = _relief(draft, hot)
    doors = _Doors(draft, hot, off)
    found = relieved(_heat(draft, hot, off), doors, exchanges=False)
    refused = False
    leave = np.bincount(draft.snapshot.vms.host[[vm for vm, _ in found.moves]], minlength=len(draft.snapshot.hosts.names))
    for vm, row in found.moves:
        source = int(draft.snapshot.vms.host[vm])
        refused |= not _add(draft, hot[source], vm, row, float(off[vm]), int(leave[source]))
    return refused


def _add(draft: Draft, intent: Intent, vm: int, row: int, off: float, leave: int) -> bool:
    """Plan one of the ``leave`` moves off a host, if it can be made beside those before it."""
    source = draft.snapshot.row(intent.host)
    targets = Shortlist(draft, terms_of(intent, draft.policies), vm, source, np.full(len(draft.snapshot.hosts.names), off))
    picked = targets.pick(row)
    if picked is None or targets.why_no_reserve(picked) is not None:
        return False
    kept, more = best_of(targets, picked)
    why = price_of(draft, vm, source, row).why(off, horizon_of(intent))
    if leave > 1:
        why = f"{why}; one of {leave} with which it is cool"
    add(draft, intent, vm, source, kept, [*targets.why_barred(NOES_SHOWN), *more], why)
    return True


def _relief(draft: Draft, hot: Mapping[int, Intent]) -> Floats:
    """Return, by VM row, what its leaving takes off its hot host, 0 for all that stay."""
    off: Floats = np.zeros(len(draft.snapshot.vms.ids))
    for row, intent in hot.items():
        vms = np.flatnonzero(draft.snapshot.vms.host == row)
        off[vms] = [share if share > 0 and why_vm_rests(draft, intent, vm) is None else 0.0
                    for vm, share in zip(vms.tolist(), relief_by(draft, intent, vms).tolist(), strict=True)]
    return off


def _heat(draft: Draft, hot: Mapping[int, Intent], off: Floats) -> Heat:
    """Return the draft as relief looks at it: hosts that are to be relieved are hot above their cool edge, all others have
    room up to theirs, or none."""
    hosts, vms = draft.snapshot.hosts, draft.snapshot.vms
    fill = next(iter(hot.values())).fill
    assert fill is not None
    is_hot = np.zeros(len(hosts.names), np.bool_)
    is_hot[list(hot)] = True
    cpu = hosts.cpu + np.where(is_hot, draft.shifted, np.maximum(draft.shifted, 0.0))
    memory = (hosts.used + hosts.reserved + draft.promised - np.where(is_hot, draft.leaving, 0)).astype(np.float64)
    cpu_edge, memory_edge = fill.cpu * hosts.cpu_limit, fill.memory * hosts.limit
    space = np.minimum(memory_edge, memory + np.maximum(hosts.room - draft.promised, 0))
    known = np.nan_to_num(cpu)
    cost = (vms.memory + MOVE_BYTES) * (1.0 + vms.priority / PRIORITY_RANGE)
    for vm in np.flatnonzero(off).tolist():
        if offered_target(draft, hot[int(vms.host[vm])], vm) is not None:
            cost[vm] *= OFFERED_SHARE
    return Heat(
        cpu=known, cpu_mark=np.where(is_hot & ~np.isnan(cpu), cpu_edge, np.maximum(cpu_edge, known)),
        memory=memory, memory_mark=np.where(is_hot, memory_edge, np.maximum(space, memory)),
        opens=hosts.target & ~is_hot & ~np.isnan(cpu), vm_host=vms.host, vm_cpu=np.nan_to_num(vms.cpu),
        vm_peak=np.nan_to_num(vms.peak), vm_memory=vms.memory.astype(np.float64),
        vm_cost=cost, vm_movable=(off > 0) & ~np.isnan(vms.peak))


class _Doors:
    """What the mind says of a VM and a host beside room: rules, cooldowns, worth, and the failover reserve, as far as it can
    be said before the other moves are known."""

    def __init__(self, draft: Draft, hot: Mapping[int, Intent], off: Floats) -> None:
        self._draft, self._hot, self._off = draft, hot, off
        self._homes = dict(draft.homes)
        self._terms = {row: terms_of(intent, draft.policies) for row, intent in hot.items()}

    def shut(self, vm: int) -> Collection[int]:  # noqa: ARG002  the protocol's
        """See ``Doors``: nothing is cheap to say."""
        return ()

    def admits(self, vm: int, host: int) -> bool:
        """See ``Doors``."""
        draft, source = self._draft, int(self._draft.snapshot.vms.host[vm])
        terms = self._terms[source]
        trial = Trial(draft.snapshot, draft.ledger, vm, source, host, draft.promised, draft.shifted, draft.moved,
                      self._homes, terms)
        if refusal(trial) is not None or self._off[vm] * horizon_of(self._hot[source]) <= price_of(
                draft, vm, source, host).processors:
            return False
        return terms.failover_hosts == 0 or draft.reserve.worse_after(int(draft.snapshot.vms.memory[vm]), host) is None

    def penalties(self, vm: int) -> Ints | None:
        """See ``Doors``: should-rules that it would break, and who turned it away within the hour."""
        draft, source = self._draft, int(self._draft.snapshot.vms.host[vm])
        names, wishes = draft.snapshot.hosts.names, [rule for rule in rules_for(
            draft.snapshot, self._terms[source].rules, vm) if rule.weight is not None]
        away = times_turned_away(draft, vm)
        if not wishes and not away:
            return None
        return np.array([PENALTY_POINTS * away[name] + penalty(tuple(wishes), draft.snapshot, self._homes, vm, source, row)
                         for row, name in enumerate(names)], np.int64)

    def enter(self, vm: int, host: int) -> None:
        """See ``Doors``."""
        self._homes[vm] = self._draft.homes[vm] | {host}

    def leave(self, vm: int, host: int) -> None:  # noqa: ARG002  it went nowhere else
        """See ``Doors``."""
        self._homes[vm] = self._draft.homes[vm]
