"""What chance does to a cluster, drawn beforehand from a seed: a list of acts, which can be kept and replayed as a script.

Each seed takes a random subset of the faults: with everything on at once a careful daemon rightly freezes, and nothing is
tested.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from random import Random

from ballastd.core.acts import Act
from ballastd.core.saved_cluster import SavedCluster
from ballastd.sim.power import Conduct

SHARE_OF_FAULTS = 0.3
"""How likely each fault is to be among those of a seed."""
HOUR = 3600.0
Draw = Callable[[Random, SavedCluster, float], list[Act]]


@dataclass(frozen=True, slots=True)
class Fault:
    """A kind of trouble. ``every``: seconds between two on average, on the whole cluster. ``draw``: what happens then."""

    every: float
    draw: Draw


def _host(luck: Random, cluster: SavedCluster) -> str:
    return luck.choice(cluster.hosts).name


def _vm(luck: Random, cluster: SavedCluster) -> str:
    return luck.choice(cluster.vms).record.name


def _span(luck: Random, shortest: float, longest: float) -> float:
    """Return a duration, short ones as likely as long ones."""
    return round(math.exp(luck.uniform(math.log(shortest), math.log(longest))), 1)


def _agent(do: str, low: float | None = None, high: float = 0.0) -> Draw:
    """Return a draw that has one host's agent misbehave for a while, by a value between ``low`` and ``high``."""
    def draw(luck: Random, cluster: SavedCluster, at: float) -> list[Act]:
        value = None if low is None else round(luck.uniform(low, high), 2)
        return [Act(at, do, host=_host(luck, cluster), value=value, seconds=_span(luck, 20.0, 3600.0))]

    return draw


def _trouble(do: str, shortest: float, longest: float) -> Draw:
    """Return a draw that has something happen to one host for a while."""
    def draw(luck: Random, cluster: SavedCluster, at: float) -> list[Act]:
        return [Act(at, do, host=_host(luck, cluster), seconds=_span(luck, shortest, longest))]

    return draw


def _daemon(do: str, shortest: float, longest: float) -> Draw:
    """Return a draw that has something happen to the daemon, or to all, for a while."""
    def draw(luck: Random, cluster: SavedCluster, at: float) -> list[Act]:  # noqa: ARG001  drawn like the others
        return [Act(at, do, seconds=_span(luck, shortest, longest))]

    return draw


def _sick_memory(luck: Random, cluster: SavedCluster, at: float) -> list[Act]:
    """An uncorrectable error; somebody changes the DIMM hours later, and says so."""
    host, slot = _host(luck, cluster), luck.choice("ABCD")
    repaired = at + luck.uniform(HOUR, 4 * HOUR)
    return [Act(at - 60.0, "reading", host=host, metric="ecc.uncorrected", subject=f"DIMM_{slot}1", value=0.0),
            Act(at, "reading", host=host, metric="ecc.uncorrected", subject=f"DIMM_{slot}1", value=1.0),
            Act(repaired, "operator", host=host, word="acknowledge")]


def _heat(luck: Random, cluster: SavedCluster, at: float) -> list[Act]:
    host, cooled = _host(luck, cluster), at + _span(luck, 60.0, 7200.0)
    return [Act(at, "reading", host=host, metric="temperature", subject="cpu0", value=luck.choice((91.0, 97.0, 99.0)),
                critical=100.0),
            Act(cooled, "reading", host=host, metric="temperature", subject="cpu0", value=55.0, critical=100.0)]


def _alarm(metric: str) -> Draw:
    def draw(luck: Random, cluster: SavedCluster, at: float) -> list[Act]:
        host, over = _host(luck, cluster), at + _span(luck, 60.0, 7200.0)
        return [Act(at, "reading", host=host, metric=metric, subject="1", value=1.0),
                Act(over, "reading", host=host, metric=metric, subject="1", value=0.0)]

    return draw


def _rush(luck: Random, cluster: SavedCluster, at: float) -> list[Act]:
    """Everything on one host gets busy, and calm again."""
    host = luck.choice(cluster.hosts)
    over = at + _span(luck, 1200.0, 3 * HOUR)
    return [act for vm in cluster.on(host.name) for act in (
        Act(at, "burn", vm=vm.record.name, value=float(vm.record.vcpus)),
        Act(over, "burn", vm=vm.record.name, value=round(luck.uniform(0.0, 0.2), 2)))]


def _fate(luck: Random, cluster: SavedCluster, at: float) -> list[Act]:
    word = luck.choice(("refused", "fails", "never-converges", "leftover", "error-yet-completes"))
    return [Act(at, "fate", vm=_vm(luck, cluster), word=word)]


def _busy_memory(luck: Random, cluster: SavedCluster, at: float) -> list[Act]:
    return [Act(at, "dirty", vm=_vm(luck, cluster), value=round(_span(luck, 1.0, 2000.0), 1))]


def _start(luck: Random, cluster: SavedCluster, at: float) -> list[Act]:
    return [Act(at, "start", vm=f"new-{int(at)}", host=_host(luck, cluster), value=float(luck.choice((1, 2, 4, 8))))]


