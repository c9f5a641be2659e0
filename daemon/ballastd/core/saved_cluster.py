"""A cluster as a value that can be kept, generated, pretended and planned on: machines, VMs, and how the VMs behave.

Plain data, no behaviour: the text format reads and writes it, the simulator brings it to life.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from ballastd.core.hardware import Hardware
from ballastd.core.inventory import DeclaredHost, VmRecord
from ballastd.core.policies import ClusterDeclaration, Timing
from ballastd.core.quantities import Bytes, HostName, Seconds

DAY = Seconds(86400.0)


class DemandKind(enum.Enum):
    """How the processors that a VM asks for change over time."""

    STEADY = "steady"
    """``high``, always."""
    DAILY = "daily"
    """A wave of ``period`` between ``low`` and ``high``; highest ``peak`` seconds after midnight UTC."""
    BURSTY = "bursty"
    """``low``, and at random ``high`` for ``duty`` of the time; one rest and one burst last ``period`` on average."""
    BLOCKED = "blocked"
    """As bursty, and while it is low it waits for its disk, which its host's I/O pressure shows: not idle at all."""
    GAME = "game"
    """A tenant who plays: ``high`` for ``duty`` of each ``period``, to the second, then ``low``; ``peak`` seconds after
    midnight UTC a ``high`` begins."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What a VM asks of its processors. ``low``, ``high``: processors. ``period``, ``peak``: seconds. ``duty``: share
    of the time at ``high``, [0, 1]."""

    kind: DemandKind = DemandKind.STEADY
    low: float = 0.0
    high: float = 0.05
    period: Seconds = DAY
    duty: float = 0.5
    peak: Seconds = Seconds(14 * 3600.0)


@dataclass(frozen=True, slots=True)
class SavedHost:
    """A machine: what its operator declared, what its hypervisor reports, and what a simulation needs beside that.

    ``memory_total``: bytes. ``cpus``: processors. ``busy_watts``: what it draws with all of them at work, None where
    unknown. ``boot_seconds``, ``shutdown_seconds``: from the order until it is up, or off. ``machine``: its SMBIOS UUID.
    ``hardware``: what its hypervisor describes it as, None where that is not known.
    """

    declared: DeclaredHost
    memory_total: Bytes
    cpus: int
    busy_watts: float | None = None
    boot_seconds: Seconds = Seconds(180.0)
    shutdown_seconds: Seconds = Seconds(30.0)
    is_on: bool = True
    machine: str = ""
    hardware: Hardware | None = None

    @property
    def name(self) -> HostName:
        """Its name."""
        return self.declared.name


@dataclass(frozen=True, slots=True)
class SavedVm:
    """A VM on a host and how it behaves. ``dirty_mib_s``: how fast it dirties its memory while it works, MiB/s;
    ``working_set``: the share of its memory that it dirties, (0, 1]; ``network_mib_s``: what it carries over its network
    while it runs, both directions together, MiB/s."""

    record: VmRecord
    host: HostName
    demand: Demand = Demand()
    dirty_mib_s: float = 0.0
    working_set: float = 0.25
    network_mib_s: float = 0.0


@dataclass(frozen=True, slots=True)
class SavedCluster:
    """Hosts sorted by name, VMs sorted by VM id. ``name``: for people. ``saved_wall``: when it was saved, wall seconds,
    None where it was made up."""

    hosts: tuple[SavedHost, ...]
    vms: tuple[SavedVm, ...]
    name: str = "cluster"
    saved_wall: float | None = None

    def declaration(self, timing: Timing) -> ClusterDeclaration:
        """Return what a daemon's settings would say of it."""
        return ClusterDeclaration(tuple(host.declared for host in self.hosts), timing)

    def host(self, name: HostName) -> SavedHost | None:
        """Return the machine called ``name``, or None."""
        return next((host for host in self.hosts if host.name == name), None)

    def on(self, host: HostName) -> tuple[SavedVm, ...]:
        """Return the VMs that are on ``host``."""
        return tuple(vm for vm in self.vms if vm.host == host)


@dataclass(frozen=True, slots=True)
class ClusterCopy:
    """A live cluster as it was seen last. ``missing``: hosts that were never seen, which it does without. ``cordoned``,
    ``drained``: hosts that an operator has closed, and is having emptied."""

    cluster: SavedCluster
    missing: tuple[HostName, ...] = ()
    cordoned: tuple[HostName, ...] = ()
    drained: tuple[HostName, ...] = ()
