"""Covers of a hot host on small numbers, and clusters that only exchanges cool."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from benchmarks.instances import GIB, generate, problem

from ballastd.core.arrays import Floats
from ballastd.core.covering import cheapest_cover, covers
from ballastd.core.exchanging import exchange
from ballastd.core.heat import Heat, NoDoors
from ballastd.core.relieving import relieve


def column(*values: float) -> Floats:
    return np.array(values, np.float64)


def test_the_cheapest_in_bytes_leave_not_the_busiest() -> None:
    assert cheapest_cover(column(8.0, 2.0, 2.0), column(32.0, 4.0, 4.0), column(32.0, 4.0, 4.0), (4.0, 0.0)) == (1, 2)


def test_a_move_has_a_price_of_its_own() -> None:
    tiny, one = column(*[1.0] * 8, 8.0), column(*[1.0] * 8, 12.0)
    assert len(cheapest_cover(tiny, one, one, (8.0, 0.0)) or ()) == 8
    assert cheapest_cover(tiny, one, one + 4.0, (8.0, 0.0)) == (8,)


def test_of_the_ways_to_cover_two_resources_the_cheapest_is_taken() -> None:
    processors, memory = column(3.0, 1.0, 8.0), column(8.0, 8.0, 2.0)
    assert cheapest_cover(processors, memory, memory + 0.5, (2.0, 3.0)) == (0,), "and not the other two, which do as well"


def test_where_processors_are_dear_bytes_leave_without_them() -> None:
    processors, memory = column(4.0, 0.1), column(10.0, 11.0)
    assert cheapest_cover(processors, memory, memory, (0.0, 10.0)) == (0,)
    assert cheapest_cover(processors, memory, memory + processors, (0.0, 10.0)) == (1,)


def test_both_resources_are_covered_and_nobody_leaves_in_vain() -> None:
    processors, memory = column(4.0, 0.0, 3.0, 0.5), column(1.0, 20.0, 18.0, 2.0)
    assert cheapest_cover(processors, memory, memory, (3.0, 18.0)) == (2,)
    assert cheapest_cover(processors, memory, memory, (7.5, 41.0)) == (0, 1, 2, 3)
    assert cheapest_cover(processors, memory, memory, (7.6, 0.0)) is None
    assert cheapest_cover(processors, memory, memory, (0.0, -5.0)) == ()


def test_of_many_ways_none_takes_somebody_along_in_vain() -> None:
    processors, memory = column(4.0, 3.0, 1.0, 2.0, 0.5), column(6.0, 2.0, 5.0, 3.0, 1.0)
    found = covers(processors, memory, memory, (4.0, 0.0), 16)
    assert set(found) == {(0,), (1, 2), (1, 3)}, "whoever joins one of these is not needed"
    assert found[0] == cheapest_cover(processors, memory, memory, (4.0, 0.0)) == (1, 3)
    assert covers(processors, memory, memory, (11.0, 0.0), 16) == []


def test_exactly_enough_is_enough_and_a_grain_less_is_not() -> None:
    memory = column(3.0, 5.0, 7.0)
    none = column(0.0, 0.0, 0.0)
    assert cheapest_cover(none, memory, memory, (0.0, 8.0)) == (0, 1)
    assert cheapest_cover(none, memory, memory, (0.0, 8.0 + 1e-6)) == (0, 2)


def test_a_set_that_is_only_just_enough_is_found() -> None:
    """Two of them exceed what has to go by less than a step of the frontier; three would be dearer by half."""
    processors = column(2.439, 1.632, 0.817, 0.368, 0.590, 0.965, 0.519, 3.014, 1.695, 1.024, 0.526, 2.589, 1.259, 1.231,
                        1.483, 1.348, 6.200, 2.178)
    memory = column(4.0, 2.0, 8.0, 4.0, 4.0, 8.0, 2.0, 16.0, 2.0, 8.0, 2.0, 2.0, 4.0, 4.0, 2.0, 4.0, 8.0, 16.0)
    assert cheapest_cover(processors, memory, memory, (4.277, 0.0)) == (8, 11)


def a_heat(hosts: int, mark: float, *vms: tuple[int, float, float]) -> Heat:
    home = np.array([host for host, _, _ in vms])
    cpu, memory = column(*(used for _, used, _ in vms)), column(*(held for _, _, held in vms))
    return Heat(np.bincount(home, cpu, hosts), np.full(hosts, mark), np.bincount(home, memory, hosts), np.full(hosts, mark),
                np.ones(hosts, np.bool_), home, cpu, cpu, memory, memory, np.ones(len(vms), np.bool_))


def test_two_hosts_that_are_hot_for_different_reasons_exchange_vms() -> None:
    """One has too many processors in use, the other too much memory, and neither has room but for a swap."""
    heat = a_heat(2, 10.0, (0, 6.0, 1.0), (0, 6.0, 1.0), (1, 1.0, 6.0), (1, 1.0, 6.0))
    relief = relieve(heat, NoDoors())
    assert relief.still_hot == ()
    assert {target for _, target in relief.moves} == {0, 1}
    assert len(relief.moves) == 2


def test_who_need_not_have_left_goes_home() -> None:
    """A crowded cluster in which no packing cools every host. The solver's best copies 80.0 GiB."""
    told = problem(generate(10, 20, 0.78, 7102))
    relief = relieve(told.heat, told.doors)
    assert relief.still_hot == ()
    assert sum(float(told.heat.vm_memory[vm]) for vm, _ in relief.moves) / GIB < 82.0


def test_a_target_needs_room_for_a_vms_peak_and_no_more_than_it_uses_leaves() -> None:
    heat = a_heat(2, 10.0, (0, 4.0, 1.0), (0, 7.0, 1.0), (1, 5.0, 1.0))
    assert relieve(heat, NoDoors()).moves == ((0, 1),)
    busier = replace(heat, vm_peak=column(6.0, 7.0, 5.0), vm_movable=np.array([True, True, False]))
    assert relieve(busier, NoDoors()).still_hot == (0,)


def test_the_best_target_that_admits_is_taken() -> None:
    class Guarded(NoDoors):
        def admits(self, vm: int, host: int) -> bool:
            return host != 2

    heat = a_heat(4, 10.0, (0, 4.0, 1.0), (0, 8.0, 1.0), (1, 5.0, 1.0), (3, 4.0, 1.0))
    assert relieve(heat, NoDoors()).moves == ((0, 2),)
    assert relieve(heat, Guarded()).moves == ((0, 3),)


def test_a_host_that_saved_processors_where_there_are_enough_chooses_anew() -> None:
    """Processors have a price while hosts are packed; what goes in the end is what copies least."""
    heat = a_heat(3, 10.0, (0, 4.0, 6.1), (0, 0.1, 6.2), (0, 0.1, 2.0), (1, 1.0, 1.0), (2, 1.0, 1.0))
    (move,) = relieve(heat, NoDoors(), exchanges=False).moves
    assert move[0] == 0, "6.1 against 6.2 to copy"


def test_an_exchange_sends_home_whom_nobody_needs_elsewhere() -> None:
    heat = a_heat(2, 10.0, (0, 4.0, 4.0), (0, 3.0, 3.0), (1, 1.0, 1.0))
    at = heat.vm_host.copy()
    at[0] = 1
    assert exchange(heat, NoDoors(), at).tolist() == heat.vm_host.tolist()
