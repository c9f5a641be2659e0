"""The lanes of a daemon on virtual time, of which the journal's can be slow: the disk is, and the loop goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from ballastd.adapters.blocking import Inline
from ballastd.kernel.record import LANE

T = TypeVar("T")


class SimulatedLanes(Inline):
    """``ports.Blocking`` without threads. ``disk_seconds``: how long a call in the journal's lane takes; one that takes
    longer than its deadline has its effect all the same, and nobody is told."""

    def __init__(self) -> None:
        self.disk_seconds = 0.0

    async def run(self, lane: str, call: Callable[[], T], *, deadline: float) -> T:
        """See ``ports.Blocking.run``."""
        if lane == LANE and self.disk_seconds > 0:
            await asyncio.sleep(min(self.disk_seconds, deadline))
            deadline -= self.disk_seconds
            if deadline <= 0:
                call()
        return await super().run(lane, call, deadline=deadline)
