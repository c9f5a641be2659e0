"""The whole daemon on virtual time: the main job, and what may go wrong with it."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from ballastd.core.acts import Act
from ballastd.core.inputs import Verb
from ballastd.core.quantities import HostName
from ballastd.sim.jobs import Fate
from tests.builders import four_hosts, vm_id
from tests.simulation.house import House, in_house

HOSTS = ("h1", "h2", "h3", "h4")


async def awake(house: House) -> None:
    for host in HOSTS:
        house.agents.set(host, "ecc.uncorrected", 0.0, "DIMM_A1")
    house.start()
    await house.pass_time(60.0)
    view = house.daemon.view()
    assert view is not None
    assert view.posture == "acting", view.gates


def fail(house: House, host: str = "h1") -> None:
    house.agents.set(host, "ecc.uncorrected", 1.0, "DIMM_A1")


def everything(house: House) -> int:
    return sum(len(house.on(host)) for host in HOSTS)


def test_a_failing_host_is_emptied_and_then_all_rests() -> None:
    async def story(house: House) -> None:
        await awake(house)
        fail(house)
        await house.pass_time(300.0)
        assert house.on("h1") == []
        assert everything(house) == 12
        assert house.world.notices.cordons.keys() == {"h1"}
        begun = house.daemon.counters()["migrations.begun"]
        await house.pass_time(3600.0)
        assert house.daemon.counters()["migrations.begun"] == begun == 3

    in_house(four_hosts(), story)


def test_the_first_migration_begins_within_a_tenth_of_a_second_of_the_report() -> None:
    async def story(house: House) -> None:
        await awake(house)
        fail(house)
        await house.pass_time(0.1)
        assert house.daemon.counters()["migrations.begun"] == 2

    in_house(four_hosts(), story)


def test_a_quiet_cluster_is_left_alone_for_hours() -> None:
    async def story(house: House) -> None:
        await awake(house)
        await house.pass_time(7200.0)
        assert house.daemon.counters()["migrations.begun"] == 0

    in_house(four_hosts(), story)


@pytest.mark.parametrize("after", [0.05, 0.3, 1.0, 5.0, 14.0, 14.6, 20.0])
def test_killed_in_the_middle_it_adopts_and_nothing_moves_twice(after: float) -> None:
    async def story(house: House) -> None:
        await awake(house)
        fail(house)
        await house.pass_time(after)
        await house.crash()
        await house.pass_time(3.0)
        house.start()
        await house.pass_time(400.0)
        assert house.on("h1") == []
        assert everything(house) == 12
        orders = [r.content["vm"] for r in house.journal.records if r.content["kind"] == "MigrationOrdered"]
        settled = [r.content for r in house.journal.records if r.content["kind"] == "MigrationSettled"]
        assert len(settled) == len(orders)
        done = [s for s in settled if s["ending"] == "completed"]
        assert len(done) == 3, settled

    in_house(four_hosts(), story)


@pytest.mark.parametrize("fate", [Fate.ERROR_YET_COMPLETES, Fate.REFUSED, Fate.FAILS])
def test_whatever_the_caller_is_told_the_vm_ends_up_elsewhere_and_once(fate: Fate) -> None:
    async def story(house: House) -> None:
        await awake(house)
        house.world.hypervisor.fates[vm_id("h1v0")] = fate
        fail(house)
        await house.pass_time(600.0)
        assert house.on("h1") == []
        assert everything(house) == 12

    in_house(four_hosts(), story)


def test_two_running_copies_freeze_both_hosts_and_neither_is_touched() -> None:
    async def story(house: House) -> None:
        await awake(house)
        host, vm = house.world.hypervisor.hosts[HostName("h1")], vm_id("h1v0")
        house.world.hypervisor.place(HostName("h2"), host.vms[vm])
        for _ in range(120):
            await asyncio.sleep(0.25)
        alarms = [text for _, level, text in house.world.notices_told if level == "alarm"]
        assert any("runs on h1 and h2" in text for text in alarms)
        fail(house)
        await asyncio.sleep(120.0)
        assert house.daemon.counters()["migrations.begun"] == 0
        assert vm in house.world.hypervisor.hosts[HostName("h1")].vms
        assert vm in house.world.hypervisor.hosts[HostName("h2")].vms

    in_house(four_hosts(), story)


def test_a_hot_aisle_is_a_site_event_and_nothing_moves() -> None:
    async def story(house: House) -> None:
        await awake(house)
        for host in ("h2", "h3", "h4"):
            house.agents.set(host, "temperature", 99.0, "cpu", critical=100.0)
        await house.pass_time(900.0)
        assert house.daemon.counters()["migrations.begun"] == 0
        assert house.daemon.view().posture == "site-event"

    in_house(four_hosts(), story)


def test_a_source_that_loses_power_in_the_middle_does_not_block_the_rest() -> None:
    async def story(house: House) -> None:
        await awake(house)
        fail(house)
        await house.pass_time(2.0)
        house.stage.act(Act(0.0, "lose-power", host="h1"))
        await house.pass_time(400.0)
        view = house.daemon.view()
        host = next(h for h in view.hosts if h.name == "h1")
        assert not host.reachable
        assert not host.target
        answer = await house.say(Verb.CONFIRM_DEAD, "h1")
        assert answer.accepted, answer
        await house.pass_time(120.0)
        assert not [m for m in house.daemon.view().migrations if not m.ending]

    in_house(four_hosts(), story)


def test_a_full_disk_stops_every_new_act_and_room_lets_them_go_on() -> None:
    async def story(house: House) -> None:
        await awake(house)
        house.journal.full = True
        fail(house)
        await house.pass_time(60.0)
        assert house.daemon.counters()["migrations.begun"] == 0
        assert "journal" in house.daemon.view().gates[0].reason
        refused = await house.say(Verb.CORDON, "h2")
        assert not refused.accepted
        assert "not recorded" in refused.message
        house.journal.full = False
        await house.pass_time(300.0)
        assert house.on("h1") == []

    in_house(four_hosts(), story)


def test_a_damaged_journal_is_observed_and_nothing_moves() -> None:
    async def story(house: House) -> None:
        house.journal.damage = "record 7 is missing"
        for host in HOSTS:
            house.agents.set(host, "ecc.uncorrected", 0.0, "DIMM_A1")
        house.start()
        await house.pass_time(60.0)
        fail(house)
        await house.pass_time(120.0)
        assert house.daemon.counters()["migrations.begun"] == 0
        assert "record 7 is missing" in house.daemon.view().gates[0].reason

    in_house(four_hosts(), story)


def test_another_daemon_on_the_same_cluster_makes_this_one_observe() -> None:
    async def story(house: House) -> None:
        await awake(house)
        house.world.notices.rival = "other"
        await house.pass_time(5.0)
        fail(house)
        await house.pass_time(60.0)
        assert house.daemon.counters()["migrations.begun"] == 0
        assert "other" in house.daemon.view().gates[0].reason
        house.world.notices.rival = None
        await house.pass_time(200.0)
        assert house.on("h1") == []

    in_house(four_hosts(), story)


def test_an_operators_abort_ends_one_migration_and_pause_the_rest() -> None:
    async def story(house: House) -> None:
        await awake(house)
        fail(house)
        await house.pass_time(3.0)
        assert (await house.say(Verb.PAUSE)).accepted
        running = [m for m in house.daemon.view().migrations if not m.ending]
        assert len(running) == 2
        for migration in running:
            assert (await house.say(Verb.ABORT, migration.id)).accepted
        await house.pass_time(60.0)
        assert len(house.on("h1")) == 3
        assert {m.ending for m in house.daemon.view().migrations} == {"aborted"}
        assert (await house.say(Verb.RESUME)).accepted
        await house.pass_time(600.0)
        assert house.on("h1") == []

    in_house(four_hosts(), story)


def test_three_crashes_within_ten_minutes_start_observing() -> None:
    async def story(house: House) -> None:
        await awake(house)
        for _ in range(3):
            await house.crash()
            house.start()
            await house.pass_time(30.0)
        fail(house)
        await house.pass_time(60.0)
        assert house.daemon.counters()["migrations.begun"] == 0
        assert "crashes" in house.daemon.view().gates[0].reason

    in_house(four_hosts(), story)


def test_the_supervisor_hears_of_us_even_when_nothing_happens_and_when_the_disk_is_full() -> None:
    async def story(house: House) -> None:
        await awake(house)
        for full in (False, True):
            house.journal.full = full
            if full:
                fail(house)
            since = house.clock.now().monotonic
            await house.pass_time(60.0)
            told = [at for at, _ in house.stage.told if at >= since]
            gaps = [later - sooner for sooner, later in itertools.pairwise(told)]
            assert max(gaps) <= 11.0, "WatchdogSec=30 would have ended us"

    in_house(four_hosts(), story)
