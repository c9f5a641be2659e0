"""The set of hosts to empty, whatever the cluster: against all sets, and against a plain packing of its VMs."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from random import Random

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ballastd.core.packing_choice import Choosing
from ballastd.core.packing_sums import Frame, HostSums, Sums
from ballastd.core.quantities import GIB
from tests.builders import POLICIES, WALL, ClusterBuilder, a_cluster, table
from tests.powered import NIGHTS

LOOSE = replace(NIGHTS, power_off_below=0.8, power_on_above=0.95, fill_memory=0.9, spare_share=0.0, spare_hosts=0)
HALF = replace(POLICIES, limits=replace(POLICIES.limits, hosts_off_share=0.5))


def sums(luck: Random) -> tuple[HostSums, Frame]:
    """Return up to seven hosts of several sizes, and a night of some length."""
    count = luck.randint(2, 7)
    limit = np.array([luck.choice((64, 128, 256)) for _ in range(count)])
    used = np.array([luck.randint(0, int(size * 0.6)) for size in limit])
    vms = np.array([luck.randint(0, 12) for _ in range(count)])
    told = HostSums(limit, used, limit / 4.0, used / 9.0, vms, used.astype(np.float64), used / 0.6, 40.0 + limit)
    return told, Frame(luck.choice((5000.0, 10000.0, 24000.0)), 1800.0, 600.0, luck.randint(1, count), luck.randint(0, 60),
                       0, 20, luck.choice((0.3, 0.45, 0.7)), luck.randint(0, 1), 0.1)


def test_the_set_that_is_found_is_the_best_of_all_sets_nearly_always() -> None:
    best = worst = 0
    for seed in range(400):
        told, frame = sums(Random(seed))
        weighing, hosts = Sums(told, frame), range(len(told.vms))
        every = (weighing.in_order(one) for size in range(1, frame.hosts + 1) for one in combinations(hosts, size))
        most = max((account.net for one in every if not (account := weighing.weigh(one)).why_not), default=0.0)
        is_best = weighing.weigh(weighing.best(lambda _: True)).net >= most - 1e-6
        best, worst = best + is_best, worst + (not is_best)
    assert worst <= best * 0.02


@pytest.mark.parametrize("seed", range(0, 400, 4))
def test_what_is_found_keeps_what_the_policy_says_by_sums_made_apart(seed: int) -> None:
    told, frame = sums(Random(seed))
    found = Sums(told, frame).best(lambda _: True)
    staying = [host for host in range(len(told.vms)) if host not in found]
    assert len(found) <= frame.hosts
    assert sum(told.vms[host] for host in found) <= frame.moves
    if found:
        last = [*staying, found[-1]]
        assert max(told.used.sum() / told.limit[last].sum(), told.cpu.sum() / told.cpu_limit[last].sum()) < frame.below
        largest = sorted((told.limit[host] for host in staying), reverse=True)[frame.spare_hosts:]
        assert told.used.sum() <= 0.9 * sum(largest)
    for number, host in enumerate(found):
        off = (frame.seconds - told.copying[host] - 600.0 * number) / 3600.0
        assert off * told.watts[host] > 0.5 * told.watts[host] + 2.0 * told.gib[host]


@st.composite
def clusters(draw: st.DrawFn) -> ClusterBuilder:
    """Hosts of several sizes, each with some VMs."""
    builder = a_cluster()
    for h in range(draw(st.integers(3, 6))):
        builder = builder.host(f"h{h}", gib=draw(st.sampled_from([32, 64, 64, 96])), power="redfish")
        for v in range(draw(st.integers(0, 3))):
            builder = builder.running(f"h{h}v{v}", draw(st.sampled_from([2, 4, 8, 16, 24])))
    return builder


@settings(max_examples=40)
@given(clusters())
def test_the_vms_of_a_set_fit_on_what_stays_on_and_any_one_of_that_may_die(builder: ClusterBuilder) -> None:
    t = table(builder).warm_up()
    t.burn_on(400.0)
    snapshot = t.controller._last
    assert snapshot is not None
    hosts = Choosing(LOOSE, snapshot, t.controller.ledger, HALF, closes=WALL + 8 * 3600.0, blocked={},
                     why_not=lambda _: None).choose().hosts
    assert len(hosts) <= max(1, len(t.cluster.hosts) // 2)
    limits = {host.name: (host.memory_limit or 0) // GIB for host in t.cluster.hosts}
    sizes = {name: [vm.memory_max // GIB for vm in vms.values()] for name, vms in t.world.items()}
    assume(any_may_die(sizes, limits))
    leaving = sorted((size for name in hosts for size in sizes[name]), reverse=True)
    staying = {name: held for name, held in sizes.items() if name not in hosts}
    # 0.05 processors of each VM fill nothing; memory is all that counts
    assert placed(leaving, staying, limits), "there is no way at all to place them"


def placed(leaving: list[int], staying: dict[str, list[int]], limits: dict[str, int]) -> bool:
    """Return whether there is a way to place VMs so that hosts are within the fill, and all VMs of any that dies fit on the
    others: all ways are tried."""
    if not leaving:
        return any_may_die(staying, limits)
    size, rest = leaving[0], leaving[1:]
    return any(placed(rest, {**staying, name: [*held, size]}, limits) for name, held in staying.items()
               if sum(held) + size <= LOOSE.fill_memory * limits[name])


def any_may_die(on: dict[str, list[int]], limits: dict[str, int]) -> bool:
    """Return whether the VMs of any one of the hosts that are on fit on the others."""
    return all(packs(sorted(held, reverse=True), [limits[other] - sum(on[other]) for other in on if other != name])
               for name, held in on.items())


def packs(sizes: list[int], room: list[int]) -> bool:
    """Return whether VMs fit into so much room, by trying all ways."""
    if not sizes:
        return True
    return any(packs(sizes[1:], [*room[:place], left - sizes[0], *room[place + 1:]])
               for place, left in enumerate(room) if left >= sizes[0] and left not in room[:place])
