"""A VM goes only where the huge pages, NUMA nodes, processors and machine are that it cannot do without."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ballastd.core.checking import check_plan, held_by
from ballastd.core.hardware import NO_NEEDS, Backing, Emulator, Hardware, Needs, PagePool, numbers_in_words
from ballastd.core.inventory import HostInventory, VmState
from ballastd.core.migrations import CallResult
from ballastd.core.plans import Move, RefusalKind
from ballastd.core.policies import BalancePolicy, Mode
from ballastd.core.quantities import GIB, MIB, Bytes, HostName, Seconds
from ballastd.core.snapshot import Snapshot, take
from ballastd.core.suitability import PageRoom, unknown_needs, why_lacking
from tests.builders import POLICIES, ClusterBuilder, Table, a_cluster, table, vm_id

TWO_MIB, ONE_GIB = Bytes(2 * MIB), Bytes(GIB)


def pages(gib: float, size: Bytes = TWO_MIB) -> Needs:
    return Needs((Backing(size, Bytes(int(gib * GIB))),))


def pool(gib: int, size: Bytes = TWO_MIB, node: int = 0, **more: object) -> Hardware:
    return Hardware(pools=(PagePool(size, gib * GIB // size, node),), **more)  # type: ignore[arg-type]


def snapshot_of(t: Table) -> Snapshot:
    ledger = t.controller.ledger.draft()
    step = type("S", (), {"now": t.now, "draft": ledger})()
    return take(t.controller._facts(step), ledger, t.now)


def failing(builder: ClusterBuilder) -> Table:
    t = table(builder)
    for host in builder.hosts:
        t.show(host.name, "ecc.uncorrected", 0.0, "D")
    t.warm_up()
    return t.show("h1", "ecc.uncorrected", 1.0, "D")


def hosts(needs: Needs, *hardware: Hardware | None, gib: int = 8) -> ClusterBuilder:
    """Return h1 with enough of everything and one VM ``a``, and h2 and so on with what is said."""
    builder = a_cluster().host("h1").described(Hardware(pools=(*pool(64).pools, *pool(64, ONE_GIB).pools)))
    builder = builder.running("a", gib, needs=needs)
    for number, one in enumerate(hardware, 2):
        builder = builder.host(f"h{number}")
        builder = builder if one is None else builder.described(one)
    return builder


def looked_at(t: Table, host: str) -> HostInventory:
    return next(one for one in t.inventories() if isinstance(one, HostInventory) and one.host == host)


def goes_to(t: Table) -> list[str]:
    return [order.move.target for order in t.step().orders]


def said_of(t: Table, host: str) -> list[tuple[str, str]]:
    """Return what speaks against a host as a target, in the plan's summed-up refusals."""
    return [(one.kind, one.detail) for no in t.step().view.noes for one in no.against if one.host == host]


def test_it_goes_only_where_pages_of_its_size_are_free() -> None:
    builder = hosts(pages(8), pool(4), pool(64, ONE_GIB), None, pool(16), Hardware())
    assert goes_to(failing(builder)) == ["h5"]


def test_the_plan_says_why_nobody_has_the_pages_with_the_numbers() -> None:
    t = failing(hosts(pages(8), pool(4), pool(64, ONE_GIB), None))
    assert goes_to(t) == []
    assert said_of(t, "h2") == [("huge-pages", "needs 4096 huge pages of 2.0 MiB, 2048 of 2048 are left there")]
    assert said_of(t, "h3") == [("huge-pages", "needs 4096 huge pages of 2.0 MiB, 0 of 0 are left there")]
    assert said_of(t, "h4") == [("huge-pages", "needs 8.0 GiB of huge pages, and how many are free there is not known")]


