"""Memory on its way from one host to another: rounds of copying what was dirtied while the round before was copied.

It is done when what remains fits in the downtime that is allowed. Compared with 12 measured combinations of size, cap and
dirty rate in ``tests/unit/sim/test_precopy.py``. Post-copy moves the guest first and its memory after it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

DOWNTIME_MAX = 0.3
"""Seconds: QEMU's default."""
THROTTLE_FIRST, THROTTLE_MORE, THROTTLE_MAX = 0.2, 0.1, 0.99
STUCK_ROUNDS = 2
"""Rounds that did not get smaller before auto-converge slows the guest down."""


@dataclass(slots=True)
class PreCopy:
    """MiB and seconds. ``dirty_mib_s``: how fast the guest dirties memory; ``working_set``: how much of it at most.
    ``converges``: False for a guest that never does."""

    total: float
    dirty_mib_s: float = 0.0
    working_set: float = float("inf")
    downtime_max: float = DOWNTIME_MAX
    auto_converge: bool = False
    converges: bool = True
    remaining: float = field(init=False)
    sent: float = field(init=False, default=0.0)
    iteration: int = field(init=False, default=1)
    throttle: float = field(init=False, default=0.0)
    post_copy: bool = field(init=False, default=False)
    is_ready: bool = field(init=False, default=False)
    _dirtied: float = field(init=False, default=0.0)
    _round: float = field(init=False)
    _stuck: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.remaining = self._round = self.total

    @property
    def dirties(self) -> float:
        """How fast memory is dirtied now, MiB/s; 0 once the guest runs at its target."""
        return 0.0 if self.post_copy else self.dirty_mib_s * (1.0 - self.throttle)

    @property
    def left(self) -> float:
        """MiB that the last round left to this one."""
        return self._round

    def until_next(self, rate: float) -> float | None:
        """Return the seconds to the end of this round at ``rate`` MiB/s, None for never."""
        return self.remaining / rate if rate > 0 else None

    def advance(self, seconds: float, rate: float) -> None:
        """Copy for so long at ``rate`` MiB/s; no further than the end of the round."""
        copied = min(self.remaining, rate * seconds)
        self.remaining -= copied
        self.sent += copied
        self._dirtied = min(self.working_set, self.total, self._dirtied + self.dirties * seconds)
        if self.remaining <= 1e-6 and not self.is_ready:
            self._end_round(rate)

    def start_post_copy(self) -> None:
        """Let the guest run at its target now; what remains, and what was dirtied, follows it."""
        self.post_copy = True
        self.remaining = min(self.total, self.remaining + self._dirtied)
        self._dirtied = 0.0

    def _end_round(self, rate: float) -> None:
        left, self._dirtied = self._dirtied, 0.0
        if self.post_copy or (self.converges and left <= rate * self.downtime_max):
            self.is_ready, self.remaining = True, 0.0
            return
        self.iteration += 1
        left = left if self.converges else self.total
        self._stuck = self._stuck + 1 if left > self._round / 2 else 0
        if self.auto_converge and self._stuck >= STUCK_ROUNDS:
            self.throttle = min(THROTTLE_MAX, self.throttle + THROTTLE_MORE if self.throttle else THROTTLE_FIRST)
            self._stuck = 0
        self.remaining = self._round = left
