"""The machine's clocks: the port Clock outside the simulator."""

from __future__ import annotations

import time
from pathlib import Path

from ballastd.core.quantities import Instant

BOOT_ID_FILE = Path("/proc/sys/kernel/random/boot_id")


def read_boot_id(path: Path = BOOT_ID_FILE) -> str:
    """Return the kernel's id of this boot, or the empty string where there is none to read."""
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


class SystemClock:
    """The wall clock, and for ``monotonic`` CLOCK_BOOTTIME, which goes on while the machine is suspended.

    CLOCK_MONOTONIC stands still then: after a night's suspension every reading would look ten seconds old, every
    hold unbroken and every deadline far away, and only a step of the wall clock would hint at it. So ages grow
    over a suspension, what was fresh is stale when we wake, and the pulse finds that it missed its beat.
    The event loop's own clock is CLOCK_MONOTONIC: the two are not to be compared, only differences of each.
    """

    def __init__(self) -> None:
        self._boot_id = read_boot_id()

    def now(self) -> Instant:
        """Return the present instant."""
        return Instant(time.clock_gettime(time.CLOCK_BOOTTIME), time.time(), self._boot_id)
