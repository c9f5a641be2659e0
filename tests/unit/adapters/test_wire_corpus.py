"""Every malformed, hostile or misleading message of the corpus: no crash, no stall, one counter goes up."""

from __future__ import annotations

import asyncio
import base64
import json
import random
import time
from pathlib import Path
from typing import Any

import pytest

from ballastd.adapters.mqtt.address import BrokerAddress
from ballastd.adapters.mqtt.connection import Incoming
from ballastd.adapters.mqtt.intake import Pace
from ballastd.adapters.mqtt.telemetry import MqttTelemetry
from ballastd.adapters.mqtt.wire import decode
from ballastd.core.quantities import HostName, Instant
from ballastd.core.telemetry import AgentState, Report, Telemetry
from ballastd.errors import MalformedReport
from ballastd.ports.messages import Malformed, TelemetryDown

CORPUS = json.loads((Path(__file__).parents[2] / "data" / "corpus_bad.json").read_text())
ENTRIES = {entry["id"]: entry for entry in CORPUS["entries"]}
NOW = Instant(5000.0, float(CORPUS["now"]))
HOSTS = tuple(HostName(name) for name in CORPUS["declared_hosts"])
STALL_SECONDS = 0.5
PARTS = ("prefix", "repeat", "middle", "repeat_after", "suffix")


class StandingClock:
    """Time does not pass."""

    def now(self) -> Instant:
        return NOW


def payload_of(entry: dict[str, Any]) -> bytes:
    if "payload" in entry:
        return base64.b64decode(entry["payload"])
    recipe = entry["generate"]
    part = {key: base64.b64decode(recipe.get(key, "")) for key in PARTS}
    if "repeat_json" in recipe:
        pattern = recipe["repeat_json"] if isinstance(recipe["repeat_json"], str) else json.dumps(recipe["repeat_json"])
        body = str(recipe["separator"]).join(pattern.replace("%d", str(n)) for n in range(recipe["times"])).encode()
    else:
        body = part["repeat"] * int(recipe["times"])
    return (part["prefix"] + body + part["middle"] + part["repeat_after"] * int(recipe.get("times_after", 0))
            + part["suffix"])


def read(entry: dict[str, Any]) -> Report | AgentState | None:
    return decode(entry["topic"], payload_of(entry), prefix="ballastd", declared=HOSTS, received=NOW,
                  retained=entry["retain"])


def treatment_of(entry: dict[str, Any]) -> tuple[str, str]:
    try:
        item = read(entry)
    except MalformedReport as error:
        return "refuse", error.reason
    if item is None:
        return "cleared", ""
    return ("refuse-sample" if isinstance(item, Report) and item.refused_samples else "accept"), ""


@pytest.mark.parametrize("name", ENTRIES)
def test_it_is_treated_as_the_corpus_says(name: str) -> None:
    entry = ENTRIES[name]
    begun = time.process_time()
    treatment, reason = treatment_of(entry)
    assert time.process_time() - begun < STALL_SECONDS
    assert treatment == entry["expect"]
    if "reason" in entry:
        assert reason == entry["reason"]


@pytest.mark.parametrize("name", [name for name, entry in ENTRIES.items() if "absorb" in entry])
def test_what_is_well_formed_and_yet_not_to_be_believed_is_refused_by_the_store(name: str) -> None:
    report = read(ENTRIES[name])
    assert isinstance(report, Report)
    assert Telemetry().absorb(report) == ENTRIES[name]["absorb"]


def test_an_unset_limit_register_is_no_limit() -> None:
    for name in ("temp-limit-zero", "temp-limit-bogus"):
        report = read(ENTRIES[name])
        assert isinstance(report, Report)
        assert (report.samples[0].high, report.samples[0].critical) == (None, None)


async def test_all_of_it_in_one_stream_is_counted_and_yields_the_good_ones() -> None:
    deaf = BrokerAddress(host="127.0.0.1", port=1)
    telemetry = MqttTelemetry(deaf, HOSTS, StandingClock(), random.Random(1), Pace(depth=1000, burst=1000))
    for entry in ENTRIES.values():
        telemetry.message(Incoming(entry["topic"], payload_of(entry), entry["retain"]))
    used = 0
    items = telemetry.items()
    async with asyncio.timeout(20):
        async for item in items:
            if isinstance(item, TelemetryDown):  # nobody listens there; by now everything has been read
                break
            used += not isinstance(item, Malformed)
    await items.aclose()
    counters = telemetry.counters()
    lost = sum(count for name, count in counters.items() if name.startswith(("malformed.", "dropped.")))
    assert counters["received"] == len(ENTRIES)
    assert counters["used"] + counters["cleared"] + lost == len(ENTRIES)
    assert used == sum(entry["expect"] in ("accept", "refuse-sample") for entry in ENTRIES.values())
