"""How long news that is not urgent waits for more of its kind: long while nothing is under way, else shortly."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from ballastd.core.inputs import Verb
from ballastd.core.quantities import Instant
from ballastd.service.asking import Asker
from ballastd.service.control_loop import CALM_SECONDS, QUIET_SECONDS, ControlLoop
from ballastd.service.executor import Executor
from ballastd.service.inbox import Inbox
from ballastd.sim.virtual_time import run_virtual
from tests.builders import Table, four_hosts, table
from tests.unit.kernel.test_kernel import Bench, declared


class ClockFrom:
    """Goes on from where a table's clock stands."""

    def __init__(self, now: Instant) -> None:
        self._begun = now

    def now(self) -> Instant:
        return self._begun.later(asyncio.get_running_loop().time())


async def wait_of_news(t: Table) -> float:
    """Return how long a report without news waits for the step that takes it in, once the loop runs."""
    bench, clock, inbox = Bench(declared()), ClockFrom(t.now), Inbox(t.controller.is_urgent)
    steps: list[float] = []
    loop = ControlLoop(t.controller, inbox, bench.record, bench.kernel,
                       Executor(bench.kernel, inbox, clock, lambda _: None, Asker(None, inbox, clock)),
                       clock, t.cluster.timing, bench.notices, lambda _: steps.append(asyncio.get_running_loop().time()))
    running = asyncio.ensure_future(loop.run())
    await asyncio.sleep(1.0)
    steps.clear()
    inbox.put(t.reports()[0])
    await asyncio.sleep(QUIET_SECONDS + 1.0)
    running.cancel()
    return steps[0] - 1.0


def sound() -> Table:
    t = table(four_hosts(vms_each=1))
    t.show("h1", "ecc.uncorrected", 0.0, "D").warm_up()
    t.quiet_for(400.0)
    return t


def moving(t: Table) -> None:
    (order,) = t.show("h1", "ecc.uncorrected", 1.0, "D").step().orders
    t.begin(order).wait(1.0).step()


def paused(t: Table) -> None:
    t.say(Verb.PAUSE)


def held_up(t: Table) -> None:
    paused(t)
    decision = t.show("h1", "ecc.uncorrected", 1.0, "D").wait(1.0).step()
    assert (len(decision.view.moves), decision.orders) == (1, ())


def draining(t: Table) -> None:
    paused(t)
    t.wait(1.0).say(Verb.DRAIN, "h4")


@pytest.mark.parametrize(("happens", "seconds"), [
    # a step is taken every ten seconds, and the last was a second before the news
    (lambda _t: None, QUIET_SECONDS - 1.0), (paused, QUIET_SECONDS - 1.0), (held_up, CALM_SECONDS), (moving, CALM_SECONDS),
    (draining, CALM_SECONDS),
])
def test_news_waits_only_as_long_as_nothing_hangs_on_it(happens: Callable[[Table], None], seconds: float) -> None:
    t = sound()
    happens(t)
    assert run_virtual(wait_of_news(t)) == pytest.approx(seconds)
