"""What cannot wait for the next report, and how often that may happen."""

from __future__ import annotations

import pytest

from ballastd.agent.urgency import Ration, Watch
from ballastd.core.telemetry import Sample


def temperature(value: float, critical: float | None = 95.0) -> Sample:
    return Sample("temperature", value, "coretemp:Package id 0", 82.0, critical)


def ecc(value: float, dimm: str = "DIMM_A1") -> Sample:
    return Sample("ecc.corrected", value, dimm)


def alarm(value: float, fan: str = "FAN1") -> Sample:
    return Sample("fan.alarm", value, fan)


def news_of(*looks: list[Sample]) -> tuple[Sample, ...]:
    watch = Watch()
    for look in looks[:-1]:
        watch.news(look)
    return watch.news(looks[-1])


def test_the_first_look_is_no_news_however_bad_it_is() -> None:
    assert news_of([ecc(500), alarm(1.0), temperature(120.0)]) == ()


@pytest.mark.parametrize(("before", "after"), [
    (ecc(3), ecc(4)), (ecc(40), ecc(2)), (alarm(0.0), alarm(1.0)), (alarm(1.0), alarm(0.0)),
    (temperature(94.9), temperature(95.0)), (temperature(95.0), temperature(94.9)),
])
def test_a_change_that_matters_is_news_once(before: Sample, after: Sample) -> None:
    assert news_of([before], [after]) == (after,)
    assert news_of([before], [after], [after]) == ()


@pytest.mark.parametrize(("before", "after"), [
    (ecc(3), ecc(3)), (ecc(3), ecc(0)), (temperature(50.0), temperature(94.0)),
    (temperature(20.0, None), temperature(120.0, None)),
    (Sample("cpu.utilization", 0.1), Sample("cpu.utilization", 1.0)),
    (Sample("fan.speed", 4000.0, "FAN1"), Sample("fan.speed", 0.0, "FAN1")),
])
def test_what_the_next_report_tells_soon_enough_is_no_news(before: Sample, after: Sample) -> None:
    assert news_of([before], [after]) == ()


def test_a_sensor_that_appears_is_news_only_if_it_appears_alarming() -> None:
    others = [ecc(1, "DIMM_B1")]
    assert news_of(others, [*others, ecc(700)]) == ()
    assert news_of(others, [*others, alarm(1.0), temperature(99.0)]) == (alarm(1.0), temperature(99.0))


def test_a_sensor_that_was_silent_is_compared_with_what_it_said_last() -> None:
    assert news_of([ecc(3)], [], [ecc(4)]) == (ecc(4),)


def test_urgent_reports_are_rationed() -> None:
    ration = Ration(burst=3, refill=5.0)
    assert [ration.spend(100.0) for _ in range(5)] == [True, True, True, False, False]
    assert ration.spend(104.0) is False
    assert ration.spend(105.1) is True
    assert sum(ration.spend(200.0 + n) for n in range(100)) == 3 + 99 // 5
