"""Threads behind one port: a lane per subject, so that a call that hangs holds up nobody but its lane."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from ballastd.errors import Unreachable

T = TypeVar("T")

ABANDONED_MAX = 64
ABANDONED_PER_LANE_MAX = 8
WAITING_PER_LANE_MAX = 64
IDLE_SECONDS = 60.0


class _State(enum.Enum):
    WAITING = enum.auto()
    RUNNING = enum.auto()
    WITHDRAWN = enum.auto()
    ABANDONED = enum.auto()
    DONE = enum.auto()


class _Call:
    """One call on its way through a lane. What becomes of it is settled between the loop's thread and the lane's."""

    def __init__(self, work: Callable[[], Any], loop: asyncio.AbstractEventLoop) -> None:
        self.future: asyncio.Future[Any] = loop.create_future()
        self.has_returned = False
        self._work = work
        self._loop = loop
        self._lock = threading.Lock()
        self._state = _State.WAITING

    def give_up(self) -> _State:
        """Withdraw it if it has not begun, abandon it if it runs; return what it is now."""
        with self._lock:
            after = {_State.WAITING: _State.WITHDRAWN, _State.RUNNING: _State.ABANDONED}
            self._state = after.get(self._state, self._state)
            return self._state

    def withdraw(self) -> bool:
        """See that it does not begin; return whether it had not."""
        with self._lock:
            if self._state is _State.WAITING:
                self._state = _State.WITHDRAWN
            return self._state is _State.WITHDRAWN

    def perform(self) -> bool:
        """Run it, in the lane's thread; return whether the thread is the lane's still."""
        with self._lock:
            if self._state is not _State.WAITING:
                return True
            self._state = _State.RUNNING
        result, failure = _outcome(self._work)
        with self._lock:
            abandoned = self._state is _State.ABANDONED
            if not abandoned:
                self._state = _State.DONE
        if not abandoned:
            # the loop may be gone: nobody waits any more
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self.settle, result, failure)
        del result, failure  # if letting go of them blocks, it shall be here, and before the call counts as returned
        self.has_returned = True
        del self  # a failure's traceback knows this frame: together they would wait for the garbage collector
        return not abandoned

    def settle(self, result: Any, failure: BaseException | None) -> None:
        """Tell whoever waits, on the loop."""
        if self.future.done():
            return
        if failure is None:
            self.future.set_result(result)
        else:
            self.future.set_exception(failure)
            self.future.exception()  # nobody may be left to retrieve it


def _outcome(work: Callable[[], Any]) -> tuple[Any, BaseException | None]:
    try:
        return work(), None
    except StopIteration as error:  # a future refuses to carry it
        return None, RuntimeError(f"a blocking call raised {error!r}")
    except BaseException as error:  # noqa: BLE001  whatever it is belongs to the caller, not to the lane
        return None, error


class _Worker:
    """One thread that runs calls in order. It is a daemon thread: a hung call never keeps the process alive."""

    def __init__(self, name: str) -> None:
        self.calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        try:
            threading.Thread(target=self._work, name=f"lane-{name}", daemon=True).start()
        except RuntimeError as error:
            raise Unreachable(f"lane {name}: {error}") from error

    def _work(self) -> None:
        while (call := self.calls.get()) is not None and call.perform():
            del call  # while it waits it holds nothing of the last one

    def end(self) -> None:
        """Let the thread end after what it has."""
        self.calls.put(None)

    def leave_behind(self) -> list[_Call]:
        """Return the calls that wait behind an abandoned one; the thread ends when that one returns."""
        waiting: list[_Call] = []
        with contextlib.suppress(queue.Empty):
            while (call := self.calls.get_nowait()) is not None:
                waiting.append(call)
        return waiting


class _Lane:
    """What is known of a lane on the loop's side. ``under_way``: how many calls wait or run in it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.worker: _Worker | None = None
        self.under_way = 0
        self.retirement: asyncio.TimerHandle | None = None
        self._abandoned: list[_Call] = []

    def abandon(self, call: _Call) -> None:
        """Count ``call`` until it returns."""
        self._abandoned.append(call)

    def hanging(self) -> int:
        """Return how many of its abandoned calls have not returned."""
        self._abandoned = [call for call in self._abandoned if not call.has_returned]
        return len(self._abandoned)

    def retire(self) -> None:
        """Let its thread end after what it has; the next call gets a new one."""
        self.stay()
        if self.worker is not None:
            self.worker.end()
            self.worker = None

    def stay(self) -> None:
        """Do not retire for now."""
        if self.retirement is not None:
            self.retirement.cancel()
            self.retirement = None


class _Keeper:
    """Holds abandoned calls for ever, in the frame of a thread: not even the end of the interpreter drops them.

    A connection object closes itself in its destructor, with a call that may block: whoever dropped the last
    reference would hang, be it the event loop or the garbage collector. It costs about a kilobyte each.
    """

    def __init__(self) -> None:
        self._inbox: queue.SimpleQueue[_Call] = queue.SimpleQueue()
        self._started = False

    def keep(self, call: _Call) -> None:
        """Hold ``call``, and all it refers to, from now on."""
        if not self._started:
            threading.Thread(target=_hold, args=(self._inbox,), name="lane-keeper", daemon=True).start()
            self._started = True
        self._inbox.put(call)


def _hold(inbox: queue.SimpleQueue[_Call]) -> None:
    kept: list[_Call] = []
    while True:
        kept.append(inbox.get())


