"""One connection to the broker: from the first byte to the last, with a reason for every end.

The client library gives up on a connection without closing its socket, and connects on a thread that a
cancelled task leaves behind; both are put right here.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import aiomqtt
from aiomqtt.exceptions import MqttConnectError
from paho.mqtt.client import MQTT_CLEAN_START_FIRST_ONLY
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from ballastd.adapters.mqtt.address import BrokerAddress
from ballastd.adapters.tls import client_context
from ballastd.errors import Unreachable

OPERATION_SECONDS = 5.0
QOS = 1
_REFUSED = 0x80
_UNSUPPORTED_PROTOCOL = 132
_CREDENTIALS = (4, 5, 134, 135)

Protocol = aiomqtt.ProtocolVersion


class BrokerRefused(Unreachable):
    """The broker was reached and does not want us, or not what we asked for."""


class ProtocolUnsupported(Unreachable):
    """The broker does not speak the protocol version we tried."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to send. ``expiry_seconds``: after that it is worthless and no longer sent or kept."""

    topic: str
    payload: bytes
    retain: bool = False
    expiry_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message as the network gave it. ``retained``: the broker kept it for us; it may be of any age."""

    topic: str
    payload: bytes
    retained: bool


class _Chute(asyncio.Queue[aiomqtt.Message]):
    """Hands every message on in the moment of its arrival; nothing ever waits in it."""

    def __init__(self, sink: Callable[[Incoming], None], maxsize: int = 0) -> None:
        super().__init__(maxsize)
        self._sink = sink

    def put_nowait(self, item: aiomqtt.Message) -> None:
        payload = item.payload if isinstance(item.payload, bytes) else b""
        self._sink(Incoming(str(item.topic), payload, bool(item.retain)))


class Connection(aiomqtt.Client):
    """A client for one connection; every attempt makes a new one."""

    def __init__(self, address: BrokerAddress, protocol: Protocol, will: Outgoing | None,
                 sink: Callable[[Incoming], None], refused: Callable[[str], None]) -> None:
        """``refused`` is told when the broker takes a message only to throw it away.

        Raises:
            OSError, ssl.SSLError, ValueError: the password, certificates or keys cannot be read.
        """
        # Always a clean start: nothing is to wait for us at the broker. Telemetry is worth what its newest
        # value is worth, and its age counts from receipt: a backlog delivered after an outage would pass
        # for fresh. What must outlive an outage (states, requests) is retained and comes by itself.
        five = protocol is Protocol.V5
        super().__init__(
            address.host, address.port, identifier=address.client_id, protocol=protocol,
            username=address.username, password=_password(address), keepalive=address.keepalive,
            timeout=OPERATION_SECONDS, clean_session=None if five else True,
            clean_start=True if five else MQTT_CLEAN_START_FIRST_ONLY,
            tls_context=tls_context(address) if address.tls else None,
            will=None if will is None else aiomqtt.Will(will.topic, will.payload, QOS, will.retain),
            queue_type=cast("type[asyncio.Queue[aiomqtt.Message]]", functools.partial(_Chute, sink)))
        self._client.connect_timeout = OPERATION_SECONDS
        self._five = five
        self._refused = refused

    async def listen(self, filters: tuple[str, ...]) -> None:
        """Subscribe to all of ``filters``.

        Raises:
            BrokerRefused: the broker grants one of them not.
            aiomqtt.MqttError: the connection is lost.
        """
        if not filters:
            return
        answers: Sequence[int | ReasonCode] = await self.subscribe([(one, QOS) for one in filters])
        for one, answer in zip(filters, answers, strict=False):
            if _code(answer) >= _REFUSED:
                raise BrokerRefused(f"the broker refuses the subscription to {one} ({answer}): see its access list")

    async def send(self, message: Outgoing, remaining_seconds: float | None) -> None:
        """Publish ``message`` and wait until the broker has it.

        Raises:
            aiomqtt.MqttError: the connection is lost, or the broker does not answer.
        """
        properties = None
        if self._five and remaining_seconds is not None:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            properties.MessageExpiryInterval = max(1, int(remaining_seconds + 0.999))
        await self.publish(message.topic, message.payload, QOS, message.retain, properties)

    async def lost(self) -> None:
        """Return never; raise when the connection ends.

        Raises:
            aiomqtt.MqttError: it ended.
        """
        async for _ in self.messages:
            pass

    def drop(self) -> None:
        """Close the socket, whatever state the connection is in."""
        self._client.disconnect()

    def _on_publish(self, client: Any, userdata: Any, mid: int, reason_code: ReasonCode,
                    properties: Properties) -> None:
        if reason_code.value >= _REFUSED:
            self._refused(str(reason_code))
        super()._on_publish(client, userdata, mid, reason_code, properties)


@contextlib.asynccontextmanager
async def connected(connection: Connection, address: BrokerAddress) -> AsyncIterator[None]:
    """Hold a connection open for the length of the block.

    Raises:
        ProtocolUnsupported, BrokerRefused: the broker said no.
        aiomqtt.MqttError: the broker did not answer, or the connection was lost inside the block.
    """
    entering = asyncio.ensure_future(connection.__aenter__())
    try:
        await asyncio.shield(entering)
    except asyncio.CancelledError:
        # the thread that connects cannot be interrupted: let it finish and close what it opened
        entering.add_done_callback(functools.partial(_close_late, connection))
        raise
    except aiomqtt.MqttError as error:
        connection.drop()
        raise _translated(error, address) from error
    try:
        yield
    finally:
        with contextlib.suppress(aiomqtt.MqttError):
            await connection.__aexit__(None, None, None)
        connection.drop()


def _close_late(connection: Connection, entering: asyncio.Future[Any]) -> None:
    if not entering.cancelled():
        entering.exception()
    connection.drop()


def _translated(error: aiomqtt.MqttError, address: BrokerAddress) -> Exception:
    if not isinstance(error, aiomqtt.MqttCodeError):
        return error
    code = _code(error.rc or 0)
    if code == _UNSUPPORTED_PROTOCOL or (code == 1 and isinstance(error, MqttConnectError)):
        return ProtocolUnsupported(f"{address}: {error}")
    if code in _CREDENTIALS and isinstance(error, MqttConnectError):
        who = f"user {address.username!r}" if address.username else "a client without a user name"
        return BrokerRefused(f"{address} refuses {who}: wrong name, password or certificate ({error})")
    return BrokerRefused(f"{address} refuses the connection: {error}")


def _code(answer: int | ReasonCode) -> int:
    return answer if isinstance(answer, int) else int(answer.value)


def _password(address: BrokerAddress) -> str | None:
    if address.password_file is None:
        return None
    return address.password_file.read_text(encoding="utf-8").rstrip("\r\n")


class _TidySocket(ssl.SSLSocket):
    """Closes itself when a handshake fails; the client library leaves that to the garbage collector."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise


def tls_context(address: BrokerAddress) -> ssl.SSLContext:
    """Return the context for ``address``. Files are read anew: this blocks.

    Raises:
        OSError, ssl.SSLError: a file cannot be read, or is not what it should be.
    """
    context = client_context(address.ca_file)
    context.sslsocket_class = _TidySocket
    if address.cert_file is not None:
        context.load_cert_chain(address.cert_file, address.key_file)
    return context
