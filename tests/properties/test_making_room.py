"""Moves that wait for one another: sound in every order of beginnings and endings, and found wherever one VM is enough."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ballastd.core.checking_order import check_order
from ballastd.core.decisions import Decision
from ballastd.core.ledger import Ledger
from ballastd.core.plans import Move
from ballastd.core.quantities import Bytes, HostName, Seconds, VmId
from ballastd.core.views import MoveView
from tests.builders import ClusterBuilder, Table, a_cluster, table

SIZES = st.sampled_from([2, 4, 6, 8, 12, 20, 31])
Places = dict[str, dict[str, int]]


@st.composite
def tight_clusters(draw: st.DrawFn) -> ClusterBuilder:
    """Some VMs on h0, which fails, and hosts beside it that have little room."""
    builder = a_cluster().host("h0", 64)
    for v in range(draw(st.integers(1, 3))):
        builder = builder.running(f"h0v{v}", draw(st.sampled_from([8, 12, 16, 20])))
    for h in range(1, draw(st.integers(3, 5))):
        sizes = draw(st.lists(SIZES, min_size=1, max_size=4))
        builder = builder.host(f"h{h}", sum(sizes) + draw(st.sampled_from([0, 1, 2, 4, 8, 11, 13])))
        for v, gib in enumerate(sizes):
            builder = builder.running(f"h{h}v{v}", gib)
    return builder


def planned(builder: ClusterBuilder) -> tuple[Table, Decision]:
    t = table(builder)
    for declared in t.cluster.hosts:
        t.show(declared.name, "ecc.uncorrected", 0.0, "D")
    t.warm_up()
    t.show("h0", "ecc.uncorrected", 1.0, "D")
    return t, t.step()


def overfilled(limits: dict[str, int], start: Places, moves: tuple[MoveView, ...]) -> str:
    """Try every order in which the moves may begin and end, each beginning only once those that it waits for have arrived;
    return who holds too much then, or that somebody waits for ever."""
    waiting, flying, arrived = frozenset(range(len(moves))), frozenset[int](), frozenset[int]()
    known, states = {(waiting, flying)}, [(waiting, flying, arrived)]
    while states:
        waiting, flying, arrived = states.pop()
        there = {host: dict(vms) for host, vms in start.items()}
        for number in flying | arrived:
            there[moves[number].target][moves[number].vm] = moves[number].memory
        for number in arrived:
            del there[moves[number].source][moves[number].vm]
        for host, vms in there.items():
            if sum(vms.values()) > limits[host]:
                return f"{host} holds {vms} of {limits[host]}"
        gone = {moves[number].vm for number in arrived}
        may = {number for number in waiting if gone.issuperset(moves[number].after)}
        if waiting and not may and not flying:
            return "nobody may begin"
        following = [(waiting - {number}, flying | {number}, arrived) for number in may]
        following += [(waiting, flying - {number}, arrived | {number}) for number in flying]
        for state in following:
            if state[:2] not in known:
                known.add(state[:2])
                states.append(state)
    return ""


def seen(t: Table) -> tuple[dict[str, int], Places]:
    limits = {host.name: int(host.memory_limit or 0) for host in t.cluster.hosts}
    return limits, {name: {record.vm: int(record.memory_max) for record in vms.values()} for name, vms in t.world.items()}


@given(tight_clusters())
@settings(max_examples=60)
def test_every_order_that_keeps_to_who_waits_for_whom_is_sound_at_every_instant(builder: ClusterBuilder) -> None:
    t, decision = planned(builder)
    limits, start = seen(t)
    assert not overfilled(limits, start, decision.view.moves)
    made = [move for move in decision.view.moves if move.room_for]
    assert all(move.source != "h0" and "h0" not in (move.target,) for move in made)
    assert len(made) <= sum(1 for move in decision.view.moves if move.after), "more make room than wait for it"


@given(tight_clusters(), st.data())
@settings(max_examples=60)
def test_whatever_ends_first_the_cluster_stays_sound_and_nobody_makes_room_twice(builder: ClusterBuilder,
                                                                                  data: st.DataObject) -> None:
    t, decision = planned(builder)
    limits, _ = seen(t)
    flying, ordered = [], list[VmId]()
    for _ in range(25):
        for order in decision.orders:
            t.begin(order)
            flying.append(order)
            ordered.append(order.move.vm)
        now = {name: sum(record.memory_max for record in vms.values()) for name, vms in t.world.items()}
        assert all(held <= limits[name] for name, held in now.items())
        if flying and data.draw(st.booleans()):
            order = flying.pop(data.draw(st.integers(0, len(flying) - 1)))
            back = data.draw(st.integers(0, 5)) == 0
            decision = t.wait(1.0).step(t.roll_back(order) if back else t.finish(order))
            if back:
                ordered.remove(order.move.vm)
        else:
            decision = t.wait(1.0).step()
    assert len(set(ordered)) == len(ordered)


def one_is_enough(t: Table) -> bool:
    """The oracle, for one VM that must leave h0: whether a host has room for it, or has once one VM of it is elsewhere."""
    limits, there = seen(t)
    (need,) = there["h0"].values()
    room = {host: limits[host] - sum(vms.values()) for host, vms in there.items() if host != "h0"}
    if any(left >= need for left in room.values()):
        return True
    return any(room[host] + size >= need and any(room[other] >= size for other in room if other != host)
               for host in room for size in there[host].values())


@given(tight_clusters())
@settings(max_examples=60)
def test_where_one_vm_can_make_room_it_does(builder: ClusterBuilder) -> None:
    host, records = builder.vms[0]
    t, decision = planned(replace(builder, vms=((host, records[:1]), *builder.vms[1:])))
    leaves = any(move.source == "h0" for move in decision.view.moves)
    assert leaves == one_is_enough(t)


@given(tight_clusters())
@settings(max_examples=60, suppress_health_check=[HealthCheck.filter_too_much])
def test_the_checker_finds_out_who_does_not_wait_or_waits_for_the_wrong_one(builder: ClusterBuilder) -> None:
    t, decision = planned(builder)
    waiting = [move for move in decision.view.moves if move.after]
    assume(waiting)
    snapshot = t.controller._last
    assert snapshot is not None
    moves = tuple(as_move(move) for move in decision.view.moves)
    assert not check_order(snapshot, Ledger(), moves)
    first = next(move for move in moves if move.after)
    others = tuple(move for move in moves if move is not first)
    assert check_order(snapshot, Ledger(), (*others, replace(first, after=(first.vm,)))), "waits for itself"
    alone = (*others, replace(first, after=(VmId("nobody"),)))
    assert check_order(snapshot, Ledger(), alone), "waits for nobody who leaves"
    limits, start = seen(t)
    assert overfilled(limits, start, tuple(replace(move, after=()) for move in decision.view.moves)), "need not have waited"


def as_move(move: MoveView) -> Move:
    return Move(VmId(move.vm), move.vm_name, HostName(move.source), HostName(move.target), Bytes(move.memory),
                Seconds(move.predicted), move.policy, move.because, after=tuple(VmId(vm) for vm in move.after),
                room_for=HostName(move.room_for) if move.room_for else None)
