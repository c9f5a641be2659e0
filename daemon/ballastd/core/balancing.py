"""Relief of a hot host, and evening out: the one or few moves that are worth what they cost.

Greedy, one move after the other on the same draft. A move is worth what it takes off the overload (or off the
difference of two hosts) for as long as its VM will stay where it goes; it costs a processor's work at both ends for
as long as it lasts. What a host has too much of beyond its cool edge is all that counts: no VM is moved for more.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ballastd.core.drafting import (
    NOES_SHOWN,
    Candidate,
    Draft,
    Shortlist,
    add,
    best_of,
    offered_target,
    planned_bandwidth,
    terms_of,
    why_vm_rests,
)
from ballastd.core.intents import Intent
from ballastd.core.plans import Refusal, RefusalKind
from ballastd.core.prediction import predict
from ballastd.core.quantities import human_seconds
from ballastd.core.snapshot import Floats

HORIZON_SECONDS = 3600.0
"""For how long at least a move is worth what it brings, however short the VM's rest is set."""
COPYING_PROCESSORS = 1.0
"""What a migration takes at each end while it lasts: the thread that sends, the thread that receives."""


@dataclass(frozen=True, slots=True)
class _Option:
    """One VM and the best that it could go to but for the failover reserve; ``targets``: what comes after that. ``net``:
    what it is worth less what it costs, in processor seconds per host processor; ``why``: that in words; ``noes``: what
    spoke against those that were asked for their reserve."""

    net: float
    memory: int
    name: str
    vm: int
    first: Candidate
    targets: Shortlist
    why: str
    noes: tuple[Refusal, ...] = ()


def shares(draft: Draft, row: int) -> tuple[float, float]:
    """Return the shares of processors (nan where unknown) and of memory that a host uses once the draft is done."""
    hosts, snapshot = draft.snapshot.hosts, draft.snapshot
    limit = float(hosts.cpu_limit[row])
    cpu = float(hosts.cpu[row] + draft.shifted[row]) / limit if limit > 0 else float("nan")
    held = int(hosts.used[row]) + int(hosts.reserved[row]) + int(draft.promised[row])
    held -= sum(int(snapshot.vms.memory[vm]) for vm in draft.moved if int(snapshot.vms.host[vm]) == row)
    memory = held / int(hosts.limit[row]) if int(hosts.limit[row]) > 0 else 0.0
    return cpu, memory


def relieve(draft: Draft, intent: Intent) -> None:
    """Plan moves off a hot host until it is cool, as many as may be in flight at once; one at least, or a refusal."""
    source = draft.snapshot.row(intent.host)
    for number in range(intent.budget.in_flight if intent.budget else 1):
        excess = _excess(draft, intent, source)
        if excess <= 0:
            if number == 0:
                draft.refusals.append(_is_cool(draft, intent, source))
            return
        options, noes = _options(draft, intent, source, _Relief(draft, intent, source, excess))
        if not _take_best(draft, intent, options, noes, source):
            if not any(move.source == intent.host and move.policy == intent.policy for move in draft.moves):
                draft.refusals.append(_no_gain(intent, options, noes))
            return


def even_out(draft: Draft, intent: Intent) -> None:
    """Plan one move off the fullest host that lessens its difference to the target by the policy's gain, or refuse."""
    source = draft.snapshot.row(intent.host)
    options, noes = _options(draft, intent, source, _Evening(draft, intent, source))
    if not _take_best(draft, intent, options, noes, source):
        draft.refusals.append(_no_gain(intent, options, noes))


def _is_cool(draft: Draft, intent: Intent, source: int) -> Refusal:
    """Return why nothing leaves a hot host: what it has too much of is neither processors nor memory, or leaves already."""
    cpu, memory = shares(draft, source)
    fill = intent.fill
    edges = "" if fill is None else f", cool below {fill.cpu:.0%} and {fill.memory:.0%}"
    used = "unknown" if np.isnan(cpu) else f"{cpu:.0%}"
    return Refusal(RefusalKind.NO_GAIN, f"with what leaves it already it is cool: {used} of its processors, {memory:.0%} of "
                   f"its memory{edges}; set cool: lower to have it relieved of pressure", host=intent.host)


def _excess(draft: Draft, intent: Intent, source: int) -> float:
    cpu, memory = shares(draft, source)
    if intent.fill is None:
        return 0.0
    return max(0.0 if np.isnan(cpu) else cpu - intent.fill.cpu, memory - intent.fill.memory)


class _Relief:
    """What moving a VM is worth to a hot host: what it takes off the excess, by whichever resource is over its edge; 0 when
    that is less than the policy's gain."""

    def __init__(self, draft: Draft, intent: Intent, source: int, excess: float) -> None:
        assert intent.fill is not None
        hosts, (cpu, memory) = draft.snapshot.hosts, shares(draft, source)
        self._vms, self._excess, self._hosts = draft.snapshot.vms, excess, len(hosts.names)
        self._least = intent.minimum_gain * excess
        over_cpu = not math.isnan(cpu) and cpu > intent.fill.cpu
        self._processors = float(hosts.cpu_limit[source]) if over_cpu else math.inf
        limit = int(hosts.limit[source])
        self._memory = float(limit) if memory > intent.fill.memory and limit > 0 else math.inf

    def __call__(self, vm: int) -> Floats:
        used = float(self._vms.cpu[vm])
        of_cpu = 0.0 if math.isnan(used) else used / self._processors
        off = min(self._excess, max(of_cpu, int(self._vms.memory[vm]) / self._memory))
        return np.full(self._hosts, off if off >= self._least else 0.0)


