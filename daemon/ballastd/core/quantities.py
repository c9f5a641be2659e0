"""Names and units. A bare number carries its unit in its name; these types carry it for the rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NewType

HostName = NewType("HostName", str)
VmId = NewType("VmId", str)
"""A VM's UUID in lower-case canonical form: names may collide, UUIDs may not."""

Bytes = NewType("Bytes", int)
Seconds = NewType("Seconds", float)
Ratio = NewType("Ratio", float)

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30


@dataclass(frozen=True, slots=True, order=True)
class Instant:
    """Both clocks at one moment.

    ``monotonic``: seconds, for ages, holds and deadlines; only comparable within one ``boot_id``.
    ``wall``: seconds since the epoch, for windows, cooldowns and rates that outlive a restart.
    """

    monotonic: float
    wall: float
    boot_id: str = ""

    def later(self, seconds: float) -> Instant:
        """Return the instant ``seconds`` after this one on both clocks."""
        return Instant(self.monotonic + seconds, self.wall + seconds, self.boot_id)

    def since(self, earlier: Instant) -> Seconds:
        """Return how long ago ``earlier`` was on the monotonic clock (negative if it is still to come)."""
        return Seconds(self.monotonic - earlier.monotonic)


def human_bytes(value: float) -> str:
    """Return ``value`` bytes in the largest binary unit that keeps it above one: ``1.5 GiB``."""
    for unit, size in (("GiB", GIB), ("MiB", MIB), ("KiB", KIB)):
        if abs(value) >= size:
            return f"{value / size:.1f} {unit}"
    return f"{value:.0f} B"


def how_long(seconds: float, *, ends: bool, words: Callable[[float], str]) -> str:
    """Return in ``words`` how long something will take, or that it is known never to end by itself."""
    return words(seconds) if ends else "no end"


def human_seconds(value: float) -> str:
    """Return a duration as people say it: ``12.5 s``, ``4 min 10 s``, ``2 h 5 min``."""
    if value < 60:
        return f"{value:.1f} s"
    if value < 3600:
        return f"{int(value // 60)} min {int(value % 60)} s"
    return f"{int(value // 3600)} h {int(value % 3600 // 60)} min"
