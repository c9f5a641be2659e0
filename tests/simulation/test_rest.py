"""The judge of rest: it finds a legal move that nobody makes, and speaks of none where there is none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from ballastd.core.acts import Act
from ballastd.core.policies import BalancePolicy, Mode, MoveBudget, PlacementPolicy, PolicySet, Rule, Timing, VmSelector
from ballastd.core.quantities import GIB, Seconds
from ballastd.core.saved_cluster import Demand, DemandKind, SavedCluster
from ballastd.rehearsal.rest import judge_rest, legal_help, orders_of
from ballastd.rehearsal.stage import Setting, Stage, perform
from tests.builders import POLICIES, vm_id
from tests.simulation.clusters import PINNED, Fixed, a_host, a_vm

QUICK = Timing(startup_quiet=Seconds(40.0), inventory_interval=Seconds(5.0), pace=Seconds(10.0))
LAZY = replace(POLICIES, balance=(BalancePolicy("even-load", mode=Mode.OBSERVE),))
KEEN = replace(POLICIES, balance=(BalancePolicy("even-load", mode=Mode.AUTO),))
"""What the judge goes by, while the daemon is told to be lazy: a daemon that overlooks what it should see."""
HOT = Demand(high=4.0)


def cluster(hot: int = 4, gib: int = 8, **options: object) -> SavedCluster:
    """Return four hosts, on the first of which some VMs use all they have: 16 of 16 processors with four of them."""
    hosts = tuple(a_host(f"h{i}") for i in range(1, 5))
    busy = tuple(a_vm(f"h1v{i}", "h1", gib, demand=HOT, **options) for i in range(hot))  # type: ignore[arg-type]
    return SavedCluster(hosts, (*busy, *(a_vm(f"h{i}v0", f"h{i}") for i in range(2, 5))), "hot")


def help_for(saved: SavedCluster, policies: PolicySet = KEEN, acts: tuple[Act, ...] = ()) -> list[str]:
    """Return which moves the judge finds in a cluster that was left to a lazy daemon for twenty minutes."""
    async def story(stage: Stage) -> list[str]:
        await stage.play(1200.0)
        stage.world.policies = policies
        return list(legal_help(stage))

    return perform(Setting(saved, Fixed(LAZY), QUICK, acts), story)[0]


def test_a_hot_host_that_nobody_relieves_is_found() -> None:
    [told] = help_for(cluster())
    assert told.startswith("h1 is too full for even-load (100% of its processors, 50% of its memory), h1v0 to h2 would")


@pytest.mark.parametrize(("made", "helps"), [(4, 1), (5, 0)])
def test_a_policy_that_made_all_its_moves_of_the_day_helps_nobody(made: int, helps: int) -> None:
    few = replace(KEEN, balance=(replace(KEEN.balance[0], budget=MoveBudget(per_day=5)),))

    async def story(stage: Stage) -> list[str]:
        await stage.play(1200.0)
        stage.world.policies = few
        wall = stage.world.clock.now().wall - 80_000.0
        stage.world.journal.append(1, [{
            "kind": "MigrationOrdered", "wall": wall, "id": f"m{number}", "vm": f"v{number}", "vm_name": f"v{number}",
            "target": "h2", "policy": "even-load", "routine": True} for number in range(made)])
        return list(legal_help(stage))

    assert len(perform(Setting(cluster(), Fixed(LAZY), QUICK), story)[0]) == helps


def test_two_uneven_hosts_that_nobody_evens_out_are_found_where_none_is_hot() -> None:
    [told] = help_for(cluster(3))
    assert told.startswith("h1 is far fuller than h2")


def test_a_host_full_of_memory_is_found() -> None:
    saved = cluster(0)
    vms = (*saved.vms, *(a_vm(f"h1m{i}", "h1", 10) for i in range(6)))
    assert "94% of its memory" in help_for(replace(saved, vms=vms))[0]


@pytest.mark.parametrize("vm", [{"pins": PINNED}, {"ignored": True}])
def test_who_may_not_move_is_no_help(vm: dict[str, object]) -> None:
    assert help_for(cluster(4, **vm)) == []


@pytest.mark.parametrize(("rate", "is_told"), [(200.0, True), (1800.0, False)])
def test_who_dirties_its_memory_as_fast_as_it_is_copied_is_no_help(rate: float, is_told: bool) -> None:
    """Migrations may use 600 MiB/s of these links."""
    acts = tuple(Act(60.0, "dirty", vm=f"h1v{i}", value=rate) for i in range(4))
    assert bool(help_for(cluster(), acts=acts)) is is_told
    apart = PlacementPolicy("apart", VmSelector(names=("h1v*",)), Rule.APART, mode=Mode.AUTO)
    idle = replace(cluster(2), vms=tuple(replace(vm, demand=Demand()) for vm in cluster(2).vms))
    assert bool(help_for(idle, replace(KEEN, placement=(apart,)), acts[:2])) is is_told


@pytest.mark.parametrize(("ago", "is_told"), [(80_000.0, False), (90_000.0, True)])
def test_what_a_migration_showed_of_it_within_the_day_speaks_for_a_vm(ago: float, is_told: bool) -> None:
    async def story(stage: Stage) -> list[str]:
        await stage.play(1200.0)
        stage.world.policies = KEEN
        wall = stage.world.clock.now().wall - ago
        for number in range(4):
            stage.world.journal.append(1, [
                {"kind": "MigrationOrdered", "wall": wall, "id": f"m{number}", "vm": vm_id(f"h1v{number}"), "vm_name": "",
                 "target": "h9", "policy": "even-load", "routine": True},
                {"kind": "MigrationSettled", "wall": wall, "id": f"m{number}", "ending": "failed",
                 "dirtied": {"mib_s": 1800.0}}])
        return list(legal_help(stage))

    assert bool(perform(Setting(cluster(), Fixed(LAZY), QUICK), story)[0]) is is_told


NO_HELP: dict[str, tuple[PolicySet, tuple[Act, ...]]] = {
    "a policy that rests": (LAZY, ()),
    "a rule": (replace(KEEN, placement=(PlacementPolicy("stay", VmSelector(names=("h1v*",)), Rule.PINNED),)), ()),
    "no host that may be used": (KEEN, tuple(Act(60.0, "operator", host=f"h{i}", word="cordon") for i in (2, 3, 4))),
    "no host that is well": (KEEN, tuple(Act(60.0, "reading", host=f"h{i}", metric="fan.alarm", subject="1", value=1.0)
                                         for i in (2, 3, 4))),
    "everything is paused": (KEEN, (Act(60.0, "operator", word="pause"),)),
}


@pytest.mark.parametrize("why", NO_HELP)
def test_what_would_not_be_legal_is_no_help(why: str) -> None:
    assert help_for(cluster(), *NO_HELP[why]) == []


def test_a_cluster_in_which_nobody_is_hot_needs_no_help() -> None:
    assert help_for(cluster(1)) == []


def test_room_for_a_failure_is_not_given_away() -> None:
    saved = cluster(4, 8)
    vms = tuple(replace(vm, record=replace(vm.record, memory_max=type(vm.record.memory_max)(40 * GIB)))
                if vm.host != "h1" else vm for vm in saved.vms)
    assert help_for(replace(saved, vms=vms)) == []


@pytest.mark.parametrize(("domain", "helps"), [("host", 1), ("rack", 0)])
def test_room_for_a_racks_failure_is_not_given_away(domain: str, helps: int) -> None:
    """Any one of h3 and h4 could die, and its VM of 40 GiB would fit on h2; not both of them."""
    saved = cluster(4, 8)
    hosts = tuple(a_host(f"h{i}", rack="r1" if i < 3 else "r2") for i in range(1, 5))
    vms = tuple(replace(vm, record=replace(vm.record, memory_max=type(vm.record.memory_max)(40 * GIB)))
                if vm.host in ("h3", "h4") else vm for vm in saved.vms)
    policies = replace(KEEN, limits=replace(KEEN.limits, failover_domain=domain))
    assert len(help_for(replace(saved, hosts=hosts, vms=vms), policies)) == helps


def judged(spoil: Callable[[Stage], None], policies: PolicySet = LAZY) -> list[str]:
    """Return what the judge complains of after something was done to a cluster at rest."""
    async def story(stage: Stage) -> list[str]:
        await stage.play(1200.0)
        before = orders_of(stage)
        spoil(stage)
        await stage.play(1800.0)
        judge_rest(stage, before, 600.0)
        return [violation.detail for violation in stage.violations]

    return perform(Setting(cluster(1), Fixed(policies), QUICK), story)[0]


def test_a_cluster_at_rest_is_at_rest() -> None:
    assert judged(lambda _: None, KEEN) == []


def test_what_still_moves_or_ails_is_no_rest() -> None:
    sick = judged(lambda stage: stage.act(Act(0.0, "reading", host="h3", metric="fan.alarm", subject="1", value=1.0)))
    assert sick == ["rest: h3 is suspect still"]
    gone = judged(lambda stage: stage.act(Act(0.0, "operator", word="pause")))
    assert gone[0].startswith("rest: still ")


def test_an_evacuation_without_an_end_and_a_daemon_that_is_gone_are_no_rest() -> None:
    def begin(stage: Stage) -> None:
        stage.world.journal.append(1, [{"kind": "EvacuationBegun", "host": "h2", "policy": "failing-hosts", "wall": 0.0}])

    assert judged(begin) == ["rest: the evacuation of h2 never ended"]
    assert judged(lambda stage: stage.kill()) == ["rest: no daemon runs"]


def test_the_only_vm_of_an_uneven_host_stays_where_its_leaving_would_make_it_the_emptiest() -> None:
    strict = replace(POLICIES, balance=(BalancePolicy("even-load", mode=Mode.AUTO, imbalance_above=0.15, ignore_below=0.1),))
    for vms, is_told in ((1, False), (2, True)):
        made = cluster(vms)
        wide = tuple(replace(host, cpus=64) for host in made.hosts[1:])
        # the others are at 6 %, so it would leave its host emptier than they are
        busy = tuple(replace(vm, demand=HOT) if vm.record.name.endswith("v0") else vm for vm in made.vms)
        told = help_for(replace(made, hosts=(made.hosts[0], *wide), vms=busy), strict)
        assert [one.partition(" for ")[0].startswith("h1 is far fuller than") for one in told] == [True] * is_told


def test_a_vm_that_is_quiet_now_goes_only_where_there_is_room_for_its_worst_hour() -> None:
    hot = cluster()
    for high, is_told in ((4.0, True), (14.0, False)):
        game = Demand(DemandKind.GAME, low=4.0, high=high, period=Seconds(7200.0), duty=0.1, peak=Seconds(0.0))
        vms = tuple(replace(vm, demand=game) if vm.host == "h1" else vm for vm in hot.vms)
        assert bool(help_for(replace(hot, vms=vms))) is is_told


def test_a_broken_rule_that_nobody_puts_right_is_found() -> None:
    apart = PlacementPolicy("apart", VmSelector(names=("h1v*",)), Rule.APART, mode=Mode.AUTO)
    for vms, is_told in ((2, True), (1, False)):
        made = replace(cluster(vms), vms=tuple(replace(vm, demand=Demand()) for vm in cluster(vms).vms))
        told = help_for(made, replace(KEEN, placement=(apart,)))
        assert told == (["apart is broken, h1v0 to h2 would put it right"] if is_told else [])
        assert help_for(made, replace(KEEN, placement=(replace(apart, mode=Mode.RECOMMEND),))) == []
