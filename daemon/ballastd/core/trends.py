"""How load has been going: hot hosts, an uneven cluster, an idle one, a busy one; each held for its policy's time.

Judged like the conditions of health, three-valued: what is not known is neither hot nor idle, and starts nothing. What
makes a host hot, or a cluster uneven, is not what noise makes of load that stands still (``steadiness``).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np

from ballastd.core.arrays import Bools, Floats, Ints
from ballastd.core.breaches import broken_on
from ballastd.core.conditions import Evidence, Holding, Judgement, Phase, Truth, Verdict, follow
from ballastd.core.policies import BalancePolicy, ConsolidationPolicy, Edge, PolicySet
from ballastd.core.quantities import HostName, Instant, Seconds
from ballastd.core.snapshot import Snapshot
from ballastd.core.steadiness import NEAR, ROOM, Sense, Spans
from ballastd.core.telemetry import Telemetry

CLUSTER = HostName("")
"""The subject of trends that are the whole cluster's."""
BLOCKED_SHARE = 0.20
"""A host whose tasks wait for storage this much of the time is not idle, however little its processors do: it is not
emptied, and its processors count as used up."""

UNKNOWN = Judgement(Truth.UNKNOWN, Truth.UNKNOWN)

Key = tuple[str, str, HostName]
Levels = list[tuple[Edge, float | None]]


@dataclass(frozen=True, slots=True)
class HostShares:
    """What a host uses of what its VMs may use; None where unknown, or where VMs may use none."""

    cpu: float | None
    memory: float | None
    network: float | None = 0.0
    """0 where nobody says what its network carries."""
    network_least: float = 0.0
    """As far as it is known."""

    @property
    def fullest(self) -> float:
        """The scarcest resource's share as far as it is known."""
        return max(self.cpu or 0.0, self.memory or 0.0, self.network_least)


@dataclass(frozen=True, slots=True)
class Shares:
    """The present shares of all hosts in columns, by row; NaN where unknown, or where VMs may use none."""

    cpu: Floats
    memory: Floats
    network: Floats
    network_least: Floats

    def of(self, row: int) -> HostShares:
        """Return those of one host."""
        cpu, memory, network = float(self.cpu[row]), float(self.memory[row]), float(self.network[row])
        return HostShares(None if math.isnan(cpu) else cpu, None if math.isnan(memory) else memory,
                          None if math.isnan(network) else network, float(self.network_least[row]))


def all_shares(snapshot: Snapshot) -> Shares:
    """Return the present shares of all hosts."""
    hosts = snapshot.hosts
    with np.errstate(divide="ignore", invalid="ignore"):
        return Shares(np.where(hosts.cpu_limit > 0, hosts.cpu / hosts.cpu_limit, np.nan),
                      np.where(hosts.limit > 0, (hosts.used + hosts.reserved) / hosts.limit, np.nan),
                      hosts.network / hosts.network_limit, hosts.network_least / hosts.network_limit)


