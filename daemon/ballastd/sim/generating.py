"""Clusters that nobody has: machines of several generations, VMs as they are found in the wild, and the same for a seed."""

from __future__ import annotations

from random import Random

from ballastd.core.inventory import DeclaredHost, VmRecord, VmState
from ballastd.core.quantities import GIB, Bytes, HostName, Seconds
from ballastd.core.saved_cluster import DAY, Demand, DemandKind, SavedCluster, SavedHost, SavedVm
from ballastd.documents.identities import machine_id, vm_id
from ballastd.errors import ConfigurationError

HOST_GIB = (64, 64, 128, 128, 256)
GIB_PER_PROCESSOR = 4
RESERVE_GIB = 4
LINKS_MIB_S = (1192.0, 1192.0, 2980.0)
RACKS_OF = 4
VM_GIB = (1, 2, 2, 4, 4, 4, 8, 8, 16, 32)
"""Sizes as they come: many small ones, a few that hold most of the memory."""
SPREAD = 1.15
"""No host starts fuller than this times the mean, unless its VMs are too large to be spread better."""
KINDS = (DemandKind.STEADY,) * 9 + (DemandKind.DAILY,) * 6 + (DemandKind.BURSTY,) * 3 + (DemandKind.BLOCKED, DemandKind.GAME)
DIRTY_MIB_S = (0.0, 0.5, 2.0, 5.0, 20.0, 60.0)
GROUPED = 0.2
PRIORITIES = (0,) * 8 + (5, 10)


def generate(hosts: int, vms: int, seed: int, *, fill: float = 0.4, load: float = 0.3) -> SavedCluster:
    """Return a cluster. ``fill``: the share of all memory that its VMs have together, (0, 0.8]; ``load``: the share of all
    processors that they ask for on average, [0, 1]. Memory and load come out close to that, not exactly.

    Raises:
        ConfigurationError: so many VMs do not fit in so little memory.
    """
    luck, name = Random(f"{seed} cluster of {hosts} and {vms}"), f"made-up-{seed}"
    machines = [_machine(luck, name, number, hosts) for number in range(1, hosts + 1)]
    limits = {machine.name: machine.memory_total - machine.declared.memory_reserve for machine in machines}
    processors = sum(machine.cpus for machine in machines)
    sizes = _sizes(luck, vms, int(sum(limits.values()) * min(0.8, fill)) // GIB)
    held = dict.fromkeys(limits, 0)
    placed: list[tuple[int, HostName]] = []
    for size in sorted(sizes, reverse=True):
        # the emptiest of two at random: even, but not suspiciously so
        some = luck.sample(list(limits), min(2, hosts))
        home = min(some, key=lambda host: (held[host] + size * GIB) / limits[host])
        if held[home] + size * GIB > limits[home] * min(1.0, fill * SPREAD):
            home = min(limits, key=lambda host: (held[host] + size * GIB) / limits[host])
        held[home] += size * GIB
        placed.append((size, home))
    cpus = {machine.name: machine.cpus for machine in machines}
    weights = [luck.uniform(0.3, 1.7) * size**0.7 for size, _ in placed]
    asked = [processors * load * weight / sum(weights) for weight in weights]
    made = [_vm(luck, name, number, size, host, share, cpus[host])
            for number, ((size, host), share) in enumerate(zip(placed, asked, strict=True), 1)]
    return SavedCluster(tuple(sorted(machines, key=lambda machine: machine.name)),
                        tuple(sorted(made, key=lambda vm: vm.record.vm)), name)


def _machine(luck: Random, cluster: str, number: int, hosts: int) -> SavedHost:
    gib, name = luck.choice(HOST_GIB), f"host-{number:0{len(str(hosts))}}"
    cpus = gib // GIB_PER_PROCESSOR
    rack = (number - 1) // RACKS_OF + 1
    idle = round(40.0 + 2.5 * cpus + luck.uniform(0.0, 20.0))
    declared = DeclaredHost(
        HostName(name), f"simulated://{name}", power="simulated",
        link_mib_s=luck.choice(LINKS_MIB_S), memory_reserve=Bytes(RESERVE_GIB * GIB), idle_watts=float(idle),
        labels=(("cooling", f"room-{(rack + 1) // 2}"), ("rack", f"rack-{rack}")))
    return SavedHost(declared, Bytes(gib * GIB), cpus, float(idle + 5 * cpus), Seconds(float(luck.randrange(90, 300, 10))),
                     Seconds(float(luck.randrange(10, 60, 5))), machine=machine_id(cluster, name))


def _sizes(luck: Random, vms: int, gib: int) -> list[int]:
    """Return the sizes of VMs in GiB, which come to about ``gib`` together."""
    if vms > gib:
        raise ConfigurationError((f"{vms} VMs do not fit: all of them may have {gib} GiB together, and each has 1 at least; "
                                  "make more hosts or fewer VMs",))
    drawn = [luck.choice(VM_GIB) for _ in range(vms)]
    scale = gib / sum(drawn)
    largest = min(HOST_GIB) // 2
    return [max(1, min(largest, round(size * scale))) for size in drawn]


def _vm(luck: Random, cluster: str, number: int, size: int, host: HostName, mean: float, cpus: int) -> SavedVm:
    kind, duty = luck.choice(KINDS), round(luck.uniform(0.1, 0.5), 2)
    low, high = _levels(kind, mean, duty)
    vcpus = min(cpus, next(count for count in (1, 2, 4, 8, 16, 32, 64) if count >= high or count == 64))
    high = min(high, float(vcpus))
    name = f"vm-{number:03}"
    group = f"team-{luck.randrange(1, 5)}" if luck.random() < GROUPED else ""
    record = VmRecord(vm_id(cluster, name), name, VmState.RUNNING, Bytes(size * GIB), vcpus=vcpus,
                      priority=luck.choice(PRIORITIES), group=group)
    demand = _demand(luck, kind, round(min(low, high), 3), round(high, 3), duty)
    return SavedVm(record, host, demand, luck.choice(DIRTY_MIB_S), round(luck.uniform(0.05, 0.4), 2))


def _demand(luck: Random, kind: DemandKind, low: float, high: float, duty: float) -> Demand:
    match kind:
        case DemandKind.STEADY:
            return Demand(high=high)
        case DemandKind.DAILY:
            return Demand(kind, low, high, DAY, peak=Seconds(float(luck.randrange(9, 18) * 3600)))
        case _:
            return Demand(kind, low, high, Seconds(float(luck.choice((600, 1800, 3600, 7200)))), duty,
                          Seconds(float(luck.randrange(0, 24) * 3600)))


def _levels(kind: DemandKind, mean: float, duty: float) -> tuple[float, float]:
    """Return ``low`` and ``high`` of a demand that comes to ``mean`` processors on average."""
    match kind:
        case DemandKind.STEADY:
            return 0.0, mean
        case DemandKind.DAILY:
            return mean * 0.3, mean * 1.7
        case _:
            low = mean * 0.2
            return low, (mean - low * (1.0 - duty)) / duty

