"""The pretend agents on a real broker: what they say goes out as real messages, what they are asked comes in as such."""

from __future__ import annotations

import random
from collections.abc import Iterable

import structlog

from ballastd.adapters.mqtt.address import BrokerAddress
from ballastd.adapters.mqtt.connection import Incoming, Outgoing
from ballastd.adapters.mqtt.link import Link
from ballastd.adapters.mqtt.topics import Kind, parse_topic, topic_of
from ballastd.adapters.mqtt.wire import decode_cordon, encode_reports, encode_state
from ballastd.core.quantities import HostName
from ballastd.core.telemetry import AgentState, Report
from ballastd.errors import MalformedReport
from ballastd.ports.messages import TelemetryItem
from ballastd.ports.running import Clock
from ballastd.sim.world import World

log = structlog.get_logger(__name__)
KEEPALIVE = (5, 5)
"""What the pretend hosts' libvirtd has for keepalive: interval in seconds, count."""


class Wires:
    """Carries telemetry from a pretend world to a broker, and cordons back."""

    def __init__(self, address: BrokerAddress, world: World, hosts: Iterable[HostName], clock: Clock) -> None:
        self._prefix, self._world, self._clock = address.prefix, world, clock
        topics = tuple(topic_of(address.prefix, host, Kind.CORDON) for host in hosts)
        self._link = Link(address, clock, random.Random(), self, topics)  # noqa: S311  jitter, no secret

    async def run(self) -> None:
        """Hold the connection, for ever."""
        await self._link.run()

    async def carry(self) -> None:
        """Send what the agents say, for ever."""
        async for item in self._world.agents.items():
            for message in self._messages(item):
                self._link.send(message)

    def _messages(self, item: TelemetryItem) -> list[Outgoing]:
        if isinstance(item, Report):
            payloads = encode_reports(host=item.host, boot_id=item.boot_id, sequence=item.sequence, sent_at=item.sent_at,
                                      interval=item.interval, samples=item.samples)
            topic = topic_of(self._prefix, item.host, Kind.METRICS)
            return [Outgoing(topic, payload, expiry_seconds=3 * item.interval) for payload in payloads]
        if isinstance(item, AgentState):
            payload = encode_state(host=item.host, boot_id=item.boot_id, online=item.online,
                                   sent_at=self._clock.now().wall, hook=item.hook, cordon_until=item.cordon_until,
                                   keepalive=KEEPALIVE, emulators=item.emulators)
            return [Outgoing(topic_of(self._prefix, item.host, Kind.STATE), payload, retain=True)]
        return []

    def message(self, message: Incoming) -> None:
        """Shut a pretend host's hook, or open it."""
        try:
            host, _ = parse_topic(self._prefix, message.topic)
            request = decode_cordon(message.payload)
        except MalformedReport as error:
            log.warning("cordon_request_unreadable", reason=str(error))
            return
        if request is None:
            self._world.notices.uncordon(host)
        else:
            self._world.notices.cordon(host, request.until, request.by)

    def link_up(self) -> None:
        """The broker was reached: say everything again."""
        self._world.agents.subscribe()

    def link_down(self, reason: str) -> None:
        """Note that the broker is gone."""
        log.info("the wires are down", reason=reason)

    def will(self) -> Outgoing | None:
        """Return nothing: this is no single agent."""
        return None
