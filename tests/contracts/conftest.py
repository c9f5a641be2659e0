"""Which worlds the contracts are tried in."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.contracts.lab_world import LibvirtWorld
from tests.contracts.worlds import SimulatedWorld, World
from tests.lab import Lab, leftovers, missing


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """Three hosts; the tests of the module are told inside their network."""
    if reason := missing():
        pytest.skip(f"NO LAB, REAL HOSTS ARE NOT TESTED: {reason}")
    name = f"t{os.getpid()}c"
    with Lab(name, 3, cpu_quota=None) as one:
        one.enter()
        yield one
        one.leave()
    assert leftovers(name) == []


@pytest.fixture(params=["simulated", pytest.param("libvirt", marks=pytest.mark.lab)])
def world(request: pytest.FixtureRequest) -> World:
    """A world of each kind."""
    if request.param == "simulated":
        return SimulatedWorld()
    return LibvirtWorld(request.getfixturevalue("lab"))
