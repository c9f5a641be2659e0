"""Power: only a host that is truly empty, closed, and proved to wake goes off; few do, and none again and again."""

from __future__ import annotations

from collections import deque
from typing import Any

from ballastd.core.policies import ConsolidationPolicy, Mode
from ballastd.core.power import WAKE_TEST
from ballastd.core.quantities import HostName
from ballastd.sim.checkers.base import Checker
from ballastd.sim.checkers.hearsay import hearsay_of
from ballastd.sim.world import World

DAY = 86400.0


class EmptyBeforeOff(Checker):
    """A host with anything on it, or an open hook, is never told to go off."""

    rule = "empty-before-off"

    def switching(self, host: HostName, *, on: bool) -> None:
        if on:
            return
        # whose cables are mixed up switches another machine off than he thinks
        machine = self.world.power.behind(host)
        on_it = [record.name for record in self.world.host(machine).vms.values()]
        if machine != host:
            self.complain(f"{host} is told to go off, and {machine} is wired to its controller")
        elif on_it:
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


class Rhythm(Checker):
    """A host that a policy switches was on, or off, for as long as the policy says, unless it is needed; and no more wake
    within a minute than the limits allow."""

    rule = "rhythm"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._hearsay = hearsay_of(world)
        self._policy: dict[HostName, str] = {}
        self._on: dict[HostName, tuple[float, float]] = {}
        self._off: dict[HostName, tuple[float, float]] = {}
        self._needed: set[HostName] = set()
        self._woken: deque[float] = deque()

    def recorded(self, content: dict[str, Any]) -> None:
        host = HostName(str(content.get("host", "")))
        match content["kind"]:
            case "PowerOffOrdered" | "WakeOrdered":
                self._policy[host] = content["policy"]
            case "HostOff":
                self._off[host] = self.now, self.wall
            case "HostAwake":
                self._on[host] = self.now, self.wall
            case "EvacuationBegun" | "DrainRequested":
                self._needed.add(host)
            case "EvacuationEnded" | "DrainCancelled":
                self._needed.discard(host)
            case _:
                pass

    def switching(self, host: HostName, *, on: bool) -> None:
        if on:
            self._woken.append(self.now)
            while self._woken[0] < self.now - 60.0 + 1.0:
                self._woken.popleft()
            if len(self._woken) > (most := self.policies.limits.wakes_per_min):
                self.complain(f"{len(self._woken)} hosts are woken within a minute; at most {most}")
        policy = next((one for one in self.policies.consolidation if one.name == self._policy.get(host)), None)
        if policy is None or (on and self._is_needed(policy)):
            return
        least, since = (policy.minimum_off, self._off) if on else (policy.minimum_on, self._on)
        passed = self._passed(since, host)
        if passed < least - 1.0:
            self.complain(f"{host} is switched {'on' if on else 'off'} after {passed:.0f} s; {policy.name} leaves it for "
                          f"{least:g} s")

    def _passed(self, since: dict[HostName, tuple[float, float]], host: HostName) -> float:
        """Return how long ago it was, by whichever clock says more."""
        now, wall = since.get(host, (float("-inf"), float("-inf")))
        return max(self.now - now, self.wall - wall)

    def _is_needed(self, policy: ConsolidationPolicy) -> bool:
        """Return whether a wake cannot wait: the night is over, by its end or by a denial, or somebody may have nowhere to
        go."""
        window = self.policies.windows.get(policy.window)
        closes = next((end for begin, end in window.intervals if begin <= self.wall < end), None) if window else None
        denials = [self.policies.windows[name] for name in policy.denials]
        denied = [begin for denial in denials for begin, end in denial.intervals if self.wall < end]
        closes = None if closes is None else min(closes, *denied) if denied else closes
        sick = any(self._hearsay.ever(host.name) for host in self.world.declared.hosts)
        return (policy.mode is not Mode.AUTO or closes is None or closes - self.wall <= policy.wake_ahead + 1.0 or sick
                or bool(self._needed))


class ProvedToWake(Checker):
    """No host goes off that was not seen to wake, or vouched for by an operator, since its power last failed; but to see
    that."""

    rule = "proved-to-wake"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._proved: dict[HostName, float] = {}
        self._off: set[HostName] = set()
        self._policy: dict[HostName, str] = {}

    def recorded(self, content: dict[str, Any]) -> None:
        host = HostName(str(content.get("host", "")))
        match content["kind"]:
            case "WakeabilityConfirmed":
                self._proved[host] = self.wall
            case "HostOff":
                self._off.add(host)
            case "HostAwake":
                if host in self._off:
                    self._proved[host] = self.wall
                self._off.discard(host)
            case "PowerFailed":
                self._proved.pop(host, None)
            case "PowerOffOrdered":
                self._policy[host] = content["policy"]
            case _:
                pass

    def switching(self, host: HostName, *, on: bool) -> None:
        if on or self._policy.get(host) == WAKE_TEST:
            return
        age = self.wall - self._proved.get(host, float("-inf"))
        if age > self.world.declared.timing.wake_proof + 1.0:
            self.complain(f"{host} is told to go off, and nothing proves that it can be woken")
