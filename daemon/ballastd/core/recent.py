"""What was decided and noticed lately, in words: a short memory for people, told from the events themselves."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from ballastd.core import autonomy_events as au
from ballastd.core import autostart_events as aus
from ballastd.core import events as ev
from ballastd.core import power_events as pw
from ballastd.core import shutdown_events as sh
from ballastd.core.arrival_checks import Arrival
from ballastd.core.migrations import ALARMING, Ending
from ballastd.core.quantities import human_bytes
from ballastd.core.views import RecentView

KEPT = 100


class Recent:
    """The last things, oldest first. Not durable: the journal is."""

    def __init__(self) -> None:
        self._told: deque[RecentView] = deque(maxlen=KEPT)
        self._names: dict[str, str] = {}
        self._targets: dict[str, str] = {}

    def note(self, events: Iterable[ev.Event]) -> None:
        """Remember what is worth telling of ``events``."""
        orders: dict[str, ev.MigrationOrdered] = {}
        for event in events:
            if isinstance(event, ev.MigrationOrdered | sh.ShutdownOrdered):
                self._names[event.id] = event.vm_name
            if isinstance(event, ev.MigrationOrdered):
                orders[event.id] = event
            elif isinstance(event, ev.CheckOrdered) and event.id in orders:
                self._targets[event.id] = orders[event.id].target
            told = tell(event, self._names)
            if told is not None:
                self._told.append(told)
            self._forget(event)

    def _forget(self, event: ev.Event) -> None:
        """Drop the name of what ended. A VM that is to be asked is spoken of once more after it has arrived."""
        match event:
            case ev.MigrationSettled() if event.ending is Ending.COMPLETED and event.id in self._targets:
                self._names[event.id] += f" on {self._targets[event.id]}"
            case ev.MigrationSettled() | ev.ArrivalChecked() | sh.ShutdownEnded():
                self._names.pop(event.id, None)
                self._targets.pop(event.id, None)
            case _:
                pass

    def newest_first(self) -> tuple[RecentView, ...]:
        """Return what is remembered."""
        return tuple(reversed(self._told))


Names = dict[str, str]


def tell(event: ev.Event, names: Names | None = None) -> RecentView | None:
    """Return an event in words, None where it is not worth telling. ``names``: of VMs, by migration."""
    teller = _TELL.get(type(event))
    return None if teller is None else teller(event, names or {})


def _ordered(e: ev.MigrationOrdered, _names: Names) -> RecentView:
    return RecentView(e.wall, "info", f"{e.id}: {e.vm_name} from {e.source} to {e.target} ({human_bytes(e.memory)}): "
                      f"{e.policy}: {e.because}", e.source, e.vm)


def _settled(e: ev.MigrationSettled, names: Names) -> RecentView:
    level = "info" if e.ending is Ending.COMPLETED else "alarm" if e.ending in ALARMING else "warning"
    detail = f": {e.detail}" if e.detail else ""
    return RecentView(e.wall, level, f"{e.id}: {names.get(e.id, 'a migration of a run before')} {e.ending.value}{detail}")


def _abort(e: ev.AbortOrdered, names: Names) -> RecentView:
    return RecentView(e.wall, "warning", f"{e.id}: {names.get(e.id, 'a migration')} is called off: {e.reason}")


def _hand_pause(e: ev.HandPauseSeen, names: Names) -> RecentView:
    return RecentView(e.wall, "warning", f"{e.id}: somebody paused {names.get(e.id, 'its VM')} while it migrates")


def _bandwidth(e: ev.BandwidthOrdered, names: Names) -> RecentView | None:
    if not e.because:
        return None
    who = names.get(e.id, "a migration")
    return RecentView(e.wall, "info", f"{e.id}: {who} is given {e.bandwidth_mib_s} MiB/s: {e.because}")


def _way_given(e: ev.WayGiven, names: Names) -> RecentView | None:
    if not e.because:
        return None
    what = f"gives way by {e.less_mib_s} MiB/s" if e.less_mib_s else "does not give way"
    return RecentView(e.wall, "info", f"{e.id}: {names.get(e.id, 'a migration')} {what}: {e.because}")


def _arrival(e: ev.ArrivalChecked, names: Names) -> RecentView:
    who = names.get(e.id, "its VM")
    words = {Arrival.ANSWERED: f"{who} answers", Arrival.SILENT: f"{who} answered before it was moved, and does not since",
             Arrival.UNPROVEN: f"{who} does not answer, and is not known to have answered before",
             Arrival.UNCHECKED: f"nothing can be said of whether {who} answers"}[e.arrival]
    return RecentView(e.wall, "warning" if e.arrival is Arrival.SILENT else "info",
                      f"{e.id}: {words}{f': {e.detail}' if e.detail else ''}")


def _autostart_ended(e: aus.AutostartEnded, _names: Names) -> RecentView | None:
    # that it is as it was is nothing to tell
    return None if e.restored else RecentView(e.wall, "warning", f"{e.id}: its autostart is not as it was: {e.detail}")


def _clock_stepped(e: ev.ClockStepped, _names: Names) -> RecentView:
    what = (f"the wall clock was set by {e.by:+.0f} s: what was noted keeps its age" if e.by
            else "the wall clock was ahead when something was noted: that counts as noted now")
    return RecentView(e.wall, "warning", what)


def _shutdown_ordered(e: sh.ShutdownOrdered, _names: Names) -> RecentView:
    return RecentView(e.wall, "alarm", f"{e.id}: {e.vm_name} is asked to shut down on {e.host}: {e.policy}: {e.because}",
                      e.host, e.vm)


def _shutdown_withdrawn(e: sh.ShutdownWithdrawn, names: Names) -> RecentView:
    return RecentView(e.wall, "warning", f"{e.id}: {names.get(e.id, 'a guest')} is not asked to shut down any more: "
                      f"{e.because}")


def _shutdown_ended(e: sh.ShutdownEnded, names: Names) -> RecentView:
    level = "alarm" if e.ending is sh.ShutdownEnding.DOWN else "info"
    return RecentView(e.wall, level, f"{e.id}: {names.get(e.id, 'a guest')} was asked to shut down: {e.ending.value}: "
                      f"{e.detail}")


def _on_host(level: str, words: str) -> Callable[[Any, Names], RecentView]:
    """Return a teller for events of one host; ``words`` may name their fields."""
    def tell(event: Any, _names: Names) -> RecentView:
        fields = {name: getattr(event, name) for name in event.__slots__}
        return RecentView(event.wall, level, words.format(**fields), event.host)
    return tell


def _whole(level: str, words: str) -> Callable[[Any, Names], RecentView]:
    """Return a teller for events of the whole cluster."""
    def tell(event: Any, _names: Names) -> RecentView:
        fields = {name: getattr(event, name) for name in event.__slots__}
        return RecentView(event.wall, level, words.format(**fields))
    return tell


def _recommended(e: au.Recommended, _names: Names) -> RecentView:
    what = f"{e.vm_name} from {e.source} to {e.target}" if e.vm else f"{e.source} emptied and switched off"
    return RecentView(e.wall, "info", f"{e.policy} recommends {what} ({e.id}): {e.because}", e.source, e.vm)


def _promoted(e: au.PolicyPromoted, _names: Names) -> RecentView:
    by = f" ({e.by})" if e.by else ""
    return RecentView(e.wall, "info", f"{e.policy} is no longer held back{by}" + (f": {e.reason}" if e.reason else ""))


_TELL: dict[type, Callable[[Any, Names], RecentView | None]] = {
    ev.DaemonStarted: _whole("info", "the daemon started ({version})"),
    ev.PoliciesLoaded: _whole("info", "policies {digest:.12} govern"),
    ev.MigrationOrdered: _ordered,
    ev.MigrationSettled: _settled,
    ev.AbortOrdered: _abort,
    ev.HandPauseSeen: _hand_pause,
    ev.BandwidthOrdered: _bandwidth, ev.WayGiven: _way_given,
    ev.ArrivalChecked: _arrival,
    aus.AutostartEnded: _autostart_ended,
    ev.VerdictLatched: _on_host("alarm", "{host}: {policy}: {evidence}"),
    ev.VerdictsAcknowledged: _on_host("info", "{host}: acknowledged by {by}"),
    ev.EvacuationBegun: _on_host("warning", "{host} is being emptied by {policy}"),
    ev.EvacuationEnded: _on_host("info", "{host}: {detail}"),
    ev.HostCordoned: _on_host("info", "{host} is cordoned by {by}"),
    ev.HostUncordoned: _on_host("info", "{host} is no longer cordoned ({by})"),
    ev.DrainRequested: _on_host("info", "{host} is to be drained for {by}"),
    ev.DrainCancelled: _on_host("info", "the drain of {host} is cancelled by {by}"),
    ev.HostConfirmedDead: _on_host("warning", "{host} is confirmed dead by {by}"),
    ev.HostSeenAlive: _on_host("warning", "{host} was confirmed dead, and answers"),
    ev.Paused: _whole("warning", "paused by {by}"),
    ev.Resumed: _whole("info", "resumed by {by}"),
    ev.SiteEventBegun: _whole("alarm", "site event: {detail}"),
    ev.SiteEventEnded: _whole("info", "the site event is over"),
    ev.DuplicateSeen: _whole("alarm", "{vm_name} runs on {hosts[0]} and {hosts[1]}: both are frozen"),
    ev.DuplicateCleared: _whole("info", "a VM that ran twice runs once"),
    ev.ForeignMoveSeen: _whole("info", "somebody else moved {vm_name} from {source} to {target}; it rests there"),
    pw.HostEmptying: _on_host("info", "{host} is to be switched off and is emptied: {because}"),
    pw.HostClosing: _on_host("info", "{host} is empty; its hook is being shut"),
    pw.HostKept: _on_host("info", "{host} stays on: {detail}"),
    pw.PowerOffOrdered: _on_host("warning", "{host} is told to shut down: {because}"),
    pw.WakeAsked: _on_host("info", "{by} wants {host} switched on"),
    pw.WakeOrdered: _on_host("warning", "{host} is woken: {because}"),
    pw.WakeWithheld: _on_host("warning", "the wake of {host} was held up, and is tried again: {detail}"),
    pw.HostOff: _on_host("info", "{host} is off: {detail}"),
    pw.HostAwake: _on_host("info", "{host} is awake: {detail}"),
    pw.PowerFailed: _on_host("alarm", "power of {host}: {detail}"),
    pw.WakeabilityConfirmed: _on_host("info", "{by} vouches that {host} can be woken"),
    au.Recommended: _recommended,
    au.RecommendationApproved: _whole("info", "{by} approved recommendation {id}"),
    au.RecommendationRejected: _whole("info", "{by} rejected: {what}"),
    au.ApprovalLapsed: _whole("warning", "an approval lapsed: {what}: {detail}"),
    au.PolicyDemoted: _whole("warning", "{policy} only recommends from now on: {because}; once its cause is known: "
                             "ballastctl policy promote {policy}"),
    au.PolicyPromoted: _promoted,
    sh.ShutdownOrdered: _shutdown_ordered,
    sh.ShutdownWithdrawn: _shutdown_withdrawn,
    sh.ShutdownEnded: _shutdown_ended,
    sh.ShutdownOver: _on_host("info", "{vm_name}, which was shut down on {host}, is missed no more: {because}"),
    ev.InvariantFailed: _whole("alarm", "an invariant broke: {detail}"),
    ev.ClockStepped: _clock_stepped,
    ev.JournalRecovered: _whole("info", "the journal can be written again"),
}
