"""Four rounds of chaos: a fault in the middle of real migrations, and nothing lost, doubled or left open afterwards."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chaos.faults import BY_NAME
from tests.chaos.rounds import Rounds
from tests.integration.daemon_parts import a_lab, stood
from tests.lab import missing

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(bool(missing()), reason=f"NO LAB, REAL HOSTS ARE NOT TESTED: {missing()}"),
]


@pytest.fixture(scope="module")
def rounds() -> Iterator[Rounds]:
    """Three hosts, six guests, and one daemon for all rounds."""
    with a_lab("x", storage=True) as lab, stood(lab) as stand:
        yield Rounds(lab, stand)


@pytest.mark.parametrize(("seed", "fault"), [(1, "source libvirtd killed"), (2, "target QEMU killed"),
                                              (3, "target's disk hangs"), (4, "target libvirtd killed at the switch-over")])
def test_nothing_is_lost_doubled_or_left_open(rounds: Rounds, seed: int, fault: str) -> None:
    """The others are thrown by ``make chaos``."""
    outcome = rounds.play(seed, BY_NAME[fault])
    assert outcome.violations == []
    assert outcome.is_struck, "there was a migration to strike"
    assert outcome.endings.get("completed", 0) > 0, "the host was emptied all the same"
