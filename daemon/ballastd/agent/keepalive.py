"""How soon two hosts give one another up, from libvirt's own settings.

A short keepalive between hosts turns a hiccup of the network into two copies of a guest that has no disk
lock; the daemon wants to know it before it moves anything.
"""

from __future__ import annotations

import re
from pathlib import Path

_FILES = ("qemu.conf", "libvirtd.conf", "virtqemud.conf")
_DEFAULT = (5, 5)


def read_keepalive(root: Path) -> tuple[int, int] | None:
    """Return interval (seconds) and count of the more impatient side, libvirt's defaults where a file says
    nothing; None when no file can be read or keepalive is switched off everywhere."""
    pairs = [pair for name in _FILES if (pair := _of_file(root / "etc/libvirt" / name)) is not None]
    return min(pairs, key=lambda pair: (pair[0] * pair[1], pair), default=None)


def _of_file(path: Path) -> tuple[int, int] | None:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    interval, count = (_setting(text, name, default) for name, default in
                       zip(("keepalive_interval", "keepalive_count"), _DEFAULT, strict=True))
    return (interval, count) if interval > 0 else None


def _setting(text: str, name: str, default: int) -> int:
    found = re.findall(rf"^[ \t]*{name}[ \t]*=[ \t]*(-?[0-9]{{1,9}})[ \t]*(?:#.*)?$", text, re.MULTILINE)
    return int(found[-1]) if found else default
