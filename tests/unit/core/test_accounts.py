"""What a plan says of its moves, term by term, and of those that it could not make, candidate by candidate."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ballastd.core import weighing
from ballastd.core.policies import PlacementPolicy, Rule, VmSelector
from ballastd.core.prediction import HANDSHAKE_SECONDS
from ballastd.core.quantities import GIB
from ballastd.core.views import MoveView
from tests.builders import POLICIES, Table, a_cluster, table, vm_id
from tests.unit.core.test_cooling import advising, warmed
from tests.unit.core.test_targets import two_targets


def moves_of(t: Table) -> dict[str, MoveView]:
    return {move.vm_name: move for move in t.step().view.moves}


def test_a_move_off_a_failing_host_says_what_is_brought_to_safety_and_what_that_copies() -> None:
    move = moves_of(two_targets())["v0"]
    assert move.account is not None
    assert [(one.name, one.amount, one.unit) for one in move.account.gains] == [
        ("memory off a host that fails", 8 * GIB, "B")]
    copied, takes = move.account.costs
    assert (copied.amount, copied.unit) == (8 * GIB, "B")
    assert takes.amount == move.predicted > HANDSHAKE_SECONDS


def test_a_target_and_the_next_best_are_weighed_term_by_term() -> None:
    first, second = (moves_of(two_targets(vms=2))[name].account for name in ("v0", "v1"))
    assert first is not None
    assert second is not None
    for account in (first, second):
        for weighed in (account.chosen, account.alternative):
            assert weighed is not None
            assert sum(points for _, points in weighed.terms) == weighed.points
    assert first.because == "they are equal, and the order of their names decides"
    assert second.alternative is not None
    fuller, emptier = dict(second.alternative.terms)["memory left"], dict(second.chosen.terms)["memory left"]
    assert emptier - fuller == 500, "8 of 64 GiB, four points for each thousandth: promised to the first one's target"
    assert second.because == "it has 500 points more"


def test_a_broken_wish_is_a_term_of_its_own() -> None:
    apart = PlacementPolicy("apart", VmSelector(names=("v*",)), Rule.APART, weight=3)
    builder = a_cluster().host("b").running("v1", 4).host("c", 32).host("h1").running("v0", 4)
    t = table(builder, replace(POLICIES, placement=(apart,)))
    t.show("h1", "ecc.uncorrected", 0.0, "D").warm_up()
    account = moves_of(t.show("h1", "ecc.uncorrected", 1.0, "D"))["v0"].account
    assert account is not None
    assert account.chosen.host == "c"
    assert account.alternative is not None
    assert dict(account.alternative.terms)["broken should-rules"] == -3 * 1000


def test_relief_says_what_it_takes_off_for_how_long_and_that_places_were_chosen_together() -> None:
    builder = a_cluster().host("h1").crowd("s", 4, 2).idlers(2, 3, 4, gib=2)
    t = warmed(builder, advising(), **{f"s{i}": 3.6 for i in range(4)})
    t.quiet_for(600.0)
    account = next(iter(moves_of(t).values())).account
    assert account is not None
    taken, stays, together = account.gains
    assert taken.unit == "of the host"
    assert taken.amount == pytest.approx(3.6 / 16, abs=0.02)
    assert together.amount == pytest.approx(taken.amount * stays.amount)
    assert together.amount > account.costs[-1].amount > 0, "or it would not be in the plan"
    assert account.because == "places for all moves of the plan are chosen together"


def test_who_can_go_nowhere_is_told_of_each_host() -> None:
    t = two_targets(gib=10, vms=3)
    t.step()
    [no] = t.wait(1.0).step().view.noes
    assert [(one.host, one.kind) for one in no.against] == [("b", "memory"), ("c", "memory")]
    assert {one.vm for one in no.against} == {vm_id("v2")}
    assert "8.0 GiB" in no.against[1].detail


def test_a_plan_that_had_to_tell_of_too_many_sums_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weighing, "TOLD_MAX", 3)
    t = two_targets(gib=4, vms=3)
    noes = t.step().view.noes
    assert [len(no.against) for no in noes] == [2, 0, 0]
    assert all("2 memory" in no.detail for no in noes)


def test_a_hot_host_that_nothing_can_leave_is_told_of_each_vm() -> None:
    builder = a_cluster().host("h1").crowd("s", 2, 2).host("h2", 2).running("i2", 1)
    t = warmed(builder, advising(), s0=7.6, s1=7.6)
    t.quiet_for(600.0)
    no = next(no for no in t.step().view.noes if no.kind == "no-gain")
    assert sorted(one.vm for one in no.against) == sorted((vm_id("s0"), vm_id("s1")))
    assert {one.kind for one in no.against} <= {"memory", "no-gain", "load"}
