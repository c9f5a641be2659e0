"""A policy whose moves fail one after the other only recommends, until somebody looked."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ballastd.core import autonomy_events as au
from ballastd.core import events as ev
from ballastd.core.inputs import PoliciesReplaced, Verb
from ballastd.core.ledger import Ledger
from ballastd.core.migrations import CallResult, Ending
from ballastd.core.policies import EvacuationPolicy, Health, Mode, Response
from ballastd.core.quantities import GIB, Bytes, HostName, VmId
from tests.builders import HOT, POLICIES, Table, four_hosts, table

H1, H2 = HostName("h1"), HostName("h2")
DRAIN = EvacuationPolicy("degraded-hosts", Health.DEGRADED, Response.DRAIN, mode=Mode.AUTO)
DRAINED = replace(POLICIES, evacuation=(*POLICIES.evacuation, DRAIN))


def ended(ledger: Ledger, wall: float, ending: Ending, *, policy: str = "even-load", saving: bool = False,
          abort: ev.AbortOrdered | None = None, called: CallResult = CallResult.ERROR) -> None:
    key = f"m{wall:g}"
    ledger.apply(ev.MigrationOrdered(wall, key, VmId(key), key, H1, H2, Bytes(GIB), 100, policy, "hot", wall + 99.0, 2.5,
                                     saving=saving))
    if abort is not None:
        ledger.apply(replace(abort, id=key))
    ledger.apply(ev.MigrationCalled(wall, key, called))
    ledger.apply(ev.MigrationSettled(wall, key, ending))


def faults(ledger: Ledger, policy: str = "even-load") -> int:
    return len(ledger.autonomy.faults.get(policy, ()))


@pytest.mark.parametrize(("ending", "counts"), [
    (Ending.FAILED, 1), (Ending.SPLIT, 1), (Ending.LEFTOVER, 1), (Ending.DOWN, 1), (Ending.VANISHED, 1),
    (Ending.COMPLETED, 0), (Ending.ELSEWHERE, 0), (Ending.REFUSED, 0), (Ending.ABORTED, 0),
])
def test_what_counts_as_a_failure(ending: Ending, counts: int) -> None:
    ledger = Ledger()
    ended(ledger, 1.0, ending)
    assert faults(ledger) == counts


def test_an_abort_counts_where_the_move_itself_overran_and_nobody_else_called_it_off() -> None:
    ledger = Ledger()
    ended(ledger, 1.0, Ending.ABORTED, abort=ev.AbortOrdered(1.0, "", "aborted by ann"))
    ended(ledger, 2.0, Ending.FAILED, abort=ev.AbortOrdered(1.0, "", "target h2 turned failing"))
    assert faults(ledger) == 0
    ended(ledger, 3.0, Ending.ABORTED, abort=ev.AbortOrdered(1.0, "", "not done within 300 s", overran=True))
    assert faults(ledger) == 1


def test_a_failing_host_and_another_policy_do_not_count() -> None:
    ledger = Ledger()
    ended(ledger, 1.0, Ending.FAILED, saving=True)
    ended(ledger, 2.0, Ending.FAILED, policy="nights")
    assert faults(ledger) == 0


def test_a_success_in_between_starts_the_count_again_and_a_day_forgets() -> None:
    ledger = Ledger()
    ended(ledger, 1.0, Ending.FAILED)
    ended(ledger, 2.0, Ending.COMPLETED, called=CallResult.OK)
    assert faults(ledger) == 0
    ended(ledger, 3.0, Ending.FAILED)
    ended(ledger, 3.0 + 86_401.0, Ending.FAILED)
    assert faults(ledger) == 1


def fail(t: Table, times: int) -> list[object]:
    events: list[object] = []
    for _ in range(400):
        decision = t.step()
        events.extend(decision.events)
        for order in decision.orders:
            t.begin(order).wait(5.0)
            returned = t.roll_back(order)
            events.extend(t.step(returned).events)
            times -= 1
            if times == 0:
                events.extend(event for one in t.settle(12, 5.0) for event in one.events)
                return events
        t.wait(5.0)
    raise AssertionError("nothing was ordered any more")


def hot() -> Table:
    assert HOT.severity is Health.DEGRADED
    t = table(four_hosts(vms_each=4), replace(DRAINED, limits=replace(DRAINED.limits, in_flight_host_out=1))).warm_up()
    t.show("h1", "temperature", 98.0, "cpu", critical=100.0)
    return t


def test_after_two_failures_in_a_row_it_only_recommends_and_a_person_lifts_it() -> None:
    t = hot()
    events = fail(t, 2)
    assert [event.policy for event in events if isinstance(event, au.PolicyDemoted)] == ["degraded-hosts"]
    view = t.step().view
    assert [(one.policy, one.because) for one in view.demotions] == [
        ("degraded-hosts", "2 of its moves failed one after the other")]
    assert {intent.mode for intent in view.intents} == {"recommend"}
    assert any("degraded-hosts only recommends" in note for note in view.notes)
    assert view.recommendations
    assert not any(decision.orders for decision in t.settle(10, 10.0))
    decision = t.say(Verb.PROMOTE, "degraded-hosts")
    assert decision.answers[0].accepted
    assert decision.orders


def test_one_failure_is_none() -> None:
    t = hot()
    events = fail(t, 1)
    assert not [event for event in events if isinstance(event, au.PolicyDemoted)]


def test_a_demotion_survives_a_restart_and_ends_when_its_document_says_another_mode() -> None:
    t = hot()
    fail(t, 2)
    t.restart(DRAINED)
    for _ in range(4):
        t.step()
        t.wait(1.0)
    assert "degraded-hosts" in t.controller.ledger.autonomy.demoted
    softer = replace(DRAINED, evacuation=(*POLICIES.evacuation, replace(DRAIN, mode=Mode.RECOMMEND)), digest="softer")
    decision = t.step(PoliciesReplaced(softer))
    assert [(e.policy, e.reason) for e in decision.events if isinstance(e, au.PolicyPromoted)] == [
        ("degraded-hosts", "its document says recommend")]


def test_a_failing_host_is_emptied_by_a_demoted_policy_all_the_same() -> None:
    both = replace(DRAIN, response=Response.EVACUATE)
    t = table(four_hosts(vms_each=2), replace(POLICIES, evacuation=(both,))).warm_up()
    t.controller.ledger.autonomy.apply(au.PolicyDemoted(t.now.wall, "degraded-hosts", "tried"))
    t.show("h2", "ecc.uncorrected", 0.0, "A1").step()
    t.show("h2", "ecc.uncorrected", 1.0, "A1").wait(1.0)
    assert t.step().orders
