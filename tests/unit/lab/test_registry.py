"""Labs that begin at once, and one that is swept meanwhile, leave one another alone."""

from __future__ import annotations

import os
import signal
import subprocess
from argparse import Namespace
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from pathlib import Path

import pytest

from tests.lab import Lab, LabError, missing, orders, state, sweep, sweeping
from tests.lab.processes import identify
from tests.lab.state import Plan

HOLDS_SECONDS = 0.3


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where labs are, none of them yet."""
    for module in (state, sweeping):
        monkeypatch.setattr(module, "REGISTRY", tmp_path / "registry")
        monkeypatch.setattr(module, "DEFAULT_ROOT", tmp_path / "labs")
    return tmp_path


def a_plan(root: Path, name: str) -> Plan:
    return Plan(name, 1, str(root / "labs" / name))


def test_the_last_lab_that_is_swept_leaves_others_their_places(root: Path) -> None:
    a_plan(root, "last").save()
    sweep("last")
    assert state.registered() == []
    assert (root / "registry").is_dir(), "somebody may be about to enter his lab there"
    assert (root / "labs").is_dir()
    assert not (root / "labs" / "last").exists()


def test_a_lab_that_is_entered_and_has_no_keeper_yet_is_not_swept(root: Path) -> None:
    plan, keeper = a_plan(root, "young"), identify(os.getpid())
    assert keeper is not None
    with ThreadPoolExecutor(1) as other:
        with state.alone():
            plan.save()
            sweeping_all = other.submit(orders.sweep_all, Namespace(name="young"))
            with pytest.raises(NotYet):
                sweeping_all.result(HOLDS_SECONDS)
            state.save_keeper(plan.path, keeper)
        sweeping_all.result(10.0)
    assert state.load("young") == plan


@pytest.mark.skipif(bool(missing()), reason=f"NO LAB CAN BEGIN HERE: {missing()}")
def test_a_lab_that_begins_waits_for_one_that_is_being_entered(root: Path) -> None:
    plan, keeper = a_plan(root, "young"), identify(os.getpid())
    assert keeper is not None
    with ThreadPoolExecutor(1) as other:
        with state.alone():
            plan.save()
            begins = other.submit(Lab("young", 1, root / "labs").up)
            with pytest.raises(NotYet):
                begins.result(HOLDS_SECONDS)
            state.save_keeper(plan.path, keeper)
        with pytest.raises(LabError, match="is up"):
            begins.result(10.0)
    assert state.load("young") == plan


def test_a_lab_that_is_being_entered_is_not_taken_down_meanwhile(root: Path) -> None:
    with ThreadPoolExecutor(1) as other:
        with state.alone():
            a_plan(root, "young").save()
            taken_down = other.submit(orders.down, Namespace(name="young"))
            with pytest.raises(NotYet):
                taken_down.result(HOLDS_SECONDS)
            assert state.registered() == ["young"]
        taken_down.result(10.0)
    assert state.registered() == []


def test_a_lab_whose_keeper_lives_is_taken_down_by_it(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = a_plan(root, "old")
    plan.save()
    with subprocess.Popen(["sleep", "60"]) as watching:
        keeper = identify(watching.pid)
        assert keeper is not None
        state.save_keeper(plan.path, keeper)
        orders.down(Namespace(name="old"))
        assert watching.wait(10.0) == -signal.SIGTERM
    assert state.registered() == []
    assert "nothing is left of lab old" in capsys.readouterr().out


def test_a_lab_that_is_not_there_is_not_taken_down(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    orders.down(Namespace(name="none"))
    assert "there is no lab none" in capsys.readouterr().out


def test_a_lab_whose_keeper_is_dead_is_swept(root: Path) -> None:
    a_plan(root, "dead").save()
    orders.sweep_all(Namespace(name="dead"))
    assert state.registered() == []
