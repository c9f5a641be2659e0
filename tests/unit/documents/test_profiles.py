"""Profiles: one file that names policies and says how far each may go."""

from __future__ import annotations

from pathlib import Path

import pytest

from ballastd.core.policies import Mode, PolicySet
from ballastd.documents import load_policies
from ballastd.errors import ConfigurationError

ROOT = Path(__file__).parents[3]
POLICIES = """\
kind: Evacuation
name: failing-hosts
on: {severity: failing}
respond: evacuate
mode: auto
---
kind: Balance
name: even-load
---
kind: Placement
name: pinned
vms: {tag: pinned}
rule: pinned
---
kind: Health
name: memory
when: {metric: ecc.uncorrected, increase: 1h, above: 0}
severity: failing
"""


def profile(folder: Path, text: str) -> Path:
    (folder / "library").mkdir()
    (folder / "library" / "all.yaml").write_text(POLICIES, encoding="utf-8")
    path = folder / "profile.yaml"
    path.write_text(f"kind: Profile\nname: ours\n{text}", encoding="utf-8")
    return path


def modes(policies: PolicySet) -> dict[str, Mode]:
    return {p.name: p.mode for p in (*policies.evacuation, *policies.balance, *policies.consolidation, *policies.placement)}


def test_a_profile_says_how_far_each_may_go(tmp_path: Path) -> None:
    path = profile(tmp_path, "include: [library]\nmode: recommend\nmodes: {failing-hosts: observe}\n")
    policies = load_policies(path, None, 0.0).policies
    assert modes(policies) == {"failing-hosts": Mode.OBSERVE, "even-load": Mode.RECOMMEND, "pinned": Mode.OBSERVE}
    assert len(policies.health) == 1


def test_what_it_says_nothing_of_is_as_it_is_written(tmp_path: Path) -> None:
    path = profile(tmp_path, "include: [library/all.yaml]\n")
    assert modes(load_policies(path, None, 0.0).policies)["failing-hosts"] is Mode.AUTO


def test_its_text_is_part_of_the_digest(tmp_path: Path) -> None:
    path = profile(tmp_path, "include: [library]\n")
    first = load_policies(path, None, 0.0).policies.digest
    path.write_text(path.read_text() + "mode: auto\n")
    assert load_policies(path, None, 0.0).policies.digest != first


@pytest.mark.parametrize(("text", "problem"), [
    ("include: [nowhere]\n", "profile.yaml:3:11: include.0: there is no 'nowhere' beside this file; write a directory "
                             "or a file, counted from here, for example .."),
    ("include: library\n", "profile.yaml:3:1: include: 'library': write a list of directories and files, counted from this "
                           "file, for example [.., site.yaml]"),
    ("include: [library]\nmodes: {failing-host: auto}\n",
     "profile.yaml:4:9: modes.failing-host: no policy with a mode is called 'failing-host'; did you mean failing-hosts?"),
    ("include: [library]\nmodes: {memory: auto}\n",
     "profile.yaml:4:9: modes.memory: no policy with a mode is called 'memory'; known: even-load, failing-hosts"),
    ("include: [library]\nmode: aut\n", "profile.yaml:4:1: mode: 'aut' is not one of observe, recommend, auto; did you mean "
                                        "auto?"),
    ("include: [library, library]\n", None),
])
def test_a_mistake_in_it_is_told_with_its_place(tmp_path: Path, text: str, problem: str | None) -> None:
    path = profile(tmp_path, text)
    with pytest.raises(ConfigurationError) as caught:
        load_policies(path, None, 0.0)
    found = [one.replace(f"{tmp_path}/", "") for one in caught.value.problems]
    assert problem is None or found == [problem]
    assert found


def test_it_is_not_one_policy_among_others(tmp_path: Path) -> None:
    profile(tmp_path, "include: [library]\n")
    with pytest.raises(ConfigurationError, match="a Profile is not one policy among others"):
        load_policies(tmp_path, None, 0.0)


@pytest.mark.parametrize(("name", "acting"), [
    ("cautious", set()), ("standard", {"failing-hosts", "suspect-hosts"}),
    ("energy-saving", {"failing-hosts", "suspect-hosts", "degraded-hosts", "even-load", "relieve-memory-pressure", "nights",
                       "weekends"})])
def test_each_shipped_profile_lets_act_what_it_says(name: str, acting: set[str]) -> None:
    policies = load_policies(ROOT / "policies" / "profiles" / f"{name}.yaml", None, 1_795_400_000.0).policies
    assert {policy for policy, mode in modes(policies).items() if mode is Mode.AUTO} == acting
    assert len(policies.health) == len(load_policies(ROOT / "policies", None, 1_795_400_000.0).policies.health)
