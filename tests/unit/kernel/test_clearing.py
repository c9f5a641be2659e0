"""What stands against acts keeps them from beginning, whoever ordered them, up to the very last look."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from ballastd.core import events as ev
from ballastd.core import shutdown_events as sh
from ballastd.core.clearance import Gate
from ballastd.core.plans import DeferralKind, PostCopyOrder, Refusal, RefusalKind, ShutdownOrder
from ballastd.core.quantities import HostName
from ballastd.kernel.clearing import TOLD_SECONDS
from ballastd.kernel.kernel import Kernel, Withheld
from ballastd.sim.virtual_time import run_virtual
from tests.builders import vm_id
from tests.unit.kernel.test_kernel import Bench, declared, withheld
from tests.unit.kernel.test_switches import PowerBench, on_bench

H0, H1 = HostName("h0"), HostName("h1")
GATES = {kind: Gate(kind, f"because of {kind.value}") for kind in (
    DeferralKind.FROZEN, DeferralKind.SITE_EVENT, DeferralKind.SELF_SUSPECT, DeferralKind.OBSERVING, DeferralKind.STARTING,
    DeferralKind.PAUSED)}
SICK = {H1: Refusal(RefusalKind.HOST_NOT_HEALTHY, "is suspect", host=H1)}


@pytest.mark.parametrize("meanwhile", [False, True])
@pytest.mark.parametrize("gate", GATES.values(), ids=lambda gate: gate.kind.value)
def test_no_migration_begins_behind_a_gate_also_one_that_shuts_while_both_ends_are_looked_at(
        gate: Gate, meanwhile: bool) -> None:
    async def story() -> None:
        bench = Bench(declared())
        order = await bench.write(bench.order("h0v0", "h0", "h1", policy="operator"))
        if not meanwhile:
            bench.tell(gate)
        task = asyncio.ensure_future(bench.kernel.migrate(order))
        await asyncio.sleep(0.001)
        bench.tell(gate)
        try:
            await task
        finally:
            assert not bench.jobs()

    assert withheld(story) == f"gate: {gate.reason}"


@pytest.mark.parametrize(("source", "begins"), [("h0", True), ("h1", False)])
def test_a_gate_lets_evacuations_of_the_hosts_pass_that_it_names_and_no_other(source: str, begins: bool) -> None:
    async def story() -> None:
        bench = Bench(declared())
        bench.tell(replace(GATES[DeferralKind.FROZEN], passes=frozenset({H0})))
        order = await bench.write(bench.order(f"{source}v0", source, "h2"))
        if begins:
            await bench.kernel.migrate(order)
        else:
            with pytest.raises(Withheld, match="because of frozen"):
                await bench.kernel.migrate(order)

    run_virtual(story())


def test_every_gate_has_to_let_it_pass() -> None:
    async def story() -> None:
        bench = Bench(declared())
        bench.tell(replace(GATES[DeferralKind.FROZEN], passes=frozenset({H0})), GATES[DeferralKind.SITE_EVENT])
        await bench.kernel.migrate(await bench.write(bench.order("h0v0", "h0", "h1")))

    assert withheld(story) == "gate: because of site-event"


@pytest.mark.parametrize("meanwhile", [False, True])
def test_a_target_that_is_sick_or_silent_is_refused_also_where_it_becomes_so_at_the_last_look(meanwhile: bool) -> None:
    async def story() -> None:
        bench = Bench(declared())
        order = await bench.write(bench.order("h0v0", "h0", "h1"))
        if not meanwhile:
            bench.tell(avoid=SICK)
        task = asyncio.ensure_future(bench.kernel.migrate(order))
        await asyncio.sleep(0.001)
        bench.tell(avoid=SICK)
        await task

    assert withheld(story).startswith("host-not-healthy: h1: is suspect; cure: ")


def test_who_leaves_a_sick_host_leaves() -> None:
    async def story() -> int:
        bench = Bench(declared())
        bench.tell(avoid=SICK)
        await bench.kernel.migrate(await bench.write(bench.order("h1v0", "h1", "h2")))
        return bench.kernel.calls

    assert run_virtual(story()) == 1


def test_nothing_begins_before_anything_was_told() -> None:
    async def story() -> None:
        bench = Bench(declared())
        bench.kernel = Kernel(bench.hypervisor, bench.controllers, bench.notices, bench.record, declared(), bench.clock)
        await bench.kernel.migrate(await bench.write(bench.order("h0v0", "h0", "h1")))

    assert withheld(story) == "gate: nobody has told yet what stands against it"


@pytest.mark.parametrize(("later", "begins"), [(TOLD_SECONDS, True), (TOLD_SECONDS + 1.0, False)])
def test_what_was_told_long_ago_lets_nothing_begin(later: float, begins: bool) -> None:
    async def story() -> None:
        bench = Bench(declared())
        order = await bench.write(bench.order("h0v0", "h0", "h1"))
        await asyncio.sleep(later - 0.02)
        if begins:
            await bench.kernel.migrate(order)
        else:
            with pytest.raises(Withheld, match=r"was told 61 s ago, at most 60 s count"):
                await bench.kernel.migrate(order)

    run_virtual(story())


def test_what_is_doubted_lets_nothing_begin_until_it_is_told_anew() -> None:
    async def story() -> int:
        bench = Bench(declared())
        order = await bench.write(bench.order("h0v0", "h0", "h1"))
        task = asyncio.ensure_future(bench.kernel.migrate(order))
        await asyncio.sleep(0.001)
        bench.kernel.doubt("our loop stood still for 9 s")
        with pytest.raises(Withheld, match="our loop stood still"):
            await task
        bench.tell()
        await bench.kernel.migrate(order)
        return bench.kernel.calls

    assert run_virtual(story()) == 1


@pytest.mark.parametrize("gate", GATES.values(), ids=lambda gate: gate.kind.value)
def test_behind_a_gate_no_host_goes_off_and_only_a_freeze_lets_one_be_woken(gate: Gate) -> None:
    async def story(bench: PowerBench) -> None:
        bench.tell(replace(gate, passes=frozenset({H0})), asked="h0", wakes="h0")
        assert gate.reason in await bench.withheld()
        if gate.kind is DeferralKind.FROZEN:
            await bench.kernel.switch(await bench.ordered(on=True))
            assert bench.controllers.asked == [(H0, True)]
        else:
            assert gate.reason in await bench.withheld(on=True)

    on_bench(story)


def test_no_guest_is_asked_to_shut_down_behind_any_gate() -> None:
    async def story() -> None:
        bench = Bench(declared())
        vm = vm_id("h0v0")
        await bench.record.append(1, (sh.ShutdownOrdered(1.0, "1", vm, "h0v0", H0, "failing-hosts", "because"),))
        task = asyncio.ensure_future(bench.kernel.shut_down(ShutdownOrder("1", vm, "h0v0", H0, 1, "because", 1)))
        await asyncio.sleep(0.001)
        bench.tell(replace(GATES[DeferralKind.FROZEN], passes=frozenset({H0})))
        await task

    assert withheld(story) == "gate: because of frozen"


@pytest.mark.parametrize("passes", [True, False])
def test_a_vm_goes_before_its_memory_only_off_a_host_that_the_gate_lets_pass(passes: bool) -> None:
    async def story() -> None:
        bench = Bench(declared())
        bench.hypervisor.dirty_mib_s[vm_id("h0v0")] = 49.0
        order = await bench.write(replace(bench.order("h0v0", "h0", "h1"), downtime_ms=100, post_copy=True))
        flying = asyncio.ensure_future(bench.kernel.migrate(order))
        await asyncio.sleep(50.0)
        await bench.record.append(2, (ev.PostCopyOrdered(1.0, order.id, "because"),))
        bench.tell(replace(GATES[DeferralKind.FROZEN], passes=frozenset({H0 if passes else H1})))
        resort = bench.kernel.start_post_copy(PostCopyOrder(order.id, order.move.vm, H0, H1, "because", 2))
        if passes:
            await resort
        else:
            with pytest.raises(Withheld, match="because of frozen"):
                await resort
        flying.cancel()

    run_virtual(story())
