"""Questions that a guest's emulator must answer, asked once at a time.

Most reads are answered by libvirtd itself. Where a job runs, libvirtd asks the guest's QEMU, and a QEMU that
hangs keeps the question for as long as it hangs. That costs us one call and its connection; what must not
happen is that every later look at the host hangs on the same guest. So a VM is not asked again before the
last question about it has come back, from whichever thread it was put.

What VMs use is asked of all guests of a host in one call. It may hang in any of them, so questions about one guest
wait a moment for it, and few of it may be open at once: each keeps one of libvirtd's twenty workers.
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
HUNG_WHILE_ASKED_SECONDS = 0.1
"""How long an emulator may keep a question before it is the one in which our question to all guests hangs."""
OPEN_TO_ALL_MAX = 4
CONTROL_OCCUPIED, CONTROL_ERROR = 2, 3
_EVERYONE = ""


class Asking:
    """The questions of one host that are not answered yet. From any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._open: dict[object, tuple[str, float]] = {}

    @contextlib.contextmanager
    def about(self, domain: Any) -> Iterator[None]:
        """Put questions about ``domain`` to its emulator inside this.

        Raises:
            CallFailed: it has not answered the last one, or has let somebody else's wait.
        """
        uuid = domain.UUIDString()
        patience = HUNG_WHILE_ASKED_SECONDS if self._all_are_asked_in_vain() else PATIENCE_SECONDS
        if self._waits(uuid) or _is_occupied(domain, patience):
            raise CallFailed(LibvirtTrouble(OPERATION_TIMEOUT, FROM_NONE, f"the emulator of {uuid} does not answer"))
        with self._noted(uuid):
            yield

    @contextlib.contextmanager
    def about_all(self) -> Iterator[None]:
        """Put a question to the emulators of all guests inside this.

        Raises:
            CallFailed: ``OPEN_TO_ALL_MAX`` of them are not answered yet.
        """
        with self._changed:
            unanswered = sum(1 for vm, _ in self._open.values() if vm == _EVERYONE)
        if unanswered >= OPEN_TO_ALL_MAX:
            raise CallFailed(LibvirtTrouble(OPERATION_TIMEOUT, FROM_NONE, f"{unanswered} emulators do not answer"))
        with self._noted(_EVERYONE):
            yield

    @contextlib.contextmanager
    def _noted(self, vm: str) -> Iterator[None]:
        token = object()
        with self._changed:
            self._open[token] = vm, time.monotonic()
        try:
            yield
        finally:
            with self._changed:
                del self._open[token]
                self._changed.notify_all()

    def _waits(self, uuid: str) -> bool:
        now = time.monotonic()
        with self._changed:
            return any(vm == uuid and now - since > PATIENCE_SECONDS for vm, since in self._open.values())

    def _all_are_asked_in_vain(self) -> bool:
        """Wait for what was asked of all guests, as long as that may be answered yet; return whether it hangs."""
        with self._changed:
            while (asked := [since for vm, since in self._open.values() if vm == _EVERYONE]):
                rest = max(asked) + PATIENCE_SECONDS - time.monotonic()
                if rest <= 0:
                    return True
                self._changed.wait(rest)
        return False


def _is_occupied(domain: Any, patience: float) -> bool:
    control, _, milliseconds = domain.controlInfo(0)
    return bool(control == CONTROL_ERROR or (control == CONTROL_OCCUPIED and milliseconds > patience * 1000))
