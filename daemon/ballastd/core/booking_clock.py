"""What the books note under a wall clock that was ahead, once it is right: nothing in them has happened later than now.

The fields of what is booked are walked by name: those called ``wall`` or ``..._wall`` are times. What is noted later than
now counts as noted now, which forgets nothing that was done. A record whose times lie ahead is moved back as one, so that
how long something took stays known; what it may last until keeps its length.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

from ballastd.core.autonomy import Offer
from ballastd.core.books import Books
from ballastd.core.events import ClockSetRight
from ballastd.core.quantities import Instant

CLOCK_STEP_SECONDS = 2.0
"""By so much the wall clock may run away from the monotonic one before it counts as set."""
_DEADLINES = frozenset({"deadline_wall", "until_wall"})
_LOOSE = frozenset({"evacuation_starts", "crashes", "silences", "acknowledged", "wakeable", "switched_on", "faults"})
"""Fields whose numbers are times without a record around them."""


class ClockWatch:
    """Notices that the wall clock was set back, all at once or little by little. At the start nobody knows what it was."""

    def __init__(self, now: Instant) -> None:
        self._ahead, self._in_doubt = now.wall - now.monotonic, True

    def is_in_doubt(self, now: Instant) -> bool:
        """Return whether it was set back since ``keep``."""
        ahead = now.wall - now.monotonic
        self._in_doubt |= ahead < self._ahead - CLOCK_STEP_SECONDS
        self._ahead = ahead if self._in_doubt else max(ahead, self._ahead)
        return self._in_doubt

    def keep(self) -> None:
        """What was made of that is durable."""
        self._in_doubt = False


def ahead(books: Books, wall: float) -> float:
    """Return by how much the latest time that is booked lies after ``wall``, seconds: 0 where none does."""
    return max((at - wall for at in _noted(books)), default=0.0)


def clock_set_right(books: Books, e: ClockSetRight) -> None:
    """Book that the clock is right."""
    for name, value in _moved_back(books, e.wall).items():
        setattr(books, name, value)


def _noted(value: Any, *, loose: bool = False) -> Iterator[float]:
    """Yield when each thing in ``value`` was noted. ``loose``: whether bare numbers in it are times."""
    if is_dataclass(value):
        yield from _starts(value).values()
        if isinstance(value, Offer):  # its approval has no time of its own
            yield value.until_wall - value.seconds
        for spec in fields(value):
            yield from _noted(getattr(value, spec.name), loose=spec.name in _LOOSE)
    elif isinstance(value, dict | tuple | deque):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _noted(one, loose=loose)
    elif loose and value is not None:
        yield value


def _starts(record: Any) -> dict[str, float]:
    """Return the times of a record that tell when something was, by field."""
    found = {spec.name: getattr(record, spec.name) for spec in fields(record) if _is_time(spec.name)}
    return {name: wall for name, wall in found.items() if name not in _DEADLINES and wall is not None}


def _is_time(name: str) -> bool:
    return name == "wall" or name.endswith("_wall")


def _capped(value: Any, at: float, *, loose: bool) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **_moved_back(value, at))
    if isinstance(value, dict):
        return {key: _capped(one, at, loose=loose) for key, one in value.items()}
    if isinstance(value, deque):
        return deque((_capped(one, at, loose=loose) for one in value), maxlen=value.maxlen)
    if isinstance(value, tuple):
        return tuple(_capped(one, at, loose=loose) for one in value)
    return min(value, at) if loose else value


def _moved_back(record: Any, at: float) -> dict[str, Any]:
    """Return the fields of a record as they are with nothing noted later than ``at``."""
    starts = _starts(record)
    excess = max(0.0, max(starts.values(), default=at) - at)
    moved = {name: wall - excess if wall > at else wall for name, wall in starts.items()}
    begin = next(iter(starts.values()), at)
    for spec in fields(record):
        value = getattr(record, spec.name)
        if spec.name in _DEADLINES:
            moved[spec.name] = value - excess if value is not None and begin > at else value
        elif spec.name not in moved:
            moved[spec.name] = _capped(value, at, loose=spec.name in _LOOSE)
    if isinstance(record, Offer):
        moved["until_wall"] = min(moved["until_wall"], at + record.seconds)
    return moved
