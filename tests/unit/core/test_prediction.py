"""How memory travels that is dirtied meanwhile: the daemon's short sum beside the simulator's rounds and the lab."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ballastd.core.prediction import (
    HANDOVER_SECONDS,
    HANDSHAKE_SECONDS,
    NEVER_FROM,
    Passage,
    foretell,
    never_ends,
    predict,
)
from ballastd.core.quantities import MIB
from ballastd.sim.precopy import PreCopy
from tests.unit.sim.test_precopy import MEASURED, MIB_OF_GUEST, WORKING_SETS, copied


def over(bandwidth: int, first: int = 300, most: int = 300, *, link: float = 1000.0, may_slow: bool = False) -> Passage:
    return Passage(bandwidth, link, first, most, may_slow)


def test_where_nobody_knows_what_is_dirtied_memory_is_copied_once() -> None:
    copy = foretell(930 * MIB, over(100), None)
    assert (copy.copied, copy.takes, copy.downtime, copy.ends) == (930 * MIB, predict(930 * MIB, 100), None, True)


def test_who_dirties_nothing_stands_still_for_the_handover_alone() -> None:
    copy = foretell(930 * MIB, over(100), 0.0)
    assert (copy.copied, copy.takes) == (930 * MIB, pytest.approx(HANDSHAKE_SECONDS + 9.3))
    assert copy.downtime == HANDOVER_SECONDS


def test_rounds_are_copied_again_until_the_rest_fits_into_the_standstill() -> None:
    copy = foretell(1000 * MIB, over(100, 100), 20.0)
    # 1000, 200, 40 MiB; the 8 MiB after that take 80 ms of the 100 that are allowed, and travel over the link
    assert copy.copied == 1248 * MIB
    assert copy.takes == pytest.approx(HANDSHAKE_SECONDS + 12.4)
    assert copy.downtime == pytest.approx(HANDOVER_SECONDS + 8.0 / 1000.0)


@pytest.mark.parametrize("case", [case for case in MEASURED if case[1] not in WORKING_SETS], ids=str)
def test_it_takes_as_long_as_it_took_in_the_lab(case: tuple[int, float]) -> None:
    cap, dirty = case
    copy = foretell(int(MIB_OF_GUEST * MIB), over(cap), dirty)
    assert copy.ends
    assert copy.takes == pytest.approx(MEASURED[case], abs=0.75, rel=0.15)


@given(memory=st.integers(1, 65_536), bandwidth=st.integers(1, 4_000), dirty=st.floats(0.0, 5_000.0),
       downtime=st.sampled_from((50, 100, 300, 500, 1000)), may_slow=st.booleans())
def test_it_says_what_the_simulator_does(memory: int, bandwidth: int, dirty: float, downtime: int, may_slow: bool) -> None:
    # between 98 % and all of its speed the rounds do end, after so long that nobody waits for it
    assume(may_slow or not NEVER_FROM * bandwidth <= dirty < bandwidth)
    copy = foretell(memory * MIB, over(bandwidth, downtime, downtime, may_slow=may_slow), dirty)
    # as long as it may take in the number of rounds that are reckoned
    passed = copied(PreCopy(float(memory), dirty, downtime_max=downtime / 1000, auto_converge=may_slow), bandwidth,
                    1.1 * memory / bandwidth * 1000)
    assert copy.ends is (passed is not None)
    if passed is not None:
        assert copy.takes == pytest.approx(HANDSHAKE_SECONDS + passed, rel=1e-6)
        assert copy.copied >= memory * MIB
        assert copy.downtime is not None
        assert copy.downtime <= HANDOVER_SECONDS + downtime / 1000 + 1e-9, "never more than it may"
    else:
        assert never_ends(memory * MIB, over(bandwidth, downtime, downtime), dirty)


@pytest.mark.parametrize(("dirty", "most", "never"), [
    (97.0, 500, False), (98.0, 500, True), (900.0, 500, True), (900.0, 9_999, False), (900.0, 10_000, False)])
def test_who_dirties_as_fast_as_it_is_copied_never_arrives_unless_all_of_it_fits_into_the_standstill(
        dirty: float, most: int, never: bool) -> None:
    assert never_ends(999 * MIB, over(100, 100, most), dirty) is never
    assert foretell(999 * MIB, over(100, 100, most), dirty).ends is not never


def test_unless_it_is_slowed_down() -> None:
    copy = foretell(4096 * MIB, over(100, 100, 500, may_slow=True), 200.0)
    assert copy.ends
    assert copy.takes > 5 * predict(4096 * MIB, 100)
