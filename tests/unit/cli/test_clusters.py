"""``ballastctl cluster`` and ``ballastctl simulate``: files that are read, written, checked, and rehearsed on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ballastd.cli.ctl import main
from ballastd.core.quantities import Bytes, HostName
from ballastd.core.saved_cluster import ClusterCopy
from ballastd.documents.saved_clusters import load_cluster, read_cluster
from ballastd.documents.written_clusters import dump_cluster
from ballastd.sim.generating import generate
from tests.paper_console import PaperConsole, served
from tests.pictures import a_view


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)


def test_a_made_up_cluster_is_written_shown_and_checked(tmp_path: Path) -> None:
    file = tmp_path / "made.yaml"
    assert run("cluster", "generate", "--hosts", 3, "--vms", 9, "--seed", 7, file).exit_code == 0
    assert load_cluster(file) == generate(3, 9, 7)
    assert "3 hosts, 9 VMs, nothing wrong with it" in run("cluster", "check", file).output
    shown = run("cluster", "show", file).output
    assert shown.splitlines()[0] == "made-up-7: 3 hosts, 9 VMs"
    assert len(shown.splitlines()) == 5
    assert read_cluster(run("cluster", "show", file, "-o", "json").stdout) == generate(3, 9, 7)
    assert run("cluster", "show", file, "-o", "yaml").stdout == file.read_text()


@pytest.mark.parametrize(("text", "problem"), [
    ("hosts: [{name: a, memory: 1GiB, processors: 2}]", "format: is missing"),
    ("format: ballastd-cluster/1\nhosts: [{name: a, memory: 1GiB}]", "a does not say, nor do the defaults; write for "
                                                                      "example processors: 16"),
    ("format: ballastd-cluster/1\nhosts: [{name: a, memory: 1GiB, processors: 2}]\nvms: [{name: v, host: b, memory: 1MiB}]",
     "b is no host of this cluster; they are a"),
    ("format: ballastd-cluster/1\nhosts: [{name: a, memory: 1GiB, processors: 2}]\nvms: [{name: v, host: a, memory: 2GiB}]",
     "the VMs on a have 2.0 GiB, the host 1.0 GiB"),
    ("format: ballastd-cluster/1\nhosts: [{name: a, memory: 1GiB, processors: 2, on: false}]\n"
     "vms: [{name: v, host: a, memory: 1MiB}]", "a is off, and VMs run on it"),
    ("format: ballastd-cluster/1\ndefaults: {memory: 1GiB, processors: 2}\nhosts: [{name: a}, {name: a}]",
     "a stands here twice; rename one"),
    ("format: ballastd-cluster/1\ndefaults: {memory: 1GiB, processors: 2}\nhosts: [{name: a}]\n"
     "vms: [{name: v, host: a, memory: 1MiB}, {name: v, host: a, memory: 1MiB}]", "v is the same VM as v"),
    ("format: ballastd-cluster/1\ndefaults: {memory: 1GiB, processors: 2}\nhosts: [{name: a, memory_limit: 2GiB}]",
     "2.0 GiB is above the memory of a, 1.0 GiB"),
    ("format: ballastd-cluster/1\nhosts: [{name: a, memory: 1GiB, processors: 2}]\n"
     "vms: [{name: v, host: a, memory: 1MiB, demand: {kind: daily, low: 2, high: 1}}]", "2 is above high, 1"),
    ("format: ballastd-cluster/1\nhosts: [{name: a, memory: 1GiB, processors: 2}]\n"
     "vms: [{name: v, host: a, memory: 1MiB, demand: 3}]", "a VM cannot use more processors than it has"),
    ("format: ballastd-cluster/1\nhosts: []", "hosts"),
    ("format: ballastd-cluster/1\nhostz: []", "did you mean"),
    ("", "0 documents; a saved cluster is one"),
])
def test_what_is_wrong_with_a_file_is_said_with_its_place(tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    found = run("cluster", "check", file)
    assert found.exit_code == 4
    assert f"{file}:" in found.output
    assert problem in found.output


def test_a_live_cluster_is_saved_with_its_names_or_without(tmp_path: Path) -> None:
    console, cluster = PaperConsole(a_view()), generate(3, 9, 7)
    console.copied = ClusterCopy(cluster)
    with served(console, tmp_path / "api.sock") as socket:
        assert run("--socket", socket, "cluster", "save").stdout == dump_cluster(cluster)
        file = tmp_path / "out.json"
        assert run("--socket", socket, "cluster", "save", file, "--name", "site").exit_code == 0
        assert json.loads(file.read_text())["name"] == "site"
        hidden = run("--socket", socket, "cluster", "save", "--anonymous").stdout
        assert len(read_cluster(hidden).vms) == 9
        assert "team-" not in hidden


def test_a_cluster_that_was_not_seen_whole_is_not_saved_by_mistake(tmp_path: Path) -> None:
    console = PaperConsole(a_view())
    console.copied = ClusterCopy(generate(3, 9, 7), (HostName("h9"),))
    with served(console, tmp_path / "api.sock") as socket:
        refused = run("--socket", socket, "cluster", "save")
        assert refused.exit_code == 4
        assert "never seen since the daemon started: h9" in refused.output
        assert run("--socket", socket, "cluster", "save", "--partial").exit_code == 0


POLICY = """\
kind: Health
name: uncorrected-memory-errors
when: {metric: ecc.uncorrected, increase: 1h, above: 0}
severity: failing
clear: acknowledge
---
kind: Evacuation
name: failing-hosts
on: {severity: failing}
respond: evacuate
mode: auto
"""
SCRIPT = """\
format: ballastd-script/1
begins: 2026-01-05T12:00:00Z
lasts: 40m
acts:
  - {at: 10m, do: reading, host: host-1, metric: ecc.uncorrected, subject: D1, value: 0}
  - {at: 20m, do: reading, host: host-1, metric: ecc.uncorrected, subject: D1, value: 1}
