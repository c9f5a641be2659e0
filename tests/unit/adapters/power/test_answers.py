"""What controllers say is made fit to be compared and to be logged."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ballastd.adapters.power.answers import WORDS_SHOWN, machine, shown

UUID = "4c4c4544-0051-3210-8052-b7c04f4e4d32"


@pytest.mark.parametrize("text", [UUID, UUID.upper(), f"  {UUID}\n"])
def test_a_uuid_is_canonical_whatever_its_case(text: str) -> None:
    assert machine(text) == UUID


@pytest.mark.parametrize("text", ["0" * 8, "f" * 8, "F" * 8])
def test_a_uuid_that_was_never_set_names_no_machine(text: str) -> None:
    digit = text[0]
    assert machine("-".join((text, digit * 4, digit * 4, digit * 4, digit * 12))) is None


def test_a_uuid_that_a_maker_gave_to_all_its_boards_names_no_machine() -> None:
    assert machine("03000200-0400-0500-0006-000700080009") is None
    assert machine("00020003-0004-0005-0006-000700080009") is None


@pytest.mark.parametrize("text", ["", "on", UUID[:-1], UUID.replace("-", ""), f"{{{UUID}}}", UUID.replace("4", "४", 1)])
def test_anything_else_is_no_uuid(text: str) -> None:
    with pytest.raises(ValueError, match="is no UUID"):
        machine(text)


@given(st.text(max_size=5000))
def test_words_are_shown_on_one_printable_line_of_bounded_length(text: str) -> None:
    line = shown(text)
    assert line.isprintable()
    assert len(line) <= WORDS_SHOWN + 3


def test_words_keep_their_sense() -> None:
    assert shown(" no\tsuch \x1b[31moutlet\r\n7 ") == "no such [31moutlet 7"
