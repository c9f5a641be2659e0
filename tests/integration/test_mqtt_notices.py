"""What the daemon says, against a real mosquitto: queued, retained, repeated after an outage."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections.abc import AsyncIterator
from typing import Any

import aiomqtt
import pytest

from ballastd.adapters.clock import SystemClock
from ballastd.adapters.mqtt.address import BrokerAddress
from ballastd.adapters.mqtt.connection import Incoming, Outgoing
from ballastd.adapters.mqtt.link import OUTBOX_MAX, Link
from ballastd.adapters.mqtt.publisher import MqttNotices
from ballastd.adapters.mqtt.wire import decode_cordon
from ballastd.core.quantities import HostName
from tests.broker import Broker
from tests.integration.mqtt_parts import eventually

pytestmark = pytest.mark.broker
HOST = HostName("kvm-01")


def notices_to(broker: Broker, client_id: str = "notices") -> MqttNotices:
    return MqttNotices(BrokerAddress(port=broker.port, client_id=client_id, keepalive=5), SystemClock(),
                       random.Random(1))


@contextlib.asynccontextmanager
async def running(notices: MqttNotices) -> AsyncIterator[MqttNotices]:
    task = asyncio.ensure_future(notices.run())
    try:
        yield notices
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def connected(notices: MqttNotices, times: int = 1) -> None:
    await eventually(lambda: notices.counters()["connections"] >= times)


async def heard(broker: Broker, topic: str, seconds: float = 1.0) -> list[tuple[bytes, bool]]:
    """Return what a newcomer hears on ``topic`` within a while: payload and whether it was retained."""
    got: list[tuple[bytes, bool]] = []
    async with aiomqtt.Client("127.0.0.1", broker.port) as client:
        await client.subscribe(topic)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                async for message in client.messages:
                    got.append((bytes(message.payload), bool(message.retain)))
                    if message.retain:
                        break
    return got


async def retained(broker: Broker, topic: str) -> Any:
    got = await heard(broker, topic, 0.3)
    return json.loads(got[0][0]) if got and got[0][0] else None


async def test_notices_made_before_the_broker_was_reached_arrive_in_order(broker: Broker) -> None:
    notices = notices_to(broker)
    for n in range(3):
        notices.publish("daemon/notices", {"n": n})
    listening = asyncio.ensure_future(heard(broker, "ballastd/v1/daemon/notices"))
    await asyncio.sleep(0.2)
    async with running(notices):
        assert await notices.flush(5)
    assert [json.loads(payload)["n"] for payload, _ in await listening] == [0, 1, 2]


async def test_the_queue_is_bounded_and_the_oldest_give_way(broker: Broker) -> None:
    notices = notices_to(broker)
    for n in range(OUTBOX_MAX + 50):
        notices.publish("daemon/notices", {"n": n})
    assert notices.counters()["dropped"] == 50
    listening = asyncio.ensure_future(heard(broker, "ballastd/v1/daemon/notices", 3))
    await asyncio.sleep(0.2)
    async with running(notices):
        assert await notices.flush(10)
    assert next(json.loads(payload)["n"] for payload, _ in await listening) == 50


async def test_what_is_retained_is_said_again_to_a_broker_that_forgot(broker: Broker) -> None:
    async with running(notices_to(broker)) as notices:
        await connected(notices)
        notices.publish("daemon/status", {"posture": "acting"}, retain=True)
        notices.publish("daemon/status", {"posture": "paused"}, retain=True)
        assert await notices.flush(5)
        assert await retained(broker, "ballastd/v1/daemon/status") == {"posture": "paused"}
        broker.stop()
        broker.start()
        await connected(notices, 2)
        assert await notices.flush(5)
        assert await retained(broker, "ballastd/v1/daemon/status") == {"posture": "paused"}


class Flushing:
    """Wants to know at once, whenever the broker is reached, whether it has everything."""

    def __init__(self) -> None:
        self.link: Link | None = None
        self.flushes: list[asyncio.Future[bool]] = []

    def link_up(self) -> None:
        assert self.link is not None
        self.flushes.append(asyncio.ensure_future(self.link.flush(5)))

    def link_down(self, reason: str) -> None:
        pass

    def message(self, message: Incoming) -> None:
        pass

    def will(self) -> Outgoing | None:
        return None


@pytest.mark.timeout(30)
async def test_who_waits_for_what_is_said_again_after_a_reconnect_holds_nobody_up(broker: Broker) -> None:
    flushing = Flushing()
    flushing.link = Link(BrokerAddress(port=broker.port, client_id="flushing", keepalive=5), SystemClock(), random.Random(1),
                         flushing)
    flushing.link.send(Outgoing("ballastd/v1/daemon/status", b"1", retain=True))
    linked = asyncio.ensure_future(flushing.link.run())
    try:
        await eventually(lambda: len(flushing.flushes) == 1)
        assert await flushing.flushes[0]
        broker.stop()
        broker.start()
        await eventually(lambda: len(flushing.flushes) == 2)
        assert await flushing.flushes[1]
    finally:
        linked.cancel()
        await asyncio.gather(linked, return_exceptions=True)


async def test_a_notice_given_while_the_broker_is_away_arrives_later(broker: Broker) -> None:
    async with running(notices_to(broker)) as notices:
        await connected(notices)
        broker.stop()
        await asyncio.sleep(0.1)
        notices.publish("daemon/notices", {"n": 1}, retain=True)
        assert not await notices.flush(0.1)
        broker.start()
        assert await notices.flush(10)
        assert await retained(broker, "ballastd/v1/daemon/notices") == {"n": 1}


async def test_an_empty_payload_clears_what_was_retained(broker: Broker) -> None:
    async with running(notices_to(broker)) as notices:
        notices.publish("daemon/status", {"a": 1}, retain=True)
        notices.publish("daemon/status", {}, retain=True)
        assert await notices.flush(5)
    assert await retained(broker, "ballastd/v1/daemon/status") is None


async def test_a_cordon_request_stands_for_newcomers_until_it_expires_or_is_lifted(broker: Broker) -> None:
    async with running(notices_to(broker)) as notices:
        until = time.time() + 2
        notices.cordon(HOST, until, "drain of kvm-01")
        assert await notices.flush(5)
        ((payload, was_retained),) = await heard(broker, "ballastd/v1/kvm-01/cordon", 0.3)
        request = decode_cordon(payload)
        assert request is not None
        assert (request.until, request.by, was_retained) == (until, "drain of kvm-01", True)
        await asyncio.sleep(max(0.0, until - time.time()) + 1.5)
        assert await heard(broker, "ballastd/v1/kvm-01/cordon", 0.3) == []
        notices.cordon(HOST, time.time() + 600, "drain of kvm-01")
        notices.uncordon(HOST)
        assert await notices.flush(5)
        assert await heard(broker, "ballastd/v1/kvm-01/cordon", 0.3) == []


async def test_two_daemons_on_one_cluster_see_one_another(broker: Broker) -> None:
    first, second = notices_to(broker, "one"), notices_to(broker, "two")
    async with running(first), running(second):
        await connected(first)
        await connected(second)
        first.claim("ballastd on mgmt-1")
        await first.flush(5)
        assert first.rival() is None
        second.claim("ballastd on mgmt-2")
        await eventually(lambda: first.rival() and second.rival())
        rivals = first.rival(), second.rival()
        assert [rival.holder for rival in rivals if rival] == ["ballastd on mgmt-2", "ballastd on mgmt-1"]


async def test_a_daemon_alone_has_no_rival_not_even_in_its_own_former_self(broker: Broker) -> None:
    async with running(notices_to(broker)) as notices:
        notices.claim("ballastd on mgmt-1")
        assert await notices.flush(5)
    async with running(notices_to(broker)) as notices:
        notices.claim("ballastd on mgmt-1")
        assert await notices.flush(5)
        await asyncio.sleep(0.2)
        assert notices.rival() is None
        notices.release()
        assert await notices.flush(5)
        assert notices.rival() is None
    assert await retained(broker, "ballastd/v1/daemon/claim") is None
