"""What keeps everything from starting: pause, freeze, start-up, a site event, doubts about ourselves.

A gate never stops what runs; it keeps new acts from starting. Memory of gates is not durable, but for what the
ledger holds (pause, site event, crashes, a broken invariant): after a restart the start-up gate covers the rest.
"""

from __future__ import annotations

import math

from ballastd.core import events as ev
from ballastd.core.books import OPERATOR
from ballastd.core.clearance import Clearance, Gate
from ballastd.core.inputs import SelfSuspect
from ballastd.core.ledger import CRASH_WINDOW_SECONDS, Ledger
from ballastd.core.plans import DeferralKind
from ballastd.core.policies import Health, Limits, Timing
from ballastd.core.power import PowerPhase
from ballastd.core.quantities import HostName, Instant
from ballastd.core.snapshot import Snapshot

CRASHES_MAX = 3


class Gatekeeper:
    """Remembers since when each gate stands, on the monotonic clock."""

    def __init__(self, timing: Timing, started: Instant) -> None:
        self._timing = timing
        self._started = started
        self._suspect_until = float("-inf")
        self._suspect_reason = ""
        self._journal_reason: str | None = None
        self._observe_reason: str | None = None
        self._telemetry_reason: str | None = None
        self._rival: str | None = None
        self._frozen = False
        self._thawed_at: float | None = None
        self._site_quiet_since: float | None = None
        self.freeze_ended = False
        """Whether the last look at the gates ended a freeze: then every hold starts again."""

    @property
    def journal_is_failing(self) -> bool:
        """Whether the last attempt to write the journal failed."""
        return self._journal_reason is not None

    @property
    def telemetry_trouble(self) -> str | None:
        """Why the broker is not reached, or None."""
        return self._telemetry_reason

    def journal_failed(self, reason: str) -> None:
        """Nothing starts until something could be written."""
        self._journal_reason = reason

    def journal_works(self) -> None:
        """Something was written."""
        self._journal_reason = None

    def observe_only(self, reason: str) -> None:
        """Nothing starts until a person restarts the daemon."""
        self._observe_reason = self._observe_reason or reason

    def telemetry_lost(self, reason: str | None) -> None:
        """Note that the broker is gone (a reason) or back (None). Silence does the rest."""
        self._telemetry_reason = reason

    def note_rival(self, name: str | None) -> None:
        """Another daemon claims this cluster, or no longer does."""
        self._rival = name

    def suspect_ourselves(self, doubt: SelfSuspect, now: Instant) -> None:
        """We lagged, slept or were given another time: start nothing for a while."""
        self._suspect_until = now.monotonic + self._timing.self_suspect
        self._suspect_reason = doubt.reason

    def gates(self, snapshot: Snapshot, ledger: Ledger, limits: Limits, now: Instant) -> tuple[Gate, ...]:
        """Return every gate that stands now, the gravest first."""
        failing = frozenset(f.declared.name for f in snapshot.facts if f.health is Health.FAILING)
        return (*self._own_doubts(ledger, now), *self._starting(snapshot, now),
                *self._freeze(snapshot, ledger, limits, now, failing), *self._site(ledger, failing))

    def _own_doubts(self, ledger: Ledger, now: Instant) -> list[Gate]:
        found: list[Gate] = []
        crashes = [w for w in ledger.crashes if w > now.wall - CRASH_WINDOW_SECONDS]
        if self._observe_reason:
            found.append(Gate(DeferralKind.OBSERVING, self._observe_reason))
        if ledger.broken is not None:
            found.append(Gate(DeferralKind.OBSERVING, f"an invariant broke: {ledger.broken.detail}"))
        if len(crashes) >= CRASHES_MAX:
            found.append(Gate(DeferralKind.OBSERVING, f"{len(crashes)} crashes within ten minutes",
                              crashes[-CRASHES_MAX] + CRASH_WINDOW_SECONDS))
        if self._journal_reason is not None:
            found.append(Gate(DeferralKind.OBSERVING, f"the journal cannot be written: {self._journal_reason}"))
        if self._rival is not None:
            found.append(Gate(DeferralKind.OBSERVING, f"another daemon ({self._rival}) claims this cluster: stop one"))
        if ledger.paused is not None:
            why = f": {ledger.paused.reason}" if ledger.paused.reason else ""
            found.append(Gate(DeferralKind.PAUSED, f"paused by {ledger.paused.by}{why}"))
        if now.monotonic < self._suspect_until:
            until = now.wall + self._suspect_until - now.monotonic
            found.append(Gate(DeferralKind.SELF_SUSPECT, self._suspect_reason, until))
        return found

    def _starting(self, snapshot: Snapshot, now: Instant) -> list[Gate]:
        quiet = self._timing.startup_quiet - (now.monotonic - self._started.monotonic)
        if quiet > 0:
            return [Gate(DeferralKind.STARTING, f"quiet for {self._timing.startup_quiet:g} s after the start",
                         now.wall + quiet)]
        unseen = [f.declared.name for f in snapshot.facts if not f.asked]
        return [Gate(DeferralKind.STARTING, f"not looked at yet: {', '.join(unseen)}")] if unseen else []

    def _freeze(self, snapshot: Snapshot, ledger: Ledger, limits: Limits, now: Instant,
                failing: frozenset[HostName]) -> list[Gate]:
        unknown = [f.declared.name for f in snapshot.facts
                   if not (f.fresh and f.reachable) and f.declared.name not in ledger.confirmed_dead
                   and f.declared.name not in ledger.standing_by()]
        total = len(snapshot.facts)
        freeze_at = max(limits.unknown_at_least, math.ceil(limits.freeze_share * total))
        caution_at = max(limits.unknown_at_least, math.ceil(limits.caution_share * total))
        self.freeze_ended = False
        names = f"{len(unknown)} of {total} hosts are unknown ({', '.join(unknown)})"
        if len(unknown) >= freeze_at:
            self._frozen, self._thawed_at = True, None
            return [Gate(DeferralKind.FROZEN, f"{names}; frozen at {freeze_at}")]
        if self._frozen:
            self._frozen, self.freeze_ended = False, True
            starting = now.monotonic - self._started.monotonic < self._timing.startup_quiet + self._timing.pace
            self._thawed_at = None if starting else now.monotonic
        if self._thawed_at is not None:
            left = limits.settle_after_freeze - (now.monotonic - self._thawed_at)
            if left > 0:
                return [Gate(DeferralKind.FROZEN, "settling after a freeze", now.wall + left)]
            self._thawed_at = None
        if len(unknown) >= caution_at:
            return [Gate(DeferralKind.FROZEN, f"{names}; caution from {caution_at}: only failing hosts are emptied",
                         passes=failing)]
        return []

    @staticmethod
    def _site(ledger: Ledger, failing: frozenset[HostName]) -> list[Gate]:
        event = ledger.site_event
        if event is None:
            return []
        begun_before = frozenset(h for h, e in ledger.evacuating.items() if e.wall < event.wall)
        return [Gate(DeferralKind.SITE_EVENT, event.detail, passes=begun_before & failing)]

    def site_event(self, current: ev.SiteEventBegun | None, reason: str | None, limits: Limits, now: Instant
                   ) -> ev.SiteEventBegun | ev.SiteEventEnded | None:
        """Return the event that begins or ends a site event: it ends once nothing spoke for it for a while."""
        if reason is not None:
            self._site_quiet_since = None
            return ev.SiteEventBegun(now.wall, reason) if current is None else None
        if current is None:
            return None
        if self._site_quiet_since is None:
            self._site_quiet_since = now.monotonic
        if now.monotonic - self._site_quiet_since < limits.settle_after_freeze:
            return None
        self._site_quiet_since = None
        return ev.SiteEventEnded(now.wall)


def clearance(snapshot: Snapshot, ledger: Ledger, gates: tuple[Gate, ...]) -> Clearance:
    """Return what stands against acts now, whatever was planned."""
    by_hand = {host for host, power in ledger.power.items() if power.policy == OPERATOR}
    packing = {host for host, power in ledger.power.items() if power.phase is PowerPhase.EMPTYING}
    avoid = {name: noes[0] for name, noes in zip(snapshot.hosts.names, snapshot.why_not, strict=True) if noes}
    return Clearance(snapshot.now, gates, avoid, frozenset(by_hand | ledger.drains.keys()), frozenset(packing - by_hand),
                     frozenset(ledger.wakes_asked(snapshot.now.wall)))
