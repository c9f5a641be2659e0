"""What VMs and hosts use of their processors, averaged over a window; and whether a host's two stories agree.

A VM's use comes from its host's hypervisor alone: processor time between looks, so nothing a guest says counts. It
goes on over a migration, where the hypervisor begins to count anew. A host's use comes from its telemetry, and is
believed only while it does not contradict the sum of its VMs. Unknown is None, never zero. What VMs carry over their
network is counted in the same way, where somebody asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import isnan

import numpy as np

from ballastd.core.arrays import Floats, Ints
from ballastd.core.consumption import NO_HOST, NOBODY, Consumption
from ballastd.core.inventory import NO_USAGE, DeclaredHost, HostInventory, VmRecord
from ballastd.core.quantities import MIB, HostName, Instant, Seconds, VmId

LESS_THAN_ITS_VMS = 0.20
"""A host cannot use less than its VMs do; this much is left to the two being measured at different times."""
MORE_THAN_ITS_VMS = 0.40
"""Beyond this share that no VM explains, moving VMs would not help."""


@dataclass(frozen=True, slots=True)
class _Roster:
    """The VMs that run on a host, of the records of one look; ``row``: the host's."""

    records: tuple[VmRecord, ...]
    row: int
    vms: tuple[VmId, ...]
    slots: Ints


