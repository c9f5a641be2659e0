"""Migrations in flight over time, and each move as a mark: when it was ordered, how long it took, and for which policy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ballastd.cli.formats import NOTHING
from ballastd.cli.rehearsal import canvas
from ballastd.cli.rehearsal.account import COMPLETED, by_policy, took
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
from ballastd.core.rehearsed import Rehearsed, RehearsedMove

if TYPE_CHECKING:
    from ballastd.cli.rehearsal.canvas import Axes, Figure

TITLE = "migrations"
HEIGHT = 5.5
_LOOKS = ((canvas.BLUE, "o"), (canvas.ORANGE, "s"), (canvas.GREEN, "^"), (canvas.PURPLE, "D"), (canvas.SKY, "v"),
          (canvas.BLACK, "P"))
"""A colour and a shape for each policy: either alone tells them apart."""
_OTHERS = ("#9a8c5c", ".")
_MARKS_MAX = 2000
"""More marks than these are one image inside an SVG, which would grow by a line for each."""
_WIDE = 60.0
"""Durations whose longest is this many times the shortest stand on a logarithmic axis."""


def describe(rehearsed: Rehearsed) -> str:
    """Return in words what the picture shows."""
    if not rehearsed.moves:
        return "No VM was moved."
    each = ", ".join(f"{of.count} by {of.policy or NOTHING}" for of in by_policy(rehearsed.moves)[:len(_LOOKS)])
    most = max((sample.in_flight for sample in rehearsed.samples), default=None)
    open_ = "" if most is None else f" At most {most} were seen in flight at once."
    return f"{counted(len(rehearsed.moves), 'move')}: {each}.{open_}"


def draw(rehearsed: Rehearsed, figure: Figure) -> None:
    """Draw the picture."""
    grid = figure.add_gridspec(2, 1, height_ratios=(1, 2))
    above, below = figure.add_subplot(grid[0]), figure.add_subplot(grid[1])
    _in_flight(above, rehearsed)
    _marks(below, rehearsed)
    for axes in (above, below):
        violations_on(axes, rehearsed)
        hours_below(axes, rehearsed, titled=axes is below)
    day_above(above, rehearsed)
    legend_above(below, columns=4)
    headed(figure, rehearsed, TITLE)


def _in_flight(axes: Axes, rehearsed: Rehearsed) -> None:
    line = timeline(rehearsed)
    if line is None:
        nothing_in(axes, "nothing was sampled")
        return
    most = np.append(line.in_flight, line.in_flight[-1:])
    axes.fill_between(line.edges, 0, most, step="post", color=canvas.BLUE, alpha=0.28, linewidth=0)
    axes.step(line.edges, most, where="post", color=canvas.BLUE, linewidth=1.2)
    counts_beside(axes, float(most.max()))
    axes.set_ylabel("in flight")
    axes.grid(True, axis="y")


def _marks(axes: Axes, rehearsed: Rehearsed) -> None:
    if not rehearsed.moves:
        nothing_in(axes, "no VM was moved")
        return
    shown = [of.policy for of in by_policy(rehearsed.moves)]
    looks = dict(zip(shown, _LOOKS, strict=False))
    groups = [(policy, looks[policy], [move for move in rehearsed.moves if move.policy == policy]) for policy in looks]
    rest = [move for move in rehearsed.moves if move.policy not in looks]
    if rest:
        groups.append((f"{len(shown) - len(looks)} other policies", _OTHERS, rest))
    for name, (colour, marker), moves in groups:
        _group(axes, rehearsed, moves, colour, marker, f"{len(moves):,} {canvas.label_of(name or NOTHING)}")
    _not_completed(axes, rehearsed)
    _durations(axes, rehearsed)


def _group(axes: Axes, rehearsed: Rehearsed, moves: list[RehearsedMove], colour: str, marker: str, words: str) -> None:
    axes.scatter([move.ordered_at / 3600.0 for move in moves], [_minutes(rehearsed, move) for move in moves], s=22,
                 marker=marker, color=colour, alpha=0.85, linewidths=0, label=words, zorder=3,
                 rasterized=len(rehearsed.moves) > _MARKS_MAX)


def _not_completed(axes: Axes, rehearsed: Rehearsed) -> None:
    found = [move for move in rehearsed.moves if move.ending != COMPLETED]
    if found:
        axes.scatter([move.ordered_at / 3600.0 for move in found], [_minutes(rehearsed, move) for move in found], s=70,
                     marker="o", facecolors="none", edgecolors=canvas.RED, linewidths=1.1, zorder=4,
                     label=f"{len(found):,} not completed", rasterized=len(rehearsed.moves) > _MARKS_MAX)


def _durations(axes: Axes, rehearsed: Rehearsed) -> None:
    minutes = [one for move in rehearsed.moves if (one := _minutes(rehearsed, move)) > 0]
    axes.set_ylabel("minutes taken")
    axes.grid(True)
    if minutes and max(minutes) > _WIDE * min(minutes):
        axes.set_yscale("log")
        places = [place for place in (1 / 60, 0.1, 1 / 3, 1, 3, 10, 30, 100, 300, 1000, 3000)
                  if min(minutes) / 3 <= place <= max(minutes) * 3]
        canvas.ticks(axes.yaxis, places, [f"{place:.2g}" for place in places])
        axes.minorticks_off()
    else:
        axes.set_ylim(0.0, max(minutes, default=1.0) * 1.12)


def _minutes(rehearsed: Rehearsed, move: RehearsedMove) -> float:
    """Return how long a move took; one that still runs, how long so far."""
    seconds = took(move)
    return max(0.0, rehearsed.seconds - move.ordered_at if seconds is None else seconds) / 60.0
