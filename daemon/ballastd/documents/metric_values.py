"""Values of metrics as operators write them, each in its metric's unit."""

from __future__ import annotations

import difflib
import re
from typing import Any

from ballastd.core.telemetry import METRICS, Metric
from ballastd.documents.scalars import percent

_CELSIUS = re.compile(r"([+-]?\d+(?:\.\d+)?)\s*C")


def parse_metric(value: Any) -> str:
    """Return the name of a metric of the vocabulary."""
    if value in METRICS:
        return str(value)
    near = difflib.get_close_matches(str(value), sorted(METRICS), n=1)
    hint = f"; did you mean {near[0]}?" if near else f"; known: {', '.join(sorted(METRICS))}"
    raise ValueError(f"{value!r} is no metric{hint}")


def metric_value(metric: Metric, value: Any, *, relative: bool) -> float:
    """Return ``value`` in the metric's unit; the error shows how it is written."""
    if metric.unit == "ratio":
        return percent(value)
    if metric.unit == "celsius":
        found = _CELSIUS.fullmatch(str(value).strip())
        if found is None:
            raise ValueError(f"{value!r} is no temperature; write for example {'-5C' if relative else '85C'}")
        return float(found[1])
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r}: {metric.name} is a plain number ({metric.unit}); write for example 10")
    return float(value)
