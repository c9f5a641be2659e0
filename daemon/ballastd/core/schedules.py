"""When each VM leaves a host that is emptied: its planned moves over links that they share, as many at a time as may be.

A reckoning and no promise: every migration gets the fair share of both its ends' links for as long as the same ones are
under way, begins with a hand-shake that copies nothing, and copies its memory once, and again as much as its plan says
will be dirtied meanwhile. Strangers' migrations are not in it, nor what is planned for other hosts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ballastd.core.migrations import Migration
from ballastd.core.plans import Move
from ballastd.core.policies import Limits
from ballastd.core.prediction import HANDSHAKE_SECONDS, fair_share
from ballastd.core.quantities import MIB, HostName, Seconds, VmId

TINY = 1e-6
ANY_SPEED = 1e6
"""Of a host that is not declared, MiB/s: the other end is the narrower one."""


@dataclass(frozen=True, slots=True)
class Leaving:
    """One VM on its way: when it begins and when it is safe, seconds from now; bytes of memory."""

    vm: VmId
    source: HostName
    target: HostName
    memory: int
    begins: Seconds
    ends: Seconds


@dataclass(slots=True)
class _Flight:
    vm: VmId
    source: HostName
    target: HostName
    memory: int
    begins: float
    handshake: float
    left_mib: float
    ends_by: float | None = None
    """When it ends, where that was reckoned before: it is under way."""


def schedule(moves: Iterable[Move], under_way: Iterable[Migration], links: Mapping[HostName, float], limits: Limits,
             wall: float) -> tuple[Leaving, ...]:
    """Return when the VMs of ``moves`` leave, begun in their order as soon as limits allow, and those ``under_way``: the
    first that is safe first. ``links``: MiB/s by host."""
    waiting = list(moves)
    flights = [_Flight(one.vm, one.source, one.target, one.memory, 0.0, 0.0, 0.0,
                       max(0.0, one.ordered_wall + one.predicted - wall)) for one in under_way if one.holds_slot]
    done: list[Leaving] = []
    now = 0.0
    while waiting or flights:
        waiting = _begin(waiting, flights, limits, now)
        rates = _rates(flights, links, limits)
        soonest = min(_until_change(one, rate, now) for one, rate in zip(flights, rates, strict=True))
        for one, rate in zip(flights, rates, strict=True):
            copying = max(0.0, soonest - one.handshake)
            one.handshake = max(0.0, one.handshake - soonest)
            one.left_mib -= copying * rate
        now += soonest
        ended = [one for one in flights if (one.ends_by <= now + TINY if one.ends_by is not None
                                            else one.handshake <= TINY and one.left_mib <= TINY)]
        done.extend(Leaving(one.vm, one.source, one.target, one.memory, Seconds(one.begins), Seconds(now)) for one in ended)
        flights = [one for one in flights if one not in ended]
    return tuple(done)


def _begin(waiting: list[Move], flights: list[_Flight], limits: Limits, now: float) -> list[Move]:
    """Begin what may begin; return what still waits."""
    out, into = Counter(one.source for one in flights), Counter(one.target for one in flights)
    still: list[Move] = []
    there = {one.vm for one in flights} | {move.vm for move in waiting} if any(move.after for move in waiting) else set()
    for move in waiting:
        if (there.isdisjoint(move.after) and len(flights) < max(1, limits.in_flight_cluster)
                and out[move.source] < max(1, limits.in_flight_host_out)
                and into[move.target] < max(1, limits.in_flight_host_in)):
            out[move.source] += 1
            into[move.target] += 1
            flights.append(_Flight(move.vm, move.source, move.target, move.memory, now, HANDSHAKE_SECONDS,
                                   max(move.memory, move.copied) / MIB))
        else:
            still.append(move)
    return still


def _rates(flights: list[_Flight], links: Mapping[HostName, float], limits: Limits) -> list[float]:
    out, into = Counter(one.source for one in flights), Counter(one.target for one in flights)
    return [float(fair_share(links.get(one.source, ANY_SPEED), out[one.source], links.get(one.target, ANY_SPEED),
                             into[one.target], limits.link_share)) for one in flights]


def _until_change(one: _Flight, rate: float, now: float) -> float:
    """Return for how long nothing about a flight changes, seconds."""
    if one.ends_by is not None:
        return max(0.0, one.ends_by - now)
    return one.handshake + max(0.0, one.left_mib) / rate
