"""One failure domain at a time: who is emptied or switched off beside whom, and how long afterwards."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from ballastd.core import events as ev
from ballastd.core import power_events as pw
from ballastd.core.domains import AT_A_TIME_SECONDS
from ballastd.core.ledger import Ledger
from ballastd.core.plans import Order
from ballastd.core.quantities import GIB, Bytes, HostName
from ballastd.kernel.kernel import Withheld
from ballastd.sim.virtual_time import run_virtual
from tests.builders import a_cluster, vm_id
from tests.unit.kernel.test_kernel import Bench
from tests.unit.kernel.test_switches import PowerBench, powered

APART = "one failure domain at a time"


def racks(*values: str) -> Bench:
    """Return hosts h0, h1, ... of which each stands in a rack, or nowhere for an empty name."""
    builder = a_cluster()
    for i, rack in enumerate(values):
        builder = builder.host(f"h{i}", **({"rack": rack} if rack else {}))
    return Bench(builder.build())


def routine(order: Order) -> Order:
    return replace(order, move=replace(order.move, routine=True))


async def flies(bench: Bench, order: Order) -> asyncio.Future[None]:
    """Begin a migration; return once it is on its way."""
    flying = asyncio.ensure_future(bench.kernel.migrate(await bench.write(order)))
    await asyncio.sleep(0.1)
    assert not flying.done()
    return flying


@pytest.mark.parametrize(("places", "waits"), [
    (("r1", "r2", "r3"), True), (("r1", "r1", "r2"), False), (("r1", "", "r2"), True), (("", "", ""), False)])
def test_hosts_in_two_failure_domains_are_not_emptied_at_once(places: tuple[str, ...], waits: bool) -> None:
    async def story() -> None:
        bench = racks(*places)
        order = bench.order("h0v0", "h0", "h2")
        flying = await flies(bench, order)
        other = await bench.write(bench.order("h1v0", "h1", "h2"))
        if waits:
            with pytest.raises(Withheld, match=rf"h0 \(rack r1, not {places[1] or 'unknown'}\) was changed.*{APART}"):
                await bench.kernel.migrate(other)
            await flying
            bench.kernel.release(order.id)
        await bench.kernel.migrate(other)

    run_virtual(story())


def test_any_label_that_names_what_hosts_die_with_sets_them_apart_and_no_other_does() -> None:
    async def story() -> None:
        for labels, waits in (("cooling", True), ("power", True), ("owner", False)):
            builder = a_cluster()
            for i in range(3):
                builder = builder.host(f"h{i}", rack="r1")
            hosts = [replace(h, labels=(*h.labels, (labels, h.name))) for h in builder.build().hosts]
            bench = Bench(replace(builder.build(), hosts=tuple(hosts)))
            flying = await flies(bench, bench.order("h0v0", "h0", "h2"))
            if waits:
                with pytest.raises(Withheld, match=rf"{labels} h0, not h1\).*{APART}"):
                    await bench.kernel.migrate(await bench.write(bench.order("h1v0", "h1", "h2")))
            else:
                await (await flies(bench, bench.order("h1v0", "h1", "h2")))
            await flying

    run_virtual(story())


@pytest.mark.parametrize(("first", "second"), [("h0", "h1"), ("h1", "h0")])
def test_who_a_person_wants_emptied_waits_for_nobody_and_nobody_for_him_who_has_to_leave(first: str, second: str) -> None:
    async def story() -> None:
        for asked in ("", "h1"):
            bench = racks("r1", "r2", "r3")
            bench.tell(asked=asked)
            flying = await flies(bench, bench.order(f"{first}v0", first, "h2"))
            other = bench.order(f"{second}v0", second, "h2")
            if asked:
                beside = await flies(bench, other)
                assert not flying.done(), "they are on their way at once"
                await beside
            else:
                with pytest.raises(Withheld, match=APART):
                    await bench.kernel.migrate(await bench.write(other))
            await flying

    run_virtual(story())


def test_what_an_order_calls_itself_changes_nothing() -> None:
    async def story() -> None:
        bench = racks("r1", "r2", "r3")
        flying = await flies(bench, bench.order("h0v0", "h0", "h2", policy="operator"))
        with pytest.raises(Withheld, match=APART):
            await bench.kernel.migrate(await bench.write(bench.order("h1v0", "h1", "h2", policy="operator")))
        await flying

    run_virtual(story())


def test_single_routine_moves_go_beside_anything_and_packing_waits_until_some_time_after() -> None:
    async def story() -> None:
        bench = racks("r1", "r2", "r3")
        first = bench.order("h0v0", "h0", "h2")
        await (await flies(bench, first))
        bench.kernel.release(first.id)
        bench.tell(packing="h1")
        with pytest.raises(Withheld, match=APART):
            await bench.kernel.migrate(await bench.write(routine(bench.order("h1v0", "h1", "h2"))))
        bench.tell()
        await bench.kernel.migrate(await bench.write(routine(bench.order("h1v1", "h1", "h2"))))
        await asyncio.sleep(AT_A_TIME_SECONDS)
        bench.tell(packing="h1")
        await bench.kernel.migrate(await bench.write(routine(bench.order("h1v2", "h1", "h2"))))

    run_virtual(story())


def racked() -> PowerBench:
    return PowerBench(powered(10, rack=("r0", "r1")))


@pytest.mark.parametrize(("host", "asked", "waits"), [("h1", "", True), ("h2", "", False), ("h1", "h1", False)])
def test_hosts_of_two_failure_domains_do_not_go_off_within_ten_minutes_unless_a_person_asks(
        host: str, asked: str, waits: bool) -> None:
    async def story() -> None:
        bench = racked()
        await bench.kernel.switch(await bench.ordered("h0"))
        bench.tell(asked=asked)
        if waits:
            assert "h0 (rack r0, not r1) was changed by us" in await bench.withheld(host)
            await asyncio.sleep(AT_A_TIME_SECONDS)
            bench.hear(host)
            bench.tell()
        await bench.kernel.switch(await bench.ordered(host))

    run_virtual(story())


def test_no_host_goes_off_while_one_elsewhere_is_emptied_and_who_has_to_leave_waits_for_none_that_went_off() -> None:
    async def story() -> None:
        bench = racked()
        await bench.kernel.switch(await bench.ordered("h0"))
        flying = await flies(bench, bench.order("h7v0", "h7", "h8"))
        assert "h7 (rack r1, not r0) was changed" in await bench.withheld("h2")
        await flying

    run_virtual(story())


@pytest.mark.parametrize("emptied", [True, False])
def test_a_run_goes_on_where_the_one_before_it_was(emptied: bool) -> None:
    async def story() -> None:
        bench, ledger = racked(), Ledger()
        wall = bench.clock.now().wall - AT_A_TIME_SECONDS + 1.0
        h7, h8 = HostName("h7"), HostName("h8")
        if emptied:
            ledger.apply(ev.MigrationOrdered(wall, "o", vm_id("h7v0"), "h7v0", h7, h8, Bytes(2 * GIB), 50, "failing", "test",
                                             300.0, 1.0))
        else:
            ledger.apply(pw.PowerOffOrdered(wall, "o", h7, "nights", ""))
        bench.kernel.remember(ledger)
        assert APART in await bench.withheld("h2")
        await asyncio.sleep(1.0)
        await bench.kernel.switch(await bench.ordered("h2"))

    run_virtual(story())
