"""Placement rules beside one another and beside the declared hosts: what can never hold, and what is hardly meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from ballastd.core.policies import ClusterDeclaration
from ballastd.documents import load_policies
from ballastd.errors import ConfigurationError
from tests.builders import a_cluster

CLUSTER = a_cluster().host("kvm-01", rack="r1").host("kvm-02", rack="r1").host("kvm-03").build()
NOWHERE = "or write strength: should"


def rules(*bodies: str, vms: str = "{tag: web}") -> str:
    return "---\n".join(f"kind: Placement\nname: p{i}\nvms: {vms}\n{body}\n" for i, body in enumerate(bodies, 1))


def problems(folder: Path, text: str, cluster: ClusterDeclaration | None = CLUSTER) -> list[str]:
    (folder / "p.yaml").write_text(text)
    try:
        load_policies(folder, cluster, 0.0)
    except ConfigurationError as error:
        return [problem.replace(f"{folder}/", "") for problem in error.problems]
    return []


def warnings(folder: Path, text: str, cluster: ClusterDeclaration | None = CLUSTER) -> list[str]:
    (folder / "p.yaml").write_text(text)
    return [warning.replace(f"{folder}/", "") for warning in load_policies(folder, cluster, 0.0).warnings]


@pytest.mark.parametrize(("first", "second"), [
    ("rule: on\nhosts: [kvm-01]", "rule: never-on\nhosts: [kvm-0*]"),
    ("rule: never-on\nhosts: {labels: {rack: r1}}", "rule: on\nhosts: [kvm-01, kvm-02]"),
    ("rule: on\nhosts: [kvm-01]", "rule: on\nhosts: [kvm-02]"),
    ("rule: never-on\nhosts: [kvm-01, kvm-02]", "rule: never-on\nhosts: [kvm-03]"),
])
def test_must_rules_that_leave_no_host_are_refused_with_both_places(tmp_path: Path, first: str, second: str) -> None:
    rule = second.split()[1]
    assert problems(tmp_path, rules(first, second)) == [
        f"p.yaml:11:1: hosts: {rule} leaves its VMs no host beside p1 (p.yaml:2:1); change one, {NOWHERE}"]


def test_one_rule_alone_can_leave_no_host(tmp_path: Path) -> None:
    assert problems(tmp_path, rules("rule: never-on\nhosts: [kvm-*]")) == [
        f"p.yaml:5:1: hosts: never-on leaves its VMs no host; take some out, {NOWHERE}"]


def test_three_rules_can_leave_no_host_together(tmp_path: Path) -> None:
    text = rules("rule: on\nhosts: [kvm-01, kvm-02]", "rule: never-on\nhosts: [kvm-01]", "rule: never-on\nhosts: [kvm-02]")
    assert problems(tmp_path, text) == [
        f"p.yaml:17:1: hosts: never-on leaves its VMs no host beside p1 (p.yaml:2:1) and p2 (p.yaml:8:1); change one, "
        f"{NOWHERE}"]


def test_without_settings_only_what_is_plain_from_the_texts_is_refused(tmp_path: Path) -> None:
    on, never = "rule: on\nhosts: [kvm-01]", "rule: never-on\nhosts: [kvm-01]"
    assert problems(tmp_path, rules(on, never), None) == [
        f"p.yaml:11:1: hosts: never-on leaves its VMs no host beside p1 (p.yaml:2:1); change one, {NOWHERE}"]
    assert problems(tmp_path, rules(on, never.replace("01", "0?")), None) == []


@pytest.mark.parametrize(("first", "second"), [
    ("rule: apart", "rule: together"),
    ("rule: together\nacross: rack", "rule: apart\nacross: rack"),
    ("rule: apart\nacross: rack", "rule: together\nacross: host"),
    ("rule: together", "rule: apart\nacross: rack"),
])
def test_vms_cannot_be_apart_and_together(tmp_path: Path, first: str, second: str) -> None:
    (problem,) = problems(tmp_path, rules(first, second), None)
    said, before = second.split()[1], first.split()[1]
    assert f"rule: {said} contradicts p1 (p.yaml:2:1), which says {before} of the same VMs; keep one, {NOWHERE}" in problem


@pytest.mark.parametrize("text", [
    rules("rule: apart", "rule: together\nacross: rack"),   # in one rack, on two hosts of it
    rules("rule: apart", "rule: together\nstrength: should"),
    rules("rule: on\nhosts: [kvm-01]\nstrength: should", "rule: never-on\nhosts: [kvm-01]"),
    rules("rule: on\nhosts: [kvm-01]") + "---\n" + rules(
        "rule: never-on\nhosts: [kvm-01]", vms="{tag: db}").replace("p1", "q1"),
    rules("rule: on\nhosts: [kvm-01, kvm-02]", "rule: never-on\nhosts: [kvm-01]"),
    rules("rule: never-on\nhosts: [kvm-*]\nstrength: should"),
    rules("rule: pinned", "rule: on\nhosts: [kvm-01]"),
])
def test_what_can_hold_or_is_only_a_wish_is_let_through(tmp_path: Path, text: str) -> None:
    assert problems(tmp_path, text) == []


def test_a_rule_whose_hosts_are_misspelt_is_one_mistake(tmp_path: Path) -> None:
    assert problems(tmp_path, rules("rule: on\nhosts: [kvm-1]")) == [
        "p.yaml:5:9: hosts.0: 'kvm-1' matches no declared host; did you mean kvm-01?"]


@pytest.mark.parametrize(("across", "warning"), [
    ("rak", "no declared host has the label 'rak', so each is a place of its own; did you mean rack?"),
    ("feed", "no declared host has the label 'feed', so each is a place of its own; known: host, rack"),
    ("rack", "without the label 'rack' a host is a place of its own: kvm-03"),
])
def test_a_label_that_hosts_lack_is_doubted(tmp_path: Path, across: str, warning: str) -> None:
    assert warnings(tmp_path, rules(f"rule: apart\nacross: {across}\nmode: auto")) == [f"p.yaml:5:1: {warning}"]
    assert warnings(tmp_path, rules(f"rule: apart\nacross: {across}\nmode: auto"), None) == []


def test_many_hosts_without_a_label_are_counted(tmp_path: Path) -> None:
    cluster = a_cluster().host("a", rack="r1")
    for name in "bcdef":
        cluster = cluster.host(name)
    (warning,) = warnings(tmp_path, rules("rule: apart\nacross: rack\nmode: auto"), cluster.build())
    assert warning.endswith("a host is a place of its own: b, c, d and 2 more")


def test_vms_that_must_be_together_are_said_to_stay(tmp_path: Path) -> None:
    (warning,) = warnings(tmp_path, rules("rule: together\nmode: auto"))
    assert "never moved, not even from a failing host; consider strength: should" in warning
    assert warnings(tmp_path, rules("rule: together\nmode: auto\nstrength: should")) == []


def test_a_rule_that_allows_every_host_says_nothing(tmp_path: Path) -> None:
    assert warnings(tmp_path, rules("rule: on\nhosts: [kvm-*]\nmode: auto")) == [
        "p.yaml:5:1: p1 speaks of every declared host, so it says nothing"]


def test_a_rule_that_puts_nothing_right_is_named_and_a_pin_is_not(tmp_path: Path) -> None:
    assert warnings(tmp_path, rules("rule: apart", "rule: pinned")) == [
        "p.yaml:2:1: p1 is in mode observe: it weighs on every move, and puts nothing right by itself"]


def test_what_a_rule_puts_right_by_approval_is_said(tmp_path: Path) -> None:
    assert warnings(tmp_path, rules("rule: apart\nmode: recommend")) == [
        "p.yaml:2:1: p1 is in mode recommend: it weighs on every move, and puts right what somebody approves"]


@pytest.mark.parametrize("key", ["for: 5m", "cooldown: {vm: 1h}", "budget: {per_hour: 2}", "windows: []"])
def test_a_pin_is_never_put_right_so_nothing_says_how(tmp_path: Path, key: str) -> None:
    (problem,) = problems(tmp_path, rules(f"rule: pinned\n{key}"))
    assert "a pin cannot be broken" in problem


def test_budgets_go_by_the_name_so_no_other_policy_that_moves_may_have_it(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, rules("rule: apart") + "---\nkind: Balance\nname: p1\n")
    assert "another" in problem
    assert "is called p1" in problem


def test_how_a_rule_is_put_right_is_read(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(rules(
        "rule: apart\nmode: auto\nfor: 5m\nbudget: {per_hour: 2}\ncooldown: {vm: 1h}\nwindows: [nights]")
        + "---\nkind: Window\nname: nights\nallow: {days: [mon-fri], at: \"22:00\", for: 7h, timezone: UTC}\n")
    (rule,) = load_policies(tmp_path, CLUSTER, 0.0).policies.placement
    assert (rule.hold, rule.budget.per_hour, rule.cooldown.vm, rule.windows) == (300.0, 2, 3600.0, ("nights",))
    (problem,) = problems(tmp_path, rules("rule: apart\nwindows: [nihgts]"))
    assert "nihgts" in problem
