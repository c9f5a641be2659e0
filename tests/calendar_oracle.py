"""When a window is open, found the slow way: minute by minute through UTC, looking at what the local clock shows.

It shares no code with the daemon, and neither cronsim nor dateutil: fields are matched by hand against the local date and
time of each minute. A start is the first minute at which the clock shows the rule's time. Where it never shows it, because
the clocks leap over it, RFC 5545 counts by the offset before the leap: the start is as long after the leap as the time lies
beyond the leap's beginning.
"""

from __future__ import annotations

import calendar
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

RUN_UP = 240
"""Minutes walked ahead, so that a walk that begins within an hour that comes twice knows what was shown before."""
Matches = Callable[[datetime], bool]
"""Whether a rule starts at this local minute (naive)."""


@dataclass(frozen=True)
class Fields:
    """A rule by its fields; None: any. ``nth``: (weekday, n-th of the month, negative from its end)."""

    hours: tuple[int, ...]
    minutes: tuple[int, ...]
    weekdays: tuple[int, ...] | None = None
    months: tuple[int, ...] | None = None
    month_days: tuple[int, ...] | None = None
    nth: tuple[tuple[int, int], ...] | None = None
    every_days: int = 1
    every_weeks: int = 1
    every_months: int = 1
    since: datetime | None = None
    until: datetime | None = None

    def __call__(self, clock: datetime) -> bool:
        day = clock.date()
        if clock.hour not in self.hours or clock.minute not in self.minutes:
            return False
        if (self.since is not None and clock < self.since) or (self.until is not None and clock > self.until):
            return False
        return self._day(day) and self._rhythm(day)

    def _day(self, day: date) -> bool:
        length = calendar.monthrange(day.year, day.month)[1]
        if self.weekdays is not None and day.weekday() not in self.weekdays:
            return False
        if self.months is not None and day.month not in self.months:
            return False
        if self.month_days is not None and day.day not in self.month_days and day.day - length - 1 not in self.month_days:
            return False
        if self.nth is None:
            return True
        forth, back = (day.day - 1) // 7 + 1, -((length - day.day) // 7 + 1)
        return any(day.weekday() == weekday and n in (forth, back) for weekday, n in self.nth)

    def _rhythm(self, day: date) -> bool:
        if self.since is None:
            return True
        origin = self.since.date()
        monday, first_monday = day - timedelta(days=day.weekday()), origin - timedelta(days=origin.weekday())
        months = (day.year - origin.year) * 12 + day.month - origin.month
        return ((day - origin).days % self.every_days == 0 and (monday - first_monday).days // 7 % self.every_weeks == 0
                and months % self.every_months == 0)


def clock_at(minute: int, zone: ZoneInfo) -> datetime:
    """Return what the local clock shows at ``minute`` since the epoch."""
    return datetime.fromtimestamp(minute * 60, UTC).astimezone(zone).replace(tzinfo=None)


def starts(rule: Matches, zone: ZoneInfo, begin: int, end: int) -> Iterator[int]:
    """Yield the minutes since the epoch in [begin, end) at which ``rule`` starts."""
    early = begin - RUN_UP
    highest = clock_at(early - 1, zone)
    seen: set[int] = set()
    for minute in range(early, end):
        clock = clock_at(minute, zone)
        leapt = highest + timedelta(minutes=1)
        while leapt < clock:  # the clocks leap over these
            if rule(leapt):
                seen.add(minute + int((leapt - highest).total_seconds()) // 60 - 1)
            leapt += timedelta(minutes=1)
        if clock > highest:   # what was shown before comes for the second time, and counts the first
            if rule(clock):
                seen.add(minute)
            highest = clock
        if minute in seen and minute >= begin:
            yield minute


def open_minutes(rule: Matches, zone: ZoneInfo, lasts: int, begin: int, end: int) -> list[bool]:
    """Return for every minute in [begin, end) whether a window of ``lasts`` minutes is open."""
    found = [False] * (end - begin)
    for start in starts(rule, zone, begin - lasts - 2 * 1440, end):
        for minute in range(max(start, begin), min(start + lasts, end)):
            found[minute - begin] = True
    return found
