"""How long migrations took, by how long they were reckoned to take: what those that come are foretold by.

The sum that plans go by knows memory and bandwidth. It does not know how long these hosts take to start an emulator, nor how
busy VMs usually are. Of what was settled the newest of each pair of hosts say that, or those of all pairs where a pair has
too few. Medians: one VM that took ten times as long says nothing about the next.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median

from ballastd.core.migrations import CallResult, Ending, Migration
from ballastd.core.prediction import predict
from ballastd.core.quantities import HostName, Seconds

Pair = tuple[HostName, HostName]
OF_A_PAIR, OF_ALL = 3, 5
"""So many moves have to speak."""
KEPT = 20
"""So many of a pair are heard, the newest."""
LEAST, MOST = 0.5, 3.0
"""A factor beyond these is no property of hosts."""


@dataclass(frozen=True, slots=True)
class Experience:
    """The moves of a pair of hosts: how many, and how long they took by what was reckoned (median)."""

    moves: int
    factor: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """``pairs``: by source and target; ``everywhere``: all of them together, None where too few were made."""

    pairs: Mapping[Pair, Experience] = field(default_factory=dict)
    everywhere: Experience | None = None

    def factor(self, source: HostName, target: HostName) -> float:
        """Return by how much longer a move of this pair takes than is reckoned."""
        own = self.pairs.get((source, target))
        found = own if own is not None and own.moves >= OF_A_PAIR else self.everywhere
        return 1.0 if found is None else min(MOST, max(LEAST, found.factor))

    def foretold(self, reckoned: Seconds, source: HostName, target: HostName) -> Seconds:
        """Return how long a move will take, seconds. ``reckoned``: by memory and bandwidth alone."""
        return Seconds(reckoned * self.factor(source, target))


def calibrated(settled: Iterable[Migration]) -> Calibration:
    """Return what moves say that are over, the oldest first. Those that completed under the eyes of who ordered them count,
    with the bandwidth that they began with: of others nobody knows how long they ought to have taken."""
    ratios: dict[Pair, deque[float]] = defaultdict(lambda: deque(maxlen=KEPT))
    for m in settled:
        if m.ending is Ending.COMPLETED and m.called is CallResult.OK and m.called_wall is not None and not m.retuned:
            took = max(0.0, m.called_wall - m.ordered_wall)
            ratios[m.source, m.target].append(took / predict(m.memory, m.bandwidth_mib_s))
    every = [ratio for some in ratios.values() for ratio in some]
    return Calibration({pair: Experience(len(some), median(some)) for pair, some in ratios.items()},
                       Experience(len(every), median(every)) if len(every) >= OF_ALL else None)
