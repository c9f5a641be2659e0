"""Which host is switched by what: one driver per host, behind the one port."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Protocol

from ballastd.core.power import PowerStatus
from ballastd.core.quantities import HostName
from ballastd.errors import PowerRefused


class PowerDriver(Protocol):
    """One host's controller; errors as in ``ports.Power``."""

    async def status(self) -> PowerStatus:
        """Return what it says."""
        ...

    async def power_off(self) -> None:
        """Ask for an orderly shutdown."""
        ...

    async def power_on(self) -> None:
        """Ask for power."""
        ...

    async def close(self) -> None:
        """Let go of it."""
        ...


class PowerDrivers:
    """``ports.Power`` over the drivers of the hosts that have one."""

    def __init__(self, drivers: Mapping[HostName, PowerDriver]) -> None:
        self._drivers = dict(drivers)

    async def status(self, host: HostName) -> PowerStatus:
        """See ``ports.Power``."""
        return await self._driver(host).status()

    async def power_off(self, host: HostName) -> None:
        """See ``ports.Power``."""
        await self._driver(host).power_off()

    async def power_on(self, host: HostName) -> None:
        """See ``ports.Power``."""
        await self._driver(host).power_on()

    async def close(self) -> None:
        """See ``ports.Power``."""
        await asyncio.gather(*(driver.close() for driver in self._drivers.values()))

    def _driver(self, host: HostName) -> PowerDriver:
        try:
            return self._drivers[host]
        except KeyError:
            raise PowerRefused(f"{host} has no power driver in the settings") from None