def _stop(luck: Random, cluster: SavedCluster, at: float) -> list[Act]:
    return [Act(at, "stop", vm=_vm(luck, cluster))]


def _carry(luck: Random, cluster: SavedCluster, at: float) -> list[Act]:
    return [Act(at, "carry", vm=_vm(luck, cluster), target=_host(luck, cluster))]


def _by_hand(luck: Random, cluster: SavedCluster, at: float) -> list[Act]:
    """Somebody moves one to three VMs to a host, each for as long as that takes."""
    target = _host(luck, cluster)
    return [Act(at, "carry", vm=_vm(luck, cluster), target=target, value=_span(luck, 10.0, 600.0))
            for _ in range(luck.randint(1, 3))]


def _ambush(luck: Random, cluster: SavedCluster, at: float) -> list[Act]:  # noqa: ARG001  drawn like the others
    return [Act(at, "ambush", value=round(luck.uniform(0.0, 3.0), 2), seconds=_span(luck, 0.5, 300.0))]


def _conduct(luck: Random, cluster: SavedCluster, at: float) -> list[Act]:
    host = _host(luck, cluster)
    word = luck.choice([conduct.value for conduct in Conduct if conduct is not Conduct.HONEST])
    over = at + _span(luck, 600.0, 4 * HOUR)
    return [Act(at, "conduct", host=host, word=word), Act(over, "conduct", host=host, word=Conduct.HONEST.value)]


def _clock(luck: Random, cluster: SavedCluster, at: float) -> list[Act]:  # noqa: ARG001  drawn like the others
    return [Act(at, "step-clock", value=round(luck.choice((-1, 1)) * _span(luck, 1.0, 7200.0), 1))]


def _rival(luck: Random, cluster: SavedCluster, at: float) -> list[Act]:  # noqa: ARG001  drawn like the others
    return [Act(at, "rival", word="other", seconds=_span(luck, 30.0, 1800.0))]


def _drain(luck: Random, cluster: SavedCluster, at: float) -> list[Act]:
    host = _host(luck, cluster)
    return [Act(at, "operator", host=host, word="drain"),
            Act(at + _span(luck, 300.0, 2 * HOUR), "operator", host=host, word="undrain")]


def _cordon(luck: Random, cluster: SavedCluster, at: float) -> list[Act]:
    host = _host(luck, cluster)
    return [Act(at, "operator", host=host, word="cordon"),
            Act(at + _span(luck, 300.0, 2 * HOUR), "operator", host=host, word="uncordon")]


def _pause(luck: Random, cluster: SavedCluster, at: float) -> list[Act]:  # noqa: ARG001  drawn like the others
    return [Act(at, "operator", word="pause"), Act(at + _span(luck, 60.0, HOUR), "operator", word="resume")]


LIES = (("cpu.utilization", "", 0.0), ("cpu.utilization", "", 1.0), ("cpu.utilization", "", 37.5),
        ("cpu.utilization", "", math.nan), ("memory.utilization", "", 1024.0), ("temperature", "cpu0", 99.0 * 1024),
        ("temperature", "cpu0", -20.0), ("io.pressure.some", "", 1.0), ("cpu.pressure.some", "", 0.0))
"""What an agent may claim: plausible and wrong, of another unit, no number at all."""


def _lie(luck: Random, cluster: SavedCluster, at: float) -> list[Act]:
    metric, subject, value = luck.choice(LIES)
    return [Act(at, "lie", host=_host(luck, cluster), metric=metric, subject=subject, value=value,
                seconds=_span(luck, 60.0, 3600.0))]


def _agents(luck: Random, cluster: SavedCluster, at: float) -> list[Act]:
    return [Act(at, "restart-agent", host=_host(luck, cluster))]


def _cables(luck: Random, cluster: SavedCluster, at: float) -> list[Act]:
    """Somebody mixes up two controllers, and finds out hours later."""
    one, other = (host.name for host in luck.sample(cluster.hosts, 2))
    return [Act(when, "swap", host=one, target=other) for when in (at, at + _span(luck, HOUR, 4 * HOUR))]


def _halt(luck: Random, cluster: SavedCluster, at: float) -> list[Act]:
    return [Act(at, "halt", vm=_vm(luck, cluster), seconds=_span(luck, 1.0, 1800.0))]


def _slow_disk(luck: Random, cluster: SavedCluster, at: float) -> list[Act]:  # noqa: ARG001  drawn like the others
    return [Act(at, "slow-disk", value=round(_span(luck, 0.1, 20.0), 2), seconds=_span(luck, 30.0, 900.0))]


ASKED = ("even-load", "nights", "degraded")
"""The policies that ask people in the nights in which there are answers."""


def _answer(luck: Random, cluster: SavedCluster, at: float) -> list[Act]:  # noqa: ARG001  drawn like the others
    return [Act(at, luck.choice(("approve", "approve", "approve", "reject")), word=luck.choice(ASKED))]


