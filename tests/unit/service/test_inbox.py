"""The inbox is bounded, folds what repeats, and wakes for what is urgent."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from ballastd.core.inputs import CallReturned, HostUnreachable, OperatorCommand, Verb
from ballastd.core.inventory import HostInventory
from ballastd.core.migrations import CallResult
from ballastd.core.quantities import Bytes, HostName, Instant
from ballastd.core.telemetry import Report, Sample, Telemetry
from ballastd.service.inbox import COMMANDS_MAX, Inbox, fold
from ballastd.sim.virtual_time import run_virtual

NOW = Instant(10.0, 1000.0)


def report(sequence: int, *samples: Sample, host: str = "h1", boot: str = "b") -> Report:
    return Report(HostName(host), boot, sequence, 1000.0, 10.0, samples, NOW)


def inventory(host: str) -> HostInventory:
    return HostInventory(HostName(host), NOW, NOW, Bytes(1), Bytes(1), 1, ())


def calm_inbox() -> Inbox:
    return Inbox(lambda one: isinstance(one, CallReturned))


def test_folding_keeps_every_metric_and_the_newest_value() -> None:
    older = report(1, Sample("cpu.load1", 1.0), Sample("fan.alarm", 1.0, "f"))
    folded = fold(older, report(2, Sample("cpu.load1", 2.0)))
    assert {(s.metric, s.value) for s in folded.samples} == {("cpu.load1", 2.0), ("fan.alarm", 1.0)}
    assert folded.sequence == 2


def test_folding_keeps_the_starting_point_of_a_counter() -> None:
    waiting = report(1, Sample("ecc.uncorrected", 0.0, "D"))
    for sequence, value in ((2, 0.0), (3, 1.0), (4, 2.0)):
        waiting = fold(waiting, report(sequence, Sample("ecc.uncorrected", value, "D")))
    assert [s.value for s in waiting.samples] == [0.0, 2.0]


def test_an_older_report_does_not_undo_a_newer_one() -> None:
    newer = report(5, Sample("cpu.load1", 2.0))
    assert fold(newer, report(4, Sample("cpu.load1", 1.0))) is newer


def test_a_flood_from_one_host_takes_one_place() -> None:
    async def story() -> None:
        inbox = calm_inbox()
        for i in range(10_000):
            inbox.put(report(i, Sample("cpu.load1", float(i))))
        inbox.put(report(1, host="h2"))
        items = inbox.drain()
        assert len(items) == 2
        assert inbox.dropped["report"] == 9_999
        assert items[0].samples[0].value == 9_999.0

    run_virtual(story())


def test_a_restarted_agent_is_not_folded_into_its_former_self() -> None:
    async def story() -> None:
        inbox = calm_inbox()
        inbox.put(report(1, boot="one"))
        inbox.put(report(1, boot="two"))
        assert [r.boot_id for r in inbox.drain()] == ["one", "two"]

    run_virtual(story())


def test_the_last_word_about_a_host_wins_whether_it_answered_or_not() -> None:
    async def story() -> None:
        inbox = calm_inbox()
        inbox.put(inventory("h1"))
        inbox.put(HostUnreachable(HostName("h1"), NOW, "gone"))
        assert [type(one) for one in inbox.drain()] == [HostUnreachable]

    run_virtual(story())


def test_commands_are_never_folded_and_are_bounded() -> None:
    async def story() -> None:
        inbox = calm_inbox()
        taken = [inbox.put(OperatorCommand(str(i), Verb.PAUSE, "", "ann")) for i in range(COMMANDS_MAX + 5)]
        assert taken == [True] * COMMANDS_MAX + [False] * 5
        assert len(inbox.drain()) == COMMANDS_MAX
        assert inbox.put(OperatorCommand("again", Verb.PAUSE, "", "ann"))

    run_virtual(story())


def test_urgent_news_wakes_at_once_and_calm_news_waits_for_more() -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        inbox = calm_inbox()
        loop.call_later(3.0, inbox.put, inventory("h1"))
        await inbox.wait(30.0, 0.5)
        assert loop.time() == 3.5
        inbox.drain()
        loop.call_later(1.0, inbox.put, CallReturned("1-1", CallResult.OK, "", NOW))
        await inbox.wait(30.0, 0.5)
        assert loop.time() == 4.5
        inbox.drain()
        await inbox.wait(30.0, 0.5)
        assert loop.time() == 34.5

    run_virtual(story())


def test_urgent_news_cuts_a_calm_wait_short() -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        inbox = calm_inbox()
        inbox.put(inventory("h1"))
        loop.call_later(0.2, inbox.put, CallReturned("1-1", CallResult.OK, "", NOW))
        await inbox.wait(30.0, 0.5)
        assert abs(loop.time() - 0.2) < 1e-9

    run_virtual(story())


def test_calm_news_that_comes_late_does_not_put_the_routine_off() -> None:
    """What a step is due for is due, whatever was heard shortly before."""
    async def story() -> None:
        loop = asyncio.get_running_loop()
        inbox = calm_inbox()
        loop.call_later(8.0, inbox.put, inventory("h1"))
        await inbox.wait(10.0, 5.0)
        assert loop.time() == 10.0

    run_virtual(story())


def test_what_was_handed_out_before_is_not_folded_into_what_comes_now() -> None:
    async def story() -> None:
        inbox, telemetry = calm_inbox(), Telemetry()

        def hear(*reports: Report) -> None:
            for one in reports:
                inbox.put(one)
            for taken in inbox.drain():
                assert isinstance(taken, Report)
                telemetry.absorb(replace(taken, received=Instant(10.0 + taken.sequence, 1000.0)))

        error, gone = Sample("ecc.uncorrected", 1.0, "D"), Sample("fan.alarm", 1.0, "f")
        hear(report(1, Sample("ecc.uncorrected", 0.0, "D"), gone))
        hear(report(2, error))
        replayed = report(1, Sample("ecc.uncorrected", 0.0, "D"), Sample("temperature", 99.0, "a sensor that was replaced"))
        for sequence in (3, 4, 5):
            hear(replayed, replace(replayed, retained=True), report(sequence, error))
        (counted,) = telemetry.columns.metrics["ecc.uncorrected"].series
        assert counted.increase(0.0)[0] == 1.0
        assert telemetry.last_value(HostName("h1"), "temperature", "a sensor that was replaced") is None
        assert inbox.dropped == {"replayed": 3, "retained": 3}

    run_virtual(story())
