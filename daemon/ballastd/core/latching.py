"""What has to outlive us of the verdicts: latched ones, and what latched counters showed."""

from __future__ import annotations

from collections.abc import Iterator

from ballastd.core import events as ev
from ballastd.core.conditions import Aggregate, Phase
from ballastd.core.evaluation import Verdicts, describe
from ballastd.core.ledger import Ledger
from ballastd.core.policies import PolicySet
from ballastd.core.quantities import HostName, Instant
from ballastd.core.telemetry import Telemetry


def newly_latched(policies: PolicySet, hosts: tuple[HostName, ...], verdicts: Verdicts, ledger: Ledger, now: Instant
                  ) -> Iterator[ev.VerdictLatched]:
    """Yield the latched conditions that fire and are not in the books yet."""
    for policy in policies.health:
        if not policy.condition.latched:
            continue
        for host in hosts:
            verdict = verdicts.get((policy.name, host))
            if verdict and verdict.phase is Phase.FIRING and (policy.name, host) not in ledger.latched:
                yield ev.VerdictLatched(now.wall, policy.name, host, describe(verdict.evidence, policy))


def counters_to_note(policies: PolicySet, hosts: tuple[HostName, ...], telemetry: Telemetry, ledger: Ledger, now: Instant
                     ) -> Iterator[ev.CountersNoted]:
    """Yield what latched counters show now, so that a rise while we are down is not taken for a baseline."""
    metrics = sorted({policy.condition.metric for policy in policies.health
                      if policy.condition.latched and policy.condition.aggregate is Aggregate.INCREASE})
    for host in hosts:
        for metric in metrics:
            known = ledger.counters.get((host, metric), {})
            values = tuple((subject, value) for subject in telemetry.subjects(host, metric)
                           if (value := telemetry.last_value(host, metric, subject)) is not None
                           and known.get(subject) != value)
            if values:
                yield ev.CountersNoted(now.wall, host, metric, values)
