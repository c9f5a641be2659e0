"""How much at once and how fast: jobs, routine moves by the hour and the day, cooldowns, windows, modes, pause."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from math import inf
from typing import Any

from ballastd.core.acts import Act
from ballastd.core.inventory import JobKind, VmState
from ballastd.core.migrations import Ending
from ballastd.core.plans import Order
from ballastd.core.policies import BalancePolicy, ConsolidationPolicy, EvacuationPolicy, Mode, PlacementPolicy, Window
from ballastd.core.policies import LastResort as Resort
from ballastd.core.quantities import HostName, VmId
from ballastd.sim.checkers.base import Checker
from ballastd.sim.checkers.flights import flights_of
from ballastd.sim.checkers.hearsay import hearsay_of
from ballastd.sim.world import World

HOUR, DAY = 3600.0, 86400.0
SLACK_SECONDS = 1.0
NOTICED_SECONDS = 120.0
"""What others do in sight of the daemon must have been noticed by then."""
FIT, FIT_SLACK_SECONDS = 1.5, 5.0
"""How many times what is predicted has to fit before a window changes, and how long an order may be on its way."""
Routine = BalancePolicy | ConsolidationPolicy | PlacementPolicy
Acting = Routine | EvacuationPolicy


def policy_of(checker: Checker, name: str) -> Acting | None:
    """Return the policy of that name that acts, None for an operator's wish."""
    policies = checker.policies
    found: tuple[Acting, ...] = (*policies.balance, *policies.consolidation, *policies.placement, *policies.evacuation)
    return next((policy for policy in found if policy.name == name), None)


class Concurrency(Checker):
    """At most so many migrations at once: of the cluster, out of a host, and into one; strangers' count once they must have
    been seen. Judged whenever a job of ours begins, by the jobs that there are, however many were called for at once."""

    rule = "concurrency"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._flights = flights_of(world)

    def changed(self, host: HostName) -> None:  # noqa: ARG002  the flights of all hosts count
        for order in self._flights.begun:
            limits, move, out = self.policies.limits, order.move, [host for host, _ in self._flights.leaving()]
            for what, count, limit in (
                    ("in the cluster", len(out), limits.in_flight_cluster),
                    (f"out of {move.source}", out.count(move.source), limits.in_flight_host_out),
                    (f"into {move.target}", len(self._flights.coming(move.target)), limits.in_flight_host_in)):
                if count > limit:
                    self.complain(f"{move.vm_name} begins to move, one of {count} migrations {what}; at most {limit}")


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
    """Routine moves keep to their policy's budget at once, by hour, day and VM, whatever restarts lie between. How many are
    made at once is judged whenever a job of one begins, by the jobs that there are."""

    rule = "rates"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._moves: deque[_Moved] = deque()
        self._flights = flights_of(world)

    def changed(self, host: HostName) -> None:  # noqa: ARG002  the flights of all hosts count
        for order in self._flights.begun:
            policy = policy_of(self, order.move.policy)
            if isinstance(policy, Routine) and (count := self._flights.of_policy(policy.name)) > policy.budget.in_flight:
                self.complain(f"{policy.name} makes {count} moves at once; at most {policy.budget.in_flight}")

    def migrating(self, order: Order) -> None:
        policy = policy_of(self, order.move.policy)
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
    """A routine move leaves a VM in peace for a while, longer where somebody else moved it last, and takes it back to no
    host that it has left of late, unless that host was to be switched off by us, and is on again or kept on. A host that is
    not being emptied rests after each move from or to it. What did not come about was no move."""

    rule = "cooldown"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._open: dict[str, _Moved] = {}
        self._last: dict[VmId, _Moved] = {}
        self._left: dict[tuple[VmId, HostName], _Moved] = {}
        self._awake: dict[HostName, float] = {}
        self._touched: dict[HostName, _Moved] = {}
        self._carried: dict[VmId, HostName] = {}
        """Whom somebody else moves in sight of the daemon, and from where, as long as it does not say so."""
        self._arrived: dict[VmId, float] = {}
        self._sees_from = float("inf")

    def started(self) -> None:
        self._sees_from = self.now + self.world.declared.timing.startup_quiet
        self._carried.clear()

    def acted(self, act: Act) -> None:
        vm = self.world.names.get(act.vm)
        if act.do != "carry" or vm is None or self.now < self._sees_from:
            return
        ends = [*self.world.at(vm), HostName(act.target)]
        if len(ends) == 2 and all(self.world.host(end).answers for end in ends):
            self._carried[vm] = ends[0]
            self._arrived.pop(vm, None)

    def changed(self, host: HostName) -> None:
        for vm, left in self._carried.items():
            record = self.world.host(host).vms.get(vm)
            if host != left and record is not None and record.state is VmState.RUNNING and record.job is JobKind.NONE:
                self._arrived.setdefault(vm, self.now)

    def recorded(self, content: dict[str, Any]) -> None:
        match content["kind"]:
            case "MigrationOrdered":
                self._settle(content)
                self._open[content["id"]] = self._moved(content)
            case "MigrationSettled":
                moved = self._open.pop(content["id"], None)
                if moved is not None and content["ending"] == Ending.COMPLETED.value:
                    self._carried.pop(moved.vm, None)
                    self._note(moved, content["wall"])
            case "ForeignMoveSeen":
                self._carried.pop(VmId(content["vm"]), None)
                self._note(self._moved({"policy": "", **content}), content["wall"])
            case "HostAwake" | "HostKept":
                self._awake[HostName(content["host"])] = self.now
            case _:
                pass

    def _moved(self, content: dict[str, Any]) -> _Moved:
        return _Moved(self.now, self.wall, VmId(content["vm"]), HostName(content["source"]), HostName(content["target"]),
                      content["policy"])

    def _note(self, moved: _Moved, wall: float) -> None:
        self._last[moved.vm] = self._left[moved.vm, moved.source] = moved
        self._touched[moved.source] = self._touched[moved.target] = replace(moved, at=self.now, wall=wall)

    def _settle(self, content: dict[str, Any]) -> None:
        """Judge what is ordered by what was settled before, both by when it was decided."""
        policy = policy_of(self, content["policy"])
        if not isinstance(policy, BalancePolicy | PlacementPolicy):
            return
        for host in (HostName(content["source"]), HostName(content["target"])):
            touched, rests = self._touched.get(host), policy.cooldown.host_settle
            if touched is not None and (passed := touched.age(self.now, content["wall"])) < rests - SLACK_SECONDS:
                self.complain(f"{content['vm_name']} is to go from {content['source']} to {content['target']} "
                              f"{passed:.0f} s after {touched.vm} came to {host} or left it, where {policy.name} waits "
                              f"for {rests:g} s")

    def migrating(self, order: Order) -> None:
        policy, move, last = policy_of(self, order.move.policy), order.move, self._last.get(order.move.vm)
        if not isinstance(policy, Routine):
            return
        if move.vm in self._carried and (passed := self.now - self._arrived.get(move.vm, self.now)) > NOTICED_SECONDS:
            self.complain(f"{move.vm_name} is moved {passed:.0f} s after somebody else took it from "
                          f"{self._carried[move.vm]}, which nobody noticed")
        if last is None:
            return
        passed, rests = last.age(self.now, self.wall), policy.cooldown.vm if last.policy else policy.cooldown.foreign_move
        if passed < rests - SLACK_SECONDS:
            self.complain(f"{move.vm_name} is moved again after {passed:.0f} s; {policy.name} leaves it in peace for "
                          f"{rests:g} s")
        left = self._left.get((move.vm, move.target))
        if left is None or self._awake.get(move.target, 0.0) >= left.at:
            return
        if (passed := left.age(self.now, self.wall)) < policy.cooldown.no_return - SLACK_SECONDS:
            self.complain(f"{move.vm_name} goes back to {move.target} after {passed:.0f} s")