class Trends:
    """Remembers since when each trend has been true. Rebuilt by looking; nothing of it is durable."""

    def __init__(self, window: Seconds) -> None:
        self._window = window
        self._verdicts: dict[Key, Verdict] = {}
        self._spans = Spans(window)
        self.blocked: dict[HostName, float] = {}
        """The hosts whose tasks wait for storage, and for how much of the time; known where something is packed."""

    def follow(self, policies: PolicySet, snapshot: Snapshot, telemetry: Telemetry, now: Instant) -> None:
        """Judge every trend anew on ``snapshot``."""
        seen: dict[Key, Verdict] = {}
        shares = all_shares(snapshot)
        self._spans.look_again()
        for policy in policies.balance:
            rows = in_scope(policy, snapshot)
            holding = Holding(hold=policy.hot_hold)
            cool = _surely_cool(policy, snapshot, shares, telemetry)
            for row in rows.tolist():
                # no verdict is one that it is not hot
                if not cool[row]:
                    key = ("hot", policy.name, snapshot.hosts.names[row])
                    levels = _levels(policy, snapshot, row, shares.of(row), telemetry, self._window, now)
                    least = float(shares.network_least[row])
                    last, judgement = self._verdicts.get(key), self._hot(policy, key, levels, least, now)
                    if judgement.evidence is not None and _hangs_on_network(levels, last):
                        last = None  # another edge has a hold of its own
                    verdict = follow(holding, last, judgement, now)
                    if verdict.phase in (Phase.PENDING, Phase.FIRING) or verdict.fired_before:
                        seen[key] = verdict
            uneven = self._uneven(policy, shares.cpu[rows[snapshot.hosts.target[rows]]], now)
            self._follow(seen, ("uneven", policy.name, CLUSTER), uneven, Holding(hold=policy.imbalance_hold), now)
        for rule in policies.placement:
            for host, broken in broken_on(snapshot, rule).items():
                evidence = Evidence("placement", "", float(len(broken)), 0.0)
                self._follow(seen, ("broken", rule.name, host), Judgement(Truth.TRUE, Truth.FALSE, evidence),
                             Holding(hold=rule.hold), now)
        self.blocked = _blocked(snapshot, telemetry, self._window, now) if policies.consolidation else {}
        for packing in policies.consolidation:
            rows = in_scope(packing, snapshot)
            idle, busy = _idle_and_busy(packing, snapshot, rows, self.blocked)
            self._follow(seen, ("idle", packing.name, CLUSTER), idle, Holding(hold=packing.power_off_hold), now)
            self._follow(seen, ("busy", packing.name, CLUSTER), busy, Holding(hold=packing.power_on_hold), now)
        self._verdicts = seen

    def _follow(self, seen: dict[Key, Verdict], key: Key, judgement: Judgement, holding: Holding, now: Instant) -> None:
        seen[key] = follow(holding, self._verdicts.get(key), judgement, now)

    def _sense(self, key: Key, edge: Edge, over: float, hold: Seconds, now: Instant) -> Sense:
        """Return what to make of a level, counted from its mark; what fires already is no matter of luck."""
        last = self._verdicts.get(key)
        if last is not None and (last.phase is Phase.FIRING or last.fired_before):
            return Sense.PLAIN
        return self._spans.sense((*key, edge.resource, edge.above), over, hold, now)

    def _hot(self, policy: BalancePolicy, key: Key, levels: Levels | None, least: float, now: Instant) -> Judgement:
        """Return what levels come to. ``least``: what is known of the network's."""
        if levels is None:
            self._spans.miss((*key, edge.resource, edge.above) for edge in policy.hot)
            return UNKNOWN
        over: list[tuple[Edge, float]] = []
        warm = unknown = lasting = False
        fired = _fired_by(self._verdicts.get(key))
        for edge, level in levels:
            if level is None:
                self._spans.miss(((*key, edge.resource, edge.above),))
                # of one VM that may never be known: what fired by another edge does not wait for that to clear
                unknown |= edge.resource != "network" or fired in (None, "network")
                # but what is known of it alone may prove that it has not cooled
                warm |= edge.resource == "network" and least > _cool_mark(policy, edge)
                continue
            sense = self._sense(key, edge, level - edge.above, policy.hot_hold, now)
            if level > edge.above and sense is not Sense.NOISE:
                over.append((edge, level))
            lasting |= sense is Sense.LASTING
            warm |= level > _cool_mark(policy, edge)
        fires = Truth.TRUE if over else Truth.UNKNOWN if unknown else Truth.FALSE
        clears = Truth.FALSE if warm else Truth.UNKNOWN if unknown else Truth.TRUE
        worst = max(over, key=lambda pair: (pair[1] - pair[0].above, pair[0].resource), default=None)
        evidence = None if worst is None else Evidence(worst[0].resource, "", worst[1], worst[0].above)
        return Judgement(fires, clears, evidence, lasting)

    def _uneven(self, policy: BalancePolicy, cpu: Floats, now: Instant) -> Judgement:
        # processors only: memory is held, not used up; where it is full, the host is hot
        key, edge = ("uneven", policy.name, CLUSTER), Edge("spread", policy.imbalance_above)
        if len(cpu) < 2 or np.isnan(cpu).any():
            self._spans.miss(((*key, edge.resource, edge.above),))
            return UNKNOWN
        most, spread = float(cpu.max()), float(cpu.max() - cpu.min())
        over = min(spread - edge.above, most - policy.ignore_below)
        sense = self._sense(key, edge, over, policy.imbalance_hold, now)
        true = spread > edge.above and most >= policy.ignore_below and sense is not Sense.NOISE
        evidence = Evidence(edge.resource, "", spread, edge.above)
        return Judgement(_truth(true), _truth(not true), evidence, sense is Sense.LASTING)

    def restart_holds(self) -> None:
        """What was pending, or went unseen while it fired, proves nothing any more: after a freeze every hold starts
        again."""
        self._verdicts = {key: v for key, v in self._verdicts.items()
                          if v.phase is not Phase.PENDING and not v.fired_before}
        self._spans.restart_holds()

    def verdict(self, trend: str, policy: str, host: HostName = CLUSTER) -> Verdict | None:
        """Return where a trend stands, None where it is not followed."""
        return self._verdicts.get((trend, policy, host))

    def fires(self, trend: str, policy: str, host: HostName = CLUSTER) -> Verdict | None:
        """Return the verdict of a trend that fires now, else None."""
        found = self.verdict(trend, policy, host)
        return found if found is not None and found.phase is Phase.FIRING else None

    def hot(self, policy: str) -> dict[HostName, Verdict]:
        """Return the hosts that are hot by a policy."""
        return {host: verdict for (trend, name, host), verdict in self._verdicts.items()
                if trend == "hot" and name == policy and verdict.phase is Phase.FIRING}

    def wakes(self, policies: PolicySet) -> Iterable[float]:
        """Yield the monotonic instants at which a pending trend's hold runs out."""
        holds = {("hot", p.name): p.hot_hold for p in policies.balance}
        holds |= {("uneven", p.name): p.imbalance_hold for p in policies.balance}
        holds |= {("idle", p.name): p.power_off_hold for p in policies.consolidation}
        holds |= {("busy", p.name): p.power_on_hold for p in policies.consolidation}
        holds |= {("broken", p.name): p.hold for p in policies.placement}
        for (trend, policy, _), verdict in self._verdicts.items():
            if verdict.phase is Phase.PENDING and verdict.held_from is not None and (trend, policy) in holds:
                yield verdict.held_from + holds[trend, policy]


