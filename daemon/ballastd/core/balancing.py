"""What of a hot host can be lessened, and evening out: the one or few moves that are worth what they cost.

Greedy, one move after the other on the same draft. A move is worth what it takes off the overload (or off the
difference of two hosts) for as long as its VM will stay where it goes; it costs a processor's work at both ends for
as long as it lasts. What a host has too much of beyond its cool edge is all that counts: no VM is moved for more.
``cooling`` relieves all hot hosts together, ``levelling`` evens out as a whole; only what these cannot comes here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from ballastd.core.accounts import Against, Figure, Worth
from ballastd.core.arrays import Floats, Ints
from ballastd.core.draft import Candidate, Draft
from ballastd.core.drafting import (
    NOES_SHOWN,
    Shortlist,
    add,
    best_of,
    copy_of,
    offered_target,
    risk_of,
    terms_of,
    why_vm_rests,
)
from ballastd.core.intents import Fill, Intent
from ballastd.core.plans import Refusal, RefusalKind
from ballastd.core.prediction import Copy
from ballastd.core.quantities import human_seconds
from ballastd.core.weighing import copying_costs, told_one_by_one

HORIZON_SECONDS = 3600.0
"""For how long at least a move is worth what it brings, however short the VM's rest is set."""
COPYING_PROCESSORS = 1.0
"""What a migration takes at each end while it lasts: the thread that sends, the thread that receives."""


@dataclass(frozen=True, slots=True)
class _Option:
    """One VM and the best that it could go to but for the failover reserve; ``targets``: what comes after that. ``net``:
    what it is worth less what it costs, in processor seconds per host processor; ``worth``: that term by term; ``noes``:
    what spoke against those that were asked for their reserve."""

    net: float
    memory: int
    name: str
    vm: int
    first: Candidate
    targets: Shortlist
    worth: Worth
    noes: tuple[Refusal, ...] = ()


def shares(draft: Draft, row: int) -> tuple[float, float]:
    """Return the shares of processors (nan where unknown) and of memory that a host uses once the draft is done."""
    hosts = draft.snapshot.hosts
    limit = float(hosts.cpu_limit[row])
    cpu = float(hosts.cpu[row] + draft.shifted[row]) / limit if limit > 0 else float("nan")
    held = int(hosts.used[row]) + int(hosts.reserved[row]) + int(draft.promised[row]) - int(draft.leaving[row])
    memory = held / int(hosts.limit[row]) if int(hosts.limit[row]) > 0 else 0.0
    return cpu, memory


def network_share(draft: Draft, row: int) -> float:
    """Return the share of its network that a host's VMs use once the draft is done, as far as it is known; 0 where nobody
    says what that carries."""
    hosts = draft.snapshot.hosts
    return float((hosts.network_least[row] + draft.rerouted[row]) / hosts.network_limit[row])


def lessen(draft: Draft, intent: Intent) -> None:
    """Plan moves off a host that cannot be made cool, as many as may be in flight at once, so that it is less hot; one at
    least, or a refusal.

    Where nothing can leave because every target would be above its cool edge, targets may come halfway up to their hot
    mark, for as long as the host itself is above that, and only until the VM may be moved again: some a little warm, or
    warm tomorrow, are better than one that suffers."""
    found = _lessened(draft, intent)
    if found.taken:
        if found.is_stuck:
            draft.refusals.append(_no_gain(draft, intent, found.options, found.noes, "less hot then, not cool: "))
        return
    warm = replace(intent, fill=_halfway(draft, intent))
    if excess_of(draft, warm) > 0 and _lessened(draft, warm).taken:
        return
    if not any(move.source == intent.host and move.policy == intent.policy for move in draft.moves):
        draft.refusals.append(_no_gain(draft, intent, found.options, found.noes))


@dataclass(frozen=True, slots=True)
class _Lessened:
    """How many VMs leave; ``is_stuck``: no more can, and what was looked at for that."""

    taken: int
    is_stuck: bool = False
    options: list[_Option] = field(default_factory=list)
    noes: list[Refusal] = field(default_factory=list)


def _lessened(draft: Draft, intent: Intent) -> _Lessened:
    source, most = draft.snapshot.row(intent.host), intent.budget.in_flight if intent.budget else 1
    for taken in range(most + 1):
        if excess_of(draft, intent) <= 0:
            break
        search = _Search(draft, intent, source, _relief(draft, intent))
        if (search.best() is None) if taken == most else not search.take():
            return _Lessened(taken, True, search.options, search.noes)
    return _Lessened(taken)


