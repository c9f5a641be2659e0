"""Windows last exactly as long as they say, also when the clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import pytest

from ballastd.documents.windows import Once, Weekly, intervals

BERLIN = ZoneInfo("Europe/Berlin")
EVERY_DAY = tuple(range(7))


def wall(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(("now", "begin"), [
    ("2026-10-24 12:00", "2026-10-25 00:30"),   # 02:30 comes twice; the first counts
    ("2027-03-27 12:00", "2027-03-28 01:30"),   # 02:30 does not come; an hour later by the clock
    ("2026-07-01 12:00", "2026-07-02 00:30"),
])
def test_two_hours_are_two_hours_on_every_night(now: str, begin: str) -> None:
    found, _ = intervals((Weekly(EVERY_DAY, time(2, 30), 7200.0, BERLIN),), wall(now))
    assert found[0] == (wall(begin), wall(begin) + 7200.0)
    assert {end - start for start, end in found} == {7200.0}


def test_a_window_over_midnight_is_open_after_midnight() -> None:
    friday_night = Weekly((4,), time(22, 0), 7 * 3600.0, BERLIN)
    found, _ = intervals((friday_night,), wall("2026-11-28 01:00"))
    assert found[0][0] == wall("2026-11-27 21:00")


def test_long_windows_that_touch_are_one() -> None:
    found, horizon = intervals((Weekly(EVERY_DAY, time(0, 0), 86400.0, ZoneInfo("UTC")),), wall("2026-11-23 10:00"))
    assert len(found) == 1
    assert found[0][1] >= horizon


def test_a_window_once_is_there_once_and_then_never() -> None:
    once = Once(datetime(2026, 12, 23, 12), 3600.0, BERLIN)  # noqa: DTZ001  local by design
    found, _ = intervals((once,), wall("2026-12-20 00:00"))
    assert found == ((wall("2026-12-23 11:00"), wall("2026-12-23 12:00")),)
    assert intervals((once,), wall("2026-12-24 00:00"))[0] == ()
    assert intervals((once,), wall("2026-01-01 00:00"))[0] == (), "beyond the horizon nothing is known"
