"""A live cluster becomes a saved one: what its hosts showed last, and what its VMs used, as a steady demand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ballastd.core.inventory import NO_USAGE, HostInventory, JobKind, VmRecord, VmState, VmUsage
from ballastd.core.ledger import Ledger
from ballastd.core.loads import Loads
from ballastd.core.policies import ClusterDeclaration
from ballastd.core.quantities import HostName, Instant, VmId
from ballastd.core.saved_cluster import ClusterCopy, Demand, SavedCluster, SavedHost, SavedVm
from ballastd.core.snapshot import lives_more


def copy_of(declared: ClusterDeclaration, inventories: Mapping[HostName, HostInventory], ledger: Ledger,
            loads: Loads, now: Instant) -> ClusterCopy:
    """Return the cluster as it was seen last. Hosts that we switched off are off. A VM that was seen at two hosts is where
    it was seen to run last, or else where there is more of it; what it will ask for, and carry over its network, is what it
    did over the load window, or next to nothing where that is unknown. Saved when: to the second, as people write it."""
    hosts, missing, off = [], [], ledger.standing_by()
    found: dict[VmId, SavedVm] = {}
    shown: dict[VmId, tuple[VmRecord, float]] = {}
    for host in declared.hosts:
        inventory = inventories.get(host.name)
        if inventory is None:
            missing.append(host.name)
            continue
        hosts.append(SavedHost(host, inventory.memory_total, inventory.cpus, is_on=host.name not in off,
                               machine=inventory.host_uuid, hardware=inventory.hardware))
        for record in inventory.vms if host.name not in off else ():
            at = inventory.taken.monotonic
            if record.vm not in shown or _is_rather_here(record, at, *shown[record.vm]):
                shown[record.vm] = record, at
                found[record.vm] = _vm(record, inventory.usage.get(record.vm, NO_USAGE), host.name, loads, now)
    vms = tuple(found[vm] for vm in sorted(found))
    return ClusterCopy(SavedCluster(tuple(hosts), vms, "live", float(int(now.wall))), tuple(missing),
                       tuple(sorted(ledger.cordoned)), tuple(sorted(ledger.drains)))


def _is_rather_here(one: VmRecord, at: float, other: VmRecord, seen: float) -> bool:
    """Of a host that does not answer only an old look is left, which may show who has moved since; and a definition that
    stayed behind says nothing of a VM that is elsewhere, whether it runs there or is paused. ``at``, ``seen``: when each was
    looked at, monotonic."""
    if one.state.runs and other.state.runs:
        return at > seen
    return lives_more(one, other) or (one.state.holds_memory and not other.state.holds_memory)


def _vm(record: VmRecord, usage: VmUsage, host: HostName, loads: Loads, now: Instant) -> SavedVm:
    state = record.state if record.state in (VmState.SHUTOFF, VmState.PAUSED) else VmState.RUNNING
    if record.state is VmState.CRASHED:
        state = VmState.SHUTOFF
    used = loads.cpu(record.vm, now) if state is VmState.RUNNING else 0.0
    demand = Demand() if used is None else Demand(high=round(min(used, float(record.vcpus)), 3))
    carried = loads.network((record.vm,), now) if state is VmState.RUNNING else None
    network = 0.0 if carried is None or np.isnan(carried[0][0]) else round(float(carried[0][0]), 1)
    return SavedVm(replace(record, state=state, job=JobKind.NONE, reason=""), host, demand,
                   usage.dirty_mib_s or 0.0, network_mib_s=network)
