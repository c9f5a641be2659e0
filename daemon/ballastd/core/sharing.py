"""How the links of hosts are shared among migrations: evenly, but for who does not converge with that, and for others."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from ballastd.core.climbing import (
    HELD_BACK_SECONDS,
    TUNE_STEP,
    Asks,
    Climb,
    Hurry,
    Lane,
    Space,
    chosen,
    floor,
    peaks,
    shares,
)
from ballastd.core.dirtying import SHOWN_SECONDS, dirtying_of, shown
from ballastd.core.giving_way import FASTER, NOT_ASKED, PARTED, SAVING, End, Others, Part, Rooms, Way, rooms
from ballastd.core.inventory import Dirtying
from ballastd.core.ledger import Ledger
from ballastd.core.migrations import Migration, MigrationPhase
from ballastd.core.plans import Given, Move, TuneOrder
from ballastd.core.policies import Health, Limits
from ballastd.core.prediction import fair_share
from ballastd.core.quantities import MIB, HostName
from ballastd.core.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Sharing:
    """The links as they are shared once all orders are granted. ``parts``: by the id of what is under way, by the VM of what
    is granted. ``climbing``: who has more than an even share; ``because``: why somebody has another one; ``peaks``: what
    those would have that may climb."""

    parts: Mapping[str, Part]
    rooms: Rooms
    climbing: Sequence[str]
    because: Mapping[str, str]
    peaks: Mapping[str, int]

    def given(self, one: Move | Migration) -> Given:
        """Return what it is given."""
        return self.rooms.given(self.part(one))

    def part(self, one: Move | Migration) -> Part:
        """Return its part of the links."""
        return self.parts[_key(one)]


@dataclass(frozen=True, slots=True)
class Links:
    """What links are shared by. ``out``, ``into``: migrations in flight at each host, ours or not."""

    snapshot: Snapshot
    ledger: Ledger
    limits: Limits
    out: Mapping[HostName, int]
    into: Mapping[HostName, int]
    others: Others | None
    asks: Asks

    def begun(self) -> list[Migration]:
        """Return ours that are in flight between hosts that are known."""
        return [m for m in self.ledger.open_migrations() if m.holds_slot and m.source in self.out and m.target in self.into]

    def even(self, source: HostName, target: HostName) -> int:
        """Return the even share of each between two hosts, MiB/s."""
        hosts = self.snapshot.hosts
        return fair_share(float(hosts.link_mib_s[self.snapshot.row(source)]), self.out[source],
                          float(hosts.link_mib_s[self.snapshot.row(target)]), self.into[target], self.limits.link_share)

    def lane(self, one: Move | Migration) -> Lane:
        """Return where it is, and what it needs."""
        even = self.even(one.source, one.target)
        # nobody tells a job that has not begun to copy, or whose VM went before its memory
        is_steered = isinstance(one, Move) or (one.phase is MigrationPhase.RUNNING and not one.post_copy_because)
        need = floor(self.least(one), even) if is_steered else even
        return Lane(((one.source, Way.OUT), (one.target, Way.IN)), hurry(one, self.snapshot), even, need)

    def least(self, one: Move | Migration) -> int:
        """Return how little a migration is given at least, MiB/s, whatever others use: what is worth beginning with, so much
        that copying ends as well as it would with its whole share, and no less than its time was set for, whatever policies
        say since then."""
        known = one.dirties if isinstance(one, Move) else dirtying_now(one, self.snapshot, self.ledger)
        shown_now = 0.0 if isinstance(one, Move) else self.asks.dirtied(one.id)
        dirties = max(shown_now, 0.0 if known is None else known.mib_s)
        in_time = 0.0 if isinstance(one, Move) else 2 * one.memory / MIB / max(1.0, one.deadline_wall - one.ordered_wall)
        return max(1, ceil(self.limits.migration_minimum_mib_s), ceil(FASTER * dirties), ceil(in_time))

    def climbing(self, lanes: Mapping[str, Lane], begun: Collection[Migration]) -> tuple[str, ...]:
        """Return who climbs now (ids)."""
        able = {m.id: m for m in begun
                if m.phase is MigrationPhase.RUNNING and not m.abort_reason and not m.post_copy_because}
        return chosen(lanes, [key for key, m in able.items() if m.climbs_wall is not None],
                      [key for key in self.asks.because if key in able])

    def space(self, lanes: Mapping[str, Lane]) -> Space:
        """Return what ours may have of each link together: strangers' jobs have even shares, too."""
        whole: dict[End, float] = {}
        polite: dict[End, float] = {}
        for end in dict.fromkeys(end for lane in lanes.values() for end in lane.ends):
            host, way = end
            link = float(self.snapshot.hosts.link_mib_s[self.snapshot.row(host)])
            jobs = self.out[host] if way is Way.OUT else self.into[host]
            ours = sum(1 for lane in lanes.values() if end in lane.ends)
            whole[end] = self.limits.link_share * link * ours / max(1, jobs, ours)
            used = None if self.others is None else self.others.use(end)
            if used is not None and self.others is not None and self.others.give_way is not None:
                polite[end] = self.others.give_way * link - used
        return Space(whole, polite)


def climbs(links: Links) -> tuple[Climb, ...]:
    """Return who climbs on which links, before anything is granted."""
    begun = {m.id: m for m in links.begun()}
    if not links.asks.because and all(m.climbs_wall is None for m in begun.values()):
        return ()
    lanes = {key: links.lane(m) for key, m in begun.items()}
    return tuple(Climb(begun[key].vm_name, lanes[key], None if (since := begun[key].climbs_wall) is None
                       else since + HELD_BACK_SECONDS) for key in links.climbing(lanes, begun.values()))


