"""The daemon as it is, killed at a named place.

    python -m tests.chaos.striking PLACE INSTANT SECONDS MARK run ...

Nothing of it is changed but the call that an act comes down to, and that only around itself: libvirt's own function, the
journal's append, the write of a definition, the message to the broker, a guest that is asked, a command of a power switch.
The first such call is struck: ``before`` it is made, ``during`` it (``SECONDS`` after it began, whether or not it has
returned by then), or ``after`` it has returned, with an error as well, and before anybody was told. When it began and
returned is written to MARK, which so says whether it was still open; the rest of the command line is ``ballastd``'s.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

INSTANTS = ("before", "after", "during")
"""``after`` comes ahead of ``during``: how long the call takes is known from it."""
FIRST_STANDSTILL_MS = 100
"""What a migration begins with is no lengthening."""
SOONEST_SECONDS = 1e-6
"""A timer of none is no timer."""
Fits = Callable[[tuple[Any, ...]], bool]


@dataclass(frozen=True, slots=True)
class Place:
    """A call, ``owner.method`` of ``module``. ``lasts``: about how long it takes, until it is measured, seconds;
    ``is_async``: whether it is awaited; ``fits``: whether a call, by its arguments without ``self``, is the one."""

    module: str
    owner: str
    method: str
    lasts: float
    is_async: bool = False
    fits: Fits = lambda _: True


def _of_kind(kind: str) -> Fits:
    return lambda arguments: any(content["kind"] == kind for content in arguments[1])


def _cordon(*, raised: bool) -> Fits:
    return lambda arguments: arguments[0].topic.endswith("/cordon") and bool(arguments[0].payload) is raised


JOURNAL = ("ballastd.adapters.journal.journal", "SqliteJournal", "append", 0.006)
POWER = "ballastd.adapters.power.command", "CommandPower"
BROKER = ("ballastd.adapters.mqtt.connection", "Connection", "send", 0.004, True)
DOMAIN = "libvirt", "virDomain"
PLACES: dict[str, Place] = {
    "order": Place(*JOURNAL, fits=_of_kind("MigrationOrdered")),
    "definition": Place("ballastd.adapters.definitions", "FileDefinitions", "_write", 0.01),
    "migrate": Place(*DOMAIN, "migrateToURI3", 3.0),
    "bandwidth": Place(*DOMAIN, "migrateSetMaxSpeed", 0.01),
    "standstill": Place(*DOMAIN, "migrateSetMaxDowntime", 0.001, fits=lambda arguments: arguments[0] > FIRST_STANDSTILL_MS),
    "abort": Place(*DOMAIN, "abortJob", 0.001),
    "post-copy": Place(*DOMAIN, "migrateStartPostCopy", 0.005),
    "check": Place("ballastd.adapters.asking.network", "NetworkProbe", "ask", 0.05, is_async=True),
    "outcome": Place(*JOURNAL, fits=_of_kind("MigrationSettled")),
    "cordon": Place(*BROKER, fits=_cordon(raised=True)),
    "uncordon": Place(*BROKER, fits=_cordon(raised=False)),
    "power off": Place(*POWER, "power_off", 0.5, is_async=True),
    "power on": Place(*POWER, "power_on", 0.5, is_async=True),
    "shutdown": Place(*DOMAIN, "shutdownFlags", 0.005),
}


class Striker:
    """Ends this process at an instant of the first call that fits."""

    def __init__(self, place: Place, instant: str, seconds: float, mark: Path) -> None:
        self._place, self._instant, self._seconds = place, instant, seconds
        self._mark = mark.open("ab", buffering=0)
        self._lock = threading.Lock()
        self._is_spent = False

    def wrapped(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``call`` with its instants around it."""
        @functools.wraps(call)
        def blocking(*arguments: Any, **named: Any) -> Any:
            mine = self._enter(arguments)
            try:
                return call(*arguments, **named)
            finally:
                self._leave(mine=mine)

        @functools.wraps(call)
        async def awaited(*arguments: Any, **named: Any) -> Any:
            mine = self._enter(arguments)
            try:
                return await call(*arguments, **named)
            finally:
                self._leave(mine=mine)

        return awaited if self._place.is_async else blocking

    def _enter(self, arguments: tuple[Any, ...]) -> bool:
        with self._lock:
            if self._is_spent or not self._place.fits(arguments[1:]):
                return False
            self._is_spent = True
        self._note()
        if self._instant == "before":
            self._strike()
        if self._instant == "during":
            # the kernel's own timer: a thread of ours would be late by as much as these calls take. Nobody catches its
            # signal, so it ends the process as SIGKILL would
            signal.setitimer(signal.ITIMER_REAL, max(self._seconds, SOONEST_SECONDS))
        return True

    def _leave(self, *, mine: bool) -> None:
        if not mine:
            return
        self._note()
        if self._instant == "after":
            self._strike()

    def _note(self) -> None:
        self._mark.write(f"{time.monotonic():.6f}\n".encode())

    def _strike(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


def marked(mark: Path) -> tuple[bool, float | None]:
    """Return whether the call was come to, and for how long it was open, seconds; None while it had not returned."""
    times = [float(line) for line in mark.read_text().splitlines()] if mark.exists() else []
    return bool(times), times[1] - times[0] if len(times) > 1 else None


def main() -> None:
    """Install it, and be ``ballastd``."""
    place, instant, seconds, mark, *words = sys.argv[1:]
    where = PLACES[place]
    owner = getattr(__import__(where.module, fromlist=[where.owner]), where.owner)
    striker = Striker(where, instant, float(seconds), Path(mark))
    setattr(owner, where.method, striker.wrapped(getattr(owner, where.method)))
    from ballastd.cli.daemon import main as daemon

    daemon(words)


if __name__ == "__main__":
    main()
