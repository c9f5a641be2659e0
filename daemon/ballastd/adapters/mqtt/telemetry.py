"""Host telemetry from an MQTT broker: the port TelemetrySource over the native topics."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter, deque
from collections.abc import AsyncGenerator, Iterable

import structlog

from ballastd.adapters.mqtt.address import BrokerAddress
from ballastd.adapters.mqtt.connection import Incoming, Outgoing
from ballastd.adapters.mqtt.intake import Arrival, Intake, Pace
from ballastd.adapters.mqtt.link import Link
from ballastd.adapters.mqtt.topics import Kind, parse_topic, telemetry_filters
from ballastd.adapters.mqtt.wire import decode
from ballastd.core.quantities import HostName
from ballastd.errors import MalformedReport
from ballastd.ports.messages import Malformed, TelemetryDown, TelemetryItem, TelemetryUp
from ballastd.ports.running import Clock

NEWS_MAX = 64

log = structlog.get_logger(__name__)


class MqttTelemetry:
    """Telemetry of the declared hosts. Stamped on arrival, decoded when taken, bounded in between.

    The subscription is to all hosts, declared or not: a name that only the agent or only the settings spell
    wrong shows as a count, not as silence.
    """

    def __init__(self, address: BrokerAddress, hosts: Iterable[HostName], clock: Clock,
                 rng: random.Random | None = None, pace: Pace | None = None) -> None:
        self._prefix = address.prefix
        self._clock = clock
        self._hosts = frozenset(hosts)
        self._intake = Intake(sorted(self._hosts), pace)
        self._link = Link(address, clock, rng or random.Random(), self, telemetry_filters(address.prefix))  # noqa: S311  jitter, no secret
        self._news: deque[TelemetryItem] = deque(maxlen=NEWS_MAX)
        self._wake = asyncio.Event()
        self._counts: Counter[str] = Counter()
        self._down_for = ""

    async def items(self) -> AsyncGenerator[TelemetryItem, None]:
        """Yield items as they come, for ever; connected for as long as somebody iterates."""
        staying = asyncio.ensure_future(self._link.run())
        staying.add_done_callback(lambda _: self._wake.set())
        try:
            while True:
                self._wake.clear()
                while (item := self._next()) is not None:
                    yield item
                if staying.done():
                    staying.result()
                await self._wait()
        finally:
            staying.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await staying

    async def _wait(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._intake.due_in(self._clock.now().monotonic)):
                await self._wake.wait()

    def _next(self) -> TelemetryItem | None:
        """Return the next item, or None when nothing is due."""
        while True:
            if self._news:
                return self._news.popleft()
            arrival = self._intake.take(self._clock.now().monotonic)
            if arrival is None:
                return None
            item = self._read(arrival)
            if item is not None:
                return item

    def _read(self, arrival: Arrival) -> TelemetryItem | None:
        try:
            item = decode(arrival.topic, arrival.payload, prefix=self._prefix, declared=self._hosts,
                          received=arrival.received, retained=arrival.retained)
        except MalformedReport as error:
            host = None if error.host is None else HostName(error.host)
            self._counts[f"malformed.{host or '-'}.{error.reason}"] += 1
            return Malformed(host, error.reason, arrival.received)
        self._counts["cleared" if item is None else "used"] += 1
        return item

    def message(self, message: Incoming) -> None:
        """Stamp an arrival and put it in its host's lane."""
        arrival = Arrival(message.topic, message.payload, message.retained, self._clock.now())
        self._counts["received"] += 1
        try:
            host, kind = parse_topic(self._prefix, message.topic)
        except MalformedReport:
            self._intake.offer(None, arrival)
        else:
            self._intake.offer(host, arrival, is_state=kind is Kind.STATE and host in self._hosts)
        self._wake.set()

    def link_up(self) -> None:
        """Tell that the broker was reached."""
        log.info("telemetry_connected")
        self._down_for = ""
        self._news.append(TelemetryUp(self._clock.now()))
        self._wake.set()

    def link_down(self, reason: str) -> None:
        """Tell that the broker is gone; the same reason again is not news."""
        if reason == self._down_for:
            return
        log.warning("telemetry_lost", reason=reason)
        self._down_for = reason
        self._news.append(TelemetryDown(self._clock.now(), reason))
        self._wake.set()

    def will(self) -> Outgoing | None:
        """Return None: nobody waits for our death."""
        return None

    def counters(self) -> dict[str, float]:
        """Return running counts: ``received``, ``used``, ``cleared``, ``connections``, ``dropped.<host>``,
        ``malformed.<host>.<reason>`` (``-``: no declared host)."""
        counts = {key: float(count) for key, count in self._counts.items()}
        counts |= {f"dropped.{host or '-'}": float(count) for host, count in self._intake.dropped().items()}
        counts["connections"] = float(self._link.connections)
        return counts
