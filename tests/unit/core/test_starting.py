"""After a start nothing begins before every host was asked once: an unseen host may hold a second copy."""

from __future__ import annotations

from dataclasses import replace

from ballastd.core.inputs import SelfSuspect
from ballastd.core.inventory import HostInventory
from ballastd.core.quantities import Seconds
from tests.builders import QUICK, ClusterBuilder, Table, four_hosts, table


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


def quiet_for(seconds: float) -> ClusterBuilder:
    return replace(four_hosts(), timing=replace(QUICK, startup_quiet=Seconds(seconds)))


def test_a_host_that_fails_right_after_a_start_waits_until_the_quiet_is_over() -> None:
    t = table(quiet_for(120.0))
    t.show("h1", "ecc.uncorrected", 0.0, "DIMM_A1").warm_up()
    t.show("h1", "ecc.uncorrected", 1.0, "DIMM_A1")
    for decision in t.settle(11, 10.0):
        assert not decision.orders
        assert [gate.kind for gate in decision.view.gates] == ["starting-up"]
    assert t.wait(10.0).step().orders


def test_each_start_has_a_quiet_of_its_own() -> None:
    t = table(quiet_for(60.0))
    t.show("h1", "ecc.uncorrected", 0.0, "DIMM_A1").warm_up()
    t.settle(10, 10.0)
    t.restart()
    t.show("h1", "ecc.uncorrected", 1.0, "DIMM_A1")
    assert not any(decision.orders for decision in t.settle(5, 10.0))
    assert any(decision.orders for decision in t.settle(2, 10.0))


def test_who_was_late_himself_begins_nothing_for_a_while() -> None:
    t = table(four_hosts())
    t.show("h1", "ecc.uncorrected", 0.0, "DIMM_A1").warm_up()
    t.show("h1", "ecc.uncorrected", 1.0, "DIMM_A1")
    assert not t.step(SelfSuspect(t.now, "the loop stood still for 9 s")).orders
    doubtful = t.settle(5, 10.0)
    assert not any(decision.orders for decision in doubtful)
    assert doubtful[-1].view.gates[0].reason == "the loop stood still for 9 s"
    # then its hosts, whom it had not heard meanwhile, settle
    assert any(decision.orders for decision in t.settle(35, 10.0))
