"""A guest that is paused by hand on its way: told from a hand-over, called off or let go on, told, and left alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ballastd.core import events as ev
from ballastd.core.decisions import Decision
from ballastd.core.inputs import Input, ProgressSeen, Verb
from ballastd.core.inventory import JobKind, Progress, VmState
from ballastd.core.migrations import CallResult
from ballastd.core.plans import Order
from ballastd.core.quantities import GIB, MIB, Bytes
from tests.builders import Table, four_hosts, table, vm_id

VM = vm_id("h1v0")
GIVEN_MIB_S = 600


def on_its_way(*, saving: bool = False) -> tuple[Table, Order]:
    """Return a table on which ``h1v0`` is on its way off h1, drained or failing."""
    t = table(four_hosts(1))
    t.show("h1", "ecc.uncorrected", 0.0, "A").warm_up()
    decision = t.show("h1", "ecc.uncorrected", 1.0, "A").step() if saving else t.say(Verb.DRAIN, "h1")
    [order] = decision.orders
    t.begin(order)
    t.wait(1.0)
    t.step(left(t, order, 4 * GIB))
    return t, order


def left(t: Table, order: Order, remaining: int, mib_s: float = 500.0) -> Input:
    done = Progress(1.0, Bytes(8 * GIB), Bytes(8 * GIB - remaining), Bytes(remaining), 1, 0.0, mib_s * MIB, 0.3)
    return ProgressSeen(order.id, done, t.now)


def shown(t: Table, state: VmState, reason: str, job: JobKind = JobKind.OUTGOING) -> None:
    t.world["h1"][VM] = replace(t.world["h1"][VM], state=state, reason=reason, job=job)


def pause(t: Table, order: Order, remaining: int = 3 * GIB, steps: int = 3, mib_s: float = 500.0) -> list[Decision]:
    """Have it show as a pause does in so many looks."""
    shown(t, VmState.HANDOVER, "3/2")
    return [(t.wait(1.0), t.step(left(t, order, remaining, mib_s)))[1] for _ in range(steps)]


def seen(t: Table) -> int:
    return sum(isinstance(event, ev.HandPauseSeen) for event in t.events)


def told(*decisions: Decision) -> list[tuple[str, str]]:
    return [(notice.level, notice.text) for decision in decisions for notice in decision.notices
            if notice.key.startswith("hand-pause")]


def test_it_is_noticed_at_the_second_look_called_off_and_told() -> None:
    t, order = on_its_way()
    first, second, third = pause(t, order)
    assert (told(first), len(told(second)), told(third)) == ([], 1, [])
    assert "it is called off" in told(second)[0][1]
    assert [abort.migration for abort in third.aborts] == [order.id]
    [event] = [event for event in t.events if isinstance(event, ev.AbortOrdered)]
    assert (event.reason, event.overran) == ("somebody paused it while it migrates", False)
    assert seen(t) == 1


@pytest.mark.parametrize(("remaining", "mib_s"), [(0, 500.0), (110 * MIB, 500.0), (110 * MIB, 0.0), (190 * MIB, 1000.0)])
def test_a_hand_over_that_hangs_is_none(remaining: int, mib_s: float) -> None:
    """100 ms of standstill at the 600 MiB/s that it is given: with what is left of 60 MiB it may have begun; with more where
    it was faster, as one that has just been given less."""
    t, order = on_its_way()
    assert order.bandwidth_mib_s == GIVEN_MIB_S
    pause(t, order, remaining, steps=20, mib_s=mib_s)
    assert seen(t) == 0


def test_on_a_fast_link_a_pause_near_the_end_is_noticed_by_what_the_job_may_copy() -> None:
    """Of a link of 1000 MiB/s it is given 600: 130 MiB are more than twice what it copies in 100 ms."""
    t, order = on_its_way()
    pause(t, order, 130 * MIB)
    assert seen(t) == 1


def test_one_look_says_nothing_nor_do_two_with_running_in_between() -> None:
    t, order = on_its_way()
    for _ in range(5):
        pause(t, order, steps=1)
        shown(t, VmState.RUNNING, "1/1")
        t.wait(1.0)
        t.step(left(t, order, 3 * GIB))
    assert seen(t) == 0


def test_what_was_said_of_its_job_before_it_stood_says_nothing() -> None:
    t, order = on_its_way()
    before = left(t, order, 3 * GIB)
    shown(t, VmState.HANDOVER, "3/2")
    for _ in range(3):
        t.wait(1.0)
        t.step(before)
    assert seen(t) == 0


def test_it_is_noticed_though_each_step_comes_with_a_look_that_is_newer_than_what_was_said_of_its_job() -> None:
    """A look at an end of a migration wakes the loop, what is said of a job does not."""
    t, order = on_its_way()
    shown(t, VmState.HANDOVER, "3/2")
    found = []
    for _ in range(4):
        t.wait(0.4)
        said = left(t, order, 3 * GIB)
        t.wait(0.1)
        t.step(said)
        found.append(seen(t))
    assert found == [0, 0, 0, 1], "what is said after the second look, a second after the first, is enough"


@pytest.mark.parametrize(("state", "reason"), [(VmState.POSTCOPY_LEFT, "3/12"), (VmState.POSTCOPY_LEFT_FAILED, "3/13")])
def test_post_copy_is_no_pause(state: VmState, reason: str) -> None:
    t, order = on_its_way()
    shown(t, state, reason)
    for _ in range(5):
        t.wait(1.0)
        assert t.step(left(t, order, 3 * GIB)).aborts == ()
    assert seen(t) == 0


def test_off_a_failing_host_it_goes_on_and_people_are_told_where_it_runs() -> None:
    t, order = on_its_way(saving=True)
    decisions = pause(t, order)
    assert not any(decision.aborts for decision in decisions)
    [(_, text)] = told(*decisions)
    assert "it goes on, for h1 is failing" in text
    t.wait(1.0)
    [(level, text)] = told(t.step(t.finish(order)), *t.settle(3))
    assert (level, f"runs on {order.move.target}" in text, "virsh suspend h1v0" in text) == ("alarm", True, True)


def test_called_off_it_runs_at_its_source_which_is_told_and_rests_there_as_a_stranger_put_it() -> None:
    t, order = on_its_way()
    pause(t, order)
    t.wait(1.0)
    decisions = [t.step(t.roll_back(order, CallResult.ABORTED)), *t.settle(8)]
    [(level, text)] = told(*decisions)
    assert (level, "runs on h1" in text) == ("alarm", True)
    last = t.controller.ledger.last_moved(VM)
    assert last is not None
    assert (last.source, last.target, last.policy) == ("h1", "h1", "")


def test_who_was_paused_again_by_then_is_as_he_should_be() -> None:
    t, order = on_its_way()
    pause(t, order)
    t.wait(1.0)
    call = t.roll_back(order, CallResult.ABORTED)
    shown(t, VmState.PAUSED, "3/1", JobKind.NONE)
    assert told(t.step(call), *t.settle(8)) == []


def test_a_run_that_adopts_it_calls_it_off_and_tells_how_it_ended() -> None:
    t, order = on_its_way()
    pause(t, order, steps=2)
    t.restart()
    t.wait(1.0)
    decisions = [t.step(), *t.settle(2)]
    assert [abort.migration for decision in decisions for abort in decision.aborts] == [order.id]
    t.roll_back(order)
    assert [level for level, _ in told(*t.settle(8))] == ["alarm"]
    assert seen(t) == 1
