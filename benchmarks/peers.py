"""What others make of the same clusters: bounds and best placements by an exact solver, and Ganeti's hbal.

The solver is HiGHS through scipy, hbal comes with the Debian package ganeti-htools; each is used where it is installed
(``uv sync --group peers``, ``apt-get install ganeti-htools``), and its columns stay empty where it is not.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.instances import GIB, HOT_CPU, HOT_MEMORY, Instance, Moves, Problem
from benchmarks.relieve import Spreads

TANGENTS = np.arange(-0.6, 0.61, 0.03)
"""Where the squares of the distances to the mean are touched: in between they are at most 0.000225 too small."""
STEP = re.compile(r"^\s*\d+\. (\S+)\s+(\S+)\s+=> (\S+)", re.MULTILINE)


def has_solver() -> bool:
    """Return whether scipy is installed."""
    return importlib.util.find_spec("scipy") is not None


def has_hbal() -> bool:
    """Return whether hbal is installed."""
    return shutil.which("hbal") is not None


def bound_gib(told: Problem, spreads: Spreads | None = None) -> float:
    """Return GiB below which no placement leaves all hosts cool, and, if that is asked, no more uneven than ``spreads``:
    fractions of VMs leave hosts, and come back to others as a stream of processors and bytes. Squares are bounded by their
    tangents. Weaker than a relaxation VM by VM, and small enough for any cluster."""
    from scipy.optimize import linprog

    heat, vms, hosts = told.heat, len(told.vms), len(told.hosts)
    everyone, rows = np.arange(vms), np.arange(hosts)
    equal, most = _Rows(), _Rows()
    used = ((heat.vm_cpu, heat.cpu, heat.cpu_mark, heat.cpu_mark / HOT_CPU),
            (heat.vm_memory / GIB, heat.memory / GIB, heat.memory_mark / GIB, heat.memory_mark / HOT_MEMORY / GIB))
    for index, (by_vm, load, mark, limit) in enumerate(used):
        stream = vms + index * (3 * hosts + 1) + rows
        share, square, mean = stream + hosts, stream + 2 * hosts, vms + index * (3 * hosts + 1) + 3 * hosts
        equal.add(load, (rows, share, limit), (heat.vm_host, everyone, by_vm), (rows, stream, -1.0))
        equal.add([0.0], (0, everyone, by_vm), (0, stream, -1.0))
        equal.add([0.0], (0, share, 1.0 / hosts), (0, mean, -1.0))
        most.add(mark / limit, (rows, share, 1.0))
        if spreads is not None:
            for at in TANGENTS:
                most.add(np.full(hosts, at * at), (rows, share, 2.0 * at), (rows, mean, -2.0 * at), (rows, square, -1.0))
            most.add([hosts * spreads[index] ** 2], (0, square, 1.0))
    columns = vms + 2 * (3 * hosts + 1)
    costs = np.concatenate([heat.vm_memory / GIB, np.zeros(columns - vms)])
    found = linprog(costs, A_ub=most.matrix(columns), b_ub=most.sides, A_eq=equal.matrix(columns), b_eq=equal.sides,
                    bounds=[(0, 1)] * vms + [(0, None)] * (columns - vms), method="highs")
    return float(found.fun) if found.fun is not None else float("nan")


class _Rows:
    """Rows of a linear program, sparse, in blocks."""

    def __init__(self) -> None:
        self.sides: list[float] = []
        self._parts: list[Any] = []

    def add(self, sides: Any, *parts: tuple[Any, Any, Any]) -> None:
        """Add as many rows as there are ``sides``. ``parts``: row of the block, column, value."""
        self._parts += [np.broadcast_arrays(np.atleast_1d(row) + len(self.sides), *rest) for row, *rest in parts]
        self.sides.extend(sides)

    def matrix(self, columns: int) -> Any:
        """Return the matrix."""
        from scipy.sparse import coo_array

        row, column, value = (np.concatenate([part[index] for part in self._parts]) for index in range(3))
        return coo_array((value, (row, column)), shape=(len(self.sides), columns))


def best_gib(told: Problem, seconds: float) -> float:
    """Return the fewest GiB after which no host is hot, as far as the solver finds out in that time, nan where it finds
    no placement at all. The order of moves is not modelled: a placement may need more."""
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import coo_array

    heat, vms, hosts = told.heat, len(told.vms), len(told.hosts)
    columns = np.arange(vms * hosts).reshape(vms, hosts)
    parts: list[tuple[Any, Any, Any]] = [(np.repeat(np.arange(vms), hosts), columns.ravel(), np.ones(vms * hosts))]
    low, high = [np.ones(vms)], [np.ones(vms)]
    at = vms
    for used, mark in ((heat.vm_cpu, heat.cpu_mark), (heat.vm_memory, heat.memory_mark)):
        parts.append((np.tile(at + np.arange(hosts), vms), columns.ravel(), (used[:, None] / mark[None, :]).ravel()))
        low.append(np.full(hosts, -np.inf))
        high.append(np.ones(hosts))
        at += hosts
    for members in told.doors.groups():
        for host in range(hosts):
            parts.append((np.full(len(members), at), columns[members, host], np.ones(len(members))))
            at += 1
        low.append(np.full(hosts, -np.inf))
        high.append(np.ones(hosts))
    costs = np.repeat(heat.vm_memory[:, None] / GIB, hosts, axis=1)
    costs[np.arange(vms), heat.vm_host] = 0.0
    row, column, value = (np.concatenate([part[index] for part in parts]) for index in range(3))
    found = milp(costs.ravel(), constraints=LinearConstraint(coo_array((value, (row, column)), shape=(at, vms * hosts)),
                                                             np.concatenate(low), np.concatenate(high)),
                 bounds=Bounds(0, 1), integrality=np.ones(vms * hosts), options={"time_limit": seconds})
    return float(found.fun) if found.x is not None else float("nan")


@dataclass(frozen=True)
class Peer:
    """What another program did: its moves, how long it took, and whether it was stopped before its end."""

    moves: Moves
    seconds: float
    is_stopped: bool


def hbal(found: Instance, seconds: float) -> Peer:
    """Run hbal with its defaults and the loads of the instance; what it had found when its time was over counts."""
    with TemporaryDirectory() as place:
        (Path(place) / "t").write_text(_for_htools(found))
        (Path(place) / "u").write_text("".join(
            f"{vm['name']} {vm['cpu_load']:.3f} {vm['memory_mib'] / 1024:.3f} 0 0\n" for vm in found["vms"]))
        begun, is_stopped = time.perf_counter(), False
        try:
            said = subprocess.run(["hbal", "-t", f"{place}/t", "-U", f"{place}/u", "-v"],
                                  capture_output=True, text=True, timeout=seconds, check=False).stdout
        except subprocess.TimeoutExpired as late:
            said, is_stopped = late.stdout.decode() if isinstance(late.stdout, bytes) else late.stdout or "", True
        took = time.perf_counter() - begun
    at = {vm["name"]: vm["host"] for vm in found["vms"]}
    moves: Moves = []
    for vm, _, target in STEP.findall(said):
        moves.append((vm, at[vm], target))
        at[vm] = target
    return Peer(moves, took, is_stopped)


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
        lines.append(f"{vm['name']}|{vm['memory_mib']}|1|{max(1, round(vm['cpu_load']))}|running|Y|{vm['host']}||rbd|{tag}"
                     "|1|1|N")
    return "\n".join([*lines, "", "htools:iextags:apart", "", f"|{spec}", f"group-01|{spec}"]) + "\n"
