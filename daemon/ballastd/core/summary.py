"""A day in words and figures: what was done, what was not and why, and what it saved. Told from events alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ballastd.core import events as ev
from ballastd.core import power_events as pw
from ballastd.core.arrival_checks import Arrival
from ballastd.core.booking_clock import moved
from ballastd.core.ledger import Ledger, restored
from ballastd.core.migrations import Ending
from ballastd.core.power import PowerPhase
from ballastd.core.quantities import HostName, human_seconds
from ballastd.core.shutdown_books import ShutdownBooks
from ballastd.core.shutdown_events import ShutdownEnded, ShutdownEnding, ShutdownEvent

NOES_SHOWN = 10
WATT_SECONDS_PER_KWH = 3.6e6


@dataclass(frozen=True, slots=True)
class Summary:
    """One span of time, wall seconds. ``moves``: completed ones by policy; ``failed``: others by ending; ``noes``: what
    was refused or put off, the longest first, with the minutes it was so; ``off_seconds`` by host; ``saved_kwh``: what
    the hosts that were off would have drawn idling, None where nobody said what that is."""

    since_wall: float
    until_wall: float
    moves: Mapping[str, int]
    failed: Mapping[str, int]
    evacuations: tuple[str, ...]
    foreign_moves: int
    power_offs: int
    wakes: int
    power_failures: tuple[str, ...]
    off_seconds: Mapping[str, float]
    saved_kwh: float | None
    noes: tuple[tuple[str, int], ...]
    shut_down: tuple[str, ...] = ()
    """Guests that went down as they were asked to."""
    silent: tuple[str, ...] = ()
    """VMs that answered before they were moved, and not since."""

    def lines(self) -> tuple[str, ...]:
        """Return it for people."""
        said = [f"In {human_seconds(self.until_wall - self.since_wall)}:"]
        done = ", ".join(f"{count} for {policy}" for policy, count in self.moves.items()) or "none"
        said.append(f"moves completed: {done}")
        if self.failed:
            said.append("moves that did not complete: " + ", ".join(f"{n} {how}" for how, n in self.failed.items()))
        if self.evacuations:
            said.append(f"hosts emptied: {', '.join(self.evacuations)}")
        if self.shut_down:
            said.append(f"guests shut down, to be started by a person: {', '.join(self.shut_down)}")
        if self.silent:
            said.append(f"VMs that do not answer since they were moved: {', '.join(self.silent)}")
        if self.foreign_moves:
            said.append(f"moves by somebody else, respected: {self.foreign_moves}")
        if self.power_offs or self.wakes or self.off_seconds:
            hours = ", ".join(f"{host} {human_seconds(seconds)}" for host, seconds in self.off_seconds.items())
            said.append(f"hosts switched off {self.power_offs} times, woken {self.wakes} times; off: {hours or 'none'}")
        if self.saved_kwh is not None:
            said.append(f"energy not drawn: {self.saved_kwh:.2f} kWh")
        said.extend(f"power failed: {failure}" for failure in self.power_failures)
        said.extend(f"not done, for {minutes} min: {why}" for why, minutes in self.noes)
        return tuple(said)


def summarize(events: Iterable[ev.Event], since: float, until: float, idle_watts: Mapping[HostName, float],
              noes: Mapping[str, int]) -> Summary:
    """Return the summary of [since, until). ``events``: all there are since a checkpoint or the beginning, oldest first,
    so that a host which went off before is known to be off; ``noes``: minutes by words."""
    policies: dict[str, str] = {}
    names: dict[str, str] = {}
    moves: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    emptied: list[str] = []
    failures: list[str] = []
    off, shutdowns, down, silent = _OffTimes(since, until), ShutdownBooks(), list[str](), list[str]()
    for event in events:
        books = restored(event) if isinstance(event, ev.CheckpointTaken) else None
        if books is not None:
            policies |= {migration.id: migration.policy for migration in books.open_migrations()}
            names |= {one.id: one.vm_name for one in (*books.open_migrations(), *books.arrivals.values())}
            shutdowns = books.shutdowns
        off.note(event, books)
        if isinstance(event, ShutdownEvent):
            shutdowns.apply(event)
        if isinstance(event, ev.MigrationOrdered):
            policies[event.id], names[event.id] = event.policy, event.vm_name
        if not since <= event.wall < until:
            continue
        match event:
            case ev.MigrationSettled():
                policy = policies.get(event.id, "a policy of before")
                (moves if event.ending is Ending.COMPLETED else failed)[
                    policy if event.ending is Ending.COMPLETED else event.ending.value] += 1
            case ev.EvacuationEnded() if event.detail == "empty":
                emptied.append(event.host)
            case ShutdownEnded() if event.ending is ShutdownEnding.DOWN:
                down.extend(one.vm_name for one in shutdowns.by_vm.values() if one.id == event.id)
            case ev.ArrivalChecked() if event.arrival is Arrival.SILENT:
                silent.append(names.get(event.id, f"the VM of {event.id}"))
            case pw.PowerFailed():
                failures.append(f"{event.host}: {event.detail}")
            case ev.ForeignMoveSeen() | pw.PowerOffOrdered() | pw.WakeOrdered():
                counts[type(event).__name__] += 1
            case _:
                pass
    seconds = off.seconds()
    watts = [idle_watts[host] * length for host, length in seconds.items() if host in idle_watts]
    ranked = sorted(noes.items(), key=lambda pair: (-pair[1], pair[0]))[:NOES_SHOWN]
    return Summary(since, until, dict(sorted(moves.items())), dict(sorted(failed.items())), tuple(emptied),
                   counts["ForeignMoveSeen"], counts["PowerOffOrdered"], counts["WakeOrdered"], tuple(failures),
                   {str(host): length for host, length in sorted(seconds.items())},
                   sum(watts) / WATT_SECONDS_PER_KWH if watts else None, tuple(ranked), tuple(down), tuple(silent))


class _OffTimes:
    """For how long each host was off within a span."""

    def __init__(self, since: float, until: float) -> None:
        self._since, self._until = since, until
        self._off: dict[HostName, float] = {}
        self._seconds: dict[HostName, float] = {}

    def note(self, event: ev.Event, books: Ledger | None) -> None:
        """Follow one event. ``books``: the ledger of a checkpoint."""
        if isinstance(event, pw.HostOff | pw.WakeWithheld):
            self._off[event.host] = event.wall
        elif books is not None:
            for host, power in books.power.items():
                if power.phase is PowerPhase.OFF:
                    self._off.setdefault(host, power.since_wall)
        elif isinstance(event, ev.ClockStepped):
            self._off = {host: moved(wall, event) for host, wall in self._off.items()}
        elif isinstance(event, pw.WakeOrdered | pw.HostAwake | pw.PowerFailed | pw.HostKept):
            self._close(event.host, event.wall)

    def _close(self, host: HostName, wall: float) -> None:
        begun = self._off.pop(host, None)
        if begun is not None:
            length = min(wall, self._until) - max(begun, self._since)
            if length > 0:
                self._seconds[host] = self._seconds.get(host, 0.0) + length

    def seconds(self) -> dict[HostName, float]:
        """Return the seconds by host; who is off still counts up to the end."""
        for host in tuple(self._off):
            self._close(host, self._until)
        return self._seconds
