"""Nights of the whole unmodified daemon on virtual time: packing, power, balance; with controllers of every conduct."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ballastd.core import events as ev
from ballastd.core.inputs import Verb
from ballastd.core.ledger import Ledger
from ballastd.core.policies import BalancePolicy, Mode
from ballastd.core.power import PowerPhase
from ballastd.core.quantities import HostName, Seconds
from ballastd.sim.power import Conduct
from ballastd.sim.virtual_time import DEFAULT_EPOCH_WALL
from tests.builders import POLICIES, vm_id
from tests.powered import NIGHT, NIGHTS, four_powered
from tests.simulation.house import House, in_house

SHORT = replace(NIGHTS, power_off_hold=Seconds(60.0), minimum_on=Seconds(60.0), minimum_off=Seconds(300.0),
                wake_ahead=Seconds(600.0))
DUSK, DAWN = DEFAULT_EPOCH_WALL - 1000.0, DEFAULT_EPOCH_WALL + 3600.0
OPEN = replace(NIGHT, intervals=((DUSK, DAWN),), horizon=DAWN + 14 * 86400.0)
NIGHTLY = replace(POLICIES, consolidation=(SHORT,), windows={OPEN.name: OPEN})
H3 = HostName("h3")


async def fall_asleep(house: House) -> None:
    """Start, vouch for every host, and let a quarter of an hour pass."""
    house.start()
    await house.pass_time(60.0)
    for host in house.cluster.hosts:
        assert (await house.say(Verb.CONFIRM_WAKEABLE, host.name)).accepted
    await house.pass_time(900.0)


def ledger_of(house: House) -> Ledger:
    assert house.daemon._controller is not None
    return house.daemon._controller.ledger


def phases(house: House) -> dict[str, PowerPhase]:
    return {str(host): p.phase for host, p in ledger_of(house).power.items()}


def everybody(house: House) -> int:
    return sum(len(house.on(host.name)) for host in house.cluster.hosts)


def test_a_night_from_end_to_end_loses_nobody_and_wakes_ahead_of_the_morning() -> None:
    async def story(house: House) -> None:
        before = everybody(house)
        await fall_asleep(house)
        (asleep,) = [host for host, phase in phases(house).items() if phase is PowerPhase.OFF]
        assert house.power.taken == [(asleep, False)]
        assert not house.on(asleep)
        assert everybody(house) == before
        await house.pass_time(3000.0)
        assert not phases(house), "the window has ended, and everything is on"
        assert house.power.taken == [(asleep, False), (asleep, True)]
        assert everybody(house) == before

    in_house(four_powered(), story, NIGHTLY)


@pytest.mark.parametrize("conduct", [c for c in Conduct if c is not Conduct.HONEST])
def test_no_conduct_of_a_controller_loses_a_guest_or_switches_off_a_full_host(conduct: Conduct) -> None:
    async def story(house: House) -> None:
        before = everybody(house)
        for one in house.power.controllers.values():
            one.conduct = conduct
        await fall_asleep(house)
        assert everybody(house) == before
        assert sum(1 for _, on in house.power.taken if not on) <= 1, "after one that failed, no other is tried"
        assert PowerPhase.OFF not in phases(house).values() or conduct in (Conduct.NEVER_WAKES, Conduct.FORGETS_TO_ANSWER)

    in_house(four_powered(), story, NIGHTLY)


def test_mixed_up_cables_are_noticed_before_anything_is_told() -> None:
    async def story(house: House) -> None:
        for one, other in (("h1", "h2"), ("h3", "h4")):
            house.power.swap(HostName(one), HostName(other))
        await fall_asleep(house)
        assert not house.power.taken

    in_house(four_powered(), story, NIGHTLY)


def test_a_kill_at_any_moment_of_a_night_forgets_nothing() -> None:
    async def story(house: House) -> None:
        before = everybody(house)
        house.start()
        await house.pass_time(60.0)
        for host in house.cluster.hosts:
            await house.say(Verb.CONFIRM_WAKEABLE, host.name)
        for _ in range(12):
            await house.pass_time(67.0)
            await house.crash()
            house.start()
        await house.pass_time(900.0)
        assert everybody(house) == before
        assert len([1 for _, on in house.power.taken if not on]) <= 2

    in_house(four_powered(), story, NIGHTLY)


def test_a_hot_host_is_relieved_and_then_all_rests() -> None:
    policies = replace(POLICIES, balance=(BalancePolicy("even-load", mode=Mode.AUTO, imbalance_above=1.0),))

    async def story(house: House) -> None:
        house.start()
        await house.pass_time(700.0)
        for i in range(3):
            house.world.hypervisor.burn(vm_id(f"h1v{i}"), 4.8)
        await house.pass_time(1500.0)
        left = house.on("h1")
        assert 0 < len(left) < 3
        await house.pass_time(900.0)
        assert house.on("h1") == left

    in_house(four_powered(vms=2), story, policies)


def test_a_journal_archived_every_few_minutes_forgets_nothing_over_any_kill() -> None:
    async def story(house: House) -> None:
        before = everybody(house)
        await fall_asleep(house)
        (asleep,) = phases(house)
        for _ in range(6):
            await house.pass_time(200.0)
            await house.daemon._chores.retain(keep_records=150.0, keep_archives=1e6)
            known = ledger_of(house)
            await house.crash()
            house.start()
            await house.pass_time(30.0)
            replayed = Ledger()
            replayed.replay(ev.from_record(record.content) for record in house.journal.replay())
            assert replayed == ledger_of(house)
            assert (replayed.power, replayed.moved) == (known.power, known.moved)
        first = next(house.journal.replay())
        assert (first.sequence > 1, first.content["kind"]) == (True, "CheckpointTaken")
        summary = await house.daemon.summary()
        assert summary.off_seconds[asleep] > 1500.0, "it went off before the first record that is left"
        await house.pass_time(3000.0)
        assert not phases(house), "what was switched off is woken, also over archives"
        assert house.power.taken == [(asleep, False), (asleep, True)]
        assert everybody(house) == before

    in_house(four_powered(), story, NIGHTLY)


def test_a_journal_whose_beginning_is_gone_starts_nothing() -> None:
    async def story(house: House) -> None:
        await fall_asleep(house)
        await house.crash()
        house.journal.archive(5)
        house.journal.cut(5)
        house.start()
        await house.pass_time(600.0)
        view = house.daemon.view()
        assert view is not None
        assert view.posture == "observing"
        assert "what was before it is lost" in view.gates[0].reason
        records = len(house.journal.records)
        await house.daemon._chores.retain(keep_records=0.0, keep_archives=1e6)
        assert len(house.journal.records) == records, "a ledger in doubt is not made the beginning of the story"

    in_house(four_powered(), story, NIGHTLY)
