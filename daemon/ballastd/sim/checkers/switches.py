"""Power: only a host that is truly empty and closed goes off, few do, and none again and again."""

from __future__ import annotations

from collections import deque
from typing import Any

from ballastd.core.quantities import HostName
from ballastd.sim.checkers.base import Checker
from ballastd.sim.world import World

DAY = 86400.0


class EmptyBeforeOff(Checker):
    """A host with anything on it, or an open hook, is never told to go off."""

    rule = "empty-before-off"

    def switching(self, host: HostName, *, on: bool) -> None:
        if on:
            return
        on_it = [record.name for record in self.world.host(host).vms.values()]
        if on_it:
            self.complain(f"{host} is told to go off with {', '.join(sorted(on_it))} on it")
        if not self.world.is_closed(host):
            self.complain(f"{host} is told to go off, and its hook is open")


class FewSwitches(Checker):
    """So many hosts off, so many power-offs in ten minutes, so many of one host within a day."""

    rule = "few-switches"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._off: set[HostName] = set()
        self._told: deque[tuple[float, HostName]] = deque()

    def recorded(self, content: dict[str, Any]) -> None:
        if content["kind"] in ("HostAwake", "HostKept", "HostSeenAlive"):
            self._off.discard(HostName(content["host"]))

    def switching(self, host: HostName, *, on: bool) -> None:
        if on:
            return
        limits, hosts = self.policies.limits, len(self.world.declared.hosts)
        self._off.add(host)
        self._told.append((self.now, host))
        while self._told[0][0] < self.now - DAY:
            self._told.popleft()
        lately = sum(1 for at, _ in self._told if at > self.now - 600.0 + 1.0)
        of_host = sum(1 for at, known in self._told if known == host and at > self.now - DAY + 1.0)
        for count, limit, what in (
                (len(self._off), max(1, int(limits.hosts_off_share * hosts)), "hosts are off by our doing"),
                (lately, limits.power_offs_per_10_min, "hosts are told to go off within ten minutes"),
                (of_host, limits.power_cycles_per_day, f"times {host} is told to go off within a day")):
            if count > limit:
                self.complain(f"{count} {what}; at most {limit}")


class OnlyOurs(Checker):
    """Nothing is woken that the journal does not say we switched off, unless an operator asked."""

    rule = "only-ours"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._ours: set[HostName] = set()

    def recorded(self, content: dict[str, Any]) -> None:
        if content["kind"] in ("PowerOffOrdered", "WakeAsked"):
            self._ours.add(HostName(content["host"]))

    def switching(self, host: HostName, *, on: bool) -> None:
        if on and host not in self._ours:
            self.complain(f"{host} is switched on, and we never switched it off")
