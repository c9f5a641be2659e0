"""What came of rounds, kills, measurements and seeded faults, in a file: a line of JSON each, so that a further run goes on
counting after the last."""

from __future__ import annotations

import hashlib
import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.lab import missing

Report = Callable[[list[dict[str, Any]]], int]
ROOT = Path(__file__).resolve().parents[1]
DAEMON = ROOT / "daemon"


def add(path: Path, row: dict[str, Any]) -> None:
    """Append one outcome; the file is made where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def read(path: Path) -> list[dict[str, Any]]:
    """Return the outcomes in a file, none where there is none."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def product(*folders: Path) -> str:
    """Return what tells the daemon as it is now, or what is in these folders, from what it was before any source there
    changed."""
    digest = hashlib.sha256()
    for folder in folders or (DAEMON,):
        for path in sorted(folder.rglob("*.py")):
            digest.update(f"{path.relative_to(folder)} {path.stat().st_size}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def opened(parser: ArgumentParser, out: Path, report: Report) -> Namespace:
    """Return what was chosen, once there is a lab to play on. ``out``: where outcomes go unless said otherwise.

    Raises:
        SystemExit: only a report was wanted, which is printed, or there can be no lab here.
    """
    parser.add_argument("--out", type=Path, default=out)
    parser.add_argument("--report", type=Path, help="only report what is in a file")
    options = parser.parse_args()
    if options.report:
        sys.exit(report(read(options.report)))
    if missing():
        print(f"no lab here: {missing()}", file=sys.stderr)
        sys.exit(2)
    return options
