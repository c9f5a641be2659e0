"""Examples in policies: what is written is played by the mind that governs, and judged by what there is to see."""

from __future__ import annotations

from pathlib import Path

import pytest

from ballastd.core.policies import PolicySet
from ballastd.documents.loading import read_policies
from ballastd.documents.policy_examples import examples_of
from ballastd.errors import ConfigurationError
from ballastd.rehearsal.judging import Judged, judge

MEMORY = """\
kind: Health
name: memory
when: {metric: ecc.uncorrected, increase: 1h, above: 0}
severity: failing
clear: acknowledge
"""
HOT = """\
kind: Health
name: hot
when: {metric: temperature, relative_to: critical, above: -5C, for: 5m}
severity: degraded
clear: {below: -10C, for: 30m}
"""
EVACUATION = """\
---
kind: Evacuation
name: failing-hosts
on: {severity: failing}
respond: evacuate
ignore_windows: true
mode: auto
"""
BALANCE = """\
kind: Balance
name: even
imbalance: {above: 100%}
mode: recommend
"""


def played(folder: Path, text: str) -> tuple[Judged, ...]:
    (folder / "p.yaml").write_text(text, encoding="utf-8")
    read = read_policies(folder, None)
    return tuple(judge(example, read.compiled) for example in examples_of(read.taken))


def one(folder: Path, policy: str, example: str, beside: str = "") -> Judged:
    (judged,) = played(folder, f"{policy}examples:\n  - name: it\n    {example}\n{beside}")
    return judged


