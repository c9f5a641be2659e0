"""What may die at once: a host, or all hosts with one value of a label; and labels that make no domains."""

from __future__ import annotations

from pathlib import Path

import pytest

from ballastd.core.policies import ClusterDeclaration, Limits
from ballastd.documents import load_policies
from tests.builders import a_cluster

CLUSTER = (a_cluster().host("kvm-01", rack="r1", site="here").host("kvm-02", rack="r1", site="here")
           .host("kvm-03", site="here").build())


def load(folder: Path, failover: str, cluster: ClusterDeclaration | None = CLUSTER) -> tuple[Limits, list[str]]:
    (folder / "p.yaml").write_text(f"kind: Limits\nname: cluster\nfailover: {failover}\n")
    loaded = load_policies(folder, cluster, 0.0)
    return loaded.policies.limits, [warning.replace(f"{folder}/", "") for warning in loaded.warnings]


@pytest.mark.parametrize(("failover", "hosts", "domain"), [
    ("{}", 1, "host"), ("{hosts: 1}", 1, "host"), ("{hosts: 0}", 0, "host"), ("{domain: rack}", 1, "rack"),
    ("{hosts: 1, domain: host}", 1, "host"),
])
def test_a_domain_is_a_host_unless_a_label_is_named(tmp_path: Path, failover: str, hosts: int, domain: str) -> None:
    limits, _ = load(tmp_path, failover)
    assert (limits.failover_hosts, limits.failover_domain) == (hosts, domain)


@pytest.mark.parametrize(("domain", "warning"), [
    ("rak", "no declared host has the label 'rak', so each is a failure domain of its own; did you mean rack?"),
    ("feed", "no declared host has the label 'feed', so each is a failure domain of its own; known: host, rack, site"),
    ("rack", "without the label 'rack' a host is a failure domain of its own: kvm-03"),
    ("site", "every declared host has 'site': 'here', so all die together and no room is kept for any of them; take it out, "
             "or label the hosts"),
])
def test_a_label_that_makes_no_domains_is_doubted(tmp_path: Path, domain: str, warning: str) -> None:
    assert load(tmp_path, f"{{hosts: 1, domain: {domain}}}")[1] == [f"p.yaml:3:22: {warning}"]
    assert load(tmp_path, f"{{hosts: 1, domain: {domain}}}", None)[1] == [], "without hosts nobody knows"


@pytest.mark.parametrize(("label", "warning"), [
    ("rak", "no declared host has the label 'rak', so each is a place of its own; did you mean rack?"),
    ("rack", "without the label 'rack' a host is a place of its own: kvm-03"),
    ("site", "every declared host has 'site': 'here', so VMs of away have nowhere to go; take it out, or label the hosts"),
])
def test_a_label_to_avoid_that_avoids_nothing_or_everything_is_doubted(tmp_path: Path, label: str, warning: str) -> None:
    (tmp_path / "p.yaml").write_text(
        "kind: Health\nname: memory\nwhen: {metric: ecc.uncorrected, increase: 1h, above: 0}\nseverity: failing\n---\n"
        "kind: Evacuation\nname: away\non: {severity: failing}\nrespond: evacuate\nmode: auto\n"
        f"avoid: [{label}]\n")
    loaded = load_policies(tmp_path, CLUSTER, 0.0)
    assert loaded.policies.evacuation[0].avoid == (label,)
    assert loaded.warnings == (f"{tmp_path}/p.yaml:11:9: {warning}",)


def test_a_label_that_parts_all_hosts_is_not_doubted(tmp_path: Path) -> None:
    cluster = a_cluster().host("a", rack="r1").host("b", rack="r2").build()
    assert load(tmp_path, "{hosts: 1, domain: rack}", cluster)[1] == []
    assert load(tmp_path, "{hosts: 1, domain: host}", cluster)[1] == []
    one = a_cluster().host("a", rack="r1").build()
    assert load(tmp_path, "{hosts: 1, domain: rack}", one)[1] == []
