"""How good each host is as a target: a table of named terms in integers, so that equal inputs give equal choices.

To add a term is to add a row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ballastd.core.snapshot import Ints, Snapshot

DOMAIN_LABELS = ("cooling", "power", "rack")


@dataclass(frozen=True, slots=True)
class Term:
    """One named term: its weight, and its value by host for (snapshot, source row, bytes promised by host), in thousandths;
    larger is better. ``moves``: whether it is another once something was promised."""

    name: str
    weight: int
    value: Callable[[Snapshot, int, Ints], Ints]
    moves: bool = False


def _memory_left(snapshot: Snapshot, _source: int, promised: Ints) -> Ints:
    hosts = snapshot.hosts
    return np.where(hosts.limit > 0, (hosts.room - promised) * 1000 // np.maximum(hosts.limit, 1), 0)


def _processor_left(snapshot: Snapshot, _source: int, _promised: Ints) -> Ints:
    used = snapshot.hosts.utilization
    return (np.where(np.isnan(used), 0.0, 1.0 - used) * 1000).astype(np.int64)


def _other_domain(snapshot: Snapshot, source: int, _promised: Ints) -> Ints:
    here = snapshot.facts[source].declared
    known = [(key, label) for key in DOMAIN_LABELS if (label := here.label(key)) is not None]
    if not known:
        return np.zeros(len(snapshot.facts), np.int64)
    apart = [sum(fact.declared.label(key) != label for key, label in known) for fact in snapshot.facts]
    return np.array(apart, np.int64) * 1000 // len(known)


def _quiet_link(snapshot: Snapshot, _source: int, _promised: Ints) -> Ints:
    return np.maximum(0, 1000 - 250 * snapshot.hosts.jobs_in)


TERMS: tuple[Term, ...] = (
    Term("memory left", 4, _memory_left, moves=True),
    Term("processor left", 3, _processor_left),
    Term("other failure domain", 2, _other_domain),
    Term("quiet link", 1, _quiet_link),
)


def score(snapshot: Snapshot, source: int, promised: Ints, *, moves: bool) -> Ints:
    """Return, by host, the weighted sum of the terms that do, or do not, change with what is promised; larger is better."""
    total = np.zeros(len(snapshot.facts), np.int64)
    for term in TERMS:
        if term.moves is moves:
            total += term.weight * term.value(snapshot, source, promised)
    return total
