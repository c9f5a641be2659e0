"""The pictures in the documents are what the code draws today (`python -m tests.recordings` writes them anew)."""

from __future__ import annotations

import pytest

from tests.recordings import HEIGHT, PICTURES, RECORDINGS


@pytest.mark.parametrize("name", RECORDINGS)
def test_a_recording_is_what_the_code_draws(name):
    assert (PICTURES / name).read_text(encoding="utf-8") == RECORDINGS[name]()


def test_there_is_no_recording_that_nobody_draws():
    assert {file.name for file in PICTURES.glob("*.txt")} == set(RECORDINGS)


def test_the_page_for_operators_shows_the_recording():
    page = (PICTURES.parent / "operations.md").read_text(encoding="utf-8")
    assert f"```text top\n{RECORDINGS['top.txt']()}```\n" in page
    assert f"At 120 by {HEIGHT} " in page
