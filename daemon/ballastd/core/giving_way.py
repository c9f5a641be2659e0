"""How much of a link migrations leave to others: what those use as telemetry measures it, and what is left to each of ours.

An agent says how much its host's interfaces carried, as a mean over its interval. What our own jobs copied meanwhile is
taken off it; the rest is others', whoever they are. Who asks for less than is there gets what they ask for; to who takes all
that is left, as bulk transfers do, a migration gives way down to the least with which one is begun.
"""

from __future__ import annotations

import enum
from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple

from ballastd.core.inventory import DeclaredHost, Progress
from ballastd.core.ledger import Ledger
from ballastd.core.migrations import Migration
from ballastd.core.plans import Given
from ballastd.core.quantities import MIB, HostName, Instant
from ballastd.core.senses import Senses

HELD_SECONDS = 60.0
"""Others are left as much as they used at most in so long: less for migrations at the next report, more only after this."""
LATE_SECONDS = 2.0
"""By so much a report may be late: an agent reads its counters once a second."""
DIRTIED_SECONDS = 1.0
"""After its last look at a job nobody knows what was dirtied and copied again: no more than it may copy in so long."""
KEPT_SECONDS = 240.0
"""How far back it is remembered what jobs copied. Means over longer intervals are not made use of."""
ROUNDING = 1e-6
"""MiB/s: sums of fractions come out a little less than they are."""
FASTER = 2.0
"""Memory is copied at least so many times as fast as it is dirtied, or its copying would end late or never: so each round
leaves half of the one before."""

WHOLE = "others leave it its whole share"
NOT_ASKED = "no policy asks for it now"
SAVING = "it takes its VM off a failing host"
PARTED = "its VM went before its memory"


class Way(enum.Enum):
    """A direction of a link, as seen from its host."""

    OUT = "out of"
    IN = "into"


METRICS = {Way.OUT: "network.tx", Way.IN: "network.rx"}
End = tuple[HostName, Way]


class Look(NamedTuple):
    """How much was copied by a look, bytes; ``pace``: how fast at most since the one before, bytes/s."""

    at: float
    copied: float
    pace: float = inf


@dataclass(slots=True)
class Trail:
    """What one job copied, look by look. ``left``: bytes that are still to be copied, None once nothing is; ``mib_s``: its
    bandwidth."""

    source: HostName
    target: HostName
    looks: list[Look]
    left: float | None
    mib_s: float
    is_told: bool = False
    """Whether its hypervisor has said where it is."""
    is_sized: bool = False
    """Whether it has shown sizes, too."""
    is_open: bool = True
    was_mib_s: float = 0.0
    """As fast as it might be at the last look."""

    @property
    def pace(self) -> float:
        """As fast as it might be since the last look, MiB/s."""
        return max(self.was_mib_s, self.mib_s)

    def note(self, at: float, seen: Progress) -> None:
        """Note how far it is. At its end a hypervisor shows no sizes any more: what was left is copied then."""
        if not self.is_told:
            self.looks, self.is_told = [Look(at - seen.elapsed, 0.0)], True
        if at > self.looks[-1].at:
            if seen.memory_total:
                self._add(at, max(self.looks[-1].copied, float(seen.memory_processed)))
                self.left, self.is_sized = float(seen.memory_remaining), True
            elif self.is_sized:
                self._run_out(at)
            else:
                self._add(at, 0.0)
        if len(self.looks) > 2 and self.looks[1].at < at - 2 * KEPT_SECONDS:
            self.looks = [point for point in self.looks if point.at >= at - KEPT_SECONDS]

    def end(self, at: float) -> None:
        """It is over."""
        self.is_open = False
        if at > self.looks[-1].at:
            self._run_out(at)

    def _run_out(self, at: float) -> None:
        """Since it was seen last it copied what was left and what its VM dirtied meanwhile, or as much as it may have."""
        last, pace = self.looks[-1], self.pace * MIB
        left = 0.0 if self.left is None else self.left + pace * DIRTIED_SECONDS
        self._add(at, last.copied + min(left, pace * (at - last.at)))
        self.left = None

    def _add(self, at: float, copied: float) -> None:
        self.looks.append(Look(at, copied, self.pace * MIB))
        self.was_mib_s = self.mib_s

    def copied(self, begin: float, end: float) -> float:
        """Return how much was copied between two instants, bytes: the most it can be, for between two looks it may have
        been copied at once or last of all, as fast as it may."""
        most = max(0.0, self._by(end, at_once=True) - self._by(begin, at_once=False))
        rows = {bisect_right(self.looks, (at, inf)) for at in (begin, end)}
        if len(rows) == 1 and 0 < (row := rows.pop()) < len(self.looks):  # not both at once and last of all
            return min(most, self.looks[row].pace * (end - begin))
        return most

    def bends(self, begin: float, end: float) -> list[float]:
        """Return when between two instants it may have become faster or slower."""
        first, last = (bisect_right(self.looks, (at, inf)) for at in (begin, end))
        rows = range(max(1, first), min(len(self.looks), last + 1))
        return [at for row in rows for at in self._bends_before(row) if begin < at <= end]

    def _bends_before(self, row: int) -> tuple[float, ...]:
        then, later, takes = self.looks[row - 1].at, self.looks[row].at, self._takes(row)
        return then, then + takes, later - takes, later

    def _takes(self, row: int) -> float:
        """Return how long it took at least to copy what was copied between a look and the one before, seconds."""
        before, after = self.looks[row - 1:row + 1]
        return min(after.at - before.at, (after.copied - before.copied) / after.pace)

    def _by(self, at: float, *, at_once: bool) -> float:
        row = bisect_right(self.looks, (at, inf))
        if row in (0, len(self.looks)):
            return self.looks[max(0, row - 1)].copied
        before, after = self.looks[row - 1:row + 1]
        takes = self._takes(row)
        if takes <= 0.0:
            return after.copied
        share = (at - before.at) / takes if at_once else 1.0 - (after.at - at) / takes
        return before.copied + (after.copied - before.copied) * min(1.0, max(0.0, share))


