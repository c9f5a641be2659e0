"""What is booked of migrations: ours from their orders to what became of them, and those of strangers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ballastd.core import autostart_events as aus
from ballastd.core import events as ev
from ballastd.core.arrival_checks import Arrival
from ballastd.core.books import DAY_SECONDS, FAILURE_MEMORY_SECONDS, Books, LedgerBroken
from ballastd.core.migrations import (
    TRANSITIONS,
    AutostartOwed,
    CallResult,
    Ending,
    Failure,
    Migration,
    MigrationPhase,
    Moved,
    RoutineOrder,
)
from ballastd.core.quantities import VmId

FAILURES_KEPT = 31
MOVES_KEPT_SECONDS = 2 * DAY_SECONDS
"""How long moves are remembered for cooldowns and daily budgets: longer than any of them."""
MOVES_KEPT = 4000


def _migration_ordered(books: Books, e: ev.MigrationOrdered) -> None:
    if e.id in books.migrations or books.open_migration_of(e.vm) is not None:
        raise LedgerBroken(f"a second open migration of {e.vm_name} ({e.id})")
    books.migrations[e.id] = Migration(
        id=e.id, vm=e.vm, vm_name=e.vm_name, source=e.source, target=e.target, memory=e.memory,
        bandwidth_mib_s=e.bandwidth_mib_s, policy=e.policy, because=e.because, ordered_wall=e.wall,
        deadline_wall=e.deadline_wall, predicted=e.predicted, adopted=e.adopted, retry=e.retry, routine=e.routine,
        urgent=e.urgent, runners_up=e.runners_up, why_not=e.why_not, saving=e.saving, approved_by=e.approved_by,
        downtime_ms=e.downtime_ms, auto_converge=e.auto_converge, post_copy=e.post_copy, reckoned=e.reckoned,
        downtime_reckoned_ms=e.downtime_reckoned_ms, downtime_predicted_ms=e.downtime_predicted_ms,
    )
    books.autonomy.use_up(e.recommendation)
    if e.routine:
        kept = tuple(o for o in books.routine_orders if o.wall > e.wall - DAY_SECONDS)
        books.routine_orders = (*kept, RoutineOrder(e.wall, e.policy, e.vm))


def _migration_called(books: Books, e: ev.MigrationCalled) -> None:
    migration = books.open_migration(e.id)
    books.migrations[e.id] = replace(migration, called=e.result, called_wall=e.wall, call_message=e.message,
                                     downtime_took_ms=e.downtime_ms)


def _migration_moved(books: Books, e: ev.MigrationMoved) -> None:
    migration = books.open_migration(e.id)
    if e.phase not in TRANSITIONS[migration.phase]:
        raise LedgerBroken(f"migration {e.id} cannot go from {migration.phase.value} to {e.phase.value}")
    books.migrations[e.id] = replace(migration, phase=e.phase)


def _migration_out_of_sight(books: Books, e: ev.MigrationOutOfSight) -> None:
    migration = books.open_migration(e.id)
    books.migrations[e.id] = replace(migration, was_out_of_sight=True)


_NO_FAILURE = frozenset({Ending.COMPLETED, Ending.LEFTOVER, Ending.ELSEWHERE})


def _migration_settled(books: Books, e: ev.MigrationSettled) -> None:
    migration = books.open_migration(e.id)
    del books.migrations[e.id]
    done = replace(migration, phase=MigrationPhase.SETTLED, ending=e.ending, settled_wall=e.wall,
                   call_message=e.detail or migration.call_message, dirtied=e.dirtied)
    books.settled.append(done)
    books.autonomy.note_ending(done, e.wall)
    if e.ending is Ending.COMPLETED:
        if done.check is not None:
            books.arrivals[e.id] = done
        if done.autostart:
            books.autostarts[e.id] = AutostartOwed(e.id, done.vm, done.vm_name, done.source, done.target)
    if has_left := e.ending in (Ending.COMPLETED, Ending.LEFTOVER):
        _remember_move(books, migration.vm, Moved(e.wall, migration.source, migration.target, migration.policy))
    if done.paused_by_hand:
        place = done.target if has_left else done.source
        _remember_move(books, done.vm, Moved(e.wall, done.source, place, ""))
    if e.ending in _NO_FAILURE:
        books.failures.pop(migration.vm, None)
    else:
        kept = books.recent_failures(migration.vm, e.wall - FAILURE_MEMORY_SECONDS)
        withheld = migration.called is CallResult.WITHHELD
        failure = Failure(e.wall, migration.target, e.ending, withheld, migration.post_copy)
        books.failures[migration.vm] = (*kept[-FAILURES_KEPT:], failure)


def _remember_move(books: Books, vm: VmId, move: Moved) -> None:
    since = move.wall - MOVES_KEPT_SECONDS
    kept = tuple(m for m in books.moved.pop(vm, ()) if m.wall > since)
    books.moved[vm] = (*kept, move)
    if len(books.moved) > MOVES_KEPT:  # in the order of their last move
        del books.moved[next(iter(books.moved))]


def _foreign_move_seen(books: Books, e: ev.ForeignMoveSeen) -> None:
    _remember_move(books, e.vm, Moved(e.wall, e.source, e.target, ""))


def _abort_ordered(books: Books, e: ev.AbortOrdered) -> None:
    migration = books.open_migration(e.id)
    books.migrations[e.id] = replace(migration, abort_reason=e.reason, overran=e.overran)


def _hand_pause_seen(books: Books, e: ev.HandPauseSeen) -> None:
    books.migrations[e.id] = replace(books.open_migration(e.id), paused_by_hand=True)


def _bandwidth_ordered(books: Books, e: ev.BandwidthOrdered) -> None:
    migration = books.open_migration(e.id)
    since = (e.wall if migration.climbs_wall is None else migration.climbs_wall) if e.climbs else None
    books.migrations[e.id] = replace(migration, bandwidth_mib_s=e.bandwidth_mib_s, retuned=True, bandwidth_because=e.because,
                                     climbs_wall=since)


def _way_given(books: Books, e: ev.WayGiven) -> None:
    migration = books.open_migration(e.id)
    books.migrations[e.id] = replace(migration, gives_way=e.because if e.less_mib_s else "")


def _downtime_ordered(books: Books, e: ev.DowntimeOrdered) -> None:
    migration = books.open_migration(e.id)
    books.migrations[e.id] = replace(migration, downtime_ms=e.downtime_ms)


def _post_copy_ordered(books: Books, e: ev.PostCopyOrdered) -> None:
    migration = books.open_migration(e.id)
    books.migrations[e.id] = replace(migration, post_copy_because=e.because)


def _post_copy_withdrawn(books: Books, e: ev.PostCopyWithdrawn) -> None:
    migration = books.open_migration(e.id)
    books.migrations[e.id] = replace(migration, post_copy_because="")


def _check_ordered(books: Books, e: ev.CheckOrdered) -> None:
    migration = books.open_migration(e.id)
    books.migrations[e.id] = replace(migration, check=e.check)


def _asked_before(books: Books, e: ev.AskedBefore) -> None:
    if e.id in books.arrivals:
        _update_settled(books, replace(books.arrivals[e.id], answered_before=e.answered))
        return
    migration = books.open_migration(e.id)
    books.migrations[e.id] = replace(migration, answered_before=e.answered)


def _arrival_checked(books: Books, e: ev.ArrivalChecked) -> None:
    if e.id not in books.arrivals:
        raise LedgerBroken(f"the VM of migration {e.id} is not being asked")
    done = replace(books.arrivals[e.id], arrival=e.arrival, arrival_detail=e.detail, arrival_seconds=e.seconds)
    _update_settled(books, done)
    del books.arrivals[e.id]
    if e.arrival is Arrival.ANSWERED:
        books.silences.pop(done.vm, None)
    elif e.arrival is Arrival.SILENT:
        kept = tuple(wall for wall in books.silences.get(done.vm, ()) if wall > e.wall - FAILURE_MEMORY_SECONDS)
        books.silences[done.vm] = (*kept[-FAILURES_KEPT:], e.wall)


def _update_settled(books: Books, done: Migration) -> None:
    """Put a settled migration whose VM is being asked in the place of what was known of it."""
    books.arrivals[done.id] = done
    for place, known in enumerate(books.settled):
        if known.id == done.id:
            books.settled[place] = done


def _autostart_noted(books: Books, e: aus.AutostartNoted) -> None:
    books.migrations[e.id] = replace(books.open_migration(e.id), autostart=True)


def _autostart_ordered(books: Books, e: aus.AutostartOrdered) -> None:
    owed = _owed(books, e.id)
    books.autostarts[e.id] = replace(owed, ordered=(*owed.ordered, e.host))


def _autostart_ended(books: Books, e: aus.AutostartEnded) -> None:
    del books.autostarts[_owed(books, e.id).migration]


def _owed(books: Books, migration: str) -> AutostartOwed:
    if migration not in books.autostarts:
        raise LedgerBroken(f"no autostart is owed to the VM of migration {migration}")
    return books.autostarts[migration]


MIGRATIONS: dict[type, Callable[[Books, Any], None]] = {
    ev.MigrationOrdered: _migration_ordered,
    ev.MigrationCalled: _migration_called,
    ev.MigrationMoved: _migration_moved,
    ev.MigrationOutOfSight: _migration_out_of_sight,
    ev.MigrationSettled: _migration_settled,
    ev.ForeignMoveSeen: _foreign_move_seen,
    ev.AbortOrdered: _abort_ordered,
    ev.HandPauseSeen: _hand_pause_seen,
    ev.BandwidthOrdered: _bandwidth_ordered,
    ev.WayGiven: _way_given,
    ev.DowntimeOrdered: _downtime_ordered,
    ev.PostCopyOrdered: _post_copy_ordered,
    ev.PostCopyWithdrawn: _post_copy_withdrawn,
    ev.CheckOrdered: _check_ordered,
    ev.AskedBefore: _asked_before,
    ev.ArrivalChecked: _arrival_checked,
    aus.AutostartNoted: _autostart_noted,
    aus.AutostartOrdered: _autostart_ordered,
    aus.AutostartEnded: _autostart_ended,
}
