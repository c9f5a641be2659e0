"""The benchmark of large clusters: what it says is known is."""

from __future__ import annotations

import numpy as np
from benchmarks.driving import shipped
from benchmarks.scale import furnished, in_trouble

from ballastd.sim.generating import generate


def test_where_all_is_known_every_vm_has_a_day_a_network_and_pages() -> None:
    cluster = furnished(generate(6, 60, 8101, fill=0.45, load=0.35))
    snapshot = in_trouble(cluster, shipped(cluster), known=True).snapshot
    assert snapshot.hours is not None
    assert not np.isnan(snapshot.hours.by_vm).any()
    assert not np.isnan(snapshot.vms.network).any()
    assert snapshot.hosts.has_network
    assert not np.isnan(snapshot.hosts.network).any()
    assert sum(bool(record.needs.backing) for record in snapshot.records) == 8
