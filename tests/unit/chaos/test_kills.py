"""What is made of the outcomes of kills."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from tests.chaos.kills import Outcome, report, shortest

ROWS = [asdict(one) for one in (
    Outcome("migrate", "after", 1, is_struck=True, has_returned=True, lasted=2.5),
    Outcome("abort", "after", 1, is_struck=True, has_returned=True, lasted=0.002),
    Outcome("migrate", "after", 2, is_struck=True, has_returned=True, lasted=2.25),
    Outcome("migrate", "after", 3, violations=["the daemon did not come to that"]),
    Outcome("migrate", "during", 1, at=1.0, is_struck=True),
    Outcome("migrate", "during", 2, at=2.2, is_struck=True, has_returned=True, lasted=2.1),
    Outcome("abort", "during", 1, at=0.001, is_struck=True),
    Outcome("abort", "during", 2, violations=["the daemon did not come to that"]),
)]


def test_a_call_takes_at_least_as_long_as_it_took_that_returned() -> None:
    assert shortest(ROWS, "migrate") == 2.1
    assert shortest(ROWS, "abort") == 0.002
    assert shortest(ROWS, "order") is None
    assert shortest([{"place": "order", "instant": "after"}], "order") is None, "of before it was noted"


def test_one_short_call_of_long_ago_is_no_measure_of_those_to_come() -> None:
    slow = [asdict(Outcome("migrate", "after", 1, is_struck=True, has_returned=True, lasted=3.0 + n)) for n in range(9)]
    assert shortest([*ROWS, *slow[:2]], "migrate") == 2.1
    assert shortest([*ROWS, *slow], "migrate") == 7.0


def test_how_many_were_inside_the_call_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(ROWS) == 1
    assert "6 kills in 8 tries, 2 violated something; of those during a call, inside 2 of 3" in capsys.readouterr().out
