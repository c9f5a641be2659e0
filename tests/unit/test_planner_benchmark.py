"""The planner's benchmark: which targets a comparison meets, and how a cluster is told to ProxLB."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from benchmarks import proxlb, proxlb_child
from benchmarks.instances import generate
from benchmarks.planner_targets import BEST, BOUND, EVEN, EVEN_BOUND, HBAL, OURS, PROXLB, Line, verdicts

OUR_LINE = Line("c", 50, OURS, 0, 10, 100.0, 0.10, 0.10, 0.05, 0)
THEIRS = Line("c", 50, HBAL, 0, 10, 100.0, 0.10, 0.10, 5.0, 0)


def missed(*lines: Line) -> list[str]:
    return [one.target for one in verdicts(lines) if not one.is_met]


def test_what_is_as_good_as_a_peer_in_a_hundredth_of_its_time_meets_every_target() -> None:
    found = verdicts((OUR_LINE, THEIRS))
    assert len(found) == 5
    assert all(one.is_met for one in found)


@pytest.mark.parametrize(("change", "target"), [
    ({"hot": 1}, "no hotter than hbal"), ({"moves": 11}, "no more moves or GiB than hbal"),
    ({"gib": 100.1}, "no more moves or GiB than hbal"), ({"seconds": 0.051}, "at most 0.01 of hbal's time"),
    ({"broken": 1}, "every move legal when it begins")])
def test_each_target_is_missed_by_a_hair(change: dict[str, float], target: str) -> None:
    assert target in missed(replace(OUR_LINE, **change), THEIRS)


def test_the_time_of_a_peer_that_was_stopped_is_no_limit_but_may_be_enough() -> None:
    stopped = replace(THEIRS, note="stopped after 300 s")
    assert len(verdicts((OUR_LINE, stopped))) == len(verdicts((OUR_LINE, THEIRS)))
    assert missed(replace(OUR_LINE, seconds=0.051), stopped) == []


def test_the_time_of_relief_has_a_limit_by_hosts() -> None:
    assert missed(replace(OUR_LINE, seconds=0.1)) == ["in less than 0.1 s"]
    assert missed(replace(OUR_LINE, hosts=1000, seconds=0.1)) == []
    assert missed(replace(OUR_LINE, hosts=1000, seconds=1.0)) == ["in less than 1 s"]


@pytest.mark.parametrize("change", [{"hot": 1}, {"broken": 1}])
def test_a_peer_that_leaves_hosts_hot_or_breaks_something_may_move_less(change: dict[str, int]) -> None:
    peer = replace(THEIRS, by=f"{PROXLB} cpu", moves=1, gib=1.0)
    assert missed(OUR_LINE, peer) == ["no more moves or GiB than ProxLB cpu"]
    assert missed(OUR_LINE, replace(peer, **change)) == []


def test_a_peer_that_is_not_there_is_no_measure() -> None:
    alone = verdicts((OUR_LINE,))
    absent = [Line("c", 50, by, note="not available") for by in (HBAL, PROXLB)]
    assert verdicts((OUR_LINE, *absent)) == alone


def test_few_hosts_are_held_against_the_best_and_many_against_the_bound() -> None:
    best, bound = Line("c", 50, BEST, 0, 9, 86.0), Line("c", 50, BOUND, gib=66.0)
    assert missed(OUR_LINE, best, bound) == ["at most 1.15 of the solver's GiB"]
    assert missed(replace(OUR_LINE, gib=98.8), best, bound) == []
    assert missed(replace(OUR_LINE, hosts=200), bound) == ["at most 1.5 of the bound"]
    assert missed(OUR_LINE, Line("c", 50, BEST, note="found nothing"), bound) == []


def test_evening_out_is_held_against_a_peer_that_came_to_its_end() -> None:
    even, bound = replace(OUR_LINE, by=EVEN, gib=50.0), Line("c", 50, EVEN_BOUND, gib=40.0)
    assert missed(OUR_LINE, THEIRS, even, bound) == []
    assert missed(OUR_LINE, THEIRS, replace(even, gib=50.1), bound) == ["evened out with at most 0.5 of hbal's GiB"]
    assert missed(OUR_LINE, THEIRS, replace(even, memory_spread=0.1001), bound) == ["as even as hbal"]
    stopped = replace(THEIRS, note="stopped after 300 s")
    assert missed(OUR_LINE, stopped, replace(even, gib=99.0, cpu_spread=1.0), bound) == []


def test_proxlb_is_told_what_hosts_carry_and_which_vms_are_apart() -> None:
    found = generate(3, 6, 0.6, 5)
    at = {vm["name"]: vm["host"] for vm in found["vms"]}
    moved = next(vm for vm in found["vms"] if vm["host"] != found["hosts"][0]["name"])
    before = proxlb_child.nodes(found, at)
    after = proxlb_child.nodes(found, at | {moved["name"]: found["hosts"][0]["name"]})
    first, old = found["hosts"][0]["name"], moved["host"]
    assert after[first]["memory"]["used"] - before[first]["memory"]["used"] == moved["memory_mib"] * 2 ** 20
    assert before[old]["cpu"]["used"] - after[old]["cpu"]["used"] == pytest.approx(moved["cpu_load"])
    assert before[old]["cpu"]["used"] + before[old]["cpu"]["free"] == before[old]["cpu"]["total"]
    told = proxlb_child.guests(found, at)
    for vm in found["vms"]:
        assert told[vm["name"]]["node_current"] == vm["host"]
        assert told[vm["name"]]["anti_affinity_groups"] == ([f"plb_anti_affinity_{vm['group']}"] if vm["group"] else [])


def test_a_python_without_proxlb_is_said_to_be_one() -> None:
    with pytest.raises(proxlb.Unavailable, match="proxlb"):
        proxlb.interpreter(Path(sys.executable))
    with pytest.raises(proxlb.Unavailable, match="no/python"):
        proxlb.interpreter(Path("no/python"))
