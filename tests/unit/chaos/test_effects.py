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


def test_a_bandwidth_that_comes_while_its_migration_ends_is_late_and_not_wrong() -> None:
    last = seen("bandwidth")[-1]
    late = [*seen("bandwidth")[:-1], replace(last, wall=1796011595.6)]
    assert reckon(late, records("bandwidth")).twice == []
    assert len(reckon([*late[:-1], replace(last, wall=1796011597.0)], records("bandwidth")).twice) == 1


def test_a_host_that_is_told_without_an_order_or_once_more_is_told() -> None:
    assert len(reckon(switchings(OFF_AND_ON), without("power-on", "WakeOrdered")).twice) == 1
    assert len(reckon(switchings(OFF_AND_ON * 2), records("power-on")).twice) == 2
    after = OFF_AND_ON.replace("1796011626.358", "1796011629.1")
    assert "power on of h3" in reckon(switchings(after), records("power-on")).twice[0]
