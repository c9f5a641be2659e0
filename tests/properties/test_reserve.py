"""What is kept of how failure domains' VMs could be packed elsewhere stays true, and no move makes it worse unseen."""

from __future__ import annotations

from collections import Counter
from itertools import product
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from ballastd.core.domains import domains
from ballastd.core.inventory import DeclaredHost
from ballastd.core.quantities import HostName
from ballastd.core.reserve import Packing, Reserve, pack

SIZES = (1, 2, 2, 4, 4, 8, 16)
RACKS = ("r1", "r2", "r3", "")


def racked(racks: list[str]) -> list[DeclaredHost]:
    return [DeclaredHost(HostName(f"h{row}"), "", labels=(("rack", rack),) if rack else ())
            for row, rack in enumerate(racks)]


class Shelf:
    """Hosts by plain lists: what each holds, what it has left (0 where nothing may go), and with whom it dies."""

    def __init__(self, seed: int) -> None:
        luck = self.luck = Random(seed)
        count = luck.randint(2, 6)
        self.sizes = [[luck.choice(SIZES) for _ in range(luck.randint(0, 5))] for _ in range(count)]
        self.room = [luck.choice((0, luck.randint(0, 20), luck.randint(0, 40))) for _ in range(count)]
        racks = [luck.choice(RACKS) for _ in range(count)] if luck.random() < 0.7 else [""] * count
        self.mates = [{row for row, other in enumerate(racks) if other == rack} if rack else {number}
                      for number, rack in enumerate(racks)]
        firsts = [number for number, mates in enumerate(self.mates) if min(mates) == number]
        self.dying = [self.mates[number] for number in firsts]
        self.cut = domains(racked(racks), "rack")
        self.reserve = Reserve(self.cut, self.room, [self.held(dying) for dying in self.dying])

    def held(self, dying: set[int]) -> list[int]:
        return [size for row in sorted(dying) for size in self.sizes[row]]

    def wrong(self) -> list[str]:
        """Return what is not so of the packings."""
        packings = self.reserve.packings
        found = [] if len(packings) == len(self.dying) else ["not one for each domain"]
        for dying, packing in zip(self.dying, packings, strict=False):
            if Counter((*(size for size, _ in packing.placed), *packing.lost)) != Counter(self.held(dying)):
                found.append(f"{dying}: {packing} is not of {self.held(dying)}")
            taken = Counter[int]()
            for size, row in packing.placed:
                taken[row] += size
            if {row: held for row, held in packing.at.items() if held} != dict(taken):
                found.append(f"{dying}: {packing.at} is not what {packing.placed} comes to")
            found += [f"{dying}: {held} on {row}, where {self.room[row]} is left" for row, held in taken.items()
                      if row in dying or held > self.room[row]]
        return found

    def stranded(self) -> list[int]:
        return [packing.stranded for packing in self.reserve.packings]


def least_lost(sizes: list[int], room: list[int], dying: set[int]) -> int:
    """Return by trying everything how little must be left over."""
    rows = [row for row in range(len(room)) if row not in dying]
    best = sum(sizes)
    for places in product((None, *rows), repeat=len(sizes)):
        held = Counter[int]()
        for size, row in zip(sizes, places, strict=True):
            if row is not None:
                held[row] += size
        if all(held[row] <= room[row] for row in rows):
            best = min(best, sum(size for size, row in zip(sizes, places, strict=True) if row is None))
    return best


def plain_first_fit(sizes: list[int], room: list[int], rows: list[int]) -> list[tuple[int, int | None]]:
    left = list(room)
    found: list[tuple[int, int | None]] = []
    for size in sorted(sizes, reverse=True):
        place = None
        for row in rows:
            if place is None and left[row] >= size:
                place = row
        if place is not None:
            left[place] -= size
        found.append((size, place))
    return found


def plain_best_fit(sizes: list[int], room: list[int], rows: list[int]) -> list[tuple[int, int | None]]:
    left = list(room)
    found: list[tuple[int, int | None]] = []
    for size in sorted(sizes, reverse=True):
        fits = [(left[row], row) for row in rows if left[row] >= size]
        if fits:
            left[min(fits)[1]] -= size
        found.append((size, min(fits)[1] if fits else None))
    return found


def plain_ways(sizes: list[int], room: list[int], dying: set[int], begin: int) -> list[list[tuple[int, int | None]]]:
    rows = [row for row in range(len(room)) if row not in dying]
    around = [row for row in rows if row >= begin] + [row for row in rows if row < begin]
    return [plain_first_fit(sizes, room, around), plain_best_fit(sizes, room, rows), plain_first_fit(sizes, room, rows)]


def left_over(way: list[tuple[int, int | None]]) -> int:
    return sum(size for size, place in way if place is None)


