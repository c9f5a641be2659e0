"""A Placement document: what each rule compiles to, and what of it is refused with which words."""

from __future__ import annotations

from pathlib import Path

import pytest

from ballastd.core.policies import Mode, PlacementPolicy, Rule, Scope, VmSelector
from ballastd.documents import load_policies
from ballastd.errors import ConfigurationError
from tests.builders import a_cluster

HEAD = "kind: Placement\nname: p\n"
WEB = f"{HEAD}vms: {{tag: web}}\n"
CLUSTER = a_cluster().host("kvm-01", rack="r1").host("kvm-02", rack="r2").build()


def the_policy(folder: Path, text: str) -> PlacementPolicy:
    (folder / "p.yaml").write_text(text)
    (policy,) = load_policies(folder, CLUSTER, 0.0).policies.placement
    return policy


def problems(folder: Path, text: str) -> list[str]:
    (folder / "p.yaml").write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load_policies(folder, CLUSTER, 0.0)
    return [problem.replace(f"{folder}/", "") for problem in caught.value.problems]


@pytest.mark.parametrize(("keys", "expected"), [
    ("rule: apart", {"rule": Rule.APART}),
    ("rule: apart\nacross: rack", {"rule": Rule.APART, "across": "rack"}),
    ("rule: together\nstrength: should", {"rule": Rule.TOGETHER, "weight": 10}),
    ("rule: together\nstrength: should(5)\nmode: auto", {"rule": Rule.TOGETHER, "weight": 5, "mode": Mode.AUTO}),
    ("rule: apart\nstrength: must\nmode: recommend", {"rule": Rule.APART, "mode": Mode.RECOMMEND}),
    ("rule: on\nhosts: [kvm-01]", {"rule": Rule.ON, "hosts": Scope(("kvm-01",))}),
    ("rule: never-on\nhosts: {labels: {rack: r2}}\nstrength: should(100)",
     {"rule": Rule.NEVER_ON, "hosts": Scope((), (("rack", "r2"),)), "weight": 100}),
    ("rule: on\nhosts: {hosts: [kvm-*], labels: {rack: r1}}",
     {"rule": Rule.ON, "hosts": Scope(("kvm-*",), (("rack", "r1"),))}),
    ("rule: pinned\ndescription: words", {"rule": Rule.PINNED, "description": "words"}),
])
def test_each_rule_is_what_it_says(tmp_path: Path, keys: str, expected: dict[str, object]) -> None:
    whole = {"name": "p", "vms": VmSelector(tags=("web",)), "source": f"{tmp_path}/p.yaml:2:1", **expected}
    assert the_policy(tmp_path, f"{WEB}{keys}\n") == PlacementPolicy(**whole)  # type: ignore[arg-type]


@pytest.mark.parametrize(("vms", "selector"), [
    ("{tag: web}", VmSelector(tags=("web",))),
    ("{tags: [web, prod, web]}", VmSelector(tags=("prod", "web"))),
    ("{name: web-*}", VmSelector(names=("web-*",))),
    ("{names: [a, b]}", VmSelector(names=("a", "b"))),
    ("{group: shop}", VmSelector(group="shop")),
    ("{name: web-*, tag: prod, group: shop}", VmSelector(("web-*",), ("prod",), "shop")),
])
def test_vms_are_selected_by_all_that_is_given(tmp_path: Path, vms: str, selector: VmSelector) -> None:
    assert the_policy(tmp_path, f"{HEAD}vms: {vms}\nrule: apart\n").vms == selector


STRENGTH = "write must, should, or should with a weight, for example should(5)"


