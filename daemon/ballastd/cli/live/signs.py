"""What a frame is drawn with: bars, cuts, and the words of strangers made fit for one terminal and its width."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

from rich.cells import cell_len, set_cell_size

from ballastd.cli.formats import printable

_TEXT_MAX = 2000
_EIGHTHS = "▏▎▍▌▋▊▉█"


@dataclass(frozen=True, slots=True)
class Signs:
    """The signs of one terminal. ``parts``: what fills a cell by and by, the last one whole; ``second``: a whole cell
    of the share behind the first; ``empty``: a cell of neither; ``cut``: stands for what did not fit."""

    encoding: str
    parts: str
    second: str
    empty: str
    cut: str


BLOCKS = Signs("utf-8", _EIGHTHS, "▒", "░", "…")
PLAIN = Signs("ascii", "#", "+", ".", "~")


def signs_for(encoding: str) -> Signs:
    """Return the signs for a terminal that is written to in ``encoding``: blocks where it has them, else ASCII."""
    try:
        f"{BLOCKS.parts}{BLOCKS.second}{BLOCKS.empty}{BLOCKS.cut}".encode(encoding)
    except LookupError:
        return PLAIN
    except UnicodeEncodeError:
        return Signs(encoding, PLAIN.parts, PLAIN.second, PLAIN.empty, PLAIN.cut)
    return Signs(encoding, BLOCKS.parts, BLOCKS.second, BLOCKS.empty, BLOCKS.cut)


@lru_cache(maxsize=4096)
def shown(text: str, encoding: str) -> str:
    """Return ``text`` with every sign spelled out that would steer a terminal, or that its encoding lacks."""
    return printable(text[:_TEXT_MAX]).encode(encoding, "backslashreplace").decode(encoding)


def clipped(text: str, width: int, signs: Signs) -> str:
    """Return ``text``, cut with a sign for it where it takes more than ``width`` cells of a terminal."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - 1) + signs.cut if width > 0 else ""


def padded(text: str, width: int, signs: Signs, *, right: bool = False) -> str:
    """Return ``text`` in exactly ``width`` cells."""
    fit = clipped(text, width, signs)
    blanks = " " * (width - cell_len(fit))
    return blanks + fit if right else fit + blanks


def bar(shares: tuple[float, ...], width: int, signs: Signs) -> tuple[str, str]:
    """Return a bar of ``width`` cells in two pieces: what is filled, and the rest.

    ``shares``: of the whole, one or two, laid end to end; what is over the whole is cut off, what is no number is none.
    """
    first, second = (*(_share(share) for share in shares[:2]), 0.0)[:2]
    steps = len(signs.parts) if not second else 1  # a broken cell between two shares would read as a gap
    filled = round(first * width * steps)
    begun = signs.parts[filled % steps - 1] if filled % steps else ""
    full = signs.parts[-1] * (filled // steps) + begun
    behind = min(width - len(full), max(1, round(second * width))) if second else 0
    return full + signs.second * behind, signs.empty * (width - len(full) - behind)


def _share(share: float) -> float:
    return min(1.0, max(0.0, share)) if math.isfinite(share) else 0.0