def _halfway(draft: Draft, intent: Intent) -> Fill | None:
    """Return what a target may be filled to, halfway between its cool edge and its hot mark, for as long as a VM then rests:
    a host that is hot now comes before one that would be hot tomorrow."""
    policy = next((one for one in draft.policies.balance if one.name == intent.policy), None)
    if policy is None or intent.fill is None:
        return intent.fill
    hot = {resource: min((edge.above for edge in policy.hot if edge.resource == resource), default=0.0)
           for resource in ("cpu", "memory", "network")}
    return Fill(max(intent.fill.cpu, (intent.fill.cpu + hot["cpu"]) / 2),
                max(intent.fill.memory, (intent.fill.memory + hot["memory"]) / 2),
                max(intent.fill.network, (intent.fill.network + hot["network"]) / 2),
                draft.snapshot.now.wall + horizon_of(intent))


def even_by_one(draft: Draft, intent: Intent) -> None:
    """Plan one move off the fullest host that lessens its difference to the target by the policy's gain, or refuse."""
    source = draft.snapshot.row(intent.host)
    search = _Search(draft, intent, source, _Evening(draft, intent, source))
    if not search.take():
        draft.refusals.append(_no_gain(draft, intent, search.options, search.noes))


def why_it_is_cool(draft: Draft, intent: Intent) -> Refusal:
    """Return why nothing leaves a hot host: what it has too much of is none of processors, memory and network, or leaves
    already."""
    row = draft.snapshot.row(intent.host)
    cpu, memory = shares(draft, row)
    fill, has_network = intent.fill, bool(np.isfinite(draft.snapshot.hosts.network_limit[row]))
    edges = "" if fill is None else f", cool below {fill.cpu:.0%} and {fill.memory:.0%}"
    used = "unknown" if np.isnan(cpu) else f"{cpu:.0%}"
    if has_network and fill is not None:
        edges += f"; {network_share(draft, row):.0%} of its network, cool below {fill.network:.0%}"
    return Refusal(RefusalKind.NO_GAIN, f"with what leaves it already it is cool: {used} of its processors, {memory:.0%} of "
                   f"its memory{edges}; set cool: lower to have it relieved of pressure", host=intent.host)


def excess_of(draft: Draft, intent: Intent) -> float:
    """Return by what share of itself a host is above its cool edge once the draft is done; 0 or less: it is cool."""
    return max(host_excess_of(draft, intent), network_excess_of(draft, intent))


def host_excess_of(draft: Draft, intent: Intent) -> float:
    """Return the same of its processors and memory alone."""
    cpu, memory = shares(draft, draft.snapshot.row(intent.host))
    if intent.fill is None:
        return 0.0
    return max(0.0 if np.isnan(cpu) else cpu - intent.fill.cpu, memory - intent.fill.memory)


def network_excess_of(draft: Draft, intent: Intent) -> float:
    """Return the same of its network alone."""
    return 0.0 if intent.fill is None else network_share(draft, draft.snapshot.row(intent.host)) - intent.fill.network


def relief_by(draft: Draft, intent: Intent, vms: Ints) -> Floats:
    """Return what the leaving of each VM (rows) takes off the excess of their host, as a share of it, by whichever resource
    is over its edge; 0 where that is less than the policy's gain, or not known."""
    assert intent.fill is not None
    hosts, columns, source = draft.snapshot.hosts, draft.snapshot.vms, draft.snapshot.row(intent.host)
    cpu, memory = shares(draft, source)
    excess, limit = excess_of(draft, intent), int(hosts.limit[source])
    processors = float(hosts.cpu_limit[source]) if not math.isnan(cpu) and cpu > intent.fill.cpu else math.inf
    held = float(limit) if memory > intent.fill.memory and limit > 0 else math.inf
    carries = float(hosts.network_limit[source]) if network_excess_of(draft, intent) > 0 else math.inf
    off = np.fmax(columns.cpu[vms] / processors, columns.memory[vms] / held)
    off = np.minimum(np.fmax(off, columns.network[vms] / carries), excess)
    return np.where(off >= intent.minimum_gain * excess, off, 0.0)


def _relief(draft: Draft, intent: Intent) -> Callable[[int], Floats]:
    """Return what moving a VM is worth to a hot host: the same wherever it goes."""
    hosts = len(draft.snapshot.hosts.names)
    return lambda vm: np.full(hosts, relief_by(draft, intent, np.array([vm]))[0])


class _Evening:
    """What moving a VM is worth to two uneven hosts: by how much the difference of their processors shrinks; 0 when that is
    less than the policy's gain of the whole spread, for else a VM would be moved to the next fullest, and help nobody, and
    when one of them would then be the fullest or the emptiest of all."""

    def __init__(self, draft: Draft, intent: Intent, source: int) -> None:
        hosts = draft.snapshot.hosts
        limits = np.where(hosts.cpu_limit > 0, hosts.cpu_limit, np.nan)
        self._source, self._limits, self._used = source, limits, draft.snapshot.vms.cpu
        self._cpu = (hosts.cpu + draft.shifted) / limits
        known = self._cpu[hosts.target & ~np.isnan(self._cpu)]
        self._emptiest = float(known.min()) if len(known) else 0.0
        self._needed = intent.minimum_gain * (float(self._cpu[source]) - self._emptiest)

    def __call__(self, vm: int) -> Floats:
        used, here = float(self._used[vm]), float(self._cpu[self._source])
        after, there = here - used / float(self._limits[self._source]), self._cpu + used / self._limits
        before = here - self._cpu
        gain = before - np.abs(after - there)
        # an unknown is nan: no comparison with it holds
        useful = (before > 0) & (gain >= self._needed) & (after >= self._emptiest) & (there <= here)
        return np.where(useful, gain, 0.0)


