"""One look at a host: everything in it is read now. Blocks; runs in the watching connection's lane.

A guest whose emulator hangs must not hold the whole look up: states come in one call for all domains,
processor time from the operating system, and only the job is asked for, under ``Asking``. What else VMs use is
asked beside the look (``usage.py``). Definitions are read each time and parsed only when their text has changed,
so no missed event can leave an old one standing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ballastd.adapters.libvirt.asking import Asking
from ballastd.adapters.libvirt.binding import load_libvirt
from ballastd.adapters.libvirt.errors_map import NO_DOMAIN, OPERATION_INVALID, Meaning
from ballastd.adapters.libvirt.links import CallFailed, trouble_of
from ballastd.adapters.libvirt.pins import unreadable
from ballastd.adapters.libvirt.states import ACTIVE, PAUSED, PAUSED_BY_MIGRATION, job_kind, vm_state
from ballastd.adapters.libvirt.wishes import UNREADABLE_WISHES, Wishes
from ballastd.adapters.libvirt.xml_facts import DomainFacts, domain_facts
from ballastd.adapters.libvirt.xml_reading import XmlError, shown
from ballastd.core.hardware import NO_NEEDS, Needs
from ballastd.core.inventory import JobKind, Pin, PinKind, VmRecord, VmUsage
from ballastd.core.quantities import KIB, Bytes, VmId

Parsed = Mapping[str, tuple[str, DomainFacts | XmlError]]
"""Facts by UUID with the text they were read from: handed from one look to the next."""


@dataclass(frozen=True, slots=True)
class Look:
    """What one look found: the parts of a ``HostInventory``, and the parsed definitions for the next."""

    memory_total: Bytes
    memory_free: Bytes
    cpus: int
    vms: tuple[VmRecord, ...]
    complete: bool
    parsed: Parsed
    usage: Mapping[VmId, VmUsage]


@dataclass(frozen=True, slots=True)
class _Definition:
    memory: Bytes
    vcpus: int
    wishes: Wishes
    pins: tuple[Pin, ...]
    needs: Needs


@dataclass(slots=True)
class _Reader:
    """One look under way. ``persistent`` and the others: UUIDs of which libvirt says so."""

    asking: Asking
    vouched: tuple[str, ...]
    before: Parsed
    persistent: frozenset[str]
    autostart: frozenset[str]
    snapshots: frozenset[str]
    saved: frozenset[str]
    parsed: dict[str, tuple[str, DomainFacts | XmlError]] = field(default_factory=dict)
    usage: dict[VmId, VmUsage] = field(default_factory=dict)
    complete: bool = True

    def record(self, domain: Any, state: int, reason: int) -> VmRecord | None:
        """Return the record of one domain, or None when it has left since it was listed."""
        libvirt = load_libvirt()
        try:
            try:
                return self._record(domain, state, reason)
            except libvirt.libvirtError as error:
                if trouble_of(error).code != OPERATION_INVALID:
                    raise
            return self._record(domain, *domain.state(0))  # it stopped while we asked
        except libvirt.libvirtError as error:
            trouble = trouble_of(error)
            if trouble.lost_connection:
                raise
            if trouble.meaning is not Meaning.VANISHED:
                self.complete = False
            return None

    def _record(self, domain: Any, state: int, reason: int) -> VmRecord:
        job, uuid = JobKind.NONE, domain.UUIDString()
        information = domain.info()
        if state in ACTIVE:
            self.usage[VmId(uuid)] = VmUsage(information[4] / 1e9)
            job = job_of(domain, self.asking)
            if (state, reason, job) == (PAUSED, PAUSED_BY_MIGRATION, JobKind.NONE):
                state, reason = domain.state(0)  # the job may have ended between the two questions
        definition = self._definition(uuid, domain.XMLDesc(0), information)
        wishes = definition.wishes
        return VmRecord(
            vm=VmId(uuid), name=shown(domain.name()), state=vm_state(state, reason, job),
            memory_max=definition.memory, vcpus=definition.vcpus, job=job, reason=f"{state}/{reason}",
            persistent=uuid in self.persistent, autostart=uuid in self.autostart, priority=wishes.priority,
            pins=(*definition.pins, *self._state_pins(uuid)), tags=wishes.tags, group=wishes.group, ignored=wishes.ignored,
            mobility=wishes.mobility, downtime_max_ms=wishes.downtime_max_ms, post_copy=wishes.post_copy,
            shutdown=wishes.shutdown, needs=definition.needs, check=wishes.check, check_flaw=wishes.check_flaw,
        )

    def _definition(self, uuid: str, text: str, information: list[int]) -> _Definition:
        """Return what the text says; where it cannot be read, what libvirt itself says of the size."""
        facts = self._facts(uuid, text)
        if isinstance(facts, XmlError):
            return _Definition(Bytes(information[1] * KIB), max(1, information[3]), UNREADABLE_WISHES,
                               (unreadable(str(facts)),), NO_NEEDS)
        return _Definition(facts.memory, facts.vcpus, facts.wishes, facts.pins, facts.needs)

    def _facts(self, uuid: str, text: str) -> DomainFacts | XmlError:
        known = self.before.get(uuid)
        if known is None or known[0] != text:
            known = (text, _parse(text, self.vouched))
        self.parsed[uuid] = known
        return known[1]

    def _state_pins(self, uuid: str) -> list[Pin]:
        pins = []
        if uuid in self.snapshots:
            pins.append(SNAPSHOT_PIN)
        if uuid in self.saved:
            pins.append(MANAGED_SAVE_PIN)
        return pins


SNAPSHOT_PIN = Pin(PinKind.SNAPSHOT, "it has snapshots", "delete them: virsh snapshot-delete")
MANAGED_SAVE_PIN = Pin(PinKind.MANAGED_SAVE, "a saved state exists", "remove it: virsh managedsave-remove")


def look(conn: Any, asking: Asking, vouched: tuple[str, ...], before: Parsed) -> Look:
    """Return what the host has now; a domain that cannot be read makes the look incomplete."""
    libvirt = load_libvirt()
    memory = conn.getMemoryStats(libvirt.VIR_NODE_MEMORY_STATS_ALL_CELLS, 0)
    reader = _Reader(
        asking, vouched, before,
        persistent=_listed(conn, libvirt.VIR_CONNECT_LIST_DOMAINS_PERSISTENT),
        autostart=_listed(conn, libvirt.VIR_CONNECT_LIST_DOMAINS_AUTOSTART),
        snapshots=_listed(conn, libvirt.VIR_CONNECT_LIST_DOMAINS_HAS_SNAPSHOT),
        saved=_listed(conn, libvirt.VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE),
    )
    records = []
    for domain, statistics in conn.getAllDomainStats(libvirt.VIR_DOMAIN_STATS_STATE, 0):
        record = reader.record(domain, statistics.get("state.state", 0), statistics.get("state.reason", 0))
        if record is not None:
            records.append(record)
    return Look(
        memory_total=Bytes(memory["total"] * KIB),
        memory_free=Bytes(sum(memory.get(part, 0) for part in ("free", "buffers", "cached")) * KIB),
        cpus=conn.getInfo()[2],
        vms=tuple(sorted(records, key=lambda record: record.vm)),
        complete=reader.complete,
        parsed=reader.parsed,
        usage=reader.usage,
    )


def job_of(domain: Any, asking: Asking) -> JobKind:
    """Return which job holds a domain; UNKNOWN when libvirt or the emulator cannot say."""
    libvirt = load_libvirt()
    try:
        with asking.about(domain):
            return job_kind(domain.jobStats(0))
    except CallFailed:
        return JobKind.UNKNOWN
    except libvirt.libvirtError as error:
        trouble = trouble_of(error)
        if trouble.lost_connection or trouble.code in (NO_DOMAIN, OPERATION_INVALID):
            raise
        return JobKind.INCOMING if trouble.meaning is Meaning.ASK_THE_SOURCE else JobKind.UNKNOWN


def _listed(conn: Any, filtered: int) -> frozenset[str]:
    return frozenset(domain.UUIDString() for domain in conn.listAllDomains(filtered))


def _parse(text: str, vouched: tuple[str, ...]) -> DomainFacts | XmlError:
    try:
        return domain_facts(text, vouched)
    except XmlError as error:
        return XmlError(str(error))  # without its traceback, which would hold on to everything below it
