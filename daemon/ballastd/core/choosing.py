"""Whom hot hosts send, chosen for all of them together: the cheapest for which there is room enough in all.

Each host offers several sets of VMs whose leaving makes it cool: cheap ones, and dearer ones that take less room elsewhere.
Of each host one is taken, by a table over the processors that are free; memory, where it is short as well, has a price. That
all targets are one is a simplification: what is chosen is still to be packed, and what it costs is a bound for what cannot
be packed so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ballastd.core.arrays import Floats, Ints
from ballastd.core.covering import covers
from ballastd.core.heat import Heat

PRICES = (0.0, 0.1, 0.4, 1.6, 6.4)
"""Offers are looked for at these prices of a processor, in the memory that goes with one in this cluster."""
MEMORY_PRICES = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""What a byte of room costs, in bytes that are copied, until the memory that is free is enough."""
OFFERS_A_PRICE = 24
STEPS = 2048
"""Into so many steps the processors that are free are cut."""


@dataclass(frozen=True, slots=True)
class Offer:
    """VMs (rows) of one host that leave together: what that costs, and the processors and bytes that it takes elsewhere."""

    cost: float
    cpu: float
    memory: float
    vms: tuple[int, ...]


def offers(heat: Heat, rows: Ints, excess: tuple[float, float]) -> tuple[Offer, ...]:
    """Return what a host could send of some of its VMs (rows), the cheapest first; the dearer ones take less room, of one
    resource at least. None where all of them are not enough. ``excess``: processors and bytes that have to go."""
    cpu, memory, costs = heat.vm_cpu[rows], heat.vm_memory[rows], heat.vm_cost[rows]
    used = float(heat.vm_cpu.sum())
    unit = float(heat.vm_memory.sum()) / used if used > 0 else 0.0
    sets = {one for price in PRICES
            for one in covers(cpu, memory, costs + price * unit * heat.vm_peak[rows], excess, OFFERS_A_PRICE)}
    found: list[Offer] = []
    for offer in sorted((_offer(heat, rows[list(one)]) for one in sets), key=lambda offer: (offer.cost, offer.vms)):
        if not any(other.cpu <= offer.cpu and other.memory <= offer.memory for other in found):
            found.append(offer)
    return tuple(found)


def _offer(heat: Heat, rows: Ints) -> Offer:
    return Offer(float(heat.vm_cost[rows].sum()), float(heat.vm_peak[rows].sum()), float(heat.vm_memory[rows].sum()),
                 tuple(rows.tolist()))


class Together:
    """Hosts that choose together. ``leaving``: who may leave each of them (VM rows by host row); ``excess``: processors and
    bytes that have to; ``room``: those that are free elsewhere."""

    def __init__(self, heat: Heat, leaving: Mapping[int, tuple[int, ...]], excess: Mapping[int, tuple[float, float]],
                 room: tuple[float, float]) -> None:
        self._heat, self._leaving, self._excess, self._room = heat, leaving, excess, room
        self._offers: dict[tuple[int, frozenset[int]], tuple[Offer, ...]] = {}

    def choice(self, without: frozenset[int] = frozenset()) -> tuple[Offer, ...]:
        """Return what hosts send if they do ``without`` some VMs: those that have enough of others; none where the room is
        not enough, or a host needs those."""
        asked = []
        for host, vms in self._leaving.items():
            if some := self._offered(host, without.intersection(vms)):
                asked.append(some)
            elif not without.isdisjoint(vms):
                return ()
        return choose(asked, *self._room)

    def _offered(self, host: int, without: frozenset[int]) -> tuple[Offer, ...]:
        key = host, without
        if key not in self._offers:
            vms = np.array([vm for vm in self._leaving[host] if vm not in without], np.int64)
            self._offers[key] = offers(self._heat, vms, self._excess[host])
        return self._offers[key]


def cost_of(chosen: Sequence[Offer]) -> float:
    """Return what offers cost together."""
    return sum(offer.cost for offer in chosen)


def choose(all_offers: Sequence[Sequence[Offer]], cpu: float, memory: float) -> tuple[Offer, ...]:
    """Return one offer of each host so that they cost as little as possible and take no more processors and bytes in all;
    none where there is nothing so small."""
    for price in MEMORY_PRICES:
        chosen = _cheapest(all_offers, cpu, price)
        if not chosen or sum(offer.memory for offer in chosen) <= memory:
            return chosen
    return ()


def _cheapest(all_offers: Sequence[Sequence[Offer]], cpu: float, memory_price: float) -> tuple[Offer, ...]:
    """``best[n]``: the least cost of one offer of each host so far that take ``n`` steps of the processors at most."""
    best, picks = np.zeros(STEPS + 1), []
    for some in all_offers:
        # rounded to and fro: whether it fits in truth shows when it is packed
        steps = [round(STEPS * offer.cpu / cpu) if cpu > 0 else STEPS + 1 for offer in some]
        costs = np.full((len(some), STEPS + 1), np.inf)
        for row, (offer, step) in enumerate(zip(some, steps, strict=True)):
            if step <= STEPS:
                costs[row, step:] = best[:STEPS + 1 - step] + offer.cost + memory_price * offer.memory
        pick: Ints = costs.argmin(axis=0)
        best = _picked(costs, pick)
        picks.append((pick, steps))
    left, chosen = STEPS, []
    if not np.isfinite(best[left]):
        return ()
    for some, (pick, steps) in zip(reversed(all_offers), reversed(picks), strict=True):
        row = int(pick[left])
        chosen.append(some[row])
        left -= steps[row]
    return tuple(reversed(chosen))


def _picked(costs: Floats, rows: Ints) -> Floats:
    picked: Floats = costs[rows, np.arange(costs.shape[1])]
    return picked
