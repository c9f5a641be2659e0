"""VMs that start with their host: a hypervisor forgets that on the way, and it is given back where they have arrived.

It is noted with the order, before the call, and owed once the books say that the VM arrived: whatever its caller was told,
and whichever run of the daemon closes them. What hosts show ends it, never what a call returned. A source whose libvirtd
died before it took the definition away would start a second copy when it boots: there it is switched off first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ballastd.core import autostart_events as aus
from ballastd.core import events as ev
from ballastd.core.inventory import JobKind, VmRecord
from ballastd.core.ledger import Ledger
from ballastd.core.migrations import AutostartOwed
from ballastd.core.notices import Notice
from ballastd.core.plans import AutostartOrder, Order
from ballastd.core.quantities import HostName, Instant, VmId
from ballastd.core.senses import Senses

RecordAt = Callable[[HostName, VmId], VmRecord | None]
AGAIN_SECONDS = 10.0
"""How often a host is told that does not show it."""
PATIENCE_SECONDS = 60.0
"""People are told once it took longer; it is tried on all the same."""


@dataclass(frozen=True, slots=True)
class GivenBack:
    """What to book and to tell, and what to carry out once that is durable."""

    events: tuple[ev.Event, ...] = ()
    orders: tuple[AutostartOrder, ...] = ()
    notices: tuple[Notice, ...] = ()


def to_note(orders: Iterable[Order], record_at: RecordAt, ledger: Ledger, wall: float) -> tuple[aus.AutostartNoted, ...]:
    """Return the record of each order whose VM starts with its host, or is still to be made to by what it lost before."""
    found: list[aus.AutostartNoted] = []
    for order in orders:
        record = record_at(order.move.source, order.move.vm)
        is_owed = any(owed.vm == order.move.vm for owed in ledger.autostarts.values())
        if is_owed or (record is not None and record.autostart):
            found.append(aus.AutostartNoted(wall, order.id, owed=record is None or not record.autostart))
    return tuple(found)


class Autostarts:
    """Remembers since when each is owed and when each host was told last, monotonic seconds, and what people were told."""

    def __init__(self, senses: Senses) -> None:
        self._senses = senses
        self._since: dict[str, float] = {}
        self._asked: dict[tuple[str, HostName], float] = {}
        self._told: set[str] = set()

    def follow(self, ledger: Ledger, revision: int, now: Instant) -> GivenBack:
        """Return what is to be done now about what is owed. Nothing is ordered while an operator has everything
        paused, or our own books are in doubt."""
        if not ledger.autostarts and not self._since:
            return GivenBack()
        self._forget_closed(ledger)
        events: list[ev.Event] = []
        orders: list[AutostartOrder] = []
        notices: list[Notice] = []
        for owed in ledger.autostarts.values():
            self._since.setdefault(owed.migration, now.monotonic)
            if _is_owed_again(owed, ledger):
                detail = f"it was moved on from {owed.target}, and is owed for that"
                events.append(aus.AutostartEnded(now.wall, owed.migration, restored=False, detail=detail))
                continue
            if (why_not := self._end(owed, ledger, now)) is not None:
                events.append(aus.AutostartEnded(now.wall, owed.migration, not why_not, why_not))
                notices.extend(_given_up(owed, why_not) if why_not else ())
                continue
            is_held = ledger.paused is not None or ledger.broken is not None or self._is_busy(owed, ledger, now)
            wrong = None if is_held else self._wrong(owed, ledger, now)
            if wrong is not None and wrong not in owed.ordered:
                events.append(aus.AutostartOrdered(now.wall, owed.migration, wrong, wrong == owed.target))
            if wrong is not None and self._is_to_be_told(owed, wrong, now):
                orders.append(AutostartOrder(owed.migration, owed.vm, wrong, wrong == owed.target, revision))
            notices.extend(self._late(owed, wrong, now))
        return GivenBack(tuple(events), tuple(orders), tuple(notices))

    def _is_to_be_told(self, owed: AutostartOwed, host: HostName, now: Instant) -> bool:
        if now.monotonic - self._asked.get((owed.migration, host), float("-inf")) < AGAIN_SECONDS:
            return False
        self._asked[owed.migration, host] = now.monotonic
        return True

    def _forget_closed(self, ledger: Ledger) -> None:
        self._since = {key: at for key, at in self._since.items() if key in ledger.autostarts}
        self._asked = {key: at for key, at in self._asked.items() if key[0] in ledger.autostarts}
        self._told &= ledger.autostarts.keys()

    def _end(self, owed: AutostartOwed, ledger: Ledger, now: Instant) -> str | None:
        """Return why it is given up, nothing where it is as it was; None while neither is so."""
        if ledger.open_migration_of(owed.vm) is not None:
            return None
        if owed.target in ledger.confirmed_dead:
            return f"{owed.target} is confirmed dead"
        if not self._senses.is_reachable(owed.target, now):
            return None
        here = self._senses.record(owed.target, owed.vm, now)
        if here is None:
            return f"it is not on {owed.target} any more: somebody else moved or undefined it"
        if not here.persistent:
            return f"it is not defined on {owed.target} for good: what is not ends with its next stop"
        is_clean = owed.source in ledger.confirmed_dead or owed.source not in owed.ordered or (
            self._senses.is_reachable(owed.source, now))
        return "" if here.autostart and is_clean and self._wrong(owed, ledger, now) is None else None

    def _is_busy(self, owed: AutostartOwed, ledger: Ledger, now: Instant) -> bool:
        if owed.vm in ledger.duplicates or ledger.open_migration_of(owed.vm) is not None:
            return True
        here = self._senses.record(owed.target, owed.vm, now)
        return here is not None and here.job is not JobKind.NONE

    def _wrong(self, owed: AutostartOwed, ledger: Ledger, now: Instant) -> HostName | None:
        """Return a host that shows another autostart than it should, the source before the target: as long as neither starts
        it, nobody starts it twice."""
        left = None if owed.source in ledger.confirmed_dead else self._senses.record(owed.source, owed.vm, now)
        if left is not None and left.autostart and not left.state.holds_memory:
            return owed.source
        here = self._senses.record(owed.target, owed.vm, now)
        return owed.target if here is not None and not here.autostart else None

    def _late(self, owed: AutostartOwed, wrong: HostName | None, now: Instant) -> tuple[Notice, ...]:
        if owed.migration in self._told or now.monotonic - self._since[owed.migration] < PATIENCE_SECONDS:
            return ()
        self._told.add(owed.migration)
        why = "something holds it, or everything is paused" if wrong is None else f"{wrong} was told, and does not show it"
        for host in (owed.source, owed.target):
            why = why if self._senses.is_reachable(host, now) else f"{host}: {self._senses.why_unreachable(host)}"
        text = (f"{owed.vm_name} was moved from {owed.source} to {owed.target} and does not start with it yet as it did "
                f"before: {why}; it is tried on; cure: virsh autostart {owed.vm_name} on {owed.target}")
        return (Notice("alarm", f"autostart/{owed.vm}", text),)


def _is_owed_again(owed: AutostartOwed, ledger: Ledger) -> bool:
    """Return whether a later migration of the same VM has arrived since."""
    last = [other for other in ledger.autostarts.values() if other.vm == owed.vm][-1]
    return last.migration != owed.migration


def _given_up(owed: AutostartOwed, detail: str) -> tuple[Notice, ...]:
    text = (f"{owed.vm_name} started with {owed.source} and was moved to {owed.target}; that is not given back: {detail}; "
            f"cure: virsh autostart {owed.vm_name} where it belongs now")
    return (Notice("alarm", f"autostart/{owed.vm}", text),)


def notes_of(ledger: Ledger) -> tuple[str, ...]:
    """Return a note for each VM that does not start with its host yet as it did before it was moved."""
    return tuple(f"{owed.vm_name} does not start with {owed.target} yet as it did with {owed.source}: it is being put right"
                 for owed in ledger.autostarts.values())
