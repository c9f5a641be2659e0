"""The loop on which an hour of waiting takes as long as what happens in it."""

from __future__ import annotations

import asyncio
import socket
import threading
import time

import pytest

from ballastd.errors import InvariantBroken
from ballastd.sim.virtual_time import Stalled, VirtualClock, VirtualTimeLoop, run_virtual


def test_a_day_of_sleep_takes_no_time() -> None:
    async def story() -> float:
        await asyncio.sleep(86_400.0 * 3)
        return asyncio.get_running_loop().time()

    began = time.perf_counter()
    assert run_virtual(story()) == pytest.approx(86_400.0 * 3)
    assert time.perf_counter() - began < 10.0


def test_timers_fire_in_the_order_of_their_times() -> None:
    async def story() -> list[tuple[str, float]]:
        loop, fired = asyncio.get_running_loop(), []

        async def sleeper(name: str, seconds: float) -> None:
            await asyncio.sleep(seconds)
            fired.append((name, loop.time()))

        await asyncio.gather(sleeper("c", 3.0), sleeper("a", 1.0), sleeper("b", 2.0))
        return fired

    assert run_virtual(story()) == [("a", 1.0), ("b", 2.0), ("c", 3.0)]


def test_time_limits_are_virtual_too() -> None:
    async def story() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(90.0):
                await asyncio.Event().wait()
        return asyncio.get_running_loop().time()

    assert run_virtual(story()) == pytest.approx(90.0)


def test_when_nobody_can_ever_wake_up_it_says_so() -> None:
    async def story() -> None:
        await asyncio.sleep(5.0)
        await asyncio.Event().wait()

    with pytest.raises(Stalled, match=r"5\.000 s"):
        run_virtual(story())


def test_a_ready_descriptor_is_served_before_time_moves() -> None:
    async def story() -> tuple[bytes, float]:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            theirs.send(b"news")
            later = asyncio.create_task(asyncio.sleep(10.0))
            got = await loop.sock_recv(ours, 16)
            at = loop.time()
            await later
        return got, at

    assert run_virtual(story()) == (b"news", 0.0)


def test_two_runs_take_the_same_steps() -> None:
    async def story() -> list[float]:
        loop, seen = asyncio.get_running_loop(), []
        for step in range(1, 50):
            await asyncio.sleep(0.1 * step)
            seen.append(loop.time())
        return seen

    assert run_virtual(story()) == run_virtual(story())


def test_tasks_left_behind_are_cancelled() -> None:
    ended: list[str] = []

    async def straggler() -> None:
        try:
            await asyncio.sleep(1e9)
        finally:
            ended.append("straggler")

    async def story() -> None:
        task = asyncio.create_task(straggler())
        await asyncio.sleep(1.0)
        assert not task.done()

    run_virtual(story())
    assert ended == ["straggler"]


def test_an_error_of_the_story_comes_out() -> None:
    async def story() -> None:
        await asyncio.sleep(1.0)
        raise KeyError("lost")

    with pytest.raises(KeyError, match="lost"):
        run_virtual(story())


def test_a_step_of_the_wall_clock_leaves_the_monotonic_one_alone() -> None:
    async def story() -> None:
        clock = VirtualClock(epoch_wall=1000.0, boot_id="b")
        await asyncio.sleep(10.0)
        before = clock.now()
        clock.step_wall(-3600.0)
        after = clock.now()
        assert (before.monotonic, before.wall, before.boot_id) == (10.0, 1010.0, "b")
        assert (after.monotonic, after.wall) == (10.0, -2590.0)
        clock.set_wall(5000.0)
        await asyncio.sleep(2.0)
        assert (clock.now().monotonic, clock.now().wall) == (12.0, 5002.0)

    run_virtual(story())


def test_the_loop_is_closed_without_leaking_descriptors() -> None:
    loop = VirtualTimeLoop()
    loop.run_until_complete(asyncio.sleep(1.0))
    loop.close()
    assert loop.is_closed()


def test_no_thread_hides_behind_the_loop() -> None:
    async def on_a_pool() -> None:
        with pytest.raises(InvariantBroken, match="sleep would run on a thread"):
            await asyncio.get_running_loop().run_in_executor(None, time.sleep, 0.0)

    async def from_a_thread() -> list[str]:
        loop, said = asyncio.get_running_loop(), []

        def call() -> None:
            try:
                loop.call_soon_threadsafe(said.append, "got through")
            except InvariantBroken as error:
                said.append(str(error))

        thread = threading.Thread(target=call)
        thread.start()
        thread.join()
        await asyncio.sleep(1.0)
        return said

    run_virtual(on_a_pool())
    assert run_virtual(from_a_thread()) == ["a thread that virtual time cannot see calls list.append"]
