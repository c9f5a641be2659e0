"""Conditions are three-valued; verdicts hold, latch and clear."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ballastd.core.conditions import (
    Aggregate,
    Condition,
    Holding,
    Judgement,
    Not,
    Phase,
    Predicate,
    RelativeTo,
    Threshold,
    Truth,
    Verdict,
    follow,
)
from ballastd.core.evaluation import describe
from ballastd.core.inventory import DeclaredHost
from ballastd.core.judging import Judge
from ballastd.core.ledger import Ledger
from ballastd.core.policies import Health, HealthPolicy, PolicySet
from ballastd.core.predicates import Judged, Sight, judge
from ballastd.core.quantities import HostName, Instant, Seconds
from ballastd.core.sliding import Sliding
from ballastd.core.telemetry import Report, Sample, Telemetry

H = HostName("h1")
T0 = Instant(100.0, 1_000_000.0)


def heard(*series: tuple[float, ...], metric: str = "temperature", critical: float | None = 100.0,
          step: float = 10.0) -> tuple[Telemetry, Instant]:
    """Feed one subject per series, one value per report; return the telemetry and the instant of the last."""
    telemetry = Telemetry(samples_min=1)
    now = T0
    for i, values in enumerate(zip(*series, strict=True)):
        now = T0.later(i * step)
        samples = tuple(Sample(metric, v, f"s{j}", critical=critical) for j, v in enumerate(values))
        assert telemetry.absorb(Report(H, "b", i, now.wall, 10.0, samples, now)) is None
    return telemetry, now


HOT = Threshold("temperature", -5.0, relative_to=RelativeTo.CRITICAL, clear_threshold=-10.0)
HOT_HOLDING = Holding(hold=Seconds(60.0), clear_hold=Seconds(300.0))


def judged(predicate: Predicate, telemetry: Telemetry, now: Instant, not_before: float = float("-inf")) -> Judged:
    """Judge one host."""
    rows = telemetry.columns.rows((H,))
    return judge(predicate, Sight(telemetry.columns, Sliding(), rows, np.array([not_before]), np.array([True]),
                                  np.array([np.nan]), now.monotonic))


def truths(predicate: Predicate, telemetry: Telemetry, now: Instant, not_before: float = float("-inf")
           ) -> tuple[Truth, Truth]:
    """Return what one host's readings say at both edges."""
    found, names = judged(predicate, telemetry, now, not_before), (Truth.FALSE, Truth.UNKNOWN, Truth.TRUE)
    return names[found.fires[0]], names[found.clears[0]]


@pytest.mark.parametrize(("value", "fires", "clears"), [
    (95.1, Truth.TRUE, Truth.FALSE), (95.0, Truth.FALSE, Truth.FALSE), (90.1, Truth.FALSE, Truth.FALSE),
    (90.0, Truth.FALSE, Truth.TRUE),
])
def test_a_threshold_has_two_edges(value: float, fires: Truth, clears: Truth) -> None:
    telemetry, now = heard((value,))
    assert truths(HOT, telemetry, now) == (fires, clears)


def test_one_hot_sensor_of_many_is_enough_and_is_named() -> None:
    telemetry, now = heard((60.0,), (97.0,), (96.0,))
    hot = HealthPolicy("hot", Condition(HOT), Health.SUSPECT)
    verdicts = Judge(telemetry).judge(PolicySet((hot,)), (DeclaredHost(H, "qemu:///system"),), Ledger(), now)
    verdict = verdicts.get(("hot", H))
    assert verdict is not None
    assert describe(verdict.evidence, hot) == "temperature of s1 is 97 > 95"


def test_a_sensor_without_the_limit_never_meets_it() -> None:
    telemetry, now = heard((200.0,), critical=None)
    assert truths(HOT, telemetry, now)[0] is Truth.FALSE


def test_nothing_ever_heard_is_unknown() -> None:
    assert truths(HOT, Telemetry(), T0)[0] is Truth.UNKNOWN


def test_of_a_silent_host_it_is_not_known_how_many_subjects_it_has() -> None:
    telemetry, now = heard((97.0,))
    two = replace(HOT, at_least=2)
    assert truths(two, telemetry, now) == (Truth.FALSE, Truth.TRUE)
    for silent in (two, Not(two)):
        assert truths(silent, telemetry, now.later(3600.0)) == (Truth.UNKNOWN, Truth.UNKNOWN)


def test_what_is_acknowledged_rests_no_longer_on_what_was_read_before() -> None:
    telemetry, now = heard((60.0,))
    it = HealthPolicy("it", Condition(Not(replace(HOT, at_least=2)), Holding(latched=True)), Health.SUSPECT)
    judge_, hosts, ledger = Judge(telemetry), (DeclaredHost(H, "qemu:///system"),), Ledger()
    before = judge_.judge(PolicySet((it,)), hosts, ledger, now).get(("it", H))
    assert before is not None
    assert before.evidence is not None
    assert before.evidence.value == 60.0
    judge_.acknowledge(H, now)
    # the only sensor is hot now: two are not, and nothing that was read says so by itself
    now = now.later(10.0)
    hot = (Sample("temperature", 97.0, "s0", critical=100.0),)
    assert telemetry.absorb(Report(H, "b", 1, now.wall, 10.0, hot, now)) is None
    after = judge_.judge(PolicySet((it,)), hosts, ledger, now).get(("it", H))
    assert after is not None
    assert (after.phase, after.evidence) == (Phase.FIRING, None)


def test_stale_is_unknown_for_firing_and_for_clearing() -> None:
    telemetry, now = heard((97.0,))
    assert truths(HOT, telemetry, now.later(91.0)) == (Truth.UNKNOWN, Truth.UNKNOWN)


