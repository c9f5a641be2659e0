"""After a start nothing begins before every host was asked once: an unseen host may hold a second copy."""

from __future__ import annotations

from ballastd.core.inventory import HostInventory
from tests.builders import Table, four_hosts, table


def step_without(t: Table, unseen: str) -> None:
    """Take a step in which ``unseen`` has not answered yet, and has not failed to."""
    seen = [i for i in t.inventories() if not (isinstance(i, HostInventory) and i.host == unseen)]
    t.step(*t.reports(), *seen, look=False)
    t.wait(30.0)


def failing_before_all_were_seen() -> Table:
    t = table(four_hosts())
    t.show("h1", "ecc.uncorrected", 0.0, "DIMM_A1")
    for _ in range(12):
        step_without(t, "h4")
    t.show("h1", "ecc.uncorrected", 1.0, "DIMM_A1")
    step_without(t, "h4")
    return t


def test_a_host_that_was_not_asked_yet_holds_everything_back() -> None:
    t = failing_before_all_were_seen()
    seen = [i for i in t.inventories() if not (isinstance(i, HostInventory) and i.host == "h4")]
    decision = t.step(*t.reports(), *seen, look=False)
    assert not decision.orders
    assert [gate.reason for gate in decision.view.gates] == ["not looked at yet: h4"]


def test_a_host_that_did_not_answer_was_asked() -> None:
    t = failing_before_all_were_seen()
    t.dark.add("h4")
    decision = t.step()
    assert [order.move.source for order in decision.orders] == ["h1", "h1"]
    assert "h4" not in {order.move.target for order in decision.orders}


def test_its_answer_lets_everything_begin() -> None:
    t = failing_before_all_were_seen()
    assert t.step().orders
