"""VMs that were moved and are asked whether they answer: who is, what comes of it, and what it is held against."""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import ip_network

import pytest

from ballastd.core import events as ev
from ballastd.core.arrival_checks import NOTHING_ALLOWED, AllowedChecks, Arrival, check_of
from ballastd.core.arrivals import AWAITED_MAX, FLAWS_SHOWN, GRACE_SECONDS, ArrivalCheck
from ballastd.core.books import LedgerBroken
from ballastd.core.calibration import FAILED_SECONDS, attempts_of, calibrated
from ballastd.core.controller import Controller
from ballastd.core.decisions import Decision
from ballastd.core.inputs import Verb, VmAsked
from ballastd.core.inventory import VmState
from ballastd.core.ledger import Ledger
from ballastd.core.migration_explained import explain_migration, wishes_told
from ballastd.core.migrations import CallResult, Ending, Migration
from ballastd.core.quantities import HostName, Seconds
from ballastd.core.shutdown_events import ShutdownOrdered
from tests.builders import POLICIES, Table, four_hosts, table, vm_id

WITHIN = 60.0
ALLOWED = AllowedChecks(agent=True, networks=(ip_network("10.0.0.0/8"),), within=Seconds(WITHIN))
CHECK = check_of("tcp://10.0.0.7:22")
H1V0 = vm_id("h1v0")


def a_table(allowed: AllowedChecks = ALLOWED, **named: str) -> Table:
    """Return a table whose VMs name these checks: ``h1v0`` one that is allowed unless it is said otherwise."""
    t = table(four_hosts(1))
    t.cluster = replace(t.cluster, arrival_checks=allowed)
    t.controller = Controller(t.cluster, POLICIES, Ledger(), t.now)
    for records in t.world.values():
        for record in records.values():
            words = named.get(record.name, CHECK.words() if record.name == "h1v0" else "")
            records[record.vm] = replace(record, check=check_of(words) if words else None)
    return t.warm_up()


def answer(check: ArrivalCheck, t: Table, answered: bool | None, detail: str = "so it is") -> VmAsked:
    return VmAsked(check.migration, check.before, answered, detail, t.now)


def leave(t: Table, host: str = "h1") -> Decision:
    """Drain ``host``; return the step that orders its VM away."""
    return t.say(Verb.DRAIN, host)


def arrive(t: Table, decision: Decision, before: bool | None = True) -> Decision:
    """Have the VM answer or not before it leaves, and come to its target; return the step that settles it."""
    t.wait(1.0)
    heard = [answer(check, t, before) for check in decision.checks if check.before] if before is not None else []
    t.step(*heard, *t.carry_out(decision))
    t.wait(1.0)
    return t.step()


def end(t: Table, settled: Decision, answered: bool | None, detail: str = "no answer within 3 s") -> Decision:
    t.wait(WITHIN)
    return t.step(*(answer(check, t, answered, detail) for check in settled.checks))


def outcomes(t: Table) -> list[Arrival]:
    return [event.arrival for event in t.events if isinstance(event, ev.ArrivalChecked)]


def test_who_names_an_allowed_check_is_asked_before_it_leaves_and_when_it_has_arrived() -> None:
    t = a_table()
    decision = leave(t)
    [order] = decision.orders
    assert [event.check for event in decision.events if isinstance(event, ev.CheckOrdered)] == [CHECK]
    [before] = decision.checks
    assert (before.vm, before.host, before.check, before.before) == (H1V0, "h1", CHECK, True)
    settled = arrive(t, decision)
    [after] = settled.checks
    assert (after.host, after.before, after.until) == (order.move.target, False, t.now.monotonic + WITHIN)
    decision = t.step(answer(after, t, answered=True))
    assert (outcomes(t), decision.checks, decision.notices) == ([Arrival.ANSWERED], (), ())
    [view] = decision.view.migrations
    assert (view.check, view.answered_before) == (CHECK.words(), True)
    assert (view.arrival, view.arrival_detail) == ("answered", "so it is")
    assert "it answers" in "\n".join(explain_migration(decision.view, view).lines())


@pytest.mark.parametrize(("allowed", "named"), [
    (NOTHING_ALLOWED, CHECK.words()), (ALLOWED, ""), (ALLOWED, "tcp://192.0.2.7:22"),
    (replace(ALLOWED, agent=False), "agent")])
def test_who_names_none_or_one_that_is_not_allowed_is_moved_and_not_asked(allowed: AllowedChecks, named: str) -> None:
    t = a_table(allowed, h1v0=named)
    decision = leave(t)
    assert len(decision.orders) == 1
    assert decision.checks == ()
    settled = arrive(t, decision)
    assert settled.checks == ()
    assert not [event for event in t.events if isinstance(event, ev.CheckOrdered | ev.AskedBefore | ev.ArrivalChecked)]
    [view] = [one for one in settled.view.vms if one.name == "h1v0"]
    assert (view.check, bool(view.check_flaw)) == ("", bool(named))


