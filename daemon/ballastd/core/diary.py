"""What a daemon sees, as a diary that can be rehearsed on: what the VMs used, what the sensors showed, who was out of sight.

Only changes are written down, and coarsely: an entry is plain data of a few dozen bytes. Nothing that we did ourselves is in
it, but for whom we asked to shut down, so that nobody takes that for an owner's wish: what other policies would have done
is for a rehearsal to find out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from ballastd.core.inputs import HostUnreachable, Input, TelemetryConnected, TelemetryLost
from ballastd.core.inventory import NO_USAGE, DeclaredHost, HostInventory, JobKind, VmRecord
from ballastd.core.plain import to_plain
from ballastd.core.quantities import HostName, Instant, VmId
from ballastd.core.telemetry import AgentState, Report, Sample

FORMAT = "ballastd-recording/1"
USE_SECONDS = 60.0
"""What VMs use is averaged over this."""
USE_STEP, USE_SHARE = 0.05, 0.1
"""A VM's use is written anew when it changed by more than so many processors and so large a part of itself."""
SILENT_SECONDS = 90.0
ALIVE_SECONDS = 600.0
"""How long it may say nothing where nothing changes."""
STEPS = {"temperature": 1.0, "fan.speed": 200.0}
"""By how much a gauge has to change to be written anew; a counter or an alarm, at all."""
HARDWARE = ("ecc.", "temperature", "fan.", "psu.", "disk.")
"""Metrics that no rehearsal can work out: loads follow from what the VMs ask for."""

Entry = dict[str, Any]


@dataclass(slots=True)
class _Seen:
    """What was written of one host last."""

    vms: tuple[VmRecord, ...] | None = None
    head: Entry = field(default_factory=dict)
    counted: dict[VmId, tuple[float, float]] = field(default_factory=dict)
    """When (monotonic) and at how many processor seconds a VM was when its use was written last."""
    use: dict[str, float] = field(default_factory=dict)
    readings: dict[tuple[str, str], Sample] = field(default_factory=dict)
    heard: float | None = None
    is_silent: bool = False
    is_unseen: bool = False


