"""Hard ceilings that no policy can raise: counts, rates, shares and bandwidth. Durations are settings.

The documents refuse a policy above them, and the kernel enforces them again without having read a policy.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ceilings:
    """The largest value each limit may ever take."""

    in_flight_cluster: int = 8
    in_flight_host_out: int = 4
    in_flight_host_in: int = 4
    link_share: float = 0.80
    evacuations_at_once: int = 2
    evacuations_per_hour: int = 6
    blast_share: float = 0.34
    at_least_hosts: int = 10
    """The least numbers that blast radius and freeze count from, and the hosts that make one sensor an event."""
    caution_share: float = 0.20
    freeze_share: float = 0.34
    retries_per_move: int = 5
    downtime_max_ms: int = 1000
    balance_in_flight: int = 4
    balance_per_hour: int = 60
    balance_per_day: int = 400
    balance_per_vm_day: int = 6
    hosts_off_share: float = 0.50
    power_offs_per_10_min: int = 2
    wakes_per_min: int = 4
    power_cycles_per_day: int = 4
    guest_shutdowns: int = 4
    """Guests that are asked to shut down at once."""


CEILINGS = Ceilings()
