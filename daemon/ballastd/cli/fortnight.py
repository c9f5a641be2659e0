"""The days to come as a picture of text: a line for each, a sign for each half hour, in an operator's own zone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from ballastd.documents.windows import local, utc

HALF_HOUR = timedelta(minutes=30)
HALVES = 48
Intervals = Sequence[Sequence[float]]


@dataclass(frozen=True, slots=True)
class Signs:
    """What stands for a half hour that is whole within a window, partly, or not at all."""

    whole: str
    part: str
    none: str


BLOCKS, PLAIN = Signs("\u2588", "\u2592", "\u00b7"), Signs("#", "+", ".")


def signs_for(encoding: str | None) -> Signs:
    """Return signs that a terminal of this encoding can show."""
    try:
        f"{BLOCKS.whole}{BLOCKS.part}{BLOCKS.none}".encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return PLAIN
    return BLOCKS


def heading(indent: str) -> str:
    """Return the hours, above the lines of the days."""
    return indent + "".join(f"{hour:02}    " for hour in range(0, 24, 3)).rstrip()


def days(intervals: Intervals, now_wall: float, horizon: float, count: int, zone: ZoneInfo, signs: Signs
         ) -> Iterator[tuple[str, str]]:
    """Yield the days from ``now_wall`` on: what each is called, and its 48 half hours.

    Blank: a half hour that has passed, that the clocks leap over, or beyond ``horizon``, where nothing is known.
    """
    today = local(now_wall, zone).date()
    for offset in range(count):
        day = today + timedelta(days=offset)
        begins = (datetime.combine(day, time()) + HALF_HOUR * i for i in range(HALVES))
        line = "".join(_sign(begin, intervals, now_wall, horizon, zone, signs) for begin in begins)
        yield f"{day:%a %d %b}", line.rstrip()


def _sign(begin: datetime, intervals: Intervals, now_wall: float, horizon: float, zone: ZoneInfo, signs: Signs) -> str:
    # an hour that comes twice is one of an hour and a half here
    since, until = utc(begin, zone), utc(begin + HALF_HOUR, zone)
    if local(since, zone) != begin or until <= now_wall or since >= horizon:
        return " "
    within = sum(max(0.0, min(until, closes) - max(since, opens)) for opens, closes in intervals)
    if within <= 0:
        return signs.none
    return signs.whole if within >= until - max(since, now_wall) - 1e-6 else signs.part
