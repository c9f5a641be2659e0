"""What a call comes to is told to the mind as what it was: withheld is not refused, and neither is an error."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

import pytest
import structlog
from structlog.testing import LogCapture

from ballastd.core import events as ev
from ballastd.core import power_events as pw
from ballastd.core.inputs import BandwidthSet, CallReturned, Input, ShutdownReturned
from ballastd.core.migrations import CallResult
from ballastd.core.plans import Order, ShutdownOrder, TuneOrder
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


@dataclass
class Reopening:
    """An executor after a restart: a run before opened h0 at 1,000 s; ``until`` is what its agent is heard to say."""

    until: float | None = None
    closed: frozenset[HostName] = frozenset()
    bench: Bench = field(default_factory=lambda: Bench(declared()))

    def __post_init__(self) -> None:
        inbox = Inbox(lambda _: False)
        self.bench.notices.cordons = {HostName("h0"): 9.0, HostName("h1"): 9.0}
        self.executor = Executor(self.bench.kernel, inbox, self.bench.clock, lambda _host: None,
                                 Asker(None, inbox, self.bench.clock), {HostName("h0"): 1000.0},
                                 lambda _host: self.until)

    def requests(self) -> set[str]:
        """Return the hosts whose agents are asked to refuse guests, after one more step."""
        self.executor.carry_out(replace(table(four_hosts()).step(), cordons=self.closed))
        return set(self.bench.notices.cordons)


def test_a_cordon_that_a_run_before_lifted_is_lifted_by_this_one_too() -> None:
    async def story() -> None:
        stand = Reopening()
        assert stand.requests() == {"h0", "h1"}, "nobody heard what the agent goes by"
        stand.until = 1000.0 + CORDON_SECONDS
        assert stand.requests() == {"h1"}, "of the other nothing is known"
        stand.bench.notices.cordons[HostName("h0")] = 9.0
        assert stand.requests() == {"h0", "h1"}, "once"

    run_virtual(story())


def test_a_cordon_set_again_since_is_left_to_whoever_set_it() -> None:
    async def story() -> None:
        stand = Reopening(until=1001.0 + CORDON_SECONDS)
        assert stand.requests() == {"h0", "h1"}
        stand.until = 900.0 + CORDON_SECONDS
        assert stand.requests() == {"h0", "h1"}, "what was seen once is settled"

    run_virtual(story())


def test_a_host_that_is_closed_now_is_not_opened_for_what_was() -> None:
    async def story() -> None:
        stand = Reopening(until=1000.0 + CORDON_SECONDS, closed=frozenset({HostName("h0")}))
        assert stand.requests() == {"h0", "h1"}
        stand.until = None
        stand.closed = frozenset()
        assert stand.requests() == {"h1"}, "who closed it opens it"

    run_virtual(story())


async def beside_a_bandwidth(bench: Bench, inbox: Inbox, move: tuple[str, str, str]) -> Executor:
    """Return an executor that has been told to give a job from h0 to h1 a bandwidth, and to begin ``move`` (VM, source,
    target): one second ago."""
    order = await bench.write(bench.order(*move))
    executor = Executor(bench.kernel, inbox, bench.clock, lambda _host: None, Asker(None, inbox, bench.clock))
    tune = TuneOrder("t-0", vm_id("h0v0"), HostName("h0"), HostName("h1"), 10, 1)
    executor.carry_out(replace(table(four_hosts()).step(), orders=(order,), tunes=(tune,), cordons=frozenset()))
    await asyncio.sleep(1.0)
    return executor


@pytest.mark.parametrize(("move", "waits"), [
    (("h0v1", "h0", "h3"), True), (("h2v0", "h2", "h0"), True), (("h1v0", "h1", "h3"), True), (("h2v0", "h2", "h1"), True),
    (("h2v0", "h2", "h3"), False)])
def test_only_a_migration_that_shares_an_end_waits_for_a_bandwidth(
        monkeypatch: pytest.MonkeyPatch, move: tuple[str, str, str], waits: bool) -> None:
    async def story() -> None:
        bench, inbox, answered = Bench(declared()), Inbox(lambda _: False), asyncio.Event()

        async def slow(_order: TuneOrder) -> None:
            await answered.wait()

        monkeypatch.setattr(bench.kernel, "tune", slow)
        executor = await beside_a_bandwidth(bench, inbox, move)
        assert bench.kernel.calls == (0 if waits else 1)
        answered.set()
        await asyncio.sleep(1.0)
        assert bench.kernel.calls == 1
        await executor.detach()

    run_virtual(story())


@pytest.mark.parametrize(("source", "target", "waits"), [("h0", "h3", True), ("h3", "h1", True), ("h2", "h3", False)])
def test_who_is_given_more_waits_until_those_beside_it_have_less(
        monkeypatch: pytest.MonkeyPatch, source: str, target: str, waits: bool) -> None:
    async def story() -> None:
        bench, inbox, answered, told = Bench(declared()), Inbox(lambda _: False), asyncio.Event(), []

        async def slow(order: TuneOrder) -> None:
            told.append(order.migration)
            if not order.rises:
                await answered.wait()

        monkeypatch.setattr(bench.kernel, "tune", slow)
        executor = Executor(bench.kernel, inbox, bench.clock, lambda _host: None, Asker(None, inbox, bench.clock))
        less = TuneOrder("t-0", vm_id("h0v0"), HostName("h0"), HostName("h1"), 10, 1)
        more = TuneOrder("t-1", vm_id("h2v0"), HostName(source), HostName(target), 90, 1, rises=True)
        executor.carry_out(replace(table(four_hosts()).step(), tunes=(less, more), cordons=frozenset()))
        await asyncio.sleep(1.0)
        assert told == (["t-0"] if waits else ["t-0", "t-1"])
        answered.set()
        await asyncio.sleep(1.0)
        assert told == ["t-0", "t-1"]
        await executor.detach()

    run_virtual(story())


class Torn(Inbox):
    """An inbox that takes no word of bandwidths."""

    def put(self, one: Input) -> bool:
        if isinstance(one, BandwidthSet):
            raise ZeroDivisionError("surprise")
        return super().put(one)


@pytest.mark.parametrize("from_kernel", [True, False])
def test_a_surprise_from_a_bandwidth_loses_no_migration_beside_it(
        monkeypatch: pytest.MonkeyPatch, from_kernel: bool) -> None:
    async def story() -> None:
        bench = Bench(declared())
        inbox = Inbox(lambda _: False) if from_kernel else Torn(lambda _: False)

        async def tune(_order: TuneOrder) -> None:
            if from_kernel:
                raise ZeroDivisionError("surprise")

        monkeypatch.setattr(bench.kernel, "tune", tune)
        logs = LogCapture()
        # a logger that was used before is bound to how it was set up then; others may have set it up to say nothing
        ours = structlog.wrap_logger(None, processors=[logs], wrapper_class=structlog.BoundLogger)
        monkeypatch.setattr("ballastd.service.executor.log", ours)
        executor = await beside_a_bandwidth(bench, inbox, ("h0v1", "h0", "h3"))
        assert bench.kernel.calls == 1
        if from_kernel:
            told = [(one["log_level"], one["migration"]) for one in logs.entries if one["event"] == "bandwidth not changed"]
            assert told == [("error", "t-0")]
        await inbox.wait(600.0, 0.0)
        assert [type(one) for one in inbox.drain()] == [CallReturned]
        await executor.detach()

    run_virtual(story())


@pytest.mark.parametrize("arrives", [True, False])
def test_a_bandwidth_that_arrived_is_told_to_the_mind(arrives: bool) -> None:
    async def story() -> None:
        bench, inbox = Bench(declared()), Inbox(lambda _: False)
        order = await bench.write(bench.order("h0v0", "h0", "h1"))
        executor = Executor(bench.kernel, inbox, bench.clock, lambda _host: None, Asker(None, inbox, bench.clock))
        await bench.record.append(1, (ev.BandwidthOrdered(1.0, order.id, 10),))
        if arrives:
            call = asyncio.ensure_future(bench.kernel.migrate(order))
            await asyncio.sleep(0.1)
        tune = TuneOrder(order.id, order.move.vm, HostName("h0"), HostName("h1"), 10, 1)
        executor.carry_out(replace(table(four_hosts()).step(), tunes=(tune,), cordons=frozenset()))
        await asyncio.sleep(1.0)
        heard = [(one.migration, one.bandwidth_mib_s) for one in inbox.drain() if isinstance(one, BandwidthSet)]
        assert heard == ([(order.id, 10)] if arrives else [])
        if arrives:
            call.cancel()

    run_virtual(story())


def test_only_a_cordon_whose_request_may_stand_still_counts_as_lately_lifted() -> None:
    hosts = [HostName(f"h{number}") for number in range(7)]
    lifted = [ev.HostUncordoned(1000.0, hosts[0], "ann"), ev.DrainCancelled(1000.0, hosts[1], "ann"),
              ev.VerdictsAcknowledged(1000.0, hosts[2], "ann"), pw.HostAwake(1000.0, hosts[3], "back"),
              pw.HostKept(1000.0, hosts[4], "busy")]
    events = [*lifted, ev.HostCordoned(1000.0, hosts[5], "ann"), ev.HostUncordoned(99.0, hosts[6], "ann")]
    assert lately_lifted(events, 1000.0) == dict.fromkeys(hosts[:5], 1000.0)
    assert lately_lifted(events, 1000.0 + CORDON_SECONDS) == {}
    again = ev.HostUncordoned(1100.0, hosts[0], "ann")
    assert lately_lifted([*events, again], 1100.0)[hosts[0]] == 1100.0, "the last time"


def test_a_cordon_that_was_lifted_under_a_clock_that_was_ahead_was_not_lifted_lately_for_ever() -> None:
    host = HostName("h0")
    lifted = ev.HostUncordoned(9e6, host, "ann")
    assert lately_lifted([lifted], 1000.0) == {}, "nobody knows when that was"
    assert lately_lifted([lifted, ev.ClockStepped(1000.0, 0.0, 0.0)], 1010.0) == {host: 1000.0}
    assert lately_lifted([lifted, ev.ClockStepped(9e6 - 3600.0, -3600.0, 0.0)], 9e6 - 3500.0) == {host: 9e6 - 3600.0}
    assert lately_lifted([lifted, ev.ClockStepped(1000.0, 0.0, 0.0)], 1000.0 + CORDON_SECONDS) == {}
