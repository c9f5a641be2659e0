"""The whole daemon empties a failing host while its disk is in trouble exactly at one of its appends: at each of them.

The checkers of the stage look on: nothing is done that is not durable, and nothing moves twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests.builders import four_hosts
from tests.simulation.house import House, in_house
from tests.simulation.test_whole_daemon import awake, everything, fail

APPENDS = 7
"""So many there are from the failure on until the host is empty."""
TROUBLE_SECONDS = 45.0


def at_append(house: House, number: int, trouble: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let ``trouble`` begin right before the append of this number, from here on; return what counts them."""
    counted, append = [0], house.journal.append

    def troubled(revision: int, contents: Sequence[dict[str, Any]]) -> int:
        counted[0] += 1
        if counted[0] == number:
            trouble()
        return append(revision, contents)

    monkeypatch.setattr(house.journal, "append", troubled)
    return counted


def emptied_once(house: House) -> None:
    assert house.on("h1") == []
    assert everything(house) == 12
    ordered = [r.content["id"] for r in house.journal.records if r.content["kind"] == "MigrationOrdered"]
    settled = [r.content["id"] for r in house.journal.records if r.content["kind"] == "MigrationSettled"]
    assert sorted(settled) == sorted(ordered)
    assert len(settled) == len(set(settled))


def test_these_are_all_appends_of_the_story(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(house: House) -> None:
        await awake(house)
        counted = at_append(house, 0, lambda: None, monkeypatch)
        fail(house)
        await house.pass_time(300.0)
        emptied_once(house)
        assert counted[0] == APPENDS

    in_house(four_hosts(), story)


@pytest.mark.parametrize("number", range(1, APPENDS + 1))
def test_a_disk_that_is_full_at_any_append_is_told_of_and_all_goes_on_with_room(number: int,
                                                                                monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(house: House) -> None:
        await awake(house)
        told: list[str] = []
        monkeypatch.setattr(house.world.notices, "publish", lambda topic, what, **_: told.append(f"{topic} {what}"))
        counted = at_append(house, number, lambda: setattr(house.journal, "full", True), monkeypatch)
        fail(house)
        await house.pass_time(120.0)
        assert counted[0] >= number, "the trouble never came"
        assert any("'alarm'" in one and "database or disk is full" in one for one in told)
        at_first = len(house.journal.records)
        await house.pass_time(TROUBLE_SECONDS)
        assert len(house.journal.records) == at_first, "half of something was written"
        house.journal.full = False
        await house.pass_time(400.0)
        emptied_once(house)

    in_house(four_hosts(), story)


@pytest.mark.parametrize("number", range(1, APPENDS + 1))
def test_a_write_that_hangs_at_any_append_ends_writing_and_a_restart_goes_on(number: int,
                                                                             monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(house: House) -> None:
        await awake(house)
        counted = at_append(house, number, lambda: setattr(house.world.lanes, "disk_seconds", 40.0), monkeypatch)
        fail(house)
        await house.pass_time(120.0)
        assert counted[0] >= number, "the trouble never came"
        house.world.lanes.disk_seconds = 0.0
        landed = len(house.journal.records)
        await house.pass_time(60.0)
        assert len(house.journal.records) == landed, "memory and disk may disagree: nothing is written"
        await house.crash()
        house.start()
        await house.pass_time(400.0)
        emptied_once(house)

    in_house(four_hosts(), story)
