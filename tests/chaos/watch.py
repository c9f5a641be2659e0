"""What is seen while a fault lasts: what the daemon says of it, and whether something begins that is not durable."""

from __future__ import annotations

import re
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.chaos.asking import Asking
from tests.chaos.faults import Fault, Scene
from tests.integration.daemon_parts import journal, reasons
from tests.lab.commands import wait_until

LOOK_SECONDS = 0.25
COPY_SECONDS = 5.0
FILES = ("journal.db", "journal.db-wal")


class Watch:
    """Looks for as long as a fault lasts. Made before it strikes."""

    def __init__(self, scene: Scene, fault: Fault) -> None:
        self._scene, self._fault = scene, fault
        self._before = self._emulators()
        self._seen = set(self._before)
        self._settled = settled(journal(scene.volume.place)) if fault.bars_journal else frozenset()
        self._asking = Asking(lambda connected: scene.stand.running().say(
            f"hosts/{scene.bystander}/confirm-wakeable", connected))
        self._logged = scene.stand.running().log.stat().st_size
        self.said = False
        """Whether the daemon's status or its log said what is wrong."""
        self._counted = self._counter()
        self._stuck = set[int]()
        self._has_hung = False

    def look(self, seconds: float) -> None:
        """Look for so long, and until the daemon has said what it must say, if that is later; only wait where there is
        nothing to look at. Where nothing can be written it is given something to write: it would not notice otherwise."""
        if not (self._fault.says or self._fault.bars_journal or self._fault.hangs):
            time.sleep(seconds)
            return
        if self._fault.bars_journal:
            self._asking.begin()
        try:
            until = time.monotonic() + seconds
            while (now := time.monotonic()) < until or (self._must_say() and now < until + self._fault.patience):
                self._seen |= self._emulators()
                self.said = self.said or self._says()
                self._look_who_hangs()
                time.sleep(LOOK_SECONDS)
        finally:
            self._asking.end()

    @property
    def is_felt(self) -> bool:
        """Whether the fault made itself felt, as far as that can be told."""
        return ((self.said or not self._fault.says) and (self._has_hung or self._fault.hangs is None)
                and (not self._fault.counts or self._counter() > self._counted))

    def violations(self) -> list[str]:
        """Return what is wrong before the fault is healed, in words: what is durable then was not later."""
        found = []
        if self._must_say():
            found.append(f"neither its status nor its log said {self._fault.says!r}")
        if self._fault.bars_journal:
            durable = standing(durable_records(self._scene.volume.place), self._settled)
            found.extend(f"{vm} came to {host}, and no order for it was durable"
                         for vm, host in sorted(self._seen - self._before - durable))
        return found

    def _look_who_hangs(self) -> None:
        """Who stands in the kernel in two looks, one after another, waits for longer than any write."""
        if self._fault.hangs is not None:
            before, self._stuck = self._stuck, self._fault.hangs(self._scene).stuck()
            self._has_hung |= not self._stuck.isdisjoint(before)

    def _counter(self) -> float:
        return float((self._scene.stand.running().ask("counters") or {}).get(self._fault.counts, 0.0))

    def _says(self) -> bool:
        """A gate may be gone between two looks, as short as the durations of the lab are; the log keeps its reason."""
        daemon = self._scene.stand.running()
        with daemon.log.open("rb") as log:
            log.seek(self._logged)
            words = f"{reasons(daemon)}\n{log.read().decode(errors='replace')}"
        return bool(self._fault.says and re.search(self._fault.says, words))

    def _must_say(self) -> bool:
        must = self._fault.must_say or self._asking.is_barred
        return bool(self._fault.says) and must and not self.said

    def _emulators(self) -> set[tuple[str, str]]:
        return {(vm, host.name) for host in self._scene.lab.hosts.values() for vm in host.emulated()}


def settled(records: Iterable[dict[str, Any]]) -> frozenset[str]:
    """Return the migrations whose books are closed."""
    return frozenset(record["id"] for record in records if record["kind"] == "MigrationSettled")


def standing(records: Iterable[dict[str, Any]], over: frozenset[str]) -> set[tuple[str, str]]:
    """Return which VM may come where, by name, by the orders that were not ``over`` already when the fault began: what was
    ordered and settled before allows nothing any more."""
    return {(record["vm_name"], record["target"]) for record in records
            if record["kind"] == "MigrationOrdered" and record["id"] not in over}


def durable_records(directory: Path) -> list[dict[str, Any]]:
    """Return what is on the disk, of a copy: whoever opens the journal itself may have to write."""
    found: list[dict[str, Any]] = []

    def read() -> bool:
        with tempfile.TemporaryDirectory() as folder:
            for name in FILES:
                if (directory / name).exists():
                    shutil.copyfile(directory / name, Path(folder) / name)
            try:
                found[:] = journal(Path(folder))
            except sqlite3.DatabaseError:  # it was written to between the two files
                return False
        return bool(found)

    wait_until(read, COPY_SECONDS, "a whole copy of the journal")
    return found
