"""A share of the machine's processors for each host, by control groups of version 1 or 2."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tests.lab.commands import LabError, wait_until

PERIOD_MICROSECONDS = 100_000
MOUNTS = Path("/proc/self/mountinfo")


@dataclass(frozen=True, slots=True)
class Mounted:
    """Where the kernel's CPU controllers can be reached."""

    version: int
    control: Path
    accounting: Path


@dataclass(frozen=True, slots=True)
class Spent:
    """What a group used so far: nanoseconds of CPU, and how many of its periods were cut short."""

    nanoseconds: int
    periods: int
    throttled: int


def find(mountinfo: str) -> Mounted | None:
    """Return the CPU controllers named by a mountinfo text: version 1 where it holds them, else version 2."""
    first: dict[str, Path] = {}
    unified: Path | None = None
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        kind, _, options = right.split(" ", 2)
        point = Path(left.split()[4])
        if kind == "cgroup":
            first |= {word: point for word in options.split(",") if word in ("cpu", "cpuacct")}
        elif kind == "cgroup2":
            unified = point
    if {"cpu", "cpuacct"} <= first.keys():
        return Mounted(1, first["cpu"], first["cpuacct"])
    return Mounted(2, unified, unified) if unified else None


def mounted() -> Mounted:
    """Return this machine's CPU controllers; a LabError when it has none."""
    found = find(MOUNTS.read_text())
    if found is None:
        raise LabError("no cgroup file system with a cpu controller is mounted")
    return found


@dataclass(frozen=True, slots=True)
class CpuGroup:
    """The control group of one host: its quota in processors, or none."""

    name: str
    quota: float | None
    where: Mounted

    def build(self) -> None:
        """Make the group, without a limit yet."""
        if self.where.version == 2:
            self._let_children_have_cpu()
        for directory in self._directories():
            directory.mkdir(exist_ok=True)

    def limit(self) -> None:
        """Set its quota, if it is to have one."""
        if self.quota is None:
            return
        share = int(self.quota * PERIOD_MICROSECONDS)
        control = self.where.control / self.name
        if self.where.version == 1:
            (control / "cpu.cfs_period_us").write_text(f"{PERIOD_MICROSECONDS}")
            (control / "cpu.cfs_quota_us").write_text(f"{share}")
        else:
            (control / "cpu.max").write_text(f"{share} {PERIOD_MICROSECONDS}")

    def member_files(self) -> list[Path]:
        """Return the files to write a process number to, to put it into the group."""
        return [directory / "cgroup.procs" for directory in self._directories()]

    def spent(self) -> Spent:
        """Return what the group used since it was made."""
        control = self.where.control / self.name
        stat = dict(line.split() for line in (control / "cpu.stat").read_text().splitlines())
        if self.where.version == 1:
            used = int((self.where.accounting / self.name / "cpuacct.usage").read_text())
        else:
            used = int(stat["usage_usec"]) * 1000
        return Spent(used, int(stat.get("nr_periods", 0)), int(stat.get("nr_throttled", 0)))

    def _directories(self) -> list[Path]:
        return sorted({self.where.control / self.name, self.where.accounting / self.name})

    def _let_children_have_cpu(self) -> None:
        switch = self.where.control / "cgroup.subtree_control"
        if "cpu" in switch.read_text().split():
            return
        try:
            switch.write_text("+cpu")
        except OSError as refused:
            raise LabError(f"cannot hand the cpu controller down ({switch}): {refused}") from refused


def leftovers(prefix: str) -> list[Path]:
    """Return the groups whose names begin with `prefix`."""
    found = find(MOUNTS.read_text())
    roots = {found.control, found.accounting} if found else set()
    return sorted(group for root in roots for group in root.glob(f"{prefix}*") if group.is_dir())


def remove(group: Path, seconds: float = 5.0) -> None:
    """Remove a group; the last of its processes may need a moment to go."""
    def gone() -> bool:
        try:
            group.rmdir()
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True

    wait_until(gone, seconds, f"the control group {group} to be empty")


def machine_processors() -> int:
    """Return how many processors the machine has."""
    return os.cpu_count() or 1


def utilisation(before: Spent, after: Spent, seconds: float, capacity: float) -> float:
    """Return the part of the capacity that was used between two readings, between 0 and 1."""
    used = (after.nanoseconds - before.nanoseconds) / 1e9
    return min(1.0, max(0.0, used / (capacity * seconds))) if seconds > 0 else 0.0


