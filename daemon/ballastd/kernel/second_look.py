"""What speaks against an order by what both ends show now: the world may have moved on since it was planned."""

from __future__ import annotations

from dataclasses import dataclass

from ballastd.core.inventory import BROKEN, HostInventory, JobKind, Mobility, VmState
from ballastd.core.plans import Order, Refusal, RefusalKind
from ballastd.core.policies import ClusterDeclaration
from ballastd.core.quantities import human_bytes
from ballastd.core.suitability import PageRoom, unknown_needs, why_unsuited
from ballastd.kernel.autostarts import why_changed
from ballastd.kernel.flights import Flight, Flights
from ballastd.kernel.record import Record


@dataclass(frozen=True, slots=True)
class Ends:
    """What both hosts of an order show."""

    source: HostInventory
    target: HostInventory


class SecondLook:
    """Compares an order with what its ends show, and with what is on its way to its target by ``flights``."""

    def __init__(self, cluster: ClusterDeclaration, record: Record, flights: Flights) -> None:
        self._cluster = cluster
        self._record = record
        self._flights = flights

    def refusals(self, order: Order, ends: Ends) -> tuple[Refusal, ...]:
        """Return what changed since the order was planned: the world may have moved on."""
        here = ends.source.find(order.move.vm)
        changed = why_changed(order, here, written=self._record.shows_autostart(order.id))
        found = (*_vm_refusals(order, ends), *changed, *self._memory_refusals(order, ends),
                 *self._hardware_refusals(order, ends))
        incomplete = [i.host for i in (ends.source, ends.target) if not i.complete]
        unread = tuple(Refusal(RefusalKind.WORLD_CHANGED, f"the inventory of {host} is incomplete", order.move.vm,
                                host) for host in incomplete)
        return (*unread, *found)

    def _memory_refusals(self, order: Order, ends: Ends) -> tuple[Refusal, ...]:
        declared, target, here = self._cluster.host(order.move.target), ends.target, ends.source.find(order.move.vm)
        if declared is None:
            return ()
        need = order.move.memory if here is None else here.ordinary
        reserve = 0 if declared.memory_limit is not None else declared.memory_reserve
        limit = target.memory_total - reserve if declared.memory_limit is None else declared.memory_limit
        limit = max(0, min(limit, target.memory_total) - (target.memory_total - target.ordinary_total))
        # those on their way have taken nothing yet, of what is free neither
        room = max(0, min(limit - target.ordinary_held, target.memory_free - reserve)
                   - sum(f.ordinary for f in self._coming(target)))
        if need <= room:
            return ()
        return (Refusal(RefusalKind.MEMORY, f"needs {human_bytes(need)}, {order.move.target} has room for "
                        f"{human_bytes(room)} now", order.move.vm, order.move.target),)

    def _coming(self, target: HostInventory) -> list[Flight]:
        """Return the claims on a host whose VMs it does not show yet."""
        shown = {vm.vm for vm in target.vms if vm.state.holds_memory}
        return [flight for flight in self._flights.into(target.host) if flight.vm not in shown]

    def _hardware_refusals(self, order: Order, ends: Ends) -> tuple[Refusal, ...]:
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


def _vm_refusals(order: Order, ends: Ends) -> tuple[Refusal, ...]:
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


def foreign_jobs(ends: Ends, flights: Flights) -> tuple[int, int]:
    """Return the jobs at both ends that are not ours: strangers' migrations use the same slots. Of what broke in post-copy
    a hypervisor keeps a job in which nothing flows."""
    ours = flights.vms()
    out = sum(1 for vm in ends.source.vms if vm.vm not in ours and vm.job in (JobKind.OUTGOING, JobKind.UNKNOWN)
              and vm.state not in BROKEN)
    into = sum(1 for vm in ends.target.vms if vm.vm not in ours and vm.state is VmState.INCOMING)
    return out, into
