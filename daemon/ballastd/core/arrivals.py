"""VMs that were moved and are asked whether they answer: whom to ask, and what comes of it.

Only a VM that answered before it was moved says anything by its silence. Nothing is moved, restarted or tried again because
of it: it is told, and held against the hosts and the VM as a failed move is (``calibration``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ballastd.core import events as ev
from ballastd.core.arrival_checks import AllowedChecks, Arrival, Check
from ballastd.core.inputs import VmAsked
from ballastd.core.inventory import VmRecord
from ballastd.core.ledger import Ledger
from ballastd.core.migrations import Migration
from ballastd.core.notices import Notice
from ballastd.core.plans import Order
from ballastd.core.quantities import HostName, Instant, VmId

RecordAt = Callable[[HostName, VmId], VmRecord | None]
LookedSince = Callable[[HostName, Instant], bool]
AWAITED_MAX = 64
"""So many that have arrived are asked at a time; far more than can arrive while they are."""
GRACE_SECONDS = 30.0
"""So long after its time an answer is still waited for."""
FLAWS_SHOWN = 5


@dataclass(frozen=True, slots=True)
class ArrivalCheck:
    """One VM that is to be asked. ``before``: once, now, before it leaves; else on ``host``, where it has arrived, until it
    answers or ``until`` (monotonic seconds) has passed."""

    migration: str
    vm: VmId
    host: HostName
    check: Check
    before: bool
    until: float


@dataclass(frozen=True, slots=True)
class Asked:
    """What to book and to tell, and everybody who is to be asked as of this step."""

    events: tuple[ev.Event, ...] = ()
    checks: tuple[ArrivalCheck, ...] = ()
    notices: tuple[Notice, ...] = ()


def to_check(orders: Iterable[Order], record_at: RecordAt, allowed: AllowedChecks, wall: float) -> tuple[ev.Event, ...]:
    """Return the record of each check that the VM of an order names and the operator allows."""
    found: list[ev.Event] = []
    for order in orders:
        record = record_at(order.move.source, order.move.vm)
        if record is not None and record.check is not None and not allowed.why_not(record.check):
            found.append(ev.CheckOrdered(wall, order.id, record.check))
    return tuple(found)


class Arrivals:
    """Remembers what was answered until that is durable, and until when each VM has time."""

    def __init__(self, allowed: AllowedChecks) -> None:
        self._allowed = allowed
        self._heard: dict[tuple[str, bool], VmAsked] = {}
        self._until: dict[str, float] = {}
        self._had_time: dict[str, bool] = {}

    def hear(self, one: VmAsked) -> None:
        """Take in what came of asking one VM."""
        self._heard[one.migration, one.before] = one

    def forget_closed(self, ledger: Ledger) -> None:
        """Drop what belongs to nobody who is asked any more."""
        self._heard = {key: one for key, one in self._heard.items()
                       if one.migration in ledger.migrations or one.migration in ledger.arrivals}
        for migration in [migration for migration in self._until if migration not in ledger.arrivals]:
            del self._until[migration], self._had_time[migration]

    def follow(self, ledger: Ledger, record_at: RecordAt, looked_since: LookedSince, now: Instant) -> Asked:
        """Return what is to be booked, told and asked now. ``record_at``: a VM as a host shows it now, None where none is
        shown, or nobody can say; ``looked_since``: whether what a host shows was looked up no earlier."""
        if not ledger.arrivals and not any(m.check for m in ledger.migrations.values()):
            return Asked()
        before = [event for m in (*ledger.open_migrations(), *ledger.arrivals.values())
                  if (event := self._answered_before(m, now)) is not None]
        checks = [ArrivalCheck(m.id, m.vm, m.source, m.check, before=True, until=now.monotonic)
                  for m in ledger.open_migrations() if m.check is not None and self._is_to_be_asked_before(m)]
        after: list[ev.Event] = []
        notices: list[Notice] = []
        answered = {event.id: event.answered for event in before}
        for place, m in enumerate(ledger.arrivals.values()):
            shutdown = ledger.shutdowns.by_vm.get(m.vm)
            record, outcome, why = record_at(m.target, m.vm), None, None
            if shutdown is not None and shutdown.ending is None:
                why = "it was asked to shut down"
            elif (outcome := self._outcome(m, answered.get(m.id, m.answered_before), record, looked_since, now)) is None:
                why = self._why_given_up(m, ledger, now, too_many=place >= AWAITED_MAX)
            if why is not None:
                outcome = ev.ArrivalChecked(now.wall, m.id, Arrival.UNCHECKED, 0.0, why)
            if outcome is not None:
                after.append(outcome)
                notices.extend(_told(m, outcome))
            elif m.check is not None:
                checks.append(ArrivalCheck(m.id, m.vm, m.target, m.check, before=False, until=self._until[m.id]))
        return Asked((*before, *after), tuple(checks), tuple(notices))

    def _answered_before(self, m: Migration, now: Instant) -> ev.AskedBefore | None:
        heard = self._heard.get((m.id, True))
        if heard is None or heard.answered is None or m.answered_before is not None:
            return None
        return ev.AskedBefore(now.wall, m.id, heard.answered, heard.detail)

    def _is_to_be_asked_before(self, m: Migration) -> bool:
        # of those that a run before began nobody knows how far they are
        return m.answered_before is None and m.holds_slot and not m.adopted and (m.id, True) not in self._heard

    def _outcome(self, m: Migration, answered_before: bool | None, record: VmRecord | None, looked_since: LookedSince,
                 now: Instant) -> ev.ArrivalChecked | None:
        """Return what came of asking a VM that has arrived, None while nothing is heard, or nobody saw since if it runs.
        ``record``: as its target shows it."""
        heard = self._heard.get((m.id, False))
        if heard is None:
            return None
        arrival, detail = Arrival.UNCHECKED, heard.detail
        if heard.answered:
            arrival = Arrival.ANSWERED
        elif heard.answered is not None and (record is None or not record.state.runs):
            # somebody stopped it, or it went down with its host: its silence has a reason of its own
            detail = f"it does not answer, and is not seen running on {m.target} any more"
        elif heard.answered is not None:
            if not looked_since(m.target, heard.at):
                return None
            arrival = Arrival.SILENT if answered_before else Arrival.UNPROVEN
        seconds = max(0.0, heard.at.wall - (m.settled_wall or heard.at.wall))
        return ev.ArrivalChecked(now.wall, m.id, arrival, round(seconds, 1), detail)

    def _why_given_up(self, m: Migration, ledger: Ledger, now: Instant, *, too_many: bool) -> str | None:
        if m.id not in self._until:
            left = (m.settled_wall or 0.0) + self._allowed.within - now.wall
            self._had_time[m.id] = left > 0.0
            # a wall clock that was set back gives nobody more time than there is
            self._until[m.id] = now.monotonic + min(max(0.0, left), self._allowed.within)
        if m.check is not None and (no := self._allowed.why_not(m.check)):
            return f"no longer allowed: {no}"
        if ledger.open_migration_of(m.vm) is not None:
            return "it is being moved again"
        if not self._had_time[m.id]:
            return "the daemon restarted, and its time was over by then"
        if too_many:
            return f"{AWAITED_MAX} others are being asked"
        if now.monotonic > self._until[m.id] + GRACE_SECONDS:
            return ("it does not answer, and nobody saw since whether it runs" if (m.id, False) in self._heard
                    else "nobody could say in time")
        return None


def _told(m: Migration, outcome: ev.ArrivalChecked) -> tuple[Notice, ...]:
    """Return what people are told of a VM that does not answer."""
    words = m.check.words() if m.check is not None else ""
    match outcome.arrival:
        case Arrival.SILENT:
            text = (f"{m.vm_name} answered ({words}) before it was moved from {m.source} to {m.target}, and does not since: "
                    f"{outcome.detail}; cure: look at its console, and at its networks on {m.target}; it stays where it is")
            return (Notice("warning", f"migration/{m.id}", text),)
        case Arrival.UNPROVEN:
            text = (f"{m.vm_name} does not answer ({words}) on {m.target}: {outcome.detail}; it is not known to have "
                    "answered before it was moved either")
            return (Notice("info", f"migration/{m.id}", text),)
        case _:
            return ()


def flawed_checks(checked: Iterable[VmRecord], allowed: AllowedChecks) -> tuple[str, ...]:
    """Return a note for each VM whose owner names a check that cannot be used, ``FLAWS_SHOWN`` at most, and one for those
    whose check is not allowed. ``checked``: the VMs whose owner names one, or tries to, once each."""
    found = sorted(checked, key=lambda record: (record.name, record.vm))
    unusable = [f"{one.name} is not asked whether it answers: its check cannot be used: {one.check_flaw}"
                for one in found if one.check_flaw]
    more = [f"nor are {len(unusable) - FLAWS_SHOWN} more"] if len(unusable) > FLAWS_SHOWN else []
    noes = [(one.name, no) for one in found if one.check is not None and (no := allowed.why_not(one.check))]
    who = "" if not noes else f"{noes[0][0]} is not asked whether it answers" if len(noes) == 1 else (
        f"{noes[0][0]} and {len(noes) - 1} more are not asked whether they answer")
    return (*unusable[:FLAWS_SHOWN], *more, *(f"{who}: {no}" for _, no in noes[:1]))
