"""Conditions read plainly: every sample kept, everything judged anew, one host and one subject at a time.

What ``ballastd.core.judging`` does in columns and no more often than needed must come to the same. This is short and slow,
and shares with it the words (``conditions``) and ``follow``, nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise

from ballastd.core.conditions import (
    Aggregate,
    AtLeast,
    Evidence,
    Judgement,
    Not,
    Phase,
    Predicate,
    RelativeTo,
    Silence,
    Threshold,
    Truth,
    Verdict,
    follow,
)
from ballastd.core.inventory import DeclaredHost
from ballastd.core.ledger import Ledger
from ballastd.core.policies import HealthPolicy
from ballastd.core.quantities import HostName, Instant
from ballastd.core.telemetry import Report, Sample

FLOOR = 90.0
Key = tuple[str, HostName]


@dataclass
class Agent:
    """What one host said: when last, since when without a silence, its samples by metric and subject."""

    boot: str = ""
    last: float = float("-inf")
    since: float = float("-inf")
    interval: float = 0.0
    believed: bool = False
    new: bool = False
    series: dict[tuple[str, str], list[tuple[float, Sample]]] = field(default_factory=dict)
    before: dict[tuple[str, str], float] = field(default_factory=dict)

    def stale_after(self) -> float:
        return max(FLOOR, 3 * self.interval)


def kleene_not(truth: Truth) -> Truth:
    return {Truth.TRUE: Truth.FALSE, Truth.FALSE: Truth.TRUE}.get(truth, Truth.UNKNOWN)


def at_least(number: int, truths: list[Truth]) -> Truth:
    if truths.count(Truth.TRUE) >= number:
        return Truth.TRUE
    return Truth.UNKNOWN if truths.count(Truth.TRUE) + truths.count(Truth.UNKNOWN) >= number else Truth.FALSE


@dataclass
class Plain:
    """The whole of it: hear reports, then judge."""

    hosts: tuple[DeclaredHost, ...]
    agents: dict[HostName, Agent] = field(default_factory=dict)
    verdicts: dict[Key, Verdict] = field(default_factory=dict)
    became: dict[Key, float] = field(default_factory=dict)
    showed: dict[Key, list[bool]] = field(default_factory=dict)
    acknowledged: dict[HostName, float] = field(default_factory=dict)
    excused: dict[HostName, float] = field(default_factory=dict)
    void: bool = False
    conditions: dict[str, object] = field(default_factory=dict)

    def hear(self, report: Report) -> None:
        agent, at = self.agents.setdefault(report.host, Agent()), report.received.monotonic
        if not agent.believed or report.boot_id != agent.boot or at - agent.last > agent.stale_after():
            agent.since = at
        is_same_run = report.boot_id == agent.boot
        agent.last, agent.interval, agent.boot = at, report.interval, report.boot_id
        agent.believed = agent.new = True
        for sample in report.samples:
            heard = agent.series.setdefault((sample.metric, sample.subject), [])
            if heard and is_same_run:  # a limit that is left out is what it was
                before = heard[-1][1]
                sample = replace(sample, high=before.high if sample.high is None else sample.high,  # noqa: PLW2901
                                 critical=before.critical if sample.critical is None else sample.critical)
            heard.append((at, sample))

    def remember(self, host: HostName, metric: str, subject: str, value: float) -> None:
        self.agents.setdefault(host, Agent()).before[metric, subject] = value

    def believe_nobody(self) -> None:
        self.void = True
        for agent in self.agents.values():
            agent.believed = False

    def acknowledge(self, host: HostName, policies: tuple[HealthPolicy, ...], now: Instant) -> None:
        self.acknowledged[host] = now.monotonic
        for policy in policies:
            if policy.condition.holding.latched:
                self.verdicts.pop((policy.name, host), None)
                self.showed.pop((policy.name, host), None)

    def restart_holds(self) -> None:
        for key in [key for key, verdict in self.verdicts.items() if verdict.phase is Phase.PENDING]:
            del self.verdicts[key]
            self.showed.pop(key, None)

    def judge(self, policies: tuple[HealthPolicy, ...], ledger: Ledger, now: Instant, *, deaf: bool) -> dict[Key, Verdict]:
        last, self.verdicts = self.verdicts, {}
        for host in self.hosts:
            silent = deaf or host.name in ledger.standing_by()
            if self.void or silent or host.name not in self.excused:
                self.excused[host.name] = now.monotonic
            for policy in policies:
                if policy.scope.covers(host):
                    self._follow(policy, host.name, last.get((policy.name, host.name)), ledger, now, excused=silent)
        self.void = False
        for agent in self.agents.values():
            agent.new = False
        self.conditions = {policy.name: policy.condition for policy in policies}
        return self.verdicts

    def _follow(self, policy: HealthPolicy, host: HostName, last: Verdict | None, ledger: Ledger, now: Instant, *,
                excused: bool) -> None:
        key = (policy.name, host)
        if last is None:
            self.showed.pop(key, None)
        elif self.conditions.get(policy.name) != policy.condition:
            last, self.showed[key] = replace(last, evidence=None), []
        look = Look(self, host, now, excused=excused)
        judgement = look.judge(policy.condition.predicate)
        debounced = self._debounced(policy, key, judgement, reported=self.agents.get(host, Agent()).new)
        verdict = follow(policy.condition.holding, last, debounced, now)
        if key in ledger.latched and verdict.phase is not Phase.FIRING:
            verdict = Verdict(Phase.FIRING, now, evidence=judgement.evidence)
        self.verdicts[key] = verdict
        if verdict.phase not in (Phase.PENDING, Phase.FIRING):
            self.became.pop(key, None)
        elif last is None or last.phase not in (Phase.PENDING, Phase.FIRING):
            self.became[key] = now.monotonic

    def _debounced(self, policy: HealthPolicy, key: Key, judgement: Judgement, *, reported: bool) -> Judgement:
        if policy.condition.holding.samples is None:
            return judgement
        enough, of = policy.condition.holding.samples
        showed = self.showed.setdefault(key, [])
        if reported:
            showed.append(judgement.fires is Truth.TRUE)
        if judgement.fires is Truth.UNKNOWN:
            showed.clear()
            return judgement
        if sum(showed[-of:]) >= enough:
            return Judgement(Truth.TRUE, Truth.FALSE, judgement.evidence)
        return Judgement(Truth.FALSE, judgement.clears, judgement.evidence)


@dataclass(frozen=True)
class Look:
    """One host at one instant."""

    plain: Plain
    host: HostName
    now: Instant
    excused: bool

    def judge(self, predicate: Predicate) -> Judgement:
        fires, clears = self.truth(predicate)
        found = self.evidence(predicate, holds=True) if fires is Truth.TRUE else []
        evidence = replace(found[0], beside=tuple(found[1:])) if found else None
        return Judgement(fires, clears, evidence)

    def truth(self, predicate: Predicate) -> tuple[Truth, Truth]:
        match predicate:
            case Threshold():
                subjects = self.subjects(predicate.metric)
                met = [self.subject(predicate, subject) for subject in subjects]
                if not any(self.newest(predicate.metric, subject) for subject in subjects):
                    return Truth.UNKNOWN, Truth.UNKNOWN
                return (at_least(predicate.at_least, [fires for fires, _ in met]),
                        kleene_not(at_least(predicate.at_least, [kleene_not(clears) for _, clears in met])))
            case Silence():
                if self.excused:
                    return Truth.UNKNOWN, Truth.UNKNOWN
                heard = max(self.plain.agents.get(self.host, Agent()).last, self.plain.excused[self.host])
                silent = self.now.monotonic - heard > predicate.longer_than
                return (Truth.TRUE, Truth.FALSE) if silent else (Truth.FALSE, Truth.TRUE)
            case Not():
                fires, _ = self.truth(predicate.part)
                return kleene_not(fires), fires
            case AtLeast():
                parts = [self.truth(part) for part in predicate.parts]
                return (at_least(predicate.number, [fires for fires, _ in parts]),
                        kleene_not(at_least(predicate.number, [kleene_not(clears) for _, clears in parts])))

    def subjects(self, metric: str) -> list[str]:
        agent = self.plain.agents.get(self.host, Agent())
        return sorted({subject for one, subject in (*agent.series, *agent.before) if one == metric})

    def subject(self, leaf: Threshold, subject: str) -> tuple[Truth, Truth]:
        found = self.compared(leaf, subject)
        if found is None:
            return Truth.UNKNOWN, Truth.UNKNOWN
        value, edge, far = found
        if edge is None or far is None:
            return Truth.FALSE, Truth.TRUE
        fires, clears = (value > edge, value <= far) if leaf.above else (value < edge, value >= far)
        return Truth.TRUE if fires else Truth.FALSE, Truth.TRUE if clears else Truth.FALSE

    def compared(self, leaf: Threshold, subject: str) -> tuple[float, float | None, float | None] | None:
        """Value, edge and far edge; None where unknown, no edges where the sensor has no such limit."""
        newest, base = self.newest(leaf.metric, subject), 0.0
        if newest is None:
            return None
        if leaf.relative_to is not RelativeTo.ZERO:
            limit = newest.critical if leaf.relative_to is RelativeTo.CRITICAL else newest.high
            if limit is None:
                return 0.0, None, None
            base = limit
        value = self.value(leaf, subject)
        far = leaf.threshold if leaf.clear_threshold is None else leaf.clear_threshold
        return None if value is None else (value, base + leaf.threshold, base + far)

    def newest(self, metric: str, subject: str) -> Sample | None:
        """What was read last, while it is not stale."""
        agent = self.plain.agents.get(self.host, Agent())
        samples = agent.series.get((metric, subject))
        fresh = agent.believed and samples and self.now.monotonic - samples[-1][0] <= agent.stale_after()
        return samples[-1][1] if samples and fresh else None

    def value(self, leaf: Threshold, subject: str) -> float | None:
        agent = self.plain.agents[self.host]
        samples = agent.series[leaf.metric, subject]
        if leaf.aggregate is Aggregate.LEVEL:
            return samples[-1][1].value
        if leaf.aggregate is Aggregate.MEAN:
            return mean(samples, samples[-1][0], leaf.window, agent.since)
        begin = max(self.now.monotonic - leaf.window, self.plain.acknowledged.get(self.host, float("-inf")))
        risen = increase(samples, begin, agent.before.get((leaf.metric, subject)))
        if risen is None or leaf.aggregate is Aggregate.INCREASE:
            return risen
        return risen / (leaf.window / leaf.per)

    def evidence(self, predicate: Predicate, *, holds: bool) -> list[Evidence]:
        """What has its share in the predicate being true (or false), from left to right."""
        if self.truth(predicate)[0] is not (Truth.TRUE if holds else Truth.FALSE):
            return []
        match predicate:
            case AtLeast():
                return [one for part in predicate.parts for one in self.evidence(part, holds=holds)]
            case Not():
                return self.evidence(predicate.part, holds=not holds)
            case Silence():
                return [Evidence("", "", predicate.longer_than, predicate.longer_than, predicate, holds)]
            case Threshold():
                return self.speaker(predicate, holds=holds)

    def speaker(self, leaf: Threshold, *, holds: bool) -> list[Evidence]:
        wanted, found = Truth.TRUE if holds else Truth.FALSE, []
        for subject in self.subjects(leaf.metric):
            compared = self.compared(leaf, subject)
            if compared is not None and compared[1] is not None and self.subject(leaf, subject)[0] is wanted:
                distance = abs(compared[0] - compared[1])
                found.append((distance if holds else -distance, subject, compared[0], compared[1]))
        if not found:
            return []
        _, subject, value, edge = max(found)
        counted = (tuple(sorted(one[1] for one in found)[:3]), len(found), len(self.subjects(leaf.metric)))
        return [Evidence(leaf.metric, subject, value, edge, leaf, holds, counted if holds and leaf.at_least > 1 else None)]


def increase(samples: list[tuple[float, Sample]], begin: float, before: float | None) -> float | None:
    """By how much a counter rose after ``begin``; a fall is a reset to zero. None without two values to compare."""
    rises, previous = [], before
    for at, sample in samples:
        if previous is not None and at > begin:
            rises.append(sample.value - previous if sample.value >= previous else sample.value)
        previous = sample.value
    return sum(rises) if rises else 0.0 if len(samples) > 1 else None


def mean(samples: list[tuple[float, Sample]], end: float, window: float, since: float) -> float | None:
    """The mean over the window that ends at ``end``, each value standing until the next; None until half of it was heard."""
    begin = max(end - window, since, samples[0][0])
    if begin > end - window / 2:
        return None
    if begin == end:
        return samples[-1][1].value
    area = 0.0
    for (at, sample), (until, _) in pairwise(samples):
        area += sample.value * max(0.0, until - max(at, begin))
    return area / (end - begin)


