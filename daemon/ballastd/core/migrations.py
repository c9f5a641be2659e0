"""The life of an order, as a table. A migration is over only when the hypervisors show that it is over."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from ballastd.core.arrival_checks import Arrival, Check
from ballastd.core.inventory import Dirtying
from ballastd.core.quantities import Bytes, HostName, VmId


class MigrationPhase(enum.Enum):
    """ORDERED: recorded, perhaps not begun. RUNNING: a job was seen. COMPLETED, FAILED, ABORTED: the job is
    gone and the ends say how, but the books are open. LOST: the source cannot be asked. SETTLED: closed."""

    ORDERED = "ordered"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    ABORTED = "aborted"
    LOST = "lost"
    SETTLED = "settled"


_P = MigrationPhase
TRANSITIONS: dict[MigrationPhase, frozenset[MigrationPhase]] = {
    _P.ORDERED: frozenset({_P.RUNNING, _P.COMPLETED, _P.FAILED, _P.ABORTED, _P.LOST, _P.SETTLED}),
    _P.RUNNING: frozenset({_P.COMPLETED, _P.FAILED, _P.ABORTED, _P.LOST, _P.SETTLED}),
    _P.COMPLETED: frozenset({_P.SETTLED, _P.LOST}),
    _P.FAILED: frozenset({_P.SETTLED, _P.LOST, _P.RUNNING}),
    _P.ABORTED: frozenset({_P.SETTLED, _P.LOST, _P.RUNNING}),
    _P.LOST: frozenset({_P.SETTLED, _P.RUNNING}),
    _P.SETTLED: frozenset(),
}

HOLDS_SLOT = frozenset({_P.ORDERED, _P.RUNNING})
"""Phases in which a job may exist: they count against every concurrency limit."""
HOLDS_TARGET = frozenset({_P.ORDERED, _P.RUNNING, _P.COMPLETED, _P.FAILED, _P.ABORTED})
HOLDS_SOURCE = HOLDS_TARGET | {_P.LOST}
ENDED_OPEN = frozenset({_P.FAILED, _P.ABORTED, _P.LOST})
"""Phases in which no job can be seen any more, yet an end has to be seen before the books are closed."""


class Ending(enum.Enum):
    """How a settled migration turned out for its VM, read off both ends."""

    COMPLETED = "completed"
    FAILED = "failed"
    ABORTED = "aborted"
    REFUSED = "refused"
    LEFTOVER = "leftover"
    """It runs at the target, and a paused copy stays at the source."""
    SPLIT = "split"
    """It runs at both ends."""
    DOWN = "down"
    """A paused copy at the source, none at the target."""
    VANISHED = "vanished"
    """It is at neither end."""
    TORN = "torn"
    """It is in post-copy with one half gone: what is left of it has not all of its memory, and never will."""
    ELSEWHERE = "elsewhere"
    """It runs on a third host: somebody else moved it."""


ALARMING = frozenset({Ending.SPLIT, Ending.LEFTOVER, Ending.DOWN, Ending.VANISHED, Ending.TORN})
"""Endings that a person has to look at."""
FAULTS = ALARMING | {Ending.FAILED}
"""Endings that speak against a move and its hosts; who gets nowhere or is called off has reasons of his own."""


class CallResult(enum.Enum):
    """What the caller of the migration was told. It says little about what happened."""

    OK = "ok"
    REFUSED = "refused"
    ERROR = "error"
    ABORTED = "aborted"
    WITHHELD = "withheld"
    """The kernel did not issue the call."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One order's life so far. ``wall`` times in seconds since the epoch.

    ``called``: what the caller was told and when, None while unknown (also for ever after a restart).
    ``routine``: whether it balances or packs, and counts against the budgets for that. ``urgent``: windows do not apply.
    ``was_out_of_sight``: whether its source stopped answering while it was open. ``abort_reason``: set when an
    abort was ordered. ``runners_up``, ``why_not``: who came next as its target, and what spoke against the others.
    ``saving``: it takes a VM off a failing host. ``overran``: it is called off because its own time was over, or because
    it got nowhere. ``approved_by``: who approved it, where its policy only recommends. ``downtime_ms``: for how long its VM
    may stand still at the end, 0 where that was left to the hypervisor. ``auto_converge``: whether it may be slowed down.
    ``retuned``: whether it was given another bandwidth on its way. ``post_copy``: whether it may be put into post-copy;
    ``post_copy_because``: why it was, empty if it was not. ``reckoned``, ``downtime_reckoned_ms``: how long it would
    take and its VM stand still by the sum alone, before that was corrected by what moves of its hosts took
    (``predicted``, ``downtime_predicted_ms``): 0 and None where nobody knew. ``downtime_took_ms``: as it was measured, None
    where nobody heard. ``dirtied``: how fast its VM dirtied its memory meanwhile, None where it did not show.
    ``check``: how its VM is asked whether it answers, None where it is not; ``answered_before``: whether it did before it
    was moved, None where nobody knows; ``arrival``: what came of asking once it had arrived, ``arrival_detail`` in words and
    ``arrival_seconds`` after it was settled. ``gives_way``: None where it gives way to nobody on its links; else why it has
    less of them than its static share, empty where it has that. ``autostart``: whether its VM is to start with its host.
    ``paused_by_hand``: whether somebody paused its VM on its way. ``bandwidth_because``: why it has no even share of its
    links; ``climbs_wall``: since when it has more than that, for it does not converge with it.
    """

    id: str
    vm: VmId
    vm_name: str
    source: HostName
    target: HostName
    memory: Bytes
    bandwidth_mib_s: int
    policy: str
    because: str
    ordered_wall: float
    deadline_wall: float
    predicted: float
    phase: MigrationPhase = MigrationPhase.ORDERED
    adopted: bool = False
    called: CallResult | None = None
    called_wall: float | None = None
    call_message: str = ""
    was_out_of_sight: bool = False
    abort_reason: str = ""
    settled_wall: float | None = None
    ending: Ending | None = None
    retry: int = 0
    routine: bool = False
    urgent: bool = False
    runners_up: tuple[str, ...] = ()
    why_not: tuple[str, ...] = ()
    saving: bool = False
    overran: bool = False
    approved_by: str = ""
    downtime_ms: int = 0
    auto_converge: bool = False
    retuned: bool = False
    post_copy: bool = False
    post_copy_because: str = ""
    reckoned: float = 0.0
    downtime_reckoned_ms: float | None = None
    downtime_predicted_ms: float | None = None
    downtime_took_ms: float | None = None
    dirtied: Dirtying | None = None
    check: Check | None = None
    answered_before: bool | None = None
    arrival: Arrival | None = None
    arrival_detail: str = ""
    arrival_seconds: float = 0.0
    gives_way: str | None = None
    autostart: bool = False
    paused_by_hand: bool = False
    bandwidth_because: str = ""
    climbs_wall: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether its books are still open."""
        return self.phase is not MigrationPhase.SETTLED

    @property
    def holds_slot(self) -> bool:
        """Whether it counts against concurrency limits."""
        return self.phase in HOLDS_SLOT


@dataclass(frozen=True, slots=True)
class AutostartOwed:
    """A VM that was moved and does not start with its target yet, as it did with its source. ``ordered``: the hosts on which
    that is to be put right: the target, the source where the definition stayed behind and would start it there."""

    migration: str
    vm: VmId
    vm_name: str
    source: HostName
    target: HostName
    ordered: tuple[HostName, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """One attempt to move a VM that did not end at its target. ``withheld``: the kernel did not let it begin; ``post_copy``:
    it was prepared for post-copy."""

    wall: float
    target: HostName
    ending: Ending
    withheld: bool = False
    post_copy: bool = False


@dataclass(frozen=True, slots=True)
class Moved:
    """One move that completed, ours or (``policy`` empty) somebody else's."""

    wall: float
    source: HostName
    target: HostName
    policy: str


@dataclass(frozen=True, slots=True)
class RoutineOrder:
    """One routine move that was ordered: what budgets per hour and day are counted from, whatever came of it."""

    wall: float
    policy: str
    vm: VmId
