"""All scenarios by name, and how each is held against what was reviewed; ``make accept`` takes what it does now for that."""

from __future__ import annotations

from pathlib import Path

from ballastd.rehearsal.scenarios import SCRIPT, difference, load_scenario, play

HERE = Path(__file__).parent
ORDERED = (" ordered: ", " power off: ", " power on: ", " shut down: ")
NAMES = sorted(path.parent.name for path in HERE.glob(f"*/{SCRIPT}"))
QUIET = [name for name in NAMES if load_scenario(HERE / name).script.quiet]
BUSY = [name for name in NAMES if name not in QUIET]


def goes_as_it_was_reviewed(name: str) -> bool:
    """Play one, see that it goes line by line as it was reviewed, and breaks no rule; return whether it ordered anything."""
    scenario = load_scenario(HERE / name)
    played = play(scenario)
    assert not difference(scenario, played.trace)
    assert not played.violations
    return any(ordered in line for line in played.trace.splitlines() for ordered in ORDERED)