"""


def test_a_rehearsal_says_what_moves_why_and_what_it_costs(tmp_path: Path) -> None:
    cluster, script, report = tmp_path / "c.yaml", tmp_path / "s.yaml", tmp_path / "report"
    cluster.write_text(dump_cluster(generate(4, 12, 3)))
    script.write_text(SCRIPT)
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "p.yaml").write_text(POLICY)
    words = ("simulate", "--cluster", cluster, "--policies", tmp_path / "p", "--script", script)
    found = run(*words, "--report", report, "--format", "html,json,txt")
    assert found.exit_code == 0, found.output
    assert "failing-hosts" in found.output
    assert {path.name for path in report.iterdir()} == {"rehearsal.html", "rehearsal.json", "rehearsal.txt"}
    told = json.loads(run(*words, "-o", "json").stdout)["rehearsed"]
    assert {move["source"] for move in told["moves"]} == {"host-1"}
    assert len(told["moves"]) == len(load_cluster(cluster).on(HostName("host-1")))
    assert told["violations"] == []
    assert run(*words, "-o", "json", "--trace").stderr.count("settled completed") == len(told["moves"])


def test_what_is_only_recommended_moves_nothing_until_it_is_taken_to_be_auto(tmp_path: Path) -> None:
    cluster, script = tmp_path / "c.yaml", tmp_path / "s.yaml"
    cluster.write_text(dump_cluster(generate(4, 12, 3)))
    script.write_text(SCRIPT)
    (tmp_path / "p.yaml").write_text(POLICY.replace("mode: auto", "mode: recommend"))
    words = ("simulate", "--cluster", cluster, "--policies", tmp_path / "p.yaml", "--script", script)
    held = run(*words)
    assert held.exit_code == 0, held.output
    assert "no VM was moved" in held.output
    assert "--auto" in held.output
    free = run(*words, "--auto")
    assert "no VM was moved" not in free.output
    assert "--auto" not in free.output


@pytest.mark.parametrize(("where", "formats", "said"), [
    ("file/report", "html", "cannot be written"), ("report", "pdf", "pdf is none of"), ("day.svg", "html", "is one file")])
def test_a_report_that_cannot_be_written_is_refused_before_anything_is_rehearsed(
        tmp_path: Path, where: str, formats: str, said: str) -> None:
    (tmp_path / "p.yaml").write_text(POLICY)
    (tmp_path / "file").write_text("")
    found = run("simulate", "--policies", tmp_path / "p.yaml", "--for", "3650d", "--report", tmp_path / where,
                "--format", formats)
    assert found.exit_code == 4
    assert said in found.output
    assert "violations" not in found.output


def test_what_two_places_say_is_refused(tmp_path: Path) -> None:
    cluster = tmp_path / "c.yaml"
    cluster.write_text(dump_cluster(generate(4, 12, 3)))
    found = run("simulate", "--cluster", cluster, "--hosts", 5, "--vms", 7)
    assert found.exit_code == 2
    assert "--hosts and --vms: --cluster says that already" in found.output


def test_a_cluster_that_no_rehearsal_can_begin_with_is_saved_and_said(tmp_path: Path) -> None:
    console, cluster = PaperConsole(a_view()), generate(3, 9, 7)
    console.copied = ClusterCopy(replace(cluster, hosts=(replace(cluster.hosts[0], is_on=False), *cluster.hosts[1:])))
    file = tmp_path / "out.yaml"
    with served(console, tmp_path / "api.sock") as socket:
        found = run("--socket", socket, "cluster", "save", file)
    assert found.exit_code == 4
    assert "a rehearsal cannot begin with this as it is" in found.output
    assert file.exists()


def test_a_copy_whose_vms_have_more_than_their_host_is_a_copy_all_the_same(tmp_path: Path) -> None:
    console, cluster = PaperConsole(a_view()), generate(3, 9, 7)
    least = sum(vm.record.memory_max for vm in cluster.vms if vm.host == cluster.hosts[0].name) // 2
    crowded = replace(cluster, hosts=(replace(cluster.hosts[0], memory_total=Bytes(least)), *cluster.hosts[1:]),
                      saved_wall=1_767_614_400.0)
    console.copied = ClusterCopy(crowded)
    file = tmp_path / "out.yaml"
    with served(console, tmp_path / "api.sock") as socket:
        assert run("--socket", socket, "cluster", "save", file).exit_code == 0
    assert load_cluster(file) == crowded
    (tmp_path / "p.yaml").write_text(POLICY)
    found = run("simulate", "--cluster", file, "--policies", tmp_path / "p.yaml", "--for", "1h", "-o", "json")
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout)["summary"]["violations"] == 0, "nobody of ours filled that host"


def test_what_cannot_be_rehearsed_is_said(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(POLICY)
    found = run("simulate", "--policies", tmp_path / "nowhere")
    assert found.exit_code == 4
    assert "nowhere does not exist; name a directory" in found.output
    assert run("simulate", "--policies", tmp_path, "--faults", "plague").exit_code == 4
    assert run("simulate", "--policies", tmp_path, "--begins", "tomorrow").exit_code == 2
    assert run("simulate", "--policies", tmp_path, "--hosts", 2, "--vms", 2000).exit_code == 4