class Others:
    """Remembers what our jobs copied in this run, and how fast their VMs dirtied their memory; asks telemetry for the rest.
    ``give_way``: up to which share of a link migrations and others together may fill it, None where migrations give way to
    nobody."""

    def __init__(self, senses: Senses) -> None:
        self.give_way: float | None = None
        self._senses = senses
        self._interfaces: dict[HostName, tuple[str, ...]] = {}
        self._trails: dict[str, Trail] = {}
        self._dirtied: dict[str, float] = {}
        self._since, self._now = inf, Instant(0.0, 0.0, "")

    def follow(self, hosts: Iterable[DeclaredHost], ledger: Ledger, give_way: float | None, now: Instant) -> None:
        """Take in where jobs are, and how far they give way from now on; where they do not, all but how fast they
        dirty their memory is forgotten."""
        self.give_way = give_way
        self._note_dirtying(ledger)
        if give_way is None:
            self._since, self._trails, self._interfaces = inf, {}, {}
            return
        if self._since == inf:
            self._since = now.monotonic
            self._interfaces = {host.name: host.link_interfaces for host in hosts if host.link_interfaces}
        self._now = now
        # a VM that went before its memory is not told how fast to follow: that is as others' traffic
        ours = {m.id: m for m in ledger.open_migrations() if m.holds_slot and not m.post_copy_because}
        for m in ours.values():
            self._take_in(m)
        for key, trail in self._trails.items():
            if trail.is_open and key not in ours:
                trail.end(now.monotonic)
        self._trails = {key: trail for key, trail in self._trails.items()
                        if trail.is_open or trail.looks[-1].at > now.monotonic - KEPT_SECONDS}

    def _take_in(self, m: Migration) -> None:
        began = [Look(self._now.monotonic, 0.0)]
        trail = self._trails.setdefault(m.id, Trail(m.source, m.target, began, float(m.memory), m.bandwidth_mib_s))
        trail.is_open, trail.mib_s = True, m.bandwidth_mib_s
        seen = self._senses.progress.get(m.id)
        if seen is not None and seen.progress is not None:
            trail.note(seen.at.monotonic, seen.progress)

    def _note_dirtying(self, ledger: Ledger) -> None:
        for m in ledger.open_migrations():
            seen = self._senses.progress.get(m.id)
            if m.holds_slot and seen is not None and seen.progress is not None:
                self._dirtied[m.id] = max(self._dirtied.get(m.id, 0.0), seen.progress.dirty_bytes_s / MIB)
        self._dirtied = {key: rate for key, rate in self._dirtied.items() if key in ledger.migrations}

    def dirtied(self, migration: str) -> float:
        """Return how fast the VM of a job dirtied its memory at most since it began, MiB/s; 0 where nobody said."""
        return self._dirtied.get(migration, 0.0)

    def is_asked_of(self, host: HostName) -> bool:
        """Return whether anybody said by which interfaces guest memory travels there."""
        return host in self._interfaces

    def use(self, end: End) -> float | None:
        """Return how much of a link others used at most of late, MiB/s; None where that is not known: the interface is not
        declared, nothing fresh is heard of it, or not all that we copied meanwhile is known. A report counts once each job
        was seen that was there: a hypervisor may be slow to say."""
        host, way = end
        if self._senses.telemetry.has_skewed_clock(host):
            return None
        carried = self._carried(host, METRICS[way])
        interval = self._senses.telemetry.interval(host)
        jobs = [t for t in self._trails.values() if (t.source if way is Way.OUT else t.target) == host]
        found = [max(0.0, rate - copied_at_most(jobs, at, interval)) for at, rate in carried
                 if at - interval - LATE_SECONDS >= max(self._since, self._now.monotonic - KEPT_SECONDS)
                 and not any(job.is_open and job.looks[-1].at < at for job in jobs)]
        return max(found) / MIB if found else None

    def _carried(self, host: HostName, metric: str) -> list[tuple[float, float]]:
        """Return how much a host's link carried of late, bytes/s, and when that was said (monotonic); nothing where one of
        its interfaces says nothing."""
        said = [self._senses.telemetry.lately(host, metric, one, HELD_SECONDS, self._now)
                for one in self._interfaces.get(host, ())]
        if not said or not all(said):
            return []
        begin = max(points[0][0] for points in said)
        times = sorted({at for points in said for at, _ in points if at >= begin})
        return [(at, sum(points[bisect_right(points, (at, inf)) - 1][1] for points in said)) for at in times]


