"""What a daemon says to a pretend broker: notices, cordons that are retained and expire, claims on the cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from ballastd.core.quantities import HostName
from ballastd.ports.running import Clock


class SimulatedNotices:
    """See ``ports.Notices``. ``is_up``: whether the broker is there; what is said meanwhile is delivered when it is back.
    ``rival``: another daemon that claims the cluster. ``listen``: hears every notice, as topic and payload."""

    def __init__(self, clock: Clock, is_up: Callable[[], bool], listen: Callable[[str, dict[str, Any]], None]) -> None:
        self.rival: str | None = None
        self.cordons: dict[HostName, float] = {}
        """What is retained, wall seconds; agents read it."""
        self._waiting: dict[HostName, float | None] = {}
        self._clock = clock
        self._is_up = is_up
        self._listen = listen

    def cordoned_until(self, host: HostName) -> float | None:
        """Return what the broker retains for a host's agent, wall seconds, None where nothing stands or it expired."""
        self._deliver()
        until = self.cordons.get(host)
        return until if until is not None and until > self._clock.now().wall else None

    async def run(self) -> None:
        """See ``ports.Notices``."""
        await asyncio.Event().wait()

    async def flush(self, seconds: float) -> bool:
        """See ``ports.Notices``."""
        if not self._is_up():
            await asyncio.sleep(seconds)
        self._deliver()
        return not self._waiting

    def cordon(self, host: HostName, until_wall: float, by: str) -> None:  # noqa: ARG002  the contract's
        """See ``ports.Notices``."""
        self._waiting[host] = until_wall
        self._deliver()

    def uncordon(self, host: HostName) -> None:
        """See ``ports.Notices``."""
        self._waiting[host] = None
        self._deliver()

    def claim(self, holder: str) -> None:
        """See ``ports.Notices``."""

    def release(self) -> None:
        """See ``ports.Notices``."""

    def rival_name(self) -> str | None:
        """See ``ports.Notices``."""
        return self.rival if self._is_up() else None

    def publish(self, topic: str, payload: dict[str, Any], *, retain: bool = False) -> None:  # noqa: ARG002  the contract's
        """See ``ports.Notices``."""
        self._listen(topic, payload)

    def forget_unsent(self) -> None:
        """The daemon is gone, with what it had not delivered."""
        self._waiting.clear()

    def _deliver(self) -> None:
        if self._is_up():
            for host, until in self._waiting.items():
                if until is None:
                    self.cordons.pop(host, None)
                else:
                    self.cordons[host] = until
            self._waiting.clear()
