"""A wall clock that is one process's own and can be stepped while it runs: libfaketime. CLOCK_MONOTONIC and CLOCK_BOOTTIME,
the other processes and the machine keep theirs."""

from __future__ import annotations

from pathlib import Path

from tests.lab.commands import LabError
from tests.lab.state import write_whole

LIBRARIES = Path("/usr/lib")
SHARED_MEMORY = Path("/dev/shm")
# the one for programs with threads
LIBRARY = "*/faketime/libfaketimeMT.so.1"


class SteppedClock:
    """The clock of a process that is started with ``environment``; ``path`` holds by how much it is wrong."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.step(0)

    def step(self, seconds: int) -> None:
        """Have it be so many seconds ahead, negative for behind; 0 puts it right."""
        write_whole(self._path, f"{seconds:+d}\n")

    def environment(self) -> dict[str, str]:
        """Return what a process needs to live by it."""
        library = next(iter(sorted(LIBRARIES.glob(LIBRARY))), None)
        if library is None:
            raise LabError("libfaketime is not installed: apt install faketime")
        return {"LD_PRELOAD": str(library), "FAKETIME_TIMESTAMP_FILE": str(self._path), "FAKETIME_NO_CACHE": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1"}


def sweep_shared_memory() -> None:
    """Remove what libfaketime shares between processes, of those that are dead: a later one of the same number would trip
    over it, and one that is killed leaves it."""
    for left in SHARED_MEMORY.glob("*faketime_s*_*"):
        if not Path(f"/proc/{left.name.rsplit('_', 1)[1]}").exists():
            left.unlink(missing_ok=True)
