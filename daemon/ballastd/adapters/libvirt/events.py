"""From libvirt's events to hints. Callbacks run in libvirt's own thread: they hand over and return."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

from ballastd.adapters.libvirt.binding import load_libvirt
from ballastd.core.quantities import HostName, VmId
from ballastd.ports.hosts import HostChange, HostHint

HINTS_MAX = 1024

_LIFECYCLE = ("defined", "undefined", "started", "suspended", "resumed", "stopped", "shutdown", "pmsuspended",
              "crashed")


class HintBox:
    """Hints from any thread to one reader: bounded, in order, the same hint waiting only once.

    When it is full, hints about single VMs become hints about their host, of which there are few.
    """

    def __init__(self, capacity: int = HINTS_MAX) -> None:
        self._loop = asyncio.get_running_loop()
        self._capacity = capacity
        self._waiting: dict[HostHint, None] = {}
        self._lock = threading.Lock()
        self._wake = asyncio.Event()

    def put(self, hint: HostHint) -> None:
        """Leave a hint. Never blocks, from any thread, also after the loop is closed."""
        with self._lock:
            if len(self._waiting) >= self._capacity:
                hint = HostHint(hint.host, hint.change)
            if hint in self._waiting:
                return
            self._waiting[hint] = None
            first = len(self._waiting) == 1
        if first:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody will read it
                self._loop.call_soon_threadsafe(self._wake.set)

    async def taken(self) -> AsyncIterator[HostHint]:
        """Yield hints for ever, oldest first."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while (hint := self._first()) is not None:
                yield hint

    def _first(self) -> HostHint | None:
        with self._lock:
            hint = next(iter(self._waiting), None)
            if hint is not None:
                del self._waiting[hint]
            return hint


def subscribe(conn: Any, host: HostName, put: Callable[[HostHint], None]) -> tuple[int, ...]:
    """Have hints put for what happens to VMs, jobs and devices of ``host``; return what to unsubscribe.

    Blocks: each registration is a call to the host. Kinds of event that its libvirt does not know are left
    out, but not the life cycle.
    """
    libvirt = load_libvirt()

    def lifecycle(_: Any, domain: Any, event: int, detail: int, *_rest: Any) -> None:
        word = _LIFECYCLE[event] if event < len(_LIFECYCLE) else str(event)
        put(HostHint(host, HostChange.LIFECYCLE, _vm(domain), f"{word} {detail}"))

    def job(_: Any, domain: Any, *_rest: Any) -> None:
        put(HostHint(host, HostChange.JOB, _vm(domain)))

    def shape(_: Any, domain: Any, *_rest: Any) -> None:
        put(HostHint(host, HostChange.LIFECYCLE, _vm(domain), "changed"))

    wanted = (
        (libvirt.VIR_DOMAIN_EVENT_ID_JOB_COMPLETED, job),
        (libvirt.VIR_DOMAIN_EVENT_ID_MIGRATION_ITERATION, job),
        (libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_ADDED, shape),
        (libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, shape),
        (libvirt.VIR_DOMAIN_EVENT_ID_METADATA_CHANGE, shape),
    )
    registered = [conn.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, lifecycle, None)]
    for event_id, callback in wanted:
        with contextlib.suppress(libvirt.libvirtError):
            registered.append(conn.domainEventRegisterAny(None, event_id, callback, None))
    return tuple(registered)


def _vm(domain: Any) -> VmId:
    return VmId(domain.UUIDString())  # read from the object: no call to the host
