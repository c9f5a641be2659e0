"""What every way to switch hosts promises: kept by commands, by Redfish on a real emulator, and by the pretend one."""

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import Callable, Iterator

import pytest

from ballastd.core.power import PowerState
from ballastd.core.quantities import HostName
from ballastd.errors import PowerRefused, Unreachable
from tests.contracts.power_worlds import (
    BARE,
    H1,
    H2,
    STUBBORN,
    CommandWorld,
    RedfishWorld,
    SimulatedWorld,
    Story,
    World,
)
from tests.redfish import Emulator

SLACK_SECONDS = 1.5
MACHINES = 16


@pytest.fixture(scope="module")
def emulators(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Emulator, Emulator]]:
    """Two emulators for the whole file."""
    with Emulator(tmp_path_factory.mktemp("one"), MACHINES) as one, \
            Emulator(tmp_path_factory.mktemp("two"), MACHINES) as two:
        yield one, two


@pytest.fixture(params=["simulated", "command", "redfish"])
def world(request: pytest.FixtureRequest) -> World:
    """A world of each kind."""
    match request.param:
        case "simulated":
            return SimulatedWorld()
        case "command":
            return CommandWorld(request.getfixturevalue("tmp_path"))
        case _:
            return RedfishWorld(*request.getfixturevalue("emulators"))


def story(tell: Story) -> Callable[[World], None]:
    """Make a test of a story that is told inside a world, on that world's clock."""
    @functools.wraps(tell)
    def test(world: World) -> None:
        world.run(tell)

    return test


def now() -> float:
    return asyncio.get_running_loop().time()


async def until(world: World, host: HostName, state: PowerState) -> None:
    async with asyncio.timeout(30.0):
        while (await world.power.status(host)).state is not state:
            await asyncio.sleep(0.1)


@story
async def test_a_host_that_is_on_says_so_and_which_machine_it_is(world: World) -> None:
    status = await world.power.status(H1)
    assert status.state is PowerState.ON
    assert status.identity == world.uuid(H1)


@story
async def test_a_host_that_is_told_to_shut_down_goes_off_and_comes_back_when_told_to(world: World) -> None:
    await world.power.power_off(H1)
    await until(world, H1, PowerState.OFF)
    await world.power.power_on(H1)
    await until(world, H1, PowerState.ON)
    assert world.orders(H1) == [False, True]
    assert world.orders(H2) == []


@story
async def test_a_host_that_is_as_wanted_already_is_not_told_again(world: World) -> None:
    await world.power.power_on(H1)
    assert world.orders(H1) == []
    await world.power.power_off(H1)
    await until(world, H1, PowerState.OFF)
    await world.power.power_off(H1)
    assert world.orders(H1) == [False]


@story
async def test_a_refused_order_names_the_host_and_changes_nothing(world: World) -> None:
    for order in (world.power.power_off, world.power.power_on):
        with pytest.raises(PowerRefused, match=re.escape(STUBBORN)):
            await order(STUBBORN)
    assert world.orders(STUBBORN) == []


@story
async def test_a_host_without_a_controller_is_refused(world: World) -> None:
    for call in (world.power.status, world.power.power_off, world.power.power_on):
        with pytest.raises(PowerRefused, match="bare has no power driver"):
            await call(BARE)


@story
async def test_a_silent_controller_is_given_up_in_time_and_holds_up_no_other(world: World) -> None:
    begun = now()
    with world.silent(H1):
        calls = [asyncio.create_task(call(H1)) for call in (world.power.status, world.power.power_off)]
        assert (await world.power.status(H2)).state is PowerState.ON
        assert now() - begun < world.deadline
        for call in calls:
            with pytest.raises(Unreachable):
                await call
        assert now() - begun < world.deadline + SLACK_SECONDS


@story
async def test_a_controller_that_is_back_is_heard_again(world: World) -> None:
    with world.silent(H1), pytest.raises(Unreachable):
        await world.power.status(H1)
    await until(world, H1, PowerState.ON)


@story
async def test_who_asked_may_leave_at_any_time(world: World) -> None:
    with world.silent(H1):
        call = asyncio.create_task(world.power.status(H1))
        await asyncio.sleep(0.2)
        begun = now()
        call.cancel()
        await asyncio.wait((call,))
        assert call.cancelled()
        assert now() - begun < SLACK_SECONDS


@story
async def test_closing_waits_for_no_controller(world: World) -> None:
    await world.power.status(H1)
    with world.silent(H1):
        call = asyncio.create_task(world.power.status(H1))
        await asyncio.sleep(0.2)
        begun = now()
        await world.power.close()
        assert now() - begun < SLACK_SECONDS
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
