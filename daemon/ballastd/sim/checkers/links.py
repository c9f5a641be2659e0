"""What migrations are granted of links: together no more than the share that is theirs, each no less than it needs."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Any

from ballastd.core.plans import Order
from ballastd.core.policies import Health
from ballastd.core.quantities import HostName, VmId
from ballastd.core.telemetry import Report
from ballastd.sim.checkers.base import Checker, outgoing
from ballastd.sim.checkers.flights import flights_of
from ballastd.sim.checkers.hearsay import hearsay_of
from ballastd.sim.world import World

SHOWN_SECONDS = 20.0
"""What a hypervisor says for so long must have been heard: hosts are asked each second, and reports come every ten."""

USED_SECONDS = 120.0
"""Who used a link so long ago was last said a report later, and is given way to for a minute after that."""


class Links(Checker):
    """What all migrations of ours may use together leaves the rest of a link to guests: as one begins, and as one that runs
    is given another bandwidth."""

    rule = "link"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._share: dict[str, tuple[HostName, HostName, float]] = {}
        self._over: dict[str, VmId] = {}
        """Whose job the daemon holds for gone though the books are open: it copies nothing any more, if that is so."""
        self._vms: dict[str, VmId] = {}

    def recorded(self, content: dict[str, Any]) -> None:
        match content["kind"]:
            case "MigrationOrdered":
                self._share[content["id"]] = (HostName(content["source"]), HostName(content["target"]),
                                              float(content["bandwidth_mib_s"]))
                self._vms[content["id"]] = VmId(content["vm"])
            case "MigrationMoved" if content["phase"] == "running":
                self._over.pop(content["id"], None)
            case "MigrationMoved" if content["id"] in self._vms:
                self._over[content["id"]] = self._vms[content["id"]]
            case "BandwidthOrdered" if content["id"] in self._share:
                source, target, _ = self._share[content["id"]]
                self._share[content["id"]] = (source, target, float(content["bandwidth_mib_s"]))
            case "MigrationSettled":
                self._share.pop(content["id"], None)
            case _:
                pass

    def migrating(self, order: Order) -> None:
        self._judge(order.move.source, order.move.target)

    def granting(self, host: HostName, vm: VmId, bandwidth_mib_s: int) -> None:  # noqa: ARG002  what the books say counts
        for key, (source, target, _) in self._share.items():
            if source == host and self._vms[key] == vm:
                self._judge(source, target)

    def _judge(self, source: HostName, target: HostName) -> None:
        share = self.policies.limits.link_share
        for end, host in ((0, source), (1, target)):
            used = sum(mib for key, (*ends, mib) in self._share.items() if ends[end] == host and self._copies(key, ends[0]))
            allowed = self.declared(host).link_mib_s * share
            if used > allowed + 1.0 * len(self._share):
                self.complain(f"{used:g} MiB/s are granted {'out of' if end == 0 else 'into'} {host}; its link allows "
                              f"{allowed:g}")

    def _copies(self, migration: str, source: HostName) -> bool:
        if migration not in self._over:
            return True
        record = self.world.host(source).vms.get(self._over[migration])
        return record is not None and outgoing(record)


@dataclass(slots=True)
class _Flying:
    """A migration whose books are open. ``dirties``: MiB/s as its hypervisor says, since ``since``."""

    vm: VmId
    source: HostName
    target: HostName
    mib_s: float
    dirties: float = 0.0
    since: float = 0.0


class GivingWay(Checker):
    """Who gives way to others has what is worth beginning with, twice what its VM dirties and no more than its static share,
    and there are others; who leaves a failing host gives way to nobody."""

    rule = "giving-way"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._flying: dict[str, _Flying] = {}
        self._flights = flights_of(world)
        self._hearsay = hearsay_of(world)
        self._used: dict[HostName, float] = {}
        """When others used each link last, monotonic seconds."""

    def started(self) -> None:
        for one in self._flying.values():
            one.dirties = 0.0

    def heard(self, report: Report) -> None:
        self._look()
        for one in [one for one in self._flying.values() if one.source == report.host]:
            shown = self.world.hypervisor.dirties_of(one.vm) if self.world.host(one.source).answers else 0.0
            if not shown or not one.dirties:
                one.since = self.now
            one.dirties = shown

    def recorded(self, content: dict[str, Any]) -> None:
        kind, key = content["kind"], content.get("id", "")
        if kind == "MigrationOrdered":
            self._flying[key] = _Flying(VmId(content["vm"]), HostName(content["source"]), HostName(content["target"]),
                                        float(content["bandwidth_mib_s"]))
        elif kind == "MigrationSettled":
            self._flying.pop(key, None)
        elif kind == "BandwidthOrdered" and key in self._flying:
            self._flying[key].mib_s = float(content["bandwidth_mib_s"])
        elif kind == "WayGiven" and content["less_mib_s"]:
            self._judge(key, self._flying[key], float(content["less_mib_s"]))

    def _look(self) -> None:
        now, others = self.now, self.world.hypervisor.interfaces.others
        self._used.update((host, now) for host, mib_s in others.items() if mib_s > 0.0)
        self._used.update((host, now) for host in self._flights.strangers())

    def _judge(self, key: str, one: _Flying, less: float) -> None:
        self._look()
        if not any(self.now - self._used.get(host, -inf) <= USED_SECONDS for host in (one.source, one.target)):
            self.complain(f"{key} gives way by {less:g} MiB/s; nobody else used a link of its hosts lately")
        limits, whole = self.policies.limits, one.mib_s + less
        needs = {f"{limits.migration_minimum_mib_s:g} MiB/s are worth beginning with": limits.migration_minimum_mib_s}
        if one.dirties and self.now - one.since > SHOWN_SECONDS:
            needs[f"its VM dirties {one.dirties:g}"] = 2 * one.dirties
        for why, least in needs.items():
            if one.mib_s < min(whole, least) - 1.0:
                self.complain(f"{key} gives way down to {one.mib_s:g} of {whole:g} MiB/s; {why}")
        share = min(self.declared(host).link_mib_s * limits.link_share / max(1, self._copying(host, out=host == one.source))
                    for host in (one.source, one.target))
        if whole > share + 1.0:
            self.complain(f"{key} has a static share of {whole:g} MiB/s; that of its links is {share:g}")
        failing = [policy.name for policy in self._hearsay.firing(one.source) if policy.severity is Health.FAILING]
        if failing:
            self.complain(f"{key} gives way by {less:g} MiB/s off {one.source}, which fails by {failing[0]}")

    def _copying(self, host: HostName, *, out: bool) -> int:
        """Return how many of our migrations are on a link, one way."""
        return sum(1 for one in self._flying.values() if (one.source if out else one.target) == host
                   and (record := self.world.host(one.source).vms.get(one.vm)) is not None and outgoing(record))
