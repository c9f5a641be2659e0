"""The migrate call itself, and the calls that steer a job. Block; each runs in a lane of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from ballastd.adapters.libvirt.asking import Asking
from ballastd.adapters.libvirt.binding import load_libvirt
from ballastd.adapters.libvirt.errors_map import (
    NO_DOMAIN,
    OPERATION_INVALID,
    OPERATION_UNSUPPORTED,
    migration_error,
)
from ballastd.adapters.libvirt.links import trouble_of
from ballastd.adapters.libvirt.states import (
    PAUSED,
    PAUSED_POSTCOPY,
    PAUSED_POSTCOPY_FAILED,
    downtime_of,
    job_kind,
    progress_of,
)
from ballastd.core.inventory import JobKind, Progress
from ballastd.core.quantities import Seconds, VmId
from ballastd.errors import MigrationError, MigrationRefused, VmVanished

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Journey:
    """Where a VM goes. ``peer_uri``: as its source's libvirtd connects to the target's. ``migration_uri``:
    the network for guest memory, or None. ``bandwidth_mib_s``: at least 1. ``downtime_ms``: for how long the VM may stand
    still at the end, 0 for QEMU's own limit. ``auto_converge``: whether QEMU may slow it down. ``post_copy``: whether it
    may be put into post-copy on its way."""

    vm: VmId
    peer_uri: str
    migration_uri: str | None
    bandwidth_mib_s: int
    unsafe: bool
    downtime_ms: int = 0
    auto_converge: bool = False
    post_copy: bool = False


def travel(conn: Any, journey: Journey) -> MigrationError | None:
    """Migrate live, peer to peer; return when libvirt does, None when it says done. Persistence goes with the guest,
    autostart does not."""
    libvirt = load_libvirt()
    begun = time.monotonic()
    try:
        domain = conn.lookupByUUIDString(journey.vm)
        if not domain.isActive():
            return VmVanished("it is not running", code=OPERATION_INVALID)
        flags = _flags(libvirt, journey, persistent=bool(domain.isPersistent()))
        with _standing_still(libvirt, domain, journey.downtime_ms):
            begun = time.monotonic()
            domain.migrateToURI3(journey.peer_uri, _parameters(libvirt, journey), flags)
    except libvirt.libvirtError as error:
        return migration_error(trouble_of(error), time.monotonic() - begun)
    return None


@contextmanager
def _standing_still(libvirt: Any, domain: Any, downtime_ms: int) -> Iterator[None]:
    """Let the VM stand still for so long at the end of what is begun meanwhile; where that fails, it is as it was before:
    the next to migrate it may be somebody else."""
    before = domain.migrateGetMaxDowntime(0) if downtime_ms > 0 else 0
    if downtime_ms > 0:
        domain.migrateSetMaxDowntime(downtime_ms, 0)
    try:
        yield
    except libvirt.libvirtError:
        if before:
            with suppress(libvirt.libvirtError):
                domain.migrateSetMaxDowntime(before, 0)
        raise


def _flags(libvirt: Any, journey: Journey, *, persistent: bool) -> int:
    flags = libvirt.VIR_MIGRATE_LIVE | libvirt.VIR_MIGRATE_PEER2PEER | libvirt.VIR_MIGRATE_ABORT_ON_ERROR
    if persistent:
        flags |= libvirt.VIR_MIGRATE_PERSIST_DEST | libvirt.VIR_MIGRATE_UNDEFINE_SOURCE
    if journey.unsafe:
        flags |= libvirt.VIR_MIGRATE_UNSAFE
    if journey.auto_converge:
        flags |= libvirt.VIR_MIGRATE_AUTO_CONVERGE
    if journey.post_copy:
        flags |= libvirt.VIR_MIGRATE_POSTCOPY
    return int(flags)


def _parameters(libvirt: Any, journey: Journey) -> dict[str, Any]:
    parameters: dict[str, Any] = {libvirt.VIR_MIGRATE_PARAM_BANDWIDTH: max(1, journey.bandwidth_mib_s)}
    if journey.post_copy:
        # the other one does not hold in post-copy, and without this nothing but the link would
        parameters[libvirt.VIR_MIGRATE_PARAM_BANDWIDTH_POSTCOPY] = max(1, journey.bandwidth_mib_s)
    if journey.migration_uri is not None:
        parameters[libvirt.VIR_MIGRATE_PARAM_URI] = journey.migration_uri
    return parameters


def definition(conn: Any, vm: VmId) -> str:
    """Return what the VM is defined as, without passwords: as it starts next time, of a transient one as it is."""
    libvirt = load_libvirt()
    try:
        domain = conn.lookupByUUIDString(vm)
    except libvirt.libvirtError as error:
        if trouble_of(error).code != NO_DOMAIN:
            raise
        raise VmVanished("it is not there", code=NO_DOMAIN) from None
    return str(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE if domain.isPersistent() else 0))


def set_autostart(conn: Any, vm: VmId, *, on: bool) -> None:
    """Have the host start the VM with itself, or not; nothing happens where it is not there, or transient."""
    libvirt = load_libvirt()
    try:
        conn.lookupByUUIDString(vm).setAutostart(int(on))
    except libvirt.libvirtError as error:
        if trouble_of(error).code not in (NO_DOMAIN, OPERATION_INVALID):
            raise


def downtime(conn: Any, vm: VmId) -> Seconds | None:
    """Return how long a VM stood still that has arrived here, None where its libvirt does not tell: answered by libvirt
    itself, which keeps it for whoever else may ask."""
    libvirt = load_libvirt()
    flags = libvirt.VIR_DOMAIN_JOB_STATS_COMPLETED | libvirt.VIR_DOMAIN_JOB_STATS_KEEP_COMPLETED
    try:
        return downtime_of(conn.lookupByUUIDString(vm).jobStats(flags))
    except libvirt.libvirtError as error:
        if trouble_of(error).code in _NO_JOB:
            return None
        raise


def progress(conn: Any, asking: Asking, vm: VmId) -> Progress | None:
    """Return where the outgoing job of ``vm`` is, None when there is none."""
    return _with_job(conn, asking, vm, lambda _, statistics: progress_of(statistics))


def set_bandwidth(conn: Any, asking: Asking, vm: VmId, bandwidth_mib_s: int) -> None:
    """Change the running job's bandwidth, in post-copy as well; without a job nothing happens."""
    def change(domain: Any, _: dict[str, Any]) -> None:
        flag = load_libvirt().VIR_DOMAIN_MIGRATE_MAX_SPEED_POSTCOPY if _is_in_post_copy(domain) else 0
        domain.migrateSetMaxSpeed(max(1, bandwidth_mib_s), flag)

    _with_job(conn, asking, vm, change)


