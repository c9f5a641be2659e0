"""Windows on the nights on which clocks change, over leap days and year ends, in many zones: open for exactly as long as
they say. What is expected was worked out by hand from the zones' published changes."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest

from ballastd.documents.window_models import Schedule
from ballastd.documents.windows import intervals

EVERY_DAY = ["mon-sun"]


def wall(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def opened(now: str, **schedule: Any) -> list[tuple[str, int]]:
    """Return the openings of the next fortnight: begin in UTC, minutes."""
    found, _ = intervals((Schedule.model_validate(schedule).rule(),), wall(now))
    return [(datetime.fromtimestamp(begin, UTC).strftime("%Y-%m-%d %H:%M"), round((end - begin) / 60))
            for begin, end in found]


@pytest.mark.parametrize(("zone", "at", "now", "begins"), [
    # spring: the time does not come, it is as much later by the clock; autumn: it comes twice, the first counts
    ("Europe/Berlin", "02:30", "2027-03-27 12:00", "2027-03-28 01:30"),
    ("Europe/Berlin", "02:30", "2026-10-24 12:00", "2026-10-25 00:30"),
    ("America/New_York", "02:30", "2027-03-13 12:00", "2027-03-14 07:30"),
    ("America/New_York", "01:30", "2026-10-31 12:00", "2026-11-01 05:30"),
    # half an hour only
    ("Australia/Lord_Howe", "02:10", "2026-10-03 00:00", "2026-10-03 15:40"),
    ("Australia/Lord_Howe", "01:45", "2027-04-03 00:00", "2027-04-03 14:45"),
    # back for Ramadan, in the middle of winter
    ("Africa/Casablanca", "02:30", "2026-02-14 12:00", "2026-02-15 01:30"),
    ("Africa/Casablanca", "02:30", "2026-03-21 12:00", "2026-03-22 02:30"),
    # no summer time since 2019: nothing special
    ("America/Sao_Paulo", "00:30", "2026-10-17 12:00", "2026-10-18 03:30"),
    # at midnight, when there still was one
    ("America/Sao_Paulo", "00:30", "2018-11-03 12:00", "2018-11-04 03:30"),
    # an odd offset without changes
    ("Asia/Kathmandu", "02:30", "2026-06-01 00:00", "2026-06-01 20:45"),
    ("Pacific/Chatham", "02:50", "2026-09-26 00:00", "2026-09-26 14:05"),
    ("UTC", "02:30", "2026-06-01 00:00", "2026-06-01 02:30"),
])
def test_a_window_begins_once_and_lasts_as_long_as_it_says(zone: str, at: str, now: str, begins: str) -> None:
    for ways in ({"days": EVERY_DAY, "at": at}, {"cron": f"{int(at[3:])} {int(at[:2])} * * *"},
                 {"rrule": "FREQ=DAILY", "start": f"2010-01-01 {at}"}):
        found = opened(now, **ways, **{"for": "2h", "timezone": zone})
        assert found[0] == (begins, 120), ways
        assert {minutes for _, minutes in found} == {120}
        assert len(found) in (13, 14)


def test_a_day_that_was_left_out_is_a_day_later_and_no_second_one() -> None:
    # Samoa went from Thursday 29 to Saturday 31 December 2011
    found = opened("2011-12-28 12:00", days=EVERY_DAY, at="22:00", timezone="Pacific/Apia", **{"for": "1h"})
    assert found[:3] == [("2011-12-29 08:00", 60), ("2011-12-30 08:00", 60), ("2011-12-31 08:00", 60)]
    assert opened("2011-12-28 12:00", timezone="Pacific/Apia", **{"from": "2011-12-30 22:00", "for": "1h"}) == [
        ("2011-12-31 08:00", 60)]


@pytest.mark.parametrize(("now", "length", "closes"), [
    ("2027-03-27 12:00", "7h", "2027-03-28 04:00"),    # 22:00 CET to 06:00 CEST by the clock
    ("2026-10-24 12:00", "7h", "2026-10-25 03:00"),    # 22:00 CEST to 04:00 CET
])
def test_a_night_over_the_change_is_longer_or_shorter_by_the_clock_only(now: str, length: str, closes: str) -> None:
    found, _ = intervals((Schedule.model_validate({"days": EVERY_DAY, "at": "22:00", "for": length,
                                                   "timezone": "Europe/Berlin"}).rule(),), wall(now))
    assert found[0][1] == wall(closes)
    assert found[0][1] - found[0][0] == 7 * 3600


def test_a_leap_day_comes_when_it_comes() -> None:
    rule = {"rrule": "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", "start": "2024-02-29 12:00", "for": "1d", "timezone": "UTC"}
    assert opened("2028-02-20 00:00", **rule) == [("2028-02-29 12:00", 1440)]
    assert opened("2027-02-20 00:00", **rule) == []
    assert opened("2028-02-20 00:00", cron="0 12 L 2 *", timezone="UTC", **{"for": "1d"}) == [("2028-02-29 12:00", 1440)]
    assert opened("2027-02-20 00:00", cron="0 12 L 2 *", timezone="UTC", **{"for": "1d"}) == [("2027-02-28 12:00", 1440)]


def test_a_year_ends_in_the_middle_of_a_window() -> None:
    assert opened("2026-12-31 00:00", timezone="Asia/Tokyo", **{"from": "2026-12-31 20:00", "for": "8h"}) == [
        ("2026-12-31 11:00", 480)]
    assert opened("2026-12-31 23:30", days=["thu"], at="22:00", timezone="UTC", **{"for": "4h"})[0] == (
        "2026-12-31 22:00", 240)
    last_week = opened("2026-12-20 00:00", rrule="FREQ=YEARLY;BYWEEKNO=53;BYDAY=TH,FR", start="2026-01-01 06:00",
                       timezone="Europe/Berlin", **{"for": "1h"})
    assert last_week == [("2026-12-31 05:00", 60), ("2027-01-01 05:00", 60)]


@pytest.mark.parametrize(("written", "now", "begins"), [
    # a rule keeps its rhythm from its start, however long ago that was
    ({"rrule": "FREQ=WEEKLY;INTERVAL=2;BYDAY=TU", "start": "2001-01-02 03:00"}, "2026-11-22 00:00",
     ["2026-12-01 02:00"]),
    ({"rrule": "FREQ=DAILY;INTERVAL=9", "start": "2000-01-01 03:00"}, "2026-11-22 00:00", ["2026-11-28 02:00"]),
    ({"rrule": "FREQ=MONTHLY;BYDAY=2SA", "start": "2026-01-10 03:00"}, "2026-12-01 00:00", ["2026-12-12 02:00"]),
    ({"rrule": "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1", "start": "2026-01-30 03:00"}, "2026-11-22 00:00",
     ["2026-11-30 02:00"]),
    ({"rrule": "RRULE:FREQ=DAILY;COUNT=2", "start": "2026-11-22 03:00"}, "2026-11-20 00:00",
     ["2026-11-22 02:00", "2026-11-23 02:00"]),
    # until: a day counts whole, by the clock of the zone; an instant in UTC counts as it stands
    ({"rrule": "FREQ=DAILY;UNTIL=20261123", "start": "2026-11-22 23:30"}, "2026-11-20 00:00",
     ["2026-11-22 22:30", "2026-11-23 22:30"]),
    ({"rrule": "FREQ=DAILY;UNTIL=20261123T222959Z", "start": "2026-11-22 23:30"}, "2026-11-20 00:00",
     ["2026-11-22 22:30"]),
    ({"rrule": "FREQ=DAILY;UNTIL=20261123T233000", "start": "2026-11-22 23:30"}, "2026-11-20 00:00",
     ["2026-11-22 22:30", "2026-11-23 22:30"]),
    ({"rrule": "FREQ=WEEKLY", "start": "2026-11-25 23:30"}, "2026-11-20 00:00", ["2026-11-25 22:30", "2026-12-02 22:30"]),
    ({"cron": "0 3 * * 1#1"}, "2026-12-01 00:00", ["2026-12-07 02:00"]),
    ({"cron": "30 1 1 * *"}, "2026-11-22 00:00", ["2026-12-01 00:30"]),
])
def test_rules_begin_where_they_say(written: dict[str, str], now: str, begins: list[str]) -> None:
    found = opened(now, **written, **{"for": "1h", "timezone": "Europe/Berlin"})
    assert [begin for begin, _ in found] == begins


def test_zones_are_known_where_the_system_has_none() -> None:
    program = ("import zoneinfo; assert zoneinfo.TZPATH == (); from ballastd.documents.scalars import zone; "
               "print(zone('Europe/Berlin'))")
    done = subprocess.run([sys.executable, "-c", program], env={**os.environ, "PYTHONTZPATH": ""}, capture_output=True,
                          text=True, timeout=60, check=False)
    assert done.stdout.strip() == "Europe/Berlin", done.stderr
