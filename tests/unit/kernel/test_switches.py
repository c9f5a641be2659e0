"""No host is switched off that has anything on it, or about which one sign is missing, whoever asks for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from ballastd.core import power_events as pw
from ballastd.core.ceilings import CEILINGS
from ballastd.core.inventory import VmRecord, VmState
from ballastd.core.ledger import Ledger
from ballastd.core.policies import ClusterDeclaration
from ballastd.core.power import PowerOrder, PowerState, PowerStatus, same_machine
from ballastd.core.quantities import GIB, Bytes, HostName
from ballastd.core.telemetry import AgentState
from ballastd.errors import PowerRefused, Unreachable
from ballastd.kernel.kernel import Withheld
from ballastd.sim.virtual_time import run_virtual
from tests.builders import a_cluster, vm_id
from tests.doubles import Controllers
from tests.unit.kernel.test_kernel import Bench

H0 = HostName("h0")


def machine(host: str) -> str:
    return f"uuid-of-{host}"


def powered(hosts: int = 10, **labels: Sequence[str]) -> ClusterDeclaration:
    """Return hosts with a power driver; ``labels``: values of each, which the hosts have in turn."""
    builder = a_cluster()
    for i in range(hosts):
        builder = builder.host(f"h{i}", power="redfish", link_mib_s=400.0,
                               **{key: values[i % len(values)] for key, values in labels.items()})
    return builder.build()


class PowerBench(Bench):
    """Ten powered hosts: h0 to h5 are empty, h6 to h9 have VMs. Agents have shut every hook."""

    def __init__(self, cluster: ClusterDeclaration | None = None, empty: int = 6, **more: Any) -> None:
        super().__init__(cluster or powered(), vms_each=2, **more)
        for i, host in enumerate(self.hypervisor.hosts.values()):
            if i < empty:
                host.vms.clear()
            self.controllers.statuses[host.name] = PowerStatus(PowerState.ON, machine(host.name))
            self.hear(host.name)

    def hear(self, host: str, **changed: object) -> None:
        now = self.clock.now()
        state = AgentState(HostName(host), True, now, hook=True, cordon_until=now.wall + 900.0, emulators=0)
        self.kernel.hear(replace(state, **changed))

    async def ordered(self, host: str = "h0", *, on: bool = False) -> PowerOrder:
        """Return an order that is in the journal."""
        self.serial += 1
        order = PowerOrder(f"p-{self.serial}", HostName(host), on, "nights", "test", self.serial)
        kind = pw.WakeOrdered if on else pw.PowerOffOrdered
        await self.record.append(self.serial, (kind(0.0, order.id, order.host, "nights", "test"),))
        return order

    async def withheld(self, host: str = "h0", *, on: bool = False) -> str:
        """Try to switch; return the reason for which the kernel did not tell the controller."""
        order = await self.ordered(host, on=on)
        before = len(self.controllers.asked)
        with pytest.raises(Withheld) as no:
            await self.kernel.switch(order)
        assert len(self.controllers.asked) == before, "the controller must not have been told"
        return str(no.value)


def on_bench(story: Callable[[PowerBench], Awaitable[None]]) -> None:
    async def run() -> None:
        await story(PowerBench())

    run_virtual(run())


def test_an_empty_closed_host_is_told_to_go_off_once() -> None:
    async def story(bench: PowerBench) -> None:
        order = await bench.ordered()
        await bench.kernel.switch(order)
        assert bench.controllers.asked == [(H0, False)]
        with pytest.raises(Withheld):
            await bench.kernel.switch(order)
        assert bench.controllers.asked == [(H0, False)], "an order is carried out once"

    on_bench(story)


def test_an_order_that_is_not_in_the_journal_is_nothing() -> None:
    async def story(bench: PowerBench) -> None:
        with pytest.raises(Withheld, match="not-journalled"):
            await bench.kernel.switch(PowerOrder("p-9", H0, False, "", "", 1))
        assert not bench.controllers.asked

    on_bench(story)


@pytest.mark.parametrize("state", list(VmState))
def test_a_host_with_a_domain_in_any_state_stays_on(state: VmState) -> None:
    async def story(bench: PowerBench) -> None:
        record = VmRecord(vm_id("x"), "x", state, Bytes(GIB))
        bench.hypervisor.hosts[H0].vms[record.vm] = record
        assert "it has x" in await bench.withheld()

    on_bench(story)


@pytest.mark.parametrize(("changed", "why"), [
    ({"online": False}, "not heard"), ({"retained": True}, "not heard"),
    ({"hook": False}, "hook is not shut"), ({"cordon_until": None}, "hook is not shut"),
    ({"cordon_until": 1.0}, "hook is not shut"), ({"emulators": 1}, "counts 1 emulators"),
    ({"emulators": None}, "does not count"),
])
def test_one_missing_sign_of_the_agent_is_enough(changed: dict[str, object], why: str) -> None:
    async def story(bench: PowerBench) -> None:
        bench.hear("h0", **changed)
        assert why in await bench.withheld()

    on_bench(story)


def test_an_agents_old_word_says_nothing_of_now() -> None:
    async def story(bench: PowerBench) -> None:
        bench.hear("h0", received=bench.clock.now().later(-140.0))
        assert "not heard" in await bench.withheld()

    on_bench(story)


def test_a_host_that_does_not_answer_is_not_switched_off() -> None:
    async def story(bench: PowerBench) -> None:
        bench.hypervisor.hang(H0)
        assert "host-unreachable" in await bench.withheld()

    on_bench(story)


@pytest.mark.parametrize(("status", "why"), [
    (PowerStatus(PowerState.ON, "uuid-of-h7"), "another machine"),
    (PowerStatus(PowerState.ON, None), "does not say which machine"),
    (PowerStatus(PowerState.OFF, "uuid-of-h0"), "says off while its hypervisor answers"),
    (Unreachable("no answer"), "no answer"), (PowerRefused("wrong password"), "wrong password"),
])
def test_a_controller_that_cannot_be_right_is_told_nothing(status: PowerStatus | Exception, why: str) -> None:
    async def story(bench: PowerBench) -> None:
        bench.controllers.statuses[H0] = status
        assert why in await bench.withheld()

    on_bench(story)


def test_a_migration_on_its_way_there_keeps_it_on() -> None:
    async def story(bench: PowerBench) -> None:
        move = await bench.write(bench.order("h6v0", "h6", "h0"))
        task = asyncio.ensure_future(bench.kernel.migrate(move))
        await asyncio.sleep(0.1)
        assert "a migration from or to it is in flight" in await bench.withheld()
        await task

    on_bench(story)


def test_hold_stops_a_switch_as_well() -> None:
    async def story(bench: PowerBench) -> None:
        bench.kernel.hold("paused by ann")
        assert "paused by ann" in await bench.withheld()

    on_bench(story)


def test_rates_have_ceilings_that_an_adversary_cannot_pass() -> None:
    async def story(bench: PowerBench) -> None:
        for host in ("h0", "h1"):
            await bench.kernel.switch(await bench.ordered(host))
        assert "within ten minutes" in await bench.withheld("h2")
        assert len(bench.controllers.asked) == CEILINGS.power_offs_per_10_min

    on_bench(story)


def test_only_half_of_the_hosts_may_ever_be_off() -> None:
    async def story(bench: PowerBench) -> None:
        ledger = Ledger()
        for i in range(5):
            ledger.apply(pw.PowerOffOrdered(0.0, f"o{i}", HostName(f"h{9 - i}"), "nights", ""))
        bench.kernel.remember(ledger)
        await asyncio.sleep(700.0)
        bench.hear("h0")
        bench.tell()
        assert "ceiling" in await bench.withheld("h0")

    on_bench(story)


def test_wakes_have_a_ceiling_per_minute() -> None:
    async def story(bench: PowerBench) -> None:
        bench.tell(wakes=" ".join(f"h{i}" for i in range(9)))
        for i in range(CEILINGS.wakes_per_min):
            await bench.kernel.switch(await bench.ordered(f"h{i}", on=True))
        assert "wakes within a minute" in await bench.withheld("h8", on=True)

    on_bench(story)


def test_the_machine_that_went_off_is_the_one_that_is_woken_also_after_a_restart() -> None:
    async def story(bench: PowerBench) -> None:
        ledger = Ledger()
        ledger.apply(pw.PowerOffOrdered(0.0, "o", H0, "nights", "", machine("h0")))
        ledger.apply(pw.HostOff(1.0, H0, ""))
        bench.kernel.remember(ledger)
        bench.controllers.statuses[H0] = PowerStatus(PowerState.OFF, machine("h1"))
        assert "another machine" in await bench.withheld(on=True)
        bench.controllers.statuses[H0] = PowerStatus(PowerState.OFF, machine("h0"))
        await bench.kernel.switch(await bench.ordered(on=True))
        assert bench.controllers.asked == [(H0, True)]

    on_bench(story)


def test_a_host_without_a_driver_is_never_switched() -> None:
    async def run() -> None:
        bench = Bench(a_cluster().host("h0").host("h1").build(), vms_each=0)
        await bench.record.append(1, (pw.PowerOffOrdered(0.0, "p-1", H0, "", ""),))
        with pytest.raises(Withheld, match="power driver"):
            await bench.kernel.switch(PowerOrder("p-1", H0, False, "", "", 1))

    run_virtual(run())


def test_uuids_with_swapped_bytes_name_one_machine() -> None:
    one, swapped = "33221100-5544-7766-8899-aabbccddeeff", "00112233-4455-6677-8899-aabbccddeeff"
    assert same_machine(one, one.upper())
    assert same_machine(one, swapped)
    assert not same_machine(one, "00112233-4455-6677-8899-aabbccddee00")
    assert not same_machine("", "")


def test_orders_that_come_at_once_pass_no_ceiling_together() -> None:
    async def story(bench: PowerBench) -> None:
        orders = [await bench.ordered(host) for host in ("h0", "h1", "h2", "h3")]
        results = await asyncio.gather(*(bench.kernel.switch(order) for order in orders), return_exceptions=True)
        assert sum(isinstance(result, Withheld) for result in results) == 4 - CEILINGS.power_offs_per_10_min
        assert len(bench.controllers.asked) == CEILINGS.power_offs_per_10_min

    on_bench(story)


def test_a_host_that_came_back_by_itself_counts_no_longer() -> None:
    async def story(bench: PowerBench) -> None:
        ledger = Ledger()
        for i in range(5):
            ledger.apply(pw.PowerOffOrdered(0.0, f"o{i}", HostName(f"h{9 - i}"), "nights", ""))
        bench.kernel.remember(ledger)
        await asyncio.sleep(700.0)
        bench.hear("h0")
        bench.tell()
        bench.kernel.seen_on(HostName("h9"))
        await bench.kernel.switch(await bench.ordered("h0"))
        assert bench.controllers.asked

    on_bench(story)


def test_nobody_is_woken_who_did_not_go_off_by_us_unless_a_person_asks_for_it() -> None:
    async def story(bench: PowerBench) -> None:
        assert "it did not go off by us, and nobody asks for it" in await bench.withheld(on=True)
        bench.tell(wakes="h0")
        await bench.kernel.switch(await bench.ordered(on=True))
        bench.tell()
        await bench.kernel.switch(await bench.ordered("h1"))
        await bench.kernel.switch(await bench.ordered("h1", on=True))
        bench.kernel.seen_on(HostName("h1"))
        assert "it did not go off by us" in await bench.withheld("h1", on=True)
        assert bench.controllers.asked == [(H0, True), ("h1", False), ("h1", True)]

    on_bench(story)


@pytest.mark.parametrize("event", [
    pw.PowerOffOrdered(2.0, "p", H0, "nights", ""), pw.WakeOrdered(2.0, "p", H0, "nights", ""),
    pw.PowerFailed(2.0, H0, "it did not come back")], ids=lambda event: type(event).__name__)
def test_who_was_told_to_come_back_or_failed_to_counts_as_off_until_he_is_seen_on(event: pw.PowerEvent) -> None:
    async def story(bench: PowerBench) -> None:
        ledger = Ledger()
        for i in range(4):
            ledger.apply(pw.PowerOffOrdered(0.0, f"o{i}", HostName(f"h{9 - i}"), "nights", ""))
        for one in (pw.PowerOffOrdered(0.0, "o", H0, "nights", ""), event):
            ledger.apply(one)
        bench.kernel.remember(ledger)
        await asyncio.sleep(700.0)
        bench.hear("h1")
        bench.tell()
        await bench.kernel.switch(await bench.ordered("h0", on=True))
        assert "5 of 10 hosts are off, ceiling 5" in await bench.withheld("h1")
        bench.kernel.seen_on(H0)
        await bench.kernel.switch(await bench.ordered("h1"))

    on_bench(story)


class Slow(Controllers):
    """Controllers that take their time to say how they are; meanwhile something happens."""

    meanwhile: Callable[[], None]

    async def status(self, host: HostName) -> PowerStatus:
        self.meanwhile()
        return await super().status(host)


@pytest.mark.parametrize(("changed", "why"), [({"cordon_until": None}, "hook is not shut"), ({"emulators": 1}, "counts 1")])
def test_what_an_agent_says_while_the_controller_is_asked_counts(changed: dict[str, object], why: str) -> None:
    async def story() -> None:
        slow = Slow()
        bench = PowerBench(controllers=slow)
        slow.meanwhile = lambda: bench.hear("h0", **changed)
        with pytest.raises(Withheld, match=why):
            await bench.kernel.switch(await bench.ordered())
        assert not slow.asked

    run_virtual(story())
