"""Two rehearsals beside each other."""

from __future__ import annotations

import io
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from ballastd.cli.rehearsal import Comparison, compare, render_comparison
from ballastd.cli.rehearsal.page import comparison_page
from ballastd.core.rehearsed import RehearsedMove, Violation
from tests.rehearsals import a_day, a_rehearsal, a_rehearsed_move, a_sample


def words(comparison: Comparison, *, moves: bool = False) -> str:
    file = io.StringIO()
    render_comparison(comparison, Console(file=file, width=200, force_terminal=False), moves)
    return " ".join(file.getvalue().split())


def test_moves_pair_up_by_vm_and_target_whatever_their_time_and_source():
    same_a, same_b = a_rehearsed_move(1), a_rehearsed_move(5, source="cedar", ordered_at=600.0, ended_at=700.0)
    elsewhere, other = a_rehearsed_move(2, target="cedar"), a_rehearsed_move(3, vm_name="web")
    found = compare(a_rehearsal(moves=(same_a, elsewhere)), a_rehearsal(moves=(other, same_b)))
    assert found.both == ((same_a, same_b),)
    assert found.only_a == (elsewhere,)
    assert found.only_b == (other,)


def test_a_vm_that_moves_there_twice_in_one_and_once_in_the_other_pairs_once_the_first_with_the_first():
    first, second = a_rehearsed_move(1), a_rehearsed_move(2, ordered_at=1000.0)
    once = a_rehearsed_move(3, ordered_at=5.0)
    found = compare(a_rehearsal(moves=(second, first)), a_rehearsal(moves=(once,)))
    assert (found.both, found.only_a, found.only_b) == (((first, once),), (second,), ())


MOVES = st.lists(st.builds(lambda n, vm, to, at: a_rehearsed_move(n, vm_name=vm, target=to, ordered_at=at),
                           st.integers(0, 99), st.sampled_from("ab"), st.sampled_from("xy"), st.floats(0, 9)), max_size=8)


@given(MOVES, MOVES)
def test_every_move_is_in_one_place_and_swapping_swaps(a: list[RehearsedMove], b: list[RehearsedMove]):
    one, other = a_rehearsal(moves=tuple(a)), a_rehearsal(moves=tuple(b))
    found, swapped = compare(one, other), compare(other, one)
    assert sorted(map(repr, a)) == sorted(map(repr, [*found.only_a, *(pair[0] for pair in found.both)]))
    assert sorted(map(repr, b)) == sorted(map(repr, [*found.only_b, *(pair[1] for pair in found.both)]))
    assert {(m.vm_name, m.target) for m in found.only_a}.isdisjoint((m.vm_name, m.target) for m in found.only_b)
    assert (found.only_a, found.only_b) == (swapped.only_b, swapped.only_a)
    assert len(found.both) == len(swapped.both)


def test_what_changes_is_shown_side_by_side():
    a = a_rehearsal(joules=7.2e6, joules_unmanaged=14.4e6, overload_seconds=(120.0, 0.0), samples=(a_sample(),),
                    moves=(a_rehearsed_move(1), a_rehearsed_move(2, ending="failed")), withheld=(("cooldown", 4),),
                    violations=(Violation(61.5, "reserve", "too few hosts"),), notices=((1.0, "alarm", "!"),))
    b = replace(a, joules=3.6e6, overload_seconds=(120.0, 60.0), moves=(), violations=(), withheld=())
    text = words(compare(a, b, "now", "proposed"))
    for said in ("between now and proposed", "fair same cluster, time, seed and faults", "violations 1 0 -1",
                 "moves 2 0 -2", "moves not completed 1 0 -1", "overload, host-minutes 2.0 3.0 +1.0",
                 "energy used, kWh 2.0 1.0 -1.0", "energy saved, kWh 2.0 3.0 +1.0", "alarms 1 1 same", "withheld 4 0 -4",
                 "median move, s 30.0 - -", "+0:01:01.500 now reserve too few hosts", "only in now: 2 moves",
                 "in both: 0 moves", "even-out 2 0"):
        assert said in text


def test_better_is_green_and_worse_is_red():
    file = io.StringIO()
    a = a_rehearsal(joules=7.2e6, joules_unmanaged=7.2e6)
    b = replace(a, joules=3.6e6, overload_seconds=(60.0, 0.0))
    render_comparison(compare(a, b), Console(file=file, width=120, force_terminal=True, color_system="standard"))
    assert "\x1b[32m  -1.0\x1b[0m" in file.getvalue()
    assert "\x1b[1;31m  +1.0\x1b[0m" in file.getvalue()


def test_what_makes_a_comparison_unfair_is_said():
    text = words(compare(a_rehearsal(), a_rehearsal(seed=8, vms=5)))
    assert "not equal, so what differs may come from there: number of VMs, seed" in text


def test_lists_are_cut_unless_all_moves_are_wanted_and_a_page_has_all():
    found = compare(a_day(), a_rehearsal())
    assert "and 50 more moves" in words(found)
    whole = words(found, moves=True)
    page = comparison_page(found)
    for move in found.only_a:
        assert move.vm_name in whole
        assert move.vm_name in page
