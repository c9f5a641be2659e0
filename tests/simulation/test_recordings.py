"""What a daemon records of a cluster is enough to rehearse on: the same machines, the same loads, the same faults."""

from __future__ import annotations

import asyncio
import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ballastd.adapters.blocking import Inline
from ballastd.adapters.recording import FileRecording
from ballastd.cli.ctl import main
from ballastd.core.acts import Act
from ballastd.core.diary import Diary
from ballastd.core.policies import Timing
from ballastd.core.quantities import Instant, VmId
from ballastd.core.recorded import Recorded, recorded
from ballastd.documents.recordings import load_recording
from ballastd.errors import ConfigurationError
from ballastd.rehearsal.rehearsing import rehearse
from ballastd.rehearsal.scenarios import load_scenario
from ballastd.rehearsal.stage import Setting
from tests.builders import POLICIES
from tests.simulation.clusters import Fixed, four

HOUR = 3600.0
DAY = 86400.0
HAPPENS = (Act(100.0, "reading", host="h1", metric="ecc.uncorrected", subject="A", value=0.0),
           Act(1000.0, "burn", vm="h2v0", value=1.5), Act(1200.0, "start", vm="new", host="h3", value=4.0),
           Act(1500.0, "broker-down", seconds=300.0), Act(2000.0, "silence", host="h4", seconds=600.0),
           Act(2400.0, "stop", vm="h3v1"), Act(2800.0, "cut", host="h2", seconds=200.0),
           Act(3000.0, "reading", host="h1", metric="ecc.uncorrected", subject="A", value=1.0))
HEAD = {"at": 1.0, "kind": "begin", "format": "ballastd-recording/1", "hosts": []}


