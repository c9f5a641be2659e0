"""The judge in columns comes to what a plain reading comes to, step by step, whatever it left out in between."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given, settings

from ballastd.core.conditions import AtLeast, Condition, Holding, Not, Phase, Predicate, Threshold
from ballastd.core.policies import Health, HealthPolicy, Scope
from ballastd.core.predicates import FALSE, TRUE, UNKNOWN
from ballastd.core.quantities import HostName
from ballastd.core.telemetry import Sample
from tests.fuzz import evaluator
from tests.judging_stories import STORIES, Story, Told, Turn, differences
from tests.unit.core.test_conditions import heard, judged

HIGH, LOW, GONE = Threshold("temperature", 50.0), Threshold("temperature", 99.0), Threshold("fan.speed", 1.0)
OPERANDS: tuple[tuple[Predicate, int], ...] = ((HIGH, TRUE), (LOW, FALSE), (GONE, UNKNOWN))


@given(STORIES)
@settings(max_examples=150)
def test_verdicts_are_those_of_a_plain_reading(story: Story) -> None:
    for turn, (judge, plain) in enumerate(Told(story).tell()):
        assert differences(judge, plain) == [], f"after turn {turn}"


def test_a_story_that_takes_long_is_nothing_wrong_to_whoever_tells_them_by_hand(
        monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(story: Story) -> Told:
        time.sleep(0.3)
        return Told(story)

    monkeypatch.setattr(evaluator, "Told", slow)
    monkeypatch.setattr(evaluator, "ROUND", 2)
    settings.load_profile("default")  # as it is outside of tests
    try:
        assert evaluator.run(0.1, 1)
    finally:
        settings.load_profile("untimed")


def test_what_a_host_showed_for_a_policy_that_let_go_of_it_is_no_sample() -> None:
    alarm = HealthPolicy("it", Condition(Threshold("fan.alarm", 0.5), Holding(samples=(2, 2))), Health.SUSPECT)
    elsewhere = replace(alarm, scope=Scope(("h2",)))
    report = ((0, 10.0, (Sample("fan.alarm", 1.0, "f1"),), False),)
    story = Story((alarm,), (), (Turn(10.0, report), Turn(1.0, (), "swap", swapped=(elsewhere,)),
                                 Turn(1.0, (), "swap", swapped=(alarm,)), Turn(10.0, report), Turn(10.0, report)))
    phases = []
    for judge, plain in Told(story).tell():
        assert differences(judge, plain) == []
        verdict = judge.verdicts.get(("it", HostName("h1")))
        phases.append(None if verdict is None else verdict.phase)
    assert phases == [Phase.CLEAR, None, Phase.CLEAR, Phase.CLEAR, Phase.FIRING]


@pytest.mark.parametrize("size", [1, 2, 3])
def test_kleenes_tables(size: int) -> None:
    telemetry, now = heard((75.0,))
    for operands in product(OPERANDS, repeat=size):
        parts, truths = tuple(part for part, _ in operands), sorted(truth for _, truth in operands)
        for number in range(1, size + 1):
            # of so many, the truth is that of the one in that place when they stand in order: any is max, all is min
            found, wanted = judged(AtLeast(number, parts), telemetry, now), truths[-number]
            assert (found.fires[0], found.clears[0]) == (wanted, 2 - wanted)
            negated = judged(Not(AtLeast(number, parts)), telemetry, now)
            assert (negated.fires[0], negated.clears[0]) == (2 - wanted, wanted)
