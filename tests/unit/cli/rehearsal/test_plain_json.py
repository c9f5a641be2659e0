"""A rehearsal as JSON and back."""

from __future__ import annotations

import json
import math
from dataclasses import fields

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ballastd.cli.rehearsal import from_json, to_json
from ballastd.core.quantities import HostName
from ballastd.core.rehearsed import Rehearsed, RehearsedMove, RehearsedSwitch, Sampled, Violation
from ballastd.errors import ConfigurationError
from tests.rehearsals import a_day, a_rehearsal

NUMBER = st.floats(allow_nan=False, allow_infinity=False)
TEXT = st.text(max_size=8)


def tuples(of: st.SearchStrategy, most: int = 3) -> st.SearchStrategy:
    return st.lists(of, max_size=most).map(tuple)


@st.composite
def rehearsals(draw: st.DrawFn) -> Rehearsed:
    hosts = tuple(map(HostName, draw(st.lists(TEXT, max_size=3, unique=True))))
    each = st.tuples(*(NUMBER for _ in hosts))
    samples = st.builds(Sampled, NUMBER, each, each, each, st.tuples(*(st.booleans() for _ in hosts)), st.integers(0, 9))
    moves = st.builds(RehearsedMove, TEXT, TEXT, TEXT, TEXT, TEXT, TEXT, NUMBER, st.none() | NUMBER, TEXT, NUMBER)
    return Rehearsed(
        draw(TEXT), draw(st.integers()), draw(NUMBER), draw(NUMBER), draw(NUMBER), hosts, draw(st.integers(0)),
        draw(tuples(moves)), draw(tuples(st.builds(RehearsedSwitch, NUMBER, TEXT, st.booleans(), TEXT))),
        draw(tuples(st.builds(Violation, NUMBER, TEXT, TEXT))), draw(tuples(st.tuples(NUMBER, TEXT, TEXT))),
        draw(tuples(st.tuples(TEXT, st.integers(0)))), draw(tuples(samples)), draw(st.none() | NUMBER),
        draw(st.none() | NUMBER), draw(each), draw(tuples(TEXT)), draw(tuples(TEXT)))


@settings(max_examples=60)
@given(rehearsals())
def test_what_was_written_is_read_back_to_an_equal_value(rehearsed: Rehearsed):
    try:
        text = to_json(rehearsed)
    except ValueError:
        # sums of numbers near the largest there is are not finite; nothing else may fail
        assert any(abs(one) > 1e300 for one in _numbers(rehearsed))
        return
    assert from_json(text) == rehearsed


def _numbers(rehearsed: Rehearsed) -> list[float]:
    values = [rehearsed.seconds, rehearsed.joules or 0.0, rehearsed.joules_unmanaged or 0.0, *rehearsed.overload_seconds]
    return values + [sample.at for sample in rehearsed.samples]


def test_the_keys_are_the_fields_and_the_summary_is_there_to_be_asked():
    document = json.loads(to_json(a_day()))
    assert list(document) == ["format", "version", "summary", "rehearsed"]
    assert (document["format"], document["version"]) == ("ballastd-rehearsal", 1)
    assert list(document["rehearsed"]) == [one.name for one in fields(Rehearsed)]
    summary = document["summary"]
    assert summary["violations"] == 1
    assert summary["moves"] == 60
    assert summary["moves_completed"] == 54
    assert summary["moves_by_policy"] == {"even-out": 30, "night-consolidation": 20, "failing-hosts": 10}
    assert summary["energy_saved_kwh"] == pytest.approx(5.7, abs=0.05)
    assert summary["overload_host_minutes"] == pytest.approx(470.0)


def test_each_item_of_a_list_has_a_line_of_its_own():
    day = a_day()
    lines = to_json(day).splitlines()
    assert len(lines) < len(day.moves) + len(day.samples) + len(day.hosts) + 120


def test_energy_that_is_unknown_is_null():
    assert json.loads(to_json(a_rehearsal()))["summary"]["energy_kwh"] is None


def test_a_number_that_json_cannot_say_is_an_error():
    with pytest.raises(ValueError):
        to_json(a_rehearsal(seconds=math.inf))


@pytest.mark.parametrize(("spoil", "told"), [
    (lambda text: text[:-40], "day.json: not a rehearsal"),
    (lambda text: "[]", '"format": "ballastd-rehearsal"'),
    (lambda text: "[" * 100_000, "not a rehearsal"),
    (lambda text: text.replace('"version": 1', '"version": 2'), "version 2, not 1"),
    (lambda text: text.replace('"seed": 7,\n', '"seeds": 7,\n'), "seeds"),
    (lambda text: text.replace('"vms": 240', '"vms": "many"'), "many"),
    (lambda text: text.replace('"on": [true, ', '"on": ['), "samples[0] does not tell of all 20 hosts"),
    (lambda text: text.replace('      "host-019"', '      "host-019", "host-020"'), "overload_seconds tells of 20 hosts"),
    (lambda text: text.replace('"rehearsed": {', '"other": {'), "not an object"),
])
def test_anything_else_is_refused_with_what_is_wrong(spoil, told: str):
    text = to_json(a_day())
    with pytest.raises(ConfigurationError) as error:
        from_json(spoil(text), "day.json")
    assert told in str(error.value)
