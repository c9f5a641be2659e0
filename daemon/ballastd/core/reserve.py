"""Whether any one failure domain may die and its VMs still fit elsewhere: by packings that were made, not by sums.

A domain is a host by itself, or all hosts with one value of a label: a rack. For every domain a packing of its VMs onto the
hosts outside it is kept, as a witness. It stays one while what it counts on is left, so a move is judged by the few
witnesses that count on its target, and by that of its target's domain. Of one that it spoils as few VMs as need be go
elsewhere; it is packed anew only where they cannot. Packing is first fit decreasing, begun elsewhere for each domain, so
that not all count on the same hosts; best fit, and first fit from the first host on, are tried where that leaves something
over. Where a domain's VMs do not all fit, no move may leave more of them over.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ballastd.core.domains import Domains, domains
from ballastd.core.quantities import human_bytes
from ballastd.core.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Packing:
    """Where the VMs of one domain would go: (bytes, host row) each, the largest first. ``lost``: the sizes of those that
    would fit nowhere. ``at``: bytes by host row."""

    placed: tuple[tuple[int, int], ...]
    lost: tuple[int, ...]
    at: dict[int, int]

    @property
    def stranded(self) -> int:
        """Bytes that would fit nowhere."""
        return sum(self.lost)


@dataclass(frozen=True, slots=True)
class Worse:
    """A domain whose death would strand more than it would have before: bytes. ``domain``: in words."""

    domain: str
    before: int
    after: int

    def words(self) -> str:
        """Return it as a refusal says it."""
        return (f"if {self.domain} died then, {human_bytes(self.after)} of its VMs would fit nowhere (now "
                f"{human_bytes(self.before)})")


def pack(sizes: Iterable[int], room: Sequence[int], dying: Iterable[int], begin: int) -> Packing:
    """Return where ``sizes`` (bytes) go if the hosts in the rows ``dying`` die. ``room``: bytes by row; ``begin``: the row
    from which on a place is looked for first."""
    ordered, left = sorted(sizes, reverse=True), list(room)
    for row in dying:
        left[row] = 0
    found = _packing(ordered, _first_fit(ordered, left, begin))
    if found.lost:
        others = _packing(ordered, _best_fit(ordered, left)), _packing(ordered, _first_fit(ordered, left, 0))
        found = min((found, *others), key=lambda one: one.stranded)
    return found


def _packing(sizes: Sequence[int], rows: Iterator[int | None]) -> Packing:
    """``rows``: where each of the sizes goes, None: nowhere."""
    placed: list[tuple[int, int]] = []
    lost: list[int] = []
    at: dict[int, int] = {}
    for size, row in zip(sizes, rows, strict=True):
        if row is None:
            lost.append(size)
            continue
        at[row] = at.get(row, 0) + size
        placed.append((size, row))
    return Packing(tuple(placed), tuple(lost), at)


def _first_fit(sizes: Iterable[int], room: Sequence[int], begin: int) -> Iterator[int | None]:
    """Yield the row that each size goes to: the first one with room, from ``begin`` on and around."""
    left, last, place = [*room[begin:], *room[:begin]], 0, 0
    for size in sizes:
        # whoever had no room for as much has none by now either
        place = next((one for one in range(place if size == last else 0, len(left)) if left[one] >= size), len(left))
        last = size
        if place == len(left):
            yield None
        else:
            left[place] -= size
            yield (begin + place) % len(left)


def _best_fit(sizes: Iterable[int], room: Sequence[int]) -> Iterator[int | None]:
    """Yield the row that each size goes to: the one with the least room that is enough, the first of equals."""
    left = sorted(zip(room, range(len(room)), strict=True))
    for size in sizes:
        place = bisect_left(left, (size, 0))
        if place == len(left):
            yield None
        else:
            most, row = left.pop(place)
            insort(left, (most - size, row))
            yield row


class Reserve:
    """Witnesses for every domain. ``cut``: which hosts die together; ``room``: bytes by host row that may still be filled, 0
    where nothing may go; ``sizes``: the VMs of each domain, bytes. ``packings``, ``counting``: the witnesses and who counts
    on whom, where that is known."""

    def __init__(self, cut: Domains, room: Sequence[int], sizes: Sequence[Sequence[int]], packings: Sequence[Packing] = (),
                 counting: Sequence[frozenset[int]] = ()) -> None:
        self._cut = cut
        self._room = list(room)
        self._sizes = [tuple(one) for one in sizes]
        self._packings = list(packings) or [self._pack(dying, self._room) for dying in range(len(self._sizes))]
        self._counting: list[frozenset[int]] = list(counting) or [frozenset()] * len(self._room)
        """By host row: the domains whose witness counts on it, or once did."""
        if not counting:
            for dying, packing in enumerate(self._packings):
                self._note(dying, packing)

    def fork(self) -> Reserve:
        """Return a copy that moves may be tried on."""
        return Reserve(self._cut, self._room, self._sizes, self._packings, self._counting)

    @property
    def packings(self) -> tuple[Packing, ...]:
        """The witnesses, by domain in the order of their first hosts."""
        return tuple(self._packings)

    def leave_out(self, row: int) -> Worse | None:
        """Count on a host no more: it is being emptied, or goes out of service. Return a domain whose death strands more
        for that, None where there is none."""
        if not self._room[row]:
            return None
        before = {dying: self._packings[dying].stranded for dying in sorted(self._counting[row])}
        self._room[row] = 0
        self._mend(row)
        return next((Worse(self._cut.names[dying], then, now) for dying, then in before.items()
                     if (now := self._packings[dying].stranded) > then), None)

    def worse_after(self, memory: int, target: int, source: int | None = None) -> Worse | None:
        """Return a domain whose death would strand more once a VM of so many bytes of ``source`` is on ``target`` (rows)
        too; None where there is none. ``source`` None: the VM is new. Nothing is kept of what was asked: what is said of one
        target holds until something moves, whatever is asked of others meanwhile."""
        if not memory:
            return None  # all that it has is huge pages, of which nothing is known here
        left = max(0, self._room[target] - memory)
        for dying in sorted(self._counting[target]):
            packing = self._packings[dying]
            if packing.at.get(target, 0) > left:
                room = self._room.copy()
                room[target] = left
                then = self._eased(dying, room, target).stranded
                if then > packing.stranded:
                    return Worse(self._cut.names[dying], packing.stranded, then)
        there = self._cut.of[target]
        if source is not None and self._cut.of[source] == there:
            return None  # the domain has the VM already
        own, its_own = self._packings[there].stranded, self._with(memory, there).stranded
        return None if its_own <= own else Worse(self._cut.names[there], own, its_own)

    def move(self, memory: int, source: int, target: int) -> None:
        """Take a move in. A VM counts at both ends as long as it moves, so that its source has no more room than before."""
        if not memory:
            return
        here, there = self._cut.of[source], self._cut.of[target]
        arriving = self._with(memory, there)
        self._room[target] = max(0, self._room[target] - memory)
        self._mend(target)
        if here == there:
            return
        self._sizes[there] = (*self._sizes[there], memory)
        self._put(there, arriving)
        sizes = list(self._sizes[here])
        sizes.remove(memory)
        self._sizes[here] = tuple(sizes)
        self._put(here, _without(self._packings[here], memory))

    def _with(self, memory: int, domain: int) -> Packing:
        """Return a packing of a domain's VMs and one more."""
        own = self._packings[domain]
        free = next(_first_fit((memory,), self._beside(domain, self._room), self._cut.begin(domain)))
        if free is None:
            return self._pack(domain, self._room, memory)
        return Packing((*own.placed, (memory, free)), own.lost, {**own.at, free: own.at.get(free, 0) + memory})

    def _eased(self, dying: int, room: Sequence[int], row: int) -> Packing:
        """Return a packing that counts on no more of a host than ``room`` (bytes by row) has of it: the witness, but for the
        VMs that were packed there last, which go elsewhere; one made anew where they cannot."""
        left, placed, at = self._beside(dying, room), list(self._packings[dying].placed), dict(self._packings[dying].at)
        there = [number for number, (_, taken) in enumerate(placed) if taken == row]
        while left[row] < 0:
            number = there.pop()
            size = placed[number][0]
            free = next(_first_fit((size,), left, self._cut.begin(dying)))
            if free is None:
                return self._pack(dying, room)
            placed[number] = size, free
            left[row], left[free] = left[row] + size, left[free] - size
            at[row], at[free] = at[row] - size, at.get(free, 0) + size
        return Packing(tuple(placed), self._packings[dying].lost, at)

    def _beside(self, dying: int, room: Sequence[int]) -> list[int]:
        """Return what is left by host row beside a witness, bytes: of a host that it counts on for too much, less than
        nothing."""
        left = list(room)
        for row in self._cut.rows[dying]:
            left[row] = 0
        for taken, held in self._packings[dying].at.items():
            left[taken] -= held
        return left

    def _pack(self, dying: int, room: Sequence[int], *more: int) -> Packing:
        """Return a packing of a domain's VMs, and of some more. ``room``: as for ``pack``."""
        return pack((*self._sizes[dying], *more), room, self._cut.rows[dying], self._cut.begin(dying))

    def _mend(self, row: int) -> None:
        """Take out of the witnesses what they count on a host for and is not left there."""
        for dying in sorted(self._counting[row]):
            if self._packings[dying].at.get(row, 0) > self._room[row]:
                self._put(dying, self._eased(dying, self._room, row))

    def _put(self, dying: int, packing: Packing) -> None:
        self._packings[dying] = packing
        self._note(dying, packing)

    def _note(self, dying: int, packing: Packing) -> None:
        for row in packing.at:
            if dying not in self._counting[row]:
                self._counting[row] |= {dying}


