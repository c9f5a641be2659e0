"""What a rehearsal came to: moves, refusals, violations, energy, overload, and load over time. Plain values."""

from __future__ import annotations

from dataclasses import dataclass

from ballastd.core.quantities import HostName


@dataclass(frozen=True, slots=True)
class RehearsedMove:
    """One migration that was ordered. Times in seconds since the rehearsal began; ``ended_at`` None while it runs.

    ``ending``: as in the journal (completed, failed, aborted, lost), empty while it runs. ``predicted``: seconds.
    """

    id: str
    vm_name: str
    source: str
    target: str
    policy: str
    because: str
    ordered_at: float
    ended_at: float | None
    ending: str
    predicted: float


@dataclass(frozen=True, slots=True)
class RehearsedSwitch:
    """One host that was told to go off or to come on, ``at`` seconds after the beginning."""

    at: float
    host: str
    on: bool
    because: str


@dataclass(frozen=True, slots=True)
class Violation:
    """An invariant that did not hold ``at`` seconds after the beginning. ``rule``: its short name."""

    at: float
    rule: str
    detail: str


@dataclass(frozen=True, slots=True)
class Sampled:
    """The cluster at one instant, ``at`` seconds after the beginning. Per host, in the order of ``Rehearsed.hosts``:
    ``utilization`` (share of its processors at work, [0, 1]; 0 while off), ``demand`` (processors asked for, as a share,
    may exceed 1), ``memory`` (share of what VMs may use), ``on``. ``in_flight``: migrations under way."""

    at: float
    utilization: tuple[float, ...]
    demand: tuple[float, ...]
    memory: tuple[float, ...]
    on: tuple[bool, ...]
    in_flight: int


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """The whole outcome. ``seconds``: how much virtual time; ``wall_seconds``: how long that took.

    ``joules``, ``joules_unmanaged``: energy that the hosts drew, and would have drawn had nothing been switched off;
    None where the draw of a host is unknown. ``overload_seconds``: per host, how long more was asked of its processors
    than it has. ``withheld``: refusals and deferrals counted by kind, most frequent first. ``trace``: one line per
    event, in order.
    """

    cluster: str
    seed: int
    began_wall: float
    seconds: float
    wall_seconds: float
    hosts: tuple[HostName, ...]
    vms: int
    moves: tuple[RehearsedMove, ...]
    switches: tuple[RehearsedSwitch, ...]
    violations: tuple[Violation, ...]
    notices: tuple[tuple[float, str, str], ...]
    """When, level, text."""
    withheld: tuple[tuple[str, int], ...]
    samples: tuple[Sampled, ...]
    joules: float | None
    joules_unmanaged: float | None
    overload_seconds: tuple[float, ...]
    trace: tuple[str, ...]
    faults: tuple[str, ...] = ()
    """What was done to the pretend cluster, by name."""
