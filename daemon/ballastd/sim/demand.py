"""What pretend VMs ask of their processors over time: a function of the demand, the VM, the seed and the clock.

No state: asked twice about one moment it says the same, and a VM that moves, or a run that is repeated, changes nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

from ballastd.core.quantities import VmId
from ballastd.core.saved_cluster import Demand, DemandKind

WAVE_STEPS = 144
"""A wave changes this often in its period: every ten minutes of a day."""
BURST_SPREAD = 0.5
"""A burst is up to this much longer or shorter than on average."""
STEP_SECONDS_MIN = 1.0


@dataclass(frozen=True, slots=True)
class Asked:
    """``processors``, and whether the VM waits for its disk meanwhile (``blocked``). ``until``: wall seconds when that
    changes, None for never."""

    processors: float
    until: float | None = None
    blocked: bool = False


def asked(demand: Demand, vm: VmId, seed: int, wall: float) -> Asked:
    """Return what ``vm`` asks for at ``wall`` seconds."""
    match demand.kind:
        case DemandKind.STEADY:
            return Asked(demand.high)
        case DemandKind.DAILY:
            return _wave(demand, wall)
        case DemandKind.GAME:
            return _game(demand, wall)
        case DemandKind.BURSTY | DemandKind.BLOCKED:
            return _bursts(demand, vm, seed, wall)


def _wave(demand: Demand, wall: float) -> Asked:
    step = max(STEP_SECONDS_MIN, demand.period / WAVE_STEPS)
    number = math.floor((wall - demand.peak) / step + 1e-9)
    height = (1.0 + math.cos(2.0 * math.pi * (number * step) / demand.period)) / 2.0
    level = demand.low + (demand.high - demand.low) * height
    return Asked(round(level, 6), demand.peak + (number + 1) * step)


def _game(demand: Demand, wall: float) -> Asked:
    period = max(STEP_SECONDS_MIN, demand.period)
    number = math.floor((wall - demand.peak) / period + 1e-9)
    begin = demand.peak + number * period
    drop = begin + demand.duty * period
    return Asked(demand.high, drop) if wall < drop else Asked(demand.low, begin + period)


def _bursts(demand: Demand, vm: VmId, seed: int, wall: float) -> Asked:
    """One burst in each period, of random length and at a random place in it."""
    period = max(STEP_SECONDS_MIN, demand.period)
    number = math.floor(wall / period + 1e-9)
    luck = Random(f"{seed} {vm} {number}")
    length = min(period, period * demand.duty * luck.uniform(1.0 - BURST_SPREAD, 1.0 + BURST_SPREAD))
    begin = number * period + luck.uniform(0.0, period - length)
    is_blocked = demand.kind is DemandKind.BLOCKED
    if wall < begin:
        return Asked(demand.low, begin, is_blocked)
    if wall < begin + length:
        return Asked(demand.high, begin + length)
    return Asked(demand.low, (number + 1) * period, is_blocked)
