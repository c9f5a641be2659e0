"""Connections owned from open to close: nothing about them is left to a destructor.

A libvirt connection closes itself in its destructor, with a call that has no time limit, in whichever thread
drops the last reference; and a second call on a connection that dies under the first never returns. So each
one is held by a ``Link`` that lets one call through at a time, is given up while a call hangs in it, and is
closed in a thread of its own once that call is back.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import traceback
from collections.abc import Callable
from typing import Any, TypeVar

from ballastd.adapters.libvirt.binding import load_libvirt
from ballastd.adapters.libvirt.errors_map import LibvirtTrouble
from ballastd.adapters.libvirt.xml_reading import shown
from ballastd.errors import InvariantBroken, Unreachable
from ballastd.ports.running import Blocking

T = TypeVar("T")

CLOSE_DEADLINE_SECONDS = 60.0


class CallFailed(Exception):
    """libvirt answered with an error; ``trouble`` is all that is kept of it."""

    def __init__(self, trouble: LibvirtTrouble) -> None:
        super().__init__(str(trouble))
        self.trouble = trouble


def trouble_of(error: Any) -> LibvirtTrouble:
    """Return what a ``libvirtError`` says, as plain data."""
    return LibvirtTrouble(error.get_error_code() or 0, error.get_error_domain() or 0,
                          shown(error.get_error_message() or str(error)))


def guarded(work: Callable[[], T]) -> T:
    """Run ``work`` and let nothing of libvirt's objects out, not even in the frames of a traceback.

    Raises:
        CallFailed: libvirt said so.
    """
    libvirt = load_libvirt()
    try:
        return work()
    except libvirt.libvirtError as error:
        trouble = trouble_of(error)
    except BaseException as error:
        traceback.clear_frames(error.__traceback__)
        raise
    raise CallFailed(trouble)


class Link:
    """One open connection. ``lane``: where its calls run."""

    def __init__(self, conn: Any, lane: str) -> None:
        self.lane = lane
        self._conn = conn
        self._registrations: tuple[int, ...] = ()
        self._lock = threading.Lock()
        self._busy = False
        self._when_idle: Callable[[], None] | None = None

    def furnish(self, subscribe: Callable[[Any], tuple[int, ...]], closed: Callable[[Link, int], None]) -> None:
        """Run ``subscribe``, which returns event subscriptions, and have ``closed`` called, in libvirt's
        thread, if the connection ends by itself."""
        self._conn.registerCloseCallback(lambda _conn, reason, _: closed(self, reason), None)
        self._registrations = subscribe(self._conn)

    def perform(self, work: Callable[[Any], T]) -> T:
        """Run ``work`` on the connection. Blocks; called in the link's lane.

        Raises:
            CallFailed: libvirt said so.
            Unreachable: the link was given up before this call began.
        """
        with self._lock:
            if self._when_idle is not None:
                raise Unreachable("the connection was given up")
            if self._busy:
                raise InvariantBroken("two calls in flight on one libvirt connection")
            self._busy = True
        try:
            return guarded(lambda: work(self._conn))
        finally:
            self._finish()

    def _finish(self) -> None:
        with self._lock:
            self._busy = False
            then = self._when_idle
        if then is not None:
            then()

    def retire(self, when_idle: Callable[[], None]) -> None:
        """Let no further call begin; call ``when_idle`` once none is in flight: now, or in its thread."""
        with self._lock:
            if self._when_idle is not None:
                return
            self._when_idle = when_idle
            busy = self._busy
        if not busy:
            when_idle()

    def close(self) -> None:
        """Close the connection. Blocks as long as the host hangs; only after ``retire``."""
        libvirt, conn = load_libvirt(), self._conn
        with contextlib.suppress(libvirt.libvirtError):
            conn.unregisterCloseCallback()
        for registration in self._registrations:
            with contextlib.suppress(libvirt.libvirtError):
                conn.domainEventDeregisterAny(registration)
        with contextlib.suppress(libvirt.libvirtError):
            conn.close()

    def disarm(self) -> None:
        """Keep the destructor from closing it when the interpreter ends: that could wait for ever."""
        self._conn._o = None  # noqa: SLF001  the binding offers no other way to let a connection be


class Graveyard:
    """Where links go that nobody uses any more. It holds them until they are closed, however long it takes."""

    def __init__(self, blocking: Blocking) -> None:
        self._blocking = blocking
        self._loop = asyncio.get_running_loop()
        self._links: set[Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._resting = False

    def __len__(self) -> int:
        """Return how many links are not closed yet."""
        return len(self._links)

    def bury(self, link: Link) -> None:
        """Close ``link`` as soon as no call is in flight on it, in a thread of its own."""
        if self._resting:
            link.disarm()
            return
        self._links.add(link)
        link.retire(lambda: self._hand_over(link))

    def _hand_over(self, link: Link) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the process is about to end
            self._loop.call_soon_threadsafe(self._begin, link)

    def _begin(self, link: Link) -> None:
        if self._resting:
            return
        task = self._loop.create_task(self._close(link))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _close(self, link: Link) -> None:
        with contextlib.suppress(Unreachable):  # it hangs: its thread and the link stay behind, held here
            await self._blocking.run(f"{link.lane}:close", link.close, deadline=CLOSE_DEADLINE_SECONDS)
            self._links.discard(link)

    async def rest(self, seconds: float) -> None:
        """Give closing ``seconds``; whatever is not closed then is left as it is, for good."""
        await asyncio.sleep(0)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        self._resting = True
        for task in self._tasks:
            task.cancel()
        for link in self._links:
            link.disarm()
