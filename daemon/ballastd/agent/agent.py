"""The agent: looks every second, reports every ten, and at once when something breaks."""

from __future__ import annotations

import asyncio
import contextlib
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import structlog

from ballastd.adapters import systemd
from ballastd.adapters.clock import read_boot_id
from ballastd.adapters.mqtt.address import BrokerAddress
from ballastd.adapters.mqtt.connection import Incoming, Outgoing
from ballastd.adapters.mqtt.link import Link
from ballastd.adapters.mqtt.topics import Kind, topic_of
from ballastd.adapters.mqtt.wire import decode_cordon, encode_reports, encode_state
from ballastd.agent.files import Findings
from ballastd.agent.lanes import Lane
from ballastd.agent.standing import Standing, Wish, settle
from ballastd.agent.survey import Surveyor
from ballastd.agent.urgency import Ration, Watch
from ballastd.core.quantities import HostName
from ballastd.core.telemetry import Sample
from ballastd.errors import MalformedReport, Unreachable
from ballastd.ports.running import Clock

STATE_REPEAT_SECONDS = 60.0
"""The state is said again now and then: a broker may publish the will of a session that was taken over."""
SETTLE_SECONDS = 10.0
FAREWELL_SECONDS = 2.0
STALE_INTERVALS = 3

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """How one host is watched. ``root``: where its /proc, /sys and /etc are; durations in seconds;
    ``read_deadline``: how long one source may take before the rest goes on without it; ``processes``: where its
    processes are, its /proc where None."""

    host: HostName
    root: Path = Path("/")
    interval: float = 10.0
    sample_interval: float = 1.0
    read_deadline: float = 2.0
    cordon_file: Path = Path("/run/libvirt/cordon")
    processes: Path | None = None


