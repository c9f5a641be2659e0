"""Journal before act: what is durable, and the proof of it that the kernel asks for."""

from __future__ import annotations

from ballastd.core import autostart_events as aus
from ballastd.core import events as ev
from ballastd.core import power_events as pw
from ballastd.core import shutdown_events as sh
from ballastd.core.ledger import Ledger, restored
from ballastd.core.quantities import HostName
from ballastd.errors import JournalError, Unreachable
from ballastd.ports.keeping import Journal, JournalHealth, JournalRecord
from ballastd.ports.running import Blocking

LANE = "journal"
ARCHIVE_LANE = "journal-archive"
"""Long reading of the journal, beside the appends and never in their way."""
APPEND_SECONDS = 30.0
REPLAY_SECONDS = 600.0
CURE = ("nothing is written to it; start the release that wrote it, or set it aside with "
        "`ballastctl journal quarantine --force`")


class Record:
    """Writes decisions to the journal and remembers which intents became durable in this run."""

    def __init__(self, journal: Journal, blocking: Blocking) -> None:
        self._journal = journal
        self._blocking = blocking
        self._orders: set[str] = set()
        self._aborts: set[str] = set()
        self._tunes: dict[str, int] = {}
        self._downtimes: dict[str, int] = {}
        self._post_copies: set[str] = set()
        self._noted: dict[str, bool] = {}
        """Of migrations whose VMs start with their hosts, whether that is seen at their sources."""
        self._autostarts: set[tuple[str, HostName, bool]] = set()
        self._power: set[str] = set()
        self._shutdowns: dict[str, int] = {}
        self._going_down: set[str] = set()
        self._closed: str | None = None
        self._place = ""
        self.head = 0
        """Sequence number of the last durable record."""

    async def open(self) -> JournalHealth:
        """Open the journal; see ``ports.Journal.open``."""
        health = await self._blocking.run(LANE, self._journal.open, deadline=REPLAY_SECONDS)
        self.head = health.head
        self._place = health.place
        return health

    async def replay(self) -> tuple[tuple[ev.Event, ...], int, str | None]:
        """Return all events up to the first that cannot be read, the last revision, and what was wrong with it.

        They begin with the first that was not archived, which has to be a checkpoint. What cannot be read whole is not
        written to: what was decided without knowing the rest would contradict it, to a release that reads all of it.
        """
        events, revision, unread = await self._blocking.run(LANE, self._read, deadline=REPLAY_SECONDS)
        if unread is not None:
            starts = [event.version for event in events if isinstance(event, ev.DaemonStarted)]
            by = f" (last started on by release {starts[-1]})" if starts else ""
            unread = f"{self._place}{by}: {unread}; {CURE}"
            self.seal(unread)
        return events, revision, unread

    def seal(self, why: str) -> None:
        """Write nothing any more: every append is refused with ``why``."""
        self._closed = why

    async def history(self) -> tuple[ev.Event, ...]:
        """Return all events that are not archived, as ``replay``, beside appends and not before them."""
        events, _, _ = await self._blocking.run(ARCHIVE_LANE, self._read, deadline=REPLAY_SECONDS)
        return events

    def _read(self) -> tuple[tuple[ev.Event, ...], int, str | None]:
        events: list[ev.Event] = []
        revision = 0
        for record in self._journal.replay():
            try:
                event = ev.from_record(record.content)
                if isinstance(event, ev.CheckpointTaken):
                    restored(event)
            except ValueError as error:
                return tuple(events), revision, f"record {record.sequence}: {error}"
            if not events and record.sequence > 1 and not isinstance(event, ev.CheckpointTaken):
                return (), revision, f"record {record.sequence} is the first, and no checkpoint: what was before it is lost"
            events.append(event)
            revision = max(revision, record.revision)
        return tuple(events), revision, None

    async def retain(self, since_wall: float) -> int:
        """Archive what lies before the last checkpoint that was taken before ``since_wall``; return how many records.

        Raises:
            JournalError: it was not done.
            Unreachable: it took too long; it is done or not.
        """
        before = await self._blocking.run(ARCHIVE_LANE, lambda: self._last_checkpoint(since_wall), deadline=REPLAY_SECONDS)
        if before is None:
            return 0
        count = await self._blocking.run(ARCHIVE_LANE, lambda: self._journal.archive(before), deadline=REPLAY_SECONDS)
        await self._blocking.run(LANE, lambda: self._journal.cut(before), deadline=REPLAY_SECONDS)
        return count

    def _last_checkpoint(self, since_wall: float) -> int | None:
        """Return the number of the last checkpoint before ``since_wall`` that has records before it."""
        first, found = None, None
        for record in self._journal.replay():
            first = record.sequence if first is None else first
            kind, wall = record.content.get("kind"), record.content.get("wall", since_wall)
            if kind == ev.CheckpointTaken.__name__ and wall < since_wall and record.sequence > first:
                found = record.sequence
        return found

    async def drop_archive(self, before_wall: float) -> str | None:
        """Delete the oldest archive if it was written before ``before_wall``; return its name if so."""
        return await self._blocking.run(ARCHIVE_LANE, lambda: self._journal.drop_archive(before_wall),
                                        deadline=APPEND_SECONDS)

    async def append(self, revision: int, events: tuple[ev.Event, ...]) -> None:
        """Make ``events`` durable, all or nothing.

        Raises:
            JournalError: they are not; nothing that rests on them may be done.
        """
        if self._closed is not None:
            raise JournalError(self._closed)
        contents = [ev.to_record(event) for event in events]
        try:
            self.head = await self._blocking.run(LANE, lambda: self._journal.append(revision, contents),
                                                 deadline=APPEND_SECONDS)
        except JournalError:
            raise
        except Unreachable as error:
            # the write may still land, after we gave it up: from here on memory and disk could disagree
            self._closed = f"a write hung ({error}); restart the daemon once the disk answers"
            raise JournalError(self._closed) from error
        except Exception as error:
            # whatever it is, these events are not known to be durable, and that is all that matters here
            raise JournalError(f"{type(error).__name__}: {error}") from error
        self._note(events)

    def _note(self, events: tuple[ev.Event, ...]) -> None:
        for event in events:
            match event:
                case ev.MigrationOrdered():
                    self._orders.add(event.id)
                    self._downtimes[event.id] = event.downtime_ms
                case ev.AbortOrdered():
                    self._aborts.add(event.id)
                case pw.PowerOffOrdered() | pw.WakeOrdered():
                    self._power.add(event.id)
                case ev.BandwidthOrdered():
                    self._tunes[event.id] = event.bandwidth_mib_s
                case ev.DowntimeOrdered():
                    self._downtimes[event.id] = event.downtime_ms
                case ev.PostCopyOrdered():
                    self._post_copies.add(event.id)
                case ev.PostCopyWithdrawn():
                    self._post_copies.discard(event.id)
                case ev.MigrationSettled():
                    self._orders.discard(event.id)
                    self._aborts.discard(event.id)
                    self._tunes.pop(event.id, None)
                    self._downtimes.pop(event.id, None)
                    self._post_copies.discard(event.id)
                    self._noted.pop(event.id, None)
                case _:
                    self._note_autostart(event)
                    self._note_shutdown(event)

    def _note_books(self, ledger: Ledger) -> None:
        """Take over what events before a checkpoint said of what is under way; they may have been archived. A run that took
        the checkpoint itself has noted all of them."""
        under_way = ledger.open_migrations()
        self._aborts = {m.id for m in under_way if m.abort_reason}
        self._post_copies = {m.id for m in under_way if m.post_copy_because}
        self._tunes = {m.id: m.bandwidth_mib_s for m in under_way}
        self._downtimes = {m.id: m.downtime_ms for m in under_way}
        self._going_down = {one.id for one in ledger.shutdowns.open() if one.is_asked}
        self._autostarts = {(one.migration, host, host == one.target) for one in ledger.autostarts.values()
                            for host in one.ordered}

    def _note_autostart(self, event: ev.Event) -> None:
        match event:
            case aus.AutostartNoted():
                self._noted[event.id] = not event.owed
            case aus.AutostartOrdered():
                self._autostarts.add((event.id, event.host, event.on))
            case aus.AutostartEnded():
                self._autostarts = {one for one in self._autostarts if one[0] != event.id}
            case _:
                pass

    def _note_shutdown(self, event: ev.Event) -> None:
        match event:
            case sh.ShutdownOrdered():
                self._shutdowns[event.id] = event.times
                self._going_down.add(event.id)
            case sh.ShutdownAskedAgain():
                self._shutdowns[event.id] = event.times
            case sh.ShutdownWithdrawn() | sh.ShutdownEnded():
                self._shutdowns.pop(event.id, None)
                self._going_down.discard(event.id)
            case _:
                pass

    def replayed(self, events: tuple[ev.Event, ...]) -> None:
        """Take over what a run before made durable: aborts stand, but its orders were its own to carry out."""
        last = max((place for place, event in enumerate(events) if isinstance(event, ev.CheckpointTaken)), default=None)
        if last is not None and isinstance(checkpoint := events[last], ev.CheckpointTaken):
            self._note_books(restored(checkpoint))
        self._note(events[0 if last is None else last + 1:])
        self._orders.clear()
        self._power.clear()
        self._shutdowns.clear()

    def has_order(self, migration: str) -> bool:
        """Return whether the order of a migration is durable and was not used up."""
        return migration in self._orders

    def use_up(self, migration: str) -> None:
        """An order is carried out once."""
        self._orders.discard(migration)

    def has_power_order(self, order: str) -> bool:
        """Return whether a power order is durable and was not used up."""
        return order in self._power

    def use_up_power(self, order: str) -> None:
        """A power order is carried out once."""
        self._power.discard(order)

    def has_shutdown(self, order: str, times: int) -> bool:
        """Return whether it is durable that a guest is asked to shut down for this time, and that was not used up."""
        return self._shutdowns.get(order) == times

    def use_up_shutdown(self, order: str) -> None:
        """A guest is asked once for each time that is durable."""
        self._shutdowns.pop(order, None)

    def going_down(self) -> int:
        """Return how many guests are asked to shut down by what is durable."""
        return len(self._going_down)

    def has_abort(self, migration: str) -> bool:
        """Return whether the abort of a migration is durable."""
        return migration in self._aborts

    def has_bandwidth(self, migration: str, bandwidth_mib_s: int) -> bool:
        """Return whether exactly this bandwidth is durable for a migration."""
        return self._tunes.get(migration) == bandwidth_mib_s

    def has_downtime(self, migration: str, downtime_ms: int) -> bool:
        """Return whether exactly this standstill is durable for a migration."""
        return self._downtimes.get(migration) == downtime_ms

    def has_post_copy(self, migration: str) -> bool:
        """Return whether it is durable that a migration is put into post-copy."""
        return migration in self._post_copies

    def shows_autostart(self, migration: str) -> bool:
        """Return whether the VM of an order was seen to start with its source, by what is durable."""
        return self._noted.get(migration, False)

    def has_autostart(self, migration: str, host: HostName, *, on: bool) -> bool:
        """Return whether it is durable that the VM of a migration is to start with a host, or not."""
        return (migration, host, on) in self._autostarts

    async def tail(self, count: int) -> tuple[JournalRecord, ...]:
        """Return the last ``count`` records."""
        return await self._blocking.run(LANE, lambda: self._journal.tail(count), deadline=APPEND_SECONDS)

    async def close(self) -> None:
        """Close the journal."""
        await self._blocking.run(LANE, self._journal.close, deadline=APPEND_SECONDS)
