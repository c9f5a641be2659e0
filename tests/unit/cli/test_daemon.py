"""ballastd: its commands, and how it ends when it cannot begin."""

from __future__ import annotations

import subprocess
import sys

import pytest
from click.testing import CliRunner

from ballastd import __version__
from ballastd.cli.daemon import main, services


@pytest.mark.parametrize("command", [(), ("run",), ("agent",), ("version",)])
def test_every_command_explains_itself(command):
    result = CliRunner().invoke(services, [*command, "--help"])
    assert result.exit_code == 0, result.output
    assert result.output.startswith("Usage: ")


def test_the_agent_is_listed_among_the_services():
    assert {"run", "agent", "version"} <= set(CliRunner().invoke(services, ["--help"]).output.split())


def test_a_service_that_is_misspelt_is_wrong_usage():
    result = CliRunner().invoke(services, ["rnu"])
    assert result.exit_code == 2
    assert "run" in result.output


def test_the_version_is_told(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"ballastd {__version__}, Python 3.")


def test_settings_that_are_not_there_are_exit_code_78_told_without_a_traceback(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["run", "--check", "--config", str(tmp_path / "none.yaml")])
    assert ended.value.code == 78
    said = capsys.readouterr().err
    assert "error" in said
    assert "none.yaml" in said


def test_a_check_counts_every_policy(tmp_path, capsys):
    settings, policies = tmp_path / "s.yaml", tmp_path / "policies"
    policies.mkdir()
    settings.write_text('hosts: [{name: kvm-01, uri: "qemu+tls://kvm-01/system"}]\n')
    (policies / "p.yaml").write_text(
        "kind: Health\nname: memory\nwhen: {metric: ecc.uncorrected, increase: 1h, above: 0}\nseverity: failing\n"
        "---\nkind: Balance\nname: even\n---\nkind: Placement\nname: pins\nvms: {tag: pinned}\nrule: pinned\n")
    with pytest.raises(SystemExit):
        main(["run", "--check", "--config", str(settings), "--policies", str(policies)])
    assert capsys.readouterr().out == f"sound: {settings} (1 host), {policies} (3 policies)\n"


def test_python_m_ballastd_is_ballastd():
    done = subprocess.run([sys.executable, "-m", "ballastd", "version"], capture_output=True, text=True, timeout=30,
                          check=True)
    assert done.stdout.startswith(f"ballastd {__version__}")


def test_help_needs_neither_libvirt_nor_numpy_nor_a_web_server():
    script = ("import sys; from ballastd.cli import ctl, daemon; "
              "heavy = {'libvirt', 'numpy', 'fastapi', 'httpx', 'pydantic', 'rich', 'aiomqtt', 'ruamel'}; "
              "print(sorted(heavy & set(sys.modules)))")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "[]\n"
