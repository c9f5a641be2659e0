"""What was decided lately is told in words that say whom it is about."""

from __future__ import annotations

import pytest

from ballastd.core import events as ev
from ballastd.core.arrival_checks import AGENT, Arrival
from ballastd.core.migrations import Ending
from ballastd.core.quantities import GIB, Bytes, HostName
from ballastd.core.recent import Recent
from tests.builders import vm_id

ORDERED = ev.MigrationOrdered(1.0, "1-1", vm_id("a"), "web-1", HostName("h1"), HostName("h2"), Bytes(GIB), 10, "p", "",
                              11.0, 1.0)
ASKED = (ORDERED, ev.CheckOrdered(1.0, "1-1", AGENT))
COMPLETED = ev.MigrationSettled(20.0, "1-1", Ending.COMPLETED)


@pytest.mark.parametrize(("arrival", "level", "words"), [
    (Arrival.ANSWERED, "info", "web-1 on h2 answers: so"),
    (Arrival.SILENT, "warning", "web-1 on h2 answered before it was moved, and does not since: so"),
    (Arrival.UNPROVEN, "info", "web-1 on h2 does not answer, and is not known to have answered before: so"),
    (Arrival.UNCHECKED, "info", "nothing can be said of whether web-1 on h2 answers: so")])
def test_what_is_told_of_an_arrival_names_the_vm_and_where_it_is(arrival: Arrival, level: str, words: str) -> None:
    recent = Recent()
    recent.note(ASKED)
    recent.note((COMPLETED, ev.ArrivalChecked(60.0, "1-1", arrival, 40.0, "so")))
    told, settled, *_ = recent.newest_first()
    assert (told.level, told.text) == (level, f"1-1: {words}")
    assert settled.text == "1-1: web-1 completed"


@pytest.mark.parametrize("ends", [(*ASKED, COMPLETED, ev.ArrivalChecked(60.0, "1-1", Arrival.ANSWERED)),
                                  (ORDERED, COMPLETED), (*ASKED, ev.MigrationSettled(20.0, "1-1", Ending.FAILED))])
def test_of_what_is_over_no_name_is_kept(ends: tuple[ev.Event, ...]) -> None:
    recent = Recent()
    recent.note(ends)
    recent.note((ev.ArrivalChecked(70.0, "1-1", Arrival.ANSWERED),))
    assert recent.newest_first()[0].text == "1-1: its VM answers"
