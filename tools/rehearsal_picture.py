"""Draw docs/pictures/rehearsal-load.png anew: ``.venv/bin/python -m tools.rehearsal_picture``. The same bytes each time."""

from __future__ import annotations

from pathlib import Path

from tests.rehearsals import a_day

from ballastd.cli.rehearsal.pictures import pictures

PLACE = Path(__file__).parents[1] / "docs" / "pictures" / "rehearsal-load.png"

if __name__ == "__main__":
    [load] = [picture for picture in pictures(a_day(12, 144)) if picture.name == "load"]
    PLACE.write_bytes(load.png)
