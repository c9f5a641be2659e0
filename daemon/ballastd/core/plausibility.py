"""What a sensor may say: the agent asks before it sends, the daemon before it believes."""

from __future__ import annotations

from ballastd.core.telemetry import METRICS, Metric, MetricKind

SUBJECT_CHARACTERS_MAX = 128
OPEN_SENSOR_CELSIUS = 127.0
_ALL_ONES = (float((1 << 16) - 1), float((1 << 32) - 1))
"""What a failed register read looks like; as a count of memory errors it would evacuate a healthy host."""


def implausible(metric: Metric, value: float) -> str | None:
    """Return why ``value`` cannot be a reading of ``metric``, or None when it can."""
    if not metric.low <= value <= metric.high:
        return f"outside {metric.low:g} to {metric.high:g} {metric.unit}"
    if metric is METRICS["temperature"] and value >= OPEN_SENSOR_CELSIUS:
        return "the usual reading of an open input"
    if metric.kind is MetricKind.COUNTER:
        if value != int(value):
            return "a count with a fraction"
        if value in _ALL_ONES:
            return "all bits set: a failed read"
    return None


def usable_limit(metric: Metric, value: float | None) -> float | None:
    """Return a sensor's own limit, or None when it is an unset register (0, or the largest it can hold)."""
    if value is None or value <= 0.0 or implausible(metric, value) is not None:
        return None
    return value


def is_subject(text: str) -> bool:
    """Return whether ``text`` can name a subject: short, printable, no control signs. Empty: the host."""
    return len(text) <= SUBJECT_CHARACTERS_MAX and text.isprintable()


def is_flag(metric: Metric) -> bool:
    """Return whether the metric is true or false rather than a number."""
    return metric.unit == "bool"
