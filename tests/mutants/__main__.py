"""``python -m tests.mutants``: throw every seeded fault into a copy of the code, and show which net catches it.

    python -m tests.mutants [--only WORDS] [--jobs 2] [--every-net] [--out FILE]

Nets are tried cheapest first and the first catch ends it; with --every-net all of them are tried. All of it takes hours. With
--out a run that was ended goes on: what became of each is appended to FILE, a line each, and what was caught there of the
same daemon is not thrown again; of another one, the very test that caught a fault then is tried first, which takes seconds
instead of minutes. The working tree is never touched. Exit status 1 if a fault survives every net, 2 if the list does not fit
the code any more.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.mutants.catalogue import ALL
from tests.mutants.mutant import NETS, Mutant
from tests.results import add, product, read

ROOT = Path(__file__).parents[2]
COPIED = ("benchmarks", "daemon", "tests", "policies", "config", "docs", "README.md", "pyproject.toml")
NET_SECONDS = {"crashes": 1200.0, "scenario": 1200.0, "seeds": 2400.0, "simulation": 1200.0}
NET_SECONDS_ELSE = 400.0
"""How long a net may take before what was thrown into it counts as hanging."""
FIRST_FAILURE = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.MULTILINE)


FAILED, INTERRUPTED = 1, 2
"""How pytest ends where a test fails, and where the first failure ends several processes."""


@dataclass(frozen=True)
class Catch:
    """What became of a mutant in a net: the test that caught it, or None. ``of``: of which sabotage of which daemon."""

    net: str
    test: str | None
    of: str = ""


NOWHERE = Catch("", None)


def main() -> int:
    """Throw them all in; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="mutants whose name contains this")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--every-net", action="store_true")
    parser.add_argument("--out", type=Path, help="where outcomes are appended, and looked up")
    options = parser.parse_args()
    chosen = [m for m in ALL if options.only in m.name]
    misfits = [m.name for m in chosen if not fits(m)]
    if misfits or not chosen:
        print("the list does not fit the code any more:", ", ".join(misfits) or "nothing chosen", file=sys.stderr)
        return 2
    ours, rows = product(), read(options.out) if options.out else []
    earlier = caught_in(rows)
    due = [m for m in chosen if options.every_net or earlier.get(m.name, NOWHERE).of != thrown(m, ours)]
    broken = baseline(due, options.jobs) if due else None
    if broken:
        print(f"a net is torn before anything is thrown into it: {broken}", file=sys.stderr)
        return 2
    survivors = 0
    with ThreadPoolExecutor(options.jobs) as pool:
        # who names nets of his own, which are cheap, comes first
        running = {pool.submit(throw, m, options.every_net, earlier.get(m.name)): m for m in sorted(due, key=lambda m: not m.nets)}
        for number, done in enumerate(as_completed(running), 1):
            mutant, catches = running[done], done.result()
            caught = [c for c in catches if c.test]
            survivors += not caught
            shown = "; ".join(f"{c.net}: {c.test}" for c in caught) or "SURVIVES " + ", ".join(c.net for c in catches)
            print(f"{number:4} of {len(due)}  {mutant.name:55} {shown}", flush=True)
            if options.out:
                add(options.out, {"mutant": mutant.name, "of": thrown(mutant, ours), "caught": {c.net: c.test for c in catches}})
    print(f"{len(chosen) - survivors} of {len(chosen)} seeded faults caught, {len(chosen) - len(due)} of them in an earlier run")
    return 1 if survivors else 0


def thrown(mutant: Mutant, ours: str) -> str:
    """Return what tells this sabotage of this daemon from any other."""
    return hashlib.sha256(f"{ours} {mutant.path} {mutant.old} {mutant.new}".encode()).hexdigest()[:12]


def fits(mutant: Mutant) -> bool:
    """Return whether what a mutant replaces stands in the code, once."""
    return (ROOT / mutant.path).read_text().count(mutant.old) == 1


