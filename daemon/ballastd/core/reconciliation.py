"""The ledger against the hosts: the hosts are right, the ledger is wrong.

A migration is settled by what both ends show after its job is gone, never by what its caller was told. An
error says nothing: then both ends are looked at twice, some seconds apart, and for longer when the source was
out of sight, because a second copy can appear late. Nothing here ever destroys, resumes or undefines a copy.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ballastd.core import events as ev
from ballastd.core.inventory import BROKEN, COME, LEFT, HostInventory, JobKind, VmRecord, VmState
from ballastd.core.ledger import Ledger
from ballastd.core.migrations import ALARMING, CallResult, Ending, Migration, MigrationPhase
from ballastd.core.notices import Notice
from ballastd.core.policies import Timing
from ballastd.core.quantities import HostName, Instant, VmId

_P = MigrationPhase
TOLD_AGAIN_SECONDS = 3600.0


class Look(enum.Enum):
    """What both ends show together."""

    JOB = "job"
    AT_TARGET = "at-target"
    AT_SOURCE = "at-source"
    SPLIT = "split"
    LEFTOVER = "leftover"
    DOWN = "down"
    NOWHERE = "nowhere"
    BROKEN = "broken"
    """In post-copy, and the way between its halves is gone; both are there."""
    TORN = "torn"
    """In post-copy, and one half is gone."""
    BETWEEN = "between"
    """Neither here nor there yet: wait."""


_ENDINGS = {Look.AT_TARGET: Ending.COMPLETED, Look.SPLIT: Ending.SPLIT, Look.LEFTOVER: Ending.LEFTOVER,
            Look.DOWN: Ending.DOWN, Look.NOWHERE: Ending.VANISHED, Look.TORN: Ending.TORN}
_PHASES = {Look.AT_TARGET: _P.COMPLETED, Look.LEFTOVER: _P.COMPLETED}


@dataclass(slots=True)
class Looks:
    """First looks at unclear ends, and since when a source is in sight again: monotonic seconds, per migration. ``told``:
    those of which people know that they stand still while their target cannot be asked.

    Kept in memory only: after a restart looking begins anew, which costs seconds and risks nothing.
    """

    first: dict[str, tuple[float, str]] = field(default_factory=dict)
    seen_again: dict[str, float] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)

    def forget_closed(self, open_ids: frozenset[str]) -> None:
        """Drop what belongs to migrations that are no longer open."""
        for memory in (self.first, self.seen_again):
            for key in [key for key in memory if key not in open_ids]:
                del memory[key]
        self.told &= open_ids


@dataclass(frozen=True, slots=True)
class Sight:
    """What is known of the hosts now. ``inventories``: newest complete one per host, whatever its age.

    ``reachable``: hosts whose newest inventory is young and came after the last failure to get one.
    ``looked_at``: hosts that were asked at least once since we started, whether or not they answered.
    ``ended``: when calls of this process returned, per migration. ``looks`` is written to. ``undeclared``: hosts that are
    ends of migrations of before, and not ours to look at any more: they show nothing.
    """

    inventories: Mapping[HostName, HostInventory]
    reachable: frozenset[HostName]
    looked_at: frozenset[HostName]
    ended: Mapping[str, Instant]
    looks: Looks
    now: Instant
    timing: Timing
    undeclared: frozenset[HostName] = frozenset()


def look_at(source: VmRecord | None, target: VmRecord | None) -> Look:
    """Return what the two records of one VM, one from each end, amount to."""
    here = source.state if source else VmState.SHUTOFF
    there = target.state if target else VmState.SHUTOFF
    has_job = source is not None and source.job in (JobKind.OUTGOING, JobKind.UNKNOWN)
    # of a post-copy that broke libvirt keeps the job, for somebody who may resume it: nothing flows
    if has_job and BROKEN.isdisjoint((here, there)):
        return Look.JOB
    gone_here = not here.holds_memory
    gone_there = not there.holds_memory
    if here in LEFT or there in COME:
        return _look_at_halves(here, there)
    if there is VmState.INCOMING or VmState.UNKNOWN in (here, there):
        return Look.BETWEEN
    if gone_here and gone_there:
        return Look.NOWHERE
    if gone_here:
        return Look.AT_TARGET
    stuck_here = here in (VmState.HANDOVER, VmState.LEFTOVER)
    if gone_there:
        return Look.DOWN if stuck_here else Look.AT_SOURCE
    return Look.LEFTOVER if stuck_here else Look.SPLIT


def _look_at_halves(here: VmState, there: VmState) -> Look:
    """Return what a VM in post-copy comes to. With both halves there, and neither broken, its memory is on its way, whether
    or not its hypervisor still has a job for that."""
    if not (here.holds_memory and there.holds_memory):
        return Look.TORN
    return Look.JOB if BROKEN.isdisjoint((here, there)) else Look.BROKEN


def reconcile(ledger: Ledger, sight: Sight) -> tuple[ev.Event, ...]:
    """Return the events that bring the open migrations in line with what the hosts show."""
    found: list[ev.Event] = []
    sight.looks.forget_closed(frozenset(ledger.migrations))
    for migration in ledger.open_migrations():
        found.extend(_reconcile_one(migration, sight))
    return tuple(found)


def _reconcile_one(m: Migration, sight: Sight) -> list[ev.Event]:
    if m.called is CallResult.WITHHELD:
        return [ev.MigrationSettled(sight.now.wall, m.id, Ending.REFUSED, m.call_message)]
    if not {m.source, m.target} <= sight.looked_at:
        return []
    if m.source not in sight.reachable:
        return _source_out_of_sight(m, sight)
    if m.was_out_of_sight:
        sight.looks.seen_again.setdefault(m.id, sight.now.monotonic)
    if m.target not in sight.reachable:
        return _source_alone(m, sight)
    look = look_at(sight.inventories[m.source].find(m.vm), sight.inventories[m.target].find(m.vm))
    if look is Look.JOB:
        return _job_runs(m, sight)
    if not _call_is_over(m, sight, (m.source, m.target)):
        return []
    if look is Look.BROKEN:
        return _broken(m, sight)
    if look is Look.BETWEEN:
        sight.looks.first.pop(m.id, None)
        return []
    return _close_or_look_again(m, look, sight)


def _call_is_over(m: Migration, sight: Sight, ends: tuple[HostName, ...]) -> bool:
    """Return whether what the ends show came after the call. While it is out, a job may be about to begin."""
    if m.called is None and not m.adopted:
        return False
    ended = sight.ended.get(m.id)
    return ended is None or all(sight.inventories[end].begun.monotonic > ended.monotonic for end in ends)


def _job_runs(m: Migration, sight: Sight) -> list[ev.Event]:
    sight.looks.first.pop(m.id, None)
    if m.phase is _P.RUNNING:
        return []
    return [ev.MigrationMoved(sight.now.wall, m.id, _P.RUNNING, "a job is seen at the source")]


def _broken(m: Migration, sight: Sight) -> list[ev.Event]:
    """Two halves that nothing flows between take nobody's place; only a person can say what becomes of them."""
    oldest = min(sight.inventories[end].begun.monotonic for end in (m.source, m.target))
    if not m.holds_slot or not _looked_twice(m, Look.BROKEN.value, oldest, sight):
        return []
    return [ev.MigrationMoved(sight.now.wall, m.id, _P.LOST, f"its post-copy broke: half of it is on {m.target}, the memory "
                              f"that did not go on {m.source}")]


