"""How good each host is as a target: a table of named terms in integers, so that equal inputs give equal choices.

To add a term is to add a row. Beside it, whether an arrival would make a host hot: no points make up for that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ballastd.core.arrays import Floats, Ints
from ballastd.core.domains import LABELS
from ballastd.core.policies import BalancePolicy
from ballastd.core.snapshot import Snapshot

UNLABELLED = -1


@dataclass(frozen=True, slots=True)
class Weight:
    """What something is called, and what a thousandth of it is worth."""

    name: str
    weight: int


@dataclass(frozen=True, slots=True)
class Coming:
    """By host row, what is on its way there: bytes that are promised, processors, and MiB/s of the network."""

    promised: Ints
    shifted: Floats
    rerouted: Floats


@dataclass(frozen=True, slots=True)
class Term:
    """One named term: its weight, and its value by host for (snapshot, source row), in thousandths; larger is better."""

    name: str
    weight: int
    value: Callable[[Snapshot, int], Ints]


MEMORY_LEFT, PROCESSOR_LEFT = Weight("memory left", 4), Weight("processor left", 3)
"""Of what a host has left, in thousandths of its limits: beside the terms, for it changes as a plan grows."""
STEP = 20
"""In steps of so many thousandths of a host's processors counts what comes to it."""
ROUNDING = 1e-9
"""Of a host or a step: sums come out differently in another order, and what is exactly at a mark or a step is there."""
DEFAULT_MARK = 0.80
"""Above what share of its processors a host counts as hot where no policy says: the mark that balance has by default."""


@dataclass(frozen=True, slots=True)
class Marks:
    """By host, how much of its processors, memory (bytes) and network (MiB/s) is left up to where it is hot, inf where
    nothing says, nan where that is unknown; and what it has of each, 1 where nobody knows."""

    cpu: Floats
    memory: Floats
    network: Floats
    cpu_limit: Floats
    limit: Floats
    network_limit: Floats


def marks_of(snapshot: Snapshot, policies: Sequence[BalancePolicy]) -> Marks:
    """Return what hosts have left up to the lowest hot marks of the policies that cover them, whatever their mode; of
    processors up to the default where none has one."""
    hosts, found = snapshot.hosts, dict[str, Floats]()
    for resource in ("cpu", "memory", "network"):
        marks = np.full(len(snapshot.facts), np.inf)
        for policy in policies:
            above = min((edge.above for edge in policy.hot if edge.resource == resource), default=np.inf)
            marks = np.where(snapshot.covered(policy.scope), np.minimum(marks, above), marks)
        found[resource] = marks
    cpu = np.where(np.isinf(found["cpu"]), DEFAULT_MARK, found["cpu"])
    cpu_limit, limit, network_limit = (np.where((have > 0) & np.isfinite(have), have, 1.0)
                                       for have in (hosts.cpu_limit, hosts.limit, hosts.network_limit))
    network = np.where(np.isinf(hosts.network_limit), np.inf, found["network"] * network_limit - hosts.network)
    memory = found["memory"] * limit - hosts.used - hosts.reserved
    return Marks(cpu * cpu_limit - hosts.cpu, memory, network, cpu_limit, limit, network_limit)


def over_marks(snapshot: Snapshot, marks: Marks, vm: int, coming: Coming) -> Floats:
    """Return by how much of itself each host would be above one of its marks with a VM (row) there at its busier times, and
    all that is on its way there; 0 or less: it would not be hot. What nobody knows makes no host hot."""
    hosts, vms = snapshot.hosts, snapshot.vms
    cpu = (np.maximum(0.0, coming.shifted) + vms.peak[vm] - marks.cpu) / marks.cpu_limit
    over: Floats = np.fmax(cpu, (coming.promised + vms.memory[vm] - marks.memory) / marks.limit)
    if hosts.has_network:
        over = np.fmax(over, (np.maximum(0.0, coming.rerouted) + vms.network_peak[vm] - marks.network) / marks.network_limit)
    known: Floats = np.fmax(np.where(np.abs(over) < ROUNDING, 0.0, over), -np.inf)
    return known


def memory_left(snapshot: Snapshot, promised: Ints) -> Ints:
    """Return by host what the memory is worth that it has left. ``promised``: bytes by host that are on their way there."""
    hosts = snapshot.hosts
    return MEMORY_LEFT.weight * ((hosts.room - promised) * 1000 // np.maximum(1, hosts.limit))


def processor_left(snapshot: Snapshot, shifted: Floats) -> Ints:
    """Return by host what the processors are worth that it has left, in the mean of the window, nothing where nobody knows.
    ``shifted``: processors by host that come or go; those that go count once they are gone, and those that come in steps, so
    that what idle VMs use chooses nobody's target."""
    hosts = snapshot.hosts
    limit = np.where(hosts.cpu_limit > 0, hosts.cpu_limit, np.nan)
    coming = np.floor(np.maximum(0.0, shifted) / limit * 1000 / STEP + ROUNDING)
    left = np.rint((1.0 - hosts.cpu / limit) * 1000) - STEP * coming
    return PROCESSOR_LEFT.weight * np.where(np.isnan(left), 0.0, left).astype(np.int64)


def _other_domain(snapshot: Snapshot, source: int) -> Ints:
    known = [places for key in LABELS if (places := _places(snapshot, key))[source] != UNLABELLED]
    apart: Ints = np.zeros(len(snapshot.facts), np.int64)
    for places in known:
        apart += places != places[source]
    return apart * 1000 // max(1, len(known))


def _places(snapshot: Snapshot, key: str) -> Ints:
    """Return, by host, a number for the value of its label ``key``; made once while hosts are declared as they are."""
    made = snapshot.cast.domains
    if key not in made:
        numbers: dict[str, int] = {}
        labels = [fact.declared.label(key) for fact in snapshot.facts]
        places = [UNLABELLED if one is None else numbers.setdefault(one, len(numbers)) for one in labels]
        made[key] = np.array(places, np.int64)
    return made[key]


def _quiet_link(snapshot: Snapshot, _source: int) -> Ints:
    return np.maximum(0, 1000 - 250 * snapshot.hosts.jobs_in)


TERMS: tuple[Term, ...] = (
    Term("other failure domain", 2, _other_domain),
    Term("quiet link", 1, _quiet_link),
)


@dataclass(frozen=True, slots=True)
class Scores:
    """By host: the weighted sum of all terms, larger is better; and each of them, in the order of ``TERMS``."""

    total: Ints
    parts: tuple[Ints, ...]

    def terms(self, host: int) -> tuple[tuple[str, int], ...]:
        """Return what a host's sum is made of."""
        return tuple((term.name, int(part[host])) for term, part in zip(TERMS, self.parts, strict=True))


def score(snapshot: Snapshot, source: int) -> Scores:
    """Return how good each host is as a target for what leaves ``source`` (row)."""
    parts = tuple(term.weight * term.value(snapshot, source) for term in TERMS)
    return Scores(np.sum(parts, axis=0, dtype=np.int64), parts)
