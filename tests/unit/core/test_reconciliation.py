"""What both ends show decides; the table of HAZARDS in code."""

from __future__ import annotations

import pytest

from ballastd.core.inventory import JobKind, VmRecord, VmState
from ballastd.core.quantities import Bytes
from ballastd.core.reconciliation import Look, look_at
from tests.builders import vm_id


def copy(state: VmState | None, job: JobKind = JobKind.NONE) -> VmRecord | None:
    return None if state is None else VmRecord(vm_id("a"), "a", state, Bytes(1), job=job)


S = VmState


@pytest.mark.parametrize(("source", "target", "look"), [
    (copy(S.RUNNING, JobKind.OUTGOING), copy(S.INCOMING), Look.JOB),
    (copy(S.RUNNING, JobKind.OUTGOING), None, Look.JOB),
    (copy(S.HANDOVER, JobKind.OUTGOING), copy(S.RUNNING), Look.JOB),
    (copy(S.RUNNING, JobKind.UNKNOWN), None, Look.JOB),
    (copy(S.RUNNING), None, Look.AT_SOURCE),
    (copy(S.PAUSED), None, Look.AT_SOURCE),
    (copy(S.RUNNING), copy(S.SHUTOFF), Look.AT_SOURCE),
    (None, copy(S.RUNNING), Look.AT_TARGET),
    (copy(S.SHUTOFF), copy(S.RUNNING), Look.AT_TARGET),
    (None, copy(S.PAUSED), Look.AT_TARGET),
    (copy(S.RUNNING), copy(S.RUNNING), Look.SPLIT),
    (copy(S.LEFTOVER), copy(S.RUNNING), Look.LEFTOVER),
    (copy(S.HANDOVER), copy(S.RUNNING), Look.LEFTOVER),
    (copy(S.LEFTOVER), None, Look.DOWN),
    (None, None, Look.NOWHERE),
    (copy(S.SHUTOFF), None, Look.NOWHERE),
    (None, copy(S.INCOMING), Look.BETWEEN),
    (copy(S.RUNNING), copy(S.INCOMING), Look.BETWEEN),
    (copy(S.LEFTOVER), copy(S.INCOMING), Look.BETWEEN),
    (copy(S.UNKNOWN), copy(S.RUNNING), Look.BETWEEN),
    (copy(S.POSTCOPY_LEFT), copy(S.POSTCOPY), Look.JOB),
    (copy(S.POSTCOPY_LEFT_FAILED), copy(S.POSTCOPY), Look.BROKEN),
    (copy(S.POSTCOPY_LEFT), copy(S.POSTCOPY_FAILED), Look.BROKEN),
    (copy(S.POSTCOPY_LEFT_FAILED), None, Look.TORN),
    (copy(S.POSTCOPY_LEFT), copy(S.SHUTOFF), Look.TORN),
    (None, copy(S.POSTCOPY), Look.TORN),
    (None, copy(S.POSTCOPY_FAILED), Look.TORN),
])
def test_two_ends_amount_to_one_look(source: VmRecord | None, target: VmRecord | None, look: Look) -> None:
    assert look_at(source, target) is look
