"""Whatever is sent, the codec answers with a value or with MalformedReport, and soon."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from ballastd.adapters.mqtt import wire
from ballastd.adapters.mqtt.flaws import Flaw
from ballastd.core.plausibility import is_flag
from ballastd.core.quantities import Instant
from ballastd.core.telemetry import METRICS, AgentState, Report, Sample
from ballastd.errors import MalformedReport

NOW = Instant(1.0, 1_795_400_000.0)
KEYS = st.sampled_from(["schema", "host", "boot_id", "sequence", "sent_at", "interval", "samples", "state", "hook",
                        "cordon_until", "keepalive", "metric", "subject", "value", "high", "critical"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from(["ballastd/1", "kvm-01", "online", *METRICS]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.text(max_size=4), inner, max_size=8),
    max_leaves=25)
TOPICS = st.text() | st.sampled_from(["metrics", "events", "state", "cordon"]).map("ballastd/v1/kvm-01/{}".format)
PIECES = st.sampled_from([b"{", b"}", b"[", b"]", b'"', b",", b":", b"1e999", b"NaN", b"-", b"\\u", b"\xff", b"\0",
                          b'"schema":"ballastd/1"', b'"samples":[', b"9" * 30, b"null", b"true"])


def check(error: MalformedReport) -> None:
    assert error.reason in set(Flaw)
    assert str(error).isprintable()


def survives(topic: str, payload: bytes, retained: bool = False) -> Report | AgentState | None:
    try:
        return wire.decode(topic, payload, prefix="ballastd", declared={"kvm-01"}, received=NOW, retained=retained)
    except MalformedReport as error:
        check(error)
        return None


@given(TOPICS, st.binary(max_size=400), st.booleans())
@example("ballastd/v1/kvm-01/metrics", b"[" * 65_000, False)
@example("ballastd/v1/kvm-01/metrics", b'{"a":' * 10_000, False)
@example("ballastd/v1/kvm-01/metrics", b"1" * 60_000, False)
def test_any_bytes(topic: str, payload: bytes, retained: bool) -> None:
    assert survives(topic, payload, retained) is None


@given(st.lists(PIECES, max_size=60).map(b"".join))
def test_anything_that_looks_like_json(payload: bytes) -> None:
    assert survives("ballastd/v1/kvm-01/metrics", payload) is None


@given(TOPICS, JSON)
@settings(max_examples=300)
def test_any_json(topic: str, content: Any) -> None:
    assert survives(topic, json.dumps(content).encode()) is None


@given(st.sampled_from(["metrics", "state"]), KEYS, JSON, st.sampled_from([None, "samples"]))
@settings(max_examples=400)
def test_a_good_message_with_one_field_gone_wrong(kind: str, key: str, value: Any, inside: str | None) -> None:
    if kind == "metrics":
        good = json.loads(wire.encode_report(host="kvm-01", boot_id="b", sequence=1, sent_at=1.0, interval=10.0,
                                             samples=[Sample("temperature", 61.0, "a", 80.0, 95.0)]))
    else:
        good = json.loads(wire.encode_state(host="kvm-01", boot_id="b", online=True, sent_at=1.0, hook=True,
                                            cordon_until=None, keepalive=None))
    target = good["samples"][0] if inside and kind == "metrics" else good
    target[key] = value
    found = survives(f"ballastd/v1/kvm-01/{kind}", json.dumps(good).encode())
    assert found is None or found.host == "kvm-01", "whom a report is of is not for its payload to say"


@given(st.binary(max_size=200) | JSON.map(lambda content: json.dumps(content).encode()))
def test_requests_and_claims(payload: bytes) -> None:
    for read in (wire.decode_cordon, wire.decode_claim):
        try:
            read(payload)
        except MalformedReport as error:
            check(error)


@st.composite
def samples(draw: st.DrawFn) -> Sample:
    metric = METRICS[draw(st.sampled_from(sorted(METRICS)))]
    subject = draw(st.text(st.characters(categories=["L", "N", "P"]), max_size=40))
    if is_flag(metric):
        return Sample(metric.name, float(draw(st.booleans())), subject)
    if metric.unit == "count":
        return Sample(metric.name, float(draw(st.integers(0, 60_000))), subject)
    value = draw(st.floats(metric.low, min(metric.high, 126.0)))
    limits = st.none() | st.floats(1.0, 120.0)
    if metric.name != "temperature":
        return Sample(metric.name, value, subject)
    return Sample(metric.name, value, subject, draw(limits), draw(limits))


@given(st.lists(samples(), max_size=30, unique_by=lambda one: (one.metric, one.subject)),
       st.integers(0, wire.SEQUENCE_MAX), st.floats(0.01, 600.0))
def test_what_is_encoded_comes_back_unchanged(sent: list[Sample], sequence: int, interval: float) -> None:
    payload = wire.encode_report(host="kvm-01", boot_id="b", sequence=sequence, sent_at=1_795_400_000.125,
                                 interval=interval, samples=sent)
    report = survives("ballastd/v1/kvm-01/metrics", payload)
    assert isinstance(report, Report)
    assert report.samples == tuple(sent)
    assert (report.sequence, report.interval, report.refused_samples) == (sequence, interval, 0)
