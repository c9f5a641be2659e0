"""VMs that are asked whether they answer: only as the operator allows, by a record, never for ever; who is silent."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any

from ballastd.core.arrival_checks import Check
from ballastd.core.plain import from_plain
from ballastd.core.quantities import HostName, VmId
from ballastd.sim.checkers.base import Checker
from ballastd.sim.world import World

PATIENCE_SECONDS = 120.0
"""Beyond the time that a VM has for its answer: for restarts, and a journal that refuses."""
LAG_SECONDS = 5.0
"""So long a look at a host, and the record of what it showed, may lag behind the host."""


class AskedFewOnly(Checker):
    """Who is asked has a record of it that is still open, and is asked as that says and the operator allows. Who is called
    silent did not answer when it was asked last, runs where it was moved to, and was not asked to shut down."""

    rule = "asked-few-only"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._vms: dict[str, VmId] = {}
        self._targets: dict[str, HostName] = {}
        self._checks: dict[str, Check] = {}
        self._answers: dict[VmId, bool] = {}
        self._gone: dict[VmId, float] = {}
        self._shut_down: dict[str, VmId] = {}
        self._arrived: dict[str, float] = {}
        self._up_since = 0.0

    def started(self) -> None:
        self._up_since = self.now

    def recorded(self, content: dict[str, Any]) -> None:
        kind, key = content["kind"], content.get("id", "")
        match kind:
            case "MigrationOrdered":
                self._vms[key], self._targets[key] = VmId(content["vm"]), HostName(content["target"])
            case "CheckOrdered":
                self._checks[key] = from_plain(Check, content["check"])
            case "MigrationSettled" if key in self._checks and content["ending"] == "completed":
                self._arrived[key] = self.now
                self._gone.pop(self._vms[key], None)
            case "MigrationSettled":
                self._checks.pop(key, None)
            case "ArrivalChecked":
                if key not in self._arrived:
                    self.complain(f"{key}: what came of asking is booked, and nobody was to be asked")
                elif content["arrival"] == "silent":
                    self._judge(key)
                self._arrived.pop(key, None)
                self._checks.pop(key, None)
            case "ShutdownOrdered":
                self._shut_down[key] = VmId(content["vm"])
            case "ShutdownWithdrawn" | "ShutdownEnded":
                self._shut_down.pop(key, None)
            case _:
                pass

    def changed(self, host: HostName) -> None:
        for vm in {self._vms[key] for key in self._arrived if self._targets[key] == host}:
            if host in self.world.at(vm):
                self._gone.pop(vm, None)
            else:
                self._gone.setdefault(vm, self.now)

    def _judge(self, key: str) -> None:
        vm, target = self._vms[key], self._targets[key]
        if self._answers.get(vm, True):
            self.complain(f"{key}: its VM is called silent, and answered when it was asked last, or was not asked")
        if self.now - self._gone.get(vm, self.now) > LAG_SECONDS or any(at != target for at in self.world.at(vm)):
            self.complain(f"{key}: its VM is called silent, and does not run on {target}")
        if vm in self._shut_down.values():
            self.complain(f"{key}: its VM is called silent, and was asked to shut down")

    def asking(self, vm: VmId, check: Check) -> None:
        at = self.world.at(vm)
        self._answers[vm] = bool(at) and vm not in self.world.probe.mute and not self.world.probe.isolated.issuperset(at)
        if not any(self._vms.get(key) == vm and known == check for key, known in self._checks.items()):
            self.complain(f"{vm} is asked whether it answers ({check.words()}) without a record of that")
        allowed = self.world.declared.arrival_checks
        around = [network for network in allowed.networks if check.address and ip_address(check.address) in network]
        if check.address and not around:
            self.complain(f"{vm} is asked at {check.address}, which is in no network of guests")
        elif check.address and _is_near(ip_address(check.address)) and not any(_is_near(network) for network in around):
            self.complain(f"{vm} is asked at {check.address}, which no network means")
        if not check.address and not allowed.agent:
            self.complain(f"the agent of {vm} is asked, which nobody allows")

    def finish(self) -> None:
        within = float(self.world.declared.arrival_checks.within)
        for key, arrived in self._arrived.items():
            if self.now - max(arrived, self._up_since) > within + PATIENCE_SECONDS:
                self.complain(f"{key}: its VM arrived {self.now - arrived:.0f} s ago, and nobody knows whether it answers")


def _is_near(what: IPv4Address | IPv6Address | IPv4Network | IPv6Network) -> bool:
    return what.is_loopback or what.is_link_local
