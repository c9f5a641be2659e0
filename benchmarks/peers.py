"""What others make of the same clusters: bounds and best placements by an exact solver, and Ganeti's hbal.

The solver is HiGHS (see ``benchmarks/exact.py``). hbal comes with the Debian package ganeti-htools. ProxLB has a file of
its own.
"""

from __future__ import annotations

import math
import re
import resource
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.exact import Row, is_solved, optimum, solver
from benchmarks.instances import GIB, HOT_CPU, HOT_MEMORY, Instance, Moves, Problem
from benchmarks.relieve import Spreads

TANGENTS = np.arange(-0.6, 0.61, 0.03)
"""Where the squares of the distances to the mean are touched: in between they are at most 0.000225 too small."""
STEP = re.compile(r"^\s*\d+\. (\S+)\s+(\S+)\s+=> (\S+)", re.MULTILINE)


def has_hbal() -> bool:
    """Return whether hbal is installed."""
    return shutil.which("hbal") is not None


def bound_gib(told: Problem, spreads: Spreads | None = None) -> float:
    """Return GiB below which no placement leaves all hosts cool, and, if that is asked, no more uneven than ``spreads``:
    fractions of VMs leave hosts, and come back to others as a stream of processors and bytes. Squares are bounded by their
    tangents. Weaker than a relaxation VM by VM, and small enough for any cluster."""
    heat, vms, hosts = told.heat, len(told.vms), len(told.hosts)
    everyone, rows = np.arange(vms), np.arange(hosts)
    told_rows = _Rows()
    used = ((heat.vm_cpu, heat.cpu, heat.cpu_mark, heat.cpu_mark / HOT_CPU),
            (heat.vm_memory / GIB, heat.memory / GIB, heat.memory_mark / GIB, heat.memory_mark / HOT_MEMORY / GIB))
    for index, (by_vm, load, mark, limit) in enumerate(used):
        stream = vms + index * (3 * hosts + 1) + rows
        share, square, mean = stream + hosts, stream + 2 * hosts, vms + index * (3 * hosts + 1) + 3 * hosts
        told_rows.add(load, (rows, share, limit), (heat.vm_host, everyone, by_vm), (rows, stream, -1.0))
        told_rows.add([0.0], (0, everyone, by_vm), (0, stream, -1.0))
        told_rows.add([0.0], (0, share, 1.0 / hosts), (0, mean, -1.0))
        told_rows.add(mark / limit, (rows, share, 1.0), is_exact=False)
        if spreads is not None:
            for at in TANGENTS:
                tangent = (rows, share, 2.0 * at), (rows, mean, -2.0 * at), (rows, square, -1.0)
                told_rows.add(np.full(hosts, at * at), *tangent, is_exact=False)
            told_rows.add([hosts * spreads[index] ** 2], (0, square, 1.0), is_exact=False)
    columns = vms + 2 * (3 * hosts + 1)
    costs = np.concatenate([heat.vm_memory / GIB, np.zeros(columns - vms)])
    upper = np.concatenate([np.ones(vms), np.full(columns - vms, math.inf)])
    found = solver(costs, upper, told_rows.rows, 0, math.inf)
    found.run()
    return float(found.getInfo().objective_function_value) if is_solved(found) else math.nan


class _Rows:
    """Rows of a linear program, made in blocks."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def add(self, sides: Any, *parts: tuple[Any, Any, Any], is_exact: bool = True) -> None:
        """Add as many rows as there are ``sides``. ``parts``: row of the block, column, value."""
        row, column, value = (np.concatenate([np.broadcast_arrays(*map(np.atleast_1d, part))[index] for part in parts])
                              for index in range(3))
        order = np.argsort(row, kind="stable")
        ends = np.searchsorted(row[order], np.arange(len(sides) + 1))
        for number, side in enumerate(sides):
            mine = order[ends[number]:ends[number + 1]]
            self.rows.append(Row(column[mine], value[mine].astype(np.float64), float(side), is_exact))


def best(told: Problem, seconds: float) -> tuple[Moves, bool] | None:
    """Return the moves of fewest GiB after which no host is hot, as far as the solver finds out in that time, and whether it
    proved that; None where it finds no placement at all. The order of moves is not modelled: a placement may need more."""
    never = np.zeros((len(told.vms), len(told.hosts)), np.bool_)
    heat = replace(told.heat, vm_cost=told.heat.vm_memory)
    found = optimum(heat, never, told.doors.groups(), seconds)
    if found.at is None or found.hot:
        return None
    goes = np.flatnonzero(np.array(found.at) != heat.vm_host).tolist()
    return [(told.vms[vm], told.hosts[heat.vm_host[vm]], told.hosts[found.at[vm]]) for vm in goes], found.is_proven


@dataclass(frozen=True)
class Peer:
    """What another program did: its moves, how many processor seconds it took, and whether it was stopped before its end."""

    moves: Moves
    seconds: float
    is_stopped: bool


def hbal(found: Instance, seconds: float) -> Peer:
    """Run hbal with its defaults and the loads of the instance. It tells each move as soon as it has found it: what it had
    found when its time, in seconds on the wall, was over counts."""
    with TemporaryDirectory() as place:
        (Path(place) / "t").write_text(_for_htools(found))
        (Path(place) / "u").write_text("".join(
            f"{vm['name']} {vm['cpu_load']:.3f} {vm['memory_mib'] / 1024:.3f} 0 {vm.get('net_mib_s', 0.0):.2f}\n"
            for vm in found["vms"]))
        begun, is_stopped = _children_seconds(), False
        try:
            said = subprocess.run(["hbal", "-t", f"{place}/t", "-U", f"{place}/u", "-v"],
                                  capture_output=True, text=True, timeout=seconds, check=False).stdout
        except subprocess.TimeoutExpired as late:
            said, is_stopped = late.stdout.decode() if isinstance(late.stdout, bytes) else late.stdout or "", True
        took = _children_seconds() - begun
    at = {vm["name"]: vm["host"] for vm in found["vms"]}
    moves: Moves = []
    for vm, _, target in STEP.findall(said):
        moves.append((vm, at[vm], target))
        at[vm] = target
    return Peer(moves, took, is_stopped)


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _for_htools(found: Instance) -> str:
    """Return the text input of Ganeti's htools: shared storage, groups as exclusion tags."""
    used = {host["name"]: 0 for host in found["hosts"]}
    for vm in found["vms"]:
        used[vm["host"]] += vm["memory_mib"]
    spec = "128,1,1,1,1,1|64,1,1,1,0,1;1048576,64,1048576,16,8,64|rbd|64.0|64.0"
    lines = ["group-01|uuid-01|preferred||", ""]
    lines += [f"{host['name']}|{host['memory_mib']}|0|{host['memory_mib'] - used[host['name']]}|1000000|1000000|"
              f"{host['cpus']}|N|uuid-01|1||N|0|1|1.0" for host in found["hosts"]]
    lines.append("")
    for vm in found["vms"]:
        tag = f"apart:{vm['group']}" if vm["group"] else ""
        cpus = vm.get("vcpus") or max(1, round(vm["cpu_load"]))
        lines.append(f"{vm['name']}|{vm['memory_mib']}|1|{cpus}|running|Y|{vm['host']}||rbd|{tag}|1|1|N")
    return "\n".join([*lines, "", "htools:iextags:apart", "", f"|{spec}", f"group-01|{spec}"]) + "\n"
