"""Every health policy's verdict on every host in its scope, in columns, and the questions that are asked of them.

One object is written by the judge step by step: what is read from it holds until the next judgement.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ballastd.core.arrays import Floats, Ints
from ballastd.core.columns import Columns
from ballastd.core.conditions import Evidence, Leaf, Silence, Threshold, Verdict, leaves
from ballastd.core.following import FIRING, NONE, PENDING, PHASES, Standings
from ballastd.core.inventory import DeclaredHost
from ballastd.core.policies import Health, HealthPolicy
from ballastd.core.predicates import Mask
from ballastd.core.quantities import HostName, Instant

NAMED_MAX = 3


@dataclass(slots=True)
class Grounds:
    """What one leaf of a policy had to do with its last truth, by host; see ``predicates.Shown``."""

    leaf: Leaf
    share: Mask
    slot: Ints
    value: Floats
    edge: Floats
    holds: bool = True
    subjects: dict[int, tuple[tuple[str, ...], int, int]] = field(default_factory=dict)

    @classmethod
    def none(cls, leaf: Leaf, hosts: int) -> Grounds:
        """Return no grounds."""
        return cls(leaf, np.zeros(hosts, np.bool_), np.full(hosts, -1), np.full(hosts, np.nan), np.full(hosts, np.nan))


class Verdicts:
    """See the module. ``worst``: the gravest severity in force by host; ``faulty``: whether the host shows any fault;
    ``stamps``: by host, a number that rises whenever a verdict on it, or what one rests on, changes."""

    def __init__(self, policies: tuple[HealthPolicy, ...], hosts: tuple[DeclaredHost, ...], columns: Columns
                 ) -> None:
        self.policies, self.hosts, self._columns = policies, hosts, columns
        self.policy_rows = {policy.name: row for row, policy in enumerate(policies)}
        self.host_rows = {host.name: row for row, host in enumerate(hosts)}
        shape = (len(policies), len(hosts))
        covered = {scope: [scope.covers(host) for host in hosts] for scope in {p.scope: None for p in policies}}
        self.in_scope: Mask = np.array([covered[policy.scope] for policy in policies], np.bool_).reshape(shape)
        self.severity = np.array([policy.severity for policy in policies], np.int8).reshape(-1, 1)
        self.standings = Standings.none(*shape)
        self.evident: Mask = np.zeros(shape, np.bool_)
        self.grounds = tuple(tuple(Grounds.none(leaf, len(hosts)) for leaf in leaves(policy.condition.predicate))
                             for policy in policies)
        self.worst: NDArray[np.int8] = np.zeros(len(hosts), np.int8)
        self._healths = [Health.HEALTHY] * len(hosts)
        self._firing: dict[int, tuple[int, tuple[tuple[HealthPolicy, Verdict], ...]]] = {}
        self.faulty: Mask = np.zeros(len(hosts), np.bool_)
        self.stamps: Ints = np.zeros(len(hosts), np.int64)
        self.boot_id = ""

    def get(self, key: tuple[str, HostName]) -> Verdict | None:
        """Return the verdict of a policy on a host, None where there is none."""
        policy, host = self.policy_rows.get(key[0]), self.host_rows.get(key[1])
        return None if policy is None or host is None else self._verdict(policy, host)

    def _verdict(self, policy: int, host: int) -> Verdict | None:
        s = self.standings
        phase = int(s.phase[policy, host])
        if phase == NONE:
            return None
        held = float(s.held[policy, host])
        since = Instant(float(s.since[policy, host]), float(s.wall[policy, host]), self.boot_id)
        return Verdict(PHASES[phase], since, None if held != held else held, bool(s.fired_before[policy, host]),
                       self._evidence(policy, host) if self.evident[policy, host] else None)

    def _evidence(self, policy: int, host: int) -> Evidence | None:
        found = [self._ground(one, host) for one in self.grounds[policy] if one.share[host]]
        if len(found) <= 1:
            return found[0] if found else None
        first = found[0]
        return Evidence(first.metric, first.subject, first.value, first.threshold, first.leaf, first.holds, first.subjects,
                        tuple(found[1:]))

    def _ground(self, one: Grounds, host: int) -> Evidence:
        value, edge, holds = float(one.value[host]), float(one.edge[host]), one.holds
        match one.leaf:
            case Threshold() as leaf:
                subject = self._columns.column(leaf.metric).subjects[int(one.slot[host])]
                return Evidence(leaf.metric, subject, value, edge, leaf, holds, one.subjects.get(host))
            case Silence() as leaf:
                return Evidence("", "", value, edge, leaf, holds)

    def firing(self, host: HostName) -> tuple[tuple[HealthPolicy, Verdict], ...]:
        """Return the policies that fire on a host, with their verdicts: the worst first, then by name."""
        row = self.host_rows.get(host)
        if row is None or not self.faulty[row]:
            return ()
        stamp, known = int(self.stamps[row]), self._firing.get(row)
        if known is None or known[0] != stamp:
            firing = [(self.policies[policy], verdict)
                      for policy in np.flatnonzero(self.standings.phase[:, row] == FIRING).tolist()
                      if (verdict := self._verdict(policy, row)) is not None]
            firing.sort(key=lambda pair: (-pair[0].severity, pair[0].name))
            known = self._firing[row] = stamp, tuple(firing)
        return known[1]

    def health(self, host: HostName) -> Health:
        """Return the gravest severity in force, conditions that went silent while they fired included."""
        row = self.host_rows.get(host)
        return Health.HEALTHY if row is None else self._healths[row]

    def with_faults(self) -> tuple[HostName, ...]:
        """Return the hosts that show any fault, one still in its hold or gone silent included, in their order."""
        return tuple(self.hosts[row].name for row in np.flatnonzero(self.faulty).tolist())

    def forget(self, which: Mask) -> None:
        """Drop some verdicts and what they rest on, as if they had never been; ``summarize`` their hosts afterwards."""
        self.standings.forget(which)
        self.evident[which] = False

    def summarize(self, hosts: Ints) -> None:
        """Bring what is derived up to date for some hosts."""
        s = self.standings
        firing = s.phase[:, hosts] == FIRING
        before = s.fired_before[:, hosts]
        self.worst[hosts] = np.where(firing | before, self.severity, 0).max(axis=0, initial=0)
        for row, worst in zip(hosts.tolist(), self.worst[hosts].tolist(), strict=True):
            self._healths[row] = Health(worst)
        self.faulty[hosts] = (firing | before | (s.phase[:, hosts] == PENDING)).any(axis=0)

    def turned_within(self, seconds: float, now: Instant) -> Iterator[tuple[str, tuple[HostName, ...]]]:
        """Yield each policy with the hosts, by name, that show its fault and on which it turned true within ``seconds``."""
        rows = np.flatnonzero(self.faulty)
        recent = now.monotonic - self.standings.became[:, rows] <= seconds
        for policy in np.flatnonzero(recent.any(axis=1)).tolist():
            yield self.policies[policy].name, tuple(sorted(self.hosts[row].name for row in rows[recent[policy]].tolist()))

    def firing_latched(self) -> Iterator[tuple[HealthPolicy, HostName]]:
        """Yield the latched conditions that fire, by policy and then in the order of the hosts."""
        latched = [row for row, policy in enumerate(self.policies) if policy.condition.holding.latched]
        for row in latched:
            for host in np.flatnonzero(self.standings.phase[row] == FIRING).tolist():
                yield self.policies[row], self.hosts[host].name
