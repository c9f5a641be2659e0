"""When next to nothing may begin: an event of the whole site, a cluster that another daemon claims."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from ballastd.core.plans import Order
from ballastd.core.quantities import HostName, VmId
from ballastd.core.telemetry import Report
from ballastd.sim.checkers.base import Checker
from ballastd.sim.checkers.hearsay import SLACK_SECONDS, STALE_SECONDS, hearsay_of
from ballastd.sim.world import World

RIVAL_SECONDS = 30.0
"""Whoever claims the cluster for so long is known: a daemon looks every few seconds."""


class SiteEvents(Checker):
    """When more hosts are sick at once than single faults explain, nothing begins but what was being evacuated before off a
    failing host: by what was delivered, and by the daemon's own word for as long as it stands."""

    rule = "site-event"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._hearsay = hearsay_of(world)
        self._evacuated: dict[HostName, float] = {}
        """Who is being evacuated, and since when."""
        self._passing: set[HostName] | None = None
        """Who was being evacuated when an event began that stands."""

    def recorded(self, content: dict[str, Any]) -> None:
        host = HostName(str(content.get("host", "")))
        match content["kind"]:
            case "EvacuationBegun":
                if self._passing is not None:
                    self.complain(f"the evacuation of {host} begins during an event of the site")
                self._evacuated[host] = self.now
            case "EvacuationEnded":
                self._evacuated.pop(host, None)
            case "SiteEventBegun":
                self._passing = set(self._evacuated)
            case "SiteEventEnded":
                self._passing = None
                if why := self._why()[0]:
                    self.complain(f"an event of the site is called over while {why}")
            case _:
                pass

    def migrating(self, order: Order) -> None:
        self._judge(order.move.source, f"{order.move.vm_name} begins to move")

    def parting(self, host: HostName, vm: VmId) -> None:
        self._judge(host, f"{vm} goes before its memory")

    def shutting_down(self, host: HostName, vm: VmId) -> None:
        self._judge(None, f"{vm} is asked to shut down on {host}")

    def switching(self, host: HostName, *, on: bool) -> None:
        self._judge(None, f"{host} is switched {'on' if on else 'off'}")

    def _judge(self, source: HostName | None, what: str) -> None:
        if self._passing is not None:
            why, passing = "the daemon calls it an event of the site", self._passing
        else:
            why, began = self._why()
            passing = {host for host, since in self._evacuated.items() if since < began}
        if why and not (source in passing and source in self._hearsay.failing):
            self.complain(f"{what} while {why}")

    def _why(self) -> tuple[str, float]:
        """Return what makes an event of the site that must have been noticed, and since when; nothing without one."""
        limits, hosts = self.policies.limits, [host.name for host in self.world.declared.hosts]
        heard = [host for host in hosts if self._hearsay.unreached(host) <= STALE_SECONDS]
        sick = {host: [policy.name for policy in self._hearsay.firing(host)] for host in heard}
        shown = [host for host in heard if sick[host]]
        allowed = max(limits.blast_at_least, int(limits.blast_share * len(hosts)))
        if len(shown) > allowed:
            begun = sorted(min(self._hearsay.since(host, name) for name in sick[host]) for host in shown)
            return f"{', '.join(shown)} of {len(hosts)} hosts are sick at once", begun[allowed]
        recent: dict[str, list[float]] = defaultdict(list)
        for since, name in sorted((self._hearsay.since(host, name), name) for host in shown for name in sick[host]):
            if self.now - since <= limits.same_sensor_within - SLACK_SECONDS:
                recent[name].append(since)
        return next(((f"{name} turned true on {len(times)} hosts just now", times[limits.same_sensor_hosts - 1])
                     for name, times in recent.items() if len(times) >= limits.same_sensor_hosts), ("", 0.0))


class Rivals(Checker):
    """Nothing begins while another daemon claims the cluster."""

    rule = "rival"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._since: float | None = None

    def heard(self, report: Report) -> None:  # noqa: ARG002  any report is a moment to look
        self._look()

    def _look(self) -> None:
        claimed = self.world.notices.rival_name() is not None
        self._since = (self.now if self._since is None else self._since) if claimed else None

    def migrating(self, order: Order) -> None:
        self._judge(f"{order.move.vm_name} begins to move")

    def parting(self, host: HostName, vm: VmId) -> None:  # noqa: ARG002  the checkers'
        self._judge(f"{vm} goes before its memory")

    def shutting_down(self, host: HostName, vm: VmId) -> None:
        self._judge(f"{vm} is asked to shut down on {host}")

    def switching(self, host: HostName, *, on: bool) -> None:
        self._judge(f"{host} is switched {'on' if on else 'off'}")

    def _judge(self, what: str) -> None:
        self._look()
        if self._since is not None and (passed := self.now - self._since) > RIVAL_SECONDS:
            self.complain(f"{what} {passed:.0f} s after {self.world.notices.rival_name()} claimed the cluster")
