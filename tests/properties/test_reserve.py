"""What is kept of how hosts' VMs could be packed elsewhere stays true, and no move makes it worse unseen."""

from __future__ import annotations

from collections import Counter
from itertools import product
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from ballastd.core.reserve import Packing, Reserve, pack

SIZES = (1, 2, 2, 4, 4, 8, 16)


class Shelf:
    """Hosts by plain lists: what each holds, and what it has left (0 where nothing may go)."""

    def __init__(self, seed: int) -> None:
        luck = self.luck = Random(seed)
        hosts = luck.randint(2, 6)
        self.sizes = [[luck.choice(SIZES) for _ in range(luck.randint(0, 5))] for _ in range(hosts)]
        self.room = [luck.choice((0, luck.randint(0, 20), luck.randint(0, 40))) for _ in range(hosts)]
        self.reserve = Reserve(self.room, self.sizes)

    def wrong(self) -> list[str]:
        """Return what is not so of the packings."""
        found = []
        for dying, packing in enumerate(self.reserve.packings):
            if Counter((*(size for size, _ in packing.placed), *packing.lost)) != Counter(self.sizes[dying]):
                found.append(f"{dying}: {packing} is not of {self.sizes[dying]}")
            taken = Counter[int]()
            for size, row in packing.placed:
                taken[row] += size
            if {row: held for row, held in packing.at.items() if held} != dict(taken):
                found.append(f"{dying}: {packing.at} is not what {packing.placed} comes to")
            found += [f"{dying}: {held} on {row}, where {self.room[row]} is left" for row, held in taken.items()
                      if row == dying or held > self.room[row]]
        return found


def least_lost(sizes: list[int], room: list[int], dying: int) -> int:
    """Return by trying everything how little must be left over."""
    rows = [row for row in range(len(room)) if row != dying]
    best = sum(sizes)
    for places in product((None, *rows), repeat=len(sizes)):
        held = Counter[int]()
        for size, row in zip(sizes, places, strict=True):
            if row is not None:
                held[row] += size
        if all(held[row] <= room[row] for row in rows):
            best = min(best, sum(size for size, row in zip(sizes, places, strict=True) if row is None))
    return best


@given(st.integers(0, 1_000_000))
@settings(max_examples=200, deadline=None)
def test_packings_stay_true_whatever_moves(seed: int) -> None:
    shelf = Shelf(seed)
    luck, hosts = shelf.luck, len(shelf.room)
    assert shelf.wrong() == []
    for _ in range(12):
        source, target = luck.randrange(hosts), luck.randrange(hosts)
        if luck.random() < 0.15:
            shelf.reserve.leave_out(source)
            shelf.room[source] = 0
        elif luck.random() < 0.2:
            kept = shelf.reserve
            shelf.reserve = kept.fork()
            if shelf.sizes[source] and source != target:
                shelf.reserve.move(shelf.sizes[source][0], source, target)
            shelf.reserve = kept
        elif shelf.sizes[source] and source != target:
            memory = luck.choice(shelf.sizes[source])
            before = [packing.stranded for packing in shelf.reserve.packings]
            worse = shelf.reserve.worse_after(memory, target)
            assert shelf.wrong() == [], "asking changes nothing that is true"
            if worse is None or luck.random() < 0.2:
                shelf.reserve.move(memory, source, target)
                shelf.sizes[source].remove(memory)
                shelf.sizes[target].append(memory)
                shelf.room[target] = max(0, shelf.room[target] - memory)
            if worse is None:
                after = [packing.stranded for packing in shelf.reserve.packings]
                assert all(now <= then for now, then in zip(after, before, strict=True)), (before, after)
        assert shelf.wrong() == []


@given(st.lists(st.sampled_from(SIZES), max_size=5), st.lists(st.integers(0, 20), min_size=2, max_size=4), st.integers(0, 3))
@settings(max_examples=200, deadline=None)
def test_a_packing_leaves_nothing_over_that_a_first_fit_would_place(sizes: list[int], room: list[int], dying: int) -> None:
    dying %= len(room)
    found: Packing = pack(sizes, room.copy(), dying)
    least, most = least_lost(sizes, room, dying), sum(sizes)
    assert least <= found.stranded <= most
    if max((left for row, left in enumerate(room) if row != dying), default=0) >= sum(sizes):
        assert found.stranded == 0
