"""The contract of ``ports.Blocking``, and what the lanes of threads promise beyond it."""

from __future__ import annotations

import asyncio
import functools
import gc
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable

import pytest

from ballastd.adapters.blocking import WAITING_PER_LANE_MAX, Inline, Lanes
from ballastd.errors import MigrationFailed, Unreachable
from ballastd.ports.running import Blocking
from ballastd.sim.journal import MemoryJournal
from ballastd.sim.virtual_time import VirtualTimeLoop


class Gate:
    """A call that hangs until it is let through."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self._open = threading.Event()

    def __call__(self) -> str:
        self.entered.set()
        self._open.wait(20)
        return "through"

    def open(self) -> None:
        self._open.set()


@pytest.fixture
async def gates() -> AsyncIterator[Callable[[], Gate]]:
    """Makes gates, all of which open when the test is over."""
    made: list[Gate] = []

    def make() -> Gate:
        made.append(Gate())
        return made[-1]

    yield make
    for gate in made:
        gate.open()


@pytest.fixture
async def lanes() -> AsyncIterator[Lanes]:
    one = Lanes()
    yield one
    await one.close()


@pytest.fixture(params=[Lanes, Inline], ids=["lanes", "inline"])
async def blocking(request: pytest.FixtureRequest) -> AsyncIterator[Blocking]:
    one: Blocking = request.param()
    yield one
    await one.close()


async def until(truth: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not truth():
            await asyncio.sleep(0.005)


async def entered(gate: Gate) -> None:
    await until(gate.entered.is_set)


def lane_threads() -> list[str]:
    return sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("lane-"))


# what every implementation promises


async def test_a_call_returns_what_it_returns(blocking: Blocking) -> None:
    assert await blocking.run("a", lambda: 41 + 1, deadline=5) == 42
    assert await blocking.run("a", lambda: None, deadline=5) is None


async def test_what_a_call_raises_comes_through_as_it_is(blocking: Blocking) -> None:
    trouble = MigrationFailed("the guest refused", code=1, domain=10)

    def fail() -> None:
        raise trouble

    with pytest.raises(MigrationFailed) as caught:
        await blocking.run("a", fail, deadline=5)
    assert caught.value is trouble
    assert await blocking.run("a", lambda: "the lane goes on", deadline=5) == "the lane goes on"


async def test_calls_of_a_lane_run_one_after_the_other_in_order(blocking: Blocking) -> None:
    seen: list[int] = []
    inside = 0

    def note(number: int) -> int:
        nonlocal inside
        inside += 1
        assert inside == 1, "two calls of one lane at a time"
        time.sleep(0.001)
        seen.append(number)
        inside -= 1
        return number

    results = await asyncio.gather(*(blocking.run("a", lambda n=n: note(n), deadline=20) for n in range(50)))
    assert seen == results == list(range(50))


async def test_a_call_without_time_is_not_begun(blocking: Blocking) -> None:
    begun: list[int] = []
    for deadline in (0.0, -1.0):
        with pytest.raises(Unreachable):
            await blocking.run("a", lambda: begun.append(1), deadline=deadline)
    await asyncio.sleep(0.02)
    assert begun == []


async def test_nothing_hangs_at_first(blocking: Blocking) -> None:
    await blocking.run("a", lambda: 1, deadline=5)
    assert blocking.abandoned() == 0


# lanes of threads


async def test_lanes_do_not_wait_for_each_other(lanes: Lanes, gates: Callable[[], Gate]) -> None:
    gate = gates()
    hanging = asyncio.create_task(lanes.run("a", gate, deadline=10))
    await entered(gate)
    assert await lanes.run("b", lambda: threading.current_thread().name, deadline=5) == "lane-b"
    gate.open()
    assert await hanging == "through"


async def test_a_deadline_gives_up_the_lane_and_the_next_call_gets_a_new_thread(
        lanes: Lanes, gates: Callable[[], Gate]) -> None:
    gate = gates()
    first = await lanes.run("a", threading.get_ident, deadline=5)
    begun = time.monotonic()
    with pytest.raises(Unreachable, match=r"lane a: no answer within 0\.1 s"):
        await lanes.run("a", gate, deadline=0.1)
    assert 0.09 < time.monotonic() - begun < 2
    assert lanes.abandoned() == 1
    second = await lanes.run("a", threading.get_ident, deadline=5)
    assert second != first
    gate.open()
    await until(lambda: lanes.abandoned() == 0)
    assert await lanes.run("a", threading.get_ident, deadline=5) == second, "the old thread does not come back"
    await until(lambda: lane_threads().count("lane-a") == 1)


async def test_calls_behind_one_that_hangs_go_on_in_order_once_it_is_given_up(
        lanes: Lanes, gates: Callable[[], Gate]) -> None:
    gate, seen = gates(), list[int]()
    hanging = asyncio.create_task(lanes.run("a", gate, deadline=0.2))
    await entered(gate)
    behind = [asyncio.create_task(lanes.run("a", lambda n=n: seen.append(n), deadline=5)) for n in range(5)]
    await asyncio.sleep(0.05)
    assert seen == []
    with pytest.raises(Unreachable):
        await hanging
    await asyncio.gather(*behind)
    gate.open()
    await until(lambda: lanes.abandoned() == 0)
    assert seen == [0, 1, 2, 3, 4], "each once, and none by the thread that was given up"


async def test_a_call_whose_turn_does_not_come_is_withdrawn_and_never_begins(
        lanes: Lanes, gates: Callable[[], Gate]) -> None:
    gate, begun = gates(), list[str]()
    running = asyncio.create_task(lanes.run("a", gate, deadline=10))
    await entered(gate)
    with pytest.raises(Unreachable, match=r"its turn did not come within 0\.05 s"):
        await lanes.run("a", lambda: begun.append("late"), deadline=0.05)
    assert lanes.abandoned() == 0, "the call before it has time left, so its lane stands"
    gate.open()
    assert await running == "through"
    await lanes.run("a", lambda: begun.append("next"), deadline=5)
    assert begun == ["next"]


async def test_who_leaves_leaves_a_running_call_to_its_end(lanes: Lanes, gates: Callable[[], Gate]) -> None:
    gate, seen = gates(), list[str]()

    def work() -> None:
        gate()
        seen.append("the one that was left")

    left = asyncio.create_task(lanes.run("a", work, deadline=10))
    await entered(gate)
    behind = asyncio.create_task(lanes.run("a", lambda: seen.append("the one behind"), deadline=10))
    left.cancel()
    with pytest.raises(asyncio.CancelledError):
        await left
    await asyncio.sleep(0.05)
    assert (seen, lanes.abandoned()) == ([], 0)
    gate.open()
    await behind
    assert seen == ["the one that was left", "the one behind"]


async def test_a_call_that_was_left_still_has_its_deadline(lanes: Lanes, gates: Callable[[], Gate]) -> None:
    gate = gates()
    left = asyncio.create_task(lanes.run("a", gate, deadline=0.2))
    await entered(gate)
    left.cancel()
    assert await lanes.run("a", lambda: "not stuck behind it", deadline=5) == "not stuck behind it"
    assert lanes.abandoned() == 1


async def test_who_leaves_before_his_turn_begins_nothing(lanes: Lanes, gates: Callable[[], Gate]) -> None:
    gate, begun = gates(), list[str]()
    running = asyncio.create_task(lanes.run("a", gate, deadline=10))
    await entered(gate)
    left = asyncio.create_task(lanes.run("a", lambda: begun.append("left"), deadline=10))
    await asyncio.sleep(0.02)
    left.cancel()
    await asyncio.gather(left, return_exceptions=True)
    gate.open()
    await running
    await lanes.run("a", lambda: begun.append("next"), deadline=5)
    assert begun == ["next"]


async def test_past_the_ceiling_of_a_lane_it_refuses_at_once(gates: Callable[[], Gate]) -> None:
    lanes, made = Lanes(abandoned_per_lane_max=2), [gates(), gates()]
    for gate in made:
        with pytest.raises(Unreachable, match="no answer"):
            await lanes.run("a", gate, deadline=0.05)
    begun = time.monotonic()
    with pytest.raises(Unreachable, match="lane a: 2 calls hang on it already, 2 in all; no further one is begun"):
        await lanes.run("a", lambda: 1, deadline=10)
    assert time.monotonic() - begun < 0.5
    made[0].open()
    await until(lambda: lanes.abandoned() == 1)
    assert await lanes.run("a", lambda: "room again", deadline=5) == "room again"
    await lanes.close()


async def test_past_the_ceiling_of_all_only_lanes_where_nothing_hangs_go_on(gates: Callable[[], Gate]) -> None:
    lanes = Lanes(abandoned_max=2)
    for name in ("a", "b"):
        with pytest.raises(Unreachable, match="no answer"):
            await lanes.run(name, gates(), deadline=0.05)
    for name in ("a", "b"):
        with pytest.raises(Unreachable, match="1 calls hang on it already, 2 in all"):
            await lanes.run(name, lambda: 1, deadline=10)
    assert await lanes.run("journal", lambda: "goes on", deadline=5) == "goes on"
    await lanes.close()


async def test_calls_behind_one_that_takes_the_last_thread_are_refused(gates: Callable[[], Gate]) -> None:
    lanes, gate, begun = Lanes(abandoned_per_lane_max=1), gates(), list[int]()
    hanging = asyncio.create_task(lanes.run("a", gate, deadline=0.1))
    await entered(gate)
    behind = asyncio.create_task(lanes.run("a", lambda: begun.append(1), deadline=10))
    with pytest.raises(Unreachable, match="no answer"):
        await hanging
    with pytest.raises(Unreachable, match="no further one is begun"):
        await behind
    gate.open()
    await until(lambda: lanes.abandoned() == 0)
    assert begun == []
    await lanes.close()


async def test_only_so_many_calls_wait_in_a_lane(lanes: Lanes, gates: Callable[[], Gate]) -> None:
    gate = gates()
    tasks = [asyncio.create_task(lanes.run("a", gate, deadline=10))]
    await entered(gate)
    tasks += [asyncio.create_task(lanes.run("a", lambda: "one of many", deadline=10)) for _ in range(WAITING_PER_LANE_MAX)]
    await asyncio.sleep(0.02)
    with pytest.raises(Unreachable, match=f"{WAITING_PER_LANE_MAX} calls wait already"):
        await lanes.run("a", lambda: "one too many", deadline=10)
    gate.open()
    assert (await asyncio.gather(*tasks))[1:] == ["one of many"] * WAITING_PER_LANE_MAX


async def test_what_an_abandoned_call_holds_is_never_let_go(lanes: Lanes, gates: Callable[[], Gate]) -> None:
    """A connection object closes itself when it is dropped, and that may block whoever dropped it."""
    dropped: list[str] = []

    class Held:
        def __del__(self) -> None:
            dropped.append(threading.current_thread().name)

    async def hang(gate: Gate) -> None:
        held = Held()
        with pytest.raises(Unreachable):
            await lanes.run("a", lambda: (gate(), held), deadline=0.05)

    gate = gates()
    await hang(gate)
    gate.open()
    await until(lambda: lanes.abandoned() == 0)
    await lanes.run("a", lambda: None, deadline=5)
    gc.collect()
    assert dropped == []


async def test_what_a_call_that_failed_holds_is_let_go_at_once(lanes: Lanes) -> None:
    dropped: list[str] = []

    class Held:
        def __del__(self) -> None:
            dropped.append("dropped")

    def fail(_held: Held) -> None:
        raise ZeroDivisionError

    gc.disable()
    try:
        with pytest.raises(ZeroDivisionError):
            await lanes.run("a", functools.partial(fail, Held()), deadline=5)
        await until(lambda: bool(dropped))
        assert dropped == ["dropped"]
    finally:
        gc.enable()


async def test_what_an_abandoned_call_returns_late_is_dropped_where_it_came_up(
        lanes: Lanes, gates: Callable[[], Gate]) -> None:
    dropped: list[str] = []

    class Connection:
        def __del__(self) -> None:
            dropped.append(threading.current_thread().name)

    gate = gates()
    with pytest.raises(Unreachable):
        await lanes.run("a", lambda: (gate(), Connection())[1], deadline=0.05)
    gate.open()
    await until(lambda: lanes.abandoned() == 0)
    assert dropped == ["lane-a"]


async def test_an_idle_thread_ends_and_comes_back_when_it_is_needed() -> None:
    lanes = Lanes(idle_seconds=0.05)
    await lanes.run("idle-test", lambda: None, deadline=5)
    assert "lane-idle-test" in lane_threads()
    await until(lambda: "lane-idle-test" not in lane_threads())
    assert await lanes.run("idle-test", lambda: "back", deadline=5) == "back"
    await lanes.close()


async def test_a_stop_iteration_cannot_get_stuck_between_thread_and_loop(lanes: Lanes) -> None:
    with pytest.raises(RuntimeError, match="StopIteration"):
        await lanes.run("a", lambda: next(iter(())), deadline=2)


async def test_closing_waits_for_nothing_and_what_waits_still_runs(lanes: Lanes, gates: Callable[[], Gate]) -> None:
    gate, seen = gates(), list[str]()
    running = asyncio.create_task(lanes.run("a", gate, deadline=10))
    await entered(gate)
    behind = asyncio.create_task(lanes.run("a", lambda: seen.append("durable after all"), deadline=10))
    await asyncio.sleep(0.02)
    begun = time.monotonic()
    await lanes.close()
    assert time.monotonic() - begun < 0.5
    with pytest.raises(Unreachable, match="all lanes are closed"):
        await lanes.run("a", lambda: 1, deadline=5)
    gate.open()
    await asyncio.gather(running, behind)
    assert seen == ["durable after all"]


def test_a_call_that_returns_after_the_loop_is_closed_disturbs_nobody(recwarn: pytest.WarningsRecorder) -> None:
    gate, done = Gate(), threading.Event()

    async def story() -> None:
        task = asyncio.create_task(Lanes().run("a", lambda: (gate(), done.set()), deadline=10))
        await entered(gate)
        task.cancel()

    asyncio.run(story())
    gate.open()
    assert done.wait(5)
    time.sleep(0.05)
    assert [str(warning.message) for warning in recwarn] == []


HUNG = """
import asyncio, sys, threading, time
from ballastd.adapters.blocking import Lanes
from ballastd.errors import Unreachable

