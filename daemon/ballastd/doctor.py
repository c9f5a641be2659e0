"""The check-up of a cluster: settings in, everybody asked once, what was found out. A composition root of its own.

Hosts are asked side by side, and so are the broker and the power controllers: a host that hangs costs its own time limit.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections import Counter
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar
from urllib.parse import urlsplit

import structlog

from ballastd import credentials
from ballastd.adapters.blocking import Lanes
from ballastd.adapters.clock import SystemClock
from ballastd.adapters.libvirt.survey import LibvirtSurvey
from ballastd.adapters.mqtt.claims import ClaimWatch
from ballastd.adapters.mqtt.telemetry import MqttTelemetry
from ballastd.adapters.power.routing import PowerDriver
from ballastd.bootstrap import broker_address, libvirt_options, power_driver
from ballastd.core.policies import ClusterDeclaration
from ballastd.core.quantities import HostName
from ballastd.core.readiness import Fit, Heard, HostSurvey, Likeness, PowerAnswer, Site
from ballastd.core.telemetry import AgentState, Report
from ballastd.documents import Settings
from ballastd.documents.host_settings import HOST_NAME, user_of
from ballastd.errors import ConfigurationError, PowerRefused, Unreachable
from ballastd.ports.messages import Malformed, TelemetryDown, TelemetryUp
from ballastd.ports.running import Blocking

T = TypeVar("T")

LISTEN_SECONDS = 35.0
"""Agents report every ten seconds unless told otherwise; thrice that, and some."""


CLAIM_SECONDS = 3.0
"""A claim is retained: it comes as soon as the broker is reached."""


class Progress(Protocol):
    """Who is told how far it is."""

    def __call__(self, what: str, done: int, of: int) -> None:
        """So many of so many are done."""
        ...


def settings_for(uris: Sequence[str]) -> Settings:
    """Return the settings of a cluster of which nothing is known but its hosts' libvirt URIs.

    Raises:
        ConfigurationError: one of them is no libvirt URI, or stands there twice.
    """
    problems = [f"{uri} stands there twice" for uri, times in Counter(uris).items() if times > 1]
    problems += [f"{uri!r} is no libvirt URI, or has a password in it; write for example qemu+tls://kvm-01/system"
                 for uri in uris if not _is_fit(uri)]
    if problems:
        raise ConfigurationError(tuple(problems))
    hosts = [{"name": name, "uri": uri} for name, uri in zip(_names(uris), uris, strict=True)]
    return Settings.model_validate({"cluster": "unknown", "hosts": hosts})


def _is_fit(uri: str) -> bool:
    try:
        return ":" not in user_of(uri)
    except ValueError:
        return False


def _names(uris: Sequence[str]) -> list[str]:
    """Return a name for each, by which its host can be called until it says its own."""
    said = [(urlsplit(uri).hostname or "").lower() for uri in uris]
    return [name if HOST_NAME.fullmatch(name) and said.count(name) == 1 else f"host-{number}"
            for number, name in enumerate(said, 1)]


def quieten() -> None:
    """Let nothing be logged: what the adapters have to say is told as findings."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


def examine(settings: Settings, *, seconds: float = LISTEN_SECONDS, progress: Progress = lambda *_: None) -> Site:
    """Ask every host, the broker for so many seconds at most (0: not at all), and every power controller; return what they
    said.

    Raises:
        ConfigurationError: libvirt's Python binding is not installed.
    """
    return asyncio.run(_examined(settings, seconds, progress))


async def _examined(settings: Settings, seconds: float, progress: Progress) -> Site:
    cluster, blocking = settings.cluster, Lanes()
    survey = LibvirtSurvey(cluster, blocking, libvirt_options(settings))
    try:
        async with asyncio.TaskGroup() as group:
            listening = group.create_task(_heard(settings, seconds, progress)) if seconds else None
            surveying = group.create_task(_surveyed(cluster, survey, progress))
            switching = group.create_task(_power(settings, blocking))
            showing = group.create_task(credentials.certificates(settings, blocking, with_broker=seconds > 0))
        surveys, fits, likenesses = surveying.result()
        return Site(cluster, surveys, fits, listening.result() if listening else None, switching.result(), showing.result(),
                    SystemClock().now().wall, likenesses)
    finally:
        await survey.close()
        await blocking.close()