def baseline(chosen: list[Mutant], jobs: int) -> str | None:
    """Return what fails on an untouched copy, over every net that the chosen mutants name, so many files at a time; None if
    all is well."""
    paths = sorted({path.split("::")[0] for m in chosen for _, some in (m.nets or tuple(NETS.items())) for path in some})
    with tempfile.TemporaryDirectory(prefix="mutant-") as place:
        return first_failure(fresh_copy(Path(place)), ("-n", str(jobs), "--dist", "loadfile", *paths), sum(NET_SECONDS.values()))


def fresh_copy(copy: Path) -> Path:
    """Copy what the nets need into an empty directory."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy / name)
    return copy


def caught_in(rows: list[dict[str, Any]]) -> dict[str, Catch]:
    """Return what caught each mutant last, of those that were caught."""
    found = ((row["mutant"], Catch(net, test, row["of"])) for row in rows for net, test in row["caught"].items() if test)
    return dict(found)


def throw(mutant: Mutant, every_net: bool, earlier: Catch | None = None) -> list[Catch]:
    """Run the nets on a copy with one sabotage in it. ``earlier``: what caught it before, which is tried first."""
    catches = []
    with tempfile.TemporaryDirectory(prefix="mutant-") as place:
        copy = fresh_copy(Path(place))
        victim = copy / mutant.path
        victim.write_text(victim.read_text().replace(mutant.old, mutant.new))
        if earlier and (test := found_again(copy, earlier.test or "")) and not every_net:
            caught = first_failure(copy, (test,), NET_SECONDS.get(earlier.net, NET_SECONDS_ELSE))
            if caught:
                return [Catch(earlier.net, caught)]
        for net, paths in (mutant.nets or tuple(NETS.items())):
            files = nearest_first(copy, paths, mutant.path)
            catches.append(Catch(net, first_failure(copy, files, NET_SECONDS.get(net, NET_SECONDS_ELSE))))
            if catches[-1].test and not every_net:
                break
    return catches


def nearest_first(copy: Path, paths: tuple[str, ...], sabotaged: str) -> tuple[str, ...]:
    """Return the same net with its directories as files, those first that import what is sabotaged, then those of its
    part of the daemon: the first failure ends a net, and most often it is there."""
    home, _, module = sabotaged.removeprefix("daemon/").removesuffix(".py").replace("/", ".").rpartition(".")
    part = home.rpartition(".")[2]
    imports = re.compile(rf"from {re.escape(home)}(\.| import (.*\b)?){module}\b")
    files = [file for path in paths for file in (sorted((copy / path).rglob("test_*.py")) or [copy / path])]
    near = sorted(files, key=lambda file: (not (file.is_file() and imports.search(file.read_text())), part not in file.parts))
    return tuple(str(file.relative_to(copy)) for file in near)


def found_again(copy: Path, test: str) -> str | None:
    """Return where a test (``file.py::name[case]``) stands now, None if it is nowhere, or in several files."""
    file, _, name = test.partition("::")
    places = [path for path in (copy / "tests").rglob(file) if f"def {name.partition('[')[0]}(" in path.read_text()]
    return f"{places[0].relative_to(copy)}::{name.partition('[')[0]}" if len(places) == 1 else None


def first_failure(copy: Path, paths: tuple[str, ...], seconds: float) -> str | None:
    """Return the first test that fails on the copy, ``(time limit)`` for one that hangs, None if all pass."""
    environment = {**os.environ, "PYTHONPATH": str(copy / "daemon"), "HYPOTHESIS_STORAGE_DIRECTORY": str(copy / ".hyp")}
    code = ("import ballastd, sys, pytest; "
            f"assert ballastd.__file__.startswith({str(copy)!r}), ballastd.__file__; sys.exit(pytest.main(sys.argv[1:]))")
    try:
        done = subprocess.run([sys.executable, "-c", code, "-x", "-q", "-p", "no:cacheprovider", *paths], cwd=copy,
                              env=environment, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return "(time limit)"
    if done.returncode == 0:
        return None
    found = FIRST_FAILURE.search(done.stdout)
    if done.returncode not in (FAILED, INTERRUPTED) or found is None:
        raise RuntimeError(f"the net itself broke: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return found[1].split("/")[-1]


if __name__ == "__main__":
    sys.exit(main())
