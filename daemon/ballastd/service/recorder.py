"""Keeps the diary of what the mind is told, when the settings want one. Never in the way of a decision."""

from __future__ import annotations

from ballastd.core.diary import Diary
from ballastd.core.inputs import Input
from ballastd.core.policies import ClusterDeclaration
from ballastd.core.quantities import HostName, Instant, VmId
from ballastd.ports.keeping import Recording

DAY_SECONDS = 86400.0


class Recorder:
    """Notes inputs in a diary, and hands its entries to a recording; each day (of UTC) begins with all that is known."""

    def __init__(self, cluster: ClusterDeclaration, recording: Recording) -> None:
        self._diary = Diary(cluster.hosts)
        self._recording = recording
        self._day: int | None = None

    def note(self, inputs: tuple[Input, ...], standing_by: frozenset[HostName], down: frozenset[VmId], now: Instant) -> None:
        """Note what the mind was told in one step, and which hosts and VMs are, or go, down by our doing."""
        day = int(now.wall // DAY_SECONDS)
        if day != self._day:
            self._day = day
            self._recording.add(self._diary.opening(now))
        entries = self._diary.note(inputs, standing_by, down, now)
        if entries:
            self._recording.add(entries)