@pytest.mark.parametrize(("text", "problem"), [
    (f"{HEAD}rule: apart\n", "1:1: vms: is missing; write for example vms: {tag: web}"),
    (f"{HEAD}vms: {{}}\nrule: apart\n",
     "3:1: vms: selects nothing; write tag: web, tags: [web, prod], name: web-*, names: [a, b] or group: shop"),
    (f"{HEAD}vms: web\nrule: apart\n",
     "3:1: vms: 'web': write all, or which VMs, for example {tag: web}, {name: web-*} or {group: shop}"),
    (f"{HEAD}vms: {{tag: 5}}\nrule: apart\n", "3:7: vms.tag: expected a word, found 5; put it in quotes"),
    (f'{HEAD}vms: {{tag: ""}}\nrule: apart\n',
     "3:7: vms.tag: '' can be no tag or group of a VM: those are letters, digits, dots, dashes and underscores, 64 at most; "
     "write for example web-server"),
    (f"{HEAD}vms: {{tags: [web, 'web server']}}\nrule: apart\n",
     "3:19: vms.tags.1: 'web server' can be no tag or group of a VM: those are letters, digits, dots, dashes and "
     "underscores, 64 at most; write for example web-server"),
    (f"{HEAD}vms: {{group: shöp}}\nrule: apart\n",
     "3:7: vms.group: 'shöp' can be no tag or group of a VM: those are letters, digits, dots, dashes and underscores, 64 at "
     "most; write for example web-server"),
    (f"{HEAD}vms: {{tags: []}}\nrule: apart\n",
     "3:7: vms.tags: an empty list selects nothing; write at least one, or take the key out"),
    (f"{HEAD}vms: {{tags: web}}\nrule: apart\n",
     "3:7: vms.tags: expected a list, found 'web'; write for example [a, b]"),
    (f"{HEAD}vms: {{tag: a, tags: [b]}}\nrule: apart\n",
     "3:1: vms: write either tag or tags; tags: [a, b] takes them all"),
    (f"{HEAD}vms: {{label: a}}\nrule: apart\n", "3:7: vms.label: unknown key; known here: tag, tags, name, names, group"),
    (WEB + "rule: never_on\n",
     "4:1: rule: 'never_on' is not one of apart, together, on, never-on, pinned; did you mean never-on?"),
    (WEB + "rule: on\n", "1:1: hosts: on needs the hosts it speaks of; write for example [rack1-*]"),
    (WEB + "rule: on\nhosts: all\n", "5:1: hosts: 'all': write a list of host names and patterns, for example [rack1-*], "
                                     "or {labels: {rack: r1}}"),
    (WEB + "rule: on\nhosts: {hosts: all}\n", "5:1: hosts: on all hosts is no rule; write for example [rack1-*]"),
    (WEB + "rule: on\nhosts: [kvm-1]\n", "5:9: hosts.0: 'kvm-1' matches no declared host; did you mean kvm-01?"),
    (WEB + "rule: on\nhosts: {hosts: [kvm-1]}\n",
     "5:17: hosts.hosts.0: 'kvm-1' matches no declared host; did you mean kvm-01?"),
    (WEB + "rule: on\nhosts: {labels: {rack: r9}}\n",
     "5:9: hosts.labels: no declared host has rack: r9; known: rack: r1, rack: r2"),
    (WEB + "rule: on\nhosts: {lables: {rack: r1}}\n", "5:9: hosts.lables: unknown key; did you mean labels?"),
    (WEB + "rule: on\nhosts: {}\n",
     "5:1: hosts: selects nothing; write hosts: all, hosts: [rack1-*], or labels: {rack: r1}"),
    (WEB + "rule: on\nhosts: [kvm-01]\nacross: rack\n",
     "6:1: across: it belongs to apart and together, and would do nothing for on; take it out"),
    (WEB + "rule: apart\nhosts: [kvm-01]\n",
     "5:1: hosts: it belongs to on and never-on, and would do nothing for apart; take it out"),
    (WEB + "rule: apart\nacross: [rack]\n", "5:1: across: expected a word, found a list"),
    (WEB + "rule: pinned\nacross: rack\n",
     "5:1: across: it belongs to apart and together, and would do nothing for pinned; take it out"),
    (WEB + "rule: pinned\nhosts: [kvm-01]\n",
     "5:1: hosts: it belongs to on and never-on, and would do nothing for pinned; take it out"),
    (WEB + "rule: pinned\nstrength: should\n",
     "5:1: strength: what is pinned is moved by nobody but an operator; write must, or take it out"),
    (WEB + "rule: pinned\nmode: auto\n",
     "5:1: mode: a pin cannot be broken, so there is nothing to put right; take it out"),
    (WEB + "rule: apart\nstrength: shall\n", f"5:1: strength: 'shall': {STRENGTH}"),
    (WEB + "rule: apart\nstrength: 5\n", f"5:1: strength: 5: {STRENGTH}"),
    (WEB + "rule: apart\nstrength: must(5)\n", f"5:1: strength: 'must(5)': {STRENGTH}"),
    (WEB + "rule: apart\nstrength: should(0)\n",
     "5:1: strength: 'should(0)': a weight is 1 to 100, and should alone means 10"),
    (WEB + "rule: apart\nstrength: should(101)\n",
     "5:1: strength: 'should(101)': a weight is 1 to 100, and should alone means 10"),
    (WEB + "rule: apart\nacros: rack\n", "5:1: acros: unknown key; did you mean across?"),
])
def test_each_mistake_is_told_once_where_it_stands(tmp_path: Path, text: str, problem: str) -> None:
    assert problems(tmp_path, text) == [f"p.yaml:{problem}"]
