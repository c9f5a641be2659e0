"""One Redfish controller as its lane sees it: sushy speaks, and whatever comes of it is one of the port's two errors.

Only *On* and *GracefulShutdown* are ever asked for (DMTF DSP0266, ComputerSystem.Reset); there is no forced off.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import sushy
from sushy import exceptions

from ballastd.adapters.power.answers import machine, shown
from ballastd.adapters.power.redfish_http import SILENCE, Anonymous, Connector, SessionOrBasic, Unusable, reason
from ballastd.core.power import PowerState, PowerStatus
from ballastd.core.quantities import HostName
from ballastd.errors import BallastdError, PowerRefused, Unreachable

if TYPE_CHECKING:
    from ballastd.adapters.power.redfish import RedfishOptions

T = TypeVar("T")

SHUT_OUT_SECONDS, SHUT_OUT_SECONDS_MAX = 60.0, 3600.0
"""How long a password that was refused is not tried again, doubling: a few failures lock an account, or us, out."""
NOT_TAKEN = frozenset({501, 503})
"""Answers of 500 and more that say that nothing was done; the others say nothing about it."""
LISTED_MAX = 8
MESSAGES_MAX = 3
UNAUTHORIZED, FORBIDDEN, NOT_FOUND, SERVER_ERROR = 401, 403, 404, 500

STATES = {sushy.PowerState.ON: PowerState.ON, sushy.PowerState.OFF: PowerState.OFF}
ON = sushy.ResetType.ON
GRACEFUL = sushy.ResetType.GRACEFUL_SHUTDOWN


class Controller:
    """Blocks; used by one thread at a time. ``is_busy``: a call is in it; ``until``, of every call: when, on the monotonic
    clock, it is late."""

    def __init__(self, host: HostName, options: RedfishOptions) -> None:
        self.is_busy = False
        self._host = host
        self._options = options
        self._root: Any = None
        self._auth: SessionOrBasic | Anonymous = Anonymous()
        self._connector: Connector | None = None
        self._password = ""
        self._refusals = 0
        self._refused_until = 0.0
        self._only_system: str | None = None
        self._has_ordered = False

    @property
    def has_session(self) -> bool:
        """Whether there is something to leave."""
        return self._root is not None

    def status(self, until: float) -> PowerStatus:
        """See ``ports.Power``."""
        return self._perform(_status_of, until)

    def power_off(self, until: float) -> None:
        """See ``ports.Power``."""
        self._perform(lambda system: self._switch(system, GRACEFUL, (sushy.PowerState.OFF, sushy.PowerState.POWERING_OFF)),
                      until)

    def power_on(self, until: float) -> None:
        """See ``ports.Power``."""
        self._perform(lambda system: self._switch(system, ON, (sushy.PowerState.ON, sushy.PowerState.POWERING_ON)), until)

    def leave(self, until: float) -> None:
        """Log out.

        Raises:
            PowerRefused, Unreachable: that did not go well, and does not matter.
        """
        if self._connector is not None:
            self._connector.bounded.until = until
            try:
                self._auth.leave()
            except Exception as error:  # see _perform
                raise self._told(error) from error
            finally:
                self._root = self._connector = None

    def _perform(self, work: Callable[[Any], T], until: float) -> T:
        """Do it with a fresh look at the system."""
        self.is_busy, self._has_ordered = True, False
        try:
            return self._attempt(work, until)
        except BallastdError:
            raise
        # sushy reads what a stranger wrote, and expects sense: on nonsense anything may come out of it
        except Exception as error:
            self._only_system = None
            raise self._told(error) from error
        finally:
            self.is_busy = False

    def _attempt(self, work: Callable[[Any], T], until: float) -> T:
        try:
            return self._ask(work, until)
        except exceptions.AccessError as error:
            if error.status_code != UNAUTHORIZED or self._read_password() == self._password:
                raise
        return self._ask(work, until)  # the password was changed, there and in its file

    def _ask(self, work: Callable[[Any], T], until: float) -> T:
        try:
            found = work(self._system(until))
        except exceptions.AccessError as error:
            if error.status_code == UNAUTHORIZED and self._options.username:
                self._root = self._connector = None
                pause = min(SHUT_OUT_SECONDS_MAX, SHUT_OUT_SECONDS * 2.0 ** min(self._refusals, 16))
                self._refusals, self._refused_until = self._refusals + 1, time.monotonic() + pause
            raise
        self._refusals = 0
        return found

    def _system(self, until: float) -> Any:
        if self._connector is not None:
            self._connector.bounded.until = until
        if self._root is None:
            self._log_in(until)
        path = self._options.system or self._only_system or self._find_only_system()
        return self._root.get_system(path)

    def _find_only_system(self) -> str:
        paths = [str(path) for path in self._root.get_system_collection().members_identities]
        if len(paths) != 1:
            listed = ", ".join(paths[:LISTED_MAX]) + (", ..." if len(paths) > LISTED_MAX else "")
            raise self._refused(f"it has {len(paths)} systems ({shown(listed) or 'none'}); write the one meant as "
                                "power.system")
        self._only_system = paths[0]
        return paths[0]

    def _log_in(self, until: float) -> None:
        options = self._options
        password = self._read_password()
        left = self._refused_until - time.monotonic()
        if left > 0 and self._refusals and password == self._password:
            raise self._refused(f"it refused username and password; tried again in {left:.0f} s, so that the account is not "
                                "locked, or at once when password_file changes")
        self._password = password
        connector = Connector(options.url, self._verification())
        connector.bounded.until = until
        self._auth = SessionOrBasic(options.username, self._password) if options.username else Anonymous()
        self._root = sushy.Sushy(options.url, auth=self._auth, connector=connector)
        self._connector = connector

    def _read_password(self) -> str:
        file = self._options.password_file
        try:
            return "" if file is None else file.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise self._refused(f"password_file: {error}") from error

    def _verification(self) -> bool | str:
        ca_file = self._options.ca_file
        if self._options.insecure_tls:
            return False
        if ca_file is None:
            system = ssl.get_default_verify_paths()  # the library would take a list of its own
            return system.cafile or system.capath or True
        try:
            ca_file.read_bytes()
        except OSError as error:
            raise self._refused(f"ca_file: {error}") from error
        return str(ca_file)

    def _switch(self, system: Any, wanted: sushy.ResetType, done: tuple[sushy.PowerState, ...]) -> None:
        if system.power_state in done:
            return
        allowed = system.get_allowed_reset_system_values()
        if wanted not in allowed:
            names = ", ".join(sorted(one.value for one in allowed)) or "nothing we know"
            raise self._refused(f"it cannot be asked for {wanted.value}, only for {names}; no other will do, for a host is "
                                "never forced")
        self._has_ordered = True
        system.reset_system(wanted)

    # what went wrong, in the port's two words

    def _told(self, error: Exception) -> BallastdError:
        if isinstance(error, exceptions.HTTPError):
            return self._told_by_status(error)
        cause = error.__context__ if isinstance(error, exceptions.ConnectionError) else error
        if isinstance(cause, SILENCE):
            return self._silent(reason(cause))
        if isinstance(cause, Unusable):
            return self._refused(f"{cause}; look at url, ca_file and system")
        if self._has_ordered:
            return self._silent(f"{type(error).__name__}: {error}")
        return self._refused(f"this is not Redfish as we know it: {type(error).__name__}: {error}")

    def _told_by_status(self, error: exceptions.HTTPError) -> BallastdError:
        said = _messages(error)
        code = error.status_code
        if code == UNAUTHORIZED:
            return self._refused(f"it refused username and password: {said}; look at both, and at password_file")
        if code == FORBIDDEN:
            return self._refused(f"the user may not do this: {said}; give it the right to switch the host")
        if code == NOT_FOUND:
            return self._refused(f"{error}; look at power.system")
        if code >= SERVER_ERROR and code not in NOT_TAKEN and self._has_ordered:
            return self._silent(f"it answered {code}, and may have taken the order all the same: {said}")
        return self._refused(f"it answered {code}: {said}")

    def _refused(self, why: str) -> PowerRefused:
        return PowerRefused(f"{self._host}: its controller {self._options.url}: {shown(why)}")

    def _silent(self, why: str) -> Unreachable:
        return Unreachable(f"{self._host}: its controller {self._options.url} did not answer: {shown(why)}")


def _status_of(system: Any) -> PowerStatus:
    said, uuid = system.json.get("PowerState"), system.uuid
    try:
        identity = None if uuid is None else machine(str(uuid))
        doubt = ""
    except ValueError as error:
        identity, doubt = None, f"; UUID: {error}"
    return PowerStatus(STATES.get(system.power_state, PowerState.UNKNOWN), identity, shown(f"{said}{doubt}"))


def _messages(error: exceptions.HTTPError) -> str:
    """Return what the controller says of its error: the extended messages, else the plain one (DSP0266, 8.6)."""
    extended = error.extended_info if isinstance(error.extended_info, list) else [error.extended_info]
    found = [str(one["Message"]) for one in extended if isinstance(one, dict) and one.get("Message")]
    plain = error.body.get("message") if isinstance(error.body, dict) else None
    return shown("; ".join(found[:MESSAGES_MAX]) or str(plain or "no reason given"))