class Lanes:
    """``ports.Blocking`` for production. Used from one event loop.

    A call that runs when its deadline passes takes its lane's thread with it; those that wait behind it go on in
    a new one, in order. A call that has not begun by then is withdrawn and never begins. Cancelling the task that
    waits withdraws a call that has not begun, and lets one that runs go on: its lane waits for it, and its
    deadline still holds.

    ``abandoned_per_lane_max``: with so many calls hanging on a lane it gets no further thread.
    ``abandoned_max``: with so many hanging in all, no lane does on which any hangs; the others go on, for dead
    hosts must not take the journal's lane away. A thread ends after ``idle_seconds`` without a call.
    """

    def __init__(self, abandoned_max: int = ABANDONED_MAX, *, abandoned_per_lane_max: int = ABANDONED_PER_LANE_MAX,
                 idle_seconds: float = IDLE_SECONDS) -> None:
        self._abandoned_max = abandoned_max
        self._abandoned_per_lane_max = abandoned_per_lane_max
        self._idle_seconds = idle_seconds
        self._lanes: dict[str, _Lane] = {}
        self._keeper = _Keeper()
        self._closed = False

    async def run(self, lane: str, call: Callable[[], T], *, deadline: float) -> T:
        """See ``ports.Blocking.run``."""
        if self._closed:
            raise Unreachable(f"lane {lane}: all lanes are closed")
        if deadline <= 0:
            raise Unreachable(f"lane {lane}: no time is left for the call")
        loop = asyncio.get_running_loop()
        here, asked = self._lanes.setdefault(lane, _Lane(lane)), _Call(call, loop)
        self._enter(here, asked)
        timer = loop.call_later(deadline, self._expire, here, asked, deadline)
        asked.future.add_done_callback(lambda _: self._leave(here, timer))
        try:
            await asyncio.wait((asked.future,))  # unlike the future itself, it can be left without ending the call
        except asyncio.CancelledError:
            if asked.withdraw():
                asked.future.cancel()
            raise
        try:
            result: T = asked.future.result()
        finally:
            del asked  # for the same reason
        return result

    def _enter(self, lane: _Lane, call: _Call) -> None:
        worker = self._worker(lane)
        if worker.calls.qsize() >= WAITING_PER_LANE_MAX:
            raise Unreachable(f"lane {lane.name}: {worker.calls.qsize()} calls wait already")
        lane.stay()
        lane.under_way += 1
        worker.calls.put(call)

    def _leave(self, lane: _Lane, timer: asyncio.TimerHandle) -> None:
        timer.cancel()
        lane.under_way -= 1
        if lane.under_way == 0 and not self._closed:
            lane.retirement = asyncio.get_running_loop().call_later(self._idle_seconds, lane.retire)

    def _worker(self, lane: _Lane) -> _Worker:
        if lane.worker is None:
            hanging = lane.hanging()
            if hanging >= self._abandoned_per_lane_max or (hanging and self.abandoned() >= self._abandoned_max):
                raise Unreachable(f"lane {lane.name}: {hanging} calls hang on it already, {self.abandoned()} in all; "
                                  "no further one is begun")
            lane.worker = _Worker(lane.name)
        return lane.worker

    def _expire(self, lane: _Lane, call: _Call, deadline: float) -> None:
        match call.give_up():
            case _State.WITHDRAWN:
                call.settle(None, Unreachable(f"lane {lane.name}: its turn did not come within {deadline:g} s"))
            case _State.ABANDONED:
                call.settle(None, Unreachable(f"lane {lane.name}: no answer within {deadline:.3g} s"))
                self._abandon(lane, call)
            case _:
                pass  # its outcome is on its way

    def _abandon(self, lane: _Lane, call: _Call) -> None:
        lane.abandon(call)
        self._keeper.keep(call)
        worker, lane.worker = lane.worker, None
        for waiting in worker.leave_behind() if worker is not None else ():
            try:
                self._worker(lane).calls.put(waiting)
            except Unreachable as error:
                waiting.withdraw()
                waiting.settle(None, error)

    def abandoned(self) -> int:
        """See ``ports.Blocking.abandoned``."""
        return sum(lane.hanging() for lane in self._lanes.values())

    async def close(self) -> None:
        """See ``ports.Blocking.close``. What waits in a lane still runs, unless it is behind a call that hangs."""
        self._closed = True
        for lane in self._lanes.values():
            lane.retire()


class Inline:
    """``ports.Blocking`` without threads, for virtual time: a call runs in place, and lanes mean nothing.

    A call under which more time than its deadline went by has had its effect all the same, and nobody is told:
    the case that a hung disk makes.
    """

    async def run(self, lane: str, call: Callable[[], T], *, deadline: float) -> T:
        """See ``ports.Blocking.run``."""
        if deadline <= 0:
            raise Unreachable(f"lane {lane}: no time is left for the call")
        loop = asyncio.get_running_loop()
        begun = loop.time()
        # as with a thread, others run before the call and between its effect and its answer
        await asyncio.sleep(0)
        result = call()
        await asyncio.sleep(0)
        if loop.time() - begun > deadline:
            raise Unreachable(f"lane {lane}: no answer within {deadline:.3g} s")
        return result

    def abandoned(self) -> int:
        """Return 0: what hangs here hangs everything."""
        return 0

    async def close(self) -> None:
        """There is nothing to let go of."""
