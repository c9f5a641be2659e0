"""What has to outlive us of the verdicts: latched ones, and what latched counters showed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ballastd.core import events as ev
from ballastd.core.evaluation import describe
from ballastd.core.ledger import Ledger
from ballastd.core.policies import PolicySet
from ballastd.core.quantities import HostName, Instant
from ballastd.core.telemetry import Telemetry
from ballastd.core.verdicts import Verdicts


def newly_latched(verdicts: Verdicts, ledger: Ledger, now: Instant) -> Iterator[ev.VerdictLatched]:
    """Yield the latched conditions that fire and are not in the books yet."""
    for policy, host in verdicts.firing_latched():
        if (policy.name, host) not in ledger.latched:
            verdict = verdicts.get((policy.name, host))
            yield ev.VerdictLatched(now.wall, policy.name, host, describe(verdict.evidence if verdict else None, policy))


class Notebook:
    """Sees to it that the books hold what latched counters showed last, so that a rise while we are down is not taken for a
    baseline. A host is looked at again when it reported, and until its note is durable."""

    def __init__(self) -> None:
        self._open: tuple[HostName, ...] = ()
        self._metrics: tuple[str, ...] = ()

    def counters_to_note(self, policies: PolicySet, hosts: tuple[HostName, ...], reported: Iterable[HostName],
                         telemetry: Telemetry, ledger: Ledger, now: Instant) -> tuple[ev.CountersNoted, ...]:
        """Return the notes to take. ``reported``: of which hosts a report came in since this was asked last."""
        metrics = tuple(sorted({metric for policy in policies.health if policy.condition.holding.latched
                                for metric in policy.condition.counters}))
        asked = set(hosts) if metrics != self._metrics else {*reported, *self._open}
        notes = tuple(note for host in hosts if host in asked for metric in metrics
                      if (note := _note(host, metric, telemetry, ledger, now)) is not None)
        self._open, self._metrics = tuple(dict.fromkeys(note.host for note in notes)), metrics
        return notes


def _note(host: HostName, metric: str, telemetry: Telemetry, ledger: Ledger, now: Instant) -> ev.CountersNoted | None:
    known = ledger.counters.get((host, metric), {})
    values = tuple((subject, value) for subject in telemetry.subjects(host, metric)
                   if (value := telemetry.last_value(host, metric, subject)) is not None and known.get(subject) != value)
    return ev.CountersNoted(now.wall, host, metric, values) if values else None
