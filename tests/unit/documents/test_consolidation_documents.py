"""A Consolidation document: its window, what it compiles to, and what of it is refused with which words."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from ballastd.core.policies import ConsolidationPolicy, Cooldown, During, Mode, MoveBudget, PolicySet, Scope
from ballastd.core.quantities import Seconds
from ballastd.documents import load_policies, load_settings
from ballastd.errors import ConfigurationError
from tests.builders import a_cluster

TIMES = '{days: [mon-fri], at: "22:00", for: 7h, timezone: Europe/Berlin}'
HEAD = "kind: Consolidation\nname: pack\n"
PACK = f"{HEAD}window: {TIMES}\n"
NIGHTS = f"kind: Window\nname: nights\nallow: {TIMES}\nclosing: cancel\n"
EVERY_KEY = f"""\
{HEAD}window: nights
description: words
scope: {{hosts: [kvm-*]}}
fill_to: {{cpu: 60%, memory: 70%, network: 55%, during: window}}
spare: {{hosts: 2, share: 5%}}
power_off: {{below: 30%, for: 1m, minimum_on: 2m}}
power_on: {{above: 75%, for: 3m, minimum_off: 4m, ahead_of_window_end: 5m}}
cooldown: {{vm: 1h, no_return: 2h, host_settle: 3m, foreign_move: 4h}}
budget: {{in_flight: 1, per_hour: 2, per_day: 4, per_vm_per_day: 3}}
mode: recommend
---
{NIGHTS}"""


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def the_set(folder: Path, text: str, now: float = 0.0) -> PolicySet:
    (folder / "p.yaml").write_text(text)
    return load_policies(folder, None, now).policies


def problems(folder: Path, text: str) -> list[str]:
    (folder / "p.yaml").write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load_policies(folder, a_cluster().host("kvm-01", rack="r1").host("gpu-01").build(), 0.0)
    return [problem.replace(f"{folder}/", "") for problem in caught.value.problems]


def warnings(folder: Path, text: str, *powered: str) -> list[str]:
    (folder / "p.yaml").write_text(text)
    hosts = "".join(f'  - {{name: {name}, uri: "qemu+tls://{name}/system"'
                    f'{f", power: {{driver: redfish, url: https://bmc-{name}}}" if name in powered else ""}}}\n'
                    for name in ("kvm-01", "kvm-02", "kvm-03"))
    (folder / "settings").write_text(f"hosts:\n{hosts}")
    found = load_policies(folder, load_settings(folder / "settings").cluster, 0.0).warnings
    return [warning.replace(f"{folder}/", "") for warning in found]


def test_a_window_alone_is_the_defaults_and_only_observes(tmp_path: Path) -> None:
    (policy,) = the_set(tmp_path, PACK).consolidation
    assert policy == ConsolidationPolicy("pack", "pack.window", source=f"{tmp_path}/p.yaml:2:1")
    assert policy.mode is Mode.OBSERVE


def test_every_key_is_where_it_belongs(tmp_path: Path) -> None:
    policies = the_set(tmp_path, EVERY_KEY)
    assert policies.consolidation == (ConsolidationPolicy(
        name="pack", window="nights", description="words", scope=Scope(("kvm-*",)), fill_cpu=0.60, fill_memory=0.70,
        fill_network=0.55, fill_during=During.WINDOW,
        spare_hosts=2, spare_share=0.05, power_off_below=0.30, power_off_hold=Seconds(60.0), minimum_on=Seconds(120.0),
        power_on_above=0.75, power_on_hold=Seconds(180.0), minimum_off=Seconds(240.0), wake_ahead=Seconds(300.0),
        cooldown=Cooldown(vm=Seconds(3600.0), no_return=Seconds(7200.0), host_settle=Seconds(180.0),
                          foreign_move=Seconds(14400.0)),
        budget=MoveBudget(in_flight=1, per_hour=2, per_day=4, per_vm_per_day=3), mode=Mode.RECOMMEND,
        source=f"{tmp_path}/p.yaml:2:1"),)
    assert sorted(policies.windows) == ["nights"]


def test_a_key_that_is_left_out_keeps_the_default_of_consolidation_and_not_of_balance(tmp_path: Path) -> None:
    (policy,) = the_set(tmp_path, PACK + "budget: {per_day: 50}\n").consolidation
    assert policy.budget == MoveBudget(in_flight=2, per_hour=20, per_day=50)


def test_times_of_its_own_become_an_allow_window_beside_the_others(tmp_path: Path) -> None:
    now = at("2026-11-24 12:00")
    policies = the_set(tmp_path, f"{PACK}---\n{NIGHTS}", now)
    own, named = policies.windows["pack.window"], policies.windows["nights"]
    assert (own.allows, own.cancel_at_close, named.cancel_at_close) == (True, False, True)
    assert own.intervals == named.intervals
    assert own.next_open(now) == at("2026-11-24 21:00")
    assert own.horizon == now + 14 * 86400


def test_no_window_document_can_take_the_name_of_a_window_of_its_own(tmp_path: Path) -> None:
    assert problems(tmp_path, f"{PACK}---\n{NIGHTS.replace('name: nights', 'name: pack.window')}") == [
        "p.yaml:6:1: name: 'pack.window': lower-case letters, digits and dashes, as in failing-hosts"]


def test_nobody_else_can_name_a_window_of_its_own(tmp_path: Path) -> None:
    assert problems(tmp_path, f"{PACK}---\nkind: Balance\nname: b\nwindows: [pack.window]\n") == [
        "p.yaml:7:11: windows.0: there is no Window 'pack.window'; known: none"]


def test_a_window_of_its_own_that_has_passed_is_doubted(tmp_path: Path) -> None:
    once = f"{HEAD}window: {{from: 2020-01-01 22:00, for: 7h, timezone: UTC}}\n"
    (tmp_path / "p.yaml").write_text(once)
    assert f"{tmp_path}/p.yaml:3:1: pack.window has passed, it never opens again; take it out" in load_policies(
        tmp_path, None, at("2026-11-24 12:00")).warnings


@pytest.mark.parametrize(("text", "problem"), [
    (HEAD, '1:1: window: is missing; write for example window: {days: [mon-fri], at: "22:00", for: 7h, timezone: '
     "Europe/Berlin}"),
    (f"{HEAD}window: 5\n", '3:1: window: 5: write the name of a Window, or its times, for example {days: [mon-fri], at: '
                           '"22:00", for: 7h, timezone: Europe/Berlin}'),
    (f"{HEAD}window: nights\n", "3:1: window: there is no Window 'nights'; known: none"),
    (f"{HEAD}window: night\n---\n{NIGHTS}", "3:1: window: there is no Window 'night'; did you mean nights?"),
    (f"{HEAD}windws: nights\n", "3:1: windws: unknown key; did you mean window?"),
    (f"{HEAD}window: nights\n---\n{NIGHTS.replace('allow', 'deny')}",
     "3:1: window: nights is a denial; consolidation works within an allow-window; name denials under windows: [nights]"),
    (PACK.replace("timezone", "timezon"), "3:49: window.timezon: unknown key; did you mean timezone?"),
    (PACK.replace('at: "22:00", ', ""),
     '3:1: window.at: is missing beside days; write for example at: "22:00"'),
    (PACK.replace("7h", "45m"), "3:1: window: it is not longer than minimum_off and ahead_of_window_end of power_on "
     "together (45m), so no host would ever go off; write a longer window, or shorter times"),
    (f"{HEAD}window: nights\npower_on: {{minimum_off: 7h}}\n---\n{NIGHTS}",
     "3:1: window: it is not longer than minimum_off and ahead_of_window_end of power_on together (7h15m), so no host would "
     "ever go off; write a longer window, or shorter times"),
    (PACK + "fill_to: {cpu: 81%}\n",
     "4:11: fill_to.cpu: 81% is not below power_on.above, 81%: packing would wake a host at once"),
    (PACK + "power_on: {above: 80%}\n",
     "1:1: fill_to.memory: 80% is not below power_on.above, 80%: packing would wake a host at once"),
    (PACK + "power_off: {below: 71.5%}\n", "4:13: power_off.below: 71.5% is less than 10 points below power_on.above, 81%: "
     "hosts would go off and on; write for example 45% and 81%"),
    (PACK + "power_off: {below: 90%}\n", "4:13: power_off.below: 90% is less than 10 points below power_on.above, 81%: "
     "hosts would go off and on; write for example 45% and 81%"),
    (PACK + "power_on: {above: 100%}\n",
     "4:12: power_on.above: no load lies above 100%, nothing would ever be woken; write for example 81%"),
    (PACK + "power_off: {below: 0%}\n", "4:13: power_off.below: must be above zero; write for example 30%"),
    (PACK + "spare: {share: 100%}\n",
     "4:9: spare.share: with everything kept free nothing could ever be packed; write for example 10%"),
    (PACK + "spare: {hosts: -1}\n", "4:9: spare.hosts: -1 is below 0, the least"),
    (PACK + "power_on: {minimum_on: 1h}\n", "4:12: power_on.minimum_on: unknown key; did you mean minimum_off?"),
    (PACK + "budget: {in_flight: 5}\n",
     "4:10: budget.in_flight: above the ceiling of 4, which no policy can raise"),
    (PACK + "budget: {per_hour: 61}\n",
     "4:10: budget.per_hour: above the ceiling of 60, which no policy can raise"),
    (PACK + "budget: {per_day: 401}\n",
     "4:10: budget.per_day: above the ceiling of 400, which no policy can raise"),
    (PACK + "budget: {per_vm_per_day: 7}\n",
     "4:10: budget.per_vm_per_day: above the ceiling of 6, which no policy can raise"),
    (PACK + "scope: {hosts: [kvm-9*]}\n",
     "4:17: scope.hosts.0: 'kvm-9*' matches no declared host; did you mean kvm-01?"),
])
def test_each_mistake_is_told_once_where_it_stands(tmp_path: Path, text: str, problem: str) -> None:
    assert problems(tmp_path, text) == [f"p.yaml:{problem}"]


def test_a_gap_of_ten_points_is_wide_enough(tmp_path: Path) -> None:
    (policy,) = the_set(tmp_path, PACK + "power_off: {below: 71%}\n").consolidation
    assert policy.power_off_below == 0.71


def test_a_window_that_cannot_be_read_is_not_said_to_be_missing(tmp_path: Path) -> None:
    found = problems(tmp_path, f"{HEAD}window: nights\n---\n{NIGHTS.replace('7h', '7')}")
    assert found == ["p.yaml:7:39: allow.for: 7 has no unit; write a duration, for example 5m, 90s or 1h30m"]


HOT = "---\nkind: Balance\nname: even\nhot: {cpu: 70%}\n"


def test_no_host_is_packed_beyond_where_it_is_hot(tmp_path: Path) -> None:
    assert problems(tmp_path, f"{PACK}fill_to: {{cpu: 75%}}\n{HOT}") == [
        "p.yaml:4:11: fill_to.cpu: 75% is not below 70%, above which even (p.yaml:7:1) calls the same hosts hot: what the "
        "one packs the other would unpack"]
    assert problems(tmp_path, f"{PACK}fill_to: {{cpu: 60%, network: 80%}}\n{HOT}") == [
        "p.yaml:4:21: fill_to.network: 80% is not below 80%, above which even (p.yaml:7:1) calls the same hosts hot: what "
        "the one packs the other would unpack"]


@pytest.mark.parametrize("text", [
    f"{PACK}fill_to: {{cpu: 69%}}\n{HOT}",
    f"{PACK}fill_to: {{cpu: 69%, network: 79%}}\n{HOT}",
    f"{PACK}fill_to: {{cpu: 75%}}\n{HOT}".replace("cpu: 70%", "cpu: off"),
    f"{PACK}fill_to: {{cpu: 75%}}\nscope: {{hosts: [gpu-*]}}\n{HOT}scope: {{hosts: [kvm-*]}}\n",
])
def test_packing_and_balancing_go_together_otherwise(tmp_path: Path, text: str) -> None:
    (tmp_path / "p.yaml").write_text(text)
    cluster = a_cluster().host("kvm-01").host("gpu-01").build()
    assert load_policies(tmp_path, cluster, 0.0).policies.consolidation


def test_hosts_that_nothing_can_switch_off_are_doubted(tmp_path: Path) -> None:
    text = PACK + "mode: auto\n"
    assert warnings(tmp_path, text) == [
        "p.yaml:2:1: no host of pack has power: in the settings, so none can be switched off: it does nothing"]
    assert warnings(tmp_path, text, "kvm-01") == []


def test_a_spare_that_leaves_no_host_to_switch_off_is_doubted(tmp_path: Path) -> None:
    assert warnings(tmp_path, PACK + "mode: auto\nspare: {hosts: 2}\n", "kvm-01") == [
        "p.yaml:5:9: pack keeps 2 of 3 hosts free, which leaves none to switch off"]


def test_hosts_that_are_packed_for_a_window_and_that_nobody_unpacks_are_doubted(tmp_path: Path) -> None:
    text = PACK + "mode: auto\nfill_to: {during: window}\n"
    doubt = ("p.yaml:5:11: pack fills hosts for the hours of its window alone, and no Balance in mode auto spreads its VMs "
             "out again by day; write during: day")
    balance = "---\nkind: Balance\nname: even\nmode: auto\n"
    assert warnings(tmp_path, text, "kvm-01") == [doubt]
    assert doubt in warnings(tmp_path, text + balance.replace("auto", "recommend"), "kvm-01")
    elsewhere = f"{text}scope: {{hosts: [kvm-01]}}\n{balance}scope: {{hosts: [kvm-02]}}\n"
    assert doubt in warnings(tmp_path, elsewhere, "kvm-01")
    assert warnings(tmp_path, text + balance, "kvm-01") == []
