"""Small saved clusters in few words."""

from __future__ import annotations

from ballastd.core.inventory import DeclaredHost, Pin, PinKind, VmRecord, VmState
from ballastd.core.policies import PolicySet
from ballastd.core.quantities import GIB, Bytes, HostName
from ballastd.core.saved_cluster import Demand, SavedCluster, SavedHost, SavedVm
from tests.builders import machine_of, vm_id

PINNED = (Pin(PinKind.PASSTHROUGH, "hostdev 0000:3b:00.0", "take the device out"),)


def a_host(name: str, gib: int = 64, **labels: str) -> SavedHost:
    """Return a host with 16 processors and power."""
    declared = DeclaredHost(HostName(name), f"test://{name}", link_mib_s=1000.0, power="simulated", idle_watts=100.0,
                            memory_limit=Bytes(gib * GIB), labels=tuple(sorted(labels.items())))
    return SavedHost(declared, Bytes((gib + 4) * GIB), 16, busy_watts=300.0, machine=machine_of(name))


def a_vm(name: str, host: str, gib: int = 8, *, group: str = "", tags: tuple[str, ...] = (), pins: tuple[Pin, ...] = (),
         ignored: bool = False, demand: Demand = Demand()) -> SavedVm:
    """Return a running VM with four processors."""
    record = VmRecord(vm_id(name), name, VmState.RUNNING, Bytes(gib * GIB), vcpus=4, group=group, tags=tags, pins=pins,
                      ignored=ignored)
    return SavedVm(record, HostName(host), demand)


def four(vms: int = 3, gib: int = 8) -> SavedCluster:
    """Return hosts h1 to h4 with the same number of VMs each: h1v0, h1v1, ..."""
    hosts = tuple(a_host(f"h{i}", rack=f"r{i % 2}") for i in range(1, 5))
    return SavedCluster(hosts, tuple(a_vm(f"h{i}v{j}", f"h{i}", gib) for i in range(1, 5) for j in range(vms)), "four")


class Fixed:
    """A policy source that never changes."""

    def __init__(self, policies: PolicySet) -> None:
        self._policies = policies

    def load(self, now_wall: float) -> tuple[PolicySet, tuple[str, ...]]:
        """See ``service.daemon.PolicySource``."""
        return self._policies, ()
