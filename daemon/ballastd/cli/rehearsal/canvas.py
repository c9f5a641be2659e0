"""What pictures are drawn on. The only module that says matplotlib, and not before a picture is wanted."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ballastd.cli.formats import printable
from ballastd.errors import ConfigurationError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Axes", "Figure"]  # types, for those who draw: they need not name matplotlib

MISSING = "matplotlib is not installed, and pictures are drawn with it; pip install 'ballastd[pictures]'"
DOTS_PER_INCH = 150
INK, FAINT, GRID, PAPER = "#1f2328", "#57606a", "#d0d7de", "#ffffff"
"""Text, lesser text, lines, ground: a page may put others in their place."""
BLUE, RED, GREEN, ORANGE, SKY, PURPLE, BLACK = "#0072b2", "#d55e00", "#009e73", "#e69f00", "#56b4e9", "#cc79a7", "#767676"
"""Okabe and Ito: told apart whatever colours an eye can see. The last is a grey, so that it shows on dark ground."""
_IDLE, _BUSY, _OVER, _FAR_OVER = (0xEA, 0xF2, 0xF8), (0x08, 0x45, 0x7E), (0xF0, 0x7A, 0x2B), (0x8A, 0x1C, 0x00)
FAR_OVER = 1.5
"""From this demand on a cell of a heat map is as dark as it gets."""
_STYLE: dict[str, Any] = {
    "svg.hashsalt": "ballastd", "svg.fonttype": "none", "font.family": ["DejaVu Sans"], "font.size": 9.0,
    "text.color": INK, "axes.labelcolor": FAINT, "xtick.color": FAINT, "ytick.color": FAINT, "axes.edgecolor": GRID,
    "axes.facecolor": "none", "figure.facecolor": PAPER, "savefig.facecolor": PAPER, "grid.color": GRID,
    "grid.linewidth": 0.6, "axes.axisbelow": True, "axes.spines.top": False, "axes.spines.right": False,
    "axes.titlesize": 10.0, "axes.titlelocation": "left", "axes.titleweight": "bold", "legend.frameon": False,
    "legend.fontsize": 8.0, "hatch.linewidth": 0.5, "figure.constrained_layout.use": True, "text.parse_math": False,
}
_NO_DATES: dict[str, Any] = {"Date": None, "Creator": None, "Format": None, "Type": None}


def drawn(width: float, height: float, draw: Callable[[Figure], None]) -> tuple[str, bytes]:
    """Return what ``draw`` draws on a figure of so many inches: SVG and PNG. The same drawing gives the same bytes.

    Raises:
        ConfigurationError: matplotlib is not installed.
    """
    with _our_style():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH)
        draw(figure)
        return _svg(figure), _png(figure)


def needed() -> None:
    """Make sure that pictures can be drawn.

    Raises:
        ConfigurationError: matplotlib is not installed.
    """
    try:
        import matplotlib  # noqa: F401  that it is there is all we ask
    except ImportError as error:
        raise ConfigurationError((f"pictures: {MISSING}, or leave out svg and png",)) from error


@contextmanager
def _our_style() -> Iterator[None]:
    needed()
    import matplotlib

    with matplotlib.rc_context(), warnings.catch_warnings():
        # a name in a script that our font lacks: boxes in a PNG, and in an SVG whatever font its reader has
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
        matplotlib.rcdefaults()  # whoever has a matplotlibrc of their own gets the same bytes
        settings: Any = matplotlib.rcParams
        settings.update(_STYLE)
        yield


def _svg(figure: Figure) -> str:
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata=_NO_DATES)
    return file.getvalue()


def _png(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def heat(demand: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return the colours (RGBA) of demands: pale to dark blue up to all processors, orange to dark red beyond, and
    nothing at all where a demand is NaN. The first step beyond is a clear one."""
    share = np.nan_to_num(demand, nan=0.0)[..., None]
    within = _between(_IDLE, _BUSY, np.clip(share, 0.0, 1.0))
    beyond = _between(_OVER, _FAR_OVER, np.clip((share - 1.0) / (FAR_OVER - 1.0), 0.0, 1.0))
    opaque = np.where(np.isnan(demand), 0.0, 255.0)[..., None]
    return np.concatenate((np.where(share > 1.0, beyond, within), opaque), axis=-1).round().astype(np.uint8)


def _between(one: tuple[int, ...], other: tuple[int, ...], share: NDArray[np.float64]) -> NDArray[np.float64]:
    low, high = np.asarray(one, dtype=np.float64), np.asarray(other, dtype=np.float64)
    return low + share * (high - low)


def ticks(axis: Any, places: Sequence[float], labels: Sequence[str]) -> None:
    """Put ``labels`` at ``places`` of an axis, as they are."""
    axis.set_ticks(list(places), labels=[label_of(label) for label in labels])


def label_of(text: str, most: int = 28) -> str:
    """Return a name fit for a label: nothing that steers, and not too long."""
    plain = printable(text)
    return plain if len(plain) <= most else plain[: most - 1] + "…"
