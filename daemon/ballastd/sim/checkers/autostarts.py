"""VMs that start with their host: they still do wherever the daemon moved them, and with no other host."""

from __future__ import annotations

from typing import Any

from ballastd.core.acts import Act
from ballastd.core.quantities import HostName, VmId
from ballastd.sim.checkers.base import Checker
from ballastd.sim.world import World

PATIENCE_SECONDS = 120.0
"""So long after all was well a VM may have its autostart still to come: for looks, restarts, and a journal that refuses."""
CLEAR = frozenset({"completed", "refused", "failed", "aborted"})
"""What else a migration comes to is for a person to put right."""
FOREIGN = frozenset({"carry", "stop", "start"})
"""After these a VM is as strangers want it."""


class AutostartKept(Checker):
    """Who started with his host does so where he arrived, and with no other; nobody is made to who did not."""

    rule = "autostart-kept"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._vms: dict[str, VmId] = {}
        self._kept: set[VmId] = set()
        self._well_since = 0.0

    def begin(self) -> None:
        self._kept = {record.vm for _, record in self.records() if record.autostart}

    def started(self) -> None:
        self._well_since = self.now

    def recorded(self, content: dict[str, Any]) -> None:
        match content["kind"]:
            case "MigrationOrdered":
                self._vms[content["id"]] = VmId(content["vm"])
            case "MigrationSettled":
                self._well_since = self.now
                if content["ending"] not in CLEAR:
                    self._kept.discard(self._vms[content["id"]])
            case _:
                pass

    def acted(self, act: Act) -> None:
        self._well_since = self.now + (act.seconds or 0.0)
        if act.do in FOREIGN and act.vm:
            self._kept.discard(self.world.names.get(act.vm, VmId("")))

    def setting_autostart(self, host: HostName, vm: VmId, *, on: bool) -> None:
        if vm not in self._kept:
            self.complain(f"{vm} is made to start with {host}, or not to, and never did")
        elif on is not (host in self.world.at(vm)):
            self.complain(f"{vm} is made to start with {host}, and does not run there" if on else
                          f"{vm} is made not to start with {host}, where it runs")

    def finish(self) -> None:
        if self.now - self._well_since < PATIENCE_SECONDS:
            return
        for host, record in self.records():
            if record.vm in self._kept and self.world.host(host).answers:
                runs = host in self.world.at(record.vm)
                if record.autostart is not runs and len(self.world.at(record.vm)) == 1:
                    self.complain(f"{record.name} {'does not start' if runs else 'starts'} with {host}")
