"""Parts of the tests that need a broker: a client that collects, a person who publishes, a broker of old."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

import aiomqtt

from ballastd.adapters.clock import SystemClock
from ballastd.adapters.mqtt.address import BrokerAddress
from ballastd.adapters.mqtt.intake import Pace
from ballastd.adapters.mqtt.telemetry import MqttTelemetry
from ballastd.adapters.mqtt.wire import encode_report
from ballastd.core.quantities import HostName
from ballastd.core.telemetry import Report, Sample
from ballastd.ports.messages import TelemetryDown, TelemetryItem, TelemetryUp

HOSTS = (HostName("kvm-01"), HostName("kvm-02"))
PATIENCE_SECONDS = 15.0

T = TypeVar("T")


class Listener:
    """Telemetry that somebody listens to, with everything it said."""

    def __init__(self, telemetry: MqttTelemetry) -> None:
        self.telemetry = telemetry
        self.items: list[TelemetryItem] = []

    async def listen(self) -> None:
        async for item in self.telemetry.items():
            self.items.append(item)

    def of(self, kind: type[T]) -> list[T]:
        """Return the items of a kind, in order."""
        return [item for item in self.items if isinstance(item, kind)]

    async def until(self, condition: Callable[[], object], seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until the condition holds."""
        await eventually(condition, seconds, lambda: f"{self.items[-10:]} {self.telemetry.counters()}")

    async def until_up(self, times: int = 1) -> None:
        """Wait until the broker was reached so many times."""
        await self.until(lambda: len(self.of(TelemetryUp)) >= times)

    def down_reasons(self) -> list[str]:
        """Return why the broker was lost or not reached."""
        return [item.reason for item in self.of(TelemetryDown)]


async def eventually(condition: Callable[[], object], seconds: float = PATIENCE_SECONDS,
                     shown: Callable[[], str] = lambda: "") -> None:
    """Wait until the condition holds; fail with what is ``shown`` when it does not."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {shown()}"
        await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def listening(address: BrokerAddress, pace: Pace | None = None, seed: int = 1) -> AsyncIterator[Listener]:
    """Listen to the telemetry of two hosts."""
    listener = Listener(MqttTelemetry(address, HOSTS, SystemClock(), random.Random(seed), pace))
    task = asyncio.ensure_future(listener.listen())
    try:
        yield listener
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def metrics(host: str = "kvm-01", sequence: int = 1, value: float = 0.5) -> bytes:
    """Return a metrics message with one reading."""
    return encode_report(host=host, boot_id="b", sequence=sequence, sent_at=time.time(), interval=10.0,
                         samples=[Sample("cpu.utilization", value)])


async def publish(port: int, *messages: tuple[str, bytes], retain: bool = False) -> None:
    """Publish messages as some other client would."""
    async with aiomqtt.Client("127.0.0.1", port) as client:
        for topic, payload in messages:
            await client.publish(topic, payload, qos=1, retain=retain)


def sequences(listener: Listener, host: str = "kvm-01") -> list[int]:
    """Return the numbers of the reports that came from a host."""
    return [report.sequence for report in listener.of(Report) if report.host == host]


class BrokerOfOld:
    """Stands before a broker and knows MQTT 3.1.1 only, as many still do: it answers a version 5 CONNECT the way
    version 3.1.1 demands, with return code 1 and the end of the connection."""

    UNACCEPTABLE_VERSION = bytes((0x20, 0x02, 0x00, 0x01))

    def __init__(self, port_behind: int) -> None:
        self._port_behind = port_behind
        self._server: asyncio.Server | None = None
        self.refused = 0
        self.accepted = 0

    async def __aenter__(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def __aexit__(self, *exc: object) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readexactly(12)
            # fixed header (2 bytes while the packet is small), 00 04 "MQTT", protocol level
            level = head[head.index(b"MQTT") + 4]
            if level != 4:
                self.refused += 1
                writer.write(self.UNACCEPTABLE_VERSION)
                await writer.drain()
                return
            self.accepted += 1
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._port_behind)
            inner_writer.write(head)
            await asyncio.wait({asyncio.ensure_future(_copy(reader, inner_writer)),
                                asyncio.ensure_future(_copy(inner_reader, writer))})
        finally:
            writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()