@given(st.integers(0, 1_000_000))
@settings(max_examples=300)
def test_packings_stay_true_whatever_moves(seed: int) -> None:
    shelf = Shelf(seed)
    luck, hosts = shelf.luck, len(shelf.room)
    assert shelf.wrong() == []
    for _ in range(12):
        source, target = luck.randrange(hosts), luck.randrange(hosts)
        if luck.random() < 0.15:
            before = shelf.stranded()
            worse = shelf.reserve.leave_out(source)
            shelf.room[source] = 0
            assert (worse is not None) is any(now > then for now, then in zip(shelf.stranded(), before, strict=True))
        elif luck.random() < 0.2:
            kept = shelf.reserve
            shelf.reserve = kept.fork()
            if shelf.sizes[source] and source != target:
                shelf.reserve.move(shelf.sizes[source][0], source, target)
            shelf.reserve = kept
        elif shelf.sizes[source] and source != target:
            memory = luck.choice(shelf.sizes[source])
            before = shelf.stranded()
            kept, worse = shelf.reserve.packings, shelf.reserve.worse_after(memory, target, source)
            for other in luck.sample(range(hosts), luck.randint(0, hosts)):
                shelf.reserve.worse_after(memory, other, source)
            assert shelf.reserve.packings == kept, "what was asked leaves no trace"
            if worse is None or luck.random() < 0.2:
                shelf.reserve.move(memory, source, target)
                shelf.sizes[source].remove(memory)
                shelf.sizes[target].append(memory)
                shelf.room[target] = max(0, shelf.room[target] - memory)
            if worse is None:
                assert all(now <= then for now, then in zip(shelf.stranded(), before, strict=True)), before
        assert shelf.wrong() == []


@given(st.integers(0, 1_000_000))
@settings(max_examples=200)
def test_a_refusal_says_what_all_ways_of_packing_strand_of_a_domain(seed: int) -> None:
    shelf = Shelf(seed)
    source, target = shelf.luck.sample(range(len(shelf.room)), 2)
    memory = shelf.luck.choice(shelf.sizes[source] or [1])
    worse = shelf.reserve.worse_after(memory, target, source)
    if worse is None:
        return
    domain = shelf.cut.names.index(worse.domain)
    dying, room = shelf.dying[domain], list(shelf.room)
    assert source not in dying or target not in dying, "a move within a domain takes nothing from it"
    room[target] = max(0, room[target] - memory)
    sizes = shelf.held(dying) + ([memory] if target in dying else [])
    assert worse.before == shelf.stranded()[domain] < worse.after
    assert worse.after == min(left_over(way) for way in plain_ways(sizes, room, dying, shelf.cut.begin(domain)))
    assert worse.words().startswith(f"if {worse.domain} died then, ")


@given(st.lists(st.sampled_from(SIZES), max_size=5), st.lists(st.integers(0, 20), min_size=2, max_size=4),
       st.sets(st.integers(0, 3), min_size=1, max_size=3), st.integers(0, 4))
@settings(max_examples=300)
def test_a_packing_is_the_first_of_three_plain_ones_that_leaves_least_over(
        sizes: list[int], room: list[int], dying: set[int], begin: int) -> None:
    dying = {row % len(room) for row in dying}
    begin = min(begin, len(room))
    found: Packing = pack(sizes, room, sorted(dying), begin)
    ways = plain_ways(sizes, room, dying, begin)
    best = min(ways if left_over(ways[0]) else ways[:1], key=left_over)
    assert found.placed == tuple((size, place) for size, place in best if place is not None)
    assert found.lost == tuple(size for size, place in best if place is None)
    assert found.stranded >= least_lost(sizes, room, dying)
    if max((left for row, left in enumerate(room) if row not in dying), default=0) >= sum(sizes):
        assert found.stranded == 0


@given(st.lists(st.sampled_from(RACKS), min_size=1, max_size=9))
def test_every_host_is_in_one_domain_and_each_begins_to_look_elsewhere(racks: list[str]) -> None:
    hosts = racked(racks)
    cut = domains(hosts, "rack")
    assert sorted(row for rows in cut.rows for row in rows) == list(range(len(racks)))
    for name, rows in zip(cut.names, cut.rows, strict=True):
        labels = {racks[row] for row in rows}
        assert (name, len(rows)) == (f"h{rows[0]}", 1) if labels == {""} else labels == {name.removeprefix("rack=")}
    assert len(set(cut.names)) == len(cut.names)
    begins = [cut.begin(domain) % len(racks) for domain in range(len(cut.names))]
    assert len(set(begins)) == len(begins)
    alone = domains(hosts, "host")
    assert (alone.names, alone.of) == (tuple(host.name for host in hosts), tuple(range(len(hosts))))
    assert [alone.begin(row) for row in range(len(hosts))] == [row + 1 for row in range(len(hosts))], "behind itself"