class Diary:
    """Turns inputs of the mind into entries. ``hosts``: those that are declared."""

    def __init__(self, hosts: tuple[DeclaredHost, ...]) -> None:
        self._hosts = hosts
        self._seen: dict[HostName, _Seen] = {host.name: _Seen() for host in hosts}
        self._said = float("-inf")
        self._is_deaf = False
        self._down: frozenset[VmId] | None = None
        """None until it is known: what a run before wrote of it may not hold any more."""

    def opening(self, now: Instant) -> list[Entry]:
        """Return what a file begins with, so that it stands alone: who is declared, and all that is known."""
        at = _wall(now.wall)
        entries: list[Entry] = [
            {"at": at, "kind": "begin", "format": FORMAT, "hosts": [to_plain(host) for host in self._hosts]}]
        for host, seen in self._seen.items():
            if seen.vms is not None:
                entries.append({**seen.head, "at": at})
                if seen.use:
                    entries.append({"at": at, "kind": "use", "host": host, "use": dict(seen.use)})
            entries.extend(_reading(host, sample, now) for sample in seen.readings.values())
        # before the hosts that show them: whoever reads it has to know whose doing it is
        return entries if self._down is None else [entries[0], _ours(self._down, now), *entries[1:]]

    def note(self, inputs: tuple[Input, ...], standing_by: frozenset[HostName], down: frozenset[VmId],
             now: Instant) -> list[Entry]:
        """Return what is to be written down. ``standing_by``: hosts that we switched off, or are about to: their silence
        is our doing. ``down``: VMs whose guests we asked to shut down, and that nobody started since: so is theirs."""
        entries: list[Entry] = []
        if down != self._down:
            self._down = down
            entries.append(_ours(down, now))
        for one in inputs:
            match one:
                case HostInventory(complete=True):
                    entries.extend(self._inventory(one, self._seen[one.host]))
                case Report():
                    entries.extend(self._report(one, self._seen[one.host], now))
                case HostUnreachable() if one.host not in standing_by and not self._seen[one.host].is_unseen:
                    self._seen[one.host].is_unseen = True
                    entries.append({"at": _wall(one.at.wall), "kind": "unseen", "host": one.host})
                case TelemetryLost() | TelemetryConnected():
                    entries.append(self._broker(one, now))
                case AgentState(retained=False, online=False) if one.host not in standing_by:
                    entries.extend(self._silent(one.host, now))
                case _:
                    pass
        for host, seen in self._seen.items():
            is_quiet = seen.heard is not None and now.monotonic - seen.heard > SILENT_SECONDS
            if is_quiet and host not in standing_by and not self._is_deaf:
                entries.extend(self._silent(host, now))
        if not entries and now.monotonic - self._said >= ALIVE_SECONDS:
            entries.append({"at": _wall(now.wall), "kind": "alive"})
        if entries:
            self._said = now.monotonic
        return entries

    def _broker(self, one: TelemetryLost | TelemetryConnected, now: Instant) -> Entry:
        """A broker that is away makes nobody silent, and each has its time again when it is back."""
        self._is_deaf = isinstance(one, TelemetryLost)
        for seen in self._seen.values():
            seen.heard = None if seen.heard is None else now.monotonic
        return {"at": _wall(one.at.wall), "kind": "broker", "up": not self._is_deaf}

    def _silent(self, host: HostName, now: Instant) -> Iterator[Entry]:
        if not self._seen[host].is_silent:
            self._seen[host].is_silent = True
            yield {"at": _wall(now.wall), "kind": "silent", "host": host}

    def _inventory(self, one: HostInventory, seen: _Seen) -> Iterator[Entry]:
        if seen.is_unseen:
            seen.is_unseen = False
            yield {"at": _wall(one.taken.wall), "kind": "seen", "host": one.host}
        vms = tuple(_lasting(record) for record in one.vms)
        if vms != seen.vms:
            seen.vms = vms
            seen.head = {"at": _wall(one.taken.wall), "kind": "host", "host": one.host, "memory": one.memory_total,
                         "cpus": one.cpus, "machine": one.host_uuid, "vms": [to_plain(record) for record in vms]}
            if one.hardware is not None:
                # a hundred machine types would be written each time that a VM comes or goes
                seen.head["hardware"] = to_plain(replace(one.hardware, emulators=()))
            yield seen.head
        changed = dict(self._use(one, seen))
        if changed:
            seen.use |= changed
            yield {"at": _wall(one.taken.wall), "kind": "use", "host": one.host, "use": changed}

    @staticmethod
    def _use(one: HostInventory, seen: _Seen) -> Iterator[tuple[str, float]]:
        at, here = one.begun.monotonic, {record.vm for record in one.vms}
        for record in one.vms:
            counted, used = seen.counted.get(record.vm), one.usage.get(record.vm, NO_USAGE).cpu_seconds
            if used is None or not record.state.runs:
                continue
            if counted is None or used < counted[1]:
                seen.counted[record.vm] = (at, used)
            elif at - counted[0] >= USE_SECONDS:
                seen.counted[record.vm] = (at, used)
                processors = round((used - counted[1]) / (at - counted[0]), 3)
                before = seen.use.get(record.name)
                if before is None or abs(processors - before) > max(USE_STEP, USE_SHARE * before):
                    yield record.name, processors
        for vm in seen.counted.keys() - here:
            del seen.counted[vm]
        for name in seen.use.keys() - {record.name for record in one.vms}:
            del seen.use[name]

    def _report(self, one: Report, seen: _Seen, now: Instant) -> Iterator[Entry]:
        seen.heard = now.monotonic
        if seen.is_silent:
            seen.is_silent = False
            yield {"at": _wall(now.wall), "kind": "heard", "host": one.host}
        for sample in one.samples:
            if not sample.metric.startswith(HARDWARE):
                continue
            before = seen.readings.get((sample.metric, sample.subject))
            if before is None or abs(sample.value - before.value) > STEPS.get(sample.metric, 0.0):
                seen.readings[sample.metric, sample.subject] = sample
                yield _reading(one.host, sample, now)


def _ours(down: frozenset[VmId], now: Instant) -> Entry:
    return {"at": _wall(now.wall), "kind": "ours", "vms": sorted(down)}


def _reading(host: HostName, sample: Sample, now: Instant) -> Entry:
    entry: Entry = {"at": _wall(now.wall), "kind": "reading", "host": host, "metric": sample.metric, "value": sample.value}
    if sample.subject:
        entry["subject"] = sample.subject
    if sample.high is not None:
        entry["high"] = sample.high
    if sample.critical is not None:
        entry["critical"] = sample.critical
    return entry


def _lasting(record: VmRecord) -> VmRecord:
    """Return what of a record lasts: not what is done with it now."""
    return replace(record, job=JobKind.NONE, reason="")


def _wall(seconds: float) -> float:
    return round(seconds, 1)