class Windows(Checker):
    """Nothing that waits for windows begins inside a denied one that its policy names, or outside its allowed ones, or so
    shortly before that changes that it would not be over with half as much time again as predicted."""

    rule = "windows"

    def migrating(self, order: Order) -> None:
        policy = policy_of(self, order.move.policy)
        if policy is None or order.move.urgent or (isinstance(policy, EvacuationPolicy) and policy.ignore_windows):
            return
        names = (policy.window, *policy.denials) if isinstance(policy, ConsolidationPolicy) else policy.windows
        named, needs = [self.policies.windows[name] for name in names], FIT * order.move.predicted
        what = f"{order.move.vm_name} begins to move ({policy.name})"
        for window in named:
            if not window.allows:
                self._judge_denial(what, needs, window)
        if allowed := sorted(interval for window in named if window.allows for interval in window.intervals):
            self._judge_allowed(what, needs, allowed)
        elif any(window.allows for window in named):
            self.complain(f"{what}, and its windows never open")

    def _judge_denial(self, what: str, needs: float, window: Window) -> None:
        if any(begin <= self.wall < end for begin, end in window.intervals):
            self.complain(f"{what} while {window.name} denies it")
        soon = min((begin - self.wall for begin, _ in window.intervals if begin > self.wall), default=inf)
        if needs > soon + FIT_SLACK_SECONDS:
            self.complain(f"{what} for {needs:.0f} s, {soon:.0f} s before {window.name} denies it")

    def _judge_allowed(self, what: str, needs: float, allowed: list[tuple[float, float]]) -> None:
        closes = self.wall
        for begin, end in allowed:
            closes = max(closes, end) if begin <= closes else closes
        if closes == self.wall:
            self.complain(f"{what} outside its windows")
        elif needs > closes - self.wall + FIT_SLACK_SECONDS:
            self.complain(f"{what} for {needs:.0f} s, {closes - self.wall:.0f} s before its windows close")


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
        policy, move = policy_of(self, order.move.policy), order.move
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