def test_who_answered_before_and_does_not_since_is_told_with_its_cure_and_counts() -> None:
    t = a_table()
    ended = end(t, arrive(t, leave(t)), answered=False)
    assert outcomes(t) == [Arrival.SILENT]
    [notice] = ended.notices
    assert (notice.level, notice.key) == ("warning", f"migration/{ended.view.migrations[0].id}")
    assert "answered (tcp://10.0.0.7:22) before it was moved from h1" in notice.text
    assert "cure: " in notice.text
    ledger, wall = t.controller.ledger, t.now.wall
    target = HostName(ended.view.migrations[0].target)
    assert calibrated(ledger.settled, wall).risk(HostName("h1"), target) == 2.0
    assert calibrated(ledger.settled, wall + FAILED_SECONDS).risk(HostName("h1"), target) == 1.0
    assert ledger.recent_silences(H1V0, wall - FAILED_SECONDS) == 1
    assert ledger.recent_silences(H1V0, wall) == 0
    assert ledger.recent_failures(H1V0, 0.0) == (), "nobody waits for it, and no target is out of the question"
    assert attempts_of((), 1) == 2.0
    assert t.settle(5)[-1].orders == (), "nothing is moved because of it"


def test_who_did_not_answer_before_either_is_only_told() -> None:
    t = a_table()
    ended = end(t, arrive(t, leave(t), before=False), answered=False)
    assert outcomes(t) == [Arrival.UNPROVEN]
    assert [notice.level for notice in ended.notices] == ["info"]
    assert [one.failed for one in calibrated(t.controller.ledger.settled, t.now.wall).pairs.values()] == [0]
    assert t.controller.ledger.silences == {}


@pytest.mark.parametrize("before", [None, "late"])
def test_a_silence_counts_only_if_it_is_known_that_it_answered_before(before: str | None) -> None:
    t = a_table()
    ordered = leave(t)
    settled = arrive(t, ordered, before=None)
    if before:  # the answer from before comes after it was settled
        t.step(answer(ordered.checks[0], t, answered=True))
    end(t, settled, answered=False)
    assert outcomes(t) == [Arrival.SILENT if before else Arrival.UNPROVEN]


@pytest.mark.parametrize("how", ["stopped", "paused", "host is gone"])
def test_who_is_not_seen_running_any_more_is_silent_for_a_reason_of_its_own(how: str) -> None:
    t = a_table()
    settled = arrive(t, leave(t))
    target = settled.checks[0].host
    if how == "host is gone":
        t.dark.add(target)
    else:
        state = VmState.PAUSED if how == "paused" else VmState.SHUTOFF
        t.world[target][H1V0] = replace(t.world[target][H1V0], state=state)
    ended = end(t, settled, answered=False)
    assert (outcomes(t), ended.notices) == ([Arrival.UNCHECKED], ())
    assert t.controller.ledger.silences == {}


@pytest.mark.parametrize("fate", ["its host died", "it runs", "nobody looks"])
def test_who_was_seen_before_it_fell_silent_and_not_since_is_not_called_silent(fate: str) -> None:
    t = a_table()
    settled = arrive(t, leave(t))
    target = settled.checks[0].host
    t.wait(WITHIN - 20.0).step()
    t.wait(20.0)
    heard = t.step(*(answer(check, t, answered=False) for check in settled.checks), look=False)
    assert (outcomes(t), heard.notices) == ([], ()), "the last look is 20 s old"
    if fate == "its host died":
        t.dark.add(target)
    t.wait(GRACE_SECONDS + 1.0 if fate == "nobody looks" else 1.0).step(look=fate != "nobody looks")
    assert outcomes(t) == [Arrival.SILENT if fate == "it runs" else Arrival.UNCHECKED]
    assert bool(t.controller.ledger.silences) is (fate == "it runs")


def test_an_answer_takes_back_what_silences_before_it_said_of_the_vm() -> None:
    t = a_table()
    end(t, arrive(t, leave(t)), answered=False)
    target = t.controller.ledger.settled[-1].target
    end(t, arrive(t, leave(t, target)), answered=True)
    assert outcomes(t) == [Arrival.SILENT, Arrival.ANSWERED]
    assert t.controller.ledger.silences == {}


def test_a_probe_that_refuses_ends_it_unchecked() -> None:
    t = a_table()
    ended = end(t, arrive(t, leave(t)), answered=None, detail="it is our own")
    assert (outcomes(t), ended.notices) == ([Arrival.UNCHECKED], ())
    assert t.controller.ledger.arrivals == {}