def test_pages_of_whoever_is_there_are_not_free_twice() -> None:
    """The hypervisor may count pages as free that a VM has not touched yet."""
    builder = hosts(pages(8), pool(12)).running("b", 6, needs=pages(6))
    t = failing(builder)
    inventory = looked_at(t, "h2")
    lazy = replace(inventory, pages_free={(0, TWO_MIB): 12 * GIB // TWO_MIB})
    room = PageRoom((inventory, lazy), ((), ()))
    assert (room.left(0), room.left(1)) == ({TWO_MIB: 3072}, {TWO_MIB: 3072})
    assert goes_to(t) == []


def test_a_plan_does_not_promise_the_same_pages_twice() -> None:
    three = a_cluster().host("h1").described(pool(64))
    for name in "abc":
        three = three.running(name, 8, needs=pages(8))
    three = three.host("h2").described(pool(12)).host("h3").described(pool(12))
    t = failing(three)
    assert sorted(goes_to(t)) == ["h2", "h3"]


def test_pages_of_a_move_in_flight_are_taken_before_its_target_shows_it() -> None:
    two = a_cluster().host("h1").described(pool(64)).running("a", 8, needs=pages(8)).running("b", 8, needs=pages(8))
    t = failing(two.host("h2").described(pool(12)))
    (first,) = t.step().orders
    assert snapshot_of(t).pages.left(1) == {TWO_MIB: 2048}
    assert snapshot_of(t).hosts.reserved[1] == 0
    t.begin(first)
    t.wait(1.0)
    assert goes_to(t) == []
    assert snapshot_of(t).pages.left(1) == {TWO_MIB: 2048}
    t.step(t.finish(first))
    assert snapshot_of(t).pages.left(1) == {TWO_MIB: 2048}


def test_a_move_that_failed_gives_its_pages_back() -> None:
    t = failing(hosts(pages(8), pool(12)))
    (order,) = t.step().orders
    t.begin(order)
    t.wait(1.0).step()
    t.step(t.roll_back(order, CallResult.ERROR))
    t.settle(3, 10.0)
    assert not t.controller.ledger.migrations
    assert snapshot_of(t).pages.left(1) == {TWO_MIB: 6144}


def test_of_a_vm_that_nobody_shows_all_memory_is_held_of_either_kind() -> None:
    t = failing(hosts(pages(8), pool(12)))
    (order,) = t.step().orders
    del t.world["h1"][order.move.vm]
    t.wait(1.0).step()
    snapshot = snapshot_of(t)
    assert snapshot.hosts.reserved[1] == 8 * GIB
    assert snapshot.pages.left(1) == {TWO_MIB: 2048}


def test_huge_pages_are_no_room_for_others_and_their_vms_take_none_of_it() -> None:
    builder = a_cluster().host("h1").described(pool(64)).running("a", 32, needs=pages(32)).running("b", 4)
    t = table(replace(builder, hosts=tuple(replace(host, memory_limit=None) for host in builder.hosts))).warm_up()
    hosts_ = snapshot_of(t).hosts
    assert (hosts_.limit[0], hosts_.used[0]) == ((2048 - 4 - 64) * GIB, 4 * GIB)
    t = table(builder).warm_up()
    assert snapshot_of(t).hosts.limit[0] == 0, "an operator's limit holds for all VMs, and the pages are some of them"


@pytest.mark.parametrize(("hardware", "held"), [
    (None, 32), (Hardware(), 32), (pool(64, ONE_GIB), 32), (pool(16), 16), (pool(32), 0), (pool(64), 0)])
def test_what_no_pool_has_comes_from_ordinary_memory(hardware: Hardware | None, held: int) -> None:
    builder = a_cluster().host("h1")
    builder = builder if hardware is None else builder.described(hardware)
    t = table(builder.running("a", 20, needs=pages(20)).running("b", 12, needs=pages(12))).warm_up()
    assert looked_at(t, "h1").ordinary_held == held_by(snapshot_of(t).facts[0]) == held * GIB


def test_pages_of_whichever_size_come_from_what_others_leave() -> None:
    both = Hardware(pools=(*pool(8).pools, *pool(8, ONE_GIB).pools))
    builder = a_cluster().host("h1").described(both).running("a", 6, needs=pages(6))
    builder = builder.running("b", 12, needs=pages(12, Bytes(0)))
    t = table(builder).warm_up()
    assert looked_at(t, "h1").ordinary_held == held_by(snapshot_of(t).facts[0]) == 2 * GIB


def test_a_host_is_given_no_more_for_huge_pages_that_it_has_not_got() -> None:
    t = failing(a_cluster().host("h1").running("a", 32).host("h2").running("b", 40, needs=pages(40)))
    assert goes_to(t) == []
    assert planned(t, "a") == (f"h2: {32 * GIB} B arrive where {24 * GIB} B are left with everything in flight",)


def test_part_of_a_vm_may_come_from_huge_pages() -> None:
    t = failing(hosts(pages(4), pool(6), gib=8))
    snapshot = snapshot_of(t)
    assert (snapshot.vms.memory[0], snapshot.vms.copied[0]) == (4 * GIB, 8 * GIB)
    (order,) = t.step().orders
    assert order.move.memory == 8 * GIB
    t.wait(1.0)
    assert snapshot_of(t).hosts.reserved[1] == 4 * GIB


def test_one_that_names_no_size_needs_its_pages_of_every_size_that_is_set_aside() -> None:
    needs = pages(8, Bytes(0))
    both = Hardware(pools=(*pool(16).pools, *pool(4, ONE_GIB).pools))
    assert goes_to(failing(hosts(needs, both))) == []
    assert goes_to(failing(hosts(needs, pool(16)))) == ["h2"]
    assert goes_to(failing(hosts(needs, pool(16, ONE_GIB)))) == ["h2"]
    assert said_of(failing(hosts(needs, pool(0))), "h2") == [
        ("huge-pages", "needs 8.0 GiB of huge pages, none are set aside there")]


def test_pages_must_lie_on_the_nodes_that_memory_is_bound_to() -> None:
    needs = replace(pages(8), nodes=(1,))
    elsewhere = Hardware((0, 1), pools=(*pool(16).pools, *pool(4, node=1).pools))
    there = Hardware((0, 1), pools=(*pool(4).pools, *pool(16, node=1).pools))
    t = failing(hosts(needs, elsewhere))
    assert said_of(t, "h2") == [
        ("huge-pages", "needs 4096 huge pages of 2.0 MiB, 2048 of 10240 are left there on NUMA node 1")]
    assert goes_to(failing(hosts(needs, there))) == ["h2"]


def test_pages_of_whoever_is_bound_to_a_node_are_not_free_there_twice() -> None:
    needs, there = replace(pages(8), nodes=(1,)), Hardware((0, 1), pools=(*pool(16).pools, *pool(12, node=1).pools))
    short = "needs 4096 huge pages of 2.0 MiB, 3072 of 14336 are left there on NUMA node 1"
    for bound, words in (((1,), short), ((0,), "")):
        t = table(hosts(needs, there).running("b", 6, needs=replace(pages(6), nodes=bound))).warm_up()
        # not touched yet
        untouched = replace(looked_at(t, "h2"), pages_free={(0, TWO_MIB): 8192, (1, TWO_MIB): 6144})
        assert PageRoom((untouched,), ((),)).why_short(needs, 0) == words


def test_the_checker_counts_pages_of_nodes_by_itself() -> None:
    bound, there = replace(pages(8), nodes=(1,)), Hardware((0, 1), pools=(*pool(64).pools, *pool(12, node=1).pools))
    two = a_cluster().host("h1").described(there).running("a", 8, needs=bound).running("b", 8, needs=bound)
    t = table(two.running("c", 8, needs=replace(bound, nodes=(0,))).host("h2").described(there)).warm_up()
    assert planned(t, "a", "c") == ()
    assert planned(t, "a", "b") == ("h2: 8192 pages of 2097152 B are counted on at NUMA nodes that have 6144 of them",)


@pytest.mark.parametrize(("needs", "there", "kind", "words"), [
    (Needs(nodes=(0, 2)), Hardware(nodes=(0, 1)), "numa",
     "its memory is bound to NUMA node 2, and there is only 0-1"),
    (Needs(cpus=(6, 7, 8, 9)), Hardware(cpus=tuple(range(8))), "numa",
     "it is pinned to processor 8-9, and there are only 0-7"),
    (Needs(arch="x86_64", machine="pc-q35-9.0", kind="kvm"),
     Hardware(emulators=(Emulator("x86_64", ("kvm", "qemu"), ("pc-q35-7.2",)),)), "machine-type",
     "pc-q35-9.0 (kvm, x86_64) is not offered there"),
    (Needs(arch="x86_64", machine="pc-q35-7.2", kind="kvm"),
     Hardware(emulators=(Emulator("x86_64", ("qemu",), ("pc-q35-7.2",)),)), "machine-type",
     "pc-q35-7.2 (kvm, x86_64) is not offered there"),
])
def test_what_is_not_there_is_named(needs: Needs, there: Hardware, kind: str, words: str) -> None:
    t = failing(hosts(needs, there))
    assert (goes_to(t), said_of(t, "h2")) == ([], [(kind, words)])
    assert goes_to(failing(hosts(needs, Hardware()))) == ["h2"], "what is not known speaks against nothing"
    assert goes_to(failing(hosts(needs, None))) == ["h2"]


def test_one_that_sees_its_hosts_processor_goes_to_an_equal_one() -> None:
    builder = a_cluster().host("h1").described(Hardware(processor=("EPYC", "AMD", "1"))).running(
        "a", needs=Needs(sees_host=True)).host("h2")
    other, equal = Hardware(processor=("EPYC", "AMD", "2")), Hardware(processor=("EPYC", "AMD", "1"))
    t = failing(builder.described(other))
    assert (goes_to(t), said_of(t, "h2")) == ([], [("cpu", "it sees its host's own processor, and they differ: EPYC AMD 1 "
                                                          "here, EPYC AMD 2 there")])
    assert goes_to(failing(builder.described(equal))) == ["h2"]
    assert goes_to(failing(builder)) == ["h2"]


def test_what_a_host_said_of_its_like_holds_until_it_is_another_machine() -> None:
    builder = hosts(Needs(likeness="4711"), None, None)
    t = table(builder)
    t.misfits = {"h2": {"4711": "the target's processor lacks something this guest has"}, "h3": {"0815": "no"}}
    t.show("h1", "ecc.uncorrected", 0.0, "D").warm_up().show("h1", "ecc.uncorrected", 1.0, "D")
    assert goes_to(t) == ["h3"]
    t = table(builder)
    t.misfits = {"h2": {"4711": "no"}, "h3": {"4711": "no"}}
    t.show("h1", "ecc.uncorrected", 0.0, "D").warm_up().show("h1", "ecc.uncorrected", 1.0, "D")
    assert (goes_to(t), said_of(t, "h2")) == ([], [("cpu", "no")])
    t.misfits = {"h3": {"4711": "no"}}
    t.wait(60.0)
    assert goes_to(t) == ["h2"]


def test_the_checker_counts_all_who_are_bound_to_the_same_nodes() -> None:
    """h2 has 4 GiB of pages at node 1, and enough at node 0."""
    small = hosts(replace(pages(2), nodes=(1,)), gib=2)
    there = Hardware((0, 1), pools=(*pool(16).pools, *pool(4, node=1).pools))
    for gib, nodes, why in (
            (2, (1,), ()), (4, (0, 1), ()), (8, (0,), ()),
            (4, (1,), ("h2: 3072 pages of 2097152 B are counted on at NUMA nodes that have 2048 of them",))):
        both = small.running("b", gib, needs=replace(pages(gib), nodes=nodes)).host("h2").described(there)
        assert planned(table(both).warm_up(), "a", "b") == why, (gib, nodes)


def planned(t: Table, *names: str, to: str = "h2") -> tuple[str, ...]:
    """Return what the checker says of moves off h1 that nobody asked the constraints about."""
    snapshot = snapshot_of(t)
    moves = tuple(Move(vm_id(name), name, HostName("h1"), HostName(to), t.world["h1"][vm_id(name)].memory_max, Seconds(1.0),
                       "test", "") for name in names)
    return check_plan(snapshot, moves, failover_hosts=0)


@pytest.mark.parametrize(("needs", "why"), [
    (NO_NEEDS, ()), (pages(8), ()), (pages(8, 0), ()),
    (pages(1, ONE_GIB), ((RefusalKind.HUGE_PAGES, "needs 1 huge pages of 1.0 GiB, 0 are set aside there"),)),
    (pages(16), ((RefusalKind.HUGE_PAGES, "needs 8192 huge pages of 2.0 MiB, 6144 are set aside there"),)),
    (replace(pages(8), nodes=(0,)), ()),
    (replace(pages(16), nodes=(0,)),
     ((RefusalKind.HUGE_PAGES, "needs 8192 huge pages of 2.0 MiB, 6144 are set aside there on NUMA node 0"),)),
    (Needs(nodes=(1,)), ((RefusalKind.NUMA, "its memory is bound to NUMA node 1, and there is only 0"),))])
def test_what_a_machine_has_not_got_at_all(needs: Needs, why: tuple[tuple[RefusalKind, str], ...]) -> None:
    assert why_lacking(needs, pool(12, nodes=(0,))) == why
    assert why_lacking(needs, None) == ()
    if not needs.nodes and needs.backing:
        assert [kind for kind, _ in why_lacking(pages(8, 0), Hardware())] == [RefusalKind.HUGE_PAGES]


def test_the_checker_counts_pages_by_itself() -> None:
    two = a_cluster().host("h1").described(pool(64)).running("a", 8, needs=pages(8)).running("b", 8, needs=pages(8))
    t = table(two.host("h2").described(pool(12)).host("h3").host("h4").described(pool(64, ONE_GIB))).warm_up()
    assert planned(t, "a") == ()
    assert planned(t, "a", "b") == ("h2: 8192 pages of 2097152 B are to come where 6144 of 6144 are free",)
    assert planned(t, "a", to="h3") == ("h3: huge pages are counted on where nobody knows how many are free",)
    assert planned(t, "a", to="h4") == ("h4: 4096 pages of 2097152 B are to come where 0 of 0 are free",)


def test_the_checker_knows_where_no_page_of_any_size_is_set_aside() -> None:
    builder = a_cluster().host("h1").described(pool(64)).running("a", 8, needs=pages(8, 0))
    t = table(builder.host("h2").described(pool(0)).host("h3").described(pool(64))).warm_up()
    assert planned(t, "a") == ("h2: huge pages of whatever size are counted on where none are set aside",)
    assert planned(t, "a", to="h3") == ()


@pytest.mark.parametrize("needs", [
    Needs(nodes=(1,)), Needs(cpus=(9,)), Needs(arch="x86_64", machine="q36", kind="kvm"), Needs(sees_host=True),
    Needs(likeness="4711")])
def test_the_checker_knows_machines_by_itself(needs: Needs) -> None:
    there = Hardware((0,), tuple(range(8)), (), ("EPYC",), (Emulator("x86_64", ("kvm",), ("q35",)),))
    builder = a_cluster().host("h1").described(replace(there, processor=("Xeon",))).running("a", needs=needs)
    t = table(builder.host("h2").described(there).host("h3"))
    t.misfits = {"h2": {"4711": "no"}}
    t.warm_up()
    assert len(planned(t, "a")) == 1
    assert planned(t, "a", to="h3") == ()


def test_who_is_paused_holds_his_pages_and_who_is_off_does_not() -> None:
    for state, left in ((VmState.PAUSED, 2048), (VmState.SHUTOFF, 6144)):
        builder = hosts(pages(8), pool(12)).running("b", 8, needs=pages(8), state=state)
        assert snapshot_of(table(builder).warm_up()).pages.left(1) == {TWO_MIB: left}


def test_the_unknown_and_numbers_in_words() -> None:
    assert unknown_needs(GIB).backed == GIB
    assert numbers_in_words((8, 3, 1, 2, 2)) == "1-3,8"
    assert numbers_in_words(()) == ""


BUSY = BalancePolicy("even-load", mode=Mode.AUTO, imbalance_above=1.0)


@pytest.mark.parametrize("is_declared", [True, False])
@pytest.mark.parametrize(("policy", "used"), [(BUSY, 4.6), (replace(BUSY, imbalance_above=0.2), 3.0)])
def test_hosts_whose_memory_is_all_in_huge_pages_are_as_cool_as_their_processors(
        policy: BalancePolicy, used: float, is_declared: bool) -> None:
    """Of each machine of 2048 GiB the pages leave 2, less than is kept for itself."""
    builder = a_cluster().host("h1").described(pool(2046, ONE_GIB))
    for name in "abc":
        builder = builder.running(name, 8, needs=pages(8, ONE_GIB))
    builder = builder.host("h2").described(pool(2046, ONE_GIB)).host("h3").described(pool(2046, ONE_GIB))
    if not is_declared:
        builder = replace(builder, hosts=tuple(replace(host, memory_limit=None) for host in builder.hosts))
    t = table(builder, replace(POLICIES, balance=(policy,))).warm_up().burn(a=used, b=used, c=used)
    decisions = t.burn_on(2000.0)
    assert snapshot_of(t).hosts.limit.tolist() == [0, 0, 0]
    assert t.controller.ledger.broken is None
    assert {order.move.source for decision in decisions for order in decision.orders} == {"h1"}
