"""Load of the host: processors, memory, pressure, network, from /proc."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from ballastd.agent.files import Findings, Unreadable, read_text
from ballastd.core.plausibility import implausible
from ballastd.core.telemetry import METRICS, Sample

POINTS_MAX = 1024


@dataclass(slots=True)
class Trail:
    """A running total looked back at over a window: (monotonic seconds, totals), oldest first."""

    window: float
    points: deque[tuple[float, tuple[float, ...]]] = field(default_factory=lambda: deque(maxlen=POINTS_MAX))

    def step(self, now: float, totals: tuple[float, ...]) -> tuple[float, tuple[float, ...]] | None:
        """Add ``totals``; return seconds and increases since about a window ago, or None the first time.

        A total that falls (the kernel lets iowait do so; a driver is loaded anew) did not increase.
        """
        while len(self.points) > 1 and self.points[1][0] <= now - self.window:
            self.points.popleft()
        begun = self.points[0] if self.points else None
        self.points.append((now, totals))
        if begun is None or now <= begun[0] or len(begun[1]) != len(totals):
            return None
        return now - begun[0], tuple(max(0.0, b - a) for a, b in zip(begun[1], totals, strict=True))


class LoadReader:
    """Reads the load below ``root``; utilisation and rates are means over ``window`` seconds."""

    def __init__(self, root: Path, window: float) -> None:
        self._proc, self._net = root / "proc", root / "sys/class/net"
        self._window = window
        self._cpu = Trail(window)
        self._interfaces: dict[str, Trail] = {}

    def read(self, now: float) -> Findings:
        """Return what /proc shows at ``now`` (monotonic seconds)."""
        findings = Findings()
        for part in (self._read_cpu, self._read_memory, self._read_network):
            part(findings, now)
        for resource in ("cpu", "memory", "io"):
            self._read_pressure(findings, resource)
        return findings

    def _read_cpu(self, findings: Findings, now: float) -> None:
        stat = _text(findings, self._proc / "stat")
        if stat is None:
            return
        times = re.search(r"^cpu((?: +[0-9]+){4,})", stat, re.MULTILINE)
        if times is None:
            findings.refuse(self._proc / "stat", "no line of processor times")
            return
        step = self._cpu.step(now, tuple(float(field) for field in times[1].split()[:8]))
        if step is not None and sum(step[1]) > 0:
            spent = step[1]
            idle = spent[3] + (spent[4] if len(spent) > 4 else 0.0)
            _add(findings, self._proc / "stat", "cpu.utilization", 1.0 - idle / sum(spent))
        self._read_loadavg(findings, max(1, len(re.findall(r"^cpu[0-9]+ ", stat, re.MULTILINE))))

    def _read_loadavg(self, findings: Findings, processors: int) -> None:
        path = self._proc / "loadavg"
        text = _text(findings, path)
        if text is not None:
            first = text.split(maxsplit=1)[0] if text else ""
            _add_text(findings, path, "cpu.load1", first, 1.0 / processors)

    def _read_memory(self, findings: Findings, now: float) -> None:  # noqa: ARG002  one shape for all parts
        path = self._proc / "meminfo"
        text = _text(findings, path)
        if text is None:
            return
        kib = {name: int(value) for name, value in re.findall(r"^(\w+): +([0-9]{1,15}) kB$", text, re.MULTILINE)}
        total, available = kib.get("MemTotal", 0), kib.get("MemAvailable")
        if available is None and total > 0:
            return  # before Linux 3.14; what is free is no measure of what is available
        if available is None or not available <= total or total == 0:
            findings.refuse(path, f"MemTotal {total} kB, MemAvailable {available} kB")
            return
        _add(findings, path, "memory.utilization", 1.0 - available / total)
        _add(findings, path, "memory.available", available * 1024.0)

    def _read_pressure(self, findings: Findings, resource: str) -> None:
        path = self._proc / "pressure" / resource
        text = _text(findings, path)
        for line in text.splitlines() if text else ():
            match = re.match(r"(some|full) avg10=(\S+)", line)
            if match is None:
                findings.refuse(path, f"not understood: {line:.40}")
            else:
                _add_text(findings, path, f"{resource}.pressure.{match[1]}", match[2], 0.01)

    def _read_network(self, findings: Findings, now: float) -> None:
        """Only interfaces with hardware behind them: bridges and taps would count the same bytes again."""
        path = self._proc / "net/dev"
        for name, counters in re.findall(r"^ *([^:\s]+): *([0-9 ]+)$", _text(findings, path) or "", re.MULTILINE):
            fields = counters.split()
            if len(fields) < 9 or not (self._net / name / "device").exists():
                continue
            step = self._interfaces.setdefault(name, Trail(self._window)).step(
                now, (float(fields[0]), float(fields[8])))
            if step is not None:
                for metric, increase in zip(("network.rx", "network.tx"), step[1], strict=True):
                    _add(findings, path, metric, increase / step[0], name)


def _text(findings: Findings, path: Path) -> str | None:
    try:
        return read_text(path)
    except Unreadable as error:
        findings.refuse(path, str(error))
        return None


def _add_text(findings: Findings, path: Path, metric: str, text: str, factor: float) -> None:
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text):
        _add(findings, path, metric, float(text) * factor)
    else:
        findings.refuse(path, f"{metric}: not a number: {text:.20}")


def _add(findings: Findings, path: Path, metric: str, value: float, subject: str = "") -> None:
    reason = implausible(METRICS[metric], value)
    if reason is None:
        findings.samples.append(Sample(metric, value, subject))
    else:
        findings.refuse(path, f"{metric}: {value:g} is {reason}")
