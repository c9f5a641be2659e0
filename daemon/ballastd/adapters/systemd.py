"""What systemd wants to hear of a service (sd_notify), without a library for it."""

from __future__ import annotations

import os
import socket
import time


def sd_notify(state: str) -> bool:
    """Send ``state`` (``READY=1``, ``STATUS=...``; several lines at once) to systemd.

    Return whether anybody listens; never raise: a service must not fail because its supervisor is deaf.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in ("/", "@"):
        return False
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.connect("\0" + address[1:] if address[0] == "@" else address)
            channel.sendall(state.encode())
    except OSError:
        return False
    return True


def ready(status: str = "") -> bool:
    """Say that start-up, or a reload, is done."""
    return sd_notify(f"READY=1\nSTATUS={_one_line(status)}" if status else "READY=1")


def stopping() -> bool:
    """Say that an orderly stop has begun."""
    return sd_notify("STOPPING=1")


def reloading() -> bool:
    """Say that a reload has begun; ``ready`` ends it. The stamp lets systemd match the two (Type=notify-reload)."""
    return sd_notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")


def status(text: str) -> bool:
    """Show one line in ``systemctl status``."""
    return sd_notify(f"STATUS={_one_line(text)}")


def watchdog() -> bool:
    """Say that we are alive."""
    return sd_notify("WATCHDOG=1")


def watchdog_interval_seconds() -> float | None:
    """Return how often ``watchdog`` should be called (half of what systemd allows), or None if it does not watch
    us."""
    usec, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not usec.isdecimal() or int(usec) == 0 or (pid and pid != str(os.getpid())):
        return None
    return int(usec) / 2e6


def _one_line(text: str) -> str:
    return " ".join(text.split())
