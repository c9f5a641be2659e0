"""What libvirtd's own log says of the calls it took, and what the journal of the same minute says was ordered.

``libvirtd`` holds what was logged and recorded in four tries of kills on the lab (libvirt 9.0.0): the head of each log, two
looks at a job, and every line of a migration; of the journal the kinds and fields that are asked for.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.effects import Effect, calls, reckon, switchings

RECORDED = Path(__file__).with_name("libvirtd")
NAMES = {"10.77.0.11": "h1", "10.77.0.12": "h2", "10.77.0.13": "h3"}
OFF_AND_ON = "power off h3 1796011625.161000000\npower on h3 1796011626.358000000\n"


def seen(place: str) -> list[Effect]:
    return calls((RECORDED / f"{place}-h1.log").read_text(), "h1", NAMES)


def records(place: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (RECORDED / f"{place}.jsonl").read_text().splitlines()]


def without(place: str, *kinds: str) -> list[dict[str, Any]]:
    return [record for record in records(place) if record["kind"] not in kinds]


def later(place: str, kind: str, seconds: float) -> list[dict[str, Any]]:
    """Return the records with all from the last of a kind on dated so much later."""
    known = records(place)
    last = max(number for number, record in enumerate(known) if record["kind"] == kind)
    return [record | ({"wall": record["wall"] + seconds} if number >= last else {}) for number, record in enumerate(known)]


def but(effects: list[Effect], act: str, value: int) -> list[Effect]:
    return [one for one in effects if (one.act, one.value) != (act, value)]


def failed(place: str) -> list[dict[str, Any]]:
    return [record | ({"ending": "failed"} if record["kind"] == "MigrationSettled" else {}) for record in records(place)]


def migrations(effects: list[Effect]) -> list[Effect]:
    return [one for one in effects if one.act == "migrate"]


# the log

def test_each_call_is_read_with_whom_it_concerns_and_how_much() -> None:
    assert [(one.act, one.who, one.value) for one in seen("bandwidth")] == [
        ("standstill", "web", 100), ("migrate", "web", 0), ("bandwidth", "web", 4), ("bandwidth", "web", 4),
        ("standstill", "log", 100), ("migrate", "log", 0), ("standstill", "db", 100), ("migrate", "db", 0),
        ("bandwidth", "web", 4), ("bandwidth", "web", 8)]
    assert [one.act for one in seen("abort")] == ["standstill", "migrate", "abort", "standstill", "migrate"]
    assert [one.value for one in seen("standstill") if one.act == "standstill"] == [100, 100, 1000]


def test_a_migration_says_where_to_and_what_it_begins_with() -> None:
    assert [(one.who, one.at, one.to, one.mib_s) for one in migrations(seen("bandwidth"))] == [
        ("web", "h1", "h2", 8), ("log", "h1", "h2", 4), ("db", "h1", "h3", 4)]
    assert {one.to for one in migrations(calls((RECORDED / "abort-h1.log").read_text(), "h1", {}))} == {
        "10.77.0.12", "10.77.0.13"}, "nobody that is known"


def test_a_call_is_dated_to_the_millisecond_in_utc() -> None:
    assert migrations(seen("standstill"))[0].wall == pytest.approx(1796011559.361, abs=1e-4)


def test_what_a_target_is_asked_and_looks_are_no_acts() -> None:
    assert calls((RECORDED / "bandwidth-h2.log").read_text(), "h2", NAMES) == []


def test_a_switch_says_what_it_was_told_and_when() -> None:
    assert switchings(OFF_AND_ON) == [Effect("power off", "h3", "h3", 1796011625.161),
                                      Effect("power on", "h3", "h3", 1796011626.358)]
    assert switchings("") == []


# against the journal

@pytest.mark.parametrize(("place", "again", "most"), [("bandwidth", 2, 8), ("standstill", 1, 17), ("abort", 0, 8)])
def test_what_was_ordered_and_arrived_is_right(place: str, again: int, most: int) -> None:
    found = reckon(seen(place), records(place))
    assert (found.twice, found.unseen) == ([], [])
    assert (found.again, found.most_mib_s) == (again, most)


def test_a_host_that_was_told_once_each_time_is_right() -> None:
    found = reckon(switchings(OFF_AND_ON), records("power-on"))
    assert (found.twice, found.unseen) == ([], [])


@pytest.mark.parametrize(("place", "order", "act"), [
    ("abort", "AbortOrdered", "abort of web at h1"), ("standstill", "DowntimeOrdered", "standstill of web at h1 (1000)"),
    ("bandwidth", "BandwidthOrdered", "bandwidth of web at h1 (4)")])
def test_what_nothing_durable_stands_for_is_told(place: str, order: str, act: str) -> None:
    found = reckon(seen(place), without(place, order))
    assert any(act in one and "no order for it was open" in one for one in found.twice)


def test_a_migration_that_begins_a_second_time_is_told() -> None:
    first = migrations(seen("standstill"))[0]
    found = reckon([*seen("standstill"), replace(first, wall=first.wall + 2.0)], records("standstill"))
    assert len(found.twice) == 1
    assert "migrate of web at h1 to h2" in found.twice[0]
    assert "its order had had its effect" in found.twice[0]


def test_a_migration_before_its_order_or_after_its_end_is_told_though_the_sums_are_right() -> None:
    for wall in (1796011559.2, 1796011566.3):
        moved = [replace(one, wall=wall) if one.act == "migrate" else one for one in seen("standstill")]
        found = reckon(moved, records("standstill"))
        assert "no order for it was open" in found.twice[0]
        assert found.unseen == ["migration 7-1 of web from h1 to h2"]


@pytest.mark.parametrize("wrong", [{"to": "h3"}, {"at": "h2"}, {"who": "db"}])
def test_a_migration_elsewhere_than_ordered_is_told(wrong: dict[str, str]) -> None:
    moved = [replace(one, **wrong) if one.act == "migrate" else one for one in seen("standstill")]  # type: ignore[arg-type]
    found = reckon(moved, records("standstill"))
    assert len(found.twice) == 1
    assert found.unseen == ["migration 7-1 of web from h1 to h2"]


def test_the_order_of_one_migration_stands_for_no_other_of_the_same_guest() -> None:
    # twice ordered and twice begun, but both under the second order
    first, second = migrations(seen("abort"))
    both = [replace(one, wall=second.wall - 0.01, to=second.to) if one == first else one for one in seen("abort")]
    assert any("migrate of web at h1 to h3" in one for one in reckon(both, records("abort")).twice)


def test_a_completed_migration_that_never_began_is_told() -> None:
    found = reckon([one for one in seen("abort") if one.act != "migrate"], records("abort"))
    assert found.unseen == ["migration 29-1 of web from h1 to h3"], "the other one was aborted, maybe before it began"


def test_an_abort_that_never_arrived_is_told_where_its_migration_was_begun_and_ended_by_it() -> None:
    unheard = but(seen("abort"), "abort", 0)
    assert reckon(unheard, records("abort")).unseen == ["abort of web at h1, ordered 1796011606.054"]
    assert reckon(unheard, failed("abort")).unseen == [], "it ended by itself"
    never_begun = [one for one in unheard if one != migrations(seen("abort"))[0]]
    assert reckon(never_begun, records("abort")).unseen == [], "there was nothing to call off"


def test_a_host_that_went_off_or_came_back_and_was_never_told_is_told() -> None:
    off, on = OFF_AND_ON.splitlines(keepends=True)
    assert reckon(switchings(on), records("power-on")).unseen == ["power off of h3 at h3, ordered 1796011625.059"]
    assert reckon(switchings(off), records("power-on")).unseen == ["power on of h3 at h3, ordered 1796011626.256"]
    withheld = [r | {"kind": {"HostAwake": "WakeWithheld"}.get(r["kind"], r["kind"])} for r in records("power-on")]
    assert reckon(switchings(off), withheld).unseen == []


def test_how_a_job_that_lived_on_should_be_and_was_not_told_is_told() -> None:
    assert reckon(but(seen("bandwidth"), "bandwidth", 4), records("bandwidth")).unseen == [
        "bandwidth of web at h1 (4), ordered 1796011577.801"]
    untold = but(seen("bandwidth"), "bandwidth", 8)
    assert reckon(untold, records("bandwidth")).unseen == [], "its migration ended before long"
    assert reckon(untold, later("bandwidth", "MigrationSettled", 10.0)).unseen == [
        "bandwidth of web at h1 (8), ordered 1796011590.548"]
    untold = but(seen("standstill"), "standstill", 1000)
    assert reckon(untold, later("standstill", "MigrationSettled", 10.0)).unseen == [
        "standstill of web at h1 (1000), ordered 1796011563.636"]
    assert reckon(untold, later("standstill", "DaemonStarted", 10.0)).unseen == [], "no daemon was there to say it"
    both = but(untold, "standstill", 100)
    assert reckon(both, later("standstill", "DowntimeOrdered", 10.0)).unseen == [], "more was allowed since"


def test_a_bandwidth_that_comes_while_its_migration_ends_is_late_and_not_wrong() -> None:
    last = seen("bandwidth")[-1]
    late = [*seen("bandwidth")[:-1], replace(last, wall=1796011595.6)]
    assert reckon(late, records("bandwidth")).twice == []
    assert len(reckon([*late[:-1], replace(last, wall=1796011597.0)], records("bandwidth")).twice) == 1


def test_a_bandwidth_that_comes_late_gives_nobody_anything() -> None:
    last = seen("bandwidth")[-1]
    late = [*seen("bandwidth")[:-1], replace(last, wall=1796011595.6, value=100)]
    assert reckon(late, records("bandwidth")).most_mib_s == 8


def test_what_the_jobs_of_several_sources_are_given_is_no_sum() -> None:
    def elsewhere(r: dict[str, Any]) -> dict[str, Any]:
        return r | ({"source": "h2"} if r.get("vm_name") == "log" else {})

    arrived = [replace(one, at="h2") if one.who == "log" else one for one in seen("bandwidth")]
    quick = [replace(one, mib_s=8) if one.act == "migrate" and one.who == "log" else one for one in arrived]
    assert reckon(quick, [elsewhere(r) for r in records("bandwidth")]).most_mib_s == 8
    together = [replace(one, mib_s=8) if one.act == "migrate" and one.who == "log" else one for one in seen("bandwidth")]
    assert reckon(together, records("bandwidth")).most_mib_s == 12


@pytest.mark.parametrize(("place", "act", "value", "wall"), [
    ("bandwidth", "bandwidth", 4, 1796011593.0), ("standstill", "standstill", 100, 1796011565.9)])
def test_a_job_that_is_set_back_to_what_was_ordered_before_is_told(place: str, act: str, value: int, wall: float) -> None:
    former = next(one for one in seen(place) if (one.act, one.value) == (act, value))
    found = reckon([*seen(place), replace(former, wall=wall)], records(place))
    assert found.twice == [f"{act} of web at h1 ({value}), {wall:.3f}: no order for it was open"]
    ordered = next(r["wall"] for r in reversed(records(place)) if r["kind"] in ("BandwidthOrdered", "DowntimeOrdered"))
    assert reckon([*seen(place), replace(former, wall=ordered + 0.5)], records(place)).twice == [], "it was on its way"


def test_a_migration_that_fails_is_given_back_its_standstill_once() -> None:
    last = [one for one in seen("standstill") if one.act == "standstill"][-1]
    back = replace(last, wall=1796011566.0, value=300)
    assert len(reckon([*seen("standstill"), back], records("standstill")).twice) == 1, "it completed"
    found = reckon([*seen("standstill"), back], failed("standstill"))
    assert (found.twice, found.again) == ([], 1)
    found = reckon([*seen("standstill"), back, replace(back, wall=1796011566.1)], failed("standstill"))
    assert len(found.twice) == 1
    assert "standstill of web at h1 (300)" in found.twice[0]


GONE_BEFORE = [
    {"kind": "MigrationOrdered", "wall": 1796011600.0, "id": "7-1", "vm_name": "web", "source": "h1", "target": "h2",
     "downtime_ms": 100, "bandwidth_mib_s": 8},
    {"kind": "PostCopyOrdered", "wall": 1796011604.68, "id": "7-1"},
    {"kind": "MigrationSettled", "wall": 1796011609.0, "id": "7-1", "ending": "completed"}]
BEGUN = Effect("migrate", "web", "h1", 1796011600.1, to="h2", mib_s=8)


def test_a_guest_goes_before_its_memory_by_an_order_of_that_alone() -> None:
    said = ("2026-11-30 04:06:44.687+0000: 28: debug : virDomainMigrateStartPostCopy:9903 : dom=0x55b3a8836730, "
            "(VM: name=web, uuid=30db173d-3569-4efb-99fe-78987e67722d), flags=0x0\n")
    seen_all = [BEGUN, *calls(said, "h1", NAMES)]
    found = reckon(seen_all, GONE_BEFORE)
    assert (found.twice, found.unseen, found.again) == ([], [], 0)
    assert reckon([*seen_all, replace(seen_all[1], wall=1796011606.0)], GONE_BEFORE).again == 1
    assert len(reckon(seen_all, [GONE_BEFORE[0], GONE_BEFORE[2]]).twice) == 1
    assert len(reckon(seen_all, GONE_BEFORE[:1]).twice) == 1
    taken_back = {"kind": "PostCopyWithdrawn", "wall": 1796011604.7, "id": "7-1"}
    late = [BEGUN, replace(seen_all[1], wall=1796011607.0)]
    assert len(reckon(late, [*GONE_BEFORE[:2], taken_back, GONE_BEFORE[2]]).twice) == 1


def test_one_that_cannot_be_had_otherwise_and_completes_was_put_into_post_copy() -> None:
    assert reckon([BEGUN], GONE_BEFORE).unseen == ["post-copy of web at h1, ordered 1796011604.680"]
    assert reckon([BEGUN], [*GONE_BEFORE[:2], GONE_BEFORE[2] | {"ending": "failed"}]).unseen == []
    taken_back = {"kind": "PostCopyWithdrawn", "wall": 1796011604.7, "id": "7-1"}
    assert reckon([BEGUN], [*GONE_BEFORE[:2], taken_back, GONE_BEFORE[2]]).unseen == []


def test_a_guest_is_asked_to_shut_down_once_for_each_record_of_it() -> None:
    said = ("2026-11-30 04:06:44.687+0000: 28: debug : virDomainShutdownFlags:1995 : dom=0x55b3a8836730, "
            "(VM: name=web, uuid=30db173d-3569-4efb-99fe-78987e67722d), flags=0x3\n")
    asked = calls(said + said.replace("04:06:44", "04:07:44"), "h1", NAMES)
    books = [{"kind": "ShutdownOrdered", "wall": 1796011604.68, "id": "5-s1", "vm_name": "web", "host": "h1"},
             {"kind": "ShutdownAskedAgain", "wall": 1796011664.68, "id": "5-s1"},
             {"kind": "ShutdownEnded", "wall": 1796011670.0, "id": "5-s1", "ending": "down"}]
    assert reckon(asked, books).twice == []
    assert reckon(asked[1:], books).unseen == [], "the first was never made"
    assert reckon(asked[:1], books).unseen == ["shutdown of web at h1, ordered 1796011664.680"]
    assert reckon(asked[:1], [*books[:2], books[2] | {"ending": "stayed"}]).unseen == []
    assert len(reckon(asked, [books[0], books[2]]).twice) == 1
    assert len(reckon([*asked, replace(asked[1], wall=1796011666.0)], books).twice) == 1
    assert len(reckon([*asked, replace(asked[1], wall=1796011671.0)], books).twice) == 1


def test_a_host_that_is_told_without_an_order_or_once_more_is_told() -> None:
    assert len(reckon(switchings(OFF_AND_ON), without("power-on", "WakeOrdered")).twice) == 1
    assert len(reckon(switchings(OFF_AND_ON * 2), records("power-on")).twice) == 2
    after = OFF_AND_ON.replace("1796011626.358", "1796011629.1")
    assert "power on of h3" in reckon(switchings(after), records("power-on")).twice[0]