def in_scope(policy: BalancePolicy | ConsolidationPolicy, snapshot: Snapshot) -> Ints:
    """Return the rows of the hosts in scope that take part: those that are meant to be silent or empty do not."""
    return np.flatnonzero(snapshot.covered(policy.scope) & ~snapshot.hosts.apart)


def _surely_cool(policy: BalancePolicy, snapshot: Snapshot, shares: Shares, telemetry: Telemetry) -> Bools:
    """Return the hosts of which the columns alone say that nothing known makes them hot, or keeps them so, or is near."""
    hosts = snapshot.hosts
    cool: Bools = np.ones(len(hosts.names), np.bool_)
    for edge in policy.hot:
        if edge.resource == "cpu":
            cool &= shares.cpu <= min(edge.above - NEAR * ROOM, policy.cool_cpu)
        elif edge.resource == "memory":
            cool &= shares.memory <= min(edge.above - NEAR * ROOM, policy.cool_memory)
        elif edge.resource == "network":
            cool &= shares.network <= min(edge.above - NEAR * ROOM, policy.cool_network)
        else:  # of a metric that a host never reports its level is 0
            cool &= ~telemetry.columns.reporting(edge.resource, hosts.names) & (edge.above >= 0)
    return cool


def _fired_by(last: Verdict | None) -> str | None:
    """Return the resource by which a host was hot last, None where it was not."""
    if last is None or last.evidence is None or not (last.phase is Phase.FIRING or last.fired_before):
        return None
    return last.evidence.metric


