"""Rehearsals made by hand, for whatever shows them: say only what the test is about. ``a_day`` is a believable one."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from ballastd.core.quantities import HostName
from ballastd.core.rehearsed import Rehearsed, RehearsedMove, RehearsedSwitch, Sampled, Violation

BEGAN = 1_795_478_400.0
"""A midnight in UTC."""
ENDINGS = ("completed",) * 18 + ("failed", "aborted")
POLICIES = (("even-out", "{host} is hot: processors 0.{n} above 0.80 for 10 min"),
            ("failing-hosts", "{host} is failing"), ("night-consolidation", "{host} is emptied: the cluster idles at 0.{n}"))


def a_rehearsal(**changes: Any) -> Rehearsed:
    """Two hosts for an hour in which nothing happened and nothing was sampled."""
    hosts = (HostName("alder"), HostName("beech"))
    return replace(Rehearsed("grove", 7, BEGAN, 3600.0, 1.5, hosts, 4, (), (), (), (), (), (), None, None, (0.0, 0.0), ()),
                   **changes)


def a_sample(at: float = 0.0, demand: tuple[float, ...] = (0.5, 0.25), on: tuple[bool, ...] = (True, True),
             in_flight: int = 0) -> Sampled:
    used = tuple(min(1.0, one) if up else 0.0 for one, up in zip(demand, on, strict=True))
    return Sampled(at, used, demand, tuple(0.5 for _ in demand), on, in_flight)


def a_rehearsed_move(number: int = 1, **changes: Any) -> RehearsedMove:
    return replace(RehearsedMove(f"{number}-1", "db", "alder", "beech", "even-out", "alder is hot", 60.0, 90.0, "completed",
                                 25.0), **changes)


def a_day(hosts: int = 20, samples: int = 288, vms_a_host: int = 12) -> Rehearsed:
    """A day of a cluster that is busy in the afternoon, with some hosts off at night and one that asks for too much."""
    names = tuple(HostName(f"host-{number:03}") for number in range(hosts))
    taken = tuple(_sampled(place * 86400.0 / samples, hosts) for place in range(samples))
    moves = tuple(_moved(number, names) for number in range(hosts * 3))
    idle = [place for place in range(hosts) if _sleeps(place, hosts)]
    switches = (*(RehearsedSwitch(_off_from(place), names[place], False, "emptied: the cluster idles") for place in idle),
                *(RehearsedSwitch(_on_from(place) - 180.0, names[place], True, "the cluster wakes") for place in idle))
    over = tuple(sum(sample.demand[place] > 1.0 for sample in taken) * 86400.0 / samples for place in range(hosts))
    off_seconds = sum(not on for sample in taken for on in sample.on) * 86400.0 / samples
    unmanaged = hosts * 210.0 * 86400.0
    return Rehearsed(
        "grove", 7, BEGAN, 86400.0, 14.2, names, hosts * vms_a_host, moves, tuple(sorted(switches, key=lambda one: one.at)),
        (Violation(51_243.25, "reserve", f"{names[-1]} could not take the VMs of {names[0]}"),),
        ((3600.0, "info", "the window night is open"), (51_000.5, "warning", f"{names[0]} does not answer"),
         (51_243.25, "alarm", "fewer hosts are left than the reserve asks for")),
        (("cooldown", 1841), ("memory", 512), ("window", 77)), taken, unmanaged - off_seconds * 180.0, unmanaged, over,
        ("12:00:00 began",), ("host-lost",))


def _sleeps(place: int, hosts: int) -> bool:
    return hosts > 2 and place % 3 == 2


def _off_from(place: int) -> float:
    return 2700.0 + place % 30 * 420.0


def _on_from(place: int) -> float:
    return 23_400.0 + place % 30 * 240.0


def _sampled(at: float, hosts: int) -> Sampled:
    day = 0.5 - 0.5 * math.cos((at / 86400.0 - 0.08) * 2 * math.pi)
    on = tuple(not (_sleeps(place, hosts) and _off_from(place) <= at < _on_from(place)) for place in range(hosts))
    demand = tuple(_demand(place, at, day) if up else 0.0 for place, up in enumerate(on))
    return a_sample(at, demand, on, in_flight=int(max(0.0, 3.5 * math.sin(at / 5000.0))))


def _demand(place: int, at: float, day: float) -> float:
    own = 0.12 * math.sin(place * 2.4 + at / 4000.0) + 0.06 * math.sin(place * 7.7 + at / 700.0)
    return max(0.02, 0.18 + day * (0.5 + 0.018 * (place * 7 % 11)) + own + (0.35 * day ** 6 if place % 9 == 4 else 0.0))


def _moved(number: int, names: tuple[HostName, ...]) -> RehearsedMove:
    policy, because = POLICIES[(0, 0, 0, 2, 2, 1)[number * 5 % 6]]
    source, target = names[number % len(names)], names[(number * 3 + 1) % len(names)]
    at = {"even-out": 36_000.0 + number * 911 % 36_000, "failing-hosts": 51_300.0 + number * 37 % 600,
          "night-consolidation": 2000.0 + number * 613 % 9000}[policy]
    lasted = 14.0 + number * number * 13 % 170
    return RehearsedMove(f"{number + 10}-1", f"vm-{number:04}", source, target, policy,
                         because.format(host=source, n=81 + number % 15), float(at), at + lasted,
                         ENDINGS[number * 7 % 20], lasted * (0.8 + number % 5 * 0.1))
