"""Where VMs may be sent, and on what evidence: fresh, healthy, open hosts; nobody on the strength of silence."""

from __future__ import annotations

from typing import Any

from ballastd.core.acts import Act
from ballastd.core.books import OPERATOR
from ballastd.core.inventory import Mobility
from ballastd.core.plans import Order
from ballastd.core.policies import EvacuationPolicy, Health, Mode
from ballastd.core.quantities import HostName, VmId
from ballastd.core.telemetry import Report
from ballastd.sim.checkers.base import Checker
from ballastd.sim.checkers.hearsay import STALE_SECONDS, hearsay_of
from ballastd.sim.checkers.journal import CLOSES, OPENS
from ballastd.sim.checkers.limits import policy_of
from ballastd.sim.world import World

BARS = {**CLOSES, "HostOff": "power"}
NOTICED_SECONDS = 45.0
TURNED_SECONDS = 60.0
"""How long after a target must be known to be sick a migration there may go on."""


class FitTarget(Checker):
    """No move to a host that is sick, silent, cordoned, draining, standing by, or away."""

    rule = "fit-target"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._hearsay = hearsay_of(world)
        self._barred: dict[HostName, dict[str, str]] = {}
        """What bars each host, and the record that says so: who lifts one of them leaves the others."""

    def recorded(self, content: dict[str, Any]) -> None:
        kind, bars = content["kind"], self._barred.setdefault(HostName(str(content.get("host", ""))), {})
        if kind in BARS:
            bars[BARS[kind]] = kind
        elif kind in OPENS:
            bars.pop(OPENS[kind], None)

    def migrating(self, order: Order) -> None:
        target, name = order.move.target, order.move.vm_name
        if bars := self._barred.get(target):
            self.complain(f"{name} is sent to {target}, which the journal bars: {', '.join(bars.values())}")
        if (silent := self._hearsay.silent(target)) > STALE_SECONDS + 1.0:
            self.complain(f"{name} is sent to {target}, of which nothing was heard for {silent:.0f} s")
        heard, least = self._hearsay.counts[target], self.world.declared.timing.telemetry_samples_min
        if heard < least:
            self.complain(f"{name} is sent to {target}, heard {heard} times since the start; at least {least} are asked for")
        for policy in self._hearsay.firing(target):
            self.complain(f"{name} is sent to {target}, where {policy.name} must have fired")


class Evidence(Checker):
    """A host is left only for a reason that was delivered: no silence, no stale word, moves anybody."""

    rule = "evidence"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._hearsay = hearsay_of(world)
        self._sick: set[HostName] = set()

    def heard(self, report: Report) -> None:
        if self._hearsay.was_told(HostName(report.host)):
            self._sick.add(HostName(report.host))

    def migrating(self, order: Order) -> None:
        move, policy = order.move, policy_of(self, order.move.policy)
        if isinstance(policy, EvacuationPolicy) and move.wanted_by not in self._sick:
            self.complain(f"{move.vm_name} leaves {move.source} for {move.wanted_by}, of which no condition was ever told "
                          f"({policy.name})")
        # a sick host is left in silence as well; one that only makes room is not
        is_left = isinstance(policy, EvacuationPolicy) and move.room_for is None
        if policy is not None and not is_left and (silent := self._hearsay.unreached(move.source)) > STALE_SECONDS + 1.0:
            self.complain(f"{move.vm_name} leaves {move.source}, unheard for {silent:.0f} s ({policy.name})")


class Frozen(Checker):
    """While too many hosts are unknown nothing begins, nor for a while after; while fewer are, only failing hosts are left.
    Hosts may be switched on all the same."""

    rule = "frozen"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._hearsay = hearsay_of(world)
        self._standing_by: set[HostName] = set()
        self._stood_by: dict[HostName, float] = {}
        """Until when a host's silence was expected."""
        self._dozed = float("-inf")
        """When the daemon itself last stood still or started: what it did not hear before is no silence of others."""

    def started(self) -> None:
        timing = self.world.declared.timing
        self._dozed = self.now + timing.startup_quiet + timing.pace

    def acted(self, act: Act) -> None:
        if act.do == "suspend":
            self._dozed = max(self._dozed, self.now + (act.seconds or 0.0))

    def recorded(self, content: dict[str, Any]) -> None:
        host = HostName(str(content.get("host", "")))
        if content["kind"] == "PowerOffOrdered":
            self._standing_by.add(host)
        elif content["kind"] in ("HostAwake", "HostKept", "PowerFailed"):
            self._standing_by.discard(host)
            self._stood_by[host] = self.now

    def migrating(self, order: Order) -> None:
        self._judge(f"{order.move.vm_name} begins to move", order.move.source)

    def parting(self, host: HostName, vm: VmId) -> None:
        self._judge(f"{vm} goes before its memory", host)

    def shutting_down(self, host: HostName, vm: VmId) -> None:
        self._judge(f"{vm} is asked to shut down on {host}")

    def switching(self, host: HostName, *, on: bool) -> None:
        if not on:
            self._judge(f"{host} is switched off")

    def _judge(self, what: str, source: HostName | None = None) -> None:
        limits = self.policies.limits
        if unknown := self._too_many(self.now):
            self.complain(f"{what} while {', '.join(unknown)} are unknown")
        elif source not in self._hearsay.failing and (unknown := self._too_many(self.now, limits.caution_share)):
            self.complain(f"{what} while {', '.join(unknown)} are unknown, when only failing hosts are left")
        settle = self.policies.limits.settle_after_freeze
        for _, until in self._hearsay.gaps.values():
            if self._dozed < until < self.now and self.now - until < settle - 1.0 and (unknown := self._too_many(until)):
                self.complain(f"{what} {self.now - until:.0f} s after {', '.join(unknown)} "
                              f"were unknown; everything rests for {settle:g} s")

    def _too_many(self, at: float, share: float | None = None) -> list[HostName]:
        """Return the hosts that must have been unknown to the daemon just before ``at``, where those are too many: more than
        a share of all, that of a freeze where none is given."""
        limits = self.policies.limits
        share = limits.freeze_share if share is None else share
        hosts = [host.name for host in self.world.declared.hosts if host.name not in self._standing_by]
        unknown = sorted(host for host in hosts if self._was_unknown(host, at))
        return unknown if len(unknown) >= max(limits.unknown_at_least, share * len(hosts)) else []

    def _was_unknown(self, host: HostName, at: float) -> bool:
        begun, ended = self._hearsay.gaps.get(host, (self.now, self.now))
        last = self._hearsay.reached.get(host, float("-inf"))
        since = begun if begun < at <= ended else last if last < at else at
        return at - since > STALE_SECONDS + NOTICED_SECONDS and since >= self._stood_by.get(host, since)


