"""A small file system of its own, for a daemon's state or as a host's disk, to be filled to the last block or frozen: a full
disk, a stuck one, one that a kernel does not trust any more."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.lab.commands import LabError, find_tool, run

FROZEN_SECONDS_MAX = 120
"""Whatever becomes of us, it thaws after so long: what waits for a frozen disk cannot even be killed."""
THAW_SECONDS = 10.0
CHUNK = bytes(64 * 1024)
# the pipes close with whoever froze it, even by SIGKILL: `echo` fails then, should it not have come to that yet, and `read`
# fails then or when the time is over, and both by no signal
FREEZER = ('trap "" HUP INT TERM PIPE; '
           'fsfreeze --freeze "$1" && { echo frozen; read -r -t "$2"; fsfreeze --unfreeze "$1"; }')


class Volume:
    """An ext4 on a loop device, mounted at ``place``; it goes with the lab whose directory it lies in."""

    def __init__(self, place: Path, mib: int = 16) -> None:
        self.place = place
        self._image = place.with_name(f"{place.name}.img")
        self._mib = mib
        self._freezer: subprocess.Popen[bytes] | None = None

    def make(self) -> Volume:
        """Make it, empty, and mount it."""
        self.place.mkdir()
        with self._image.open("wb") as file:
            file.truncate(self._mib * 1024 * 1024)
        run(find_tool("mkfs.ext4") or "mkfs.ext4", "-q", "-m", "0", str(self._image))
        run("mount", "-o", "loop", str(self._image), str(self.place))
        return self

    def fill(self) -> None:
        """Take every block that is free."""
        with suppress(OSError), self._ballast.open("ab", buffering=0) as file:
            while True:
                file.write(CHUNK)
        with suppress(OSError), self._ballast.open("ab", buffering=0) as file:
            while True:
                file.write(CHUNK[:1024])

    def free(self) -> None:
        """Give back what was taken."""
        self._ballast.unlink(missing_ok=True)

    def refuse(self) -> None:
        """Have every write fail from now on, and what is there readable, as a kernel does that met an error on the disk: it
        stays so until ``mend``."""
        run("mount", "-o", "remount,errors=remount-ro,abort", str(self.place))

    def mend(self) -> None:
        """Check it and mount it anew; nobody may have a file of it open. A copy of it: whoever made a mount namespace
        meanwhile has it mounted still, and that one stays given up."""
        run("umount", str(self.place))
        given_up, self._image = self._image, self._image.with_name(f"{self._image.name}.mended")
        shutil.copyfile(given_up, self._image)
        given_up.unlink()
        with suppress(LabError):  # it says by its status that there was something to mend
            run(find_tool("e2fsck") or "e2fsck", "-p", "-f", str(self._image))
        run("mount", "-o", "loop", str(self._image), str(self.place))

    def freeze(self) -> None:
        """Have every write wait in the kernel until ``thaw``; what is there can be read.

        Raises:
            LabError: it is not mounted: whatever lies there would be frozen in its place, the machine's own file system.
        """
        if str(self.place) not in _mounts_under(self.place.parent):
            raise LabError(f"nothing is mounted at {self.place}")
        freezer = subprocess.Popen(["bash", "-c", FREEZER, "freezer", str(self.place), str(FROZEN_SECONDS_MAX)],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
        assert freezer.stdout is not None
        if freezer.stdout.readline() != b"frozen\n":
            freezer.communicate(timeout=THAW_SECONDS)
            raise LabError(f"{self.place} could not be frozen")
        self._freezer = freezer

    def thaw(self) -> None:
        """Let the writes go on."""
        if self._freezer is not None:
            self._freezer.communicate(timeout=THAW_SECONDS)
            if self._freezer.returncode:  # it was over already, or its guard was killed
                thaw_under(self.place.parent)
            self._freezer = None

    @property
    def _ballast(self) -> Path:
        return self.place / "ballast"


@contextmanager
def small_disk_in(directory: Path, mib: int = 1) -> Iterator[Path]:
    """Yield where a file system in memory of so many MiB is mounted, below ``directory``; it is gone afterwards."""
    place = directory / "disk"
    place.mkdir()
    run("mount", "-t", "tmpfs", "-o", f"size={mib}m", "ballastd-test", str(place))
    try:
        yield place
    finally:
        run("umount", "--lazy", str(place))


def thaw_under(directory: Path) -> None:
    """Thaw every volume that is mounted below ``directory``, whoever froze it and is gone."""
    for mount in _mounts_under(directory):
        with suppress(LabError):  # it is not frozen
            run("fsfreeze", "--unfreeze", mount)


def unmount_under(directory: Path) -> None:
    """Unmount every volume that is mounted below ``directory``; the loop device goes with it. One that is frozen can be
    thawed no more once nothing leads to it."""
    thaw_under(directory)
    for mount in _mounts_under(directory):
        run("umount", "--lazy", mount)


def _mounts_under(directory: Path) -> list[str]:
    """Return them innermost first."""
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [mount for mount in reversed(mounts) if mount.startswith(f"{directory}/")]
