"""Migrations leave room on their links to others: at once where those use more, after a while where they use less."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from ballastd.core import events as ev
from ballastd.core.explanation import explain
from ballastd.core.giving_way import HELD_SECONDS, NOT_ASKED, PARTED, SAVING, WHOLE, Look, Trail, copied_at_most
from ballastd.core.inputs import PoliciesReplaced, ProgressSeen
from ballastd.core.inventory import Progress, VmState
from ballastd.core.migrations import Migration
from ballastd.core.plans import Order
from ballastd.core.policies import EvacuationPolicy, Health, Limits, Mode, PolicySet, Response, Timing
from ballastd.core.quantities import GIB, MIB, Bytes, HostName, Seconds
from ballastd.core.statements import SubjectKind
from ballastd.core.views import MigrationView
from tests.builders import FAN, POLICIES, UNCORRECTED, ClusterBuilder, Table, a_cluster, table

LINK, WHOLE_MIB_S, LEAST, INTERVAL = 1000, 600, 100, 10
LIMITS = Limits(migration_minimum_mib_s=LEAST, give_way=0.9, failover_hosts=0, downtime_max_ms=500)
DRAIN = EvacuationPolicy("drain", Health.SUSPECT, Response.DRAIN, mode=Mode.AUTO)
GIVING = PolicySet((UNCORRECTED, FAN), (*POLICIES.evacuation, DRAIN), {}, LIMITS, "digest")
UNKNOWN = "what others use out of h1 is not known"


def two_hosts(*interfaces: str, vms: int = 1, gib: int = 64) -> ClusterBuilder:
    """Return a host with VMs, and one that has room for all of them."""
    return (a_cluster().host("h1", 512, link_interfaces=interfaces).crowd("v", vms, gib)
            .host("h2", 512, link_interfaces=interfaces))


@dataclass
class Road:
    """A table on which VMs leave h1, second by second, over links whose agents say what they carry, as means over ten
    seconds. ``others``: MiB/s that others use out of h1; ``are_greedy``: they take all that is left. ``idle``: interfaces
    over which nothing goes. ``seen_every``: how often hypervisors say where jobs are, seconds; ``stands``: whether jobs
    copy nothing any more."""

    stand: Table
    others: float = 0.0
    are_greedy: bool = False
    dirties: float = 0.0
    log: list[tuple[float, float]] = field(default_factory=list)
    copied: dict[str, float] = field(default_factory=dict)
    rounds: int = 1
    interfaces: tuple[str, ...] = ("eno1",)
    idle: tuple[str, ...] = ()
    seen_every: int = 1
    stands: bool = False
    is_seen: bool = True

    def begin(self, metric: str = "fan.alarm") -> list[Order]:
        """Have h1 get sick, and its VMs begin to leave it."""
        for metric_of in ("fan.alarm", "ecc.uncorrected"):
            self.stand.show("h1", metric_of, 0.0, "x")
        for _ in range(3):
            self.tick(20)
        self.stand.show("h1", metric, 1.0, "x")
        orders = list(self.stand.wait(1.0).step().orders)
        for order in orders:
            self.stand.begin(order)
        return orders

    def tick(self, seconds: int = 1) -> list[int]:
        """Let time pass; return what the first migration is given each second, MiB/s."""
        given: list[int] = []
        for _ in range(seconds):
            flying = [m for m in self.jobs() if m.phase.value == "running" and not self.stands]
            ours = float(sum(m.bandwidth_mib_s for m in flying))
            self.others = LINK - ours if self.are_greedy else self.others
            for m in flying:
                self.copied[m.id] = self.copied.get(m.id, 0.0) + m.bandwidth_mib_s
            self.log.append((ours, self.others))
            lately = self.log[-INTERVAL:]
            for name in self.interfaces:
                part = 0.0 if name in self.idle else MIB / len(lately) / (len(self.interfaces) - len(self.idle))
                self.stand.show("h1", "network.tx", sum(map(sum, lately)) * part, name)
                self.stand.show("h2", "network.rx", sum(us for us, _ in lately) * part, name)
            is_asked = self.is_seen and len(self.log) % self.seen_every == 0
            self.stand.wait(1.0).step(*[self.seen(m) for m in flying if is_asked])
            given += [m.bandwidth_mib_s for m in self.jobs()[:1]]
        return given

    def seen(self, m: Migration) -> ProgressSeen:
        copied = self.copied[m.id]
        return ProgressSeen(m.id, Progress(copied / WHOLE_MIB_S, Bytes(64 * GIB), Bytes(int(copied * MIB)), Bytes(GIB),
                                           self.rounds, self.dirties * MIB if self.rounds > 1 else 0.0,
                                           m.bandwidth_mib_s * float(MIB), 9.0), self.stand.now)

    def jobs(self) -> list[Migration]:
        return list(self.stand.controller.ledger.open_migrations())

    def view(self) -> MigrationView:
        """Return what is shown of the first migration."""
        return self.stand.step().view.migrations[0]

    def given_ways(self) -> list[tuple[int, str]]:
        return [(e.less_mib_s, e.because) for e in self.stand.events if isinstance(e, ev.WayGiven)]


def a_road(*, policies: PolicySet = GIVING, vms: int = 1, interfaces: tuple[str, ...] = ("eno1",), **how: float) -> Road:
    return Road(table(two_hosts(*interfaces, vms=vms), policies), interfaces=interfaces or ("eno1",), **how)  # type: ignore[arg-type]


def under_way(**how: float) -> Road:
    """Return a road on which one VM has been on its way for a while, alone."""
    road = a_road()
    road.begin()
    road.tick(20)
    assert road.tick(1) == [WHOLE_MIB_S]
    for key, value in how.items():
        setattr(road, key, value)
    return road


def test_what_we_copy_ourselves_is_nobody_elses() -> None:
    road = under_way()
    assert set(road.tick(120)) == {WHOLE_MIB_S}
    assert road.view().gives_way == WHOLE
    assert road.given_ways() == [(0, "")], "nothing but that it may"


def test_others_are_left_what_they_use_at_once_and_it_is_taken_back_after_a_while() -> None:
    road = under_way(others=600.0)
    given = road.tick(12)
    assert 300 <= given[-1] <= 300 * 1.12, "a link of 1000, filled up to nine tenths, with 600 of others"
    assert given[8] < WHOLE_MIB_S, "at the first report that shows it, which is a mean"
    road.others = 50.0
    back = road.tick(int(HELD_SECONDS) + INTERVAL + 5)
    assert set(back[:int(HELD_SECONDS) - INTERVAL]) == {given[-1]}, "they may come again"
    assert back[-1] == WHOLE_MIB_S
    _, because = next(way for way in road.given_ways() if way[0])
    assert because.startswith("others use")
    assert because.endswith("of 1000 MiB/s out of h1")
    assert road.given_ways()[-1] == (0, WHOLE)


def test_nothing_swings_where_others_take_all_that_is_left() -> None:
    road = under_way(are_greedy=True)
    given = road.tick(300)
    assert given == sorted(given, reverse=True)
    assert len(set(given[-200:])) == 1
    assert LEAST <= given[-1] <= 1.1 * LEAST, "that much is worth beginning with"


def test_less_is_said_where_people_look() -> None:
    road = under_way(others=600.0)
    road.tick(30)
    shown = road.view()
    assert shown.less_mib_s == WHOLE_MIB_S - shown.bandwidth_mib_s >= 250, "of what it was told last"
    assert shown.gives_way == "others use 600 of 1000 MiB/s out of h1"
    view = road.stand.step().view
    told = explain(view, shown.id, SubjectKind.MIGRATION)
    assert told is not None
    assert any(said.text == f"it gives way by {shown.less_mib_s} MiB/s: {shown.gives_way}"
               for section in told.sections for said in section.statements)
    assert any("v0 gives way by" in one.text for one in view.recent)


def test_where_nothing_is_heard_any_more_the_whole_share_is_used() -> None:
    road = under_way(others=600.0)
    road.tick(15)
    road.stand.silent = {"h1"}
    assert road.tick(80)[-1] < WHOLE_MIB_S
    assert road.tick(20)[-1] == WHOLE_MIB_S, "what was said goes stale"
    assert road.view().gives_way == UNKNOWN
    assert road.given_ways()[-1] == (0, UNKNOWN)
    road.stand.silent = set()
    assert road.tick(2)[-1] < WHOLE_MIB_S


def test_no_declared_interface_and_nobody_gives_way() -> None:
    road = a_road(interfaces=(), others=600.0)
    [order] = road.begin()
    assert set(road.tick(60)) == {WHOLE_MIB_S}
    assert order.given is None
    assert not road.given_ways()


def test_nobody_gives_way_where_no_policy_says_so() -> None:
    road = a_road(policies=replace(GIVING, limits=replace(LIMITS, give_way=None)), others=600.0)
    road.begin()
    assert set(road.tick(60)) == {WHOLE_MIB_S}
    assert not road.given_ways()


def test_who_leaves_a_failing_host_gives_way_to_nobody() -> None:
    road = a_road(others=600.0)
    [order] = road.begin("ecc.uncorrected")
    assert order.given is None
    assert set(road.tick(60)) == {WHOLE_MIB_S}


def test_who_was_on_its_way_when_its_host_failed_gives_way_no_longer() -> None:
    road = under_way(others=600.0)
    assert road.tick(15)[-1] < WHOLE_MIB_S
    road.stand.show("h1", "ecc.uncorrected", 1.0, "x")
    assert road.tick(2)[-1] == WHOLE_MIB_S
    assert road.given_ways()[-1] == (0, SAVING)


def test_who_gave_way_has_all_of_it_once_no_policy_asks_any_more_and_gives_way_once_one_does() -> None:
    road = under_way(others=600.0)
    assert road.tick(15)[-1] < WHOLE_MIB_S
    road.stand.step(PoliciesReplaced(replace(GIVING, limits=replace(LIMITS, give_way=None))))
    assert set(road.tick(20)) == {WHOLE_MIB_S}
    assert road.given_ways()[-1] == (0, NOT_ASKED)
    road.stand.step(PoliciesReplaced(GIVING))
    assert set(road.tick(INTERVAL)) == {WHOLE_MIB_S}, "what it copied before is forgotten, and with it what others had"
    assert road.tick(INTERVAL)[-1] <= 300 * 1.12


def test_a_job_that_was_given_its_time_before_gives_way_to_nobody() -> None:
    road = a_road(policies=replace(GIVING, limits=replace(LIMITS, give_way=None)), others=600.0)
    road.begin()
    road.stand.step(PoliciesReplaced(GIVING))
    assert set(road.tick(60)) == {WHOLE_MIB_S}


@pytest.mark.parametrize(("give_way", "takes_mib_s"), [(0.9, 4), (None, 600)])
def test_who_may_be_given_less_has_the_time_for_that(give_way: float | None, takes_mib_s: int) -> None:
    timing = Timing(startup_quiet=Seconds(0.0), inventory_interval=Seconds(1.0), migration_per_gib=Seconds(0.0),
                    migration_floor=Seconds(0.0))
    policies = replace(GIVING, limits=replace(LIMITS, give_way=give_way, migration_minimum_mib_s=3.5))
    road = Road(table(replace(two_hosts("eno1"), timing=timing), policies))
    [order] = road.begin()
    assert order.bandwidth_mib_s == WHOLE_MIB_S
    assert order.reckoned == pytest.approx(0.7 + 64 * 1024 / WHOLE_MIB_S)
    assert order.deadline == pytest.approx(2 * (0.7 + 64 * 1024 / takes_mib_s))


def test_a_policy_that_asks_for_less_takes_no_time_from_who_is_on_its_way() -> None:
    road = under_way(are_greedy=True)
    road.tick(60)
    [m] = road.jobs()
    road.stand.step(PoliciesReplaced(replace(GIVING, limits=replace(LIMITS, migration_minimum_mib_s=1.0))))
    given = road.tick(60)[-1]
    assert given < LEAST
    assert m.memory / MIB / given <= (m.deadline_wall - m.ordered_wall) / 2, "half of the time that it has"


def test_one_that_begins_on_a_busy_link_is_given_less() -> None:
    road = a_road(others=700.0)
    [order] = road.begin()
    assert order.bandwidth_mib_s == 200
    assert order.given is not None
    assert order.given.less_mib_s == 400
    assert order.reckoned == pytest.approx(0.7 + 64 * 1024 / 200)


def test_what_is_left_is_divided_and_plans_rest_on_the_whole_share() -> None:
    quiet, busy = a_road(vms=3), a_road(vms=3, others=650.0)
    plans = [[(o.move.vm, o.move.target, o.move.predicted) for o in road.begin()] for road in (quiet, busy)]
    assert plans[0] == plans[1]
    assert len(plans[0]) == 2, "as many at once as ever"
    assert [m.bandwidth_mib_s for m in quiet.jobs()] == [300, 300]
    assert [m.bandwidth_mib_s for m in busy.jobs()] == [125, 125]


def test_copying_stays_faster_than_what_is_dirtied() -> None:
    road = under_way(others=800.0)
    assert LEAST <= road.tick(40)[-1] <= 1.1 * LEAST
    road.rounds, road.dirties = 2, 130.0
    assert road.tick(1) == [260], "at once: in the next round it would get nowhere"
    road.dirties = 20.0
    assert set(road.tick(30)) == {260}, "and each change would have its rounds judged anew"
    road.dirties = 400.0
    assert road.tick(1) == [WHOLE_MIB_S]
    assert not any(isinstance(e, ev.AbortOrdered | ev.DowntimeOrdered) for e in road.stand.events)


def test_nobody_knows_what_others_used_before_this_run() -> None:
    road = under_way()
    road.stand.restart(GIVING)
    assert set(road.tick(30)) == {WHOLE_MIB_S}, "what the job copied before is not others'"
    road.others = 600.0
    assert road.tick(15)[-1] < WHOLE_MIB_S, "that it may give way is in the books"


def test_what_a_job_copies_that_nobody_sees_is_not_taken_for_others() -> None:
    road = under_way()
    road.is_seen = False
    assert set(road.tick(100)) == {WHOLE_MIB_S}
    assert road.view().gives_way == "what others use out of h1 and into h2 is not known"


def test_what_a_job_copies_until_it_is_seen_again_is_not_taken_for_others() -> None:
    road = under_way(others=280.0, seen_every=5)
    assert set(road.tick(60)) == {WHOLE_MIB_S}, "of a link of 1000 we have 600, as much as is left of nine tenths"


@pytest.mark.parametrize(("unseen", "shows_sizes"), [(1, True), (3, True), (1, False)])
def test_what_a_job_copied_at_its_end_is_not_taken_for_others(unseen: int, shows_sizes: bool) -> None:
    """It was not seen any more, or a hypervisor that ends it shows no sizes: what the other one has is its whole share."""
    road = a_road(vms=2, others=250.0)
    first, _ = road.begin()
    road.tick(30)
    road.is_seen = False
    road.tick(unseen)
    shown = road.seen(road.jobs()[0])
    if not shows_sizes:
        nothing = Progress(shown.progress.elapsed, Bytes(0), Bytes(0), Bytes(0), 0, 0.0, 0.0, 0.0)
        road.stand.step(replace(shown, progress=nothing))
    road.is_seen = True
    road.stand.step(road.stand.finish(first))
    assert set(road.tick(30)) == {WHOLE_MIB_S}
    assert road.given_ways() == [(0, ""), (0, "")], "nothing but that they may"


def one_by_one() -> Road:
    """Return a road on which two VMs are to leave, one after the other, while others use as much as that leaves them."""
    return a_road(policies=replace(GIVING, limits=replace(LIMITS, in_flight_host_out=1)), vms=2, others=280.0)


def follow_up(road: Road, first: Order) -> None:
    """End the first migration, and have the second begin."""
    orders = list(road.stand.step(road.stand.finish(first)).orders)
    while not orders:
        orders = list(road.stand.wait(0.1).step().orders)
    road.stand.begin(orders[0])


def trail(mib_s: float, *points: tuple[float, float]) -> Trail:
    """Return what one job copied, (seconds, MiB)."""
    return Trail(HostName("h1"), HostName("h2"), [Look(at, copied * MIB, mib_s * MIB) for at, copied in points], 0.0, mib_s)


def copied_at_most_mib_s(at: float, *trails: Trail) -> float:
    return copied_at_most(trails, at, float(INTERVAL)) / MIB


@pytest.mark.parametrize("late", [0.0, 0.5, 1.0, 2.0])
def test_a_report_is_about_any_interval_that_ended_within_two_seconds_before_it(late: float) -> None:
    """A job that lasted just as long is all of it, however late it was said."""
    job = trail(600.0, (100.0, 0.0), (110.0, 6000.0))
    assert copied_at_most_mib_s(110.0 + late, job) == pytest.approx(600.0)
    assert copied_at_most_mib_s(112.0 + late, job) == pytest.approx(600.0 - 60.0 * late)
    assert copied_at_most_mib_s(130.0, job) == 0.0
    others = trail(300.0, (80.0, 0.0), (110.0, 9000.0)), trail(600.0, (105.0, 0.0), (110.0, 3000.0))
    assert copied_at_most_mib_s(110.0 + late, *others) == pytest.approx(600.0), "it ended with them"


@pytest.mark.parametrize("late", [0.0, 0.5, 2.0])
def test_between_two_looks_a_job_may_have_copied_at_once_or_last_of_all(late: float) -> None:
    slow = trail(600.0, (100.0, 0.0), (102.0, 600.0))
    assert copied_at_most_mib_s(111.0 + late, slow) == pytest.approx(60.0), "in its second second"
    assert copied_at_most_mib_s(101.0 + late, slow) == pytest.approx(60.0), "in its first"
    assert copied_at_most_mib_s(113.0 + late, slow) == pytest.approx(60.0 * max(0.0, 1.0 - late))
    assert copied_at_most_mib_s(100.0, slow) == 0.0


@pytest.mark.parametrize("sizeless", [1, 3, 6])
def test_what_was_left_is_copied_at_once_and_not_as_long_as_no_sizes_are_shown(sizeless: int) -> None:
    road = one_by_one()
    first, = road.begin()
    road.tick(6)
    job, = road.jobs()
    road.is_seen = False
    road.tick(2)  # in which the rest is copied, and nobody looks
    nothing = Progress(0.0, Bytes(0), Bytes(0), Bytes(0), 0, 0.0, 0.0, 0.0)
    road.stands = True
    for _ in range(sizeless):
        road.tick()
        road.stand.step(ProgressSeen(job.id, nothing, road.stand.now))
    road.is_seen, road.stands = True, False
    follow_up(road, first)
    assert set(road.tick(30)) == {WHOLE_MIB_S}


def test_a_link_of_two_interfaces_is_known_where_both_are() -> None:
    road = a_road(interfaces=("eno1", "eno2"), others=600.0)
    road.begin()
    assert 300 <= road.tick(15)[-1] <= 300 * 1.12
    road = a_road(interfaces=("eno1", "eno2"), others=600.0)
    road.interfaces = ("eno1",)
    road.begin()
    assert set(road.tick(30)) == {WHOLE_MIB_S}


def test_an_interface_that_stands_by_shortens_nobodys_minute() -> None:
    road = a_road(interfaces=("eno1", "eno2"))
    road.idle = ("eno2",)
    road.begin()
    road.tick(100)
    road.others = 600.0
    given = road.tick(12)
    assert 300 <= given[-1] <= 300 * 1.12
    road.others = 50.0
    assert set(road.tick(int(HELD_SECONDS) - INTERVAL)) == {given[-1]}, "as over a link that is one interface"
    assert road.tick(2 * INTERVAL)[-1] == WHOLE_MIB_S


def test_what_follows_its_vm_in_post_copy_is_as_others() -> None:
    road = a_road(vms=2)
    road.begin()
    road.tick(20)
    first, second = road.jobs()
    road.stand.controller.ledger.apply(ev.PostCopyOrdered(road.stand.now.wall, first.id, "because"))
    for host, state in (("h1", VmState.POSTCOPY_LEFT), ("h2", VmState.POSTCOPY)):
        records = road.stand.world[host]
        records[first.vm] = replace(records[first.vm], state=state)
    road.others = 500.0
    road.tick(40)
    assert next(view for view in road.stand.step().view.migrations if view.id == first.id).gives_way == PARTED
    # nine tenths of the link less 500 of others and 300 of what is torn
    assert next(m for m in road.jobs() if m.id == second.id).bandwidth_mib_s <= 1.1 * LEAST


def test_an_agent_that_is_late_says_nothing_of_now() -> None:
    road = under_way(others=600.0)
    assert road.tick(15)[-1] < WHOLE_MIB_S
    road.stand.controller._senses.telemetry._sources[HostName("h1")].timely = 0
    assert road.tick(1) == [WHOLE_MIB_S]
    assert road.view().gives_way == UNKNOWN
