"""A diary read again: the cluster as it was at first, and what happened to it since, as a script to rehearse.

What the daemon did at the time is left out, and so is what strangers moved by hand, for nobody can tell the two apart from
outside; VMs that were started and stopped are kept, but for guests that the daemon asked to shut down. A VM
asks for what it used: where its host was overloaded it would have liked more.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from ballastd.core.acts import Act
from ballastd.core.diary import Entry
from ballastd.core.hardware import Hardware
from ballastd.core.inventory import DeclaredHost, VmRecord, VmState
from ballastd.core.plain import from_plain
from ballastd.core.quantities import Bytes, HostName, VmId
from ballastd.core.saved_cluster import Demand, SavedCluster, SavedHost, SavedVm

FIRST_SECONDS = 300.0
"""What is seen for the first time within this of the beginning was there from the beginning."""
GONE_SECONDS = 180.0
"""A VM that nobody shows for so long was stopped when it was seen last; for less, it was on its way."""
GIB = float(1 << 30)


@dataclass(frozen=True, slots=True)
class Recorded:
    """``acts``: sorted by time, seconds after ``begins_wall``. ``changes``: how often a VM was seen on another host.
    ``missing``: hosts that were never seen, which the cluster does without."""

    cluster: SavedCluster
    acts: tuple[Act, ...]
    begins_wall: float
    lasts: float
    changes: int
    missing: tuple[HostName, ...]


@dataclass(slots=True)
class _Vm:
    """``name``: what acts call it, as it was called when it began to run here; ``record``: as it was seen last."""

    record: VmRecord
    host: HostName
    name: str
    use: float | None = None


class _Reader:
    def __init__(self) -> None:
        self.begins: float | None = None
        self.at = 0.0
        self.declared: dict[HostName, DeclaredHost] = {}
        self.machines: dict[HostName, SavedHost] = {}
        self.initial: dict[VmId, SavedVm] = {}
        self.acts: list[Act] = []
        self.changes = 0
        self._vms: dict[VmId, _Vm] = {}
        self._shown: dict[HostName, frozenset[VmId]] = {}
        self._gone: dict[VmId, float] = {}
        self._ours: frozenset[VmId] = frozenset()
        self._down: set[VmId] = set()
        """Those of ours that are not seen running any more; here they run on."""

    def read(self, entry: Entry) -> None:
        wall, kind = float(entry["at"]), entry["kind"]
        if self.begins is None:
            self.begins = wall
        self.at = max(self.at, wall - self.begins)
        self._miss_those_gone()
        match kind:
            case "begin":
                self.declared |= {host.name: host for host in from_plain(tuple[DeclaredHost, ...], entry["hosts"])}
            case "host":
                self._show(HostName(entry["host"]), entry)
            case "use":
                self._work(entry["use"])
            case "reading":
                self._add("reading", entry, metric=str(entry["metric"]), subject=str(entry.get("subject", "")),
                          value=float(entry["value"]), critical=entry.get("critical"), high=entry.get("high"))
            case "broker":
                # said at each start; what was up stays up
                self.acts.append(Act(self.at, "broker-up" if entry["up"] else "broker-down"))
            case "ours":
                self._disown(frozenset(map(VmId, entry["vms"])))
            case "alive":
                pass
            case _ if kind in _SIGHT:
                self._add(_SIGHT[kind], entry)
            case _:
                raise ValueError(f"{kind!r} is no kind of entry")

    def _add(self, do: str, entry: Entry, **of: Any) -> None:
        self.acts.append(Act(self.at, do, host=str(entry["host"]), **of))

    def _show(self, host: HostName, entry: Entry) -> None:
        if host not in self.declared:
            raise ValueError(f"{host} is not among the hosts declared at the beginning")
        self.machines.setdefault(host, SavedHost(self.declared[host], Bytes(entry["memory"]), int(entry["cpus"]),
                                                 machine=str(entry["machine"]),
                                                 hardware=from_plain(Hardware | None, entry.get("hardware"))))
        records = {record.vm: record for record in from_plain(tuple[VmRecord, ...], entry["vms"])}
        for vm, record in records.items():
            self._meet(vm, record, host)
        for vm in self._shown.get(host, frozenset()) - records.keys():
            if vm in self._vms and self._vms[vm].host == host:
                self._miss(vm)
        self._shown[host] = frozenset(records)

    def _meet(self, vm: VmId, record: VmRecord, host: HostName) -> None:
        known = self._vms.get(vm)
        if known is None:
            self._vms[vm] = _Vm(record, host, record.name)
            if self.at <= FIRST_SECONDS:
                self.initial[vm] = SavedVm(_as_found(record), host)
            elif record.state.runs:
                self.acts.append(Act(self.at, "start", vm=record.name, host=host, value=record.memory_max / GIB))
            return
        if record.state.runs:
            self._gone.pop(vm, None)
            self._down.discard(vm)
            self.changes += known.host != host
            if known.record.state is VmState.SHUTOFF:
                known.name = record.name
                self.acts.append(Act(self.at, "start", vm=record.name, host=host, value=record.memory_max / GIB))
        elif known.host != host:
            return  # a definition that stayed behind says nothing of a VM that runs elsewhere
        elif record.state is VmState.SHUTOFF and known.record.state.runs:
            if vm in self._ours:
                self._miss(vm)
                return
            self.acts.append(Act(self.at, "stop", vm=known.name))
        known.record, known.host = record, host

    def _miss(self, vm: VmId) -> None:
        """Nobody shows any more that it runs."""
        if vm in self._ours:
            self._gone.pop(vm, None)
            self._down.add(vm)
        else:
            self._gone.setdefault(vm, self.at)

    def _disown(self, ours: frozenset[VmId]) -> None:
        """Who is down, and not by our doing any more, stays so because somebody wants it."""
        for vm in sorted(self._down - ours):
            self._down.discard(vm)
            self._gone.setdefault(vm, self.at)
        self._ours = ours

    def _miss_those_gone(self) -> None:
        for vm, since in list(self._gone.items()):
            if self.at - since > GONE_SECONDS:
                del self._gone[vm]
                one = self._vms.pop(vm)
                if one.record.state.runs:
                    self.acts.append(Act(since, "stop", vm=one.name))

    def _work(self, use: dict[str, Any]) -> None:
        names = {one.record.name: vm for vm, one in self._vms.items()}
        for name, processors in use.items():
            if name not in names:
                continue
            one, now = self._vms[names[name]], float(processors)
            if one.use is None and names[name] in self.initial:
                self.initial[names[name]] = replace(self.initial[names[name]], demand=Demand(high=now))
            elif one.use != now:
                self.acts.append(Act(self.at, "burn", vm=one.name, value=now))
            one.use = now


_SIGHT = {"silent": "silence", "heard": "behave", "unseen": "hang", "seen": "heal"}


def recorded(entries: Iterable[Entry]) -> Recorded:
    """Return what a diary tells.

    Raises:
        ValueError: there is nothing in it to rehearse on; a field is missing or is none of ours.
    """
    reader = _Reader()
    for entry in entries:
        reader.read(entry)
    if reader.begins is None or not reader.machines:
        raise ValueError("no host was ever seen in it")
    cluster = SavedCluster(tuple(reader.machines[name] for name in sorted(reader.machines)),
                           tuple(reader.initial[vm] for vm in sorted(reader.initial)), "recorded", reader.begins)
    acts = tuple(sorted((act for act in reader.acts if not act.host or act.host in reader.machines), key=lambda act: act.at))
    return Recorded(cluster, acts, reader.begins, reader.at, reader.changes,
                    tuple(sorted(reader.declared.keys() - reader.machines.keys())))


def _as_found(record: VmRecord) -> VmRecord:
    if record.state in (VmState.SHUTOFF, VmState.PAUSED):
        return record
    return replace(record, state=VmState.SHUTOFF if record.state is VmState.CRASHED else VmState.RUNNING)
