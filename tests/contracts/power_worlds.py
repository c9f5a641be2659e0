"""Worlds in which the power contract is tried: two hosts with controllers, one whose controller refuses, one without."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, Protocol

from ballastd.adapters.blocking import Lanes
from ballastd.adapters.power.command import CommandOptions, CommandPower
from ballastd.adapters.power.redfish import RedfishOptions, RedfishPower
from ballastd.adapters.power.routing import PowerDrivers
from ballastd.core.quantities import HostName
from ballastd.ports.hosts import Power
from ballastd.sim.power import Conduct, SimulatedController, SimulatedPower
from ballastd.sim.virtual_time import run_virtual
from tests.redfish import SYSTEMS, Emulator, uuid_of

H1, H2, STUBBORN, BARE = HostName("h1"), HostName("h2"), HostName("stubborn"), HostName("bare")
NUMBERS = {H1: 0xa1, H2: 0xa2, STUBBORN: 0xa3}


class World(Protocol):
    """``power`` is there while a story runs; h1 and h2 are on when it begins. ``deadline``: seconds for one call."""

    power: Power
    deadline: float

    def run(self, story: Callable[[World], Awaitable[Any]]) -> None:
        """Tell ``story`` in a world of its own."""
        ...

    def uuid(self, host: HostName) -> str:
        """Return which machine the host is."""
        ...

    def orders(self, host: HostName) -> list[bool]:
        """Return what its controller was told and took: whether to come on."""
        ...

    def silent(self, host: HostName) -> contextlib.AbstractContextManager[None]:
        """Have the host's controller say nothing for a while."""
        ...


class SimulatedWorld:
    """Pretend controllers, on virtual time."""

    power: SimulatedPower
    deadline = 5.0

    def run(self, story: Callable[[World], Awaitable[Any]]) -> None:
        run_virtual(self._tell(story))

    async def _tell(self, story: Callable[[World], Awaitable[Any]]) -> None:
        ones = [SimulatedController(host, identity=uuid_of(number)) for host, number in NUMBERS.items()]
        self.power = SimulatedPower(ones, went_off=lambda _: None, came_up=lambda _: None, deadline=self.deadline)
        self.power.controllers[STUBBORN].conduct = Conduct.REFUSES
        await story(self)
        await self.power.close()

    def uuid(self, host: HostName) -> str:
        return uuid_of(NUMBERS[host])

    def orders(self, host: HostName) -> list[bool]:
        return [on for other, on in self.power.taken if other == host]

    @contextlib.contextmanager
    def silent(self, host: HostName) -> Iterator[None]:
        one = self.power.controllers[host]
        one.conduct = Conduct.HANGS
        yield
        one.conduct = Conduct.HONEST


MACHINE = """\
#!/bin/sh
# A machine: what it is told is written down, and done at once.
cd "$1/$2" || exit 1
test -e hangs && exec sleep 600
test -e refuses && echo "no such outlet" >&2 && exit 3
case $3 in
    status) echo "$(cat state) $(cat uuid)" ;;
    *) test "$(cat state)" = "$3" || { echo "$3" >> orders; echo "$3" > state; } ;;
esac
"""


class CommandWorld:
    """A script as the machine, in a directory."""

    power: Power
    deadline = 2.0

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._script = directory / "machine"
        self._script.write_text(MACHINE)
        self._script.chmod(0o755)

    def run(self, story: Callable[[World], Awaitable[Any]]) -> None:
        asyncio.run(self._tell(story))

    async def _tell(self, story: Callable[[World], Awaitable[Any]]) -> None:
        self.power = PowerDrivers({host: self._driver(host) for host in NUMBERS})
        (self._directory / STUBBORN / "refuses").touch()
        await story(self)
        await self.power.close()

    def _driver(self, host: HostName) -> CommandPower:
        place = self._directory / host
        place.mkdir()
        (place / "state").write_text("on")
        (place / "uuid").write_text(self.uuid(host).upper())
        on, off, status = ((str(self._script), str(self._directory), "{host}", verb) for verb in ("on", "off", "status"))
        return CommandPower(host, CommandOptions(on, off, status, self.deadline))

    def uuid(self, host: HostName) -> str:
        return uuid_of(NUMBERS[host])

    def orders(self, host: HostName) -> list[bool]:
        written = self._directory / host / "orders"
        return [word == "on" for word in written.read_text().split()] if written.exists() else []

    @contextlib.contextmanager
    def silent(self, host: HostName) -> Iterator[None]:
        mark = self._directory / host / "hangs"
        mark.touch()
        yield
        mark.unlink()


class RedfishWorld:
    """Machines of two emulators; each story gets fresh ones."""

    power: Power
    deadline = 3.0
    _fresh = itertools.count()

    def __init__(self, one: Emulator, two: Emulator) -> None:
        self._emulators = {H1: one, H2: two}
        self._number = next(self._fresh)

    def run(self, story: Callable[[World], Awaitable[Any]]) -> None:
        asyncio.run(self._tell(story))

    async def _tell(self, story: Callable[[World], Awaitable[Any]]) -> None:
        lanes = Lanes()
        systems = {host: (one, one.system(self._number)) for host, one in self._emulators.items()}
        systems[STUBBORN] = (self._emulators[H1], f"{SYSTEMS}/nothing-there")
        self.power = PowerDrivers({
            host: RedfishPower(host, RedfishOptions(one.url, system=system, deadline=self.deadline), lanes)
            for host, (one, system) in systems.items()})
        await story(self)
        await self.power.close()
        await lanes.close()

    def uuid(self, host: HostName) -> str:
        return uuid_of(self._number)

    def orders(self, host: HostName) -> list[bool]:
        if host not in self._emulators:
            return []
        return [reset == "On" for reset in self._emulators[host].orders(self._number)]

    def silent(self, host: HostName) -> contextlib.AbstractContextManager[None]:
        return self._emulators[host].frozen()


Story = Callable[[World], Coroutine[Any, Any, None]]
