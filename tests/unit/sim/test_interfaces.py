"""What agents of pretend hosts read off their interfaces: what migrations carry and what others do, as means."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from ballastd.core.quantities import MIB, HostName, Instant
from ballastd.sim.interfaces import NOBODY, Interfaces
from ballastd.sim.links import Flow, fair

H1, H2 = HostName("h1"), HostName("h2")


@dataclass
class HandClock:
    """A clock that is moved by hand."""

    at: float = 100.0

    def now(self) -> Instant:
        return Instant(self.at, self.at, "boot")


def test_a_rate_is_a_mean_over_the_window() -> None:
    clock = HandClock()
    interfaces = Interfaces(clock)
    assert interfaces.rates(H1, 10.0) is None, "nothing to compare with"
    clock.at += 5.0
    interfaces.carry([(Flow(H1, H2, 100.0), 80.0), (Flow(H1, NOBODY, 30.0), 20.0)])
    clock.at += 5.0
    assert interfaces.rates(H1, 10.0) == (50.0 * MIB, 0.0)
    clock.at += 10.0
    interfaces.carry([])
    assert interfaces.rates(H1, 10.0) == (100.0 * MIB, 0.0)
    assert interfaces.rates(H2, 10.0) is None
    clock.at += 10.0
    assert interfaces.rates(H1, 10.0) == (0.0, 0.0)


def test_a_window_is_as_long_as_it_is_said_to_be_whenever_it_was_read_before() -> None:
    clock = HandClock()
    interfaces = Interfaces(clock)
    interfaces.rates(H1, 10.0)
    for seconds, rate in ((10.0, 100.0), (9.0, 0.0), (1.0, 50.0)):
        interfaces.carry([(Flow(H1, H2, rate), rate)])
        clock.at += seconds
        interfaces.rates(H1, 10.0)
    assert interfaces.rates(H1, 10.0) == (5.0 * MIB, 0.0)
    assert interfaces.rates(H1, 15.0) == pytest.approx((550.0 / 15.0 * MIB, 0.0))
    assert interfaces.rates(H1, 100.0) == (52.5 * MIB, 0.0), "since it was read first"


@pytest.mark.parametrize(("others", "rate"), [(0.0, 60.0), (30.0, 60.0), (50.0, 50.0), (500.0, 50.0)])
def test_others_and_migrations_share_a_link_fairly(others: float, rate: float) -> None:
    interfaces = Interfaces(HandClock())
    interfaces.others = {H1: others}
    migration = Flow(H1, H2, 60.0)
    rates = fair([migration, *interfaces.flows()], {H1: 100.0, H2: 1000.0, NOBODY: float("inf")})
    assert rates[0] == pytest.approx(rate)
    assert rates[1:] == pytest.approx([min(others, 100.0 - rate), min(others, 100.0)] if others else [])