def _promote(luck: Random, cluster: SavedCluster, at: float) -> list[Act]:  # noqa: ARG001  drawn like the others
    return [Act(at, "promote", word=luck.choice(ASKED))]


FAULTS: dict[str, Fault] = {
    "sick-memory": Fault(4 * HOUR, _sick_memory), "heat": Fault(5 * HOUR, _heat),
    "fan": Fault(6 * HOUR, _alarm("fan.alarm")),
    "supply": Fault(8 * HOUR, _alarm("psu.alarm")), "rush": Fault(3 * HOUR, _rush),
    "silence": Fault(2 * HOUR, _agent("silence")), "freeze": Fault(3 * HOUR, _agent("freeze")),
    "lag": Fault(2 * HOUR, _agent("lag", 1.0, 120.0)), "jitter": Fault(2 * HOUR, _agent("jitter", 1.0, 60.0)),
    "loss": Fault(HOUR, _agent("lose", 0.05, 0.9)), "doubling": Fault(2 * HOUR, _agent("double", 0.1, 0.9)),
    "garbling": Fault(2 * HOUR, _agent("garble", 0.05, 0.9)), "skew": Fault(4 * HOUR, _agent("skew", -300.0, 300.0)),
    "deafness": Fault(4 * HOUR, _agent("deafen")), "unhooked": Fault(6 * HOUR, _agent("unhook")),
    "broker": Fault(4 * HOUR, _daemon("broker-down", 5.0, 1800.0)),
    "cut": Fault(2 * HOUR, _trouble("cut", 2.0, 600.0)), "hang": Fault(2 * HOUR, _trouble("hang", 2.0, 600.0)),
    "libvirtd": Fault(HOUR, _trouble("kill-libvirtd", 1.0, 120.0)),
    "power-cut": Fault(8 * HOUR, _trouble("lose-power", 300.0, 3600.0)),
    "fate": Fault(HOUR, _fate), "busy-memory": Fault(HOUR, _busy_memory),
    "starts": Fault(2 * HOUR, _start), "stops": Fault(4 * HOUR, _stop), "carries": Fault(2 * HOUR, _carry),
    "conduct": Fault(2 * HOUR, _conduct),
    "crash": Fault(HOUR, _daemon("crash", 0.5, 300.0)), "restart": Fault(3 * HOUR, _daemon("stop-daemon", 0.5, 120.0)),
    "ambush": Fault(0.5 * HOUR, _ambush),
    "full-disk": Fault(4 * HOUR, _daemon("fill-disk", 5.0, 900.0)), "clock": Fault(6 * HOUR, _clock),
    "suspend": Fault(6 * HOUR, _daemon("suspend", 1.0, 600.0)), "rival": Fault(8 * HOUR, _rival),
    "drains": Fault(3 * HOUR, _drain), "cordons": Fault(4 * HOUR, _cordon), "pauses": Fault(6 * HOUR, _pause),
    "lies": Fault(2 * HOUR, _lie), "agents": Fault(3 * HOUR, _agents),
    "replays": Fault(3 * HOUR, _agent("replay", 0.0, 0.0)), "retained": Fault(4 * HOUR, _agent("replay", 1.0, 1.0)),
    "cables": Fault(6 * HOUR, _cables), "halts": Fault(2 * HOUR, _halt), "slow-disk": Fault(3 * HOUR, _slow_disk),
    "answers": Fault(0.25 * HOUR, _answer), "promotions": Fault(4 * HOUR, _promote),
    "by-hand": Fault(HOUR, _by_hand),
}
"""New ones go to the end: which of the others a seed has stays as it was."""


def chosen(seed: int) -> tuple[str, ...]:
    """Return the names of the faults that this seed has."""
    luck = Random(f"{seed} faults")
    return tuple(name for name in FAULTS if luck.random() < SHARE_OF_FAULTS)


def draw(seed: int, cluster: SavedCluster, names: tuple[str, ...], begin: float, end: float) -> tuple[Act, ...]:
    """Return what happens between ``begin`` and ``end`` seconds, sorted by time; what lasts ends by ``end``.

    Each fault has a chance of its own: without one the others happen as before.
    """
    found = [act for name in names for act in _of(name, seed, cluster, begin, end)]
    return tuple(sorted(found, key=lambda act: (act.at, act.do, act.host, act.vm)))


def _of(name: str, seed: int, cluster: SavedCluster, begin: float, end: float) -> Iterator[Act]:
    luck, fault, at = Random(f"{seed} {name}"), FAULTS[name], begin
    while True:
        at += luck.expovariate(1.0 / fault.every)
        if at >= end:
            return
        for act in fault.draw(luck, cluster, round(at, 1)):
            yield _within(act, begin, end)


def _within(act: Act, begin: float, end: float) -> Act:
    at = min(max(act.at, begin), end)
    seconds = None if act.seconds is None else max(0.1, min(act.seconds, end - at))
    return replace(act, at=round(at, 1), seconds=seconds)
