"""Network namespaces by name, and stepping into them."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from tests.lab.commands import LabError, run

NETNS = Path("/run/netns")
CLONE_NEWNS = 0x00020000
CLONE_NEWNET = 0x40000000


def path_of(name: str) -> Path:
    """Return where a named network namespace can be opened."""
    return NETNS / name


def inside(name: str, *argv: str) -> list[str]:
    """Return argv run in the named network namespace (`ip netns exec` would hide /sys/fs/cgroup)."""
    return ["nsenter", f"--net={path_of(name)}", "--", *argv]


def with_prefix(prefix: str) -> list[str]:
    """Return the named network namespaces that begin with `prefix`."""
    return sorted(p.name for p in NETNS.iterdir() if p.name.startswith(prefix)) if NETNS.is_dir() else []


def delete(name: str) -> None:
    """Remove a named network namespace; what lived in it must have ended."""
    run("ip", "netns", "del", name)


def step_into(handle: int, kind: int) -> None:
    """Move the calling thread into the namespace behind an open file; before other threads start, please."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(handle, kind) != 0:
        number = ctypes.get_errno()
        raise LabError(f"cannot enter a namespace: {os.strerror(number)}")


def step_into_path(path: str | Path, kind: int) -> None:
    """Move the calling thread into the namespace at `path`."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        step_into(handle, kind)
    finally:
        os.close(handle)
