"""A host's power through its Redfish controller, with sushy. It blocks, so each controller has a lane of its own.

Only *On* and *GracefulShutdown* are ever asked for. What a controller answers means that it took the request: whether
the machine obeys is seen elsewhere. (DMTF DSP0266, ComputerSystem.Reset)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ballastd.core.power import PowerState, PowerStatus
from ballastd.core.quantities import HostName
from ballastd.errors import ConfigurationError, PowerRefused, Unreachable
from ballastd.ports import Blocking

T = TypeVar("T")
MISSING = ("sushy is not installed, and Redfish controllers are reached through it; "
           "pip install 'ballastd[redfish]', or take the redfish drivers out of the settings")
READ_SHARE = 3.0
"""One answer may take this part of the whole deadline: a log-in, a look and an order are three."""
WORDS_SHOWN = 300
GRACEFUL, ON = "graceful shutdown", "on"


@dataclass(frozen=True, slots=True)
class RedfishOptions:
    """``system``: which system of the controller, None where it has one only. ``deadline``: seconds for one order."""

    url: str
    username: str = ""
    password_file: Path | None = None
    system: str | None = None
    ca_file: Path | None = None
    insecure_tls: bool = False
    deadline: float = 60.0


class RedfishPower:
    """One host's controller."""

    def __init__(self, host: HostName, options: RedfishOptions, blocking: Blocking) -> None:
        self._host = host
        self._options = options
        self._blocking = blocking
        self._sushy = _load()
        self._root: Any = None

    async def status(self) -> PowerStatus:
        """See ``ports.Power``."""
        return await self._call(self._status)

    async def power_off(self) -> None:
        """See ``ports.Power``."""
        await self._call(self._power_off)

    async def power_on(self) -> None:
        """See ``ports.Power``."""
        await self._call(self._power_on)

    async def close(self) -> None:
        """Let go of the controller; its session ends by itself."""
        self._root = None

    async def _call(self, work: Callable[[Any], T]) -> T:
        try:
            return await self._blocking.run(f"power-{self._host}", lambda: self._work(work),
                                            deadline=self._options.deadline)
        except Unreachable:
            self._root = None
            raise

    def _work(self, work: Callable[[Any], T]) -> T:
        """Do it on a fresh look at the system; every trouble becomes one of the port's two. Runs in the lane."""
        errors = self._sushy.exceptions
        try:
            return work(self._system())
        except PowerRefused:
            raise
        except errors.AccessError as error:
            self._root = None
            raise self._refused(f"it does not let us in: {_shown(error)}; look at username and password_file") from error
        except errors.ConnectionError as error:
            self._root = None
            raise Unreachable(f"{self._host}: its controller {self._options.url} is silent: {_shown(error)}") from error
        except OSError as error:
            self._root = None
            raise self._refused(f"a file of its settings cannot be read: {error}") from error
        except Exception as error:
            # firmware answers what no library foresees; whatever it is, the order was not taken as far as we know
            self._root = None
            raise self._refused(f"{type(error).__name__}: {_shown(error)}") from error

    def _system(self) -> Any:
        if self._root is None:
            self._root = self._log_in()
        if self._options.system is not None:
            return self._root.get_system(self._options.system)
        systems = self._root.get_system_collection().get_members()
        if len(systems) != 1:
            paths = ", ".join(str(one.path) for one in systems[:8]) or "none"
            raise self._refused(f"it has {len(systems)} systems ({paths}); name one as power.system")
        return systems[0]

    def _log_in(self) -> Any:
        options = self._options
        password = options.password_file.read_text().strip() if options.password_file else ""
        verify: bool | str = str(options.ca_file) if options.ca_file else not options.insecure_tls
        if options.ca_file is not None:
            options.ca_file.read_bytes()
        kinds = self._sushy.auth
        auth = kinds.SessionOrBasicAuth(options.username, password) if options.username else kinds.BasicAuth("", "")
        seconds = options.deadline / READ_SHARE
        return self._sushy.Sushy(options.url, auth=auth, verify=verify, server_side_retries=1, server_side_retries_delay=1,
                                 read_timeout=seconds, connect_timeout=seconds)

    def _status(self, system: Any) -> PowerStatus:
        said = _word(system.power_state)
        state = {"on": PowerState.ON, "off": PowerState.OFF}.get(said, PowerState.UNKNOWN)
        identity = str(system.uuid).strip().lower() if system.uuid else None
        return PowerStatus(state, identity, said or "nothing")

    def _power_off(self, system: Any) -> None:
        if _word(system.power_state) != "off":
            self._reset(system, GRACEFUL, self._sushy.RESET_GRACEFUL_SHUTDOWN)

    def _power_on(self, system: Any) -> None:
        if _word(system.power_state) != "on":
            self._reset(system, ON, self._sushy.RESET_ON)

    def _reset(self, system: Any, wanted: str, value: Any) -> None:
        allowed = system.get_allowed_reset_system_values()
        if value not in allowed:
            names = ", ".join(sorted(str(getattr(one, "value", one)) for one in allowed)) or "nothing"
            raise self._refused(f"it cannot be asked for {wanted}; it allows {names}, and a host is never forced")
        system.reset_system(value)

    def _refused(self, why: str) -> PowerRefused:
        return PowerRefused(f"{self._host}: its controller {self._options.url}: {why}")


def _load() -> Any:
    """Return sushy.

    Raises:
        ConfigurationError: it is not installed.
    """
    try:
        import sushy
        import sushy.auth
        import sushy.exceptions
    except ImportError as error:
        raise ConfigurationError((MISSING,)) from error
    return sushy


def _word(state: Any) -> str:
    return str(getattr(state, "value", state) or "").lower()


def _shown(error: BaseException) -> str:
    """Return a controller's words fit to be shown: printable, on one line, bounded."""
    text = "".join(sign if sign.isprintable() else " " for sign in str(error))
    return " ".join(text.split())[:WORDS_SHOWN]
