"""A process that ends itself around a call, and what it leaves behind of that."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos.striking import INSTANTS, PLACES, marked

ROOT = Path(__file__).resolve().parents[3]
STRUCK = """
import sys, time
from pathlib import Path
from tests.chaos.striking import Place, Striker

striker = Striker(Place("time", "", "sleep", 0.0), sys.argv[1], float(sys.argv[2]), Path(sys.argv[3]))
striker.wrapped(lambda _: time.sleep(float(sys.argv[4])))(None)
time.sleep(20.0)
"""


def struck(mark: Path, instant: str, seconds: float, lasts: float) -> int:
    """Return how a process ended that makes a call of so many seconds."""
    words = [sys.executable, "-c", STRUCK, instant, str(seconds), str(mark), str(lasts)]
    return subprocess.run(words, check=False, cwd=ROOT, timeout=60.0).returncode


def lasted(mark: Path) -> float:
    """Return for how long the call was open, of which the mark says that it was come to and returned."""
    is_struck, seconds = marked(mark)
    assert is_struck
    assert seconds is not None
    return seconds


def test_before_it_was_not_made(tmp_path: Path) -> None:
    assert struck(tmp_path / "mark", "before", 0.0, 30.0) == -signal.SIGKILL
    assert marked(tmp_path / "mark") == (True, None)


def test_after_says_how_long_it_took(tmp_path: Path) -> None:
    assert struck(tmp_path / "mark", "after", 0.0, 0.2) == -signal.SIGKILL
    assert lasted(tmp_path / "mark") >= 0.2


@pytest.mark.parametrize("seconds", [0.0, 0.2])
def test_during_is_inside_a_call_that_is_still_open(tmp_path: Path, seconds: float) -> None:
    assert struck(tmp_path / "mark", "during", seconds, 30.0) == -signal.SIGALRM
    assert marked(tmp_path / "mark") == (True, None)


def test_during_that_comes_too_late_says_so(tmp_path: Path) -> None:
    assert struck(tmp_path / "mark", "during", 0.5, 0.0) == -signal.SIGALRM
    assert lasted(tmp_path / "mark") < 0.5


def test_what_was_never_come_to_is_not_struck(tmp_path: Path) -> None:
    assert marked(tmp_path / "mark") == (False, None)


def test_how_long_a_call_takes_is_known_before_it_is_killed_during_it() -> None:
    assert INSTANTS.index("after") < INSTANTS.index("during")
    assert all(place.lasts > 0.0 for place in PLACES.values())
