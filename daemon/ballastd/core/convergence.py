"""Whether a running migration gets anywhere: how long its VM may stand still at the end, and when it is given up.

Memory that is dirtied while it is copied is copied again, round by round. A migration ends once what a round has left fits
into the standstill that is allowed: little at first, and more each time a round leaves as much as the best one before. Is
there no more to allow, and nothing has become better for a while, it is called off: it would copy until its time is over.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ballastd.core import events as ev
from ballastd.core.inputs import ProgressSeen
from ballastd.core.ledger import Ledger
from ballastd.core.migrations import Migration
from ballastd.core.plans import DowntimeOrder
from ballastd.core.policies import Limits
from ballastd.core.quantities import Instant, human_seconds

STEPS_MS = (100, 150, 200, 300, 400, 500, 700, 1000)
"""How long a VM may stand still at the end, milliseconds: so much first, then more where that does not do."""
UNSAID_MS = 300
"""What a hypervisor allows where nothing was said."""
SLOWING_ROUNDS = 20
"""So many rounds a hypervisor needs until it has slowed a VM down as far as it can: ten steps of two rounds each."""
BETTER = 0.96
"""A round that leaves no more than this share of what the best one left is a better one."""


def ladder(limits: Limits, wish_ms: int | None) -> tuple[int, ...]:
    """Return what may be allowed one after the other, milliseconds. ``wish_ms``: the most that the VM's owner wants."""
    most = limits.downtime_max_ms if wish_ms is None else min(limits.downtime_max_ms, wish_ms)
    return (*(step for step in STEPS_MS if step < most), most)


@dataclass(slots=True)
class _Course:
    """What was seen of one job; monotonic seconds. ``least``: the shortest standstill that a round would have needed."""

    bandwidth_mib_s: int
    at: float
    processed: int
    iteration: int
    moved_at: float
    better_at: float
    least: float = math.inf
    stalled: int = 0


@dataclass(frozen=True, slots=True)
class Eased:
    """What to book, what to carry out, and why migrations (ids) are to be given up."""

    events: tuple[ev.DowntimeOrdered, ...] = ()
    orders: tuple[DowntimeOrder, ...] = ()
    hopeless: Mapping[str, str] = field(default_factory=dict)

    def why_hopeless(self, migration: str) -> str:
        """Return why a migration gets nowhere, empty if it does."""
        return self.hopeless.get(migration, "")


class Convergence:
    """Remembers the course of each job, on the monotonic clock."""

    def __init__(self) -> None:
        self._courses: dict[str, _Course] = {}

    def follow(self, ledger: Ledger, seen: Mapping[str, ProgressSeen], wish_of: Callable[[Migration], int | None],
               limits: Limits, revision: int, now: Instant, *, held: bool) -> Eased:
        """Return what is to be done about jobs that are slow to end. ``held``: a gate stands: nothing more is allowed, and
        what is not reached meanwhile counts against nobody."""
        self._courses = {key: one for key, one in self._courses.items() if key in ledger.migrations}
        events: list[ev.DowntimeOrdered] = []
        orders: list[DowntimeOrder] = []
        hopeless: dict[str, str] = {}
        for m in ledger.open_migrations():
            shown = seen.get(m.id)
            if not m.holds_slot or shown is None or shown.progress is None or shown.progress.memory_total <= 0:
                continue
            course = self._course(m, shown)
            if held:
                course.moved_at = course.better_at = max(course.at, shown.at.monotonic)
            is_stalled = self._note(course, shown)
            if held or m.abort_reason:
                continue
            steps = ladder(limits, wish_of(m))
            needed = 1000.0 * shown.progress.expected_downtime
            if no := _hopeless(course, steps, m, needed, limits):
                hopeless[m.id] = no
            elif is_stalled:
                before = m.downtime_ms or UNSAID_MS
                allowed = _next(steps, before, needed)
                if allowed > before:
                    events.append(ev.DowntimeOrdered(now.wall, m.id, allowed, round(needed)))
                if allowed > before or m.downtime_ms:
                    # once more where it was said before: who asked then may not have been heard
                    orders.append(DowntimeOrder(m.id, m.vm, m.source, allowed, revision))
        return Eased(tuple(events), tuple(orders), hopeless)

    def _course(self, m: Migration, shown: ProgressSeen) -> _Course:
        course = self._courses.get(m.id)
        # with another bandwidth all that was seen is of another job, this round included
        if course is None or course.bandwidth_mib_s != m.bandwidth_mib_s:
            at, begun = shown.at.monotonic, 0 if course is None or shown.progress is None else shown.progress.iteration
            course = _Course(m.bandwidth_mib_s, -math.inf, -1, begun, at, at)
            self._courses[m.id] = course
        return course

    @staticmethod
    def _note(course: _Course, shown: ProgressSeen) -> bool:
        """Take in what was seen; return whether a round has ended that was no better than the best."""
        progress, at = shown.progress, shown.at.monotonic
        assert progress is not None
        if at <= course.at:
            return False
        course.at = at
        if progress.memory_processed > course.processed:
            course.processed, course.moved_at = progress.memory_processed, at
        if progress.iteration <= course.iteration or progress.iteration < 2:
            return False
        course.iteration = progress.iteration
        if progress.expected_downtime < BETTER * course.least:
            course.least, course.better_at, course.stalled = progress.expected_downtime, at, 0
            return False
        course.stalled += 1
        return True


def _next(steps: tuple[int, ...], allowed: int, needed: float) -> int:
    """Return the least step that is enough; where none is, the one after what is allowed now."""
    enough = next((step for step in steps if step >= needed), None)
    more = next((step for step in steps if step > allowed), allowed)
    return more if enough is None else max(allowed, enough)


def _hopeless(course: _Course, steps: tuple[int, ...], m: Migration, needed: float, limits: Limits) -> str:
    still = course.at - course.moved_at
    if still > limits.no_progress:
        return f"nothing of it was copied for {human_seconds(still)}"
    worse = course.at - course.better_at
    had_its_chance = course.stalled >= (SLOWING_ROUNDS if m.auto_converge else 1) and m.downtime_ms >= steps[-1]
    if had_its_chance and needed > steps[-1] and worse > limits.no_progress:
        return (f"its memory is dirtied faster than it is copied: it would stand still for {needed:.0f} ms at the end, "
                f"{steps[-1]} are allowed, and that is no better since {human_seconds(worse)}")
    return ""
