"""A host that is being emptied, watched until it is empty: how much is safe, what is on its way, what cannot leave."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import click

from ballastd.cli.client import Daemon, DaemonUnreachable
from ballastd.cli.formats import NEVER, age, clock, printable, size, time_left
from ballastd.cli.live.signs import Signs, bar, clipped, signs_for
from ballastd.cli.output import Row

BAR_CELLS, CURVE_CELLS = 30, 40
STUCK_SHOWN = 6
WAITING_SHOWN = 4
PATIENCE_SECONDS = 30.0
"""So long what was asked for may take to show in what the daemon says."""
_RISING = "▁▂▃▄▅▆▇█"
EMPTYING = frozenset({"drain", "evacuate", "empty"})


@dataclass(frozen=True, slots=True)
class Picture:
    """What the daemon says of a host that is being emptied. ``running``: VMs that are still there, ``memory``: bytes that
    they may occupy; ``moves``: migrations out of it, ``stuck``: why VMs stay. ``is_wanted``: whether anybody still wants it
    empty. ``coverage``: seconds from now and how many VMs are safe by then. ``waiting``: who leaves and has not begun, in
    words."""

    host: str
    wall: float
    running: int
    memory: int
    is_wanted: bool
    forecast: str
    deadline_wall: float | None
    coverage: tuple[tuple[float, int], ...]
    moves: tuple[Row, ...]
    waiting: tuple[str, ...]
    stuck: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        """Whether nothing runs there any more, nor is on its way from there."""
        return self.running == 0 and not self.moves


@dataclass(slots=True)
class Course:
    """What there was at the beginning: VMs and bytes."""

    vms: int
    memory: int
    begun: float


def look(daemon: Daemon, host: str) -> Picture:
    """Ask the daemon how far a host is."""
    seen, plan = daemon.get("hosts", host), daemon.get("plan")
    migrations = daemon.get("migrations")["migrations"]
    wanted = next((one for one in plan["intents"] if one["host"] == host and one["kind"] in EMPTYING), None)
    coverage = wanted["coverage"] if wanted else []
    moving = tuple(one for one in migrations if one["source"] == host and one["settled_wall"] is None)
    begun = {one["vm"] for one in moving}
    waiting = tuple(_waiting(one) for one in (wanted["schedule"] if wanted else ()) if one["vm"] not in begun)
    stuck = dict.fromkeys(f"{no['vm_name'] or no['vm'] or 'the host'}: {no['detail']}" for no in plan["noes"]
                          if no["host"] == host and no["sort"] == "refusal")
    return Picture(
        host, plan["wall"], seen["vms_running"], seen["memory_used"], "draining" in seen["marks"] or wanted is not None,
        wanted["forecast"] if wanted else "", wanted["deadline_wall"] if wanted else None,
        tuple((point["seconds"], point["vms"]) for point in coverage),
        moving, waiting, tuple(stuck))


def lines(picture: Picture, course: Course, signs: Signs, now: float) -> list[str]:
    """Return the picture as text: how much is safe, the curve ahead, a line for each move, and why VMs stay."""
    safe, memory = max(0, course.vms - picture.running), max(0, course.memory - picture.memory)
    share = safe / course.vms if course.vms else 1.0
    found = [f"{picture.host}: {safe} of {course.vms} VMs safe, {size(memory)} of {size(course.memory)}  "
             f"{''.join(bar((share,), BAR_CELLS, signs))} {share:4.0%}"]
    if picture.forecast:
        due = f"; due {clock(picture.deadline_wall)}" if picture.deadline_wall is not None else ""
        found.append(f"{picture.forecast}{due}")
    if len(picture.coverage) > 1 and signs.encoding.lower().startswith("utf"):
        found.append(f"ahead: {_curve(picture.coverage)} {age(picture.coverage[-1][0])}")
    found.extend(_move(one, signs) for one in picture.moves)
    found.extend(picture.waiting[:WAITING_SHOWN])
    if (later := len(picture.waiting) - WAITING_SHOWN) > 0:
        found.append(f"  {later} more after these: ballastctl plan")
    more = len(picture.stuck) - STUCK_SHOWN
    found.extend(f"stays: {words}" for words in picture.stuck[:STUCK_SHOWN])
    if more > 0:
        found.append(f"stays: {more} more: ballastctl plan")
    behind = now - picture.wall
    if behind > 10.0:
        found.append(f"this is {age(behind)} old: the daemon has not finished a step since")
    return [printable(line) for line in found]


def _curve(coverage: Sequence[tuple[float, int]]) -> str:
    """Draw how many VMs are safe against time, from now to the last."""
    end, most = coverage[-1]
    cells = []
    for cell in range(CURVE_CELLS):
        at = end * (cell + 1) / CURVE_CELLS
        safe = max((vms for seconds, vms in coverage if seconds <= at + 1e-9), default=0)
        cells.append(_RISING[min(len(_RISING) - 1, int(safe / most * len(_RISING)))] if safe else " ")
    return "".join(cells)


def _waiting(one: Row) -> str:
    late = "" if one["late"] is None else f", {age(one['late'])} after the deadline"
    return f"  {one['vm_name']} -> {one['target']}  begins in {age(one['begins'])}, safe in {age(one['safe'])}{late}"


def _move(one: Row, signs: Signs) -> str:
    progress, rate = one["progress"], one["rate_mib_s"]
    done = progress or 0.0
    speed = "" if rate is None else f", {rate:.0f} of {one['bandwidth_mib_s']} MiB/s"
    return (f"  {one['vm_name']} -> {one['target']}  {''.join(bar((done,), BAR_CELLS // 2, signs))} {done:4.0%}{speed}, "
            f"{one['phase']}, {'no end in sight' if (left := time_left(one)) == NEVER else f'about {left} left'}")


def follow(daemon: Daemon, host: str, interval: float, pause: Callable[[float], None] = time.sleep) -> int:
    """Show a host until it is empty (0), or until nobody wants it empty any more (1). Ctrl-C ends the view alone."""
    signs, is_live = signs_for(sys.stdout.encoding or "ascii"), sys.stdout.isatty()
    first = look(daemon, host)
    course = Course(first.running, first.memory, time.time())
    shown: Any = None
    height, was_wanted = 0, False
    try:
        while True:
            try:
                picture = look(daemon, host)
            except DaemonUnreachable as away:
                click.echo(f"the daemon does not answer ({away.format_message()}); what has begun goes on", err=True)
                pause(interval)
                continue
            text = lines(picture, course, signs, time.time())
            if is_live:
                width = max(20, shutil.get_terminal_size().columns)
                click.echo("\x1b[F\x1b[K" * height + "\n".join(clipped(line, width, signs) for line in text))
                height = len(text)
            elif (told := (picture.running, len(picture.moves), picture.is_wanted)) != shown:
                shown = told
                click.echo("\n".join(text))
            if picture.is_empty:
                click.echo(f"{host} is empty: {course.vms} VM{'' if course.vms == 1 else 's'} in "
                           f"{age(time.time() - course.begun)}")
                return 0
            was_wanted |= picture.is_wanted
            if not picture.is_wanted and (was_wanted or time.time() - course.begun > PATIENCE_SECONDS):
                left = f"{picture.running} VM{' is' if picture.running == 1 else 's are'}"
                click.echo(f"nobody wants {host} empty any more: {left} still there", err=True)
                return 1
            pause(interval)
    except KeyboardInterrupt:
        click.echo(f"\n{host} is emptied all the same; to stop that: ballastctl host undrain {host}", err=True)
        return 0
