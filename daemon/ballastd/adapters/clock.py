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
    """CLOCK_MONOTONIC and the wall clock, read together."""

    def __init__(self) -> None:
        self._boot_id = read_boot_id()

    def now(self) -> Instant:
        """Return the present instant."""
        return Instant(time.monotonic(), time.time(), self._boot_id)
