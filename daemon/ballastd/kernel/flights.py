"""What is in flight as the kernel knows it: its own claims, released only when the books say that no job is left."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from ballastd.core.books import OPERATOR
from ballastd.core.ceilings import Ceilings
from ballastd.core.hardware import Needs
from ballastd.core.inventory import DeclaredHost
from ballastd.core.migrations import Migration
from ballastd.core.plans import Order, Refusal, RefusalKind
from ballastd.core.quantities import HostName, VmId

HOUR_SECONDS = 3600.0
DAY_SECONDS = 24 * HOUR_SECONDS


@dataclass(frozen=True, slots=True)
class Flight:
    """One claim: a migration that may have a job."""

    migration: str
    vm: VmId
    source: HostName
    target: HostName
    memory: int
    bandwidth_mib_s: int
    by_operator: bool
    routine: bool = False
    needs: Needs | None = None
    """Of huge pages; None where it was ordered by a run before, and is not known."""

    @property
    def ordinary(self) -> int:
        """Bytes that it may take of ordinary memory."""
        return self.memory if self.needs is None else max(0, self.memory - self.needs.backed)


class Flights:
    """All claims, and the ceilings on them. Counts only; looks at nothing else."""

    def __init__(self, hosts: tuple[DeclaredHost, ...], ceilings: Ceilings) -> None:
        self._links = {host.name: host.link_mib_s for host in hosts}
        self._ceilings = ceilings
        self._flights: dict[str, Flight] = {}
        self._begun: dict[HostName, float] = {}
        self._routine: list[tuple[float, VmId]] = []

    def __contains__(self, migration: str) -> bool:
        return migration in self._flights

    def all(self) -> tuple[Flight, ...]:
        """Return every claim."""
        return tuple(self._flights.values())

    def vms(self) -> frozenset[VmId]:
        """Return the VMs that have a claim."""
        return frozenset(f.vm for f in self._flights.values())

    def into(self, host: HostName) -> tuple[Flight, ...]:
        """Return the claims whose target is ``host``."""
        return tuple(f for f in self._flights.values() if f.target == host)

    def emptied(self, packing: Callable[[HostName], bool] | None = None) -> frozenset[HostName]:
        """Return the hosts that are being emptied, but by an operator; for what can wait, by whomever, ``packing`` too."""
        if packing is None:
            return frozenset(f.source for f in self._flights.values() if not f.by_operator and not f.routine)
        return frozenset(f.source for f in self._flights.values() if not f.routine or packing(f.source))

    def claim(self, order: Order, now: float, needs: Needs | None = None, *, asked: bool = False) -> None:
        """Book a claim for ``order``; ``now`` on the monotonic clock, seconds; ``needs``: those of its VM; ``asked``: a
        person wants its source emptied."""
        move = order.move
        begins = not asked and not move.routine and self._begins(move.source, now)
        self._flights[order.id] = Flight(order.id, move.vm, move.source, move.target, move.memory,
                                         order.bandwidth_mib_s, asked, move.routine, needs)
        if move.routine:
            self._routine = [(at, vm) for at, vm in self._routine if now - at < DAY_SECONDS]
            self._routine.append((now, move.vm))
        if begins:
            self._begun[move.source] = now
        self._begun = {host: at for host, at in self._begun.items()
                       if now - at < HOUR_SECONDS or any(f.source == host for f in self._flights.values())}

    def adopt(self, migration: Migration) -> None:
        """Book a claim for a migration that a run before ordered."""
        self._flights[migration.id] = Flight(
            migration.id, migration.vm, migration.source, migration.target, migration.memory,
            migration.bandwidth_mib_s, migration.policy == OPERATOR, migration.routine)

    def remember_routine(self, begun: Iterable[tuple[float, VmId]]) -> None:
        """Count routine moves of runs before: when each was ordered (monotonic, may be below zero), and its VM."""
        self._routine.extend(begun)

    def remember_emptied(self, begun: Mapping[HostName, float]) -> None:
        """Count hosts that runs before began to empty within the hour: when (monotonic, may be below zero)."""
        self._begun |= begun

    def tune(self, migration: str, bandwidth_mib_s: int) -> None:
        """Note the bandwidth that a job was given."""
        flight = self._flights.get(migration)
        if flight is not None:
            self._flights[migration] = replace(flight, bandwidth_mib_s=bandwidth_mib_s)

    def has(self, migration: str, vm: VmId, source: HostName) -> bool:
        """Return whether there is a claim of just this: a migration of ours, its VM, and where that leaves."""
        flight = self._flights.get(migration)
        return flight is not None and (flight.vm, flight.source) == (vm, source)

    def bandwidth_of(self, migration: str) -> int:
        """Return the bandwidth that counts for a claim, MiB/s, 0 where there is none."""
        flight = self._flights.get(migration)
        return 0 if flight is None else flight.bandwidth_mib_s

    def release(self, migration: str) -> None:
        """Drop a claim: the books say that no job is left."""
        self._flights.pop(migration, None)

    def refusal(self, order: Order, foreign_out: int, foreign_in: int, now: float, *, asked: bool = False) -> Refusal | None:
        """Return the ceiling that ``order`` would break, or None.

        ``foreign_out``, ``foreign_in``: jobs at its two ends that are not claims of ours. ``asked``: a person wants its
        source emptied.
        """
        move, top = order.move, self._ceilings
        if any(f.vm == move.vm for f in self._flights.values()):
            return self._no(order, "a migration of this VM is in flight")
        out = sum(1 for f in self._flights.values() if f.source == move.source) + foreign_out
        into = sum(1 for f in self._flights.values() if f.target == move.target) + foreign_in
        counts = (
            (len(self._flights) + foreign_out + foreign_in, top.in_flight_cluster, "in the cluster"),
            (out, top.in_flight_host_out, f"out of {move.source}"),
            (into, top.in_flight_host_in, f"into {move.target}"),
        )
        for count, ceiling, where in counts:
            if count >= ceiling:
                return self._no(order, f"{count} migrations in flight {where}, ceiling {ceiling}")
        if move.routine:
            return self._bandwidth(order) or self._routine_moves(order, now)
        return self._bandwidth(order) or (None if asked else self._sources(order, now))

    def bandwidth_refusal(self, migration: str, bandwidth_mib_s: int) -> str | None:
        """Return why a job may not be given this bandwidth, or None."""
        flight = self._flights.get(migration)
        if flight is None or bandwidth_mib_s < 1:
            return "no such migration in flight, or less than 1 MiB/s"
        return self._oversubscribed(flight.source, flight.target, bandwidth_mib_s, migration)

    def downtime_refusal(self, migration: str, downtime_ms: int) -> str | None:
        """Return why the VM of a job may not stand still for so long, or None."""
        if migration not in self._flights or downtime_ms < 1:
            return "no such migration in flight, or less than 1 ms"
        if downtime_ms > self._ceilings.downtime_max_ms:
            return f"{downtime_ms} ms of standstill, ceiling {self._ceilings.downtime_max_ms}"
        return None

    def _bandwidth(self, order: Order) -> Refusal | None:
        if order.bandwidth_mib_s < 1:
            return self._no(order, "a bandwidth of less than 1 MiB/s means unlimited to the hypervisor")
        over = self._oversubscribed(order.move.source, order.move.target, order.bandwidth_mib_s, "")
        return self._no(order, over) if over else None

    def _oversubscribed(self, source: HostName, target: HostName, more: int, but: str) -> str | None:
        others = [f for f in self._flights.values() if f.migration != but]
        for host, used in ((source, sum(f.bandwidth_mib_s for f in others if f.source == source)),
                           (target, sum(f.bandwidth_mib_s for f in others if f.target == target))):
            ceiling = max(1.0, self._links.get(host, 0.0) * self._ceilings.link_share)
            if used + more > ceiling and (used or more > 1):
                return f"{used + more} MiB/s on the link of {host}, ceiling {ceiling:.0f}"
        return None

    def _routine_moves(self, order: Order, now: float) -> Refusal | None:
        """Balance and packing: few at once, few in an hour and a day, and no VM over and over."""
        top, vm = self._ceilings, order.move.vm
        flying = sum(1 for f in self._flights.values() if f.routine)
        within = {span: [key for at, key in self._routine if now - at < span] for span in (HOUR_SECONDS, DAY_SECONDS)}
        counts = (
            (flying, top.balance_in_flight, "routine moves in flight"),
            (len(within[HOUR_SECONDS]), top.balance_per_hour, "routine moves within the hour"),
            (len(within[DAY_SECONDS]), top.balance_per_day, "routine moves within the day"),
            (within[DAY_SECONDS].count(vm), top.balance_per_vm_day, "routine moves of this VM within the day"),
        )
        over = next(((count, ceiling, what) for count, ceiling, what in counts if count >= ceiling), None)
        return None if over is None else self._no(order, f"{over[0]} {over[2]}, ceiling {over[1]}")

    def _sources(self, order: Order, now: float) -> Refusal | None:
        """Hosts being emptied at once and begun within the hour: one failure after the other, not all at once."""
        source = order.move.source
        others = self.emptied() - {source}
        if len(others) >= self._ceilings.evacuations_at_once:
            return self._no(order, f"{', '.join(sorted(others))} being emptied, ceiling "
                                   f"{self._ceilings.evacuations_at_once} hosts at once")
        begun = [host for host, at in self._begun.items() if host != source and now - at < HOUR_SECONDS]
        if self._begins(source, now) and len(begun) >= self._ceilings.evacuations_per_hour:
            return self._no(order, f"{len(begun)} hosts began to be emptied within the hour, ceiling "
                                   f"{self._ceilings.evacuations_per_hour}")
        return None

    def _begins(self, source: HostName, now: float) -> bool:
        """Return whether an order from ``source`` begins to empty it anew: not within the hour, nothing in flight."""
        at = self._begun.get(source)
        if at is not None and now - at < HOUR_SECONDS:
            return False
        return at is None or not any(f.source == source for f in self._flights.values())

    @staticmethod
    def _no(order: Order, detail: str) -> Refusal:
        return Refusal(RefusalKind.CEILING, detail, order.move.vm, order.move.target)