class Loads:
    """Remembers what inventories showed. Rebuilt by looking; nothing of it is durable.

    Looks are kept until somebody asks, and then taken in together, in the order in which they came. ``counts_network``:
    whether anybody asks for what VMs carry over their network; those columns have the same slots."""

    def __init__(self, window: Seconds, *, counts_network: bool = False) -> None:
        self.window = window
        self._use = Consumption(window)
        self._network = Consumption(window, falls_to_zero=False) if counts_network else None
        self._here = Consumption(window)
        """What VMs used on each host while they were there; its slots are the rows of hosts."""
        self._slots: dict[VmId, int] = {}
        self._rows: dict[HostName, int] = {}
        self._waiting: list[HostInventory] = []
        self._rosters: dict[HostName, _Roster] = {}
        self._sums: dict[HostName, tuple[_Roster, float, int]] = {}
        self._spent: list[float] = []
        self._summed_at = self._spent_at = float("nan")
        self._asked: tuple[tuple[VmId, ...], Ints] | None = None
        self._carried: tuple[tuple[VmId, ...], tuple[Floats, Floats], float] | None = None

    def see(self, inventory: HostInventory) -> None:
        """Take the processor times of one look in."""
        self._waiting.append(inventory)

    def _take_in(self) -> None:
        """Take in what waits: as much together as has no two looks of one host."""
        waiting, self._waiting = self._waiting, []
        together: dict[HostName, HostInventory] = {}
        for look in waiting:
            if look.host in together:
                self._take_in_together(list(together.values()))
                together = {}
            together[look.host] = look
        if together:
            self._take_in_together(list(together.values()))
            self._summed_at = self._spent_at = float("nan")
            self._carried = None

    def _take_in_together(self, looks: list[HostInventory]) -> None:
        rosters = [self._roster(look) for look in looks]
        counts = [len(roster.vms) for roster in rosters]
        slots = np.concatenate([roster.slots for roster in rosters])
        if len(looks) > 1 and len(slots) and np.bincount(slots).max() > 1:
            # a VM is shown by two hosts: which one comes first matters
            for look in looks:
                self._take_in_together([look])
            return
        seconds = np.array([used if used is not None else np.nan for look, roster in zip(looks, rosters, strict=True)
                            for used in [look.usage.get(vm, NO_USAGE).cpu_seconds for vm in roster.vms]], dtype=np.float64)
        row = np.repeat([roster.row for roster in rosters], counts)
        begun = np.repeat([look.begun.monotonic for look in looks], counts)
        at = np.repeat([look.taken.monotonic for look in looks], counts)
        gained = _count(self._use, slots, row, seconds, begun, at)
        rows = np.array([roster.row for roster in rosters], dtype=np.int64)
        self._here.total[rows] += np.bincount(row, gained, len(self._here.total))[rows]
        self._here.note(rows, np.array([look.taken.monotonic for look in looks]))
        if self._network is not None:
            _count(self._network, slots, row, _carried(looks, rosters), begun, at)

    def _roster(self, look: HostInventory) -> _Roster:
        """Return who runs on a host by one look; made anew only where its records are others than before."""
        known = self._rosters.get(look.host)
        if known is not None and known.records is look.vms:
            return known
        vms = tuple([record.vm for record in look.vms if record.state.runs])
        if look.host not in self._rows:
            self._rows[look.host] = self._here.open()
        row = self._rows[look.host]
        slots = np.array([self._slot(vm) for vm in vms], dtype=np.int64)
        self._rosters[look.host] = made = _Roster(look.vms, row, vms, slots)
        return made

    def _slot(self, vm: VmId) -> int:
        known = self._slots.get(vm)
        if known is None:
            known = self._slots[vm] = self._use.open()
            if self._network is not None:
                self._network.open()
            self._asked = None
        return known

    def by_vms(self, inventory: HostInventory, now: Instant) -> tuple[float, int]:
        """Return the processors that the VMs which run on a host use together as far as they are known, and of how many
        that is unknown."""
        self._take_in()
        roster = self._roster(inventory)
        if self._summed_at != now.monotonic:
            self._sum_up(now)
        known = self._sums.get(inventory.host)
        if known is None or known[0] is not roster:
            known = self._sums_of([roster], now)[0]
        return known[1], known[2]

    def spent_on(self, host: HostName, now: Instant) -> float | None:
        """Return the processors that VMs used on a host, averaged over the window, whoever was there; None where ``cpu`` of
        a VM that was there all the while would be."""
        self._take_in()
        row = self._rows.get(host, NOBODY)
        if self._spent_at != now.monotonic or row >= len(self._spent):
            self._spent = self._here.columns(np.arange(NOBODY, 1 + len(self._rows)), self._horizon(now))[0].tolist()
            self._spent_at = now.monotonic
        used = self._spent[row]
        return None if isnan(used) else used

    def _sum_up(self, now: Instant) -> None:
        self._sums = dict(zip(self._rosters, self._sums_of(list(self._rosters.values()), now), strict=True))
        self._summed_at = now.monotonic

    def _sums_of(self, rosters: list[_Roster], now: Instant) -> list[tuple[_Roster, float, int]]:
        cpu, _ = self._use.columns(np.concatenate([roster.slots for roster in rosters]), self._horizon(now))
        place = np.repeat(np.arange(len(rosters)), [len(roster.vms) for roster in rosters])
        unknown = np.isnan(cpu)
        total = np.bincount(place, np.where(unknown, 0.0, cpu), len(rosters)).tolist()
        missing = np.bincount(place, unknown, len(rosters)).astype(np.int64).tolist()
        return list(zip(rosters, total, missing, strict=True))

    def _horizon(self, now: Instant) -> float:
        """Return before when a VM must not have been seen last, for its use to be known."""
        return now.monotonic - self.window / 2

    def forget_others(self, vms: Iterable[VmId]) -> None:
        """Drop the VMs that are no longer there."""
        self._take_in()
        gone = self._slots.keys() - set(vms)
        for vm in sorted(gone):
            slot = self._slots.pop(vm)
            for use in (self._use, self._network):
                if use is not None:
                    use.close(slot)
        if gone:
            self._rosters = {host: roster for host, roster in self._rosters.items() if not gone.intersection(roster.vms)}
            self._asked, self._carried, self._summed_at = None, None, float("nan")

    def cpu(self, vm: VmId, now: Instant) -> float | None:
        """Return the processors that a VM uses, averaged over the window; None until half a window was seen, and when
        it was not seen for as long."""
        used = float(self.columns((vm,), now)[0][0])
        return None if np.isnan(used) else used

    def columns(self, vms: tuple[VmId, ...], now: Instant) -> tuple[Floats, Floats]:
        """Return what many VMs use, NaN where ``cpu`` is unknown; and at their busier times: a percentile of a VM's
        five-minute means over the last day, never less than now, and no more than now while less than an hour is known."""
        self._take_in()
        return self._use.columns(self._slots_of(vms), self._horizon(now))

    def hours(self, vms: tuple[VmId, ...], now: Instant) -> Floats:
        """Return what VMs use at each hour of the day, by VM and hour (UTC): see ``Consumption.hours``."""
        self._take_in()
        return self._use.hours(self._slots_of(vms), now.wall - now.monotonic)

    def network(self, vms: tuple[VmId, ...], now: Instant) -> tuple[Floats, Floats] | None:
        """Return what many VMs carry over their network, MiB/s in both directions together, and at their busier times: as
        ``columns`` has processors; the very arrays of before while they are the same. None where nobody asked for it to be
        counted."""
        self._take_in()
        if self._network is None:
            return None
        horizon, known = self._horizon(now), self._carried
        if known is None or known[0] is not vms or horizon > known[2]:
            slots = self._slots_of(vms)
            found = self._network.columns(slots, horizon)
            seen = self._network.seen_at[slots[~np.isnan(found[0])]]
            known = self._carried = vms, found, float(seen.min()) if len(seen) else float("inf")
        return known[1]

    def _slots_of(self, vms: tuple[VmId, ...]) -> Ints:
        if self._asked is None or self._asked[0] is not vms:
            self._asked = vms, np.array([self._slots.get(vm, NOBODY) for vm in vms], dtype=np.int64)
        return self._asked[1]


