"""Bars and words: what a terminal cannot show is shown another way, and never wider than it may be."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from ballastd.cli.live.signs import BLOCKS, PLAIN, bar, clipped, padded, shown, signs_for


@pytest.mark.parametrize(("shares", "drawn"), [
    ((0.0,), "░░░░░░░░"), ((1.0,), "████████"), ((0.5,), "████░░░░"), ((0.52,), "████▏░░░"), ((2.0,), "████████"),
    ((-1.0,), "░░░░░░░░"), ((float("nan"),), "░░░░░░░░"), ((float("inf"),), "░░░░░░░░"),
    ((0.5, 0.25), "████▒▒░░"), ((0.5, 0.01), "████▒░░░"), ((0.5, 9.0), "████▒▒▒▒"), ((1.0, 0.5), "████████"),
    ((0.5, 0.0), "████░░░░")])
def test_bars(shares, drawn):
    assert "".join(bar(shares, 8, BLOCKS)) == drawn


@pytest.mark.parametrize("share", [n / 50 for n in range(51)])
def test_a_bar_is_as_wide_as_it_should_be_whatever_it_shows(share):
    for signs in (BLOCKS, PLAIN):
        for width in (1, 3, 8, 16):
            assert cell_len("".join(bar((share, share / 3), width, signs))) == width
            assert cell_len("".join(bar((share,), width, signs))) == width


@pytest.mark.parametrize(("encoding", "sign"), [
    ("utf-8", "█"), ("UTF8", "█"), ("ascii", "#"), ("latin-1", "#"), ("cp437", "#"), ("no-such", "#")])
def test_terminals_without_blocks_get_ascii(encoding, sign):
    assert signs_for(encoding).parts[-1] == sign


def test_words_become_what_the_terminal_can_take():
    assert shown("é\x1b中", "utf-8") == "é\\x1b中"
    assert shown("é\x1b中", "latin-1") == "é\\x1b\\u4e2d"
    assert shown("é\x1b中", "ascii") == "\\xe9\\x1b\\u4e2d"
    assert len(shown("x" * 10**6, "utf-8")) == 2000


@pytest.mark.parametrize("width", range(12))
def test_wide_signs_are_cut_by_cells_not_by_count(width):
    for text in ("中文字名中文", "abcdefghijkl", "a中b文c字"):
        assert cell_len(clipped(text, width, BLOCKS)) <= width
        assert cell_len(padded(text, width, BLOCKS)) == width
        assert cell_len(padded(text, width, PLAIN, right=True)) == width
