"""Processors of pretend hosts: what fits is served, what does not is shared; seconds, joules and overload add up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from ballastd.core.quantities import HostName
from ballastd.sim.processors import OVERHEAD, Processors
from ballastd.sim.virtual_time import VirtualClock, run_virtual
from tests.builders import vm_id

H1, H2 = HostName("h1"), HostName("h2")
A, B = vm_id("a"), vm_id("b")


def told(story: Callable[[Processors], Coroutine[Any, Any, None]]) -> None:
    async def live() -> None:
        processors = Processors(VirtualClock())
        processors.add(H1, 10, (100.0, 200.0), [A, B], is_on=True)
        processors.add(H2, 10, None, [], is_on=True)
        await story(processors)

    run_virtual(live())


def test_what_fits_is_served_in_full() -> None:
    async def story(processors: Processors) -> None:
        processors.ask(A, 3.0)
        processors.ask(B, 1.0)
        await asyncio.sleep(100.0)
        assert (processors.spent(H1)[A], processors.spent(H1)[B]) == (300.0, 100.0)
        load = processors.load(H1)
        assert (load.utilization, load.demand) == (pytest.approx(OVERHEAD + 0.4), pytest.approx(OVERHEAD + 0.4))
        assert (load.pressure, load.io_pressure, processors.overload(H1)) == (0.0, 0.0, 0.0)

    told(story)


def test_what_does_not_fit_is_shared_in_proportion_and_called_overload() -> None:
    async def story(processors: Processors) -> None:
        processors.ask(A, 15.0)
        processors.ask(B, 5.0)
        await asyncio.sleep(100.0)
        assert processors.spent(H1)[A] == pytest.approx(15.0 * 0.49 * 100)
        assert processors.spent(H1)[B] == pytest.approx(5.0 * 0.49 * 100)
        load = processors.load(H1)
        assert load.utilization == pytest.approx(1.0)
        assert load.demand == pytest.approx(2.0 + OVERHEAD)
        assert 0.5 < load.pressure < 0.6
        processors.ask(A, 1.0)
        await asyncio.sleep(50.0)
        assert processors.overload(H1) == pytest.approx(100.0)

    told(story)


def test_a_vm_counts_anew_on_another_host() -> None:
    async def story(processors: Processors) -> None:
        processors.ask(A, 2.0)
        await asyncio.sleep(10.0)
        processors.run(H1, A, runs=False)
        processors.run(H2, A, runs=True)
        await asyncio.sleep(5.0)
        assert (processors.spent(H1).get(A), processors.spent(H2)[A]) == (None, 10.0)
        assert processors.load(H1).utilization == OVERHEAD

    told(story)


def test_energy_is_idle_and_work_and_nothing_while_off() -> None:
    async def story(processors: Processors) -> None:
        processors.ask(A, 4.8)
        await asyncio.sleep(10.0)
        processors.run(H1, A, runs=False)
        processors.switch(H1, on=False)
        assert processors.load(H1).utilization == 0.0
        await asyncio.sleep(90.0)
        energy = processors.energy(H1)
        assert energy is not None
        assert energy.joules == pytest.approx(1500.0)
        assert energy.joules_if_on == pytest.approx(1500.0 + 9000.0)
        assert processors.energy(H2) is None

    told(story)


def test_who_waits_for_its_disk_shows_in_the_pressure_and_not_in_the_use() -> None:
    async def story(processors: Processors) -> None:
        processors.ask(A, 0.1, blocked=True)
        one = processors.load(H1).io_pressure
        processors.ask(B, 0.1, blocked=True)
        assert 0.5 < one < processors.load(H1).io_pressure < 1.0
        assert processors.load(H1).utilization < 0.1

    told(story)
