"""Whom to believe: retained, replayed, future and stale reports are nothing to act on."""

from __future__ import annotations

from dataclasses import replace

from ballastd.core.quantities import HostName, Instant
from ballastd.core.telemetry import Report, Sample, Telemetry

H = HostName("h1")
T0 = Instant(100.0, 1_000_000.0)


def report(sequence: int, at: float = 0.0, boot: str = "b", sent: float | None = None, *, retained: bool = False) -> Report:
    now = T0.later(at)
    return Report(H, boot, sequence, now.wall if sent is None else sent, 10.0, (Sample("cpu.load1", float(sequence)),),
                  now, retained)


def test_a_retained_report_is_refused_and_makes_nothing_fresh() -> None:
    telemetry = Telemetry(samples_min=1)
    assert telemetry.absorb(report(1, retained=True)) == "retained"
    assert telemetry.age(H, T0) is None
    assert not telemetry.is_fresh(H, T0)


def test_a_replayed_or_repeated_report_is_refused() -> None:
    telemetry = Telemetry(samples_min=1)
    for sequence in (5, 6):
        assert telemetry.absorb(report(sequence, sequence)) is None
    assert telemetry.absorb(report(6, 7)) == "duplicate"
    assert telemetry.absorb(report(4, 8)) == "replayed"
    assert telemetry.last_value(H, "cpu.load1", "") == 6.0
    assert telemetry.unused == {"h1.duplicate": 1, "h1.replayed": 1}
    assert telemetry.age(H, T0.later(8)) == 2.0, "a replay must not make a silent host look alive"


def test_a_restarted_agent_is_believed_and_its_former_run_is_not_any_more() -> None:
    telemetry = Telemetry(samples_min=1)
    telemetry.absorb(report(50, 0.0, "one"))
    assert telemetry.absorb(report(1, 10.0, "two")) is None
    assert telemetry.absorb(report(51, 20.0, "one")) == "replayed"
    assert telemetry.absorb(report(2, 30.0, "three", sent=T0.wall + 5.0)) == "replayed", "sent before what we heard last"


def test_a_report_from_the_future_is_refused_and_a_late_clock_is_flagged() -> None:
    telemetry = Telemetry(samples_min=1)
    assert telemetry.absorb(report(1, sent=T0.wall + 31.0)) == "future"
    assert telemetry.absorb(report(1, sent=T0.wall - 31.0)) is None
    assert telemetry.has_skewed_clock(H)


def test_one_report_that_overtakes_those_that_are_late_makes_no_clock_right() -> None:
    telemetry = Telemetry(samples_min=3)
    for number in range(5):
        telemetry.absorb(report(number, number * 10.0, sent=T0.wall + number * 10.0 - 97.0))
    telemetry.absorb(report(14, 50.0))
    assert telemetry.has_skewed_clock(H)
    telemetry.absorb(report(15, 60.0))
    assert telemetry.has_skewed_clock(H)
    telemetry.absorb(report(16, 70.0))
    assert not telemetry.has_skewed_clock(H)


def test_a_host_is_believed_after_enough_reports_in_a_row_and_not_after_a_silence() -> None:
    telemetry = Telemetry(samples_min=3)
    for i in range(3):
        assert not telemetry.is_fresh(H, T0.later(i * 10.0))
        telemetry.absorb(report(i, i * 10.0))
    assert telemetry.is_fresh(H, T0.later(110.0))
    assert not telemetry.is_fresh(H, T0.later(110.1))
    telemetry.absorb(report(9, 200.0))
    assert telemetry.heard(H) == 1


def test_after_a_reconnect_nothing_is_fresh_until_heard_again() -> None:
    telemetry = Telemetry(samples_min=1)
    telemetry.absorb(report(1))
    telemetry.forget_freshness()
    assert not telemetry.is_fresh(H, T0)
    assert telemetry.reading(H, "cpu.load1", "", T0) is None
    telemetry.absorb(report(2, 1.0))
    assert telemetry.is_fresh(H, T0.later(1.0))


def test_one_silent_sensor_is_not_a_silent_host() -> None:
    telemetry = Telemetry(samples_min=1)
    telemetry.absorb(replace(report(0), samples=(Sample("temperature", 50.0, "a"), Sample("temperature", 50.0, "b"))))
    for i in range(1, 12):
        telemetry.absorb(replace(report(i, i * 10.0), samples=(Sample("temperature", 50.0, "a"),)))
    now = T0.later(110.0)
    assert telemetry.reading(H, "temperature", "b", now) is None
    assert telemetry.reading(H, "temperature", "a", now) is not None
    assert telemetry.is_fresh(H, now)


def test_a_host_cannot_make_us_keep_series_without_end() -> None:
    telemetry = Telemetry(samples_min=1)
    for i in range(30):
        telemetry.absorb(replace(report(i, i), samples=tuple(Sample("temperature", 1.0, f"s{i}-{j}") for j in range(100))))
    assert len(telemetry.subjects(H, "temperature")) <= 2048


def test_a_limit_that_could_not_be_read_for_once_is_what_it_was() -> None:
    telemetry = Telemetry(samples_min=1)

    def limits(sequence: int, boot: str, high: float | None, critical: float | None) -> tuple[float | None, float | None]:
        warm = Sample("temperature", 97.0, "cpu0", high, critical)
        assert telemetry.absorb(replace(report(sequence, sequence, boot), samples=(warm,))) is None
        reading = telemetry.reading(H, "temperature", "cpu0", T0.later(sequence))
        assert reading is not None
        return reading.high, reading.critical

    assert limits(1, "one", 85.0, 95.0) == (85.0, 95.0)
    assert limits(2, "one", None, 95.0) == (85.0, 95.0)
    assert limits(3, "one", 85.0, None) == (85.0, 95.0)
    assert limits(4, "one", 80.0, 90.0) == (80.0, 90.0)
    assert limits(5, "two", None, None) == (None, None), "another run may know better"