def _without(packing: Packing, memory: int) -> Packing:
    """Return a packing without one VM of a size: one that was stranded, if there is one."""
    if memory in packing.lost:
        lost = list(packing.lost)
        lost.remove(memory)
        return Packing(packing.placed, tuple(lost), packing.at)
    found = next(number for number, (size, _) in enumerate(packing.placed) if size == memory)
    row, at = packing.placed[found][1], dict(packing.at)
    at[row] -= memory
    return Packing((*packing.placed[:found], *packing.placed[found + 1:]), packing.lost, at)


def reserve_of(snapshot: Snapshot, across: str) -> Reserve:
    """Return the witnesses of a snapshot, made once while VMs are where they are and hosts have the room that they have.
    ``across``: what dies together, ``host`` or a label."""
    hosts = snapshot.hosts
    key = hosts.room.tobytes(), hosts.target.tobytes(), across
    known = snapshot.cast.reserves.get(key)
    if not isinstance(known, Reserve):
        cut = domains([fact.declared for fact in snapshot.facts], across)
        sizes: list[list[int]] = [[] for _ in cut.names]
        for home, memory in zip(snapshot.vms.host.tolist(), snapshot.vms.memory.tolist(), strict=True):
            sizes[cut.of[home]].extend([memory] if memory else [])
        room = [max(0, left) if may else 0 for left, may in zip(hosts.room.tolist(), hosts.target.tolist(), strict=True)]
        known = Reserve(cut, room, sizes)
        snapshot.cast.reserves.clear()
        snapshot.cast.reserves[key] = known
    return known.fork()
