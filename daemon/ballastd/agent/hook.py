"""The libvirt hook that enforces a cordon: is it there, and how it gets there."""

from __future__ import annotations

import os
import shlex
from importlib import resources
from pathlib import Path

MARKER = "# ballastd-cordon-hook"
HOOK_FILE = Path("etc/libvirt/hooks/qemu")
DEFAULT_FLAG = "/run/libvirt/cordon"


class HookRefused(Exception):
    """The hook was not installed; the text says why and what to do."""


def is_installed(root: Path) -> bool:
    """Return whether a hook with our marker stands where libvirt looks, and may be executed. Whether libvirt
    has seen it (it looks once, when it starts) cannot be known from here."""
    path = root / HOOK_FILE
    try:
        return MARKER in path.read_text(encoding="utf-8", errors="replace") and os.access(path, os.X_OK)
    except OSError:
        return False


def script(flag: Path) -> str:
    """Return the hook for a flag file at ``flag``."""
    text = resources.files("ballastd.agent").joinpath("qemu_hook.sh").read_text(encoding="utf-8")
    return text.replace(f"flag='{DEFAULT_FLAG}'", f"flag={shlex.quote(str(flag))}")


def install(root: Path, flag: Path) -> str:
    """Put the hook in its place, or bring ours up to date; return what is left to do, in words.

    Raises:
        HookRefused: another hook is there, or the place cannot be written.
    """
    path = root / HOOK_FILE
    try:
        return _install(path, flag)
    except OSError as error:
        raise HookRefused(f"{path} cannot be written: {error.strerror}. Run this as root on the host.") from error


def _install(path: Path, flag: Path) -> str:
    present = path.read_text(encoding="utf-8", errors="replace") if path.exists() else None
    if present is not None and not present.startswith(f"#!/bin/sh\n{MARKER}"):
        ours = path.with_name("ballastd-cordon")
        _write_executable(ours, script(flag))
        if MARKER not in present:
            raise HookRefused(_foreign(path, ours))
        return f"{path} is a hook of yours that calls ours: left as it is; {ours} is up to date."
    path.parent.mkdir(parents=True, exist_ok=True)
    _write_executable(path, script(flag))
    if present is None:
        return (f"{path} is installed. libvirt looks for hooks only when it starts: restart libvirtd "
                "(or virtqemud) once; running guests are not touched by that.")
    return f"{path} is up to date."


def _foreign(path: Path, ours: Path) -> str:
    return (f"{path} belongs to somebody else and was not touched. Ours is at {ours}; have yours call it, by adding "
            f"near the top, before anything reads standard input:\n"
            f"  {MARKER} chained\n  {ours} \"$@\" </dev/null || exit 1")


def _write_executable(path: Path, content: str) -> None:
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(content, encoding="utf-8")
    beside.chmod(0o755)
    beside.replace(path)
