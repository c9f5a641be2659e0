"""Guests: each runs once, none disappears, and an order for one ends before the next begins."""

from __future__ import annotations

from collections import Counter
from typing import Any

from ballastd.core.acts import Act
from ballastd.core.inventory import VmState
from ballastd.core.plans import Order
from ballastd.core.quantities import HostName, VmId
from ballastd.sim.checkers.base import Checker, outgoing
from ballastd.sim.jobs import Fate
from ballastd.sim.world import World

SETTLE_SECONDS = 900.0
"""A migration that no job carries on is settled by then, also when the daemon was down meanwhile."""
TWIN_SECONDS = 60.0
"""Two copies have to be noticed within an inventory's pace and a step."""


class OneCopy(Checker):
    """A VM never runs on two hosts, unless the script itself had it so."""

    rule = "one-copy"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._excused: set[VmId] = set()

    def acted(self, act: Act) -> None:
        if (act.do == "fate" and act.word == Fate.SPLIT.value) or act.do in ("start", "carry"):
            self._excused.add(self.world.names.get(act.vm, VmId("")))

    def changed(self, host: HostName) -> None:
        for vm, record in self.world.host(host).vms.items():
            if record.state.runs and vm not in self._excused and len(at := self.world.at(vm)) > 1:
                self.complain(f"{record.name} runs on {' and '.join(sorted(at))}")


class NobodyLost(Checker):
    """Every VM that was there is there, unless somebody stopped it, its host died, or its fate was to be lost."""

    rule = "nobody-lost"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._names: dict[VmId, str] = {}

    def begin(self) -> None:
        self._names = {record.vm: record.name for _, record in self.records() if record.state.runs}

    def acted(self, act: Act) -> None:
        if act.do == "stop" or (act.do == "fate" and act.word == Fate.NOWHERE.value):
            self._names.pop(self.world.names.get(act.vm, VmId("")), None)
        elif act.do in ("lose-power", "press"):
            self._forget(HostName(act.host))

    def _forget(self, host: HostName) -> None:
        """What a dying host takes along: what it has, and what comes from it or goes to it at this moment."""
        for vm in self.world.host(host).vms:
            self._names.pop(vm, None)

    def shutting_down(self, host: HostName, vm: VmId) -> None:  # noqa: ARG002  the checkers'
        # whether it may be is another checker's business
        self._names.pop(vm, None)

    def migrating(self, order: Order) -> None:
        # a VM that was started meanwhile is watched from its first move on
        self._names.setdefault(order.move.vm, order.move.vm_name)

    def changed(self, host: HostName) -> None:  # noqa: ARG002  it may have gone anywhere
        if self.now == 0.0:
            return
        for vm, name in self._names.items():
            if not any(vm in one.vms for one in self.world.hypervisor.hosts.values()):
                self.complain(f"{name} is nowhere any more")

    def finish(self) -> None:
        for vm, name in sorted(self._names.items()):
            if not self.world.at(vm) and not any(r.vm == vm and r.state is not VmState.SHUTOFF for _, r in self.records()):
                self.complain(f"{name} does not run any more")


class OneMigration(Checker):
    """At most one migration of a VM is open, and it is not begun while a job holds it."""

    rule = "one-migration"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._open: dict[str, tuple[str, float]] = {}

    def recorded(self, content: dict[str, Any]) -> None:
        if content["kind"] == "MigrationOrdered":
            if any(content["vm"] == vm for vm, _ in self._open.values()):
                self.complain(f"{content['vm_name']} is ordered while an order for it is open")
            self._open[content["id"]] = (content["vm"], self.now)
        elif content["kind"] == "MigrationSettled":
            self._open.pop(content["id"], None)

    def migrating(self, order: Order) -> None:
        here = self.world.host(order.move.source).vms.get(order.move.vm)
        if here is not None and outgoing(here):
            self.complain(f"{order.move.vm_name} is moved while a job moves it")

    def finish(self) -> None:
        # one that began late is under way when a rehearsal ends, and no fault
        moving = {record.vm for _, record in self.records() if outgoing(record)}
        for migration, (vm, since) in self._open.items():
            if vm not in moving and self.now - since > SETTLE_SECONDS:
                self.complain(f"migration {migration} of {vm} was never settled")


class Twins(Checker):
    """Two running copies of a VM freeze both their hosts: nothing begins from or to them."""

    rule = "twins"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._since: dict[VmId, float] = {}

    def _twins(self) -> dict[VmId, list[HostName]]:
        counts = Counter(record.vm for _, record in self.records() if record.state.runs)
        return {vm: self.world.at(vm) for vm, count in counts.items() if count > 1}

    def changed(self, host: HostName) -> None:  # noqa: ARG002  twins are of two hosts
        twins = self._twins()
        self._since = {vm: self._since.get(vm, self.now) for vm in twins}

    def migrating(self, order: Order) -> None:
        self._judge(f"{order.move.vm_name} is moved", order.move.source, order.move.target)

    def parting(self, host: HostName, vm: VmId) -> None:
        targets = [name for name, record in self.records() if record.vm == vm and record.state is VmState.INCOMING]
        self._judge(f"{vm} goes before its memory", host, *targets)

    def shutting_down(self, host: HostName, vm: VmId) -> None:
        self._judge(f"{vm} is asked to shut down", host)

    def _judge(self, what: str, *ends: HostName) -> None:
        for vm, hosts in self._twins().items():
            seen = all(self.world.host(host).answers for host in hosts)
            if seen and self.now - self._since.get(vm, self.now) > TWIN_SECONDS and not set(ends).isdisjoint(hosts):
                self.complain(f"{what} while {vm} runs on {' and '.join(sorted(hosts))}")


class NoOtherCopy(Checker):
    """A VM of which another host holds a copy, running or not, stays until somebody knows what that is."""

    rule = "no-other-copy"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._since: dict[tuple[HostName, VmId], float] = {}

    def changed(self, host: HostName) -> None:
        held = {vm for vm, record in self.world.host(host).vms.items() if record.state.holds_memory}
        self._since = {key: at for key, at in self._since.items() if key[0] != host or key[1] in held}
        for vm in held:
            self._since.setdefault((host, vm), self.now)

    def migrating(self, order: Order) -> None:
        move = order.move
        for host in self.world.hypervisor.hosts.values():
            record = host.vms.get(move.vm)
            if host.name == move.source or record is None or not record.state.holds_memory or not host.answers:
                continue
            if self.now - self._since.get((host.name, move.vm), 0.0) > TWIN_SECONDS:
                self.complain(f"{move.vm_name} leaves {move.source} while {host.name} holds a copy ({record.state.value})")
