"""Guests that somebody pauses while they are on their way.

A hypervisor shows such a pause as it shows the moment of the hand-over, and undoes it when the migration is over, wherever
it ends: called off, the guest runs at its source. So a migration is called off, back to where the hand that paused its guest
knows it and can pause it for good; one that leaves a failing host goes on. What the pause was for nobody knows (to suspend a
guest is also how one forces a migration to its end), so nobody but a person pauses it again: people are told.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from ballastd.core import events as ev
from ballastd.core.convergence import UNSAID_MS
from ballastd.core.inventory import JobKind, VmState
from ballastd.core.ledger import Ledger
from ballastd.core.migrations import Ending, Migration
from ballastd.core.notices import Notice
from ballastd.core.quantities import MIB, Instant
from ballastd.core.senses import Senses

STANDS_SECONDS = 1.0
"""A guest that was handed over when it was looked at first is handed over for longer only where something hangs."""
MARGIN = 2.0
"""A hand-over begins with no more left than is copied, as fast as lately, in the standstill that is allowed; so many times
that."""


@dataclass(frozen=True, slots=True)
class HandsSeen:
    """What to book, and what to tell."""

    events: tuple[ev.HandPauseSeen, ...] = ()
    notices: tuple[Notice, ...] = ()


@dataclass(slots=True)
class _Stand:
    """A guest that stands. ``since``: when the look that showed it first was taken; ``again``: when the first one a second
    or more after that was, endless while there was none; monotonic."""

    since: float
    again: float = inf


class HandPauses:
    """Remembers which guests stand, by migration, and whose end people are still to be told of."""

    def __init__(self, senses: Senses) -> None:
        self._senses = senses
        self._stands: dict[str, _Stand] = {}
        self._awaited: frozenset[str] = frozenset()

    def follow(self, ledger: Ledger, now: Instant) -> HandsSeen:
        """Return the pauses that show now, and what became of guests that were paused before."""
        if not ledger.migrations and not self._awaited:
            return HandsSeen()
        self._stands = {key: one for key, one in self._stands.items() if key in ledger.migrations}
        paused = [m for m in ledger.open_migrations() if m.holds_slot and not m.paused_by_hand and self._is_paused(m, now)]
        ended = self._awaited - ledger.migrations.keys()
        told = [_seen(m) for m in paused]
        told += [notice for m in ledger.settled if m.id in ended for notice in self._told(m, now)]
        self._awaited = frozenset(key for key, m in ledger.migrations.items() if m.paused_by_hand or m in paused)
        return HandsSeen(tuple(ev.HandPauseSeen(now.wall, m.id) for m in paused), tuple(told))

    def _is_paused(self, m: Migration, now: Instant) -> bool:
        """Return whether its guest stands at its source though more is left than any hand-over begins with: in two looks,
        and by what was said of its job after the second, however many came since."""
        record = self._senses.record(m.source, m.vm, now)
        if record is None or record.state is not VmState.HANDOVER or record.job is not JobKind.OUTGOING:
            self._stands.pop(m.id, None)
            return False
        look, shown = self._senses.inventories[m.source], self._senses.progress.get(m.id)
        stand = self._stands.setdefault(m.id, _Stand(look.taken.monotonic))
        if look.begun.monotonic - stand.since >= STANDS_SECONDS:
            stand.again = min(stand.again, look.taken.monotonic)
        if shown is None or shown.progress is None or shown.at.monotonic < stand.again:
            return False
        # while it is given less than before it may be as fast as it was
        bytes_s = max(float(m.bandwidth_mib_s * MIB), shown.progress.throughput_bytes_s)
        most = MARGIN * bytes_s * (m.downtime_ms or UNSAID_MS) / 1000.0
        return shown.progress.memory_remaining > most

    def _told(self, m: Migration, now: Instant) -> tuple[Notice, ...]:
        host = m.target if m.ending is Ending.COMPLETED else m.source
        record = self._senses.record(host, m.vm, now)
        if record is None or not record.state.runs:
            return ()
        text = (f"{m.vm_name}, which somebody paused while it migrated, runs on {host}: its hypervisor set it going when "
                f"its migration {m.id} ended; cure: virsh suspend {m.vm_name} there if it is still to be paused; nothing "
                "routine moves it for now")
        return (Notice("alarm", f"hand-pause/{m.vm}", text),)


def _seen(m: Migration) -> Notice:
    comes = f"it goes on, for {m.source} is failing" if m.saving else "it is called off"
    text = (f"somebody paused {m.vm_name} while it migrates from {m.source} to {m.target} ({m.id}): {comes}; its hypervisor "
            "sets it going again at the end")
    return Notice("warning", f"hand-pause/{m.vm}", text)


def why_called_off(m: Migration) -> str:
    """Return why a migration is called off whose guest was paused by hand, empty where it goes on."""
    return "somebody paused it while it migrates" if m.paused_by_hand and not m.saving else ""
