"""Hosts whose network is full: hot where somebody says what it carries, relieved by what its VMs carry, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ballastd.core.inventory import HostInventory, VmRecord, VmState, VmUsage
from ballastd.core.loads import Loads
from ballastd.core.plans import RefusalKind
from ballastd.core.policies import BalancePolicy, Edge, Mode, MoveBudget
from ballastd.core.quantities import GIB, MIB, Bytes, HostName, Instant, Seconds
from tests.builders import POLICIES, Table, a_cluster, table, vm_id

EVEN_LOAD = BalancePolicy("even-load", mode=Mode.RECOMMEND, imbalance_above=1.0, budget=MoveBudget(in_flight=4))
ADVISING = replace(POLICIES, balance=(EVEN_LOAD,))
MIB_S = 1000.0


def a_site(mib_s: float | None = MIB_S, others: int = 3, policies=ADVISING, busy: int = 1) -> Table:
    """Hosts with a large VM and four of 4 GiB, so many of them; and others with one each."""
    builder = a_cluster()
    for h in range(1, 1 + busy):
        builder = builder.host(f"h{h}", network_mib_s=mib_s).running(f"large{h}", 32)
        for i in range(4):
            builder = builder.running(f"b{h}{i}", 4)
    for h in range(1 + busy, 1 + busy + others):
        builder = builder.host(f"h{h}", network_mib_s=mib_s).running(f"i{h}", 4)
    t = table(builder, policies).warm_up()
    t.quiet_for(200.0)
    return t


def planned(t: Table, seconds: float = 700.0) -> dict[str, tuple[str, str]]:
    """Return where VMs go, by name, once what is hot has been hot for long enough."""
    t.quiet_for(seconds)
    return {move.vm_name: (move.source, move.target) for move in t.step().view.moves}


def whys(t: Table) -> str:
    return str([(no.kind, no.detail, no.against) for no in t.step().view.noes])


def test_a_host_whose_network_is_full_is_relieved_of_what_carries_most_for_the_fewest_bytes() -> None:
    t = a_site().carry(large1=500.0, b10=200.0, b11=150.0, b12=50.0, b13=10.0)
    moves = planned(t)
    assert sorted(moves) == ["b10", "b11"], "260 MiB/s are too much"
    assert {source for source, _ in moves.values()} == {"h1"}
    assert "large1" not in moves, "it would be enough alone, and is eight times as much to copy"
    (intent,) = t.step().view.intents
    assert intent.because == "h1 is hot: network is 91% > 80%"


def test_no_more_leaves_than_makes_it_cool() -> None:
    t = a_site().carry(b10=300.0, b11=300.0, b12=250.0)
    assert len(planned(t)) == 1, "550 of 1,000 are less than 65 %"


def test_nothing_happens_where_nobody_says_what_a_network_carries() -> None:
    t = a_site(None).carry(large1=5000.0, b10=2000.0, b11=1500.0)
    assert not planned(t)
    assert not t.step().view.intents


def test_what_a_policy_takes_out_makes_nothing_hot() -> None:
    off = replace(EVEN_LOAD, hot=(Edge("cpu", 0.8), Edge("memory", 0.88)))
    t = a_site(policies=replace(POLICIES, balance=(off,))).carry(large1=500.0, b10=400.0)
    assert not planned(t)


def test_a_short_peak_of_the_network_moves_nothing() -> None:
    t = a_site().carry(large1=500.0, b10=400.0)
    t.quiet_for(200.0)
    t.carry(large1=5.0, b10=4.0)
    assert not planned(t)


def test_hosts_whose_networks_are_full_are_relieved_together_and_no_target_is_above_its_cool_mark() -> None:
    t = a_site(others=2, busy=2).carry(i3=300.0, i4=300.0, b10=300.0, b20=300.0,
                                       **{f"b{h}{i}": 200.0 for h in (1, 2) for i in (1, 2, 3)})
    moves = planned(t)
    assert sorted(moves) == ["b10", "b20"], "one of each: 600 of 1,000 stay"
    assert sorted(target for _, target in moves.values()) == ["h3", "h4"], "each has 350 to its mark: one fits"


def test_relief_of_processors_goes_where_the_network_has_room_too() -> None:
    t = a_site().burn(**{f"b1{i}": 3.6 for i in range(4)}).carry(i2=600.0, i3=600.0, **{f"b1{i}": 100.0 for i in range(4)})
    moves = planned(t)
    assert moves
    assert {target for _, target in moves.values()} == {"h4"}
    assert "700.0 of 1000 MiB/s of its VMs' network would be used, at most 65%" in str(
        [(move.why_not, move.runners_up) for move in t.step().view.moves])


def test_a_host_whose_processors_and_network_are_too_busy_is_relieved_of_both() -> None:
    t = a_site().burn(b10=7.0, b11=7.0).carry(b12=500.0, b13=400.0)
    moves = planned(t)
    assert len(moves) == 2
    assert len(moves.keys() & {"b10", "b11"}) == len(moves.keys() & {"b12", "b13"}) == 1


def test_a_target_whose_network_is_not_known_takes_nobody() -> None:
    t = a_site(others=2).carry(large1=500.0, b10=200.0, b11=200.0, i2=None)
    moves = planned(t)
    assert moves
    assert {target for _, target in moves.values()} == {"h3"}
    t = a_site(others=1).carry(large1=500.0, b10=200.0, b11=200.0, i2=None)
    assert not planned(t)
    assert RefusalKind.LOAD_UNKNOWN.value in whys(t)
    assert "what all of its VMs carry over their network is not known yet" in whys(t)


def test_a_vm_of_which_it_is_not_known_stays_and_what_is_known_makes_hot() -> None:
    t = a_site().carry(large1=None, b10=450.0, b11=450.0)
    moves = planned(t)
    assert len(moves) == 1
    assert moves.keys() <= {"b10", "b11"}


def test_what_is_not_known_is_neither_hot_nor_cool() -> None:
    t = a_site().carry(large1=None, b10=300.0, b11=300.0)
    assert not planned(t)
    t.carry(b10=450.0, b11=450.0)
    t.quiet_for(700.0)
    assert t.step().view.intents
    t.carry(b10=300.0, b11=300.0)
    t.quiet_for(700.0)
    assert not t.step().view.intents, "it may be cool: nobody acts on that"


def test_relief_goes_on_until_what_is_known_is_below_the_cool_mark() -> None:
    """900 of 1,000 MiB/s are known; with one VM less 675 are, which is below the hot mark and above the cool one."""
    acting = replace(EVEN_LOAD, mode=Mode.AUTO, budget=MoveBudget(in_flight=1))
    t = a_site(policies=replace(POLICIES, balance=(acting,))).carry(large1=None, **{f"b1{i}": 225.0 for i in range(4)})
    t.burn_on(4000.0)
    assert sorted(record.name for record in t.world["h1"].values() if record.name != "large1") == ["b12", "b13"]


def is_hot(t: Table, seconds: float) -> bool:
    """Return whether a host is hot after some time in which nothing is carried out."""
    t.quiet_for(seconds)
    return bool(t.step().view.intents)


def test_what_was_hot_by_its_processors_is_cool_without_its_network_and_has_to_be_hot_for_long_enough_again() -> None:
    t = a_site().carry(large1=None).burn(b10=7.0, b11=7.0)
    assert is_hot(t, 900.0)
    t.burn(b10=0.05, b11=0.05)
    assert not is_hot(t, 900.0)
    t.burn(b10=7.0, b11=7.0)
    assert not is_hot(t, 400.0), "its mean is above the mark, and has not been for the hold"
    assert is_hot(t, 500.0)


def test_what_was_hot_by_its_processors_when_it_fell_silent_is_cool_without_its_network() -> None:
    t = a_site().carry(large1=None).burn(b10=7.0, b11=7.0)
    assert is_hot(t, 900.0)
    t.silent.add("h1")
    t.quiet_for(300.0)
    t.silent.clear()
    t.burn(b10=0.05, b11=0.05)
    assert not is_hot(t, 900.0)
    t.burn(b10=7.0, b11=7.0)
    assert not is_hot(t, 400.0)


def test_whose_network_was_hot_and_is_not_known_now_is_hot_by_its_processors_after_their_own_hold() -> None:
    t = a_site().carry(large1=None, b10=450.0, b11=450.0)
    assert is_hot(t, 900.0)
    t.carry(b10=300.0, b11=300.0)
    assert not is_hot(t, 900.0)
    t.burn(b10=7.0, b11=7.0)
    assert not is_hot(t, 400.0)
    assert is_hot(t, 500.0)


def test_hosts_that_cannot_be_made_cool_are_made_less_hot() -> None:
    t = a_site(others=1).carry(large1=500.0, b10=250.0, b11=240.0, i2=400.0)
    moves = planned(t)
    assert list(moves) == ["b10"]
    assert moves.popitem()[1] == ("h1", "h2"), "halfway from its cool mark to its hot one"


def test_hosts_that_cannot_be_made_cool_are_made_less_hot_by_what_is_known_of_them() -> None:
    t = a_site(others=1).carry(large1=None, b10=225.0, b11=225.0, b12=225.0, b13=225.0, i2=440.0)
    moves = planned(t)
    assert list(moves.values()) == [("h1", "h2")], "675 of 1,000 stay, 665 are there"


def test_why_nothing_leaves_names_the_network() -> None:
    t = a_site(policies=replace(ADVISING, balance=(replace(EVEN_LOAD, hot=(Edge("cpu.pressure.some", 0.2),)),)))
    t.show("h1", "cpu.pressure.some", 0.5)
    assert not planned(t.carry(b10=300.0))
    assert "30% of its network, cool below 65%" in whys(t)


def test_what_a_vm_carries_goes_on_over_a_migration() -> None:
    loads, vm = Loads(Seconds(60.0), counts_network=True), vm_id("a")
    record = VmRecord(vm, "a", VmState.RUNNING, Bytes(GIB))
    for n in range(12):
        host, since = ("h1", 0.0) if n < 7 else ("h2", 65.0)
        now = Instant(10.0 * n, 10.0 * n)
        usage = {vm: VmUsage(10.0 * n - since, network_bytes=int((10.0 * n - since) * 8 * MIB))}
        loads.see(HostInventory(HostName(host), now, now, Bytes(GIB), Bytes(GIB), 1, (record,), usage=usage))
    found = loads.network((vm,), Instant(110.0, 110.0))
    assert found is not None
    assert found[0][0] == pytest.approx(8.0, abs=0.8), "five seconds that nobody counted are lost"
    assert Loads(Seconds(60.0)).network((vm,), Instant(0.0, 0.0)) is None, "nobody asked"


def test_who_runs_in_post_copy_carries_what_it_did() -> None:
    t = a_site(busy=1, others=1).carry(b10=450.0, b11=400.0)
    assert is_hot(t, 900.0)
    vm = vm_id("b10")
    t.world["h1"][vm] = replace(t.world["h1"][vm], state=VmState.POSTCOPY)
    assert is_hot(t, 600.0), "it still takes its half of the network"


def test_an_interface_that_goes_or_is_replaced_makes_what_a_vm_carries_unknown_and_nothing_else() -> None:
    loads, vm = Loads(Seconds(60.0), counts_network=True), vm_id("a")
    record, found = VmRecord(vm, "a", VmState.RUNNING, Bytes(GIB)), []
    for n in range(24):
        # one that carried 100 GiB long ago is gone from the twelfth look on; what goes on carries 8 MiB/s
        kept = (100 * GIB if n < 12 else 0) + 50 * GIB + 80 * n * MIB
        now = Instant(10.0 * n, 10.0 * n)
        loads.see(HostInventory(HostName("h1"), now, now, Bytes(GIB), Bytes(GIB), 1, (record,),
                                usage={vm: VmUsage(10.0 * n, network_bytes=kept)}))
        told = loads.network((vm,), now)
        assert told is not None
        found.append(float(told[0][0]))
    assert found[3:12] == pytest.approx([8.0] * 9)
    assert np.isnan(found[12:15]).all()
    assert found[15:] == pytest.approx([8.0] * 9)
    assert loads.cpu(vm, now) == pytest.approx(1.0)


def test_a_host_of_which_nobody_says_what_its_network_carries_has_no_mark_beside_others_that_have() -> None:
    builder = a_cluster().host("h1", network_mib_s=MIB_S).crowd("b", 4, 4).host("h2").running("i2", 4)
    t = table(builder, ADVISING).warm_up()
    t.quiet_for(200.0)
    assert planned(t.carry(b0=300.0, b1=300.0, b2=250.0, i2=5000.0)).popitem()[1] == ("h1", "h2")
    assert [intent.host for intent in t.step().view.intents] == ["h1"]
