"""Does a finished plan fill its targets no further than balance, evening out and packing may?

Written without the planner's columns: on plain sums over inventories and loads, and what each VM itself uses. A move is
held against its own marks with all that comes before it in the plan or is in flight; who comes later has to keep to his
own. VMs that leave a target make room there for processors of others that come, and never for more than came; their memory
makes room for whoever waits for that, and for nobody else.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import isinf, isnan
from typing import NamedTuple

import numpy as np

from ballastd.core.arrays import Floats
from ballastd.core.checking import held_by, limit_of, ordinary_of, row_of
from ballastd.core.consumption import HOURS
from ballastd.core.intents import Fill, Intent, IntentKind
from ballastd.core.ledger import Ledger
from ballastd.core.plans import Move
from ballastd.core.policies import BalancePolicy, PolicySet
from ballastd.core.quantities import HostName, VmId
from ballastd.core.snapshot import HostFacts, Snapshot

STILL_TOLD_SECONDS = 300.0
"""For so long, or for the window of load if that is longer, a host's telemetry may have a VM in its mean that has left."""
HOUR_SECONDS = 3600.0
ROUNDING = 1e-6
"""Of a processor: sums come out differently in another order."""


def check_marks(snapshot: Snapshot, ledger: Ledger, moves: Sequence[tuple[Move, Intent]], policies: PolicySet) -> list[str]:
    """Return which moves fill their target further than they may, in words. ``moves``: in the order of the plan, each with
    what it is for; where both ends are declared."""
    if not any(_keeps_to_marks(move, intent) for move, intent in moves):
        return []
    tally = _Tally(snapshot, ledger)
    wrong: list[str] = []
    halfway = {policy.name: _halfway(policy) for policy in policies.balance}
    for move, intent in moves:
        why = ""
        if _keeps_to_marks(move, intent):
            why = _why_too_full(tally, move, intent, halfway) or _why_too_busy(tally, move, intent)
        if why:
            wrong.append(f"{move.vm_name} -> {move.target}: {why}")
        tally.take(move)
    return wrong


def _keeps_to_marks(move: Move, intent: Intent) -> bool:
    return intent.routine or (move.room_for is not None and intent.fill is not None)


def _why_too_full(tally: _Tally, move: Move, intent: Intent, halfway: Mapping[str, Fill]) -> str:
    if intent.fill is None:
        return "no mark says how full a target may become"
    after = tally.with_it_there(move)
    if after is None:
        return "what the target or the VM uses is not known"
    if after.is_within(intent.fill):
        return ""
    warm = halfway.get(intent.policy) if intent.kind is IntentKind.RELIEVE else None
    # what cannot be cooled may be lessened, for as long as it is warmer itself than what is made warm for it
    if warm is not None and after.is_within(warm) and not tally.at_most(move.source).is_within(warm):
        return ""
    return (f"{after.words()} would be used, at most {intent.fill.cpu:.0%}, {intent.fill.memory:.0%} and "
            f"{intent.fill.network:.0%}")


def _why_too_busy(tally: _Tally, move: Move, intent: Intent) -> str:
    """Return at which hour of the day the target would be too busy with those alone that live or come there and whose day is
    known. Relief may look ahead less far than a day."""
    if intent.fill is None or intent.kind is IntentKind.RELIEVE:
        return ""
    for hour, used in tally.by_the_hour(move):
        if intent.fill.until_wall is not None and not _comes_before(tally.wall, hour, intent.fill.until_wall):
            continue
        limit = intent.fill.cpu * tally.limit(move.target)
        if used > limit + ROUNDING:
            return f"{used:.2f} of {limit:.2f} processors would be used from {hour:02}:00 UTC on"
    return ""


