"""What a plan in the making has promised so far: memory, processors and places, and what is left if a domain dies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType

import numpy as np

from ballastd.core.accounts import Weighed, Worth
from ballastd.core.arrays import Floats, Ints
from ballastd.core.books import DAY_SECONDS
from ballastd.core.calibration import FAILED_SECONDS, Calibration, attempts_of, calibrated
from ballastd.core.daily import Daily, daily_of
from ballastd.core.dirtying import SHOWN_SECONDS, dirtying_of, shown
from ballastd.core.intents import Intent
from ballastd.core.inventory import Dirtying
from ballastd.core.ledger import Ledger
from ballastd.core.migrations import HOLDS_SOURCE
from ballastd.core.placement import occupied
from ballastd.core.plans import Move, Refusal
from ballastd.core.policies import PolicySet
from ballastd.core.quantities import HostName, VmId
from ballastd.core.reserve import Packing, Reserve, reserve_of
from ballastd.core.scoring import (
    MEMORY_LEFT,
    PROCESSOR_LEFT,
    Coming,
    Marks,
    Scores,
    marks_of,
    memory_left,
    over_marks,
    processor_left,
    score,
)
from ballastd.core.snapshot import Snapshot

TELEMETRY_LAGS_SECONDS = 300.0
"""For so long after a move the mean of its source's telemetry may still know the VM that left, or for the window of load
where that is longer."""


Course = Mapping[VmId, HostName]
"""Where the last plan takes VMs that have not begun."""
UNCHARTED: Course = MappingProxyType({})
NOWHERE: Mapping[int, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Stuck:
    """A VM (row) that must leave its host and has no target: what for, the refusal that says so, and by host what is gained
    there; None: the same anywhere. ``worth``: what its move gains and costs, None where that goes without saying."""

    intent: Intent
    vm: int
    refusal: Refusal
    worths: Floats | None = None
    worth: Worth | None = None


@dataclass(slots=True)
class Draft:
    """``promised``: bytes by host row. ``leaving``: bytes by host row of VMs that are still there and go, with what is in
    flight and what was planned; ``shifted``: processors by host row that come (or go, below zero) with both;
    ``rerouted``: MiB/s of the network that do. ``moved``: VM row -> host row. ``scores``: how good each host is as a target,
    by the source. ``told``: how many candidates are told of one by one in its refusals. ``asked``: for how many VMs in vain
    a target was looked for, by rule. ``counted_on``: the VM rows whose leaving makes room at a host, by its row, for moves
    that wait for it; ``searched``: how much was looked at to find such. ``stuck``: for whom room might be made, any one of
    each. ``daily``: what is shifted by the hours of the day, None where nobody's is known. ``course``: where the plan in
    progress takes VMs that have not begun; ``picks``: where those go whose places were chosen together; VM row -> host
    row."""

    snapshot: Snapshot
    ledger: Ledger
    policies: PolicySet
    promised: Ints
    leaving: Ints
    shifted: Floats
    rerouted: Floats
    moved: dict[int, int] = field(default_factory=dict)
    moves: list[Move] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    homes: dict[int, frozenset[int]] = field(default_factory=dict)
    scores: dict[int, Scores] = field(default_factory=dict)
    told: int = 0
    asked: dict[str, int] = field(default_factory=dict)
    counted_on: dict[int, tuple[int, ...]] = field(default_factory=dict)
    searched: int = 0
    stuck: list[tuple[Stuck, ...]] = field(default_factory=list)
    daily: Daily | None = None
    course: Mapping[int, int] = field(default_factory=dict)
    picks: Mapping[int, int] = field(default_factory=dict)
    _marks: Marks | None = None
    _calibration: Calibration | None = None
    _shown: Mapping[VmId, Dirtying] | None = None
    _routine: Counter[VmId] | None = None
    _reserve: Reserve | None = None

    def points(self, source: int) -> Ints:
        """Return, by row, how good each host is as a target for whichever VM of the source, with what is promised by now."""
        if source not in self.scores:
            self.scores[source] = score(self.snapshot, source)
        return (self.scores[source].total + memory_left(self.snapshot, self.promised)
                + processor_left(self.snapshot, self.shifted))

    def over(self, vm: int, coming: Coming | None = None) -> Floats:
        """Return, by row, by how much of itself each host would be above a hot mark with the VM and ``coming``, or all that
        was promised by now; 0 or less: it would not be hot."""
        if self._marks is None:
            self._marks = marks_of(self.snapshot, self.policies.balance)
        return over_marks(self.snapshot, self._marks, vm, coming or Coming(self.promised, self.shifted, self.rerouted))

    def weighed(self, one: Candidate, source: int) -> Weighed:
        """Return what the points of a target are made of."""
        known = self.scores[source].terms(one.row)
        terms = ((MEMORY_LEFT.name, int(memory_left(self.snapshot, self.promised)[one.row])),
                 (PROCESSOR_LEFT.name, int(processor_left(self.snapshot, self.shifted)[one.row])), *known)
        broken = one.points + one.risk - sum(points for _, points in terms)
        less = (("broken should-rules", broken), ("risk, by how moves there went", -one.risk))
        return Weighed(one.name, one.points, (*terms, *(term for term in less if term[1])))

    @property
    def calibration(self) -> Calibration:
        """How long moves took."""
        if self._calibration is None:
            self._calibration = calibrated(self.ledger.settled, self.snapshot.now.wall)
        return self._calibration

    @property
    def routine_today(self) -> Counter[VmId]:
        """How many routine moves of each VM were ordered within the day."""
        if self._routine is None:
            self._routine = self.ledger.routine_by_vm(self.snapshot.now.wall - DAY_SECONDS)
        return self._routine

    def dirtying(self, vm: int) -> Dirtying | None:
        """Return how fast a VM (row) dirties its memory, None where nobody knows."""
        snapshot, key = self.snapshot, self.snapshot.vms.ids[vm]
        inventory = snapshot.facts[int(snapshot.vms.host[vm])].inventory
        return dirtying_of(key, inventory, self._shown_by_moves)

    def _shown_by_moves(self) -> Mapping[VmId, Dirtying]:
        if self._shown is None:
            self._shown = shown(self.ledger.settled, self.snapshot.now.wall - SHOWN_SECONDS)
        return self._shown

    def attempts(self, vm: int) -> float:
        """Return how often a VM (row) is to be moved until it arrives, by how its last moves failed."""
        key, ledger = self.snapshot.vms.ids[vm], self.ledger
        if key not in ledger.failures and key not in ledger.silences:
            return 1.0
        since = self.snapshot.now.wall - FAILED_SECONDS
        return attempts_of(ledger.recent_failures(key, since), ledger.recent_silences(key, since))

    def risk(self, source: int, target: int) -> float:
        """Return how many times as much a routine move between two hosts (rows) costs as elsewhere."""
        names = self.snapshot.hosts.names
        return self.calibration.risk(names[source], names[target])

    @property
    def reserve(self) -> Reserve:
        """Whether any one failure domain may die, with what was planned by now."""
        if self._reserve is None:
            self._reserve = reserve_of(self.snapshot, self.policies.limits.failover_domain)
            for vm, row in self.moved.items():
                self._reserve.move(int(self.snapshot.vms.memory[vm]), int(self.snapshot.vms.host[vm]), row)
        return self._reserve

    @property
    def packings(self) -> tuple[Packing, ...]:
        """Where the VMs of each failure domain would go if it died; empty while nobody asked."""
        return () if self._reserve is None else self._reserve.packings

    def move(self, vm: int, source: int, target: int) -> None:
        """Take a move in: memory at both ends, processors, places, and what is left if a domain dies."""
        memory = int(self.snapshot.vms.memory[vm])
        self.promised[target] += memory
        self.leaving[source] += memory
        self.shift(vm, source, target)
        self.moved[vm] = target
        self.homes[vm] = self.homes[vm] | {target}
        if self._reserve is not None:
            self._reserve.move(memory, source, target)

    def shift(self, vm: int, source: int, target: int) -> None:
        """Count a VM's processors and network where it goes, as far as they are known."""
        vms = self.snapshot.vms
        for changed, used in ((self.shifted, float(vms.cpu[vm])), (self.rerouted, float(vms.network[vm]))):
            if not np.isnan(used):
                changed[source] -= used
                changed[target] += used
        if self.daily is not None:
            self.daily.shift(vm, source, target)

    def copy(self) -> Draft:
        """Return a draft to try something on."""
        return Draft(self.snapshot, self.ledger, self.policies, self.promised.copy(), self.leaving.copy(),
                     self.shifted.copy(), self.rerouted.copy(), dict(self.moved), list(self.moves), list(self.refusals),
                     dict(self.homes), self.scores, self.told, dict(self.asked), dict(self.counted_on), self.searched,
                     list(self.stuck), None if self.daily is None else self.daily.copy(), self.course, self.picks,
                     self._marks, self._calibration, self._shown, self._routine,
                     None if self._reserve is None else self._reserve.fork())

    def become(self, trial: Draft) -> None:
        """Take over what was tried on a copy."""
        for one in fields(self):
            setattr(self, one.name, getattr(trial, one.name))


