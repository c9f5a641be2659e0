"""A Balance document: what it compiles to, and what of it is refused with which words."""

from __future__ import annotations

from pathlib import Path

import pytest

from ballastd.core.ceilings import CEILINGS
from ballastd.core.policies import BalancePolicy, Cooldown, Edge, Mode, MoveBudget, Scope
from ballastd.core.quantities import Seconds
from ballastd.documents import load_policies
from ballastd.errors import ConfigurationError
from tests.builders import a_cluster

BALANCE = "kind: Balance\nname: even\n"
QUIET = 'kind: Window\nname: quiet\ndeny: {days: [mon-fri], at: "08:00", for: 10h, timezone: UTC}\n'
EVERY_KEY = BALANCE + """\
description: words
scope: {hosts: [kvm-*], labels: {rack: r1}}
hot: {cpu: 90%, memory: off, network: 70%, cpu.pressure.some: off, memory.pressure.full: 5%, io.pressure.some: 40%, for: 1m}
cool: {cpu: 60%, memory: 70%, network: 50%}
imbalance: {above: 40%, for: 2m, minimum_gain: 20%, ignore_below: 35%}
cooldown: {vm: 1h, no_return: 2h, host_settle: 3m, foreign_move: 4h}
budget: {in_flight: 2, per_hour: 3, per_day: 5, per_vm_per_day: 4}
windows: [quiet]
mode: auto
---
""" + QUIET


def the_policy(folder: Path, text: str) -> BalancePolicy:
    (folder / "p.yaml").write_text(text)
    (policy,) = load_policies(folder, None, 0.0).policies.balance
    return policy


def problems(folder: Path, text: str) -> list[str]:
    (folder / "p.yaml").write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load_policies(folder, a_cluster().host("kvm-01", rack="r1").build(), 0.0)
    return [problem.replace(f"{folder}/", "") for problem in caught.value.problems]


def test_a_name_alone_is_the_defaults_and_only_observes(tmp_path: Path) -> None:
    policy = the_policy(tmp_path, BALANCE)
    assert policy == BalancePolicy("even", source=f"{tmp_path}/p.yaml:2:1")
    assert policy.mode is Mode.OBSERVE


def test_every_key_is_where_it_belongs(tmp_path: Path) -> None:
    assert the_policy(tmp_path, EVERY_KEY) == BalancePolicy(
        name="even", description="words", scope=Scope(("kvm-*",), (("rack", "r1"),)),
        hot=(Edge("cpu", 0.90), Edge("network", 0.70), Edge("memory.pressure.full", 0.05),
             Edge("io.pressure.some", 0.40)),
        hot_hold=Seconds(60.0), cool_cpu=0.60, cool_memory=0.70, cool_network=0.50, imbalance_above=0.40,
        imbalance_hold=Seconds(120.0),
        minimum_gain=0.20, ignore_below=0.35,
        cooldown=Cooldown(vm=Seconds(3600.0), no_return=Seconds(7200.0), host_settle=Seconds(180.0),
                          foreign_move=Seconds(14400.0)),
        budget=MoveBudget(in_flight=2, per_hour=3, per_day=5, per_vm_per_day=4), windows=("quiet",), mode=Mode.AUTO,
        source=f"{tmp_path}/p.yaml:2:1")


def test_a_key_that_is_left_out_keeps_its_default_beside_others(tmp_path: Path) -> None:
    policy = the_policy(tmp_path, BALANCE + "hot: {cpu: 85%}\nbudget: {per_day: 8}\ncooldown: {vm: 1h}\n")
    assert policy.hot == (Edge("cpu", 0.85), *BalancePolicy("").hot[1:])
    assert policy.budget == MoveBudget(per_day=8)
    assert policy.cooldown == Cooldown(vm=Seconds(3600.0))


@pytest.mark.parametrize("keys", [
    "hot: {cpu: off, memory: off, cpu.pressure.some: off}",   # never relieve, only even out
    "imbalance: {above: 100%}",                               # never even out, only relieve
    "hot: {cpu: off, memory: off, network: 80%, cpu.pressure.some: off}\nimbalance: {above: 100%}",   # networks alone
])
def test_either_half_can_be_left_out(tmp_path: Path, keys: str) -> None:
    assert the_policy(tmp_path, f"{BALANCE}{keys}\n").name == "even"


