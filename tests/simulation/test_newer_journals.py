"""The whole daemon on journals that a newer release has written: left as they are, and read whole by that release."""

from __future__ import annotations

import pytest

from ballastd.core import events
from ballastd.core.events import CheckpointTaken, DaemonStarted, Event, JournalRecovered, MigrationMoved, to_record
from ballastd.core.migrations import MigrationPhase
from tests.builders import four_hosts
from tests.simulation.house import House, in_house
from tests.simulation.test_whole_daemon import awake, fail


def test_a_journal_of_a_newer_release_is_left_as_it_is_until_that_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(house: House) -> None:
        await awake(house)
        fail(house)
        await house.pass_time(3.0)
        await house.crash()
        wall = house.world.clock.now().wall
        house.journal.append(99, [to_record(DaemonStarted(wall, "boot", "7.3")),
                                  {"v": 1, "kind": "FromTheFuture", "wall": wall}])
        left = house.journal.records
        open_then = {r.content["id"] for r in left if r.content["kind"] == "MigrationOrdered"}
        house.start()
        await house.pass_time(300.0)
        assert house.journal.records == left, "what is decided without knowing the rest may contradict it"
        assert house.daemon.counters()["migrations.begun"] == 0
        reason = house.daemon.view().gates[0].reason
        assert f"record {len(left)}: journal record of kind 'FromTheFuture'" in reason
        assert "release 7.3" in reason
        await house.crash()

        monkeypatch.setitem(events._KINDS, "FromTheFuture", JournalRecovered)
        house.start()
        await house.pass_time(400.0)
        assert house.on("h1") == []
        settled = [r.content["id"] for r in house.journal.records if r.content["kind"] == "MigrationSettled"]
        assert open_then <= set(settled)
        assert len(settled) == len(set(settled)) == 3

    in_house(four_hosts(), story)


@pytest.mark.parametrize(("last", "words"), [
    (CheckpointTaken(2.0, '{"running":true,"of_tomorrow":[1]}'),
     "record 2: a checkpoint cannot be read: Ledger has unknown fields ['of_tomorrow']"),
    (MigrationMoved(2.0, "9-9", MigrationPhase.RUNNING),
     "journal contradicts itself: the journal: migration 9-9 is not open"),
], ids=["a checkpoint", "a rule"])
def test_books_of_a_newer_release_are_left_as_they_are(last: Event, words: str) -> None:
    async def story(house: House) -> None:
        house.journal.open()
        house.journal.append(1, [to_record(DaemonStarted(1.0, "boot", "7.3")), to_record(last)])
        left = house.journal.records
        house.start()
        await house.pass_time(60.0)
        assert house.journal.records == left
        reason = house.daemon.view().gates[0].reason
        assert words in reason
        assert "start the release that wrote it" in reason

    in_house(four_hosts(), story)