class StartUp(Checker):
    """Nothing begins before a daemon that has just started knows its cluster."""

    rule = "start-up"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._since = float("-inf")

    def started(self) -> None:
        self._since = self.now

    def migrating(self, order: Order) -> None:
        self._judge(f"{order.move.vm_name} begins to move")

    def shutting_down(self, host: HostName, vm: VmId) -> None:
        self._judge(f"{vm} is asked to shut down on {host}")

    def switching(self, host: HostName, *, on: bool) -> None:
        self._judge(f"{host} is switched {'on' if on else 'off'}")

    def _judge(self, what: str) -> None:
        quiet = self.world.declared.timing.startup_quiet
        if (passed := self.now - self._since) < quiet - 1.0:
            self.complain(f"{what} {passed:.0f} s after the start; quiet for {quiet:g} s")


class TurnedTarget(Checker):
    """A migration whose target turns sick, and no less than its source, is called off."""

    rule = "turned-target"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._hearsay = hearsay_of(world)
        self._open: dict[str, dict[str, Any]] = {}
        self._since: dict[str, float] = {}

    def started(self) -> None:
        # whoever has just started looks first
        self._since.clear()

    def recorded(self, content: dict[str, Any]) -> None:
        if content["kind"] == "MigrationOrdered":
            self._open[content["id"]] = content
        elif content["kind"] in ("MigrationSettled", "AbortOrdered"):
            self._open.pop(content["id"], None)
            self._since.pop(content["id"], None)

    def heard(self, report: Report) -> None:  # noqa: ARG002  any report is a moment to look
        for key, content in list(self._open.items()):
            worst = max((policy.severity for policy in self._hearsay.firing(HostName(content["target"]))),
                        default=Health.HEALTHY)
            here = self._hearsay.worst.get(HostName(content["source"]), Health.HEALTHY)
            if worst is Health.HEALTHY or worst < here or self.world.journal.full:
                self._since.pop(key, None)
            elif self.now - self._since.setdefault(key, self.now) > TURNED_SECONDS:
                del self._open[key]
                self.complain(f"{content['vm_name']} goes on to {content['target']}, which turned {worst.name.lower()} "
                              f"more than {TURNED_SECONDS:g} s ago")


class BlastRadius(Checker):
    """Not more hosts are evacuated at once, and within an hour, than the limits allow; an operator's drain is his own."""

    rule = "blast-radius"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._begun: dict[HostName, float] = {}
        self._latest: list[tuple[float, HostName]] = []

    def recorded(self, content: dict[str, Any]) -> None:
        if content["kind"] == "EvacuationBegun" and content["policy"] != OPERATOR:
            host, limits = HostName(content["host"]), self.policies.limits
            self._latest = [(at, known) for at, known in self._latest if at > self.now - 3600.0 + 1.0]
            self._latest.append((self.now, host))
            self._begun[host] = self.now
            most = limits.evacuations_per_hour
            if len({known for _, known in self._latest}) > most:
                self.complain(f"{len(self._latest)} hosts are evacuated within an hour; at most {most}")
            most = limits.evacuations_at_once
            if len(self._begun) > most:
                self.complain(f"{', '.join(sorted(self._begun))} are evacuated at once; at most {most}")
        elif content["kind"] == "EvacuationEnded":
            self._begun.pop(HostName(content["host"]), None)


class OwnersWord(Checker):
    """What its owner keeps in place, or its hypervisor cannot move, is not moved; nor is anything by a policy that rests."""

    rule = "owners-word"

    def migrating(self, order: Order) -> None:
        record = self.world.host(order.move.source).vms.get(order.move.vm)
        held = record is not None and (record.ignored or record.mobility is not Mobility.LIVE)
        if record is not None and (held or record.pins):
            why = "its owner wants it left where it is" if held else record.pins[0].thing
            self.complain(f"{record.name} is moved, though: {why}")
        policy = policy_of(self, order.move.policy)
        if policy is not None and policy.mode is Mode.OBSERVE:
            self.complain(f"{order.move.vm_name} is moved by {policy.name}, which only observes")