def set_downtime(conn: Any, asking: Asking, vm: VmId, downtime_ms: int) -> None:
    """Let the VM of the running job stand still for so long at its end; without a job nothing happens."""
    _with_job(conn, asking, vm, lambda domain, _: domain.migrateSetMaxDowntime(max(1, downtime_ms), 0))


def start_post_copy(conn: Any, asking: Asking, vm: VmId) -> MigrationError | None:
    """Put the running job into post-copy unless it is there already; return what the hypervisor said against it. Without a
    job nothing happens."""
    libvirt = load_libvirt()

    def start(domain: Any, _: dict[str, Any]) -> MigrationError | None:
        if _is_in_post_copy(domain):
            return None
        try:
            domain.migrateStartPostCopy(0)
        except libvirt.libvirtError as error:
            trouble = trouble_of(error)
            if trouble.lost_connection:
                raise
            # whatever it says against it, the job goes on as it was
            return MigrationRefused(str(trouble), code=trouble.code, domain=trouble.domain)
        return None

    return _with_job(conn, asking, vm, start)


def abort(conn: Any, asking: Asking, vm: VmId) -> None:
    """Cancel the running outgoing job, unless it is past the point of return."""
    _with_job(conn, asking, vm, _abort)


def _abort(domain: Any, _: dict[str, Any]) -> None:
    if not _is_in_post_copy(domain):
        domain.abortJob()


def _is_in_post_copy(domain: Any) -> bool:
    state, reason = domain.state(0)
    return bool(state == PAUSED and reason in (PAUSED_POSTCOPY, PAUSED_POSTCOPY_FAILED))


_NO_JOB = (NO_DOMAIN, OPERATION_INVALID, OPERATION_UNSUPPORTED)


def _with_job(conn: Any, asking: Asking, vm: VmId, work: Callable[[Any, dict[str, Any]], T]) -> T | None:
    """Run ``work`` on the domain and the statistics of its outgoing job; None when there is no such job,
    not here, or not any more."""
    libvirt = load_libvirt()
    try:
        domain = conn.lookupByUUIDString(vm)
        with asking.about(domain):
            statistics = domain.jobStats(0)
            return work(domain, statistics) if job_kind(statistics) is JobKind.OUTGOING else None
    except libvirt.libvirtError as error:
        if trouble_of(error).code in _NO_JOB:
            return None
        raise
