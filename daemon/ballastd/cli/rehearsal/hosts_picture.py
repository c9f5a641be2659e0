"""Hosts that were on over time, when hosts were told to go off or come on, and what that did to energy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ballastd.cli.rehearsal import canvas
from ballastd.cli.rehearsal.account import energy, hosts_off
from ballastd.cli.rehearsal.axes import (
    counts_beside,
    day_above,
    headed,
    hours_below,
    legend_above,
    nothing_in,
    violations_on,
)
from ballastd.cli.rehearsal.timeline import timeline
from ballastd.cli.rehearsal.words import counted
from ballastd.core.rehearsed import Rehearsed

if TYPE_CHECKING:
    from ballastd.cli.rehearsal.canvas import Axes, Figure

TITLE = "hosts on, and energy"
HEIGHT = 4.2
_UNKNOWN = "energy is unknown: the draw of at least one host is not declared"


def describe(rehearsed: Rehearsed) -> str:
    """Return in words what the picture shows."""
    line, spent = timeline(rehearsed), energy(rehearsed)
    off = sum(one.hours or 0.0 for one in hosts_off(rehearsed))
    counts = "" if line is None else (f"At least {line.fewest_on.min():.0f} and at most {line.most_on.max():.0f} "
                                      f"of {counted(len(rehearsed.hosts), 'host')} were on; {off:,.1f} host-hours off. ")
    if spent is None:
        return f"{counts}{_UNKNOWN[0].upper()}{_UNKNOWN[1:]}."
    share = "" if spent.share is None else f", {spent.share:.1%}"
    return f"{counts}Used {spent.used:,.1f} kWh of {spent.unmanaged:,.1f} kWh: {spent.saved:,.1f} kWh saved{share}."


def draw(rehearsed: Rehearsed, figure: Figure) -> None:
    """Draw the picture."""
    grid = figure.add_gridspec(2, 1, height_ratios=(5, 1))
    above, below = figure.add_subplot(grid[0]), figure.add_subplot(grid[1])
    _on(above, rehearsed)
    violations_on(above, rehearsed)
    hours_below(above, rehearsed)
    day_above(above, rehearsed)
    _energy(below, rehearsed)
    legend_above(below, of=above)
    headed(figure, rehearsed, TITLE)


def _on(axes: Axes, rehearsed: Rehearsed) -> None:
    line = timeline(rehearsed)
    if line is None:
        nothing_in(axes, "nothing was sampled")
        return
    most, fewest = (np.append(values, values[-1:]) for values in (line.most_on, line.fewest_on))
    axes.fill_between(line.edges, 0, fewest, step="post", color=canvas.BLUE, alpha=0.28, linewidth=0)
    axes.fill_between(line.edges, fewest, most, step="post", color=canvas.BLUE, alpha=0.5, linewidth=0)
    axes.step(line.edges, fewest, where="post", color=canvas.BLUE, linewidth=1.4, label="hosts on")
    axes.axhline(len(rehearsed.hosts), color=canvas.INK, linewidth=0.8, linestyle=(0, (2, 2)))
    axes.text(float(line.edges[-1]), len(rehearsed.hosts), f"all {len(rehearsed.hosts)} ", ha="right", va="bottom",
              fontsize=7.5, color=canvas.FAINT)
    _switches(axes, rehearsed, line.edges, fewest)
    counts_beside(axes, len(rehearsed.hosts))
    axes.set_ylabel("hosts on")
    axes.grid(True, axis="y")


def _switches(axes: Axes, rehearsed: Rehearsed, edges: np.ndarray, count: np.ndarray) -> None:
    for on, marker, colour, words in ((False, "v", canvas.PURPLE, "told off"), (True, "^", canvas.GREEN, "told on")):
        at = np.array([switch.at / 3600.0 for switch in rehearsed.switches if switch.on is on])
        if at.size:
            heights = count[np.clip(np.searchsorted(edges, at, side="right") - 1, 0, len(count) - 1)]
            axes.scatter(at, heights, s=26, marker=marker, color=colour, edgecolors=canvas.PAPER, linewidths=0.5,
                         zorder=4, label=words, rasterized=at.size > 2000)


def _energy(axes: Axes, rehearsed: Rehearsed) -> None:
    spent = energy(rehearsed)
    axes.spines[:].set_visible(False)
    axes.set_title("energy, kWh")
    if spent is None:
        axes.set_xticks([])
        nothing_in(axes, _UNKNOWN)
        return
    least = min(spent.used, spent.unmanaged)
    beyond = abs(spent.saved)
    words, colour = ("saved", canvas.GREEN) if spent.saved >= 0 else ("more than without us", canvas.RED)
    axes.barh(0, least, color=canvas.BLUE, alpha=0.45, height=0.8)
    axes.barh(0, beyond, left=least, color=colour, alpha=0.6, height=0.8)
    share = "" if spent.share is None else f" ({abs(spent.share):.1%})"
    whole = max(spent.used, spent.unmanaged, 1e-9)
    axes.text(whole * 0.01, 0, f"{spent.used:,.1f} used, {beyond:,.1f} {words}{share}", va="center", ha="left")
    axes.set_xlim(0.0, whole)
    axes.set_yticks([])
    axes.tick_params(axis="x", labelsize=7.5, length=2.0)
