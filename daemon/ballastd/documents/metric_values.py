"""Values of metrics as operators write them, each in its metric's unit."""

from __future__ import annotations

import difflib
import re
from typing import Any

from ballastd.core.telemetry import METRICS, Metric
from ballastd.documents.scalars import bandwidth, percent, shown, size

MIB = 1 << 20
_RATE = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)\s*/\s*(s|min|h|d)", re.ASCII)
_PER = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_CELSIUS = re.compile(r"([+-]?\d+(?:\.\d+)?)\s*C", re.ASCII)


def parse_metric(value: Any) -> str:
    """Return the name of a metric of the vocabulary."""
    if isinstance(value, str) and value in METRICS:
        return value
    near = difflib.get_close_matches(str(value)[:60], sorted(METRICS), n=1)
    hint = f"; did you mean {near[0]}?" if near else f"; known: {', '.join(sorted(METRICS))}"
    raise ValueError(f"{shown(value)} is no metric{hint}")


def metric_value(metric: Metric, value: Any, *, relative: bool) -> float:
    """Return ``value`` in the metric's unit; the error shows how it is written."""
    if metric.unit == "ratio":
        return percent(value)
    if metric.unit == "celsius":
        found = _CELSIUS.fullmatch(value.strip()) if isinstance(value, str) else None
        if found is None:
            raise ValueError(f"{shown(value)} is no temperature; write for example {example(metric, relative=relative)}")
        return float(found[1])
    if metric.unit == "bytes":
        return float(size(value))
    if metric.unit == "bytes/s":
        return bandwidth(value) * MIB
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{shown(value)}: {metric.name} is a plain number ({metric.unit}); write for example "
                         f"{example(metric)}")
    return float(value)


def rate_value(value: Any) -> tuple[float, float]:
    """Return how many, and within how many seconds."""
    found = _RATE.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f"{shown(value)} is no rate; write for example 10/min (per s, min, h or d)")
    return float(found[1]), _PER[found[2]]


def firing_edge(metric: Metric, value: Any, *, above: bool, relative: bool) -> float:
    """Return the edge in the metric's unit; one that every or no reading lies beyond is refused."""
    edge = metric_value(metric, value, relative=relative)
    span = metric.high - metric.low
    low, high = (-span, span) if relative else (metric.low, metric.high)
    if edge >= high if above else edge <= low:
        raise ValueError(f"{shown(value)}: no reading of {metric.name} ever lies {'above' if above else 'below'} that")
    if edge < low if above else edge > high:
        raise ValueError(f"{shown(value)}: every reading of {metric.name} lies {'above' if above else 'below'} that")
    return edge


def example(metric: Metric, *, relative: bool = False) -> str:
    """Return a value of the metric as an operator would write it."""
    if relative:
        return "-5C"
    return {"ratio": "80%", "celsius": "85C", "count": "0", "rpm": "500", "bytes": "4GiB",
            "bytes/s": "100MiB/s"}.get(metric.unit, "10")
