"""ProxLB beside our planner: installed into an environment of its own outside the tree, and run there on the same clusters.

ProxLB is free software under the GPL: nothing of it is in this tree, and nothing of this tree is in it. It is run as it is
published, in its version ``VERSION``, by ``benchmarks/proxlb_child.py`` in a process of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.instances import Instance, Moves

VERSION = "2.3.0"
WANTED = (f"proxlb=={VERSION}", "proxlb-solver==0.1.1", "ortools==9.15.6755")
CHILD = Path(__file__).with_name("proxlb_child.py")


class Unavailable(Exception):
    """ProxLB cannot be run here; says why."""


@dataclass(frozen=True)
class Run:
    """What ProxLB had moved after so many passes. ``seconds``: processor time of its calculation; ``status``: what its
    solver said, "" where it was not asked."""

    moves: Moves
    seconds: float
    passes: int
    is_done: bool
    status: str


def interpreter(given: Path | None) -> Path:
    """Return a Python that has ProxLB: the ``given`` one, or one in the user's cache, made at the first call.

    Raises:
        Unavailable: it cannot be installed, or the given one lacks it.
    """
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ballastd-benchmarks" / f"proxlb-{VERSION}"
    python = given or home / "bin" / "python"
    asked = [str(python), "-c", f"import importlib.metadata as m; assert m.version('proxlb') == '{VERSION}'"]
    if not given and not python.exists():
        _run([sys.executable, "-m", "venv", str(home)])
    try:
        _run(asked)
    except Unavailable:
        if given:
            raise
        _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *WANTED])
        _run(asked)
    return python


def _run(command: list[str]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=600.0)
    except subprocess.CalledProcessError as error:
        said = (error.stderr or error.stdout or "").strip().splitlines()
        raise Unavailable(f"{' '.join(command[:4])}: {said[-1] if said else error}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(str(error)) from error


def balance(python: Path, found: Instance, method: str, seconds: float, *, is_solver: bool = False) -> list[Run]:
    """Return what ProxLB moves by its ``method``, pass by pass; none where its time was over before its first ended.

    Raises:
        Unavailable: it failed.
    """
    # isolated: beside that script there is a module named as the package is
    told = json.dumps({"instance": found, "method": method, "seconds": seconds, "is_solver": is_solver})
    try:
        said = subprocess.run([str(python), "-I", str(CHILD)], input=told.encode(), capture_output=True, check=True,
                              timeout=3.0 * seconds if is_solver else seconds).stdout
    except subprocess.TimeoutExpired as late:
        said = late.stdout or b""
    except subprocess.CalledProcessError as error:
        raise Unavailable(error.stderr.decode(errors="replace").strip().splitlines()[-1]) from error
    whole = said[:said.rfind(b"\n") + 1].splitlines()
    runs = [json.loads(line) for line in whole]
    return [Run([tuple(move) for move in run["moves"]], run["seconds"], run["passes"], run["is_done"], run["status"])
            for run in runs]
