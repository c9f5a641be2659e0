"""Events of an iCalendar file as rules of a window: the only module that says icalendar.

Taken from an event: its start, its rule, the starts left out and added, single starts that were moved, and how long the
first one lasts. The ends of the others are computed like those of every window, in exact durations.
"""

from __future__ import annotations

import fnmatch
import zoneinfo
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from ballastd.documents.recurrence import recurrence
from ballastd.documents.scalars import DURATION_MAX_SECONDS, shown
from ballastd.documents.windows import Once, Rule, utc

EVENTS_MAX = 200
ADDED_MAX = 500
YEARS = (1970, 2200)
STUMBLES = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, AssertionError, RecursionError)
"""What the library raises over malformed texts."""


class BadCalendar(ValueError):
    """A calendar that cannot be used. ``line``: where its event begins, 1 where it is the whole file."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(what)
        self.line = line


@dataclass(slots=True)
class _Event:
    """A VEVENT and where it begins; ``zone``: of times that have none of their own."""

    component: Any
    line: int
    zone: ZoneInfo

    @property
    def title(self) -> str:
        """What it is called, for people and for patterns."""
        return str(self.component.get("SUMMARY", ""))

    def refused(self, what: str) -> BadCalendar:
        return BadCalendar(self.line, f"event {shown(self.title)}: {what}")

    def one(self, name: str) -> Any:
        """Return a property that may stand there once, or None."""
        found = self.component.get(name)
        if isinstance(found, list):
            raise self.refused(f"{name} stands there {len(found)} times; keep one")
        return found

    def local(self, value: date | datetime, params: Any = None) -> tuple[datetime, ZoneInfo]:
        """Return a date or time as a local instant, and its zone."""
        if not YEARS[0] <= value.year < YEARS[1]:
            raise self.refused(f"the year {value.year} is not ours")
        if not isinstance(value, datetime):
            return datetime.combine(value, time()), self.zone
        return value.replace(tzinfo=None), self._zone_of(value, str((params or {}).get("TZID", "")))

    def _zone_of(self, value: datetime, name: str) -> ZoneInfo:
        if value.tzinfo is None and not name:
            return self.zone
        if isinstance(value.tzinfo, ZoneInfo):  # UTC, an IANA name, or one that the library knows under another
            return value.tzinfo
        try:
            return ZoneInfo(name)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            raise self.refused(f"TZID {shown(name)} is no IANA time zone; write for example TZID=Europe/Berlin") from None


def rules_of(text: str, zone: ZoneInfo, patterns: tuple[str, ...]) -> tuple[Rule, ...]:
    """Return the rules of the events in ``text`` whose SUMMARY matches one of ``patterns`` (none: all of them).

    Cancelled events are left out. ``zone``: of days, and of times that name none.

    Raises:
        BadCalendar: no calendar, an event that cannot be a window's, none that is meant, or too many.
    """
    found = list(_events(text, zone))
    meant = [event for event in found
             if not patterns or any(fnmatch.fnmatchcase(event.title, pattern) for pattern in patterns)]
    if not meant:
        titles = ", ".join(sorted({shown(event.title) for event in found})[:5]) or "none"
        raise BadCalendar(1, f"no event is meant; name one of them with events: {titles}")
    if len(meant) > EVENTS_MAX:
        raise BadCalendar(1, f"{len(meant)} events are meant, at most {EVENTS_MAX} are taken; name fewer with events:")
    moved = [event for event in found if event.component.get("RECURRENCE-ID") is not None]
    rules: list[Rule] = []
    for event in meant:
        if not _cancelled(event):
            rules.extend(_rules(event, () if event in moved else [other for other in moved if _belongs(other, event)]))
    if not rules:
        raise BadCalendar(1, "every event that is meant is cancelled")
    return tuple(rules)


def _events(text: str, zone: ZoneInfo) -> Iterator[_Event]:
    from icalendar import Calendar  # a sixth of a second, for those who use it

    lines = [number for number, line in enumerate(text.splitlines(), 1) if line.strip().upper() == "BEGIN:VEVENT"]
    if len(lines) > 10 * EVENTS_MAX:
        raise BadCalendar(1, f"{len(lines)} events; at most {10 * EVENTS_MAX} are read")
    try:
        calendars = Calendar.from_ical(text, multiple=True)
        components = [event for calendar in calendars for event in calendar.walk("VEVENT")]
    except STUMBLES as error:
        raise BadCalendar(1, f"no iCalendar file: {_first_line(error)[:80]}; export the calendar as .ics") from None
    if not components:
        raise BadCalendar(1, "no iCalendar file with an event in it: it has no BEGIN:VEVENT within BEGIN:VCALENDAR; export "
                          "the calendar as .ics")
    for i, component in enumerate(components):
        yield _Event(component, lines[i] if i < len(lines) else 1, zone)


def _rules(event: _Event, moved: Sequence[_Event]) -> Iterator[Rule]:
    try:
        yield _rule(event, moved)
    except BadCalendar:
        raise
    except STUMBLES as error:
        raise event.refused(_first_line(error)) from None


def _rule(event: _Event, moved: Sequence[_Event]) -> Rule:
    """Return the event as one rule. ``moved``: those that stand for single starts of it."""
    single = _single(event)
    if event.component.get("EXRULE") is not None:
        raise event.refused("EXRULE is not understood; write the starts that are left out as EXDATE")
    rule, added = event.one("RRULE"), _dates(event, "RDATE", single.zone)
    if rule is None and not added:
        return single
    text = rule.to_ical().decode() if rule is not None else "FREQ=DAILY;COUNT=1"
    skipped = frozenset((*_dates(event, "EXDATE", single.zone),
                         *(start for other in moved for start in _dates(other, "RECURRENCE-ID", single.zone))))
    return replace(recurrence(text, single.first, single.seconds, single.zone), skipped=skipped,
                   added=tuple(start for start in added if start not in skipped))


def _single(event: _Event) -> Once:
    """Return the event's own start, as if there were no rule."""
    if event.component.errors:
        name, what = event.component.errors[0]
        raise event.refused(f"{name}: {_first_line(what)}")
    begins = event.one("DTSTART")
    if begins is None:
        raise event.refused("it has no DTSTART")
    start, zone = event.local(begins.dt, begins.params)
    return Once(start, _length(event, begins, start, zone), zone)


