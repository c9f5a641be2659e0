"""The optimum of relief, proven: what the planner is held against, in tests on small clusters, in benchmarks on larger ones.

The aim is the planner's, in this order: as few hosts hot as possible, as little overload as possible, moves as cheap as
possible. No host may end hotter by a resource than it began, no VM move that may not leave, no host receive that is not
open or that may not take the VM, and of VMs that are kept apart none may come to where another stays. In which order moves
are made is not modelled. The solver is HiGHS (``highspy``): a tool of ours, no part of the daemon.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import highspy
import numpy as np

from ballastd.core.arrays import Bools, Floats, Ints
from ballastd.core.heat import Heat

TOLERANCE = 1e-9
"""By this share of its mark a host may be above it: the rounding of a solver, and less than any VM."""
SLACK = 1e-7
"""By so many hosts, or marks, an earlier aim may be missed for a later one: as little as the solver can tell apart."""


@dataclass(frozen=True, slots=True)
class Row:
    """A sum of columns, each times its value, that is ``most`` at most; and, where that is said, no less either."""

    columns: Ints
    values: Floats
    most: float
    is_exact: bool = False


@dataclass(frozen=True, slots=True)
class Optimum:
    """What is best. ``at``: where VMs live (host rows by VM row), None where the solver found nothing in its time; ``hot``:
    hosts that stay hot; ``overload``: by how much, in marks; ``cost``: of all moves, in the units of ``vm_cost``; ``least``:
    what as cool a placement costs at least; ``is_proven``: that nothing is better."""

    at: tuple[int, ...] | None
    hot: int
    overload: float
    cost: float
    least: float
    is_proven: bool


def optimum(heat: Heat, never: Bools, apart: Sequence[Sequence[int]], seconds: float = math.inf) -> Optimum:
    """Return the best that relief can come to. ``never``: whether a VM (row) may not come to a host (column); ``apart``:
    VMs (rows) that are kept apart; ``seconds``: how long the solver may take for each of its aims."""
    return _Model(heat, never, apart, seconds).best()


def least_cost(heat: Heat, never: Bools, apart: Sequence[Sequence[int]]) -> float:
    """Return what it costs at least to leave no host hot, by fractions of VMs: a bound for clusters that are too large."""
    return _Model(heat, never, apart, math.inf).bound()


def as_planned(heat: Heat, apart: Sequence[Sequence[int]]) -> tuple[Heat, Bools]:
    """Return the cluster as the daemon's plans may use it, and which VM may come to which host at no time: no move leans on
    what another one frees, so hot hosts send, the others receive, and VMs (rows) kept ``apart`` are so at both ends."""
    hot = (heat.cpu > heat.cpu_mark) | (heat.memory > heat.memory_mark)
    never: Bools = np.zeros((len(heat.vm_host), len(heat.cpu)), np.bool_)
    for members in apart:
        for vm in members:
            never[vm, [heat.vm_host[other] for other in members if other != vm]] = True
    return replace(heat, opens=heat.opens & ~hot, vm_movable=heat.vm_movable & hot[heat.vm_host]), never


def most_placed(needs: Ints, room: Ints, never: Bools, apart: Sequence[Sequence[int]]) -> int:
    """Return how many VMs can leave their hosts at once, proven: those that need so many bytes each, for hosts with room for
    so many. ``never``: whether a VM (row) may not come to a host (column); ``apart``: VMs of which no two may meet."""
    vm, to = np.nonzero(~never)
    if not len(vm):
        return 0
    rows = [Row(np.flatnonzero(vm == one), np.ones(int((vm == one).sum())), 1.0) for one in range(len(needs))]
    rows += [Row(np.flatnonzero(to == host), needs[vm[to == host]].astype(np.float64), float(room[host]))
             for host in range(len(room))]
    for members in apart:
        for host in range(len(room)):
            there = np.flatnonzero((to == host) & np.isin(vm, members))
            rows.append(Row(there, np.ones(len(there)), 1.0))
    found = solver(-np.ones(len(vm)), np.ones(len(vm)), rows, len(vm), math.inf)
    found.run()
    assert is_solved(found)
    return round(-float(found.getInfo().objective_function_value))


def solver(costs: Floats, upper: Floats, rows: Sequence[Row], whole: int, seconds: float) -> highspy.Highs:
    """Return a solver for the least cost of columns from zero to ``upper``, the first so many of them whole numbers."""
    program = highspy.HighsLp()
    program.num_col_, program.num_row_ = len(costs), len(rows)
    program.col_cost_, program.col_lower_, program.col_upper_ = costs, np.zeros(len(costs)), upper
    program.row_lower_ = np.array([row.most if row.is_exact else -math.inf for row in rows])
    program.row_upper_ = np.array([row.most for row in rows])
    kinds = highspy.HighsVarType
    program.integrality_ = [kinds.kInteger] * whole + [kinds.kContinuous] * (len(costs) - whole)
    matrix = program.a_matrix_
    matrix.format_ = highspy.MatrixFormat.kRowwise
    matrix.start_ = np.cumsum([0, *(len(row.columns) for row in rows)])
    matrix.index_ = np.concatenate([row.columns for row in rows])
    matrix.value_ = np.concatenate([row.values for row in rows])
    made = highspy.Highs()
    for name, value in (("output_flag", False), ("threads", 1), ("time_limit", seconds), ("mip_rel_gap", 1e-6),
                        ("mip_feasibility_tolerance", TOLERANCE), ("primal_feasibility_tolerance", TOLERANCE)):
        made.setOptionValue(name, value)
    made.passModel(program)
    return made


def is_solved(found: highspy.Highs) -> bool:
    """Return whether nothing better than what was found is possible."""
    solved: bool = found.getModelStatus() == highspy.HighsModelStatus.kOptimal
    return solved


class _Model:
    """Columns: per VM and host that it may go to, whether it does; per hot host, whether it stays so; then its overload by
    processors, then by memory, in marks."""

    def __init__(self, heat: Heat, never: Bools, apart: Sequence[Sequence[int]], seconds: float) -> None:
        may = heat.vm_movable[:, None] & heat.opens[None, :] & ~never
        may[np.arange(len(heat.vm_host)), heat.vm_host] = False
        self._heat, (self._vm, self._to) = heat, np.nonzero(may)
        over = [np.maximum(used / mark - 1.0, 0.0)
                for used, mark in ((heat.cpu, heat.cpu_mark), (heat.memory, heat.memory_mark))]
        self._hot = np.flatnonzero((over[0] > TOLERANCE) | (over[1] > TOLERANCE))
        self._moves, self._hots = len(self._vm), len(self._hot)
        self._rows: list[Row] = []
        self._rows_of_vms()
        self._rows_of_hosts(0, over[0], heat.cpu, heat.cpu_mark, heat.vm_cpu, heat.vm_peak)
        self._rows_of_hosts(1, over[1], heat.memory, heat.memory_mark, heat.vm_memory, heat.vm_memory)
        self._rows_of_groups(apart)
        self._unit = float(heat.vm_cost.max(initial=0.0)) or 1.0
        self._costs = np.concatenate([heat.vm_cost[self._vm] / self._unit, np.zeros(3 * self._hots)])
        upper = np.concatenate([np.ones(self._moves + self._hots), np.full(2 * self._hots, math.inf)])
        self._solver = solver(self._costs, upper, self._rows, self._moves + self._hots, seconds)

    def best(self) -> Optimum:
        """Return the cheapest placement that leaves no host hot; where there is none, the best by each aim in turn."""
        if not len(self._costs):
            return Optimum(tuple(self._heat.vm_host.tolist()), 0, 0.0, 0.0, 0.0, is_proven=True)
        self._may_stay_hot(most=0.0)
        found = self._cheapest()
        if found is not None:
            return found
        self._may_stay_hot(most=1.0)
        for first, end in ((self._moves, self._moves + self._hots), (self._moves + self._hots, len(self._costs))):
            aim = np.zeros(len(self._costs))
            aim[first:end] = 1.0
            self._solve(aim)
            self._solver.addRow(-math.inf, self._solver.getInfo().objective_function_value + SLACK, end - first,
                                np.arange(first, end, dtype=np.int32), aim[first:end])
        # what the solver rounded away, or had no time for, proves nothing
        return self._cheapest() or Optimum(None, self._hots, math.nan, math.nan, 0.0, is_proven=False)

    def bound(self) -> float:
        """Return the optimum of fractions."""
        self._may_stay_hot(most=0.0)
        self._solver.setOptionValue("solve_relaxation", True)
        self._solve(self._costs)
        return float(self._solver.getInfo().objective_function_value) * self._unit

    def _may_stay_hot(self, most: float) -> None:
        for column in range(self._moves, self._moves + self._hots):
            self._solver.changeColBounds(column, 0.0, most)

    def _cheapest(self) -> Optimum | None:
        """Return the cheapest, None where it is proven that there is none."""
        status = self._solve(self._costs)
        if status == highspy.HighsModelStatus.kInfeasible:
            return None
        told, at = self._solver.getInfo(), self._heat.vm_host.copy()
        if told.primal_solution_status != highspy.SolutionStatus.kSolutionStatusFeasible:
            return Optimum(None, self._hots, math.nan, math.nan, told.mip_dual_bound * self._unit, is_proven=False)
        values = np.array(self._solver.getSolution().col_value)
        goes = np.flatnonzero(values[:self._moves] > 0.5)
        at[self._vm[goes]] = self._to[goes]
        stay, overload = values[self._moves:self._moves + self._hots] > 0.5, values[self._moves + self._hots:]
        return Optimum(tuple(at.tolist()), int(stay.sum()), float(overload.sum()),
                       float(self._heat.vm_cost[self._vm[goes]].sum()), told.mip_dual_bound * self._unit,
                       is_proven=status == highspy.HighsModelStatus.kOptimal)

    def _solve(self, aim: Floats) -> highspy.HighsModelStatus:
        self._solver.changeColsCost(len(aim), np.arange(len(aim), dtype=np.int32), aim)
        self._solver.run()
        return self._solver.getModelStatus()

    def _rows_of_vms(self) -> None:
        """A VM goes to one host, or to none. It stands in the columns of its row, which follow one another."""
        starts = np.searchsorted(self._vm, np.arange(len(self._heat.vm_host) + 1))
        for vm in np.flatnonzero(np.diff(starts) > 1).tolist():
            columns = np.arange(starts[vm], starts[vm + 1])
            self._rows.append(Row(columns, np.ones(len(columns)), 1.0))

    def _rows_of_hosts(self, resource: int, over: Floats, used: Floats, mark: Floats, leaves: Floats, comes: Floats) -> None:
        """A host uses its mark at most, and its overload where it stays hot: never more than it began with."""
        homes = self._heat.vm_host[self._vm]
        for host in range(len(used)):
            out, into = np.flatnonzero(homes == host), np.flatnonzero(self._to == host)
            columns = np.concatenate([out, into])
            values = np.concatenate([-leaves[self._vm[out]], comes[self._vm[into]]]) / mark[host]
            if host in self._hot:
                row = int(np.searchsorted(self._hot, host))
                overload = self._moves + (1 + resource) * self._hots + row
                columns, values = np.append(columns, overload), np.append(values, -1.0)
                self._rows.append(Row(np.array([overload, self._moves + row]), np.array([1.0, -over[host]]), 0.0))
            self._rows.append(Row(columns, values, 1.0 - float(used[host] / mark[host])))

    def _rows_of_groups(self, apart: Sequence[Sequence[int]]) -> None:
        """Of a group one may come to a host, if each of it that was there leaves."""
        for members in apart:
            theirs = np.flatnonzero(np.isin(self._vm, members))
            for host in np.unique(self._to[theirs]).tolist():
                into = theirs[self._to[theirs] == host]
                self._rows.append(Row(into, np.ones(len(into)), 1.0))
                for vm in (vm for vm in members if self._heat.vm_host[vm] == host):
                    out = theirs[self._vm[theirs] == vm]
                    signs = np.repeat([1.0, -1.0], [len(into), len(out)])
                    self._rows.append(Row(np.concatenate([into, out]), signs, 0.0))