def _looked_twice(m: Migration, look: str, oldest: float, sight: Sight) -> bool:
    """Note a first look; return whether the same was seen before, by inventories far enough apart."""
    first = sight.looks.first.get(m.id)
    if first is None or first[1] != look:
        sight.looks.first[m.id] = (sight.now.monotonic, look)
        return False
    return oldest - first[0] >= sight.timing.second_look


def _source_out_of_sight(m: Migration, sight: Sight) -> list[ev.Event]:
    """Nothing is settled while the source cannot be seen; but a dead source must not hold the target for ever."""
    wall = sight.now.wall
    found: list[ev.Event] = []
    sight.looks.seen_again.pop(m.id, None)
    if not m.was_out_of_sight:
        found.append(ev.MigrationOutOfSight(wall, m.id))
    if m.phase is _P.LOST or m.target not in sight.reachable or not _call_is_over(m, sight, (m.target,)):
        return found
    target = sight.inventories[m.target]
    record = target.find(m.vm)
    if record is None or not record.state.runs or record.job is not JobKind.NONE:
        return found
    if _looked_twice(m, "lost", target.begun.monotonic, sight):
        stands = "runs on" if record.state is VmState.RUNNING else "is in post-copy, not all of its memory has come to"
        found.append(ev.MigrationMoved(wall, m.id, _P.LOST, f"{stands} {m.target}, {m.source} does not answer; its "
                                       "memory there stays reserved until it does, or host confirm-dead"))
    return found


