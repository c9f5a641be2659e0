"""What is asked and allowed while nothing can become durable."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ballastd.kernel.record import APPEND_SECONDS
from tests.chaos import asking
from tests.chaos.asking import Asking
from tests.chaos.faults import FAULTS
from tests.chaos.watch import settled, standing
from tests.lab.commands import wait_until

BEFORE = [{"kind": "MigrationOrdered", "id": "1-1", "vm_name": "web", "target": "h2"},
          {"kind": "MigrationSettled", "id": "1-1"},
          {"kind": "MigrationOrdered", "id": "2-1", "vm_name": "db", "target": "h2"}]
MEANWHILE = [*BEFORE, {"kind": "MigrationOrdered", "id": "3-1", "vm_name": "log", "target": "h3"},
             {"kind": "MigrationSettled", "id": "2-1"}]


def test_an_order_that_was_over_when_the_fault_began_allows_nothing_any_more() -> None:
    assert standing(MEANWHILE, settled(BEFORE)) == {("db", "h2"), ("log", "h3")}


def test_the_same_way_ordered_again_is_allowed() -> None:
    again = {"kind": "MigrationOrdered", "id": "4-1", "vm_name": "web", "target": "h2"}
    assert ("web", "h2") in standing([*MEANWHILE, again], settled(BEFORE))


@contextmanager
def asked(script: str) -> Iterator[Asking]:
    """Yield who asks a shell, as it asks ``ballastctl``, until it is over."""
    one = Asking(lambda: subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=30.0, check=False))
    one.begin()
    try:
        yield one
    finally:
        one.end()


@pytest.mark.parametrize(("script", "is_barred"), [
    ("echo 'refused: not recorded, so not done: disk full' >&2; exit 1", True),
    ("echo 'no daemon there' >&2; exit 3", False), ("echo it counts as proved", False)])
def test_what_was_not_recorded_bars(tmp_path: Path, script: str, is_barred: bool) -> None:
    times = tmp_path / "times"
    with asked(f"echo >>{times}; {script}") as one:
        wait_until(lambda: times.exists() and len(times.read_text()) >= 3, 20.0, "it is asked again")
        assert one.is_barred is is_barred


def test_what_is_not_answered_bars_until_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "UNANSWERED_SECONDS", 1.0)
    asked_once: Callable[[], bool] = (tmp_path / "asked").exists
    with asked(f"touch {tmp_path}/asked; while ! test -e {tmp_path}/thawed; do sleep 0.05; done") as one:
        wait_until(asked_once, 20.0, "it is asked")
        assert not one.is_barred, "it may take that long"
        wait_until(lambda: one.is_barred, 20.0, "nothing is answered")
        (tmp_path / "thawed").touch()
        wait_until(lambda: not one.is_barred, 20.0, "it is answered")
        time.sleep(2 * asking.UNANSWERED_SECONDS)
        assert not one.is_barred, "whoever is asked next answers as well"


def test_nothing_is_asked_once_it_is_over(tmp_path: Path) -> None:
    times = tmp_path / "times"
    with asked(f"echo >>{times}"):
        wait_until(times.exists, 20.0, "it is asked")
    time.sleep(1.0)
    count = len(times.read_text())
    time.sleep(1.0)
    assert len(times.read_text()) == count


def test_a_journal_that_hangs_for_a_while_is_thawed_before_its_write_is_given_up() -> None:
    hangs = next(fault for fault in FAULTS if fault.name == "journal disk hangs")
    assert hangs.seconds[1] + hangs.patience < APPEND_SECONDS
    assert hangs.seconds[0] > asking.UNANSWERED_SECONDS, "what it does not answer is missed while it hangs"
    assert all(fault.says for fault in FAULTS if fault.bars_journal)
