"""Nothing is done that is not durable first, what is not known to be durable is not done at all, and all has one end."""

from __future__ import annotations

from collections import Counter
from typing import Any

from ballastd.core.plans import Order
from ballastd.core.quantities import HostName, VmId
from ballastd.sim.checkers.base import Checker
from ballastd.sim.checkers.hearsay import STALE_SECONDS, hearsay_of
from ballastd.sim.world import World

CLOSES = {"HostCordoned": "cordon", "DrainRequested": "drain", "HostEmptying": "power", "HostClosing": "power",
           "PowerOffOrdered": "power", "WakeOrdered": "power"}
OPENS = {"HostUncordoned": "cordon", "DrainCancelled": "drain", "HostKept": "power", "HostAwake": "power"}
"""What a record has a host closed for, or no longer."""


class JournalFirst(Checker):
    """Every call that changes something has a record of its own, made before it, and uses it up; what steers a migration
    has one of that migration, which is open."""

    rule = "journal-first"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._orders: dict[str, VmId] = {}
        self._moved: dict[str, VmId] = {}
        """Those whose migration is over as well."""
        self._unused: set[str] = set()
        self._aborts: set[str] = set()
        self._bandwidths: dict[str, int] = {}
        self._downtimes: dict[str, int] = {}
        self._partings: set[str] = set()
        self._power: list[tuple[str, bool]] = []
        self._autostarts: set[tuple[str, VmId, bool]] = set()
        self._shutdowns: dict[str, tuple[str, VmId]] = {}
        self._asks: Counter[tuple[str, VmId]] = Counter()

    def recorded(self, content: dict[str, Any]) -> None:
        match content["kind"]:
            case "MigrationOrdered":
                self._orders[content["id"]] = self._moved[content["id"]] = VmId(content["vm"])
                self._unused.add(content["id"])
                self._downtimes[content["id"]] = content.get("downtime_ms", 0)
            case "AbortOrdered":
                self._aborts.add(content["id"])
            case "MigrationSettled":
                self._forget(content["id"])
            case "PowerOffOrdered" | "WakeOrdered":
                self._power.append((content["host"], content["kind"] == "WakeOrdered"))
            case "AutostartOrdered":
                self._autostarts.add((content["host"], self._moved[content["id"]], content["on"]))
            case "ShutdownOrdered":
                self._shutdowns[content["id"]] = key = content["host"], VmId(content["vm"])
                self._asks[key] = 1
            case "ShutdownAskedAgain":
                self._asks[self._shutdowns[content["id"]]] = 1
            case "ShutdownWithdrawn" | "ShutdownEnded":
                self._asks[self._shutdowns[content["id"]]] = 0
            case _:
                self._steered(content)

    def _steered(self, content: dict[str, Any]) -> None:
        match content["kind"]:
            case "BandwidthOrdered":
                self._bandwidths[content["id"]] = content["bandwidth_mib_s"]
            case "DowntimeOrdered":
                self._downtimes[content["id"]] = content["downtime_ms"]
            case "PostCopyOrdered":
                self._partings.add(content["id"])
            case "PostCopyWithdrawn":
                self._partings.discard(content["id"])
            case _:
                pass

    def _forget(self, migration: str) -> None:
        self._orders.pop(migration, None)
        for steered in (self._bandwidths, self._downtimes):
            steered.pop(migration, None)
        for ids in (self._unused, self._aborts, self._partings):
            ids.discard(migration)

    def migrating(self, order: Order) -> None:
        if order.id not in self._unused or self._orders[order.id] != order.move.vm:
            self.complain(f"{order.move.vm_name} is moved by order {order.id}, which is not in the journal, or was used up")
        self._unused.discard(order.id)

    def aborting(self, host: HostName, vm: VmId) -> None:
        if not any(self._orders.get(migration) == vm for migration in self._aborts):
            self.complain(f"a job of {vm} on {host} is cancelled, and the journal has no abort for it")

    def granting(self, host: HostName, vm: VmId, bandwidth_mib_s: int) -> None:
        if not any(self._orders.get(migration) == vm and mib_s == bandwidth_mib_s
                   for migration, mib_s in self._bandwidths.items()):
            self.complain(f"the job of {vm} on {host} is given {bandwidth_mib_s} MiB/s, which is not in the journal")

    def lengthening(self, host: HostName, vm: VmId, downtime_ms: int) -> None:
        if not any(self._orders.get(migration) == vm and ms == downtime_ms for migration, ms in self._downtimes.items()):
            self.complain(f"{vm} on {host} may stand still for {downtime_ms} ms, which is not in the journal")

    def parting(self, host: HostName, vm: VmId) -> None:
        if not any(self._orders.get(migration) == vm for migration in self._partings):
            self.complain(f"{vm} leaves {host} before its memory, which is not in the journal")

    def shutting_down(self, host: HostName, vm: VmId) -> None:
        if self._asks[host, vm] < 1:
            self.complain(f"{vm} is asked to shut down on {host}, which is not in the journal, not any more, or was done")
        self._asks[host, vm] -= 1

    def setting_autostart(self, host: HostName, vm: VmId, *, on: bool) -> None:
        if (host, vm, on) not in self._autostarts:
            self.complain(f"{vm} is made to start with {host}, or not to, which is not in the journal")

    def switching(self, host: HostName, *, on: bool) -> None:
        if (host, on) not in self._power:
            self.complain(f"{host} is switched {'on' if on else 'off'}, which is not in the journal")
        else:
            self._power.remove((host, on))


