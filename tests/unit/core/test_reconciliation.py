"""What both ends show decides; the table of HAZARDS in code."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ballastd.core.controller import Controller
from ballastd.core.decisions import Decision
from ballastd.core.events import ForeignMoveSeen, MigrationSettled
from ballastd.core.inputs import CallReturned
from ballastd.core.inventory import JobKind, VmRecord, VmState
from ballastd.core.migrations import ALARMING, CallResult, Ending, Migration
from ballastd.core.quantities import Bytes, HostName
from ballastd.core.reconciliation import TOLD_AGAIN_SECONDS, Look, look_at, told_again, told_ending
from tests.builders import POLICIES, Table, four_hosts, table, vm_id


def copy(state: VmState | None, job: JobKind = JobKind.NONE) -> VmRecord | None:
    return None if state is None else VmRecord(vm_id("a"), "a", state, Bytes(1), job=job)


S = VmState


@pytest.mark.parametrize(("source", "target", "look"), [
    (copy(S.RUNNING, JobKind.OUTGOING), copy(S.INCOMING), Look.JOB),
    (copy(S.RUNNING, JobKind.OUTGOING), None, Look.JOB),
    (copy(S.HANDOVER, JobKind.OUTGOING), copy(S.RUNNING), Look.JOB),
    (copy(S.RUNNING, JobKind.UNKNOWN), None, Look.JOB),
    (copy(S.RUNNING), None, Look.AT_SOURCE),
    (copy(S.PAUSED), None, Look.AT_SOURCE),
    (copy(S.RUNNING), copy(S.SHUTOFF), Look.AT_SOURCE),
    (None, copy(S.RUNNING), Look.AT_TARGET),
    (copy(S.SHUTOFF), copy(S.RUNNING), Look.AT_TARGET),
    (None, copy(S.PAUSED), Look.AT_TARGET),
    (copy(S.RUNNING), copy(S.RUNNING), Look.SPLIT),
    (copy(S.LEFTOVER), copy(S.RUNNING), Look.LEFTOVER),
    (copy(S.HANDOVER), copy(S.RUNNING), Look.LEFTOVER),
    (copy(S.LEFTOVER), None, Look.DOWN),
    (None, None, Look.NOWHERE),
    (copy(S.SHUTOFF), None, Look.NOWHERE),
    (None, copy(S.INCOMING), Look.BETWEEN),
    (copy(S.RUNNING), copy(S.INCOMING), Look.BETWEEN),
    (copy(S.LEFTOVER), copy(S.INCOMING), Look.BETWEEN),
    (copy(S.UNKNOWN), copy(S.RUNNING), Look.BETWEEN),
    (copy(S.POSTCOPY_LEFT), copy(S.POSTCOPY), Look.JOB),
    (copy(S.POSTCOPY_LEFT_FAILED), copy(S.POSTCOPY), Look.BROKEN),
    (copy(S.POSTCOPY_LEFT), copy(S.POSTCOPY_FAILED), Look.BROKEN),
    (copy(S.POSTCOPY_LEFT, JobKind.OUTGOING), copy(S.POSTCOPY, JobKind.INCOMING), Look.JOB),
    (copy(S.POSTCOPY_LEFT_FAILED, JobKind.OUTGOING), copy(S.POSTCOPY_FAILED, JobKind.INCOMING), Look.BROKEN),
    (copy(S.POSTCOPY_LEFT_FAILED, JobKind.OUTGOING), None, Look.TORN),
    (copy(S.POSTCOPY_LEFT_FAILED), None, Look.TORN),
    (copy(S.POSTCOPY_LEFT), copy(S.SHUTOFF), Look.TORN),
    (None, copy(S.POSTCOPY), Look.TORN),
    (None, copy(S.POSTCOPY_FAILED), Look.TORN),
])
def test_two_ends_amount_to_one_look(source: VmRecord | None, target: VmRecord | None, look: Look) -> None:
    assert look_at(source, target) is look


LEFT_ALONE = "migration/0-1"


def left_by(state: VmState, job: JobKind = JobKind.NONE) -> Table:
    """Return a table whose migration from h1 to h2 failed for its caller: its VM is as said at h1, h2 is out of reach."""
    t = table(four_hosts(vms_each=1)).warm_up()
    vm = next(iter(t.world["h1"]))
    order = t.fly(t.world["h1"][vm].name, "h1", "h2")
    t.settle(2)
    t.world["h1"][vm] = replace(t.world["h1"][vm], state=state, job=job)
    t.dark.add("h2")
    t.step(CallReturned(order.id, CallResult.ERROR, "closed", t.now))
    return t


def alarms(decisions: list[Decision]) -> list[str]:
    return [n.text for d in decisions for n in d.notices if (n.level, n.key) == ("alarm", LEFT_ALONE)]


def test_what_we_moved_and_left_a_copy_of_was_moved_by_nobody_else() -> None:
    t = left_by(S.LEFTOVER)
    (vm,) = t.world["h1"]
    t.world["h2"][vm] = replace(t.world["h1"][vm], state=S.RUNNING)
    t.dark.clear()
    t.settle(6, 3.0)
    (done,) = t.controller.ledger.settled
    assert done.ending is Ending.LEFTOVER
    del t.world["h1"][vm]  # as its alarm asks for
    t.settle(3)
    assert not [e for e in t.events if isinstance(e, ForeignMoveSeen)]
    last = t.controller.ledger.last_moved(vm)
    assert last is not None
    assert (last.source, last.target, last.policy) == ("h1", "h2", done.policy)


@pytest.mark.parametrize(("gone", "at_target", "ending", "detail"), [
    ("h1", True, Ending.COMPLETED, "runs on h2, gone from h1; h1 is not declared any more"),
    ("h1", False, Ending.VANISHED, "neither on h1 nor on h2; h1 is not declared any more"),
    ("h2", False, Ending.FAILED, "is on h1, not on h2; h2 is not declared any more")])
def test_a_migration_whose_host_is_not_declared_any_more_is_settled_by_what_the_other_end_shows(
        gone: str, at_target: bool, ending: Ending, detail: str) -> None:
    t = table(four_hosts(vms_each=1)).warm_up()
    (vm,) = t.world["h1"]
    t.fly(t.world["h1"][vm].name, "h1", "h2")
    t.settle(2)
    t.world["h2"].pop(vm, None)
    record = replace(t.world["h1"][vm], job=JobKind.NONE)
    t.world["h1"][vm] = record
    if at_target:
        t.world["h2"][vm] = record
    del t.world[gone]
    t.cluster = replace(t.cluster, hosts=tuple(host for host in t.cluster.hosts if host.name != gone))
    t.controller = Controller(t.cluster, POLICIES, t.controller.ledger, t.now, t.controller.revision)
    t.settle(12, 5.0)
    (done,) = t.controller.ledger.settled
    assert (done.ending, done.call_message) == (ending, detail)


def test_a_copy_that_stands_still_while_its_target_cannot_be_asked_is_an_alarm_once_and_stays_open() -> None:
    t = left_by(S.LEFTOVER)
    said = alarms(t.settle(1, 1.0))
    assert said == [], "one look may be of the moment between two states"
    said = alarms(t.settle(20, 3.0))
    assert len(said) == 1
    assert "is paused on h1 by its migration and may run on h2, which does not answer: it must not be resumed" in said[0]
    assert "ballastctl host confirm-dead h2" in said[0]
    assert list(t.controller.ledger.migrations) == ["0-1"]
    t.dark.clear()
    t.world["h2"].pop(next(iter(t.world["h1"])))
    assert "it is down" in alarms(t.settle(20, 3.0))[0]
    assert t.controller.ledger.settled[-1].ending is Ending.DOWN


@pytest.mark.parametrize(("state", "job"), [
    (S.RUNNING, JobKind.NONE), (S.PAUSED, JobKind.NONE), (S.HANDOVER, JobKind.OUTGOING), (S.LEFTOVER, JobKind.UNKNOWN)])
def test_whoever_runs_is_paused_by_a_person_or_has_a_job_still_does_not_stand_still(state: VmState, job: JobKind) -> None:
    assert alarms(left_by(state, job).settle(20, 3.0)) == []


@pytest.mark.parametrize("ending", sorted(ALARMING, key=lambda one: one.value))
def test_an_alarm_about_an_ending_says_whose_it_is(ending: Ending) -> None:
    m = Migration("1-1", vm_id("web"), "web", HostName("h1"), HostName("h2"), Bytes(1), 100, "p", "", 0.0, 9.0, 9.0)
    told = told_ending(MigrationSettled(9.0, "1-1", ending, "what both ends show"), m)
    assert told.level == "alarm"
    assert told.text.startswith(f"web: {ending.value}: what both ends show")


def test_what_ended_badly_lately_is_told_again_by_the_next_run_once() -> None:
    t = table(four_hosts(vms_each=1)).warm_up()
    order = t.fly(next(iter(t.world["h1"].values())).name, "h1", "h2")
    ended = MigrationSettled(t.now.wall, order.id, Ending.VANISHED, "gone at both ends")
    ledger = t.controller.ledger.draft()
    ledger.apply(ended)
    again = told_again((ended,), ledger, t.now.wall + 60.0)
    assert [(one.level, one.key) for one in again] == [("alarm", f"migration/{order.id}")]
    assert told_again((ended,), ledger, t.now.wall + TOLD_AGAIN_SECONDS + 1.0) == ()
    assert told_again((replace(ended, ending=Ending.COMPLETED),), ledger, t.now.wall) == ()
    t.controller = Controller(t.cluster, POLICIES, ledger, t.now, again=again)
    assert again[0] in t.step().notices
    assert again[0] not in t.wait(1.0).step().notices
