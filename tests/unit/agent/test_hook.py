"""Installing the hook: never over somebody else's."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from ballastd.agent.hook import HookRefused, install, is_installed

FLAG = Path("/run/libvirt/cordon")


def hook_of(root: Path) -> Path:
    return root / "etc/libvirt/hooks/qemu"


def test_it_is_installed_executable_and_recognised(tmp_path: Path) -> None:
    assert not is_installed(tmp_path)
    assert "restart libvirtd" in install(tmp_path, FLAG)
    assert os.access(hook_of(tmp_path), os.X_OK)
    assert is_installed(tmp_path)


def test_installing_again_brings_it_up_to_date(tmp_path: Path) -> None:
    install(tmp_path, FLAG)
    assert "up to date" in install(tmp_path, Path("/elsewhere/flag"))
    assert "flag=/elsewhere/flag\n" in hook_of(tmp_path).read_text()


def test_a_hook_that_may_not_be_executed_does_not_count(tmp_path: Path) -> None:
    install(tmp_path, FLAG)
    hook_of(tmp_path).chmod(0o644)
    assert not is_installed(tmp_path)


def test_a_foreign_hook_is_left_alone_and_told_how_to_call_ours(tmp_path: Path) -> None:
    hook_of(tmp_path).parent.mkdir(parents=True)
    hook_of(tmp_path).write_text("#!/bin/sh\necho mine\n")
    with pytest.raises(HookRefused) as caught:
        install(tmp_path, FLAG)
    assert hook_of(tmp_path).read_text() == "#!/bin/sh\necho mine\n"
    assert not is_installed(tmp_path)
    advice = [line.strip() for line in str(caught.value).splitlines()[1:]]
    assert advice[0].startswith("#")


def test_the_advice_works(tmp_path: Path) -> None:
    flag, hook = tmp_path / "cordon", hook_of(tmp_path)
    hook.parent.mkdir(parents=True)
    hook.write_text("#!/bin/sh\ncat\n")
    hook.chmod(0o755)
    with pytest.raises(HookRefused) as caught:
        install(tmp_path, flag)
    hook.write_text("\n".join(["#!/bin/sh", *str(caught.value).splitlines()[1:], "cat", ""]))
    assert is_installed(tmp_path)
    assert "calls ours" in install(tmp_path, flag)
    call = [str(hook), "guest", "migrate", "begin", "-"]
    assert subprocess.run(call, input=b"<domain/>", capture_output=True, check=True).stdout == b"<domain/>"
    flag.write_text("")
    assert subprocess.run(call, input=b"<domain/>", capture_output=True, check=False).returncode != 0


def test_a_place_that_cannot_be_written_is_an_answer(tmp_path: Path) -> None:
    (tmp_path / "etc").write_text("")
    with pytest.raises(HookRefused, match="cannot be written"):
        install(tmp_path, FLAG)
