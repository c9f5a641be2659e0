"""What VMs dirty decides what a move costs and whether it is begun, and only where it is known."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ballastd.core import events as ev
from ballastd.core.calibration import attempts, attempts_of, calibrated
from ballastd.core.dirtying import SHOWN_SECONDS, shown, with_rate
from ballastd.core.inputs import CallReturned, ProgressSeen
from ballastd.core.inventory import Dirtying, Progress
from ballastd.core.ledger import Ledger
from ballastd.core.migrations import CallResult, Ending, Failure
from ballastd.core.plans import DeferralKind, RefusalKind
from ballastd.core.policies import AutoConverge, Limits
from ballastd.core.prediction import HANDOVER_SECONDS, predict
from ballastd.core.quantities import GIB, MIB, Bytes, HostName, Instant, Seconds
from tests.builders import POLICIES, Table, a_cluster, four_hosts, table, vm_id
from tests.unit.core.test_calibration import H1, H2, H3, LATER, done
from tests.unit.core.test_cooling import LOCAL, RELIEVED, advising, planned, two_hot, warmed

BUSY = Dirtying(900.0)


def ended(wall: float, **changed: object) -> ev.MigrationSettled:
    return replace(ev.MigrationSettled(wall, "0-1", Ending.ABORTED), **changed)  # type: ignore[arg-type]


def job(dirty: float, *, rate: float = 100.0, iteration: int = 3) -> Progress:
    return Progress(10.0, Bytes(GIB), Bytes(GIB), Bytes(MIB), iteration, dirty * MIB, rate * MIB, 0.3)


@pytest.mark.parametrize(("seen", "slowed", "said"), [
    (job(20.0), False, Dirtying(20.0)),
    (job(90.0), False, Dirtying(90.0, at_least=True)),
    (job(20.0), True, Dirtying(20.0, at_least=True)),
    (job(0.0, iteration=1), False, None),
    (job(20.0, rate=0.0), False, None),
    (None, False, None)])
def test_the_last_round_of_a_job_says_what_its_vm_dirtied(
        seen: Progress | None, slowed: bool, said: Dirtying | None) -> None:
    ledger = Ledger()
    ledger.migrations["0-1"] = replace(done(10.0), auto_converge=slowed)
    event = with_rate(ended(1000.0), ledger, {"0-1": ProgressSeen("0-1", seen, Instant(0.0, 1000.0, "boot"))})
    assert isinstance(event, ev.MigrationSettled)
    assert event.dirtied == said


def test_that_is_in_the_journal_and_is_read_again() -> None:
    event = ended(1000.0, dirtied=Dirtying(20.0, at_least=True))
    assert ev.from_record(ev.to_record(event)) == event
    older = {key: value for key, value in ev.to_record(ended(1000.0)).items() if key != "dirtied"}
    assert ev.from_record(older) == ended(1000.0), "as it was written before there was such a thing"


def test_the_newest_migration_of_a_vm_speaks_for_a_day() -> None:
    failed = done(10.0, ending=Ending.ABORTED, dirtied=BUSY)
    assert shown([failed], 1000.0) == {vm_id("a"): BUSY}
    assert shown([failed], 1011.0) == {}
    calm = Dirtying(20.0)
    assert shown([failed, done(11.0, dirtied=calm)], 0.0) == {vm_id("a"): calm}
    assert shown([failed, done(11.0, ending=Ending.FAILED)], 0.0) == {vm_id("a"): BUSY}, "that one showed nothing"


def test_who_arrived_though_it_seemed_not_to_converge_is_not_known_any_more() -> None:
    failed, floor = done(10.0, ending=Ending.ABORTED, dirtied=BUSY), Dirtying(99.0, at_least=True)
    assert shown([failed, done(11.0, dirtied=floor)], 0.0) == {}
    assert shown([failed, done(11.0)], 0.0) == {}
    for forced in ({"auto_converge": True}, {"post_copy_because": "its host fails"}):
        assert shown([failed, done(11.0, dirtied=floor, **forced)], 0.0) == {vm_id("a"): floor}, "that is why it arrived"


def test_who_never_converges_is_not_balanced_and_others_leave_in_its_place() -> None:
    t = warmed(two_hot(), advising(), **{f"b{h}{i}": 3.6 for h in (1, 2) for i in range(4)})
    first = sorted(planned(t))
    t.dirtying[first[0]] = 900.0
    t.step()
    moves = t.step().view.moves
    assert len(moves) == len(first)
    assert first[0] not in {move.vm_name for move in moves}


def alone_and_busy(rate: float | None, limits: Limits = POLICIES.limits) -> Table:
    """Return a hot host of which one VM alone can leave."""
    builder = a_cluster().host("h1").running("only", 8).running("pinned", 8, pins=(LOCAL,)).idlers(2, 3, 4, gib=4)
    t = warmed(builder, replace(advising(), limits=limits), only=7.0, pinned=7.0)
    if rate is not None:
        t.dirtying["only"] = rate
    t.quiet_for(600.0)
    return t


def test_it_is_said_at_which_rate_and_at_which_bandwidth() -> None:
    view = alone_and_busy(650.0).step().view
    assert not view.moves
    [against] = {one.detail for no in view.noes for one in no.against if one.kind == RefusalKind.NEVER_CONVERGES.value}
    assert against == ("dirties its memory at 650 MiB/s, as was measured: copied at 600 MiB/s, what is left never fits into "
                       "the 500 ms for which it may stand still")
    assert any("never-converges: give migrations more bandwidth" in no.cure for no in view.noes)


@pytest.mark.parametrize("rate", [None, 0.0, 580.0])
def test_who_converges_or_is_not_known_is_moved(rate: float | None) -> None:
    assert [move.vm_name for move in alone_and_busy(rate).step().view.moves] == ["only"]


@pytest.mark.parametrize(("rate", "limits", "orders"), [
    (None, POLICIES.limits, 2), (200.0, POLICIES.limits, 2), (400.0, POLICIES.limits, 1),
    (400.0, replace(POLICIES.limits, auto_converge=AutoConverge.ALWAYS), 2)])
def test_who_would_not_end_at_half_the_link_has_it_alone(rate: float | None, limits: Limits, orders: int) -> None:
    builder = a_cluster().host("h1").running("a", 8).running("b", 8).running("pinned", 8, pins=(LOCAL,))
    t = warmed(builder.idlers(2, 3, 4, gib=4), replace(RELIEVED, limits=limits), a=4.0, b=4.0, pinned=7.0)
    if rate is not None:
        t.dirtying |= {"a": rate}
    begun = []
    for _ in range(40):
        decision = t.wait(20.0).step()
        begun += decision.orders
        if begun:
            break
    assert len(begun) == orders
    held = {no.detail for no in decision.view.noes if no.kind == DeferralKind.BANDWIDTH.value}
    assert held == ({"300 MiB/s would be left for a, which dirties its memory at 400 MiB/s, as was measured"}
                    if orders == 1 else set())
    for order in begun:
        t.begin(order)
    assert all(not t.wait(1.0).step().orders for _ in range(5)), "not beside it either, once it is under way"


@pytest.mark.parametrize(("rate", "begins"), [(400.0, False), (900.0, True)])
def test_who_never_ends_anyway_keeps_nobody_waiting(rate: float, begins: bool) -> None:
    builder = a_cluster().host("h1").running("a", 8).running("b", 8).running("pinned", 8, pins=(LOCAL,))
    t = warmed(builder.idlers(2, 3, 4, gib=4), replace(RELIEVED, limits=POLICIES.limits), a=4.0, b=5.0, pinned=7.0)
    t.dirtying["a"] = rate
    t.step()
    t.fly("a", "h1", "h4")
    begun = [order.move.vm_name for decision in t.quiet_for(700.0) for order in decision.orders]
    assert ("b" in begun) is begins


def test_who_may_be_slowed_down_is_moved() -> None:
    t = alone_and_busy(900.0, replace(POLICIES.limits, auto_converge=AutoConverge.ALWAYS))
    assert [move.vm_name for move in t.step().view.moves] == ["only"]


def test_a_move_costs_what_is_copied_again_and_says_for_how_long_its_vm_stands_still() -> None:
    [calm], [busy] = (alone_and_busy(rate).step().view.moves for rate in (None, 300.0))
    assert calm.account is not None
    assert busy.account is not None
    assert [one.name for one in calm.account.costs] == [
        "memory to copy", "time on the link", "processors of both ends meanwhile"]
    costs = {one.name: one.amount for one in busy.account.costs}
    assert costs["memory to copy"] == 8 * GIB
    assert 7 * GIB < costs["memory to copy again"] <= 8 * GIB, "half of what the round before copied, each time"
    assert costs["time on the link"] == pytest.approx(2 * calm.predicted, rel=0.1)
    assert HANDOVER_SECONDS < costs["standstill at the end"] <= HANDOVER_SECONDS + 0.1
    assert busy.predicted == costs["time on the link"]


def test_a_plan_tells_of_the_standstill_as_it_is_foretold() -> None:
    t = alone_and_busy(300.0)
    [before] = t.step().view.moves
    for number in range(5):
        t.controller.ledger.settled.append(done(
            10.0, number=number, settled_wall=t.now.wall - 7200.0, downtime_reckoned_ms=40.0, downtime_took_ms=80.0))
    [after] = t.wait(20.0).step().view.moves
    stands = [next(one.amount for one in move.account.costs if one.name == "standstill at the end")
              for move in (before, after) if move.account is not None]
    assert stands[1] == pytest.approx(2 * stands[0], abs=0.001)


def test_the_one_that_dirties_less_leaves() -> None:
    for dirtying, leaves in (({}, "a"), ({"a": 200.0}, "b"), ({"b": 0.0}, "a")):
        t = warmed(a_cluster().host("h1").running("a", 8).running("b", 8).idlers(2, 3, 4, gib=4), advising(), a=7.0, b=7.0)
        t.dirtying.update(dirtying)
        assert sorted(planned(t)) == [leaves], dirtying


def test_who_failed_to_arrive_is_left_where_it_is_if_another_one_will_do() -> None:
    t = warmed(a_cluster().host("h1").running("a", 8).running("b", 8).idlers(2, 3, 4, gib=4), advising(), a=7.0, b=7.0)
    t.controller.ledger.failures[vm_id("a")] = (Failure(t.now.wall, HostName("h4"), Ending.FAILED),)
    assert sorted(planned(t)) == ["b"]


def failing(**dirtying: float) -> Table:
    t = table(four_hosts(), POLICIES).warm_up()
    t.show("h1", "ecc.uncorrected", 0.0)
    t.settle()
    t.dirtying.update(dirtying)
    t.step()
    return t.show("h1", "ecc.uncorrected", 1.0)


def test_a_failing_host_is_left_all_the_same_the_calm_ones_first() -> None:
    name = min(record.name for record in table(four_hosts(), POLICIES).world["h1"].values())
    names = [move.vm_name for move in failing(**{name: 900.0}).step().view.moves]
    assert names[-1] == name
    assert len(names) == 3


def test_an_order_is_reckoned_with_what_its_vm_dirties_at_the_bandwidth_that_was_granted() -> None:
    t = failing(**{f"v1{i}": 100.0 for i in range(3)} | {record.name: 100.0 for record in
                   table(four_hosts(), POLICIES).world["h1"].values()})
    orders = t.step().orders
    assert orders
    for m in t.controller.ledger.open_migrations():
        assert m.reckoned == m.predicted > 1.2 * predict(m.memory, m.bandwidth_mib_s)
        assert m.downtime_predicted_ms is not None
        assert 20.0 < m.downtime_predicted_ms <= 120.0


def test_how_long_a_vm_stood_still_is_booked_and_shown() -> None:
    t = failing()
    order = t.step().orders[0]
    t.begin(order).wait(5.0)
    view = t.step(CallReturned(order.id, CallResult.OK, "", t.now, Seconds(0.0384))).view
    assert next(m for m in view.migrations if m.id == order.id).downtime_took_ms == 38.4


def test_one_more_attempt_is_taken_to_arrive() -> None:
    assert [attempts(tried, failed) for tried, failed in ((0, 0), (9, 0), (1, 1), (9, 1))] == [1.0, 1.0, 2.0, 10 / 9]
    failures = [Failure(1.0, H2, Ending.FAILED), Failure(2.0, H2, Ending.ABORTED), Failure(3.0, H2, Ending.REFUSED),
                Failure(4.0, H2, Ending.FAILED, withheld=True)]
    assert attempts_of(failures) == 3.0, "who was refused or not let begin copied nothing"


def test_a_pair_whose_moves_failed_costs_more_for_a_day() -> None:
    settled = [done(12.0), done(12.0, ending=Ending.FAILED, called=CallResult.ERROR)]
    known = calibrated(settled, LATER)
    assert known.risk(H1, H2) == 3 / 2
    assert known.risk(H2, H1) == known.risk(H1, H3) == 1.0
    assert calibrated(settled, LATER + SHOWN_SECONDS).risk(H1, H2) == 1.0
    given_up = done(12.0, ending=Ending.ABORTED, overran=True)
    assert calibrated([given_up], LATER).risk(H1, H2) == 1.0, "that is its VM's own doing"


@pytest.mark.parametrize(("took", "risk"), [(14.0, 1.0), (16.0, 1.6), (90.0, 3.0)])
def test_a_pair_whose_moves_take_much_longer_costs_more(took: float, risk: float) -> None:
    assert calibrated([done(took)] * 3, LATER).risk(H1, H2) == pytest.approx(risk)
    assert calibrated([done(took)] * 2, LATER).risk(H1, H2) == 1.0, "two say little"


def test_how_long_vms_stood_still_corrects_what_is_foretold() -> None:
    some = [done(10.0, downtime_reckoned_ms=40.0, downtime_took_ms=took) for took in (50.0, 60.0, 400.0)]
    assert calibrated(some, LATER).downtime(20.0, H1, H2) == 30.0
    assert calibrated(some, LATER).downtime(None, H1, H2) is None
    assert calibrated(some[:2], LATER).downtime(20.0, H1, H2) == 20.0


def test_who_was_reckoned_with_what_it_dirties_is_compared_with_that() -> None:
    assert calibrated([done(20.0, reckoned=20.0)] * 3, LATER).factor(H1, H2) == 1.0


def test_a_bad_pair_is_shunned_by_routine_moves_and_it_is_said() -> None:
    def hot() -> Table:
        return warmed(a_cluster().host("h1").running("a", 8).running("b", 8).idlers(2, 3, gib=4), advising(), a=7.0, b=7.0)

    [(_, target)] = planned(hot()).values()
    t = hot()
    t.controller.ledger.settled.append(replace(
        done(12.0, HostName(target), ending=Ending.FAILED, vm=vm_id("other")), settled_wall=t.now.wall))
    [(_, other)] = planned(t).values()
    assert other != target
    assert [(pair.target, pair.failed, pair.risk) for pair in t.step().view.pairs] == [(target, 1, 2.0)]


def test_where_there_is_no_other_the_bad_pair_is_taken_and_the_account_says_what_that_costs() -> None:
    t = warmed(a_cluster().host("h1").running("a", 8).running("b", 8).idlers(2, gib=4), advising(), a=7.0, b=7.0)
    t.controller.ledger.settled.append(replace(
        done(12.0, ending=Ending.FAILED, vm=vm_id("other")), settled_wall=t.now.wall))
    planned(t)
    [move] = t.step().view.moves
    assert move.account is not None
    assert [one.amount for one in move.account.costs if one.unit == "times"] == [2.0]
    assert dict(move.account.chosen.terms)["risk, by how moves there went"] == -1000
    assert sum(points for _, points in move.account.chosen.terms) == move.account.chosen.points
