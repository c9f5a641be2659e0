"""When VMs leave a host that is emptied: over shared links, within limits, and what is told of it."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest

from ballastd.cli.live.acts import migrations, moves
from ballastd.cli.plan import safe_in
from ballastd.core.explanation import explain
from ballastd.core.inputs import Verb
from ballastd.core.plans import Move
from ballastd.core.policies import AutoConverge, Limits, VmSelector
from ballastd.core.prediction import HANDSHAKE_SECONDS
from ballastd.core.quantities import GIB, Bytes, HostName, Seconds, human_seconds
from ballastd.core.schedules import schedule
from ballastd.core.statements import move_told
from tests.builders import POLICIES, a_cluster, four_hosts, table, vm_id

LINKS = {HostName(name): 1024.0 for name in ("h1", "h2", "h3")}
ALONE = Limits(in_flight_host_out=1, link_share=1.0)
TWO = Limits(in_flight_host_out=2, in_flight_host_in=2, link_share=1.0)


def move(name: str, gib: int, target: str = "h2") -> Move:
    return Move(vm_id(name), name, HostName("h1"), HostName(target), Bytes(gib * GIB), Seconds(1.0), "it", "")


def ends(moves, limits, links=LINKS) -> dict[str, float]:
    names = {one.vm: one.vm_name for one in moves}
    return {names[one.vm]: one.ends for one in schedule(moves, (), links, limits, 0.0)}


def test_one_after_the_other_each_copies_at_the_whole_link() -> None:
    found = ends((move("a", 1), move("b", 2)), ALONE)
    assert found == {"a": pytest.approx(HANDSHAKE_SECONDS + 1.0), "b": pytest.approx(2 * HANDSHAKE_SECONDS + 3.0)}


def test_two_at_a_time_share_the_link_and_the_one_that_is_left_has_it_alone() -> None:
    found = ends((move("a", 1), move("b", 2)), TWO)
    assert found["a"] == pytest.approx(HANDSHAKE_SECONDS + 2.0)
    assert found["b"] == pytest.approx(HANDSHAKE_SECONDS + 3.0), "three GiB over one link"


def test_the_narrower_end_decides() -> None:
    slow = {**LINKS, HostName("h3"): 256.0}
    assert ends((move("a", 1, "h3"),), TWO, slow) == {"a": pytest.approx(HANDSHAKE_SECONDS + 4.0)}


@pytest.mark.parametrize(("limits", "first"), [
    (replace(TWO, in_flight_host_in=1), {"a", "c"}), (replace(TWO, in_flight_cluster=1), {"a"})])
def test_limits_of_targets_and_of_the_cluster_are_kept(limits: Limits, first: set[str]) -> None:
    moves = (move("a", 4), move("b", 1), move("c", 1, "h3"))
    begins = {one.vm: one.begins for one in schedule(moves, (), LINKS, limits, 0.0)}
    assert {one.vm_name for one in moves if begins[one.vm] == 0.0} == first
    assert len(begins) == 3


def test_many_small_vms_take_little_longer_than_their_bytes() -> None:
    moves = tuple(move(f"v{number:03}", 8, "h2" if number % 2 else "h3") for number in range(100))
    lasts = schedule(moves, (), LINKS, TWO, 0.0)[-1].ends
    assert 800.0 <= lasts <= 1.10 * 800.0


def test_what_is_under_way_holds_its_place_and_is_safe_when_it_was_said_to_be() -> None:
    t = table(four_hosts(vms_each=3), replace(POLICIES, limits=replace(POLICIES.limits, failover_hosts=0))).warm_up()
    decision = t.say(Verb.DRAIN, "h1")
    assert len(decision.orders) == 2
    for order in decision.orders:
        t.begin(order)
    view = t.wait(1.0).step().view
    (intent,) = view.intents
    assert intent.forecast.startswith("3 VM(s), "), "two that move and one that waits"
    assert [point.vms for point in intent.coverage] == [1, 2, 3]
    assert [point.memory for point in intent.coverage] == [8 * GIB, 16 * GIB, 24 * GIB]
    assert intent.coverage[-1].seconds > intent.coverage[0].seconds


def test_what_leaves_another_host_takes_its_share_and_is_not_counted_here() -> None:
    limits = replace(POLICIES.limits, failover_hosts=0, in_flight_cluster=2)
    t = table(four_hosts(vms_each=1), replace(POLICIES, limits=limits)).warm_up()
    alone = t.say(Verb.DRAIN, "h1").view.intents[0].coverage
    beside = {intent.host: intent.coverage for intent in t.say(Verb.DRAIN, "h2").view.intents}
    assert [point.vms for point in beside["h2"]] == [1]
    assert len(t.controller.ledger.migrations) == 2
    third = {intent.host: intent.coverage for intent in t.say(Verb.DRAIN, "h3").view.intents}["h3"]
    assert third[-1].seconds > 1.5 * alone[-1].seconds, "two migrations may be in flight, and two are"


def test_who_dirties_memory_as_fast_as_it_is_copied_leaves_last_and_is_not_counted_as_safe() -> None:
    limits = replace(POLICIES.limits, failover_hosts=0, auto_converge=AutoConverge.NEVER, in_flight_cluster=1)
    builder = a_cluster().host("h1").running("busy", 2).running("calm", 8).running("idle", 4).host("h2")
    t = table(builder, replace(POLICIES, limits=limits)).warm_up()
    t.dirtying["busy"] = 900.0
    t.wait(1.0).step()
    view = t.say(Verb.DRAIN, "h1").view
    assert [(one.vm_name, one.ends) for one in view.moves] == [("idle", True), ("calm", True), ("busy", False)]
    (intent,) = view.intents
    assert intent.forecast.startswith("2 VM(s), 12.0 GiB, in about ")
    assert intent.forecast.endswith("; 1 dirty memory as fast as it is copied")
    assert [point.vms for point in intent.coverage] == [1, 2]
    busy = view.moves[-1].account
    assert busy is not None
    assert "time on the link for its first round, and more without an end" in {one.name for one in busy.costs}


@pytest.mark.parametrize("never", [AutoConverge.NEVER, AutoConverge.SAVING])
def test_who_never_ends_is_not_counted_as_safe_once_it_is_under_way_either(never: AutoConverge) -> None:
    limits = replace(POLICIES.limits, failover_hosts=0, auto_converge=never, in_flight_cluster=1)
    builder = a_cluster().host("h1").running("busy", 2).running("calm", 8).host("h2")
    t = table(builder, replace(POLICIES, limits=limits)).warm_up()
    t.dirtying["busy"] = 900.0
    t.step()
    t.fly("busy", "h1", "h2", routine=False, may_slow=never is AutoConverge.SAVING)
    view = t.wait(1.0).say(Verb.DRAIN, "h1").view
    (intent,), (flight,) = view.intents, view.migrations
    told = explain(view, flight.id)
    assert told is not None
    if never is AutoConverge.SAVING:
        assert intent.forecast.startswith("2 VM(s), 10.0 GiB, in about ")
        assert "predicted: 4.1 s, with at most 600 MiB/s" in "\n".join(told.lines())
    else:
        assert intent.forecast.startswith("1 VM(s), 8.0 GiB, in about ")
        assert intent.forecast.endswith("; 1 dirty memory as fast as it is copied")
        assert "predicted: no end, with at most 600 MiB/s" in "\n".join(told.lines())
        assert migrations(view, 5).rows[0][7].text == "1s of no end"
    late = explain(replace(view, migrations=(replace(flight, elapsed=8.2),)), flight.id)
    assert late is not None
    assert ("times the prediction" in "\n".join(late.lines())) is (never is AutoConverge.SAVING)


def test_two_policies_that_empty_a_host_each_count_their_own() -> None:
    """The evacuation speaks of ``calm`` alone, so that ``busy`` is a matter of the drain."""
    limits = replace(POLICIES.limits, failover_hosts=0, auto_converge=AutoConverge.NEVER, in_flight_cluster=1)
    chosen = replace(POLICIES.evacuation[0], vms=VmSelector(names=("calm",)))
    t = table(a_cluster().host("h1").running("busy", 2).running("calm", 8).host("h2"),
              replace(POLICIES, limits=limits, evacuation=(chosen,)))
    t.show("h1", "ecc.uncorrected", 0.0, "D").show("h2", "ecc.uncorrected", 0.0, "D").warm_up()
    t.dirtying["busy"] = 900.0
    t.step()
    t.show("h1", "ecc.uncorrected", 1.0, "D")
    view = t.say(Verb.DRAIN, "h1").view
    told = {intent.policy: intent.forecast for intent in view.intents}
    assert [move.policy for move in view.moves if not move.ends] == ["operator"]
    assert {policy for policy, forecast in told.items() if "as fast as it is copied" in forecast} == {"operator"}


def test_a_move_that_never_ends_is_told_without_a_time() -> None:
    limits = replace(POLICIES.limits, failover_hosts=0, auto_converge=AutoConverge.NEVER)
    t = table(a_cluster().host("h1").running("busy", 2).host("h2"), replace(POLICIES, limits=limits)).warm_up()
    t.dirtying["busy"] = 900.0
    t.step()
    [move] = t.say(Verb.DRAIN, "h1").view.moves
    assert move_told(move).text.startswith("planned: busy from h1 to h2 (2.0 GiB, no end), ")
    assert move_told(replace(move, ends=True)).text.startswith("planned: busy from h1 to h2 (2.0 GiB, about 4.1 s), ")
    assert [moves(replace(view, moves=(move,)), 1).rows[0][5].text for view in [t.step().view]] == ["no end"]


def test_who_has_nowhere_to_go_is_counted_apart() -> None:
    builder = a_cluster().host("h1").running("large", 60).running("small", 4).host("h2", 16)
    t = table(builder, replace(POLICIES, limits=replace(POLICIES.limits, failover_hosts=0))).warm_up()
    (intent,) = t.say(Verb.DRAIN, "h1").view.intents
    assert intent.forecast.startswith("1 VM(s), 4.0 GiB")
    assert intent.forecast.endswith("1 have nowhere to go")


def test_each_vm_is_told_when_it_leaves_and_whether_that_is_after_the_deadline() -> None:
    limits = replace(POLICIES.limits, failover_hosts=0, in_flight_cluster=1, in_flight_host_out=1)
    due_soon = replace(POLICIES.evacuation[0], deadline=Seconds(35.0))
    t = table(a_cluster().host("h1").crowd("v", 3).host("h2").host("h3"),
              replace(POLICIES, limits=limits, evacuation=(due_soon,)))
    for host in ("h1", "h2", "h3"):
        t.show(host, "ecc.uncorrected", 0.0, "D")
    t.warm_up()
    t.show("h1", "ecc.uncorrected", 1.0, "D")
    begun = t.step().orders
    view = t.begin(begun[0]).wait(1.0).step().view
    (intent,) = view.intents
    first, second, third = intent.schedule
    assert (first.vm_name, first.begins, first.late) == ("v0", 0.0, None)
    assert (second.vm_name, second.begins, second.late) == ("v1", first.safe, None)
    assert intent.deadline_wall is not None
    due = intent.deadline_wall - view.wall
    assert second.safe <= due < third.safe
    assert (third.vm_name, third.late) == ("v2", pytest.approx(third.safe - due, abs=0.1))
    assert "2 of them by the deadline; too late: v2" in intent.forecast
    assert [(one.vm_name, one.leaves) for one in view.moves] == [("v1", second), ("v2", third)]
    told = explain(view, view.moves[-1].vm)
    assert told is not None
    words = f"is safe in about {human_seconds(third.safe)}, {human_seconds(third.late or 0.0)} after the deadline"
    assert words in "\n".join(told.lines())
    assert safe_in(asdict(third)).endswith("s, late")


def test_without_a_deadline_nobody_is_late_and_a_routine_move_has_no_schedule() -> None:
    t = table(four_hosts(vms_each=2), replace(POLICIES, limits=replace(POLICIES.limits, failover_hosts=0))).warm_up()
    view = t.say(Verb.DRAIN, "h1").view
    assert [one.late for one in view.intents[0].schedule] == [None, None]
    assert "too late" not in view.intents[0].forecast
    assert safe_in(None) == "-"
