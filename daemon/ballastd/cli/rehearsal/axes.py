"""What all pictures have in common: hours below, the time of day above, and a mark wherever an invariant broke."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ballastd.cli.rehearsal import canvas
from ballastd.cli.rehearsal.timeline import span_hours
from ballastd.cli.rehearsal.words import wall_of
from ballastd.core.rehearsed import Rehearsed

if TYPE_CHECKING:
    from ballastd.cli.rehearsal.canvas import Axes, Figure

_STEPS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 6.0, 12.0, 24.0, 48.0, 168.0, 336.0, 720.0, 2160.0, 8760.0)
"""Hours between ticks."""
_MINUTES = (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720)
_TICKS_MAX = 13
_DAY = timedelta(days=1)
VIOLATIONS_MAX = 200


def hours_below(axes: Axes, rehearsed: Rehearsed, *, titled: bool = True) -> None:
    """Put hours since the beginning under ``axes``."""
    span = span_hours(rehearsed)
    step = next((one for one in _STEPS if span / one < _TICKS_MAX), span / 6)
    places = [place * step for place in range(math.floor(span / step + 1e-9) + 1)]
    axes.set_xlim(0.0, span)
    canvas.ticks(axes.xaxis, places, [f"{place:g}" for place in places] if titled else [""] * len(places))
    if titled:
        axes.set_xlabel("hours since the beginning")


def day_above(axes: Axes, rehearsed: Rehearsed) -> None:
    """Put the time of day in UTC above ``axes``, nothing where it is not known."""
    span = span_hours(rehearsed)
    began, ends = wall_of(rehearsed.began_wall, 0.0), wall_of(rehearsed.began_wall, span * 3600.0)
    if began is None or ends is None:
        return
    marks = _marks(began, ends)
    upper = axes.secondary_xaxis("top")
    upper.set_xlabel(f"UTC, from {began:%Y-%m-%d %H:%M}")
    upper.spines["top"].set_visible(True)
    canvas.ticks(upper.xaxis, [(mark - began).total_seconds() / 3600.0 for mark in marks],
                 [_named(mark, ends - began) for mark in marks])


def _marks(began: datetime, ends: datetime) -> list[datetime]:
    """Return round moments of the day between the two, or midnights where they lie days apart."""
    span = ends - began
    step = next((timedelta(minutes=one) for one in _MINUTES if span / timedelta(minutes=one) < _TICKS_MAX),
                _DAY * max(1, math.ceil(span / (_DAY * (_TICKS_MAX - 1)))))
    midnight = began.replace(hour=0, minute=0, second=0, microsecond=0)
    first = midnight + step * math.ceil((began - midnight) / step) if step < _DAY else midnight + _DAY * (began > midnight)
    return [first + step * place for place in range(int((ends - first) / step) + 1)] if first <= ends else []


def _named(mark: datetime, span: timedelta) -> str:
    if mark.hour == mark.minute == 0:
        return f"{mark.day} {mark:%b}"
    return f"{mark:%H:%M}" if span > timedelta(minutes=1) else f"{mark:%H:%M:%S}"


def violations_on(axes: Axes, rehearsed: Rehearsed) -> None:
    """Mark when invariants did not hold, the first ``VIOLATIONS_MAX`` of them: a triangle above, and a line so thin that
    it hides nothing."""
    times = sorted({violation.at / 3600.0 for violation in rehearsed.violations})[:VIOLATIONS_MAX]
    if times:
        axes.vlines(times, 0.0, 1.0, transform=axes.get_xaxis_transform(), colors=canvas.RED, linewidth=0.8,
                    linestyles="dashed", zorder=5)
        axes.scatter(times, [1.0] * len(times), transform=axes.get_xaxis_transform(), marker="v", s=42, color=canvas.RED,
                     edgecolors=canvas.PAPER, linewidths=0.6, clip_on=False, zorder=6, label="violation")


def counts_beside(axes: Axes, most: float) -> None:
    """Put whole numbers up to ``most`` beside ``axes``, which leave a little room above it."""
    step = next(one * 10 ** power for power in range(9) for one in (1, 2, 5) if most / (one * 10 ** power) <= 6)
    places = range(0, int(most) + 1, step)
    canvas.ticks(axes.yaxis, list(places), [f"{place:,}" for place in places])
    axes.set_ylim(0.0, max(1.0, most) * 1.12)


def headed(figure: Figure, rehearsed: Rehearsed, title: str) -> None:
    """Say above everything what is shown, and of which cluster."""
    figure.suptitle(f"{canvas.label_of(rehearsed.cluster)}: {title}", x=0.01, ha="left", fontsize=12.0, fontweight="bold")


def legend_above(axes: Axes, columns: int = 6, of: Axes | None = None) -> None:
    """Put a legend (``of`` other axes) at the right end of the title's line, where anything has a label."""
    handles, labels = (of or axes).get_legend_handles_labels()
    if handles:
        axes.legend(handles, labels, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=columns, borderaxespad=0.2,
                    handlelength=1.4, columnspacing=1.2)


def nothing_in(axes: Axes, words: str) -> None:
    """Say in the middle of ``axes`` that there is nothing to see."""
    axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center", va="center", color=canvas.FAINT)
    axes.set_yticks([])
