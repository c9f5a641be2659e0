"""Time that jumps: an asyncio loop on which an hour of waiting takes as long as what happens in it.

The code under test is unchanged; it sleeps, sets time limits and reads its clock as always. No threads: a
jumping clock and a thread at work do not mix, because the loop cannot know that somebody is still busy.
"""

from __future__ import annotations

import asyncio
import selectors
import threading
from collections.abc import Callable, Coroutine, Mapping
from contextvars import Context
from typing import Any, TypeVar, TypeVarTuple

from ballastd.core.quantities import Instant
from ballastd.errors import InvariantBroken

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

DEFAULT_EPOCH_WALL = 1_750_000_000.0
"""An arbitrary moment in June 2025: virtual runs look the same on every day."""


class Stalled(Exception):
    """Everybody waits and nothing is left that could wake anybody."""


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock moves only when nobody has anything to do.

    Descriptors that are ready are served first; otherwise time jumps to the next timer. When there is no
    timer either, whoever runs the loop gets ``Stalled``.
    """

    def __init__(self) -> None:
        self._virtual_now = 0.0
        self._thread = threading.get_ident()
        self._jumper = _JumpingSelector(self)
        super().__init__(self._jumper)

    def time(self) -> float:
        """Return virtual seconds since the loop was made."""
        return self._virtual_now

    def run_in_executor(self, executor: Any, func: Callable[[*Ts], T], *args: *Ts  # noqa: ARG002  the loop's
                        ) -> asyncio.Future[T]:
        """Refuse: nobody could know when a thread is done.

        Raises:
            InvariantBroken: always.
        """
        raise InvariantBroken(f"{getattr(func, '__qualname__', func)} would run on a thread, which virtual time cannot see")

    def call_soon_threadsafe(self, callback: Callable[[*Ts], object], *args: *Ts,
                             context: Context | None = None) -> asyncio.Handle:
        """Call soon, from the loop's own thread only.

        Raises:
            InvariantBroken: another thread calls.
        """
        if self.is_running() and threading.get_ident() != self._thread:
            name = getattr(callback, "__qualname__", callback)
            raise InvariantBroken(f"a thread that virtual time cannot see calls {name}")
        return super().call_soon_threadsafe(callback, *args, context=context)

    def jump(self, seconds: float) -> None:
        """Move the clock forward; only the selector does this."""
        self._virtual_now += seconds


class _JumpingSelector(selectors.BaseSelector):
    """Asks the real selector once, and turns the waiting it is asked for into a jump."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        self._loop = loop
        self._real = selectors.DefaultSelector()

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.modify(fileobj, events, data)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        # one descriptor is the loop's own, for calls from other threads, which are refused
        ready = self._real.select(0) if len(self._real.get_map()) > 1 else []
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise Stalled(f"everybody waits at {self._loop.time():.3f} s and no timer is left")
        self._loop.jump(timeout)
        return ready

    def close(self) -> None:
        self._real.close()

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.get_key(fileobj)


class VirtualClock:
    """``ports.Clock`` on the running loop's time. The wall clock can be stepped, the monotonic one cannot."""

    def __init__(self, epoch_wall: float = DEFAULT_EPOCH_WALL, boot_id: str = "virtual") -> None:
        self._offset = epoch_wall
        self._last = Instant(0.0, epoch_wall, boot_id)

    def now(self) -> Instant:
        """Return the present instant of the running loop."""
        monotonic = asyncio.get_running_loop().time()
        if monotonic != self._last.monotonic or monotonic + self._offset != self._last.wall:
            self._last = Instant(monotonic, monotonic + self._offset, self._last.boot_id)
        return self._last

    def step_wall(self, seconds: float) -> None:
        """Step the wall clock, as an administrator or a time daemon does; negative steps it back."""
        self._offset += seconds

    def set_wall(self, wall: float) -> None:
        """Set the wall clock to ``wall`` seconds since the epoch, from now on."""
        self._offset = wall - asyncio.get_running_loop().time()


def run_virtual(story: Coroutine[Any, Any, T]) -> T:
    """Run ``story`` to its end on virtual time and return what it returns.

    Tasks it leaves behind are cancelled, as ``asyncio.run`` does.

    Raises:
        Stalled: everybody waits and no timer is left.
    """
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(story)