@dataclass(frozen=True, slots=True)
class Price:
    """What a move costs. ``memory``: bytes of it; ``copy``: how that will travel; ``processors``: what that takes of both
    ends, in processor seconds per host processor, times its ``risk``."""

    memory: int
    copy: Copy
    processors: float
    risk: float

    def worth(self, gain: float, stays: float) -> Worth:
        """Return what is gained for it, a share of the host for so many seconds, and what it costs."""
        words = (f"takes {gain:.0%} off it for at least {human_seconds(stays)}, costs {human_seconds(self.copy.takes)} of "
                 "copying")
        gains = (Figure("load taken off", gain, "of the host"), Figure("for at least", stays, "s"),
                 Figure("together", gain * stays, "host seconds"))
        return Worth(words, gains, (*copying_costs(self.memory, self.copy, self.risk),
                                    Figure("processors of both ends meanwhile", self.processors, "host seconds")))


def price_of(draft: Draft, vm: int, source: int, target: int) -> Price:
    """Return what moving a VM costs (rows)."""
    copy, risk = copy_of(draft, vm, source, target, routine=True), risk_of(draft, vm, source, target)
    limits = draft.snapshot.hosts.cpu_limit
    busy = copy.takes * sum(COPYING_PROCESSORS / max(0.1, float(limits[row])) for row in (source, target))
    return Price(int(draft.snapshot.vms.copied[vm]), copy, risk * busy, risk)


def horizon_of(intent: Intent) -> float:
    """Return for how long a move is worth what it brings, seconds: for as long as its VM then rests."""
    return max(HORIZON_SECONDS, float(intent.cooldown.vm if intent.cooldown else 0.0))


class _Search:
    """The VMs of a host, and the one that gains most. A VM is asked for its targets only while none that was asked before
    gains as much as it could at best; one that a person was offered is asked first. ``worths``: what each host (by row) is
    worth as the target of a VM (row), as a share of a host."""

    def __init__(self, draft: Draft, intent: Intent, source: int, worths: Callable[[int], Floats]) -> None:
        self._draft, self._intent, self._source = draft, intent, source
        self._terms = terms_of(intent, draft.policies)
        self._stays = horizon_of(intent)
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
        snapshot = self._draft.snapshot
        price = price_of(self._draft, vm, self._source, first.row)
        return _Option(first.worth * self._stays - price.processors, int(snapshot.vms.copied[vm]), snapshot.records[vm].name,
                       vm, first, targets, price.worth(first.worth, self._stays), noes)

    def take(self) -> bool:
        """Plan the best option; return whether there was one.

        The failover reserve costs much to ask for, so only the best is asked: where it would not hold, the VM's next target
        takes its place among the options, or a refusal among ``noes``."""
        while (best := self.best()) is not None:
            no = best.targets.why_no_reserve(best.first)
            if no is None:
                kept, more = best_of(best.targets, best.first)
                against = best.targets.why_barred(NOES_SHOWN)
                add(self._draft, self._intent, best.vm, self._source, kept, [*against, *best.noes, *more], best.worth)
                return True
            self.options = [option for option in self.options if option is not best]
            second = best.targets.next()
            if second is None:
                self._lost.append(no)
            else:
                self.options.append(self._weigh(best.vm, second, best.targets, (*best.noes, no)))
        return False


def _no_gain(draft: Draft, intent: Intent, options: list[_Option], noes: list[Refusal], first: str = "") -> Refusal:
    """Return one refusal that sums up why nothing, or no more, leaves the host, of each VM as well. ``first``: words that
    come before."""
    against = (*(Against(RefusalKind.NO_GAIN.value, f"not worth its cost: {option.worth.words}",
                         draft.snapshot.vms.ids[option.vm], option.first.name) for option in options),
               *told_one_by_one(draft, noes))
    if options:
        best = max(options, key=lambda o: (o.net, o.name))
        return Refusal(RefusalKind.NO_GAIN, f"{first}no move is worth its cost; the best would be {best.name}: "
                       f"{best.worth.words}", host=intent.host, against=against)
    shown = "; ".join(f"{no.kind.value}: {no.detail}" for no in noes[:3])
    why = shown or "none takes enough of the load to a host that has less"
    return Refusal(RefusalKind.NO_GAIN, f"{first}no VM can be moved to advantage ({why})", host=intent.host, against=against)
