"""The books: open migrations, reservations, cooldowns, operators' words. Made of events, and of nothing else.

A ledger is what the journal's events, applied in order, amount to. It is never right against the cluster:
reconciliation proposes events that bring it in line. Bounded: what is settled is kept for a while, then dropped.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from typing import Any

from ballastd.core import events as ev
from ballastd.core.autonomy import AUTONOMY_EVENTS
from ballastd.core.booking_clock import clock_stepped
from ballastd.core.booking_migrations import MIGRATIONS
from ballastd.core.booking_power import POWER
from ballastd.core.books import HOUR_SECONDS, OPERATOR, SETTLED_KEPT, Books, LedgerBroken
from ballastd.core.plain import from_plain, to_plain
from ballastd.core.shutdown_books import SHUTDOWN_EVENTS

CRASH_WINDOW_SECONDS = 600.0


@dataclass(slots=True)
class Ledger(Books):
    """The books as events make them. Change them only through ``apply``."""

    def draft(self) -> Ledger:
        """Return a copy that can take events without this one noticing."""
        return replace(
            self, migrations=dict(self.migrations), settled=self.settled.copy(), cordoned=dict(self.cordoned),
            drains=dict(self.drains), confirmed_dead=dict(self.confirmed_dead), latched=dict(self.latched),
            acknowledged=dict(self.acknowledged), counters=dict(self.counters), evacuating=dict(self.evacuating),
            failures=dict(self.failures), duplicates=dict(self.duplicates), moved=dict(self.moved),
            arrivals=dict(self.arrivals), silences=dict(self.silences), autostarts=dict(self.autostarts),
            power=dict(self.power), wake_asked=dict(self.wake_asked), wakeable=dict(self.wakeable),
            switched_on=dict(self.switched_on), kept=dict(self.kept), autonomy=self.autonomy.draft(),
            shutdowns=self.shutdowns.draft(),
        )

    def checkpoint(self, wall: float) -> ev.CheckpointTaken:
        """Return the event that alone makes any ledger what this one is.

        Raises:
            LedgerBroken: the plain form does not come back as the same ledger: our own mistake.
        """
        event = ev.CheckpointTaken(wall, json.dumps(to_plain(self, sparse=True), separators=(",", ":")))
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


def _verdict_latched(ledger: Ledger, e: ev.VerdictLatched) -> None:
    ledger.latched.setdefault((e.policy, e.host), e)


def _verdicts_acknowledged(ledger: Ledger, e: ev.VerdictsAcknowledged) -> None:
    for key in [key for key in ledger.latched if key[1] == e.host]:
        del ledger.latched[key]
    ledger.acknowledged[e.host] = e.wall
    ledger.shutdowns.acknowledge(e.host)


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
    ev.JournalRecovered: _nothing,
    ev.JournalReplaced: _nothing,
    ev.ClockStepped: clock_stepped,
    ev.CheckpointTaken: _checkpoint_taken,
    **MIGRATIONS,
    **POWER,
    **dict.fromkeys(AUTONOMY_EVENTS, _said_of_policies),
    **dict.fromkeys(SHUTDOWN_EVENTS, _said_of_shutdowns),
}
