"""``ballastctl place``, ``capacity`` and ``plan`` for a cluster in a file or as a daemon shows it."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ballastd.cli.ctl import main
from tests.paper_console import PaperConsole, served
from tests.pictures import a_view

POLICIES = """
kind: Balance
name: even-load
mode: auto
---
kind: Evacuation
name: failing-hosts
on: {severity: failing}
respond: evacuate
mode: auto
"""
CLUSTER = """
format: ballastd-cluster/1
defaults: {memory: 64GiB, processors: 16}
hosts: [{name: alder}, {name: beech}, {name: cedar}, {name: dogwood}]
vms:
  - {name: hot-1, host: alder, memory: 8GiB, vcpus: 8, demand: 7}
  - {name: hot-2, host: alder, memory: 4GiB, vcpus: 8, demand: 7}
  - {name: calm, host: beech, memory: 8GiB, vcpus: 2, demand: 0.5}
"""


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, ...]:
    (tmp_path / "site.yaml").write_text(CLUSTER)
    (tmp_path / "policies.yaml").write_text(POLICIES)
    return "--cluster", str(tmp_path / "site.yaml"), "--policies", str(tmp_path / "policies.yaml")


def test_place_ranks_hosts_with_reasons(files: tuple[str, ...]) -> None:
    done = run("place", "--cpu", 2, "--memory", "8GiB", *files)
    lines = [line.split() for line in done.stdout.splitlines()]
    assert (done.exit_code, [line[:2] for line in lines[1:]]) == (0, [
        ["cedar", "yes"], ["dogwood", "yes"], ["beech", "yes"], ["alder", "no"]])
    assert "even-load calls more than 80% hot" in done.stdout
    told = json.loads(run("place", "--cpu", 2, "--memory", "8GiB", *files, "-o", "json").stdout)
    assert told[0]["host"] == "cedar"
    assert told[0]["memory_after"] == pytest.approx(8 / 60)
    named = run("place", "--cpu", 2, "--memory", "8GiB", *files, "-o", "name").stdout.split()
    assert named == ["cedar", "dogwood", "beech"], "alder is not offered"


def test_where_no_host_is_offered_the_exit_code_says_so(files: tuple[str, ...]) -> None:
    done = run("place", "--cpu", 2, "--memory", "640GiB", *files)
    assert done.exit_code == 1
    assert "memory: needs 640.0 GiB" in done.stdout


@pytest.mark.parametrize(("option", "value", "told"), [
    ("--memory", "8", "4GiB"), ("--memory", "much", "4GiB"), ("--memory", "0GiB", "a VM has some memory"),
    ("--cpu", "nan", "no number of processors"), ("--cpu", "-1", "range"), ("--cpu", "inf", "range"),
])
def test_a_shape_that_is_none_is_refused_with_an_example(files: tuple[str, ...], option: str, value: str, told: str) -> None:
    shape = {"--cpu": "2", "--memory": "8GiB", option: value}
    done = run("place", *(word for pair in shape.items() for word in pair), *files)
    assert done.exit_code == 2
    assert told in done.output


def test_a_plan_that_is_made_here_can_be_watched_and_not_approved(files: tuple[str, ...]) -> None:
    done = run("plan", *files, "approve", "--all-of", "even-load")
    assert done.exit_code == 2
    assert "nothing that the daemon could approve" in done.output


def test_capacity_counts_with_and_without_room_for_a_failure(files: tuple[str, ...]) -> None:
    shape = "--cpu", 0.1, "--memory", "8GiB"
    done = run("capacity", *shape, *files)
    told = json.loads(run("capacity", *shape, *files, "-o", "json").stdout)
    assert f"{told['fits']} more of 0.1 processors and 8.0 GiB fit" in done.stdout
    assert 0 < told["fits_with_reserve"] <= told["fits"]
    assert "with room kept for the failure of any one host" in done.stdout
    assert "alder: 88% of its processors would be used" in done.stdout


def test_what_is_not_counted_to_its_end_is_said_to_be_more(files: tuple[str, ...]) -> None:
    done = run("capacity", "--cpu", 0, "--memory", "4KiB", *files)
    assert done.stdout.splitlines() == ["10000 or more of 0 processors and 4.0 KiB fit on the hosts as they are",
                                        "10000 or more with room kept for the failure of any one host",
                                        "nothing stops the next"]


def test_a_plan_for_a_saved_cluster_relieves_what_is_hot_and_carries_nothing_out(files: tuple[str, ...]) -> None:
    done = run("plan", *files)
    assert "alder is hot: cpu is 88% > 80%" in done.stdout
    told = json.loads(run("plan", *files, "-o", "json").stdout)
    [move] = told["moves"]
    assert (move["vm_name"], move["source"], move["state"]) == ("hot-2", "alder", "recommended")
    assert told["posture"] == "acting"


def test_who_asks_for_more_at_times_is_planned_for_as_if_it_always_did(files: tuple[str, ...]) -> None:
    site = Path(files[1])
    site.write_text(CLUSTER.replace("demand: 7", "demand: {kind: daily, low: 0.1, high: 7, peak: 14h}"))
    assert "alder is hot: cpu is 88% > 80%" in run("plan", *files).stdout


def test_a_host_that_is_off_is_no_fault_and_takes_nothing(files: tuple[str, ...]) -> None:
    site = Path(files[1])
    site.write_text(CLUSTER.replace("{name: dogwood}", "{name: dogwood, on: false, power: simulated}"))
    told = json.loads(run("plan", *files, "-o", "json").stdout)
    assert [gate["kind"] for gate in told["gates"]] == []
    assert [(move["vm_name"], move["target"]) for move in told["moves"]] == [("hot-2", "cedar")]
    offers = {offer["host"]: offer for offer in json.loads(run(
        "place", "--cpu", 2, "--memory", "8GiB", *files, "-o", "json").stdout)}
    [(kind, detail)] = offers["dogwood"]["why_not"]
    assert (kind, detail) == ("host-standby", "switched off: it is off in the saved cluster")
    assert offers["dogwood"]["memory_after"] is None
    refused = run("plan", *files, "--what-if", "add-vm=2:8GiB@dogwood")
    assert (refused.exit_code, "dogwood is off" in refused.output) == (2, True)


def test_a_plan_for_what_would_be_empties_and_closes_hosts(files: tuple[str, ...]) -> None:
    told = json.loads(run("plan", *files, "--what-if", "off=beech,cordon=cedar", "-o", "json").stdout)
    assert {(intent["kind"], intent["host"]) for intent in told["intents"]} >= {("drain", "beech")}
    assert [(move["vm_name"], move["target"]) for move in told["moves"]] == [("calm", "dogwood"), ("hot-2", "dogwood")]


def test_a_plan_with_a_vm_more_has_it_where_place_would_put_it_were_all_else_so(files: tuple[str, ...]) -> None:
    alone, beside = (run("plan", *files, "--what-if", changes, "-o", "json") for changes in (
        "add-vm=2:8GiB", "add-vm=2:8GiB,drain=cedar"))
    assert "added-1 is taken to run on cedar" in alone.stderr
    assert "added-1 is taken to run on dogwood" in beside.stderr
    assert [move for move in json.loads(beside.stdout)["moves"] if move["vm_name"] == "added-1"] == []
    put = json.loads(run("plan", *files, "--what-if", "add-vm=2:8GiB@beech,drain=beech", "-o", "json").stdout)
    assert {move["vm_name"] for move in put["moves"] if move["source"] == "beech"} == {"added-1", "calm"}


@pytest.mark.parametrize(("changes", "told"), [
    ("of=beech", "did you mean off?"), ("off=beach", "no host is called beach; did you mean beech?"),
    ("off", "none of cordon="), ("add-vm=2", "write for example add-vm=2:8GiB"),
    ("add-vm=x:8GiB", "write for example add-vm=2:8GiB"),
    ("add-vm=-1:8GiB", "no VM is like that"), ("add-vm=1:800GiB", "no host takes a VM of 1 processors and 800.0 GiB"),
    ("add-vm=1:800GiB@beech", "beech takes no VM of 1 processors and 800.0 GiB: needs 800.0 GiB"),
])
def test_changes_that_are_none_are_refused_with_what_was_meant(files: tuple[str, ...], changes: str, told: str) -> None:
    done = run("plan", *files, "--what-if", changes)
    assert done.exit_code != 0
    assert told in " ".join(done.output.split())


def test_a_short_while_is_not_long_enough_for_a_hold(files: tuple[str, ...]) -> None:
    assert json.loads(run("plan", *files, "--after", "1m", "-o", "json").stdout)["moves"] == []


def test_the_daemons_own_picture_is_asked_and_other_policies_are_said_to_be_others(files: tuple[str, ...], tmp_path: Path
                                                                                  ) -> None:
    with served(PaperConsole(a_view()), tmp_path / "api.sock") as socket:
        done = run("place", "--cpu", 0.1, "--memory", "1MiB", *files[2:], "--socket", socket, "-o", "json")
    told = json.loads(done.stdout)
    assert {offer["host"] for offer in told} == {host.name for host in a_view().hosts}
    assert "the daemon goes by other policies than these" in done.stderr


def test_a_picture_of_another_release_is_refused_in_words(files: tuple[str, ...], tmp_path: Path,
                                                          monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ballastd.cli.advice.Daemon.get", lambda *_: {"wall": time.time(), "future": 1})
    done = run("place", "--cpu", 1, "--memory", "1MiB", *files[2:], "--socket", tmp_path / "api.sock")
    assert (done.exit_code, "Traceback" in done.output) == (1, False)
    assert "the daemon is of another release than this ballastctl" in done.output