class Kept:
    """Keeps entries in memory, as a file would: through JSON and back."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []

    def add(self, entries: list[dict[str, Any]]) -> None:
        self.entries.extend(json.loads(json.dumps(entries)))

    async def run(self) -> None:
        await asyncio.Event().wait()


@pytest.fixture(scope="module")
def kept() -> Kept:
    found = Kept()
    rehearse(Setting(four(), Fixed(POLICIES), Timing(), HAPPENS, recording=found), HOUR)
    return found


@pytest.fixture(scope="module")
def told(kept: Kept) -> Recorded:
    return recorded(kept.entries)


def acts(told: Recorded, do: str) -> list[Act]:
    return [act for act in told.acts if act.do == do]


def test_the_cluster_is_as_it_was_at_first(told: Recorded) -> None:
    saved = four()
    assert [(host.name, host.memory_total, host.cpus) for host in told.cluster.hosts] == [
        (host.name, host.memory_total, host.cpus) for host in saved.hosts]
    assert {vm.record.name: vm.host for vm in told.cluster.vms} == {vm.record.name: vm.host for vm in saved.vms}
    used, asked = ({vm.record.name: vm.demand.high for vm in cluster.vms} for cluster in (told.cluster, saved))
    assert used == pytest.approx(asked, abs=0.02)
    assert told.missing == ()


def test_what_happened_is_in_it(told: Recorded) -> None:
    assert [act.vm for act in acts(told, "start")] == ["new"]
    assert [act.vm for act in acts(told, "stop")] == ["h3v1"]
    assert [(act.host, act.value) for act in acts(told, "reading")] == [("h1", 0.0), ("h1", 1.0)]
    assert [act.host for act in acts(told, "silence")] == ["h4", "h2"]
    assert [act.host for act in acts(told, "hang")] == ["h2"]
    assert [act.do for act in told.acts if act.do.startswith("broker")][-2:] == ["broker-down", "broker-up"]
    assert [act.value for act in acts(told, "burn") if act.vm == "h2v0"][-1] == pytest.approx(1.5, abs=0.1)


def test_what_the_daemon_did_is_counted_and_not_repeated(told: Recorded) -> None:
    assert told.changes == 3
    assert not acts(told, "carry")


def test_rehearsed_again_the_same_policies_do_the_same(told: Recorded) -> None:
    first = rehearse(Setting(four(), Fixed(POLICIES), Timing(), HAPPENS), HOUR)
    again = rehearse(Setting(told.cluster, Fixed(POLICIES), Timing(), told.acts, begins_wall=told.begins_wall), HOUR)
    assert sorted(move.vm_name for move in again.moves) == sorted(move.vm_name for move in first.moves)
    assert len(first.moves) == 3
    assert not again.violations


@pytest.fixture(scope="module")
def last_resort() -> Kept:
    """Three guests are asked to shut down on a failing host, and two of them obey."""
    found, scenario = Kept(), load_scenario(Path(__file__).parents[1] / "scenarios" / "last-resort-shutdown")
    rehearse(replace(scenario.setting(()), recording=found), scenario.script.lasts)
    return found


def test_guests_that_the_daemon_asked_to_shut_down_were_not_stopped_by_somebody(last_resort: Kept) -> None:
    assert [len(entry["vms"]) for entry in last_resort.entries if entry["kind"] == "ours"][-1] == 2
    assert not acts(recorded(last_resort.entries), "stop")


def test_who_stays_down_when_that_is_not_our_doing_any_more_was_stopped_by_somebody(last_resort: Kept) -> None:
    at = last_resort.entries[-1]["at"]
    later = [{"at": at + 10.0, "kind": "ours", "vms": []}, {"at": at + 600.0, "kind": "alive"}]
    assert [act.vm for act in acts(recorded([*last_resort.entries, *later]), "stop")] == ["gpu-1", "gpu-2"]


def test_who_is_started_again_was_not_stopped(last_resort: Kept) -> None:
    (running,) = [entry for entry in last_resort.entries if entry["kind"] == "host" and entry["host"] == "alder"][:1]
    at = last_resort.entries[-1]["at"]
    later = [{**running, "at": at + 5.0}, {"at": at + 10.0, "kind": "ours", "vms": []}, {"at": at + 600.0, "kind": "alive"}]
    assert not acts(recorded([*last_resort.entries, *later]), "stop")


def test_a_new_day_knows_who_is_down_by_our_doing() -> None:
    diary = Diary(four().declaration(Timing()).hosts)
    now = Instant(1.0, 1.0, "")
    diary.note((), frozenset(), frozenset({VmId("b"), VmId("a")}), now)
    assert [(one["kind"], one.get("vms")) for one in diary.opening(now)] == [("begin", None), ("ours", ["a", "b"])]


def test_a_diary_is_small(kept: Kept) -> None:
    assert len(json.dumps(kept.entries)) < 40_000
    assert len(kept.entries) < 100


class SlowClock:
    """A clock that stands where it is put."""

    def __init__(self) -> None:
        self.wall = 20_000 * DAY

    def now(self) -> Instant:
        return Instant(self.wall, self.wall, "")


def written(directory: Path, days: list[list[dict[str, Any]]], keep: float) -> FileRecording:
    clock = SlowClock()
    recording = FileRecording(directory, keep, Inline(), clock)
    for entries in days:
        recording.add([{**entry, "at": clock.wall} for entry in entries])
        asyncio.run(recording.flush())
        clock.wall += DAY
    return recording


def test_days_are_packed_and_the_oldest_dropped(tmp_path: Path) -> None:
    written(tmp_path, [[HEAD]] * 4, 1.5 * DAY)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "2024-10-05.jsonl.gz", "2024-10-06.jsonl.gz", "2024-10-07.jsonl"]


def test_files_of_other_names_are_neither_packed_nor_dropped(tmp_path: Path) -> None:
    kept = ("2024-10-04-incident.jsonl", "1-notes.jsonl.gz")
    for name in kept:
        (tmp_path / name).write_text("mine")
    written(tmp_path, [[HEAD]] * 4, 1.5 * DAY)
    assert [(tmp_path / name).read_text() for name in kept] == ["mine", "mine"]


@pytest.mark.parametrize("half", ['{"at": 17280000', "x" * 200_000, "\xe4"])
def test_a_daemon_that_was_killed_in_the_middle_of_a_line_leaves_a_recording_that_is_read(tmp_path: Path, half: str) -> None:
    file = tmp_path / "2024-10-04.jsonl"
    whole = [[HEAD], [HEAD | {"kind": "alive"}]]
    written(tmp_path, whole[:1], DAY)
    file.write_bytes(file.read_bytes() + half.encode()[:-1])
    written(tmp_path, whole[1:], DAY)
    assert [json.loads(line)["kind"] for line in file.read_text(encoding="utf-8").splitlines()] == ["begin", "alive"]


def test_what_no_file_can_hold_ends_nothing(tmp_path: Path) -> None:
    recording = written(tmp_path, [[HEAD | {"host": "\ud800"}], [HEAD]], DAY)
    assert recording.dropped == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2024-10-05.jsonl"]


def test_a_disk_that_takes_nothing_holds_nobody_up(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert written(tmp_path / "file", [[HEAD, HEAD]], DAY).dropped == 2


def test_files_are_read_in_order_and_half_a_line_at_the_end_is_left_out(kept: Kept, tmp_path: Path) -> None:
    lines = [json.dumps(entry) + "\n" for entry in kept.entries]
    with gzip.open(tmp_path / "2026-01-01.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(lines[:20])
    (tmp_path / "2026-01-02.jsonl").write_text("".join(lines[20:]) + lines[-1][:10], encoding="utf-8")
    assert load_recording(tmp_path) == recorded(kept.entries)


def test_only_a_part_is_read_where_that_is_wanted(kept: Kept, tmp_path: Path) -> None:
    (tmp_path / "2026-01-01.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in kept.entries), encoding="utf-8")
    whole = load_recording(tmp_path)
    part = load_recording(tmp_path, ends_wall=whole.begins_wall + 1300.0)
    assert part.lasts <= 1300.0
    assert [act.do for act in part.acts if act.do in ("start", "stop")] == ["start"]


@pytest.mark.parametrize(("line", "said"), [
    ("{", ":2:1: no JSON"), ("[]", ":2:1: no entry"), ('{"at": 2, "kind": "dance"}', "'dance' is no kind of entry"),
    (json.dumps(HEAD | {"format": "ballastd-recording/9"}), "this version reads ballastd-recording/1"),
    ('{"at": 2, "kind": "host", "host": "x", "memory": 1, "cpus": 1, "machine": "", "vms": []}', "not among the hosts"),
    ('{"at": 2, "kind": "use"}', "damaged")])
def test_what_is_no_recording_is_refused_with_its_place(tmp_path: Path, line: str, said: str) -> None:
    file = tmp_path / "x.jsonl"
    file.write_text(f"{json.dumps(HEAD)}\n{line}\n{json.dumps(HEAD)}\n", encoding="utf-8")
    with pytest.raises(ConfigurationError) as trouble:
        load_recording(file)
    assert said in trouble.value.problems[0]


def test_a_name_that_no_file_can_have_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="does not exist; name the directory"):
        load_recording(tmp_path / ("a" * 300))


def test_an_empty_directory_says_how_to_record(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as trouble:
        load_recording(tmp_path)
    assert "recording.directory" in trouble.value.problems[0]


def test_replay_shows_what_other_policies_change(kept: Kept, tmp_path: Path) -> None:
    (tmp_path / "recording").mkdir()
    file = tmp_path / "recording/2026-01-01.jsonl"
    file.write_text("".join(json.dumps(entry) + "\n" for entry in kept.entries), encoding="utf-8")
    acting = """\