class _Evening:
    """What moving a VM is worth to two uneven hosts: by how much the difference of their processors shrinks, 0 when that is
    less than the policy's gain of the whole spread, for else a VM would be moved to the next fullest, and help nobody."""

    def __init__(self, draft: Draft, intent: Intent, source: int) -> None:
        hosts = draft.snapshot.hosts
        limits = np.where(hosts.cpu_limit > 0, hosts.cpu_limit, np.nan)
        self._source, self._limits, self._used = source, limits, draft.snapshot.vms.cpu
        self._cpu = (hosts.cpu + draft.shifted) / limits
        known = self._cpu[hosts.target & ~np.isnan(self._cpu)]
        self._needed = intent.minimum_gain * (float(self._cpu[source]) - (float(known.min()) if len(known) else 0.0))

    def __call__(self, vm: int) -> Floats:
        used, here = float(self._used[vm]), float(self._cpu[self._source])
        after, there = here - used / float(self._limits[self._source]), self._cpu + used / self._limits
        before = here - self._cpu
        gain = before - np.abs(after - there)
        # an unknown is nan: no comparison with it holds
        return np.where((before > 0) & (gain >= self._needed), gain, 0.0)


def _options(draft: Draft, intent: Intent, source: int, worths: Callable[[int], Floats]
             ) -> tuple[list[_Option], list[Refusal]]:
    """Return what each VM of the host could gain where, and why the others stay. ``worths``: of a VM (row) going to each
    host, as a share of a host."""
    snapshot = draft.snapshot
    terms = terms_of(intent, draft.policies)
    found: list[_Option] = []
    noes: list[Refusal] = []
    for vm in snapshot.vms_on(intent.host):
        no = why_vm_rests(draft, intent, vm)
        if no is not None:
            noes.append(no)
            continue
        gains = worths(vm)
        if gains.max() <= 0:
            continue
        targets = Shortlist(draft, terms, vm, source, gains)
        first = targets.next()
        if first is not None:
            found.append(_weigh(draft, intent, vm, source, first, targets))
        else:
            noes.extend(targets.why_barred(1))
    return found, noes


def _weigh(draft: Draft, intent: Intent, vm: int, source: int, first: Candidate, targets: Shortlist,
           noes: tuple[Refusal, ...] = ()) -> _Option:
    snapshot, gain = draft.snapshot, first.worth
    memory = int(snapshot.vms.memory[vm])
    takes = predict(memory, planned_bandwidth(draft, source, first.row))
    stays = max(HORIZON_SECONDS, float(intent.cooldown.vm if intent.cooldown else 0.0))
    ends = sum(COPYING_PROCESSORS / max(0.1, float(snapshot.hosts.cpu_limit[row])) for row in (source, first.row))
    worth, cost = gain * stays, takes * ends
    why = f"takes {gain:.0%} off it for at least {human_seconds(stays)}, costs {human_seconds(takes)} of copying"
    return _Option(worth - cost, memory, snapshot.records[vm].name, vm, first, targets, why, noes)


def _take_best(draft: Draft, intent: Intent, options: list[_Option], noes: list[Refusal], source: int) -> bool:
    """Plan the option with the largest net worth, the cheaper of equals, before all one that a person was offered; return
    whether there was one.

    The failover reserve costs much to ask for, so only the best is asked: where it would not hold, the VM's next target
    takes its place among the options, or a refusal among ``noes``."""
    while True:
        best = min((option for option in options if option.net > 0), default=None, key=lambda o: (
            offered_target(draft, intent, o.vm) is None, -round(o.net, 6), o.memory, o.name))
        if best is None:
            return False
        no = best.targets.why_no_reserve(best.first)
        if no is None:
            kept, more = best_of(best.targets, best.first)
            against = best.targets.why_barred(NOES_SHOWN)
            add(draft, intent, best.vm, source, kept, [*against, *best.noes, *more], best.why)
            return True
        options[:] = [option for option in options if option is not best]
        second = best.targets.next()
        if second is None:
            noes.append(no)
        else:
            options.append(_weigh(draft, intent, best.vm, source, second, best.targets, (*best.noes, no)))


def _no_gain(intent: Intent, options: list[_Option], noes: list[Refusal]) -> Refusal:
    """Return one refusal that sums up why nothing leaves the host."""
    if options:
        best = max(options, key=lambda o: (o.net, o.name))
        return Refusal(RefusalKind.NO_GAIN, f"no move is worth its cost; the best would be {best.name}: {best.why}",
                       host=intent.host)
    shown = "; ".join(f"{no.kind.value}: {no.detail}" for no in noes[:3])
    why = shown or "none takes enough of the load to a host that has less"
    return Refusal(RefusalKind.NO_GAIN, f"no VM can be moved to advantage ({why})", host=intent.host)
