"""VMs that go before their memory: only where all else was tried, and everybody allows it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ballastd.core import events as ev
from ballastd.core.inputs import Verb
from ballastd.core.inventory import COME, Pin, PinKind, VmRecord, VmState
from ballastd.core.last_resorts import ASK_AGAIN_SECONDS, ASKS_MAX, DARK_SECONDS, HELD_SECONDS, LastResorts, Resorts
from ballastd.core.ledger import Ledger
from ballastd.core.migrations import Ending, Migration, MigrationPhase
from ballastd.core.policies import Health, LastResort, Mode, PolicySet
from ballastd.core.quantities import GIB, Bytes, HostName, Instant
from tests.builders import POLICIES, Table, four_hosts, table, vm_id

H1, H2 = HostName("h1"), HostName("h2")
OUTRUN = {"1-1": "its memory is dirtied faster than it is copied"}
RESORTS = replace(POLICIES, evacuation=tuple(replace(one, last_resorts=(LastResort.POST_COPY,))
                                             for one in POLICIES.evacuation))
[FAILING] = RESORTS.evacuation
LEAVES = VmRecord(vm_id("a"), "a", VmState.RUNNING, Bytes(2 * GIB))
ARRIVES = replace(LEAVES, state=VmState.INCOMING)
PARTED: dict[HostName, VmRecord | None] = {H1: replace(LEAVES, state=VmState.POSTCOPY_LEFT),
                                           H2: replace(LEAVES, state=VmState.POSTCOPY)}


class Bench:
    """One migration off a failing host, and what both ends show of it."""

    def __init__(self, *, post_copy: bool = True) -> None:
        self.ledger, self.resorts = Ledger(), LastResorts()
        self.ledger.apply(ev.MigrationOrdered(0.0, "1-1", vm_id("a"), "a", H1, H2, Bytes(2 * GIB), 100, FAILING.name,
                                              "because", 900.0, 21.0, post_copy=post_copy))
        self.ledger.apply(ev.MigrationMoved(0.0, "1-1", MigrationPhase.RUNNING))
        self.shown: dict[HostName, VmRecord | None] = {H1: LEAVES, H2: ARRIVES}
        self.health = {H1: Health.FAILING, H2: Health.HEALTHY}
        self.policies: PolicySet = RESORTS
        self.held, self.answers, self.at = False, True, 100.0

    def follow(self, outrun: dict[str, str] | None = None, seconds: float = 1.0, stepped: float = 0.0) -> Resorts:
        self.at += seconds
        found = self.resorts.follow(
            self.ledger, self.policies, OUTRUN if outrun is None else outrun, 7, Instant(self.at, self.at + stepped, "boot"),
            health=lambda host: self.health[host], is_held=lambda _: self.held, answers=lambda _: self.answers,
            record_at=lambda _, host: self.shown[host])
        for event in found.events:
            self.ledger.apply(event)
        return found

    @property
    def migration(self) -> Migration:
        return self.ledger.migrations["1-1"]


def test_who_dirties_faster_than_it_is_copied_goes_before_its_memory() -> None:
    bench = Bench()
    found = bench.follow()
    assert [(order.vm, order.source, order.target) for order in found.orders] == [(vm_id("a"), H1, H2)]
    assert bench.migration.post_copy_because == OUTRUN["1-1"]
    assert found.spared == {"1-1"}
    assert [notice.level for notice in found.notices] == ["warning"]


def test_who_gets_on_is_left_alone() -> None:
    assert Bench().follow({}) == Resorts()


@pytest.mark.parametrize("spoil", [
    lambda b: setattr(b, "held", True),
    lambda b: setattr(b, "policies", POLICIES),
    lambda b: setattr(b, "policies", replace(RESORTS, evacuation=(replace(FAILING, mode=Mode.RECOMMEND),))),
    lambda b: setattr(b, "policies", replace(RESORTS, evacuation=())),
    lambda b: b.health.update({H1: Health.DEGRADED}),
    lambda b: b.health.update({H2: Health.SUSPECT}),
    lambda b: b.shown.update({H1: replace(LEAVES, post_copy=False)}),
    lambda b: b.shown.update({H1: replace(LEAVES, pins=(Pin(PinKind.OPERATOR, "unreadable", "mend it"),))}),
    lambda b: b.shown.update({H2: replace(LEAVES, state=VmState.RUNNING)}),
    lambda b: b.ledger.apply(ev.AbortOrdered(1.0, "1-1", "aborted by anna")),
    lambda b: b.ledger.apply(ev.MigrationMoved(1.0, "1-1", MigrationPhase.COMPLETED)),
], ids=["gate", "policy allows nothing", "policy recommends", "policy is gone", "source recovered", "target turned sick",
        "owner says never", "unreadable", "runs at the target", "called off", "it is over"])
def test_nothing_goes_before_its_memory_where_anything_speaks_against_it(spoil) -> None:
    bench = Bench()
    spoil(bench)
    found = bench.follow()
    assert (found.events, found.orders, found.spared) == ((), (), frozenset())


def test_a_migration_that_was_not_begun_so_is_called_off_as_before() -> None:
    assert Bench(post_copy=False).follow().spared == frozenset()


@pytest.mark.parametrize("shown", [{H1: None}, {H2: None}, {H1: replace(LEAVES, state=VmState.HANDOVER)}],
                         ids=["source shows nothing", "target shows nothing", "handed over"])
def test_what_is_not_known_is_waited_for_and_ends_nothing(shown) -> None:
    bench = Bench()
    bench.shown.update(shown)
    found = bench.follow()
    assert (found.events, found.orders, found.spared, found.awaited) == ((), (), frozenset(), {"1-1"})
    bench.shown = {H1: LEAVES, H2: ARRIVES}
    assert bench.follow().orders


def test_it_is_asked_for_again_until_it_is_seen_also_by_a_run_after_this_one() -> None:
    bench = Bench()
    assert len(bench.follow().orders) == 1
    assert bench.follow({}).orders == ()
    assert len(bench.follow({}, ASK_AGAIN_SECONDS).orders) == 1
    bench.resorts = LastResorts()
    assert len(bench.follow({}).orders) == 1
    bench.shown = PARTED
    found = bench.follow({}, 100.0)
    assert (found.orders, found.notices, found.spared) == ((), (), {"1-1"})


def test_what_does_not_come_about_is_withdrawn_after_a_while_and_called_off_like_any_other() -> None:
    bench, asked = Bench(), 0
    for _ in range(3 * ASKS_MAX):
        found = bench.follow(seconds=ASK_AGAIN_SECONDS)
        asked += len(found.orders)
        if any(isinstance(event, ev.PostCopyWithdrawn) for event in found.events):
            break
    assert asked == ASKS_MAX
    assert found.spared == frozenset()
    assert "was asked for 6 times" in found.notices[0].text
    assert bench.migration.post_copy_because == ""
    assert bench.follow() == Resorts(), "nor is it begun again"


@pytest.mark.parametrize("spoil", [
    lambda b: setattr(b, "policies", POLICIES),
    lambda b: b.health.update({H1: Health.HEALTHY}),
    lambda b: b.health.update({H2: Health.FAILING}),
    lambda b: b.shown.update({H1: replace(LEAVES, post_copy=False)}),
    lambda b: b.shown.update({H2: replace(LEAVES, state=VmState.RUNNING)}),
], ids=["policy", "source recovered", "target turned sick", "owner", "runs at the target"])
def test_what_is_asked_again_is_looked_at_again(spoil) -> None:
    bench = Bench()
    bench.follow()
    spoil(bench)
    found = bench.follow({}, ASK_AGAIN_SECONDS)
    assert found.orders == ()
    [withdrawn] = found.events
    assert isinstance(withdrawn, ev.PostCopyWithdrawn)


def test_a_gate_holds_what_is_asked_again_and_takes_nothing_back() -> None:
    bench = Bench()
    bench.follow()
    bench.held = True
    for _ in range(20):
        assert bench.follow({}, ASK_AGAIN_SECONDS) == Resorts(spared=frozenset({"1-1"}))
    bench.held = False
    assert len(bench.follow({}).orders) == 1


@pytest.mark.parametrize(("hold", "why"), [
    (lambda b: setattr(b, "held", True), "it was held for 600 s"),
    (lambda b: b.shown.update({H2: None}), "an end did not show it on its way for 600 s"),
], ids=["gate", "target shows nothing"])
def test_what_is_held_for_long_is_withdrawn_and_told_once(hold, why) -> None:
    bench = Bench()
    bench.follow()
    hold(bench)
    found = [bench.follow({}, HELD_SECONDS / 10) for _ in range(20)]
    withdrawn = [event for one in found for event in one.events]
    assert [type(event) for event in withdrawn] == [ev.PostCopyWithdrawn]
    assert [why in notice.text for one in found for notice in one.notices] == [True]
    assert found[9].spared == {"1-1"}
    assert found[-1].spared == frozenset(), "it is called off like any other"


def ordered_on_a_table() -> tuple[Table, Migration]:
    """Return a table on which one of the VMs that leave h1 is to go before its memory, and did not begin to."""
    stand = table(four_hosts(), RESORTS).warm_up().show("h1", "ecc.uncorrected", 0.0)
    stand.settle()
    stand.show("h1", "ecc.uncorrected", 1.0)
    orders = [order for decision in stand.settle(6) for order in decision.orders]
    for order in orders:
        stand.begin(order)
    key = orders[0].id
    stand.controller.ledger.apply(ev.PostCopyOrdered(stand.now.wall, key, OUTRUN["1-1"]))
    return stand, stand.controller.ledger.migrations[key]


@pytest.mark.parametrize("end", ["source", "target"])
def test_nothing_goes_before_its_memory_from_or_to_a_frozen_host(end: str) -> None:
    stand, m = ordered_on_a_table()
    assert [order.migration for order in stand.step().post_copies] == [m.id]
    stand, m = ordered_on_a_table()
    at = m.source if end == "source" else m.target
    other = next(name for name in stand.world if name not in (m.source, m.target))
    twin = next(one for one in stand.world[at].values() if one.vm != m.vm and one.state is VmState.RUNNING)
    stand.world[other][twin.vm] = twin
    stand.controller.ledger.apply(ev.PostCopyWithdrawn(stand.now.wall, m.id, "for a while"))
    stand.settle(3)
    assert at in stand.controller.ledger.frozen_hosts()
    stand.controller.ledger.apply(ev.PostCopyOrdered(stand.now.wall, m.id, OUTRUN["1-1"]))
    assert [order for one in stand.settle(10) for order in one.post_copies] == []
    assert stand.controller.ledger.migrations[m.id].post_copy_because, "that is held, and not taken back"


@pytest.mark.parametrize("parted", [False, True])
def test_an_operator_may_abort_until_an_end_shows_that_it_went(parted: bool) -> None:
    stand, m = ordered_on_a_table()
    if parted:
        stand.world[m.source][m.vm] = replace(stand.world[m.source][m.vm], state=VmState.POSTCOPY_LEFT)
        stand.world[m.target][m.vm] = replace(stand.world[m.target][m.vm], state=VmState.POSTCOPY)
        stand.step()
    decision = stand.say(Verb.ABORT, m.id)
    [answer] = decision.answers
    said = [type(event) for event in decision.events if isinstance(event, ev.PostCopyWithdrawn | ev.AbortOrdered)]
    assert said == ([] if parted else [ev.PostCopyWithdrawn, ev.AbortOrdered])
    assert ("no way back" in answer.message) is parted
    assert decision.post_copies == ()
    assert [order.migration for order in decision.aborts] == ([] if parted else [m.id])


def test_once_it_has_parted_nothing_calls_it_off_even_if_that_was_withdrawn() -> None:
    bench = Bench()
    bench.follow()
    bench.ledger.apply(ev.PostCopyWithdrawn(1.0, "1-1", "it was asked for 6 times"))
    bench.shown = PARTED
    assert bench.follow({}).spared == {"1-1"}, "the call was heard after all"
    bench = Bench()
    bench.follow()
    bench.shown, bench.policies = PARTED, POLICIES
    assert bench.follow({}).spared == {"1-1"}


def test_people_are_told_once_that_it_broke_and_once_that_it_is_late() -> None:
    bench = Bench()
    bench.follow()
    bench.shown = PARTED
    assert bench.follow({}, stepped=86400.0).notices == (), "a clock that was set makes nobody late"
    [late] = bench.follow({}, 1000.0).notices
    assert late.level == "alarm"
    assert "has not all come from h1" in late.text
    bench.shown = {**PARTED, H1: replace(LEAVES, state=VmState.POSTCOPY_LEFT_FAILED)}
    [broken] = bench.follow({}).notices
    assert broken.level == "alarm"
    assert "--postcopy-resume" in broken.text
    assert bench.follow({}, 50.0).notices == ()


def test_a_source_that_is_silent_for_long_counts_as_gone_and_one_that_came_back_may_go_again() -> None:
    bench = Bench()
    bench.follow()
    bench.shown, bench.answers = {**PARTED, H1: None}, False
    assert bench.follow({}).notices == ()
    [gone] = bench.follow({}, DARK_SECONDS).notices
    assert "broke with its memory in two halves" in gone.text
    bench.shown, bench.answers = PARTED, True
    assert bench.follow({}).notices == ()
    bench.shown, bench.answers = {**PARTED, H1: None}, False
    bench.follow({})
    assert len(bench.follow({}, DARK_SECONDS).notices) == 1


def prepared(policies: PolicySet, *, failed: bool = False, wishes: tuple[bool, bool] = (True, True)) -> set[bool]:
    """Return whether the orders of an evacuation say that their VMs may go before their memory. ``failed``: those that are
    given once one came to nothing; ``wishes``: whether the owners let them, before and after that."""
    stand = table(four_hosts(), policies)

    def let(*, post_copy: bool) -> None:
        stand.world = {host: {vm: replace(one, post_copy=post_copy) for vm, one in vms.items()}
                       for host, vms in stand.world.items()}

    let(post_copy=wishes[0])
    stand.warm_up()
    stand.show("h1", "ecc.uncorrected", 0.0)
    stand.settle()
    stand.show("h1", "ecc.uncorrected", 1.0)
    orders = [order for decision in stand.settle(6) for order in decision.orders]
    assert orders
    if failed:
        first = orders[0]
        for order in orders:
            stand.begin(order)
        stand.step(stand.roll_back(first), *(stand.finish(order) for order in orders[1:]))
        let(post_copy=wishes[1])
        again = [order for decision in stand.settle(60) for order in decision.orders if order.move.vm == first.move.vm]
        assert again
        assert stand.controller.ledger.recent_failures(first.move.vm, 0.0)[0].ending is not Ending.COMPLETED
        return {order.post_copy for order in again}
    booked = stand.controller.ledger.open_migrations()
    assert {m.post_copy for m in booked} == {order.post_copy for order in orders}
    return {order.post_copy for order in orders}


def test_migrations_are_begun_so_only_where_policy_and_owner_allow_it_and_once() -> None:
    assert prepared(RESORTS) == {True}
    assert prepared(POLICIES) == {False}
    assert prepared(RESORTS, wishes=(False, False)) == {False}
    assert prepared(RESORTS, failed=True) == {False}, "what failed may have been that very preparation"
    assert prepared(RESORTS, failed=True, wishes=(False, True)) == {True}, "that was not prepared"


def test_who_has_come_by_post_copy_runs_and_only_what_is_down_holds_no_memory() -> None:
    assert {state for state in VmState if state.runs} == COME | {VmState.RUNNING}
    assert {state for state in VmState if not state.holds_memory} == {VmState.SHUTOFF, VmState.CRASHED}
