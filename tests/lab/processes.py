"""Processes as the kernel shows them: who lives in which namespace, without asking the processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.lab.commands import wait_until

PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Identity:
    """One process and no other, even when its number is given out again."""

    pid: int
    started: int

    def alive(self) -> bool:
        """Return whether this very process still runs (a zombie does not)."""
        now = identify(self.pid)
        return now == self


def identify(pid: int) -> Identity | None:
    """Return the identity of a running process, None when there is none of that number."""
    try:
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else Identity(pid, int(fields[19]))


def everyone() -> Iterator[int]:
    """Yield the number of every process that is visible now."""
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            yield int(entry.name)


def namespace(pid: int | str, kind: str) -> int | None:
    """Return the inode of a process's namespace ('net', 'pid', 'mnt'); None when it is gone, or a zombie.

    None as well for a process that nobody may look into, as a container's first one may be: no lab made it.
    """
    try:
        return (PROC / str(pid) / "ns" / kind).stat().st_ino
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None


def in_network(where: Path) -> list[int]:
    """Return every process whose network is the named namespace; none when there is no such namespace."""
    try:
        inode = where.stat().st_ino
    except FileNotFoundError:
        return []
    return [pid for pid in everyone() if namespace(pid, "net") == inode]


def in_pid_namespace(first: int) -> list[int]:
    """Return every process in the pid namespace of `first`."""
    inode = namespace(first, "pid")
    return [pid for pid in everyone() if inode is not None and namespace(pid, "pid") == inode]


def numbers(pid: int) -> list[int]:
    """Return a process's numbers from our pid namespace down to its own; empty when it is gone."""
    try:
        lines = (PROC / str(pid) / "status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return next(([int(n) for n in line.split()[1:]] for line in lines if line.startswith("NSpid:")), [])


def first_of(pids: Iterable[int]) -> int | None:
    """Return the process that is number 1 of an inner pid namespace, None when there is none among them."""
    for pid in pids:
        chain = numbers(pid)
        if len(chain) > 1 and chain[-1] == 1:
            return pid
    return None


def command(pid: int) -> str:
    """Return the short name of a process, empty when it is gone."""
    try:
        return (PROC / str(pid) / "comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def stuck(pid: int) -> set[int]:
    """Return the threads of a process that stand in the kernel and cannot even be killed, as those that wait for a disk."""
    found = set()
    for status in (PROC / str(pid)).glob("task/*/stat"):
        with suppress(OSError):  # it ended meanwhile
            if status.read_text().rpartition(")")[2].split()[0] == "D":
                found.add(int(status.parent.name))
    return found


def arguments(pid: int) -> list[str]:
    """Return the argument list of a process, empty when it is gone or a zombie."""
    try:
        return (PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
    except (FileNotFoundError, ProcessLookupError):
        return []


def send(pid: int, number: signal.Signals) -> None:
    """Send a signal; a process that has already gone is no error."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def end_all(where: Path, spare: frozenset[int], free: Callable[[], object], seconds: float = 10.0) -> None:
    """Kill everything in the network namespace except `spare`, and return when it is gone. `free`: what to do, for as long
    as somebody is left, so that whoever stands in the kernel can end."""
    def emptied() -> bool:
        left = [pid for pid in in_network(where) if pid not in spare]
        for pid in left:
            send(pid, signal.SIGKILL)
        if left:
            free()
        return not left

    wait_until(emptied, seconds, f"the processes of {where.name} to end")