class ClosedHosts(Checker):
    """A host is closed at its hook by a record, or while it is sick or silent, or was silent until a moment ago, and is not
    opened as long as a record has it closed."""

    rule = "closed-by-record"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._hearsay = hearsay_of(world)
        self._closed: dict[HostName, set[str]] = {}

    def recorded(self, content: dict[str, Any]) -> None:
        kind, why = content["kind"], self._closed.setdefault(HostName(str(content.get("host", ""))), set())
        if kind in CLOSES:
            why.add(CLOSES[kind])
        elif kind in OPENS:
            why.discard(OPENS[kind])

    def closing(self, host: HostName, *, closed: bool) -> None:
        why = self._closed.get(host)
        if not closed and why:
            self.complain(f"{host} is opened, which the journal has closed ({', '.join(sorted(why))})")
        is_doubtful = (self._hearsay.was_told(host) or self._hearsay.unreached(host) > STALE_SECONDS
                       or self._hearsay.counts_as_silent(host))
        if closed and not why and not is_doubtful:
            self.complain(f"{host} is closed, which is not in the journal, and it is neither sick nor silent")


class OneEnding(Checker):
    """Whatever the journal says was begun ends once: migrations, evacuations, orders to go off, shutdowns of guests."""

    rule = "one-ending"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._known: set[str] = set()
        self._open: set[str] = set()
        self._evacuated: set[str] = set()
        self._going_off: set[str] = set()
        self._going_down: set[str] = set()

    def recorded(self, content: dict[str, Any]) -> None:
        match content["kind"]:
            case "MigrationOrdered":
                if content["id"] in self._known:
                    self.complain(f"a second order is called {content['id']}")
                self._known.add(content["id"])
                self._open.add(content["id"])
            case "MigrationSettled":
                if content["id"] not in self._open:
                    self.complain(f"{content['id']} is settled, and was not open")
                self._open.discard(content["id"])
            case "EvacuationBegun" | "EvacuationEnded":
                self._follow(self._evacuated, content["host"], begins=content["kind"] == "EvacuationBegun",
                             what="evacuation")
            case "PowerOffOrdered":
                self._follow(self._going_off, content["host"], begins=True, what="power-off")
            case "ShutdownOrdered" | "ShutdownEnded":
                self._follow(self._going_down, content["id"], begins=content["kind"] == "ShutdownOrdered", what="shutdown")
            case "HostOff" | "HostKept" | "HostAwake" | "PowerFailed" | "WakeOrdered":
                self._going_off.discard(content["host"])
            case _:
                pass

    def _follow(self, under_way: set[str], host: str, *, begins: bool, what: str) -> None:
        if begins == (host in under_way):
            self.complain(f"the {what} of {host} {'begins twice' if begins else 'ends, and never began'}")
        (under_way.add if begins else under_way.discard)(host)
