"""Scenarios in which something has to be done go as they were reviewed, and it is done."""

from __future__ import annotations

import gc

import pytest

from ballastd.rehearsal.scenarios import CLUSTER, POLICIES, README, SCRIPT, load_scenario, play
from tests.scenarios.playing import BUSY, HERE, NAMES, goes_as_it_was_reviewed


@pytest.mark.timeout(600)  # a day of virtual time takes half a minute of a core, and cores are shared
@pytest.mark.parametrize("name", BUSY)
def test_a_scenario_goes_as_it_was_reviewed(name: str) -> None:
    assert goes_as_it_was_reviewed(name)


@pytest.mark.parametrize("name", NAMES)
def test_a_scenario_says_what_it_is_about(name: str) -> None:
    for file in (README, CLUSTER, POLICIES, SCRIPT):
        assert (HERE / name / file).read_text(encoding="utf-8").strip(), file


def test_calls_of_a_daemon_that_was_killed_are_no_trouble_to_speak_of(caplog: pytest.LogCaptureFixture) -> None:
    play(load_scenario(HERE / "killed-between-order-and-call"))
    gc.collect()
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []
