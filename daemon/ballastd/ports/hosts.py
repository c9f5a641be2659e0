"""Hosts, their VMs and their power: looked at and acted on."""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from ballastd.core.arrival_checks import Check
from ballastd.core.inventory import HostInventory, Progress
from ballastd.core.plans import Examination, Order
from ballastd.core.power import PowerStatus
from ballastd.core.quantities import HostName, Seconds, VmId


class HostChange(enum.Enum):
    """Why a host deserves a look before its turn."""

    LIFECYCLE = "lifecycle"
    JOB = "job"
    CONNECTED = "connected"
    DISCONNECTED = "disconnected"


@dataclass(frozen=True, slots=True)
class HostHint:
    """Something changed on a host. A hint is never a fact: it only says where to look."""

    host: HostName
    change: HostChange
    vm: VmId | None = None
    detail: str = ""


class Hypervisor(Protocol):
    """All declared hosts' hypervisors. One call in flight per host and lane; every call has a time limit."""

    async def start(self) -> None:
        """Begin connecting to every host. A host that does not answer does not delay the others."""
        ...

    def hints(self) -> AsyncIterator[HostHint]:
        """Yield hints as they come, for ever. Bounded inside: the same hint twice may come once."""
        ...

    async def inventory(self, host: HostName, *, load: bool = True) -> HostInventory:
        """Return what the host has. Nothing in it is older than its ``begun``.

        ``load``: whether what VMs use beside their processors is asked for as well, which takes longer.

        Raises:
            Unreachable: it did not answer in time; nothing is known.
        """
        ...

    async def examine(self, order: Order) -> Examination:
        """Return what speaks against ``order`` as far as both hosts can tell without touching the guest:
        CPU, machine type, networks, storage, a UUID or name taken at the target.

        Raises:
            Unreachable: one of them did not answer.
        """
        ...

    async def definition(self, host: HostName, vm: VmId) -> str:
        """Return what ``vm`` is defined as on ``host``, as its hypervisor takes it to define it anew: the persistent
        definition where it has one. Passwords are not in it.

        Raises:
            Unreachable: the host did not answer.
            VmVanished: the VM is not there.
        """
        ...

    async def migrate(self, order: Order) -> Seconds | None:
        """Migrate live, peer to peer; return once the caller's side says it is done: how long the VM stood still at the end,
        None where nobody measured it.

        Keeps the VM's persistence as it was; whether it starts with its host is lost on the way (``set_autostart``).
        Cancelling the call detaches from the job, which goes on; an abort is always ``abort``.

        Raises:
            MigrationRefused: nothing was started.
            MigrationFailed: it started; the VM should be at the source.
            MigrationAborted: it was cancelled on demand; the VM should be at the source.
            VmVanished: the VM is not at the source.
            OutcomeUnknown, Unreachable: anything may have happened. Observe both ends, then decide.
        """
        ...

    async def progress(self, host: HostName, vm: VmId) -> Progress | None:
        """Return where the outgoing job of ``vm`` on ``host`` is, or None when there is none.

        Raises:
            Unreachable: the host did not answer.
        """
        ...

    async def set_bandwidth(self, host: HostName, vm: VmId, bandwidth_mib_s: int) -> None:
        """Give the outgoing job of ``vm`` another bandwidth, MiB/s, at least 1. No job: nothing happens.

        Raises:
            Unreachable: the host did not answer.
        """
        ...

    async def set_downtime(self, host: HostName, vm: VmId, downtime_ms: int) -> None:
        """Let the VM of the outgoing job stand still at its end for so long, milliseconds, at least 1. No job: nothing
        happens.

        Raises:
            Unreachable: the host did not answer.
        """
        ...

    async def start_post_copy(self, host: HostName, vm: VmId) -> None:
        """Have the VM of the outgoing job, which was begun with ``post_copy``, run at its target now; what is left of its
        memory follows it, at the job's bandwidth. In post-copy already, or no job: nothing happens.

        Raises:
            Unreachable: the host did not answer.
            MigrationRefused: its hypervisor does not do it; the job goes on as it was.
        """
        ...

    async def shut_down(self, host: HostName, vm: VmId) -> None:
        """Ask the guest of ``vm`` to shut down in order, as one asks by its power button or its agent; return once it was
        asked. It may take its time, or not obey. Never destroyed, never restarted. Not running there: nothing happens.

        Raises:
            Unreachable: the host did not answer; it was asked or not.
            ShutdownRefused: it was not asked, and why.
        """
        ...

    async def set_autostart(self, host: HostName, vm: VmId, *, on: bool) -> None:
        """Have ``host`` start what it has defined as ``vm`` when it boots itself, or not. Nothing is started or stopped by
        that. Not defined there for good: nothing happens.

        Raises:
            Unreachable: the host did not answer, or would not; it is set or not.
        """
        ...

    async def abort(self, host: HostName, vm: VmId) -> None:
        """Ask for the outgoing job of ``vm`` to be cancelled. No job: nothing happens. Never in post-copy.

        Raises:
            Unreachable: the host did not answer.
        """
        ...

    async def close(self) -> None:
        """Let go of every connection without waiting for a host. Running jobs go on."""
        ...


@dataclass(frozen=True, slots=True)
class ProbeAnswer:
    """What came of asking a VM once, and in words how, or why not. ``answered``: None where that attempt says nothing of the
    VM: it was not asked after all, or what kept its answer from us is not its own."""

    answered: bool | None
    detail: str


class ArrivalProbe(Protocol):
    """Asks VMs from outside whether they answer. Changes nothing, sends nothing secret, believes nothing it is told."""

    async def ask(self, host: HostName, vm: VmId, check: Check) -> ProbeAnswer:
        """Ask a VM once, in its owner's way, within a few seconds. ``host``: where it runs.

        Raises:
            CheckRefused: it was not asked, because that is not allowed; the message says why.
        """
        ...


class Power(Protocol):
    """The power of declared hosts. What a controller says is one sign, never a proof; there is no forced off."""

    async def status(self, host: HostName) -> PowerStatus:
        """Return what the host's controller says now.

        Raises:
            Unreachable: it did not answer in time.
            PowerRefused: it answered, and not usefully; the message names the controller and the cure.
        """
        ...

    async def power_off(self, host: HostName) -> None:
        """Ask for an orderly shutdown of the operating system; return once the request is taken. A host that is off
        already stays off.

        Raises:
            Unreachable: nobody knows whether it was taken.
            PowerRefused: it was not taken.
        """
        ...

    async def power_on(self, host: HostName) -> None:
        """Ask for the host to be switched on; return once the request is taken. A host that is on stays on.

        Raises:
            Unreachable: nobody knows whether it was taken.
            PowerRefused: it was not taken.
        """
        ...

    async def close(self) -> None:
        """Let go of every controller without waiting for one."""
        ...
