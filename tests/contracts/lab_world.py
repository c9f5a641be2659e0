"""Three real hosts, each in namespaces of its own, behind the libvirt adapter."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any

from ballastd.adapters.blocking import Lanes
from ballastd.adapters.clock import SystemClock
from ballastd.adapters.libvirt.connections import LibvirtOptions
from ballastd.adapters.libvirt.hypervisor import LibvirtHypervisor
from ballastd.core.inventory import DeclaredHost
from ballastd.core.policies import ClusterDeclaration
from ballastd.core.quantities import HostName, VmId
from tests.contracts.worlds import World
from tests.lab import Lab, LabGuest
from tests.lab.commands import wait_until

OPTIONS = LibvirtOptions(
    keepalive_interval=2, keepalive_count=3, call_deadline_s=3.0, open_deadline_s=3.0, probe_deadline_s=1.0,
    reconnect_min_s=0.1, reconnect_max_s=1.0, unsafe=True)
"""Short, in the proportions of production: a call is given up long before keepalive gives the host up."""

_numbers = itertools.count(1)


def declaration(lab: Lab) -> ClusterDeclaration:
    """Return the lab's hosts as an operator would declare them."""
    return ClusterDeclaration(tuple(
        DeclaredHost(HostName(host.name), host.uri, host.uri, host.migration_uri,
                     vouched_storage=(str(lab.plan.path / "disks"),))
        for host in lab.hosts.values()))


class LibvirtWorld:
    """Real hosts. After each story every heartbeat must show that its guest ran once, with its state."""

    hypervisor: LibvirtHypervisor
    call_deadline = OPTIONS.call_deadline_s

    def __init__(self, lab: Lab, options: LibvirtOptions = OPTIONS, cluster: ClusterDeclaration | None = None) -> None:
        self.lab = lab
        self.guests: dict[VmId, LabGuest] = {}
        self._twins: list[LabGuest] = []
        self._options = options
        self._cluster = cluster or declaration(lab)
        self._broken: dict[HostName, Callable[[], None]] = {}

    def run(self, story: Callable[[World], Awaitable[Any]]) -> None:
        asyncio.run(self.tell(story))

    async def tell(self, story: Callable[[Any], Awaitable[Any]]) -> None:
        """Tell ``story`` on a running loop, then put everything right again."""
        self.lanes = Lanes()
        self.hypervisor = LibvirtHypervisor(self._cluster, self.lanes, SystemClock(), self._options)
        await self.hypervisor.start()
        try:
            await story(self)
        finally:
            for host in list(self._broken):
                await self.heal(host)
            await self.hypervisor.close()
            await self.lanes.close()
            beats = {guest.name: self.lab.heartbeat(guest).breaks for guest in self.guests.values()}
            for guest in (*self.guests.values(), *self._twins):
                self.lab.stop_guest(guest)
        assert not any(beats.values()), beats

    async def start_guest(self, host: HostName, *, memory_mib: int = 16, persistent: bool = False,
                          disk: Any = None, metadata: str = "", beating: bool = True) -> VmId:
        guest = self.lab.start_guest(host, f"g{next(_numbers)}", memory_mib, disk=disk, persistent=persistent,
                                     metadata=metadata)
        self.guests[VmId(guest.uuid)] = guest
        if persistent:
            self.lab.hosts[host].virsh("autostart", guest.name)
        if beating:
            self.lab.wait_beat(guest)
        return VmId(guest.uuid)

    async def keep_busy(self, vm: VmId) -> None:
        # not "dirty": a guest that never halts may lose a page as it is copied (docs/libvirt.md)
        self.lab.set_mode(self.guests[vm], "9")

    async def define_twin(self, host: HostName, vm: VmId) -> None:
        twin = self.lab.define_guest(host, f"{self.guests[vm].name}-twin", identity=vm)
        self._twins.append(twin)

    async def stop_guest(self, host: HostName, vm: VmId) -> None:
        self.lab.hosts[host].virsh("destroy", self.guests[vm].name)

    async def hang(self, host: HostName) -> None:
        self._broken[host] = self.lab.hosts[host].resume_libvirtd
        self.lab.hosts[host].hang_libvirtd()

    async def cut(self, host: HostName) -> None:
        self._broken[host] = self.lab.hosts[host].heal
        self.lab.hosts[host].cut()

    async def kill(self, host: HostName) -> None:
        self._broken[host] = self.lab.hosts[host].restart_libvirtd
        self.lab.hosts[host].kill_libvirtd()

    async def heal(self, host: HostName) -> None:
        self._broken.pop(host)()
        wait_until(self.lab.hosts[host].is_listening, 10.0, f"{host} to listen")
