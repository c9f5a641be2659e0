"""Worlds in which the hypervisor contract is tried: three hosts, and hands that disturb them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from ballastd.core.hardware import Hardware, PagePool
from ballastd.core.inventory import VmRecord, VmState
from ballastd.core.plans import Move, Order
from ballastd.core.quantities import MIB, Bytes, HostName, Seconds, VmId
from ballastd.ports.hosts import Hypervisor
from ballastd.sim.hypervisor import SimulatedHypervisor
from ballastd.sim.jobs import SimulatedHost
from ballastd.sim.virtual_time import VirtualClock, run_virtual

MACHINE = Hardware((0,), tuple(range(16)), (PagePool(Bytes(2 * MIB), 64),))
H1, H2, H3 = HostName("h1"), HostName("h2"), HostName("h3")


class World(Protocol):
    """``hypervisor`` is there, and started, while a story runs. ``call_deadline``: seconds after which a call
    to a silent host is given up."""

    hypervisor: Hypervisor
    call_deadline: float

    def run(self, story: Callable[[World], Awaitable[Any]]) -> None:
        """Tell ``story`` in a world of its own, then put everything right again."""
        ...

    async def start_guest(self, host: HostName, *, memory_mib: int = 16, persistent: bool = False) -> VmId:
        """Start a guest all of whose memory is in use; a persistent one starts with its host."""
        ...

    async def keep_busy(self, vm: VmId) -> None:
        """Have a guest write to its memory as fast as it can, over and over: faster than 8 MiB/s."""
        ...

    async def define_twin(self, host: HostName, vm: VmId) -> None:
        """Leave an inactive definition with the UUID of ``vm`` on ``host``."""
        ...

    async def stop_guest(self, host: HostName, vm: VmId) -> None:
        """Somebody pulls a guest's plug."""
        ...

    async def hang(self, host: HostName) -> None:
        """The host's libvirtd accepts and says nothing."""
        ...

    async def cut(self, host: HostName) -> None:
        """The host's network goes away, silently."""
        ...

    async def kill(self, host: HostName) -> None:
        """The host's libvirtd dies; its guests do not."""
        ...

    async def heal(self, host: HostName) -> None:
        """Whatever was wrong with the host is over."""
        ...


def an_order(vm: VmId, source: HostName = H1, target: HostName = H2, *, memory_mib: int = 16,
             bandwidth_mib_s: int = 64, deadline: float = 60.0) -> Order:
    """Return an order to move ``vm``, all else being of no account."""
    move = Move(vm, "guest", source, target, Bytes(memory_mib * MIB), Seconds(1.0), "contract", "to see it done")
    return Order("1-1", move, bandwidth_mib_s, Seconds(deadline), 1)


class SimulatedWorld:
    """The pretend cluster, on virtual time."""

    hypervisor: SimulatedHypervisor
    call_deadline = 5.0

    def run(self, story: Callable[[World], Awaitable[Any]]) -> None:
        run_virtual(self._tell(story))

    async def _tell(self, story: Callable[[World], Awaitable[Any]]) -> None:
        hosts = [SimulatedHost(name, hardware=MACHINE) for name in (H1, H2, H3)]
        self.hypervisor = SimulatedHypervisor(hosts, VirtualClock(), call_deadline=self.call_deadline)
        self._guests = 0
        await self.hypervisor.start()
        await story(self)
        await self.hypervisor.close()

    async def start_guest(self, host: HostName, *, memory_mib: int = 16, persistent: bool = False) -> VmId:
        self._guests += 1
        vm = VmId(f"00000000-0000-4000-8000-{self._guests:012x}")
        self.hypervisor.place(host, VmRecord(
            vm, f"guest-{self._guests}", VmState.RUNNING, Bytes(memory_mib * MIB), persistent=persistent,
            autostart=persistent, reason="1/1"))
        return vm

    async def keep_busy(self, vm: VmId) -> None:
        self.hypervisor.dirty_mib_s[vm] = 18.7

    async def define_twin(self, host: HostName, vm: VmId) -> None:
        self.hypervisor.place(host, VmRecord(vm, "twin", VmState.SHUTOFF, Bytes(16 * MIB), reason="5/0"))

    async def stop_guest(self, host: HostName, vm: VmId) -> None:
        self.hypervisor.remove(host, vm)

    async def hang(self, host: HostName) -> None:
        self.hypervisor.hang(host)

    async def cut(self, host: HostName) -> None:
        self.hypervisor.cut(host)

    async def kill(self, host: HostName) -> None:
        self.hypervisor.kill_libvirtd(host)

    async def heal(self, host: HostName) -> None:
        self.hypervisor.heal(host)
