"""Chores at a time of day, with APScheduler: the edge of the daemon, never its mind.

It reads the wall clock and nothing else; what it begins goes through the same gates as an operator's word.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import time
from zoneinfo import ZoneInfo

import structlog
from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_MISSED
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.cron import CronTrigger

log = structlog.get_logger("ballastd.calendar")

LATE_SECONDS = 3600
"""A chore that we slept through is done within this, else the next day."""


class WallCalendar:
    """``ports.Calendar`` on the running event loop."""

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self._scheduler: AsyncIOScheduler | None = None
        self._chores: list[tuple[str, time, Callable[[], Awaitable[None]]]] = []
        logging.getLogger("apscheduler").setLevel(logging.WARNING)

    def daily(self, name: str, at: time, chore: Callable[[], Awaitable[None]]) -> None:
        """See ``ports.Calendar``."""
        self._chores.append((name, at, chore))

    def start(self) -> None:
        """See ``ports.Calendar``."""
        scheduler = AsyncIOScheduler(timezone=self._zone)
        scheduler.add_listener(self._note, EVENT_JOB_ERROR | EVENT_JOB_MISSED)
        for name, at, chore in self._chores:
            scheduler.add_job(_run, CronTrigger(hour=at.hour, minute=at.minute, timezone=self._zone), args=(chore,),
                              id=name, name=name,
                              coalesce=True, max_instances=1, misfire_grace_time=LATE_SECONDS)
        scheduler.start()
        self._scheduler = scheduler

    def stop(self) -> None:
        """See ``ports.Calendar``."""
        if self._scheduler is not None:
            self._scheduler.shutdown(wait=False)
            self._scheduler = None

    @staticmethod
    def _note(event: object) -> None:
        """A chore that fails is logged; the daemon goes on, and tomorrow it is tried again."""
        log.error("a chore was missed or failed", chore=getattr(event, "job_id", ""),
                  reason=str(getattr(event, "exception", None) or "missed"))


async def _run(chore: Callable[[], Awaitable[None]]) -> None:
    """The scheduler awaits coroutine functions only: anything else that gives an awaitable would be called and dropped."""
    await chore()
