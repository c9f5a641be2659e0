"""Nothing is done that is not durable first, and what is not known to be durable is not done at all."""

from __future__ import annotations

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
        self._power: list[tuple[str, bool]] = []

    def recorded(self, content: dict[str, Any]) -> None:
        match content["kind"]:
            case "MigrationOrdered":
                self._orders[content["id"]] = VmId(content["vm"])
            case "AbortOrdered":
                self._aborts[content["id"]] = 1
            case "PowerOffOrdered" | "WakeOrdered":
                self._power.append((content["host"], content["kind"] == "WakeOrdered"))
            case _:
                pass

    def migrating(self, order: Order) -> None:
        if self._orders.get(order.id) != order.move.vm:
            self.complain(f"{order.move.vm_name} is moved by order {order.id}, which is not in the journal")

    def aborting(self, host: HostName, vm: VmId) -> None:
        if not any(self._orders.get(migration) == vm for migration in self._aborts):
            self.complain(f"a job of {vm} on {host} is cancelled, and the journal has no abort for it")

    def switching(self, host: HostName, *, on: bool) -> None:
        if (host, on) not in self._power:
            self.complain(f"{host} is switched {'on' if on else 'off'}, which is not in the journal")
        else:
            self._power.remove((host, on))
