"""How much at once and how fast: jobs, routine moves by the hour and the day, cooldowns, windows, modes, pause."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

from ballastd.core.inventory import VmState
from ballastd.core.migrations import Ending
from ballastd.core.plans import Order
from ballastd.core.policies import BalancePolicy, ConsolidationPolicy, EvacuationPolicy, Mode, PlacementPolicy
from ballastd.core.policies import LastResort as Resort
from ballastd.core.quantities import HostName, VmId
from ballastd.sim.checkers.base import Checker, outgoing
from ballastd.sim.checkers.hearsay import hearsay_of
from ballastd.sim.world import World

HOUR, DAY = 3600.0, 86400.0
SLACK_SECONDS = 1.0
Routine = BalancePolicy | ConsolidationPolicy | PlacementPolicy
Acting = Routine | EvacuationPolicy


def policy_of(checker: Checker, order: Order) -> Acting | None:
    """Return the policy behind an order, None for an operator's wish."""
    policies = checker.policies
    found: tuple[Acting, ...] = (*policies.balance, *policies.consolidation, *policies.placement, *policies.evacuation)
    return next((policy for policy in found if policy.name == order.move.policy), None)


class Concurrency(Checker):
    """At most so many migrations at once: of the cluster, out of a host, and into one; strangers' count."""

    rule = "concurrency"

    def migrating(self, order: Order) -> None:
        limits, move = self.policies.limits, order.move
        out = [host for host, record in self.records() if outgoing(record)]
        into = sum(1 for record in self.world.host(move.target).vms.values() if record.state is VmState.INCOMING)
        for what, count, limit in (("cluster", len(out), limits.in_flight_cluster),
                                   (f"out of {move.source}", out.count(move.source), limits.in_flight_host_out),
                                   (f"into {move.target}", into, limits.in_flight_host_in)):
            if count >= limit:
                self.complain(f"{move.vm_name} begins beside {count} migrations ({what}); at most {limit}")


@dataclass(frozen=True, slots=True)
class _Moved:
    at: float
    wall: float
    """By the daemon's own clock: what lies in the journal is counted by it, steps and all."""
    vm: VmId
    source: HostName
    target: HostName
    policy: str

    def age(self, now: float, wall: float) -> float:
        """Return how long ago it was, seconds: by whichever clock says more."""
        return max(now - self.at, wall - self.wall)


class Rates(Checker):
    """Routine moves keep to their policy's budget by hour, day and VM, whatever restarts lie between."""

    rule = "rates"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._moves: deque[_Moved] = deque()

    def migrating(self, order: Order) -> None:
        policy = policy_of(self, order)
        if not isinstance(policy, Routine):
            return
        move, budget = order.move, policy.budget
        self._moves.append(_Moved(self.now, self.wall, move.vm, move.source, move.target, move.policy))
        while self._moves and self._moves[0].at < self.now - DAY:
            self._moves.popleft()
        mine = [m for m in self._moves if m.policy == policy.name]
        hour = sum(1 for m in mine if m.age(self.now, self.wall) < HOUR - SLACK_SECONDS)
        of_vm = sum(1 for m in mine if m.vm == move.vm and m.age(self.now, self.wall) < DAY - SLACK_SECONDS)
        day = sum(1 for m in mine if m.age(self.now, self.wall) < DAY - SLACK_SECONDS)
        for count, limit, what in ((hour, budget.per_hour, "within an hour"), (day, budget.per_day, "within a day"),
                                   (of_vm, budget.per_vm_per_day, f"of {move.vm_name} within a day")):
            if count > limit:
                self.complain(f"{policy.name} makes {count} moves {what}; at most {limit}")


