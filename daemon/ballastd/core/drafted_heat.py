"""The draft as searches look at it: in columns, with doors that ask the mind what columns cannot say."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

import numpy as np

from ballastd.core.arrays import Bools, Floats, Ints
from ballastd.core.balancing import horizon_of, price_of
from ballastd.core.constraints import Trial, refusal
from ballastd.core.draft import Draft
from ballastd.core.drafting import (
    NOES_SHOWN,
    PENALTY_POINTS,
    Shortlist,
    add,
    best_of,
    copied_off,
    offered_target,
    risk_points,
    terms_of,
    times_turned_away,
)
from ballastd.core.heat import Heat
from ballastd.core.intents import Fill, Intent
from ballastd.core.placement import penalty, rules_for
from ballastd.core.quantities import GIB

MOVE_BYTES = 4 * GIB
"""What every move costs beside the bytes that it copies: its moment of standstill, that it may fail, and that both its ends
are left alone for a while before the next one, which waits in the heat meanwhile. All of it as often as it will have to be
tried."""
PRIORITY_RANGE = 200
"""A VM of priority 100 costs half as much again to move, one of -100 half as much."""
OFFERED_SHARE = 0.01
"""What a VM that a person was offered costs of its price, so that what is recommended stands while it helps."""

Wanted = Mapping[int, Intent]
"""By host row: what its VMs would move for."""


def heat_of(draft: Draft, wanted: Wanted, off: Floats, fill: Fill, sends: Bools, opens: Bools) -> Heat:
    """Return the draft in columns. ``off``: by VM row what its leaving takes off its host, as a share of it, 0 for all that
    stay. ``sends``: the hosts whose load goes down to their edge, if they are above it; all others have room up to theirs,
    or none, and nothing is asked of them. ``opens``: the hosts that may receive."""
    hosts, vms = draft.snapshot.hosts, draft.snapshot.vms
    cpu = hosts.cpu + np.where(sends, draft.shifted, np.maximum(draft.shifted, 0.0))
    memory = (hosts.used + hosts.reserved + draft.promised - np.where(sends, draft.leaving, 0)).astype(np.float64)
    cpu_edge, memory_edge = fill.cpu * hosts.cpu_limit, fill.memory * hosts.limit
    space = np.minimum(memory_edge, memory + np.maximum(hosts.room - draft.promised, 0))
    known = np.nan_to_num(cpu)
    return Heat(
        cpu=known, cpu_mark=np.where(sends & ~np.isnan(cpu), cpu_edge, np.maximum(cpu_edge, known)),
        memory=memory, memory_mark=np.where(sends, memory_edge, np.maximum(space, memory)),
        opens=opens & hosts.target & ~np.isnan(cpu), vm_host=vms.host, vm_cpu=np.nan_to_num(vms.cpu),
        vm_peak=np.nan_to_num(_needs(draft)), vm_memory=vms.memory.astype(np.float64), vm_cost=_costs(draft, wanted, off),
        vm_movable=(off > 0) & ~np.isnan(vms.peak))


def _needs(draft: Draft) -> Floats:
    """Return what VMs need where they come to: at their busier times; where their day is known, at this time of it, for what
    the other hours leave is asked of the doors."""
    vms, daily = draft.snapshot.vms, draft.daily
    return vms.peak if daily is None else np.where(daily.known, np.fmax(vms.cpu, daily.near), vms.peak)


def network_heat_of(draft: Draft, wanted: Wanted, off: Floats, fill: Fill, sends: Bools, opens: Bools) -> Heat:
    """Return the draft as ``heat_of`` does, with MiB/s of the network in place of processors. Of memory nothing is asked
    but room where VMs go, and processors are asked for at the doors alone."""
    hosts, vms = draft.snapshot.hosts, draft.snapshot.vms
    heat = heat_of(draft, wanted, off, fill, sends, opens)
    network = hosts.network_least + np.where(sends, draft.rerouted, np.maximum(draft.rerouted, 0.0))
    peak = np.nan_to_num(vms.network_peak)
    # where nobody says what a network carries there is room for everybody
    edge = np.where(np.isinf(hosts.network_limit), network + peak.sum() + 1.0, fill.network * hosts.network_limit)
    return replace(
        heat, cpu=network, cpu_mark=np.where(sends, edge, np.maximum(edge, network)),
        memory_mark=np.maximum(heat.memory_mark, heat.memory), opens=heat.opens & ~np.isnan(hosts.network),
        vm_cpu=np.nan_to_num(vms.network), vm_peak=peak, vm_movable=heat.vm_movable & ~np.isnan(vms.network_peak))


def _costs(draft: Draft, wanted: Wanted, off: Floats) -> Floats:
    vms = draft.snapshot.vms
    cost: Floats = (vms.copied + MOVE_BYTES) * (1.0 + vms.priority / PRIORITY_RANGE)
    rows = np.flatnonzero(off)
    for vm, host in zip(rows.tolist(), vms.host[rows].tolist(), strict=True):
        again = copied_off(draft, vm, host, routine=True)[1] - int(vms.copied[vm])
        if again:
            cost[vm] += again * (1.0 + vms.priority[vm] / PRIORITY_RANGE)
        if (attempts := draft.attempts(vm)) > 1.0:
            cost[vm] *= attempts
        if offered_target(draft, wanted[host], vm) is not None:
            cost[vm] *= OFFERED_SHARE
    return cost


class DraftDoors:
    """What the mind says of a VM and a host beside room: rules, cooldowns, worth, and the failover reserve, as far as it can
    be said before the other moves are known."""

    def __init__(self, draft: Draft, wanted: Wanted, off: Floats) -> None:
        self._draft, self._wanted, self._off = draft, wanted, off
        self._homes, self._daily = dict(draft.homes), None if draft.daily is None else draft.daily.copy()
        self._terms = {row: terms_of(intent, draft.policies) for row, intent in wanted.items()}

    def shut(self, vm: int) -> Collection[int]:  # noqa: ARG002  the protocol's
        """See ``Doors``: nothing is cheap to say."""
        return ()

    def admits(self, vm: int, host: int) -> bool:
        """See ``Doors``."""
        draft, source = self._draft, int(self._draft.snapshot.vms.host[vm])
        if host == source:
            return True
        terms = self._terms[source]
        trial = Trial(draft.snapshot, draft.ledger, vm, source, host, draft.promised, draft.shifted, draft.rerouted,
                      draft.moved, self._homes, terms, draft.dirtying(vm), self._daily)
        if refusal(trial) is not None or self._off[vm] * horizon_of(self._wanted[source]) <= price_of(
                draft, vm, source, host).processors:
            return False
        return not terms.keeps_reserve or draft.reserve.worse_after(int(draft.snapshot.vms.memory[vm]), host, source) is None

    def penalties(self, vm: int) -> Ints | None:
        """See ``Doors``: should-rules that it would break, who turned it away within the hour, where moves went badly."""
        draft, source = self._draft, int(self._draft.snapshot.vms.host[vm])
        names, wishes = draft.snapshot.hosts.names, [rule for rule in rules_for(
            draft.snapshot, self._terms[source].rules, vm) if rule.weight is not None]
        away, risky = times_turned_away(draft, vm), risk_points(draft, source)
        if not wishes and not away and not risky.any():
            return None
        return risky + np.array([
            PENALTY_POINTS * away[name] + penalty(tuple(wishes), draft.snapshot, self._homes, vm, source, row)
            for row, name in enumerate(names)], np.int64)

    def enter(self, vm: int, host: int) -> None:
        """See ``Doors``."""
        self._homes[vm] = self._draft.homes[vm] | {host}
        if self._daily is not None and host != self._draft.snapshot.vms.host[vm]:
            self._daily.add(vm, host)

    def leave(self, vm: int, host: int) -> None:
        """See ``Doors``."""
        self._homes[vm] = self._draft.homes[vm]
        if self._daily is not None and host != self._draft.snapshot.vms.host[vm]:
            self._daily.take_off(vm, host)


def add_all(draft: Draft, wanted: Wanted, moves: Iterable[tuple[int, int]], off: Floats, together: str) -> bool:
    """Plan moves that a search found (VM row and host row), each that can be made beside those before it; return whether all
    of them can. ``together``: what several moves off a host achieve, in words, which is said where all of them can."""
    placed: dict[int, list[int]] = defaultdict(list)
    refused: set[int] = set()
    for vm, row in moves:
        source = int(draft.snapshot.vms.host[vm])
        if _add(draft, wanted[source], vm, row, float(off[vm])):
            placed[source].append(len(draft.moves) - 1)
        else:
            refused.add(source)
    for source, numbers in placed.items():
        if len(numbers) > 1 and source not in refused:
            for number in numbers:
                move = draft.moves[number]
                draft.moves[number] = replace(move, because=f"{move.because}; one of {len(numbers)} {together}")
    return not refused


def _add(draft: Draft, intent: Intent, vm: int, row: int, off: float) -> bool:
    source = int(draft.snapshot.vms.host[vm])
    targets = Shortlist(draft, terms_of(intent, draft.policies), vm, source, np.full(len(draft.snapshot.hosts.names), off))
    picked = targets.pick(row)
    if picked is None or targets.why_no_reserve(picked) is not None:
        return False
    kept, more = best_of(targets, picked)
    add(draft, intent, vm, source, kept, [*targets.why_barred(NOES_SHOWN), *more],
        price_of(draft, vm, source, row).worth(off, horizon_of(intent)))
    return True
