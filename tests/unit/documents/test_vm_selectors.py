"""Selectors of VMs and hosts: nothing and everything by accident are mistakes, everything on purpose is a word."""

from __future__ import annotations

from pathlib import Path

import pytest

from ballastd.core.policies import EVERY_VM, EVERYWHERE, LastResort, VmSelector
from ballastd.documents.loading import load_policies
from ballastd.errors import ConfigurationError

NOW = 1_795_000_000.0
KINDS = {
    "Evacuation": "on: {severity: failing}\nrespond: evacuate\n", "Balance": "",
    "Consolidation": 'window: {days: [mon-fri], at: "22:00", for: 7h, timezone: UTC}\n', "Placement": "rule: pinned\n"}


def load(directory: Path, text: str):
    (directory / "p.yaml").write_text(text, encoding="utf-8")
    return load_policies(directory, None, NOW).policies


def problems(directory: Path, text: str) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as refused:
        load(directory, text)
    return tuple(problem.removeprefix(f"{directory}/") for problem in refused.value.problems)


@pytest.mark.parametrize("kind", KINDS)
def test_what_moves_vms_may_speak_of_some_of_them(tmp_path: Path, kind: str) -> None:
    policies = load(tmp_path, f"kind: {kind}\nname: p\n{KINDS[kind]}vms: {{tag: web, names: [a-*, b], group: shop}}\n")
    [policy] = getattr(policies, kind.lower())
    assert policy.vms == VmSelector(("a-*", "b"), ("web",), "shop")


@pytest.mark.parametrize("kind", KINDS)
def test_all_of_them_is_a_word(tmp_path: Path, kind: str) -> None:
    [policy] = getattr(load(tmp_path, f"kind: {kind}\nname: p\n{KINDS[kind]}vms: all\n"), kind.lower())
    assert policy.vms == EVERY_VM


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("vms", "says"), [
    ("{name: \"*\"}", "'*' is every VM; write vms: all if that is meant, or for example web-*"),
    ("{names: [a, \"**\"]}", "'**' is every VM; write vms: all if that is meant, or for example web-*"),
    ("{name: \"?*\"}", "'?*' is every VM; write vms: all if that is meant, or for example web-*"),
    ("{}", "selects nothing; write tag: web"), ("{names: []}", "an empty list selects nothing"),
    ("{tags: []}", "an empty list selects nothing"), ("{name: \"\"}", "is no word"),
    ("{group: \"\"}", "can be no tag or group"),
    ("{tag: \"*\"}", "can be no tag or group"), ("web", "write all, or which VMs"), ("\"*\"", "write all, or which VMs"),
    ("everything", "write all, or which VMs"), ("[]", "write all, or which VMs"), ("", "write"), ("null", "write"),
])
def test_nothing_and_everything_by_accident_are_refused(tmp_path: Path, kind: str, vms: str, says: str) -> None:
    found = problems(tmp_path, f"kind: {kind}\nname: p\n{KINDS[kind]}vms: {vms}\n")
    assert len(found) == 1, found
    assert "vms" in found[0]
    assert says in found[0] or not vms or vms == "null"


@pytest.mark.parametrize("scope", [
    '{hosts: ["*"]}', '{hosts: [kvm-1, "**"]}', '{hosts: "*"}', "{hosts: []}", "{hosts: null}", "{labels: {}}", "{}",
    '{hosts: [""]}'])
def test_so_it_is_with_hosts(tmp_path: Path, scope: str) -> None:
    assert len(problems(tmp_path, f"kind: Balance\nname: p\nscope: {scope}\n")) == 1
    [policy] = load(tmp_path, "kind: Balance\nname: p\nscope: {hosts: all}\n").balance
    assert policy.scope == EVERYWHERE


def test_never_on_every_host_by_a_star_is_refused_too(tmp_path: Path) -> None:
    [problem] = problems(tmp_path, 'kind: Placement\nname: p\nvms: all\nrule: never-on\nhosts: ["*"]\n')
    assert "'*' is every host" in problem


def test_a_last_resort_is_one_that_is_carried_out(tmp_path: Path) -> None:
    base = "kind: Evacuation\nname: p\non: {severity: failing}\nrespond: evacuate\n"
    [policy] = load(tmp_path, base + "last_resort: [post_copy]\n").evacuation
    assert policy.last_resorts == (LastResort.POST_COPY,)
    [both] = load(tmp_path, base + "deadline: 30m\nlast_resort: [post_copy, shutdown]\n").evacuation
    assert both.last_resorts == (LastResort.POST_COPY, LastResort.SHUTDOWN)
    [endless] = problems(tmp_path, base + "last_resort: [post_copy, shutdown]\n")
    assert "write for example deadline: 30m" in endless
    [unknown] = problems(tmp_path, base + "last_resort: [kill]\n")
    assert "'kill' is not one of post_copy, shutdown" in unknown
    [moves_nothing] = problems(tmp_path, base.replace("evacuate", "quarantine") + "last_resort: [post_copy]\n")
    assert "last_resort would do nothing" in moves_nothing


def test_a_quarantine_of_some_vms_is_none(tmp_path: Path) -> None:
    [problem] = problems(
        tmp_path, "kind: Evacuation\nname: p\non: {severity: failing}\nrespond: quarantine\nvms: {tag: a}\n")
    assert "vms would do nothing" in problem
