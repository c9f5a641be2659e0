"""Nothing is done that is not durable first, what is not known to be durable is not done at all, and all has one end."""

from __future__ import annotations

from collections import Counter
from typing import Any

from ballastd.core.plans import Order
from ballastd.core.quantities import HostName, VmId
from ballastd.sim.checkers.base import Checker
from ballastd.sim.world import World


class JournalFirst(Checker):
    """Every call that changes something has a record of its own, made before it, and uses it up."""

    rule = "journal-first"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._orders: dict[str, VmId] = {}
        self._aborts: dict[str, int] = {}
        self._downtimes: dict[str, int] = {}
        self._partings: set[str] = set()
        self._power: list[tuple[str, bool]] = []
        self._autostarts: set[tuple[str, VmId, bool]] = set()
        self._shutdowns: dict[str, tuple[str, VmId]] = {}
        self._asks: Counter[tuple[str, VmId]] = Counter()

    def recorded(self, content: dict[str, Any]) -> None:
        match content["kind"]:
            case "MigrationOrdered":
                self._orders[content["id"]] = VmId(content["vm"])
                self._downtimes[content["id"]] = content.get("downtime_ms", 0)
            case "AbortOrdered":
                self._aborts[content["id"]] = 1
            case "MigrationSettled":
                self._downtimes.pop(content["id"], None)
            case "DowntimeOrdered":
                self._downtimes[content["id"]] = content["downtime_ms"]
            case "PostCopyOrdered":
                self._partings.add(content["id"])
            case "PowerOffOrdered" | "WakeOrdered":
                self._power.append((content["host"], content["kind"] == "WakeOrdered"))
            case "AutostartOrdered":
                self._autostarts.add((content["host"], self._orders[content["id"]], content["on"]))
            case "ShutdownOrdered":
                self._shutdowns[content["id"]] = key = content["host"], VmId(content["vm"])
                self._asks[key] = 1
            case "ShutdownAskedAgain":
                self._asks[self._shutdowns[content["id"]]] = 1
            case "ShutdownWithdrawn" | "ShutdownEnded":
                self._asks[self._shutdowns[content["id"]]] = 0
            case _:
                pass

    def migrating(self, order: Order) -> None:
        if self._orders.get(order.id) != order.move.vm:
            self.complain(f"{order.move.vm_name} is moved by order {order.id}, which is not in the journal")

    def aborting(self, host: HostName, vm: VmId) -> None:
        if not any(self._orders.get(migration) == vm for migration in self._aborts):
            self.complain(f"a job of {vm} on {host} is cancelled, and the journal has no abort for it")

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
