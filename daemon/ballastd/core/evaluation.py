"""Readings to verdicts, verdicts to health, health to intents; and whether so much fires that it is the site.

A latched verdict stands in the ledger: it stays in force while its host is silent. Any other verdict that can
no longer be read is unknown: it keeps its host from being a target, and it starts nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ballastd.core.conditions import Evidence, Phase, Verdict, follow, judge
from ballastd.core.intents import Intent, IntentKind
from ballastd.core.inventory import DeclaredHost
from ballastd.core.ledger import OPERATOR, Ledger
from ballastd.core.policies import EvacuationPolicy, Health, HealthPolicy, Limits, Mode, PolicySet, Response
from ballastd.core.quantities import HostName, Instant
from ballastd.core.telemetry import Telemetry

Verdicts = dict[tuple[str, HostName], Verdict]

_DOMAIN_OF_METRIC = {"temperature": "cooling", "fan.alarm": "cooling", "fan.speed": "cooling", "psu.alarm": "power"}
_STRENGTH = {Response.QUARANTINE: 0, Response.DRAIN: 1, Response.EVACUATE: 2}


def evaluate(policies: PolicySet, hosts: tuple[DeclaredHost, ...], telemetry: Telemetry, last: Verdicts,
             ledger: Ledger, acknowledged_at: Mapping[HostName, float], now: Instant) -> Verdicts:
    """Return the verdict of each health policy on each host in its scope.

    ``acknowledged_at``: monotonic instants before which increases do not count again.
    """
    verdicts: Verdicts = {}
    for policy in policies.health:
        for host in hosts:
            if not policy.scope.covers(host):
                continue
            key = (policy.name, host.name)
            not_before = acknowledged_at.get(host.name, float("-inf"))
            judgement = judge(policy.condition, host.name, telemetry, now, not_before)
            verdict = follow(policy.condition, last.get(key), judgement, now)
            if key in ledger.latched and verdict.phase is not Phase.FIRING:
                verdict = Verdict(Phase.FIRING, now, evidence=judgement.evidence)
            verdicts[key] = verdict
    return verdicts


def health_of(host: HostName, policies: PolicySet, verdicts: Verdicts) -> Health:
    """Return the worst severity among the host's firing conditions, those gone silent while firing included."""
    worst = Health.HEALTHY
    for policy in policies.health:
        verdict = verdicts.get((policy.name, host))
        if verdict and (verdict.phase is Phase.FIRING or verdict.fired_before):
            worst = max(worst, policy.severity)
    return worst


def ailing(verdicts: Verdicts) -> frozenset[HostName]:
    """Return the hosts on which anything fires, or fired when it fell silent: all others are healthy."""
    return frozenset(host for (_, host), verdict in verdicts.items()
                     if verdict.phase is Phase.FIRING or verdict.fired_before)


def describe(evidence: Evidence | None, policy: HealthPolicy) -> str:
    """Return evidence in words: ``temperature of coretemp:Package id 1 is 96 > 95``."""
    condition = policy.condition
    if evidence is None:
        return condition.metric
    of = f" of {evidence.subject}" if evidence.subject else ""
    verb = "rose by" if condition.aggregate.value == "increase" else "is"
    sign = ">" if condition.above else "<"
    return f"{evidence.metric}{of} {verb} {evidence.value:g} {sign} {evidence.threshold:g}"


def firing(host: HostName, policies: PolicySet, verdicts: Verdicts) -> tuple[tuple[HealthPolicy, Verdict], ...]:
    """Return the host's health policies that fire now, worst first."""
    found = [(policy, verdict) for policy in policies.health
             if (verdict := verdicts.get((policy.name, host))) and verdict.phase is Phase.FIRING]
    return tuple(sorted(found, key=lambda pair: (-pair[0].severity, pair[0].name)))


def intents(policies: PolicySet, hosts: tuple[DeclaredHost, ...], verdicts: Verdicts, ledger: Ledger,
            now: Instant) -> tuple[Intent, ...]:
    """Return what ought to change: evacuations and drains, worst severity first, then oldest, then by name."""
    wanted: list[Intent] = []
    for host in hosts:
        intent = _from_health(host, policies, verdicts, now)
        if intent is not None:
            wanted.append(intent)
        drain = ledger.drains.get(host.name)
        if drain is not None:
            why = f": {drain.reason}" if drain.reason else ""
            wanted.append(Intent(
                IntentKind.DRAIN, host.name, OPERATOR, f"drain asked by {drain.by}{why}",
                health_of(host.name, policies, verdicts), Instant(now.monotonic, drain.wall, now.boot_id),
                urgent=True, deadline_wall=drain.deadline_wall))
    return tuple(sorted(wanted, key=lambda i: (i.mode is not Mode.AUTO, -i.severity, i.since.wall, i.host,
                                               i.kind.value)))


