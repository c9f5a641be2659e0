"""While the call of a migration is out, nothing that the ends show closes its books: its job may be about to begin."""

from __future__ import annotations

from ballastd.core.inputs import CallReturned
from ballastd.core.migrations import CallResult, Ending
from tests.builders import Table, four_hosts, table


def ordered() -> tuple[Table, str]:
    t = table(four_hosts(vms_each=1))
    t.show("h1", "ecc.uncorrected", 0.0, "D")
    t.warm_up()
    t.show("h1", "ecc.uncorrected", 1.0, "D")
    (order,) = t.step().orders
    return t, order.id


def test_a_call_that_is_slow_to_begin_its_job_stays_open() -> None:
    t, key = ordered()
    assert not any(decision.orders for decision in t.settle(30, 3.0)), "both ends show that nothing happens, thirty times"
    assert key in t.controller.ledger.migrations


def test_once_it_returned_looks_from_before_do_not_count() -> None:
    t, key = ordered()
    t.settle(10, 3.0)
    t.step(CallReturned(key, CallResult.ERROR, "closed", t.now.later(1.0)))
    t.wait(6.0).step(look=False)
    assert key in t.controller.ledger.migrations
    t.settle(3, 6.0)
    assert [(m.id, m.ending) for m in t.controller.ledger.settled] == [(key, Ending.FAILED)]


def test_after_a_restart_nobody_waits_for_a_call_that_died_with_its_daemon() -> None:
    t, key = ordered()
    t.restart()
    t.settle(3, 6.0)
    assert [(m.id, m.ending) for m in t.controller.ledger.settled] == [(key, Ending.FAILED)]
