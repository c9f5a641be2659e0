"""The kernel asks a guest to shut down only as it is written, once for each time, and after a look of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from ballastd.core import shutdown_events as sh
from ballastd.core.inventory import JobKind, VmRecord, VmState
from ballastd.core.ledger import Ledger
from ballastd.core.plans import ShutdownOrder
from ballastd.core.quantities import HostName, VmId
from ballastd.core.shutdown_events import ShutdownEnding
from ballastd.sim.hypervisor import GUEST_SHUTDOWN_SECONDS
from ballastd.sim.virtual_time import run_virtual
from tests.builders import vm_id
from tests.unit.kernel.test_kernel import Bench, Shelf, declared, withheld

H0, VM = HostName("h0"), vm_id("h0v0")


def order(times: int = 1, vm: str = "h0v0", host: HostName = H0) -> ShutdownOrder:
    return ShutdownOrder(f"1-{vm}", vm_id(vm), vm, host, times, "because", 1)


def intent(vm: str = "h0v0") -> sh.ShutdownOrdered:
    return sh.ShutdownOrdered(1.0, f"1-{vm}", vm_id(vm), vm, H0, "failing-hosts", "because")


def guest(bench: Bench) -> VmRecord:
    return bench.hypervisor.hosts[H0].vms[VM]


def test_a_guest_goes_down_in_its_own_time_and_is_off() -> None:
    async def story() -> None:
        shelf = Shelf()
        bench = Bench(declared(), definitions=shelf)
        await bench.record.append(1, (intent(),))
        await bench.kernel.shut_down(order())
        assert guest(bench).state is VmState.RUNNING
        assert str(VM) in shelf.kept_of[VM], "so that somebody can start it elsewhere"
        await asyncio.sleep(GUEST_SHUTDOWN_SECONDS + 1.0)
        assert guest(bench).state is VmState.SHUTOFF

    run_virtual(story())


SPOILT: dict[str, tuple[Callable[[VmRecord], VmRecord | None], str]] = {
    "its owner forbids it": (lambda r: replace(r, shutdown=False), "its owner does not want it"),
    "it is left alone": (lambda r: replace(r, ignored=True), "its owner does not want it"),
    "it stands still": (lambda r: replace(r, state=VmState.PAUSED), "is paused now"),
    "a job holds it": (lambda r: replace(r, job=JobKind.OUTGOING), "outgoing job holds it"),
    "it is gone": (lambda _: None, "is not seen on h0"),
}


@pytest.mark.parametrize(("spoil", "no"), SPOILT.values(), ids=SPOILT)
def test_what_changed_since_it_was_ordered_withholds_it(spoil: Callable[[VmRecord], VmRecord | None], no: str) -> None:
    async def story() -> None:
        bench = Bench(declared())
        await bench.record.append(1, (intent(),))
        changed = spoil(guest(bench))
        if changed is None:
            bench.hypervisor.remove(H0, VM)
        else:
            bench.hypervisor.hosts[H0].vms[VM] = changed
        await bench.kernel.shut_down(order())

    assert no in withheld(story)


def test_what_is_not_in_the_journal_or_was_done_is_withheld() -> None:
    async def unwritten() -> None:
        await Bench(declared()).kernel.shut_down(order())

    async def twice() -> None:
        bench = Bench(declared())
        await bench.record.append(1, (intent(),))
        await bench.kernel.shut_down(order())
        await bench.kernel.shut_down(order())

    async def another_time() -> None:
        bench = Bench(declared())
        await bench.record.append(1, (intent(), sh.ShutdownAskedAgain(2.0, "1-h0v0", 2)))
        await bench.kernel.shut_down(order())

    async def withdrawn() -> None:
        bench = Bench(declared())
        await bench.record.append(1, (intent(), sh.ShutdownWithdrawn(2.0, "1-h0v0", "acknowledged")))
        await bench.kernel.shut_down(order())

    async def of_a_run_before() -> None:
        bench = Bench(declared())
        bench.record.replayed((intent(),))
        await bench.kernel.shut_down(order())

    async def elsewhere() -> None:
        bench = Bench(declared())
        await bench.record.append(1, (intent(),))
        await bench.kernel.shut_down(order(host=HostName("h99")))

    for story in (unwritten, twice, another_time, withdrawn, of_a_run_before):
        assert "not-journalled" in withheld(story)
    assert "not a declared host" in withheld(elsewhere)


def test_a_pause_that_comes_meanwhile_holds_it() -> None:
    async def story() -> None:
        bench = Bench(declared())
        await bench.record.append(1, (intent(),))
        task = asyncio.ensure_future(bench.kernel.shut_down(order()))
        await asyncio.sleep(0.001)
        bench.kernel.hold("paused by ann")
        await task

    assert "paused by ann" in withheld(story)


def test_a_vm_whose_definition_cannot_be_kept_is_not_shut_down() -> None:
    async def story() -> None:
        bench = Bench(declared(), definitions=Shelf(is_full=True))
        await bench.record.append(1, (intent(),))
        await bench.kernel.shut_down(order())

    assert "its definition cannot be kept: no space left" in withheld(story)


def test_more_than_the_ceiling_allows_are_never_asked_whatever_was_written_and_by_whichever_run() -> None:
    names = [f"h0v{number}" for number in range(5)]

    async def story(*, by_a_run_before: bool) -> None:
        bench = Bench(declared())
        written = tuple(intent(name) for name in names)
        if by_a_run_before:
            ledger = Ledger()
            ledger.replay(written[:-1])
            bench.record.replayed((ledger.checkpoint(2.0),))
            written = written[-1:]
        await bench.record.append(1, written)
        await bench.kernel.shut_down(order(vm=names[-1]))

    async def once_one_is_over() -> None:
        bench = Bench(declared())
        await bench.record.append(1, tuple(intent(name) for name in names))
        await bench.record.append(2, (sh.ShutdownEnded(2.0, "1-h0v0", ShutdownEnding.DOWN),))
        await bench.kernel.shut_down(order(vm=names[-1]))

    assert "ceiling 4" in withheld(lambda: story(by_a_run_before=False))
    assert "ceiling 4" in withheld(lambda: story(by_a_run_before=True))
    run_virtual(once_one_is_over())


def test_one_that_does_not_obey_runs_on() -> None:
    async def story() -> None:
        bench = Bench(declared())
        bench.hypervisor.deaf.add(VmId(VM))
        await bench.record.append(1, (intent(),))
        await bench.kernel.shut_down(order())
        await asyncio.sleep(10 * GUEST_SHUTDOWN_SECONDS)
        assert guest(bench).state is VmState.RUNNING

    run_virtual(story())
