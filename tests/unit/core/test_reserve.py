"""Any one host or rack may die: what plans rest that on, and what the checker thinks of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ballastd.core.books import OPERATOR
from ballastd.core.checking import check_plan
from ballastd.core.draft import Draft, begin
from ballastd.core.hardware import Backing, Hardware, Needs, PagePool
from ballastd.core.intents import Fill, Intent, IntentKind
from ballastd.core.planning import emptied, plan
from ballastd.core.plans import Move, RefusalKind
from ballastd.core.policies import Health, PolicySet
from ballastd.core.quantities import GIB, MIB, Bytes, HostName, Seconds
from ballastd.core.reserve import Packing
from ballastd.core.snapshot import Snapshot
from tests.builders import POLICIES, a_cluster, table

SOURCE, TARGET = 0, 1


def a_draft() -> Draft:
    """Return a draft on three hosts with two VMs each."""
    builder = a_cluster()
    for h in range(1, 4):
        builder = builder.host(f"h{h}", 40)
        for v, gib in enumerate((8, 4)):
            builder = builder.running(f"h{h}v{v}", gib)
    t = table(builder).warm_up()
    snapshot = t.controller._last
    assert snapshot is not None
    return begin(snapshot, t.controller.ledger, POLICIES)


def a_move(snapshot: Snapshot, vm: int = 0) -> Move:
    record = snapshot.records[vm]
    assert int(snapshot.vms.host[vm]) == SOURCE
    return Move(record.vm, record.name, HostName("h1"), HostName("h2"), record.memory_max, Seconds(1.0), "it", "")


def sizes(packing: Packing) -> list[int]:
    return sorted(size // GIB for size, _ in packing.placed)


@pytest.mark.parametrize("asked_before", [True, False])
def test_what_was_planned_is_counted_whenever_the_reserve_is_asked(asked_before: bool) -> None:
    draft = a_draft()
    if asked_before:
        assert sizes(draft.reserve.packings[TARGET]) == [4, 8]
    draft.move(0, SOURCE, TARGET)
    moved = int(draft.snapshot.vms.memory[0]) // GIB
    assert sizes(draft.reserve.packings[TARGET]) == sorted([4, 8, moved])
    assert sizes(draft.reserve.packings[SOURCE]) == [12 - moved]
    assert not check_plan(draft.snapshot, (a_move(draft.snapshot),), 1, draft.packings)


def test_a_copy_of_a_draft_keeps_its_moves_to_itself() -> None:
    draft = a_draft()
    before = draft.reserve.packings
    trial = draft.copy()
    trial.move(0, SOURCE, TARGET)
    assert draft.reserve.packings == before != trial.reserve.packings


def test_the_checker_wants_to_see_where_everybody_would_go() -> None:
    draft = a_draft()
    before = draft.reserve.packings
    move = a_move(draft.snapshot)
    draft.move(0, SOURCE, TARGET)
    after = draft.packings
    assert not check_plan(draft.snapshot, (move,), 1, after)
    assert not check_plan(draft.snapshot, (replace(move, reserve_waived=True),), 1), "who may use the reserve shows nothing"
    assert not check_plan(draft.snapshot, (move,), 0), "nor who keeps none"
    size = int(draft.snapshot.vms.memory[1])
    onto_itself = replace(after[SOURCE], placed=((size, SOURCE),))
    forgotten = replace(after[SOURCE], placed=())
    for wrong in ((), before, (onto_itself, *after[1:]), (forgotten, *after[1:])):
        assert check_plan(draft.snapshot, (move,), 1, wrong), wrong


def test_the_checker_names_a_target_that_nobody_declared() -> None:
    draft = a_draft()
    move = replace(a_move(draft.snapshot), target=HostName("elsewhere"))
    assert any("two declared hosts" in line for line in check_plan(draft.snapshot, (move,), 1, draft.reserve.packings))


def test_the_checker_adds_up_what_is_left_with_all_that_arrives() -> None:
    draft = a_draft()
    move = a_move(draft.snapshot)
    assert draft.reserve
    draft.move(0, SOURCE, TARGET)
    full = tuple(replace(fact, declared=replace(fact.declared, memory_limit=Bytes(20 * GIB))) if number == TARGET else fact
                 for number, fact in enumerate(draft.snapshot.facts))
    there = replace(draft.packings[SOURCE], placed=tuple((size, TARGET) for size, _ in draft.packings[SOURCE].placed))
    shown = (there, *draft.packings[1:])
    assert not check_plan(draft.snapshot, (move,), 1, shown)
    wrong = check_plan(replace(draft.snapshot, facts=full), (move,), 1, shown)
    assert any("if h1 died" in line for line in wrong), wrong


def test_the_checker_gives_nobody_more_than_the_machine_itself_has_left() -> None:
    draft = a_draft()
    move = a_move(draft.snapshot)
    assert draft.reserve
    draft.move(0, SOURCE, TARGET)
    assert not check_plan(draft.snapshot, (move,), 1, draft.packings)
    used_up = tuple(replace(fact, inventory=replace(fact.inventory, memory_free=Bytes(GIB))) if number == TARGET
                    and fact.inventory is not None else fact for number, fact in enumerate(draft.snapshot.facts))
    wrong = check_plan(replace(draft.snapshot, facts=used_up), (move,), 1, draft.packings)
    assert any(line.startswith("h2: ") for line in wrong), wrong


def test_the_checker_objects_to_more_that_is_stranded_than_without_the_plan() -> None:
    draft = a_draft()
    move = a_move(draft.snapshot)
    packings = draft.reserve.packings
    draft.move(0, SOURCE, TARGET)
    here = (8 * GIB, SOURCE), (4 * GIB, SOURCE)
    short = Packing(here, (int(move.memory),), {SOURCE: 12 * GIB})
    left = Packing(((12 * GIB - int(move.memory), TARGET),), (), {})
    shown = (left, short, replace(packings[2], placed=((8 * GIB, SOURCE), (4 * GIB, SOURCE))))
    assert not check_plan(draft.snapshot, (move,), 1, shown), "all would fit, whatever the planner says"
    limits = (24, 40, 12)
    tight = replace(draft.snapshot, facts=tuple(
        replace(fact, declared=replace(fact.declared, memory_limit=Bytes(gib * GIB)))
        for fact, gib in zip(draft.snapshot.facts, limits, strict=True)))
    wrong = check_plan(tight, (move,), 1, shown)
    assert len(wrong) == 1, wrong
    assert wrong[0].startswith("if h2 died: ")
    assert "0 B without the plan" in wrong[0]
    assert not check_plan(tight, (replace(move, reserve_waived=True),), 1, shown), "it may use the reserve"


@pytest.mark.parametrize(("gib", "why"), [(9, "failover-reserve"), (5, "")])
def test_who_is_to_be_emptied_carries_nobody_who_lost_his_host(gib: int, why: str) -> None:
    builder = a_cluster().host("h1", 40).running("a", 8)
    for h in (2, 3):
        builder = builder.host(f"h{h}", 40).running(f"h{h}v1", gib).running(f"h{h}v2", gib)
    t = table(builder).warm_up()
    t.burn_on(400.0)
    snapshot = t.controller._last
    assert snapshot is not None
    intent = Intent(IntentKind.EMPTY, HostName("h1"), "nights", "", Health.HEALTHY, t.now, fill=Fill(0.9, 0.9, 0.9))
    _, noes = emptied(begin(snapshot, t.controller.ledger, POLICIES), intent)
    assert bool(noes) is bool(why), noes
    assert why in "".join(no.detail for no in noes)
    made = plan(snapshot, t.controller.ledger, (intent,), POLICIES)
    assert bool(made.moves) is not bool(why), "nor while it goes on"


@pytest.mark.parametrize("failover_domain", ["host", "rack"])
def test_a_vm_that_has_nothing_but_huge_pages_needs_no_ordinary_room(failover_domain: str) -> None:
    pool = Hardware(pools=(PagePool(Bytes(2 * MIB), 16 * 512),))
    paged = Needs((Backing(Bytes(2 * MIB), Bytes(8 * GIB)),))
    builder = a_cluster()
    for name, rack in (("h1", "r1"), ("h2", "r1"), ("h3", "r2")):
        builder = builder.host(name, 40, rack=rack).described(pool)
        builder = builder.running(f"{name}p", 8, needs=paged).running(f"{name}o", 4)
    policies = replace(POLICIES, limits=replace(POLICIES.limits, failover_domain=failover_domain))
    t = table(builder, policies).warm_up()
    snapshot = t.controller._last
    assert snapshot is not None
    drain = Intent(IntentKind.DRAIN, HostName("h1"), OPERATOR, "", Health.HEALTHY, t.now)
    made = plan(snapshot, t.controller.ledger, (drain,), policies)
    assert sorted(move.vm_name for move in made.moves) == ["h1o", "h1p"]


BY_RACK = replace(POLICIES, limits=replace(POLICIES.limits, failover_domain="rack"))


def racked(*hosts: tuple[str, str, int, tuple[int, ...]], policies: PolicySet = BY_RACK) -> Draft:
    """Return a draft on hosts: name, rack ("" for none), GiB for VMs and the sizes of those it has."""
    builder = a_cluster()
    for name, rack, gib, vms in hosts:
        builder = builder.host(name, gib, **({"rack": rack} if rack else {}))
        for number, size in enumerate(vms):
            builder = builder.running(f"{name}v{number}", size)
    t = table(builder, policies).warm_up()
    t.burn_on(400.0)
    snapshot = t.controller._last
    assert snapshot is not None
    return begin(snapshot, t.controller.ledger, policies)


TWO_RACKS = (("h1", "r1", 40, (10, 10)), ("h2", "r1", 40, (10,)), ("h3", "r2", 50, (20,)), ("h4", "r2", 50, (25,)))


def lands(packing: Packing) -> set[int]:
    return {row for _, row in packing.placed}


def test_the_vms_of_a_rack_go_to_other_racks_all_of_them() -> None:
    first, second = racked(*TWO_RACKS).reserve.packings
    assert (sizes(first), lands(first), first.lost) == ([10, 10, 10], {2}, ())
    assert (sizes(second), lands(second), second.lost) == ([20, 25], {0, 1}, ())


def test_a_host_without_the_label_is_a_domain_of_its_own() -> None:
    draft = racked(("h1", "r1", 40, (8,)), ("h2", "", 40, (4,)), ("h3", "r1", 40, (2,)), ("h4", "", 40, ()))
    packings = draft.reserve.packings
    assert [sizes(packing) for packing in packings] == [[2, 8], [4], []]
    assert lands(packings[0]) <= {1, 3}


@pytest.mark.parametrize(("policies", "why"), [
    (POLICIES, ""), (BY_RACK, "if rack=r2 died then, 10.0 GiB of its VMs would fit nowhere (now 0 B)")])
def test_a_rack_needs_room_where_each_host_of_it_would_have_some(policies: PolicySet, why: str) -> None:
    draft = racked(*TWO_RACKS, policies=policies)
    worse = draft.reserve.worse_after(10 * GIB, 2, 0)
    assert ("" if worse is None else worse.words()) == why


def test_a_refusal_of_a_plan_names_the_rack() -> None:
    draft = racked(("h1", "r1", 40, (10, 10)), ("h2", "r1", 12, (10,)), *TWO_RACKS[2:])
    _, noes = emptied(draft, Intent(IntentKind.DRAIN, HostName("h1"), OPERATOR, "", Health.HEALTHY, draft.snapshot.now))
    assert "if rack=r2 died then, " in noes[0].detail, noes


def test_a_move_within_a_rack_takes_nothing_from_it() -> None:
    """Neither rack may die, each for one VM that is too large for the other. All that fits there takes what is left."""
    draft = racked(("h1", "r1", 60, (10, 45)), ("h2", "r1", 60, (12,)), ("h3", "r2", 60, (38,)), ("h4", "r2", 60, (58,)))
    before = draft.reserve.packings
    assert [packing.lost for packing in before] == [(45 * GIB,), (58 * GIB,)]
    across = draft.reserve.worse_after(10 * GIB, 2, SOURCE)
    assert across is not None
    assert across.words() == "if rack=r1 died then, 55.0 GiB of its VMs would fit nowhere (now 45.0 GiB)"
    assert draft.reserve.worse_after(10 * GIB, TARGET, SOURCE) is None
    draft.move(0, SOURCE, TARGET)
    assert [(sizes(packing), packing.lost) for packing in draft.packings] == [(sizes(one), one.lost) for one in before]
    assert not check_plan(draft.snapshot, (a_move(draft.snapshot),), 1, draft.packings, "rack")


def test_the_checker_adds_up_racks_by_itself() -> None:
    draft = racked(("h1", "r1", 50, (10, 10)), ("h2", "r1", 50, (10,)), *TWO_RACKS[2:])
    move, size = a_move(draft.snapshot), int(draft.snapshot.vms.memory[0])
    assert draft.reserve
    draft.move(0, SOURCE, TARGET)
    first, second = draft.packings
    assert not check_plan(draft.snapshot, (move,), 1, (first, second), "rack")
    by_host = tuple(replace(first, placed=first.placed[:1]) for _ in draft.snapshot.facts)
    mate = replace(first, placed=((size, TARGET), *first.placed[1:]))
    for wrong, domain in (((first, second), "host"), (by_host, "rack"), ((second, first), "rack"), ((mate, second), "rack")):
        assert check_plan(draft.snapshot, (move,), 1, wrong, domain), (wrong, domain)
    told = check_plan(draft.snapshot, (move,), 1, (mate, second), "rack")
    assert told == ("if rack=r1 died: its VMs are packed onto itself",)


def test_the_checker_objects_to_more_of_a_rack_that_is_stranded() -> None:
    draft = racked(*TWO_RACKS)
    crosses = replace(a_move(draft.snapshot), target=HostName("h3"))
    assert draft.reserve
    draft.move(0, SOURCE, 2)
    assert draft.packings[1].stranded == 10 * GIB
    wrong = check_plan(draft.snapshot, (crosses,), 1, draft.packings, "rack")
    assert wrong == (f"if rack=r2 died: {10 * GIB} B would be stranded, 0 B without the plan",)


def test_a_host_without_which_a_rack_could_not_die_is_not_emptied_though_its_vms_fit() -> None:
    """With h4 two of the three of r1 have room elsewhere, without it one. Its own VM is so small that moving it away takes
    room for none of them: what is refused is that nobody counts on h4 any more."""
    hosts = (("h1", "r1", 60, (20, 20)), ("h2", "r1", 60, (20,)), ("h3", "r2", 40, (5,)), ("h4", "r2", 40, (5,)))
    intent = IntentKind.EMPTY, HostName("h4"), "nights", "", Health.HEALTHY
    draft = racked(*hosts)
    _, noes = emptied(draft, Intent(*intent, draft.snapshot.now))
    assert [(no.kind, no.host, no.detail) for no in noes] == [
        (RefusalKind.FAILOVER_RESERVE, "h4", "without it, if rack=r1 died then, 40.0 GiB of its VMs would fit nowhere (now "
         "20.0 GiB)")]
    for policies in (POLICIES, replace(BY_RACK, limits=replace(BY_RACK.limits, failover_hosts=0))):
        draft = racked(*hosts, policies=policies)
        assert not emptied(draft, Intent(*intent, draft.snapshot.now))[1]
