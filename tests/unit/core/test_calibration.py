"""How long moves took teaches how long the next will: per pair of hosts, or all of them together."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ballastd.core.calibration import KEPT, MOST, calibrated
from ballastd.core.migration_explained import explain_migration
from ballastd.core.migrations import CallResult, Ending, Migration, MigrationPhase
from ballastd.core.prediction import predict
from ballastd.core.quantities import MIB, Bytes, HostName, Seconds
from tests.builders import POLICIES, four_hosts, table, vm_id

H1, H2, H3 = HostName("h1"), HostName("h2"), HostName("h3")
LATER = 2000.0


def done(took: float, target: HostName = H2, number: int = 0, **changed: object) -> Migration:
    """Return a move that ought to have taken ten seconds."""
    m = Migration(f"{number}-1", vm_id("a"), "a", H1, target, Bytes(930 * MIB), 100, "even", "because", 1000.0, 2000.0, 10.0,
                  MigrationPhase.SETTLED, called=CallResult.OK, called_wall=1000.0 + took, ending=Ending.COMPLETED,
                  settled_wall=1001.0 + took)
    return replace(m, **changed)  # type: ignore[arg-type]


def test_nobody_knows_anything_at_first() -> None:
    known = calibrated((), LATER)
    assert known.factor(H1, H2) == 1.0
    assert known.foretold(Seconds(7.0), H1, H2) == 7.0


def test_a_pair_speaks_for_itself_once_it_has_three_moves() -> None:
    known = calibrated([done(20.0), done(22.0)], LATER)
    assert known.factor(H1, H2) == 1.0, "two are not enough, nor are they for all"
    known = calibrated([done(20.0), done(22.0), done(30.0)], LATER)
    assert known.factor(H1, H2) == pytest.approx(2.2)
    assert known.factor(H2, H1) == 1.0, "the other way is another pair"


def test_all_together_speak_for_a_pair_that_cannot() -> None:
    known = calibrated([done(12.0), done(12.0), done(12.0), done(14.0, H3), done(14.0, H3)], LATER)
    assert known.factor(H1, H3) == pytest.approx(1.2), "two of its own are not enough"
    assert known.factor(H3, H2) == pytest.approx(1.2)


def test_one_move_that_took_ten_times_as_long_says_nothing() -> None:
    assert calibrated([done(12.0), done(12.0), done(120.0)], LATER).factor(H1, H2) == pytest.approx(1.2)


@pytest.mark.parametrize(("took", "factor"), [(1.0, 0.5), (100.0, MOST)])
def test_what_no_hosts_could_be_is_bounded(took: float, factor: float) -> None:
    assert calibrated([done(took)] * 3, LATER).factor(H1, H2) == factor


def test_the_newest_count() -> None:
    assert calibrated([done(30.0)] * 50 + [done(11.0)] * KEPT, LATER).factor(H1, H2) == pytest.approx(1.1)


@pytest.mark.parametrize("changed", [
    {"ending": Ending.ABORTED}, {"called": CallResult.ERROR}, {"called": None, "called_wall": None}, {"retuned": True},
    {"post_copy_because": "its host fails"}])
def test_what_did_not_arrive_or_was_not_watched_teaches_nothing(changed: dict[str, object]) -> None:
    assert calibrated([done(30.0, **changed)] * 9, LATER).factor(H1, H2) == 1.0


def test_the_next_move_is_foretold_by_how_long_others_took_and_its_deadline_is_not() -> None:
    stand = table(four_hosts(), POLICIES).warm_up()
    stand.show("h1", "ecc.uncorrected", 0.0)
    stand.settle()
    fresh = [order for decision in stand.settle(2) for order in decision.orders]
    assert not fresh
    for number in range(5):
        stand.controller.ledger.settled.append(done(20.0, number=number))
    stand.show("h1", "ecc.uncorrected", 1.0)
    decisions = stand.settle(4)
    orders = [order for decision in decisions for order in decision.orders]
    assert orders
    assert {order.deadline for order in orders} == {8 * 150.0}
    booked = stand.controller.ledger.open_migrations()
    assert booked
    for m in booked:
        assert m.predicted == pytest.approx(2.0 * predict(m.memory, m.bandwidth_mib_s))
    assert [(one.source, one.moves, one.took, one.factor) for one in decisions[-1].view.pairs] == [
        ("", 5, 2.0, 2.0), ("h1", 5, 2.0, 2.0)]


@pytest.mark.parametrize(("past", "told"), [
    ([done(13.0)] * 3, "3 moves from h1 to h2 took 1.30 times what was reckoned"),
    ([done(4.0)] * 3, "3 moves from h1 to h2 took 0.40 times what was reckoned; what is reckoned is multiplied by 0.50"),
    ([done(20.0, H3)] * 5, "5 moves of all hosts took 2.00 times what was reckoned; what is reckoned is multiplied by 2.00"),
    ([done(20.0, H3)] * 5 + [done(30.0)],
     "1 moves from h1 to h2 took 3.00 times what was reckoned; what is reckoned is multiplied by 2.00"),
    ([done(20.0, ending=Ending.FAILED)],
     "no move from h1 to h2 has arrived that could be compared with what was reckoned; 1 of 1 failed within the last day; "
     "a routine move there costs 2.0 times as much"),
    ([], None)])
def test_it_is_told_by_what_a_prediction_was_corrected(past: list[Migration], told: str | None) -> None:
    t = table(four_hosts(), POLICIES).warm_up()
    t.controller.ledger.settled.extend(replace(one, settled_wall=t.now.wall - 60.0) for one in past)
    m = replace(done(20.0, number=9), phase=MigrationPhase.RUNNING, ending=None, settled_wall=None, called=None)
    t.controller.ledger.migrations[m.id] = m
    view = t.wait(1.0).step().view
    migration = next(one for one in view.migrations if one.id == m.id)
    said = [one.text for part in explain_migration(view, migration).sections for one in part.statements
            if one.kind == "experience"]
    assert said == ([] if told is None else [told])
