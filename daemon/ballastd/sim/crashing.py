"""Crash points: a counter over every ``await`` of chosen coroutines, so that a crash is a place and not a chance."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Callable, Collection, Coroutine, Generator
from typing import Any

WATCHED = ("ControlLoop.", "Executor.", "Asker.", "_steer")
"""Coroutines whose suspensions count, by the beginning of their qualified name: ``_steer`` is the executor's, for aborts,
standstills and post-copy."""


class CrashPoints:
    """Counts the suspensions of watched coroutines. ``at``: the numbers (from 1) of those at which ``crash`` is called;
    none to only count. ``is_dying``: whether the daemon was killed already, so that what its coroutines do while they are
    cancelled is no point of its own."""

    def __init__(self, at: Collection[int] = (), crash: Callable[[], None] = lambda: None,
                 is_dying: Callable[[], bool] = lambda: False) -> None:
        self.passed = 0
        self.names: list[str] = []
        """Which coroutine stood at each point."""
        self._at = at
        self._crash = crash
        self._is_dying = is_dying

    def task_factory(self, loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> asyncio.Task[Any]:
        """Make a task of ``coro``, as ``loop.set_task_factory`` wants it."""
        name = getattr(coro, "__qualname__", "")
        if name.startswith(WATCHED):
            coro = _counted(coro, lambda: self._pass(name))
        return asyncio.Task(coro, loop=loop, **options)

    def _pass(self, name: str) -> None:
        if self._is_dying():
            return
        self.passed += 1
        self.names.append(name)
        if self.passed in self._at:
            self._crash()


@types.coroutine
def _counted(coro: Coroutine[Any, Any, Any], suspended: Callable[[], None]) -> Generator[Any, Any, Any]:
    """Run ``coro`` as it is, and call ``suspended`` whenever it waits for something."""
    value: Any = None
    thrown: BaseException | None = None
    while True:
        try:
            waited_for = coro.send(value) if thrown is None else coro.throw(thrown)
        except StopIteration as end:
            return end.value
        suspended()
        thrown = None
        try:
            value = yield waited_for
        except BaseException as error:  # noqa: BLE001  whatever comes is the inner coroutine's to handle
            thrown = error
