"""The checker's second look: a move that its intent may not make is found, one that it may make is let pass."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from ballastd.core.autonomy_events import RecommendationRejected
from ballastd.core.books import OPERATOR
from ballastd.core.checking_terms import check_terms
from ballastd.core.events import DuplicateSeen
from ballastd.core.intents import Fill, Intent, IntentKind
from ballastd.core.ledger import Ledger
from ballastd.core.loads import Hours
from ballastd.core.migrations import Ending, Failure, Migration, Moved, RoutineOrder
from ballastd.core.plans import Move
from ballastd.core.policies import (
    BalancePolicy,
    Cooldown,
    Edge,
    Health,
    Mode,
    MoveBudget,
    PlacementPolicy,
    PolicySet,
    Rule,
    Scope,
    VmSelector,
)
from ballastd.core.power_events import HostKept
from ballastd.core.quantities import GIB, Bytes, HostName, Instant, Seconds
from ballastd.core.snapshot import Snapshot
from tests.builders import WALL, a_cluster, table, vm_id

NOW = Instant(0.0, WALL, "boot-1")
HOUR = 3600.0
H1, H2, H3 = HostName("h1"), HostName("h2"), HostName("h3")
RELIEF = Intent(IntentKind.RELIEVE, H1, "even-load", "", Health.HEALTHY, NOW, fill=Fill(0.5, 0.5, 0.5), cooldown=Cooldown(),
                budget=MoveBudget())
SAVING = Intent(IntentKind.EVACUATE, H1, "failing", "", Health.FAILING, NOW, urgent=True)
PACKING = replace(RELIEF, kind=IntentKind.EMPTY, policy="nights", next_hosts=(H3,))
A_TO_H2 = Move(vm_id("a"), "a", H1, H2, Bytes(8 * GIB), Seconds(1.0), "even-load", "", routine=True)
B_TO_H2 = replace(A_TO_H2, vm=vm_id("b"), vm_name="b")
SAVED = replace(A_TO_H2, policy="failing", routine=False, urgent=True, reserve_waived=True)
PACKED = replace(A_TO_H2, policy="nights")
POLICY = BalancePolicy("even-load", hot=(Edge("cpu", 0.9), Edge("cpu", 0.8), Edge("memory", 0.9)), cool_cpu=0.5,
                       cool_memory=0.5)
NOTHING = PolicySet()


@cache
def seen() -> tuple[Snapshot, float]:
    """Return h1 with a and b, which use 4 of its 16 processors each, h2 with c, which uses 2, and h3, empty; 64 GiB each."""
    builder = a_cluster().host("h1", cooling="left").running("a", tags=("web",)).running("b", tags=("web",))
    t = table(builder.host("h2", cooling="left").running("c", tags=("db",)).host("h3", cooling="right"))
    t.burn(a=4.0, b=4.0, c=2.0).warm_up().burn_on(400.0)
    snapshot = t.controller._last
    assert snapshot is not None
    return snapshot, snapshot.now.wall


def wrong(*moves: Move, intent: Intent = RELIEF, ledger: Ledger | None = None, policies: PolicySet = NOTHING,
          snapshot: Snapshot | None = None, others: tuple[Intent, ...] = ()) -> str:
    """Return what the checker says."""
    shown = seen()[0] if snapshot is None else snapshot
    return "; ".join(check_terms(shown, Ledger() if ledger is None else ledger, (intent, *others), policies, moves))


def books(**kept: Any) -> Ledger:
    """Return a ledger with something in it."""
    ledger = Ledger()
    for name, value in kept.items():
        setattr(ledger, name, value)
    return ledger


def using(**of_host: float | None) -> Snapshot:
    """Return the snapshot with other processors in use on some hosts."""
    snapshot = seen()[0]
    return replace(snapshot, facts=tuple(replace(fact, load=replace(fact.load, used=of_host.get(
        fact.declared.name, fact.load.used))) for fact in snapshot.facts))


def test_what_may_be_done_is_not_objected_to() -> None:
    assert not wrong(A_TO_H2)
    assert not wrong(SAVED, intent=SAVING)
    assert not wrong(PACKED, intent=PACKING)


def test_nothing_is_moved_that_nobody_asks_for() -> None:
    assert "nobody asks for it" in wrong(replace(A_TO_H2, policy="else"))
    assert "nobody asks for it" in wrong(replace(A_TO_H2, source=H2, target=H3))
    evening = replace(RELIEF, kind=IntentKind.EVEN, host=H2)
    assert not wrong(A_TO_H2, intent=evening), "whoever is too full, evening out is asked of one host"


@pytest.mark.parametrize("more", [{"routine": False}, {"urgent": True}, {"windows": ("night",)}, {"reserve_waived": True}])
def test_a_move_says_of_itself_what_it_is(more: dict[str, Any]) -> None:
    assert "says of itself" in wrong(replace(A_TO_H2, **more))


def test_nobody_is_moved_who_is_on_his_way_or_whose_host_runs_somebody_a_second_time() -> None:
    flight = Migration("1-1", vm_id("a"), "a", H1, H3, A_TO_H2.memory, 100, "", "", seen()[1], seen()[1] + HOUR, 60.0)
    assert "is on its way to h3 already" in wrong(A_TO_H2, ledger=books(migrations={"1-1": flight}))
    assert not wrong(A_TO_H2, ledger=books(migrations={"1-1": replace(flight, vm=vm_id("b"))}))
    for hosts, is_wrong in (((H1, H3), True), ((H2, H3), False)):
        twice = DuplicateSeen(seen()[1], vm_id("twin"), "twin", hosts)
        assert ("where twin runs a second time" in wrong(A_TO_H2, ledger=books(duplicates={twice.vm: twice}))) is is_wrong


def test_nobody_is_moved_of_whom_the_policy_does_not_speak() -> None:
    others = replace(RELIEF, vms=VmSelector(tags=("db",)))
    assert "even-load speaks of other VMs" in wrong(A_TO_H2, intent=others)
    assert not wrong(A_TO_H2, intent=replace(RELIEF, vms=VmSelector(tags=("web",))))


def test_nobody_is_recommended_who_was_rejected() -> None:
    ledger, asked = Ledger(), replace(RELIEF, mode=Mode.RECOMMEND)
    key = f"even-load relieve, healthy h1 {vm_id('a')}"
    ledger.autonomy.rejected[key] = RecommendationRejected(seen()[1], "1", "ann", seen()[1] + HOUR, "even-load", "")
    assert "ann did not want it moved" in wrong(A_TO_H2, intent=asked, ledger=ledger)
    assert not wrong(A_TO_H2, ledger=ledger), "a policy that acts by itself is governed by its mode"


def test_a_rejection_is_about_the_host_that_the_vm_would_leave() -> None:
    """c makes room on h2 for h1, and a is evened off h1 where h2 is the fullest."""
    makes = Move(vm_id("c"), "c", H2, H3, A_TO_H2.memory, A_TO_H2.predicted, "failing", "because", urgent=True,
                 reserve_waived=True, routine=True, room_for=H1)
    asked = replace(SAVING, mode=Mode.RECOMMEND)
    evening = replace(RELIEF, kind=IntentKind.EVEN, host=H2, mode=Mode.RECOMMEND)
    for move, intent, reason in ((makes, asked, "failing evacuate, failing"), (A_TO_H2, evening, "even-load even, healthy")):
        for host, is_wrong in ((H1, move.source == H1), (H2, move.source == H2), (H3, False)):
            ledger = Ledger()
            ledger.autonomy.rejected[f"{reason} {host} {move.vm}"] = RecommendationRejected(
                seen()[1], "1", "ann", seen()[1] + HOUR, intent.policy, "")
            assert bool(wrong(move, intent=intent, ledger=ledger)) is is_wrong, (move.vm_name, host)


def test_who_is_saved_goes_where_the_same_fault_is_not() -> None:
    heat = replace(SAVING, avoid_labels=("power", "cooling"))
    assert "shares cooling" in wrong(SAVED, intent=heat)
    assert not wrong(replace(SAVED, target=H3), intent=heat)


def test_nothing_is_packed_onto_what_is_emptied_next() -> None:
    assert "emptied next" in wrong(replace(PACKED, target=H3), intent=PACKING)
    assert not wrong(replace(A_TO_H2, target=H3), others=(PACKING,)), "that is no matter of others"


def test_nobody_is_sent_to_where_he_failed_within_a_day() -> None:
    wall = seen()[1]

    def failed(ago: float, target: HostName = H2, *, withheld: bool = False) -> Ledger:
        return books(failures={vm_id("a"): (Failure(wall - ago, target, Ending.FAILED, withheld),)})

    assert "failed there" in wrong(SAVED, intent=SAVING, ledger=failed(23 * HOUR))
    assert not wrong(SAVED, intent=SAVING, ledger=failed(25 * HOUR))
    assert not wrong(SAVED, intent=SAVING, ledger=failed(HOUR, H3))
    assert not wrong(SAVED, intent=SAVING, ledger=failed(HOUR, withheld=True))


@pytest.mark.parametrize(("by", "rests"), [("even-load", 6), ("", 12)])
def test_who_was_moved_rests(by: str, rests: int) -> None:
    def moved(hours: float) -> Ledger:
        return books(moved={vm_id("a"): (Moved(seen()[1] - hours * HOUR, H3, H1, by),)})

    assert f"rests for {rests * 3600} s" in wrong(A_TO_H2, ledger=moved(rests - 0.1))
    assert not wrong(A_TO_H2, ledger=moved(rests + 0.1))
    assert not wrong(SAVED, intent=SAVING, ledger=moved(0.1)), "who is saved has no rest"


def test_nobody_is_moved_more_often_in_a_day_than_his_budget_says() -> None:
    def ordered(*hours: float) -> Ledger:
        return books(routine_orders=tuple(RoutineOrder(seen()[1] - ago * HOUR, "else", vm_id("a")) for ago in hours))

    assert "2 times within a day" in wrong(A_TO_H2, ledger=ordered(1, 23))
    assert not wrong(A_TO_H2, ledger=ordered(1, 25))


def test_nobody_goes_back_where_he_came_from_unless_that_was_switched_off_or_kept_on_meanwhile() -> None:
    wall = seen()[1]
    moved = {vm_id("a"): (Moved(wall - 20 * HOUR, H2, H3, "nights"), Moved(wall - 18 * HOUR, H3, H1, "nights"))}
    assert "goes back" in wrong(A_TO_H2, ledger=books(moved=moved))
    assert not wrong(A_TO_H2, ledger=books(moved=moved, switched_on={H2: wall - 19 * HOUR}))
    assert not wrong(A_TO_H2, ledger=books(moved=moved, kept={H2: HostKept(wall - 19 * HOUR, H2, "")}))
    assert "goes back" in wrong(A_TO_H2, ledger=books(moved=moved, switched_on={H2: wall - 21 * HOUR}))
    assert not wrong(A_TO_H2, intent=replace(RELIEF, cooldown=replace(Cooldown(), no_return=Seconds(19 * HOUR))),
                     ledger=books(moved=moved))


def test_no_target_is_filled_above_the_marks_by_all_that_comes_together() -> None:
    """h2 uses 2.2 of 16 processors: with a it uses 6.2, which is 39 %, with both 64 %; 16 of 64 GiB, with both 24."""
    assert not wrong(A_TO_H2)
    said = wrong(A_TO_H2, B_TO_H2)
    assert said.startswith("b -> h2: "), said
    assert "at most 50%" in said
    roomy = replace(RELIEF, fill=Fill(0.7, 0.37, 0.7))
    assert wrong(A_TO_H2, B_TO_H2, intent=roomy).startswith("b -> h2: "), "memory"
    assert not wrong(A_TO_H2, B_TO_H2, intent=replace(roomy, fill=Fill(0.7, 0.38, 0.7)))


def test_who_comes_for_another_reason_counts_but_keeps_to_no_mark() -> None:
    packs = replace(B_TO_H2, policy="failing", routine=False, urgent=True, reserve_waived=True)
    assert wrong(packs, A_TO_H2, others=(SAVING,)).startswith("a -> h2: ")
    assert not wrong(A_TO_H2, packs, others=(SAVING,)), "later ones have their own reasons"


def test_what_is_not_known_does_not_fit_and_neither_does_what_has_no_mark() -> None:
    snapshot = seen()[0]
    assert "is not known" in wrong(A_TO_H2, snapshot=using(h2=None))
    blind = replace(snapshot, vms=replace(snapshot.vms, peak=np.full(3, np.nan)))
    assert "is not known" in wrong(A_TO_H2, snapshot=blind)
    assert not wrong(SAVED, intent=SAVING, snapshot=blind)
    assert "no mark" in wrong(A_TO_H2, intent=replace(RELIEF, fill=None))


def by_hours(**nine: float) -> Snapshot:
    """Return the snapshot with days that are known: of each VM what it uses from nine to ten, and nothing at other hours."""
    snapshot = seen()[0]
    days = np.zeros((3, 24))
    days[:, 9] = [nine.get(record.name, 0.0) for record in snapshot.records]
    days[[record.name not in nine for record in snapshot.records]] = np.nan
    return replace(snapshot, hours=Hours(lambda: days))


def test_no_target_is_filled_above_its_mark_at_an_hour_of_the_day() -> None:
    full = by_hours(a=5.0, c=4.0)
    assert "from 09:00 UTC on" in wrong(PACKED, intent=PACKING, snapshot=full)
    assert not wrong(PACKED, intent=PACKING, snapshot=by_hours(a=5.0, c=2.0))
    assert not wrong(PACKED, intent=PACKING, snapshot=by_hours(a=5.0)), "what is not known is not counted here"
    assert not wrong(PACKED, intent=PACKING, snapshot=by_hours(c=9.0)), "nor is a VM whose own day is not known"
    wall = seen()[1]
    hour = int(wall // 3600) % 24
    for ahead, passes in (((9 - hour) % 24 - 1, True), ((9 - hour) % 24, False)):
        until = replace(PACKING, fill=Fill(0.5, 0.5, 0.5, wall + ahead * HOUR))
        assert bool(wrong(PACKED, intent=until, snapshot=full)) is not passes


def test_who_comes_to_a_target_first_or_is_on_his_way_there_is_busy_there_at_his_hours() -> None:
    both = replace(PACKED, vm=vm_id("b"), vm_name="b")
    flight = Migration("1-1", vm_id("b"), "b", H1, H2, A_TO_H2.memory, 100, "", "", seen()[1], seen()[1] + HOUR, 60.0)
    for b, passes in ((1.0, True), (2.0, False)):
        busy = by_hours(a=5.0, b=b, c=2.0)
        busy = replace(busy, vms=replace(busy.vms, cpu=np.full(3, 0.5), peak=np.full(3, 0.5)))
        assert ("a -> h2: 9.00 of 8.00 processors would be used from 09:00 UTC on" in wrong(
            PACKED, intent=PACKING, snapshot=busy, ledger=books(migrations={"1-1": flight}))) is not passes
        assert (":00 UTC on" in wrong(both, PACKED, intent=PACKING, snapshot=busy)) is not passes


def networked(**carries: float) -> Snapshot:
    """Return the snapshot with a network of 100 MiB/s at h2, and what VMs carry."""
    snapshot = seen()[0]
    network = np.array([carries.get(record.name, 0.0) for record in snapshot.records])
    facts = tuple(replace(fact, declared=replace(fact.declared, network_mib_s=100.0)) if fact.declared.name == H2 else fact
                  for fact in snapshot.facts)
    return replace(snapshot, facts=facts, vms=replace(snapshot.vms, network=network, network_peak=network))


def test_no_target_s_network_is_filled_above_its_mark() -> None:
    assert "70.0 of 100 MiB/s" in wrong(A_TO_H2, snapshot=networked(a=40.0, c=30.0))
    assert not wrong(A_TO_H2, snapshot=networked(a=20.0, c=30.0))
    assert wrong(A_TO_H2, B_TO_H2, intent=replace(RELIEF, fill=Fill(0.9, 0.9, 0.5)),
                 snapshot=networked(a=20.0, b=20.0, c=20.0)).startswith("b -> h2: ")
    assert "is not known" in wrong(A_TO_H2, snapshot=networked(a=20.0, c=float("nan")))
    assert not wrong(replace(A_TO_H2, target=H3), snapshot=networked(a=400.0)), "nobody says what h3 carries"


def test_who_makes_room_keeps_to_what_routine_moves_keep_to() -> None:
    wall = seen()[1]
    makes = Move(vm_id("c"), "c", H2, H3, A_TO_H2.memory, A_TO_H2.predicted, "failing", "because", urgent=True,
                 reserve_waived=True, routine=True, room_for=H1)
    assert not wrong(makes, intent=SAVING)
    assert "nobody asks for it" in wrong(replace(makes, room_for=H3), intent=SAVING)
    assert "says of itself" in wrong(replace(makes, routine=False), intent=SAVING)
    lately = {vm_id("c"): (Moved(wall - HOUR, H1, H2, "even-load"),)}
    assert "and rests for" in wrong(makes, intent=SAVING, ledger=books(moved=lately))
    cool = PolicySet(balance=(replace(POLICY, hot=(Edge("cpu", 0.1), Edge("memory", 0.9))),))
    assert "at most 10%" in wrong(makes, intent=SAVING, policies=cool)
    heat = replace(SAVING, avoid_labels=("cooling",))
    assert "shares cooling" in wrong(replace(makes, source=H3, target=H2, vm=vm_id("z")), intent=heat)


def test_a_vm_is_counted_at_its_busier_times() -> None:
    snapshot = seen()[0]
    assert wrong(A_TO_H2, snapshot=replace(snapshot, vms=replace(snapshot.vms, peak=snapshot.vms.cpu * 1.5)))


def in_flight(name: str, source: HostName, target: HostName) -> Migration:
    return Migration(name, vm_id(name), name, source, target, Bytes(8 * GIB), 100, "it", "", WALL, WALL + HOUR, 60.0)


def test_what_is_in_flight_counts_where_it_goes_and_what_leaves_frees_no_more_than_comes() -> None:
    coming, leaving = in_flight("b", H1, H2), in_flight("c", H2, H3)
    assert wrong(A_TO_H2, ledger=books(migrations={"b": coming}))
    assert not wrong(A_TO_H2, ledger=books(migrations={"b": coming, "c": leaving}), snapshot=using(h2=1.9))
    assert wrong(A_TO_H2, ledger=books(migrations={"c": leaving}), snapshot=using(h2=4.5)), "8.5 of 16, whoever leaves"


def test_telemetry_that_still_knows_who_has_left_makes_no_host_fuller_than_what_comes() -> None:
    """c uses 2.0, and h2 says 3.9: with b on its way there and a, 11.9 or 10.0 of 16."""
    roomy = replace(RELIEF, fill=Fill(0.7, 0.5, 0.7))
    told, coming = using(h2=3.9), {"b": in_flight("b", H1, H2)}
    left = {vm_id("gone"): (Moved(seen()[1] - 60.0, H2, H3, "it"),)}
    assert wrong(A_TO_H2, intent=roomy, snapshot=told, ledger=books(migrations=coming))
    assert not wrong(A_TO_H2, intent=roomy, snapshot=told, ledger=books(migrations=coming, moved=left))
    long_ago = {vm_id("gone"): (Moved(seen()[1] - 301.0, H2, H3, "it"),)}
    assert wrong(A_TO_H2, intent=roomy, snapshot=told, ledger=books(migrations=coming, moved=long_ago))


def test_a_target_may_become_a_little_warm_for_one_that_suffers() -> None:
    """Halfway from 50 to 80 % is 65 %: h2 would be at 56 %, or at 69 %."""
    policies = PolicySet(balance=(POLICY,))
    assert not wrong(A_TO_H2, policies=policies, snapshot=using(h1=14.0, h2=5.0))
    assert wrong(A_TO_H2, policies=policies, snapshot=using(h1=14.0, h2=7.0)), "not so warm"
    assert wrong(A_TO_H2, policies=policies, snapshot=using(h1=10.0, h2=5.0)), "nor for one that is no warmer"
    assert wrong(A_TO_H2, policies=policies, snapshot=using(h1=14.0, h2=5.0),
                 intent=replace(RELIEF, kind=IntentKind.EVEN)), "nor for evenness"


WEB, DB = VmSelector(tags=("web",)), VmSelector(tags=("db",))
APART = PlacementPolicy("apart", VmSelector(), Rule.APART)


def under(*rules: PlacementPolicy) -> PolicySet:
    return PolicySet(placement=rules)


def test_must_rules_bind_all_and_wishes_what_is_worth_less() -> None:
    assert "a -> h2: against apart" in wrong(SAVED, intent=SAVING, policies=under(APART))
    wish = under(replace(APART, weight=5))
    assert not wrong(SAVED, intent=SAVING, policies=wish)
    assert not wrong(A_TO_H2, policies=wish), "relief may break a wish"
    assert "against apart" in wrong(PACKED, intent=PACKING, policies=wish)
    assert "against apart" in wrong(A_TO_H2, intent=replace(RELIEF, kind=IntentKind.EVEN), policies=wish)
    assert not wrong(replace(A_TO_H2, target=H3), intent=replace(RELIEF, kind=IntentKind.EVEN), policies=wish)


def test_of_two_that_come_together_the_later_breaks_the_wish() -> None:
    even = replace(RELIEF, kind=IntentKind.EVEN, fill=Fill(1.0, 1.0, 1.0))
    wish, to_h3 = under(replace(APART, vms=WEB, weight=5)), replace(A_TO_H2, target=H3)
    said = wrong(to_h3, replace(B_TO_H2, target=H3), intent=even, policies=wish)
    assert said == "b -> h3: against apart"
    saved = replace(SAVED, vm=vm_id("b"), vm_name="b", target=H3)
    assert not wrong(to_h3, saved, intent=even, others=(SAVING,), policies=wish), "who is saved later has his reasons"


def test_rules_count_what_is_on_its_way() -> None:
    flight = books(migrations={"c": in_flight("c", H2, H3)})
    assert not wrong(replace(SAVED, target=H3), intent=SAVING, policies=under(APART))
    assert "against apart" in wrong(replace(SAVED, target=H3), intent=SAVING, policies=under(APART), ledger=flight)


def test_a_rule_speaks_of_a_vm_by_its_record_where_it_lives() -> None:
    """h3 was last seen with a c that was tagged otherwise than the one at h2, which is where it lives."""
    snapshot = seen()[0]
    was = replace(snapshot.records[snapshot.vms.ids.index(vm_id("c"))], tags=("web",))
    stale = tuple(replace(fact, reachable=False, inventory=replace(fact.inventory, vms=(was,)))
                  if fact.inventory and fact.declared.name == H3 else fact for fact in snapshot.facts)
    told, to_h3 = replace(snapshot, facts=stale), replace(SAVED, target=H3)
    assert not wrong(to_h3, intent=SAVING, snapshot=told, policies=under(replace(APART, vms=WEB)))
    assert "against apart" in wrong(to_h3, intent=SAVING, snapshot=told, policies=under(APART)), "wherever it is shown"
    retagged = replace(told, records=tuple(replace(one, tags=("web",)) for one in snapshot.records))
    bare = replace(retagged, facts=tuple(replace(fact, inventory=replace(fact.inventory, vms=tuple(
        replace(one, tags=()) for one in fact.inventory.vms))) if fact.inventory else fact for fact in stale))
    assert "against apart" in wrong(to_h3, intent=SAVING, snapshot=bare, policies=under(replace(APART, vms=WEB)))


def test_together_means_with_all_of_them_and_a_place_may_be_more_than_a_host() -> None:
    pair = PlacementPolicy("pair", WEB, Rule.TOGETHER)
    assert "against pair" in wrong(SAVED, intent=SAVING, policies=under(pair))
    assert not wrong(SAVED, intent=SAVING, policies=under(replace(pair, across="cooling")))
    assert wrong(replace(SAVED, target=H3), intent=SAVING, policies=under(replace(pair, across="cooling")))
    assert not wrong(SAVED, intent=SAVING, policies=under(replace(pair, vms=DB))), "the rule speaks of others"


def test_hosts_that_are_allowed_and_a_pin_that_only_a_person_passes() -> None:
    assert wrong(SAVED, intent=SAVING, policies=under(PlacementPolicy("on", WEB, Rule.ON, hosts=Scope(("h3",)))))
    assert wrong(SAVED, intent=SAVING, policies=under(PlacementPolicy("off", WEB, Rule.NEVER_ON, hosts=Scope(("h2",)))))
    pin = under(PlacementPolicy("pin", WEB, Rule.PINNED))
    assert "against pin" in wrong(SAVED, intent=SAVING, policies=pin)
    asked = replace(SAVING, kind=IntentKind.DRAIN, policy=OPERATOR, severity=Health.HEALTHY)
    assert not wrong(replace(SAVED, policy=OPERATOR, reserve_waived=False), intent=asked, policies=pin)