async def _surveyed(cluster: ClusterDeclaration, survey: LibvirtSurvey, progress: Progress
                    ) -> tuple[dict[HostName, HostSurvey], tuple[Fit, ...], tuple[Likeness, ...]]:
    counted = _Counted("hosts", len(cluster.hosts), progress)
    looks = await asyncio.gather(*(counted.when_done(survey.look(host.name)) for host in cluster.hosts))
    answering = [look for look in looks if not look.trouble]
    pairs = [(source, target) for target in answering if not target.steering for source in answering
             if source is not target and source.movable]
    counted = _Counted("pairs of hosts", len(pairs), progress)
    found = await asyncio.gather(*(counted.when_done(survey.fit(source, target)) for source, target in pairs))
    likened = await asyncio.gather(*(survey.liken([source for source in answering if source is not target], target)
                                     for target in answering if not target.steering))
    return ({look.host: look for look in looks}, tuple(fit for fits in found for fit in fits),
            tuple(one for some in likened for one in some))


async def _heard(settings: Settings, seconds: float, progress: Progress) -> Heard:
    """Listen until every host was heard, or the time is over."""
    clock, holder = SystemClock(), f"{socket.gethostname()}:doctor-{os.getpid()}"
    address, wanted = broker_address(settings.mqtt, holder), {host.name for host in settings.cluster.hosts}
    telemetry = MqttTelemetry(replace(address, client_id=f"{address.client_id}-doctor"), sorted(wanted), clock)
    claims = ClaimWatch(replace(address, client_id=f"{address.client_id}-claims"), clock)
    reports, agents = dict[HostName, Report](), dict[HostName, AgentState]()
    unread = dict[HostName, str]()
    trouble, strangers, began = "it did not answer", 0, clock.now()
    watching = asyncio.create_task(claims.run())
    try:
        async with asyncio.timeout(seconds), contextlib.aclosing(telemetry.items()) as items:
            async for item in items:
                match item:
                    case TelemetryUp():
                        trouble = ""
                    case TelemetryDown(reason=reason):
                        trouble = reason
                    case Report(retained=False):
                        reports[item.host] = item
                        progress("hosts heard", len(reports), len(wanted))
                    case AgentState():
                        agents[item.host] = item
                    case Malformed(host=None):
                        strangers += 1
                    case Malformed(host=str() as host, reason=reason):
                        unread[HostName(host)] = reason
                if set(reports) == set(agents) == wanted:
                    break
    except TimeoutError:
        pass
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    return Heard(clock.now().since(began), trouble, reports, agents, claims.holder, strangers, unread)


def who_claims(settings: Settings, seconds: float = CLAIM_SECONDS) -> str | None:
    """Return the daemon that is at work on the cluster by the broker's word; empty where there is none, None where the
    broker is not reached and nobody knows."""
    async def listen() -> str | None:
        holder = f"{socket.gethostname()}:doctor-{os.getpid()}"
        address = broker_address(settings.mqtt, holder)
        claims = ClaimWatch(replace(address, client_id=f"{address.client_id}-claims"), SystemClock())
        watching = asyncio.create_task(claims.run())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await claims.heard.wait()
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        return claims.holder if claims.reached else None

    return asyncio.run(listen())


async def _power(settings: Settings, blocking: Blocking) -> dict[HostName, PowerAnswer]:
    drivers = {host: power_driver(host, power, blocking, lambda: "") for host, power in settings.power.items()}
    answers = await asyncio.gather(*(_answer(driver) for driver in drivers.values()))
    await asyncio.gather(*(driver.close() for driver in drivers.values()))
    return dict(zip(drivers, answers, strict=True))


async def _answer(driver: PowerDriver) -> PowerAnswer:
    try:
        status = await driver.status()
    except (PowerRefused, Unreachable) as no:
        return PowerAnswer(trouble=str(no))
    return PowerAnswer("", status.state, status.identity)


@dataclass
class _Counted:
    """Tells how many of some work are done."""

    what: str
    of: int
    progress: Progress
    done: int = 0

    async def when_done(self, work: Awaitable[T]) -> T:
        result = await work
        self.done += 1
        self.progress(self.what, self.done, self.of)
        return result
