"""Clusters of the planner's benchmark: files that are none, and a judge that sees what breaks on the way."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.instances import generate, judge, load

RELIEVE = Path(__file__).parents[2] / "benchmarks/relieve.py"


def test_a_file_that_is_no_cluster_is_refused_with_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text('{"hosts": []}')
    with pytest.raises(ValueError, match="vms missing"):
        load(path)
    done = subprocess.run([sys.executable, RELIEVE, path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "vms missing" in done.stderr


def test_the_script_prints_moves_and_where_everybody_is_then(tmp_path: Path) -> None:
    found, path = generate(4, 8, 0.6, 5), tmp_path / "c.json.gz"
    path.write_bytes(gzip.compress(json.dumps(found).encode()))
    done = subprocess.run([sys.executable, RELIEVE, path], capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    homes = {vm["name"]: vm["host"] for vm in found["vms"]}
    assert told["moves"]
    for move in told["moves"]:
        assert homes[move["vm"]] == move["source"]
        homes[move["vm"]] = move["target"]
    assert homes == told["placement"]
    judged = judge(found, [(move["vm"], move["source"], move["target"]) for move in told["moves"]])
    assert judged["hot_cpu"] == judged["hot_memory"] == judged["broken_on_the_way"] == 0


def test_the_judge_sees_memory_rules_and_sources_that_are_wrong_on_the_way() -> None:
    hosts = [{"name": name, "cpus": 8, "memory_mib": 1024, "link_mib_s": 100} for name in ("a", "b")]
    vms = [{"name": name, "host": host, "memory_mib": memory, "cpu_load": 1.0, "group": group}
           for name, host, memory, group in (("v", "a", 600, "g"), ("w", "b", 300, "g"), ("x", "b", 300, None))]
    found = {"hosts": hosts, "vms": vms}
    assert judge(found, [])["broken_on_the_way"] == 0
    assert judge(found, [("v", "a", "b")])["broken_on_the_way"] == 1, "memory, and a rule"
    assert judge(found, [("w", "b", "a")])["broken_on_the_way"] == 1, "a rule"
    assert judge(found, [("x", "a", "b")])["broken_on_the_way"] == 1, "it is not there"
    assert judge(found, [("x", "b", "a")])["broken_on_the_way"] == 0
