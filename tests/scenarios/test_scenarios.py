"""Every scenario goes as it was reviewed, line by line, and breaks no rule. ``make accept`` rewrites what is expected."""

from __future__ import annotations

from pathlib import Path

import pytest

from ballastd.rehearsal.scenarios import CLUSTER, POLICIES, README, SCRIPT, difference, load_scenario, play

HERE = Path(__file__).parent
ORDERED = (" ordered: ", " power off: ", " power on: ", " shut down: ")
NAMES = sorted(path.parent.name for path in HERE.glob(f"*/{SCRIPT}"))


@pytest.mark.timeout(600)  # a day of virtual time takes half a minute of a core, and cores are shared
@pytest.mark.parametrize("name", NAMES)
def test_a_scenario_goes_as_it_was_reviewed(name: str) -> None:
    scenario = load_scenario(HERE / name)
    played = play(scenario)
    assert not difference(scenario, played.trace)
    assert not played.violations


@pytest.mark.parametrize("name", NAMES)
def test_a_scenario_says_what_it_is_about(name: str) -> None:
    for file in (README, CLUSTER, POLICIES, SCRIPT):
        assert (HERE / name / file).read_text(encoding="utf-8").strip(), file


@pytest.mark.parametrize("name", NAMES)
def test_quiet_scenarios_move_nothing_and_the_others_something(name: str) -> None:
    scenario = load_scenario(HERE / name)
    did = any(ordered in line for line in (scenario.expected() or "").splitlines() for ordered in ORDERED)
    assert did is not scenario.script.quiet


def test_as_many_scenarios_are_quiet_as_busy() -> None:
    quiet = sum(load_scenario(HERE / name).script.quiet for name in NAMES)
    assert len(NAMES) >= 60
    assert quiet >= len(NAMES) / 2
