"""Every mutating call passes here: migrate, abort, tune, shut down, cordon, power. Ceilings, gates, journal before act,
second look."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from ballastd.core.ceilings import CEILINGS, Ceilings
from ballastd.core.clearance import Clearance
from ballastd.core.cures import told
from ballastd.core.domains import AT_A_TIME_SECONDS
from ballastd.core.inventory import HostInventory, JobKind, Mobility, VmState
from ballastd.core.ledger import Ledger
from ballastd.core.migrations import Migration
from ballastd.core.plans import (
    AbortOrder,
    AutostartOrder,
    CordonOrder,
    DowntimeOrder,
    Examination,
    Order,
    PostCopyOrder,
    Refusal,
    RefusalKind,
    ShutdownOrder,
    TuneOrder,
)
from ballastd.core.policies import ClusterDeclaration
from ballastd.core.power import PowerOrder
from ballastd.core.quantities import HostName, Seconds, human_bytes
from ballastd.core.suitability import PageRoom, unknown_needs, why_unsuited
from ballastd.core.telemetry import AgentState
from ballastd.errors import (
    BallastdError,
    DefinitionNotKept,
    MigrationError,
    MigrationFailed,
    MigrationRefused,
    OutcomeUnknown,
    Unreachable,
    VmVanished,
)
from ballastd.kernel.autostarts import why_changed, why_not_set
from ballastd.kernel.clearing import Clearing
from ballastd.kernel.flights import HOUR_SECONDS, Flight, Flights
from ballastd.kernel.record import Record
from ballastd.kernel.spread import Spread
from ballastd.kernel.switches import Switches
from ballastd.ports.hosts import Hypervisor, Power
from ballastd.ports.keeping import Definitions
from ballastd.ports.messages import Notices
from ballastd.ports.running import Clock


class Withheld(BallastdError):
    """The kernel did not make a call. Nothing was started."""

    def __init__(self, refusals: tuple[Refusal, ...]) -> None:
        super().__init__(told(refusals))
        self.refusals = refusals


@dataclass(frozen=True, slots=True)
class _Ends:
    source: HostInventory
    target: HostInventory


class Kernel:
    """The only holder of the hypervisor's mutating half. ``hold`` stops every new act at once."""

    def __init__(self, hypervisor: Hypervisor, power: Power, notices: Notices, record: Record,
                 cluster: ClusterDeclaration, clock: Clock, ceilings: Ceilings = CEILINGS,
                 definitions: Definitions | None = None) -> None:
        self._hypervisor = hypervisor
        self._switches = Switches(hypervisor, power, cluster, clock, ceilings)
        self._notices = notices
        self._record = record
        self._cluster = cluster
        self._clock = clock
        self._ceilings = ceilings
        self._flights = Flights(cluster.hosts, ceilings)
        self._clearing, self._spread = Clearing(clock), Spread(cluster.hosts)
        self._definitions = definitions
        self._held: str | None = None
        self.calls = 0
        """How many migrations were begun by this kernel."""
        self.announce: Callable[[Order], None] = lambda _order: None
        """Called with each order right before its call goes out; must not block."""
        self.concede: Callable[[Order, str], None] = lambda _order, _reason: None
        """Called with an order that begins though its VM's definition could not be kept, and why; must not block."""

    def hold(self, reason: str) -> None:
        """From now on no migration begins. Aborts still pass: they only end things."""
        self._held = reason

    def let_go(self) -> None:
        """Migrations may begin again."""
        self._held = None

    def clear(self, told: Clearance) -> None:
        """Hear what stands against acts from now on: what it keeps from beginning does not begin, whoever orders it."""
        self._clearing.hear(told)

    def doubt(self, reason: str) -> None:
        """What was told may not be so any more: nothing begins until it is told anew."""
        self._clearing.doubt(reason)

    def adopt(self, migration: Migration) -> None:
        """Count a migration that a run before ordered, or of which a job is seen again after all."""
        if migration.id not in self._flights:
            self._flights.adopt(migration)

    def release(self, migration: str) -> None:
        """The books say that no job of ``migration`` is left."""
        self._flights.release(migration)

    async def migrate(self, order: Order) -> Seconds | None:
        """Look at both ends once more and carry ``order`` out; see ``ports.Hypervisor.migrate`` for its errors.

        Raises:
            Withheld: something speaks against it now; nothing was started.
        """
        self._refuse_early(order)
        ends = await self._look(order)
        refusals, examined = self._second_look(order, ends), Examination()
        if not refusals:
            examined, unkept = await asyncio.gather(self._examine(order), self._keep(order))
            refusals = (*examined.refusals, *unkept)
        if refusals:
            raise Withheld(refusals)
        # between these checks and the call nothing is awaited: what they found still holds
        self._refuse_early(order)
        now, asked = self._clock.now().monotonic, self._clearing.asked(order.move.source)
        no = (self._flights.refusal(order, *_foreign_jobs(ends, self._flights), now, asked=asked)
              or _too_long(order, self._ceilings) or self._another_domain(order, now))
        if no is not None:
            raise Withheld((no,))
        self._record.use_up(order.id)
        here = ends.source.find(order.move.vm)
        self._flights.claim(order, now, None if here is None else here.needs, asked=asked)
        if not order.move.routine:
            self._spread.change(order.move.source, now)
        self.calls += 1
        self.announce(order)
        try:
            return await self._hypervisor.migrate(order)
        except (MigrationRefused, MigrationFailed, OutcomeUnknown) as error:
            raise _with_doubts(error, examined) from error

    def hear(self, agent: AgentState) -> None:
        """Note what a host's agent says: its cordon and its emulators count before a host is switched off."""
        self._switches.hear(agent)

    def remember(self, ledger: Ledger) -> None:
        """Count what runs before did: routine moves, hosts that were emptied, power orders, hosts that are off, domains that
        were changed."""
        now = self._clock.now()
        self._flights.remember_emptied({host: now.monotonic - max(0.0, now.wall - wall)
                                        for host, wall in ledger.emptied_since(now.wall - HOUR_SECONDS).items()})
        for host, wall in ledger.changed_since(now.wall - AT_A_TIME_SECONDS).items():
            self._spread.change(host, now.monotonic - max(0.0, now.wall - wall))
        self._flights.remember_routine((now.monotonic - max(0.0, now.wall - order.wall), order.vm)
                                       for order in ledger.routine_orders)
        self._switches.remember(ledger, now)

    async def switch(self, order: PowerOrder) -> None:
        """Ask a host to shut down in order, or switch it on; see ``ports.Power`` for its errors.

        Raises:
            Withheld: something speaks against it now; its controller was not told.
        """
        self._refuse_power_early(order)
        no = await self._switches.refusal(order)
        # from here to the call nothing is awaited: what others did meanwhile counts
        self._refuse_power_early(order)
        no = no or self._switches.over_ceiling(order)
        if no is None and any(order.host in (f.source, f.target) for f in self._flights.all()):
            no = Refusal(RefusalKind.POWER, "a migration from or to it is in flight", host=order.host)
        now = self._clock.now().monotonic
        waits = not order.on and not self._clearing.asked(order.host)
        if no is None and waits and (why := self._why_apart(order.host, now)) is not None:
            no = Refusal(RefusalKind.CEILING, why, host=order.host)
        if no is not None:
            raise Withheld((no,))
        self._record.use_up_power(order.id)
        if not order.on:
            self._spread.change(order.host, now)
        await self._switches.switch(order)

    def _refuse_power_early(self, order: PowerOrder) -> None:
        if self._held is not None:
            raise Withheld((Refusal(RefusalKind.GATE, self._held, host=order.host),))
        if not self._record.has_power_order(order.id):
            raise Withheld((Refusal(RefusalKind.NOT_JOURNALLED, f"order {order.id}", host=order.host),))
        why = self._clearing.why_asleep() if order.on else self._clearing.why_held(None)
        if why is not None:
            raise Withheld((Refusal(RefusalKind.GATE, why, host=order.host),))

    def seen_on(self, host: HostName) -> None:
        """The books say that a host is on: it no longer counts as one that we switched off."""
        self._switches.seen_on(host)

    async def abort(self, order: AbortOrder) -> None:
        """Cancel the job of an open migration whose abort is in the journal.

        Raises:
            Withheld: it is not, or it was put into post-copy. Unreachable: the host did not answer.
        """
        self._demand(order, "abort", is_durable=self._record.has_abort(order.migration))
        if self._record.has_post_copy(order.migration):
            raise Withheld((Refusal(RefusalKind.VM_BUSY, "it is put into post-copy: there is no way back", order.vm),))
        await self._hypervisor.abort(order.source, order.vm)

    async def tune(self, order: TuneOrder) -> None:
        """Give a running job another bandwidth that is in the journal and under the ceiling.

        Raises:
            Withheld: it is not. Unreachable: the host did not answer.
        """
        self._demand(order, "bandwidth", is_durable=self._record.has_bandwidth(order.migration, order.bandwidth_mib_s),
                     over=self._flights.bandwidth_refusal(order.migration, order.bandwidth_mib_s))
        # until it is known to have less it may have what it had, and more from the instant at which it is told
        self._flights.tune(order.migration, max(order.bandwidth_mib_s, self._flights.bandwidth_of(order.migration)))
        await self._hypervisor.set_bandwidth(order.source, order.vm, order.bandwidth_mib_s)
        self._flights.tune(order.migration, order.bandwidth_mib_s)

    async def allow_downtime(self, order: DowntimeOrder) -> None:
        """Let the VM of a running job stand still at its end for so long as is in the journal, under the ceiling, and within
        what its owner wants.

        Raises:
            Withheld: it is not. Unreachable: the host did not answer.
        """
        self._demand(order, "standstill", is_durable=self._record.has_downtime(order.migration, order.downtime_ms),
                     over=self._flights.downtime_refusal(order.migration, order.downtime_ms))
        # its owner may have changed his mind since it began, or it was begun by a run before
        source = await self._hypervisor.inventory(order.source, load=False)
        here = source.find(order.vm)
        if not source.complete or here is None or here.pins:
            raise Withheld((Refusal(RefusalKind.WORLD_CHANGED, f"what its owner wants cannot be read on {order.source}",
                                    order.vm),))
        if here.downtime_max_ms is not None and order.downtime_ms > here.downtime_max_ms:
            raise Withheld((Refusal(RefusalKind.WORLD_CHANGED, f"{order.downtime_ms} ms of standstill, its owner wants "
                                    f"{here.downtime_max_ms} at most", order.vm),))
        await self._hypervisor.set_downtime(order.source, order.vm, order.downtime_ms)

    async def start_post_copy(self, order: PostCopyOrder) -> None:
        """Have the VM of a running job run at its target before its memory is there, if that is in the journal, its owner
        lets it, and both ends show it as they should.

        Raises:
            Withheld: it is not. Unreachable: the host did not answer. MigrationRefused: its hypervisor does not do it.
        """
        self._refuse_post_copy_early(order)
        source, target = await asyncio.gather(self._hypervisor.inventory(order.source, load=False),
                                              self._hypervisor.inventory(order.target, load=False))
        here, there = source.find(order.vm), target.find(order.vm)
        if not (source.complete and target.complete) or here is None or here.pins or here.state is not VmState.RUNNING:
            raise Withheld((Refusal(RefusalKind.WORLD_CHANGED, f"is not seen running on {order.source}, free to leave",
                                    order.vm),))
        if not here.post_copy:
            raise Withheld((Refusal(RefusalKind.WORLD_CHANGED, "its owner wants no post-copy", order.vm),))
        if there is None or there.state is not VmState.INCOMING:
            raise Withheld((Refusal(RefusalKind.WORLD_CHANGED, f"is not seen arriving on {order.target}", order.vm),))
        # from the look to the call nothing is awaited: what was taken back meanwhile is not done
        self._refuse_post_copy_early(order)
        await self._hypervisor.start_post_copy(order.source, order.vm)

    def _refuse_post_copy_early(self, order: PostCopyOrder) -> None:
        self._demand(order, "post-copy", is_durable=self._record.has_post_copy(order.migration))
        if self._held is not None:
            raise Withheld((Refusal(RefusalKind.GATE, self._held, order.vm),))
        if (why := self._clearing.why_held(order.source)) is not None:
            raise Withheld((Refusal(RefusalKind.GATE, why, order.vm),))

    async def set_autostart(self, order: AutostartOrder) -> None:
        """Have a VM that was moved start with its target, or what stayed behind of it not start with its source any more, if
        that is in the journal, and the host shows it defined for good and in no job, the source without memory of it.

        Raises:
            Withheld: it is not. Unreachable: the host did not answer; it is set or not.
        """
        self._refuse_autostart_early(order)
        no = why_not_set(order, seen := await self._hypervisor.inventory(order.host, load=False))
        if no is not None:
            raise Withheld((no,))
        # from the look to the call nothing is awaited
        self._refuse_autostart_early(order)
        here = seen.find(order.vm)
        if here is not None and here.autostart is not order.on:
            await self._hypervisor.set_autostart(order.host, order.vm, on=order.on)

    def _refuse_autostart_early(self, order: AutostartOrder) -> None:
        if not self._record.has_autostart(order.migration, order.host, on=order.on):
            raise Withheld((Refusal(RefusalKind.NOT_JOURNALLED, f"autostart of {order.migration}", order.vm),))
        if self._held is not None:
            raise Withheld((Refusal(RefusalKind.GATE, self._held, order.vm, order.host),))

    async def shut_down(self, order: ShutdownOrder) -> None:
        """Ask a guest to shut down in order, if that is in the journal for just this time, its definition is kept, its owner
        lets it, and its host shows it running, without a job.

        Raises:
            Withheld: it is not; it was not asked. Unreachable: the host did not answer. ShutdownRefused: it was not asked.
        """
        self._refuse_shutdown_early(order)
        await self._keep_for_good(order)
        here = await self._hypervisor.inventory(order.host, load=False)
        no = _why_not_shut_down(order, here)
        if no is None and any(flight.vm == order.vm for flight in self._flights.all()):
            no = Refusal(RefusalKind.VM_BUSY, "a migration of it is in flight", order.vm, order.host)
        if no is not None:
            raise Withheld((no,))
        # from the look to the call nothing is awaited
        self._refuse_shutdown_early(order)
        self._record.use_up_shutdown(order.id)
        await self._hypervisor.shut_down(order.host, order.vm)

    def _refuse_shutdown_early(self, order: ShutdownOrder) -> None:
        if self._held is not None:
            raise Withheld((Refusal(RefusalKind.GATE, self._held, order.vm, order.host),))
        if (why := self._clearing.why_held(None)) is not None:
            raise Withheld((Refusal(RefusalKind.GATE, why, order.vm, order.host),))
        if not self._record.has_shutdown(order.id, order.times):
            raise Withheld((Refusal(RefusalKind.NOT_JOURNALLED, f"shutdown {order.id}, time {order.times}", order.vm),))
        if self._cluster.host(order.host) is None:
            raise Withheld((Refusal(RefusalKind.GATE, "not a declared host", order.vm, order.host),))
        if self._record.going_down() > self._ceilings.guest_shutdowns:
            raise Withheld((Refusal(RefusalKind.CEILING, f"{self._record.going_down()} guests are asked to shut down, "
                                    f"ceiling {self._ceilings.guest_shutdowns}", order.vm, order.host),))

    async def _keep_for_good(self, order: ShutdownOrder) -> None:
        """Write down what a VM is defined as that will have to be started elsewhere: without that it is not shut down."""
        if self._definitions is None:
            return
        try:
            await self._definitions.keep(order.vm, await self._hypervisor.definition(order.host, order.vm))
        except (DefinitionNotKept, Unreachable, VmVanished) as error:
            no = Refusal(RefusalKind.WORLD_CHANGED, f"its definition cannot be kept: {error}", order.vm, order.host)
            raise Withheld((no,)) from error

    def cordon(self, order: CordonOrder) -> None:
        """Ask a host's agent to raise or lower its cordon flag. The request expires by itself."""
        if self._cluster.host(order.host) is None:
            raise Withheld((Refusal(RefusalKind.GATE, "not a declared host", host=order.host),))
        if order.until_wall is None:
            self._notices.uncordon(order.host)
        else:
            self._notices.cordon(order.host, order.until_wall, "ballastd")

    def _refuse_early(self, order: Order) -> None:
        move = order.move
        if self._held is not None:
            raise Withheld((Refusal(RefusalKind.GATE, self._held, move.vm),))
        if not self._record.has_order(order.id):
            raise Withheld((Refusal(RefusalKind.NOT_JOURNALLED, f"order {order.id}", move.vm),))
        if self._cluster.host(move.source) is None or self._cluster.host(move.target) is None:
            raise Withheld((Refusal(RefusalKind.GATE, "an end is not a declared host", move.vm),))
        if (why := self._clearing.why_held(move.source)) is not None:
            raise Withheld((Refusal(RefusalKind.GATE, why, move.vm),))
        if (no := self._clearing.refuses(move.vm, move.target)) is not None:
            raise Withheld((no,))
        if self._switches.goes_off(move.target):
            raise Withheld((Refusal(RefusalKind.HOST_STANDBY, f"{move.target} was told to go off", move.vm, move.target),))

    def _another_domain(self, order: Order, now: float) -> Refusal | None:
        """Return why a host is not emptied now: hosts in another failure domain are. Who has to leave waits for those on
        their way only; packing for a while after, too. A person's wish waits for nobody, neither do single routine moves."""
        move = order.move
        if self._clearing.asked(move.source) or (move.routine and not self._clearing.packs(move.source)):
            return None
        why = (self._why_apart(move.source, now) if move.routine
               else self._spread.why_apart(move.source, self._flights.emptied()))
        return None if why is None else Refusal(RefusalKind.CEILING, why, move.vm, move.source)

    def _why_apart(self, host: HostName, now: float) -> str | None:
        """Return why what can wait waits, which is packing and switching off."""
        return self._spread.why_apart(host, self._spread.lately(now) | self._flights.emptied(self._clearing.packs))

    def _demand(self, order: AbortOrder | TuneOrder | DowntimeOrder | PostCopyOrder, what: str, *, is_durable: bool,
                over: str | None = None) -> None:
        """Withhold what steers a job where it is not in the journal, the job is none of ours, or ``over`` a ceiling."""
        if not is_durable:
            raise Withheld((Refusal(RefusalKind.NOT_JOURNALLED, f"{what} of {order.migration}", order.vm),))
        if not self._flights.has(order.migration, order.vm, order.source):
            raise Withheld((Refusal(RefusalKind.GATE, f"no migration {order.migration} of it off {order.source} is "
                                    "in flight", order.vm),))
        if over is not None:
            raise Withheld((Refusal(RefusalKind.CEILING, over, order.vm),))

    async def _look(self, order: Order) -> _Ends:
        try:
            source, target = await asyncio.gather(self._hypervisor.inventory(order.move.source, load=False),
                                                  self._hypervisor.inventory(order.move.target, load=False))
        except Unreachable as error:
            raise Withheld((Refusal(RefusalKind.HOST_UNREACHABLE, str(error), order.move.vm),)) from error
        return _Ends(source, target)

    async def _examine(self, order: Order) -> Examination:
        try:
            return await self._hypervisor.examine(order)
        except Unreachable as error:
            return Examination((Refusal(RefusalKind.HOST_UNREACHABLE, str(error), order.move.vm),))

    async def _keep(self, order: Order) -> tuple[Refusal, ...]:
        """Write down what the VM is defined as: a host that dies in between may take that along. Who can wait waits until
        that can be done; who has to leave leaves without."""
        if self._definitions is None:
            return ()
        move = order.move
        try:
            await self._definitions.keep(move.vm, await self._hypervisor.definition(move.source, move.vm))
        except (DefinitionNotKept, Unreachable, VmVanished) as error:
            if move.routine:
                return (Refusal(RefusalKind.WORLD_CHANGED, f"its definition cannot be kept: {error}", move.vm),)
            self.concede(order, str(error))
        return ()

    def _second_look(self, order: Order, ends: _Ends) -> tuple[Refusal, ...]:
        """Return what changed since the order was planned: the world may have moved on."""
        here = ends.source.find(order.move.vm)
        changed = why_changed(order, here, written=self._record.shows_autostart(order.id))
        found = (*_vm_refusals(order, ends), *changed, *self._memory_refusals(order, ends),
                 *self._hardware_refusals(order, ends))
        incomplete = [i.host for i in (ends.source, ends.target) if not i.complete]
        unread = tuple(Refusal(RefusalKind.WORLD_CHANGED, f"the inventory of {host} is incomplete", order.move.vm,
                                host) for host in incomplete)
        return (*unread, *found)

    def _memory_refusals(self, order: Order, ends: _Ends) -> tuple[Refusal, ...]:
        declared, target, here = self._cluster.host(order.move.target), ends.target, ends.source.find(order.move.vm)
        if declared is None:
            return ()
        need = order.move.memory if here is None else here.ordinary
        reserve = declared.memory_reserve if declared.memory_limit is None else 0
        # never more than the machine has, which may have lost some
        limit = min(declared.memory_limit or target.memory_total, target.memory_total) - reserve
        limit = max(0, limit - (target.memory_total - target.ordinary_total))
        held = target.ordinary_held
        held += sum(f.ordinary for f in self._coming(target))
        room = min(limit - held, target.memory_free - reserve)
        if need <= room:
            return ()
        return (Refusal(RefusalKind.MEMORY, f"needs {human_bytes(need)}, {order.move.target} has room for "
                        f"{human_bytes(max(0, room))} now", order.move.vm, order.move.target),)

    def _coming(self, target: HostInventory) -> list[Flight]:
        """Return the claims on a host whose VMs it does not show yet."""
        shown = {vm.vm for vm in target.vms if vm.state.holds_memory}
        return [flight for flight in self._flights.into(target.host) if flight.vm not in shown]

    def _hardware_refusals(self, order: Order, ends: _Ends) -> tuple[Refusal, ...]:
        """Huge pages are claimed as memory is: those of VMs on their way there are as good as taken."""
        here, vm, target = ends.source.find(order.move.vm), order.move.vm, order.move.target
        if here is None:
            return ()
        unsuited = why_unsuited(here, ends.source, ends.target)
        found = () if unsuited is None else (Refusal(unsuited[0], f"{unsuited[1]} now", vm, target),)
        if not here.needs.backing:
            return found
        coming = [unknown_needs(f.memory) if f.needs is None else f.needs for f in self._coming(ends.target)]
        short = PageRoom((ends.target,), (coming,)).why_short(here.needs, 0)
        return (*found, Refusal(RefusalKind.HUGE_PAGES, f"{short} now", vm, target)) if short else found


