"""VMs that start with their host: noted before they leave, given back where they arrived, whoever closes the books."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ballastd.core import autostart_events as aus
from ballastd.core import events as ev
from ballastd.core.autostarts import AGAIN_SECONDS, PATIENCE_SECONDS
from ballastd.core.books import LedgerBroken
from ballastd.core.decisions import Decision
from ballastd.core.inputs import CallReturned, Verb
from ballastd.core.inventory import JobKind, VmState
from ballastd.core.ledger import Ledger, restored
from ballastd.core.migrations import CallResult
from ballastd.core.plans import AutostartOrder, Order
from ballastd.core.quantities import HostName
from tests.builders import Table, four_hosts, table, vm_id

VM = vm_id("h1v0")


def a_table(*, starts: bool = True) -> Table:
    """Return a table on which ``h1v0`` starts with its host, or not."""
    t = table(four_hosts(1))
    change(t, "h1", autostart=starts)
    return t.warm_up()


def change(t: Table, host: str, **changes: object) -> None:
    t.world[host][VM] = replace(t.world[host][VM], **changes)  # type: ignore[arg-type]


def leave(t: Table) -> Order:
    """Have it leave; return its order."""
    [order] = t.say(Verb.DRAIN, "h1").orders
    return order


def moved(t: Table, order: Order, result: CallResult = CallResult.OK) -> CallReturned:
    """Move it in the world; return what its caller hears."""
    return replace(t.finish(order), result=result, message="so it was told")


def settled(t: Table, *inputs: CallReturned) -> Decision:
    """Step until its books are closed; return that step."""
    decision = t.step(*inputs)
    for _ in range(10):
        if not t.controller.ledger.migrations:
            return decision
        t.wait(2.0)
        decision = t.step()
    raise AssertionError("the books are not closed")


def kinds(decision: Decision) -> list[str]:
    return [type(event).__name__ for event in decision.events]


def given(decision: Decision) -> list[tuple[str, bool]]:
    return [(order.host, order.on) for order in decision.autostarts]


def ended(t: Table) -> list[tuple[bool, str]]:
    return [(event.restored, event.detail) for event in t.events if isinstance(event, aus.AutostartEnded)]


def test_it_is_written_down_with_the_order_and_before_anything_is_done() -> None:
    t = a_table()
    decision = t.say(Verb.DRAIN, "h1")
    [order] = decision.orders
    assert aus.AutostartNoted(t.now.wall, order.id) in decision.events
    assert decision.autostarts == ()


def test_who_does_not_start_with_his_host_is_not_made_to() -> None:
    t = a_table(starts=False)
    order = leave(t)
    t.wait(1.0)
    decision = settled(t, moved(t, order))
    t.settle(20)
    assert given(decision) == []
    assert not [event for event in t.events if "Autostart" in type(event).__name__]


@pytest.mark.parametrize("result", [CallResult.OK, CallResult.ERROR])
def test_it_is_given_back_in_the_step_that_closes_the_books_whatever_its_caller_was_told(result: CallResult) -> None:
    t = a_table()
    order = leave(t)
    t.wait(1.0)
    decision = settled(t, moved(t, order, result))
    assert kinds(decision)[-1] == "AutostartOrdered"
    assert "MigrationSettled" in kinds(decision)
    assert decision.autostarts == (AutostartOrder(order.id, VM, order.move.target, True, decision.revision),)
    assert any("h1v0 does not start with" in note for note in decision.view.notes)
    change(t, order.move.target, autostart=True)
    t.wait(1.0)
    decision = t.step()
    assert (ended(t), given(decision), decision.notices) == ([(True, "")], [], ())
    assert t.controller.ledger.autostarts == {}
    assert not any("start with" in note for note in decision.view.notes)


def test_a_run_that_adopts_it_gives_it_back() -> None:
    t = a_table()
    order = leave(t)
    t.restart()
    t.begin(order)
    t.wait(1.0)
    t.step()
    t.finish(order)
    decision = settled(t)
    assert given(decision) == [(order.move.target, True)]
    t.restart()
    t.wait(1.0)
    decision = t.step()
    assert (given(decision), "AutostartOrdered" in kinds(decision)) == ([(order.move.target, True)], False), "as is written"


def test_it_is_tried_again_until_its_host_shows_it_and_people_are_told_once() -> None:
    t = a_table()
    order = leave(t)
    t.wait(1.0)
    settled(t, moved(t, order))
    seen = t.settle(int(2 * PATIENCE_SECONDS))
    assert sum(len(decision.autostarts) for decision in seen) == 2 * PATIENCE_SECONDS // AGAIN_SECONDS
    [notice] = [notice for decision in seen for notice in decision.notices if notice.key.startswith("autostart")]
    assert (notice.level, f"virsh autostart h1v0 on {order.move.target}" in notice.text) == ("alarm", True)
    assert [event.host for event in t.events if isinstance(event, aus.AutostartOrdered)] == [order.move.target]


def test_a_host_that_does_not_answer_is_waited_for_and_told_as_that() -> None:
    t = a_table()
    order = leave(t)
    t.wait(1.0)
    settled(t, moved(t, order))
    t.dark.add(order.move.target)
    seen = t.settle(int(PATIENCE_SECONDS) + 2)
    assert [given(decision) for decision in seen if decision.autostarts] == []
    [text] = [notice.text for decision in seen for notice in decision.notices if notice.key.startswith("autostart")]
    assert "does not answer" in text
    t.dark.clear()
    assert [given(decision) for decision in t.settle(1)] == [[(order.move.target, True)]]


def test_a_definition_that_stayed_behind_is_kept_from_starting_a_second_copy_first() -> None:
    t = a_table()
    order = leave(t)
    behind = replace(t.world["h1"][VM], state=VmState.SHUTOFF, reason="5/0")
    t.wait(1.0)
    call = moved(t, order, CallResult.ERROR)
    t.world["h1"][VM] = behind
    decision = settled(t, call)
    assert given(decision) == [("h1", False)]
    change(t, "h1", autostart=False)
    t.wait(1.0)
    assert given(t.step()) == [(order.move.target, True)]
    change(t, order.move.target, autostart=True)
    t.wait(1.0)
    t.step()
    assert ended(t) == [(True, "")]


def test_what_runs_at_the_source_again_is_never_touched() -> None:
    t = a_table()
    order = leave(t)
    behind = t.world["h1"][VM]
    t.wait(1.0)
    settled(t, moved(t, order))
    t.world["h1"][VM] = replace(behind, state=VmState.PAUSED, reason="3/1")
    t.wait(AGAIN_SECONDS)
    assert ("h1", False) not in given(t.step())


@pytest.mark.parametrize(("change_to", "words"), [
    ({"persistent": False}, "not defined on"), (None, "is not on")])
def test_what_cannot_be_given_back_is_given_up_and_told(change_to: dict[str, object] | None, words: str) -> None:
    t = a_table()
    order = leave(t)
    t.wait(1.0)
    settled(t, moved(t, order))
    if change_to is None:
        t.world["h4"][VM] = t.world[order.move.target].pop(VM)
    else:
        change(t, order.move.target, **change_to)
    t.wait(1.0)
    decision = t.step()
    [(was_restored, detail)] = ended(t)
    assert (was_restored, words in detail) == (False, True)
    [notice] = [notice for notice in decision.notices if notice.key.startswith("autostart")]
    assert notice.level == "alarm"
    assert t.controller.ledger.autostarts == {}


def test_a_dead_target_ends_it() -> None:
    t = a_table()
    order = leave(t)
    t.wait(1.0)
    settled(t, moved(t, order))
    t.dark.add(order.move.target)
    t.wait(60.0)
    t.step()
    t.say(Verb.CONFIRM_DEAD, order.move.target)
    assert ended(t) == [(False, f"{order.move.target} is confirmed dead")]


def test_nothing_is_done_while_everything_is_paused_or_something_holds_it() -> None:
    t = a_table()
    order = leave(t)
    t.wait(1.0)
    t.say(Verb.PAUSE)
    assert given(settled(t, moved(t, order))) == []
    t.say(Verb.RESUME)
    change(t, order.move.target, job=JobKind.OUTGOING)
    t.wait(AGAIN_SECONDS)
    assert given(t.step()) == []
    change(t, order.move.target, job=JobKind.NONE)
    t.wait(1.0)
    assert given(t.step()) == [(order.move.target, True)]


def test_who_is_moved_on_before_it_was_given_back_has_it_where_he_comes_to() -> None:
    t = a_table()
    first = leave(t)
    t.wait(1.0)
    settled(t, moved(t, first))
    orders = t.say(Verb.DRAIN, first.move.target).orders
    [second] = [order for order in orders if order.move.vm == VM]
    noted = [event for event in t.events if isinstance(event, aus.AutostartNoted)]
    assert [(event.id, event.owed) for event in noted] == [(first.id, False), (second.id, True)]
    t.wait(1.0)
    decision = settled(t, *(moved(t, order) for order in orders))
    assert given(decision) == [(second.move.target, True)]
    [(was_restored, detail)] = ended(t)
    assert (was_restored, "moved on" in detail) == (False, True)
    assert [notice for notice in decision.notices if notice.key.startswith("autostart")] == []


def test_the_books_keep_it_over_a_checkpoint_and_older_ones_are_read() -> None:
    t = a_table()
    order = leave(t)
    t.wait(1.0)
    settled(t, moved(t, order))
    ledger = t.controller.ledger
    checkpoint = ledger.checkpoint(t.now.wall)
    assert list(restored(checkpoint).autostarts) == [order.id]
    older = json.loads(checkpoint.state)
    del older["autostarts"]
    for migration in older["settled"]:
        del migration["autostart"]
    assert restored(replace(checkpoint, state=json.dumps(older))).autostarts == {}


@pytest.mark.parametrize("event", [
    aus.AutostartOrdered(1.0, "1-1", HostName("h1"), on=True), aus.AutostartEnded(1.0, "1-1", restored=True)])
def test_what_nobody_owes_is_a_broken_journal(event: ev.Event) -> None:
    with pytest.raises(LedgerBroken):
        Ledger().apply(event)
