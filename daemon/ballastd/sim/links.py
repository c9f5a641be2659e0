"""Bandwidth of pretend links, shared as TCP streams share it: each as much as it may, and nobody more than the rest need
give up (max-min fairness)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ballastd.core.quantities import HostName

EPSILON = 1e-9


@dataclass(frozen=True, slots=True)
class Flow:
    """A stream between two hosts that goes no faster than ``cap``, MiB/s."""

    source: HostName
    target: HostName
    cap: float


def fair(flows: Sequence[Flow], links: Mapping[HostName, float]) -> list[float]:
    """Return the rate of each flow, MiB/s. ``links``: the speed of each host's link, MiB/s, the same in each direction
    and independent of the other."""
    rates = [0.0] * len(flows)
    left: dict[tuple[str, HostName], float] = {}
    users: dict[tuple[str, HostName], set[int]] = {}
    for number, flow in enumerate(flows):
        for way in (("out", flow.source), ("in", flow.target)):
            left.setdefault(way, links[way[1]])
            users.setdefault(way, set()).add(number)
    growing = set(range(len(flows)))
    while growing:
        bounds = [flows[n].cap - rates[n] for n in growing]
        bounds += [left[way] / len(on) for way, some in users.items() if (on := some & growing)]
        step = min(bounds)
        for n in growing:
            rates[n] += step
        for way, some in users.items():
            left[way] -= step * len(some & growing)
        full = {n for way, some in users.items() if left[way] <= EPSILON for n in some}
        growing -= full | {n for n in growing if flows[n].cap - rates[n] <= EPSILON}
    return rates
