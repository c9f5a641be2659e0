"""What is booked of hosts that are emptied, switched off and woken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ballastd.core import power_events as pw
from ballastd.core.books import DAY_SECONDS, Books, LedgerBroken
from ballastd.core.power import HostPower, PowerAct, PowerPhase
from ballastd.core.quantities import HostName


def _host_emptying(books: Books, e: pw.HostEmptying) -> None:
    books.power[e.host] = HostPower(PowerPhase.EMPTYING, e.policy, e.because, e.wall, approved_by=e.approved_by,
                                     next_hosts=e.next_hosts)
    books.autonomy.use_up(e.recommendation)


def _host_closing(books: Books, e: pw.HostClosing) -> None:
    _move_power(books, e.host, e.wall, PowerPhase.CLOSING)


def _host_kept(books: Books, e: pw.HostKept) -> None:
    books.power.pop(e.host, None)
    books.wake_asked.pop(e.host, None)
    books.kept[e.host] = e


def _power_off_ordered(books: Books, e: pw.PowerOffOrdered) -> None:
    before = books.power.get(e.host)
    books.power[e.host] = HostPower(PowerPhase.GOING_OFF, e.policy, e.because, e.wall, e.id, machine=e.machine,
                                     approved_by=before.approved_by if before else "",
                                     next_hosts=before.next_hosts if before else ())
    _note_power_act(books, PowerAct(e.wall, e.host, on=False))


def _wake_asked(books: Books, e: pw.WakeAsked) -> None:
    books.wake_asked[e.host] = e


def _wake_ordered(books: Books, e: pw.WakeOrdered) -> None:
    # who asked for it is not forgotten before it is awake, or has failed: it may be withheld
    before = books.power.get(e.host)
    books.power[e.host] = HostPower(PowerPhase.WAKING, e.policy, e.because, e.wall, e.id,
                                     off_wall=before.off_wall if before else None, machine=before.machine if before else "",
                                     approved_by=before.approved_by if before else "")
    _note_power_act(books, PowerAct(e.wall, e.host, on=True))


def _note_power_act(books: Books, act: PowerAct) -> None:
    kept = tuple(one for one in books.power_acts if one.wall > act.wall - DAY_SECONDS)
    books.power_acts = (*kept, act)


def _wake_withheld(books: Books, e: pw.WakeWithheld) -> None:
    _move_power(books, e.host, e.wall, PowerPhase.OFF)


def _host_off(books: Books, e: pw.HostOff) -> None:
    _move_power(books, e.host, e.wall, PowerPhase.OFF, off_wall=e.wall)


def _host_awake(books: Books, e: pw.HostAwake) -> None:
    power = books.power.pop(e.host, None)
    books.wake_asked.pop(e.host, None)
    books.switched_on[e.host] = e.wall
    # who was on all the time proves nothing by being on
    if power is not None and power.phase is PowerPhase.WAKING and power.off_wall is not None and e.seconds is not None:
        books.wakeable[e.host] = e.wall


def _power_failed(books: Books, e: pw.PowerFailed) -> None:
    _move_power(books, e.host, e.wall, PowerPhase.FAILED, because=e.detail)
    books.wake_asked.pop(e.host, None)
    books.wakeable.pop(e.host, None)


def _wakeability_confirmed(books: Books, e: pw.WakeabilityConfirmed) -> None:
    books.wakeable[e.host] = e.wall


def _move_power(books: Books, host: HostName, wall: float, phase: PowerPhase, **changed: Any) -> None:
    power = books.power.get(host)
    if power is None:
        raise LedgerBroken(f"{host} is {phase.value}, and was never on its way there")
    books.power[host] = replace(power, phase=phase, since_wall=wall, **changed)


POWER: dict[type, Callable[[Books, Any], None]] = {
    pw.HostEmptying: _host_emptying,
    pw.HostClosing: _host_closing,
    pw.HostKept: _host_kept,
    pw.PowerOffOrdered: _power_off_ordered,
    pw.WakeAsked: _wake_asked,
    pw.WakeOrdered: _wake_ordered,
    pw.WakeWithheld: _wake_withheld,
    pw.HostOff: _host_off,
    pw.HostAwake: _host_awake,
    pw.PowerFailed: _power_failed,
    pw.WakeabilityConfirmed: _wakeability_confirmed,
}
