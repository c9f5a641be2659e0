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
import asyncio, sys, time
from contextlib import suppress
from pathlib import Path
from tests.chaos.striking import Place, Striker

how = sys.argv[5]
def call(_):
    time.sleep(float(sys.argv[4]))
    if "raises" in how:
        raise OSError
async def awaited(_):
    call(_)

striker = Striker(Place("", "", "", 0.0, is_async="async" in how), sys.argv[1], float(sys.argv[2]), Path(sys.argv[3]))
with suppress(OSError):
    if "async" in how:
        asyncio.run(striker.wrapped(awaited)(None))
    else:
        striker.wrapped(call)(None)
time.sleep(20.0)
"""
HOWS = ("", "raises", "async", "async raises")
"""Whether the call is awaited, and whether it returns."""


def struck(mark: Path, instant: str, seconds: float, lasts: float, how: str = "") -> int:
    """Return how a process ended that makes a call of so many seconds."""
    words = [sys.executable, "-c", STRUCK, instant, str(seconds), str(mark), str(lasts), how]
    return subprocess.run(words, check=False, cwd=ROOT, timeout=60.0).returncode


def lasted(mark: Path) -> float:
    """Return for how long the call was open, of which the mark says that it was come to and returned."""
    is_struck, seconds = marked(mark)
    assert is_struck
    assert seconds is not None
    return seconds


@pytest.mark.parametrize(("instant", "seconds", "number"), [
    ("before", 0.0, signal.SIGKILL), ("during", 0.0, signal.SIGALRM), ("during", 0.2, signal.SIGALRM)])
def test_before_and_during_it_has_not_returned(tmp_path: Path, instant: str, seconds: float, number: int) -> None:
    assert struck(tmp_path / "mark", instant, seconds, 30.0) == -number
    assert marked(tmp_path / "mark") == (True, None)


@pytest.mark.parametrize("how", HOWS)
def test_after_says_how_long_it_took_whether_or_not_it_returned(tmp_path: Path, how: str) -> None:
    assert struck(tmp_path / "mark", "after", 0.0, 0.2, how) == -signal.SIGKILL
    assert lasted(tmp_path / "mark") >= 0.2


@pytest.mark.parametrize("how", HOWS)
def test_during_that_comes_too_late_says_so(tmp_path: Path, how: str) -> None:
    assert struck(tmp_path / "mark", "during", 2.0, 0.0, how) == -signal.SIGALRM
    assert lasted(tmp_path / "mark") < 2.0


def test_what_was_never_come_to_is_not_struck(tmp_path: Path) -> None:
    assert marked(tmp_path / "mark") == (False, None)


def test_how_long_a_call_takes_is_known_before_it_is_killed_during_it() -> None:
    assert INSTANTS.index("after") < INSTANTS.index("during")
    assert all(place.lasts > 0.0 for place in PLACES.values())