kind: Health
name: memory
when: {metric: ecc.uncorrected, increase: 1h, above: 0}
severity: failing
clear: acknowledge
---
kind: Evacuation
name: failing
on: {severity: failing}
respond: evacuate
mode: auto
"""
    (tmp_path / "new.yaml").write_text(acting, encoding="utf-8")
    (tmp_path / "old.yaml").write_text(acting.replace("auto", "observe"), encoding="utf-8")
    run = CliRunner().invoke(main, ["replay", str(tmp_path / "recording"), "--policies", str(tmp_path / "new.yaml"),
                                    "--against", str(tmp_path / "old.yaml"), "--report", str(tmp_path / "out")])
    assert run.exit_code == 0, run.output
    assert "recorded: 4 hosts, 12 VMs at first, 0.9 h; VMs changed their hosts 3 times then" in run.stderr
    assert "new.yaml" in run.stdout
    assert "h1v0" in run.stdout
    assert (tmp_path / "out/comparison.html").exists()
    alone = CliRunner().invoke(main, ["replay", str(file), "--policies", str(tmp_path / "new.yaml"), "-o", "json"])
    assert len(json.loads(alone.stdout)["rehearsed"]["moves"]) == 3


@pytest.mark.parametrize(("words", "said"), [
    (("nowhere",), "nowhere: does not exist; name the directory of the setting"),
    (("empty",), "no recording in it"),
    (("seen.jsonl", "--from", "2030-01-01"), "nothing between --from and --until: no host was ever seen"),
    (("seen.jsonl", "--against", "new.yaml", "--format", "html,png"), "--format html,png: with --against there is one page"),
    (("seen.jsonl",), "not a recording of ours, or a damaged one: no host was ever seen")])
def test_what_cannot_be_replayed_says_what_to_do(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], said: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "seen.jsonl").write_text(json.dumps(HEAD) + "\n")
    (tmp_path / "new.yaml").write_text("")
    found = CliRunner().invoke(main, ["replay", *words, "--policies", "new.yaml"])
    assert found.exit_code == 4
    assert said in found.output
