"""How good each host is as a target: a table of named terms in integers, so that equal inputs give equal choices, and what
the memory is worth that a plan has left of it.

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
    """One named term: its weight, and its value by host for (snapshot, source row), in thousandths; larger is better."""

    name: str
    weight: int
    value: Callable[[Snapshot, int], Ints]


MEMORY_LEFT_WEIGHT = 4


def memory_left(limit: int, room: int) -> int:
    """Return what it is worth that a host has so much room left, bytes."""
    return MEMORY_LEFT_WEIGHT * (room * 1000 // limit) if limit > 0 else 0


def _processor_left(snapshot: Snapshot, _source: int) -> Ints:
    used = snapshot.hosts.utilization
    return (np.where(np.isnan(used), 0.0, 1.0 - used) * 1000).astype(np.int64)


def _other_domain(snapshot: Snapshot, source: int) -> Ints:
    here = snapshot.facts[source].declared
    known = [(key, label) for key in DOMAIN_LABELS if (label := here.label(key)) is not None]
    if not known:
        return np.zeros(len(snapshot.facts), np.int64)
    apart = [sum(fact.declared.label(key) != label for key, label in known) for fact in snapshot.facts]
    return np.array(apart, np.int64) * 1000 // len(known)


def _quiet_link(snapshot: Snapshot, _source: int) -> Ints:
    return np.maximum(0, 1000 - 250 * snapshot.hosts.jobs_in)


TERMS: tuple[Term, ...] = (
    Term("processor left", 3, _processor_left),
    Term("other failure domain", 2, _other_domain),
    Term("quiet link", 1, _quiet_link),
)


def score(snapshot: Snapshot, source: int) -> list[int]:
    """Return, by host, the weighted sum of all terms; larger is better."""
    total = np.zeros(len(snapshot.facts), np.int64)
    for term in TERMS:
        total += term.weight * term.value(snapshot, source)
    found: list[int] = total.tolist()
    return found
