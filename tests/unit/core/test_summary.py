"""A day told from its events: what was done, what was not, and what it saved."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ballastd.core import events as ev
from ballastd.core import power_events as pw
from ballastd.core import shutdown_events as sh
from ballastd.core import summary
from ballastd.core.arrival_checks import AGENT, Arrival
from ballastd.core.ledger import Ledger, restored
from ballastd.core.migrations import CallResult, Ending
from ballastd.core.quantities import GIB, Bytes, HostName
from ballastd.core.summary import summarize
from tests.builders import vm_id

H1, H2 = HostName("h1"), HostName("h2")
DAY = 86400.0


def ordered(key: str, wall: float, policy: str = "even-load") -> ev.MigrationOrdered:
    return ev.MigrationOrdered(wall, key, vm_id("a"), "a", H1, H2, Bytes(GIB), 10, policy, "", wall + 10, 1.0)


def test_moves_are_counted_by_policy_and_failures_by_ending() -> None:
    events = (ordered("1", 10.0), ev.MigrationSettled(20.0, "1", Ending.COMPLETED), ordered("2", 30.0, "nights"),
              ev.MigrationSettled(40.0, "2", Ending.COMPLETED), ordered("3", 50.0),
              ev.MigrationSettled(60.0, "3", Ending.FAILED))
    found = summarize(events, 0.0, DAY, {}, {})
    assert (found.moves, found.failed) == ({"even-load": 1, "nights": 1}, {"failed": 1})


def test_what_was_before_does_not_count_but_its_policy_is_known() -> None:
    events = (ordered("1", 10.0), ev.MigrationSettled(20.0, "1", Ending.COMPLETED), ordered("2", 90.0),
              ev.MigrationSettled(110.0, "2", Ending.COMPLETED))
    assert summarize(events, 100.0, DAY, {}, {}).moves == {"even-load": 1}


def test_a_host_that_was_off_saves_what_it_would_have_drawn() -> None:
    events = (pw.PowerOffOrdered(1000.0, "o", H1, "nights", ""), pw.HostOff(1000.0, H1, ""),
              pw.WakeOrdered(1000.0 + 7200.0, "w", H1, "nights", ""), pw.HostAwake(8300.0, H1, "", 100.0))
    found = summarize(events, 0.0, DAY, {H1: 150.0}, {})
    assert found.off_seconds == {"h1": 7200.0}
    assert found.saved_kwh == 0.3
    assert (found.power_offs, found.wakes) == (1, 1)


def test_a_host_that_went_off_before_and_is_off_still_counts_for_the_span_only() -> None:
    found = summarize((pw.PowerOffOrdered(0.0, "o", H1, "nights", ""), pw.HostOff(10.0, H1, "")), 100.0, 200.0, {}, {})
    assert found.off_seconds == {"h1": 100.0}
    assert found.saved_kwh is None, "nobody said what it draws"


@pytest.mark.parametrize(("by", "off"), [(86_400.0, 500.0), (-300.0, 500.0), (0.0, 300.0)])
def test_a_clock_that_is_set_lengthens_and_shortens_no_time_that_a_host_was_off(by: float, off: float) -> None:
    set_at = 1000.0 + 300.0 + by if by else 1000.0  # a clock that was ahead in a run before: it was off from now on
    events = (pw.PowerOffOrdered(1000.0, "o", H1, "nights", ""), pw.HostOff(1000.0, H1, ""),
              ev.ClockStepped(set_at, by, 0.0),
              pw.WakeOrdered(set_at + (200.0 if by else 300.0), "w", H1, "nights", ""))
    assert summarize(events, 0.0, 3 * DAY, {}, {}).off_seconds == {"h1": off}


def test_what_was_not_done_is_told_with_its_reason_longest_first() -> None:
    lines = summarize((), 0.0, DAY, {}, {"memory (h1 db)": 3, "window (h2 web)": 60}).lines()
    assert [line for line in lines if line.startswith("not done")] == [
        "not done, for 60 min: window (h2 web)", "not done, for 3 min: memory (h1 db)"]


def test_an_empty_day_says_so() -> None:
    assert summarize((), 0.0, DAY, {}, {}).lines() == ("In 24 h 0 min:", "moves completed: none")


def test_failed_power_and_foreign_moves_are_told() -> None:
    events = (pw.HostEmptying(1.0, H1, "nights", ""), pw.PowerFailed(5.0, H1, "did not come back"),
              ev.ForeignMoveSeen(6.0, vm_id("a"), "a", H1, H2), ev.EvacuationEnded(7.0, H2, "empty"))
    text = "\n".join(summarize(events, 0.0, DAY, {}, {}).lines())
    assert "power failed: h1: did not come back" in text
    assert "moves by somebody else, respected: 1" in text
    assert "hosts emptied: h2" in text


def test_guests_that_were_shut_down_are_told_by_name_also_of_before_a_checkpoint() -> None:
    def asked(key: str, vm: str) -> sh.ShutdownOrdered:
        return sh.ShutdownOrdered(1.0, key, vm_id(vm), vm, H1, "failing-hosts", "")

    def ended(key: str, ending: sh.ShutdownEnding) -> sh.ShutdownEnded:
        return sh.ShutdownEnded(50.0, key, ending)

    ledger = Ledger()
    ledger.apply(asked("s1", "a"))
    found = summarize((ledger.checkpoint(2.0), asked("s2", "b"), asked("s3", "c"), ended("s1", sh.ShutdownEnding.DOWN),
                       ended("s2", sh.ShutdownEnding.STAYED), ended("s3", sh.ShutdownEnding.DOWN)), 10.0, DAY, {}, {})
    assert found.shut_down == ("a", "c")
    assert "guests shut down, to be started by a person: a, c" in found.lines()


def test_each_checkpoint_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read = list[ev.CheckpointTaken]()
    monkeypatch.setattr(summary, "restored", lambda event: (read.append(event), restored(event))[1])
    summarize((Ledger().checkpoint(2.0), Ledger().checkpoint(3.0)), 0.0, DAY, {}, {})
    assert [event.wall for event in read] == [2.0, 3.0]


def test_who_is_silent_since_its_move_is_told_by_name_also_of_before_a_checkpoint() -> None:
    ledger = Ledger()
    for event in (ordered("1", 1.0), ev.CheckOrdered(1.0, "1", AGENT), ev.MigrationCalled(2.0, "1", CallResult.OK),
                  ev.MigrationSettled(3.0, "1", Ending.COMPLETED)):
        ledger.apply(event)
    found = summarize((ledger.checkpoint(4.0), replace(ordered("2", 20.0), vm_name="b"), ordered("3", 20.0),
                       *(ev.MigrationSettled(30.0, key, Ending.COMPLETED) for key in "23"),
                       ev.ArrivalChecked(60.0, "1", Arrival.SILENT), ev.ArrivalChecked(61.0, "2", Arrival.SILENT),
                       ev.ArrivalChecked(62.0, "3", Arrival.UNPROVEN)), 10.0, DAY, {}, {})
    assert found.silent == ("a", "b")
    assert "VMs that do not answer since they were moved: a, b" in found.lines()
