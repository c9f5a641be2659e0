"""What a daemon's books say already as a rehearsal of a saved cluster begins."""

from __future__ import annotations

from collections.abc import Iterator

from ballastd.core import power_events as pw
from ballastd.core.books import DAY_SECONDS
from ballastd.core.saved_cluster import SavedCluster

LONG_AGO_SECONDS = DAY_SECONDS + 1.0
"""So long that no rate and no rest counts it any more."""
BY, BECAUSE = "operator", "it is off in the saved cluster"


def switched_off(cluster: SavedCluster, wall: float) -> Iterator[pw.PowerEvent]:
    """Yield that each host which is off was switched off long before ``wall`` (seconds), by us, and can be woken where
    something controls its power: its silence is no fault."""
    for number, host in enumerate(cluster.hosts, 1):
        if not host.is_on:
            if host.declared.power:
                yield pw.WakeabilityConfirmed(wall, host.name, BY)
            yield pw.PowerOffOrdered(wall - LONG_AGO_SECONDS, f"saved-{number}", host.name, BY, BECAUSE, host.machine)
            yield pw.HostOff(wall - LONG_AGO_SECONDS, host.name, BECAUSE)


def proved_wakeable(cluster: SavedCluster, wall: float) -> Iterator[pw.PowerEvent]:
    """Yield that each host with a controller of its power counts as proved to wake."""
    for host in cluster.hosts:
        if host.declared.power:
            yield pw.WakeabilityConfirmed(wall, host.name, BY)
