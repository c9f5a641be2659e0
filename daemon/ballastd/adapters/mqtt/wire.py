"""The native messages: bytes to values and back. Pure, strict, and never raises but MalformedReport.

A flaw of the document refuses all of it; a flaw of one sample refuses that sample, which is counted.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from ballastd.adapters.mqtt.fields import Fields
from ballastd.adapters.mqtt.flaws import Flaw, malformed
from ballastd.adapters.mqtt.strict_json import SIZE_MAX_BYTES, is_blank, parse_object
from ballastd.adapters.mqtt.topics import Kind, parse_topic
from ballastd.core.plausibility import implausible, is_flag, is_subject, usable_limit
from ballastd.core.quantities import HostName, Instant
from ballastd.core.telemetry import METRICS, AgentState, Metric, Report, Sample
from ballastd.errors import MalformedReport

SCHEMA = "ballastd/1"
SAMPLES_MAX = 1024
SEQUENCE_MAX = (1 << 53) - 1
INTERVAL_MAX_SECONDS = 600.0
"""A report is stale after three intervals: who could promise one a year would never be stale."""
WALL_MAX_SECONDS = 4_102_444_800.0
"""The year 2100: milliseconds sent for seconds end up far beyond it."""
EMULATORS_MAX = 1_000_000

_REPORT_KEYS = frozenset({"schema", "host", "boot_id", "sequence", "sent_at", "interval", "samples"})
_STATE_KEYS = frozenset({"schema", "host", "boot_id", "state", "sent_at", "hook", "cordon_until", "keepalive",
                         "emulators"})
_SAMPLE_KEYS = frozenset({"metric", "subject", "value", "high", "critical"})


@dataclass(frozen=True, slots=True)
class CordonRequest:
    """Nothing may start or land on the host until ``until`` (wall seconds). ``by``: who wants it."""

    until: float
    by: str
    sent_at: float


@dataclass(frozen=True, slots=True)
class Claim:
    """A daemon says that this cluster is its own. ``holder``: who it is; ``sent_at``: wall seconds."""

    holder: str
    sent_at: float


def decode(topic: str, payload: bytes, *, prefix: str, declared: Collection[str], received: Instant,
           retained: bool) -> Report | AgentState | None:
    """Return what a host's message says; None when it only clears a retained message.

    Raises:
        MalformedReport: with a slug of Flaw, and the host whose topic it came on if that host is declared.
    """
    host, kind = parse_topic(prefix, topic)
    if host not in declared:
        raise malformed(Flaw.UNDECLARED_HOST, host)
    if kind is Kind.CORDON:
        raise malformed(Flaw.TOPIC, "a request to a host is no telemetry", host)
    if retained and is_blank(payload):
        return None
    try:
        content = parse_object(payload)
        if kind is Kind.STATE:
            content.setdefault("emulators", None)  # not every sender counts them
            return _state(Fields.of(content, _STATE_KEYS, SCHEMA), host, received, retained)
        return _report(Fields.of(content, _REPORT_KEYS, SCHEMA), host, received, retained)
    except MalformedReport as error:
        error.host = host
        raise


def _report(fields: Fields, host: HostName, received: Instant, retained: bool) -> Report:
    _match_host(fields, host)
    entries = fields.array("samples")
    if len(entries) > SAMPLES_MAX:
        raise malformed(Flaw.TOO_MANY_SAMPLES, f"{len(entries)}, at most {SAMPLES_MAX}")
    samples: dict[tuple[str, str], Sample] = {}
    for entry in entries:
        sample = _sample(entry)
        if sample is not None:
            samples.setdefault((sample.metric, sample.subject), sample)
    return Report(
        host=host, boot_id=fields.text("boot_id"), sequence=fields.integer("sequence", 0, SEQUENCE_MAX),
        sent_at=fields.number("sent_at", 0.0, WALL_MAX_SECONDS),
        interval=fields.number("interval", 0.01, INTERVAL_MAX_SECONDS), samples=tuple(samples.values()),
        received=received, retained=retained, refused_samples=len(entries) - len(samples))


def _state(fields: Fields, host: HostName, received: Instant, retained: bool) -> AgentState:
    _match_host(fields, host)
    state = fields.text("state")
    if state not in ("online", "offline"):
        raise malformed(Flaw.RANGE, f"state: {state}")
    fields.number("sent_at", 0.0, WALL_MAX_SECONDS)
    return AgentState(
        host=host, online=state == "online", received=received, boot_id=fields.text("boot_id"),
        hook=fields.flag("hook"),
        cordon_until=fields.optional_number("cordon_until", 0.0, WALL_MAX_SECONDS),
        keepalive=fields.optional_integer_pair("keepalive", 1 << 31), retained=retained,
        emulators=fields.optional_integer("emulators", 0, EMULATORS_MAX))


def _match_host(fields: Fields, host: HostName) -> None:
    if fields.text("host") != host:
        raise malformed(Flaw.HOST_MISMATCH, f"topic of {host}, payload of {fields.text('host')}")


def _sample(entry: object) -> Sample | None:
    """Return the sample, or None if anything about it is wrong."""
    if not isinstance(entry, dict) or not entry.keys() <= _SAMPLE_KEYS:
        return None
    name, subject = entry.get("metric"), entry.get("subject", "")
    metric = METRICS.get(name) if isinstance(name, str) else None
    if metric is None or not isinstance(subject, str) or not is_subject(subject):
        return None
    value, high, critical = _value(metric, entry.get("value")), entry.get("high"), entry.get("critical")
    if value is None or not _is_limit(high) or not _is_limit(critical):
        return None
    return Sample(metric.name, value, subject, usable_limit(metric, high), usable_limit(metric, critical))


def _value(metric: Metric, value: object) -> float | None:
    if is_flag(metric):
        return float(value) if isinstance(value, bool) else None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if implausible(metric, float(value)) is None else None


def _is_limit(value: object) -> bool:
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))


def encode_report(*, host: str, boot_id: str, sequence: int, sent_at: float, interval: float,
                  samples: Sequence[Sample]) -> bytes:
    """Return a metrics or events message: ``decode`` gives back exactly these samples."""
    return _dump({"schema": SCHEMA, "host": host, "boot_id": boot_id, "sequence": sequence,
                  "sent_at": round(sent_at, 3), "interval": interval,
                  "samples": [_encode_sample(sample) for sample in samples]})


def encode_reports(*, host: str, boot_id: str, sequence: int, sent_at: float, interval: float,
                   samples: Sequence[Sample]) -> list[bytes]:
    """Return as few messages as hold ``samples`` within the limits, numbered from ``sequence`` on."""
    whole = encode_report(host=host, boot_id=boot_id, sequence=sequence, sent_at=sent_at, interval=interval,
                          samples=samples)
    if len(samples) <= 1 or (len(whole) <= SIZE_MAX_BYTES and len(samples) <= SAMPLES_MAX):
        return [whole]
    half, messages = len(samples) // 2, list[bytes]()
    for part in (samples[:half], samples[half:]):
        messages += encode_reports(host=host, boot_id=boot_id, sequence=sequence + len(messages),
                                   sent_at=sent_at, interval=interval, samples=part)
    return messages


def _encode_sample(sample: Sample) -> dict[str, Any]:
    value: float | bool = sample.value
    entry: dict[str, Any] = {"metric": sample.metric}
    if sample.subject:
        entry["subject"] = sample.subject
    entry["value"] = bool(value) if is_flag(METRICS[sample.metric]) else _short(value)
    if sample.high is not None:
        entry["high"] = sample.high
    if sample.critical is not None:
        entry["critical"] = sample.critical
    return entry


def _short(value: float) -> float | int:
    return int(value) if value == int(value) and abs(value) <= SEQUENCE_MAX else value


def encode_state(*, host: str, boot_id: str, online: bool, sent_at: float, hook: bool,
                 cordon_until: float | None, keepalive: tuple[int, int] | None, emulators: int | None = None) -> bytes:
    """Return a state message; with ``online`` false it is the agent's last will. Uncounted emulators are left out,
    for daemons that do not know the key."""
    return _dump({"schema": SCHEMA, "host": host, "boot_id": boot_id,
                  "state": "online" if online else "offline", "sent_at": round(sent_at, 3), "hook": hook,
                  "cordon_until": cordon_until, "keepalive": None if keepalive is None else list(keepalive),
                  **({} if emulators is None else {"emulators": emulators})})


def encode_cordon(request: CordonRequest | None) -> bytes:
    """Return a cordon message; None lifts the cordon, which is the empty message."""
    return b"" if request is None else _dump(cordon_content(request))


def cordon_content(request: CordonRequest) -> dict[str, Any]:
    """Return a cordon message as JSON-ready data, as the port for notices takes it."""
    return {"schema": SCHEMA, "until": request.until, "by": request.by, "sent_at": request.sent_at}


def decode_cordon(payload: bytes) -> CordonRequest | None:
    """Return the request, or None when the cordon is lifted.

    Raises:
        MalformedReport: it is neither.
    """
    if is_blank(payload):
        return None
    fields = Fields.of(parse_object(payload), frozenset({"schema", "until", "by", "sent_at"}), SCHEMA)
    return CordonRequest(until=fields.number("until", 0.0, WALL_MAX_SECONDS), by=fields.text("by"),
                         sent_at=fields.number("sent_at", 0.0, WALL_MAX_SECONDS))


def encode_claim(claim: Claim | None) -> bytes:
    """Return a claim message; None gives the cluster up, which is the empty message."""
    return b"" if claim is None else _dump({"schema": SCHEMA, "holder": claim.holder, "sent_at": claim.sent_at})


def decode_claim(payload: bytes) -> Claim | None:
    """Return the claim, or None when there is none.

    Raises:
        MalformedReport: it is neither.
    """
    if is_blank(payload):
        return None
    fields = Fields.of(parse_object(payload), frozenset({"schema", "holder", "sent_at"}), SCHEMA)
    return Claim(fields.text("holder"), fields.number("sent_at", 0.0, WALL_MAX_SECONDS))


def _dump(content: dict[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
