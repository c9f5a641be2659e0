"""What a damaged journal still tells: what was in force at the last record that can be read."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from ballastd.adapters.journal import sqlite
from ballastd.adapters.journal.verification import Walk
from ballastd.core.events import from_record
from ballastd.core.ledger import Ledger


def in_force(path: Path) -> tuple[str, ...]:
    """Return, in words, what the readable part of the journal at ``path`` left in force: open migrations first,
    then what operators had said, then what the daemon had found. Empty where nothing can be read, or nothing was.

    What the damaged part said is not in it: a cordon told of here may have been lifted since.
    """
    ledger = Ledger()
    # an event that does not fit the books ends the story, as damage does: LedgerBroken is a ValueError
    with contextlib.suppress(*sqlite.UNREADABLE, ValueError, TypeError):
        for text in _contents(path):
            ledger.apply(from_record(json.loads(text)))
    return tuple(_told(ledger))


def _contents(path: Path) -> Iterator[str]:
    if not path.is_file() or path.stat().st_size == 0:
        return
    with sqlite.reading(path) as connection:
        for row in Walk().through(connection):
            yield row.content


def _told(ledger: Ledger) -> Iterator[str]:
    yield from _under_way(ledger)
    yield from _said(ledger)
    yield from _found(ledger)


def _under_way(ledger: Ledger) -> Iterator[str]:
    for m in ledger.open_migrations():
        yield f"migration {m.id} open ({m.phase.value}): {m.vm_name} from {m.source} to {m.target}"
    for guest in ledger.shutdowns.open():
        yield f"{guest.vm_name} on {guest.host} asked to shut down, by {guest.policy}{_why(guest.because)}"
    for guest in ledger.shutdowns.missed():
        yield f"{guest.vm_name} of {guest.host} down, which {guest.policy} shut down: somebody has to start it"
    for owed in ledger.autostarts.values():
        yield f"{owed.vm_name} to start with {owed.target} again, as it did with {owed.source}: virsh autostart"
    for host, power in sorted(ledger.power.items()):
        yield f"{host} {power.phase.value}, by {power.policy}{_why(power.because)}"


def _said(ledger: Ledger) -> Iterator[str]:
    for host, cordon in sorted(ledger.cordoned.items()):
        yield f"cordon of {host}, by {cordon.by}{_why(cordon.reason)}"
    for host, drain in sorted(ledger.drains.items()):
        yield f"drain of {host}, by {drain.by}{_why(drain.reason)}"
    for host, dead in sorted(ledger.confirmed_dead.items()):
        yield f"{host} confirmed dead, by {dead.by}{_why(dead.reason)}"
    if ledger.paused is not None:
        yield f"pause, by {ledger.paused.by}{_why(ledger.paused.reason)}"


def _found(ledger: Ledger) -> Iterator[str]:
    for policy, demoted in sorted(ledger.autonomy.demoted.items()):
        yield f"{policy} only recommends{_why(demoted.because)}"
    for (policy, host), verdict in sorted(ledger.latched.items()):
        yield f"latched verdict {policy} on {host}{_why(verdict.evidence)}"
    for _, seen in sorted(ledger.duplicates.items()):
        yield f"{seen.vm_name} seen running on {' and '.join(seen.hosts)}, which were frozen"
    if ledger.site_event is not None:
        yield f"site event{_why(ledger.site_event.detail)}"


def _why(reason: str) -> str:
    return f": {reason}" if reason else ""
