"""Readings to verdicts, verdicts to health, health to intents; and whether so much fires that it is the site.

A latched verdict stands in the ledger: it stays in force while its host is silent. Any other verdict that can
no longer be read is unknown: it keeps its host from being a target, and it starts nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ballastd.core.books import OPERATOR
from ballastd.core.conditions import Evidence, Verdict
from ballastd.core.evidence_words import words
from ballastd.core.intents import Intent, IntentKind
from ballastd.core.inventory import DeclaredHost
from ballastd.core.ledger import Ledger
from ballastd.core.policies import EvacuationPolicy, Health, HealthPolicy, Limits, Mode, PolicySet, Response
from ballastd.core.quantities import HostName, Instant
from ballastd.core.verdicts import Verdicts

_DOMAIN_OF_METRIC = {"temperature": "cooling", "fan.alarm": "cooling", "fan.speed": "cooling", "psu.alarm": "power"}
_STRENGTH = {Response.QUARANTINE: 0, Response.DRAIN: 1, Response.EVACUATE: 2}


def describe(evidence: Evidence | None, policy: HealthPolicy) -> str:
    """Return evidence in words: ``temperature of coretemp:Package id 1 is 96 > 95``."""
    return words(evidence, policy.condition)


def intents(policies: PolicySet, hosts: tuple[DeclaredHost, ...], verdicts: Verdicts, ledger: Ledger,
            now: Instant) -> tuple[Intent, ...]:
    """Return what ought to change: evacuations and drains, worst severity first, then oldest, then by name."""
    wanted: list[Intent] = []
    for host in hosts:
        intent = _from_health(host, policies, verdicts, ledger, now)
        if intent is not None:
            wanted.append(intent)
        drain = ledger.drains.get(host.name)
        if drain is not None:
            why = f": {drain.reason}" if drain.reason else ""
            wanted.append(Intent(
                IntentKind.DRAIN, host.name, OPERATOR, f"drain asked by {drain.by}{why}",
                verdicts.health(host.name), Instant(now.monotonic, drain.wall, now.boot_id),
                urgent=True, deadline_wall=drain.deadline_wall))
    return tuple(sorted(wanted, key=lambda i: (i.mode is not Mode.AUTO, -i.severity, i.since.wall, i.host,
                                               i.kind.value)))


def quarantined(host: DeclaredHost, policies: PolicySet, verdicts: Verdicts) -> EvacuationPolicy | None:
    """Return the policy by whose response nothing new may start on the host (mode auto only), or None."""
    return next((p for p in _responses(host, policies, verdicts) if p.mode is Mode.AUTO), None)


def _responses(host: DeclaredHost, policies: PolicySet, verdicts: Verdicts) -> list[EvacuationPolicy]:
    causes = verdicts.firing(host.name)
    worst = max((policy.severity for policy, _ in causes), default=Health.HEALTHY)
    heard = max((policy.severity for policy, _ in causes if not policy.condition.of_silence), default=Health.HEALTHY)
    # silence may keep VMs away, and never moves one: only what was heard is answered by more than a quarantine
    found = [p for p in policies.evacuation
             if (worst if p.response is Response.QUARANTINE else heard) >= p.severity and p.scope.covers(host)]
    return sorted(found, key=lambda p: (p.mode is not Mode.AUTO, -_STRENGTH[p.response], -p.severity, p.name))


def _from_health(host: DeclaredHost, policies: PolicySet, verdicts: Verdicts, ledger: Ledger, now: Instant) -> Intent | None:
    if verdicts.health(host.name) is Health.HEALTHY:
        return None
    moving = [p for p in _responses(host, policies, verdicts) if p.response is not Response.QUARANTINE]
    if not moving:
        return None
    response = moving[0]
    causes = [(policy, verdict) for policy, verdict in verdicts.firing(host.name) if not policy.condition.of_silence]
    worst, since = causes[0][0].severity, _since(host, [c for c in causes if c[0].severity >= response.severity], ledger)
    metrics = {metric for policy, _ in causes for metric in policy.condition.metrics}
    shared = {_DOMAIN_OF_METRIC[metric] for metric in metrics if metric in _DOMAIN_OF_METRIC}
    because = "; ".join(f"{policy.name}: {describe(verdict.evidence, policy)}" for policy, verdict in causes[:3])
    evacuate = response.response is Response.EVACUATE
    deadline = None if response.deadline is None else since.wall + response.deadline
    # a drain keeps to its windows until its deadline, and no longer
    overdue = deadline is not None and now.wall >= deadline
    return Intent(
        IntentKind.EVACUATE if evacuate else IntentKind.DRAIN, host.name, response.name, because, worst, since,
        mode=response.mode, urgent=response.ignore_windows or overdue, deadline_wall=deadline,
        windows=response.windows, order=response.order, vms=response.vms,
        avoid_labels=tuple(sorted({*shared, *response.avoid})),
    )


def _since(host: DeclaredHost, causes: list[tuple[HealthPolicy, Verdict]], ledger: Ledger) -> Instant:
    """Return since when a host has been so by the oldest of its causes: what was latched by a run before began then."""
    first = min(verdict.since for _, verdict in causes)
    latches = (ledger.latched.get((policy.name, host.name)) for policy, _ in causes)
    return replace(first, wall=min([first.wall, *(latch.wall for latch in latches if latch is not None)]))


@dataclass(frozen=True, slots=True)
class Blast:
    """How much fires at once. ``reason``: set when single faults no longer explain it."""

    hosts: tuple[HostName, ...]
    reason: str | None


def blast_radius(policies: PolicySet, hosts: tuple[DeclaredHost, ...], verdicts: Verdicts, now: Instant) -> Blast:
    """Return which hosts show a fault and whether that is a site event.

    Conditions still in their hold count as well: a hot aisle crosses its thresholds one host after the other.
    """
    limits = policies.limits
    shown = verdicts.with_faults()
    allowed = max(limits.blast_at_least, int(limits.blast_share * len(hosts)))
    if len(shown) > allowed:
        return Blast(shown, f"{len(shown)} of {len(hosts)} hosts show a fault at once ({', '.join(shown)}); "
                            f"at most {allowed} are believed to be single faults")
    return Blast(shown, _same_sensor(limits, verdicts, now))


def _same_sensor(limits: Limits, verdicts: Verdicts, now: Instant) -> str | None:
    for policy, recent in verdicts.turned_within(limits.same_sensor_within, now):
        if len(recent) >= limits.same_sensor_hosts:
            return (f"{policy} turned true on {len(recent)} hosts within {limits.same_sensor_within:g} s "
                    f"({', '.join(recent)}); {limits.same_sensor_hosts} make it an event of the site")
    return None