RISE = Threshold("ecc.uncorrected", 0.0, Aggregate.INCREASE, Seconds(3600.0))
LATCHED = Holding(latched=True)


@pytest.mark.parametrize(("values", "truth"), [
    ((3.0,), Truth.UNKNOWN),
    ((3.0, 3.0), Truth.FALSE),
    ((3.0, 4.0), Truth.TRUE),
    ((3.0, 0.0), Truth.FALSE),
    ((3.0, 0.0, 1.0), Truth.TRUE),
    ((3.0, 2.0), Truth.TRUE),
])
def test_an_increase_needs_a_baseline_and_a_fall_is_a_reset(values: tuple[float, ...], truth: Truth) -> None:
    telemetry, now = heard(values, metric="ecc.uncorrected", critical=None)
    assert truths(RISE, telemetry, now)[0] is truth


def test_an_increase_before_an_acknowledgement_does_not_count_again() -> None:
    telemetry, now = heard((0.0, 1.0), metric="ecc.uncorrected", critical=None)
    assert truths(RISE, telemetry, now, not_before=now.monotonic)[0] is Truth.FALSE


def test_an_increase_leaves_the_window() -> None:
    telemetry, now = heard((0.0, 1.0, *([1.0] * 10)), metric="ecc.uncorrected", critical=None, step=60.0)
    short = replace(RISE, window=Seconds(300.0))
    assert truths(short, telemetry, now)[0] is Truth.FALSE


def says(fires: Truth, clears: Truth | None = None) -> Judgement:
    opposite = {Truth.TRUE: Truth.FALSE, Truth.FALSE: Truth.TRUE, Truth.UNKNOWN: Truth.UNKNOWN}
    return Judgement(fires, clears or opposite[fires])


def walk(holding: Holding, *steps: tuple[float, Judgement]) -> list[Phase]:
    verdict: Verdict | None = None
    phases = []
    for at, judgement in steps:
        verdict = follow(holding, verdict, judgement, T0.later(at))
        phases.append(verdict.phase)
    return phases


YES, NO, WHO_KNOWS = says(Truth.TRUE), says(Truth.FALSE), says(Truth.UNKNOWN)
BETWEEN = says(Truth.FALSE, Truth.FALSE)


def test_a_condition_fires_only_after_its_hold() -> None:
    assert walk(HOT_HOLDING, (0, YES), (59.9, YES), (60, YES)) == [Phase.PENDING, Phase.PENDING, Phase.FIRING]


def test_a_gap_restarts_the_hold() -> None:
    assert walk(HOT_HOLDING, (0, YES), (30, WHO_KNOWS), (60, YES), (119, YES), (120, YES)) == [
        Phase.PENDING, Phase.UNKNOWN, Phase.PENDING, Phase.PENDING, Phase.FIRING]


def test_a_dip_restarts_the_hold() -> None:
    assert walk(HOT_HOLDING, (0, YES), (30, NO), (31, YES), (90, YES), (91, YES))[-2:] == [Phase.PENDING, Phase.FIRING]


def test_firing_clears_only_beyond_the_other_edge_and_after_its_hold() -> None:
    phases = walk(HOT_HOLDING, (0, YES), (60, YES), (70, BETWEEN), (400, BETWEEN), (500, NO), (700, BETWEEN), (800, NO),
                  (1099, NO), (1100, NO))
    assert phases[2:] == [Phase.FIRING] * 6 + [Phase.CLEAR]


def test_silence_neither_fires_nor_clears() -> None:
    phases = walk(HOT_HOLDING, (0, YES), (60, YES), (70, WHO_KNOWS), (4000, WHO_KNOWS), (4001, BETWEEN))
    assert phases[2:] == [Phase.UNKNOWN, Phase.UNKNOWN, Phase.FIRING]


def test_what_fired_before_a_silence_stays_unknown_while_nobody_can_say_that_it_cleared() -> None:
    phases = walk(HOT_HOLDING, (0, YES), (60, YES), (70, WHO_KNOWS), (80, says(Truth.FALSE, Truth.UNKNOWN)), (90, NO))
    assert phases[2:] == [Phase.UNKNOWN, Phase.UNKNOWN, Phase.CLEAR]


def test_silence_and_then_health_is_clear() -> None:
    assert walk(HOT_HOLDING, (0, YES), (60, YES), (70, WHO_KNOWS), (80, NO))[-1] is Phase.CLEAR


def test_a_latched_verdict_stays_through_silence_and_health() -> None:
    assert walk(LATCHED, (0, YES), (1, NO), (2, WHO_KNOWS), (9999, NO)) == [Phase.FIRING] * 4


def test_a_counter_that_stands_for_days_never_rises_by_itself() -> None:
    telemetry = Telemetry(samples_min=1)
    telemetry.seed_counter(H, "ecc.uncorrected", "s0", 0.0)
    now = T0
    for i in range(3 * 8640):
        now = T0.later(i * 10.0)
        telemetry.absorb(Report(H, "b", i, now.wall, 10.0, (Sample("ecc.uncorrected", 1.0, "s0"),), now))
    long = replace(RISE, window=Seconds(86400.0))
    assert truths(long, telemetry, now)[0] is Truth.FALSE


def test_a_counter_that_jitters_beyond_what_is_kept_counts_only_what_is_in_the_window() -> None:
    telemetry = Telemetry(samples_min=1)
    now = T0
    for i in range(6000):
        now = T0.later(i * 10.0)
        telemetry.absorb(Report(H, "b", i, now.wall, 10.0, (Sample("ecc.corrected", float(i), "s0"),), now))
    kept = telemetry.columns.column("ecc.corrected").series[0]
    assert kept.increase(now.monotonic - 100.0)[0] == 10.0
    assert kept.increase(now.monotonic - 1e9)[0] == 4096.0
