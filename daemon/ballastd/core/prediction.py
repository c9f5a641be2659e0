"""How long a migration will take, and what share of a link it may use: arithmetic that plans and budgets share."""

from __future__ import annotations

from ballastd.core.inventory import Progress
from ballastd.core.quantities import MIB, Seconds

HANDSHAKE_SECONDS = 0.7
"""Fixed cost of a migration: start of the emulator at the target, hand-shakes, clean-up (measured on libvirt 9)."""

NEVER_FROM = 0.98
"""Memory that is dirtied at this share of the speed at which it is copied is never copied."""


def predict(memory: int, bandwidth_mib_s: int) -> Seconds:
    """Return the predicted duration of a migration, seconds: T = c + M / b, before dirty rates are known."""
    return Seconds(HANDSHAKE_SECONDS + memory / (bandwidth_mib_s * MIB))


def remaining(seen: Progress, downtime_ms: int) -> Seconds | None:
    """Return how long a running job will still take at what its last round showed, seconds: what is to be copied in this
    round, and what is dirtied meanwhile in those after it, until so little is left that it fits into the standstill. None
    where nothing is known yet, or where it would never end."""
    if seen.memory_total <= 0 or seen.memory_processed <= 0:
        return None
    # in its first round a hypervisor says neither how fast it copies nor how fast memory is dirtied
    rate, dirty = seen.throughput_bytes_s or seen.memory_processed / max(seen.elapsed, 0.001), seen.dirty_bytes_s
    if dirty >= rate * NEVER_FROM:
        return None if downtime_ms / 1000 < seen.expected_downtime else Seconds(seen.memory_remaining / rate)
    # this round, and what it dirties from its end on: a falling series, cut off at what the standstill takes
    this = seen.memory_remaining / rate
    later = max(0.0, dirty * max(this, seen.expected_downtime) - rate * downtime_ms / 1000) / (rate - dirty)
    return Seconds(this + later)


def fair_share(link_out_mib_s: float, jobs_out: int, link_in_mib_s: float, jobs_in: int, share: float) -> int:
    """Return the bandwidth, MiB/s, of each migration on a pair of hosts: the smaller end's, at least 1.

    ``jobs_out``, ``jobs_in``: migrations in flight out of the source and into the target, this one included.
    """
    return max(1, int(share * min(link_out_mib_s / max(1, jobs_out), link_in_mib_s / max(1, jobs_in))))
