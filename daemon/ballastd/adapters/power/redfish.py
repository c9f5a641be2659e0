"""A host's power through its Redfish controller. Calls block, so each controller has a lane of its own.

What a controller answers means that it took the request; whether the machine obeys is seen elsewhere.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ballastd.core.power import PowerStatus
from ballastd.core.quantities import HostName
from ballastd.errors import BallastdError, ConfigurationError, Unreachable
from ballastd.ports.running import Blocking

if TYPE_CHECKING:
    from ballastd.adapters.power.redfish_controller import Controller

T = TypeVar("T")

MISSING = ("sushy is not installed, and Redfish controllers are reached through it; pip install 'ballastd[redfish]', "
           "or take driver: redfish out of the settings")
FAREWELL_SECONDS = 1.0
"""How long logging out may take at most when the daemon stops."""

MARGIN_SECONDS = 1.0
"""So much before its deadline a call gives up by itself, so that its thread need not be given up."""


@dataclass(frozen=True, slots=True)
class RedfishOptions:
    """``url``: scheme and authority only. ``password_file``: read anew at each log-in. ``system``: path of the one meant,
    None where the controller has one only. ``deadline``: seconds for one question or order, queueing included."""

    url: str
    username: str = ""
    password_file: Path | None = None
    system: str | None = None
    ca_file: Path | None = None
    insecure_tls: bool = False
    deadline: float = 60.0


class RedfishPower:
    """One host's controller.

    Raises:
        ConfigurationError: sushy is not installed.
    """

    def __init__(self, host: HostName, options: RedfishOptions, blocking: Blocking) -> None:
        self._host = host
        self._options = options
        self._blocking = blocking
        self._kind = load_controller()
        self._controller = self._kind(host, options)

    async def status(self) -> PowerStatus:
        """See ``ports.Power``."""
        return await self._run(lambda controller, until: controller.status(until))

    async def power_off(self) -> None:
        """See ``ports.Power``."""
        await self._run(lambda controller, until: controller.power_off(until))

    async def power_on(self) -> None:
        """See ``ports.Power``."""
        await self._run(lambda controller, until: controller.power_on(until))

    async def close(self) -> None:
        """Log out, where that takes no longer than a moment: controllers have few sessions, and forget them late."""
        controller, until = self._controller, time.monotonic() + FAREWELL_SECONDS
        if not controller.has_session:
            return
        with contextlib.suppress(BallastdError):  # it forgets the session by itself, later
            await self._blocking.run(self._lane, lambda: controller.leave(until), deadline=FAREWELL_SECONDS)

    @property
    def _lane(self) -> str:
        return f"power:{self._host}"

    async def _run(self, work: Callable[[Controller, float], T]) -> T:
        controller, deadline = self._controller, self._options.deadline
        until = time.monotonic() + max(0.5 * deadline, deadline - MARGIN_SECONDS)
        try:
            return await self._blocking.run(self._lane, lambda: work(controller, until), deadline=deadline)
        except Unreachable:
            if controller.is_busy and controller is self._controller:
                # its thread was given up and holds it still; nobody else may touch it
                self._controller = self._kind(self._host, self._options)
            raise


def load_controller() -> type[Controller]:
    """Return the class that speaks Redfish; sushy takes a third of a second to load, and most never need it.

    Raises:
        ConfigurationError: sushy is not installed.
    """
    try:
        from ballastd.adapters.power.redfish_controller import Controller
    except ImportError as error:
        raise ConfigurationError((MISSING,)) from error
    logging.getLogger("sushy").setLevel(logging.CRITICAL)  # errors reach us as exceptions; it would log them as well
    return Controller
