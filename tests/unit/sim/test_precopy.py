"""The model of pre-copy against what was measured in the lab, and what steers it."""

from __future__ import annotations

import pytest

from ballastd.sim.precopy import PreCopy

FIXED_SECONDS = 0.7
MIB_OF_GUEST = 63.0
MEASURED = {
    (16, 0.0): 4.35, (16, 2.3): 5.0, (16, 4.7): 6.2, (16, 9.1): 8.85, (32, 0.0): 2.4, (32, 2.3): 2.5, (32, 9.1): 2.9,
    (32, 18.7): 3.8, (64, 0.0): 1.45, (64, 2.3): 1.35, (64, 9.1): 1.65, (64, 18.7): 1.3,
}
"""(cap in MiB/s, dirtied MiB/s) -> seconds from the call to its return, of a 64-MiB guest under libvirt 9 and QEMU 7.2."""

WORKING_SETS = {18.7: 21.0}
"""What the guest that wrote fastest wrote over and over: at 16 MiB/s it was stuck with so much left."""


def copied(copy: PreCopy, rate: float, seconds_max: float = 600.0) -> float | None:
    """Copy round by round; return the seconds it took, None if it did not end."""
    passed = 0.0
    while not copy.is_ready:
        wait = copy.until_next(rate)
        assert wait is not None
        copy.advance(wait, rate)
        passed += wait
        if passed > seconds_max:
            return None
    return passed


@pytest.mark.parametrize("case", MEASURED, ids=str)
def test_it_takes_as_long_as_it_took_in_the_lab(case: tuple[int, float]) -> None:
    cap, dirty = case
    found = copied(PreCopy(MIB_OF_GUEST, dirty, WORKING_SETS.get(dirty, MIB_OF_GUEST)), cap)
    assert found is not None
    assert found + FIXED_SECONDS == pytest.approx(MEASURED[case], abs=0.75, rel=0.15)


def test_a_guest_that_dirties_faster_than_it_is_copied_never_arrives() -> None:
    copy = PreCopy(MIB_OF_GUEST, 18.7, 21.0)
    assert copied(copy, 16.0) is None
    assert copy.remaining == 21.0


def test_unless_what_it_dirties_is_little() -> None:
    assert copied(PreCopy(MIB_OF_GUEST, 18.7, working_set=4.0), 16.0) == pytest.approx(63.0 / 16.0)


def test_or_it_is_slowed_down() -> None:
    copy = PreCopy(MIB_OF_GUEST, 18.7, auto_converge=True)
    assert copied(copy, 16.0) is not None
    assert copy.throttle > 0.2


def test_or_runs_at_its_target_already() -> None:
    copy = PreCopy(MIB_OF_GUEST, 10.0)
    copy.advance(2.0, 16.0)
    copy.start_post_copy()
    assert copy.dirties == 0.0
    assert copy.remaining == pytest.approx(63.0 - 32.0 + 2.0 * 10.0)
    assert copied(copy, 364.0) is not None


def test_a_stall_copies_nothing_and_dirties_on() -> None:
    copy = PreCopy(MIB_OF_GUEST, 2.0)
    copy.advance(10.0, 0.0)
    assert (copy.remaining, copy.sent, copy.until_next(0.0)) == (63.0, 0.0, None)
    copied(copy, 16.0)
    assert copy.sent == pytest.approx(63.0 + 20.0 + 63.0 / 8.0, abs=4.0)
