"""What speaks against a move, as far as both hosts can tell without touching the guest. Blocks.

Two halves, one for each host's lane: ``at_source`` reads the guest as it is now, ``at_target`` looks whether
it would fit there. Its storage is looked for apart from both (``storage``), because that may hang. What only a failed
start can show (memory, locks, TLS) is left to the migration itself, which leaves the guest untouched when it is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ballastd.adapters.libvirt.asking import Asking
from ballastd.adapters.libvirt.binding import load_libvirt
from ballastd.adapters.libvirt.errors_map import NO_DOMAIN, NO_NETWORK
from ballastd.adapters.libvirt.identity import HostIdentity
from ballastd.adapters.libvirt.inventory import MANAGED_SAVE_PIN, SNAPSHOT_PIN, job_of
from ballastd.adapters.libvirt.links import trouble_of
from ballastd.adapters.libvirt.states import vm_state
from ballastd.adapters.libvirt.storage import Sights
from ballastd.adapters.libvirt.xml_facts import DomainFacts, domain_facts
from ballastd.adapters.libvirt.xml_reading import XmlError, read_xml
from ballastd.core.inventory import JobKind, VmState
from ballastd.core.plans import Move, Refusal, RefusalKind
from ballastd.core.quantities import HostName
from ballastd.core.readiness import named

PROCESSOR_LACKS = "the target's processor lacks something this guest has"
"""What is said of every guest like it until the target is another machine, or its emulator another."""


@dataclass(frozen=True, slots=True)
class SourceFindings:
    """The guest as it is now, None when it cannot be read, and what speaks against any move of it."""

    facts: DomainFacts | None
    refusals: tuple[Refusal, ...]


def at_source(conn: Any, asking: Asking, move: Move, vouched: tuple[str, ...]) -> SourceFindings:
    """Return the guest's facts, and what holds it where it is."""
    libvirt = load_libvirt()
    try:
        domain = conn.lookupByUUIDString(move.vm)
    except libvirt.libvirtError as error:
        if trouble_of(error).code != NO_DOMAIN:
            raise
        return SourceFindings(None, (Refusal(RefusalKind.VM_GONE, "it is not there", move.vm, move.source),))
    job = job_of(domain, asking)
    number, reason = domain.state(0)
    state = vm_state(number, reason, job)
    if state is not VmState.RUNNING:
        words = f"it is {state.value}, not running"
        return SourceFindings(None, (Refusal(RefusalKind.VM_NOT_RUNNING, words, move.vm, move.source),))
    if job is not JobKind.NONE:
        return SourceFindings(None, (Refusal(RefusalKind.VM_BUSY, f"a job holds it: {job.value}",
                                             move.vm, move.source),))
    try:
        facts = domain_facts(domain.XMLDesc(0), vouched)
    except XmlError as error:
        words = f"its definition is not readable: {error}"
        return SourceFindings(None, (Refusal(RefusalKind.VM_PINNED, words, move.vm, move.source),))
    held = [f"{pin.thing}: {pin.cure}" for pin in facts.pins] + list(_held(domain, asking, facts))
    return SourceFindings(facts, tuple(
        Refusal(RefusalKind.VM_PINNED, words, move.vm, move.source) for words in held))


def _held(domain: Any, asking: Asking, facts: DomainFacts) -> Iterator[str]:
    libvirt = load_libvirt()
    if domain.snapshotNum(0):
        yield f"{SNAPSHOT_PIN.thing}: {SNAPSHOT_PIN.cure}"
    if domain.hasManagedSaveImage(0):
        yield f"{MANAGED_SAVE_PIN.thing}: {MANAGED_SAVE_PIN.cure}"
    try:
        if domain.listAllCheckpoints(0):
            yield "it has checkpoints: delete them: virsh checkpoint-delete"
    except libvirt.libvirtError as error:
        if trouble_of(error).lost_connection:
            raise  # otherwise it knows no checkpoints, so there are none
    with asking.about(domain):
        block_jobs = [(disk, _block_job(domain, disk)) for disk in facts.disks]
    yield from (f"{disk}: {words}" for disk, words in block_jobs if words)


def _block_job(domain: Any, disk: str) -> str:
    libvirt = load_libvirt()
    try:
        return "a block job runs: let it end, or virsh blockjob --abort" if domain.blockJobInfo(disk, 0) else ""
    except libvirt.libvirtError as error:
        trouble = trouble_of(error)
        if trouble.lost_connection:
            raise
        return f"its block jobs cannot be read: {trouble}"


def at_target(conn: Any, move: Move, facts: DomainFacts, source: HostIdentity | None,
              target: HostIdentity | None) -> tuple[Refusal, ...]:
    """Return what the target has against the guest: its identity, processor, machine type, networks."""
    taken = [(RefusalKind.IDENTITY, words) for words in identity_taken(conn, facts)]
    return tuple(Refusal(kind, words, move.vm, move.target)
                 for kind, words in (*taken, *lacking(conn, facts, source, target)))


