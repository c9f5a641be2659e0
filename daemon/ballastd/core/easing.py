"""From trends to intents: relieve what is hot, even out what is uneven, put right what is broken; else nothing."""

from __future__ import annotations

from ballastd.core.breaches import Breach, broken_on
from ballastd.core.conditions import Verdict
from ballastd.core.intents import Fill, Intent, IntentKind
from ballastd.core.policies import BalancePolicy, Health, PolicySet
from ballastd.core.quantities import HostName
from ballastd.core.snapshot import Snapshot
from ballastd.core.trends import Trends, all_shares

IN_TURN_FROM = 20
TURN_SECONDS = 600.0
PLAIN = BalancePolicy("")
"""How full a host may be where no policy says so."""


def balance_intents(policies: PolicySet, snapshot: Snapshot, trends: Trends) -> tuple[Intent, ...]:
    """Return relief for every hot host, the hottest first, then evening out where nothing is hot."""
    wanted: list[Intent] = []
    for policy in policies.balance:
        firing = trends.hot(policy.name)
        hot = [(snapshot.row(host), verdict) for host, verdict in firing.items()]
        shares = all_shares(snapshot)
        hot.sort(key=lambda pair: (-shares.of(pair[0]).fullest, snapshot.hosts.names[pair[0]]))
        wanted.extend(_relief(policy, snapshot, row, verdict) for row, verdict in hot)
        uneven = trends.fires("uneven", policy.name)
        if uneven is not None and not hot:
            wanted.extend(_evening(policy, snapshot, uneven))
    return tuple(wanted)


def _relief(policy: BalancePolicy, snapshot: Snapshot, row: int, verdict: Verdict) -> Intent:
    host, evidence = snapshot.hosts.names[row], verdict.evidence
    why = "" if evidence is None else f": {evidence.metric} is {evidence.value:.0%} > {evidence.threshold:.0%}"
    return _intent(IntentKind.RELIEVE, policy, host, f"{host} is hot{why}", verdict)


def _evening(policy: BalancePolicy, snapshot: Snapshot, verdict: Verdict) -> list[Intent]:
    rows = [row for row, fact in enumerate(snapshot.facts) if policy.scope.covers(fact.declared) and not fact.avoid]
    shares = all_shares(snapshot)
    ranked = sorted(((shares.of(row).cpu or 0.0, snapshot.hosts.names[row]) for row in rows),
                    key=lambda pair: (-pair[0], pair[1]))
    if len(ranked) < 2:
        return []
    (most, host), (least, other) = ranked[0], ranked[-1]
    because = f"uneven: {host} at {most:.0%}, {other} at {least:.0%}, more than {policy.imbalance_above:.0%} apart"
    return [_intent(IntentKind.EVEN, policy, host, because, verdict)]


def repair_intents(policies: PolicySet, snapshot: Snapshot, trends: Trends, *, must: bool) -> tuple[Intent, ...]:
    """Return what would put broken rules about where VMs live right: must-rules, or wishes, the heaviest first."""
    fill = Fill(min((policy.cool_cpu for policy in policies.balance), default=PLAIN.cool_cpu),
                min((policy.cool_memory for policy in policies.balance), default=PLAIN.cool_memory),
                min((policy.cool_network for policy in policies.balance), default=PLAIN.cool_network))
    ranked = sorted((rule for rule in policies.placement if rule.must is must),
                    key=lambda rule: (-(rule.weight or 0), rule.name))
    return tuple(
        Intent(IntentKind.REPAIR, host, rule.name, _by_so_many(host, len(broken)),
               Health.HEALTHY, verdict.since, mode=rule.mode, windows=rule.windows, fill=fill,
               cooldown=rule.cooldown, budget=rule.budget, vms=rule.vms)
        for rule in ranked for host, broken in _in_turn(broken_on(snapshot, rule), snapshot.now.wall)
        if (verdict := trends.fires("broken", rule.name, host)) is not None)


def _by_so_many(host: HostName, count: int) -> str:
    return f"broken on {host} by {count} VM{'' if count == 1 else 's'}"


def _in_turn(broken: dict[HostName, list[Breach]], wall: float) -> list[tuple[HostName, list[Breach]]]:
    """Return hosts with who ought to leave them, by name; where they are many, another one first every ten minutes, so that
    those who can go nowhere do not stand in front of the others for ever."""
    hosts = sorted(broken.items())
    if len(hosts) <= IN_TURN_FROM:
        return hosts
    turn = int(wall // TURN_SECONDS) % len(hosts)
    return hosts[turn:] + hosts[:turn]


def _intent(kind: IntentKind, policy: BalancePolicy, host: HostName, because: str, verdict: Verdict) -> Intent:
    return Intent(kind, host, policy.name, because, Health.HEALTHY, verdict.since, mode=policy.mode,
                  windows=policy.windows, fill=Fill(policy.cool_cpu, policy.cool_memory, policy.cool_network),
                  cooldown=policy.cooldown, budget=policy.budget, minimum_gain=policy.minimum_gain, vms=policy.vms)
