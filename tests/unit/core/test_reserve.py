"""Any one host may die: what plans rest that on, and what the checker thinks of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ballastd.core.checking import check_plan
from ballastd.core.drafting import Draft, begin
from ballastd.core.intents import Intent, IntentKind
from ballastd.core.planning import emptied
from ballastd.core.plans import Move
from ballastd.core.policies import Health
from ballastd.core.quantities import GIB, Bytes, HostName, Seconds
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
    assert not check_plan(draft.snapshot, (a_move(draft.snapshot),), 1, (), draft.packings)


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
    assert not check_plan(draft.snapshot, (move,), 1, (), after)
    assert not check_plan(draft.snapshot, (replace(move, reserve_waived=True),), 1), "who may use the reserve shows nothing"
    assert not check_plan(draft.snapshot, (move,), 0), "nor who keeps none"
    size = int(draft.snapshot.vms.memory[1])
    onto_itself = replace(after[SOURCE], placed=((size, SOURCE),))
    forgotten = replace(after[SOURCE], placed=())
    for wrong in ((), before, (onto_itself, *after[1:]), (forgotten, *after[1:])):
        assert check_plan(draft.snapshot, (move,), 1, (), wrong), wrong


def test_the_checker_names_a_target_that_nobody_declared() -> None:
    draft = a_draft()
    move = replace(a_move(draft.snapshot), target=HostName("elsewhere"))
    assert any("two declared hosts" in line for line in check_plan(draft.snapshot, (move,), 1, (), draft.reserve.packings))


def test_the_checker_adds_up_what_is_left_with_all_that_arrives() -> None:
    draft = a_draft()
    move = a_move(draft.snapshot)
    assert draft.reserve
    draft.move(0, SOURCE, TARGET)
    full = tuple(replace(fact, declared=replace(fact.declared, memory_limit=Bytes(20 * GIB))) if number == TARGET else fact
                 for number, fact in enumerate(draft.snapshot.facts))
    there = replace(draft.packings[SOURCE], placed=tuple((size, TARGET) for size, _ in draft.packings[SOURCE].placed))
    shown = (there, *draft.packings[1:])
    assert not check_plan(draft.snapshot, (move,), 1, (), shown)
    wrong = check_plan(replace(draft.snapshot, facts=full), (move,), 1, (), shown)
    assert any("if h1 died" in line for line in wrong), wrong


def test_the_checker_gives_nobody_more_than_the_machine_itself_has_left() -> None:
    draft = a_draft()
    move = a_move(draft.snapshot)
    assert draft.reserve
    draft.move(0, SOURCE, TARGET)
    assert not check_plan(draft.snapshot, (move,), 1, (), draft.packings)
    used_up = tuple(replace(fact, inventory=replace(fact.inventory, memory_free=Bytes(GIB))) if number == TARGET
                    and fact.inventory is not None else fact for number, fact in enumerate(draft.snapshot.facts))
    wrong = check_plan(replace(draft.snapshot, facts=used_up), (move,), 1, (), draft.packings)
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
    assert not check_plan(draft.snapshot, (move,), 1, (), shown), "all would fit, whatever the planner says"
    limits = (24, 40, 12)
    tight = replace(draft.snapshot, facts=tuple(
        replace(fact, declared=replace(fact.declared, memory_limit=Bytes(gib * GIB)))
        for fact, gib in zip(draft.snapshot.facts, limits, strict=True)))
    wrong = check_plan(tight, (move,), 1, (), shown)
    assert len(wrong) == 1, wrong
    assert wrong[0].startswith("if h2 died: ")
    assert "0 B without the plan" in wrong[0]
    assert not check_plan(tight, (replace(move, reserve_waived=True),), 1, (), shown), "it may use the reserve"


@pytest.mark.parametrize(("gib", "why"), [(9, "failover-reserve"), (5, "")])
def test_who_is_to_be_emptied_carries_nobody_who_lost_his_host(gib: int, why: str) -> None:
    builder = a_cluster().host("h1", 40).running("a", 8)
    for h in (2, 3):
        builder = builder.host(f"h{h}", 40).running(f"h{h}v1", gib).running(f"h{h}v2", gib)
    t = table(builder).warm_up()
    t.burn_on(400.0)
    snapshot = t.controller._last
    assert snapshot is not None
    intent = Intent(IntentKind.EMPTY, HostName("h1"), "nights", "", Health.HEALTHY, t.now)
    _, noes = emptied(begin(snapshot, t.controller.ledger, POLICIES), intent)
    assert bool(noes) is bool(why), noes
    assert why in "".join(no.detail for no in noes)
