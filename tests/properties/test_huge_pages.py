"""Whatever needs whatever pages: columns close no door that the constraints leave open, and what the constraints allow one
after the other the checker finds whole."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ballastd.core.checking_hardware import check_hardware
from ballastd.core.constraints import Trial, hardware_suits, huge_pages_fit, memory_fits, shut, target_may_receive
from ballastd.core.hardware import Backing, Hardware, Needs, PagePool
from ballastd.core.placement import occupied
from ballastd.core.plans import Move
from ballastd.core.quantities import GIB, MIB, Bytes, Seconds
from tests.builders import ClusterBuilder, a_cluster, table
from tests.properties.test_columns import snapshot_of

SIZES = st.sampled_from([Bytes(2 * MIB), Bytes(GIB)])
POOLS = st.lists(st.tuples(SIZES, st.integers(0, 12), st.integers(0, 1)), max_size=3, unique_by=lambda one: (one[0], one[2]))


@st.composite
def clusters(draw: st.DrawFn) -> ClusterBuilder:
    builder = a_cluster()
    for h in range(draw(st.integers(2, 4))):
        builder = builder.host(f"h{h}")
        if draw(st.booleans()):
            builder = builder.described(Hardware(draw(st.sampled_from([(), (0,), (0, 1)])), pools=tuple(
                sorted(PagePool(size, gib * GIB // size, node) for size, gib, node in draw(POOLS)))))
        for v in range(draw(st.integers(0, 3))):
            backing = tuple(Backing(size, Bytes(draw(st.integers(1, 3 * GIB))))
                            for size in draw(st.lists(SIZES | st.just(Bytes(0)), max_size=2, unique=True)))
            builder = builder.running(f"h{h}v{v}", 8, needs=Needs(tuple(sorted(backing)), draw(
                st.sampled_from([(), (), (0,), (1,), (0, 1)]))))
    return builder


@given(clusters(), st.randoms(use_true_random=False))
@settings(max_examples=60)
def test_columns_constraints_and_checker_agree(builder: ClusterBuilder, luck: object) -> None:
    snapshot, ledger = snapshot_of(table(builder).warm_up())
    count, homes = len(snapshot.hosts.names), occupied(snapshot, ledger, {})
    promised, moved, moves = np.zeros(count, np.int64), dict[int, int](), list[Move]()
    rows = list(range(len(snapshot.vms.ids)))
    luck.shuffle(rows)  # type: ignore[attr-defined]
    for vm in rows:
        source = int(snapshot.vms.host[vm])
        closed = shut(snapshot, vm, promised, np.zeros(count), np.zeros(count), None)
        for target in range(count):
            trial = Trial(snapshot, ledger, vm, source, target, promised, np.zeros(count),
                          np.zeros(count), moved, homes)
            doors = target_may_receive, memory_fits, huge_pages_fit
            refused = [no for one in doors if (no := one(trial)) is not None]
            assert not closed[target] or refused
            if target != source and vm not in moved and not refused and hardware_suits(trial) is None:
                moved[vm] = target
                promised[target] += int(snapshot.vms.memory[vm])
                moves.append(Move(snapshot.vms.ids[vm], "vm", snapshot.hosts.names[source], snapshot.hosts.names[target],
                                  snapshot.records[vm].memory_max, Seconds(1.0), "test", ""))
    assert check_hardware(snapshot, moves) == []
