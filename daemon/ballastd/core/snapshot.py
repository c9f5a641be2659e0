"""The frozen cluster at one instant, in columns: one row per declared host, one row per VM.

Columns are what planning scans; names give the rows. A VM in flight counts at both ends: where an inventory
shows it, and where the ledger says it is going. Rows are sorted by name and id, so that equal clusters give
equal snapshots whatever order news came in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ballastd.core.arrays import Bools, Floats, Ints
from ballastd.core.hardware import Needs
from ballastd.core.inventory import BROKEN, DeclaredHost, HostInventory, JobKind, Mobility, VmRecord, VmState
from ballastd.core.ledger import Ledger
from ballastd.core.loads import HostLoad, Hours, Loads
from ballastd.core.migrations import HOLDS_SOURCE, HOLDS_TARGET
from ballastd.core.plans import Refusal, RefusalKind
from ballastd.core.policies import Health, PlacementPolicy, Scope, VmSelector
from ballastd.core.quantities import HostName, Instant, Seconds, VmId, human_bytes
from ballastd.core.suitability import PageRoom, unknown_needs

NO_LOAD = HostLoad(0.0, None, None)


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What the controller knows of a host beside its inventory, on which eligibility rests.

    ``avoid``: reasons (already worded) for which nothing may land there. ``cpu_utilization``: ratio as it was heard last, or
    None; it is shown, while plans go by ``load``. ``asked``: whether it was looked at since we started, and answered or did
    not. ``apart``: whether it takes no part in balance and packing: it is being emptied, is off or on its way, or must not
    be touched. ``turn``: a number that changes when its inventory shows something else than before, but for what VMs used;
    None where nobody counts.
    """

    declared: DeclaredHost
    inventory: HostInventory | None
    health: Health
    reachable: bool
    fresh: bool
    avoid: tuple[Refusal, ...]
    cpu_utilization: float | None
    asked: bool
    load: HostLoad = NO_LOAD
    apart: bool = False
    turn: int | None = None


