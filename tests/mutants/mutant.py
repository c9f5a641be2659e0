"""What a seeded fault is: a name, a file, the text that stands there once, what replaces it; and where the nets are."""

from __future__ import annotations

from dataclasses import dataclass

from tests.scenarios.playing import QUIET

CORE, KERNEL = "daemon/ballastd/core", "daemon/ballastd/kernel"
SERVICE, WIRE = "daemon/ballastd/service", "daemon/ballastd/adapters/mqtt"
JOURNAL = "daemon/ballastd/adapters/journal"
LANES = "daemon/ballastd/adapters/blocking.py"
DAMAGE, TROUBLE = "tests/unit/adapters/journal/test_damage.py", "tests/unit/adapters/journal/test_trouble.py"
BLOCKING = "tests/contracts/test_blocking.py"
LIBVIRT, SIM = "daemon/ballastd/adapters/libvirt", "daemon/ballastd/sim"
UNIT_LIBVIRT = "tests/unit/adapters/libvirt"
UNIT_CORE, UNIT_KERNEL = "tests/unit/core", "tests/unit/kernel"
NETS = {
    "unit": (UNIT_CORE, UNIT_KERNEL, "tests/unit/service"),
    "property": ("tests/properties",),
    "simulation": tuple(f"tests/simulation/test_{name}.py" for name in (
        "whole_daemon", "nights", "strandings", "rest", "checkers", "checkers_of_arrivals", "checkers_of_last_resorts",
        "checkers_of_power", "watched", "crash_points")),
    "scenario": ("tests/scenarios",),
    "seeds": ("tests/simulation/test_tabletop.py", "tests/simulation/test_seeds.py"),
}
"""What is tried on a mutant that names nothing of its own, cheapest first."""
CRASHES, REST = "tests/simulation/test_crash_points.py", "tests/simulation/test_rest.py"


@dataclass(frozen=True)
class Mutant:
    """One sabotage. ``nets``: name -> pytest paths, where the usual ones do not reach."""

    name: str
    path: str
    old: str
    new: str
    nets: tuple[tuple[str, tuple[str, ...]], ...] = ()


def scenarios(*names: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return a net of some scenarios: what the story of each is about has to show there."""
    return (("scenario", tuple(f"tests/scenarios/test_{'quiet' if name in QUIET else 'busy'}.py::"
                               f"test_a_scenario_goes_as_it_was_reviewed[{name}]" for name in names)),)


def only(net: str, *paths: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return a net of its own."""
    return ((net, paths),)


def core(*names: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return a net of some files of unit tests of the core: cheap enough to come before any other."""
    return (("unit", tuple(f"{UNIT_CORE}/{name}" for name in names)),)
