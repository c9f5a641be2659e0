"""How many emulators run on this machine: counted from its processes, whatever libvirtd believes.

A host is switched off only when this says none: a guest that libvirt has lost sight of still runs for its users. So a
process that may be one counts, and where some cannot be seen there is no count.
"""

from __future__ import annotations

from pathlib import Path

PREFIXES = ("qemu-system-", "qemu-kvm")
NAMES = ("kvm", "kvm-spice")
"""Programs that run guests. The kernel keeps the first fifteen letters of a name, and a process may take another."""
FIRST = "1"
KERNEL_THREAD = 0x0020_0000
ENDED = ("Z", "X")


def count_emulators(processes: Path) -> int | None:
    """Return the number of emulators under a ``/proc``, None where it cannot be read or hides processes from us."""
    try:
        found = {one.name: one for one in processes.iterdir() if one.name.isdecimal()}
        if FIRST not in found:  # mounted with hidepid: only our own are in it
            return None
        return sum(_is_emulator(one) for one in found.values())
    except OSError:
        return None


def _is_emulator(process: Path) -> bool:
    """Return whether this process runs a guest; one that has ended meanwhile does not.

    Raises:
        OSError: it is there and is not ours to look at.
    """
    try:
        status = (process / "stat").read_text(errors="replace")
        # pid (name) state ...: a name may hold anything, brackets, too
        name, _, rest = status.partition("(")[2].rpartition(")")
        fields = rest.split()
        if len(fields) < 7 or not fields[6].isdecimal():
            raise OSError(f"{process}/stat is not understood")
        if fields[0] in ENDED or int(fields[6]) & KERNEL_THREAD:
            return False
        words = (process / "cmdline").read_bytes().split(b"\0", 1)
    except (FileNotFoundError, ProcessLookupError):
        return False
    return any(_runs_guests(one) for one in (name, _program(words[0].decode(errors="replace")), _executable(process)))


def _runs_guests(name: str) -> bool:
    return name.startswith(PREFIXES) or name in NAMES


def _program(path: str) -> str:
    return path.rpartition("/")[2]


def _executable(process: Path) -> str:
    try:
        return _program(str((process / "exe").readlink()))
    except OSError:  # of another user's process only root may see it; the names must do
        return ""
