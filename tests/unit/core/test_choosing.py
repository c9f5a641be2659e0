"""Whom hosts send, chosen together, against every combination there is; and clusters where choosing alone is dearer."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import numpy as np
import pytest
from benchmarks.instances import GIB, generate, problem

from ballastd.core.choosing import STEPS, Offer, Together, choose, cost_of, offers
from ballastd.core.heat import Heat, NoDoors
from ballastd.core.relieving import relieve


def offered(luck: random.Random, host: int) -> list[Offer]:
    return [Offer(float(luck.randrange(1, 40)), float(luck.randrange(9)), float(luck.randrange(9)), (10 * host + number,))
            for number in range(luck.randrange(1, 5))]


@pytest.mark.parametrize("seed", range(60))
def test_no_combination_that_has_room_is_cheaper(seed: int) -> None:
    luck = random.Random(seed)
    asked = [offered(luck, host) for host in range(luck.randrange(1, 5))]
    # a power of two: what is cut into steps is not rounded
    room = float(luck.choice((8, 16, 32)))
    assert STEPS % room == 0
    having_room = [cost_of(some) for some in itertools.product(*asked) if sum(offer.cpu for offer in some) <= room]
    chosen = choose(asked, room, 1000.0)
    assert (cost_of(chosen) if chosen else None) == min(having_room, default=None)
    assert not chosen or sum(offer.cpu for offer in chosen) <= room


def test_where_memory_is_short_too_it_has_a_price() -> None:
    dear, roomy = Offer(9.0, 1.0, 2.0, (0,)), Offer(5.0, 1.0, 8.0, (1,))
    assert choose([[roomy, dear]], 4.0, 10.0) == (roomy,)
    assert choose([[roomy, dear]], 4.0, 7.0) == (dear,)
    assert choose([[roomy, dear]], 4.0, 1.0) == ()
    assert choose([[roomy, dear]], 0.5, 10.0) == ()


def uniform(cpu: list[float], memory: list[float], homes: list[int], marks: list[float]) -> Heat:
    """Hosts of equal memory, ``marks`` processors each, the last of which has no VMs."""
    vm_cpu, vm_memory, vm_host = np.array(cpu), np.array(memory) * GIB, np.array(homes, np.int64)
    hosts = len(marks)
    return Heat(cpu=np.bincount(vm_host, vm_cpu, hosts), cpu_mark=np.array(marks),
                memory=np.bincount(vm_host, vm_memory, hosts), memory_mark=np.full(hosts, 512.0 * GIB),
                opens=np.ones(hosts, np.bool_), vm_host=vm_host, vm_cpu=vm_cpu, vm_peak=vm_cpu, vm_memory=vm_memory,
                vm_cost=vm_memory, vm_movable=np.ones(len(homes), np.bool_))


def test_the_one_gives_way_to_whom_that_costs_least() -> None:
    """Both hosts would send their small VM with many processors, but there is room for one such only; the second has another
    that is hardly larger. Whoever chose first by himself would leave the first with its large one."""
    heat = uniform([8.0, 4.0, 8.0, 4.0], [4.0, 64.0, 4.0, 6.0], [0, 0, 1, 1], [9.0, 9.0, 12.5])
    found = offers(heat, np.array([0, 1]), (3.0, 0.0))
    assert [offer.vms for offer in found] == [(0,), (1,)]
    together = Together(heat, {0: (0, 1), 1: (2, 3)}, {0: (3.0, 0.0), 1: (3.0, 0.0)}, (12.5, 512.0 * GIB))
    assert [offer.vms for offer in together.choice()] == [(0,), (3,)]
    assert [offer.vms for offer in together.choice(frozenset({0}))] == [(1,), (2,)]
    assert together.choice(frozenset({0, 1})) == (), "nobody is left to send"
    assert sorted(relieve(heat, NoDoors()).moves) == [(0, 2), (3, 2)]


@pytest.mark.parametrize(("fill", "seed", "gib"), [(0.74, 631, 70.2), (0.78, 621, 124.7), (0.78, 618, 98.2),
                                                   (0.78, 611, 97.2), (0.78, 634, 171.1)])
def test_crowded_clusters_are_cooled_for_about_as_little_as_is_possible(fill: float, seed: int, gib: int) -> None:
    """The bounds are the proven least, but for the third, where that is 94.1 GiB. When each host chose for itself it was 108
    and 153 in the first two, and a host of the third stayed hot. What is chosen together for the second and third can only
    be packed without some VM, for the fourth only if others choose anew, and in the fifth some of it becomes cheaper."""
    told = problem(generate(10, 10, fill, seed))
    heat = replace(told.heat, vm_cost=told.heat.vm_memory)
    found = relieve(heat, told.doors, exchanges=False)
    assert not found.still_hot
    assert sum(heat.vm_cost[vm] for vm, _ in found.moves) / GIB <= gib
