"""What the books hold: open migrations, reservations, cooldowns, operators' words, power; and what can be asked of them."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from ballastd.core import events as ev
from ballastd.core import power_events as pw
from ballastd.core.autonomy import Autonomy
from ballastd.core.migrations import AutostartOwed, Failure, Migration, Moved, RoutineOrder
from ballastd.core.power import STANDING_BY, HostPower, PowerAct, PowerPhase
from ballastd.core.quantities import HostName, VmId
from ballastd.core.shutdown_books import ShutdownBooks

SETTLED_KEPT = 200
HOUR_SECONDS = 3600.0
FAILURE_MEMORY_SECONDS = 24 * HOUR_SECONDS
DAY_SECONDS = 24 * HOUR_SECONDS
WAKE_ASKED_SECONDS = 12 * HOUR_SECONDS
"""For so long (wall clock) it is acted upon that an operator wants a host switched on; who asked longer ago may have
forgotten it."""
OPERATOR = "operator"
"""The policy of what a person asked for."""


def allowed_again(done: Iterable[float], limit: int, span: float) -> float:
    """Return when (wall) fewer than ``limit`` of what was done at the times ``done``, as many or more, are within ``span``
    seconds: where a limit was lowered meanwhile, more than one of them has to be over."""
    return sorted(done)[-limit] + span


class LedgerBroken(ValueError):
    """An event that cannot follow what is booked: our own mistake, or a damaged journal."""


@dataclass(slots=True)
class Books:
    """All durable state of the mind, and what can be asked of it. Who books events on it: ``ledger``."""

    migrations: dict[str, Migration] = field(default_factory=dict)
    settled: deque[Migration] = field(default_factory=lambda: deque(maxlen=SETTLED_KEPT))
    cordoned: dict[HostName, ev.HostCordoned] = field(default_factory=dict)
    drains: dict[HostName, ev.DrainRequested] = field(default_factory=dict)
    confirmed_dead: dict[HostName, ev.HostConfirmedDead] = field(default_factory=dict)
    latched: dict[tuple[str, HostName], ev.VerdictLatched] = field(default_factory=dict)
    acknowledged: dict[HostName, float] = field(default_factory=dict)
    counters: dict[tuple[HostName, str], dict[str, float]] = field(default_factory=dict)
    evacuating: dict[HostName, ev.EvacuationBegun] = field(default_factory=dict)
    evacuation_starts: tuple[float, ...] = ()
    failures: dict[VmId, tuple[Failure, ...]] = field(default_factory=dict)
    arrivals: dict[str, Migration] = field(default_factory=dict)
    """Completed migrations whose VMs are being asked whether they answer, by id."""
    silences: dict[VmId, tuple[float, ...]] = field(default_factory=dict)
    """When VMs were found silent that had answered before they were moved, wall seconds."""
    autostarts: dict[str, AutostartOwed] = field(default_factory=dict)
    """VMs whose autostart has to be given back, by the migration that lost it, in the order in which these were settled."""
    moved: dict[VmId, tuple[Moved, ...]] = field(default_factory=dict)
    routine_orders: tuple[RoutineOrder, ...] = ()
    power: dict[HostName, HostPower] = field(default_factory=dict)
    power_acts: tuple[PowerAct, ...] = ()
    wakeable: dict[HostName, float] = field(default_factory=dict)
    wake_asked: dict[HostName, pw.WakeAsked] = field(default_factory=dict)
    switched_on: dict[HostName, float] = field(default_factory=dict)
    kept: dict[HostName, pw.HostKept] = field(default_factory=dict)
    paused: ev.Paused | None = None
    site_event: ev.SiteEventBegun | None = None
    duplicates: dict[VmId, ev.DuplicateSeen] = field(default_factory=dict)
    broken: ev.InvariantFailed | None = None
    running: bool = False
    crashes: tuple[float, ...] = ()
    policies_digest: str = ""
    autonomy: Autonomy = field(default_factory=Autonomy)
    shutdowns: ShutdownBooks = field(default_factory=ShutdownBooks)

    def open_migrations(self) -> tuple[Migration, ...]:
        """Return the migrations whose books are open, by id."""
        return tuple(self.migrations[key] for key in sorted(self.migrations))

    def open_migration_of(self, vm: VmId) -> Migration | None:
        """Return the open migration of ``vm``; there is at most one."""
        return next((m for m in self.migrations.values() if m.vm == vm), None) if self.migrations else None

    def evacuations_since(self, wall: float) -> int:
        """Return how many evacuations began after ``wall``."""
        return sum(1 for start in self.evacuation_starts if start > wall)

    def recent_failures(self, vm: VmId, since_wall: float) -> tuple[Failure, ...]:
        """Return the failed attempts to move ``vm`` after ``since_wall``, oldest first."""
        return tuple(f for f in self.failures.get(vm, ()) if f.wall > since_wall)

    def recent_silences(self, vm: VmId, since_wall: float) -> int:
        """Return how often ``vm`` was silent after a move since ``since_wall``, and has not answered after another."""
        return sum(1 for wall in self.silences.get(vm, ()) if wall > since_wall) if self.silences else 0

    def last_moved(self, vm: VmId) -> Moved | None:
        """Return the last completed move of ``vm`` that is remembered, ours or not."""
        return next(iter(self.moved.get(vm, ())[-1:]), None)

    def host_touched(self, host: HostName) -> float | None:
        """Return when a move from or to ``host`` last completed, wall seconds, or None."""
        return max((m.wall for moves in self.moved.values() for m in moves if host in (m.source, m.target)), default=None)

    def routine_since(self, wall: float, policy: str) -> int:
        """Return how many routine moves a policy ordered after ``wall``."""
        return sum(1 for o in self.routine_orders if o.wall > wall and o.policy == policy)

    def routine_by_vm(self, wall: float) -> Counter[VmId]:
        """Return how many routine moves of each VM were ordered after ``wall``."""
        return Counter(o.vm for o in self.routine_orders if o.wall > wall)

    def power_acts_since(self, wall: float, *, on: bool, host: HostName | None = None) -> int:
        """Return how many power orders of one kind were given after ``wall``, to one host where given."""
        return sum(1 for act in self.power_acts if act.wall > wall and act.on is on and host in (None, act.host))

    def changed_since(self, wall: float) -> dict[HostName, float]:
        """Return the hosts that VMs were moved off for more than comfort, or that were told to go off, after ``wall``, and
        when last (wall); with those off which one is on its way."""
        found = [(act.host, act.wall) for act in self.power_acts if not act.on and act.wall > wall]
        found += [(m.source, m.ordered_wall) for m in self.settled if not m.routine and m.ordered_wall > wall]
        found += [(m.source, m.ordered_wall) for m in self.migrations.values() if not m.routine]
        return dict(sorted(found, key=lambda one: one[1]))

    def wakes_asked(self, wall: float) -> dict[HostName, pw.WakeAsked]:
        """Return what operators want switched on and have asked for lately enough, by host."""
        return {host: asked for host, asked in self.wake_asked.items() if wall - asked.wall < WAKE_ASKED_SECONDS}

    def standing_by(self) -> frozenset[HostName]:
        """Return the hosts whose silence is expected: on their way off, off, or on their way back."""
        return frozenset(host for host, power in self.power.items() if power.phase in STANDING_BY)

    def switching(self) -> frozenset[HostName]:
        """Return the hosts whose power is under way: neither off for good nor given up."""
        return frozenset(host for host, power in self.power.items()
                         if power.phase not in (PowerPhase.OFF, PowerPhase.FAILED))

    def frozen_hosts(self) -> frozenset[HostName]:
        """Return the hosts on which a duplicate VM was seen: nothing is done to them."""
        return frozenset(host for seen in self.duplicates.values() for host in seen.hosts)

    def open_migration(self, key: str) -> Migration:
        """Return an open migration.

        Raises:
            LedgerBroken: there is none of that id.
        """
        try:
            return self.migrations[key]
        except KeyError:
            raise LedgerBroken(f"migration {key} is not open") from None
