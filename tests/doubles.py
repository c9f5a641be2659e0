"""Small classes that stand behind ports in tests: no patching, no magic."""

from __future__ import annotations

import asyncio
from typing import Any

from ballastd.core.power import PowerState, PowerStatus
from ballastd.core.quantities import HostName


class SilentNotices:
    """A ``Notices`` that keeps what it was given."""

    def __init__(self) -> None:
        self.published: list[tuple[str, dict[str, Any]]] = []
        self.cordons: dict[HostName, float] = {}
        self.rival: str | None = None

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def flush(self, seconds: float) -> bool:
        return True

    def publish(self, topic: str, payload: dict[str, Any], *, retain: bool = False) -> None:
        self.published.append((topic, payload))

    def cordon(self, host: HostName, until_wall: float, by: str) -> None:
        self.cordons[host] = until_wall

    def uncordon(self, host: HostName) -> None:
        self.cordons.pop(host, None)

    def claim(self, holder: str) -> None:
        return None

    def release(self) -> None:
        return None

    def rival_name(self) -> str | None:
        return self.rival


class Controllers:
    """A ``Power`` whose controllers say what they are told to say, and remember what they were asked."""

    def __init__(self) -> None:
        self.statuses: dict[HostName, PowerStatus | Exception] = {}
        self.asked: list[tuple[HostName, bool]] = []
        self.fails: Exception | None = None

    async def status(self, host: HostName) -> PowerStatus:
        said = self.statuses.get(host, PowerStatus(PowerState.UNKNOWN, None))
        if isinstance(said, Exception):
            raise said
        return said

    async def power_off(self, host: HostName) -> None:
        self._ask(host, on=False)

    async def power_on(self, host: HostName) -> None:
        self._ask(host, on=True)

    def _ask(self, host: HostName, *, on: bool) -> None:
        self.asked.append((host, on))
        if self.fails is not None:
            raise self.fails

    async def close(self) -> None:
        return None
