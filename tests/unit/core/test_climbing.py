"""A migration that does not converge with an even share of its links is given what others there do not need."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from ballastd.core import events as ev
from ballastd.core.climbing import HELD_BACK_SECONDS, Hurry, Lane, Space, chosen, floor, peak, peaks, shares
from ballastd.core.explanation import explain
from ballastd.core.giving_way import End, Way
from ballastd.core.inputs import ProgressSeen
from ballastd.core.inventory import Progress
from ballastd.core.migrations import Migration
from ballastd.core.plans import DeferralKind, Order, TuneOrder
from ballastd.core.policies import AutoConverge, EvacuationPolicy, Health, Limits, Mode, PolicySet, Response
from ballastd.core.quantities import GIB, MIB, Bytes, HostName
from ballastd.core.statements import SubjectKind
from tests.builders import FAN, POLICIES, UNCORRECTED, ClusterBuilder, Table, a_cluster, table

LINK, EVEN, LEAST = 1000, 300, 100
LIMITS = Limits(migration_minimum_mib_s=LEAST, failover_hosts=0, downtime_max_ms=500)
DRAIN = EvacuationPolicy("drain", Health.SUSPECT, Response.DRAIN, mode=Mode.AUTO)
TWO_AT_ONCE = PolicySet((UNCORRECTED, FAN), (*POLICIES.evacuation, DRAIN), {}, LIMITS, "digest")
OUT, IN, FAR = (HostName("h1"), Way.OUT), (HostName("h2"), Way.IN), (HostName("h3"), Way.IN)
WORTH_BEGINNING = floor(LEAST, EVEN)


def lane(*ends: End, hurry: Hurry = Hurry.ROUTINE, even: int = EVEN, least: int = LEAST) -> Lane:
    first, second = ends
    return Lane((first, second), hurry, even, least)


def space(*ends: End, polite: float | None = None) -> Space:
    return Space(dict.fromkeys(ends, 600.0), {} if polite is None else dict.fromkeys(ends, polite))


def test_who_climbs_has_what_others_do_not_need_on_either_link() -> None:
    lanes = {"a": lane(OUT, IN), "b": lane(OUT, FAR), "c": lane((HostName("h9"), Way.OUT), IN, least=250)}
    found = shares(lanes, space(OUT, IN, FAR, (HostName("h9"), Way.OUT)), ["a"])
    assert found == {"a": 350, "b": 250, "c": 250}, "the narrower end counts, and what is left at the other one is divided"
    assert shares(lanes, space(OUT, IN, FAR, (HostName("h9"), Way.OUT)), []) == dict.fromkeys("abc", EVEN)


def test_who_is_in_more_of_a_hurry_keeps_its_share_and_climbs_first() -> None:
    lanes = {"a": lane(OUT, IN), "b": lane(OUT, IN, hurry=Hurry.SAVING)}
    assert peak("a", lanes, space(OUT, IN)) == EVEN
    assert peak("b", lanes, space(OUT, IN)) == 500
    assert chosen(lanes, ["a"], ["b"]) == ("b",)
    assert chosen({**lanes, "b": lanes["a"]}, ["b"], ["a"]) == ("b",), "who does so already goes on"
    apart = {"a": lanes["a"], "b": lane((HostName("h8"), Way.OUT), (HostName("h9"), Way.IN))}
    assert chosen(apart, [], ["b", "a"]) == ("a", "b")


def test_what_others_use_comes_before_a_climb_but_off_a_failing_host() -> None:
    for hurry, most in ((Hurry.WANTED, 320), (Hurry.SAVING, 500)):
        lanes = {"a": lane(OUT, IN, hurry=hurry), "b": lane(OUT, IN, hurry=hurry)}
        assert peak("a", lanes, space(OUT, IN, polite=420.0)) == most
        assert peak("a", lanes, space(OUT, IN, polite=10.0)) >= EVEN, "an even share is nobody's favour"


def test_it_is_offered_where_it_is_worth_it() -> None:
    lanes = {"a": lane(OUT, IN), "b": lane(OUT, FAR)}
    has = dict.fromkeys("ab", EVEN)
    assert peaks(lanes, space(OUT, IN, FAR), [], has) == {"a": 500, "b": 500}
    assert peaks(lanes, space(OUT, IN, FAR), ["a"], has) == {}
    assert peaks({"a": lanes["a"], "b": lane(OUT, FAR, least=280)}, space(OUT, IN, FAR), [], {"a": EVEN}) == {}


@pytest.mark.parametrize(("needs", "keeps"), [(1, 1), (100, 109), (108, 109), (110, 136), (700, EVEN)])
def test_what_is_kept_grows_in_steps(needs: float, keeps: int) -> None:
    assert floor(needs, EVEN) == keeps


@dataclass
class Road:
    """A table on which VMs of 64 GiB leave h1 for h2, followed second by second. The first, v0, dirties ``dirties`` MiB/s in
    ``working_set`` MiB, in rounds of two seconds."""

    stand: Table
    dirties: float = 400.0
    working_set: float = 20_000.0
    copied: dict[str, float] = field(default_factory=dict)
    tunes: list[TuneOrder] = field(default_factory=list)
    at: int = 0
    second_dirties: float = 0.0
    orders: list[Order] = field(default_factory=list)

    def begin(self, metric: str = "fan.alarm") -> list[Order]:
        """Have h1 get sick, and its VMs begin to leave it."""
        for metric_of in ("fan.alarm", "ecc.uncorrected"):
            self.stand.show("h1", metric_of, 0.0, "x")
        self.stand.settle(60)
        self.stand.show("h1", metric, 1.0, "x")
        orders = list(self.stand.wait(1.0).step().orders)
        self.orders += orders
        for order in orders:
            self.stand.begin(order)
        return orders

    def tick(self, seconds: int = 1) -> list[tuple[int, ...]]:
        """Let time pass; return what each is given, second by second, MiB/s."""
        given: list[tuple[int, ...]] = []
        for _ in range(seconds):
            self.at += 1
            decision = self.stand.wait(1.0).step(*[self.seen(m) for m in self.jobs() if m.phase.value == "running"])
            self.tunes += decision.tunes
            self.orders += decision.orders
            for order in decision.orders:
                self.stand.begin(order)
            given.append(tuple(m.bandwidth_mib_s for m in self.jobs()))
        return given

    def seen(self, m: Migration) -> ProgressSeen:
        self.copied[m.id] = self.copied.get(m.id, 0.0) + m.bandwidth_mib_s
        is_busy = m.vm_name == "v0"
        left = min(self.working_set, 20_000.0 * min(1.0, self.dirties / m.bandwidth_mib_s) ** self.at)
        dirties = (self.dirties if is_busy else self.second_dirties) * MIB
        return ProgressSeen(m.id, Progress(float(self.at), Bytes(64 * GIB), Bytes(int(self.copied[m.id] * MIB)),
                                           Bytes(int(left * MIB) if is_busy else GIB), 2 + self.at // 2 if is_busy else 1,
                                           dirties, m.bandwidth_mib_s * float(MIB), left / m.bandwidth_mib_s),
                            self.stand.now)

    def jobs(self) -> list[Migration]:
        return list(self.stand.controller.ledger.open_migrations())

    def booked(self, kind: type[ev.Event]) -> list[ev.Event]:
        return [event for event in self.stand.events if isinstance(event, kind)]

    def waiting(self) -> list[str]:
        return [no.detail for no in self.stand.step().view.noes if no.kind == DeferralKind.CLIMB.value]


def hosts(vms: int) -> ClusterBuilder:
    return a_cluster().host("h1", 512).crowd("v", vms, 64).host("h2", 512)


def a_road(*, vms: int = 2, policies: PolicySet = TWO_AT_ONCE, **how: float) -> Road:
    return Road(table(hosts(vms), policies), **how)  # type: ignore[arg-type]


def climbing(*, metric: str = "fan.alarm", **how: float) -> Road:
    """Return a road on which the first VM climbs."""
    road = a_road(**how)  # type: ignore[arg-type]
    road.begin(metric)
    road.tick(20)
    assert road.jobs()[0].climbs_wall is not None
    return road


def test_who_does_not_converge_is_given_what_the_other_one_does_not_need() -> None:
    road = a_road()
    assert len(road.begin()) == 2
    given = road.tick(20)
    assert given[0] == (EVEN, EVEN)
    assert given[-1] == (600 - WORTH_BEGINNING, WORTH_BEGINNING)
    [less, more] = [tune for tune in road.tunes if tune.because]
    assert (less.bandwidth_mib_s, less.rises, less.climbs) == (WORTH_BEGINNING, False, False)
    assert (more.bandwidth_mib_s, more.rises, more.climbs) == (600 - WORTH_BEGINNING, True, True)
    booked = [(e.bandwidth_mib_s, e.because) for e in road.booked(ev.BandwidthOrdered) if isinstance(e, ev.BandwidthOrdered)]
    assert booked[0] == (WORTH_BEGINNING, "v0 does not converge with an even share, and is given more of the link")
    assert booked[1][1].startswith("with 300 MiB/s a round left no less than the best one before: its memory is dirtied")
    assert not road.booked(ev.DowntimeOrdered), "no VM stands still for longer where a link is to be had"


def test_it_has_its_bandwidth_for_a_while_before_it_asks_for_more() -> None:
    road = a_road()
    road.begin()
    assert set(road.tick(10)) == {(EVEN, EVEN)}


def test_who_converges_climbs_nowhere() -> None:
    road = a_road(dirties=200.0)
    road.begin()
    assert set(road.tick(60)) == {(EVEN, EVEN)}


def test_where_it_would_not_do_nobody_makes_room() -> None:
    road = a_road(dirties=4000.0, policies=replace(TWO_AT_ONCE, limits=replace(LIMITS, auto_converge=AutoConverge.NEVER)))
    road.begin()
    assert set(road.tick(20)) == {(EVEN, EVEN)}
    assert road.booked(ev.DowntimeOrdered)


def test_who_has_all_that_there_is_stands_still_for_longer() -> None:
    road = climbing(dirties=470.0, working_set=400.0)
    road.dirties = 900.0
    assert len(set(road.tick(30))) == 1, "no to and fro"
    assert road.booked(ev.DowntimeOrdered)


def alone(**how: float) -> Road:
    """Return a road on which the first VM climbs, the one beside it has arrived, and two more wait."""
    road = climbing(vms=4, **how)
    beside = road.jobs()[1].id
    road.stand.step(road.stand.finish(next(order for order in road.orders if order.id == beside)))
    return road


def test_nobody_begins_beside_it_but_for_a_while() -> None:
    road = alone()
    assert road.tick(30)[-1] == (600,)
    because = "v0 is given the link out of h1 and into h2, for it does not converge with an even share of it"
    assert road.waiting() == [because, because]
    road.tick(int(HELD_BACK_SECONDS))
    has = {m.vm_name: m.bandwidth_mib_s for m in road.jobs()}
    assert has == {"v0": 600 - WORTH_BEGINNING, "v2": WORTH_BEGINNING}, "it keeps what it was lent"


def test_who_is_in_more_of_a_hurry_waits_for_nobody_and_has_its_share() -> None:
    limits = replace(LIMITS, evacuations_at_once=2, in_flight_host_in=4)
    cluster = (a_cluster().host("h1", 512, rack="r1").crowd("v", 2, 64).host("h2", 512, rack="r1")
               .host("h3", 512, rack="r1").crowd("w", 1, 64))
    road = Road(table(cluster, replace(TWO_AT_ONCE, limits=limits)))
    road.stand.show("h3", "ecc.uncorrected", 0.0, "x")
    road.begin()
    assert road.tick(20)[-1] == (600 - WORTH_BEGINNING, WORTH_BEGINNING)
    road.stand.show("h3", "ecc.uncorrected", 1.0, "x")
    road.tick(5)
    has = {m.vm_name: m.bandwidth_mib_s for m in road.jobs()}
    assert has == {"v0": 600 - 199 - WORTH_BEGINNING, "v1": WORTH_BEGINNING, "w0": 199}, "a third, rounded down"
    assert not road.waiting()


def test_it_gives_back_what_it_was_lent_once_it_is_called_off() -> None:
    road = climbing()
    first = road.jobs()[0]
    road.stand.controller.ledger.apply(ev.AbortOrdered(road.stand.now.wall, first.id, "because"))
    road.tunes.clear()
    assert road.tick(2)[-1] == (EVEN, EVEN)
    assert [(tune.rises, tune.because) for tune in road.tunes] == [(False, ""), (True, "")]
    assert {(m.climbs_wall, m.bandwidth_because) for m in road.jobs()} == {(None, "")}


def test_others_keep_twice_what_they_dirty() -> None:
    road = climbing()
    road.second_dirties = 90.0
    assert road.tick(2)[-1] == (600 - floor(180, EVEN), floor(180, EVEN))
    road.second_dirties = 20.0
    assert len(set(road.tick(20))) == 1


def test_it_goes_on_after_a_restart() -> None:
    road = climbing()
    before = road.jobs()
    road.stand.restart(TWO_AT_ONCE)
    assert road.tick(10)[-1] == tuple(m.bandwidth_mib_s for m in before)
    assert [m.climbs_wall for m in road.jobs()] == [m.climbs_wall for m in before]


def test_behind_a_gate_nobody_climbs() -> None:
    road = a_road()
    road.begin()
    road.stand.controller.ledger.apply(ev.Paused(road.stand.now.wall, "op"))
    assert set(road.tick(30)) == {(EVEN, EVEN)}


def test_it_is_said_where_people_look() -> None:
    road = climbing()
    view = road.stand.step().view
    assert any("v0 is given 491 MiB/s: with 300 MiB/s" in one.text for one in view.recent)
    assert any("v1 is given 109 MiB/s: v0 does not converge" in one.text for one in view.recent)
    told = explain(view, road.jobs()[1].id, SubjectKind.MIGRATION)
    assert told is not None
    assert any(said.text.startswith("it has 109 MiB/s: v0 does not converge")
               for section in told.sections for said in section.statements)
