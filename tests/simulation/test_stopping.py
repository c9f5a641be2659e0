"""An orderly stop while migrations run: they go on, or are called off where the settings say so."""

from __future__ import annotations

import pytest

from ballastd.core.acts import Act
from ballastd.core.policies import Timing
from ballastd.core.quantities import HostName, Seconds
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
