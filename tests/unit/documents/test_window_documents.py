"""Window documents as written: every way of writing times, what they compile to, what is doubted and what is not refused."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ballastd.documents import LoadedPolicies, load_policies
from ballastd.documents.timed_windows import RULES_MAX
from ballastd.errors import ConfigurationError

NIGHTS = 'kind: Window\nname: nights\nallow: {days: [mon-fri], at: "22:00", for: 7h, timezone: Europe/Berlin}\n'
BALANCE = "kind: Balance\nname: even\nmode: auto\nwindows: [%s]\n"


def wall(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def load(folder: Path, *documents: str, now: str = "2026-11-24 12:00") -> LoadedPolicies:
    (folder / "p.yaml").write_text("---\n".join(documents))
    return load_policies(folder, None, wall(now))


def window(times: str, name: str = "w", key: str = "deny") -> str:
    return f"kind: Window\nname: {name}\n{key}: {times}\n"


def doubts(folder: Path, *documents: str, now: str = "2026-11-24 12:00") -> list[str]:
    return [warning.replace(f"{folder}/", "") for warning in load(folder, *documents, now=now).warnings]


@pytest.mark.parametrize("times", [
    '{days: [mon-fri], at: "22:00", for: 7h, timezone: Europe/Berlin}',
    '{cron: "0 22 * * mon-fri", for: 7h, timezone: Europe/Berlin}',
    "{rrule: FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR, start: 2026-01-05 22:00, for: 7h, timezone: Europe/Berlin}".replace(
        "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR", '"FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR"'),
    '[{days: [mon, wed, fri], at: "22:00", for: 7h, timezone: Europe/Berlin}, '
    '{cron: "0 22 * * tue,thu", for: 7h, timezone: Europe/Berlin}]',
])
def test_the_same_nights_can_be_written_in_many_ways(tmp_path: Path, times: str) -> None:
    found = load(tmp_path, window(times)).policies.windows["w"]
    assert found.intervals == load(tmp_path, NIGHTS).policies.windows["nights"].intervals
    assert len(found.intervals) == 10
    assert not found.allows


def test_several_times_in_one_window_are_its_union(tmp_path: Path) -> None:
    found = load(tmp_path, window("\n- {from: 2026-11-25 10:00, for: 2h, timezone: UTC}\n- {from: 2026-11-25 11:00, "
                                  "for: 2h, timezone: UTC}\n- {from: 2026-11-25 10:00, for: 1h, timezone: Asia/Tokyo}"))
    assert found.policies.windows["w"].intervals == (
        (wall("2026-11-25 01:00"), wall("2026-11-25 02:00")), (wall("2026-11-25 10:00"), wall("2026-11-25 13:00")))


def test_a_consolidation_holds_several_times_of_its_own_and_names_denials(tmp_path: Path) -> None:
    policies = load(tmp_path, "kind: Consolidation\nname: pack\nwindow:\n- {days: [mon], at: \"22:00\", for: 7h, timezone: "
                    "UTC}\n- {cron: \"0 20 * * sat\", for: 30h, timezone: UTC}\nwindows: [freeze]\n",
                    window("{from: 2026-12-24 00:00, for: 10d, timezone: UTC}", "freeze")).policies
    assert policies.consolidation[0].window == "pack.window"
    assert policies.consolidation[0].denials == ("freeze",)
    assert len(policies.windows["pack.window"].intervals) == 4
    assert not policies.windows["freeze"].allows


def test_one_long_opening_among_short_ones_is_enough_for_a_consolidation(tmp_path: Path) -> None:
    assert load(tmp_path, "kind: Consolidation\nname: pack\nwindow:\n- {days: [mon], at: \"22:00\", for: 10m, "
                "timezone: UTC}\n- {days: [tue], at: \"22:00\", for: 7h, timezone: UTC}\n").policies.consolidation


@pytest.mark.parametrize("denial", [
    "{days: [mon-fri], at: \"08:00\", for: 10h, timezone: Europe/Berlin}",      # another time of day
    "{days: [mon-thu], at: \"20:00\", for: 12h, timezone: Europe/Berlin}",      # Friday is left
    "{days: [mon-fri], at: \"22:00\", for: 6h59m, timezone: Europe/Berlin}",    # a minute is left
    "{days: [mon-fri], at: \"22:00\", for: 7h, timezone: Europe/London}",       # an hour is left
    "{from: 2026-11-01 00:00, for: 60d, timezone: UTC}",                        # it passes
    "{rrule: FREQ=DAILY;COUNT=900, start: 2026-01-01 00:00, for: 23h59m, timezone: UTC}",
])
def test_permissions_that_are_not_always_denied_are_no_mistake(tmp_path: Path, denial: str) -> None:
    assert load(tmp_path, BALANCE % "nights, d", NIGHTS, window(denial, "d")).policies.balance


def test_a_permission_that_nothing_but_others_denials_cover_is_no_mistake(tmp_path: Path) -> None:
    all_night = window('{days: [mon-sun], at: "20:00", for: 14h, timezone: Europe/Berlin}', "d")
    assert load(tmp_path, BALANCE % "nights", NIGHTS, all_night).policies.balance


def test_whether_windows_are_sound_does_not_depend_on_the_time(tmp_path: Path) -> None:
    documents = (BALANCE % "nights, once, counted, until", NIGHTS,
                 window("{from: 2026-12-24 00:00, for: 10d, timezone: UTC}", "once"),
                 window("{rrule: FREQ=DAILY;COUNT=3, start: 2026-12-24 00:00, for: 1h, timezone: UTC}", "counted"),
                 window("{rrule: FREQ=DAILY;UNTIL=20261231, start: 2026-12-24 00:00, for: 1h, timezone: UTC}", "until"))
    for now in ("2001-01-01 00:00", "2026-12-25 00:00", "2027-06-01 00:00", "2060-01-01 00:00"):
        assert load(tmp_path, *documents, now=now).policies.balance
    assert [doubt for doubt in doubts(tmp_path, *documents, now="2027-06-01 00:00") if "has passed" in doubt] == [
        f"p.yaml:{line}:1: {name} has passed, it never denies again; take it out"
        for line, name in ((11, "once"), (15, "counted"), (19, "until"))]


def test_openings_that_overlap_are_doubted(tmp_path: Path) -> None:
    assert "p.yaml:3:1: deny: it starts again before its 1d6h are over; they count as one" in doubts(
        tmp_path, window('{days: [mon-fri], at: "08:00", for: 30h, timezone: UTC}'))


def test_a_window_that_is_always_open_is_doubted_and_a_way_to_pack_at_any_time(tmp_path: Path) -> None:
    always = '{days: [mon-sun], at: "00:00", for: 24h, timezone: UTC}'
    assert "p.yaml:3:1: pack.window is always open" in doubts(
        tmp_path, f"kind: Consolidation\nname: pack\nwindow: {always}\n")


def test_as_many_rules_as_are_taken_load_soon_and_one_more_is_refused(tmp_path: Path) -> None:
    """Of processor time, for the machine may be busy."""
    hard = [window(f'{{rrule: "FREQ=DAILY;INTERVAL=2;BYMONTH=2;BYMONTHDAY=29;BYHOUR={i % 24}", start: 2026-01-01 00:00, '
                   'for: 1h, timezone: UTC}', f"w{i}") for i in range(RULES_MAX)]
    begin = time.process_time()
    assert len(load(tmp_path, *hard).policies.windows) == RULES_MAX
    assert time.process_time() - begin < 5.0
    with pytest.raises(ConfigurationError, match="more than 200 rules and events in all files"):
        load(tmp_path, *hard, window('{cron: "0 1 * * *", for: 1h, timezone: UTC}', "one-more"))
