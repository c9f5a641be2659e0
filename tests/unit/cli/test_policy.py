"""ballastctl policy: what the daemon would say to the policies, without the daemon."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ballastd.cli.ctl import main

SOUND = """\
kind: Health
name: uncorrected-memory-errors
when: {metric: ecc.uncorrected, increase: 1h, above: 0}
severity: failing
clear: acknowledge
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "health.yaml").write_text(SOUND)
    return tmp_path


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(main, ["policy", *map(str, words)])


def test_sound_policies_are_counted(folder):
    result = run("check", folder)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"sound: {folder}: 1 health, 0 evacuation, 0 balance, 0 consolidation and "
                                    "0 placement policies, 0 windows, digest ")


def test_settings_that_nobody_may_look_at_are_none(folder, monkeypatch):
    monkeypatch.setattr("ballastd.cli.policies.places.DEFAULT_SETTINGS", folder / ("a" * 300))
    assert run("check", folder).exit_code == 0


def test_a_wrong_file_is_exit_code_4_with_the_line_and_a_caret(folder):
    (folder / "wrong.yaml").write_text(SOUND.replace("severity: failing", "severity: fatal"))
    result = run("check", folder)
    assert (result.exit_code, result.stdout) == (4, "")
    assert f"{folder / 'wrong.yaml'}:4:" in result.stderr
    assert "    4 | severity: fatal" in result.stderr
    assert "^" in result.stderr
    assert "refused: 1 problem" in result.stderr


def test_a_check_can_be_read_by_programs(folder):
    document = json.loads(run("check", folder, "-o", "json").stdout)
    assert (document["ok"], document["problems"]) == (True, [])
    (folder / "wrong.yaml").write_text("kind: Helth\nname: a\n")
    result = run("check", folder, "-o", "json")
    assert result.exit_code == 4
    document = json.loads(result.stdout)
    assert document["ok"] is False
    assert "wrong.yaml:1:" in document["problems"][0]


def test_a_directory_that_is_not_there_is_wrong_usage(tmp_path):
    assert run("check", tmp_path / "none").exit_code == 2


def test_the_schema_is_json():
    result = run("schema")
    assert result.exit_code == 0
    assert isinstance(json.loads(result.stdout), dict)


EXAMPLE = """\
examples:
  - name: one lost word condemns the host
    given: {telemetry: {h1: {ecc.uncorrected: {1m: 1}}}}
    expect: {2m: {health: {h1: failing}}}
  - name: and a second host as well
    given: {telemetry: {h1: {ecc.uncorrected: {1m: 1}}}}
    expect: {2m: {health: {h2: failing}}}
"""


def test_examples_are_played_and_what_is_not_so_is_told(folder):
    (folder / "health.yaml").write_text(SOUND + EXAMPLE)
    result = run("test", folder)
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[0] == f"{folder}/health.yaml"
    assert lines[1] == "  Health uncorrected-memory-errors"
    assert re.fullmatch(r"    ok    one lost word condemns the host  \d+ ms", lines[2])
    assert re.fullmatch(r"    FAIL  and a second host as well  \d+ ms", lines[3])
    assert lines[4] == f"          {folder}/health.yaml:12:28: at 2 min 0 s: health of h2"
    assert lines[5:7] == ["            expected  failing", "            got       healthy"]
    assert re.fullmatch(r"2 examples, 2 expectations: 1 passed, 1 failed; \d+\.\d s", lines[-1])


