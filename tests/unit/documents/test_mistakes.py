"""Each of some three hundred wrong policies is refused with exactly the line of the golden file, and each line helps."""

from __future__ import annotations

import re

import pytest

from tests.mistakes import documents, expected, said

PLACE = re.compile(r"(\d+):(\d+): ")
CURE = re.compile(
    r"write |for example|did you mean|known|keep one|take |; put |name (one|denials|fewer)|give each|is not one of|as in|"
    r"the least|the most|the ceiling of|at most|close the|save it|indent with|check the|change |export|there is one|"
    r"only (with|denials)|from -?\d+ to|is not between|a weight is|a comma is|would \w+|lies above|must (be|lie)|no reading|"
    r"contradict|last day")
GOLDEN = expected()


def test_the_golden_file_is_of_these_documents() -> None:
    assert list(GOLDEN) == documents()
    assert len(GOLDEN) >= 300


@pytest.mark.parametrize("name", documents())
def test_a_mistake_is_told_as_it_was_reviewed(name: str) -> None:
    assert said(name) == GOLDEN[name], "if it is better now: python -m tests.mistakes, and review the difference"


@pytest.mark.parametrize("name", [name for name in documents() if not name.startswith(("several/", "doubts/"))])
def test_a_mistake_is_one_line_with_its_place_and_its_cure(name: str) -> None:
    (line,) = GOLDEN[name]
    place = PLACE.match(line)
    assert place is not None
    assert CURE.search(line[place.end():]), "what would be right?"
    assert len(line) < 400


@pytest.mark.parametrize("name", [name for name in documents() if name.startswith("several/")])
def test_all_mistakes_of_a_file_are_told_in_one_pass(name: str) -> None:
    assert len(GOLDEN[name]) > 1 or "not-also" in name
    assert all(PLACE.match(line) for line in GOLDEN[name])


@pytest.mark.parametrize("name", [name for name in documents() if name.startswith("doubts/")])
def test_what_is_doubtful_is_taken_with_a_warning(name: str) -> None:
    assert GOLDEN[name]
    assert all(line.startswith("warning: ") for line in GOLDEN[name])
