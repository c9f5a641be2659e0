"""What documents show of the live view, drawn by the code that draws it: `python -m tests.recordings` writes it anew."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ballastd.cli.live.frame import frame
from ballastd.cli.live.grid import text_of
from ballastd.cli.live.header import Picture
from ballastd.cli.live.signs import BLOCKS
from tests.pictures import NOW, a_full_view

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
WIDTH, HEIGHT = 120, 44


def top() -> str:
    """Return the frame of a night's work as text."""
    lines = frame(Picture(a_full_view()), NOW + 1, WIDTH, HEIGHT, BLOCKS)
    return "".join(f"{text_of(line).rstrip()}\n" for line in lines)


RECORDINGS: dict[str, Callable[[], str]] = {"top.txt": top}


def main() -> None:
    """Write every recording."""
    PICTURES.mkdir(exist_ok=True)
    for name, draw in RECORDINGS.items():
        (PICTURES / name).write_text(draw(), encoding="utf-8")


if __name__ == "__main__":
    main()
