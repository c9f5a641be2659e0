"""Conditions as written: what each form compiles to, and one error, in its place, for each mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from ballastd.core.conditions import Aggregate, AtLeast, Condition, Holding, Not, Silence, Threshold
from ballastd.core.quantities import Seconds
from ballastd.documents import load_policies
from ballastd.errors import ConfigurationError

HEAT, FAN = "{metric: temperature, above: 85C}", "{metric: fan.alarm, is: true}"
HOT, ALARM = Threshold("temperature", 85.0), Threshold("fan.alarm", 0.5)
DEFAULT = Holding(clear_hold=Seconds(1800.0))


def document(when: str, severity: str, clear: str) -> str:
    return f"kind: Health\nname: it\nwhen: {{{when}}}\nseverity: {severity}\n" + (f"clear: {clear}\n" if clear else "")


def compiled(tmp_path: Path, when: str, clear: str = "", severity: str = "suspect") -> Condition:
    (tmp_path / "p.yaml").write_text(document(when, severity, clear))
    return load_policies(tmp_path, None, 0.0).policies.health[0].condition


@pytest.mark.parametrize(("when", "predicate"), [
    (f"all: [{HEAT}, {FAN}]", AtLeast(2, (HOT, ALARM))),
    (f"any: [{HEAT}, {FAN}]", AtLeast(1, (HOT, ALARM))),
    (f"at_least: 2, of: [{HEAT}, {FAN}, {FAN}]", AtLeast(2, (HOT, ALARM, ALARM))),
    (f"all: [{HEAT}, {{not: {FAN}}}]", AtLeast(2, (HOT, Not(ALARM)))),
    (f"not: {HEAT}", Not(HOT)),
    ("silent: 5m", Silence(Seconds(300.0))),
    ("metric: fan.alarm, is: true, at_least: 2", Threshold("fan.alarm", 0.5, at_least=2)),
    ("metric: ecc.corrected, rate: 10m, above: 10/min",
     Threshold("ecc.corrected", 10.0, Aggregate.RATE, Seconds(600.0), per=Seconds(60.0))),
    ("metric: io.pressure.full, mean: 10m, above: 40%",
     Threshold("io.pressure.full", 0.4, Aggregate.MEAN, Seconds(600.0))),
    (f"any: [{{metric: temperature, above: 85C, until: 75C}}, {FAN}]",
     AtLeast(1, (Threshold("temperature", 85.0, clear_threshold=75.0), ALARM))),
])
def test_each_form_compiles(tmp_path: Path, when: str, predicate: object) -> None:
    assert compiled(tmp_path, when) == Condition(predicate, DEFAULT)  # type: ignore[arg-type]


def test_what_holds_for_the_whole_is_said_at_its_root(tmp_path: Path) -> None:
    found = compiled(tmp_path, f"any: [{HEAT}, {FAN}], for: 5m, samples: 3 of 5", "acknowledge")
    assert found.holding == Holding(Seconds(300.0), Seconds(1800.0), True, (3, 5))


def test_a_rate_clears_at_a_rate_of_any_unit(tmp_path: Path) -> None:
    found = compiled(tmp_path, "metric: ecc.corrected, rate: 10m, above: 10/min", "{below: 60/h, for: 1h}")
    assert found.predicate == Threshold("ecc.corrected", 10.0, Aggregate.RATE, Seconds(600.0), clear_threshold=1.0,
                                        per=Seconds(60.0))


@pytest.mark.parametrize(("when", "problem"), [
    (f"alll: [{HEAT}, {FAN}]", "3:8: when.alll: unknown key; did you mean all?"),
    (f"at_lest: 2, of: [{HEAT}, {FAN}]", "3:8: when.at_lest: unknown key; did you mean at_least?"),
    (f"at_least: 2, off: [{HEAT}, {FAN}]", "3:21: when.off: unknown key; did you mean of?"),
    ("silnt: 5m", "3:8: when.silnt: unknown key; did you mean silent?"),
    (f"all: [{{metric: temprature, above: 85C}}, {FAN}]",
     "3:15: when.all.0.metric: 'temprature' is no metric; did you mean temperature?"),
    (f"any: [{FAN}, {{all: [{FAN}, {{metrc: fan.alarm, is: true}}]}}]",
     "3:84: when.any.1.all.1.metrc: unknown key; did you mean metric?"),
    (f"all: [{{metric: temperature, above: 85}}, {FAN}]",
     "3:14: when.all.0: 85 is no temperature; write for example 85C"),
    (f"all: [{{metric: temperature, above: 85C, for: 5m}}, {FAN}]",
     "3:48: when.all.0.for: for holds for the condition as a whole; write it beside the outermost all, any, not, of or "
     "metric"),
    (f"any: [{FAN}, {{silent: 5m, severity: failing}}]",
     "3:58: when.any.1.severity: severity holds for the condition as a whole; write it beside when"),
    (f"all: [{HEAT}]", "3:8: when.all: 1 where 2 to 16 parts can stand; write for example all: [{metric: fan.alarm, is: "
     "true}, {metric: psu.alarm, is: true}]"),
    (f"all: {HEAT}", "3:8: when.all: expected a list, found keys and values; write for example [a, b]"),
    (f"all: [{FAN}, foo]", "3:45: when.all.1: expected keys and values, found 'foo'"),
    (f"not: [{HEAT}]", "3:8: when.not: expected keys and values, found a list"),
    (f"metric: fan.alarm, is: true, any: [{HEAT}, {FAN}]",
     "3:37: when.any: metric and any are two conditions; write for example any: [{metric: fan.alarm, is: true}, {metric: "
     "psu.alarm, is: true}]"),
    (f"at_least: 3, of: [{HEAT}, {FAN}]", "3:8: when.at_least: 3 of 2 parts are never true; at most 2"),
    (f"at_least: 1, of: [{HEAT}, {FAN}]", "3:8: when.at_least: 1 is below 2, the least"),
    (f"not: {FAN}",
     "3:1: when: it is true of every sound host, all of them would fire; negate only what is beside something else, as in "
     "all: [{metric: cpu.pressure.some, above: 50%}, {not: ...}]"),
    ("not: {metric: temperature, above: 85C, until: 75C}",
     "3:47: when.not.until: what is negated ends where it begins; take it out"),
    ("metric: temperature, above: 85C, until: 75C",
     "3:41: when.until: the other edge of a whole condition is written beside when, as in clear: {below: 75C}"),
    (f"any: [{{metric: temperature, above: 85C, until: 95C}}, {FAN}]",
     "3:48: when.any.0.until: it is met above 85, and would end at 95, which is above that; write the far side of the band"),
    ("metric: ecc.corrected, rate: 10m, above: 10",
     "3:1: when: 10 is no rate; write for example 10/min (per s, min, h or d)"),
    ("metric: ecc.corrected, rate: 10m, increase: 1h, above: 10",
     "3:31: when.rate: increase and rate are two ways to look at it; keep one"),
    ("metric: ecc.corrected, mean: 10m, above: 10",
     "3:1: when: ecc.corrected is a counter and has no mean; say over which time it rises, for example increase: 1h, or "
     "rate: 10m"),
    ("metric: cpu.utilization, rate: 10m, above: 10%",
     "3:1: when: cpu.utilization is no counter; take rate out, and say how long with for: 5m"),
    ("metric: fan.alarm, mean: 10m, is: true",
     "3:1: when: fan.alarm is a yes or no and has no mean; say how long with for: 5m"),
    ("metric: fan.alarm, is: true, samples: 3/5",
     "3:37: when.samples: '3/5': write for example 3 of 5: so many of so many reports, at most 8"),
    ("metric: fan.alarm, is: true, samples: 4 of 3",
     "3:37: when.samples: '4 of 3': write for example 3 of 5: so many of so many reports, at most 8"),
    ("silent: 5", "3:8: when.silent: 5 has no unit; write a duration, for example 5m, 90s or 1h30m"),
    (f"all: [{{silent: 5m}}, {FAN}]",
     "3:1: when: it can never be true: what a silent host reads is unknown; write any, or two policies"),
    (f"any: [{{any: [{{any: [{{any: [{FAN}, {HEAT}]}}, {FAN}]}}, {FAN}]}}, {FAN}]",
     "3:1: when: at most 4 levels and 32 thresholds can be read by anybody; write several policies"),
])
def test_one_error_for_a_mistake_and_where_it_is(tmp_path: Path, when: str, problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        compiled(tmp_path, when)
    assert [one.replace(f"{tmp_path}/p.yaml:", "") for one in caught.value.problems] == [problem]


@pytest.mark.parametrize(("when", "severity", "clear", "problem"), [
    ("silent: 5m", "failing", "",
     "4:1: severity: failing is too grave for silence, which never moves a VM; write suspect, and another policy for what "
     "is heard"),
    (f"any: [{{silent: 5m}}, {FAN}]", "degraded", "",
     "4:1: severity: degraded is too grave for silence, which never moves a VM; write suspect, and another policy for what "
     "is heard"),
    (f"any: [{HEAT}, {FAN}]", "suspect", "{below: 75C}",
     "5:1: clear: a condition of several parts has no one edge; write clear: {for: 30m}, and in its parts for example "
     "{metric: temperature, above: 85C, until: 75C}"),
])
def test_what_does_not_go_together(tmp_path: Path, when: str, severity: str, clear: str, problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        compiled(tmp_path, when, clear, severity)
    assert [one.replace(f"{tmp_path}/p.yaml:", "") for one in caught.value.problems] == [problem]
