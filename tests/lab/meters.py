"""What a host's kernel shows of its load, as files of /proc: from its control group and its guests."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab.cgroups import CpuGroup, Spent, machine_processors, utilisation
from tests.lab.sensors import Files, Sensors

TICKS = 100
LOAD_WINDOWS = (60.0, 300.0, 900.0)
PRESSURE_WINDOWS = (10.0, 60.0, 300.0)
KERNEL_KIB = 200 * 1024
EMULATOR_KIB = 24 * 1024


def machine_memory_kib() -> int:
    """Return the memory of the machine."""
    first = Path("/proc/meminfo").read_text().split("\n", 1)[0]
    return int(first.split()[1])


@dataclass(slots=True)
class Meters:
    """The running totals of one host since it was switched on."""

    sensors: Sensors
    group: CpuGroup
    memory_kib: int
    processors: int = field(default_factory=machine_processors)
    _begun: float = field(default_factory=time.monotonic)
    _read: tuple[float, Spent] | None = None
    _busy: float = 0.0
    _idle: float = 0.0
    _loads: list[float] = field(default_factory=lambda: [0.0] * len(LOAD_WINDOWS))
    _waits: list[float] = field(default_factory=lambda: [0.0] * len(PRESSURE_WINDOWS))
    _waited: float = 0.0

    def write(self, guests_mib: list[int], network: str) -> None:
        """Bring the host's /proc up to date; `network` is its own net/dev."""
        now, spent = time.monotonic(), self.group.spent()
        if self._read is not None:
            then, before = self._read
            self._advance(now - then, before, spent)
        self._read = (now, spent)
        traffic: Files = {"proc/net/dev": network.rstrip("\n")}
        self.sensors.write(self._processors(now) | self._memory(guests_mib) | traffic)

    def _advance(self, seconds: float, before: Spent, after: Spent) -> None:
        if seconds <= 0:
            return
        # the quota is the whole host: a guest that burns all of it makes the host 100 % busy
        capacity = self.group.quota or float(self.processors)
        part = utilisation(before, after, seconds, capacity)
        self._busy += part * seconds * TICKS * self.processors
        self._idle += (1 - part) * seconds * TICKS * self.processors
        periods = after.periods - before.periods
        waiting = (after.throttled - before.throttled) / periods if periods > 0 else 0.0
        self._waited += waiting * seconds
        self._loads = _smooth(self._loads, LOAD_WINDOWS, seconds, (part + waiting) * self.processors)
        self._waits = _smooth(self._waits, PRESSURE_WINDOWS, seconds, 100 * waiting)

    def _processors(self, now: float) -> Files:
        up = now - self._begun
        lines = [_stat_line("cpu ", self._busy, self._idle)]
        lines += [_stat_line(f"cpu{n}", self._busy / self.processors, self._idle / self.processors)
                  for n in range(self.processors)]
        lines.append(f"btime {int(time.time() - up)}")
        loads = " ".join(f"{load:.2f}" for load in self._loads)
        files: Files = {
            "proc/stat": "\n".join(lines), "proc/loadavg": f"{loads} 1/200 4021",
            "proc/uptime": f"{up:.2f} {self._idle / TICKS:.2f}", "proc/pressure/cpu": self._pressure(),
        }
        quiet = "\n".join(f"{kind} avg10=0.00 avg60=0.00 avg300=0.00 total=0" for kind in ("some", "full"))
        files |= {f"proc/pressure/{resource}": quiet for resource in ("memory", "io")}
        return files | self.sensors.memory_age()

    def _pressure(self) -> str:
        ten, sixty, long = self._waits
        return (f"some avg10={ten:.2f} avg60={sixty:.2f} avg300={long:.2f} total={int(self._waited * 1e6)}\n"
                "full avg10=0.00 avg60=0.00 avg300=0.00 total=0")

    def _memory(self, guests_mib: list[int]) -> Files:
        used = KERNEL_KIB + sum(mib * 1024 + EMULATOR_KIB for mib in guests_mib)
        available = max(0, self.memory_kib - used)
        rows = {"MemTotal": self.memory_kib, "MemFree": available * 9 // 10, "MemAvailable": available,
                "Buffers": available // 100, "Cached": available // 11, "SwapTotal": 0, "SwapFree": 0}
        return {"proc/meminfo": "\n".join(f"{name + ':':<16}{value:>8} kB" for name, value in rows.items())}


def _smooth(means: list[float], windows: tuple[float, ...], seconds: float, value: float) -> list[float]:
    return [mean + (value - mean) * (1 - math.exp(-seconds / window))
            for mean, window in zip(means, windows, strict=True)]


def _stat_line(name: str, busy: float, idle: float) -> str:
    return f"{name} {int(busy * 0.9)} 0 {int(busy * 0.1)} {int(idle)} 0 0 0 0 0 0"
