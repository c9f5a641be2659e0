"""The native messages: golden payloads both ways, and what each flaw is counted under."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ballastd.adapters.mqtt import wire
from ballastd.adapters.mqtt.topics import parse_topic, topic_of
from ballastd.core.quantities import HostName, Instant
from ballastd.core.telemetry import AgentState, Report, Sample
from ballastd.errors import MalformedReport
from tests.unit.test_docs import ROOT, examples

GOLDEN = Path(__file__).parents[2] / "data" / "golden"
NOW = Instant(1000.0, 1_795_400_020.0)
HOST = HostName("kvm-01")
BOOT = "0c4a1f2e-1795400000000"
SAMPLES = (
    Sample("cpu.utilization", 0.42), Sample("cpu.pressure.some", 0.015), Sample("memory.available", 90_112_000_000.0),
    Sample("ecc.corrected", 118.0, "CPU0_DIMM_A1"), Sample("ecc.uncorrected", 0.0, "CPU0_DIMM_A1"),
    Sample("temperature", 61.25, "coretemp:Package id 0", high=82.0, critical=100.0),
    Sample("temperature", 35.85, "nvme@nvme0:Composite", critical=84.85),
    Sample("fan.speed", 4218.0, "nct6775:fan1"), Sample("fan.alarm", 0.0, "nct6775:fan1"),
    Sample("psu.alarm", 1.0, "pmbus@6-0058"),
)


def decode(payload: bytes, topic: str = "ballastd/v1/kvm-01/metrics", *, retained: bool = False,
           ) -> Report | AgentState | None:
    return wire.decode(topic, payload, prefix="ballastd", declared={"kvm-01", "kvm-02"}, received=NOW,
                       retained=retained)


def report_of(payload: bytes) -> Report:
    report = decode(payload)
    assert isinstance(report, Report)
    return report


def golden(name: str) -> bytes:
    return (GOLDEN / name).read_bytes()


def changed(**changes: Any) -> bytes:
    return json.dumps({**json.loads(golden("metrics.json")), **changes}).encode()


def with_sample(**fields: Any) -> bytes:
    return changed(samples=[fields, {"metric": "cpu.load1", "value": 1}])


def reason_of(payload: bytes, topic: str = "ballastd/v1/kvm-01/metrics") -> str:
    with pytest.raises(MalformedReport) as caught:
        decode(payload, topic)
    return caught.value.reason


def test_a_golden_metrics_message_decodes_to_its_samples() -> None:
    assert report_of(golden("metrics.json")) == Report(
        host=HOST, boot_id=BOOT, sequence=41, sent_at=1_795_400_010.25, interval=10.0, samples=SAMPLES,
        received=NOW)


def test_a_report_encodes_to_the_golden_bytes() -> None:
    assert wire.encode_report(host="kvm-01", boot_id=BOOT, sequence=41, sent_at=1_795_400_010.25, interval=10.0,
                              samples=SAMPLES) == golden("metrics.json")


def test_an_event_is_a_report_on_another_topic() -> None:
    report = decode(golden("events.json"), "ballastd/v1/kvm-01/events")
    assert isinstance(report, Report)
    assert report.samples == (Sample("ecc.uncorrected", 1.0, "CPU0_DIMM_A1"),)
    assert report.sequence == 42


def test_golden_states_decode_and_encode() -> None:
    online = decode(golden("state-online.json"), "ballastd/v1/kvm-01/state", retained=True)
    offline = decode(golden("state-offline.json"), "ballastd/v1/kvm-01/state")
    assert online == AgentState(HOST, True, NOW, BOOT, True, 1_795_403_600.0, (5, 24), retained=True)
    assert offline == AgentState(HOST, False, NOW, BOOT, False, None, None)
    assert wire.encode_state(host="kvm-01", boot_id=BOOT, online=True, sent_at=1_795_400_000.0, hook=True,
                             cordon_until=1_795_403_600.0, keepalive=(5, 24)) == golden("state-online.json")


def test_the_number_of_emulators_goes_there_and_back_and_may_be_left_out() -> None:
    for emulators in (None, 0, 17, wire.EMULATORS_MAX):
        told = wire.encode_state(host="kvm-01", boot_id=BOOT, online=True, sent_at=1.0, hook=True, cordon_until=None,
                                 keepalive=None, emulators=emulators)
        state = decode(told, "ballastd/v1/kvm-01/state")
        assert isinstance(state, AgentState)
        assert state.emulators == emulators
        assert (b"emulators" in told) is (emulators is not None)


def test_the_documented_state_is_one() -> None:
    (text,) = examples(ROOT / "docs/telemetry.md", "json state")
    state = decode(text.encode(), "ballastd/v1/kvm-01/state")
    assert isinstance(state, AgentState)
    assert (state.online, state.hook, state.keepalive, state.emulators) == (True, True, (5, 24), 17)


def test_golden_requests_and_claims_decode_and_encode() -> None:
    request = wire.CordonRequest(1_795_403_600.0, "evacuation of kvm-01", 1_795_400_000.0)
    assert wire.decode_cordon(golden("cordon.json")) == request
    assert wire.encode_cordon(request) == golden("cordon.json")
    claim = wire.Claim("ballastd on mgmt-1", 1_795_400_000.0)
    assert wire.decode_claim(golden("claim.json")) == claim
    assert wire.encode_claim(claim) == golden("claim.json")


def test_an_empty_request_lifts_and_an_empty_claim_gives_up() -> None:
    assert wire.decode_cordon(b"") is None
    assert wire.decode_claim(wire.encode_claim(None)) is None


def test_an_empty_retained_message_clears_and_says_nothing() -> None:
    assert decode(b"", retained=True) is None
    assert decode(b"", "ballastd/v1/kvm-01/state", retained=True) is None
    assert reason_of(b"") == "empty"


@pytest.mark.parametrize(("changes", "reason"), [
    ({"schema": "ballastd/2"}, "schema"), ({"schema": None}, "schema"), ({"host": "kvm-02"}, "host-mismatch"),
    ({"host": 7}, "type"), ({"host": ""}, "range"), ({"boot_id": "a\nb"}, "range"), ({"boot_id": "x" * 300}, "range"),
    ({"sequence": -1}, "range"), ({"sequence": 1.0}, "type"), ({"sequence": True}, "type"),
    ({"sequence": 1 << 53}, "range"), ({"sent_at": "now"}, "type"), ({"sent_at": True}, "type"),
    ({"sent_at": 1_795_400_000_000}, "range"), ({"interval": 0}, "range"), ({"interval": 1e9}, "range"),
    ({"interval": None}, "type"), ({"samples": {}}, "type"), ({"samples": None}, "type"), ({"extra": 1}, "unknown-key"),
])
def test_a_flaw_of_the_document_refuses_all_of_it(changes: dict[str, Any], reason: str) -> None:
    assert reason_of(changed(**changes)) == reason


@pytest.mark.parametrize("fields", [
    {"metric": "cpu.temperature", "value": 1}, {"metric": ["temperature"], "value": 1}, {"value": 1},
    {"metric": "temperature"}, {"metric": "temperature", "value": None}, {"metric": "temperature", "value": "61"},
    {"metric": "temperature", "value": True}, {"metric": "temperature", "value": 127},
    {"metric": "temperature", "value": -128}, {"metric": "fan.alarm", "value": 1}, {"metric": "fan.speed", "value": -1},
    {"metric": "cpu.utilization", "value": 1.01}, {"metric": "ecc.corrected", "value": 0.5},
    {"metric": "ecc.uncorrected", "value": 4_294_967_295}, {"metric": "temperature", "value": 61, "subject": "x" * 129},
    {"metric": "temperature", "value": 61, "subject": "a\tb"}, {"metric": "temperature", "value": 61, "subject": 5},
    {"metric": "temperature", "value": 61, "subject": "\ud800"}, {"metric": "temperature", "value": 61, "high": "82"},
    {"metric": "temperature", "value": 61, "critical": True}, {"metric": "temperature", "value": 61, "hgih": 82},
])
def test_a_flaw_of_one_sample_refuses_that_sample_and_is_counted(fields: dict[str, Any]) -> None:
    report = report_of(with_sample(**fields))
    assert [sample.metric for sample in report.samples] == ["cpu.load1"]
    assert report.refused_samples == 1


def test_a_sample_that_is_no_object_is_refused_alone() -> None:
    report = report_of(changed(samples=[[], None, 3, "x", {"metric": "cpu.load1", "value": 1}]))
    assert (len(report.samples), report.refused_samples) == (1, 4)


@pytest.mark.parametrize("limit", [0, -5, 127, 65261.85, None])
def test_a_limit_that_is_an_unset_register_is_no_limit(limit: float | None) -> None:
    report = report_of(with_sample(metric="temperature", value=61, high=limit, critical=95))
    assert (report.samples[0].high, report.samples[0].critical) == (None, 95.0)


def test_of_two_samples_of_one_subject_the_first_counts() -> None:
    report = report_of(changed(samples=[{"metric": "cpu.load1", "value": 1}, {"metric": "cpu.load1", "value": 9}]))
    assert report.samples == (Sample("cpu.load1", 1.0),)
    assert report.refused_samples == 1


def test_more_samples_than_a_host_can_have_are_refused() -> None:
    flood = [{"metric": "cpu.load1", "value": 1}] * (wire.SAMPLES_MAX + 1)
    assert reason_of(changed(samples=flood)) == "too-many-samples"


def test_depth_is_limited_even_where_a_sample_would_be_refused_anyway() -> None:
    assert reason_of(changed(samples=[[[[[[[[[1]]]]]]]]])) == "too-deep"


@pytest.mark.parametrize(("topic", "reason"), [
    ("ballastd/v2/kvm-01/metrics", "version"), ("ballastd/v1/+/metrics", "topic"), ("ballastd/v1/#", "topic"),
    ("ballastd/v1/kvm-01/secrets", "topic"), ("ballastd/v1/kvm-01/cordon", "topic"), ("ballastd/v1/kvm-01", "topic"),
    ("ballastd/v1/a/b/metrics", "topic"), ("other/v1/kvm-01/metrics", "topic"), ("", "topic"),
    ("ballastd/v1/kvm-03/metrics", "undeclared-host"), ("ballastd/v1//metrics", "topic"),
])
def test_a_topic_that_is_not_ours_is_refused(topic: str, reason: str) -> None:
    assert reason_of(golden("metrics.json"), topic) == reason


def test_a_malformed_message_names_the_declared_host_of_its_topic() -> None:
    for topic, host in (("ballastd/v1/kvm-02/events", "kvm-02"), ("ballastd/v1/kvm-03/events", None)):
        with pytest.raises(MalformedReport) as caught:
            decode(b"{", topic)
        assert caught.value.host == host


def test_a_prefix_may_have_levels_of_its_own() -> None:
    assert parse_topic("site/a", topic_of("site/a", "kvm-01", "state")) == ("kvm-01", "state")


@pytest.mark.parametrize(("changes", "reason"), [
    ({"state": "maybe"}, "range"), ({"state": True}, "type"), ({"hook": 1}, "type"),
    ({"cordon_until": "never"}, "type"), ({"keepalive": [5]}, "type"), ({"keepalive": [5, "24"]}, "type"),
    ({"keepalive": [5, True]}, "type"), ({"keepalive": [-1, 5]}, "range"), ({"cordon_until": -1}, "range"),
    ({"emulators": "0"}, "type"), ({"emulators": 0.0}, "type"), ({"emulators": False}, "type"),
    ({"emulators": -1}, "range"), ({"emulators": 1_000_001}, "range"), ({"emulator": 0}, "unknown-key"),
])
def test_a_flaw_of_a_state_refuses_it(changes: dict[str, Any], reason: str) -> None:
    content = {**json.loads(golden("state-online.json")), **changes}
    assert reason_of(json.dumps(content).encode(), "ballastd/v1/kvm-01/state") == reason


def test_a_report_too_big_for_one_message_becomes_several_with_numbers_of_their_own() -> None:
    samples = [Sample("temperature", 40.0, f"sensor {n} {'x' * 100}") for n in range(900)]
    payloads = wire.encode_reports(host="kvm-01", boot_id=BOOT, sequence=7, sent_at=1.0, interval=10.0, samples=samples)
    reports = [report_of(payload) for payload in payloads]
    assert len(reports) > 1
    assert [report.sequence for report in reports] == list(range(7, 7 + len(reports)))
    assert [sample for report in reports for sample in report.samples] == samples


def test_what_a_hostile_sender_wrote_is_shown_short_and_printable() -> None:
    with pytest.raises(MalformedReport) as caught:
        decode(changed(**{"\x1b[31m" + "x" * 500: 1}))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 200