@dataclass(frozen=True, slots=True)
class HostColumns:
    """One row per declared host. Memory in bytes, all of it ordinary: huge pages are counted apart, in ``Snapshot.pages``.
    Load in processors; ``cpu`` is nan where unknown.

    ``limit``: what VMs may use. ``used``: what active VMs hold by their maximum. ``reserved``: held for
    migrations that no inventory shows yet. ``free``: what the machine itself has left for more.
    ``cpu_limit``: processors that VMs may use. ``cpu``: processors that are used, as far as that is believed. ``vcpus``: the
    virtual processors of active VMs and of those that are on their way there or from there and not shown.
    ``jobs_out``, ``jobs_in``: migrations in flight, observed or booked, ours or not. ``target``: whether it may receive.
    ``apart``: whether it is meant to be silent or empty. ``network_limit``: MiB/s that the network of its VMs carries, inf
    where nobody says. ``network``: MiB/s that they use of it, nan where it is not known of all of them, ``network_least``:
    as far as it is known; both 0 without a limit.
    """

    names: tuple[HostName, ...]
    limit: Ints
    used: Ints
    reserved: Ints
    free: Ints
    cpu_limit: Floats
    cpu: Floats
    link_mib_s: Floats
    health: Ints
    jobs_out: Ints
    jobs_in: Ints
    target: Bools
    apart: Bools
    network_limit: Floats
    network: Floats
    network_least: Floats
    vcpus: Ints
    rows: Mapping[HostName, int] = field(init=False)
    has_network: bool = field(init=False)
    """Whether any host has a limit to its network."""
    room: Ints = field(init=False)
    """Bytes that may still be promised, per host: never more than the machine has."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", {name: row for row, name in enumerate(self.names)})
        object.__setattr__(self, "has_network", bool(np.isfinite(self.network_limit).any()))
        object.__setattr__(self, "room", np.minimum(self.limit - self.used, self.free) - self.reserved)


@dataclass(frozen=True, slots=True)
class VmColumns:
    """One row per active VM at the host where it counts as living (a job's source while it migrates).

    ``memory``: bytes of ordinary memory that it takes of a host's room; ``copied``: bytes that a migration copies, all it
    has. ``cpu``: processors it uses, ``peak``: at its busier times; ``network``, ``network_peak``: the same of
    its network, MiB/s; nan where unknown.
    """

    ids: tuple[VmId, ...]
    host: Ints
    memory: Ints
    copied: Ints
    priority: Ints
    busy: Bools
    cpu: Floats
    peak: Floats
    network: Floats
    network_peak: Floats


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything a plan may rest on. ``vm_why_not``: what keeps a VM from moving at all, per row. ``pages``: the huge pages
    that hosts have left. ``hours``: what VMs use at each hour of the day, None where nobody keeps it. ``window``: over what
    time loads are averaged."""

    now: Instant
    hosts: HostColumns
    vms: VmColumns
    facts: tuple[HostFacts, ...]
    records: tuple[VmRecord, ...]
    why_not: tuple[tuple[Refusal, ...], ...]
    vm_why_not: tuple[tuple[Refusal, ...], ...]
    foreign_jobs: int
    cast: Cast
    pages: PageRoom
    hours: Hours | None = field(default=None, repr=False, compare=False)
    window: Seconds = Seconds(0.0)

    def row(self, host: HostName) -> int:
        """Return the row of a declared host."""
        return self.hosts.rows[host]

    def is_seen_empty(self, host: HostName) -> bool:
        """Return whether ``host`` itself shows, now, that no VM is active there."""
        fact = self.facts[self.row(host)]
        vms = fact.inventory.vms if fact.inventory is not None else ()
        return fact.reachable and fact.inventory is not None and not any(vm.state.holds_memory for vm in vms)

    def covered(self, scope: Scope) -> Bools:
        """Return the hosts that a scope covers; asked once while hosts are declared as they are."""
        known = self.cast.scopes
        if scope not in known:
            known[scope] = np.array([scope.covers(fact.declared) for fact in self.facts], np.bool_)
        return known[scope]

    def vms_on(self, host: HostName) -> tuple[int, ...]:
        """Return the rows of the VMs that live on ``host``."""
        return tuple(int(i) for i in np.flatnonzero(self.vms.host == self.row(host)))


@dataclass(frozen=True, slots=True)
class Cast:
    """Who lives where and why each stays: what of a snapshot does not change with load and time.

    ``key``: what it was made from; equal keys make equal casts. None: it is never equal to another. ``seen_at``: the rows
    of the hosts that show a VM active, per VM; ``coming``: the needs of who is on his way to each host, or from there, and
    not shown there; ``runs``: whether it runs where it lives; the other columns are those of the snapshot.
    """

    key: tuple[object, ...] | None
    ids: tuple[VmId, ...]
    records: tuple[VmRecord, ...]
    host: Ints
    seen_at: tuple[frozenset[int], ...]
    memory: Ints
    copied: Ints
    priority: Ints
    busy: Bools
    runs: Bools
    why_not: tuple[tuple[Refusal, ...], ...]
    used: Ints
    reserved: Ints
    coming: tuple[tuple[Needs, ...], ...]
    vcpus: Ints
    jobs_out: Ints
    jobs_in: Ints
    foreign: int
    reserves: dict[tuple[bytes, bytes, str], object] = field(default_factory=dict, repr=False, compare=False)
    """Whether any one failure domain may die, as it was found out last: see ``reserve``."""
    domains: dict[str, Ints] = field(default_factory=dict, repr=False, compare=False)
    """Which hosts share a label's value, by label, for whatever was asked before: see ``scoring``."""
    breaches: dict[PlacementPolicy, object] = field(default_factory=dict, repr=False, compare=False)
    """Who ought to leave for a rule to be kept, by rule, for whatever was asked before: see ``breaches``."""
    scopes: dict[Scope, Bools] = field(default_factory=dict, repr=False, compare=False)
    """The hosts that a scope covers, for whatever was asked before."""
    members: dict[VmSelector, frozenset[int]] = field(default_factory=dict, repr=False, compare=False)
    """The rows of the VMs that a selector covers, for whatever was asked before: see ``placement``."""


def take(facts: tuple[HostFacts, ...], ledger: Ledger, now: Instant, loads: Loads | None = None,
         last: Snapshot | None = None) -> Snapshot:
    """Return the snapshot of ``facts`` (sorted by host name) with the ledger's reservations folded in.

    ``loads``: what VMs use; without it nobody's use is known. ``last``: the snapshot before; what cannot have changed
    since is taken from it, so that its ``records`` may say what VMs used then.
    """
    key = _key(facts, ledger)
    cast = last.cast if last is not None and key is not None and last.cast.key == key else _cast(facts, ledger, key)
    cpu, peak = loads.columns(cast.ids, now) if loads else (np.full(len(cast.ids), np.nan),) * 2
    carried = loads.network(cast.ids, now) if loads else None
    network, network_peak = carried if carried else (np.full(len(cast.ids), np.nan),) * 2
    if last is not None and last.cast is cast and last.vms.network is network:
        networks = last.hosts.network_limit, last.hosts.network, last.hosts.network_least
    else:
        networks = _networks(facts, cast, network) if carried else _no_networks(len(facts))
    hosts = HostColumns(
        names=tuple([fact.declared.name for fact in facts]),
        limit=_column([_limit(fact) for fact in facts]),
        used=cast.used,
        reserved=cast.reserved,
        free=_column([_free(fact) for fact in facts]),
        cpu_limit=_known([fact.load.limit for fact in facts]),
        cpu=_known([fact.load.used for fact in facts]),
        link_mib_s=np.array([fact.declared.link_mib_s for fact in facts]),
        health=_column([int(fact.health) for fact in facts]),
        jobs_out=cast.jobs_out,
        jobs_in=cast.jobs_in,
        target=np.array([not fact.avoid for fact in facts], dtype=np.bool_),
        apart=np.array([fact.apart for fact in facts], dtype=np.bool_),
        network_limit=networks[0], network=networks[1], network_least=networks[2], vcpus=cast.vcpus,
    )
    vms = VmColumns(ids=cast.ids, host=cast.host, memory=cast.memory, copied=cast.copied, priority=cast.priority,
                    busy=cast.busy, cpu=cpu, peak=peak, network=network, network_peak=network_peak)
    return Snapshot(now=now, hosts=hosts, vms=vms, facts=facts, records=cast.records,
                    why_not=tuple([fact.avoid for fact in facts]), vm_why_not=cast.why_not, foreign_jobs=cast.foreign,
                    cast=cast, pages=PageRoom([fact.inventory for fact in facts], cast.coming),
                    hours=Hours(lambda: loads.hours(cast.ids, now)) if loads else None,
                    window=loads.window if loads else Seconds(0.0))


def _networks(facts: tuple[HostFacts, ...], cast: Cast, carried: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the limit of each host's network, what its VMs use of it, and what of that is known. ``carried``: by VM."""
    limit = np.array([np.inf if fact.declared.network_mib_s is None else fact.declared.network_mib_s for fact in facts])
    # what does not run carries nothing
    unknown = np.isnan(carried) & cast.runs
    known = np.where(cast.runs & ~unknown, carried, 0.0)
    least: Floats = np.bincount(cast.host, known, len(facts)).astype(np.float64)
    least[np.isinf(limit)] = 0.0
    missing = (np.bincount(cast.host, unknown, len(facts)) > 0) & np.isfinite(limit)
    return limit, np.where(missing, np.nan, least), least


def _no_networks(hosts: int) -> tuple[Floats, Floats, Floats]:
    return np.full(hosts, np.inf), np.zeros(hosts), np.zeros(hosts)


def _key(facts: tuple[HostFacts, ...], ledger: Ledger) -> tuple[object, ...] | None:
    """Return what a cast is made from; None where that may be anything: a VM was seen twice, or nobody counts turns."""
    if ledger.duplicates:
        return None
    found = tuple([(fact.declared.name, fact.turn, fact.reachable) for fact in facts])
    known = all(fact.turn is not None or fact.inventory is None for fact in facts)
    return (found, tuple(ledger.migrations.items())) if known else None


def _cast(facts: tuple[HostFacts, ...], ledger: Ledger, key: tuple[object, ...] | None) -> Cast:
    names = tuple(fact.declared.name for fact in facts)
    rows = {name: i for i, name in enumerate(names)}
    living, sightings = _find_vms(facts)
    reserved, coming, vcpus = _reservations(facts, ledger, rows, living)
    jobs_out, jobs_in, foreign = _jobs(facts, ledger, rows)
    ids = tuple(sorted(living))
    moving = {migration.vm for migration in ledger.migrations.values()}
    return Cast(
        key=key, ids=ids, records=tuple(living[vm][1] for vm in ids),
        host=_column([rows[living[vm][0]] for vm in ids]),
        seen_at=tuple(frozenset(rows[host] for host in sightings[vm]) for vm in ids),
        memory=_column([living[vm][1].ordinary for vm in ids]),
        copied=_column([living[vm][1].memory_max for vm in ids]),
        priority=_column([living[vm][1].priority for vm in ids]),
        busy=np.array([vm in moving or living[vm][1].job is not JobKind.NONE for vm in ids], dtype=np.bool_),
        runs=np.array([living[vm][1].state.runs for vm in ids], dtype=np.bool_),
        why_not=tuple(_why_vm_stays(vm, living[vm][1], sightings[vm], ledger) for vm in ids),
        used=_column([_used(fact) for fact in facts]),
        reserved=_column([reserved[name] for name in names]), coming=tuple(tuple(coming[name]) for name in names),
        vcpus=_column([vcpus[name] for name in names]),
        jobs_out=_column([jobs_out[name] for name in names]), jobs_in=_column([jobs_in[name] for name in names]),
        foreign=foreign,
    )


def _column(values: list[int]) -> Ints:
    return np.array(values, dtype=np.int64)


def _known(values: list[float | None]) -> Floats:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _find_vms(facts: tuple[HostFacts, ...]
              ) -> tuple[dict[VmId, tuple[HostName, VmRecord]], dict[VmId, tuple[HostName, ...]]]:
    """Return where each active VM lives, and all hosts that show it active."""
    living: dict[VmId, tuple[HostName, VmRecord]] = {}
    sightings: dict[VmId, tuple[HostName, ...]] = {}
    # who answers now is asked first: of a host that does not, only the last look is left
    for fact in sorted(facts, key=lambda fact: not fact.reachable):
        for record in fact.inventory.vms if fact.inventory else ():
            if record.state is VmState.SHUTOFF or record.state is VmState.CRASHED:
                continue
            sightings[record.vm] = (*sightings.get(record.vm, ()), fact.declared.name)
            known = living.get(record.vm)
            if known is None or lives_more(record, known[1]):
                living[record.vm] = (fact.declared.name, record)
    return living, sightings


_LIFE = {VmState.RUNNING: 4, VmState.POSTCOPY: 4, VmState.HANDOVER: 3, VmState.POSTCOPY_FAILED: 3, VmState.PAUSED: 2,
         VmState.POSTCOPY_LEFT: 1, VmState.POSTCOPY_LEFT_FAILED: 1, VmState.LEFTOVER: 1}


def lives_more(one: VmRecord, other: VmRecord) -> bool:
    """Return whether of two hosts that show a VM the one which shows ``one`` has rather more of it."""
    return _LIFE.get(one.state, 0) > _LIFE.get(other.state, 0)


def _limit(fact: HostFacts) -> int:
    if fact.inventory is None:
        return 0
    declared = fact.declared.memory_limit
    pooled = fact.inventory.memory_total - fact.inventory.ordinary_total
    if declared is not None:
        return max(0, min(declared, fact.inventory.memory_total) - pooled)
    return max(0, fact.inventory.memory_total - fact.declared.memory_reserve - pooled)


def _used(fact: HostFacts) -> int:
    return fact.inventory.ordinary_held if fact.inventory else 0


def _free(fact: HostFacts) -> int:
    if fact.inventory is None:
        return 0
    reserve = 0 if fact.declared.memory_limit is not None else fact.declared.memory_reserve
    return max(0, fact.inventory.memory_free - reserve)


def _active(facts: tuple[HostFacts, ...], row: int, vm: VmId) -> bool:
    inventory = facts[row].inventory
    record = inventory.find(vm) if inventory else None
    return record is not None and record.state.holds_memory


def _reservations(facts: tuple[HostFacts, ...], ledger: Ledger, rows: Mapping[HostName, int],
                  living: Mapping[VmId, tuple[HostName, VmRecord]]
                  ) -> tuple[dict[HostName, int], dict[HostName, list[Needs]], dict[HostName, int]]:
    """Return the bytes of ordinary memory held at each host for open migrations that its inventory does not show, what these
    need of huge pages, and the virtual processors of all that is or may be there. A VM that nobody shows may need all its
    memory of either kind; how many processors it has is not known, and one is counted."""
    held, coming = dict.fromkeys(rows, 0), {host: list[Needs]() for host in rows}
    vcpus = {fact.declared.name: sum(record.vcpus for record in (fact.inventory.vms if fact.inventory else ())
                                     if record.state.holds_memory) for fact in facts}
    for migration in ledger.open_migrations():
        ends = ((migration.source, HOLDS_SOURCE), (migration.target, HOLDS_TARGET))
        for host, phases in ends:
            if host not in rows or migration.phase not in phases or _active(facts, rows[host], migration.vm):
                continue
            record = living[migration.vm][1] if migration.vm in living else None
            needs = unknown_needs(migration.memory) if record is None else record.needs
            held[host] += migration.memory if record is None else max(0, migration.memory - needs.backed)
            vcpus[host] += 1 if record is None else record.vcpus
            if needs.backing:
                coming[host].append(needs)
    return held, coming, vcpus


def _jobs(facts: tuple[HostFacts, ...], ledger: Ledger, rows: Mapping[HostName, int]
          ) -> tuple[dict[HostName, int], dict[HostName, int], int]:
    """Return migrations in flight out of and into each host, and how many of them are not in our books.

    Concurrency is counted from observed jobs and from the ledger together, never from our own tasks alone.
    """
    out, into, foreign = dict.fromkeys(rows, 0), dict.fromkeys(rows, 0), 0
    for migration in ledger.open_migrations():
        if migration.holds_slot:
            for host, count in ((migration.source, out), (migration.target, into)):
                if host in count:
                    count[host] += 1
    ours = {m.vm for m in ledger.open_migrations()}
    for fact in facts:
        for record in fact.inventory.vms if fact.inventory else ():
            if record.vm in ours:
                continue
            # of what broke in post-copy a hypervisor keeps a job in which nothing flows
            if record.job in (JobKind.OUTGOING, JobKind.UNKNOWN) and record.state not in BROKEN:
                out[fact.declared.name] += 1
                foreign += 1
            elif record.state is VmState.INCOMING:
                into[fact.declared.name] += 1
    return out, into, foreign


_MOBILITY = {
    Mobility.COLD: "its owner lets it be moved only while it is off, which this release leaves to people; cure: move it "
                   "then, or mobility=\"live\" in its metadata",
    Mobility.NEVER: "its owner never wants it moved; cure: mobility=\"live\" in its metadata",
}


def _why_vm_stays(vm: VmId, record: VmRecord, seen_on: tuple[HostName, ...], ledger: Ledger
                  ) -> tuple[Refusal, ...]:
    noes: list[Refusal] = []
    if vm in ledger.duplicates:
        noes.append(Refusal(RefusalKind.VM_AMBIGUOUS, f"runs on {' and '.join(ledger.duplicates[vm].hosts)}", vm))
    elif ledger.open_migration_of(vm) is None and len(seen_on) > 1:
        noes.append(Refusal(RefusalKind.VM_AMBIGUOUS, f"seen on {' and '.join(seen_on)}", vm))
    if record.state is not VmState.RUNNING:
        state = f"{record.state.value} ({record.reason})" if record.reason else record.state.value
        noes.append(Refusal(RefusalKind.VM_NOT_RUNNING, f"is {state}; only a running VM is moved live", vm))
    if record.job is not JobKind.NONE and ledger.open_migration_of(vm) is None:
        noes.append(Refusal(RefusalKind.VM_BUSY, f"another {record.job.value} job holds it", vm))
    if record.ignored:
        noes.append(Refusal(RefusalKind.VM_PINNED, "its owner wants it left alone (metadata: ignore)", vm))
    if record.mobility is not Mobility.LIVE:
        noes.append(Refusal(RefusalKind.VM_PINNED, _MOBILITY[record.mobility], vm))
    noes.extend(Refusal(RefusalKind.VM_PINNED, f"{pin.kind.value}: {pin.thing}; cure: {pin.cure}", vm)
                for pin in record.pins)
    return tuple(noes)


def describe_room(snapshot: Snapshot, row: int) -> str:
    """Return the memory arithmetic of a host in words, for refusals and explanations."""
    hosts = snapshot.hosts
    return (f"room {human_bytes(int(hosts.room[row]))} = limit {human_bytes(int(hosts.limit[row]))} - used "
            f"{human_bytes(int(hosts.used[row]))} - reserved {human_bytes(int(hosts.reserved[row]))}")
