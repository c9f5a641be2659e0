"""What people hear while the journal refuses, and when the mind itself fails: all that is an alarm, and each of it once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import NoReturn

import pytest

from ballastd.core import events as ev
from ballastd.core import planning
from ballastd.core.inputs import Input, OperatorCommand, RivalSeen, Verb
from ballastd.core.migrations import MigrationPhase
from ballastd.core.plans import AbortOrder
from ballastd.core.quantities import Instant
from ballastd.kernel.kernel import Withheld
from ballastd.service.asking import Asker
from ballastd.service.control_loop import ControlLoop
from ballastd.service.executor import Executor
from ballastd.service.inbox import Inbox
from ballastd.sim.virtual_time import run_virtual
from tests.builders import Table, four_hosts, table
from tests.unit.kernel.test_kernel import Bench, declared

REFUSED = ("alarm", "journal")
HUNG_SECONDS = 28.0
PAUSE = OperatorCommand("t", Verb.PAUSE, "", "ann")
RIVAL = RivalSeen(Instant(0.0, 0.0), "other")


class Stand:
    """The loop of a daemon whose cluster is silent, turned by hand."""

    def __init__(self, t: Table) -> None:
        self.bench, self.table = Bench(declared()), t
        self.inbox = Inbox(t.controller.is_urgent)
        self.alive: list[str] = []
        executor = Executor(self.bench.kernel, self.inbox, self.bench.clock, lambda _: None,
                            Asker(None, self.inbox, self.bench.clock))
        self.loop = ControlLoop(t.controller, self.inbox, self.bench.record, self.bench.kernel, executor, self.bench.clock,
                                t.cluster.timing, self.bench.notices, self.alive.append)

    def says_it_waits(self) -> bool:
        view = self.loop.view
        return view is not None and any("the journal has not answered for" in note for note in view.notes)

    async def turn(self, *inputs: Input, full: bool = False, times: int = 1) -> list[tuple[str, str]]:
        """Take steps; return the level and key of what was told meanwhile."""
        before = len(self.bench.notices.published)
        self.bench.journal.full = full
        for one in inputs:
            self.inbox.put(one)
        for _ in range(times):
            await self.loop.turn()
        told = self.bench.notices.published[before:]
        return [(what["level"], what["key"]) for topic, what in told if topic == "notices"]


def test_a_journal_that_refuses_is_told_once_and_its_end_is_told() -> None:
    async def story() -> None:
        stand = Stand(table(four_hosts()))
        assert await stand.turn(full=True, times=3) == [REFUSED]
        assert await stand.turn() == [("info", "journal")]
        assert await stand.turn(times=3) == []
        assert await stand.turn(RIVAL, full=True) == [("alarm", "rival")], "nothing had to be written"

    run_virtual(story())


@pytest.mark.parametrize("mind", ["decides", "fails"])
def test_a_journal_that_hangs_is_told_of_while_it_does_and_the_watchdog_hears_us(mind: str, monkeypatch: pytest.MonkeyPatch,
                                                                                 ) -> None:
    def fail(*_: object) -> NoReturn:
        raise ZeroDivisionError("by chance")

    async def story() -> None:
        stand = Stand(table(four_hosts()))
        await stand.turn()
        append = stand.bench.record.append

        async def hang(revision: int, events: tuple[ev.Event, ...]) -> None:
            await asyncio.sleep(HUNG_SECONDS)
            await append(revision, events)

        monkeypatch.setattr(stand.bench.record, "append", hang)
        if mind == "fails":
            monkeypatch.setattr(stand.table.controller, "step", fail)
        turn = asyncio.ensure_future(stand.turn(PAUSE))
        await asyncio.sleep(1.0)
        assert not stand.says_it_waits(), "a disk may take that long"
        await asyncio.sleep(HUNG_SECONDS - 2.0)
        assert stand.says_it_waits()
        assert stand.loop.journal_wait() == pytest.approx(HUNG_SECONDS - 1.0)
        assert sum("has not answered for" in line for line in stand.alive) == 2, "every ten seconds, for there are no steps"
        await turn
        assert not stand.says_it_waits()
        assert stand.loop.journal_wait() == 0.0

    run_virtual(story())


def test_what_stands_against_acts_holds_those_on_their_way_while_the_disk_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        stand = Stand(table(four_hosts()))
        await stand.turn()
        order = await stand.bench.write(stand.bench.order("h0v0", "h0", "h1"))
        stand.bench.tell()
        on_its_way = asyncio.ensure_future(stand.bench.kernel.migrate(order))
        await asyncio.sleep(0.001)

        async def hang(revision: int, events: tuple[ev.Event, ...]) -> None:
            await asyncio.sleep(HUNG_SECONDS)

        monkeypatch.setattr(stand.bench.record, "append", hang)
        turn = asyncio.ensure_future(stand.turn(RIVAL, PAUSE))
        with pytest.raises(Withheld, match=r"another daemon \(other\) claims this cluster"):
            await on_its_way
        assert not turn.done()
        await turn

    run_virtual(story())


def test_a_pause_that_could_not_be_written_is_written_once_it_can_and_ends_by_a_word() -> None:
    async def story() -> None:
        stand = Stand(table(four_hosts()))
        await stand.turn()
        order = await stand.bench.write(stand.bench.order("h0v0", "h0", "h1"))
        asked = asyncio.ensure_future(stand.loop.command(PAUSE))
        await asyncio.sleep(0.001)
        await stand.turn(full=True, times=2)
        assert "not recorded yet, nothing starts all the same" in (await asked).message
        stand.bench.tell()
        with pytest.raises(Withheld, match="paused by ann"):
            await stand.bench.kernel.migrate(order)
        await stand.turn()
        paused = stand.table.controller.ledger.paused
        assert paused is not None, "it is shown, and there after a restart"
        assert paused.by == "ann"
        await stand.turn(OperatorCommand("u", Verb.RESUME, "", "ann"), times=2)
        assert stand.table.controller.ledger.paused is None
        stand.bench.tell()
        await stand.bench.kernel.migrate(order)

    run_virtual(story())


def test_a_word_that_ends_a_pause_ends_no_stop() -> None:
    async def story() -> None:
        stand = Stand(table(four_hosts()))
        await stand.turn(PAUSE)
        order = await stand.bench.write(stand.bench.order("h0v0", "h0", "h1"))
        stand.bench.kernel.hold("stopping")
        await stand.turn(OperatorCommand("u", Verb.RESUME, "", "ann"))
        stand.bench.tell()
        with pytest.raises(Withheld, match="stopping"):
            await stand.bench.kernel.migrate(order)

    run_virtual(story())


def test_a_job_that_is_seen_again_is_the_kernels_again() -> None:
    async def story() -> None:
        t = table(four_hosts())
        stand = Stand(t)
        t.warm_up()
        moved = t.begin(t.fly("h1v0", "h1", "h2")).step()
        (migration,) = t.controller.ledger.open_migrations()
        order = AbortOrder(migration.id, migration.vm, migration.source, "late", 1)
        await stand.bench.record.append(1, (ev.AbortOrdered(1.0, migration.id, "late"),))
        for phase, is_ours in ((MigrationPhase.RUNNING, True), (MigrationPhase.LOST, False), (MigrationPhase.RUNNING, True)):
            stand.loop._follow(replace(moved, events=(ev.MigrationMoved(1.0, migration.id, phase),)))
            if is_ours:
                await stand.bench.kernel.abort(order)
            else:
                with pytest.raises(Withheld, match=f"no migration {migration.id} of it off h1 is in flight"):
                    await stand.bench.kernel.abort(order)

    run_virtual(story())


def test_alarms_do_not_wait_for_the_disk_and_are_not_told_again_after_it() -> None:
    async def story() -> None:
        stand = Stand(table(four_hosts()))
        assert await stand.turn(RIVAL, full=True) == [REFUSED, ("alarm", "rival")]
        assert await stand.turn(RIVAL, full=True) == []
        assert await stand.turn(RIVAL) == [("info", "journal")]
        assert await stand.turn(RIVAL) == [("alarm", "rival")]

    run_virtual(story())


def test_a_mind_that_fails_in_every_step_is_told_and_recorded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> NoReturn:
        raise ZeroDivisionError("by chance")

    async def story() -> None:
        stand = Stand(table(four_hosts()))
        monkeypatch.setattr(stand.table.controller, "step", fail)
        assert await stand.turn(full=True, times=3) == [("alarm", "invariant")]
        assert stand.bench.journal.records == ()
        assert await stand.turn(times=3) == []
        (record,) = stand.bench.journal.records
        assert record.content["detail"] == "ZeroDivisionError: by chance"

    run_virtual(story())


def test_a_plan_that_is_unsound_in_every_step_is_told_and_recorded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> NoReturn:
        raise planning.PlanUnsound("a VM would be on two hosts")

    async def story() -> None:
        stand = Stand(table(four_hosts()))
        await stand.turn()
        monkeypatch.setattr("ballastd.core.controller.plan", fail)
        assert await stand.turn(times=3) == [("alarm", "invariant")]
        assert [record.content["kind"] for record in stand.bench.journal.records].count("InvariantFailed") == 1

    run_virtual(story())
