"""Which worlds the contracts are tried in."""

from __future__ import annotations

import pytest

from tests.contracts.worlds import SimulatedWorld, World


@pytest.fixture(params=["simulated", pytest.param("libvirt", marks=pytest.mark.lab)])
def world(request: pytest.FixtureRequest) -> World:
    """A world of each kind."""
    if request.param == "simulated":
        return SimulatedWorld()
    real: World = request.getfixturevalue("libvirt_world")
    return real
