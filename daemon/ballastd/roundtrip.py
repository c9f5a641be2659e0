"""One VM to another host and back, by an operator's own hand: what was predicted beside what it took.

For a cluster that no daemon runs on yet. The VM is looked at as the daemon would look at it before a move, goes there, is
looked for on every host, and comes back; whatever goes wrong is told by where the VM is seen then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from ballastd.adapters.blocking import Lanes
from ballastd.adapters.clock import SystemClock
from ballastd.adapters.libvirt.hypervisor import LibvirtHypervisor
from ballastd.bootstrap import libvirt_options
from ballastd.core.convergence import ladder
from ballastd.core.inventory import DeclaredHost, HostInventory, Mobility, Progress, VmRecord, VmState
from ballastd.core.plans import Move, Order
from ballastd.core.policies import Limits
from ballastd.core.prediction import fair_share, predict
from ballastd.core.quantities import MIB, HostName, Seconds, VmId, human_bytes
from ballastd.core.readiness import Leg, Roundtrip
from ballastd.core.suitability import PageRoom
from ballastd.doctor import Progress as Telling
from ballastd.documents import Settings
from ballastd.errors import BallastdError, MigrationError, Unreachable

CONNECT_SECONDS = 15.0
CALLS_OFF_MAX = 30
ASK_SECONDS = 0.25
SETTLE_SECONDS = 20.0
"""So long after the call returned a VM is looked for until it is seen at one end alone."""
PATIENCE = 4.0
"""A move is called off after so many times what was predicted, and a minute."""


class NotMoved(BallastdError):
    """The VM was not moved at all; the message says why, and what to do about it."""


def go_there_and_back(settings: Settings, vm: str, to: str = "", *, bandwidth_mib_s: int = 0,
                      progress: Telling = lambda *_: None) -> Roundtrip:
    """Move a VM (name or UUID) to another host (``to``, or the one with most memory free) and back; return how it went.
    ``bandwidth_mib_s``: 0 for what the shipped policies allow on these links.

    Raises:
        NotMoved: something speaks against it; nothing was done.
        ConfigurationError: libvirt's Python binding is not installed.
    """
    return asyncio.run(_gone_and_back(settings, vm, to, bandwidth_mib_s, progress))


async def _gone_and_back(settings: Settings, vm: str, to: str, bandwidth_mib_s: int, progress: Telling) -> Roundtrip:
    blocking, clock = Lanes(), SystemClock()
    hypervisor = LibvirtHypervisor(settings.cluster, blocking, clock, libvirt_options(settings))
    try:
        await hypervisor.start()
        return await _Trip(settings, hypervisor, clock, progress).make(vm, to, bandwidth_mib_s)
    finally:
        await hypervisor.close()
        await blocking.close()


@dataclass
class _Trip:
    settings: Settings
    hypervisor: LibvirtHypervisor
    clock: SystemClock
    progress: Telling

    async def make(self, vm: str, to: str, bandwidth_mib_s: int) -> Roundtrip:
        seen = await self._seen()
        source, record = _found(seen, vm)
        target = await self._target(seen, source, record, to)
        there = await self._leg(source, target, record, bandwidth_mib_s)
        if there.trouble:
            return Roundtrip(record.name, (there,))
        back = await self._leg(target, source, record, bandwidth_mib_s)
        return Roundtrip(record.name, (there, back))

    async def _seen(self) -> dict[HostName, HostInventory]:
        """Look at every host; those that do not answer are left out."""
        async def look(host: HostName) -> HostInventory | None:
            until = self.clock.now().monotonic + CONNECT_SECONDS
            while True:
                try:
                    return await self.hypervisor.inventory(host, load=False)
                except Unreachable:
                    if self.clock.now().monotonic >= until:
                        return None
                    await asyncio.sleep(ASK_SECONDS)

        names = [host.name for host in self.settings.cluster.hosts]
        looks = await asyncio.gather(*map(look, names))
        return {name: found for name, found in zip(names, looks, strict=True) if found is not None}

    async def _target(self, seen: Mapping[HostName, HostInventory], source: HostName, record: VmRecord, to: str
                      ) -> HostName:
        """Return the host with most memory free of those that could have the VM; or say what is against each."""
        if to and (to not in seen or to == source):
            why = "it is there" if to == source else "no such host answers"
            raise NotMoved(f"{record.name} cannot go to {to}: {why}")
        against = []
        for host in sorted((name for name in seen if name != source and to in ("", name)),
                           key=lambda name: -seen[name].memory_free):
            free, reserve = seen[host].memory_free, self._declared(host).memory_reserve
            if record.needs.backing and (short := PageRoom((seen[host],), ((),)).why_short(record.needs, 0)):
                against.append(f"{host}: {short}")
                continue
            if free - reserve < record.ordinary:
                against.append(f"{host}: {human_bytes(free)} free, of which {human_bytes(reserve)} are reserved")
                continue
            try:
                refusals = (await self.hypervisor.examine(self._order(source, host, record, 1))).refusals
            except Unreachable as no:
                against.append(str(no))
                continue
            if not refusals:
                return host
            against.append(f"{host}: {refusals[0].detail}")
        raise NotMoved(f"{record.name} can go nowhere: {'; '.join(against) or 'there is no other host'}")

    def _declared(self, host: HostName) -> DeclaredHost:
        declared = self.settings.cluster.host(host)
        assert declared is not None
        return declared

    def _order(self, source: HostName, target: HostName, record: VmRecord, bandwidth_mib_s: int) -> Order:
        predicted = predict(record.memory_max, bandwidth_mib_s)
        move = Move(record.vm, record.name, source, target, record.memory_max, predicted, "doctor", "a move there and back")
        return Order(f"doctor-{source}", move, bandwidth_mib_s, Seconds(60.0 + PATIENCE * predicted), 0,
                     ladder(Limits(), record.downtime_max_ms)[-1])

    async def _leg(self, source: HostName, target: HostName, record: VmRecord, bandwidth_mib_s: int) -> Leg:
        here, there = self._declared(source).link_mib_s, self._declared(target).link_mib_s
        bandwidth = bandwidth_mib_s or fair_share(here, 1, there, 1, Limits().link_share)
        order = self._order(source, target, record, bandwidth)
        leg = Leg(source, target, bandwidth, float(order.move.predicted))
        try:
            refusals = (await self.hypervisor.examine(order)).refusals
        except Unreachable as no:
            return replace(leg, trouble=str(no), runs_on=(source,))
        if refusals:
            return replace(leg, trouble=refusals[0].detail, runs_on=(source,))
        began = self.clock.now()
        over = asyncio.Event()
        watching = asyncio.create_task(self._watch(order, over))
        trouble = ""
        try:
            async with asyncio.timeout(order.deadline):
                await self.hypervisor.migrate(order)
        except TimeoutError:
            trouble = f"called off: not done within {order.deadline:.0f} s{await self._call_off(order)}"
        except asyncio.CancelledError:
            # the watcher is not cancelled either: the abort needs the connection that its call has
            over.set()
            await asyncio.wait((watching,))
            await self._call_off_for_good(order)
            raise
        except (MigrationError, Unreachable) as error:
            trouble = str(error)
        took = self.clock.now().since(began)
        # not cancelled: a call that is left takes its connection with it, and the way back needs that
        over.set()
        last = await watching
        runs_on = await self._settled(record.vm)
        if not trouble and runs_on != (target,):
            trouble = f"it runs on {', '.join(runs_on) or 'no host'}, not on {target} alone"
        if record.autostart and not trouble:
            trouble = await self._start_again_with(target, record.vm)
        sent = last.memory_processed if last is not None else 0
        return replace(leg, took=took, sent=sent, trouble=trouble, runs_on=runs_on)

    async def _start_again_with(self, host: HostName, vm: VmId) -> str:
        """Have a VM start with its host as it did before it was moved; return what is to be said if that cannot be had."""
        try:
            await self.hypervisor.set_autostart(host, vm, on=True)
        except Unreachable as no:
            return f"it runs on {host}, and does not start with it as it did before ({no}): virsh autostart {vm} there"
        return ""

    async def _call_off(self, order: Order) -> str:
        """Ask for the job to be cancelled; return what is to be said if that cannot be asked."""
        try:
            await self.hypervisor.abort(order.move.source, order.move.vm)
        except Unreachable as no:
            return f", and the abort was not delivered ({no}): the job may go on"
        return ""

    async def _call_off_for_good(self, order: Order) -> None:
        """Ask for the job to be cancelled until none is seen: one that is only being prepared does not hear it."""
        for _ in range(CALLS_OFF_MAX):
            await self._call_off(order)
            with suppress(Unreachable):
                if await self.hypervisor.progress(order.move.source, order.move.vm) is None:
                    return
            await asyncio.sleep(ASK_SECONDS)

    async def _watch(self, order: Order, over: asyncio.Event) -> Progress | None:
        """Tell how far the job is until it is ``over``; return the last that was seen of it."""
        last: Progress | None = None
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(ASK_SECONDS):
                    await over.wait()
            if over.is_set():
                return last
            try:
                seen = await self.hypervisor.progress(order.move.source, order.move.vm)
            except Unreachable:
                continue
            if seen is not None and seen.memory_total:
                last = seen
                self.progress(f"{order.move.source} -> {order.move.target}, MiB", seen.memory_processed // MIB,
                              max(seen.memory_total, seen.memory_processed) // MIB)

    async def _settled(self, vm: VmId) -> tuple[HostName, ...]:
        """Return where the VM runs, once it is seen on one host and in no job, or after a while."""
        until = self.clock.now().monotonic + SETTLE_SECONDS
        while True:
            seen = await self._seen()
            records = {host: record for host, inventory in seen.items() if (record := inventory.find(vm)) is not None}
            running = tuple(host for host, record in records.items() if record.state.runs)
            is_calm = all(record.state in (VmState.RUNNING, VmState.SHUTOFF) for record in records.values())
            if (len(running) == 1 and is_calm) or self.clock.now().monotonic >= until:
                return running
            await asyncio.sleep(ASK_SECONDS)


def _found(seen: Mapping[HostName, HostInventory], vm: str) -> tuple[HostName, VmRecord]:
    """Return where a VM is, if it may be moved for a trial."""
    everywhere = [(host, record) for host, inventory in seen.items() for record in inventory.vms
                  if vm in (record.name, record.vm) and record.state.runs]
    if not everywhere:
        raise NotMoved(f"no running VM is called {vm} on any of {', '.join(seen) or 'no host that answers'}")
    if len(everywhere) > 1:
        raise NotMoved(f"{vm} runs on {' and '.join(host for host, _ in everywhere)}: name it by its UUID, or find out "
                       "which of the two is right")
    host, record = everywhere[0]
    if record.state is not VmState.RUNNING:
        raise NotMoved(f"{record.name} is {record.state.value}, not running")
    if record.pins:
        raise NotMoved(f"{record.name} is held on {host} by {record.pins[0].thing}: {record.pins[0].cure}")
    if record.ignored or record.mobility is not Mobility.LIVE:
        raise NotMoved(f"its owner does not want {record.name} moved live: see the ballastd element in its metadata")
    return host, record
