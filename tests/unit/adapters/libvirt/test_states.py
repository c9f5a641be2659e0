"""What libvirt's numbers mean."""

from __future__ import annotations

import pytest

from ballastd.adapters.libvirt.states import downtime_of, job_kind, progress_of, vm_state
from ballastd.core.inventory import JobKind, VmState

NONE, OUT, IN, OTHER, UNKNOWN = (
    JobKind.NONE, JobKind.OUTGOING, JobKind.INCOMING, JobKind.OTHER, JobKind.UNKNOWN)


@pytest.mark.parametrize(("state", "reason", "job", "meaning"), [
    (1, 1, NONE, VmState.RUNNING),
    (1, 2, NONE, VmState.RUNNING),
    (1, 6, NONE, VmState.RUNNING),
    (1, 1, OUT, VmState.RUNNING),
    (1, 10, NONE, VmState.POSTCOPY),
    (1, 11, IN, VmState.POSTCOPY_FAILED),
    (2, 0, NONE, VmState.RUNNING),
    (4, 1, NONE, VmState.RUNNING),
    (3, 1, NONE, VmState.PAUSED),
    (3, 5, NONE, VmState.PAUSED),
    (3, 1, OUT, VmState.PAUSED),
    (3, 2, IN, VmState.INCOMING),
    (3, 11, IN, VmState.INCOMING),
    (3, 2, OUT, VmState.HANDOVER),
    (3, 2, NONE, VmState.LEFTOVER),
    (3, 2, OTHER, VmState.LEFTOVER),
    (3, 2, UNKNOWN, VmState.UNKNOWN),
    (3, 12, OUT, VmState.POSTCOPY_LEFT),
    (3, 13, NONE, VmState.POSTCOPY_LEFT_FAILED),
    (5, 4, NONE, VmState.SHUTOFF),
    (6, 1, NONE, VmState.CRASHED),
    (7, 0, NONE, VmState.PAUSED),
    (0, 0, NONE, VmState.UNKNOWN),
    (99, 0, NONE, VmState.UNKNOWN),
])
def test_a_state_and_its_reason_mean(state: int, reason: int, job: JobKind, meaning: VmState) -> None:
    assert vm_state(state, reason, job) is meaning


@pytest.mark.parametrize(("statistics", "kind"), [
    ({"type": 0}, NONE), ({}, NONE), ({"type": 2, "operation": 5}, OUT), ({"type": 2, "operation": 4}, IN),
    ({"type": 1, "operation": 8}, OTHER), ({"type": 2}, OTHER),
])
def test_a_job_is(statistics: dict[str, int], kind: JobKind) -> None:
    assert job_kind(statistics) is kind


def test_progress_has_bytes_and_seconds() -> None:
    seen = progress_of({
        "type": 2, "operation": 5, "time_elapsed": 2500, "memory_total": 1000, "memory_processed": 600,
        "memory_remaining": 400, "memory_iteration": 3, "memory_dirty_rate": 10, "memory_page_size": 4096,
        "memory_bps": 16_000_000, "downtime": 300})
    assert (seen.elapsed, seen.memory_total, seen.memory_processed, seen.memory_remaining) == (2.5, 1000, 600, 400)
    assert (seen.iteration, seen.dirty_bytes_s, seen.throughput_bytes_s, seen.expected_downtime) == (
        3, 40_960.0, 16e6, 0.3)


def test_a_job_that_has_not_begun_to_copy_shows_zeros() -> None:
    seen = progress_of({"type": 2, "operation": 5, "time_elapsed": 12})
    assert (seen.elapsed, seen.memory_total, seen.iteration, seen.dirty_bytes_s) == (0.012, 0, 0, 0.0)


@pytest.mark.parametrize(("statistics", "seconds"), [
    ({"type": 3, "operation": 4, "downtime": 38}, 0.038),
    ({"type": 3, "operation": 4}, None),
    ({"type": 3, "operation": 6, "downtime": 38}, None),
    ({"type": 0}, None)])
def test_a_vm_stood_still_as_the_job_says_that_brought_it(statistics: dict[str, int], seconds: float | None) -> None:
    assert downtime_of(statistics) == seconds
