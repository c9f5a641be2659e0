"""Telemetry against a real mosquitto: reconnects, refusals, floods, replays."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import subprocess
import time
from functools import partial
from pathlib import Path

import aiomqtt
import pytest

from ballastd.adapters.mqtt.address import BrokerAddress
from ballastd.adapters.mqtt.intake import Pace
from ballastd.adapters.mqtt.wire import encode_state
from ballastd.core.telemetry import AgentState, Report, Telemetry
from ballastd.ports.messages import Malformed, TelemetryDown
from tests.broker import Broker, free_port
from tests.integration.mqtt_parts import BrokerOfOld, Listener, eventually, listening, metrics, publish, sequences

pytestmark = pytest.mark.broker


def address_of(broker: Broker) -> BrokerAddress:
    return BrokerAddress(port=broker.port, client_id="telemetry", keepalive=5)


async def test_reports_of_declared_hosts_come_in_order_and_are_stamped_on_arrival(broker: Broker) -> None:
    async with listening(address_of(broker)) as listener:
        await listener.until_up()
        begun = time.monotonic()
        await publish(broker.port, *(("ballastd/v1/kvm-01/" + ("metrics", "events")[n % 2], metrics(sequence=n))
                                     for n in range(20)))
        await listener.until(lambda: len(sequences(listener)) == 20)
        assert sequences(listener) == list(range(20))
        for report in listener.of(Report):
            assert begun <= report.received.monotonic <= time.monotonic()
            assert not report.retained


async def test_undeclared_hosts_and_malformed_messages_are_counted_and_harm_nobody(broker: Broker) -> None:
    async with listening(address_of(broker)) as listener:
        await listener.until_up()
        await publish(broker.port, ("ballastd/v1/kvm-03/metrics", metrics("kvm-03")),
                      ("ballastd/v1/kvm-02/metrics", b"{"), ("ballastd/v1/kvm-02/state", b"\xff\xfe"),
                      ("ballastd/v1/kvm-02/metrics", metrics("kvm-01")), ("ballastd/v1/kvm-01/metrics", metrics()))
        await listener.until(lambda: len(listener.of(Malformed)) == 4 and sequences(listener))
        assert sorted((item.host or "-", item.reason) for item in listener.of(Malformed)) == [
            ("-", "undeclared-host"), ("kvm-02", "encoding"), ("kvm-02", "host-mismatch"), ("kvm-02", "json")]
        assert listener.telemetry.counters()["malformed.kvm-02.json"] == 1.0


async def test_what_the_broker_kept_is_seen_as_retained_and_not_believed(broker: Broker) -> None:
    await publish(broker.port, ("ballastd/v1/kvm-01/metrics", metrics()), retain=True)
    async with listening(address_of(broker)) as listener:
        await listener.until(lambda: listener.of(Report))
        (report,) = listener.of(Report)
        assert report.retained
        assert Telemetry().absorb(report) == "retained"
        await publish(broker.port, ("ballastd/v1/kvm-01/metrics", b""), retain=True)
        await listener.until(lambda: listener.telemetry.counters().get("cleared") or listener.of(Malformed))


async def test_a_retained_state_tells_who_is_there(broker: Broker) -> None:
    state = encode_state(host="kvm-02", boot_id="b", online=True, sent_at=time.time(), hook=True, cordon_until=None,
                         keepalive=(5, 24))
    await publish(broker.port, ("ballastd/v1/kvm-02/state", state), retain=True)
    async with listening(address_of(broker)) as listener:
        await listener.until(lambda: listener.of(AgentState))
        (seen,) = listener.of(AgentState)
        assert (seen.host, seen.online, seen.hook, seen.retained) == ("kvm-02", True, True, True)
        assert seen.keepalive == (5, 24)


def heard(listener: Listener, sequence: int) -> bool:
    return sequence in sequences(listener)


def gone(listener: Listener, times: int) -> bool:
    return len(listener.of(TelemetryDown)) >= times


async def test_a_broker_that_goes_and_comes_back_is_found_again(broker: Broker) -> None:
    async with listening(address_of(broker)) as listener:
        for times in (1, 2, 3):
            await listener.until_up(times)
            await publish(broker.port, ("ballastd/v1/kvm-01/metrics", metrics(sequence=times)))
            await listener.until(partial(heard, listener, times))
            broker.stop()
            await listener.until(partial(gone, listener, times))
            broker.start()
        await listener.until_up(4)
        assert sequences(listener) == [1, 2, 3]


async def test_what_was_said_while_we_were_away_is_not_taken_for_fresh(broker: Broker) -> None:
    async with listening(address_of(broker)) as listener:
        await listener.until_up()
    await publish(broker.port, ("ballastd/v1/kvm-01/metrics", metrics(sequence=1)))
    async with listening(address_of(broker)) as listener:
        await listener.until_up()
        await publish(broker.port, ("ballastd/v1/kvm-01/metrics", metrics(sequence=2)))
        await listener.until(lambda: sequences(listener))
        assert sequences(listener) == [2]


async def test_a_broker_that_is_not_there_yet_is_waited_for(broker: Broker) -> None:
    broker.stop()
    async with listening(address_of(broker)) as listener:
        await listener.until(listener.down_reasons)
        assert "refused" in listener.down_reasons()[0]
        broker.start()
        await listener.until_up()


async def test_a_frozen_broker_is_noticed_and_left_for_its_thaw(broker: Broker) -> None:
    address = dataclasses.replace(address_of(broker), keepalive=2)
    async with listening(address) as listener:
        await listener.until_up()
        broker.pause()
        begun = time.monotonic()
        await listener.until(lambda: listener.of(TelemetryDown))
        assert time.monotonic() - begun < 7
        broker.resume()
        await listener.until_up(2)
        await publish(broker.port, ("ballastd/v1/kvm-01/metrics", metrics(sequence=9)))
        await listener.until(lambda: 9 in sequences(listener))


async def test_a_flooding_host_loses_its_own_messages_and_delays_nobody(broker: Broker) -> None:
    pace = Pace(depth=8, burst=5, per_second=4.0)
    count = 4000
    async with listening(address_of(broker), pace) as listener:
        await listener.until_up()
        async with aiomqtt.Client("127.0.0.1", broker.port) as client:
            for n in range(count):
                await client.publish("ballastd/v1/kvm-01/metrics", metrics(sequence=n))
            sent = time.time()
            await client.publish("ballastd/v1/kvm-02/metrics", metrics("kvm-02", sequence=1), qos=1)
        await listener.until(lambda: sequences(listener, "kvm-02"))
        quiet = next(report for report in listener.of(Report) if report.host == "kvm-02")
        assert quiet.received.wall - sent < 2.0
        await listener.until(lambda: listener.telemetry.counters()["received"] == count + 1)
        flood = sequences(listener)
        assert len(flood) < 30
        assert flood == sorted(flood)
        # what still waits is the newest, so the last word gets through in the end
        await listener.until(lambda: count - 1 in sequences(listener))
        assert listener.telemetry.counters()["dropped.kvm-01"] > count - 100


async def test_a_broker_of_old_is_spoken_to_in_its_own_version(broker: Broker) -> None:
    old = BrokerOfOld(broker.port)
    async with old as port, listening(dataclasses.replace(address_of(broker), port=port)) as listener:
        await listener.until_up()
        assert "trying MQTT 3.1.1" in listener.down_reasons()[0]
        await publish(broker.port, ("ballastd/v1/kvm-01/metrics", metrics()))
        await listener.until(lambda: sequences(listener))
        assert (old.refused, old.accepted) == (1, 1)


async def test_settings_that_insist_on_version_5_say_so(broker: Broker) -> None:
    old = BrokerOfOld(broker.port)
    async with old as port:
        address = dataclasses.replace(address_of(broker), port=port, protocol="5")
        async with listening(address) as listener:
            await listener.until(lambda: old.refused >= 2)
            assert "allow MQTT 5 only" in listener.down_reasons()[0]


async def test_version_3_1_1_can_be_asked_for(broker: Broker) -> None:
    async with listening(dataclasses.replace(address_of(broker), protocol="3.1.1")) as listener:
        await listener.until_up()
        await publish(broker.port, ("ballastd/v1/kvm-01/metrics", metrics()))
        await listener.until(lambda: sequences(listener))
    assert "(p2, c1" in broker.log()


@pytest.fixture
def guarded(tmp_path: Path, broker: Broker) -> Broker:
    """Another broker, which wants a name and a password."""
    broker.stop()
    directory = tmp_path / "guarded"
    directory.mkdir()
    passwords = directory / "passwords"
    passwords.touch(mode=0o600)
    subprocess.run(["mosquitto_passwd", "-b", str(passwords), "ballastd", "right"], check=True, capture_output=True)
    return Broker(directory, (f"password_file {passwords}",), anonymous=False)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_a_wrong_password_is_named_and_the_right_one_works_without_a_restart(
        guarded: Broker, tmp_path: Path, protocol: str) -> None:
    password = tmp_path / "password"
    password.write_text("wrong\n")
    guarded.start()
    try:
        address = dataclasses.replace(address_of(guarded), username="ballastd", password_file=password,
                                      protocol=protocol)  # type: ignore[arg-type]
        async with listening(address) as listener:
            await listener.until(listener.down_reasons)
            assert "refuses user 'ballastd': wrong name, password" in listener.down_reasons()[0]
            password.write_text("right\n")
            await listener.until_up()
    finally:
        guarded.stop()


async def test_a_password_file_that_is_missing_is_named(broker: Broker, tmp_path: Path) -> None:
    address = dataclasses.replace(address_of(broker), username="x", password_file=tmp_path / "none")
    async with listening(address) as listener:
        await listener.until(listener.down_reasons)
        assert "none" in listener.down_reasons()[0]


async def test_a_name_that_does_not_resolve_is_named() -> None:
    async with listening(BrokerAddress(host="no-such-broker.invalid", port=free_port())) as listener:
        await listener.until(listener.down_reasons)
        assert "no-such-broker.invalid" in listener.down_reasons()[0]


def sockets() -> set[str]:
    """Return the sockets that this process has open now, as the kernel names them."""
    links = set()
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the folder's own, open while it is read
            links.add(str(entry.readlink()))
    return {link for link in links if link.startswith("socket:")}


async def test_no_socket_and_no_task_is_left_behind(broker: Broker) -> None:
    before, open_before = asyncio.all_tasks(), sockets()
    for _ in range(3):
        async with listening(dataclasses.replace(address_of(broker), keepalive=2)) as listener:
            await listener.until_up()
            broker.stop()
            await listener.until(listener.down_reasons)
            broker.start()
    await eventually(lambda: asyncio.all_tasks() <= before | {asyncio.current_task()})
    assert sockets() <= open_before
