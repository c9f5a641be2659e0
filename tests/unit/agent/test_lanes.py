"""Reads that hang: they cost their own source, once, and nothing else. A pipe without a writer hangs for real."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from ballastd.agent.lanes import Lane
from ballastd.agent.survey import Surveyor
from ballastd.errors import Unreachable
from tests.data.sysfs_trees import TREES, build
from tests.unit.agent.looking import readings


@contextmanager
def hanging(path: Path) -> Iterator[None]:
    """Whoever opens ``path`` inside the block hangs; afterwards it comes back empty."""
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    try:
        yield
    finally:
        with suppress(OSError):
            os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))


async def test_a_lane_returns_what_the_call_returns_and_raises_what_it_raises() -> None:
    lane: Lane[int] = Lane("x")
    assert await lane.run(lambda: 7, 1.0) == 7
    with pytest.raises(ZeroDivisionError):
        await lane.run(lambda: 1 // 0, 1.0)
    assert await lane.run(lambda: 8, 1.0) == 8
    lane.close()


async def test_a_hung_read_is_not_repeated_and_serves_again_once_it_returns() -> None:
    lane: Lane[int] = Lane("x")
    gate = threading.Event()
    with pytest.raises(Unreachable, match="no answer"):
        await lane.run(lambda: int(gate.wait()), 0.05)
    before = threading.active_count()
    for _ in range(5):
        with pytest.raises(Unreachable, match="still hangs"):
            await lane.run(lambda: 1, 1.0)
    assert threading.active_count() == before
    gate.set()
    while lane.hangs:
        await asyncio.sleep(0.01)
    assert await lane.run(lambda: 2, 1.0) == 2
    lane.close()


async def test_a_chip_that_hangs_takes_only_itself_away_and_only_once(tmp_path: Path) -> None:
    root = build(tmp_path, TREES["healthy"])
    surveyor = Surveyor(root, window=10.0, deadline=0.3)
    before = readings(await surveyor.look(0.0))
    with hanging(root / "sys/class/hwmon/hwmon0/temp1_input"):
        findings = await surveyor.look(1.0)
        begun = time.monotonic()
        again = await surveyor.look(2.0)
        assert time.monotonic() - begun < 0.25
    assert [one.where for one in findings.refused] == ["hwmon0"]
    lost = {key for key in before if key[1].startswith("coretemp:Package id 0") or "@hwmon0" in key[1]}
    for look in (findings, again):
        found = readings(look)
        assert {key for key in found if key[0] != "cpu.utilization"} == before.keys() - lost
        # its twin keeps the name that tells the two apart
        assert ("temperature", "coretemp@hwmon1:Core 0") in found
    surveyor.close()


async def test_a_vanished_chip_lets_its_thread_go(tmp_path: Path) -> None:
    root = build(tmp_path, TREES["healthy"])
    surveyor = Surveyor(root, window=10.0, deadline=1.0)
    await surveyor.look(0.0)
    threads = threading.active_count()
    (root / "sys/class/hwmon/hwmon3").rename(root / "gone")
    found = readings(await surveyor.look(1.0))
    assert ("temperature", "jc42:temp1") not in found
    deadline = time.monotonic() + 2
    while threading.active_count() >= threads and time.monotonic() < deadline:
        await asyncio.sleep(0.01)
    assert threading.active_count() == threads - 1
    surveyor.close()
