"""What an operator lets VMs be asked, and the checks of saved clusters."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest

from ballastd.core.arrival_checks import NOTHING_ALLOWED, AllowedChecks, check_of
from ballastd.core.quantities import Seconds
from ballastd.documents import load_settings
from ballastd.documents.anonymous import anonymous
from ballastd.documents.saved_clusters import load_cluster
from ballastd.documents.scripts import load_script
from tests.unit.documents.test_host_settings import HOSTS, loaded, refused

ROOT = Path(__file__).parents[3]
SCENARIO = ROOT / "tests/scenarios/arrived-and-does-not-answer"


def test_nothing_is_allowed_unless_it_is_said(tmp_path: Path) -> None:
    assert loaded(tmp_path, HOSTS.replace("KEYS", "")).cluster.arrival_checks == NOTHING_ALLOWED
    assert load_settings(ROOT / "config/ballastd.yaml").cluster.arrival_checks == NOTHING_ALLOWED


def test_agents_and_networks_are_allowed_by_name(tmp_path: Path) -> None:
    text = 'arrival_checks: {agent: true, networks: [10.0.0.0/8, "fd00::/8", 127.0.0.1], within: 2m}\n'
    networks = tuple(map(ip_network, ("10.0.0.0/8", "fd00::/8", "127.0.0.1/32")))
    assert loaded(tmp_path, text + HOSTS.replace("KEYS", "")).cluster.arrival_checks == AllowedChecks(
        agent=True, networks=networks, within=Seconds(120.0))


@pytest.mark.parametrize(("keys", "words"), [
    ("networks: [10.0.0.7/8]", "'10.0.0.7/8' is no network; write for example 10.0.0.0/8"),
    ("networks: [guests]", "'guests' is no network"), ("networks: [10]", "10 is no network"),
    ("networks: [true]", "is no network"),
    ("networks: 10.0.0.0/8", "list"), ("within: 1s", "between 5s and 10m"), ("within: 11m", "between 5s and 10m"),
    ("within: 60", "has no unit"), ('agent: "yes"', "agent"), ("http: true", "http"),
])
def test_what_makes_no_sense_is_refused_with_an_example(tmp_path: Path, keys: str, words: str) -> None:
    assert words in refused(tmp_path, f"arrival_checks: {{{keys}}}\n" + HOSTS.replace("KEYS", ""))


def test_a_saved_cluster_and_its_script_have_them_too() -> None:
    cluster = load_cluster(SCENARIO / "cluster.yaml")
    checks = {vm.record.name: vm.record.check for vm in cluster.vms}
    assert checks["web-1"] == check_of("tcp://10.0.0.7:22")
    assert checks["app-2"] is None
    assert load_script(SCENARIO / "script.yaml", cluster).arrival_checks.agent
    assert {vm.record.check for vm in anonymous(cluster).vms} == {None}, "an address is somebody's"
