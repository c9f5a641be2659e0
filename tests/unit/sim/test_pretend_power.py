"""Pretend controllers obey in their own time, and lie as they are told to; only the machine tells the truth."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from ballastd.core.power import PowerState
from ballastd.core.quantities import HostName
from ballastd.errors import PowerRefused, Unreachable
from ballastd.sim.power import BOOT_SECONDS, SHUTDOWN_SECONDS, Conduct, SimulatedController, SimulatedPower
from ballastd.sim.virtual_time import run_virtual

H1, H2 = HostName("h1"), HostName("h2")


class Stage:
    """Two hosts; ``seen``: what became of their machines, and when."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, HostName, str]] = []
        self.power = SimulatedPower(
            [SimulatedController(H1), SimulatedController(H2)], went_off=lambda host: self._note(host, "off"),
            came_up=lambda host: self._note(host, "up"), deadline=30.0)

    def _note(self, host: HostName, what: str) -> None:
        self.seen.append((round(asyncio.get_running_loop().time()), host, what))

    async def says(self) -> PowerState:
        return (await self.power.status(H1)).state


def story(tell: Callable[[Stage], Awaitable[None]]) -> Callable[[], None]:
    """Make a test of a story on virtual time."""
    async def whole() -> None:
        await tell(Stage())

    def test() -> None:
        run_virtual(whole())

    test.__name__, test.__doc__ = tell.__name__, tell.__doc__
    return test


@story
async def test_an_honest_one_goes_off_after_its_shutdown_and_is_up_after_its_boot(stage: Stage) -> None:
    await stage.power.power_off(H1)
    assert await stage.says() is PowerState.ON
    await asyncio.sleep(SHUTDOWN_SECONDS)
    assert await stage.says() is PowerState.OFF
    await stage.power.power_on(H1)
    assert await stage.says() is PowerState.ON
    await asyncio.sleep(BOOT_SECONDS)
    assert stage.seen == [(SHUTDOWN_SECONDS, H1, "off"), (SHUTDOWN_SECONDS + BOOT_SECONDS, H1, "up")]


@story
async def test_one_that_says_off_stays_on_whatever_it_is_told(stage: Stage) -> None:
    stage.power.controllers[H1].conduct = Conduct.SAYS_OFF
    await stage.power.power_off(H1)
    await asyncio.sleep(SHUTDOWN_SECONDS * 2)
    assert (await stage.says(), stage.seen) == (PowerState.OFF, [])


@story
async def test_one_that_says_on_goes_off_all_the_same_and_cannot_be_woken(stage: Stage) -> None:
    stage.power.controllers[H1].conduct = Conduct.SAYS_ON
    await stage.power.power_off(H1)
    await asyncio.sleep(SHUTDOWN_SECONDS * 2)
    await stage.power.power_on(H1)
    await asyncio.sleep(BOOT_SECONDS * 2)
    assert (await stage.says(), stage.seen) == (PowerState.ON, [(SHUTDOWN_SECONDS, H1, "off")])


@story
async def test_one_that_pretends_says_what_it_was_told_and_does_nothing(stage: Stage) -> None:
    stage.power.controllers[H1].conduct = Conduct.PRETENDS
    assert await stage.says() is PowerState.ON
    await stage.power.power_off(H1)
    await asyncio.sleep(SHUTDOWN_SECONDS * 2)
    assert (await stage.says(), stage.seen) == (PowerState.OFF, [])
    assert stage.power.taken == [(H1, False)]


@story
async def test_one_that_ignores_orders_says_how_it_is(stage: Stage) -> None:
    stage.power.controllers[H1].conduct = Conduct.IGNORES
    await stage.power.power_off(H1)
    await asyncio.sleep(SHUTDOWN_SECONDS * 2)
    assert (await stage.says(), stage.seen, stage.power.taken) == (PowerState.ON, [], [(H1, False)])


@story
async def test_one_that_never_wakes_says_on_and_is_never_up(stage: Stage) -> None:
    stage.power.controllers[H1].conduct = Conduct.NEVER_WAKES
    await stage.power.power_off(H1)
    await asyncio.sleep(SHUTDOWN_SECONDS)
    await stage.power.power_on(H1)
    await asyncio.sleep(BOOT_SECONDS * 10)
    assert (await stage.says(), stage.seen) == (PowerState.ON, [(SHUTDOWN_SECONDS, H1, "off")])
    assert not stage.power.controllers[H1].is_up


@story
async def test_one_that_refuses_takes_no_order(stage: Stage) -> None:
    stage.power.controllers[H1].conduct = Conduct.REFUSES
    for order in (stage.power.power_off, stage.power.power_on):
        with pytest.raises(PowerRefused, match="h1"):
            await order(H1)
    assert await stage.says() is PowerState.ON
    assert stage.power.taken == []


@story
async def test_one_that_hangs_takes_nothing(stage: Stage) -> None:
    stage.power.controllers[H1].conduct = Conduct.HANGS
    with pytest.raises(Unreachable):
        await stage.power.power_off(H1)
    assert asyncio.get_running_loop().time() == pytest.approx(30.0)
    assert stage.power.taken == []


@story
async def test_one_that_forgets_to_answer_did_it_all_the_same(stage: Stage) -> None:
    stage.power.controllers[H1].conduct = Conduct.FORGETS_TO_ANSWER
    with pytest.raises(Unreachable):
        await stage.power.power_off(H1)
    assert stage.seen == [(SHUTDOWN_SECONDS, H1, "off")]


@story
async def test_swapped_cables_swap_what_controllers_say_they_are(stage: Stage) -> None:
    stage.power.swap(H1, H2)
    assert (await stage.power.status(H1)).identity == "uuid-of-h2"
    assert (await stage.power.status(H2)).identity == "uuid-of-h1"


@story
async def test_a_shutdown_takes_back_a_boot_that_is_under_way(stage: Stage) -> None:
    stage.power.pull(H1)
    await stage.power.power_on(H1)
    await asyncio.sleep(BOOT_SECONDS / 2)
    await stage.power.power_off(H1)
    await asyncio.sleep(BOOT_SECONDS * 2)
    assert stage.seen == [(0, H1, "off")]


@story
async def test_somebody_at_the_button_switches_without_an_order(stage: Stage) -> None:
    stage.power.press(H1)
    await asyncio.sleep(SHUTDOWN_SECONDS)
    stage.power.press(H1)
    await asyncio.sleep(BOOT_SECONDS)
    assert [what for _, _, what in stage.seen] == ["off", "up"]
    assert stage.power.taken == []
