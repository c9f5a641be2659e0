"""What no sensor may say, whoever asks: the agent before it sends, the daemon before it believes."""

from __future__ import annotations

import math

import pytest

from ballastd.core.plausibility import implausible
from ballastd.core.telemetry import METRICS


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", sorted(METRICS))
def test_what_is_no_number_is_a_reading_of_nothing(name: str, value: float) -> None:
    assert implausible(METRICS[name], value) is not None


@pytest.mark.parametrize("name", sorted(METRICS))
def test_the_lowest_value_is_a_reading_and_what_is_below_is_none(name: str) -> None:
    metric = METRICS[name]
    assert implausible(metric, metric.low) is None
    assert implausible(metric, metric.low - 1.0) is not None
    assert implausible(metric, metric.high + 1024.0) is not None