class Connection:
    def __del__(self):
        time.sleep(30)

async def main():
    lanes, connection, late = Lanes(), Connection(), Connection()
    hang = asyncio.create_task(lanes.run("hung", lambda: (connection, time.sleep(30)), deadline=0.05))
    slow = asyncio.create_task(lanes.run("late", lambda: (late, time.sleep(0.2), None)[2], deadline=0.05))
    left = asyncio.create_task(lanes.run("left", lambda: time.sleep(30), deadline=20))
    outcomes = await asyncio.gather(hang, slow, return_exceptions=True)
    assert all(isinstance(one, Unreachable) for one in outcomes), outcomes
    await asyncio.sleep(0.3)
    assert lanes.abandoned() == 1
    left.cancel()
    await lanes.close()
    print("leaving", flush=True)

asyncio.run(main())
"""


def test_a_process_with_hung_calls_ends_within_a_second() -> None:
    """Although one call hangs, one was left, and two connections would block whoever drops them."""
    with subprocess.Popen([sys.executable, "-X", "dev", "-c", HUNG], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "leaving\n"
        begun = time.monotonic()
        _, complaints = process.communicate(timeout=20)
        assert time.monotonic() - begun < 1.0
    assert (process.returncode, complaints) == (0, "")


# in place, on virtual time


def test_in_place_no_thread_is_used_and_a_slow_call_is_told_as_late_although_it_happened() -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        inline, journal = Inline(), MemoryJournal(loop.jump)
        assert await inline.run("a", threading.get_ident, deadline=5) == threading.get_ident()
        await inline.run("journal", journal.open, deadline=5)
        journal.slow = 4.0
        assert await inline.run("journal", lambda: journal.append(1, [{"a": 1}]), deadline=5) == 1
        journal.slow = 40.0
        with pytest.raises(Unreachable, match="no answer within 30 s"):
            await inline.run("journal", lambda: journal.append(2, [{"a": 2}]), deadline=30)
        assert (len(journal.records), loop.time()) == (2, 44.0)

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(story())
