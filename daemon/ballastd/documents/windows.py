"""Windows to UTC intervals: starts by the wall clock of an IANA zone, durations exact across daylight saving."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

HORIZON_DAYS = 14
SLACK = timedelta(days=2)
"""Local clocks and UTC are never further apart: Samoa once left out a whole day."""
REFERENCE = datetime(2026, 1, 1)  # noqa: DTZ001  local by design
"""From here on rules without a start of their own are looked at, whatever the time is: a rule is sound or it is not."""


class Rule(Protocol):
    """When something opens, by a local clock, and for how long.

    ``first``: no start lies before this local instant. ``endless``: starts never run out.
    """

    @property
    def seconds(self) -> float:
        """How long each opening lasts."""

    @property
    def zone(self) -> ZoneInfo:
        """The zone of the local clock."""

    @property
    def first(self) -> datetime:
        """From when on it can open."""

    @property
    def endless(self) -> bool:
        """Whether it goes on for ever."""

    def starts(self, since: datetime, until: datetime) -> Iterator[datetime]:
        """Yield the local starts within both, in order, without a zone."""


@dataclass(frozen=True, slots=True)
class Weekly:
    """Every given weekday (0 is Monday) at a time of day, for some seconds."""

    days: tuple[int, ...]
    at: time
    seconds: float
    zone: ZoneInfo
    first: datetime = REFERENCE
    endless: bool = True

    def starts(self, since: datetime, until: datetime) -> Iterator[datetime]:
        """See ``Rule``."""
        day = since.date()
        while (start := datetime.combine(day, self.at)) <= until:
            if start >= since and day.weekday() in self.days:
                yield start
            day += timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Once:
    """One time only, from a local date and time, for some seconds."""

    first: datetime
    seconds: float
    zone: ZoneInfo
    endless: bool = False

    def starts(self, since: datetime, until: datetime) -> Iterator[datetime]:
        """See ``Rule``."""
        if since <= self.first <= until:
            yield self.first


def utc(local: datetime, zone: ZoneInfo) -> float:
    """Return the wall seconds of a local instant, as RFC 5545 reads it.

    One in the gap of a spring night counts by the offset before it, so it is an hour later by the clock; of two that
    are alike in autumn it is the first.
    """
    return local.replace(tzinfo=zone, fold=0).astimezone(UTC).timestamp()


def local(wall: float, zone: ZoneInfo) -> datetime:
    """Return what the clocks of ``zone`` show at ``wall``, without a zone."""
    return datetime.fromtimestamp(wall, UTC).astimezone(zone).replace(tzinfo=None)


def openings(rule: Rule, since_wall: float, until_wall: float) -> Iterator[tuple[float, float]]:
    """Yield every opening of ``rule`` that touches the time between both, as wall seconds."""
    begin = local(since_wall - rule.seconds, rule.zone) - SLACK
    for start in rule.starts(begin, local(until_wall, rule.zone) + SLACK):
        opens = utc(start, rule.zone)
        if opens < until_wall and opens + rule.seconds > since_wall:
            yield opens, opens + rule.seconds


def intervals(rules: Sequence[Rule], now_wall: float, days: int = HORIZON_DAYS
              ) -> tuple[tuple[tuple[float, float], ...], float]:
    """Return when any of ``rules`` is open from ``now_wall`` on, as wall seconds, merged, and the horizon up to which that
    counts. The end of each is the start plus the duration, in UTC."""
    horizon = now_wall + days * 86400.0
    return _merged([found for rule in rules for found in openings(rule, now_wall, horizon)]), horizon


def _merged(found: list[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    merged: list[tuple[float, float]] = []
    for begin, end in sorted(found):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return tuple(merged)
