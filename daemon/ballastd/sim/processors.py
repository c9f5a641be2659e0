"""What the processors of pretend hosts do: who asks, who gets how much, what it costs, and how long it was too much.

Demand that fits is met; what does not fit is shared in proportion to what is asked, as a kernel without weights does.
Everything changes at events only, so between two of them every sum is a product.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ballastd.core.quantities import HostName, Seconds, VmId
from ballastd.ports.running import Clock

OVERHEAD = 0.02
"""What a host's own work takes of its processors."""
QUIET_UTILIZATION = 0.7
"""Up to here nobody waits for a processor; above, more and more do, as far as a tenth of the time when all are busy."""
FULL_PRESSURE = 0.1
WAITS = 0.6
"""The share of the time for which a VM that is blocked waits for its disk."""


@dataclass(frozen=True, slots=True)
class Load:
    """A host now. ``utilization``: share of its processors at work; ``demand``: what is asked of them, as a share, above
    1 where it is too much; ``pressure``, ``io_pressure``: share of the time in which somebody waits for a processor, or
    for a disk (the *some* line of the kernel's pressure stall information)."""

    utilization: float
    demand: float
    pressure: float
    io_pressure: float


@dataclass(frozen=True, slots=True)
class Energy:
    """Joules. ``joules_if_on``: had the host stayed on, with the same work done."""

    joules: float
    joules_if_on: float


@dataclass(slots=True)
class _Guest:
    """A VM that runs on a host. ``blocked``: it waits for its disk. ``spent``: processor seconds up to when the host's
    ``served`` was ``since``."""

    processors: float
    blocked: bool
    since: float
    spent: float = 0.0


@dataclass(slots=True)
class _Account:
    """One host. ``served``: seconds in which a VM that asks for one processor would have got it in full."""

    cpus: int
    watts: tuple[float, float] | None
    is_on: bool
    at: float
    guests: dict[VmId, _Guest] = field(default_factory=dict)
    asked: float = 0.0
    served: float = 0.0
    joules: float = 0.0
    off_seconds: float = 0.0
    overload_seconds: float = 0.0

    @property
    def share(self) -> float:
        """What each VM gets of what it asks for."""
        room = self.cpus * (1.0 - OVERHEAD)
        return 1.0 if self.asked <= room else room / self.asked

    @property
    def utilization(self) -> float:
        return OVERHEAD + self.asked * self.share / self.cpus if self.is_on else 0.0

    def settle(self, now: float) -> None:
        """Take the time since the last change into account; to be called before anything changes."""
        passed, self.at = now - self.at, now
        if not self.is_on:
            self.off_seconds += passed
            return
        self.served += self.share * passed
        if self.share < 1.0:
            self.overload_seconds += passed
        if self.watts is not None:
            idle, busy = self.watts
            self.joules += (idle + (busy - idle) * self.utilization) * passed

    def add_up(self) -> None:
        self.asked = sum(guest.processors for guest in self.guests.values())


class Processors:
    """The processors of all hosts. A VM's processor seconds begin at zero on each host that it comes to, as a
    hypervisor counts them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._accounts: dict[HostName, _Account] = {}
        self._asked: dict[VmId, tuple[float, bool]] = {}

    def add(self, host: HostName, cpus: int, watts: tuple[float, float] | None, guests: Iterable[VmId], *,
            is_on: bool) -> None:
        """Have a host, and the VMs that run on it. ``watts``: idle and busy, None where unknown."""
        self._accounts[host] = _Account(cpus, watts, is_on, self._clock.now().monotonic)
        for vm in guests:
            self.run(host, vm, runs=True)

    def ask(self, vm: VmId, processors: float, *, blocked: bool = False) -> None:
        """Have a VM ask for so many processors from now on, wherever it runs. ``blocked``: it waits for its disk."""
        self._asked[vm] = processors, blocked
        for account in self._accounts.values():
            if (guest := account.guests.get(vm)) is not None:
                account.settle(self._clock.now().monotonic)
                guest.spent += guest.processors * (account.served - guest.since)
                guest.since, guest.processors, guest.blocked = account.served, processors, blocked
                account.add_up()

    def asked(self, vm: VmId) -> float:
        """Return how many processors a VM asks for."""
        return self._asked.get(vm, (0.0, False))[0]

    def run(self, host: HostName, vm: VmId, *, runs: bool) -> None:
        """A VM runs on a host from now on, or no longer does."""
        account = self._accounts[host]
        account.settle(self._clock.now().monotonic)
        if runs:
            account.guests[vm] = _Guest(*self._asked.get(vm, (0.0, False)), since=account.served)
        else:
            account.guests.pop(vm, None)
        account.add_up()

    def switch(self, host: HostName, *, on: bool) -> None:
        """A host has gone off, or come on."""
        account = self._accounts[host]
        account.settle(self._clock.now().monotonic)
        account.is_on = on

    def spent(self, host: HostName) -> dict[VmId, float]:
        """Return the processor seconds of each VM that runs on a host, since it began to."""
        account = self._accounts[host]
        account.settle(self._clock.now().monotonic)
        served = account.served
        return {vm: guest.spent + guest.processors * (served - guest.since) for vm, guest in account.guests.items()}

    def load(self, host: HostName) -> Load:
        """Return how a host is loaded now."""
        account = self._accounts[host]
        if not account.is_on:
            return Load(0.0, 0.0, 0.0, 0.0)
        busy, share = account.utilization, account.share
        waiting = max(0.0, busy - QUIET_UTILIZATION) / (1.0 - QUIET_UTILIZATION) * FULL_PRESSURE
        blocked = sum(1 for guest in account.guests.values() if guest.blocked)
        return Load(busy, OVERHEAD + account.asked / account.cpus, pressure=1.0 - share * (1.0 - waiting),
                    io_pressure=1.0 - (1.0 - WAITS) ** blocked)

    def energy(self, host: HostName) -> Energy | None:
        """Return what a host has drawn so far, None where nobody knows its watts."""
        account = self._accounts[host]
        account.settle(self._clock.now().monotonic)
        if account.watts is None:
            return None
        return Energy(account.joules, account.joules + account.watts[0] * account.off_seconds)

    def overload(self, host: HostName) -> Seconds:
        """Return for how long more was asked of a host than it has."""
        account = self._accounts[host]
        account.settle(self._clock.now().monotonic)
        return Seconds(account.overload_seconds)
