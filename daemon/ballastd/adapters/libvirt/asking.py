"""Questions that a guest's emulator must answer, asked once at a time.

Most reads are answered by libvirtd itself. Where a job runs, libvirtd asks the guest's QEMU, and a QEMU that
hangs keeps the question for as long as it hangs. That costs us one call and its connection; what must not
happen is that every later look at the host hangs on the same guest. So a VM is not asked again before the
last question about it has come back, from whichever thread it was put.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

from ballastd.adapters.libvirt.errors_map import FROM_NONE, OPERATION_TIMEOUT, LibvirtTrouble
from ballastd.adapters.libvirt.links import CallFailed

PATIENCE_SECONDS = 1.0
CONTROL_OCCUPIED, CONTROL_ERROR = 2, 3


class Asking:
    """The questions of one host that are not answered yet. From any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[object, tuple[str, float]] = {}

    @contextlib.contextmanager
    def about(self, domain: Any) -> Iterator[None]:
        """Put questions about ``domain`` to its emulator inside this.

        Raises:
            CallFailed: it has not answered the last one, or has let somebody else's wait.
        """
        uuid = domain.UUIDString()
        if self._waits(uuid) or _is_occupied(domain):
            raise CallFailed(LibvirtTrouble(OPERATION_TIMEOUT, FROM_NONE, f"the emulator of {uuid} does not answer"))
        token = object()
        with self._lock:
            self._open[token] = uuid, time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                del self._open[token]

    def _waits(self, uuid: str) -> bool:
        now = time.monotonic()
        with self._lock:
            return any(vm == uuid and now - since > PATIENCE_SECONDS for vm, since in self._open.values())


def _is_occupied(domain: Any) -> bool:
    control, _, milliseconds = domain.controlInfo(0)
    return bool(control == CONTROL_ERROR
                or (control == CONTROL_OCCUPIED and milliseconds > PATIENCE_SECONDS * 1000))