@dataclass(frozen=True, slots=True)
class Candidate:
    """A target that passed: its points (larger is better), name and row. ``worth``: what is gained there, beside the
    points; ``refusals``: how often the VM was refused at its door within the hour; ``risk``: the points that it has less for
    how moves there went; ``is_picked``: together with the targets of other moves, whatever its points; ``is_hot``: it would
    be, with the VM; ``is_kept``: the plan in progress has it, though another has a few points more."""

    points: int
    name: str
    row: int
    worth: float = 0.0
    refusals: int = 0
    is_picked: bool = False
    risk: int = 0
    is_hot: bool = False
    is_kept: bool = False


def begin(snapshot: Snapshot, ledger: Ledger, policies: PolicySet, course: Course = UNCHARTED) -> Draft:
    """Return an empty draft, with the load of what is in flight where it is going. ``course``: the last plan, of which only
    what empties a host whose emptying has begun is in progress: before that nothing is lost by another."""
    count = len(snapshot.hosts.names)
    draft = Draft(snapshot, ledger, policies, np.zeros(count, np.int64), np.zeros(count, np.int64), np.zeros(count),
                  np.zeros(count))
    draft.homes, draft.daily = occupied(snapshot, ledger, {}), daily_of(snapshot)
    rows = {name: row for row, name in enumerate(snapshot.hosts.names)}
    index = {vm: row for row, vm in enumerate(snapshot.vms.ids)}
    for migration in ledger.open_migrations():
        vm, source, target = index.get(migration.vm), rows.get(migration.source), rows.get(migration.target)
        if vm is not None and source is not None and target is not None:
            draft.shift(vm, source, target)
            if migration.phase in HOLDS_SOURCE or source in snapshot.cast.seen_at[vm]:
                draft.leaving[source] += snapshot.vms.memory[vm]
    begun = [rows[host] for host in ledger.evacuating if host in rows]
    draft.course = {index[vm]: rows[target] for vm, target in course.items()
                    if vm in index and target in rows and int(snapshot.vms.host[index[vm]]) in begun}
    _forget_who_left(draft, rows)
    return draft


def _forget_who_left(draft: Draft, rows: Mapping[HostName, int]) -> None:
    """Count what a host uses by its VMs alone where one has just left: its telemetry's mean still has it in."""
    since, ledger = draft.snapshot.now.wall - max(TELEMETRY_LAGS_SECONDS, draft.snapshot.window), draft.ledger
    # who was paused by hand and called off stands in the books as moved to where he was
    left = {one.source for moves in ledger.moved.values() for one in moves if one.wall > since and one.source != one.target}
    for host in left - {migration.source for migration in ledger.open_migrations()} if left else ():
        row = rows.get(host)
        load = None if row is None else draft.snapshot.facts[row].load
        if row is not None and load is not None and load.used is not None and load.by_vms is not None:
            less = min(0.0, load.by_vms - load.used)
            draft.shifted[row] += less
            if draft.daily is not None:
                draft.daily.coming[row] += less
