"""Scenarios in which nothing must happen go as they were reviewed, and nothing happens."""

from __future__ import annotations

import pytest

from tests.scenarios.playing import NAMES, QUIET, goes_as_it_was_reviewed


@pytest.mark.timeout(600)  # a day of virtual time takes half a minute of a core, and cores are shared
@pytest.mark.parametrize("name", QUIET)
def test_a_scenario_goes_as_it_was_reviewed(name: str) -> None:
    assert not goes_as_it_was_reviewed(name)


def test_as_many_scenarios_are_quiet_as_busy() -> None:
    assert len(NAMES) >= 60
    assert len(QUIET) >= len(NAMES) / 2
