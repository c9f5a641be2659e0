"""Whether a running migration gets anywhere: how long its VM may stand still at the end, and when it is given up.

Memory that is dirtied while it is copied is copied again, round by round. A migration ends once what a round has left fits
into the standstill that is allowed: little at first. When a round leaves as much as the best one before, it is given more
of its links, where there is more; after that its VM may stand still for longer each time. Is there no more to allow, and
nothing has become better for a while, it is called off: it would copy until its time is over.

A round is judged once the next one has begun, by what was said of it last: a hypervisor counts rounds up before it says how
long a standstill would take now, and until its second round it says nothing but the limit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ballastd.core import events as ev
from ballastd.core.inputs import ProgressSeen
from ballastd.core.inventory import VmRecord, VmState
from ballastd.core.ledger import Ledger
from ballastd.core.migrations import Migration
from ballastd.core.plans import DowntimeOrder
from ballastd.core.policies import Limits
from ballastd.core.prediction import NEVER_FROM
from ballastd.core.quantities import MIB, Instant, human_seconds

STEPS_MS = (100, 150, 200, 300, 400, 500, 700, 1000)
"""How long a VM may stand still at the end, milliseconds: so much first, then more where that does not do."""
UNSAID_MS = 300
"""What a hypervisor allows where nothing was said."""
SLOWING_ROUNDS = 20
"""So many rounds a hypervisor needs until it has slowed a VM down as far as it can: ten steps of two rounds each."""
TOP_ROUNDS = 2
"""So many rounds have to be no better with all the standstill that there is."""
CALM_SECONDS = 10.0
"""So long it has had its bandwidth before it asks for more."""
BETTER = 0.96
"""A round that leaves no more than this share of what the best one left is a better one."""


def ladder(limits: Limits, wish_ms: int | None) -> tuple[int, ...]:
    """Return what may be allowed one after the other, milliseconds. ``wish_ms``: the most that the VM's owner wants."""
    most = limits.downtime_max_ms if wish_ms is None else min(limits.downtime_max_ms, wish_ms)
    return (*(step for step in STEPS_MS if step < most), most)


@dataclass(slots=True)
class _Course:
    """What was seen of one job; monotonic seconds. ``since``: when its bandwidth was first seen. ``uncounted``: the last
    round that is not judged. ``needed``: the standstill that this round would have taken, seconds, as said last; ``last``:
    the same of the last that was judged, ``least``: of the best one. ``stalled``: rounds that were no better since then;
    ``at_top``: those of them that had all the standstill that there is."""

    bandwidth_mib_s: int
    since: float
    at: float
    uncounted: int
    moved_at: float
    better_at: float
    processed: int = -1
    iteration: int = 0
    needed: float = math.nan
    last: float = math.nan
    least: float = math.inf
    stalled: int = 0
    at_top: int = 0


@dataclass(frozen=True, slots=True)
class Eased:
    """What to book, what to carry out, and why migrations (ids) are to be given up; ``outrun``: those that dirty
    their memory faster than it is copied; ``asks``: which ought to be given more of their links first, and why."""

    events: tuple[ev.DowntimeOrdered, ...] = ()
    orders: tuple[DowntimeOrder, ...] = ()
    hopeless: Mapping[str, str] = field(default_factory=dict)
    outrun: Mapping[str, str] = field(default_factory=dict)
    asks: Mapping[str, str] = field(default_factory=dict)


class Convergence:
    """Remembers the course of each job, on the monotonic clock."""

    def __init__(self) -> None:
        self._courses: dict[str, _Course] = {}

    def follow(self, ledger: Ledger, seen: Mapping[str, ProgressSeen], record_of: Callable[[Migration], VmRecord | None],
               limits: Limits, peaks: Mapping[str, int], revision: int, now: Instant, held: Callable[[Migration], bool]
               ) -> Eased:
        """Return what is to be done about jobs that are slow to end. ``record_of``: its VM as its source shows it now, None
        where nobody knows; ``peaks``: what those (ids) may have of their links that have more to gain, MiB/s; ``held``:
        whether a gate stands for it. Then nothing more is allowed, and what is not reached meanwhile counts against
        nobody."""
        self._courses = {key: one for key, one in self._courses.items() if key in ledger.migrations}
        events: list[ev.DowntimeOrdered] = []
        orders: list[DowntimeOrder] = []
        hopeless: dict[str, str] = {}
        outrun: dict[str, str] = {}
        asks: dict[str, str] = {}
        for m in ledger.open_migrations():
            shown = seen.get(m.id)
            if not m.holds_slot or shown is None or shown.progress is None or shown.progress.memory_total <= 0:
                continue
            course, record = self._course(m, shown), record_of(m)
            needed = _take_in(course, shown)
            # one that is handed over copies nothing, and one that cannot be read may have an owner with wishes
            if held(m) or record is None or record.state is not VmState.RUNNING or record.pins:
                course.moved_at = course.better_at = course.at
                continue
            allowed, steps = m.downtime_ms or UNSAID_MS, ladder(limits, record.downtime_max_ms)
            is_stalled = _judge(course, needed, allowed, is_top=allowed >= steps[-1])
            if m.abort_reason or m.post_copy_because:
                continue
            may_climb = _may_climb(course, shown, m, peaks.get(m.id, 0), steps[-1])
            if may_climb and is_stalled and course.at >= course.since + CALM_SECONDS:
                asks[m.id] = _why_more(course, shown, allowed)
            if not may_climb and (no := _outrun(course, steps, limits, may_slow=m.auto_converge)):
                hopeless[m.id] = outrun[m.id] = no
                continue
            if no := _stuck(course, shown, limits):
                hopeless[m.id] = no
                continue
            is_next = is_stalled and not may_climb
            more = _next(steps, allowed, 1000.0 * needed) if is_next else min(allowed, steps[-1])
            if more != allowed:
                said = 0 if math.isnan(course.last) else round(1000.0 * course.last)
                events.append(ev.DowntimeOrdered(now.wall, m.id, more, said))
            # a round that ought to have been the last: who asked may not have been heard
            if more != allowed or (m.downtime_ms and 1000.0 * needed <= allowed):
                orders.append(DowntimeOrder(m.id, m.vm, m.source, more, revision))
        return Eased(tuple(events), tuple(orders), hopeless, outrun, asks)

    def _course(self, m: Migration, shown: ProgressSeen) -> _Course:
        course = self._courses.get(m.id)
        # with another bandwidth all that was seen is of another job, this round included
        if course is None or course.bandwidth_mib_s != m.bandwidth_mib_s:
            at, uncounted = shown.at.monotonic, 1 if course is None or shown.progress is None else shown.progress.iteration
            course = self._courses[m.id] = _Course(m.bandwidth_mib_s, at, -math.inf, uncounted, at, at)
        return course


def _take_in(course: _Course, shown: ProgressSeen) -> float:
    """Note what was seen; return the standstill, seconds, that the round would have taken that has ended with it, no number
    where none has."""
    progress, at, ended = shown.progress, shown.at.monotonic, math.nan
    assert progress is not None
    if at <= course.at:
        return ended
    course.at = at
    if progress.memory_processed > course.processed:
        course.processed, course.moved_at = progress.memory_processed, at
    if progress.iteration > course.iteration:
        ended = course.needed if course.iteration > course.uncounted else math.nan
        course.iteration = progress.iteration
    course.needed = progress.expected_downtime
    return ended


def _judge(course: _Course, needed: float, allowed: int, *, is_top: bool) -> bool:
    """Return whether a round that has ended was no better than the best. One that needed no more than is allowed ought to
    have been the last: either that was not said of it, or nobody heard what is allowed. It is no measure, and no failure."""
    if math.isnan(needed):
        return False
    if 1000.0 * needed <= allowed:
        course.better_at = course.at
        return False
    course.last = needed
    if needed < BETTER * course.least:
        course.least, course.better_at, course.stalled, course.at_top = needed, course.at, 0, 0
        return False
    course.stalled += 1
    course.at_top += is_top
    return True


def _next(steps: tuple[int, ...], allowed: int, needed: float) -> int:
    """Return the least step that is enough; where none is, the one after what is allowed now."""
    enough = next((step for step in steps if step >= needed), None)
    return next((step for step in steps if step > allowed), steps[-1]) if enough is None else enough


def _may_climb(course: _Course, shown: ProgressSeen, m: Migration, peak: int, most: int) -> bool:
    """Return whether more of its links is there for it, and would do: it is copied faster than it is dirtied then, or what a
    round leaves would fit into all the standstill that there is, or its VM may be slowed down beside that."""
    if not peak or shown.progress is None:
        return False
    return (m.auto_converge or shown.progress.dirty_bytes_s < NEVER_FROM * peak * MIB
            or 1000.0 * course.last * m.bandwidth_mib_s <= most * peak)


def _why_more(course: _Course, shown: ProgressSeen, allowed: int) -> str:
    assert shown.progress is not None
    return (f"with {course.bandwidth_mib_s} MiB/s a round left no less than the best one before: its memory is dirtied at "
            f"{shown.progress.dirty_bytes_s / MIB:.0f} MiB/s, it would stand still for {1000 * course.last:.0f} ms at the "
            f"end, {allowed} are allowed")


def _stuck(course: _Course, shown: ProgressSeen, limits: Limits) -> str:
    still = course.at - course.moved_at
    if still > limits.no_progress and shown.progress is not None and shown.progress.memory_remaining > 0:
        return f"nothing of it was copied for {human_seconds(still)}"
    return ""


def _outrun(course: _Course, steps: tuple[int, ...], limits: Limits, *, may_slow: bool) -> str:
    worse = course.at - course.better_at
    if course.at_top >= TOP_ROUNDS and course.stalled >= SLOWING_ROUNDS * may_slow and worse > limits.no_progress:
        return (f"its memory is dirtied faster than it is copied: it would stand still for {1000 * course.last:.0f} ms at "
                f"the end, {steps[-1]} are allowed, and that is no better since {human_seconds(worse)}")
    return ""
