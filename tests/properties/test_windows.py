"""Windows against an oracle that walks the minutes of UTC and looks at the clock, on random zones, rules and times.

Random by seed and not by hypothesis, whose first choices come up so often that most zones never would.
"""

from __future__ import annotations

import zoneinfo
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from ballastd.documents.window_models import Schedule
from ballastd.documents.windows import intervals
from tests.calendar_oracle import Fields, clock_at, open_minutes

ZONES = sorted(name for name in zoneinfo.available_timezones()
               if "/" in name and not name.startswith(("posix/", "right/", "Etc/")))
# where clocks change in odd ways come up more often: by half an hour, around Ramadan, at midnight, a day that was left out
ODD = ["Australia/Lord_Howe", "Africa/Casablanca", "Pacific/Apia", "America/Havana", "Asia/Beirut", "Atlantic/Azores",
       "America/Santiago", "Europe/Dublin", "Antarctica/Troll", "Asia/Gaza", "Africa/Cairo", "Pacific/Chatham"]
DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
NAMES = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
SPAN_DAYS = 7
SEEDS, CASES = 12, 30


@dataclass(frozen=True)
class Case:
    """A schedule as written, and the same by fields."""

    written: dict[str, Any]
    fields: Fields


def some(luck: Random, things: range, most: int) -> list[int]:
    return sorted(luck.sample(things, luck.randint(1, most)))


def weekly(luck: Random, clock: datetime) -> Case:
    days = sorted({clock.weekday(), *some(luck, range(7), 4)})
    return Case({"days": [NAMES[day] for day in days], "at": f"{clock:%H:%M}"},
                Fields((clock.hour,), (clock.minute,), weekdays=tuple(days)))


def by_cron(luck: Random, clock: datetime) -> Case:
    hours = tuple(sorted({clock.hour, *some(luck, range(24), 2)}))
    fields = Fields(hours, (clock.minute,))
    day, month, weekday = "*", "*", "*"
    which = luck.choice(["any", "days", "month-days", "last", "months", "nth"])
    if which == "days":
        days = sorted({clock.weekday(), *some(luck, range(7), 3)})
        weekday, fields = ",".join(str((d + 1) % 7) for d in days), replace(fields, weekdays=tuple(days))
    elif which == "month-days":
        found = sorted({clock.day, *some(luck, range(1, 32), 3)})
        day, fields = ",".join(map(str, found)), replace(fields, month_days=tuple(found))
    elif which == "last":
        day, fields = "L", replace(fields, month_days=(-1,))
    elif which == "months":
        found = sorted({clock.month, *some(luck, range(1, 13), 4)})
        month, fields = ",".join(map(str, found)), replace(fields, months=tuple(found))
    elif which == "nth":
        n = (clock.day - 1) // 7 + 1
        weekday, fields = f"{(clock.weekday() + 1) % 7}#{n}", replace(fields, nth=((clock.weekday(), n),))
    return Case({"cron": f"{clock.minute} {','.join(map(str, hours))} {day} {month} {weekday}"}, fields)


