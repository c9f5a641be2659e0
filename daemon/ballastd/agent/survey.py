"""One look at the whole host, source by source, so that a source that hangs takes only itself away."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from ballastd.agent.edac import read_edac
from ballastd.agent.files import Findings, Refused
from ballastd.agent.hwmon import ChipReading, chips, named, read_chip
from ballastd.agent.lanes import Lane
from ballastd.agent.load import LoadReader
from ballastd.errors import Unreachable

T = TypeVar("T")


class Surveyor:
    """Looks at everything below ``root``, within ``deadline`` seconds per source."""

    def __init__(self, root: Path, window: float, deadline: float) -> None:
        self._root, self._deadline = root, deadline
        self._load = LoadReader(root, window)
        self._load_lane: Lane[Findings] = Lane("proc")
        self._edac_lane: Lane[Findings] = Lane("edac")
        self._chip_lanes: dict[str, Lane[ChipReading]] = {}
        self._last: dict[str, ChipReading] = {}

    async def look(self, now: float) -> Findings:
        """Return what is to be seen at ``now`` (monotonic seconds). What is absent is simply not in it."""
        findings = Findings()
        for lane, call in ((self._load_lane, lambda: self._load.read(now)),
                           (self._edac_lane, lambda: read_edac(self._root))):
            part = await self._read(findings, lane, call)
            if part is not None:
                findings.extend(part)
        answered = await self._chips(findings)
        silent = [one for name, one in self._last.items() if name not in {it.directory for it in answered}]
        findings.extend(named(answered, silent))
        return findings

    async def _chips(self, findings: Findings) -> list[ChipReading]:
        readings = []
        present = chips(self._root)
        for directory in present:
            lane = self._chip_lanes.setdefault(directory.name, Lane(directory.name))
            reading = await self._read(findings, lane, lambda one=directory: read_chip(one))  # type: ignore[misc]
            if reading is not None:
                self._last[directory.name] = reading
                readings.append(reading)
        self._forget_absent({directory.name for directory in present})
        return readings

    async def _read(self, findings: Findings, lane: Lane[T], call: Callable[[], T]) -> T | None:
        try:
            return await lane.run(call, self._deadline)
        except Unreachable as error:
            findings.refused.append(Refused(lane.name, str(error)))
            return None

    def _forget_absent(self, present: set[str]) -> None:
        for name in self._last.keys() - present:
            del self._last[name]
        for name in [one for one, lane in self._chip_lanes.items() if one not in present and not lane.hangs]:
            self._chip_lanes.pop(name).close()

    def close(self) -> None:
        """Let go of every thread that does not hang."""
        self._load_lane.close()
        self._edac_lane.close()
        for lane in self._chip_lanes.values():
            lane.close()
