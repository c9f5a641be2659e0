"""Threads behind one port: a bounded lane per subject, so that a call that hangs holds up nobody but its lane."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from ballastd.errors import Unreachable

T = TypeVar("T")

ABANDONED_MAX = 64


class _Lane:
    """One thread that runs calls in order. It is a daemon thread: a hung call never keeps the process alive."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        threading.Thread(target=self._work, name=f"lane-{name}", daemon=True).start()

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call()

    def put(self, call: Callable[[], None]) -> None:
        """Run ``call`` after those before it."""
        self._calls.put(call)

    def end(self) -> None:
        """Let the thread end after what it has."""
        self._calls.put(None)


class Lanes:
    """``ports.Blocking`` for production."""

    def __init__(self, abandoned_max: int = ABANDONED_MAX) -> None:
        self._lanes: dict[str, _Lane] = {}
        self._abandoned: dict[int, Any] = {}
        self._abandoned_max = abandoned_max
        self._serial = 0

    async def run(self, lane: str, call: Callable[[], T], *, deadline: float) -> T:
        """See ``ports.Blocking.run``."""
        if len(self._abandoned) >= self._abandoned_max:
            raise Unreachable(f"{len(self._abandoned)} calls hang already; no further one is begun")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._serial += 1
        ticket, here = self._serial, self._lanes.get(lane)
        if here is None:
            here = self._lanes[lane] = _Lane(lane)

        def work() -> None:
            try:
                result = call()
            except BaseException as error:  # noqa: BLE001  whatever it is belongs to the caller, not to the lane
                self._hand_over(loop, self._finish, ticket, future, None, error)
            else:
                self._hand_over(loop, self._finish, ticket, future, result, None)

        here.put(work)
        done, _ = await asyncio.wait({future}, timeout=deadline)
        if done:
            return future.result()
        # its closure stays referenced for ever: a connection object's destructor may block whoever drops it
        self._abandoned[ticket] = work
        if self._lanes.get(lane) is here:
            del self._lanes[lane]
            here.end()
        raise Unreachable(f"no answer within {deadline:g} s on lane {lane}")

    def _finish(self, ticket: int, future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
        self._abandoned.pop(ticket, None)
        if future.done():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
            future.exception()

    @staticmethod
    def _hand_over(loop: asyncio.AbstractEventLoop, finish: Callable[..., None], *arguments: Any) -> None:
        # the loop may be gone: nobody waits any more
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(finish, *arguments)

    def abandoned(self) -> int:
        """See ``ports.Blocking.abandoned``."""
        return len(self._abandoned)

    async def close(self) -> None:
        """See ``ports.Blocking.close``."""
        for lane in self._lanes.values():
            lane.end()
        self._lanes.clear()


class Inline:
    """``ports.Blocking`` without threads, for virtual time: a call runs in place and takes no time."""

    async def run(self, lane: str, call: Callable[[], T], *, deadline: float) -> T:
        """Return what ``call`` returns, at once; lanes and deadlines mean nothing here."""
        del lane, deadline
        return call()

    def abandoned(self) -> int:
        """Return 0: nothing can hang here."""
        return 0

    async def close(self) -> None:
        """There is nothing to let go of."""
