"""ballastctl policy: what the daemon would say to the policies, without the daemon."""

from __future__ import annotations

import json
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