def lacking(conn: Any, facts: DomainFacts, source: HostIdentity | None, target: HostIdentity | None
            ) -> tuple[tuple[RefusalKind, str], ...]:
    """Return what the target lacks for the guest, or for any that is like it: its processor, machine type, networks."""
    return (*((RefusalKind.CPU, words) for words in _cpu_missing(conn, facts, source, target)),
            *((RefusalKind.MACHINE, words) for words in _machine_missing(conn, facts)),
            *((RefusalKind.NETWORK, words) for words in _networks_missing(conn, facts)))


def unseen(target: HostName, sights: Sights) -> str:
    """Return of what storage nobody knows whether the target sees it, in words; empty where there is none."""
    if not sights.unknown:
        return ""
    return (f"whether {target} sees {named(source.words() for source in sights.unknown)} was not known before: none of its "
            "storage pools answers for it")


def identity_taken(conn: Any, facts: DomainFacts) -> Iterator[str]:
    """Yield whose name or UUID at the target is the guest's."""
    same = _found(lambda: conn.lookupByUUIDString(facts.uuid), NO_DOMAIN)
    if same is not None:
        yield "it runs there already" if same.isActive() else "a definition with its UUID is there, and would be lost"
        return
    named = _found(lambda: conn.lookupByName(facts.name), NO_DOMAIN)
    if named is not None:
        yield f"its name {facts.name} belongs to another VM there ({named.UUIDString()})"


def _found(lookup: Any, absent: int) -> Any:
    """Return what ``lookup`` finds, or None when libvirt answers ``absent``."""
    libvirt = load_libvirt()
    try:
        return lookup()
    except libvirt.libvirtError as error:
        if trouble_of(error).code != absent:
            raise
        return None


def _cpu_missing(conn: Any, facts: DomainFacts, source: HostIdentity | None,
                 target: HostIdentity | None) -> Iterator[str]:
    libvirt = load_libvirt()
    if facts.cpu.is_passthrough:
        # libvirt compares such a guest as equal to anything, which means nothing
        if source is None or target is None or not source.cpu or source.cpu != target.cpu:
            yield (f"it sees its host's own processor, and they differ or are not known: "
                   f"{_cpu_words(source)} here, {_cpu_words(target)} there")
        return
    if facts.cpu.xml is None:
        return
    try:
        verdict = conn.compareHypervisorCPU(None, facts.arch, facts.machine, facts.domain_type, facts.cpu.xml, 0)
    except libvirt.libvirtError as error:
        trouble = trouble_of(error)
        if trouble.lost_connection:
            raise
        yield f"its processor cannot be compared there: {trouble}"
        return
    if verdict == libvirt.VIR_CPU_COMPARE_INCOMPATIBLE:
        yield PROCESSOR_LACKS


def _cpu_words(identity: HostIdentity | None) -> str:
    return " ".join(identity.cpu) if identity is not None and identity.cpu else "unknown"


def _machine_missing(conn: Any, facts: DomainFacts) -> Iterator[str]:
    libvirt = load_libvirt()
    try:
        conn.getDomainCapabilities(None, facts.arch, facts.machine, facts.domain_type, 0)
    except libvirt.libvirtError as error:
        trouble = trouble_of(error)
        if trouble.lost_connection:
            raise
        yield f"{facts.machine} ({facts.domain_type}, {facts.arch}) is not offered there: {trouble}"


def _networks_missing(conn: Any, facts: DomainFacts) -> Iterator[str]:
    for name in facts.networks:
        network = _found(lambda name=name: conn.networkLookupByName(name), NO_NETWORK)
        if network is None:
            yield f"network {name} is not defined there"
        elif not network.isActive():
            yield f"network {name} is not active there"
    wanted = {*facts.bridges, *facts.links}
    if wanted and (present := _interfaces(conn)):
        for name in sorted(wanted - present):
            yield f"interface {name} is not there"


def _interfaces(conn: Any) -> frozenset[str]:
    """Return the names of the host's network interfaces; empty when it cannot say."""
    libvirt = load_libvirt()
    names: set[str] = set()
    try:
        names.update(interface.name() for interface in conn.listAllInterfaces(0))
    except libvirt.libvirtError as error:
        if trouble_of(error).lost_connection:
            raise
    try:
        for device in conn.listAllDevices(libvirt.VIR_CONNECT_LIST_NODE_DEVICES_CAP_NET):
            names.add(read_xml(device.XMLDesc(0)).findtext("capability/interface") or "")
    except libvirt.libvirtError as error:
        if trouble_of(error).lost_connection:
            raise
    except XmlError:
        return frozenset()
    return frozenset(names)
