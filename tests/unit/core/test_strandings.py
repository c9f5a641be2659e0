"""What people are told of a host that cannot be emptied outlives a journal that refuses."""

from __future__ import annotations

from ballastd.core.decisions import Decision
from ballastd.core.inputs import Verb
from tests.builders import four_hosts, table


def told(decision: Decision) -> list[str]:
    return [notice.key for notice in decision.notices if notice.key.startswith("stranded/")]


def test_what_was_told_in_a_step_that_was_not_durable_is_told_again_and_once() -> None:
    t = table(four_hosts(vms_each=1))
    t.show("h1", "ecc.uncorrected", 0.0, "D").warm_up()
    t.quiet_for(400.0)
    for host in ("h2", "h3", "h4"):
        t.say(Verb.CORDON, host)
    t.show("h1", "ecc.uncorrected", 1.0, "D").step()
    decisions = [(t.wait(10.0), t.step())[1] for _ in range(5)]
    assert not any(told(decision) for decision in decisions)
    t.wait(20.0)
    assert told(t.step(durable=False)) == ["stranded/h1"]
    t.wait(2.0)
    assert told(t.step()) == ["stranded/h1"]
    t.wait(2.0)
    assert told(t.step()) == []
