"""What libvirt's statistics say of one guest: sums over its devices, and None where nothing is said."""

from __future__ import annotations

from typing import Any

import pytest

from ballastd.adapters.libvirt.usage import (
    DIRTY_RATE_AGE_MAX_SECONDS,
    Dirtying,
    Measured,
    dirtying_of,
    usage_of,
    with_measured,
)
from ballastd.core.inventory import NO_USAGE, VmUsage
from ballastd.core.quantities import KIB, MIB, Bytes, VmId

ANSWERED: dict[str, Any] = {
    "balloon.current": 16384, "balloon.maximum": 16384, "balloon.rss": 55124,
    "net.count": 2, "net.0.name": "tap0", "net.0.rx.bytes": 90, "net.0.tx.bytes": 10, "net.1.rx.bytes": 5,
    "net.1.tx.bytes": 0,
    "dirtyrate.calc_status": 0, "dirtyrate.calc_start_time": 0,
}
PASSED_OVER: dict[str, Any] = {
    "balloon.current": 16384, "balloon.maximum": 16384, "net.count": 1, "net.0.rx.bytes": 90, "net.0.tx.bytes": 0,
}
"""Of a guest whose emulator has a question open, as libvirt 9.0 tells it under NOWAIT."""


def measurement(status: int, begun: int) -> dict[str, Any]:
    rate = {"dirtyrate.megabytes_per_second": 37} if status == 2 else {}
    return {"dirtyrate.calc_status": status, "dirtyrate.calc_start_time": begun, **rate}


def test_what_is_carried_is_summed_over_the_interfaces() -> None:
    assert usage_of(ANSWERED, None, 0.0) == VmUsage(None, Bytes(55124 * KIB), 105, None)


def test_of_a_guest_that_does_not_answer_what_the_host_knows_is_told() -> None:
    assert usage_of(PASSED_OVER, None, 0.0) == VmUsage(None, Bytes(16 * MIB), 90, None)


def test_nothing_said_is_unknown_and_no_interface_is_zero() -> None:
    assert usage_of({}, None, 0.0) == NO_USAGE
    assert usage_of({"net.count": 0}, None, 0.0) == VmUsage(network_bytes=0)


def test_where_one_interface_could_not_be_counted_the_sum_is_unknown() -> None:
    counted = {"net.count": 2, "net.0.name": "vnet0", "net.1.name": "vnet1", "net.1.rx.bytes": 7, "net.1.tx.bytes": 1}
    assert usage_of(counted, None, 0.0).network_bytes is None
    assert usage_of({**counted, "net.0.rx.bytes": 4}, None, 0.0).network_bytes is None
    assert usage_of({**counted, "net.0.rx.bytes": 4, "net.0.tx.bytes": 0}, None, 0.0).network_bytes == 12


def test_an_interface_without_a_device_on_the_host_is_left_out() -> None:
    counted = {"net.count": 2, "net.1.name": "vnet1", "net.1.rx.bytes": 7, "net.1.tx.bytes": 1}
    assert usage_of(counted, None, 0.0).network_bytes == 8
    assert usage_of({"net.count": 1}, None, 0.0).network_bytes == 0


def test_a_measurement_that_was_there_before_us_is_of_unknown_age_and_not_told() -> None:
    first = dirtying_of(measurement(2, 17549), None, 100.0)
    assert usage_of(measurement(2, 17549), first, 100.0).dirty_mib_s is None
    again = dirtying_of(measurement(2, 17549), first, 110.0)
    assert usage_of(measurement(2, 17549), again, 110.0).dirty_mib_s is None


def test_a_measurement_made_between_two_looks_is_told_until_it_is_old() -> None:
    known = dirtying_of(measurement(0, 0), None, 100.0)
    known = dirtying_of(measurement(1, 17549), known, 110.0)
    assert usage_of(measurement(1, 17549), known, 110.0).dirty_mib_s is None
    known = dirtying_of(measurement(2, 17549), known, 120.0)
    assert usage_of(measurement(2, 17549), known, 120.0).dirty_mib_s == 37.0
    for later, rate in ((119.0, 37.0), (DIRTY_RATE_AGE_MAX_SECONDS, 37.0), (DIRTY_RATE_AGE_MAX_SECONDS + 1.0, None)):
        known = dirtying_of(measurement(2, 17549), known, 120.0 + later)
        assert usage_of(measurement(2, 17549), known, 120.0 + later).dirty_mib_s == rate
    known = dirtying_of(measurement(2, 99999), known, 2000.0)
    assert usage_of(measurement(2, 99999), known, 2000.0).dirty_mib_s == 37.0


@pytest.mark.parametrize("known", [None, Dirtying(17549, 100.0)])
def test_a_guest_that_does_not_answer_changes_nothing_of_what_is_known(known: Dirtying | None) -> None:
    assert dirtying_of(PASSED_OVER, known, 110.0) == known


def test_processor_time_stays_as_it_was_looked_up() -> None:
    measured = Measured({"a": VmUsage(memory=Bytes(7)), "gone": VmUsage(memory=Bytes(9))}, {})
    used = with_measured({VmId(name): VmUsage(5.0) for name in "ab"}, measured)
    assert used == {"a": VmUsage(5.0, Bytes(7)), "b": VmUsage(5.0)}
