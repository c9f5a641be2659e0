"""What every checker is: it watches the truth and the daemon's acts, and complains when an invariant does not hold.

Checkers share no code with the mind on purpose: two independent readings of the same rules disagree where one is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ballastd.core.acts import Act
from ballastd.core.arrival_checks import Check
from ballastd.core.inventory import DeclaredHost, JobKind, VmRecord
from ballastd.core.plans import Order
from ballastd.core.policies import PolicySet
from ballastd.core.quantities import HostName, VmId
from ballastd.core.rehearsed import Violation
from ballastd.core.telemetry import Report
from ballastd.sim.world import World

COMPLAINTS_MAX = 20


class Checker:
    """Watches one invariant. ``rule``: its short name. Methods do nothing unless a checker overrides them."""

    rule = ""

    def __init__(self, world: World) -> None:
        self.world = world
        self.violations: list[Violation] = []

    def complain(self, detail: str) -> None:
        """Note that the invariant does not hold; the same words are noted once."""
        if len(self.violations) < COMPLAINTS_MAX and all(known.detail != detail for known in self.violations):
            self.violations.append(Violation(self.now, self.rule, detail))

    @property
    def now(self) -> float:
        """Seconds since the world began."""
        return self.world.clock.now().monotonic

    @property
    def wall(self) -> float:
        """Wall seconds."""
        return self.world.clock.now().wall

    @property
    def policies(self) -> PolicySet:
        """What governs the daemon."""
        return self.world.policies

    def declared(self, host: HostName) -> DeclaredHost:
        """Return what the operator declared of a host."""
        found = self.world.declared.host(host)
        assert found is not None
        return found

    def records(self) -> Iterator[tuple[HostName, VmRecord]]:
        """Yield what is on every host, the truth."""
        for host in self.world.hypervisor.hosts.values():
            for record in host.vms.values():
                yield host.name, record

    def begin(self) -> None:
        """The rehearsal begins; the world is as it was declared."""

    def started(self) -> None:
        """A daemon starts, the first or another."""

    def changed(self, host: HostName) -> None:
        """Something on a host changed."""

    def heard(self, report: Report) -> None:
        """A report reached the daemon."""

    def migrating(self, order: Order) -> None:
        """The daemon is about to begin a migration."""

    def aborting(self, host: HostName, vm: VmId) -> None:
        """The daemon is about to cancel a job."""

    def granting(self, host: HostName, vm: VmId, bandwidth_mib_s: int) -> None:
        """The daemon is about to give a running job another bandwidth."""

    def lengthening(self, host: HostName, vm: VmId, downtime_ms: int) -> None:
        """The daemon is about to let the VM of a job stand still for longer at its end."""

    def parting(self, host: HostName, vm: VmId) -> None:
        """The daemon is about to have the VM of a job go before its memory."""

    def closing(self, host: HostName, *, closed: bool) -> None:
        """The daemon is about to ask a host's agent to let no guest in, or to let them in again."""

    def asking(self, vm: VmId, check: Check) -> None:
        """The daemon is about to ask a VM whether it answers."""

    def shutting_down(self, host: HostName, vm: VmId) -> None:
        """The daemon is about to ask a guest to shut down."""

    def setting_autostart(self, host: HostName, vm: VmId, *, on: bool) -> None:
        """The daemon is about to have a VM start with a host, or not."""

    def switching(self, host: HostName, *, on: bool) -> None:
        """The daemon is about to tell a power controller something."""

    def recorded(self, content: dict[str, Any]) -> None:
        """The daemon made something durable."""

    def acted(self, act: Act) -> None:
        """Something is about to happen to the cluster."""

    def finish(self) -> None:
        """The rehearsal is over."""


def outgoing(record: VmRecord) -> bool:
    """Return whether a migration takes this VM away."""
    return record.job is JobKind.OUTGOING
