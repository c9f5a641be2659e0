"""Chores run at their time on the real clock, a failing one is logged, and nothing is left behind."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, time
from time import time as clock
from zoneinfo import ZoneInfo

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from ballastd.adapters.calendar import WallCalendar


async def test_a_chore_is_entered_for_its_time_in_its_zone() -> None:
    calendar = WallCalendar(ZoneInfo("Europe/Berlin"))

    async def chore() -> None:
        return None

    calendar.daily("summary", time(7, 30), chore)
    calendar.start()
    scheduler = calendar._scheduler
    assert isinstance(scheduler, AsyncIOScheduler)
    (job,) = scheduler.get_jobs()
    assert str(job.next_run_time.tzinfo) == "Europe/Berlin"
    assert job.max_instances == 1
    assert (job.next_run_time.hour, job.next_run_time.minute) == (7, 30)
    calendar.stop()
    await asyncio.sleep(0)
    assert not scheduler.running


async def test_a_chore_runs_and_one_that_fails_hurts_nobody() -> None:
    calendar, ran = WallCalendar(ZoneInfo("UTC")), asyncio.Event()

    async def fails() -> None:
        raise RuntimeError("no")

    async def runs() -> None:
        ran.set()

    calendar.daily("fails", time(3, 0), fails)
    calendar.daily("runs", time(3, 0), lambda: runs())  # noqa: PLW0108  anything that gives an awaitable will do
    calendar.start()
    assert calendar._scheduler is not None
    for job in calendar._scheduler.get_jobs():
        job.modify(next_run_time=datetime.fromtimestamp(clock(), UTC))
    async with asyncio.timeout(10.0):
        await ran.wait()
    assert {job.id for job in calendar._scheduler.get_jobs()} == {"fails", "runs"}, "tomorrow both are tried again"
    calendar.stop()
