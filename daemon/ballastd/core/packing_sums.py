"""Which hosts are worth emptying together: what a set of them saves and costs, by sums and without a look at single VMs.

The objective is in watt-hours. A host that goes off saves what it draws when it idles, for as long as it is off; each GiB
that leaves it, or comes back in the morning, weighs as much as a watt-hour. Copying itself draws far less, a GiB being on a
fast link for two seconds; the rest is for what nobody can measure beforehand: slower guests, busy links, moves that fail.
Going off and coming back weighs as much as idling for as long as the policy leaves a host off at least. A host whose time
off does not bring more than all that is in no set.

Hosts go off one after the other, the cheapest first, at the pace of switching and within the budget of moves, so that each
is off for a shorter time than the one before.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from ballastd.core.arrays import Floats, Ints
from ballastd.core.quantities import human_seconds

WATT_HOURS_PER_GIB = 1.0
ASSUMED_WATTS = 100.0
"""What a host draws that declares nothing; where none does, the most hosts off are best."""
SWITCHING_SECONDS = 120.0
"""From a host's last VM until it is off: its hook is shut, it is looked at twice, its system shuts down."""
HOUR_SECONDS = 3600.0
PRICES = ((0, 0, 0, 1), (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (1, 1, 1, 0))
"""Hosts are ranked by what a watt takes of room, moves, time and copying; which is scarce shows only then."""
MISSES_MAX = 24
"""So many hosts one after the other that do not fit into a set end its ranking."""

EXCHANGES_MAX = 100
"""So often one host of each set is tried for another."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What a policy and the limits allow now. ``seconds``: until what is off is woken; ``minimum_off``, ``pace``: seconds a
    host stays off at least, and from one host to the next. ``hosts``: how many more may be off. ``moves``, ``moves_made``:
    moves that are left today, and that were made within the hour, of ``moves_per_hour``. ``below``: share of the hosts on
    under which one more may go. ``spare_hosts``, ``spare_share``: what stays free."""

    seconds: float
    minimum_off: float
    pace: float
    hosts: int
    moves: int
    moves_made: int
    moves_per_hour: int
    below: float
    spare_hosts: int
    spare_share: float


@dataclass(frozen=True, slots=True)
class HostSums:
    """The hosts that take part, in columns. ``limit``, ``used``: bytes; ``cpu_limit``, ``cpu``: processors, those of a host
    that waits for storage all used. ``vms``: how many. ``gib``: of all of them. ``copying``: seconds until they have left.
    ``watts``: when idle."""

    limit: Ints
    used: Ints
    cpu_limit: Floats
    cpu: Floats
    vms: Ints
    gib: Floats
    copying: Floats
    watts: Floats


@dataclass(frozen=True, slots=True)
class Account:
    """What a set brings. ``saved``, ``cost``: watt-hours of each host; ``off``: seconds that it is off. ``why_not``: what
    speaks against the last host, empty where nothing does."""

    saved: tuple[float, ...] = ()
    cost: tuple[float, ...] = ()
    off: tuple[float, ...] = ()
    why_not: str = ""

    @property
    def net(self) -> float:
        """Watt-hours saved less those that it costs."""
        return sum(self.saved) - sum(self.cost)


class Sums:
    """Weighs sets of hosts (indices of the columns), and finds good ones."""

    def __init__(self, hosts: HostSums, frame: Frame) -> None:
        self._hosts, self._frame = hosts, frame
        self._by_size = np.lexsort((np.arange(len(hosts.limit)), -hosts.limit)).tolist()
        self._memory, self._processors = float(hosts.used.sum()), float(hosts.cpu.sum())
        effort = hosts.gib / hosts.watts
        self._cheapest = np.lexsort((np.arange(len(effort)), effort)).argsort().tolist()

    def in_order(self, chosen: Sequence[int]) -> tuple[int, ...]:
        """Return hosts in the order in which they are emptied: the least to copy for a watt first."""
        return tuple(sorted(chosen, key=self._cheapest.__getitem__))

    def weigh(self, chosen: Sequence[int]) -> Account:
        """Return what emptying hosts in this order brings, or what speaks against the first that may not be among them."""
        hosts, frame = self._hosts, self._frame
        accounts: list[tuple[float, float, float]] = []
        clock, vms = 0.0, 0
        memory_on, processors_on = float(hosts.limit.sum()), float(hosts.cpu_limit.sum())
        for number, host in enumerate(chosen):
            vms += int(hosts.vms[host])
            clock = self._done(clock, host, number, vms)
            off, watts = frame.seconds - clock, float(hosts.watts[host])
            saved = watts * off / HOUR_SECONDS
            cost = watts * frame.minimum_off / HOUR_SECONDS + 2.0 * WATT_HOURS_PER_GIB * float(hosts.gib[host])
            why = (self._why_too_many(number, vms) or self._why_busy(memory_on, processors_on)
                   or self._why_not_worth(off, saved, cost))
            memory_on -= float(hosts.limit[host])
            processors_on -= float(hosts.cpu_limit[host])
            if why:
                return Account(why_not=why)
            accounts.append((saved, cost, off))
        no = self._why_not_spared(chosen, memory_on, processors_on)
        if no:
            return Account(why_not=no)
        saved_by, cost_by, off_by = zip(*accounts, strict=True) if accounts else ((), (), ())
        return Account(saved_by, cost_by, off_by)

    def best(self, may: Callable[[int], bool], before: Sequence[int] = (), *, margin: float = 0.0) -> tuple[int, ...]:
        """Return the set that brings most, in the order in which it is emptied. ``may``: whether a host may be chosen at
        all, asked only of those that would be. ``before``: the set that was meant before; another one must bring more by
        ``margin`` as a share."""
        rankings = [self._ranked(prices) for prices in PRICES]
        meant = self._filled(before, (), may)
        filled = dict.fromkeys(self._filled(ranking, (), may) for ranking in rankings)
        anew = self._most([self._exchanged(chosen, may) for chosen in filled])
        if not meant:
            return anew
        kept = self._most([self._filled(ranking, meant, may) for ranking in rankings])
        return anew if self.weigh(anew).net > (1.0 + margin) * self.weigh(kept).net else kept

    def _most(self, sets: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
        return max(sets, key=lambda chosen: self.weigh(chosen).net)

    def _filled(self, ranking: Sequence[int], begin: Sequence[int], may: Callable[[int], bool]) -> tuple[int, ...]:
        """Return the set that comes of taking hosts in an order, each that fits in and makes it worth more."""
        chosen, net, missed = tuple(begin), self.weigh(begin).net, 0
        for host in ranking:
            if len(chosen) >= self._frame.hosts or missed >= MISSES_MAX:
                break
            if host in chosen:
                continue
            tried = self.in_order((*chosen, host))
            account = self.weigh(tried)
            if account.why_not or account.net <= net:
                missed += 1
            elif may(host):
                chosen, net, missed = tried, account.net, 0
        return chosen

    def _exchanged(self, chosen: tuple[int, ...], may: Callable[[int], bool]) -> tuple[int, ...]:
        """Return the set after exchanging hosts one for one while that brings more: the mark is looked at before the last
        one goes, so that one that draws much may be worth more there than any that was taken for its small size."""
        tries, net = EXCHANGES_MAX, self.weigh(chosen).net
        others = sorted(range(len(self._cheapest)), key=lambda host: (-float(self._hosts.watts[host]), host))
        while tries > 0:
            pairs = ((member, other) for other in others if other not in chosen for member in chosen)
            better = None
            for member, other in islice(pairs, tries):
                tries -= 1
                tried = self.in_order([*(one for one in chosen if one != member), other])
                if self.weigh(tried).net > net and may(other):
                    better = tried
                    break
            if better is None:
                return chosen
            chosen, net = better, self.weigh(better).net
        return chosen

    def _ranked(self, prices: Sequence[float]) -> list[int]:
        """Return all hosts, first those that take least of what has a price, for what they draw."""
        hosts, frame = self._hosts, self._frame
        takes = (hosts.limit / max(1.0, float(hosts.limit.sum())) + hosts.cpu_limit / max(1.0, float(hosts.cpu_limit.sum())),
                 hosts.vms / max(1, frame.moves), np.maximum(frame.pace, hosts.copying) / max(1.0, frame.seconds),
                 hosts.gib / max(1.0, float(hosts.gib.sum())))
        price = np.array(prices, np.float64) @ np.array(takes) / hosts.watts
        ranked: list[int] = np.lexsort((np.array(self._cheapest), price)).tolist()
        return ranked

    def _done(self, clock: float, host: int, number: int, vms: int) -> float:
        """Return when a host is off, seconds from now, the one before it being off at ``clock``. ``vms``: moved by then."""
        frame, own = self._frame, float(self._hosts.copying[host]) + SWITCHING_SECONDS
        hours = math.ceil((frame.moves_made + vms) / frame.moves_per_hour) - 1 if self._hosts.vms[host] else 0
        return max(clock + (max(frame.pace, own) if number else own), HOUR_SECONDS * hours + own)

    def _why_too_many(self, number: int, vms: int) -> str:
        if number >= self._frame.hosts:
            return f"{self._frame.hosts} more hosts may be off"
        if vms > self._frame.moves:
            return f"{vms} VMs would have to leave, and {self._frame.moves} moves are left today"
        return ""

    def _why_busy(self, memory_on: float, processors_on: float) -> str:
        """The mark that lets one more host go is looked at before it goes."""
        share = max(self._memory / max(1.0, memory_on), self._processors / max(1e-9, processors_on))
        return "" if share < self._frame.below else f"by then the hosts that are on would use {share:.0%}"

    def _why_not_worth(self, off: float, saved: float, cost: float) -> str:
        if off < self._frame.minimum_off or off <= 0.0:
            return (f"it would be off for {human_seconds(max(0.0, off))}, less than "
                    f"{human_seconds(self._frame.minimum_off)}")
        return "" if saved > cost else f"off for {human_seconds(off)} it would save {saved:.0f} Wh and cost {cost:.0f}"

    def _why_not_spared(self, chosen: Sequence[int], memory_on: float, processors_on: float) -> str:
        """What is used has to fit on what stays on less the spare hosts, the largest ones, and the spare share."""
        gone = set(chosen)
        spared = list(islice((host for host in self._by_size if host not in gone), self._frame.spare_hosts))
        left = 1.0 - self._frame.spare_share
        memory = (memory_on - float(self._hosts.limit[spared].sum())) * left
        processors = (processors_on - float(self._hosts.cpu_limit[spared].sum())) * left
        return "" if self._memory <= memory and self._processors <= processors else (
            f"{self._frame.spare_hosts} spare host(s) and {self._frame.spare_share:.0%} would not be left")
