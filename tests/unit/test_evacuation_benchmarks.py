"""The benchmarks of an evacuation on the lab: what went over the link, and what a flood of telemetry does to it."""

from __future__ import annotations

import asyncio
import json
import time
from types import SimpleNamespace
from typing import Any

import pytest
from benchmarks import flood
from benchmarks.evacuating import LINK_SECONDS, Curve, Meter, burst, measured, most
from benchmarks.on_lab import MIB
from benchmarks.repeater import Repeater

from ballastd.adapters.mqtt.connection import Incoming, Outgoing


def ramp(seconds: float, mib_s: float, begin: float = 0.0, done: float = 0.0) -> Curve:
    """Return a curve that rises evenly, read ten times a second."""
    return [(begin + n / 10, int((done + mib_s * n / 10) * MIB)) for n in range(round(seconds * 10) + 1)]


def test_the_most_in_any_window_is_found_wherever_it_lies() -> None:
    slow, fast = ramp(20.0, 10.0), ramp(4.9, 30.0, 20.1, 201.0)
    curve = slow + fast + ramp(20.0, 10.0, 25.1, 348.0)
    assert most(curve, 5.0) == pytest.approx(30.0, rel=0.03)
    assert most(curve, 20.0) == pytest.approx(15.0, rel=0.03)
    assert most(slow, 30.0) is None


def test_a_burst_is_what_ran_ahead_of_the_share_at_the_end_of_a_guest_alone() -> None:
    before, jump, after = ramp(10.0, 10.0), (10.1, 105 * MIB), ramp(10.0, 8.0, 10.2, 106.0)
    curve = [*before, jump, *after]
    assert burst(curve, 10.0, 10.5) == pytest.approx(4.0, abs=0.01)
    assert burst(curve, 10.0, 8.0) == pytest.approx(0.0, abs=0.01)
    assert burst(curve, 10.0, 15.0) == pytest.approx(0.0, abs=0.01)
    assert burst(ramp(10.0, 8.0), 10.0, 5.0) == 0.0


def test_payload_is_what_all_guests_copied_and_of_one_that_left_all_of_it() -> None:
    meter = Meter(lab=None, copied={"a": [(1.0, 0), (2.0, 10), (3.0, 20)], "b": [(2.5, 0), (3.5, 7)]}, left={"a": 4.0})
    assert meter.payload({"a": 25, "b": 9}) == [(2.0, 10), (3.0, 20), (3.5, 27), (4.0, 32)]


def test_a_meter_that_cannot_read_on_fails_the_run_instead_of_showing_less() -> None:
    gone = SimpleNamespace(hosts={"h1": SimpleNamespace(first=lambda: 2**31 - 1, uri="test:///default")})
    with pytest.raises(FileNotFoundError), measured(gone):
        time.sleep(3 * LINK_SECONDS)


def evacuation(times: int, seconds: float, lost: int = 0) -> dict[str, Any]:
    return {"times": times, "seconds": seconds, "messages_a_second": 10.0 * times, "share": 0.1, "lost": lost,
            "given_way": lost, "torn": 0}


@pytest.mark.parametrize(("rows", "status"), [
    ((evacuation(10, 21.9), evacuation(1, 20.0), evacuation(1, 19.0), evacuation(1, 30.0), evacuation(10, 30.0),
      evacuation(10, 1.0)), 0),
    ((evacuation(1, 20.0), evacuation(10, 22.1)), 1), ((evacuation(1, 20.0), evacuation(10, 20.0, lost=1)), 1),
    ((evacuation(1, 20.0) | {"torn": 1}, evacuation(10, 20.0)), 1), ((evacuation(1, 20.0),), 1)])
def test_a_flood_may_neither_slow_an_evacuation_nor_lose_what_it_says(rows: tuple[dict[str, Any], ...], status: int) -> None:
    assert flood.report(list(rows)) == status


def test_what_was_said_and_not_read_is_lost_and_what_gave_way_is_told_of_every_host() -> None:
    before = {"telemetry.used": 5.0, "telemetry.dropped.h1": 1.0}
    after = {"telemetry.used": 105.0, "telemetry.dropped.h1": 3.0, "telemetry.dropped.h2": 4.0, "telemetry.received": 110.0}
    assert flood.lost({"h1": 60, "h2": 46}, before, after) == 6
    assert flood.lost({"h1": 5}, {}, {"telemetry.used": 5.0}) == 0
    assert flood.given_way(before, after) == 6


class Sent:
    """A link that keeps what it is given to send."""

    def __init__(self) -> None:
        self.messages: list[Outgoing] = []
        self.dropped, self.connections = 0, 1

    async def flush(self, _seconds: float) -> bool:
        return True

    def send(self, message: Outgoing) -> None:
        self.messages.append(message)


async def test_who_was_hushed_says_nothing_more() -> None:
    repeater = Repeater(10, 0.1, "agents", "ballastd")
    repeater.link = sent = Sent()
    repeater.message(Incoming("agents/v1/h1/metrics", b"{}", retained=False))
    repeater.hush()
    repeater.message(Incoming("agents/v1/h1/events", b"{}", retained=False))
    await asyncio.sleep(0.2)
    assert len(sent.messages) == 1
    assert repeater.counts == {"h1": 1}


@pytest.mark.parametrize(("dropped", "connections"), [(1, 1), (0, 2), (0, 0)])
async def test_what_may_have_been_said_twice_or_to_nobody_is_no_measure(dropped: int, connections: int) -> None:
    repeater = Repeater(10, 0.1, "agents", "ballastd")
    repeater.link = sent = Sent()
    await repeater.end()
    sent.dropped, sent.connections = dropped, connections
    with pytest.raises(RuntimeError):
        await repeater.end()


async def test_what_an_agent_says_is_repeated_until_there_is_something_newer_and_numbered_anew() -> None:
    repeater = Repeater(10, 0.2, "agents", "ballastd")
    repeater.link = sent = Sent()
    report = {"schema": "ballastd/1", "host": "h1", "boot_id": "b", "sequence": 41, "sent_at": 1.0, "interval": 0.2,
              "samples": []}
    repeater.message(Incoming("agents/v1/h1/metrics", json.dumps(report).encode(), retained=False))
    await asyncio.sleep(0.4)
    assert len(sent.messages) == 10
    repeater.message(Incoming("agents/v1/h1/metrics", json.dumps(report).encode(), retained=False))
    repeater.message(Incoming("agents/v1/h1/events", json.dumps(report | {"boot_id": "new"}).encode(), retained=False))
    await asyncio.sleep(0.4)
    said = [json.loads(message.payload) for message in sent.messages]
    assert [one["sequence"] for one in said] == list(range(1, 13))
    assert [one["boot_id"] for one in said] == ["b"] * 11 + ["new"]
    assert said[0] | {"sequence": 41, "sent_at": 1.0} == report
    assert {message.topic for message in sent.messages} == {"ballastd/v1/h1/metrics", "ballastd/v1/h1/events"}
    assert repeater.counts == {"h1": 12}


def test_states_are_passed_on_as_they_are_and_requests_the_other_way() -> None:
    repeater = Repeater(10, 1.0, "agents", "ballastd")
    repeater.link = sent = Sent()
    repeater.message(Incoming("agents/v1/h1/state", b"state", retained=True))
    repeater.message(Incoming("ballastd/v1/h1/cordon", b"", retained=False))
    assert sent.messages == [Outgoing("ballastd/v1/h1/state", b"state"),
                             Outgoing("agents/v1/h1/cordon", b"", retain=True)]
    assert repeater.counts == {"h1": 1}
