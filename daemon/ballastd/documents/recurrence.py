"""Recurring starts as cron and RFC 5545 write them: the only module that says cronsim and dateutil.

Both are asked for local times without a zone, and know nothing of daylight saving: how a start becomes an instant, and
when it ends, is decided in ``windows`` for every kind of rule alike.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from dateutil.rrule import rrulestr

from ballastd.documents.windows import REFERENCE, utc

TEXT_MAX = 300
CYCLE_YEARS = 400
"""After so many years the calendar repeats, weekdays included."""
LAST_YEAR = 9999
COUNT_MAX = 10_000
INTERVAL_MAX = 1000
DAY_SECONDS = 86400.0
_CRON = re.compile(r"[0-9A-Za-z*,/#-]+( +[0-9A-Za-z*,/#-]+){4}", re.ASCII)
_DAY = re.compile(r"([+-]?[0-9]{1,2})?(MO|TU|WE|TH|FR|SA|SU)", re.ASCII)
_NUMBER = re.compile(r"[+-]?[0-9]{1,5}", re.ASCII)
_UNTIL = re.compile(r"[0-9]{8}(T[0-9]{6}Z?)?", re.ASCII)
_RANGES = {"INTERVAL": (1, INTERVAL_MAX), "COUNT": (1, COUNT_MAX), "BYMONTH": (1, 12), "BYMONTHDAY": (-31, 31),
           "BYYEARDAY": (-366, 366), "BYWEEKNO": (-53, 53), "BYSETPOS": (-366, 366), "BYHOUR": (0, 23), "BYMINUTE": (0, 59)}
_SIGNED = ("BYMONTHDAY", "BYYEARDAY", "BYWEEKNO", "BYSETPOS")
_SINGLE = ("INTERVAL", "COUNT")
_FREQUENCIES = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")
_ONLY_WITH = {"BYMONTHDAY": ("DAILY", "MONTHLY", "YEARLY"), "BYYEARDAY": ("YEARLY",), "BYWEEKNO": ("YEARLY",),
              "BYSETPOS": ("MONTHLY", "YEARLY")}
CRON_EXAMPLE = '"0 22 * * mon-fri"'
RULE_EXAMPLE = "FREQ=MONTHLY;BYDAY=2SA"


@dataclass(frozen=True, slots=True)
class Cron:
    """Whenever a cron expression of five fields says so, for some seconds."""

    expression: str
    seconds: float
    zone: ZoneInfo
    first: datetime = REFERENCE
    endless: bool = True

    def starts(self, since: datetime, until: datetime) -> Iterator[datetime]:
        """See ``windows.Rule``."""
        # the library begins after the instant it is given
        yield from takewhile(lambda start: start <= until, CronSim(self.expression, _minute(since) - timedelta(minutes=1)))


def _minute(instant: datetime) -> datetime:
    """Return the first whole minute from ``instant`` on."""
    whole = instant.replace(second=0, microsecond=0)
    return whole if whole == instant else whole + timedelta(minutes=1)


def cron(value: object) -> str:
    """Return a cron expression that is one.

    Raises:
        ValueError: in an operator's words.
    """
    text = value.strip() if isinstance(value, str) else ""
    if not text or len(text) > TEXT_MAX or not _CRON.fullmatch(text):
        raise ValueError(f"is no cron expression: five fields (minute, hour, day, month, weekday); write for example "
                         f"{CRON_EXAMPLE}")
    try:
        CronSim(text, REFERENCE)
    except CronSimError as error:
        raise ValueError(_cron_words(str(error))) from None
    except (ValueError, TypeError, AssertionError, LookupError):  # it stumbles over some malformed fields
        raise ValueError(f"is no cron expression; write for example {CRON_EXAMPLE}") from None
    return text


def _cron_words(what: str) -> str:
    field = what.removeprefix("Bad ")
    if field == "day-of-month":
        return ("the day of the month does not exist, in these months or at all, so it would never open; write for example "
                '"0 22 28 * *", or L for the last day')
    return f"the {field} is none; write for example {CRON_EXAMPLE}"


@dataclass(frozen=True, slots=True)
class Recurrence:
    """A rule of RFC 5545 from a local start on, for some seconds each.

    ``text``: its parts without UNTIL. ``until``: the last instant at which it may start, wall seconds. ``skipped``: local
    starts that are left out (EXDATE); ``added``: further ones (RDATE).
    """

    text: str
    first: datetime
    seconds: float
    zone: ZoneInfo
    until: float | None = None
    skipped: frozenset[datetime] = frozenset()
    added: tuple[datetime, ...] = ()

    @property
    def endless(self) -> bool:
        """See ``windows.Rule``."""
        return self.until is None and "COUNT=" not in self.text

    def starts(self, since: datetime, until: datetime) -> Iterator[datetime]:
        """See ``windows.Rule``."""
        added = [start for start in sorted(self.added) if since <= start <= until]
        for start in self._of_the_rule(since, until):
            while added and added[0] <= start:
                yield added.pop(0)
            yield start
        yield from added

    def _of_the_rule(self, since: datetime, until: datetime) -> Iterator[datetime]:
        """dateutil looks for a next start until the year 9999, which takes seconds where there is none. The calendar
        repeats every 400 years: so it is asked for years just before that, and gives up at once."""
        origin = self._origin(since)
        later = (LAST_YEAR - origin.year) // CYCLE_YEARS * CYCLE_YEARS
        for far in rrulestr(self.text, dtstart=origin.replace(year=origin.year + later)):
            start = far.replace(year=far.year - later)
            if start > until or (self.until is not None and utc(start, self.zone) > self.until + DAY_SECONDS):
                return
            if start >= since and start not in self.skipped and self._counts(start):
                yield start

    def _counts(self, start: datetime) -> bool:
        return self.until is None or utc(start, self.zone) <= self.until

    def _origin(self, since: datetime) -> datetime:
        """Return a start of the same rhythm not long before ``since``: nobody waits for forty years of days."""
        period = {"DAILY": 1, "WEEKLY": 7}.get(self._part("FREQ"), 0) * int(self._part("INTERVAL") or 1)
        if not period or "COUNT=" in self.text or since <= self.first:
            return self.first
        return self.first + timedelta(days=(since - self.first).days // period * period)

    def _part(self, name: str) -> str:
        return _parts(self.text).get(name, "")


def recurrence(text: str, first: datetime, seconds: float, zone: ZoneInfo) -> Recurrence:
    """Return the rule that ``text`` writes, checked. ``first``: DTSTART by the clocks of ``zone``.

    Raises:
        ValueError: in an operator's words.
    """
    parts = checked_parts(text)
    until = None if "UNTIL" not in parts else _until(parts.pop("UNTIL"), zone)
    if until is not None and until < utc(first, zone):
        raise ValueError("UNTIL lies before the start, so it would never open; write a later one")
    return Recurrence(";".join(f"{name}={value}" for name, value in parts.items()), first, seconds, zone, until)


def checked_parts(text: object) -> dict[str, str]:
    """Return the parts of an RRULE that can be a window's.

    Raises:
        ValueError: in an operator's words.
    """
    if not isinstance(text, str) or not text.strip() or len(text) > TEXT_MAX:
        raise ValueError(f"is no RRULE; write for example {RULE_EXAMPLE}")
    parts = _parts(text)
    if parts.get("FREQ") not in _FREQUENCIES:
        given = f"FREQ={parts['FREQ']}" if "FREQ" in parts else "no FREQ"
        raise ValueError(f"{given[:40]}: windows recur DAILY, WEEKLY, MONTHLY or YEARLY; write for example {RULE_EXAMPLE}")
    for name, value in parts.items():
        _check_part(name, value)
    _check_together(parts)
    return parts


def _parts(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in text.strip().upper().removeprefix("RRULE:").split(";"):
        name, sign, value = (side.strip() for side in part.partition("="))
        if not sign or not value:
            raise ValueError(f"{part[:40]!r} is no part of an RRULE; write for example {RULE_EXAMPLE}")
        if name in found:
            raise ValueError(f"{name[:40]} stands there twice; keep one")
        found[name] = value
    return found


def _check_part(name: str, value: str) -> None:
    if name == "FREQ":
        return
    if name == "UNTIL":
        if not _UNTIL.fullmatch(value):
            raise ValueError(f"UNTIL={value[:40]} is no date; write for example UNTIL=20261231, or UNTIL=20261231T220000Z")
    elif name == "WKST":
        if not _DAY.fullmatch(value) or len(value) != 2:
            raise ValueError(f"WKST={value[:40]} is no weekday; write for example WKST=MO")
    elif name == "BYDAY":
        for item in value.split(","):
            _check_day(item)
    elif name in _RANGES:
        _check_numbers(name, value)
    else:
        known = ", ".join(("FREQ", "UNTIL", "WKST", "BYDAY", *_RANGES))
        raise ValueError(f"{name[:40]} is not used in windows; known: {known}")


def _check_day(item: str) -> None:
    found = _DAY.fullmatch(item)
    if found is None or (found[1] and not 1 <= abs(int(found[1])) <= 53):
        raise ValueError(f"BYDAY={item[:40]} is no weekday; write for example BYDAY=SA, BYDAY=2SA or BYDAY=-1FR")


def _check_numbers(name: str, value: str) -> None:
    least, most = _RANGES[name]
    items = value.split(",")
    for item in items:
        sound = _NUMBER.fullmatch(item) and least <= int(item) <= most and (name not in _SIGNED or int(item) != 0)
        if not sound or (name in _SINGLE and len(items) > 1):
            raise ValueError(f"{name}={value[:40]} is none: from {least} to {most}")


def _check_together(parts: Mapping[str, str]) -> None:
    """Refuse what RFC 5545 does not define, or dateutil reads in another way than it does."""
    frequency = parts["FREQ"]
    for name, frequencies in _ONLY_WITH.items():
        if name in parts and frequency not in frequencies:
            raise ValueError(f"{name} does not go with FREQ={frequency}; only with {', '.join(frequencies)}")
    counted = any(len(item) > 2 for item in parts.get("BYDAY", "").split(","))
    if counted and (frequency not in ("MONTHLY", "YEARLY") or "BYWEEKNO" in parts):
        raise ValueError("a number before a weekday counts within the month or year: FREQ=MONTHLY or YEARLY; write for "
                         f"example {RULE_EXAMPLE}")
    weeks = 53 if frequency == "YEARLY" and "BYMONTH" not in parts else 5
    if any(abs(int(item[:-2])) > weeks for item in parts.get("BYDAY", "").split(",") if len(item) > 2):
        raise ValueError(f"no {'year' if weeks == 53 else 'month'} has a weekday more than {weeks} times; write for example "
                         f"{RULE_EXAMPLE}")
    if "COUNT" in parts and "UNTIL" in parts:
        raise ValueError("COUNT and UNTIL contradict each other; keep one")
    if "BYWEEKNO" in parts and "BYDAY" not in parts:
        raise ValueError("BYWEEKNO needs the weekday as well; write for example FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO")
    if "BYSETPOS" in parts and not any(name in parts for name in ("BYDAY", "BYMONTHDAY", "BYYEARDAY")):
        raise ValueError("BYSETPOS picks from other days: write for example FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1")
    if "BYMONTHDAY" in parts and "BYMONTH" in parts and not _day_exists(parts["BYMONTH"], parts["BYMONTHDAY"]):
        raise ValueError("these days do not exist in these months, so it would never open; BYMONTHDAY=-1 is the last day")


def _day_exists(months: str, days: str) -> bool:
    longest = max(calendar.monthrange(2024, int(month))[1] for month in months.split(","))
    return any(abs(int(day)) <= longest for day in days.split(","))


def _until(text: str, zone: ZoneInfo) -> float:
    """Return the last instant at which a rule may start. A day alone counts whole, as people mean it."""
    try:
        if len(text) == 8:
            return utc(datetime.strptime(text, "%Y%m%d") + timedelta(days=1), zone) - 1.0  # noqa: DTZ007  local by design
        found = datetime.strptime(text[:15], "%Y%m%dT%H%M%S")  # noqa: DTZ007
    except (ValueError, OverflowError):
        raise ValueError(f"UNTIL={text} is no date; write for example UNTIL=20261231") from None
    return found.replace(tzinfo=UTC).timestamp() if text.endswith("Z") else utc(found, zone)