def test_a_move_that_does_not_complete_ends_the_asking_with_it() -> None:
    t = a_table()
    decision = leave(t)
    [order] = decision.orders
    t.begin(order).step()
    t.wait(1.0)
    t.step(t.roll_back(order))
    decisions = t.settle(8)
    assert [m.ending for m in t.controller.ledger.settled] == [Ending.FAILED]
    assert not any(check.migration == order.id for check in decisions[-1].checks)
    assert t.controller.ledger.arrivals == {}


def test_a_migration_without_a_check_has_nothing_to_be_asked() -> None:
    t = a_table(h1v0="")
    arrive(t, leave(t))
    ledger = t.controller.ledger.draft()
    with pytest.raises(LedgerBroken):
        ledger.apply(ev.ArrivalChecked(t.now.wall, ledger.settled[-1].id, Arrival.ANSWERED))


def test_what_was_heard_is_not_lost_where_the_journal_refuses() -> None:
    t = a_table()
    settled = arrive(t, leave(t))
    t.step(*(answer(check, t, answered=True) for check in settled.checks), durable=False)
    assert outcomes(t) == []
    t.settle(2)
    assert outcomes(t) == [Arrival.ANSWERED]


def test_who_arrives_while_the_journal_refuses_has_its_time_once_that_is_durable() -> None:
    t = a_table()
    decision = leave(t)
    t.wait(1.0).step(*t.carry_out(decision))
    for _ in range(10):  # each of them settles it, in vain
        t.wait(12.0).step(durable=False)
    t.wait(1.0)
    [check] = t.step().checks
    assert (check.until, outcomes(t)) == (t.now.monotonic + WITHIN, [])


def test_a_run_after_this_one_asks_on_for_what_is_left_of_its_time() -> None:
    t = a_table()
    arrive(t, leave(t))
    t.wait(20.0)
    t.restart()
    [check] = t.step().checks
    assert check.until == pytest.approx(t.now.monotonic + WITHIN - 20.0)
    t.wait(30.0).step(answer(check, t, answered=False))
    assert outcomes(t) == [Arrival.SILENT], "that it answered before is in the books"
    assert t.controller.ledger.settled[-1].arrival_seconds == 50.0, "since it was settled, in whatever run"


def test_a_run_that_comes_too_late_says_so_and_leaves_nothing_open() -> None:
    t = a_table()
    arrive(t, leave(t))
    t.wait(WITHIN + 1.0)
    t.restart()
    assert t.step().checks == ()
    [event] = [event for event in t.events if isinstance(event, ev.ArrivalChecked)]
    assert (event.arrival, "restarted" in event.detail) == (Arrival.UNCHECKED, True)


def test_a_run_with_other_settings_asks_nobody_whom_it_must_not() -> None:
    t = a_table()
    arrive(t, leave(t))
    t.cluster = replace(t.cluster, arrival_checks=NOTHING_ALLOWED)
    t.restart()
    assert t.step().checks == ()
    assert outcomes(t) == [Arrival.UNCHECKED]


def test_a_clock_that_is_set_back_gives_nobody_more_time() -> None:
    t = a_table()
    arrive(t, leave(t))
    t.restart()
    t.now = replace(t.now, wall=t.now.wall - 3600.0)
    assert [check.until for check in t.step().checks] == [t.now.monotonic + WITHIN]


def test_nobody_who_leaves_in_a_run_before_is_asked_before_it_leaves() -> None:
    t = a_table()
    decision = leave(t)
    t.begin(decision.orders[0]).step()
    t.restart()
    assert t.step().checks == ()


def test_whoever_never_says_anything_is_given_up() -> None:
    t = a_table()
    arrive(t, leave(t))
    t.wait(WITHIN + GRACE_SECONDS - 1.0)
    assert t.step().checks
    t.wait(2.0)
    assert t.step().checks == ()
    assert outcomes(t) == [Arrival.UNCHECKED]


def test_whoever_is_moved_again_is_asked_anew_from_there() -> None:
    t = a_table()
    arrive(t, leave(t))
    decision = leave(t, t.controller.ledger.settled[-1].target)
    assert outcomes(t) == [Arrival.UNCHECKED]
    assert [check.before for check in decision.checks] == [True]


def test_the_silence_of_who_is_asked_to_shut_down_is_no_silence() -> None:
    t = a_table()
    settled = arrive(t, leave(t))
    [migration] = t.controller.ledger.arrivals.values()
    t.controller.ledger.apply(ShutdownOrdered(t.now.wall, "9-s1", migration.vm, "h1v0", migration.target, "p", "because"))
    decision = end(t, settled, answered=False)
    assert outcomes(t) == [Arrival.UNCHECKED]
    [checked] = [event for event in decision.events if isinstance(event, ev.ArrivalChecked)]
    assert checked.detail == "it was asked to shut down"


