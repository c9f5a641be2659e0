"""How moves between two hosts went, by how they were reckoned: what those that come are foretold by, and what they risk.

The sum that plans go by knows memory, bandwidth and, of some VMs, what they dirty. It does not know how long these hosts
take to start an emulator, nor how busy VMs usually are. Of what was settled the newest of each pair of hosts say that, or
those of all pairs where a pair has too few. Medians: one VM that took ten times as long says nothing about the next.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median

from ballastd.core.arrival_checks import Arrival
from ballastd.core.migrations import FAULTS, CallResult, Ending, Failure, Migration
from ballastd.core.prediction import predict
from ballastd.core.quantities import HostName, Seconds

Pair = tuple[HostName, HostName]
OF_A_PAIR, OF_ALL = 3, 5
"""So many moves have to speak."""
KEPT = 20
"""So many of a pair are heard, the newest."""
LEAST, MOST = 0.5, 3.0
"""A factor beyond these is no property of hosts."""
SLOW_FROM = 1.5
"""A pair whose moves take so many times as long as is reckoned costs routine moves as many times as much."""
FAILED_SECONDS = 24 * 3600.0
"""For so long a move that failed is held against its hosts, and against its VM."""


@dataclass(frozen=True, slots=True)
class Experience:
    """The moves of a pair of hosts: how many arrived, and how long they took by what was reckoned (median); ``downtime``:
    the same of how long their VMs stood still, None where too few were both reckoned and measured. ``tried``, ``failed``:
    within the last day; one whose VM answered before and not after failed, too."""

    moves: int
    factor: float
    downtime: float | None = None
    tried: int = 0
    failed: int = 0

    @property
    def risk(self) -> float:
        """What a routine move costs here, in times of what it would elsewhere: so often it is tried until it arrives, and
        longer where all of them take much longer than is reckoned."""
        slow = self.factor if self.moves >= OF_A_PAIR and self.factor > SLOW_FROM else 1.0
        return attempts(self.tried, self.failed) * min(MOST, slow)


@dataclass(frozen=True, slots=True)
class Calibration:
    """``pairs``: by source and target; ``everywhere``: all of them together, None where too few were made."""

    pairs: Mapping[Pair, Experience] = field(default_factory=dict)
    everywhere: Experience | None = None

    def factor(self, source: HostName, target: HostName) -> float:
        """Return by how much longer a move of this pair takes than is reckoned."""
        own = self.pairs.get((source, target))
        found = own if own is not None and own.moves >= OF_A_PAIR else self.everywhere
        return 1.0 if found is None else _bounded(found.factor)

    def foretold(self, reckoned: Seconds, source: HostName, target: HostName) -> Seconds:
        """Return how long a move will take, seconds. ``reckoned``: by the sum alone."""
        return Seconds(reckoned * self.factor(source, target))

    def downtime(self, reckoned: float | None, source: HostName, target: HostName) -> float | None:
        """Return how long a VM will stand still, in the unit of what is ``reckoned``, None where that is not known."""
        own = self.pairs.get((source, target))
        found = own if own is not None and own.downtime is not None else self.everywhere
        return reckoned if reckoned is None or found is None or found.downtime is None else (
            reckoned * _bounded(found.downtime))

    def risk(self, source: HostName, target: HostName) -> float:
        """Return how many times as much a routine move of this pair costs as one of another: 1 where nothing is known."""
        own = self.pairs.get((source, target))
        return 1.0 if own is None else own.risk


def attempts(tried: int, failed: int) -> float:
    """Return how often a move is to be tried until one arrives, where so many of those that were tried failed and one more
    is taken to arrive: 1 of 1 make 2, 1 of 9 make 10/9."""
    return (tried + 1) / (tried - failed + 1)


def attempts_of(failures: Iterable[Failure], silences: int = 0) -> float:
    """Return how often a VM is to be moved until it arrives, by its failed moves since the last that arrived: those that
    were not let begin copied nothing. ``silences``: how often it arrived, and did not answer any more."""
    count = silences + sum(1 for one in failures if not one.withheld and one.ending is not Ending.REFUSED)
    return attempts(count, count)


def calibrated(settled: Iterable[Migration], wall: float) -> Calibration:
    """Return what moves say at ``wall`` that are over, the oldest first. Those that completed under the eyes of who ordered
    them count, with the bandwidth that they began with: of others nobody knows how long they ought to have taken."""
    ratios: dict[Pair, deque[float]] = defaultdict(lambda: deque(maxlen=KEPT))
    stood: dict[Pair, deque[float]] = defaultdict(lambda: deque(maxlen=KEPT))
    tried: Counter[Pair] = Counter()
    failed: Counter[Pair] = Counter()
    for m in settled:
        pair, is_late = (m.source, m.target), m.settled_wall is not None and m.settled_wall > wall - FAILED_SECONDS
        tried[pair] += is_late and (m.ending is Ending.COMPLETED or m.ending in FAULTS)
        failed[pair] += is_late and (m.ending in FAULTS or m.arrival is Arrival.SILENT)
        if m.post_copy_because:  # its VM went before its memory
            continue
        if m.ending is Ending.COMPLETED and m.called is CallResult.OK and m.called_wall is not None and not m.retuned:
            took = max(0.0, m.called_wall - m.ordered_wall)
            ratios[pair].append(took / (m.reckoned or predict(m.memory, m.bandwidth_mib_s)))
            if m.downtime_reckoned_ms and m.downtime_took_ms is not None:
                stood[pair].append(m.downtime_took_ms / m.downtime_reckoned_ms)
    every, stands = ([ratio for some in those.values() for ratio in some] for those in (ratios, stood))
    pairs = dict.fromkeys([*ratios, *(pair for pair, count in failed.items() if count)])
    return Calibration(
        {pair: Experience(len(ratios[pair]), median(ratios[pair] or [1.0]), _median(stood[pair], OF_A_PAIR), tried[pair],
                          failed[pair]) for pair in pairs},
        Experience(len(every), median(every), _median(stands, OF_ALL)) if len(every) >= OF_ALL else None)


def _median(some: Iterable[float], least: int) -> float | None:
    found = list(some)
    return median(found) if len(found) >= least else None


def _bounded(factor: float) -> float:
    return min(MOST, max(LEAST, factor))
