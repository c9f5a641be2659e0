"""Migrations whose VM dirties its memory: how long it may stand still at the end, and when they are given up."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ballastd.core import events as ev
from ballastd.core.convergence import Convergence, Eased, ladder
from ballastd.core.inputs import ProgressSeen
from ballastd.core.inventory import Pin, PinKind, Progress, VmRecord, VmState
from ballastd.core.ledger import Ledger
from ballastd.core.migrations import MigrationPhase
from ballastd.core.policies import Limits
from ballastd.core.prediction import remaining
from ballastd.core.quantities import GIB, MIB, Bytes, HostName, Instant, Seconds
from tests.builders import POLICIES, four_hosts, table, vm_id

LIMITS = Limits()
H1, H2 = HostName("h1"), HostName("h2")
RATE = 100 * MIB


def a_ledger(downtime_ms: int, *, auto_converge: bool) -> Ledger:
    ledger = Ledger()
    ledger.apply(ev.MigrationOrdered(0.0, "1-1", vm_id("a"), "a", H1, H2, Bytes(2 * GIB), 100, "even", "because", 900.0,
                                     21.0, downtime_ms=downtime_ms, auto_converge=auto_converge))
    ledger.apply(ev.MigrationMoved(0.0, "1-1", MigrationPhase.RUNNING))
    return ledger


def progress(iteration: int, needed: float, copied: int, dirty: float = 90.0) -> Progress:
    """``needed``: seconds of standstill that the last round would have taken."""
    return Progress(1.0, Bytes(2 * GIB), Bytes(copied), Bytes(int(needed * RATE)), iteration, dirty * MIB, float(RATE),
                    needed)


class Course:
    """One migration, followed second by second; what is decided is booked."""

    def __init__(self, limits: Limits = LIMITS, wish: int | None = None, downtime_ms: int = 100, *,
                 auto_converge: bool = False) -> None:
        self.ledger, self.convergence = a_ledger(downtime_ms, auto_converge=auto_converge), Convergence()
        self.limits = limits
        self.record: VmRecord | None = VmRecord(vm_id("a"), "a", VmState.RUNNING, Bytes(2 * GIB), downtime_max_ms=wish)
        self.at, self.copied = 0.0, 0
        self.peaks: dict[str, int] = {}

    def see(self, iteration: int, needed: float, seconds: float = 1.0, *, moves: bool = True, held: bool = False,
            lag: float = 0.0, remaining: int | None = None) -> Eased:
        self.at += seconds
        self.copied += RATE if moves else 0
        now = Instant(self.at, self.at, "boot")
        shown = progress(iteration, needed, self.copied)
        shown = shown if remaining is None else replace(shown, memory_remaining=Bytes(remaining))
        seen = ProgressSeen("1-1", shown, Instant(self.at - lag, self.at - lag, "boot"))
        eased = self.convergence.follow(self.ledger, {"1-1": seen}, lambda _: self.record, self.limits, self.peaks, 7, now,
                                        lambda _: held)
        for event in eased.events:
            self.ledger.apply(event)
        return eased

    @property
    def allowed(self) -> int:
        return self.ledger.migrations["1-1"].downtime_ms


def told(eased: Eased) -> list[int]:
    return [order.downtime_ms for order in eased.orders]


@pytest.mark.parametrize(("most", "wish", "steps"), [
    (500, None, (100, 150, 200, 300, 400, 500)), (1000, None, (100, 150, 200, 300, 400, 500, 700, 1000)),
    (250, None, (100, 150, 200, 250)), (500, 120, (100, 120)), (500, 40, (40,)), (80, 400, (80,)), (100, None, (100,))])
def test_the_steps_end_with_what_limits_and_owners_allow(most: int, wish: int | None, steps: tuple[int, ...]) -> None:
    assert ladder(replace(LIMITS, downtime_max_ms=most), wish) == steps


def test_rounds_that_become_better_change_nothing() -> None:
    course = Course()
    for number, needed in enumerate((4.0, 3.0, 2.2, 1.6, 1.1, 0.8, 0.5), 2):
        eased = course.see(number, needed, seconds=needed)
        assert (eased.events, eased.orders, eased.hopeless) == ((), (), {})
    assert course.allowed == 100


def test_a_round_that_was_no_better_gives_as_much_as_it_needed() -> None:
    course = Course()
    course.see(2, 0.35)
    course.see(3, 0.345)
    assert course.see(3, 0.345).orders == (), "it is not over"
    eased = course.see(4, 0.345)
    assert [(event.downtime_ms, event.needed_ms) for event in eased.events] == [(400, 345)]
    assert [(order.migration, order.source, order.downtime_ms) for order in eased.orders] == [("1-1", H1, 400)]


def test_what_is_said_before_a_round_was_measured_counts_for_nothing() -> None:
    # QEMU counts rounds up first, and says how long a standstill would take later: here the limit, then the round before
    course = Course()
    course.see(1, 0.1)
    course.see(2, 0.1)
    for number, (stale, needed) in enumerate(((0.1, 3.0), (3.0, 2.2), (2.2, 1.6), (1.6, 1.2), (1.2, 1.0), (1.0, 0.9)), 2):
        course.see(number, stale)
        for _ in range(11):
            eased = course.see(number, needed)
            assert (eased.orders, eased.hopeless) == ((), {})
    assert course.allowed == 100


def test_the_limit_itself_is_no_measure_of_a_round() -> None:
    course = Course()
    for number, needed in enumerate((0.1, 3.0, 2.2, 1.6, 1.2), 2):
        eased = course.see(number, needed)
        assert (eased.events, eased.hopeless) == ((), {}), "of each round one sight"
        assert set(told(eased)) <= {100}


def test_a_little_better_each_time_adds_up() -> None:
    course, needed = Course(), 0.9
    course.see(2, needed)
    for number in range(3, 60):
        needed *= 0.98
        assert not course.see(number, needed, seconds=20.0).hopeless


def test_where_nothing_would_be_enough_it_goes_up_step_by_step() -> None:
    course, steps = Course(), []
    for number in range(2, 12):
        course.see(number, 2.0)
        steps.append(course.allowed)
    assert steps == [100, 100, 150, 200, 300, 400, 500, 500, 500, 500]


def test_who_was_not_heard_asks_again() -> None:
    course = Course()
    for number in range(2, 5):
        course.see(number, 0.35)
    assert course.allowed == 400
    eased = course.see(5, 0.35)
    assert (eased.events, told(eased)) == ((), [400]), "it ought to have ended"


@pytest.mark.parametrize("wish", [120, 100, 40])
def test_an_owner_is_not_overruled(wish: int) -> None:
    course = Course(wish=wish, downtime_ms=min(100, wish))
    said = [ms for number in range(2, 12) for ms in told(course.see(number, 0.3))]
    assert course.allowed == wish
    assert set(said) <= {wish}


def test_an_owner_or_a_policy_that_wants_less_meanwhile_gets_it_at_once() -> None:
    course = Course(downtime_ms=500)
    assert course.record is not None
    course.see(1, 0.3)
    course.limits = replace(LIMITS, downtime_max_ms=200)
    assert told(course.see(1, 0.3)) == [200]
    course.record = replace(course.record, downtime_max_ms=50)
    assert told(course.see(1, 0.3)) == [50]
    assert course.allowed == 50
    for number in range(2, 12):
        assert set(told(course.see(number, 0.3))) <= {50}


@pytest.mark.parametrize("changed", [None, {"state": VmState.HANDOVER}, {"pins": (Pin(PinKind.OPERATOR, "xml", "cure"),)}])
def test_nothing_is_allowed_and_nobody_called_off_where_the_vm_is_not_seen_to_run(changed: dict[str, object] | None) -> None:
    course = Course()
    course.record = None if changed is None else replace(course.record, **changed)  # type: ignore[arg-type, type-var]
    for number in range(2, 200):
        eased = course.see(number, 2.0, moves=False)
        assert (eased.events, eased.orders, eased.hopeless) == ((), (), {})


def test_what_gets_nowhere_is_given_up_after_a_while_and_not_before() -> None:
    course, found = Course(), []
    for number in range(2, 100):
        eased = course.see(number, 2.0)
        if eased.hopeless:
            found.append((course.at, eased.hopeless.get("1-1", "")))
    # the first round is judged at two seconds, with a stall each second after it
    assert found
    assert found[0][0] == pytest.approx(63.0, abs=1.1)
    assert found[0][1].startswith("its memory is dirtied faster than it is copied: it would stand still for 2000 ms")


@pytest.mark.parametrize("wish", [None, 100])
def test_long_rounds_have_two_chances_with_all_that_there_is(wish: int | None) -> None:
    course, rounds = Course(wish=wish), 0
    for number in range(2, 30):
        if course.see(number, 2.0, seconds=70.0).hopeless:
            break
        rounds += course.allowed == (wish or 500)
    assert rounds >= 2


def test_what_needs_no_more_than_is_allowed_is_not_given_up() -> None:
    course = Course()
    course.see(2, 0.45)
    for number in range(3, 200):
        assert not course.see(number, 0.45).hopeless
    assert course.allowed == 500


def test_a_round_that_is_better_begins_the_wait_anew() -> None:
    course = Course()
    for number in range(2, 58):
        course.see(number, 2.0)
    for number in range(58, 110):
        assert not course.see(number, 1.5).hopeless
    assert any(course.see(number, 1.5).hopeless for number in range(110, 125))


def test_a_job_that_copies_nothing_is_given_up() -> None:
    course = Course()
    course.see(1, 0.3)
    found = [course.see(1, 0.3, moves=False).hopeless.get("1-1", "") for _ in range(62)]
    assert found[:60] == [""] * 60
    assert found[-1].startswith("nothing of it was copied for 1 min")


def test_a_job_that_has_nothing_left_to_copy_is_not() -> None:
    course = Course()
    course.see(1, 0.3)
    assert not any(course.see(1, 0.3, moves=False, remaining=0).hopeless for _ in range(100))


def test_a_long_first_round_is_no_standstill() -> None:
    course = Course()
    assert not any(course.see(1, 0.3).hopeless for _ in range(600))


def test_what_is_not_seen_any_more_proves_nothing() -> None:
    course = Course()
    course.see(1, 0.3)
    # the same sight again and again: its host does not answer
    assert not any(course.see(1, 0.3, moves=False, lag=lag).hopeless for lag in range(1, 100))


def test_while_a_gate_stands_nothing_is_allowed_and_nothing_counted() -> None:
    course = Course()
    for number in range(2, 150):
        eased = course.see(number, 2.0, held=True)
        assert (eased.events, eased.orders, eased.hopeless) == ((), (), {})
    assert course.allowed == 100
    assert not course.see(150, 2.0).hopeless


def test_the_wait_for_progress_begins_anew_after_a_gate() -> None:
    course = Course()
    for number in range(2, 14):
        course.see(number, 2.0)
    for number in range(14, 150):
        assert not course.see(number, 2.0, held=True).hopeless
    assert not any(course.see(number, 2.0).hopeless for number in range(150, 200))
    assert any(course.see(number, 2.0).hopeless for number in range(200, 220))


def test_who_may_be_slowed_down_is_not_given_up_before_that_had_its_chance() -> None:
    course = Course(auto_converge=True)
    assert not any(course.see(number, 2.0, seconds=20.0).hopeless for number in range(2, 23))
    assert any(course.see(number, 2.0, seconds=20.0).hopeless for number in range(23, 27))


def test_another_bandwidth_is_another_beginning() -> None:
    course = Course()
    course.see(2, 0.2)
    course.see(3, 0.2)
    course.ledger.apply(ev.BandwidthOrdered(1.0, "1-1", 50))
    assert course.see(3, 0.4).orders == ()
    assert course.see(4, 0.4).orders == (), "at half the speed it takes twice as long"
    assert course.see(5, 0.3).orders == ()
    assert course.see(6, 0.3).orders == (), "and it becomes better"
    assert told(course.see(7, 0.3)) == [300]


def test_what_was_never_told_is_taken_to_allow_what_hypervisors_do() -> None:
    course = Course(downtime_ms=0)
    for number in range(2, 5):
        assert course.see(number, 0.2).orders == (), "300 ms are allowed already"
    for number in range(5, 8):
        course.see(number, 2.0)
    assert course.allowed == 400
    limited = Course(replace(LIMITS, downtime_max_ms=300), downtime_ms=0)
    assert any(limited.see(number, 2.0).hopeless for number in range(2, 80))


def test_an_order_says_how_long_and_whether_the_vm_may_be_slowed_down() -> None:
    stand = table(four_hosts(), POLICIES).warm_up()
    stand.show("h1", "ecc.uncorrected", 0.0)
    stand.settle()
    stand.show("h1", "ecc.uncorrected", 1.0)
    orders = [order for decision in stand.settle(6) for order in decision.orders]
    assert orders
    assert {(order.downtime_ms, order.auto_converge) for order in orders} == {(100, True)}
    booked = stand.controller.ledger.open_migrations()
    assert {(m.downtime_ms, m.auto_converge) for m in booked} == {(100, True)}


@pytest.mark.parametrize(("seen", "downtime_ms", "seconds"), [
    (progress(1, 0.3, 1, dirty=0.0), 300, 0.3), (progress(2, 2.0, 1, dirty=50.0), 500, 2.0 + (50.0 * 2.0 - 50.0) / 50.0),
    (progress(5, 0.2, 1, dirty=50.0), 500, 0.2), (progress(5, 2.0, 1, dirty=99.0), 500, None),
    (progress(5, 0.4, 1, dirty=120.0), 500, 0.4), (progress(1, 0.3, 0), 300, None),
    (replace(progress(1, 4.0, RATE * 2, dirty=0.0), throughput_bytes_s=0.0, elapsed=4.0), 300, 8.0)])
def test_what_is_left_follows_from_the_last_round(seen: Progress, downtime_ms: int, seconds: float | None) -> None:
    left = remaining(seen, downtime_ms)
    assert left == (None if seconds is None else pytest.approx(Seconds(seconds)))
