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

from ballastd.core.arrays import Floats
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
        search = _Search(draft, intent, source, _Relief(draft, intent, source, excess))
        if not search.take():
            if not any(move.source == intent.host and move.policy == intent.policy for move in draft.moves):
                draft.refusals.append(_no_gain(intent, search.options, search.noes))
            return


def even_out(draft: Draft, intent: Intent) -> None:
    """Plan one move off the fullest host that lessens its difference to the target by the policy's gain, or refuse."""
    source = draft.snapshot.row(intent.host)
    search = _Search(draft, intent, source, _Evening(draft, intent, source))
    if not search.take():
        draft.refusals.append(_no_gain(intent, search.options, search.noes))


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


class _Search:
    """The VMs of a host, and the one that gains most. A VM is asked for its targets only while none that was asked before
    gains as much as it could at best; one that a person was offered is asked first. ``worths``: what each host (by row) is
    worth as the target of a VM (row), as a share of a host."""

    def __init__(self, draft: Draft, intent: Intent, source: int, worths: Callable[[int], Floats]) -> None:
        self._draft, self._intent, self._source = draft, intent, source
        self._terms = terms_of(intent, draft.policies)
        self._stays = max(HORIZON_SECONDS, float(intent.cooldown.vm if intent.cooldown else 0.0))
        self._noes: list[tuple[int, Refusal]] = []
        self._lost: list[Refusal] = []
        self.options: list[_Option] = []
        self._waiting: list[tuple[float, int, Floats]] = []
        for vm in draft.snapshot.vms_on(intent.host):
            no = why_vm_rests(draft, intent, vm)
            if no is not None:
                self._noes.append((vm, no))
            elif (gains := worths(vm)).max() > 0:
                most = math.inf if offered_target(draft, intent, vm) is not None else float(gains.max()) * self._stays
                self._waiting.append((most, vm, gains))
        self._waiting.sort(key=lambda one: (one[0], -one[1]))

    @property
    def noes(self) -> list[Refusal]:
        """Why VMs stay, as far as that was found out."""
        return [*(no for _, no in sorted(self._noes, key=lambda pair: pair[0])), *self._lost]

    def best(self) -> _Option | None:
        """Return the option with the largest net worth, the cheaper of equals, before all one that a person was offered;
        None where none is worth anything."""
        while True:
            best = min((option for option in self.options if option.net > 0), default=None, key=lambda o: (
                offered_target(self._draft, self._intent, o.vm) is None, -round(o.net, 6), o.memory, o.name))
            # an offered one is worth more than any number, and whoever waits costs something
            if not self._waiting or (best is not None and self._waiting[-1][0] <= best.net):
                return best
            self._ask(*self._waiting.pop()[1:])

    def _ask(self, vm: int, gains: Floats) -> None:
        targets = Shortlist(self._draft, self._terms, vm, self._source, gains)
        first = targets.next()
        if first is not None:
            self.options.append(self._weigh(vm, first, targets))
        else:
            self._noes.extend((vm, no) for no in targets.why_barred(1))

    def _weigh(self, vm: int, first: Candidate, targets: Shortlist, noes: tuple[Refusal, ...] = ()) -> _Option:
        draft, snapshot, gain = self._draft, self._draft.snapshot, first.worth
        memory = int(snapshot.vms.memory[vm])
        takes = predict(memory, planned_bandwidth(draft, self._source, first.row))
        ends = sum(COPYING_PROCESSORS / max(0.1, float(snapshot.hosts.cpu_limit[row])) for row in (self._source, first.row))
        worth, cost = gain * self._stays, takes * ends
        why = f"takes {gain:.0%} off it for at least {human_seconds(self._stays)}, costs {human_seconds(takes)} of copying"
        return _Option(worth - cost, memory, snapshot.records[vm].name, vm, first, targets, why, noes)

    def take(self) -> bool:
        """Plan the best option; return whether there was one.

        The failover reserve costs much to ask for, so only the best is asked: where it would not hold, the VM's next target
        takes its place among the options, or a refusal among ``noes``."""
        while (best := self.best()) is not None:
            no = best.targets.why_no_reserve(best.first)
            if no is None:
                kept, more = best_of(best.targets, best.first)
                against = best.targets.why_barred(NOES_SHOWN)
                add(self._draft, self._intent, best.vm, self._source, kept, [*against, *best.noes, *more], best.why)
                return True
            self.options = [option for option in self.options if option is not best]
            second = best.targets.next()
            if second is None:
                self._lost.append(no)
            else:
                self.options.append(self._weigh(best.vm, second, best.targets, (*best.noes, no)))
        return False


def _no_gain(intent: Intent, options: list[_Option], noes: list[Refusal]) -> Refusal:
    """Return one refusal that sums up why nothing leaves the host."""
    if options:
        best = max(options, key=lambda o: (o.net, o.name))
        return Refusal(RefusalKind.NO_GAIN, f"no move is worth its cost; the best would be {best.name}: {best.why}",
                       host=intent.host)
    shown = "; ".join(f"{no.kind.value}: {no.detail}" for no in noes[:3])
    why = shown or "none takes enough of the load to a host that has less"
    return Refusal(RefusalKind.NO_GAIN, f"no VM can be moved to advantage ({why})", host=intent.host)
