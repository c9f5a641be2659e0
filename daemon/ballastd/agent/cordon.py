"""The cordon flag: a file with an expiry, which the qemu hook looks at before anything starts or lands here.

First line: wall seconds until which it stands; second line: who raised it. A file without our second line was
raised by somebody else and is theirs: it is reported, and never changed. An empty one stands until removed.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ballastd.adapters.mqtt.wire import WALL_MAX_SECONDS, CordonRequest

OURS = "raised by ballastd"
STANDS_FOR_GOOD = WALL_MAX_SECONDS
REQUEST_MAX_SECONDS = 7 * 86_400.0
"""A request is to be repeated: nobody can close a host for ever with one message."""


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag that stands: until when (wall seconds), and whether it is ours to change."""

    until: float
    ours: bool


def standing(path: Path, now: float) -> Flag | None:
    """Return the flag as the hook would judge it at ``now`` (wall seconds), or None if nothing is refused.

    Raises:
        OSError: it is there and cannot be read; the hook would refuse then.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return None
    until = _seconds(lines[0].strip()) if lines and lines[0].strip() else STANDS_FOR_GOOD
    ours = len(lines) > 1 and lines[1].startswith(OURS)
    return Flag(until, ours) if until >= int(now) else None


def _seconds(text: str) -> float:
    # what the hook cannot read as a number it takes for a flag without end
    return min(float(text), STANDS_FOR_GOOD) if text.isascii() and text.isdecimal() else STANDS_FOR_GOOD


def apply(path: Path, request: CordonRequest | None, now: float) -> str:
    """Raise, prolong, shorten or lower our flag as ``request`` says; return what was done, in words.

    Atomic: the hook sees the old flag or the new one, never half of one.

    Raises:
        OSError: it could not be done; what stood before still stands.
    """
    present = standing(path, now)
    if present is not None and not present.ours:
        return "left alone: somebody else's flag stands"
    if request is None:
        path.unlink(missing_ok=True)
        return "lowered"
    if request.until <= now:
        return "ignored: the request has expired"
    until = min(request.until, now + REQUEST_MAX_SECONDS)
    _replace(path, f"{int(until)}\n{OURS} for {request.by}\n")
    return f"raised until {int(until)}"


def _replace(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def tidy(path: Path, now: float) -> None:
    """Remove our flag once it has expired; it refuses nothing any more, but it puzzles people.

    Raises:
        OSError: it cannot be removed.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return
    if len(lines) > 1 and lines[1].startswith(OURS) and _seconds(lines[0].strip()) < int(now):
        path.unlink(missing_ok=True)