def _first_line(what: object) -> str:
    return (str(what).splitlines() or ["malformed"])[0][:200]


def _length(event: _Event, begins: Any, start: datetime, zone: ZoneInfo) -> float:
    ends, lasts = event.one("DTEND"), event.one("DURATION")
    if ends is not None:
        end, other = event.local(ends.dt, ends.params)
        seconds = utc(end, other) - utc(start, zone)
    elif lasts is not None:
        seconds = lasts.dt.total_seconds()
    elif not isinstance(begins.dt, datetime):
        seconds = utc(start + timedelta(days=1), zone) - utc(start, zone)
    else:
        raise event.refused("it has neither DTEND nor DURATION: nobody knows how long it lasts; write DTEND")
    if not 0 < seconds <= DURATION_MAX_SECONDS:
        raise event.refused(f"it would last {seconds:.0f} s; more than none, and at most a year")
    return float(seconds)


def _dates(event: _Event, name: str, zone: ZoneInfo) -> list[datetime]:
    """Return the starts that a property lists, by the clocks of ``zone``."""
    found = event.component.get(name)
    values = found if isinstance(found, list) else [] if found is None else [found]
    starts = []
    for value in values:
        if str(value.params.get("RANGE", "")):
            raise event.refused(f"{name} with RANGE is not understood; write two events")
        for one in (item.dt for item in value.dts) if hasattr(value, "dts") else (value.dt,):
            if not isinstance(one, date):
                raise event.refused(f"{name} with a period is not understood; write starts only")
            if isinstance(one, datetime) != isinstance(event.one("DTSTART").dt, datetime):
                raise event.refused(f"{name} and DTSTART must both be days, or both times")
            start, other = event.local(one, value.params)
            starts.append(start if other.key == zone.key else _moved(start, other, zone))
    if len(starts) > ADDED_MAX:
        raise event.refused(f"{len(starts)} dates in {name}; at most {ADDED_MAX}")
    return starts


def _moved(start: datetime, other: ZoneInfo, zone: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(utc(start, other), zone).replace(tzinfo=None)


def _cancelled(event: _Event) -> bool:
    return str(event.component.get("STATUS", "")).upper() == "CANCELLED"


def _belongs(moved: _Event, event: _Event) -> bool:
    return event.component.get("UID") is not None and moved.component.get("UID") == event.component.get("UID")