def copied_at_most(jobs: Iterable[Trail], at: float, interval: float) -> float:
    """Return how fast our jobs copied in the interval that a report is about, bytes/s: the most it can be, for it ended at
    any time within ``LATE_SECONDS`` before ``at``. That is where a job begins, ends, or changes its pace."""
    earliest = at - LATE_SECONDS
    there = [job for job in jobs if job.looks[0].at < at and job.looks[-1].at > earliest - interval]
    ends = {at, earliest}
    for job in there:
        ends.update(job.bends(earliest, at))
        ends.update(begin + interval for begin in job.bends(earliest - interval, at - interval))
    return max(sum(job.copied(end - interval, end) for job in there) for end in ends) / interval


@dataclass(frozen=True, slots=True)
class Part:
    """A migration of ours on the links of its two hosts. ``whole``: MiB/s, its static share; ``least``: to how little of
    that it gives way, None where it does not, and ``firm`` says why. ``more``: MiB/s that it is lent on top of its share."""

    source: HostName
    target: HostName
    whole: int
    least: int | None
    firm: str = ""
    more: int = 0

    @property
    def most(self) -> int:
        """MiB/s that it has where others leave it."""
        return self.whole + self.more

    @property
    def ends(self) -> tuple[End, End]:
        """Of which links, and which way."""
        return (self.source, Way.OUT), (self.target, Way.IN)


@dataclass(frozen=True, slots=True)
class _Room:
    """What is left of a link to each migration that gives way, and what others use of it, MiB/s."""

    each: float
    used: float
    link: float


@dataclass(frozen=True, slots=True)
class Rooms:
    """What others leave of the links on which migrations are that give way. ``unheard``: of which that is not known, though
    their interfaces are declared."""

    by_end: Mapping[End, _Room] = field(default_factory=dict)
    unheard: frozenset[End] = frozenset()

    def given(self, part: Part) -> Given:
        """Return what a migration is given of its share."""
        if part.least is None:
            return Given(part.most, because=part.firm)
        known = [(self.by_end[end].each, place) for place, end in enumerate(part.ends) if end in self.by_end]
        each, place = min(known, default=(inf, 0))
        bandwidth = max(part.least, int(min(float(part.most), max(0.0, each + ROUNDING))))
        if bandwidth < part.whole:
            room = self.by_end[part.ends[place]]
            return Given(bandwidth, part.whole - bandwidth,
                         f"others use {room.used:.0f} of {room.link:.0f} MiB/s {link_of(part.ends[place])}")
        lacking = [end for end in part.ends if end in self.unheard] or ([] if known else [*part.ends])
        words = f"what others use {' and '.join(map(link_of, lacking))} is not known" if lacking else WHOLE
        return Given(bandwidth, because=words)


def rooms(parts: Collection[Part], links: Mapping[HostName, float], others: Others) -> Rooms:
    """Return what others leave. ``links``: what each host's link carries, MiB/s. Those that do not give way have their
    static share first; the others divide what is left evenly, but for what some of them cannot use."""
    found: dict[End, _Room] = {}
    unheard: set[End] = set()
    for end in dict.fromkeys(end for part in parts if part.least is not None for end in part.ends):
        used = others.use(end)
        if used is None or others.give_way is None:
            unheard |= {end} if others.is_asked_of(end[0]) else set()
            continue
        there = [part for part in parts if end in part.ends]
        firm = sum(part.most for part in there if part.least is None)
        left = others.give_way * links[end[0]] - used - firm
        found[end] = _Room(_evenly(left, [part.most for part in there if part.least is not None]), used, links[end[0]])
    return Rooms(found, frozenset(unheard))


def _evenly(left: float, wants: Sequence[int]) -> float:
    """Return how much is left to each that can use so much; endless where there is enough for all."""
    for row, want in enumerate(sorted(wants)):
        each = left / (len(wants) - row)
        if want > each:
            return each
        left -= want
    return inf


def link_of(end: End) -> str:
    """Return which link, and which way, in words."""
    return f"{end[1].value} {end[0]}"
