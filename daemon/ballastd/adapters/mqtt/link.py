"""A connection that comes back: reconnects with back-off, subscribes anew, sends what is due.

Shared by telemetry, notices and the host agent; the only place that knows how to be connected.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from dataclasses import dataclass
from typing import Protocol as Shape

import aiomqtt
import structlog

from ballastd.adapters.mqtt.address import BrokerAddress
from ballastd.adapters.mqtt.connection import (
    Connection,
    Incoming,
    Outgoing,
    Protocol,
    ProtocolUnsupported,
    connected,
)
from ballastd.adapters.mqtt.diagnosis import explain
from ballastd.errors import Unreachable
from ballastd.ports.running import Clock

BACKOFF_FIRST_SECONDS = 0.5
BACKOFF_MAX_SECONDS = 30.0
STEADY_SECONDS = 10.0
"""A connection that lasted this long was a good one: after it, back-off starts small again."""
OUTBOX_MAX = 256
RETAINED_MAX = 1024

log = structlog.get_logger(__name__)


class LinkEnds(Shape):
    """What a link tells its owner. Called on the event loop; none of them may raise or block."""

    def link_up(self) -> None:
        """The broker was reached and the subscriptions stand."""
        ...

    def link_down(self, reason: str) -> None:
        """The connection ended, or an attempt failed. Called at each failed attempt."""
        ...

    def message(self, message: Incoming) -> None:
        """A message arrived."""
        ...

    def will(self) -> Outgoing | None:
        """Return what the broker is to publish when this connection dies, or None."""
        ...


@dataclass(frozen=True, slots=True)
class _Due:
    message: Outgoing
    until: float | None


def backoff_seconds(attempt: int, rng: random.Random) -> float:
    """Return how long to wait after the ``attempt``-th failure in a row (from 1): full jitter, so that a
    thousand agents do not come back in step."""
    return rng.uniform(0.0, min(BACKOFF_MAX_SECONDS, BACKOFF_FIRST_SECONDS * 2.0 ** min(attempt - 1, 16)))


class Link:
    """Keeps one client connected until cancelled."""

    def __init__(self, address: BrokerAddress, clock: Clock, rng: random.Random, ends: LinkEnds,
                 filters: tuple[str, ...] = ()) -> None:
        self._address, self._clock, self._rng = address, clock, rng
        self._ends, self._filters = ends, filters
        self._protocol = Protocol.V311 if address.protocol == "3.1.1" else Protocol.V5
        self._outbox: deque[_Due] = deque()
        self._retained: dict[str, _Due] = {}
        self._wake = asyncio.Event()
        self._sent = asyncio.Event()
        self.up = False
        self.dropped = 0
        self.connections = 0

    def send(self, message: Outgoing) -> None:
        """Queue ``message``; never blocks. The oldest gives way when the queue is full.

        The newest retained message of each topic is sent again after every reconnect: a broker that lost
        its memory gets it back.
        """
        expiry = message.expiry_seconds
        due = _Due(message, None if expiry is None else self._clock.now().monotonic + expiry)
        if message.retain:
            self._remember(due)
        if len(self._outbox) >= OUTBOX_MAX:
            self._outbox.popleft()
            self.dropped += 1
        self._outbox.append(due)
        self._wake.set()

    def _remember(self, due: _Due) -> None:
        topic = due.message.topic
        self._retained.pop(topic, None)
        self._retained[topic] = due
        if len(self._retained) > RETAINED_MAX:
            self._retained.pop(next(iter(self._retained)))
        # an older value of the same topic must not be sent after all
        stale = [one for one in self._outbox if one.message.topic == topic and one.message.retain]
        for one in stale:
            self._outbox.remove(one)

    async def flush(self, seconds: float) -> bool:
        """Wait until everything queued is with the broker, ``seconds`` at most; return whether it is."""
        try:
            async with asyncio.timeout(seconds):
                while self._outbox:
                    self._sent.clear()
                    await self._sent.wait()
        except TimeoutError:
            return False
        return True

    async def run(self) -> None:
        """Stay connected; return never."""
        attempt = 0
        while True:
            begun = self._clock.now().monotonic
            try:
                await self._hold()
            except ProtocolUnsupported as error:
                reason = self._other_protocol(error)
            except (aiomqtt.MqttError, Unreachable, OSError, ValueError) as error:
                reason = await explain(error, self._address)
            attempt = 1 if self._clock.now().monotonic - begun > STEADY_SECONDS else attempt + 1
            self._ends.link_down(reason)
            await asyncio.sleep(backoff_seconds(attempt, self._rng))

    def _other_protocol(self, error: ProtocolUnsupported) -> str:
        if self._address.protocol != "auto":
            return f"{error}: the settings allow MQTT {self._address.protocol} only"
        self._protocol = Protocol.V311 if self._protocol is Protocol.V5 else Protocol.V5
        return f"{error}: trying MQTT {'5' if self._protocol is Protocol.V5 else '3.1.1'}"

    async def _hold(self) -> None:
        connection = Connection(self._address, self._protocol, self._ends.will(), self._ends.message,
                                self._refused)
        async with connected(connection, self._address):
            await connection.listen(self._filters)
            self.connections += 1
            self._requeue_retained()
            self.up = True
            self._ends.link_up()
            try:
                await self._until_lost(connection)
            finally:
                self.up = False

    async def _until_lost(self, connection: Connection) -> None:
        tasks = {asyncio.ensure_future(connection.lost()), asyncio.ensure_future(self._pump(connection))}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _requeue_retained(self) -> None:
        waiting = {due.message.topic for due in self._outbox if due.message.retain}
        self._outbox.extendleft(due for topic, due in reversed(self._retained.items()) if topic not in waiting)
        self._wake.set()

    async def _pump(self, connection: Connection) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._outbox:
                due = self._outbox[0]
                remaining = None if due.until is None else due.until - self._clock.now().monotonic
                if remaining is None or remaining > 0:
                    await connection.send(due.message, remaining)
                else:
                    self._expire(due)
                # while it was being sent it may have been replaced or pushed out
                if self._outbox and self._outbox[0] is due:
                    self._outbox.popleft()
            self._sent.set()

    def _expire(self, due: _Due) -> None:
        self.dropped += 1
        if self._retained.get(due.message.topic) is due:
            del self._retained[due.message.topic]

    def _refused(self, reason: str) -> None:
        self.dropped += 1
        log.warning("message_refused", broker=str(self._address), reason=reason)
