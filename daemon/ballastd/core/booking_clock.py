"""What the books note when the wall clock is set: ages stay what they were, and nothing in them has happened later than now.

The fields of what is booked are walked by name: those called ``wall`` or ``..._wall`` are times. What was noted since this
machine booted goes along with a step of its clock. What lies later than now even so was noted under a clock that was ahead,
and counts as noted now, which forgets nothing that was done. What something may last until keeps its length.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

from ballastd.core.autonomy import Offer
from ballastd.core.books import Books
from ballastd.core.events import ClockStepped
from ballastd.core.quantities import Instant

CLOCK_STEP_SECONDS = 2.0
"""By so much the wall clock may run away from the monotonic one before it counts as set."""
_DEADLINES = frozenset({"deadline_wall", "until_wall"})
_LOOSE = frozenset({"evacuation_starts", "crashes", "silences", "acknowledged", "wakeable", "switched_on", "faults"})
"""Fields whose numbers are times without a record around them."""


class ClockWatch:
    """Notices that the wall clock was set, by what it shows against the one that does not leap. Steps too small to count add
    up until they do."""

    def __init__(self, now: Instant) -> None:
        self._ahead = now.wall - now.monotonic

    def stepped(self, now: Instant) -> float:
        """Return by how much the wall clock was set since ``keep``, seconds: 0 where it was not."""
        by = now.wall - now.monotonic - self._ahead
        return by if abs(by) > CLOCK_STEP_SECONDS else 0.0

    def booted(self) -> float:
        """Return when this machine booted by the clock as it was at ``keep``, wall seconds."""
        return self._ahead

    def keep(self, now: Instant) -> None:
        """What was made of it is done."""
        self._ahead += self.stepped(now)


def ahead(books: Books, wall: float) -> float:
    """Return by how much the latest time that is booked lies after ``wall``, seconds: 0 where none does."""
    return max((at - wall for at in _noted(books)), default=0.0)


def moved(wall: float, e: ClockStepped) -> float:
    """Return when something was by the clock as it is since ``e``, that was noted at ``wall``."""
    return min(_along(wall, e), e.wall)


def clock_stepped(books: Books, e: ClockStepped) -> None:
    """Book that the clock was set."""
    for name, value in _moved_fields(books, e).items():
        setattr(books, name, value)


def _along(wall: float, e: ClockStepped) -> float:
    return wall + e.by if wall >= e.booted_wall else wall


def _noted(value: Any, *, loose: bool = False) -> Iterator[float]:
    """Yield when each thing in ``value`` was noted. ``loose``: whether bare numbers in it are times."""
    if is_dataclass(value):
        yield from _starts(value).values()
        if isinstance(value, Offer):
            yield _approved(value)
        for spec in fields(value):
            yield from _noted(getattr(value, spec.name), loose=spec.name in _LOOSE)
    elif isinstance(value, dict | tuple | deque):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _noted(one, loose=loose)
    elif loose and _is_number(value):
        yield value


def _approved(offer: Offer) -> float:
    """Return when it was made, or approved: that has no field of its own."""
    return offer.until_wall - offer.seconds


def _starts(record: Any) -> dict[str, float]:
    """Return the times of a record that tell when something was, by field."""
    found = {spec.name: getattr(record, spec.name) for spec in fields(record) if _is_time(spec.name)}
    return {name: wall for name, wall in found.items() if name not in _DEADLINES and wall is not None}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_time(name: str) -> bool:
    return name == "wall" or name.endswith("_wall")


def _moved(value: Any, e: ClockStepped, *, loose: bool) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **_moved_fields(value, e))
    if isinstance(value, dict):
        return {key: _moved(one, e, loose=loose) for key, one in value.items()}
    if isinstance(value, deque):
        return deque((_moved(one, e, loose=loose) for one in value), maxlen=value.maxlen)
    if isinstance(value, tuple):
        return tuple(_moved(one, e, loose=loose) for one in value)
    return moved(value, e) if loose and _is_number(value) else value


def _moved_fields(record: Any, e: ClockStepped) -> dict[str, Any]:
    """Return the fields of a record as they are by the clock as it is now. Of one whose times lie ahead of it those go back
    together, so that how long something took stays known; a deadline goes with the first of them."""
    before = _starts(record)
    along = {name: _along(wall, e) for name, wall in before.items()}
    excess = max(0.0, max(along.values(), default=e.wall) - e.wall)
    found: dict[str, Any] = {name: wall - excess if wall > e.wall else wall for name, wall in along.items()}
    begun = next(iter(before), None)
    by = found[begun] - before[begun] if begun is not None else 0.0
    for spec in fields(record):
        value = getattr(record, spec.name)
        if spec.name in _DEADLINES:
            found[spec.name] = None if value is None else value + by
        elif spec.name not in before:
            found[spec.name] = _moved(value, e, loose=spec.name in _LOOSE)
    if isinstance(record, Offer):
        found["until_wall"] = moved(_approved(record), e) + record.seconds
    return found
