"""How good a target is: a table of named terms in integers, so that equal inputs give equal choices.

To add a term is to add a row. The explanation prints the same table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ballastd.core.snapshot import Snapshot

DOMAIN_LABELS = ("cooling", "power", "rack")


@dataclass(frozen=True, slots=True)
class Term:
    """One named term: its weight, and its value for (snapshot, source row, target row, promised bytes), in
    thousandths; larger is better."""

    name: str
    weight: int
    value: Callable[[Snapshot, int, int, dict[int, int]], int]


def _memory_left(snapshot: Snapshot, _source: int, target: int, promised: dict[int, int]) -> int:
    limit = int(snapshot.hosts.limit[target])
    return (int(snapshot.hosts.room[target]) - promised.get(target, 0)) * 1000 // limit if limit > 0 else 0


def _processor_left(snapshot: Snapshot, _source: int, target: int, _promised: dict[int, int]) -> int:
    used = float(snapshot.hosts.utilization[target])
    return 0 if np.isnan(used) else int((1.0 - used) * 1000)


def _other_domain(snapshot: Snapshot, source: int, target: int, _promised: dict[int, int]) -> int:
    here, there = snapshot.facts[source].declared, snapshot.facts[target].declared
    apart = [key for key in DOMAIN_LABELS if here.label(key) is not None and here.label(key) != there.label(key)]
    known = [key for key in DOMAIN_LABELS if here.label(key) is not None]
    return len(apart) * 1000 // len(known) if known else 0


def _quiet_link(snapshot: Snapshot, _source: int, target: int, _promised: dict[int, int]) -> int:
    return max(0, 1000 - 250 * int(snapshot.hosts.jobs_in[target]))


TERMS: tuple[Term, ...] = (
    Term("memory left", 4, _memory_left),
    Term("processor left", 3, _processor_left),
    Term("other failure domain", 2, _other_domain),
    Term("quiet link", 1, _quiet_link),
)


def score(snapshot: Snapshot, source: int, target: int, promised: dict[int, int]) -> int:
    """Return the weighted sum of all terms for a target; larger is better."""
    return sum(term.weight * term.value(snapshot, source, target, promised) for term in TERMS)


def explain(snapshot: Snapshot, source: int, target: int, promised: dict[int, int]) -> str:
    """Return the terms of a score in words: ``memory left 4 x 720 + ...``."""
    return " + ".join(f"{t.name} {t.weight} x {t.value(snapshot, source, target, promised)}" for t in TERMS)
