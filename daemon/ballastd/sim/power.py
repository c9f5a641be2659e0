"""Power controllers of a pretend cluster, behind ``ports.Power``: they obey, they lie, they fall silent.

Time comes from the running event loop only. What a controller says and what its machine does are two things here, and
only the machine is told to the rest of the world, through ``went_off`` and ``came_up``.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ballastd.core.power import PowerState, PowerStatus
from ballastd.core.quantities import HostName
from ballastd.errors import PowerRefused, Unreachable

ANSWER_SECONDS = 0.05
SHUTDOWN_SECONDS = 20.0
BOOT_SECONDS = 120.0


class Conduct(enum.Enum):
    """How a controller behaves. All but ``HANGS`` and ``FORGETS_TO_ANSWER`` answer."""

    HONEST = "honest"
    SAYS_OFF = "says-off"
    """Whatever is so; and as it believes itself, an order to go off changes nothing."""
    SAYS_ON = "says-on"
    """Whatever is so; and an order to come on changes nothing."""
    PRETENDS = "pretends"
    """Takes every order, says from then on that it was carried out, and does nothing."""
    IGNORES = "ignores"
    """Takes every order, does nothing, and says how it is."""
    NEVER_WAKES = "never-wakes"
    """Goes off; when told to come on it says on, and the machine never comes up."""
    REFUSES = "refuses"
    """Says how it is, and takes no order."""
    HANGS = "hangs"
    """Says nothing and takes nothing."""
    FORGETS_TO_ANSWER = "forgets-to-answer"
    """Says nothing, and does as it is told."""


@dataclass(slots=True)
class SimulatedController:
    """One host's controller, and the machine behind it. ``is_powered``: current flows; ``is_up``: its system runs.
    ``identity``: what it says its machine is, the hypervisor's own word where left out."""

    host: HostName
    conduct: Conduct = Conduct.HONEST
    identity: str | None = ""
    shutdown_seconds: float = SHUTDOWN_SECONDS
    boot_seconds: float = BOOT_SECONDS
    is_powered: bool = True
    is_up: bool = True
    pretended: bool | None = None
    change: asyncio.TimerHandle | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.identity == "":
            self.identity = f"uuid-of-{self.host}"

    def says(self) -> PowerState:
        """Return what it says of its machine."""
        match self.conduct:
            case Conduct.SAYS_OFF:
                is_on = False
            case Conduct.SAYS_ON:
                is_on = True
            case Conduct.PRETENDS if self.pretended is not None:
                is_on = self.pretended
            case _:
                is_on = self.is_powered
        return PowerState.ON if is_on else PowerState.OFF


class SimulatedPower:
    """The controllers of all hosts that have one. ``went_off``, ``came_up``: called with a host whose machine did so,
    such as the simulated hypervisor's ``lose_power`` and ``heal``. ``taken``: every order that a controller took, as the
    host and whether it was to come on."""

    def __init__(self, controllers: Iterable[SimulatedController], *, went_off: Callable[[HostName], None],
                 came_up: Callable[[HostName], None], deadline: float = 60.0) -> None:
        self.controllers = {one.host: one for one in controllers}
        self.taken: list[tuple[HostName, bool]] = []
        self._went_off = went_off
        self._came_up = came_up
        self._deadline = deadline
        self._wired: dict[HostName, HostName] = {}

    async def status(self, host: HostName) -> PowerStatus:
        """See ``ports.Power``."""
        one = await self._reach(host)
        await self._answer(one)
        return PowerStatus(one.says(), one.identity, one.conduct.value)

    async def power_off(self, host: HostName) -> None:
        """See ``ports.Power``."""
        await self._order(host, on=False)

    async def power_on(self, host: HostName) -> None:
        """See ``ports.Power``."""
        await self._order(host, on=True)

    async def close(self) -> None:
        """End the pretend world; nothing changes any more."""
        for one in self.controllers.values():
            _stay(one)

    def swap(self, host: HostName, other: HostName) -> None:
        """Somebody mixes up two cables: whoever asks for one host reaches the other's controller."""
        self._wired[host], self._wired[other] = self.behind(other), self.behind(host)

    def untangle(self) -> None:
        """Somebody puts every cable where it belongs."""
        self._wired.clear()

    def behind(self, host: HostName) -> HostName:
        """Return the machine that whoever asks for ``host`` reaches."""
        return self._wired.get(host, host)

    def press(self, host: HostName) -> None:
        """Somebody walks up and presses the button: off goes on, on shuts down."""
        one = self.controllers[host]
        if one.is_powered:
            self._shut_down(one)
        else:
            self._boot(one)

    def pull(self, host: HostName) -> None:
        """Somebody trips over the cable: the machine is off at once."""
        self._lose(self.controllers[host])

    async def _order(self, host: HostName, *, on: bool) -> None:
        one = await self._reach(host)
        if one.conduct is Conduct.REFUSES:
            raise PowerRefused(f"{host}: its controller takes no orders")
        if one.says() is not (PowerState.ON if on else PowerState.OFF):
            self.taken.append((host, on))
            self._obey(one, on=on)
        await self._answer(one)

    def _obey(self, one: SimulatedController, *, on: bool) -> None:
        if one.conduct is Conduct.PRETENDS:
            one.pretended = on
        elif one.conduct is not Conduct.IGNORES and on != one.is_powered:
            (self._boot if on else self._shut_down)(one)

    def _boot(self, one: SimulatedController) -> None:
        one.is_powered = True
        if one.conduct is not Conduct.NEVER_WAKES:
            _later(one, one.boot_seconds, self._come_up)

    def _shut_down(self, one: SimulatedController) -> None:
        _later(one, one.shutdown_seconds, self._lose)

    def _come_up(self, one: SimulatedController) -> None:
        one.is_up = True
        self._came_up(one.host)

    def _lose(self, one: SimulatedController) -> None:
        _stay(one)
        was_up, one.is_powered, one.is_up = one.is_up, False, False
        if was_up:
            self._went_off(one.host)

    async def _reach(self, host: HostName) -> SimulatedController:
        one = self.controllers.get(self.behind(host))
        if one is None:
            raise PowerRefused(f"{host} has no power driver in the settings")
        if one.conduct is Conduct.HANGS:
            await self._fall_silent(host)
        await asyncio.sleep(ANSWER_SECONDS)
        return one

    async def _answer(self, one: SimulatedController) -> None:
        if one.conduct is Conduct.FORGETS_TO_ANSWER:
            await self._fall_silent(one.host)

    async def _fall_silent(self, host: HostName) -> None:
        await asyncio.sleep(self._deadline)
        raise Unreachable(f"{host}: its controller did not answer within {self._deadline:g} s")


def _later(one: SimulatedController, seconds: float, change: Callable[[SimulatedController], None]) -> None:
    _stay(one)
    one.change = asyncio.get_running_loop().call_later(seconds, change, one)


def _stay(one: SimulatedController) -> None:
    if one.change is not None:
        one.change.cancel()
        one.change = None
