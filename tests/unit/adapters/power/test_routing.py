"""Each host is switched by its own driver, and by no other."""

from __future__ import annotations

import pytest

from ballastd.adapters.power.routing import PowerDrivers
from ballastd.core.power import PowerState, PowerStatus
from ballastd.core.quantities import HostName
from ballastd.errors import PowerRefused

ONE, TWO, BARE = HostName("one"), HostName("two"), HostName("bare")


class Switch:
    """A controller that obeys at once."""

    def __init__(self) -> None:
        self.is_on = True
        self.is_closed = False

    async def status(self) -> PowerStatus:
        return PowerStatus(PowerState.ON if self.is_on else PowerState.OFF, None)

    async def power_off(self) -> None:
        self.is_on = False

    async def power_on(self) -> None:
        self.is_on = True

    async def close(self) -> None:
        self.is_closed = True


async def test_only_the_host_that_is_meant_is_switched() -> None:
    one, two = Switch(), Switch()
    power = PowerDrivers({ONE: one, TWO: two})
    await power.power_off(ONE)
    assert ((await power.status(ONE)).state, (await power.status(TWO)).state) == (PowerState.OFF, PowerState.ON)
    await power.power_off(TWO)
    await power.power_on(ONE)
    assert (one.is_on, two.is_on) == (True, False)


async def test_a_host_without_a_driver_is_refused() -> None:
    power = PowerDrivers({ONE: Switch()})
    for call in (power.status, power.power_off, power.power_on):
        with pytest.raises(PowerRefused, match="bare has no power driver in the settings"):
            await call(BARE)


@pytest.mark.parametrize("drivers", [{}, {ONE: Switch()}, {ONE: Switch(), TWO: Switch()}])
async def test_closing_closes_every_driver(drivers: dict[HostName, Switch]) -> None:
    await PowerDrivers(drivers).close()
    assert all(one.is_closed for one in drivers.values())
