"""Whether any one host may die and its VMs still fit elsewhere: by packings that were made, not by sums.

For every host a packing of its VMs onto the others is kept, as a witness. It stays one while what it counts on is left, so
a move is judged by the few witnesses that count on its target, and by its target's own; only those that it spoils are
packed anew. Packing is first fit decreasing, begun behind the host that dies, so that not all count on the same hosts; best
fit, and first fit from the first host on, are tried where that leaves something over. Where a host's VMs do not all fit, no
move may leave more of them over.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ballastd.core.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Packing:
    """Where the VMs of one host would go: (bytes, host row) each, the largest first. ``lost``: the sizes of those that would
    fit nowhere. ``at``: bytes by host row."""

    placed: tuple[tuple[int, int], ...]
    lost: tuple[int, ...]
    at: dict[int, int]

    @property
    def stranded(self) -> int:
        """Bytes that would fit nowhere."""
        return sum(self.lost)


def pack(sizes: Iterable[int], room: list[int], dying: int) -> Packing:
    """Return where ``sizes`` (bytes) go if the host in row ``dying`` dies. ``room``: bytes by row; it is used up."""
    ordered = sorted(sizes, reverse=True)
    room[dying] = 0
    found = _packed(ordered, room.copy(), dying + 1)
    if found.lost:
        found = min((found, _packed(ordered, room.copy(), None), _packed(ordered, room, 0)), key=lambda one: one.stranded)
    return found


def _packed(ordered: Sequence[int], room: list[int], begin: int | None) -> Packing:
    """``begin``: where the first fit is looked for; None: the best fit is taken, the first of equals."""
    placed: list[tuple[int, int]] = []
    lost: list[int] = []
    at: dict[int, int] = {}
    for size in ordered:
        row = _best(size, room) if begin is None else _first(size, room, begin)
        if row is None:
            lost.append(size)
            continue
        room[row] -= size
        at[row] = at.get(row, 0) + size
        placed.append((size, row))
    return Packing(tuple(placed), tuple(lost), at)


def _first(size: int, room: list[int], begin: int) -> int | None:
    for row in range(begin, len(room)):
        if room[row] >= size:
            return row
    for row in range(min(begin, len(room))):
        if room[row] >= size:
            return row
    return None


def _best(size: int, room: list[int]) -> int | None:
    return min((row for row, left in enumerate(room) if left >= size), key=room.__getitem__, default=None)


def unpacked(sizes: list[int], room: list[int]) -> int:
    """Return the bytes that find no place: ``sizes`` go one by one into the first that has room left, of ``room``."""
    return _packed(sizes, room, 0).stranded


class Reserve:
    """Witnesses for every host. ``room``: bytes by host row that may still be filled, 0 where nothing may go; ``sizes``: the
    VMs of each host, bytes. ``packings``, ``counting``: the witnesses and who counts on whom, where that is known."""

    def __init__(self, room: Sequence[int], sizes: Sequence[Sequence[int]], packings: Sequence[Packing] = (),
                 counting: Sequence[frozenset[int]] = ()) -> None:
        self._room = list(room)
        self._sizes = [tuple(one) for one in sizes]
        self._packings = list(packings) or [pack(one, self._room.copy(), row) for row, one in enumerate(self._sizes)]
        self._counting: list[frozenset[int]] = list(counting) or [frozenset()] * len(self._room)
        """By row: the hosts whose witness counts on it, or once did."""
        if not counting:
            for dying, packing in enumerate(self._packings):
                self._note(dying, packing)

    def fork(self) -> Reserve:
        """Return a copy that moves may be tried on."""
        return Reserve(self._room, self._sizes, self._packings, self._counting)

    @property
    def packings(self) -> tuple[Packing, ...]:
        """The witnesses, by host row."""
        return tuple(self._packings)

    def leave_out(self, row: int) -> tuple[int, int, int] | None:
        """Count on a host no more: it is being emptied, or goes out of service. Return another host whose death strands more
        from then on: its row, the bytes before and after; None where there is none."""
        if not self._room[row]:
            return None
        before = self._packings.copy()
        self._room[row] = 0
        self._mend(row)
        worse = (dying for dying in sorted(self._counting[row])
                 if dying != row and self._packings[dying].stranded > before[dying].stranded)
        return next(((dying, before[dying].stranded, self._packings[dying].stranded) for dying in worse), None)

    def worse_after(self, memory: int, target: int) -> tuple[int, int, int] | None:
        """Return a host whose death would strand more once a VM of so many bytes is on ``target`` too: its row, the bytes
        before and after; None where there is none. Witnesses that would be spoilt are replaced by others that hold both now
        and then, where there are any."""
        left = self._room[target] - memory
        for dying in sorted(self._counting[target]):
            packing = self._packings[dying]
            if packing.at.get(target, 0) > max(0, left):
                room = self._room.copy()
                room[target] = max(0, left)
                anew = pack(self._sizes[dying], room, dying)
                if anew.stranded > packing.stranded:
                    return dying, packing.stranded, anew.stranded
                self._put(dying, anew)
        own, its_own = self._packings[target].stranded, self._with(memory, target)
        return None if its_own.stranded <= own else (target, own, its_own.stranded)

    def move(self, memory: int, source: int, target: int) -> None:
        """Take a move in. A VM counts at both ends as long as it moves, so that its source has no more room than before."""
        arriving = self._with(memory, target)
        self._room[target] = max(0, self._room[target] - memory)
        self._mend(target)
        self._sizes[target] = (*self._sizes[target], memory)
        self._put(target, arriving)
        sizes = list(self._sizes[source])
        sizes.remove(memory)
        self._sizes[source] = tuple(sizes)
        self._put(source, _without(self._packings[source], memory))

    def _with(self, memory: int, target: int) -> Packing:
        """Return a packing of a host's VMs and one more."""
        own = self._packings[target]
        room = self._room.copy()
        room[target] = 0
        for taken, held in own.at.items():
            room[taken] -= held
        free = _first(memory, room, target + 1)
        if free is None:
            return pack((*self._sizes[target], memory), self._room.copy(), target)
        return Packing((*own.placed, (memory, free)), own.lost, {**own.at, free: own.at.get(free, 0) + memory})

    def _mend(self, row: int) -> None:
        """Pack anew what counts on more of a host than is left there."""
        for dying in sorted(self._counting[row]):
            if self._packings[dying].at.get(row, 0) > self._room[row]:
                self._put(dying, pack(self._sizes[dying], self._room.copy(), dying))

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
    place = next(number for number, (size, _) in enumerate(packing.placed) if size == memory)
    row, at = packing.placed[place][1], dict(packing.at)
    at[row] -= memory
    return Packing((*packing.placed[:place], *packing.placed[place + 1:]), packing.lost, at)


def reserve_of(snapshot: Snapshot) -> Reserve:
    """Return the witnesses of a snapshot, made once while VMs are where they are and hosts have the room that they have."""
    hosts = snapshot.hosts
    key = hosts.room.tobytes(), hosts.target.tobytes()
    known = snapshot.cast.reserves.get(key)
    if not isinstance(known, Reserve):
        sizes: list[list[int]] = [[] for _ in hosts.names]
        for home, memory in zip(snapshot.vms.host.tolist(), snapshot.vms.memory.tolist(), strict=True):
            sizes[home].append(memory)
        room = [max(0, left) if may else 0 for left, may in zip(hosts.room.tolist(), hosts.target.tolist(), strict=True)]
        known = Reserve(room, sizes)
        snapshot.cast.reserves.clear()
        snapshot.cast.reserves[key] = known
    return known.fork()
