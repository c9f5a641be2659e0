"""Whether the daemon can write to its journal, told by whoever asked it for something that has to be written."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from http.client import HTTPException

Ask = Callable[[Callable[[], None]], str]
"""Asks, calls what it is given once it is connected, and returns the answer; see ``DaemonProcess.say``."""
PAUSE_SECONDS = 0.5
UNANSWERED_SECONDS = 5.0
"""What is written at once is answered sooner, on a busy machine as well."""
REFUSED = "not recorded"
"""What the daemon answers where it could not write."""


class Asking:
    """Asks for something of which nothing follows but its record, again and again, in a thread of its own."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._over = threading.Event()
        self._asked_at: float | None = None
        self._was_refused = False

    @property
    def is_barred(self) -> bool:
        """Whether something was refused because it could not be written, or is not answered now."""
        asked_at = self._asked_at
        return self._was_refused or (asked_at is not None and time.monotonic() - asked_at > UNANSWERED_SECONDS)

    def begin(self) -> None:
        """Ask from now on."""
        threading.Thread(target=self._go_on, daemon=True).start()

    def end(self) -> None:
        """Ask no more; what was asked last may still be answered."""
        self._over.set()

    def _go_on(self) -> None:
        while not self._over.is_set():
            try:
                answer = self._ask(self._is_connected)
            except TimeoutError:
                continue
            except (OSError, HTTPException):  # nobody is there
                answer = ""
            self._asked_at = None
            self._was_refused |= REFUSED in answer
            self._over.wait(PAUSE_SECONDS)

    def _is_connected(self) -> None:
        # whoever is asked once more has been silent since he was first
        if self._asked_at is None:
            self._asked_at = time.monotonic()
