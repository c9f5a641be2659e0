"""How long a migration will take, and what share of a link it may use: arithmetic that plans and budgets share."""

from __future__ import annotations

from ballastd.core.quantities import MIB, Seconds

HANDSHAKE_SECONDS = 0.7
"""Fixed cost of a migration: start of the emulator at the target, hand-shakes, clean-up (measured on libvirt 9)."""


def predict(memory: int, bandwidth_mib_s: int) -> Seconds:
    """Return the predicted duration of a migration, seconds: T = c + M / b, before dirty rates are known."""
    return Seconds(HANDSHAKE_SECONDS + memory / (bandwidth_mib_s * MIB))


def fair_share(link_out_mib_s: float, jobs_out: int, link_in_mib_s: float, jobs_in: int, share: float) -> int:
    """Return the bandwidth, MiB/s, of each migration on a pair of hosts: the smaller end's, at least 1.

    ``jobs_out``, ``jobs_in``: migrations in flight out of the source and into the target, this one included.
    """
    return max(1, int(share * min(link_out_mib_s / max(1, jobs_out), link_in_mib_s / max(1, jobs_in))))
