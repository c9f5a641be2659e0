"""What must hold once everything is healed and the daemon has come to rest. It asks the hosts and the guests, not the
daemon, and the journal only for what the daemon says it did."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from tests.integration.daemon_parts import journal
from tests.lab import Lab, LabError
from tests.lab.guest import Heartbeat, LabGuest

BEATS, BEAT_SECONDS = 3, 15.0
LATE_SECONDS = 60.0


def violations(lab: Lab, books: Path, guests: Sequence[LabGuest], may_be_lost: Collection[str]) -> list[str]:
    """Return what is wrong, in words. ``books``: the directory of the journal; ``may_be_lost``: guests whose own emulator
    was killed, or whose host was."""
    return [*_guests(lab, guests, may_be_lost), *_books(books, lab, guests, may_be_lost)]


def _guests(lab: Lab, guests: Iterable[LabGuest], may_be_lost: Collection[str]) -> Iterable[str]:
    for guest in guests:
        seen = lab.where(guest)
        running = [sighting for sighting in seen if sighting.emulators]
        copies = sum(sighting.emulators for sighting in running)
        if copies == 0:
            if guest.name not in may_be_lost:
                yield f"{guest.name} runs nowhere: {seen}"
            continue
        if copies > 1:
            yield f"{guest.name} runs {copies} times: {seen}"
            continue
        try:
            lab.wait_beat(guest, BEATS, BEAT_SECONDS)
        except LabError as silent:
            yield f"{guest.name} on {running[0].host} does not beat: {silent}; {_what_of(lab, guest, running[0].host)}"
        heart = lab.heartbeat(guest)
        if heart.breaks and guest.name not in may_be_lost:
            yield f"the heart of {guest.name} broke {heart.breaks} times: {what_broke(heart)}"


def _what_of(lab: Lab, guest: LabGuest, host: str) -> str:
    """Say what a silent guest is, whether it beats after all, and how busy this machine is: one that gets no processor is
    silent as well."""
    try:
        state = " ".join(lab.hosts[host].virsh("domstate", guest.name, "--reason").split())
    except LabError as refused:
        state = f"not to be asked about ({refused})"
    began = time.monotonic()
    try:
        lab.wait_beat(guest, 1, LATE_SECONDS)
    except LabError:
        late = f"not in {LATE_SECONDS:.0f} s more"
    else:
        late = f"it beat {time.monotonic() - began:.0f} s later"
    return f"it is {state}, {late}, load {os.getloadavg()[0]:.1f}"


def what_broke(heart: Heartbeat) -> str:
    """Return what breaks in a heart tell: a guest that died, and began again or wrote anything, did not run twice."""
    return "it ran twice, or as it was before" if heart.again else "it lost its state, or a line"


def _books(books: Path, lab: Lab, guests: Iterable[LabGuest], may_be_lost: Collection[str]) -> Iterable[str]:
    records = journal(books)
    orders = Counter(record["id"] for record in records if record["kind"] == "MigrationOrdered")
    ends = Counter(record["id"] for record in records if record["kind"] == "MigrationSettled")
    yield from (f"migration {one} was ordered {times} times" for one, times in orders.items() if times > 1)
    yield from (f"migration {one} was settled {times} times" for one, times in ends.items() if times > 1)
    yield from (f"migration {one} is open still" for one in orders if one not in ends)
    under_way: dict[str, str] = {}
    last: dict[str, tuple[str, str]] = {}
    """By UUID, for a guest that was lost is replaced by another of its name: the newest order and its target."""
    for record in records:
        if record["kind"] == "MigrationOrdered":
            if record["vm"] in under_way.values():
                yield f"{record['vm_name']} was ordered twice at once"
            under_way[record["id"]] = record["vm"]
            last[record["vm"]] = record["id"], record["target"]
        elif record["kind"] == "MigrationSettled":
            under_way.pop(record["id"], None)
    ended = {record["id"]: record["ending"] for record in records if record["kind"] == "MigrationSettled"}
    for guest in guests:
        one, target = last.get(guest.uuid, ("", ""))
        if ended.get(one) == "completed" and guest.name not in may_be_lost:
            where = lab.runs_on(guest)
            if where not in (None, target) and not _moved_since(records, one, guest.uuid):
                yield f"the books say that {guest.name} went to {target} ({one}), and it runs on {where}"


def _moved_since(records: list[dict[str, object]], migration: str, vm: str) -> bool:
    """Return whether somebody else was seen to move a VM after a migration of ours: then it may be anywhere."""
    begun = False
    for record in records:
        begun |= record.get("id") == migration
        if begun and record["kind"] == "ForeignMoveSeen" and record["vm"] == vm:
            return True
    return False
