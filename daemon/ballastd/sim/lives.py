"""The lives of a daemon in a pretend world: each has its own hands, and they fall off when it is killed.

A killed daemon's coroutines are cancelled, and what their ``finally`` would still do does not happen: no call of a dead
life reaches the world. Whoever watches the world sees every call before it takes effect.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

from ballastd.core.arrival_checks import Check
from ballastd.core.inventory import HostInventory, Progress
from ballastd.core.plans import Examination, Order
from ballastd.core.power import PowerStatus
from ballastd.core.quantities import HostName, Seconds, VmId
from ballastd.ports.hosts import ArrivalProbe, HostHint, Hypervisor, Power, ProbeAnswer
from ballastd.ports.keeping import Journal, JournalHealth, JournalRecord
from ballastd.ports.messages import Notices, TelemetryItem, TelemetrySource

T = TypeVar("T")


class Killed(BaseException):
    """The daemon that calls is dead. No ``except Exception`` hides it."""


class Witness(Protocol):
    """Sees what a daemon does, before it takes effect."""

    def migrating(self, order: Order) -> None:
        """A migration is about to begin."""
        ...

    def aborting(self, host: HostName, vm: VmId) -> None:
        """A job is about to be cancelled."""
        ...

    def granting(self, host: HostName, vm: VmId, bandwidth_mib_s: int) -> None:
        """A running job is about to be given another bandwidth."""
        ...

    def lengthening(self, host: HostName, vm: VmId, downtime_ms: int) -> None:
        """The VM of a job is about to be allowed to stand still for longer at its end."""
        ...

    def parting(self, host: HostName, vm: VmId) -> None:
        """The VM of a job is about to go before its memory."""
        ...

    def shutting_down(self, host: HostName, vm: VmId) -> None:
        """A guest is about to be asked to shut down."""
        ...

    def setting_autostart(self, host: HostName, vm: VmId, *, on: bool) -> None:
        """A VM is about to be made to start with a host, or not."""
        ...

    def switching(self, host: HostName, *, on: bool) -> None:
        """A power controller is about to be told something."""
        ...

    def closing(self, host: HostName, *, closed: bool) -> None:
        """A host's agent is about to be asked to let no guest in, or to let them in again."""
        ...

    def asking(self, vm: VmId, check: Check) -> None:
        """A VM is about to be asked whether it answers."""
        ...

    def recorded(self, contents: Sequence[dict[str, Any]]) -> None:
        """Records are durable."""
        ...

    def heard(self, item: TelemetryItem) -> None:
        """Telemetry reaches the daemon."""
        ...


class Life:
    """One run of a daemon."""

    def __init__(self, witness: Witness) -> None:
        self.witness = witness
        self.is_over = False

    def end(self) -> None:
        """Kill it where it stands."""
        self.is_over = True

    def check(self) -> None:
        """Raise unless it lives.

        Raises:
            Killed: it is over.
        """
        if self.is_over:
            raise Killed


class LivingHypervisor:
    """``ports.Hypervisor`` as one life reaches it."""

    def __init__(self, life: Life, world: Hypervisor) -> None:
        self._life = life
        self._world = world

    async def start(self) -> None:
        """See ``ports.Hypervisor``."""
        self._life.check()
        await self._world.start()

    async def hints(self) -> AsyncIterator[HostHint]:
        """See ``ports.Hypervisor``."""
        async for hint in self._world.hints():
            self._life.check()
            yield hint

    async def inventory(self, host: HostName, *, load: bool = True) -> HostInventory:
        """See ``ports.Hypervisor``."""
        self._life.check()
        return await self._world.inventory(host, load=load)

    async def examine(self, order: Order) -> Examination:
        """See ``ports.Hypervisor``."""
        self._life.check()
        return await self._world.examine(order)

    async def definition(self, host: HostName, vm: VmId) -> str:
        """See ``ports.Hypervisor``."""
        self._life.check()
        return await self._world.definition(host, vm)

    async def migrate(self, order: Order) -> Seconds | None:
        """See ``ports.Hypervisor``."""
        self._life.check()
        self._life.witness.migrating(order)
        return await self._world.migrate(order)

    async def progress(self, host: HostName, vm: VmId) -> Progress | None:
        """See ``ports.Hypervisor``."""
        self._life.check()
        return await self._world.progress(host, vm)

    async def set_bandwidth(self, host: HostName, vm: VmId, bandwidth_mib_s: int) -> None:
        """See ``ports.Hypervisor``."""
        self._life.check()
        self._life.witness.granting(host, vm, bandwidth_mib_s)
        await self._world.set_bandwidth(host, vm, bandwidth_mib_s)

    async def set_downtime(self, host: HostName, vm: VmId, downtime_ms: int) -> None:
        """See ``ports.Hypervisor``."""
        self._life.check()
        self._life.witness.lengthening(host, vm, downtime_ms)
        await self._world.set_downtime(host, vm, downtime_ms)

    async def start_post_copy(self, host: HostName, vm: VmId) -> None:
        """See ``ports.Hypervisor``."""
        self._life.check()
        self._life.witness.parting(host, vm)
        await self._world.start_post_copy(host, vm)

    async def shut_down(self, host: HostName, vm: VmId) -> None:
        """See ``ports.Hypervisor``."""
        self._life.check()
        self._life.witness.shutting_down(host, vm)
        await self._world.shut_down(host, vm)

    async def set_autostart(self, host: HostName, vm: VmId, *, on: bool) -> None:
        """See ``ports.Hypervisor``."""
        self._life.check()
        self._life.witness.setting_autostart(host, vm, on=on)
        await self._world.set_autostart(host, vm, on=on)

    async def abort(self, host: HostName, vm: VmId) -> None:
        """See ``ports.Hypervisor``."""
        self._life.check()
        self._life.witness.aborting(host, vm)
        await self._world.abort(host, vm)

    async def close(self) -> None:
        """See ``ports.Hypervisor``: the world outlives whoever looks at it."""


