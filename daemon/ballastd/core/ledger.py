"""The books: open migrations, reservations, cooldowns, operators' words. Made of events, and of nothing else.

A ledger is what the journal's events, applied in order, amount to. It is never right against the cluster:
reconciliation proposes events that bring it in line. Bounded: what is settled is kept for a while, then dropped.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields, replace
from typing import Any

from ballastd.core import events as ev
from ballastd.core.arrival_checks import Arrival
from ballastd.core.autonomy import AUTONOMY_EVENTS, Autonomy
from ballastd.core.migrations import (
    TRANSITIONS,
    CallResult,
    Ending,
    Failure,
    Migration,
    MigrationPhase,
    Moved,
    RoutineOrder,
)
from ballastd.core.plain import from_plain, to_plain
from ballastd.core.power import STANDING_BY, HostPower, PowerAct, PowerPhase
from ballastd.core.quantities import HostName, VmId
from ballastd.core.shutdown_books import SHUTDOWN_EVENTS, ShutdownBooks

SETTLED_KEPT = 200
HOUR_SECONDS = 3600.0
FAILURE_MEMORY_SECONDS = 24 * HOUR_SECONDS
CRASH_WINDOW_SECONDS = 600.0
FAILURES_KEPT = 31
DAY_SECONDS = 24 * HOUR_SECONDS
MOVES_KEPT_SECONDS = 2 * DAY_SECONDS
"""How long moves are remembered for cooldowns and daily budgets: longer than any of them."""
MOVES_KEPT = 4000
OPERATOR = "operator"
"""The policy of what a person asked for."""


class LedgerBroken(ValueError):
    """An event that cannot follow what is booked: our own mistake, or a damaged journal."""


@dataclass(slots=True)
class Ledger:
    """All durable state of the mind. Change it only through ``apply``."""

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
    moved: dict[VmId, tuple[Moved, ...]] = field(default_factory=dict)
    routine_orders: tuple[RoutineOrder, ...] = ()
    power: dict[HostName, HostPower] = field(default_factory=dict)
    power_acts: tuple[PowerAct, ...] = ()
    wakeable: dict[HostName, float] = field(default_factory=dict)
    wake_asked: dict[HostName, ev.WakeAsked] = field(default_factory=dict)
    switched_on: dict[HostName, float] = field(default_factory=dict)
    kept: dict[HostName, ev.HostKept] = field(default_factory=dict)
    paused: ev.Paused | None = None
    site_event: ev.SiteEventBegun | None = None
    duplicates: dict[VmId, ev.DuplicateSeen] = field(default_factory=dict)
    broken: ev.InvariantFailed | None = None
    running: bool = False
    crashes: tuple[float, ...] = ()
    policies_digest: str = ""
    autonomy: Autonomy = field(default_factory=Autonomy)
    shutdowns: ShutdownBooks = field(default_factory=ShutdownBooks)

    def draft(self) -> Ledger:
        """Return a copy that can take events without this one noticing."""
        return replace(
            self, migrations=dict(self.migrations), settled=self.settled.copy(), cordoned=dict(self.cordoned),
            drains=dict(self.drains), confirmed_dead=dict(self.confirmed_dead), latched=dict(self.latched),
            acknowledged=dict(self.acknowledged), counters=dict(self.counters), evacuating=dict(self.evacuating),
            failures=dict(self.failures), duplicates=dict(self.duplicates), moved=dict(self.moved),
            arrivals=dict(self.arrivals), silences=dict(self.silences),
            power=dict(self.power), wake_asked=dict(self.wake_asked), wakeable=dict(self.wakeable),
            switched_on=dict(self.switched_on), kept=dict(self.kept), autonomy=self.autonomy.draft(),
            shutdowns=self.shutdowns.draft(),
        )

    def checkpoint(self, wall: float) -> ev.CheckpointTaken:
        """Return the event that alone makes any ledger what this one is.

        Raises:
            LedgerBroken: the plain form does not come back as the same ledger: our own mistake.
        """
        event = ev.CheckpointTaken(wall, json.dumps(to_plain(self), separators=(",", ":")))
        if restored(event) != self:
            raise LedgerBroken("a checkpoint would not restore the ledger that it was taken of")
        return event

    def apply(self, event: ev.Event) -> None:
        """Book ``event``.

        Raises:
            LedgerBroken: it cannot follow what is booked.
        """
        _BOOK[type(event)](self, event)

    def replay(self, events: Iterable[ev.Event]) -> None:
        """Book ``events`` in order, as after a restart."""
        for event in events:
            self.apply(event)

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
        return sum(1 for wall in self.silences.get(vm, ()) if wall > since_wall)

    def last_moved(self, vm: VmId) -> Moved | None:
        """Return the last completed move of ``vm`` that is remembered, ours or not."""
        return next(iter(self.moved.get(vm, ())[-1:]), None)

    def host_touched(self, host: HostName) -> float | None:
        """Return when a move from or to ``host`` last completed, wall seconds, or None."""
        return max((m.wall for moves in self.moved.values() for m in moves[-1:] if host in (m.source, m.target)),
                   default=None)

    def routine_since(self, wall: float, policy: str | None = None, vm: VmId | None = None) -> int:
        """Return how many routine moves were ordered after ``wall``, by one policy or of one VM where given."""
        return sum(1 for o in self.routine_orders if o.wall > wall and policy in (None, o.policy) and vm in (None, o.vm))

    def power_acts_since(self, wall: float, *, on: bool, host: HostName | None = None) -> int:
        """Return how many power orders of one kind were given after ``wall``, to one host where given."""
        return sum(1 for act in self.power_acts if act.wall > wall and act.on is on and host in (None, act.host))

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

    def _migration(self, key: str) -> Migration:
        try:
            return self.migrations[key]
        except KeyError:
            raise LedgerBroken(f"migration {key} is not open") from None


def restored(event: ev.CheckpointTaken) -> Ledger:
    """Return the ledger of a checkpoint.

    Raises:
        LedgerBroken: it was written by a newer release, or is damaged.
    """
    try:
        ledger: Ledger = from_plain(Ledger, json.loads(event.state))
    except (ValueError, TypeError) as error:
        raise LedgerBroken(f"a checkpoint cannot be read: {error}") from error
    ledger.settled = deque(ledger.settled, maxlen=SETTLED_KEPT)
    return ledger


def _checkpoint_taken(ledger: Ledger, event: ev.CheckpointTaken) -> None:
    then = restored(event)
    for spec in fields(Ledger):
        setattr(ledger, spec.name, getattr(then, spec.name))


def _daemon_started(ledger: Ledger, event: ev.DaemonStarted) -> None:
    if ledger.running:
        recent = tuple(w for w in ledger.crashes if w > event.wall - CRASH_WINDOW_SECONDS)
        ledger.crashes = (*recent, event.wall)
    else:
        ledger.crashes = ()
    ledger.running = True
    ledger.broken = None
    for key, migration in ledger.migrations.items():
        # the callers died with the daemon before: only the hosts can say how it stands
        ledger.migrations[key] = replace(migration, adopted=True)


def _daemon_stopped(ledger: Ledger, _event: ev.DaemonStopped) -> None:
    ledger.running = False


def _policies_loaded(ledger: Ledger, event: ev.PoliciesLoaded) -> None:
    ledger.policies_digest = event.digest


def _migration_ordered(ledger: Ledger, e: ev.MigrationOrdered) -> None:
    if e.id in ledger.migrations or ledger.open_migration_of(e.vm) is not None:
        raise LedgerBroken(f"a second open migration of {e.vm_name} ({e.id})")
    ledger.migrations[e.id] = Migration(
        id=e.id, vm=e.vm, vm_name=e.vm_name, source=e.source, target=e.target, memory=e.memory,
        bandwidth_mib_s=e.bandwidth_mib_s, policy=e.policy, because=e.because, ordered_wall=e.wall,
        deadline_wall=e.deadline_wall, predicted=e.predicted, adopted=e.adopted, retry=e.retry, routine=e.routine,
        urgent=e.urgent, runners_up=e.runners_up, why_not=e.why_not, saving=e.saving, approved_by=e.approved_by,
        downtime_ms=e.downtime_ms, auto_converge=e.auto_converge, post_copy=e.post_copy, reckoned=e.reckoned,
        downtime_reckoned_ms=e.downtime_reckoned_ms, downtime_predicted_ms=e.downtime_predicted_ms,
    )
    ledger.autonomy.use_up(e.recommendation)
    if e.routine:
        kept = tuple(o for o in ledger.routine_orders if o.wall > e.wall - DAY_SECONDS)
        ledger.routine_orders = (*kept, RoutineOrder(e.wall, e.policy, e.vm))


def _migration_called(ledger: Ledger, e: ev.MigrationCalled) -> None:
    migration = ledger._migration(e.id)  # noqa: SLF001  the booking functions are the ledger's own
    ledger.migrations[e.id] = replace(migration, called=e.result, called_wall=e.wall, call_message=e.message,
                                     downtime_took_ms=e.downtime_ms)


def _migration_moved(ledger: Ledger, e: ev.MigrationMoved) -> None:
    migration = ledger._migration(e.id)  # noqa: SLF001  as above
    if e.phase not in TRANSITIONS[migration.phase]:
        raise LedgerBroken(f"migration {e.id} cannot go from {migration.phase.value} to {e.phase.value}")
    ledger.migrations[e.id] = replace(migration, phase=e.phase)


def _migration_out_of_sight(ledger: Ledger, e: ev.MigrationOutOfSight) -> None:
    migration = ledger._migration(e.id)  # noqa: SLF001  as above
    ledger.migrations[e.id] = replace(migration, was_out_of_sight=True)


_NO_FAILURE = frozenset({Ending.COMPLETED, Ending.LEFTOVER, Ending.ELSEWHERE})


def _migration_settled(ledger: Ledger, e: ev.MigrationSettled) -> None:
    migration = ledger._migration(e.id)  # noqa: SLF001  as above
    del ledger.migrations[e.id]
    done = replace(migration, phase=MigrationPhase.SETTLED, ending=e.ending, settled_wall=e.wall,
                   call_message=e.detail or migration.call_message, dirtied=e.dirtied)
    ledger.settled.append(done)
    ledger.autonomy.note_ending(done, e.wall)
    if e.ending is Ending.COMPLETED:
        if done.check is not None:
            ledger.arrivals[e.id] = done
        _remember_move(ledger, migration.vm, Moved(e.wall, migration.source, migration.target, migration.policy))
    if e.ending in _NO_FAILURE:
        ledger.failures.pop(migration.vm, None)
    else:
        kept = ledger.recent_failures(migration.vm, e.wall - FAILURE_MEMORY_SECONDS)
        withheld = migration.called is CallResult.WITHHELD
        failure = Failure(e.wall, migration.target, e.ending, withheld, migration.post_copy)
        ledger.failures[migration.vm] = (*kept[-FAILURES_KEPT:], failure)


def _remember_move(ledger: Ledger, vm: VmId, move: Moved) -> None:
    since = move.wall - MOVES_KEPT_SECONDS
    kept = tuple(m for m in ledger.moved.pop(vm, ()) if m.wall > since)
    ledger.moved[vm] = (*kept, move)
    if len(ledger.moved) > MOVES_KEPT:  # in the order of their last move
        del ledger.moved[next(iter(ledger.moved))]


def _foreign_move_seen(ledger: Ledger, e: ev.ForeignMoveSeen) -> None:
    _remember_move(ledger, e.vm, Moved(e.wall, e.source, e.target, ""))


def _host_emptying(ledger: Ledger, e: ev.HostEmptying) -> None:
    ledger.power[e.host] = HostPower(PowerPhase.EMPTYING, e.policy, e.because, e.wall, approved_by=e.approved_by,
                                     next_hosts=e.next_hosts)
    ledger.autonomy.use_up(e.recommendation)


def _host_closing(ledger: Ledger, e: ev.HostClosing) -> None:
    _move_power(ledger, e.host, e.wall, PowerPhase.CLOSING)


def _host_kept(ledger: Ledger, e: ev.HostKept) -> None:
    ledger.power.pop(e.host, None)
    ledger.kept[e.host] = e


def _power_off_ordered(ledger: Ledger, e: ev.PowerOffOrdered) -> None:
    before = ledger.power.get(e.host)
    ledger.power[e.host] = HostPower(PowerPhase.GOING_OFF, e.policy, e.because, e.wall, e.id, machine=e.machine,
                                     approved_by=before.approved_by if before else "",
                                     next_hosts=before.next_hosts if before else ())
    _note_power_act(ledger, PowerAct(e.wall, e.host, on=False))


def _wake_asked(ledger: Ledger, e: ev.WakeAsked) -> None:
    ledger.wake_asked[e.host] = e


def _wake_ordered(ledger: Ledger, e: ev.WakeOrdered) -> None:
    ledger.wake_asked.pop(e.host, None)
    before = ledger.power.get(e.host)
    ledger.power[e.host] = HostPower(PowerPhase.WAKING, e.policy, e.because, e.wall, e.id,
                                     off_wall=before.off_wall if before else None, machine=before.machine if before else "",
                                     approved_by=before.approved_by if before else "")
    _note_power_act(ledger, PowerAct(e.wall, e.host, on=True))


def _note_power_act(ledger: Ledger, act: PowerAct) -> None:
    kept = tuple(one for one in ledger.power_acts if one.wall > act.wall - DAY_SECONDS)
    ledger.power_acts = (*kept, act)


def _wake_withheld(ledger: Ledger, e: ev.WakeWithheld) -> None:
    _move_power(ledger, e.host, e.wall, PowerPhase.OFF)


def _host_off(ledger: Ledger, e: ev.HostOff) -> None:
    _move_power(ledger, e.host, e.wall, PowerPhase.OFF, off_wall=e.wall)


def _host_awake(ledger: Ledger, e: ev.HostAwake) -> None:
    power = ledger.power.pop(e.host, None)
    ledger.wake_asked.pop(e.host, None)
    ledger.switched_on[e.host] = e.wall
    # who was on all the time proves nothing by being on
    if power is not None and power.phase is PowerPhase.WAKING and power.off_wall is not None and e.seconds is not None:
        ledger.wakeable[e.host] = e.wall


def _power_failed(ledger: Ledger, e: ev.PowerFailed) -> None:
    _move_power(ledger, e.host, e.wall, PowerPhase.FAILED, because=e.detail)
    ledger.wakeable.pop(e.host, None)


def _wakeability_confirmed(ledger: Ledger, e: ev.WakeabilityConfirmed) -> None:
    ledger.wakeable[e.host] = e.wall


def _move_power(ledger: Ledger, host: HostName, wall: float, phase: PowerPhase, **changed: Any) -> None:
    power = ledger.power.get(host)
    if power is None:
        raise LedgerBroken(f"{host} is {phase.value}, and was never on its way there")
    ledger.power[host] = replace(power, phase=phase, since_wall=wall, **changed)


def _abort_ordered(ledger: Ledger, e: ev.AbortOrdered) -> None:
    migration = ledger._migration(e.id)  # noqa: SLF001  as above
    ledger.migrations[e.id] = replace(migration, abort_reason=e.reason, overran=e.overran)


def _bandwidth_ordered(ledger: Ledger, e: ev.BandwidthOrdered) -> None:
    migration = ledger._migration(e.id)  # noqa: SLF001  as above
    ledger.migrations[e.id] = replace(migration, bandwidth_mib_s=e.bandwidth_mib_s, retuned=True)


def _downtime_ordered(ledger: Ledger, e: ev.DowntimeOrdered) -> None:
    migration = ledger._migration(e.id)  # noqa: SLF001  as above
    ledger.migrations[e.id] = replace(migration, downtime_ms=e.downtime_ms)


def _post_copy_ordered(ledger: Ledger, e: ev.PostCopyOrdered) -> None:
    migration = ledger._migration(e.id)  # noqa: SLF001  as above
    ledger.migrations[e.id] = replace(migration, post_copy_because=e.because)


def _post_copy_withdrawn(ledger: Ledger, e: ev.PostCopyWithdrawn) -> None:
    migration = ledger._migration(e.id)  # noqa: SLF001  as above
    ledger.migrations[e.id] = replace(migration, post_copy_because="")


def _check_ordered(ledger: Ledger, e: ev.CheckOrdered) -> None:
    migration = ledger._migration(e.id)  # noqa: SLF001  as above
    ledger.migrations[e.id] = replace(migration, check=e.check)


def _asked_before(ledger: Ledger, e: ev.AskedBefore) -> None:
    if e.id in ledger.arrivals:
        _update_settled(ledger, replace(ledger.arrivals[e.id], answered_before=e.answered))
        return
    migration = ledger._migration(e.id)  # noqa: SLF001  as above
    ledger.migrations[e.id] = replace(migration, answered_before=e.answered)


def _arrival_checked(ledger: Ledger, e: ev.ArrivalChecked) -> None:
    if e.id not in ledger.arrivals:
        raise LedgerBroken(f"the VM of migration {e.id} is not being asked")
    done = replace(ledger.arrivals[e.id], arrival=e.arrival, arrival_detail=e.detail, arrival_seconds=e.seconds)
    _update_settled(ledger, done)
    del ledger.arrivals[e.id]
    if e.arrival is Arrival.ANSWERED:
        ledger.silences.pop(done.vm, None)
    elif e.arrival is Arrival.SILENT:
        kept = tuple(wall for wall in ledger.silences.get(done.vm, ()) if wall > e.wall - FAILURE_MEMORY_SECONDS)
        ledger.silences[done.vm] = (*kept[-FAILURES_KEPT:], e.wall)


def _update_settled(ledger: Ledger, done: Migration) -> None:
    """Put a settled migration whose VM is being asked in the place of what was known of it."""
    ledger.arrivals[done.id] = done
    for place, known in enumerate(ledger.settled):
        if known.id == done.id:
            ledger.settled[place] = done


def _verdict_latched(ledger: Ledger, e: ev.VerdictLatched) -> None:
    ledger.latched.setdefault((e.policy, e.host), e)


def _verdicts_acknowledged(ledger: Ledger, e: ev.VerdictsAcknowledged) -> None:
    for key in [key for key in ledger.latched if key[1] == e.host]:
        del ledger.latched[key]
    ledger.acknowledged[e.host] = e.wall


def _counters_noted(ledger: Ledger, e: ev.CountersNoted) -> None:
    key = (e.host, e.metric)
    ledger.counters[key] = {**ledger.counters.get(key, {}), **dict(e.values)}


def _evacuation_begun(ledger: Ledger, e: ev.EvacuationBegun) -> None:
    ledger.evacuating[e.host] = e
    if e.policy == OPERATOR:
        return  # what a person asked for does not use up what we may do by ourselves
    kept = tuple(w for w in ledger.evacuation_starts if w > e.wall - HOUR_SECONDS)
    ledger.evacuation_starts = (*kept, e.wall)


def _evacuation_ended(ledger: Ledger, e: ev.EvacuationEnded) -> None:
    ledger.evacuating.pop(e.host, None)


def _host_cordoned(ledger: Ledger, e: ev.HostCordoned) -> None:
    ledger.cordoned[e.host] = e


def _host_uncordoned(ledger: Ledger, e: ev.HostUncordoned) -> None:
    ledger.cordoned.pop(e.host, None)


def _drain_requested(ledger: Ledger, e: ev.DrainRequested) -> None:
    ledger.drains[e.host] = e


def _drain_cancelled(ledger: Ledger, e: ev.DrainCancelled) -> None:
    ledger.drains.pop(e.host, None)


def _host_confirmed_dead(ledger: Ledger, e: ev.HostConfirmedDead) -> None:
    ledger.confirmed_dead[e.host] = e


def _host_seen_alive(ledger: Ledger, e: ev.HostSeenAlive) -> None:
    ledger.confirmed_dead.pop(e.host, None)


def _paused(ledger: Ledger, e: ev.Paused) -> None:
    ledger.paused = e


def _resumed(ledger: Ledger, _e: ev.Resumed) -> None:
    ledger.paused = None


def _site_event_begun(ledger: Ledger, e: ev.SiteEventBegun) -> None:
    ledger.site_event = e


def _site_event_ended(ledger: Ledger, _e: ev.SiteEventEnded) -> None:
    ledger.site_event = None


def _duplicate_seen(ledger: Ledger, e: ev.DuplicateSeen) -> None:
    ledger.duplicates[e.vm] = e


def _duplicate_cleared(ledger: Ledger, e: ev.DuplicateCleared) -> None:
    ledger.duplicates.pop(e.vm, None)


def _invariant_failed(ledger: Ledger, e: ev.InvariantFailed) -> None:
    ledger.broken = e


def _said_of_policies(ledger: Ledger, event: Any) -> None:
    try:
        ledger.autonomy.apply(event)
    except KeyError:
        raise LedgerBroken(f"{event.id} was never recommended") from None


def _said_of_shutdowns(ledger: Ledger, event: Any) -> None:
    try:
        ledger.shutdowns.apply(event)
    except KeyError:
        raise LedgerBroken(f"shutdown {event.id} cannot go on so, or its VM has another that is open") from None


def _nothing(_ledger: Ledger, _event: Any) -> None:
    """Some events only tell a story."""


_BOOK: dict[type, Callable[[Ledger, Any], None]] = {
    ev.DaemonStarted: _daemon_started,
    ev.DaemonStopped: _daemon_stopped,
    ev.PoliciesLoaded: _policies_loaded,
    ev.MigrationOrdered: _migration_ordered,
    ev.MigrationCalled: _migration_called,
    ev.MigrationMoved: _migration_moved,
    ev.MigrationOutOfSight: _migration_out_of_sight,
    ev.MigrationSettled: _migration_settled,
    ev.AbortOrdered: _abort_ordered,
    ev.BandwidthOrdered: _bandwidth_ordered,
    ev.DowntimeOrdered: _downtime_ordered,
    ev.PostCopyOrdered: _post_copy_ordered,
    ev.PostCopyWithdrawn: _post_copy_withdrawn,
    ev.CheckOrdered: _check_ordered,
    ev.AskedBefore: _asked_before,
    ev.ArrivalChecked: _arrival_checked,
    ev.VerdictLatched: _verdict_latched,
    ev.VerdictsAcknowledged: _verdicts_acknowledged,
    ev.CountersNoted: _counters_noted,
    ev.EvacuationBegun: _evacuation_begun,
    ev.EvacuationEnded: _evacuation_ended,
    ev.HostCordoned: _host_cordoned,
    ev.HostUncordoned: _host_uncordoned,
    ev.DrainRequested: _drain_requested,
    ev.DrainCancelled: _drain_cancelled,
    ev.HostConfirmedDead: _host_confirmed_dead,
    ev.HostSeenAlive: _host_seen_alive,
    ev.Paused: _paused,
    ev.Resumed: _resumed,
    ev.SiteEventBegun: _site_event_begun,
    ev.SiteEventEnded: _site_event_ended,
    ev.DuplicateSeen: _duplicate_seen,
    ev.DuplicateCleared: _duplicate_cleared,
    ev.InvariantFailed: _invariant_failed,
    ev.ForeignMoveSeen: _foreign_move_seen,
    ev.HostEmptying: _host_emptying,
    ev.HostClosing: _host_closing,
    ev.HostKept: _host_kept,
    ev.PowerOffOrdered: _power_off_ordered,
    ev.WakeAsked: _wake_asked,
    ev.WakeOrdered: _wake_ordered,
    ev.WakeWithheld: _wake_withheld,
    ev.HostOff: _host_off,
    ev.HostAwake: _host_awake,
    ev.PowerFailed: _power_failed,
    ev.WakeabilityConfirmed: _wakeability_confirmed,
    ev.JournalRecovered: _nothing,
    ev.JournalReplaced: _nothing,
    ev.CheckpointTaken: _checkpoint_taken,
    **dict.fromkeys(AUTONOMY_EVENTS, _said_of_policies),
    **dict.fromkeys(SHUTDOWN_EVENTS, _said_of_shutdowns),
}