def refused(folder: Path, policy: str, example: str) -> list[str]:
    (folder / "p.yaml").write_text(f"{policy}examples:\n  - name: it\n    {example}\n", encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        read_policies(folder, None)
    return [problem.replace(f"{folder}/", "") for problem in caught.value.problems]


def test_an_error_condemns_a_host_and_it_is_emptied(tmp_path: Path) -> None:
    judged = one(tmp_path, MEMORY, """given: {telemetry: {h1: {ecc.uncorrected: {1m: 1}}}}
    expect:
      50s: nothing
      2m:
        health: {h1: failing, h2: healthy, h3: healthy}
        conditions: {memory: {h1: latched, h2: clear}}
        intents: [evacuate h1]
        moves: [2 from h1]
        targets: [h2, h3]
        cordons: [h1]
        posture: acting
        refusals: none""", EVACUATION)
    assert judged.misses == ()
    assert judged.looked_at == 3 + 11


def test_what_is_not_so_is_told_with_place_and_numbers(tmp_path: Path) -> None:
    judged = one(tmp_path, MEMORY, """given: {telemetry: {h1: {ecc.uncorrected: {1m: 1}}}}
    expect:
      2m: {health: {h1: healthy}, moves: [h1-vm1 from h1 to h1], intents: none}""", EVACUATION)
    by_what = {miss.what.removeprefix("at 2 min 0 s: "): miss for miss in judged.misses}
    assert set(by_what) == {"health of h1", "moves", "intents"}
    health = by_what["health of h1"]
    assert health.place == f"{tmp_path}/p.yaml:10:21"
    assert (health.expected, health.got) == ("healthy", "failing")
    assert health.because[0] == "memory is latched: ecc.uncorrected rose by 1 > 0"
    assert by_what["moves"].got == "h1-vm1 from h1 to h2, h1-vm2 from h1 to h3"
    assert by_what["intents"].got == "evacuate h1"


@pytest.mark.parametrize(("moves", "fits"), [
    ("2", True), ("[2 from h1]", True), ("[h1-vm1, h1-vm2]", True), ("[h1-vm1 to h2, 1 from h1]", True),
    ("[1 from h1, h1-vm1 to h2]", True), ("[1 to h2, 1 to h3]", True),
    ("none", False), ("1", False), ("3", False), ("[h1-vm1]", False), ("[2 from h2]", False), ("[h1-vm1, h1-vm1]", False)])
def test_moves_are_all_that_began_and_no_others(tmp_path: Path, moves: str, fits: bool) -> None:
    judged = one(tmp_path, MEMORY, f"given: {{telemetry: {{h1: {{ecc.uncorrected: {{1m: 1}}}}}}}}\n    expect: "
                                   f"{{10m: {{moves: {moves}}}}}", EVACUATION)
    assert judged.passed is fits


def test_a_hold_counts_from_the_moment_it_is_heard(tmp_path: Path) -> None:
    judged = one(tmp_path, HOT, """given: {telemetry: {h1: {temperature/cpu0: {1m: 91C}}}}
    expect:
      59s: {conditions: {hot: {h1: clear}}}
      1m: {conditions: {hot: {h1: pending}}}
      5m59s: {conditions: {hot: {h1: pending}}, health: {h1: healthy}}
      6m: {conditions: {hot: {h1: firing}}, health: {h1: degraded}}""")
    assert judged.misses == ()


def test_a_slope_crosses_the_edge_on_its_way(tmp_path: Path) -> None:
    judged = one(tmp_path, HOT, """given: {telemetry: {h1: {temperature: {0s: 80C to 100C in 20m}}}}
    expect:
      9m: {conditions: {hot: {h1: clear}}}
      11m: {conditions: {hot: {h1: pending}}}""")
    assert judged.misses == ()


def test_a_sensor_without_a_limit_of_its_own_fires_nothing(tmp_path: Path) -> None:
    judged = one(tmp_path, HOT, """given: {telemetry: {h1: {temperature: 120C}}, limits: {critical: none}}
    expect: {10m: {health: {h1: healthy}}}""")
    assert judged.passed


def test_an_operator_acknowledges_and_silence_is_told(tmp_path: Path) -> None:
    judged = one(tmp_path, MEMORY, """given:
      telemetry: {h1: {ecc.uncorrected: {1m: 1}}}
      operator: {5m: acknowledge h1}
      agents: {h2: {5m: silent}}
      hypervisors: {h3: {8m: silent}}
    expect:
      4m: {health: {h1: failing}, targets: [h2, h3]}
      7m: {health: {h1: healthy}, targets: [h1, h3]}
      9m: {targets: [h1], posture: frozen}""")
    assert judged.misses == ()


def test_load_makes_a_host_hot_and_a_mode_can_be_tried(tmp_path: Path) -> None:
    given = """given:
      vms: 4
      load: {h1-vm1: {1m: 4}, h1-vm2: {1m: 4}, h1-vm3: {1m: 4}, h1-vm4: {1m: 3}}"""
    waits = one(tmp_path, BALANCE, f"{given}\n    expect: {{20m: {{intents: [relieve h1], moves: none, planned: "
                                   "[2 from h1]}}")
    assert waits.misses == ()
    goes = one(tmp_path, BALANCE, f"{given}\n      mode: auto\n    expect: {{20m: {{moves: [2 from h1]}}, 3m: nothing}}")
    assert goes.misses == ()


def test_a_host_is_packed_empty_and_switched_off(tmp_path: Path) -> None:
    judged = one(tmp_path, """kind: Consolidation
name: nights
window: {days: [mon-fri], at: "22:00", for: 7h, timezone: Europe/Berlin}
mode: auto
""", """given: {hosts: 5, vms: 1, begins: 2026-01-07 21:00 Europe/Berlin}
    expect:
      59m: nothing
      1h10m: {moves: [1 from h1], power: {h1: off}}
      7h50m: {power: {h1: on}}""")
    assert judged.misses == ()


def test_a_saved_cluster_stands_beside_the_policies(tmp_path: Path) -> None:
    (tmp_path / "site.cluster").write_text("""format: ballastd-cluster/1
defaults: {memory: 64GiB, processors: 16}
hosts: [{name: kvm-01}, {name: kvm-02}, {name: kvm-03}]
vms: [{name: db, host: kvm-01, memory: 8GiB, vcpus: 4}]
""", encoding="utf-8")
    judged = one(tmp_path, MEMORY, """given: {cluster: site.cluster, telemetry: {kvm-01: {ecc.uncorrected: {1m: 1}}}}
    expect: {2m: {moves: [db from kvm-01]}}""", EVACUATION)
    assert judged.misses == ()


def test_the_same_example_comes_out_the_same(tmp_path: Path) -> None:
    example = "given: {telemetry: {h1: {ecc.uncorrected: {1m: 1}}}}\n    expect: {20m: {moves: 1}}"
    first, second = (one(tmp_path, MEMORY, example, EVACUATION) for _ in range(2))
    assert first.misses == second.misses != ()


@pytest.mark.parametrize(("example", "problem"), [
    ("expect: {2m: {health: {h9: failing}}}",
     "p.yaml:8:28: examples.0.expect.2m.health.h9: 'h9' is no host of this example; known: h1, h2, h3"),
    ("expect: {2m: {health: {h1: faling}}}",
     "p.yaml:8:28: examples.0.expect.2m.health.h1: 'faling' is not one of healthy, suspect, degraded, failing; did you mean "
     "failing?"),
    ("given: {hosts: {kvm-01: {memry: 4GiB}}}\n    expect: {2m: nothing}",
     "p.yaml:8:30: examples.0.given.hosts.kvm-01.memry: unknown key; did you mean memory?"),
    ("given: {vms: {web: {host: h1, vcpu: 4}}}\n    expect: {2m: nothing}",
     "p.yaml:8:35: examples.0.given.vms.web.vcpu: unknown key; did you mean vcpus?"),
    ("expect: {2m: {helth: {h1: failing}}}",
     "p.yaml:8:19: examples.0.expect.2m.helth: unknown key; did you mean health?"),
    ("expect: {2: nothing}", "p.yaml:8:14: examples.0.expect.2: '2' is no duration; write for example 5m, 90s or 1h30m"),
    ("expect: {60s: nothing, 1m: nothing}",
     "p.yaml:8:5: examples.0.expect: 1m and 60s are the same moment; write both under one"),
    ("expect: {}", "p.yaml:8:5: examples.0.expect: write when to look, up to 20 times, and what should be seen, for example "
                   "{2m: {health: {h1: failing}}}"),
    ("expect: {2m: {moves: [from h1]}}",
     "p.yaml:8:19: examples.0.expect.2m.moves: 'from h1': write which move, for example web-1, web-1 from h1 to h2, or 2 "
     "from h1"),
    ("expect: {2m: {intents: [evacuat h1]}}",
     "p.yaml:8:29: examples.0.expect.2m.intents.0: 'evacuat h1': write what is wanted of which host, for example evacuate "
     "h1; known: evacuate, drain, relieve, even, empty"),
    ("expect: {2m: {conditions: {memry: {h1: firing}}}}",
     "p.yaml:8:32: examples.0.expect.2m.conditions.memry: 'memry' is no Health policy here; did you mean memory?"),
    ("given: {telemetry: {h1: {ecc.uncorected: 1}}}\n    expect: {2m: nothing}",
     "p.yaml:8:30: examples.0.given.telemetry.h1.ecc.uncorected: 'ecc.uncorected' is no metric; did you mean "
     "ecc.uncorrected?"),
    ("given: {telemetry: {h1: {temperature: 96}}}\n    expect: {2m: nothing}",
     "p.yaml:8:30: examples.0.given.telemetry.h1.temperature: 96 is no temperature; write for example 85C"),
    ("given: {telemetry: {h1: {ecc.uncorrected: {1m: 5, 2m: 3}}}}\n    expect: {2m: nothing}",
     "p.yaml:8:30: examples.0.given.telemetry.h1.ecc.uncorrected: ecc.uncorrected falls from 5 to 3, which no counter does; "
     "one that starts anew shows 0 first"),
    ("given: {hosts: 0}\n    expect: {2m: nothing}",
     "p.yaml:8:13: examples.0.given.hosts: 0: write how many hosts, 1 to 32 (they are h1, h2, ...), or each by its name, "
     "for example {kvm-01: {labels: {rack: r1}}, kvm-02: {}}"),
    ("given: {agents: {h1: quiet}}\n    expect: {2m: nothing}",
     "p.yaml:8:22: examples.0.given.agents.h1: 'quiet': write silent or speaks, for example {5m: silent, 10m: speaks}"),
    ("given: {load: {h1-vm1: 9}}\n    expect: {2m: nothing}",
     "p.yaml:8:20: examples.0.given.load.h1-vm1: 9 is above its vcpus, 4, and a VM cannot use more processors than it has"),
    ("given: {operator: {1m: acknowlege h1}}\n    expect: {2m: nothing}",
     "p.yaml:8:24: examples.0.given.operator.1m: 'acknowlege h1': write what an operator asks for, for example acknowledge "
     "h1, or pause; known: acknowledge, cordon, uncordon, drain, undrain, pause, resume, confirm-dead, power-on, power-off"),
    ("given: {begins: noon}\n    expect: {2m: nothing}",
     "p.yaml:8:13: examples.0.given.begins: 'noon' is no date and time; write for example \"2026-01-07 12:00 "
     "Europe/Berlin\""),
    ("given: {mode: auto}\n    expect: {2m: nothing}",
     "p.yaml:8:13: examples.0.given.mode: Health has no mode; take it out"),
    ("given: {cluster: a.yaml, hosts: 3}\n    expect: {2m: nothing}",
     "p.yaml:8:5: examples.0.given: a saved cluster has hosts and VMs of its own; write either cluster, or hosts and vms"),
    ("given: {each: {memory: 4GiB}}\n    expect: {2m: nothing}",
     "p.yaml:8:5: examples.0.given.vms: the VMs on h1 have 8.0 GiB, the host 4.0 GiB; give it more, for example each: "
     "{memory: 256GiB}"),
])
def test_a_mistake_in_an_example_is_one_line_with_its_place(tmp_path: Path, example: str, problem: str) -> None:
    assert refused(tmp_path, MEMORY, example)[:1] == [problem]


def test_two_examples_of_one_name_are_one_too_many(tmp_path: Path) -> None:
    found = refused(tmp_path, MEMORY, "expect: {2m: nothing}\n  - name: it\n    expect: {2m: nothing}")
    assert found == ["p.yaml:9:5: examples.1.name: another example of memory is called 'it'; give each its own name"]


def test_examples_change_nothing_of_what_governs(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(MEMORY, encoding="utf-8")
    plain: PolicySet = read_policies(tmp_path, None).compiled(0.0)
    (tmp_path / "p.yaml").write_text(f"{MEMORY}examples:\n  - name: it\n    expect: {{2m: nothing}}\n", encoding="utf-8")
    assert read_policies(tmp_path, None).compiled(0.0).health == plain.health


def test_a_condition_that_could_not_be_read_is_not_missed_in_an_example(tmp_path: Path) -> None:
    found = refused(tmp_path, MEMORY.replace("severity: failing", "severity: fatal") + "---\n" + HOT,
                    "expect: {2m: {conditions: {memory: {h1: firing}}}}")
    assert [problem.partition(": ")[2] for problem in found] == [
        "severity: 'fatal' is not one of suspect, degraded, failing"]
