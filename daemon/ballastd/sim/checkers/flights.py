"""Which migrations there truly are, and which of them the daemon called for."""

from __future__ import annotations

from typing import Any

from ballastd.core.inventory import VmState
from ballastd.core.plans import Order
from ballastd.core.quantities import HostName, VmId
from ballastd.sim.checkers.base import Checker, outgoing
from ballastd.sim.world import World

SEEN_SECONDS = 20.0
"""A stranger's job must have been seen by then: hosts are asked every ten seconds, and at once when they say something."""


class Flights(Checker):
    """Follows the jobs of all hosts from their beginning to their end."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.ours: dict[VmId, Order] = {}
        """Whom the daemon moves, as long as a job does it or its books are open."""
        self.begun: list[Order] = []
        """Those of them whose jobs began with the last change."""
        self._open: dict[str, VmId] = {}
        self._leaving: dict[HostName, dict[VmId, float]] = {}
        """Whom jobs take away from each host, and since when that can be seen."""
        self._coming: dict[HostName, dict[VmId, float]] = {}
        self._dark: set[HostName] = set()

    def migrating(self, order: Order) -> None:
        self.ours[order.move.vm] = order

    def recorded(self, content: dict[str, Any]) -> None:
        if content["kind"] == "MigrationOrdered":
            self._open[content["id"]] = VmId(content["vm"])
        elif content["kind"] == "MigrationSettled" and (vm := self._open.pop(content["id"], None)) is not None:
            self._forget(vm)

    def _forget(self, vm: VmId) -> None:
        if vm not in self._open.values() and not any(vm in jobs for jobs in self._leaving.values()):
            self.ours.pop(vm, None)

    def changed(self, host: HostName) -> None:
        known, was_dark, before = self.world.host(host), host in self._dark, self._leaving.get(host, {})
        (self._dark.discard if known.answers else self._dark.add)(host)
        for jobs, vms in ((self._leaving, [vm for vm, record in known.vms.items() if outgoing(record)]),
                          (self._coming, [vm for vm, record in known.vms.items() if record.state is VmState.INCOMING])):
            since = {} if was_dark else jobs.get(host, {})
            jobs[host] = {vm: since.get(vm, self.now) for vm in vms}
        now = self._leaving[host]
        for vm in before.keys() - now.keys():
            self._forget(vm)
        self.begun = [self.ours[vm] for vm in now if vm in self.ours and vm not in before]

    def leaving(self) -> list[tuple[HostName, VmId]]:
        """Return the jobs under way and the hosts they take VMs from: ours, and a stranger's that must have been seen."""
        return [(host, vm) for host, jobs in self._leaving.items() for vm in self._counted(host, jobs)]

    def coming(self, host: HostName) -> set[VmId]:
        """Return whom jobs bring to ``host``."""
        ours = {vm for _, vm in self.leaving() if vm in self.ours and self.ours[vm].move.target == host}
        return ours.union(self._counted(host, self._coming.get(host, {})))

    def strangers(self) -> set[HostName]:
        """Return the hosts from or to which somebody else moves VMs."""
        ends = (*self._leaving.items(), *self._coming.items())
        return {host for host, vms in ends if vms and vms.keys() - self.ours.keys()}

    def of_policy(self, name: str) -> int:
        """Return how many jobs of ours move VMs by a policy."""
        return sum(1 for _, vm in self.leaving() if vm in self.ours and self.ours[vm].move.policy == name)

    def _counted(self, host: HostName, jobs: dict[VmId, float]) -> list[VmId]:
        sight = host not in self._dark
        return [vm for vm, since in jobs.items() if vm in self.ours or (sight and self.now - since > SEEN_SECONDS)]


def flights_of(world: World) -> Flights:
    """Return the one who follows the migrations of a world: whoever asks first brings him in."""
    for watcher in world.watchers:
        if isinstance(watcher, Flights):
            return watcher
    found = Flights(world)
    world.watchers.append(found)
    return found
