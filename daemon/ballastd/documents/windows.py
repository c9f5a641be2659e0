"""Windows to UTC intervals: starts by the wall clock of an IANA zone, durations exact across daylight saving."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

HORIZON_DAYS = 14


@dataclass(frozen=True, slots=True)
class Weekly:
    """Every given weekday (0 is Monday) at a time of day, for some seconds."""

    days: tuple[int, ...]
    at: time
    seconds: float
    zone: ZoneInfo


@dataclass(frozen=True, slots=True)
class Once:
    """One time only, from a local date and time, for some seconds."""

    begin: datetime
    seconds: float
    zone: ZoneInfo


def intervals(rule: Weekly | Once, now_wall: float) -> tuple[tuple[tuple[float, float], ...], float]:
    """Return the rule's intervals from ``now_wall`` on as wall seconds, merged, and the horizon up to which they count.

    A start that falls into the gap of a spring night is an hour later by the clock (RFC 5545); one that comes twice in
    an autumn night counts the first time. The end is the start plus the duration, in UTC.
    """
    horizon = now_wall + HORIZON_DAYS * 86400.0
    if isinstance(rule, Once):
        begin = _utc(rule.begin, rule.zone)
        found = [(begin, begin + rule.seconds)]
    else:
        found = _weekly(rule, now_wall, horizon)
    return _merged([(b, e) for b, e in found if e > now_wall and b < horizon]), horizon


def _weekly(rule: Weekly, now_wall: float, horizon: float) -> list[tuple[float, float]]:
    today = datetime.fromtimestamp(now_wall, UTC).astimezone(rule.zone).date()
    back = int(rule.seconds // 86400) + 2
    found = []
    for offset in range(-back, HORIZON_DAYS + 2):
        day = today + timedelta(days=offset)
        if day.weekday() in rule.days:
            begin = _utc(datetime.combine(day, rule.at), rule.zone)
            if begin < horizon:
                found.append((begin, begin + rule.seconds))
    return found


def _utc(local: datetime, zone: ZoneInfo) -> float:
    return local.replace(tzinfo=zone, fold=0).astimezone(UTC).timestamp()


def _merged(found: list[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    merged: list[tuple[float, float]] = []
    for begin, end in sorted(found):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return tuple(merged)
