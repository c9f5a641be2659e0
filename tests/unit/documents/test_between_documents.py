"""What one document says of another, over all files of a directory: names, windows, severities, and doubts."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from ballastd.core.policies import PolicySet
from ballastd.documents import load_policies
from ballastd.errors import ConfigurationError

HEALTH = "kind: Health\nname: hot\nwhen: {metric: temperature, above: 85C}\nseverity: degraded\n"
DRAIN = "kind: Evacuation\nname: drain\non: {severity: degraded}\nrespond: drain\nmode: auto\nwindows: [nights]\n"
NIGHTS = 'kind: Window\nname: nights\nallow: {days: [mon-fri], at: "22:00", for: 7h, timezone: Europe/Berlin}\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "drain.yaml").write_text(DRAIN)
    (tmp_path / "health.yml").write_text(HEALTH)
    (tmp_path / "windows.yaml").write_text(NIGHTS)
    return tmp_path


def problems(folder: Path) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load_policies(folder, None, 0.0)
    return [problem.replace(f"{folder}/", "") for problem in caught.value.problems]


def warnings(folder: Path, now: float = 0.0) -> list[str]:
    return [warning.replace(f"{folder}/", "") for warning in load_policies(folder, None, now).warnings]


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def test_a_sound_set_leaves_no_doubt(folder: Path) -> None:
    assert warnings(folder) == []


def test_a_window_is_found_in_another_file_and_missed_by_its_name(folder: Path) -> None:
    (folder / "windows.yaml").write_text(NIGHTS.replace("name: nights", "name: night"))
    assert problems(folder) == ["drain.yaml:6:11: windows.0: there is no Window 'nights'; did you mean night?"]


@pytest.mark.parametrize("broken", ["kind: [", NIGHTS.replace("for: 7h", "for: 7"), "kind: Windwo\nname: nights\n"])
def test_a_window_that_cannot_be_read_is_not_said_to_be_missing(folder: Path, broken: str) -> None:
    (folder / "windows.yaml").write_text(broken)
    found = problems(folder)
    assert len(found) == 1
    assert found[0].startswith("windows.yaml:")


def test_what_moves_vms_shares_no_name_and_none_stands_for_a_person(folder: Path) -> None:
    (folder / "x.yaml").write_text("kind: Balance\nname: drain\n")
    assert problems(folder) == ["x.yaml:2:1: name: another Evacuation is called drain (drain.yaml:2:1); give each its own"]
    (folder / "x.yaml").write_text("kind: Balance\nname: operator\n---\nkind: Balance\nname: wake-test\n")
    assert problems(folder) == [
        "x.yaml:2:1: name: operator stands for what a person asks for in budgets and in the journal; write another, for "
        "example operator-policy",
        "x.yaml:5:1: name: wake-test stands for a host that goes off to show that it comes back in budgets and in the "
        "journal; write another, for example wake-test-policy"]
    (folder / "x.yaml").write_text(HEALTH.replace("hot", "drain"))
    assert warnings(folder) == [], "a condition may be called like what answers to it"


def test_the_same_name_in_two_files_names_both_places(folder: Path) -> None:
    (folder / "z.yaml").write_text("# a copy\n" + HEALTH)
    assert problems(folder) == ["z.yaml:3:1: name: another Health is called hot (health.yml:2:1); give each its own"]


def test_the_same_name_for_two_kinds_is_no_mistake(folder: Path) -> None:
    (folder / "health.yml").write_text(HEALTH.replace("name: hot", "name: drain"))
    assert warnings(folder) == []


def test_two_limits_in_two_files_are_one_too_many(folder: Path) -> None:
    for name in ("l1", "l2"):
        (folder / f"{name}.yaml").write_text(f"kind: Limits\nname: {name}\n")
    assert problems(folder) == ["l2.yaml:1:1: kind: a second Limits (l2); there is one for the cluster"]


def test_a_severity_that_nothing_reaches_is_doubted(folder: Path) -> None:
    (folder / "drain.yaml").write_text(DRAIN.replace("severity: degraded", "severity: failing"))
    assert warnings(folder) == ["drain.yaml:3:1: drain answers to failing, which no Health policy ever reaches"]


def test_a_policy_that_only_looks_on_is_named(folder: Path) -> None:
    (folder / "drain.yaml").write_text(DRAIN.replace("mode: auto\n", ""))
    assert warnings(folder) == ["drain.yaml:2:1: drain is in mode observe: it moves nothing"]


def test_a_window_that_nobody_names_is_doubted(folder: Path) -> None:
    (folder / "drain.yaml").write_text(DRAIN.replace("windows: [nights]\n", ""))
    assert warnings(folder) == ["windows.yaml:2:1: no policy names nights, so it does nothing"]


def test_a_window_that_has_passed_is_doubted(folder: Path) -> None:
    (folder / "windows.yaml").write_text(
        "kind: Window\nname: nights\nallow: {from: 2026-12-24 18:00, for: 2h, timezone: Europe/Berlin}\n")
    assert warnings(folder, at("2026-12-24 17:00")) == []
    assert warnings(folder, at("2026-12-25 00:00")) == [
        "windows.yaml:2:1: nights has passed, it never opens again; take it out"]
    assert warnings(folder, at("2026-12-01 00:00")) == [
        "windows.yaml:2:1: nights does not open within the next 14 days"]


def test_a_file_without_a_policy_is_doubted_and_does_no_harm(folder: Path) -> None:
    (folder / "later.yaml").write_text("# kind: Health\n")
    assert warnings(folder) == ["later.yaml: holds no policy"]


def test_a_refused_set_is_refused_whole(folder: Path) -> None:
    (folder / "a.yaml").write_text("kind: Health\n")
    assert all(problem.startswith("a.yaml:") for problem in problems(folder))


def the_set(folder: Path, now: str) -> PolicySet:
    return load_policies(folder, None, at(now)).policies


def test_a_window_that_is_open_when_it_is_compiled_is_open(folder: Path) -> None:
    nights = the_set(folder, "2026-11-24 03:00").windows["nights"]   # a Tuesday, 04:00 in Berlin, open since Monday 22:00
    assert nights.open_until(at("2026-11-24 03:00")) == at("2026-11-24 04:00")
    assert nights.next_open(at("2026-11-24 04:00")) == at("2026-11-24 21:00")


def test_nothing_is_known_beyond_the_horizon(folder: Path) -> None:
    now = at("2026-11-24 12:00")
    nights = the_set(folder, "2026-11-24 12:00").windows["nights"]
    assert nights.horizon == now + 14 * 86400
    assert all(now <= end and begin < nights.horizon for begin, end in nights.intervals)
    assert len(nights.intervals) == 10


@pytest.mark.parametrize("night", ["2026-10-25", "2027-03-28"])
def test_both_nights_on_which_the_clocks_change_have_windows_of_exactly_two_hours(folder: Path, night: str) -> None:
    (folder / "windows.yaml").write_text(
        'kind: Window\nname: nights\nallow: {days: [sun], at: "02:30", for: 2h, timezone: Europe/Berlin}\n')
    (first, *_) = the_set(folder, f"{night} 00:00").windows["nights"].intervals
    assert first[1] - first[0] == 7200.0
    assert at(f"{night} 00:00") < first[0] < at(f"{night} 02:00")


def test_the_digest_follows_names_and_texts_and_not_the_time(folder: Path) -> None:
    digest = the_set(folder, "2026-11-24 12:00").digest
    assert the_set(folder, "2026-12-24 12:00").digest == digest
    (folder / "health.yml").rename(folder / "other.yml")
    assert the_set(folder, "2026-11-24 12:00").digest != digest