def _source_alone(m: Migration, sight: Sight) -> list[ev.Event]:
    """The target cannot be asked, the source can: free the slot once the source shows no job, twice."""
    inventory = sight.inventories[m.source]
    record = inventory.find(m.vm)
    if record is not None and record.job in (JobKind.OUTGOING, JobKind.UNKNOWN):
        return _job_runs(m, sight)
    settled_here = record is not None and record.state in (VmState.RUNNING, VmState.PAUSED)
    if not m.holds_slot or not settled_here or not _call_is_over(m, sight, (m.source,)):
        return []
    if not _looked_twice(m, "source-alone", inventory.begun.monotonic, sight):
        return []
    return [ev.MigrationMoved(sight.now.wall, m.id, _failed_phase(m), f"{_stands(record)} on {m.source} without a job; "
                              f"{m.target} does not answer, its reservation stays until it does")]


def standing_still(ledger: Ledger, sight: Sight) -> tuple[Notice, ...]:
    """Return alarms, each once, about VMs that a migration left paused at its source while its target cannot be asked: they
    may run there, and nothing can be settled."""
    found = []
    for m in ledger.open_migrations():
        if m.id not in sight.looks.told and _stands_still(m, sight):
            sight.looks.told.add(m.id)
            found.append(Notice("alarm", f"migration/{m.id}", f"{m.vm_name} is paused on {m.source} by its migration and "
                                f"may run on {m.target}, which does not answer: it must not be resumed; cure: bring "
                                f"{m.target} back, or see that it is off and say so (ballastctl host confirm-dead "
                                f"{m.target})"))
    return tuple(found)


def _stands_still(m: Migration, sight: Sight) -> bool:
    if m.source not in sight.reachable or m.target in sight.reachable or m.target not in sight.looked_at:
        return False
    inventory = sight.inventories[m.source]
    record = inventory.find(m.vm)
    if record is None or record.state is not VmState.LEFTOVER or not _call_is_over(m, sight, (m.source,)):
        return False
    return _looked_twice(m, "stands-still", inventory.begun.monotonic, sight)


def _stands(record: VmRecord | None) -> str:
    return "is paused" if record is not None and record.state is VmState.PAUSED else "runs"


def _close_or_look_again(m: Migration, look: Look, sight: Sight) -> list[ev.Event]:
    """Close the books when the ends say enough; else note the first look and wait for a second."""
    now = sight.now
    clear = (m.called is CallResult.OK and look is Look.AT_TARGET) or (
        m.called is CallResult.REFUSED and look is Look.AT_SOURCE)
    oldest = min(sight.inventories[end].begun.monotonic for end in (m.source, m.target))
    if (not clear or m.was_out_of_sight) and not _looked_twice(m, look.value, oldest, sight):
        return []
    again = sight.looks.seen_again.get(m.id)
    if m.was_out_of_sight and (again is None or now.monotonic - again < sight.timing.late_copy_watch):
        return []
    third = _runs_elsewhere(m, sight) if look is Look.NOWHERE else None
    ending = Ending.ELSEWHERE if third else _ENDINGS.get(look) or _ending_at_source(m)
    found: list[ev.Event] = []
    if m.holds_slot:
        found.append(ev.MigrationMoved(now.wall, m.id, _PHASES.get(look, _failed_phase(m)), look.value))
    found.append(ev.MigrationSettled(now.wall, m.id, ending,
                                     f"runs on {third}: somebody else moved it" if third else _detail(m, look, sight)))
    return found