@pytest.mark.parametrize(("keys", "problem"), [
    ("hot: {cpu: 60%}", "1:1: cool.cpu: 65% is not below 60%, above which a host is hot: what was relieved would be hot "
                        "again at once"),
    ("cool: {memory: 88%}", "3:8: cool.memory: 88% is not below 88%, above which a host is hot: what was relieved would be "
                            "hot again at once"),
    ("cool: {network: 80%}", "3:8: cool.network: 80% is not below 80%, above which a host is hot: what was relieved would "
                             "be hot again at once"),
    ("cool: {cpu: 0%}", "3:8: cool.cpu: must be above zero; write for example 30%"),
    ("hot: {cpu: 0%}", "3:7: hot.cpu: must be above zero; write for example 30%"),
    ("hot: {cpu: 0.8}", "3:7: hot.cpu: 0.8 has no unit; write a percentage, for example 80%"),
    ("hot: {cpu: none}", "3:7: hot.cpu: 'none' is no percentage; write for example 80%"),
    ("hot: {cpu.pressure.some: 100%}", "3:7: hot.cpu.pressure.some: no pressure ever lies above 100%; write off"),
    ("hot: {cpu.presure.some: 10%}", "3:7: hot.cpu.presure.some: unknown key; did you mean cpu.pressure.some?"),
    ("hot: {cpu_some: 10%}", "3:7: hot.cpu_some: unknown key; known here: cpu, memory, network, cpu.pressure.some, "
     "cpu.pressure.full, memory.pressure.some, memory.pressure.full, io.pressure.some, io.pressure.full, for"),
    ("hot: 80%", "3:1: hot: expected keys and values, found '80%'; write for example hot: {cpu: 80%, memory: 88%, for: 5m}"),
    ("hot: {cpu: off, memory: off, cpu.pressure.some: off}\nimbalance: {above: 100%}",
     "3:1: hot: every edge is off, and no spread lies above 100%: nothing would ever be moved"),
    ("imbalance: {above: 0.30}", "3:13: imbalance.above: 0.3 has no unit; write a percentage, for example 80%"),
    ("imbalance: {minimum_gain: 100%}",
     "3:13: imbalance.minimum_gain: no single move takes the whole spread away; write for example 10%"),
    ("imbalance: {minimum_gain: 0%}", "3:13: imbalance.minimum_gain: must be above zero; write for example 30%"),
    ("cooldown: {vm: 0s}", "3:12: cooldown.vm: must be above zero; write for example 5m"),
    ("cooldown: {no_return: 0s}", "3:12: cooldown.no_return: must be above zero; write for example 5m"),
    ("cooldown: {host_settle: 5}",
     "3:12: cooldown.host_settle: 5 has no unit; write a duration, for example 5m, 90s or 1h30m"),
    ("budget: {in_flight: 0}", "3:10: budget.in_flight: 0 is below 1, the least"),
    ("budget: {per_minute: 1}", "3:10: budget.per_minute: unknown key; known here: in_flight, per_hour, "
     "per_day, per_vm_per_day"),
    ("windows: [quiet]", "3:11: windows.0: there is no Window 'quiet'; known: none"),
    ("scope: {hosts: [kvm-1]}", "3:17: scope.hosts.0: 'kvm-1' matches no declared host; did you mean kvm-01?"),
    ("scope: {labels: {rack: r9}}", "3:9: scope.labels: no declared host has rack: r9; known: rack: r1"),
    ("mode: on", "3:1: mode: 'on' is not one of observe, recommend, auto"),
    ("ignore_windows: true", "3:1: ignore_windows: unknown key; did you mean windows?"),
])
def test_each_mistake_is_told_once_where_it_stands(tmp_path: Path, keys: str, problem: str) -> None:
    assert problems(tmp_path, f"{BALANCE}{keys}\n") == [f"p.yaml:{problem}"]


@pytest.mark.parametrize(("key", "ceiling"), [
    ("in_flight", CEILINGS.balance_in_flight), ("per_hour", CEILINGS.balance_per_hour),
    ("per_day", CEILINGS.balance_per_day), ("per_vm_per_day", CEILINGS.balance_per_vm_day)])
def test_a_budget_reaches_its_ceiling_and_no_further(tmp_path: Path, key: str, ceiling: int) -> None:
    assert getattr(the_policy(tmp_path, f"{BALANCE}budget: {{{key}: {ceiling}}}\n").budget, key) == ceiling
    assert problems(tmp_path, f"{BALANCE}budget: {{{key}: {ceiling + 1}}}\n") == [
        f"p.yaml:3:10: budget.{key}: above the ceiling of {ceiling}, which no policy can raise"]


def test_a_window_that_a_balance_names_is_in_use_and_looking_on_is_named(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(f"{BALANCE}windows: [quiet]\n---\n{QUIET}")
    assert load_policies(tmp_path, None, 0.0).warnings == (
        f"{tmp_path}/p.yaml:2:1: even is in mode observe: it moves nothing",)
