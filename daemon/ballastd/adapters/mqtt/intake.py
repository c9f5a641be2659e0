"""What waits between the network and the mind: bounded, fair between hosts, newest first to survive.

Each host has a short queue whose oldest entry gives way, and a token bucket at its *exit*: a host that floods
loses its own older messages and delays nobody else's. A state is kept apart, so that no flood pushes out the
news that an agent is gone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from ballastd.core.quantities import HostName, Instant


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message as it came, and when."""

    topic: str
    payload: bytes
    retained: bool
    received: Instant


@dataclass(frozen=True, slots=True)
class Pace:
    """How much one host may say: ``depth`` messages wait, ``burst`` pass at once, then ``per_second``."""

    depth: int = 32
    burst: int = 40
    per_second: float = 10.0


@dataclass(slots=True)
class _Lane:
    tokens: float
    filled: float = 0.0
    state: Arrival | None = None
    waiting: deque[Arrival] = field(default_factory=deque)
    dropped: int = 0

    def pending(self) -> bool:
        return self.state is not None or bool(self.waiting)

    def next(self) -> Arrival:
        state, self.state = self.state, None
        return self.waiting.popleft() if state is None else state


class Intake:
    """Arrivals of the declared hosts, and in one lane together those of everybody else (host None)."""

    def __init__(self, hosts: Iterable[HostName], pace: Pace | None = None) -> None:
        self._pace = pace or Pace()
        lanes: tuple[HostName | None, ...] = (*hosts, None)
        self._lanes = {host: _Lane(float(self._pace.burst)) for host in lanes}
        self._turns: deque[HostName | None] = deque()

    def offer(self, host: HostName | None, arrival: Arrival, *, is_state: bool = False) -> None:
        """Take an arrival in. The newest state replaces the one before; a full queue loses its oldest."""
        host = host if host in self._lanes else None
        lane = self._lanes[host]
        if not lane.pending():
            self._turns.append(host)
        if is_state:
            lane.dropped += lane.state is not None
            lane.state = arrival
            return
        if len(lane.waiting) >= self._pace.depth:
            lane.waiting.popleft()
            lane.dropped += 1
        lane.waiting.append(arrival)

    def take(self, now: float) -> Arrival | None:
        """Return the next arrival, hosts in turn, or None when none waits whose host may speak now.

        ``now``: monotonic seconds.
        """
        for _ in range(len(self._turns)):
            host = self._turns.popleft()
            lane = self._lanes[host]
            arrival = lane.next() if self._spend(lane, now) else None
            if lane.pending():
                self._turns.append(host)
            if arrival is not None:
                return arrival
        return None

    def _spend(self, lane: _Lane, now: float) -> bool:
        self._fill(lane, now)
        if lane.tokens < 1.0:
            return False
        lane.tokens -= 1.0
        return True

    def _fill(self, lane: _Lane, now: float) -> None:
        elapsed = max(0.0, now - lane.filled)
        lane.tokens = min(float(self._pace.burst), lane.tokens + elapsed * self._pace.per_second)
        lane.filled = now

    def due_in(self, now: float) -> float | None:
        """Return in how many seconds the next waiting arrival may be taken; None when nothing waits."""
        waits = [max(0.0, 1.0 - lane.tokens) / self._pace.per_second - max(0.0, now - lane.filled)
                 for lane in (self._lanes[host] for host in self._turns)]
        return max(0.0, min(waits)) if waits else None

    def dropped(self) -> dict[HostName | None, int]:
        """Return how many arrivals of each host gave way to newer ones, where there were any."""
        return {host: lane.dropped for host, lane in self._lanes.items() if lane.dropped}