class LivingPower:
    """``ports.Power`` as one life reaches it."""

    def __init__(self, life: Life, world: Power) -> None:
        self._life = life
        self._world = world

    async def status(self, host: HostName) -> PowerStatus:
        """See ``ports.Power``."""
        self._life.check()
        return await self._world.status(host)

    async def power_off(self, host: HostName) -> None:
        """See ``ports.Power``."""
        self._life.check()
        self._life.witness.switching(host, on=False)
        await self._world.power_off(host)

    async def power_on(self, host: HostName) -> None:
        """See ``ports.Power``."""
        self._life.check()
        self._life.witness.switching(host, on=True)
        await self._world.power_on(host)

    async def close(self) -> None:
        """See ``ports.Power``: the controllers outlive whoever asks them."""


class LivingProbe:
    """``ports.ArrivalProbe`` as one life reaches it."""

    def __init__(self, life: Life, world: ArrivalProbe) -> None:
        self._life = life
        self._world = world

    async def ask(self, host: HostName, vm: VmId, check: Check) -> ProbeAnswer:
        """See ``ports.ArrivalProbe``."""
        self._life.check()
        self._life.witness.asking(vm, check)
        return await self._world.ask(host, vm, check)


class LivingTelemetry:
    """``ports.TelemetrySource`` as one life reaches it."""

    def __init__(self, life: Life, world: TelemetrySource) -> None:
        self._life = life
        self._world = world

    async def items(self) -> AsyncIterator[TelemetryItem]:
        """See ``ports.TelemetrySource``."""
        async for item in self._world.items():
            self._life.check()
            self._life.witness.heard(item)
            yield item

    def counters(self) -> dict[str, float]:
        """See ``ports.TelemetrySource``."""
        return self._world.counters()


class LivingNotices:
    """``ports.Notices`` as one life reaches it."""

    def __init__(self, life: Life, world: Notices) -> None:
        self._life = life
        self._world = world

    async def run(self) -> None:
        """See ``ports.Notices``."""
        await self._world.run()

    async def flush(self, seconds: float) -> bool:
        """See ``ports.Notices``."""
        self._life.check()
        return await self._world.flush(seconds)

    def cordon(self, host: HostName, until_wall: float, by: str) -> None:
        """See ``ports.Notices``."""
        self._life.check()
        self._life.witness.closing(host, closed=True)
        self._world.cordon(host, until_wall, by)

    def uncordon(self, host: HostName) -> None:
        """See ``ports.Notices``."""
        self._life.check()
        self._life.witness.closing(host, closed=False)
        self._world.uncordon(host)

    def claim(self, holder: str) -> None:
        """See ``ports.Notices``."""
        self._life.check()
        self._world.claim(holder)

    def release(self) -> None:
        """See ``ports.Notices``."""
        self._life.check()
        self._world.release()

    def rival_name(self) -> str | None:
        """See ``ports.Notices``."""
        return self._world.rival_name()

    def publish(self, topic: str, payload: dict[str, Any], *, retain: bool = False) -> None:
        """See ``ports.Notices``."""
        self._life.check()
        self._world.publish(topic, payload, retain=retain)


class LivingJournal:
    """``ports.Journal`` as one life reaches it."""

    def __init__(self, life: Life, world: Journal) -> None:
        self._life = life
        self._world = world

    def open(self) -> JournalHealth:
        """See ``ports.Journal``."""
        return self._alive(self._world.open)

    def append(self, revision: int, contents: Sequence[dict[str, Any]]) -> int:
        """See ``ports.Journal``."""
        head = self._alive(lambda: self._world.append(revision, contents))
        self._life.witness.recorded(contents)
        return head

    def replay(self) -> Iterator[JournalRecord]:
        """See ``ports.Journal``."""
        return self._alive(self._world.replay)

    def archive(self, before: int) -> int:
        """See ``ports.Journal``."""
        return self._alive(lambda: self._world.archive(before))

    def cut(self, before: int) -> None:
        """See ``ports.Journal``."""
        self._alive(lambda: self._world.cut(before))

    def drop_archive(self, before_wall: float) -> str | None:
        """See ``ports.Journal``."""
        return self._alive(lambda: self._world.drop_archive(before_wall))

    def tail(self, count: int) -> tuple[JournalRecord, ...]:
        """See ``ports.Journal``."""
        return self._alive(lambda: self._world.tail(count))

    def close(self) -> None:
        """See ``ports.Journal``."""
        if not self._life.is_over:
            self._world.close()

    def _alive(self, call: Callable[[], T]) -> T:
        self._life.check()
        return call()
