"""What a call comes to is told to the mind as what it was: withheld is not refused, and neither is an error."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ballastd.core import events as ev
from ballastd.core import power_events as pw
from ballastd.core.inputs import CallReturned, ShutdownReturned
from ballastd.core.migrations import CallResult
from ballastd.core.plans import Order, ShutdownOrder
from ballastd.core.quantities import HostName
from ballastd.core.shutdown_events import ShutdownOrdered
from ballastd.service.asking import Asker
from ballastd.service.executor import CORDON_SECONDS, Executor, lately_lifted
from ballastd.service.inbox import Inbox
from ballastd.sim.jobs import Fate
from ballastd.sim.virtual_time import run_virtual
from tests.builders import four_hosts, table, vm_id
from tests.unit.kernel.test_kernel import Bench, declared
from tests.unit.kernel.test_switches import PowerBench


async def outcome(bench: Bench, order: Order) -> CallReturned:
    """Return what the mind hears of ``order``."""
    inbox = Inbox(lambda _: False)
    executor = Executor(bench.kernel, inbox, bench.clock, lambda _host: None, Asker(None, inbox, bench.clock))
    quiet = table(four_hosts()).step()
    executor.carry_out(replace(quiet, orders=(order,), aborts=(), tunes=(), cordons=frozenset()))
    await inbox.wait(600.0, 0.0)
    (heard,) = inbox.drain()
    assert isinstance(heard, CallReturned)
    await executor.detach()
    return heard


@pytest.mark.parametrize(("fate", "result"), [
    (Fate.COMPLETES, CallResult.OK), (Fate.REFUSED, CallResult.REFUSED), (Fate.FAILS, CallResult.ERROR),
    (Fate.ERROR_YET_COMPLETES, CallResult.ERROR),
])
def test_a_call_that_went_out(fate: Fate, result: CallResult) -> None:
    async def story() -> None:
        bench = Bench(declared())
        bench.hypervisor.fates[vm_id("h0v0")] = fate
        heard = await outcome(bench, await bench.write(bench.order("h0v0", "h0", "h1")))
        assert heard.result is result
        assert bench.kernel.calls == 1

    run_virtual(story())


def test_a_call_that_the_kernel_withheld() -> None:
    async def story() -> None:
        bench = Bench(declared())
        heard = await outcome(bench, bench.order("h0v0", "h0", "h1"))
        assert heard.result is CallResult.WITHHELD
        assert "not-journalled" in heard.message
        assert bench.kernel.calls == 0

    run_virtual(story())


def test_a_call_that_nobody_foresaw_is_an_error_and_is_told() -> None:
    async def story() -> None:
        bench = Bench(declared())
        order = await bench.write(bench.order("h0v0", "h0", "h1"))

        def surprise(_order: Order) -> None:
            raise ZeroDivisionError("surprise")

        inbox = Inbox(lambda _: False)
        executor = Executor(bench.kernel, inbox, bench.clock, lambda _host: None, Asker(None, inbox, bench.clock))
        bench.kernel.announce = surprise
        executor.carry_out(replace(table(four_hosts()).step(), orders=(order,), aborts=(), tunes=(), cordons=frozenset()))
        await inbox.wait(600.0, 0.0)
        (heard,) = inbox.drain()
        assert isinstance(heard, CallReturned)
        assert (heard.result, heard.message) == (CallResult.ERROR, "ZeroDivisionError: surprise")

    run_virtual(story())


def test_whoever_was_told_to_go_on_or_off_is_asked_soon_whether_it_obeyed() -> None:
    async def story() -> None:
        bench, inbox, asked = PowerBench(), Inbox(lambda _: False), []
        order = await bench.ordered()
        executor = Executor(bench.kernel, inbox, bench.clock, asked.append, Asker(None, inbox, bench.clock))
        executor.carry_out(replace(table(four_hosts()).step(), power=(order,), cordons=frozenset()))
        assert not asked, "not before it was told"
        await inbox.wait(600.0, 0.0)
        assert bench.controllers.asked == [(order.host, False)]
        assert asked == [order.host]

    run_virtual(story())


@pytest.mark.parametrize("is_written", [True, False])
def test_what_asking_a_guest_to_shut_down_came_to_is_told(is_written: bool) -> None:
    async def story() -> None:
        bench, inbox = Bench(declared()), Inbox(lambda _: False)
        executor = Executor(bench.kernel, inbox, bench.clock, lambda _host: None, Asker(None, inbox, bench.clock))
        order = ShutdownOrder("1-s1", vm_id("h0v0"), "h0v0", HostName("h0"), 1, "because", 1)
        if is_written:
            await bench.record.append(1, (ShutdownOrdered(1.0, order.id, order.vm, "h0v0", order.host, "p", "because"),))
        executor.carry_out(replace(table(four_hosts()).step(), shutdowns=(order,), cordons=frozenset()))
        await inbox.wait(600.0, 0.0)
        (heard,) = inbox.drain()
        assert isinstance(heard, ShutdownReturned)
        assert (heard.id, heard.result) == ("1-s1", CallResult.OK if is_written else CallResult.WITHHELD)
        await executor.detach()

    run_virtual(story())


def test_a_cordon_that_a_run_before_lifted_is_lifted_by_this_one_too() -> None:
    async def story() -> None:
        bench, inbox = Bench(declared()), Inbox(lambda _: False)
        h0, h1 = HostName("h0"), HostName("h1")
        bench.notices.cordons = {h0: 900.0, h1: 900.0}
        executor = Executor(bench.kernel, inbox, bench.clock, lambda _host: None, Asker(None, inbox, bench.clock),
                            frozenset({h0}))
        executor.carry_out(replace(table(four_hosts()).step(), cordons=frozenset()))
        assert bench.notices.cordons == {h1: 900.0}, "of the other nothing is known"
        bench.notices.cordons[h0] = 900.0
        executor.carry_out(replace(table(four_hosts()).step(), cordons=frozenset()))
        assert h0 in bench.notices.cordons, "once"

    run_virtual(story())


def test_only_a_cordon_whose_request_may_stand_still_counts_as_lately_lifted() -> None:
    hosts = [HostName(f"h{number}") for number in range(7)]
    lifted = [ev.HostUncordoned(1000.0, hosts[0], "ann"), ev.DrainCancelled(1000.0, hosts[1], "ann"),
              ev.VerdictsAcknowledged(1000.0, hosts[2], "ann"), pw.HostAwake(1000.0, hosts[3], "back"),
              pw.HostKept(1000.0, hosts[4], "busy")]
    events = [*lifted, ev.HostCordoned(1000.0, hosts[5], "ann"), ev.HostUncordoned(99.0, hosts[6], "ann")]
    assert lately_lifted(events, 1000.0) == frozenset(hosts[:5])
    assert lately_lifted(events, 1000.0 + CORDON_SECONDS) == frozenset()