class Cooldowns(Checker):
    """A routine move leaves a VM in peace for a while, and takes it back to no host that it has left of late, unless that
    host was to be switched off by us, and is on again or kept on. What did not come about was no move."""

    rule = "cooldown"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._open: dict[str, _Moved] = {}
        self._last: dict[VmId, _Moved] = {}
        self._left: dict[tuple[VmId, HostName], _Moved] = {}
        self._awake: dict[HostName, float] = {}

    def recorded(self, content: dict[str, Any]) -> None:
        match content["kind"]:
            case "MigrationOrdered":
                self._open[content["id"]] = _Moved(self.now, self.wall, VmId(content["vm"]), HostName(content["source"]),
                                                   HostName(content["target"]), content["policy"])
            case "MigrationSettled":
                moved = self._open.pop(content["id"], None)
                if moved is not None and content["ending"] == Ending.COMPLETED.value:
                    self._last[moved.vm] = self._left[moved.vm, moved.source] = moved
            case "HostAwake" | "HostKept":
                self._awake[HostName(content["host"])] = self.now
            case _:
                pass

    def migrating(self, order: Order) -> None:
        policy, move, last = policy_of(self, order), order.move, self._last.get(order.move.vm)
        if not isinstance(policy, Routine) or last is None:
            return
        passed = last.age(self.now, self.wall)
        if passed < policy.cooldown.vm - SLACK_SECONDS:
            self.complain(f"{move.vm_name} is moved again after {passed:.0f} s; {policy.name} leaves it in peace for "
                          f"{policy.cooldown.vm:g} s")
        left = self._left.get((move.vm, move.target))
        if left is None or self._awake.get(move.target, 0.0) >= left.at:
            return
        if (passed := left.age(self.now, self.wall)) < policy.cooldown.no_return - SLACK_SECONDS:
            self.complain(f"{move.vm_name} goes back to {move.target} after {passed:.0f} s")


class Windows(Checker):
    """Nothing that waits for windows begins inside a denied one that its policy names, or outside its allowed ones."""

    rule = "windows"

    def migrating(self, order: Order) -> None:
        policy = policy_of(self, order)
        if policy is None or order.move.urgent or (isinstance(policy, EvacuationPolicy) and policy.ignore_windows):
            return
        names = (policy.window, *policy.denials) if isinstance(policy, ConsolidationPolicy) else policy.windows
        named = [self.policies.windows[name] for name in names]
        for window in named:
            stands = any(begin <= self.wall < end for begin, end in window.intervals)
            if stands and not window.allows:
                self.complain(f"{order.move.vm_name} begins to move while {window.name} denies it ({policy.name})")
        allowed = [window for window in named if window.allows]
        if allowed and not any(begin <= self.wall < end for window in allowed for begin, end in window.intervals):
            self.complain(f"{order.move.vm_name} begins to move outside the windows of {policy.name}")


class Modes(Checker):
    """A policy that observes or recommends moves nothing but what a person approved; what was approved is moved once, as it
    was approved, and before the approval ran out. A policy that was demoted recommends, but for failing hosts."""

    rule = "mode"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._offered: dict[str, dict[str, Any]] = {}
        self._approved: dict[str, float] = {}
        self._granted: dict[str, str] = {}
        self._switching: set[str] = set()
        self._demoted: set[str] = set()

    def migrating(self, order: Order) -> None:
        policy, move = policy_of(self, order), order.move
        if policy is None or move.source in self._switching:
            return
        if policy.mode is Mode.AUTO and (policy.name not in self._demoted or move.reserve_waived):
            return
        if self._granted.get(order.id) != f"{move.vm} {move.source} {move.target}":
            self.complain(f"{policy.name} is in mode {policy.mode.value} and moves {move.vm_name}, which nobody approved")

    def recorded(self, content: dict[str, Any]) -> None:
        match content["kind"]:
            case "Recommended":
                self._offered[content["id"]] = content
            case "RecommendationApproved":
                self._approved[content["id"]] = content["wall"]
            case "RecommendationRejected" | "ApprovalLapsed":
                self._approved.pop(content["id"], None)
            case "MigrationOrdered" | "HostEmptying" if content.get("recommendation"):
                self._use(content)
            case "HostKept" | "HostAwake":
                self._switching.discard(content["host"])
            case "PolicyDemoted":
                self._demoted.add(content["policy"])
            case "PolicyPromoted":
                self._demoted.discard(content["policy"])
            case "PowerOffOrdered":
                policy = next((p for p in self.policies.consolidation if p.name == content["policy"]), None)
                if policy is not None and policy.mode is not Mode.AUTO and content["host"] not in self._switching:
                    self.complain(f"{policy.name} is in mode {policy.mode.value} and switches {content['host']} off")
            case _:
                pass

    def _use(self, content: dict[str, Any]) -> None:
        key = content["recommendation"]
        offered, approved = self._offered.get(key), self._approved.pop(key, None)
        if offered is None or approved is None:
            self.complain(f"{content['kind']} goes by {key}, which nobody approved, or which was used up")
        elif content["wall"] - approved > offered["seconds"]:
            self.complain(f"{content['kind']} goes by {key}, approved {content['wall'] - approved:.0f} s before")
        elif content["kind"] == "HostEmptying":
            self._switching.add(content["host"])
        elif content["memory"] == offered.get("memory") and content["policy"] == offered["policy"]:
            self._granted[content["id"]] = f"{offered['vm']} {offered['source']} {offered['target']}"


