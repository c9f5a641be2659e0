"""What libvirt's numbers mean for us: states, jobs, progress. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ballastd.core.inventory import JobKind, Progress, VmState
from ballastd.core.quantities import Bytes, Seconds

NO_STATE, RUNNING, BLOCKED, PAUSED, SHUTTING_DOWN, SHUTOFF, CRASHED, SUSPENDED_TO_RAM = range(8)
ACTIVE = frozenset({NO_STATE, RUNNING, BLOCKED, PAUSED, SHUTTING_DOWN, SUSPENDED_TO_RAM})

RUNNING_POSTCOPY, RUNNING_POSTCOPY_FAILED = 10, 11
PAUSED_BY_MIGRATION, PAUSED_STARTING_UP = 2, 11
PAUSED_POSTCOPY, PAUSED_POSTCOPY_FAILED = 12, 13

JOB_NONE, JOB_COMPLETED = 0, 3
MIGRATION_IN, MIGRATION_OUT = 4, 5
PAGE_BYTES = 4096


_RUNNING = {RUNNING_POSTCOPY: VmState.POSTCOPY, RUNNING_POSTCOPY_FAILED: VmState.POSTCOPY_FAILED}
_PAUSED = {PAUSED_POSTCOPY: VmState.POSTCOPY_LEFT, PAUSED_POSTCOPY_FAILED: VmState.POSTCOPY_LEFT_FAILED}


def vm_state(state: int, reason: int, job: JobKind) -> VmState:
    """Return what ``state`` for ``reason`` means while ``job`` holds the VM."""
    match state:
        case 1 | 2 | 4:  # running, blocked, shutting down: its processors execute
            return _RUNNING.get(reason, VmState.RUNNING) if state == RUNNING else VmState.RUNNING
        case 3:
            return _paused(reason, job)
        case 5:
            return VmState.SHUTOFF
        case 6:
            return VmState.CRASHED
        case 7:
            return VmState.PAUSED
        case _:
            return VmState.UNKNOWN


def _paused(reason: int, job: JobKind) -> VmState:
    if reason in _PAUSED:
        return _PAUSED[reason]
    if job is JobKind.INCOMING:
        return VmState.INCOMING
    if reason != PAUSED_BY_MIGRATION:
        return VmState.PAUSED
    return {JobKind.OUTGOING: VmState.HANDOVER, JobKind.UNKNOWN: VmState.UNKNOWN}.get(job, VmState.LEFTOVER)


def job_kind(statistics: Mapping[str, Any]) -> JobKind:
    """Return which job ``jobStats`` tells of."""
    if statistics.get("type", JOB_NONE) == JOB_NONE:
        return JobKind.NONE
    return {MIGRATION_OUT: JobKind.OUTGOING, MIGRATION_IN: JobKind.INCOMING}.get(
        statistics.get("operation", 0), JobKind.OTHER)


def downtime_of(statistics: Mapping[str, Any]) -> Seconds | None:
    """Return how long a VM stood still at the end of the job that brought it here, None where these are of no such job."""
    if statistics.get("type", JOB_NONE) != JOB_COMPLETED or statistics.get("operation", 0) != MIGRATION_IN:
        return None
    said = statistics.get("downtime")
    return None if said is None else Seconds(said / 1000)


def progress_of(statistics: Mapping[str, Any]) -> Progress:
    """Return where an outgoing job is. ``downtime`` of a running job is the one QEMU expects, in ms."""
    page = statistics.get("memory_page_size", PAGE_BYTES)
    return Progress(
        elapsed=statistics.get("time_elapsed", 0) / 1000,
        memory_total=Bytes(statistics.get("memory_total", 0)),
        memory_processed=Bytes(statistics.get("memory_processed", 0)),
        memory_remaining=Bytes(statistics.get("memory_remaining", 0)),
        iteration=statistics.get("memory_iteration", 0),
        dirty_bytes_s=float(statistics.get("memory_dirty_rate", 0) * page),
        throughput_bytes_s=float(statistics.get("memory_bps", 0)),
        expected_downtime=statistics.get("downtime", 0) / 1000,
    )
