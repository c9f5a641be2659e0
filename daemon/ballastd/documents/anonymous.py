"""A cluster without the names of anybody, for whoever shows it to others."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from ballastd.core.quantities import HostName
from ballastd.core.saved_cluster import SavedCluster, SavedHost, SavedVm
from ballastd.documents import identities
from ballastd.documents.cluster_models import PIN_CURE, simulated_uri


def anonymous(cluster: SavedCluster) -> SavedCluster:
    """Return a cluster without a name of anybody's: hosts, VMs, groups, tags, labels' values and addresses are numbered in
    their order, ids are made anew. What it does is the same, except where a policy spoke of names."""
    numbers: dict[tuple[str, str], str] = {}
    counts: Counter[str] = Counter()

    def called(kind: str, name: str) -> str:
        known = numbers.get((kind, name))
        if known is None:
            counts[kind] += 1
            known = numbers[kind, name] = f"{kind}-{counts[kind]}"
        return known

    hosts = {host.name: HostName(called("host", host.name)) for host in cluster.hosts}

    def host(saved: SavedHost) -> SavedHost:
        one = saved.declared
        declared = replace(one, name=hosts[one.name], uri=simulated_uri(hosts[one.name]), peer_uri="", migration_uri=None,
                            labels=tuple((key, called(key, value)) for key, value in one.labels), vouched_storage=(),
                            link_interfaces=tuple(called("interface", known) for known in one.link_interfaces))
        return replace(saved, declared=declared, machine=identities.machine_id("anonymous", hosts[one.name]))

    def vm(saved: SavedVm) -> SavedVm:
        one = saved.record
        name = called("vm", one.vm)
        record = replace(one, check=None, check_flaw="", vm=identities.vm_id("anonymous", name), name=name,
                          group=one.group and called("group", one.group), tags=tuple(called("tag", tag) for tag in one.tags),
                          pins=tuple(replace(pin, thing=called("thing", pin.thing), cure=PIN_CURE) for pin in one.pins))
        return replace(saved, record=record, host=hosts[saved.host])

    return SavedCluster(tuple(sorted(map(host, cluster.hosts), key=lambda one: one.name)),
                        tuple(sorted(map(vm, cluster.vms), key=lambda one: one.record.vm)), "anonymous", cluster.saved_wall)