def share(links: Links, granted: Sequence[Move]) -> Sharing:
    """Return how links are shared. ``granted``: what begins now."""
    begun = links.begun()
    every: list[Move | Migration] = [*begun, *granted]
    ours = {_key(one): one for one in every}
    lanes = {key: links.lane(one) for key, one in ours.items()}
    climbing, space = links.climbing(lanes, begun), links.space(lanes)
    found = shares(lanes, space, climbing)
    may_climb = {m.id: m.bandwidth_mib_s for m in begun if m.phase is MigrationPhase.RUNNING}
    parts = {key: _part(one, lanes[key], found[key], links) for key, one in ours.items()}
    because = {m.id: links.asks.because.get(m.id, m.bandwidth_because) for m in begun if m.id in climbing}
    because |= {key: _made_room([ours[one] for one in climbing if lane.meets(lanes[one])])
                for key, lane in lanes.items() if found[key] < lane.even}
    return Sharing(parts, _rooms(links, parts, {m.id for m in begun if m.post_copy_because}), climbing, because,
                   peaks(lanes, space, climbing, may_climb))


def retune(sharing: Sharing, ledger: Ledger, running: Mapping[str, Given], revision: int) -> tuple[TuneOrder, ...]:
    """Return new bandwidths for running jobs whose share changed by more than a tenth, or who have their whole one again;
    who makes room for one that climbs makes all of it. Those that get less come first."""
    tunes: list[tuple[int, TuneOrder]] = []
    for m in ledger.open_migrations():
        if m.phase is not MigrationPhase.RUNNING or m.id not in running:
            continue
        given, because = running[m.id], sharing.because.get(m.id, "")
        more = given.bandwidth_mib_s - m.bandwidth_mib_s
        is_whole_again = bool(m.gives_way) and not given.less_mib_s
        makes_room, gets_back = because and more < 0, more and m.bandwidth_because and not because
        if is_whole_again or makes_room or gets_back or abs(more) > TUNE_STEP * m.bandwidth_mib_s:
            # a share that changed because of our own migrations alone is as any other
            is_for_others = m.gives_way is not None and (given.less_mib_s or is_whole_again)
            tunes.append((more, TuneOrder(m.id, m.vm, m.source, m.target, given.bandwidth_mib_s, revision,
                                          given if is_for_others else None, because, climbs=m.id in sharing.climbing,
                                          rises=more > 0)))
    return tuple(tune for _, tune in sorted(tunes, key=lambda pair: (pair[0] > 0, pair[1].bandwidth_mib_s)))


def hurry(one: Move | Migration, snapshot: Snapshot) -> Hurry:
    """Return how urgent a move is: off a failing host, or making room for that, or else wanted, or routine."""
    if one.reserve_waived if isinstance(one, Move) else one.saving:
        return Hurry.SAVING
    from_host = one.wanted_by if isinstance(one, Move) else one.source
    if snapshot.facts[snapshot.row(from_host)].health is Health.FAILING:
        return Hurry.SAVING
    return Hurry.ROUTINE if one.routine else Hurry.WANTED


def dirtying_now(m: Migration, snapshot: Snapshot, ledger: Ledger) -> Dirtying | None:
    """Return how fast the VM of an open migration is known to dirty its memory."""
    inventory = snapshot.facts[snapshot.row(m.source)].inventory
    return dirtying_of(m.vm, inventory, lambda: shown(ledger.settled, snapshot.now.wall - SHOWN_SECONDS))


def _key(one: Move | Migration) -> str:
    return one.vm if isinstance(one, Move) else one.id


def _made_room(climbers: Sequence[Move | Migration]) -> str:
    names = " and ".join(sorted(one.vm_name for one in climbers))
    return f"{names} does not converge with an even share, and is given more of the link"


def _part(one: Move | Migration, lane: Lane, has: int, links: Links) -> Part:
    whole, others = min(has, lane.even), links.others
    firm = NOT_ASKED if others is None else _firm(one, links.snapshot, others)
    least = None if others is None or firm else min(whole, links.least(one))
    return Part(one.source, one.target, whole, least, firm, has - whole)


def _rooms(links: Links, parts: Mapping[str, Part], parted: Collection[str]) -> Rooms:
    if links.others is None:
        return Rooms()
    carried = {host: float(links.snapshot.hosts.link_mib_s[links.snapshot.row(host)])
               for part in parts.values() for host in (part.source, part.target)}
    # a VM that went before its memory takes what it gets: that is in what others use
    return rooms([part for key, part in parts.items() if key not in parted], carried, links.others)


def _firm(one: Move | Migration, snapshot: Snapshot, others: Others) -> str:
    """Return why a move gives way to nobody: it takes a VM off a failing host, or makes room for one, or its time was set
    before anybody asked for that. Empty where it does."""
    from_host = one.source if isinstance(one, Migration) else one.wanted_by
    if snapshot.facts[snapshot.row(from_host)].health is Health.FAILING:
        return SAVING
    if isinstance(one, Migration):
        return PARTED if one.post_copy_because else NOT_ASKED if one.gives_way is None else ""
    if one.reserve_waived:
        return SAVING
    return "" if others.is_asked_of(one.source) or others.is_asked_of(one.target) else NOT_ASKED
