"""What is booked of guests that were asked to shut down. Part of the ledger: made of events, and of nothing else."""

from __future__ import annotations

import typing
from dataclasses import dataclass, field, replace

from ballastd.core import shutdown_events as sh
from ballastd.core.quantities import HostName, VmId
from ballastd.core.shutdown_events import ShutdownEnding

KEPT = 200
ASK_AGAIN_SECONDS = 60.0
"""For so long a guest that was asked may be on its way down: it is not asked again, and no move of it begins."""
CALL_SECONDS = 90.0
"""So long the call that asks a guest may take: its agent is given 5 s to be there and 60 to shut down, before libvirt
presses the button instead."""
SHUTDOWN_EVENTS: tuple[type, ...] = typing.get_args(sh.ShutdownEvent)


@dataclass(frozen=True, slots=True)
class GuestShutdown:
    """One guest that was asked to shut down. ``wall`` times in seconds since the epoch. ``asked_wall``, ``times``: when it
    was asked last, and how often for the same evidence, by orders before this one too. ``withdrawn``: why it is not asked
    again, empty while it may be. ``ending``: None while it is open. ``acknowledged``: whether somebody looked after its host
    since: what fires there later is other evidence. ``over``: whether nobody has to start it any more once it is down."""

    id: str
    vm: VmId
    vm_name: str
    host: HostName
    policy: str
    because: str
    ordered_wall: float
    asked_wall: float
    times: int = 1
    withdrawn: str = ""
    ending: ShutdownEnding | None = None
    ended_wall: float | None = None
    detail: str = ""
    acknowledged: bool = False
    over: bool = False

    @property
    def state(self) -> str:
        """How it stands with it, in a word."""
        return self.ending.value if self.ending else "withdrawn" if self.withdrawn else "asked"

    @property
    def is_asked(self) -> bool:
        """Whether it is open and not withdrawn."""
        return self.ending is None and not self.withdrawn

    @property
    def is_missed(self) -> bool:
        """Whether it went down, and somebody has to start it."""
        return self.ending is ShutdownEnding.DOWN and not self.over


@dataclass(slots=True)
class ShutdownBooks:
    """The last shutdown of each VM, oldest first; those that ended are kept for a while, those that are missed stay."""

    by_vm: dict[VmId, GuestShutdown] = field(default_factory=dict)

    def draft(self) -> ShutdownBooks:
        """Return a copy that can take events without this one noticing."""
        return ShutdownBooks(dict(self.by_vm))

    def open(self) -> tuple[GuestShutdown, ...]:
        """Return those whose books are open, in the order of their orders."""
        return tuple(one for one in self.by_vm.values() if one.ending is None)

    def missed(self) -> tuple[GuestShutdown, ...]:
        """Return those that somebody has to start."""
        return tuple(one for one in self.by_vm.values() if one.is_missed)

    def down(self) -> frozenset[VmId]:
        """Return the VMs that are down, or may be about to go down, because we asked."""
        return frozenset(one.vm for one in self.by_vm.values() if one.ending is None or one.is_missed)

    def hosts(self) -> frozenset[HostName]:
        """Return the hosts of those."""
        return frozenset(one.host for one in self.open()) if self.by_vm else frozenset()

    def asked_for_the_same(self, vm: VmId, host: HostName) -> GuestShutdown | None:
        """Return the last shutdown of a VM if that was for what is still held against this host, None where it was not."""
        one = self.by_vm.get(vm)
        return one if one is not None and one.host == host and not one.acknowledged else None

    def acknowledge(self, host: HostName) -> None:
        """Note that somebody looked after a host."""
        self.by_vm.update({vm: replace(one, acknowledged=True) for vm, one in self.by_vm.items() if one.host == host})

    def apply(self, event: sh.ShutdownEvent) -> None:
        """Book ``event``.

        Raises:
            KeyError: it cannot follow what is booked.
        """
        if isinstance(event, sh.ShutdownOrdered):
            self._order(event)
            return
        one = self._missed(event.id) if isinstance(event, sh.ShutdownOver) else self._open(event.id)
        match event:
            case sh.ShutdownAskedAgain():
                if one.withdrawn:
                    raise KeyError(event.id)
                one = replace(one, times=event.times, asked_wall=event.wall)
            case sh.ShutdownWithdrawn():
                one = replace(one, withdrawn=event.because)
            case sh.ShutdownEnded():
                one = replace(one, ending=event.ending, ended_wall=event.wall, detail=event.detail)
            case sh.ShutdownOver():
                one = replace(one, over=True)
        self.by_vm[one.vm] = one

    def _order(self, e: sh.ShutdownOrdered) -> None:
        if e.vm in self.by_vm and self.by_vm[e.vm].ending is None:
            raise KeyError(e.id)
        self.by_vm.pop(e.vm, None)
        self.by_vm[e.vm] = GuestShutdown(e.id, e.vm, e.vm_name, e.host, e.policy, e.because, e.wall, e.wall, e.times)
        over = [vm for vm, one in self.by_vm.items() if one.ending is not None and not one.is_missed]
        for vm in over[:max(0, len(self.by_vm) - KEPT)]:
            del self.by_vm[vm]

    def _open(self, key: str) -> GuestShutdown:
        return _named(key, self.open())

    def _missed(self, key: str) -> GuestShutdown:
        return _named(key, self.missed())


def _named(key: str, among: tuple[GuestShutdown, ...]) -> GuestShutdown:
    for one in among:
        if one.id == key:
            return one
    raise KeyError(key)
