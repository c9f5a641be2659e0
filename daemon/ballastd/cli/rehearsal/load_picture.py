"""Load per host over time: a row per host, and below it the hottest, the mean and the coolest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ballastd.cli.rehearsal import canvas
from ballastd.cli.rehearsal.account import overload
from ballastd.cli.rehearsal.axes import day_above, headed, hours_below, legend_above, nothing_in, violations_on
from ballastd.cli.rehearsal.timeline import Grid, Timeline, hosts_a_row, span_hours, timeline
from ballastd.cli.rehearsal.words import counted
from ballastd.core.rehearsed import Rehearsed

if TYPE_CHECKING:
    from ballastd.cli.rehearsal.canvas import Axes, Figure

WIDTH = 10.0
TITLE = "load per host"
_LABELS_MAX = 26
_ROW_HEIGHT, _LEAST_HEIGHT, _MOST_HEIGHT, _LINES_HEIGHT = 0.17, 0.9, 5.6, 2.1


def height(rehearsed: Rehearsed) -> float:
    """Return how many inches high the picture is."""
    return _map_height(rehearsed) + _LINES_HEIGHT + 1.3


def _map_height(rehearsed: Rehearsed) -> float:
    return min(_MOST_HEIGHT, max(_LEAST_HEIGHT, _ROW_HEIGHT * len(rehearsed.hosts)))


def describe(rehearsed: Rehearsed) -> str:
    """Return in words what the picture shows."""
    line = timeline(rehearsed)
    if line is None:
        return "Nothing was sampled."
    if np.isnan(line.hottest).all():
        return f"None of {counted(len(rehearsed.hosts), 'host')} was ever on."
    over = overload(rehearsed)
    beyond = (f"More was asked than there is of {counted(len(over.worst), 'host')}, for {over.host_minutes:,.1f} "
              "host-minutes in all")
    return (f"Processors asked for, of {counted(len(rehearsed.hosts), 'host')} over {span_hours(rehearsed):.4g} h. Hottest: "
            f"{np.nanmax(line.hottest):.0%}; highest mean: {np.nanmax(line.mean):.0%}; coolest: "
            f"{np.nanmin(line.coolest):.0%}. {beyond if over.worst else 'No host was asked for more than it has'}.")


def draw(rehearsed: Rehearsed, figure: Figure) -> None:
    """Draw the picture."""
    grid = figure.add_gridspec(2, 2, height_ratios=(_map_height(rehearsed), _LINES_HEIGHT), width_ratios=(60, 1))
    above, below = figure.add_subplot(grid[0, 0]), figure.add_subplot(grid[1, 0])
    line = timeline(rehearsed)
    if line is None:
        nothing_in(above, "nothing was sampled")
        nothing_in(below, "nothing was sampled")
    else:
        _map(above, rehearsed, line)
        _scale(figure.add_subplot(grid[0, 1]))
        _lines(below, line, several=len(rehearsed.hosts) > 1)
    for axes in (above, below):
        violations_on(axes, rehearsed)
        hours_below(axes, rehearsed, titled=axes is below)
    day_above(above, rehearsed)
    legend_above(below)
    below.set_title("hottest, mean and coolest host" if len(rehearsed.hosts) > 1 else "the only host")
    headed(figure, rehearsed, TITLE)


def _map(axes: Axes, rehearsed: Rehearsed, line: Timeline) -> None:
    rows = line.demand.shape[0]
    axes.patch.set(hatch="//////", edgecolor=canvas.GRID, facecolor="none", fill=True)
    axes.imshow(canvas.heat(line.demand), extent=(0.0, float(line.edges[-1]), rows - 0.5, -0.5), aspect="auto",
                interpolation="none")
    each = hosts_a_row(len(rehearsed.hosts))
    step = -(-rows // _LABELS_MAX)
    places = range(0, rows, step)
    canvas.ticks(axes.yaxis, list(places), [rehearsed.hosts[place * each] for place in places])
    axes.tick_params(axis="y", labelsize=7.5, length=2.0)
    if each > 1:
        axes.set_ylabel(f"{each} hosts a row, the hottest shown")


def _scale(axes: Axes) -> None:
    shades = np.linspace(0.0, canvas.FAR_OVER, 301)[:, None]
    axes.imshow(canvas.heat(shades), extent=(0.0, 1.0, 0.0, canvas.FAR_OVER), origin="lower", aspect="auto",
                interpolation="none")
    axes.set_xticks([])
    axes.yaxis.tick_right()
    canvas.ticks(axes.yaxis, (0.0, 0.5, 1.0, canvas.FAR_OVER), ("0%", "50%", "100%", f"{canvas.FAR_OVER:.0%}+"))
    axes.tick_params(axis="y", labelsize=7.5, length=2.0)
    axes.set_xlabel("off:\nhatched", fontsize=7.5)


def _lines(axes: Axes, line: Timeline, *, several: bool) -> None:
    def steps(values: Grid) -> Grid:
        return np.append(values, values[-1:]) * 100.0

    low, high, full = steps(line.coolest), steps(line.hottest), 100.0
    axes.fill_between(line.edges, low, high, step="post", color=canvas.SKY, alpha=0.25, linewidth=0)
    axes.fill_between(line.edges, full, np.fmax(high, full), step="post", color=canvas.RED, alpha=0.55, linewidth=0,
                      label="beyond capacity")
    if several:
        axes.step(line.edges, high, where="post", color=canvas.ORANGE, linewidth=1.2, label="hottest")
        axes.step(line.edges, low, where="post", color=canvas.GREEN, linewidth=1.2, linestyle=(0, (3, 1)), label="coolest")
    axes.step(line.edges, steps(line.mean), where="post", color=canvas.BLUE, linewidth=1.6,
              label="mean" if several else "load")
    axes.axhline(full, color=canvas.INK, linewidth=0.8)
    peak = float(np.nanmax(high)) if np.isfinite(high).any() else full
    axes.set_ylim(0.0, max(110.0, peak * 1.05))
    axes.set_ylabel("% of processors")
    axes.grid(True)
