"""The head of a frame: posture, what holds the daemon back, the cluster in numbers, and how old all that is."""

from __future__ import annotations

from dataclasses import dataclass

from ballastd.cli.formats import age, clock, share, size
from ballastd.cli.live import choosing
from ballastd.cli.live.grid import DIM, Line, Span, cut, flow
from ballastd.cli.live.rules import change
from ballastd.cli.live.section import load
from ballastd.cli.live.signs import Signs, bar, shown
from ballastd.cli.output import PICTURE_AGE_MAX, TONES
from ballastd.core.views import ClusterView

BAR = 16
ROOMY = 8
"""With that many lines the cluster in numbers may take three."""
ALARM = "bold reverse red"


@dataclass(frozen=True, slots=True)
class Picture:
    """What is known of the daemon. ``view``: the last that was had, None before the first. ``trouble``: why it
    is not shown anew, empty while it is; ``silent``: seconds since it last was, or since it was first asked for;
    ``answers``: whether the daemon says so itself."""

    view: ClusterView | None
    trouble: str = ""
    silent: float = 0.0
    answers: bool = False


def header(picture: Picture, now: float, width: int, lines_max: int, signs: Signs, bar_width: int = BAR) -> list[Line]:
    """Return the lines above all sections, ``lines_max`` at most: trouble first, then posture and gates.

    ``now``: wall seconds here. ``bar_width``: of the cluster's loads, 0 for none.
    """
    lines = [_span_line((f" {title} ", ALARM), (f" {text}", ""), width, signs) for title, text in _alarms(picture, now)]
    if picture.view is None:
        return lines[:lines_max]
    numbers = flow(_numbers(picture.view, now, signs, bar_width), width, 2 if lines_max < ROOMY else 3, signs)
    gates = [_span_line((f"{word:<8}", tone), (text, ""), width, signs) for word, tone, text in _held(picture.view)]
    room = max(1, lines_max - len(lines))
    # the numbers come first on the screen, but their further lines give way to what holds the daemon back
    return [*lines, *numbers[:max(1, room - len(gates))], *gates][:lines_max]


def _alarms(picture: Picture, now: float) -> list[tuple[str, str]]:
    view = picture.view
    if picture.trouble:
        last = "no picture yet" if view is None else f"the picture is {_behind(view, now)} old"
        title = f"NO {'PICTURE' if picture.answers else 'ANSWER'} for {age(picture.silent)}"
        return [(title, f"{last}: {' '.join(picture.trouble.split())}")]
    if view is not None and now - view.wall > PICTURE_AGE_MAX:
        return [("OLD", f"this picture is {_behind(view, now)} old; the daemon has not finished a step since")]
    return []


def _behind(view: ClusterView, now: float) -> str:
    return age(max(0.0, now - view.wall))


def _held(view: ClusterView) -> list[tuple[str, str, str]]:
    gates = []
    for gate in view.gates:
        left = "" if gate.until_wall is None else f" (for {age(max(0.0, gate.until_wall - view.wall))})"
        gates.append(("held by", "yellow", f"{gate.kind}: {gate.reason}{left}"))
    return [*gates, *(("note", DIM, note) for note in view.notes)]


def _numbers(view: ClusterView, now: float, signs: Signs, bar_width: int) -> list[Line]:
    posture = shown(view.posture, signs.encoding)
    running = sum(1 for m in view.migrations if m.settled_wall is None)
    parts: list[Line] = [
        (("ballastd ", "bold"), (posture, f"bold {TONES.get(posture, '')}".rstrip())),
        _said(f"step {view.revision}, {_behind(view, now)} ago", signs),
        *_loads(view, signs, bar_width),
        _said(f"{len(view.hosts)} hosts: {choosing.tally(host.health for host in view.hosts) or 'none'}", signs),
        _said(f"{len(view.vms)} VMs: {choosing.tally(vm.state for vm in view.vms) or 'none'}", signs),
        _said(f"migrations: {running} open, {len(view.moves)} planned", signs),
    ]
    changes = [window for window in view.windows if window.changes_wall is not None]
    if changes:
        first = min(changes, key=lambda window: (window.changes_wall or 0.0, window.name))
        parts.append(_said(f"{first.name} {change(view, first)}", signs))
    return [*parts, _said(f"policies {view.policies_digest[:12] or 'none loaded'}", signs), _said(clock(view.wall), signs)]


def _loads(view: ClusterView, signs: Signs, bar_width: int) -> list[Line]:
    up = [host for host in view.hosts if host.reachable]
    limit = sum(host.memory_limit for host in up)
    held = sum(host.memory_used + host.memory_reserved for host in up)
    return [_load("CPU", choosing.cpu_of_all(view.hosts), "", signs, bar_width),
            _load("memory", held / limit if limit > 0 else None, f" of {size(limit)}", signs, bar_width)]


def _load(word: str, used: float | None, more: str, signs: Signs, bar_width: int) -> Line:
    said = (f"{share(used)}{more}", "")
    if not bar_width:
        return ((f"{word} ", ""), said)
    filled, rest = bar((0.0 if used is None else used,), bar_width, signs)
    return ((f"{word} ", ""), (filled, load(used).tone), (rest, DIM), (" ", ""), said)


def _said(text: str, signs: Signs) -> Line:
    return ((shown(text, signs.encoding), ""),)


def _span_line(word: Span, text: Span, width: int, signs: Signs) -> Line:
    return cut((word, (shown(text[0], signs.encoding), text[1])), width, signs)
