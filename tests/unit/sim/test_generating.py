"""Made-up clusters: they fit, they come to what was asked for, and a seed is a cluster."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ballastd.core.saved_cluster import SavedCluster
from ballastd.errors import ConfigurationError
from ballastd.sim.demand import asked
from ballastd.sim.generating import generate
from tests.builders import WALL


def shares(cluster: SavedCluster) -> dict[str, float]:
    """Return how full of memory each host is."""
    return {host.name: sum(vm.record.memory_max for vm in cluster.on(host.name))
            / (host.memory_total - host.declared.memory_reserve) for host in cluster.hosts}


@given(st.integers(2, 40), st.integers(1, 6), st.integers(0, 1000), st.floats(0.2, 0.7))
def test_every_vm_is_there_and_fits(hosts: int, vms_per_host: int, seed: int, fill: float) -> None:
    cluster = generate(hosts, hosts * vms_per_host, seed, fill=fill)
    assert len(cluster.hosts) == hosts
    assert len(cluster.vms) == hosts * vms_per_host
    assert len({vm.record.vm for vm in cluster.vms}) == len({vm.record.name for vm in cluster.vms}) == len(cluster.vms)
    assert max(shares(cluster).values()) <= 1.0
    for vm in cluster.vms:
        host = cluster.host(vm.host)
        assert host is not None
        assert 0.0 <= vm.demand.low <= vm.demand.high <= vm.record.vcpus <= host.cpus
    assert generate(hosts, hosts * vms_per_host, seed, fill=fill) == cluster


def test_another_seed_is_another_cluster() -> None:
    assert generate(5, 30, 1).vms != generate(5, 30, 2).vms


def test_it_comes_to_what_was_asked_for() -> None:
    cluster = generate(20, 200, 1, fill=0.5, load=0.3)
    assert sum(shares(cluster).values()) / 20 == pytest.approx(0.5, abs=0.1)
    assert max(shares(cluster).values()) < 0.75
    processors = sum(host.cpus for host in cluster.hosts)
    day = [sum(asked(vm.demand, vm.record.vm, 1, WALL + n * 1800.0).processors for vm in cluster.vms) / processors
           for n in range(48)]
    assert sum(day) / 48 == pytest.approx(0.3, abs=0.05)
    assert max(day) - min(day) > 0.05, "there is a day and a night"


def test_what_cannot_fit_is_said() -> None:
    with pytest.raises(ConfigurationError, match=r"900 VMs do not fit.*make more hosts or fewer VMs"):
        generate(2, 900, 1)
