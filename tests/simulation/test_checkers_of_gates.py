"""Windows that close soon, hosts and VMs that rest, strangers, rivals, events of the site: each rule is seen to break, kept
ones are not."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from ballastd.core.acts import Act
from ballastd.core.policies import BalancePolicy, Mode, MoveBudget, PolicySet
from ballastd.core.quantities import HostName
from ballastd.sim.happenings import happen
from tests.builders import vm_id
from tests.simulation.rogue import ALL, BALANCE, FREEZE, H1, H2, H3, Rogue, Story, found, quiet

WARM = 120.0
"""How long a world was heard when a story begins."""
LATER = replace(FREEZE, intervals=tuple((begin + 7200.0, end + 7200.0) for begin, end in FREEZE.intervals))
DENIED_LATER = replace(ALL, balance=(replace(BALANCE, windows=(LATER.name,)),), windows={**ALL.windows, LATER.name: LATER})
ROOMY = replace(ALL, limits=replace(ALL.limits, blast_at_least=4))
CAUTIOUS = replace(ALL, limits=replace(ALL.limits, unknown_at_least=1, caution_share=0.2, freeze_share=0.6))
TWO = replace(ALL, balance=(replace(BALANCE, budget=MoveBudget(in_flight=2)),))


async def _at_once(rogue: Rogue) -> None:
    orders = [rogue.note(rogue.order(vm, vm[:2], target)) for vm, target in (("h1v0", "h2"), ("h3v0", "h4"))]
    for order in orders:
        rogue.world.migrating(order)
    await asyncio.gather(*(rogue.world.hypervisor.migrate(order) for order in orders))
    for order in orders:
        rogue.settle(order)


async def _host_moved_again(rogue: Rogue, seconds: float = 200.0) -> None:
    rogue.move()
    await asyncio.sleep(seconds)
    rogue.move("h2v1", "h2", "h3")


async def _strangers_moved_again(rogue: Rogue, hours: float = 7.0) -> None:
    rogue.record("ForeignMoveSeen", vm=vm_id("h1v0"), vm_name="h1v0", source="h4", target="h1")
    await asyncio.sleep(3600.0 * hours)
    rogue.move()


async def _strangers_undone(rogue: Rogue) -> None:
    rogue.record("ForeignMoveSeen", vm=vm_id("h1v0"), vm_name="h1v0", source="h4", target="h1")
    await asyncio.sleep(3600.0 * 13.0)
    rogue.move(target="h4")


async def _unnoticed_stranger(rogue: Rogue, *, noticed: bool = False) -> None:
    rogue.world.begin_life()
    await asyncio.sleep(400.0)
    happen(rogue.world, Act(0.0, "carry", vm="h4v0", target="h1"))
    await asyncio.sleep(20.0)
    if noticed:
        rogue.record("ForeignMoveSeen", vm=vm_id("h4v0"), vm_name="h4v0", source="h4", target="h1")
    await asyncio.sleep(3600.0 * 13.0)
    rogue.move("h4v0", "h1", "h2")


async def _just_before_it_closes(rogue: Rogue, left: float = 8.0, policy: str = "nights") -> None:
    await asyncio.sleep(7200.0 - WARM - left)
    rogue.move(policy=policy)


async def _just_before_it_is_denied(rogue: Rogue) -> None:
    await _just_before_it_closes(rogue, policy="even-load")


async def _alarm(rogue: Rogue, *hosts: str) -> None:
    for host in hosts:
        rogue.world.agents.set(HostName(host), "fan.alarm", 1.0, "1")
    await asyncio.sleep(150.0)


async def _most_are_sick(rogue: Rogue) -> None:
    await _alarm(rogue, "h1", "h2", "h3")
    rogue.move(target="h4")


async def _event_that_it_says_itself(rogue: Rogue) -> None:
    rogue.record("SiteEventBegun", detail="because")
    rogue.move()


async def _evacuation_in_an_event(rogue: Rogue) -> None:
    rogue.record("SiteEventBegun", detail="because")
    rogue.record("EvacuationBegun", host="h1", policy="failing-hosts")


async def _called_over_too_early(rogue: Rogue) -> None:
    rogue.record("SiteEventBegun", detail="because")
    await _alarm(rogue, "h1", "h2", "h3")
    rogue.record("SiteEventEnded")


async def _guest_shut_down_in_an_event(rogue: Rogue) -> None:
    rogue.record("SiteEventBegun", detail="because")
    rogue.world.shutting_down(H1, vm_id("h1v0"))


async def _woken_in_an_event(rogue: Rogue) -> None:
    rogue.record("SiteEventBegun", detail="because")
    rogue.world.switching(H1, on=True)


async def _claimed(rogue: Rogue, seconds: float = 60.0) -> None:
    rogue.world.notices.rival = "other"
    await asyncio.sleep(seconds)
    rogue.move()


async def _parting_though_claimed(rogue: Rogue) -> None:
    rogue.world.notices.rival = "other"
    await asyncio.sleep(60.0)
    rogue.world.parting(H1, vm_id("h1v0"))


async def _switched_though_claimed(rogue: Rogue) -> None:
    rogue.world.notices.rival = "other"
    await asyncio.sleep(60.0)
    rogue.world.switching(H1, on=False)


async def _shut_down_though_claimed(rogue: Rogue) -> None:
    rogue.world.notices.rival = "other"
    await asyncio.sleep(60.0)
    rogue.world.shutting_down(H1, vm_id("h1v0"))


async def _one_is_silent(rogue: Rogue, *silent: HostName) -> None:
    for host in silent or (H3,):
        rogue.world.agents.manners(host).silent = True
    await asyncio.sleep(200.0)
    rogue.move()


async def _off_while_half_are_silent(rogue: Rogue) -> None:
    for host in (H2, H3):
        rogue.world.agents.manners(host).silent = True
    await asyncio.sleep(200.0)
    rogue.world.switching(H1, on=False)


async def _parting_while_half_are_silent(rogue: Rogue) -> None:
    for host in (H2, H3):
        rogue.world.agents.manners(host).silent = True
    await asyncio.sleep(200.0)
    rogue.world.parting(H1, vm_id("h1v0"))


BROKEN: list[tuple[str, Story, PolicySet]] = [
    ("rates", _at_once, ALL), ("cooldown", _host_moved_again, ALL), ("cooldown", _strangers_moved_again, ALL),
    ("cooldown", _strangers_undone, ALL), ("cooldown", _unnoticed_stranger, ALL),
    ("windows", _just_before_it_closes, ALL), ("windows", _just_before_it_is_denied, DENIED_LATER),
    ("site-event", _most_are_sick, ALL), ("site-event", _most_are_sick, ROOMY),
    ("site-event", _event_that_it_says_itself, ALL), ("site-event", _evacuation_in_an_event, ALL),
    ("site-event", _called_over_too_early, ALL), ("site-event", _guest_shut_down_in_an_event, ALL),
    ("site-event", _woken_in_an_event, ALL), ("rival", _claimed, ALL), ("rival", _parting_though_claimed, ALL),
    ("rival", _switched_though_claimed, ALL), ("rival", _shut_down_though_claimed, ALL),
    ("frozen", _one_is_silent, CAUTIOUS), ("frozen", _off_while_half_are_silent, ALL),
    ("frozen", _parting_while_half_are_silent, ALL),
]


@pytest.mark.parametrize(("rule", "story", "policies"), BROKEN)
def test_what_breaks_a_rule_is_found(rule: str, story: Story, policies: PolicySet) -> None:
    assert rule in found(story, policies)


def test_as_many_at_once_as_a_policy_may_make_break_nothing() -> None:
    assert "rates" not in found(_at_once, TWO)


def test_what_has_rested_is_moved() -> None:
    async def settled(rogue: Rogue) -> None:
        await _host_moved_again(rogue, 301.0)

    async def free_again(rogue: Rogue) -> None:
        await _strangers_moved_again(rogue, 12.1)

    async def noticed(rogue: Rogue) -> None:
        await _unnoticed_stranger(rogue, noticed=True)

    assert [found(story) for story in (settled, free_again, noticed)] == [[], [], []]


def test_a_move_that_fits_breaks_no_window() -> None:
    async def story(rogue: Rogue) -> None:
        await _just_before_it_closes(rogue, 30.0)

    assert found(story) == []


def test_two_sick_hosts_are_no_event_of_the_site() -> None:
    async def story(rogue: Rogue) -> None:
        await _alarm(rogue, "h1", "h2")
        rogue.move("h3v0", "h3", "h4")

    assert found(story) == []


def test_the_evacuation_of_a_failing_host_goes_on_in_an_event() -> None:
    async def story(rogue: Rogue) -> None:
        for count in (0.0, 1.0):
            rogue.world.agents.set(H1, "ecc.uncorrected", count, "D1")
            await asyncio.sleep(60.0)
        rogue.record("EvacuationBegun", host="h1", policy="failing-hosts")
        rogue.record("SiteEventBegun", detail="because")
        rogue.move(target="h4", policy="failing-hosts", routine=False)

    assert "site-event" not in found(story)


def test_a_rival_that_nobody_can_have_noticed_is_none() -> None:
    async def story(rogue: Rogue) -> None:
        await _claimed(rogue, 10.0)

    assert found(story) == []


def test_a_silent_host_among_many_is_no_reason_for_caution() -> None:
    async def story(rogue: Rogue) -> None:
        await _one_is_silent(rogue, HostName("h4"))

    assert "frozen" not in found(story)


def test_stories_of_honest_policies_break_nothing() -> None:
    assert found(quiet, DENIED_LATER) == []
    assert found(quiet, replace(ALL, balance=(BalancePolicy("even-load", mode=Mode.AUTO),))) == []