def test_examples_can_be_chosen_and_read_by_programs(folder):
    (folder / "health.yaml").write_text(SOUND + EXAMPLE)
    result = run("test", folder, "-k", "LOST word", "-o", "json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert (document["passed"], document["failed"]) == (1, 0)
    assert document["examples"][0]["place"] == f"{folder}/health.yaml:7:5"
    failed = json.loads(run("test", folder, "-k", "second", "-o", "json").stdout)["examples"][0]["misses"][0]
    assert (failed["expected"], failed["got"]) == ("failing", "healthy")


def test_the_first_failure_ends_it_when_asked_to(folder):
    (folder / "health.yaml").write_text(SOUND + EXAMPLE + EXAMPLE.split("\n", 1)[1].replace("name: ", "name: again, "))
    assert "2 not run" in run("test", folder, "-x", "-q").stdout
    assert "not run" not in run("test", folder, "-q").stdout


def test_no_example_is_no_success(folder):
    result = run("test", folder)
    assert (result.exit_code, result.stdout) == (1, "no example in these policies\n")


def test_a_mistake_in_an_example_is_exit_code_4(folder):
    (folder / "health.yaml").write_text(SOUND + EXAMPLE.replace("{h2: failing}", "{h7: failing}"))
    result = run("test", folder)
    assert result.exit_code == 4
    assert "health.yaml:12:28: error: examples.1.expect.2m.health.h7: 'h7' is no host of this example" in result.stderr


def test_every_key_is_shown_with_its_place_or_as_a_default(folder):
    result = run("show", folder)
    assert result.exit_code == 0, result.output
    assert re.search(r"^  when\.increase +1h +:3:33$", result.stdout, re.MULTILINE)
    assert re.search(r"^  when\.for +0s +default$", result.stdout, re.MULTILINE)
    assert "1 policies, digest " in result.stdout
    assert "the daemon does not answer" in result.stdout
    assert "when.for" not in run("show", folder, "--written").stdout
    keys = {one["key"]: one for one in json.loads(run("show", folder, "-o", "json").stdout)["policies"][0]["keys"]}
    assert keys["when.for"] == {"key": "when.for", "value": "0s", "default": True, "place": None}
    assert keys["severity"]["place"] == f"{folder}/health.yaml:4:1"


def test_what_a_profile_changes_is_shown_where_it_stands(folder, tmp_path_factory):
    (folder / "health.yaml").write_text(SOUND + "---\nkind: Balance\nname: even\n")
    path = tmp_path_factory.mktemp("profile") / "p.yaml"
    path.write_text(f"kind: Profile\nname: p\ninclude: [{folder}]\nmode: recommend\n")
    result = run("show", path, "-k", "even")
    assert re.search(rf"^  mode +recommend +{path}:4:1$", result.stdout, re.MULTILINE)


def test_a_policy_is_explained_in_words(folder):
    (folder / "site.cluster").write_text("format: ballastd-cluster/1\nhosts: [{name: kvm-01, memory: 8GiB, processors: "
                                         "4}]\n")
    result = run("explain", "uncorrected-memory-errors", folder, "--cluster", folder / "site.cluster")
    assert result.exit_code == 0, result.output
    assert "A host is failing when ecc.uncorrected rises by more than 0 within 1h." in result.stdout
    assert "until an operator has looked" in result.stdout
    assert "hosts: 1: kvm-01" in result.stdout
    unknown = run("explain", "none", folder)
    assert unknown.exit_code == 1
    assert "no policy is called none; there are uncorrected-memory-errors" in unknown.output


@pytest.mark.parametrize(("labels", "words"), [
    ("[rack]", "outside the failing domain, and of another rack than the host's."),
    ("[rack, power]", "outside the failing domain, and of another rack and power than the host's."),
    ("[]", "outside the failing domain."),
])
def test_what_an_evacuation_avoids_is_said(folder, labels, words):
    (folder / "away.yaml").write_text("kind: Evacuation\nname: away\non: {severity: failing}\nrespond: evacuate\n"
                                      f"avoid: {labels}\n")
    assert words in run("explain", "away", folder).stdout


@pytest.mark.parametrize("name", ["failing-hosts", "suspect-hosts", "even-load", "relieve-memory-pressure", "nights",
                                  "replicas-apart", "pinned-by-tag", "business-hours", "sunday-maintenance", "cluster",
                                  "hot", "fan-alarm"])
def test_every_kind_has_words(name):
    root = Path(__file__).parents[3]
    result = run("explain", name, root / "policies", "--settings", root / "config" / "ballastd.yaml", "-o", "json")
    assert result.exit_code == 0, result.output
    (told,) = json.loads(result.stdout)
    assert told["does"]
    assert all(line and line[0].isupper() and line.endswith(".") for line in told["does"])


def test_two_sets_are_compared_by_what_they_say_and_do(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    (folder / "health.yaml").write_text(SOUND + EXAMPLE.split("  - name: and", maxsplit=1)[0])
    (other / "health.yaml").write_text(SOUND.replace("failing", "degraded") + "---\nkind: Balance\nname: even\n")
    result = run("diff", folder, other)
    assert result.exit_code == 0, result.output
    assert f"  + Balance even  {other}/health.yaml:8:1" in result.stdout
    assert "      severity: failing -> degraded" in result.stdout
    assert "      at 2 min 0 s: health: h1 failing -> h1 degraded" in result.stdout
    assert "1 of 1 trials come out otherwise; no cluster was at hand" in result.stdout
    assert "  the same\n" in run("diff", folder, folder).stdout


def test_two_sets_are_tried_on_a_saved_cluster(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    (folder / "b.yaml").write_text("kind: Balance\nname: even\n")
    (other / "b.yaml").write_text("kind: Balance\nname: even\nmode: auto\n")
    (other / "health.yaml").write_text(SOUND)
    (folder / "site.cluster").write_text("""format: ballastd-cluster/1
saved: 2026-01-05T12:00:00Z
defaults: {memory: 64GiB, processors: 16}
hosts: [{name: kvm-01}, {name: kvm-02}, {name: kvm-03}]
vms:
  - {name: a, host: kvm-01, memory: 8GiB, vcpus: 8, demand: 8}
  - {name: b, host: kvm-01, memory: 8GiB, vcpus: 8, demand: 7}
""")
    result = run("diff", folder, other, "--cluster", folder / "site.cluster", "-o", "json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["says"][0]["keys"] == [{"key": "mode", "old": "observe", "new": "auto"}]
    assert any("moves: none -> " in line for line in document["does"][0]["otherwise"])