def _comes_before(wall: float, hour: int, until: float) -> bool:
    """Return whether an hour of the day is now, or begins before ``until``."""
    first = int(wall // HOUR_SECONDS)
    ahead = (hour - first) % 24
    return ahead == 0 or (first + ahead) * HOUR_SECONDS <= until


def _halfway(policy: BalancePolicy) -> Fill:
    """Return the marks halfway between where a host is cool and where it is hot."""
    hot = {"cpu": 0.0, "memory": 0.0, "network": 0.0}
    for edge in sorted(policy.hot, key=lambda edge: -edge.above):
        hot[edge.resource] = edge.above
    return Fill(max(policy.cool_cpu, (policy.cool_cpu + hot["cpu"]) / 2),
                max(policy.cool_memory, (policy.cool_memory + hot["memory"]) / 2),
                max(policy.cool_network, (policy.cool_network + hot["network"]) / 2))


class _Level(NamedTuple):
    """What a host uses: processors of so many, bytes of so many, MiB/s of its network of so many, where that is declared."""

    cpu: float
    cpu_limit: float
    memory: int
    limit: int
    network: float
    network_limit: float

    def is_within(self, fill: Fill) -> bool:
        return (self.cpu <= fill.cpu * self.cpu_limit + ROUNDING and self.memory <= fill.memory * self.limit
                and (isinf(self.network_limit) or self.network <= fill.network * self.network_limit + ROUNDING))

    def words(self) -> str:
        network = "" if isinf(self.network_limit) else f" and {self.network:.1f} of {self.network_limit:.0f} MiB/s"
        return f"{self.cpu:.2f} of {self.cpu_limit:g} processors and {self.memory} of {self.limit} B{network}"


class _Tally:
    """What comes to hosts and leaves them, with what is in flight and the moves so far."""

    def __init__(self, snapshot: Snapshot, ledger: Ledger) -> None:
        self._snapshot = snapshot
        self._rows = {fact.declared.name: row for row, fact in enumerate(snapshot.facts)}
        self._cpu: dict[HostName, float] = defaultdict(float)
        self._network: dict[HostName, float] = defaultdict(float)
        self._networks: dict[HostName, Floats] = {}
        self._coming: dict[HostName, int] = defaultdict(int)
        self._leaving: dict[HostName, int] = defaultdict(int)
        self._held: dict[HostName, int] = {}
        self._days: dict[HostName, Floats] = {}
        self._coming_by_hour: dict[HostName, Floats] = defaultdict(lambda: np.zeros(HOURS))
        flights = ledger.open_migrations()
        for flight in flights:
            if flight.source in self._rows and flight.target in self._rows:
                self._shift(flight.vm, flight.source, flight.target)
        since = snapshot.now.wall - max(STILL_TOLD_SECONDS, snapshot.window)
        gone = [one for moves in ledger.moved.values() for one in moves if one.wall > since]
        left = {one.source for one in gone if one.target != one.source}
        for host in left - {flight.source for flight in flights}:
            load = snapshot.facts[self._rows[host]].load if host in self._rows else None
            if load is not None and load.used is not None and load.by_vms is not None:
                self._cpu[host] -= max(0.0, load.used - load.by_vms)
                self._coming_by_hour[host] -= max(0.0, load.used - load.by_vms)

    def take(self, move: Move) -> None:
        """Count a move."""
        self._shift(move.vm, move.source, move.target)
        self._coming[move.target] += self._ordinary(move)
        self._leaving[move.source] += self._ordinary(move)

    @property
    def wall(self) -> float:
        """When it is."""
        return self._snapshot.now.wall

    def limit(self, host: HostName) -> float:
        """Return how many processors a host has for VMs."""
        return self._fact(host).load.limit

    def by_the_hour(self, move: Move) -> list[tuple[int, float]]:
        """Return what the VMs that live on the target, or come there, use at each hour of the day with this one, as far as
        their days are known; nothing where its own is not."""
        row, hours, vms = row_of(self._snapshot, move.vm), self._snapshot.hours, self._snapshot.vms
        if row is None or hours is None or isnan(hours.by_vm[row, 0]) or isnan(vms.cpu[row]):
            return []
        if move.target not in self._days:
            there = hours.by_vm[(vms.host == self._rows[move.target]) & ~np.isnan(vms.cpu)]
            self._days[move.target] = np.nansum(there, axis=0)
        coming = np.maximum(0.0, self._coming_by_hour[move.target])
        return list(enumerate((self._days[move.target] + coming + hours.by_vm[row]).tolist()))

    def with_it_there(self, move: Move) -> _Level | None:
        """Return what the target uses with the VM there at its busier times; None where that is not known."""
        load, vm = self._fact(move.target).load, row_of(self._snapshot, move.vm)
        more = float("nan") if vm is None else self._needs(vm)
        carried = float(self._carried(move.target).sum())
        carries = float("nan") if vm is None else float(self._snapshot.vms.network_peak[vm])
        is_limited = not isinf(self._network_limit(move.target))
        if load.used is None or isnan(more) or (is_limited and (isnan(carried) or isnan(carries))):
            return None
        return _Level(load.used + max(0.0, self._cpu[move.target]) + more, load.limit,
                      self._memory(move.target) + self._ordinary(move) - self._left_before(move),
                      limit_of(self._fact(move.target)), carried + max(0.0, self._network[move.target]) + carries,
                      self._network_limit(move.target))

    def at_most(self, host: HostName) -> _Level:
        """Return what a host uses once the moves so far are done, rounded up; of processors nothing where that is not
        known, of its network what is known of its VMs."""
        load = self._fact(host).load
        used = 0.0 if load.used is None else load.used + self._cpu[host] + 2 * ROUNDING
        carried = float(np.nansum(self._carried(host))) + self._network[host] + 2 * ROUNDING
        return _Level(used, load.limit, self._memory(host) - self._leaving[host] + 1, limit_of(self._fact(host)), carried,
                      self._network_limit(host))

    def _network_limit(self, host: HostName) -> float:
        """Return what the network of a host's VMs carries, MiB/s, without end where nobody says."""
        declared = self._fact(host).declared.network_mib_s
        return float("inf") if declared is None else declared

    def _carried(self, host: HostName) -> Floats:
        """Return what each VM that runs on a host carries over its network, MiB/s, not a number where that is unknown; of
        none where nobody says what the network carries."""
        if isinf(self._network_limit(host)):
            return np.zeros(0)
        if host not in self._networks:
            rows = np.flatnonzero(self._snapshot.vms.host == self._rows[host]).tolist()
            runs = [row for row in rows if self._snapshot.records[row].state.runs]
            self._networks[host] = self._snapshot.vms.network[runs]
        return self._networks[host]

    def _memory(self, host: HostName) -> int:
        if host not in self._held:
            self._held[host] = held_by(self._fact(host)) + int(self._snapshot.hosts.reserved[self._rows[host]])
        return self._held[host] + self._coming[host]

    def _needs(self, vm: int) -> float:
        """Return what a VM (row) needs where it comes to: at its busier times, unless it is known when these are."""
        hours, vms = self._snapshot.hours, self._snapshot.vms
        is_known = hours is not None and not isnan(hours.by_vm[vm, 0]) and not isnan(vms.cpu[vm])
        return float((vms.cpu if is_known else vms.peak)[vm])

    def _left_before(self, move: Move) -> int:
        """Return the bytes of those that have left a move's target before it begins."""
        rows = [row for vm in move.after if (row := row_of(self._snapshot, vm)) is not None]
        return sum(ordinary_of(self._snapshot.records[row]) for row in rows)

    def _ordinary(self, move: Move) -> int:
        """Return the bytes that a move takes to its target, but for huge pages."""
        row = row_of(self._snapshot, move.vm)
        return move.memory if row is None else ordinary_of(self._snapshot.records[row])

    def _shift(self, vm: VmId, source: HostName, target: HostName) -> None:
        row = row_of(self._snapshot, vm)
        used = float("nan") if row is None else float(self._snapshot.vms.cpu[row])
        carried = float("nan") if row is None else float(self._snapshot.vms.network[row])
        for shifted, changes in ((self._cpu, used), (self._network, carried)):
            if not isnan(changes):
                shifted[source] -= changes
                shifted[target] += changes
        self._shift_by_hour(row, source, target)

    def _shift_by_hour(self, row: int | None, source: HostName, target: HostName) -> None:
        """Count a VM (row) as little as it may be where it comes to, and as much as it may be where it leaves."""
        hours, used = self._snapshot.hours, float("nan") if row is None else float(self._snapshot.vms.cpu[row])
        if row is None or hours is None or isnan(used):
            return
        day = np.nan_to_num(hours.by_vm[row])
        # busier today than yesterday it may be by all that it uses
        self._coming_by_hour[source] -= day + used
        self._coming_by_hour[target] += day

    def _fact(self, host: HostName) -> HostFacts:
        return self._snapshot.facts[self._rows[host]]
