"""Reads that may hang, each source on a thread of its own.

A read from a stuck bus cannot be interrupted, only left alone. It must cost its own source and nothing else,
and it is never repeated while it hangs: that would only hang another thread. (The port Blocking abandons a
hung lane and starts another, which suits calls that differ; here it is always the same read.)
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from ballastd.errors import Unreachable

T = TypeVar("T")


class Lane(Generic[T]):
    """One source, read by one thread that starts with the first read and dies with the process."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._jobs: queue.SimpleQueue[tuple[Callable[[], T], asyncio.Future[T]] | None] = queue.SimpleQueue()
        self._outstanding: asyncio.Future[T] | None = None
        self._thread: threading.Thread | None = None

    @property
    def hangs(self) -> bool:
        """Whether the last read has not returned yet."""
        return self._outstanding is not None and not self._outstanding.done()

    async def run(self, call: Callable[[], T], deadline: float) -> T:
        """Return what ``call`` returns, within ``deadline`` seconds.

        Raises:
            Unreachable: it takes longer, or an earlier one still hangs.
        """
        if self.hangs:
            raise Unreachable(f"{self.name}: an earlier read still hangs")
        outstanding: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._outstanding = outstanding
        self._start()
        self._jobs.put((call, outstanding))
        done, _ = await asyncio.wait((outstanding,), timeout=deadline)
        if not done:
            outstanding.add_done_callback(_forget)
            raise Unreachable(f"{self.name}: no answer within {deadline:g} s")
        return outstanding.result()

    def close(self) -> None:
        """Let the thread end once it is free."""
        self._jobs.put(None)

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=f"read-{self.name}", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            call, outstanding = job
            settle: Callable[[], None]
            try:
                settle = _settling(outstanding, call())
            except Exception as error:  # noqa: BLE001  the boundary of the thread: carried to who awaits it
                settle = _failing(outstanding, error)
            # the loop may be gone when a hung read comes back at last
            with contextlib.suppress(RuntimeError):
                outstanding.get_loop().call_soon_threadsafe(settle)


def _settling(outstanding: asyncio.Future[T], value: T) -> Callable[[], None]:
    return lambda: None if outstanding.done() else outstanding.set_result(value)


def _failing(outstanding: asyncio.Future[Any], error: Exception) -> Callable[[], None]:
    return lambda: None if outstanding.done() else outstanding.set_exception(error)


def _forget(outstanding: asyncio.Future[Any]) -> None:
    """A late failure has nobody left to tell."""
    if not outstanding.cancelled():
        outstanding.exception()