def test_a_flood_of_arrivals_is_bounded() -> None:
    t = a_table()
    arrive(t, leave(t))
    [migration] = t.controller.ledger.arrivals.values()
    for number in range(AWAITED_MAX + 5):
        key = f"9-{number}"
        t.controller.ledger.arrivals[key] = replace(migration, id=key, vm=vm_id(f"x{number}"))
    assert len(t.step().checks) == AWAITED_MAX
    assert len(t.step().checks) == AWAITED_MAX
    assert outcomes(t) == [Arrival.UNCHECKED] * 6


def test_the_books_come_back_from_the_journal_and_from_a_checkpoint() -> None:
    t = a_table()
    settled = arrive(t, leave(t))
    ledger = Ledger()
    ledger.replay(ev.from_record(json.loads(json.dumps(ev.to_record(event)))) for event in t.events)  # type: ignore[arg-type]
    assert ledger.arrivals == t.controller.ledger.arrivals != {}
    again = Ledger()
    again.apply(ledger.checkpoint(t.now.wall))
    assert again == ledger
    end(t, settled, answered=False)
    again.replay(event for event in t.events if isinstance(event, ev.ArrivalChecked))
    assert (again.arrivals, again.silences) == ({}, t.controller.ledger.silences)
    assert again.settled[-1].arrival is Arrival.SILENT


def test_a_checkpoint_from_before_there_were_checks_is_read() -> None:
    t = a_table()
    arrive(t, leave(t))
    event = t.controller.ledger.checkpoint(t.now.wall)
    state = json.loads(event.state)
    for name in ("arrivals", "silences"):
        state.pop(name, None)
    for old in state["settled"]:
        for name in ("check", "answered_before", "arrival", "arrival_detail", "arrival_seconds"):
            old.pop(name, None)
    ledger = Ledger()
    ledger.apply(replace(event, state=json.dumps(state)))
    assert (ledger.arrivals, ledger.settled[-1].check) == ({}, None)


def test_a_settled_move_that_was_forgotten_is_still_booked() -> None:
    t = a_table()
    arrive(t, leave(t))
    ledger = t.controller.ledger.draft()
    [key] = ledger.arrivals
    ledger.settled.clear()
    ledger.apply(ev.ArrivalChecked(t.now.wall, key, Arrival.SILENT))
    assert (ledger.arrivals, len(ledger.silences)) == ({}, 1)


def test_what_cannot_be_used_is_told_and_pins_nothing() -> None:
    t = a_table(NOTHING_ALLOWED)
    flaw = "check=ping: it is no check; write agent"
    t.world["h2"][vm_id("h2v0")] = replace(t.world["h2"][vm_id("h2v0")], check_flaw=flaw)
    view = t.step().view
    assert f"h2v0 is not asked whether it answers: its check cannot be used: {flaw}" in view.notes
    assert any(note.startswith("h1v0 is not asked whether it answers: 10.0.0.7 is in no network") for note in view.notes)
    [vm] = [one for one in view.vms if one.name == "h2v0"]
    assert "not asked whether it answers: check=ping" in wishes_told(vm)
    assert len(leave(t, "h2").orders) == 1


def test_many_that_are_not_asked_are_told_in_few_words() -> None:
    t = a_table(NOTHING_ALLOWED, h2v0="agent", h3v0="agent")
    assert [note.partition(":")[0] for note in t.step().view.notes] == [
        "h1v0 and 2 more are not asked whether they answer"]
    for records in t.world.values():
        for record in [*records.values()]:
            for number in range(3):
                other = vm_id(f"{record.name}{number}")
                records[other] = replace(record, vm=other, name=f"{record.name}{number}", check=None, check_flaw="is none")
    notes = t.step().view.notes
    assert len(notes) == FLAWS_SHOWN + 2
    assert notes[FLAWS_SHOWN] == f"nor are {12 - FLAWS_SHOWN} more"


def test_who_must_leave_leaves_though_it_was_silent_a_moment_ago() -> None:
    t = a_table()
    end(t, arrive(t, leave(t)), answered=False)
    assert H1V0 in {order.move.vm for order in leave(t, t.controller.ledger.settled[-1].target).orders}


def test_a_move_that_somebody_else_finished_is_not_asked() -> None:
    m = Migration("1-1", H1V0, "h1v0", HostName("h1"), HostName("h2"), 1, 1, "p", "b", 0.0, 1.0, 1.0, check=CHECK)  # type: ignore[arg-type]
    ledger = Ledger(migrations={"1-1": replace(m, called=CallResult.OK)})
    ledger.apply(ev.MigrationSettled(2.0, "1-1", Ending.ELSEWHERE))
    assert ledger.arrivals == {}
