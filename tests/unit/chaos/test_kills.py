"""What is made of the outcomes of kills."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.kills import Outcome, left, of, report, shortest, shut_down, unanswered
from tests.chaos.stories import STORIES
from tests.chaos.striking import PLACES
from tests.results import product

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


def checked(arrival: str, started: float) -> list[dict[str, Any]]:
    """Return the books of a guest that was asked by a daemon that was started so long after its migration was settled."""
    return [{"kind": "DaemonStarted", "wall": 90.0}, {"kind": "MigrationSettled", "wall": 100.0, "id": "7-1"},
            {"kind": "DaemonStarted", "wall": 100.0 + started},
            {"kind": "ArrivalChecked", "wall": 115.0, "id": "7-1", "arrival": arrival, "detail": "said nothing"}]


def test_a_guest_that_a_daemon_had_time_to_ask_is_recorded_as_answering() -> None:
    told = ["the guest of 7-1 answers, and is recorded as silent: said nothing"]
    assert unanswered(checked("silent", 2.0)) == told
    assert unanswered(checked("silent", 12.0)) == [], "nobody was there to ask it"
    assert unanswered(checked("silent", -2.0)) == told
    assert unanswered(checked("answered", 2.0)) == []


def killed(place: str, instant: str, seed: int) -> dict[str, Any]:
    return asdict(Outcome(place, instant, seed, is_struck=True))


def test_a_run_that_was_cut_off_goes_on_where_it_was() -> None:
    boundaries = [("abort", "after"), ("order", "after")]
    whole = left([], boundaries, 3, 1)
    assert whole == [(*one, seed) for seed in (1, 2, 3) for one in boundaries]
    for cut in range(len(whole) + 1):
        assert left([*(killed(*one) for one in whole[:cut]), *ROWS[:1]], boundaries, 3, 1) == whole[cut:]


def test_other_seeds_count_and_are_not_played_again() -> None:
    had = [killed("abort", "after", seed) for seed in (7, 5)]
    assert left(had, [("abort", "after"), ("order", "after")], 3, 1) == [
        ("order", "after", 1), ("order", "after", 2), ("abort", "after", 8), ("order", "after", 3)]
    assert left(had, [("abort", "after")], 2, 1) == []


def test_a_try_that_never_struck_is_no_kill_and_is_made_up_for() -> None:
    had = [asdict(Outcome("abort", "after", 1)), killed("abort", "after", 2)]
    assert left(had, [("abort", "after")], 2, 1) == [("abort", "after", 3)]


def test_how_another_daemon_fared_says_nothing_of_this_one(tmp_path: Path) -> None:
    source = tmp_path / "one.py"
    source.write_text("1")
    before = product(tmp_path)
    rows = [killed("abort", "after", 1) | {"product": before}]
    assert of(product(tmp_path), rows) == rows
    source.write_text("2")
    assert of(product(tmp_path), [*rows, {"place": "abort"}]) == []
    source.rename(tmp_path / "two.py")
    assert product(tmp_path) != before


def test_who_went_down_is_told_by_the_end_of_its_own_books() -> None:
    asked = [{"kind": "ShutdownOrdered", "id": "5-s1", "vm_name": "web", "host": "h1"},
             {"kind": "ShutdownOrdered", "id": "5-s2", "vm_name": "db", "host": "h1"}]
    ended = [{"kind": "ShutdownEnded", "id": "5-s1", "ending": "down"},
             {"kind": "ShutdownEnded", "id": "5-s2", "ending": "stayed"}]
    assert shut_down([*asked, *ended]) == {"web": "h1"}
    assert shut_down([*asked, {"kind": "ShutdownWithdrawn", "id": "5-s1"}]) == {}


def test_each_place_has_its_story() -> None:
    assert set(STORIES) == set(PLACES)


def test_how_many_were_inside_the_call_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(ROWS) == 1
    assert "6 kills in 8 tries, 2 violated something; of those during a call, inside 2 of 3" in capsys.readouterr().out