class Standstill(Checker):
    """No VM may stand still at the end of its migration for longer than the policies and its owner allow."""

    rule = "standstill"

    def recorded(self, content: dict[str, Any]) -> None:
        if content["kind"] in ("MigrationOrdered", "DowntimeOrdered"):
            allowed, most = content.get("downtime_ms", 0), self.policies.limits.downtime_max_ms
            if allowed > most:
                self.complain(f"{content['kind']} allows {allowed} ms of standstill; policies allow {most}")

    def lengthening(self, host: HostName, vm: VmId, downtime_ms: int) -> None:
        record = self.world.host(host).vms.get(vm)
        if record is not None and record.downtime_max_ms is not None and downtime_ms > record.downtime_max_ms:
            self.complain(f"{record.name} may stand still for {downtime_ms} ms; its owner wants {record.downtime_max_ms}")

    def migrating(self, order: Order) -> None:
        self.lengthening(order.move.source, order.move.vm, order.downtime_ms)


class LastResort(Checker):
    """No VM goes before its memory but off a host that was said to fail, by a policy that allows it, if its owner does."""

    rule = "last-resort"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._policies_of: dict[VmId, str] = {}
        self._hearsay = hearsay_of(world)

    def migrating(self, order: Order) -> None:
        self._policies_of[order.move.vm] = order.move.policy

    def parting(self, host: HostName, vm: VmId) -> None:
        record, name = self.world.host(host).vms.get(vm), self._policies_of.get(vm, "")
        policy = next((one for one in self.policies.evacuation if one.name == name), None)
        if record is not None and not record.post_copy:
            self.complain(f"{record.name} goes before its memory, which its owner does not want")
        if policy is None or Resort.POST_COPY not in policy.last_resorts or policy.mode is not Mode.AUTO:
            self.complain(f"{vm} goes before its memory by {name or 'nobody'}, which does not allow that")
        elif host not in self._hearsay.failing:
            self.complain(f"{vm} goes before its memory off {host}, which nobody says to be failing")


class Pause(Checker):
    """Once a pause is durable nothing new begins."""

    rule = "pause"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._paused = False

    def recorded(self, content: dict[str, Any]) -> None:
        if content["kind"] in ("Paused", "Resumed"):
            self._paused = content["kind"] == "Paused"

    def migrating(self, order: Order) -> None:
        if self._paused:
            self.complain(f"{order.move.vm_name} begins to move while everything is paused")

    def parting(self, host: HostName, vm: VmId) -> None:  # noqa: ARG002  the checkers'
        if self._paused:
            self.complain(f"{vm} goes before its memory while everything is paused")

    def shutting_down(self, host: HostName, vm: VmId) -> None:
        if self._paused:
            self.complain(f"{vm} is asked to shut down on {host} while everything is paused")

    def switching(self, host: HostName, *, on: bool) -> None:
        if self._paused:
            self.complain(f"{host} is switched {'on' if on else 'off'} while everything is paused")
