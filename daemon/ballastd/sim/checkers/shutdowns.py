"""Guests that the daemon has shut down: by whose leave, for what, and how many."""

from __future__ import annotations

from typing import Any

from ballastd.core.policies import LastResort, Mode
from ballastd.core.quantities import HostName, VmId
from ballastd.core.telemetry import Report
from ballastd.sim.checkers.base import Checker, outgoing
from ballastd.sim.checkers.hearsay import STALE_SECONDS, hearsay_of
from ballastd.sim.world import World

ASKS_MAX = 5
SPACING_SECONDS = 59.0
BACK_SECONDS = 60.0
"""So long after a host is back the daemon may not have seen that."""
AT_ONCE = 2


class LastOfAll(Checker):
    """No guest is asked to shut down but on a host that was said to fail for as long as the deadline of a policy that allows
    it, if its owner does; a few times until somebody looked, not often, few at once, and of one host that answers."""

    rule = "last-of-all"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._hearsay = hearsay_of(world)
        self._open: dict[str, tuple[HostName, VmId, str]] = {}
        self._asked: dict[tuple[HostName, VmId], list[float]] = {}
        self._dark: dict[HostName, float] = {}
        """When hosts with guests that were asked were seen last not to answer."""

    def recorded(self, content: dict[str, Any]) -> None:
        match content["kind"]:
            case "ShutdownOrdered":
                key = HostName(content["host"]), VmId(content["vm"])
                self._open[content["id"]] = (*key, content["policy"])
                self._count(HostName(content["host"]))
            case "ShutdownWithdrawn" | "ShutdownEnded":
                self._open.pop(content["id"], None)
            case "VerdictsAcknowledged":
                self._asked = {key: asks for key, asks in self._asked.items() if key[0] != content["host"]}
            case _:
                pass

    def heard(self, report: Report) -> None:  # noqa: ARG002  a host falls silent without a word, so others' pace is as good
        self._look()

    def _look(self) -> None:
        self._dark |= {host: self.now for host, _, _ in self._open.values() if not self.world.host(host).answers}

    def _count(self, host: HostName) -> None:
        """Nobody else may be on their way down by now, but those of hosts that do not answer, which were asked before."""
        self._look()
        never = float("-inf")
        at_once = [on for on, vm, _ in self._open.values()
                   if on == host or self.now - self._dark.get(on, never) > BACK_SECONDS
                   or self.now - max(self._asked.get((on, vm), [never])) < SPACING_SECONDS]
        if len(at_once) > AT_ONCE or len(set(at_once)) > 1:
            hosts = ", ".join(sorted(set(at_once)))
            self.complain(f"{len(at_once)} guests of {hosts} are asked to shut down at once; at most {AT_ONCE} of one")

    def shutting_down(self, host: HostName, vm: VmId) -> None:
        record = self.world.host(host).vms.get(vm)
        name = vm if record is None else record.name
        if record is not None and (record.ignored or not record.shutdown):
            self.complain(f"{name} is asked to shut down, which its owner does not want")
        if record is not None and outgoing(record):
            self.complain(f"{name} is asked to shut down while it moves")
        asks = self._asked.setdefault((host, vm), [])
        if asks and self.now - asks[-1] < SPACING_SECONDS:
            self.complain(f"{name} is asked to shut down {self.now - asks[-1]:.0f} s after it was asked before")
        asks.append(self.now)
        if len(asks) > ASKS_MAX:
            self.complain(f"{name} is asked to shut down {len(asks)} times; at most {ASKS_MAX}")
        self._judge(host, vm, name)

    def _judge(self, host: HostName, vm: VmId, name: str) -> None:
        by = next((policy for on, which, policy in self._open.values() if (on, which) == (host, vm)), "")
        policy = next((one for one in self.policies.evacuation if one.name == by), None)
        if policy is None or LastResort.SHUTDOWN not in policy.last_resorts or policy.mode is not Mode.AUTO:
            self.complain(f"{name} is asked to shut down by {by or 'nobody'}, which does not allow that")
            return
        record = self.world.host(host).vms.get(vm)
        if record is not None and not policy.vms.covers(record):
            self.complain(f"{name} is asked to shut down by {by}, which speaks of other VMs")
        since = self._hearsay.failing.get(host)
        if since is None:
            self.complain(f"{name} is asked to shut down on {host}, which nobody says to be failing")
        elif policy.deadline is None or self.now - since < policy.deadline:
            self.complain(f"{name} is asked to shut down on {host} {self.now - since:.0f} s after that was said to fail, "
                          f"before the deadline of {by}")
        if (silent := self._hearsay.unreached(host)) > STALE_SECONDS + 1.0:
            self.complain(f"{name} is asked to shut down on {host}, of which nothing was heard for {silent:.0f} s")
