"""Switching a host off, where the policy asks people: one answer is for the whole of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ballastd.core import autonomy_events as au
from ballastd.core import power_events as pw
from ballastd.core.inputs import OperatorCommand, PoliciesReplaced, Verb
from ballastd.core.policies import Mode
from ballastd.core.power import PowerPhase
from ballastd.core.quantities import HostName
from tests.powered import NIGHT, NIGHTS, PACKED, Powered, powered

ASKED = replace(PACKED, consolidation=(replace(NIGHTS, mode=Mode.RECOMMEND),), digest="asked")


def asked() -> tuple[Powered, str, str]:
    """Return an idle cluster whose policy recommends to switch a host off; the id of that, and the host."""
    p = powered(policies=ASKED)
    p.turns(1200.0)
    [offer] = p.decisions[-1].view.recommendations
    assert (offer.vm, offer.state) == ("", "offered")
    assert not p.orders
    return p, offer.id, offer.source


def say(p: Powered, verb: Verb, subject: str) -> None:
    p.returns.append(OperatorCommand(f"t{len(p.decisions)}", verb, subject, "ann"))
    answer = p.turn().answers[0]
    assert answer.accepted, answer.message


def test_one_approval_empties_closes_switches_off_and_wakes() -> None:
    p, key, host = asked()
    say(p, Verb.APPROVE, key)
    assert p.table.controller.ledger.power[HostName(host)].approved_by == "ann"
    p.until(PowerPhase.OFF, host)
    assert p.table.controller.ledger.power[HostName(host)].approved_by == "ann"
    p.table.now = p.table.now.later(NIGHT.intervals[0][1] - 920.0 - p.table.now.wall)
    p.turns(400.0)
    assert p.orders == [(host, False), (host, True)], "it is woken ahead of the window's end, and nobody is asked"


def test_what_was_rejected_stays_on_and_another_is_recommended() -> None:
    p, key, host = asked()
    say(p, Verb.REJECT, key)
    p.turns(600.0)
    [offer] = p.decisions[-1].view.recommendations
    assert offer.source != host
    assert [no.what for no in p.decisions[-1].view.rejections] == [f"{host} emptied and switched off"]


def test_when_the_cluster_is_busy_by_the_time_of_the_answer_nothing_goes_off() -> None:
    p, key, _ = asked()
    p.table.events.clear()
    say(p, Verb.PAUSE, "")
    say(p, Verb.APPROVE, key)
    p.table.burn(**{record.name: 12.0 for records in p.table.world.values() for record in records.values()})
    p.turns(900.0)
    say(p, Verb.RESUME, "")
    p.turns(100.0)
    assert not p.orders
    assert [type(event) for event in p.table.events if isinstance(event, au.ApprovalLapsed)] == [au.ApprovalLapsed]


@pytest.mark.parametrize("mode", [Mode.OBSERVE, Mode.RECOMMEND])
def test_whoever_tells_the_policy_to_observe_stops_what_was_approved(mode: Mode) -> None:
    p, key, host = asked()
    say(p, Verb.APPROVE, key)
    other = replace(ASKED, consolidation=(replace(NIGHTS, mode=mode),), digest=mode.value)
    p.returns.append(PoliciesReplaced(other))
    p.turn()
    kept = [event for decision in p.decisions[-2:] for event in decision.events if isinstance(event, pw.HostKept)]
    assert bool(kept) is (mode is Mode.OBSERVE)
    assert (p.phase(host) is None) is (mode is Mode.OBSERVE)
