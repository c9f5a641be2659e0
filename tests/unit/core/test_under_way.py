"""Jobs that were given another bandwidth are told it again: it may not have reached them, or its run died before."""

from __future__ import annotations

import pytest

from ballastd.core import events as ev
from ballastd.core.inputs import BandwidthSet
from ballastd.core.ledger import Ledger
from ballastd.core.plans import TuneOrder
from ballastd.core.recommendations import ordered
from ballastd.core.under_way import REASSURE_SECONDS, TELL_AGAIN_SECONDS
from tests.builders import Table, four_hosts, table

ALONE_MIB_S = 600


def under_way(*, retuned: bool) -> Table:
    """Return a table on which a VM is on its way at the bandwidth that it has alone, as by an order of its own, or one that
    it was given since."""
    stand = table(four_hosts()).warm_up()
    order = stand.fly("h1v0", "h1", "h2")
    stand.events.append(ordered(order, Ledger(), "", stand.now.wall))
    stand.settle(2)
    if retuned:
        event = ev.BandwidthOrdered(stand.now.wall, order.id, ALONE_MIB_S)
        stand.controller.ledger.apply(event)
        stand.events.append(event)
    return stand


def told(stand: Table, seconds: float) -> list[TuneOrder]:
    return [tune for decision in stand.settle(round(seconds)) for tune in decision.tunes]


@pytest.mark.parametrize("restarts", [True, False])
def test_what_was_ordered_since_is_said_again_until_the_job_is_gone(restarts: bool) -> None:
    stand = under_way(retuned=True)
    booked = len(stand.events)
    if restarts:
        stand.restart()
    tunes = told(stand, TELL_AGAIN_SECONDS)
    assert [(tune.migration, tune.source, tune.bandwidth_mib_s) for tune in tunes] == [("0-1", "h1", ALONE_MIB_S)]
    assert len(told(stand, 2 * TELL_AGAIN_SECONDS)) == 2, "who was asked may not have been heard"
    assert not any(isinstance(event, ev.BandwidthOrdered) for event in stand.events[booked:]), "it is in the books already"


@pytest.mark.parametrize("restarts", [True, False])
def test_what_came_with_the_call_needs_no_saying(restarts: bool) -> None:
    stand = under_way(retuned=False)
    if restarts:
        stand.restart()
    assert told(stand, 2 * TELL_AGAIN_SECONDS) == []


def test_a_bandwidth_that_is_known_to_have_arrived_is_said_again_seldom() -> None:
    stand = under_way(retuned=True)
    assert len(told(stand, 1)) == 1
    stand.step(BandwidthSet("0-1", ALONE_MIB_S - 1, stand.now))
    assert len(told(stand, TELL_AGAIN_SECONDS)) == 1, "that was another one"
    stand.step(BandwidthSet("0-1", ALONE_MIB_S, stand.now))
    assert told(stand, REASSURE_SECONDS - 2 * TELL_AGAIN_SECONDS) == []
    again = told(stand, 2 * REASSURE_SECONDS)
    assert [tune.bandwidth_mib_s for tune in again] == [ALONE_MIB_S] * 2, "a call of before may have come after it"
    stand.restart()
    assert len(told(stand, TELL_AGAIN_SECONDS)) == 1, "the run that knew is gone"