class Hours:
    """What the VMs of a snapshot use at each hour of the day, which only plans ask for: read once, when somebody asks
    first, within the step of the snapshot."""

    def __init__(self, read: Callable[[], Floats]) -> None:
        self._read = read
        self._found: Floats | None = None

    @property
    def by_vm(self) -> Floats:
        """Processors by VM and hour (UTC), NaN in all hours of a VM of which less than a day is known."""
        if self._found is None:
            self._found = self._read()
        return self._found


def _count(use: Consumption, slots: Ints, row: Ints, counted: Floats, begun: Floats, at: Floats) -> Floats:
    """Take in what hosts (``row``) counted for VMs, NaN where one cannot say. Return by how much that is more."""
    with np.errstate(invalid="ignore"):
        goes_on = (use.host[slots] == row) & (counted >= use.counted[slots])
    on, gained = slots[goes_on], np.zeros(len(slots))
    gained[goes_on] = counted[goes_on] - use.counted[on]
    use.total[on] += gained[goes_on]
    use.counted[on], use.begun[on] = counted[goes_on], begun[goes_on]
    for place in np.flatnonzero(~goes_on & ~np.isnan(counted)).tolist():
        slot, host = int(slots[place]), int(row[place])
        if not use.falls_to_zero and use.host[slot] == host:
            use.forget(slot)
        is_new = use.host[slot] == NO_HOST
        goes_on[place] = _begin(use, slot, host, float(counted[place]), float(begun[place]))
        gained[place] = counted[place] if goes_on[place] and not is_new else 0.0
    use.note(slots[goes_on], at[goes_on])
    return gained


def _begin(use: Consumption, slot: int, row: int, counted: float, begun: float) -> bool:
    """Take in a VM that is new, or on another host, or started anew: what is counted now began at zero. Return whether
    it counts: not if it is a late look of the host that the VM has left."""
    if use.host[slot] == NO_HOST:
        use.total[slot] = 0.0
    elif use.host[slot] != row and begun <= use.begun[slot]:
        return False
    else:
        use.total[slot] += counted
    use.host[slot], use.counted[slot], use.begun[slot] = row, counted, begun
    return True


def _carried(looks: list[HostInventory], rosters: list[_Roster]) -> Floats:
    """Return the bytes that the VMs of some looks carried over their network, MiB, NaN where their host cannot say."""
    return np.array([moved if moved is not None else np.nan for look, roster in zip(looks, rosters, strict=True)
                     for moved in [look.usage.get(vm, NO_USAGE).network_bytes for vm in roster.vms]], dtype=np.float64) / MIB


@dataclass(frozen=True, slots=True)
class HostLoad:
    """Processors of one host. ``limit``: what VMs may use; ``used``: what is believed to be used, None where unknown;
    ``by_vms``: the sum of its VMs, None while one is unknown; ``doubt``: why ``used`` is not believed; ``machine``: all
    that its telemetry speaks of."""

    limit: float
    used: float | None
    by_vms: float | None
    doubt: str = ""
    machine: float = 0.0


def host_load(declared: DeclaredHost, inventory: HostInventory | None, loads: Loads, told: float | None, now: Instant
              ) -> HostLoad:
    """Return the load of one host. ``told``: the mean share of its processors by its telemetry, checked against the sum of
    what VMs used there in the same time, who has left with it: a mean does not know yet who has just come."""
    if inventory is None:
        return HostLoad(0.0, None, None)
    machine = float(inventory.cpus) if declared.processors is None else declared.processors
    limit = machine if declared.cpu_limit is None else declared.cpu_limit
    known, unknown = loads.by_vms(inventory, now)
    by_vms = None if unknown else known
    if told is None or machine <= 0:
        return HostLoad(limit, None, by_vms, machine=machine)
    counted, spent = known / machine, loads.spent_on(inventory.host, now)
    share, doubt = 0.0 if spent is None else spent / machine, ""
    if share > told + LESS_THAN_ITS_VMS:
        doubt = f"its telemetry says {told:.0%}, its VMs alone use {share:.0%}"
    elif by_vms is not None and spent is not None and told > share + MORE_THAN_ITS_VMS:
        doubt = f"its telemetry says {told:.0%}, its VMs use only {share:.0%}: moving them would not help"
    # it cannot use less than its VMs do: where the two differ a little, the larger one counts
    return HostLoad(limit, None if doubt else max(told, counted) * machine, by_vms, doubt, machine)