def _runs_elsewhere(m: Migration, sight: Sight) -> HostName | None:
    """Return a third host that shows the VM running: a stranger's hand, to be respected."""
    for host in sorted(sight.reachable - {m.source, m.target}):
        record = sight.inventories[host].find(m.vm)
        if record is not None and record.state.runs:
            return host
    return None


def _failed_phase(m: Migration) -> MigrationPhase:
    return _P.ABORTED if m.abort_reason or m.called is CallResult.ABORTED else _P.FAILED


def _ending_at_source(m: Migration) -> Ending:
    if m.called is CallResult.REFUSED:
        return Ending.REFUSED
    return Ending.ABORTED if _failed_phase(m) is _P.ABORTED else Ending.FAILED


def _detail(m: Migration, look: Look, sight: Sight) -> str:
    gone = sorted(sight.undeclared.intersection((m.source, m.target)))
    lost = f"{' and '.join(gone)} {'is' if len(gone) == 1 else 'are'} not declared any more" if gone else ""
    said = f"caller was told: {m.call_message}" if m.call_message else ""
    shown = {Look.AT_TARGET: f"runs on {m.target}, gone from {m.source}",
             Look.AT_SOURCE: f"is on {m.source}, not on {m.target}",
             Look.SPLIT: f"runs on BOTH {m.source} and {m.target}",
             Look.LEFTOVER: f"runs on {m.target}; a paused copy is left on {m.source}",
             Look.DOWN: f"paused on {m.source}, not on {m.target}: it is down",
             Look.TORN: f"in post-copy from {m.source} to {m.target}, and one half of it is gone",
             Look.NOWHERE: f"neither on {m.source} nor on {m.target}"}.get(look, look.value)
    return "; ".join(part for part in (shown, lost, m.abort_reason, said) if part)


def find_duplicates(inventories: Mapping[HostName, HostInventory], reachable: frozenset[HostName]
                    ) -> dict[VmId, tuple[str, tuple[HostName, ...]]]:
    """Return the VMs that run on more than one reachable host: name and hosts, sorted.

    One look may straddle a hand-over (its two inventories are not taken at the same instant); the controller
    believes it only when newer inventories of all these hosts say the same.
    """
    seen: dict[VmId, list[tuple[HostName, str]]] = {}
    for host in sorted(reachable):
        for record in inventories[host].vms:
            if record.state.runs:
                seen.setdefault(record.vm, []).append((host, record.name))
    return {vm: (places[0][1], tuple(host for host, _ in places))
            for vm, places in seen.items() if len(places) > 1}


def told_ending(e: ev.MigrationSettled, migration: Migration) -> Notice:
    """Return the alarm about an ending that a person has to look into, with what can be done where a VM is nowhere, or has
    lost half of itself."""
    shown = f"ballastctl vm definition {migration.vm} shows what it was"
    cure = {Ending.TORN: f"; cure: stop what is left of it, and start it anew; {shown}",
            Ending.VANISHED: f"; cure: {shown}"}.get(e.ending, "")
    return Notice("alarm", f"migration/{e.id}", f"{migration.vm_name}: {e.ending.value}: {e.detail}{cure}")


def told_again(events: Iterable[ev.Event], ledger: Ledger, wall: float) -> tuple[Notice, ...]:
    """Return the alarms about what ended badly in the last hour before ``wall`` (seconds) by the books: whoever died as it
    became durable has told nobody. They have the keys that they had, so that who heard them knows them again."""
    moved = {migration.id: migration for migration in ledger.settled}
    return tuple(told_ending(one, moved[one.id]) for one in events
                 if isinstance(one, ev.MigrationSettled) and one.ending in ALARMING and one.id in moved
                 and wall - one.wall < TOLD_AGAIN_SECONDS)
