"""VMs that are asked whether they answer: only as the operator allows, by a record, and never for ever."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from ballastd.core.arrival_checks import Check
from ballastd.core.quantities import VmId
from ballastd.sim.checkers.base import Checker
from ballastd.sim.world import World

PATIENCE_SECONDS = 120.0
"""Beyond the time that a VM has for its answer: for restarts, and a journal that refuses."""


class AskedFewOnly(Checker):
    """Who is asked has a record of it that is still open, and is asked in a way that the operator allows."""

    rule = "asked-few-only"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._vms: dict[str, VmId] = {}
        self._checks: dict[str, Any] = {}
        self._arrived: dict[str, float] = {}
        self._up_since = 0.0

    def started(self) -> None:
        self._up_since = self.now

    def recorded(self, content: dict[str, Any]) -> None:
        kind, key = content["kind"], content.get("id", "")
        match kind:
            case "MigrationOrdered":
                self._vms[key] = VmId(content["vm"])
            case "CheckOrdered":
                self._checks[key] = content["check"]
            case "MigrationSettled" if key in self._checks and content["ending"] == "completed":
                self._arrived[key] = self.now
            case "MigrationSettled":
                self._checks.pop(key, None)
            case "ArrivalChecked":
                if key not in self._arrived:
                    self.complain(f"{key}: what came of asking is booked, and nobody was to be asked")
                self._arrived.pop(key, None)
                self._checks.pop(key, None)
            case _:
                pass

    def asking(self, vm: VmId, check: Check) -> None:
        if not any(self._vms.get(key) == vm for key in self._checks):
            self.complain(f"{vm} is asked whether it answers without a record")
        allowed = self.world.declared.arrival_checks
        if check.address and not any(ip_address(check.address) in network for network in allowed.networks):
            self.complain(f"{vm} is asked at {check.address}, which is in no network of guests")
        if not check.address and not allowed.agent:
            self.complain(f"the agent of {vm} is asked, which nobody allows")

    def finish(self) -> None:
        within = float(self.world.declared.arrival_checks.within)
        for key, arrived in self._arrived.items():
            if self.now - max(arrived, self._up_since) > within + PATIENCE_SECONDS:
                self.complain(f"{key}: its VM arrived {self.now - arrived:.0f} s ago, and nobody knows whether it answers")