def by_rule(luck: Random, clock: datetime) -> Case:
    """A rule of RFC 5545 that began up to four years ago, on a day that it matches, as it should."""
    interval = luck.choice([1, 1, 2, 3])
    which = luck.choice(["DAILY", "WEEKLY", "WEEKLY", "MONTHLY", "MONTHLY-NTH", "YEARLY", "LAST"])
    rhythm = {"DAILY": interval, "WEEKLY": 7 * interval}.get(which, 7)
    start = clock - timedelta(days=rhythm * luck.randint(0, 1500 // rhythm))
    fields = Fields((clock.hour,), (clock.minute,), since=start)
    parts = [f"FREQ={which.split('-', maxsplit=1)[0]}", f"INTERVAL={interval}"]
    if which == "DAILY":
        fields = replace(fields, every_days=interval)
    elif which == "WEEKLY":
        days = sorted({start.weekday(), *some(luck, range(7), 2)})
        parts.append(f"BYDAY={','.join(DAYS[d] for d in days)}")
        fields = replace(fields, weekdays=tuple(days), every_weeks=interval)
    elif which == "MONTHLY":
        days = sorted({start.day, clock.day, *some(luck, range(1, 32), 2)})
        parts.append(f"BYMONTHDAY={','.join(map(str, days))}")
        fields = replace(fields, month_days=tuple(days), every_months=interval)
    elif which == "MONTHLY-NTH":
        n = luck.choice([(start.day - 1) // 7 + 1, -1, -2])
        parts.append(f"BYDAY={n}{DAYS[start.weekday()]}")
        fields = replace(fields, nth=((start.weekday(), n),), every_months=interval)
    elif which == "YEARLY":
        months = sorted({start.month, clock.month, *some(luck, range(1, 13), 3)})
        parts = ["FREQ=YEARLY", f"BYMONTH={','.join(map(str, months))}", f"BYDAY={DAYS[start.weekday()]}"]
        fields = replace(fields, months=tuple(months), weekdays=(start.weekday(),))
    else:
        parts = ["FREQ=MONTHLY", f"INTERVAL={interval}", "BYMONTHDAY=-1"]
        fields = replace(fields, month_days=(-1,), every_months=interval)
    if luck.random() < 0.3:
        last = (clock + timedelta(days=luck.randint(0, 6))).replace(hour=23, minute=59)
        parts.append(f"UNTIL={last:%Y%m%d}")
        fields = replace(fields, until=last)
    return Case({"rrule": ";".join(parts), "start": f"{start:%Y-%m-%d %H:%M}"}, fields)


def change(luck: Random, zone: ZoneInfo, year: int) -> int | None:
    """Return a minute since the epoch at which the clocks of a year change, or None."""
    begin = int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) // 60

    def offset(minute: int) -> timedelta:
        return clock_at(minute, zone) - datetime(1970, 1, 1) - timedelta(minutes=minute)  # noqa: DTZ001  a clock's face

    days = [day for day in range(begin, begin + 365 * 1440, 1440) if offset(day) != offset(day + 1440)]
    if not days:
        return None
    day = luck.choice(days)
    return next(minute for minute in range(day + 1, day + 1441) if offset(minute) != offset(minute - 1))


def around(luck: Random, zone: ZoneInfo) -> int:
    """Return a minute worth a look: around a change of the clocks, on a leap day, a year's end, or any."""
    year = luck.choice([2011, 2024, 2026, 2027, 2028])
    minute = change(luck, zone, year) if luck.random() < 0.7 else None
    if minute is not None:
        return minute + luck.randint(-90, 90)
    day = luck.choice([datetime(year, 12, 31, tzinfo=UTC), datetime(year, 3, 1, tzinfo=UTC),
                       datetime(year, 1, 1, tzinfo=UTC) + timedelta(luck.randint(0, 364))])
    return int(day.timestamp()) // 60 - luck.randint(0, 1439)


def ours(written: dict[str, Any], begin: int, end: int) -> list[bool]:
    found, _ = intervals((Schedule.model_validate(written).rule(),), begin * 60.0, SPAN_DAYS)
    minutes = [False] * (end - begin)
    for opens, closes in found:
        assert opens % 60 == 0
        assert closes % 60 == 0
        for minute in range(max(begin, int(opens) // 60), min(end, int(closes) // 60)):
            minutes[minute - begin] = True
    return minutes


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_window_is_open_in_the_very_minutes_in_which_the_clock_says_so(seed: int) -> None:
    luck = Random(seed)
    opened = 0
    for _ in range(CASES):
        name = luck.choice(ODD) if luck.random() < 0.4 else luck.choice(ZONES)
        zone = ZoneInfo(name)
        minute = around(luck, zone)
        # a time that the clock shows then, or leaps over
        clock = clock_at(minute, zone) + timedelta(minutes=luck.choice([0, 0, 0, -30, 30, -60, 45]))
        case = luck.choice([weekly, by_cron, by_rule])(luck, clock)
        lasts = luck.choice([1, 30, 60, 120, 121, 420, 1440, 3000])
        written = {**case.written, "for": f"{lasts}m", "timezone": name}
        begin = minute - luck.randint(0, 4 * 1440)
        end = begin + SPAN_DAYS * 1440
        mine, theirs = ours(written, begin, end), open_minutes(case.fields, zone, lasts, begin, end)
        wrong = [begin + i for i, (a, b) in enumerate(zip(mine, theirs, strict=True)) if a != b]
        assert not wrong, (written, [datetime.fromtimestamp(m * 60, UTC).isoformat() for m in wrong[:3]], len(wrong))
        opened += any(mine)
    assert opened > CASES / 2, "a test that mostly looks at closed windows sees little"
