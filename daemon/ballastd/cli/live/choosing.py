"""What is shown first where not everything fits: what wants attention, what is busiest, what says most."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from ballastd.core.views import ClusterView, HostView, MigrationView, NoView, VerdictView, VmView

HOSTS_LISTED_MAX = 30
"""Beyond that nobody reads a list of hosts: those that want attention or work hardest, and a summary."""
_HEALTH = ("failing", "degraded", "suspect", "unknown", "healthy")
_PHASES = ("firing", "pending")
_STEADY_POWER = frozenset({"unmanaged", "on"})
_STANDS_BY = frozenset({"going-off", "off", "waking"})


def hosts(view: ClusterView, rows_max: int) -> list[HostView]:
    """Return the hosts to list: all by name where they fit, else those that want attention or work hardest."""
    if len(view.hosts) <= min(rows_max, HOSTS_LISTED_MAX):
        return sorted(view.hosts, key=lambda host: host.name)
    return heapq.nsmallest(rows_max, view.hosts, key=_attention)


def stands_by(host: HostView) -> bool:
    """Return whether a host is switched off, or about to be or to come back: its silence is expected."""
    return host.power in _STANDS_BY


def _attention(host: HostView) -> tuple[int, int, float, str]:
    grade = _HEALTH.index(host.health) if host.health in _HEALTH else 0
    if stands_by(host):
        grade = len(_HEALTH)
    quiet = not (host.marks or host.migrations_in or host.migrations_out or not host.reachable
                 or host.power not in _STEADY_POWER)
    return (grade, int(quiet), -max(_or_zero(host.cpu_utilization), memory_share(host)), host.name)


def memory_share(host: HostView) -> float:
    """Return what share of the memory that VMs may have is used or reserved; 0 where nothing is known."""
    return (host.memory_used + host.memory_reserved) / host.memory_limit if host.memory_limit > 0 else 0.0


def busiest(vms: Iterable[VmView], rows_max: int) -> list[VmView]:
    """Return the VMs that use most processors, then most memory; those of which nothing is known come last."""
    return heapq.nsmallest(rows_max, vms, key=lambda vm: (
        vm.cpu is None, -_or_zero(vm.cpu), -(vm.memory_used or 0), vm.name, vm.id, vm.host))


def _or_zero(value: float | None) -> float:
    return 0.0 if value is None else value


def migrations(view: ClusterView, rows_max: int) -> list[MigrationView]:
    """Return the open migrations, the longest under way first, then those that ended last."""
    return heapq.nsmallest(rows_max, view.migrations, key=lambda m: (
        m.settled_wall is not None, m.ordered_wall if m.settled_wall is None else -m.settled_wall, m.id))


def standing(view: ClusterView) -> list[tuple[HostView, VerdictView]]:
    """Return every verdict that fires, is latched or is pending, the gravest first."""
    found = [(host, verdict) for host in view.hosts for verdict in host.verdicts
             if verdict.phase in _PHASES or verdict.latched]
    return sorted(found, key=lambda pair: (
        not (pair[1].phase == "firing" or pair[1].latched),
        _HEALTH.index(pair[1].severity) if pair[1].severity in _HEALTH else 0, pair[1].since_wall, pair[0].name,
        pair[1].policy))


@dataclass(frozen=True, slots=True)
class Sum:
    """All noes of one kind: how many, and the one that speaks for most of them."""

    sort: str
    kind: str
    count: int
    telling: NoView


def summed(noes: Sequence[NoView]) -> list[Sum]:
    """Return the noes by kind, the most frequent first; refusals before deferrals where they are equally many."""
    by_kind: dict[tuple[str, str], list[NoView]] = {}
    for no in noes:
        by_kind.setdefault((no.sort, no.kind), []).append(no)
    sums = [Sum(sort, kind, len(same), _telling(same)) for (sort, kind), same in by_kind.items()]
    return sorted(sums, key=lambda one: (-one.count, one.sort != "refusal", one.kind))


def _telling(same: Sequence[NoView]) -> NoView:
    words, _ = Counter(no.detail for no in same).most_common(1)[0]
    return next(no for no in same if no.detail == words)


@dataclass(frozen=True, slots=True)
class Spread:
    """One load over many hosts. ``where``: the host that has the most."""

    median: float
    most: float
    where: str


def spread(loads: Iterable[tuple[float | None, str]]) -> Spread | None:
    """Return how a load is spread over hosts; None where none is known."""
    known = [(load, name) for load, name in loads if load is not None]
    if not known:
        return None
    most, where = max(known)
    return Spread(median(load for load, _ in known), most, where)


def cpu_of_all(all_hosts: Iterable[HostView]) -> float | None:
    """Return the share of processors in use over all hosts that tell, each by its size; None where none tells."""
    known = [(host.processors or 1.0, host.cpu_utilization) for host in all_hosts if host.cpu_utilization is not None]
    whole = sum(size for size, _ in known)
    return sum(size * load for size, load in known) / whole if whole > 0 else None


def tally(words: Iterable[str]) -> str:
    """Return how often each word occurs, the most frequent first: ``8 healthy, 1 failing``."""
    return ", ".join(f"{count} {word}" for word, count in sorted(Counter(words).items(), key=lambda p: (-p[1], p[0])))
