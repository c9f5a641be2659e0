"""Hours of the day: who peaks together is not put together, who does not may be; what nobody knows changes nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ballastd.core.balancing import lessen
from ballastd.core.constraints import Terms
from ballastd.core.daily import daily_of, hours_until
from ballastd.core.draft import Draft, begin
from ballastd.core.drafted_heat import DraftDoors, heat_of
from ballastd.core.drafting import candidates
from ballastd.core.intents import Fill, Intent, IntentKind
from ballastd.core.loads import Hours
from ballastd.core.packing_choice import intent_for
from ballastd.core.plans import Refusal
from ballastd.core.policies import (
    BalancePolicy,
    ConsolidationPolicy,
    Cooldown,
    During,
    Health,
    Mode,
    MoveBudget,
)
from ballastd.core.quantities import HostName
from ballastd.core.snapshot import take
from tests.builders import POLICIES, a_cluster, table

FULL = Terms(fill=Fill(0.65, 0.80, 0.65), failover_hosts=0)
IDLE, PEAK = 0.5, 8.0
"""Of 16 processors, 10.4 may be used."""


def day(*busy: int, high: float = PEAK, low: float = IDLE) -> list[float]:
    return [high if hour in busy else low for hour in range(24)]


UNKNOWN = [float("nan")] * 24
OFFICE, EVENING = day(9, 10), day(20, 21)


def drafted(clock: int, used: dict[str, float], peaks: dict[str, float] | None = None, own: float = 0.0,
            **days: list[float]) -> Draft:
    """Return an empty draft at an hour of the day: ``a`` lives on h1, ``b`` on h2, ``c`` and ``d`` on h3. ``used``,
    ``peaks``: processors by VM; ``own``: what h1 uses beside them."""
    builder = a_cluster().host("h1").running("a").host("h2").running("b").host("h3").running("c").running("d")
    t = table(builder).warm_up()
    ledger = t.controller.ledger.draft()
    step = type("S", (), {"now": t.now, "draft": ledger})()
    snapshot = take(t.controller._facts(step), ledger, t.now)
    names = [record.name for record in snapshot.records]
    cpu = np.array([used.get(name, IDLE) for name in names])
    peak = np.array([max(used.get(name, IDLE), (peaks or {}).get(name, IDLE)) for name in names])
    hours = np.array([days.get(name, UNKNOWN) for name in names])
    hosts = np.bincount(snapshot.vms.host, cpu, len(snapshot.hosts.names)) + np.array([own, 0.0, 0.0])
    wall = snapshot.now.wall // 86400 * 86400 + clock * 3600 + 1800
    snapshot = replace(snapshot, now=replace(snapshot.now, wall=wall), hours=Hours(lambda: hours),
                       hosts=replace(snapshot.hosts, cpu=hosts, cpu_limit=np.full(3, 16.0)),
                       vms=replace(snapshot.vms, cpu=cpu, peak=peak))
    return begin(snapshot, ledger, POLICIES)


def vm(draft: Draft, name: str) -> int:
    return next(row for row, record in enumerate(draft.snapshot.records) if record.name == name)


def targets(draft: Draft, name: str, terms: Terms = FULL) -> tuple[set[str], list[Refusal]]:
    row = vm(draft, name)
    kept, noes = candidates(draft, terms, row, int(draft.snapshot.vms.host[row]))
    return {one.name for one in kept}, noes


def test_who_peaks_together_is_not_put_together_at_night_and_who_does_not_is() -> None:
    draft = drafted(3, {}, {"a": PEAK, "b": PEAK, "c": PEAK}, a=OFFICE, b=OFFICE, c=EVENING, d=day())
    found, noes = targets(draft, "a")
    assert found == {"h3"}
    against = [no.detail for no in noes if no.host == "h2"]
    assert against == ["between 09:00 and 10:00 UTC 16.00 of 16 processors would be used, at most 65%"]


def test_before_the_sum_of_peaks_kept_apart_who_never_meets() -> None:
    busy = drafted(20, {"c": PEAK}, {"a": PEAK}, a=OFFICE, b=OFFICE, c=EVENING, d=day())
    assert targets(busy, "a")[0] == {"h3"}
    unknown = drafted(20, {"c": PEAK}, {"a": PEAK}, a=OFFICE, b=OFFICE, c=EVENING)
    assert targets(unknown, "a")[0] == set(), "d's day is not known: a might be busy at once with c"


def test_what_is_used_now_is_never_forgotten_for_what_was_yesterday() -> None:
    draft = drafted(3, {"b": 6.0}, a=OFFICE, b=day(), c=OFFICE, d=day())
    found, noes = targets(draft, "a")
    assert "h2" not in found
    assert "14.00 of 16" in next(no.detail for no in noes if no.host == "h2"), "b uses 5.5 more than yesterday at this time"


def test_where_nobody_is_known_everything_is_as_it_was() -> None:
    draft = drafted(3, {"b": 3.0}, {"a": PEAK})
    assert draft.daily is None
    assert targets(draft, "a")[0] == {"h3"}, "8 and 3 are more than 10.4"


def test_one_unknown_neighbour_hides_nobody_else_s_morning() -> None:
    draft = drafted(3, {}, a=OFFICE, b=day(), c=OFFICE)
    assert targets(draft, "a")[0] == {"h2"}


def test_one_of_whom_nothing_is_known_is_as_busy_all_day_as_it_ever_was() -> None:
    draft = drafted(3, {}, {"a": 4.0}, b=OFFICE, c=day(), d=day())
    found, noes = targets(draft, "a")
    assert found == {"h3"}
    assert "12.00 of 16" in next(no.detail for no in noes if no.host == "h2")


def test_what_a_plan_promised_counts_at_its_hours() -> None:
    draft = drafted(3, {}, a=OFFICE, b=OFFICE, c=day(), d=day())
    assert targets(draft, "b")[0] == {"h3"}
    draft.move(vm(draft, "a"), 0, 2)
    assert targets(draft, "b")[0] == set(), "a goes to h3, and what it leaves on h1 is not counted on"
    copy = drafted(3, {}, a=OFFICE, b=OFFICE, c=day(), d=day()).copy()
    copy.move(vm(copy, "a"), 0, 2)
    assert targets(copy.copy(), "b")[0] == set()


def test_only_the_hours_until_then_count_where_somebody_spreads_vms_out() -> None:
    draft = drafted(22, {}, a=OFFICE, b=OFFICE, c=OFFICE, d=day())
    wall = draft.snapshot.now.wall
    for hours, fits in ((9.0, True), (10.4, True), (10.5, False), (13.0, False)):
        terms = replace(FULL, fill=Fill(0.65, 0.80, 0.65, wall + hours * 3600.0))
        assert (targets(draft, "a", terms)[0] == {"h2", "h3"}) is fits, hours


def test_packing_looks_at_the_day_or_until_somebody_else_spreads_vms_out() -> None:
    snapshot = drafted(22, {}).snapshot
    closes = snapshot.now.wall + 7 * 3600.0
    for during, until in ((During.DAY, None), (During.WINDOW, closes + 3600.0)):
        policy = ConsolidationPolicy("nights", "nights.window", fill_during=during)
        assert intent_for(policy, HostName("h1"), "", snapshot, Mode.AUTO, closes).fill == Fill(0.65, 0.80, 0.65, until)


@pytest.mark.parametrize(("clock", "goes"), [(3, ["h2"]), (12, [])])
def test_what_stays_hot_otherwise_is_relieved_for_as_long_as_a_vm_then_rests(clock: int, goes: list[str]) -> None:
    three = day(15, high=16.0)
    draft = drafted(clock, {"a": 7.0}, own=7.0, a=day(high=7.0, low=7.0), b=three, c=three, d=day())
    draft.policies = replace(POLICIES, balance=(BalancePolicy("even-load"),))
    lessen(draft, Intent(IntentKind.RELIEVE, HostName("h1"), "even-load", "", Health.HEALTHY, draft.snapshot.now,
                         fill=FULL.fill, cooldown=Cooldown(), budget=MoveBudget(), minimum_gain=0.1))
    assert [move.target for move in draft.moves] == goes, "it rests for six hours, and could not leave again by three"


@pytest.mark.parametrize(("until", "hours"), [(None, 24), (0.0, 1), (-9.0, 1), (3599.0, 1), (3600.0, 2), (90000.0, 24)])
def test_hours_until(until: float | None, hours: int) -> None:
    midnight = 86400.0 * 20_000
    found = hours_until(midnight + 23 * 3600.0, None if until is None else midnight + 23 * 3600.0 + until)
    assert int(found.sum()) == hours
    assert found[23]


def test_an_evacuation_goes_where_it_can() -> None:
    draft = drafted(3, {}, a=OFFICE, b=OFFICE, c=OFFICE, d=OFFICE)
    assert targets(draft, "a", Terms(failover_hosts=0))[0] == {"h2", "h3"}


def test_searches_count_whom_they_put_somewhere_at_his_hours() -> None:
    draft = drafted(3, {}, {"a": PEAK}, a=OFFICE, b=OFFICE, c=day(), d=day())
    a, b = vm(draft, "a"), vm(draft, "b")
    wanted = {row: Intent(IntentKind.RELIEVE, draft.snapshot.hosts.names[row], "even-load", "", Health.HEALTHY,
                          draft.snapshot.now, fill=FULL.fill) for row in (0, 1)}
    off = np.array([0.5, 0.5, 0.0, 0.0])
    doors = DraftDoors(draft, wanted, off)
    assert doors.admits(a, 2)
    doors.enter(b, 2)
    assert not doors.admits(a, 2)
    doors.leave(b, 2)
    assert doors.admits(a, 2)
    heat = heat_of(draft, wanted, off, Fill(0.65, 0.80, 0.65), np.array([True, True, False]), np.array([False, False, True]))
    assert heat.vm_peak[a] == IDLE, "at three o'clock; nine is asked at the door"


def test_a_host_uses_beside_its_vms_what_they_do_not_explain() -> None:
    draft = drafted(3, {"c": 2.0}, a=OFFICE, b=day(), c=OFFICE)
    snapshot = replace(draft.snapshot, hosts=replace(draft.snapshot.hosts, cpu=np.array([1.5, 0.5, 3.0])))
    daily = daily_of(snapshot)
    assert daily is not None
    assert daily.hosts[0, 3] == pytest.approx(1.5), "a's 0.5 and 1 of the host's own"
    assert daily.hosts[0, 9] == pytest.approx(9.0)
    assert daily.hosts[2, 9] == pytest.approx(8.0 + 1.0 + 1.5), "c, d and the host's own, and what c uses beyond yesterday"
    assert daily.unknown.tolist() == [0, 0, 1]
