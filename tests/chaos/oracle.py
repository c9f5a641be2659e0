"""What must hold once everything is healed and the daemon has come to rest. It asks the hosts and the guests, not the
daemon, and the journal only for what the daemon says it did; where a guest is not what it should be, whether it told so."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.chaos.alarms import Told
from tests.integration.daemon_parts import journal
from tests.lab import Lab, LabError, Sighting
from tests.lab.guest import Heartbeat, LabGuest

BEATS, BEAT_SECONDS = 3, 15.0
LATE_SECONDS = 60.0
PAUSED = 3
"""As libvirt numbers it; what else has an emulator is taken to run."""


def violations(lab: Lab, books: Path, guests: Sequence[LabGuest], may_be_lost: Mapping[str, str | None], told: Told
               ) -> list[str]:
    """Return what is wrong, in words. ``books``: the directory of the journal; ``may_be_lost``: guests whose own emulator
    was killed, or whose host was: with that host; ``told``: what the daemon said meanwhile."""
    return [*_guests(lab, guests, may_be_lost, told), *_books(books, lab, guests, may_be_lost)]


def wrong_of_copies(guest: LabGuest, seen: Sequence[Sighting], may_be_lost: Mapping[str, str | None], told: Told) -> str:
    """Return what is wrong with how often a guest is there, empty where it is there once and runs, or where one alarm or
    more name what it has come to instead: a disk that is locked lets one copy run, and another wait beside it at most.

    A guest that was lost with its host is named by that host being out of reach: who looks after it knows who ran there.
    """
    running, paused = copies(seen)
    is_named = bool(told.of(guest))
    unnamed = "" if is_named else ", and no alarm named it"
    if len(running) > 1:
        return f"{guest.name} runs {len(running)} times, on {' and '.join(running)}{unnamed}: {seen}"
    if running and paused and not is_named:
        return f"{guest.name} runs on {running[0]} and is paused on {' and '.join(paused)}{unnamed}: {seen}"
    if paused and not running and not is_named:
        return f"{guest.name} is paused on {' and '.join(paused)} and runs nowhere{unnamed}: {seen}"
    if running or paused:
        return ""
    if guest.name not in may_be_lost:
        return f"{guest.name} runs nowhere{unnamed}: {seen}"
    is_named |= may_be_lost[guest.name] in told.unreachable
    return "" if is_named else f"{guest.name} was lost{unnamed}: {seen}"


def copies(seen: Iterable[Sighting]) -> tuple[list[str], list[str]]:
    """Return the hosts where a guest runs, and those where a paused copy of it lies; a host once for each emulator."""
    places: tuple[list[str], list[str]] = [], []
    for one in seen:
        places[one.state == PAUSED].extend([one.host] * one.emulators)
    return places


def uncalled(records: Iterable[Mapping[str, Any]], asked: str) -> list[str]:
    """Return which hosts were emptied though nobody ``asked`` for that, and which were held to be broken: no part of any
    breaks here."""
    return [*(f"{r['host']} was emptied by {r['policy']}, and nobody asked for it" for r in records
              if r["kind"] == "EvacuationBegun" and r["host"] != asked),
            *(f"{r['host']} is not broken, and was held to be: {r['evidence']}" for r in records
              if r["kind"] == "VerdictLatched")]


def _guests(lab: Lab, guests: Iterable[LabGuest], may_be_lost: Mapping[str, str | None], told: Told) -> Iterable[str]:
    for guest in guests:
        seen = lab.where(guest)
        running, _ = copies(seen)
        if wrong := wrong_of_copies(guest, seen, may_be_lost, told):
            yield wrong
        if wrong or not running:
            continue
        try:
            lab.wait_beat(guest, BEATS, BEAT_SECONDS)
        except LabError as silent:
            yield f"{guest.name} on {running[0]} does not beat: {silent}; {_what_of(lab, guest, running[0])}"
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
