"""What a guest wrote on its serial port tells whether it ran twice, or died."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.oracle import what_broke
from tests.lab.guest import Heartbeat, read_heartbeat


def heard(path: Path, *beats: int | str) -> Heartbeat:
    """Return what is read of a heart with these beats."""
    file = path / "web.log"
    file.write_text("".join(f"{beat if isinstance(beat, str) else f'{beat:08X}'}\n" for beat in beats))
    return read_heartbeat(file)


def test_a_heart_that_does_not_miss_a_beat(tmp_path: Path) -> None:
    assert heard(tmp_path, *range(1, 40)) == Heartbeat(39, 39, breaks=0)
    assert read_heartbeat(tmp_path / "nobody.log") == Heartbeat(0, 0, breaks=0)


@pytest.mark.parametrize("beats", [
    (1, 2, 3, 3, 4, 4, 5, 5), (1, 2, 3, 4, 1, 5, 2, 6, 3), (1, 2, 3, 4, 5, 3, 4, 5), (1, 1, 2, 2, 3, 3)],
    ids=["both after a move", "started once more", "a state from before", "both from the start"])
def test_numbers_that_come_again_are_two_copies_or_a_state_from_before(tmp_path: Path, beats: tuple[int, ...]) -> None:
    heart = heard(tmp_path, *beats)
    assert heart.breaks > 0
    assert heart.again > 0
    assert "ran twice" in what_broke(heart)


@pytest.mark.parametrize("beats", [
    (1, 2, 3, 1, 2, 3, 4), (1, 2, 1, 2, 1, 2), (1, 2, 3, "\x00\x07", "ZZ"), (1, 2, 3, "garbage", 5, 6), (1, 2, 3, 90, 91)],
    ids=["it began again", "over and over", "what is no number", "a line is lost", "numbers are lost"])
def test_a_guest_that_died_did_not_run_twice(tmp_path: Path, beats: tuple[int | str, ...]) -> None:
    heart = heard(tmp_path, *beats)
    assert heart.breaks > 0
    assert heart.again == 0
    assert what_broke(heart) == "it lost its state, or a line"