class Agent:
    """Watches one host for as long as ``run`` runs."""

    def __init__(self, settings: AgentSettings, address: BrokerAddress, clock: Clock,
                 rng: random.Random | None = None) -> None:
        self._settings, self._prefix, self._clock = settings, address.prefix, clock
        boot = read_boot_id(settings.root / "proc/sys/kernel/random/boot_id")[:8] or "unbooted"
        self._boot_id = f"{boot}-{int(clock.now().wall * 1000)}"
        self._cordon_topic = topic_of(address.prefix, settings.host, Kind.CORDON)
        self._link = Link(address, clock, rng or random.Random(), self, (self._cordon_topic,))  # noqa: S311  jitter, no secret
        self._surveyor = Surveyor(settings.root, settings.interval, settings.read_deadline)
        self._disk: Lane[Standing] = Lane("disk")
        self._watch, self._ration = Watch(), Ration()
        self._sequence = 0
        self._standing = Standing()
        self._wish: Wish | None = None
        self._wished_at = 0.0
        self._urgent: dict[tuple[str, str], Sample] = {}
        self._wake, self._called = asyncio.Event(), asyncio.Event()
        self._report_at = self._settle_at = self._state_at = float("-inf")
        self._refused: frozenset[str] = frozenset()

    async def run(self, stop: asyncio.Event) -> None:
        """Watch until ``stop`` is set; then say goodbye."""
        linking = asyncio.ensure_future(self._link.run())
        stopping = asyncio.ensure_future(stop.wait())
        try:
            await self._settle()
            systemd.ready("watching")
            await self._watch_until(stopping, linking)
        finally:
            systemd.stopping()
            await self._farewell()
            for task in (linking, stopping):
                task.cancel()
            await asyncio.gather(linking, stopping, return_exceptions=True)
            self._surveyor.close()
            self._disk.close()

    async def _watch_until(self, stopping: asyncio.Future[Any], linking: asyncio.Future[None]) -> None:
        attending = asyncio.ensure_future(self._attend())
        try:
            while not any(task.done() for task in (stopping, linking, attending)):
                begun = self._clock.now().monotonic
                await self._turn()
                systemd.watchdog()
                await self._pause(self._wake, begun, stopping)
            for ended in (linking, attending):
                if ended.done():
                    ended.result()
        finally:
            attending.cancel()
            await asyncio.gather(attending, return_exceptions=True)

    async def _attend(self) -> NoReturn:
        """Carry wishes out as they come, and say how things stand: beside the looks, which a slow sensor draws out."""
        while True:
            begun = self._clock.now().monotonic
            if self._wish is not None or begun >= self._settle_at:
                await self._settle()
            if self._link.up and self._clock.now().monotonic >= self._state_at:
                self._send_state(online=True)
            await self._pause(self._called, begun)

    async def _pause(self, call: asyncio.Event, begun: float, *others: asyncio.Future[Any]) -> None:
        rest = begun + self._settings.sample_interval - self._clock.now().monotonic
        waking = asyncio.ensure_future(call.wait())
        try:
            await asyncio.wait((waking, *others), timeout=max(0.0, rest), return_when=asyncio.FIRST_COMPLETED)
        finally:
            waking.cancel()
        call.clear()

    async def _turn(self) -> None:
        now = self._clock.now().monotonic
        findings = await self._surveyor.look(now)
        self._note_refused(findings)
        for sample in self._watch.news(findings.samples):
            self._urgent[sample.metric, sample.subject] = sample
        if not self._link.up:
            return
        if self._urgent and self._ration.spend(now):
            log.warning("urgent", changes=sorted(f"{metric} {subject}".strip() for metric, subject in self._urgent))
            self._send_report(Kind.EVENTS, findings.samples)
        if now >= self._report_at:
            self._report_at = now + self._settings.interval
            self._send_report(Kind.METRICS, findings.samples)

    def _send_report(self, kind: Kind, samples: list[Sample]) -> None:
        """Send everything seen, whatever the occasion: each message stands for itself, so any may be lost."""
        payloads = encode_reports(host=self._settings.host, boot_id=self._boot_id, sequence=self._sequence,
                                  sent_at=self._clock.now().wall, interval=self._settings.interval,
                                  samples=samples)
        self._sequence += len(payloads)
        self._urgent.clear()
        for payload in payloads:
            self._link.send(Outgoing(topic_of(self._prefix, self._settings.host, kind), payload,
                                     expiry_seconds=STALE_INTERVALS * self._settings.interval))

    async def _settle(self) -> None:
        """Carry out a wish that came, look at flag, hook, settings and emulators, and report a change at once."""
        wish, self._wish = self._wish, None
        now = self._clock.now()
        try:
            standing = await self._disk.run(
                lambda: settle(self._settings.root, self._settings.cordon_file, wish, now.wall,
                               self._settings.processes), self._settings.read_deadline)
        except Unreachable as error:
            log.warning("disk_hangs", reason=str(error))
            self._wish = self._wish or wish
            return
        self._settle_at = now.monotonic + SETTLE_SECONDS
        if standing.gist() != self._standing.gist():
            self._state_at = float("-inf")
        self._standing = standing

    def _send_state(self, *, online: bool) -> None:
        self._state_at = self._clock.now().monotonic + STATE_REPEAT_SECONDS
        self._link.send(self._state(online=online))

    def _state(self, *, online: bool) -> Outgoing:
        standing = self._standing
        payload = encode_state(host=self._settings.host, boot_id=self._boot_id, online=online,
                               sent_at=self._clock.now().wall, hook=standing.hook,
                               cordon_until=standing.cordon_until, keepalive=standing.keepalive,
                               emulators=standing.emulators if online else None)
        return Outgoing(topic_of(self._prefix, self._settings.host, Kind.STATE), payload, retain=True)

    async def _farewell(self) -> None:
        if self._link.up:
            self._send_state(online=False)
            await self._link.flush(FAREWELL_SECONDS)

    def _note_refused(self, findings: Findings) -> None:
        """Log what is refused when that changes, not every second."""
        refused = frozenset(one.where for one in findings.refused)
        if refused - self._refused:
            log.warning("readings_refused", count=len(findings.refused),
                        readings=[f"{one.where}: {one.reason}" for one in findings.refused[:32]])
        self._refused = refused

    def message(self, message: Incoming) -> None:
        """Take a cordon message; the loop carries it out."""
        try:
            request = decode_cordon(message.payload)
        except MalformedReport as error:
            log.warning("cordon_request_unreadable", reason=str(error))
            return
        if request is not None:
            if request.sent_at < self._wished_at:
                log.info("cordon_request_outdated", by=request.by)
                return
            self._wished_at = request.sent_at
        self._wish = Wish(request)
        self._called.set()

    def link_up(self) -> None:
        """Say everything again: the broker may have lost it, and the daemon believes only what it hears anew."""
        log.info("connected")
        systemd.status("connected to the broker")
        self._settle_at = self._state_at = self._report_at = float("-inf")
        self._called.set()
        self._wake.set()

    def link_down(self, reason: str) -> None:
        """Note that the broker is gone; the host is watched on."""
        log.warning("disconnected", reason=reason)
        systemd.status(f"no broker: {reason}")

    def will(self) -> Outgoing | None:
        """Return what the broker says when we are gone without a goodbye."""
        return self._state(online=False)


async def look_once(settings: AgentSettings, clock: Clock) -> Findings:
    """Return one look at the host; two are taken, for what is a rate."""
    surveyor = Surveyor(settings.root, settings.interval, settings.read_deadline)
    with contextlib.closing(surveyor):
        await surveyor.look(clock.now().monotonic)
        await asyncio.sleep(min(1.0, settings.sample_interval))
        return await surveyor.look(clock.now().monotonic)