def _hangs_on_network(levels: Levels | None, last: Verdict | None) -> bool:
    """Return whether a host counts as hot before for its network alone, of which it is not known now what it does."""
    if last is None or not last.fired_before or _fired_by(last) != "network":
        return False
    return any(level is None and edge.resource == "network" for edge, level in levels or ())


def _cool_mark(policy: BalancePolicy, edge: Edge) -> float:
    """Return the level down to which a host that is hot by an edge is relieved."""
    return {"cpu": policy.cool_cpu, "memory": policy.cool_memory, "network": policy.cool_network}.get(
        edge.resource, edge.above)


def _level(edge: Edge, shares: HostShares, host: HostName, telemetry: Telemetry, window: Seconds, now: Instant
           ) -> float | None:
    """Return the level of a resource; 0 for a metric that the host never reports: it cannot meet that edge."""
    if edge.resource == "cpu":
        return shares.cpu
    if edge.resource == "memory":
        return shares.memory
    if edge.resource == "network":
        # what is known alone may be too much already
        return shares.network_least if shares.network_least > edge.above else shares.network
    if not telemetry.subjects(host, edge.resource):
        return 0.0
    return telemetry.mean(host, edge.resource, "", window, now)


def _levels(policy: BalancePolicy, snapshot: Snapshot, row: int, shares: HostShares, telemetry: Telemetry, window: Seconds,
            now: Instant) -> Levels | None:
    """Return the level at each edge, None where it is unknown; nothing of a host that is not heard or seen."""
    fact, host = snapshot.facts[row], snapshot.hosts.names[row]
    if not (fact.fresh and fact.reachable):
        return None
    edges = [edge for edge in policy.hot if edge.resource != "network" or np.isfinite(snapshot.hosts.network_limit[row])]
    return [(edge, _level(edge, shares, host, telemetry, window, now)) for edge in edges]


def cluster_share(snapshot: Snapshot, chosen: Ints, blocked: Collection[HostName] = ()) -> float | None:
    """Return what some hosts use together of the scarcer resource, None while one host's load is unknown. ``blocked``:
    those whose processors count as used up, for what their VMs would do if they were served is not known."""
    hosts = snapshot.hosts
    limit, used = hosts.cpu_limit[chosen], hosts.cpu[chosen]
    if not len(chosen) or np.isnan(used).any() or (limit <= 0).any():
        return None
    if blocked:
        used = np.where([hosts.names[row] in blocked for row in chosen.tolist()], limit, used)
    memory = int(hosts.used[chosen].sum()) / max(1, int(hosts.limit[chosen].sum()))
    return max(float(used.sum() / limit.sum()), memory)


def _blocked(snapshot: Snapshot, telemetry: Telemetry, window: Seconds, now: Instant) -> dict[HostName, float]:
    waiting = ((host, telemetry.mean(host, "io.pressure.some", "", window, now)) for host in snapshot.hosts.names)
    return {host: share for host, share in waiting if share is not None and share > BLOCKED_SHARE}


def _idle_and_busy(policy: ConsolidationPolicy, snapshot: Snapshot, rows: Ints,
                   blocked: Collection[HostName]) -> tuple[Judgement, Judgement]:
    used = cluster_share(snapshot, rows)
    share = cluster_share(snapshot, rows, blocked) if blocked else used
    if used is None or share is None:
        return UNKNOWN, UNKNOWN
    idle, busy = share < policy.power_off_below, used > policy.power_on_above
    return (Judgement(_truth(idle), _truth(not idle), Evidence("load", "", share, policy.power_off_below)),
            Judgement(_truth(busy), _truth(not busy), Evidence("load", "", used, policy.power_on_above)))


def _truth(value: bool) -> Truth:
    return Truth.TRUE if value else Truth.FALSE
