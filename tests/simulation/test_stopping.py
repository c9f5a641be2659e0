"""An orderly stop while migrations run: they go on, or are called off where the settings say so."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from ballastd.core.acts import Act
from ballastd.core.events import from_record
from ballastd.core.ledger import Ledger
from ballastd.core.policies import Timing
from ballastd.core.quantities import HostName, Seconds
from ballastd.ports.keeping import JournalRecord
from ballastd.rehearsal.stage import Setting, Stage, perform
from ballastd.service import daemon
from tests.builders import POLICIES
from tests.simulation.clusters import Fixed, four

QUICK = Timing(startup_quiet=Seconds(40.0), inventory_interval=Seconds(2.0), pace=Seconds(10.0))
ERROR = (Act(80.0, "reading", host="h1", metric="ecc.uncorrected", subject="A", value=0.0),
         Act(100.0, "reading", host="h1", metric="ecc.uncorrected", subject="A", value=1.0))
STOP, ALL = 105.0, 3


def stopped(*acts: Act, aborts: bool) -> tuple[Stage, float]:
    """Stop the daemon in the middle of an evacuation; return the stage, and how long the stop took."""
    took: list[float] = []

    async def play(stage: Stage) -> None:
        await stage.play(STOP)
        assert of(stage, "MigrationSettled") == []
        await stage.stop(300.0)
        took.append(stage.clock.now().monotonic - STOP)
        await stage.play(STOP + 200.0)  # no other daemon yet

    stage = perform(Setting(four(), Fixed(POLICIES), QUICK, (*ERROR, *acts), abort_on_stop=aborts), play)[1]
    assert stage.violations == ()
    return stage, took[0]


def of(stage: Stage, kind: str) -> list[str]:
    """Return the ids of the migrations of which there is such a record."""
    return [record.content["id"] for record in stage.world.journal.records if record.content["kind"] == kind]


def at_home(stage: Stage) -> int:
    return sum(record.state.holds_memory for record in stage.world.host(HostName("h1")).vms.values())


def test_a_stop_lets_migrations_go_on() -> None:
    stage, took = stopped(aborts=False)
    assert took < 5.0
    assert of(stage, "AbortOrdered") == []
    assert at_home(stage) == ALL - len(of(stage, "MigrationOrdered"))


def test_a_stop_calls_migrations_off_where_the_settings_say_so_and_records_it_before() -> None:
    stage, took = stopped(aborts=True)
    assert took < 5.0
    assert of(stage, "AbortOrdered") == of(stage, "MigrationOrdered") != []
    assert at_home(stage) == ALL


def test_a_host_that_does_not_answer_to_an_abort_holds_up_no_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon, "ABORT_ON_STOP_SECONDS", 2.0)
    stage, took = stopped(Act(STOP - 1.0, "hang", host="h1", seconds=60.0), aborts=True)
    assert 2.0 <= took < 5.0
    assert of(stage, "AbortOrdered") == of(stage, "MigrationOrdered") != []


DISK_SECONDS = 1.0


def evacuated(stop: float | None) -> tuple[float, Sequence[JournalRecord]]:
    """Play an evacuation with a slow disk, and stop the daemon in the middle of it, where that is told; return by how much
    the wall clock is ahead of the stage's, and the journal."""
    async def play(stage: Stage) -> float:
        stage.world.lanes.disk_seconds = DISK_SECONDS
        await stage.play(stop or STOP + 100.0)
        now = stage.clock.now()
        if stop is not None:
            await stage.stop(300.0)
        return now.wall - now.monotonic

    ahead, stage = perform(Setting(four(), Fixed(POLICIES), QUICK, ERROR, abort_on_stop=True), play)
    return ahead, stage.world.journal.records


def test_a_stop_that_calls_off_leaves_a_journal_that_can_be_read_though_a_migration_ends_while_it_stops() -> None:
    ahead, records = evacuated(None)
    over = next(one.content["wall"] for one in records if one.content["kind"] == "MigrationSettled") - ahead
    for early in (1.5, 1.0, 0.5, 0.0):
        _, records = evacuated(over - early * DISK_SECONDS)
        assert [one for one in records if one.content["kind"] == "DaemonStopped"]
        Ledger().replay(from_record(record.content) for record in records)
