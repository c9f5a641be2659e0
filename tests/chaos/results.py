"""What came of rounds and kills, in a file: a line of JSON each, so that a further run goes on counting after the last."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def add(path: Path, row: dict[str, Any]) -> None:
    """Append one outcome; the file is made where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def read(path: Path) -> list[dict[str, Any]]:
    """Return the outcomes in a file, none where there is none."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