def quarantined(host: DeclaredHost, policies: PolicySet, verdicts: Verdicts) -> EvacuationPolicy | None:
    """Return the policy by whose response nothing new may start on the host (mode auto only), or None."""
    return next((p for p in _responses(host, policies, verdicts) if p.mode is Mode.AUTO), None)


def _responses(host: DeclaredHost, policies: PolicySet, verdicts: Verdicts) -> list[EvacuationPolicy]:
    worst = max((policy.severity for policy, _ in firing(host.name, policies, verdicts)), default=Health.HEALTHY)
    if worst is Health.HEALTHY:
        return []
    found = [p for p in policies.evacuation if worst >= p.severity and p.scope.covers(host)]
    return sorted(found, key=lambda p: (p.mode is not Mode.AUTO, -_STRENGTH[p.response], -p.severity, p.name))


def _from_health(host: DeclaredHost, policies: PolicySet, verdicts: Verdicts, now: Instant) -> Intent | None:
    moving = [p for p in _responses(host, policies, verdicts) if p.response is not Response.QUARANTINE]
    if not moving:
        return None
    response, causes = moving[0], firing(host.name, policies, verdicts)
    worst, since = causes[0][0].severity, min(v.since for p, v in causes if p.severity >= response.severity)
    metrics = {policy.condition.metric for policy, _ in causes}
    because = "; ".join(f"{policy.name}: {describe(verdict.evidence, policy)}" for policy, verdict in causes[:3])
    evacuate = response.response is Response.EVACUATE
    deadline = None if response.deadline is None else since.wall + response.deadline
    # a drain keeps to its windows until its deadline, and no longer
    overdue = deadline is not None and now.wall >= deadline
    return Intent(
        IntentKind.EVACUATE if evacuate else IntentKind.DRAIN, host.name, response.name, because, worst, since,
        mode=response.mode, urgent=response.ignore_windows or overdue, deadline_wall=deadline,
        windows=response.windows, order=response.order, vms=response.vms,
        avoid_labels=tuple(sorted({_DOMAIN_OF_METRIC[m] for m in metrics if m in _DOMAIN_OF_METRIC})),
    )


@dataclass(frozen=True, slots=True)
class Blast:
    """How much fires at once. ``reason``: set when single faults no longer explain it."""

    hosts: tuple[HostName, ...]
    reason: str | None


def blast_radius(policies: PolicySet, hosts: tuple[DeclaredHost, ...], verdicts: Verdicts,
                 became_true: Mapping[tuple[str, HostName], float], now: Instant) -> Blast:
    """Return which hosts show a fault and whether that is a site event.

    Conditions still in their hold count as well: a hot aisle crosses its thresholds one host after the other.
    ``became_true``: monotonic instants at which each condition last turned true.
    """
    limits = policies.limits
    shown = tuple(host.name for host in hosts if any(
        _shows_fault(verdicts.get((policy.name, host.name))) for policy in policies.health))
    allowed = max(limits.blast_at_least, int(limits.blast_share * len(hosts)))
    if len(shown) > allowed:
        return Blast(shown, f"{len(shown)} of {len(hosts)} hosts show a fault at once ({', '.join(shown)}); "
                            f"at most {allowed} are believed to be single faults")
    return Blast(shown, _same_sensor(policies, limits, verdicts, became_true, now))


def _shows_fault(verdict: Verdict | None) -> bool:
    return verdict is not None and (verdict.phase in (Phase.PENDING, Phase.FIRING) or verdict.fired_before)


def _same_sensor(policies: PolicySet, limits: Limits, verdicts: Verdicts,
                 became_true: Mapping[tuple[str, HostName], float], now: Instant) -> str | None:
    for policy in policies.health:
        recent = sorted(host for (name, host), at in became_true.items()
                        if name == policy.name and now.monotonic - at <= limits.same_sensor_within
                        and _shows_fault(verdicts.get((name, host))))
        if len(recent) >= limits.same_sensor_hosts:
            return (f"{policy.name} turned true on {len(recent)} hosts within {limits.same_sensor_within:g} s "
                    f"({', '.join(recent)}); {limits.same_sensor_hosts} make it an event of the site")
    return None
