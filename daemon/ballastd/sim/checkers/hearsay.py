"""What the daemon was told, kept apart from what it made of it: which conditions its own telemetry says hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ballastd.core.conditions import Aggregate, RelativeTo, Threshold, leaves
from ballastd.core.policies import Health, HealthPolicy
from ballastd.core.quantities import HostName
from ballastd.core.telemetry import Report, Sample
from ballastd.sim.checkers.base import Checker
from ballastd.sim.world import World

SLACK_SECONDS = 45.0
"""A condition that holds this much longer than it has to must have been noticed: an interval, a pace, a step."""
STALE_SECONDS = 90.0
SKEW_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class _Followed:
    """A policy, and the plain thresholds that its condition is made of."""

    policy: HealthPolicy
    thresholds: tuple[Threshold, ...]

    @staticmethod
    def of(policy: HealthPolicy) -> _Followed:
        parts = leaves(policy.condition.predicate)
        return _Followed(policy, tuple(leaf for leaf in parts if isinstance(leaf, Threshold)))


class Hearsay(Checker):
    """Follows every health policy on what was delivered: since when its condition holds, host by host."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.last: dict[HostName, float] = {}
        """When something was heard last that was sent within the half minute before."""
        self.reached: dict[HostName, float] = {}
        """When something was heard last, however late it came: age counts from receipt, lateness only bars a target."""
        self.gaps: dict[HostName, tuple[float, float]] = {}
        """The last long silence of each host that is over: from when to when."""
        self.counts: Counter[HostName] = Counter()
        """How many reports that count were heard since the daemon started."""
        self.worst: dict[HostName, Health] = {}
        """The worst severity whose condition was ever heard to hold."""
        self.failing: dict[HostName, float] = {}
        """Since when a condition that makes a host a failing one was heard to hold, until an operator looked."""
        self._held: dict[tuple[HostName, str], float] = {}
        self._counted: dict[tuple[HostName, str, str], tuple[float, float]] = {}
        """What a counter showed last, and by how much it rose since somebody looked."""
        self._newest: dict[HostName, tuple[str, int]] = {}
        self._followed: dict[HostName, list[_Followed]] = {}
        """Of the policies that govern those that are about each host, as long as these govern and hosts are declared so."""
        self._followed_of = self.policies, world.declared

    def heard(self, report: Report) -> None:
        host = HostName(report.host)
        instant, (boot, newest) = self.world.clock.now(), self._newest.get(host, ("", 0))
        now, ahead = instant.monotonic, report.sent_at - instant.wall
        if ahead > SKEW_SECONDS or report.retained or (boot == report.boot_id and report.sequence <= newest):
            return
        self._newest[host] = (report.boot_id, report.sequence)
        if now - self.reached.get(host, now) > STALE_SECONDS:
            self.gaps[host] = self.reached[host], now
        self.reached[host] = now
        is_late = ahead < -SKEW_SECONDS
        if not is_late:
            self.last[host] = now
            self.counts[host] += 1
        samples: dict[str, list[Sample]] = {}
        for sample in report.samples:
            samples.setdefault(sample.metric, []).append(sample)
        for followed in self._about(host):
            self._judge(host, followed, samples, now, is_late=is_late)

    def _about(self, host: HostName) -> list[_Followed]:
        if self._followed_of[0] is not self.policies or self._followed_of[1] is not self.world.declared:
            self._followed_of = self.policies, self.world.declared
            self._followed.clear()
        found = self._followed.get(host)
        if found is None:
            declared = self.declared(host)
            found = self._followed[host] = [_Followed.of(policy) for policy in self.policies.health
                                            if policy.scope.covers(declared)]
        return found

    def _judge(self, host: HostName, followed: _Followed, samples: dict[str, list[Sample]], now: float, *, is_late: bool
               ) -> None:
        policy = followed.policy
        key = host, policy.name
        # of a condition of many parts any part that is met counts as evidence for it
        holds = False
        for leaf in followed.thresholds:
            for sample in samples.get(leaf.metric, ()):
                holds |= self._holds(host, leaf, sample)
        if holds:
            self.worst[host] = max(policy.severity, self.worst.get(host, Health.HEALTHY))
            if policy.severity is Health.FAILING:
                self.failing.setdefault(host, now)
        if is_late:
            return  # evidence all the same, but nothing must follow from it by now
        if holds:
            self._held.setdefault(key, now)
        elif not policy.condition.holding.latched:
            self._held.pop(key, None)

    def _holds(self, host: HostName, condition: Threshold, sample: Sample) -> bool:
        value, base = sample.value, 0.0
        if condition.aggregate.counts:
            key = host, sample.metric, sample.subject
            last, risen = self._counted.get(key, (value, 0.0))
            # one that falls began anew at zero
            risen += value - last if value >= last else value
            self._counted[key] = value, risen
            value = risen
        if condition.relative_to is not RelativeTo.ZERO:
            limit = sample.high if condition.relative_to is RelativeTo.HIGH else sample.critical
            if limit is None:
                return False
            base = limit
        threshold = base + condition.threshold
        return value > threshold if condition.above else value < threshold

    def firing(self, host: HostName) -> Iterator[HealthPolicy]:
        """Yield the policies whose condition must have fired by now on ``host``, by what was delivered: of those that are
        one plain threshold; what others come to is not repeated here."""
        for policy in self.policies.health:
            since, holding = self._held.get((host, policy.name)), policy.condition.holding
            if since is None or holding.samples is not None or not _is_plain(policy):
                continue
            if self.now - since > holding.hold + SLACK_SECONDS:
                yield policy

    def since(self, host: HostName, policy: str) -> float:
        """Return since when the condition of a policy was heard to hold on ``host``, now where it does not."""
        return self._held.get((host, policy), self.now)

    def ever(self, host: HostName) -> bool:
        """Return whether any condition held at any time of late on ``host``, by what was delivered in time."""
        return any(known == host for known, _ in self._held)

    def was_told(self, host: HostName) -> bool:
        """Return whether any condition ever held on ``host``, by what was delivered, however late it came."""
        return host in self.worst

    def started(self) -> None:
        self.counts.clear()

    def silent(self, host: HostName) -> float:
        """Return how long nothing of now was heard of ``host``, seconds."""
        return self.now - self.last.get(host, float("-inf"))

    def unreached(self, host: HostName) -> float:
        """Return how long nothing at all that counts was heard of ``host``, seconds."""
        return self.now - self.reached.get(host, float("-inf"))

    def counts_as_silent(self, host: HostName) -> bool:
        """Return whether a policy may have a host silent still that was so, and speaks again."""
        clears = max((policy.condition.holding.clear_hold for policy in self.policies.health if policy.condition.of_silence),
                     default=None)
        return clears is not None and host in self.gaps and self.now - self.gaps[host][1] < clears + SLACK_SECONDS

    def recorded(self, content: dict[str, Any]) -> None:
        if content["kind"] != "VerdictsAcknowledged":
            return
        # an operator looked: what was latched may go
        host = HostName(content["host"])
        self.failing.pop(host, None)
        for key in [key for key in self._held if key[0] == host]:
            del self._held[key]
        for counter, (last, _) in list(self._counted.items()):
            if counter[0] == host:
                self._counted[counter] = last, 0.0


def _is_plain(policy: HealthPolicy) -> bool:
    leaf = policy.condition.predicate
    return isinstance(leaf, Threshold) and leaf.aggregate in (Aggregate.LEVEL, Aggregate.INCREASE) and leaf.at_least == 1


def hearsay_of(world: World) -> Hearsay:
    """Return the one who follows what was delivered in a world: whoever asks first brings him in."""
    for watcher in world.watchers:
        if isinstance(watcher, Hearsay):
            return watcher
    found = Hearsay(world)
    world.watchers.append(found)
    return found
