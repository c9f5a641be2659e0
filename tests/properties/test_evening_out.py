"""Evening out, whatever the cluster: nobody goes where he may not, no host is made hot, nothing untrue is claimed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations
from math import inf
from random import Random
from statistics import pstdev

import numpy as np
from benchmarks.instances import Problem, generate, problem
from hypothesis import given, settings
from hypothesis import strategies as st

from ballastd.core.evening import Evening, even
from ballastd.core.heat import Heat
from ballastd.core.relieving import relieve
from ballastd.core.roughness import Aim

GOALS = ("cpu_spread", "memory_spread", "cpu_span", "memory_span")
seeds = st.integers(0, 10**6)


@dataclass(frozen=True)
class Case:
    """A cluster in which some hosts do not receive or do not count, and some VMs stay; what is wanted; what is planned."""

    told: Problem
    heat: Heat
    aim: Aim
    after: tuple[tuple[int, int], ...]


def a_case(seed: int) -> Case:
    luck = Random(seed)
    told = problem(generate(luck.randint(2, 9), luck.randint(2, 10), luck.choice((0.3, 0.5, 0.7, 0.8)), seed))
    hosts, vms = len(told.hosts), len(told.vms)
    heat = replace(
        told.heat, opens=np.array([luck.random() < 0.85 for _ in range(hosts)]),
        vm_movable=np.array([luck.random() < 0.85 for _ in range(vms)]),
        vm_peak=told.heat.vm_cpu * np.array([luck.choice((1.0, 1.3)) for _ in range(vms)]))
    counts = np.array([luck.random() < 0.9 for _ in range(hosts)])
    wanted = {name: luck.choice((inf, 0.05, 0.1, 0.3)) for name in GOALS}
    aim = Aim(told.heat.cpu_mark / 0.8, np.array(told.memory_limit), counts, least=luck.choice((0.0, 0.02)), **wanted)
    return Case(told, heat, aim, relieve(heat, told.doors).moves if luck.random() < 0.5 else ())


def placed(case: Case, moves: tuple[tuple[int, int], ...]) -> list[int]:
    at: list[int] = case.heat.vm_host.tolist()
    for vm, host in moves:
        at[vm] = host
    return at


def needs(case: Case, at: list[int]) -> list[tuple[float, float]]:
    """Return the processors and bytes that hosts need: more processors for whoever came."""
    heat = case.heat
    cpu, memory = heat.cpu.tolist(), heat.memory.tolist()
    for vm, host in enumerate(at):
        home = int(heat.vm_host[vm])
        if host != home:
            cpu[home] -= float(heat.vm_cpu[vm])
            cpu[host] += float(heat.vm_peak[vm])
            memory[home] -= float(heat.vm_memory[vm])
            memory[host] += float(heat.vm_memory[vm])
    return list(zip(cpu, memory, strict=True))


def uneven(case: Case, at: list[int]) -> dict[str, float]:
    """Return the spreads and spans of the hosts that count, by plain sums."""
    heat, aim, found = case.heat, case.aim, {}
    rows = [row for row, one in enumerate(aim.counts.tolist()) if one]
    for name, use, limit in (("cpu", heat.vm_cpu, aim.cpu_limit), ("memory", heat.vm_memory, aim.memory_limit)):
        shares = [sum(float(use[vm]) for vm, host in enumerate(at) if host == row) / float(limit[row]) for row in rows]
        found[f"{name}_spread"] = pstdev(shares) if shares else 0.0
        found[f"{name}_span"] = max(shares) - min(shares) if shares else 0.0
    return found


def run(case: Case) -> Evening:
    return even(case.heat, case.told.doors, case.aim, case.after)


@settings(max_examples=100)
@given(seeds)
def test_nobody_goes_where_he_may_not(seed: int) -> None:
    case = a_case(seed)
    heat, moves = case.heat, run(case).moves
    assert len({vm for vm, _ in moves}) == len(moves)
    for vm, host in set(moves) - set(case.after):
        assert heat.vm_movable[vm]
        assert heat.opens[host]
        assert case.aim.counts[host]
        assert host != heat.vm_host[vm]
    before, at = heat.vm_host.tolist(), placed(case, moves)
    for mates in case.told.doors.groups():
        for one, other in combinations(mates, 2):
            assert at[one] != at[other] or before[one] == before[other], "a shut door was gone through"


@settings(max_examples=100)
@given(seeds)
def test_no_host_is_made_hot_and_none_hotter(seed: int) -> None:
    case = a_case(seed)
    start, end = needs(case, placed(case, case.after)), needs(case, placed(case, run(case).moves))
    marks = zip(case.heat.cpu_mark.tolist(), case.heat.memory_mark.tolist(), strict=True)
    for (cpu, memory), (cpu_before, memory_before), (cpu_mark, memory_mark) in zip(end, start, marks, strict=True):
        assert cpu <= max(cpu_mark, cpu_before) * (1 + 1e-9)
        assert memory <= max(memory_mark, memory_before) * (1 + 1e-9)


@settings(max_examples=100)
@given(seeds)
def test_what_is_claimed_is_so_and_nothing_becomes_less_even_than_it_was_or_is_wanted(seed: int) -> None:
    case = a_case(seed)
    found = run(case)
    start, end = uneven(case, placed(case, case.after)), uneven(case, placed(case, found.moves))
    wanted = {name: float(getattr(case.aim, name)) for name in GOALS}
    assert found.is_even == all(end[name] <= wanted[name] + 1e-8 for name in GOALS)
    for name in GOALS:
        assert wanted[name] == inf or end[name] <= max(start[name], wanted[name]) + 1e-8


@settings(max_examples=60)
@given(seeds)
def test_what_was_planned_is_never_made_dearer_where_hosts_are_even_enough_with_it(seed: int) -> None:
    case = a_case(seed)
    start = uneven(case, placed(case, case.after))
    if all(start[name] <= getattr(case.aim, name) for name in GOALS):
        cost = case.heat.vm_cost
        assert sum(cost[vm] for vm, _ in run(case).moves) <= sum(cost[vm] for vm, _ in case.after) + 1e-3


@settings(max_examples=60)
@given(seeds)
def test_the_same_cluster_is_evened_out_in_the_same_way_and_leaves_the_doors_as_they_were(seed: int) -> None:
    case = a_case(seed)
    before = [sorted(case.told.doors.shut(vm)) for vm in range(len(case.told.vms))]
    first = run(case)
    assert [sorted(case.told.doors.shut(vm)) for vm in range(len(case.told.vms))] == before
    assert run(case) == first