def _with_doubts(error: MigrationError, examined: Examination) -> MigrationError:
    """Return an error with what the examination could not say: that may be why."""
    if not examined.unknown:
        return error
    return type(error)(f"{error}; {examined.unknown}", code=error.code, domain=error.domain)


def _why_not_shut_down(order: ShutdownOrder, seen: HostInventory) -> Refusal | None:
    here = seen.find(order.vm)
    if not seen.complete or here is None:
        return Refusal(RefusalKind.VM_GONE, f"is not seen on {order.host}", order.vm, order.host)
    if here.state is not VmState.RUNNING:
        return Refusal(RefusalKind.VM_NOT_RUNNING, f"is {here.state.value} now", order.vm, order.host)
    if here.job is not JobKind.NONE:
        return Refusal(RefusalKind.VM_BUSY, f"a {here.job.value} job holds it now", order.vm, order.host)
    if here.ignored or not here.shutdown:
        return Refusal(RefusalKind.LAST_RESORT, "its owner does not want it shut down", order.vm, order.host)
    return None


def _vm_refusals(order: Order, ends: _Ends) -> tuple[Refusal, ...]:
    move = order.move
    here, there = ends.source.find(move.vm), ends.target.find(move.vm)
    if here is None:
        return (Refusal(RefusalKind.VM_GONE, f"is no longer on {move.source}", move.vm, move.source),)
    found = [Refusal(RefusalKind.VM_PINNED, f"{p.kind.value}: {p.thing}", move.vm) for p in here.pins]
    if here.ignored or here.mobility is not Mobility.LIVE:
        found.append(Refusal(RefusalKind.VM_PINNED, "its owner wants it left where it is, since it was planned", move.vm))
    if here.state is not VmState.RUNNING:
        found.append(Refusal(RefusalKind.VM_NOT_RUNNING, f"is {here.state.value} now", move.vm, move.source))
    if here.job is not JobKind.NONE:
        found.append(Refusal(RefusalKind.VM_BUSY, f"a {here.job.value} job holds it now", move.vm, move.source))
    if here.memory_max != move.memory:
        found.append(Refusal(RefusalKind.WORLD_CHANGED, f"has {human_bytes(here.memory_max)} now, planned with "
                             f"{human_bytes(move.memory)}", move.vm))
    if here.downtime_max_ms is not None and order.downtime_ms > here.downtime_max_ms:
        found.append(Refusal(RefusalKind.WORLD_CHANGED, f"its owner wants {here.downtime_max_ms} ms of standstill at most, "
                             f"planned with {order.downtime_ms}", move.vm))
    if order.post_copy and not here.post_copy:
        found.append(Refusal(RefusalKind.WORLD_CHANGED, "its owner wants no post-copy, since it was planned", move.vm))
    if there is not None and there.state.holds_memory:
        found.append(Refusal(RefusalKind.WORLD_CHANGED, f"is active on {move.target} already", move.vm, move.target))
    return tuple(found)


def _too_long(order: Order, ceilings: Ceilings) -> Refusal | None:
    if order.downtime_ms <= ceilings.downtime_max_ms:
        return None
    return Refusal(RefusalKind.CEILING, f"{order.downtime_ms} ms of standstill, ceiling {ceilings.downtime_max_ms}",
                   order.move.vm)


def _foreign_jobs(ends: _Ends, flights: Flights) -> tuple[int, int]:
    """Return the jobs at both ends that are not ours: strangers' migrations use the same slots."""
    ours = flights.vms()
    out = sum(1 for vm in ends.source.vms if vm.vm not in ours and vm.job in (JobKind.OUTGOING, JobKind.UNKNOWN))
    into = sum(1 for vm in ends.target.vms if vm.vm not in ours and vm.state is VmState.INCOMING)
    return out, into
